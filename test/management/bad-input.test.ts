// What strangers send: it is answered in the API's words, never with a mistake of ours.
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { items, useApi } from '../support/api.ts'

const api = useApi()
const NAMES = [
  'a/b',
  '//',
  'a b',
  '🐇',
  '..',
  '%2F',
  'a%',
  'é',
  'x'.repeat(255),
  '"><script>',
  'a\nb',
  '+',
  '~',
  'a&b=c',
]

describe('names in paths', () => {
  it.each(NAMES)('may be %j for a queue', async (name) => {
    const path = `/api/queues/%2F/${encodeURIComponent(name)}`
    expect((await api.put(path)).status).toBe(201)
    const kept = name.replace('\n', '')
    const found = await api.get(`/api/queues/%2F/${encodeURIComponent(kept)}`)
    expect(found.body['name']).toBe(kept)
    const location = await api.post(`/api/bindings/%2F/e/amq.topic/q/${encodeURIComponent(kept)}`, {
      routing_key: name,
    })
    expect(location.status).toBe(201)
    const binding = await api.get(`/api/bindings/%2F/e/amq.topic/q/${location.headers.get('location')}`)
    expect(binding.body['routing_key']).toBe(name)
    expect((await api.delete(`/api/queues/%2F/${encodeURIComponent(kept)}`)).status).toBe(204)
  })

  it.each(NAMES)('may be %j for a vhost and a user', async (name) => {
    const vhost = `/api/vhosts/${encodeURIComponent(name)}`
    const user = `/api/users/${encodeURIComponent(name)}`
    expect((await api.put(vhost)).status).toBe(201)
    expect((await api.get(vhost)).body['name']).toBe(name)
    expect((await api.put(user, { password_hash: '', tags: '' })).status).toBe(201)
    expect((await api.get(user)).body['name']).toBe(name)
    expect((await api.delete(vhost)).status).toBe(204)
    expect((await api.delete(user)).status).toBe(204)
  })

  it('are refused when they are no percent-encoded UTF-8', async () => {
    for (const path of ['/api/queues/%', '/api/queues/%2', '/api/queues/%ff', '/api/queues/%2F/%zz']) {
      expect([400, 404]).toContain((await api.get(path)).status)
    }
  })

  it('are refused when they are too long', async () => {
    expect((await api.get(`/api/queues/%2F/${'x'.repeat(5000)}`)).status).toBe(400)
  })
})

describe('bodies', () => {
  it.each(['{', '[]', '"{}"', '1', 'nul', '{"arguments":1}', '{"arguments":[1]}', '{"durable":1}', '{"type":1}'])(
    'are refused when they are %s',
    async (raw) => {
      const { status, body } = await api.call('PUT', '/api/exchanges/%2F/never', { raw })
      expect([status, body['error']]).toEqual([400, 'bad_request'])
    },
  )

  it.each(['', 'null', 'undefined', ' {} '])('may be %j for an empty object', async (raw) => {
    expect([201, 204]).toContain((await api.call('PUT', '/api/exchanges/%2F/plain', { raw })).status)
  })

  it('are refused when they nest deeply', async () => {
    for (const depth of [100, 20_000]) {
      const raw = `{"arguments":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`
      expect((await api.call('PUT', '/api/exchanges/%2F/never', { raw })).status).toBe(400)
    }
  })

  const UNREAD = /^the body is (too large, but for its texts|nested too deeply)$/

  it.each([
    ['lists in lists', '['.repeat(9_000_000)],
    ['objects in objects', '{"a":'.repeat(1_500_000)],
    ['a few of these, which are read at once', `{"arguments":${'['.repeat(200_000)}`],
    ['small numbers', `{"arguments":{"a":[${'1,'.repeat(4_000_000)}1]}}`],
    ['short texts', `{"arguments":{"a":[${'"",'.repeat(2_000_000)}""]}}`],
    ['white space', ' '.repeat(9_000_000)],
  ])('of %s are refused before they are read', async (_what, raw) => {
    const published = await api.call('POST', '/api/exchanges/%2F/amq.default/publish', { raw })
    expect([published.status, published.body['reason']]).toEqual([400, expect.stringMatching(UNREAD)])
    for (const path of ['/api/exchanges/%2F/never', '/api/global-parameters/never']) {
      const { status, body } = await api.call('PUT', path, { raw: raw.slice(0, 1_000_000) })
      expect([status, body['reason']]).toEqual([400, expect.stringMatching(UNREAD)])
    }
  })

  it('are refused before they are sent, when they are large and no message', async () => {
    const request = httpRequest({
      host: '127.0.0.1',
      port: api.port,
      method: 'PUT',
      path: '/api/global-parameters/never',
      headers: { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`, 'content-length': 1_048_577 },
    })
    request.flushHeaders()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(400)
    expect(await text(response)).toContain('Exceeded HTTP request body size limit')
    request.destroy()
  })

  it('may have a long text, whatever is in it', async () => {
    const payload = `[[[{"é":"\\u0000 🐇"}]]]`.repeat(200_000)
    const body = { properties: {}, routing_key: 'long', payload, payload_encoding: 'string' }
    await api.put('/api/queues/%2F/long', { durable: true })
    const publish = '/api/exchanges/%2F/amq.default/publish'
    expect((await api.post(publish, body)).body).toEqual({ routed: true })
    const encoded = { ...body, payload: Buffer.from(payload).toString('base64'), payload_encoding: 'base64' }
    expect((await api.post(publish, encoded)).body).toEqual({ routed: true })
    const got = { count: 2, ackmode: 'ack_requeue_false', encoding: 'auto' }
    const { body: messages } = await api.post('/api/queues/%2F/long/get', got)
    expect(items(messages).map((one) => one['payload'] === (payload as unknown))).toEqual([true, true])
    const unknown = await api.post(publish, { ...body, payload_encoding: 'hex' })
    expect(unknown.body['reason']).toEqual(['unsupported_encoding', 'hex'])
    const headers = { ...body, payload: '', properties: { headers: { payload } } }
    expect((await api.post(publish, headers)).body['reason']).toBe('the body is too large, but for its payload')
  })

  it('are refused when they are too large', async () => {
    const { status, body } = await api.post('/api/bindings/%2F/e/amq.topic/q/x', { routing_key: 'x'.repeat(6000) })
    expect([status, body['reason']]).toEqual([400, 'Exceeded HTTP request body size limit'])
  })

  it('of any shape are answered without a mistake of ours', async () => {
    const paths = [
      '/api/queues/%2F/any',
      '/api/exchanges/%2F/any',
      '/api/vhosts/any',
      '/api/users/any',
      '/api/permissions/%2F/guest',
    ]
    const keys = fc.constantFrom(
      'arguments',
      'durable',
      'tags',
      'password_hash',
      'configure',
      'read',
      'write',
      'type',
      'description',
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.dictionary(keys, fc.jsonValue()), async (path, body) => {
        expect((await api.put(path, body)).status).toBeLessThan(500)
        // The rights that a run may have taken away.
        await api.put('/api/permissions/%2F/guest', { configure: '.*', write: '.*', read: '.*' })
      }),
      { numRuns: 60 },
    )
  })
})

describe('logins', () => {
  it('of one user are no longer looked at after thirty wrong ones from one address, for a minute', async () => {
    expect(api.clock).toBeInstanceOf(ManualClock)
    const wrong = { user: 'guest', password: 'wrong' }
    for (let i = 0; i < 30; i++) expect((await api.get('/api/whoami', wrong)).status).toBe(401)
    expect((await api.get('/api/whoami')).status).toBe(429)
    api.clock.advance(60_000)
    expect((await api.get('/api/whoami')).status).toBe(200)
  })

  it.each(['Basic', 'Basic !!', 'Bearer x', 'Basic Zm9v'])('are refused with %j', async (authorization) => {
    const { status, body } = await api.get('/api/whoami', { user: '', headers: { authorization } })
    expect([status, body['error']]).toEqual([401, 'not_authorized'])
  })
})

describe('answers', () => {
  it('are JSON that no browser takes for anything else', async () => {
    const { headers } = await api.get('/api/queues')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('access-control-allow-origin')).toBeNull()
    expect((await api.get('/api/queues', { headers: { accept: 'text/html' } })).status).toBe(406)
  })
})

const PUBLISH = { properties: {}, payload: '', payload_encoding: 'string' }

describe('names and keys that AMQP could not tell', () => {
  it.each(['x'.repeat(256), 'é'.repeat(128)])('are refused (%#)', async (long) => {
    const name = encodeURIComponent(long)
    for (const path of [`/api/queues/%2F/${name}`, `/api/exchanges/%2F/${name}`, `/api/vhosts/${name}`]) {
      expect((await api.put(path)).status).toBe(400)
    }
    expect((await api.put('/api/queues/%2F/short')).status).toBe(201)
    const file = { vhosts: [], queues: [{ name: long, vhost: '/' }] }
    const refused = await Promise.all([
      api.post('/api/bindings/%2F/e/amq.topic/q/short', { routing_key: long }),
      api.post('/api/exchanges/%2F/amq.fanout/publish', { ...PUBLISH, routing_key: long }),
      api.post('/api/queues/%2F/short/move', { exchange: 'amq.fanout', routing_key: long }),
      api.post('/api/queues/%2F/short/copy', { exchange: 'amq.fanout', routing_key: long, all: true }),
      api.post('/api/definitions', file),
    ])
    expect(refused.map(({ status }) => status)).toEqual([400, 400, 400, 400, 400])
    expect(refused[1].body['reason']).toEqual(['too_long', 'routing_key'])
    expect((await api.delete('/api/queues/%2F/short')).status).toBe(204)
  })

  it.each(['x'.repeat(255), 'é'.repeat(127)])('are taken up to there (%#)', async (long) => {
    const path = `/api/queues/%2F/${encodeURIComponent(long)}`
    expect((await api.put(path)).status).toBe(201)
    const bound = await api.post(`/api/bindings/%2F/e/amq.topic/q/${encodeURIComponent(long)}`, { routing_key: long })
    expect(bound.status).toBe(201)
    const publish = { ...PUBLISH, routing_key: long }
    expect((await api.post('/api/exchanges/%2F/amq.topic/publish', publish)).body).toEqual({ routed: true })
    expect((await api.delete(path)).status).toBe(204)
  })
})

it('is no unit of time only because every object has something of that name', async () => {
  const { status, body } = await api.get('/api/health/checks/certificate-expiration/1/constructor')
  expect([status, body['reason']]).toEqual([400, expect.stringContaining('Time unit not recognised')])
})

describe('the name __proto__', () => {
  it('is an argument and a column like any other', async () => {
    const raw = '{"arguments":{"__proto__":{"ears":2},"constructor":{"ears":3}}}'
    expect((await api.put('/api/queues/%2F/hare', undefined, { raw })).status).toBe(201)
    const columns = 'arguments.__proto__.ears,arguments.constructor.ears'
    for (const path of ['/api/queues/%2F', '/api/queues/%2F/hare']) {
      const { status, body } = await api.get(`${path}?columns=${columns}`)
      expect(status).toBe(200)
      expect('ears' in {}).toBe(false)
      expect(JSON.stringify(body)).toContain('{"arguments":{"__proto__":{"ears":2},"constructor":{"ears":3}}}')
    }
  })
})

it('refuses what is published to an internal exchange, to those who may publish and to those who may not', async () => {
  await api.put('/api/exchanges/%2F/inner', { type: 'fanout', internal: true })
  const publish = { ...PUBLISH, routing_key: '' }
  const reason = "403 ACCESS_REFUSED - cannot publish to internal exchange 'inner' in vhost '/'"
  expect(await api.post('/api/exchanges/%2F/inner/publish', publish)).toMatchObject({
    status: 400,
    body: { error: 'bad_request', reason },
  })
  await api.put('/api/users/reader', { password: 'reader', tags: 'management' })
  await api.put('/api/permissions/%2F/reader', { configure: '', write: '', read: '.*' })
  const refused = await api.post('/api/exchanges/%2F/inner/publish', publish, { user: 'reader' })
  expect(refused.status).toBe(401)
})
