// Web pages of other origins, and where the HTTP API lies.
import { afterEach, describe, expect, it } from 'vitest'
import { startServer, type ServerOptions } from '../../src/server.ts'
import { Api, useApi } from '../support/api.ts'

const PAGE = 'https://pages.example'
const ASKING = { 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization, x-reason' }

let api: Api

/** An API with settings of its own. */
async function serve(options: ServerOptions): Promise<void> {
  api = new Api()
  api.server = await startServer({ host: '127.0.0.1', managementHost: '127.0.0.1', managementPort: 0, ...options })
}

/** The headers about origins. */
function crossOrigin(headers: Headers): Readonly<Record<string, string>> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')))
}

describe('pages of other origins', () => {
  afterEach(() => api.stop())

  it('may use the API when their origin is allowed', async () => {
    await serve({ crossOrigins: { origins: ['https://other.example', PAGE], maxAgeSeconds: 77 } })
    const allowed = { 'access-control-allow-origin': PAGE, 'access-control-allow-credentials': 'true' }
    const headers = { origin: PAGE }
    for (const path of ['/api/whoami', '/api/queues/none', '/api/nothing']) {
      expect(crossOrigin((await api.get(path, { headers })).headers)).toEqual(allowed)
    }
    expect(crossOrigin((await api.get('/api/whoami', { user: '', headers })).headers)).toEqual(allowed)
  })

  it('are told what they may send before they send it', async () => {
    await serve({ crossOrigins: { origins: [PAGE], maxAgeSeconds: 77 } })
    const asked = await api.call('OPTIONS', '/api/queues/%2F/x', { user: '', headers: { origin: PAGE, ...ASKING } })
    expect([asked.status, crossOrigin(asked.headers)]).toEqual([
      200,
      {
        'access-control-allow-origin': PAGE,
        'access-control-allow-credentials': 'true',
        'access-control-allow-headers': 'authorization, x-reason',
        'access-control-allow-methods': 'GET, PUT, DELETE, HEAD, OPTIONS',
        'access-control-max-age': '77',
      },
    ])
  })

  it.each(['https://PAGES.example', 'https://pages.example.evil', 'http://pages.example', 'null'])(
    'are told nothing when their origin is %s, which is not allowed',
    async (origin) => {
      await serve({ crossOrigins: { origins: [PAGE], maxAgeSeconds: 77 } })
      expect(crossOrigin((await api.get('/api/whoami', { headers: { origin } })).headers)).toEqual({})
      const asked = await api.call('OPTIONS', '/api/whoami', { user: '', headers: { origin, ...ASKING } })
      expect([asked.status, crossOrigin(asked.headers)]).toEqual([200, {}])
    },
  )

  it('may all use it with *', async () => {
    await serve({ crossOrigins: { origins: ['*'], maxAgeSeconds: 0 } })
    const { headers } = await api.get('/api/whoami', { headers: { origin: PAGE } })
    expect(headers.get('access-control-allow-origin')).toBe(PAGE)
    expect(crossOrigin((await api.get('/api/whoami')).headers)).toEqual({})
  })
})

describe('a form of a page', () => {
  const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
  const refusal = { error: 'forbidden', reason: 'Pages of this origin may not change anything here' }

  afterEach(() => api.stop())

  /** What a POST is answered that a page of this origin sends, from where the browser says, and whether it did anything. */
  async function posted(site: string, origin?: string): Promise<readonly unknown[]> {
    return sent({ ...FORM, 'sec-fetch-site': site, ...(origin === undefined ? {} : { origin }) })
  }

  /** The same with these headers. */
  async function sent(headers: Readonly<Record<string, string>>): Promise<readonly unknown[]> {
    await api.put('/api/queues/%2F/filled', { durable: true })
    const path = '/api/exchanges/%2F/amq.default/publish'
    const message = { properties: {}, routing_key: 'filled', payload: '', payload_encoding: 'string' }
    const { status, body } = await api.post(path, message, { headers })
    return [status, body]
  }

  it.each([
    ['cross-site', 'https://evil.example'],
    ['same-site', 'https://evil.example'],
    ['cross-site', 'null'],
    ['cross-site', undefined],
  ])('that the browser calls %s, of the origin %s, changes nothing', async (site, origin) => {
    await serve({ crossOrigins: { origins: [PAGE], maxAgeSeconds: 77 } })
    expect(await posted(site, origin)).toEqual([403, refusal])
    const headers = { 'sec-fetch-site': site, ...(origin === undefined ? {} : { origin }) }
    expect((await api.delete('/api/queues/%2F/filled', { headers })).status).toBe(403)
    expect((await api.put('/api/queues/%2F/other', {}, { headers })).status).toBe(403)
    expect((await api.get('/api/queues/%2F/other')).status).toBe(404)
    expect((await api.get('/api/queues/%2F/filled', { headers })).status).toBe(200)
    const { body } = await api.get('/api/queues/%2F/filled/messages')
    expect(body['messages']).toEqual([])
  })

  it.each([
    ['cross-site', PAGE],
    ['same-site', PAGE],
    ['same-origin', 'https://broker.example'],
    ['none', undefined],
  ])('that the browser calls %s, of the origin %s, is taken', async (site, origin) => {
    await serve({ crossOrigins: { origins: [PAGE], maxAgeSeconds: 77 } })
    expect(await posted(site, origin)).toEqual([200, { routed: true }])
  })

  it('is taken from every page with *', async () => {
    await serve({ crossOrigins: { origins: ['*'], maxAgeSeconds: 0 } })
    expect(await posted('cross-site', 'https://evil.example')).toEqual([200, { routed: true }])
  })

  describe('of which the browser says nothing but its origin, as it does without TLS,', () => {
    const JSON_TYPE = { 'content-type': 'application/json' }

    it.each([
      ['of a form', FORM, 'http://evil.example'],
      ['of a form with files', { 'content-type': 'multipart/form-data; boundary=x' }, 'http://evil.example'],
      ['as text', { 'content-type': 'Text/Plain;charset=UTF-8' }, 'http://evil.example'],
      ['as text, from another port', { 'content-type': 'text/plain' }, 'http://127.0.0.1:1'],
      ['as text, from nowhere', { 'content-type': 'text/plain' }, 'null'],
      ['of no type', { 'content-type': '' }, 'http://evil.example'],
    ])('changes nothing by what it sends %s', async (_how, type, origin) => {
      await serve({})
      expect(await sent({ ...type, origin })).toEqual([403, refusal])
      const { body } = await api.get('/api/queues/%2F/filled/messages')
      expect(body['messages']).toEqual([])
    })

    it('is taken from the host that was asked for, and from those that are allowed', async () => {
      await serve({ crossOrigins: { origins: [PAGE], maxAgeSeconds: 77 } })
      const taken = [200, { routed: true }]
      const port = api.server.ports.management
      expect(await sent({ ...FORM, origin: `http://127.0.0.1:${port}` })).toEqual(taken)
      expect(await sent({ ...FORM, origin: PAGE })).toEqual(taken)
      const proxied = { 'x-forwarded-host': 'inner.example, Broker.example' }
      expect(await sent({ ...FORM, origin: 'https://broker.example', ...proxied })).toEqual(taken)
      expect(await sent({ ...FORM, origin: 'https://evil.example', ...proxied })).toEqual([403, refusal])
    })

    it('is taken with what a browser asks about first, and from programs', async () => {
      await serve({})
      expect(await sent({ ...JSON_TYPE, origin: 'http://evil.example' })).toEqual([200, { routed: true }])
      expect(await sent({ 'content-type': 'text/plain' })).toEqual([200, { routed: true }])
    })
  })
})

describe('without allowed origins', () => {
  const plain = useApi()

  it('there is nothing about them', async () => {
    const headers = { origin: PAGE, ...ASKING }
    expect(crossOrigin((await plain.get('/api/whoami', { headers })).headers)).toEqual({})
    expect(crossOrigin((await plain.call('OPTIONS', '/api/whoami', { headers })).headers)).toEqual({})
    expect((await plain.get('/api/whoami')).headers.get('vary')).toContain('origin')
  })
})

describe('where the API lies', () => {
  afterEach(() => api.stop())

  it.each(['/rabbit', 'rabbit/'])('may be below %s', async (managementPathPrefix) => {
    await serve({ managementPathPrefix })
    expect((await api.get('/rabbit/api/whoami')).body['name']).toBe('guest')
    expect((await api.get('/rabbit/livez')).status).toBe(200)
    expect((await api.get('/api/whoami')).status).toBe(404)
  })
})

describe('bodies', () => {
  afterEach(() => api.stop())

  it('may be as large as is set, and files with definitions five times as large', async () => {
    await serve({ managementBodyBytesMax: 2000 })
    const body = (length: number) => ({ value: 'x'.repeat(length) })
    expect((await api.put('/api/global-parameters/a', body(1900))).status).toBe(201)
    const { status, body: answer } = await api.put('/api/global-parameters/a', body(2100))
    expect([status, answer['reason']]).toEqual([400, 'Exceeded HTTP request body size limit'])
    const json = { 'content-type': 'application/json' }
    expect((await api.post('/api/definitions', body(9000), { headers: json })).status).toBe(204)
    expect((await api.post('/api/definitions', body(11_000), { headers: json })).status).toBe(400)
    // Nobody sends one where there is no such method.
    expect((await api.call('PATCH', '/api/definitions', { user: '', body: body(11_000) })).status).toBe(405)
    // Less, where a route has less.
    expect((await api.post('/api/bindings/%2F/e/amq.topic/q/x', { routing_key: 'x'.repeat(3000) })).status).toBe(400)
  })
})
