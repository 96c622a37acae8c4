// Definitions files: out, back in, and over from RabbitMQ.
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { Api, items, useApi, word, type Body } from '../support/api.ts'
import { compared } from '../support/definitions.ts'

const api = useApi()
const REPORT = { headers: { prefer: 'return=representation' } }

async function exported(): Promise<Body> {
  return (await api.get('/api/definitions')).body
}

async function rabbitFile(): Promise<string> {
  return readFile(new URL('fixtures/rabbitmq-3.10.8.json', import.meta.url), 'utf8')
}

/** Runs with a broker that has nothing in it. */
async function withEmpty(test: (empty: Api) => Promise<void>): Promise<void> {
  const empty = new Api()
  await empty.start()
  try {
    await test(empty)
  } finally {
    await empty.stop()
  }
}

describe('a definitions file of RabbitMQ 3.10', () => {
  it('is imported as it is, and what cannot be honoured is named', async () => {
    await withEmpty(async (empty) => {
      const { status, headers, body } = await empty.call('POST', '/api/definitions', {
        raw: await rabbitFile(),
        headers: { 'content-type': 'application/json', ...REPORT.headers },
      })
      expect(status).toBe(200)
      const notes = items(body['not_honoured'])
      expect(notes.map((note) => [note['section'], note['name']])).toEqual([
        ['policies', 'mirrors'],
        ['queues', 'stream'],
        ['bindings', 'orders to stream'],
      ])
      expect(headers.get('warning')).toMatch(/^299 - "policies: 'mirrors' in vhost 'north'.*streams.*"$/)
      expect((await empty.get('/api/whoami', { user: 'ann', password: 'test12' })).status).toBe(200)
    })
  })

  it('comes out again without a difference that is not on the list', async () => {
    await withEmpty(async (empty) => {
      const file = await rabbitFile()
      expect((await empty.call('POST', '/api/definitions', { raw: file })).status).toBe(204)
      const [given, back] = [JSON.parse(file) as Body, (await empty.get('/api/definitions')).body]
      expect(compared(back)).toEqual(compared(given))
    })
  })

  it('changes nothing when it is imported again', async () => {
    await withEmpty(async (empty) => {
      const raw = await rabbitFile()
      await empty.call('POST', '/api/definitions', { raw })
      const first = (await empty.get('/api/definitions')).body
      expect((await empty.call('POST', '/api/definitions', { raw })).status).toBe(204)
      expect((await empty.get('/api/definitions')).body).toEqual(first)
    })
  })
})

describe('the definitions of this broker', () => {
  it('move to another one whole', async () => {
    await api.call('POST', '/api/definitions', { raw: await rabbitFile() })
    await api.put('/api/parameters/shovel/north/s', { value: { 'src-queue': 'a', 'src-uri': 'x', 'dest-uri': 'y' } })
    await api.put('/api/vhosts/north/', { description: 'Still', default_queue_type: 'quorum', tracing: true })
    const file = await exported()
    await withEmpty(async (empty) => {
      const { status, headers } = await empty.post('/api/definitions', file)
      expect(status).toBe(204)
      expect(headers.get('warning')).toContain('neither shovels nor federation')
      expect((await empty.get('/api/definitions')).body).toEqual(file)
    })
  })

  it('of one vhost move to another vhost', async () => {
    const file = (await api.get('/api/definitions/north')).body
    expect(file).toMatchObject({
      rabbitmq_definition_format: 'single_virtual_host',
      original_vhost_name: 'north',
      limits: { 'max-queues': 100, 'max-connections': 50 },
    })
    expect(JSON.stringify(file)).not.toContain('"vhost"')
    await withEmpty(async (empty) => {
      await empty.put('/api/vhosts/south')
      expect((await empty.post('/api/definitions/south', file)).status).toBe(204)
      const back = (await empty.get('/api/definitions/south')).body
      for (const section of ['limits', 'parameters', 'policies', 'queues', 'exchanges', 'bindings']) {
        expect([section, back[section]]).toEqual([section, file[section]])
      }
    })
    expect((await api.post('/api/definitions', file)).status).toBe(400)
  })

  it('are not sent again to whoever has them', async () => {
    const first = await api.get('/api/definitions')
    const etag = first.headers.get('etag')!
    expect(etag).toMatch(/^".+"$/)
    const again = await api.get('/api/definitions', { headers: { 'if-none-match': `"x", ${etag}` } })
    expect([again.status, again.body]).toEqual([304, ''])
    await api.put('/api/queues/%2F/another', { durable: true })
    expect((await api.get('/api/definitions', { headers: { 'if-none-match': etag } })).status).toBe(200)
  })

  it('are a download when a name is given', async () => {
    const { headers } = await api.get('/api/definitions?download=a"b/c.json')
    expect(headers.get('content-disposition')).toBe('attachment; filename="a_b_c.json"')
  })
})

describe('an import', () => {
  it('of RabbitMQ 4 knows limits and types where that version has them', async () => {
    const vhost = 'four'
    const file = {
      rabbitmq_version: '4.1.0',
      users: [
        {
          name: 'four',
          password_hash: '',
          hashing_algorithm: 'rabbit_password_hashing_sha256',
          tags: ['management'],
          limits: { 'max-connections': 4 },
        },
      ],
      vhosts: [
        {
          name: vhost,
          limits: { 'max-queues': 9 },
          metadata: { description: 'd', tags: ['x'], default_queue_type: 'quorum' },
        },
      ],
      queues: [{ vhost, name: 'q', durable: true, auto_delete: false, type: 'quorum', arguments: {} }],
    }
    expect((await api.post('/api/definitions', file)).status).toBe(204)
    expect((await api.get('/api/queues/four/q')).body['type']).toBe('quorum')
    expect((await api.get('/api/vhosts/four')).body).toMatchObject({ default_queue_type: 'quorum', tags: ['x'] })
    expect((await api.get('/api/vhost-limits/four')).body).toEqual([{ vhost, value: { 'max-queues': 9 } }])
    expect((await api.get('/api/users/four')).body['limits']).toEqual({ 'max-connections': 4 })
  })

  it('names what it does not know and brings in the rest', async () => {
    const file = {
      users: [{ name: 'old', password_hash: 'AAAA', hashing_algorithm: 'my_hashing', tags: '' }],
      parameters: [{ vhost: '/', component: 'my-plugin', name: 'p', value: {} }],
      exchanges: [{ vhost: '/', name: 'lvc', type: 'x-lvc', durable: true, auto_delete: false, arguments: {} }],
      queues: [
        { vhost: '/', name: 'rest', durable: true, auto_delete: false, arguments: {} },
        { vhost: '/', name: 'another', durable: false, auto_delete: false, arguments: {} },
      ],
      bindings: [
        { vhost: '/', source: 'lvc', destination: 'rest', destination_type: 'queue', routing_key: '', arguments: {} },
      ],
    }
    const { status, body } = await api.post('/api/definitions', file, REPORT)
    expect(status).toBe(200)
    const names = items(body['not_honoured']).map((note) => note['name'])
    expect(names).toEqual(['old', 'lvc', 'p', 'another', 'lvc to rest'])
    expect((await api.get('/api/queues/%2F/rest')).status).toBe(200)
    expect((await api.get('/api/queues/%2F/another')).body['durable']).toBe(true)
  })

  it.each<[string, object]>([
    ['a list that is none', { queues: 'x' }],
    ['a name that is none', { queues: [{ vhost: '/', name: 5 }] }],
    ['a vhost that is not there', { queues: [{ vhost: 'nowhere', name: 'q' }] }],
    ['a permission of nobody', { permissions: [{ user: 'nobody', vhost: '/', configure: '', write: '', read: '' }] }],
    ['an argument that cannot be', { queues: [{ vhost: '/', name: 'z', arguments: { 'x-expires': 'soon' } }] }],
    ['a policy without a pattern', { policies: [{ vhost: '/', name: 'p', definition: { expires: 1 } }] }],
    ['limits of another kind', { vhosts: [{ name: '/', limits: { 'max-foo': 1 } }] }],
  ])('is refused with %s', async (_what, file) => {
    const { status, body } = await api.post('/api/definitions', file)
    expect([status, body['error']]).toEqual([400, 'bad_request'])
    expect(word(JSON.stringify(body['reason']) as never)).not.toBe('')
  })

  it('takes JSON and forms, and nothing else', async () => {
    const headers = { 'content-type': 'text/plain' }
    expect((await api.call('POST', '/api/definitions', { raw: '{}', headers })).status).toBe(415)
  })
})
