// What is asked for less often, but by tools all the same: what each endpoint answers, and what it refuses.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, type ChannelModel } from 'amqplib'
import { items, useApi, word, type Body } from '../support/api.ts'

const api = useApi()
const NOT_FOUND = { error: 'Object Not Found', reason: 'Not Found' }
const OK = { status: 'ok' }
const SHOVEL = { 'src-uri': 'amqp://', 'dest-uri': 'amqp://', 'src-queue': 'q', 'dest-queue': 'r' }
const MESSAGE = { properties: {}, routing_key: 'k', payload: 'x', payload_encoding: 'string' }

let node: string
let client: ChannelModel
let connection: string

beforeAll(async () => {
  node = encodeURIComponent(word((await api.get('/api/overview')).body['node']))
  await api.put('/api/vhosts/v')
  await api.put('/api/users/ann', { password: 'ann', tags: 'management' })
  await api.put('/api/exchanges/v/x', { type: 'topic', durable: true })
  await api.put('/api/exchanges/v/y', { type: 'fanout', durable: true })
  await api.put('/api/queues/v/q', { durable: true })
  await api.put('/api/parameters/shovel/v/s', { value: SHOVEL })
  client = await connect(`${api.amqp}/v`)
  client.on('error', () => undefined)
  await client.createChannel()
  connection = encodeURIComponent(word(items((await api.get('/api/connections')).body)[0]?.['name']))
})
afterAll(() => client.close())

function filled(path: string): string {
  return `/api/${path.replaceAll(':node', node).replaceAll(':connection', connection)}`
}

async function get(path: string): Promise<readonly [status: number, body: Body]> {
  const { status, body } = await api.get(filled(path))
  return [status, body]
}

describe('what is found at', () => {
  it.each([
    ['extensions', [{ javascript: 'dispatcher.js' }]],
    ['deprecated-features/used', []],
    ['connections/:connection/channels', [{ number: 1, vhost: 'v' }]],
    ['vhosts/v/connections', [{ vhost: 'v', user: 'guest' }]],
    ['vhosts/v/channels', [{ vhost: 'v', number: 1 }]],
    ['users/without-permissions', [{ name: 'ann' }]],
    ['exchanges/v/x/bindings/source', []],
    ['exchanges/v/x/bindings/destination', []],
    ['exchanges/v/amq.default/bindings/source', [{ source: '', destination: 'q', routing_key: 'q' }]],
    ['bindings/v/e/x/e/y', []],
    ['health/checks/local-alarms', OK],
    ['health/checks/metadata-store/initialized', OK],
    ['health/checks/metadata-store/initialized/with-data', OK],
    ['health/checks/virtual-hosts', OK],
    ['health/checks/quorum-queues-without-elected-leaders/all-vhosts', OK],
    ['health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/%5Eq', OK],
    ['health/checks/quorum-queues-without-elected-leaders/vhost/v', OK],
    ['health/checks/quorum-queues-without-elected-leaders/vhost/v/pattern/%5Eq', OK],
    ['health/checks/below-node-connection-limit', OK],
    ['health/checks/reached-target-cluster-size', OK],
    ['healthchecks/node', OK],
    ['healthchecks/node/:node', OK],
    ['shovels/v', [{ name: 's', vhost: 'v', type: 'dynamic', state: 'terminated' }]],
    ['federation-links', []],
    ['federation-links/v', []],
    ['federation-links/v/state/down', []],
    ['stream/connections/v', []],
    ['stream/publishers/v', []],
    ['stream/consumers/v', []],
    ['traces/node/:node', []],
    ['traces/node/:node/v', []],
    ['trace-files/node/:node', []],
  ])('%s', async (path, expected) => {
    expect(await get(path)).toMatchObject([200, expected])
  })

  it.each([
    'vhosts/none/connections',
    'vhosts/none/channels',
    'connections/none/channels',
    'connections/none/sessions',
    'channels/none',
    'exchanges/v/none',
    'exchanges/none',
    'exchanges/v/none/bindings/source',
    'exchanges/v/none/bindings/destination',
    'queues/v/none/bindings',
    'queues/v/none/unacked',
    'queues/v/none/verdict',
    'queues/v/none/effective-arguments',
    'bindings/none',
    'bindings/v/e/x/q/none',
    'bindings/v/e/x/e/none',
    'bindings/v/e/x/e/y/none',
    'consumers/none',
    'permissions/v/ann',
    'permissions/none/ann',
    'topic-permissions/v/none',
    'users/none/permissions',
    'users/none/topic-permissions',
    'vhosts/none/topic-permissions',
    'vhost-limits/none',
    'user-limits/none',
    'policies/none',
    'policies/v/none',
    'operator-policies/none',
    'operator-policies/v/none',
    'parameters/shovel/none',
    'parameters/shovel/v/none',
    'global-parameters/none',
    'nodes/none',
    'nodes/none/memory',
    'nodes/none/memory/relative',
    'auth/attempts/none',
    'auth/attempts/none/source',
    'aliveness-test/none',
    'health/checks/quorum-queues-without-elected-leaders/vhost/none',
    'health/checks/quorum-queues-without-elected-leaders/vhost/none/pattern/q',
    'healthchecks/node/none',
    'shovels/none',
    'shovels/vhost/v/none',
    'federation-links/none',
    'federation-links/none/state/down',
    'stream/connections/none',
    'stream/publishers/none',
    'stream/consumers/none',
    'traces/none',
    'traces/v/none',
    'traces/node/:node/v/none',
    'trace-files/none',
    'trace-files/node/:node/none',
    'queues/quorum/v/q/status',
    'nothing',
  ])('%s: nothing, which is 404', async (path) => {
    expect(await get(path)).toEqual([404, NOT_FOUND])
  })

  it('bindings and exchanges of all vhosts that one may see', async () => {
    expect(items((await api.get('/api/bindings')).body)).toContainEqual(
      expect.objectContaining({ source: '', vhost: 'v', destination: 'q', properties_key: 'q' }),
    )
    const exchanges = items((await api.get('/api/exchanges')).body)
    expect(exchanges).toContainEqual(expect.objectContaining({ name: 'x', vhost: 'v', type: 'topic' }))
    expect((await api.get('/api/exchanges', { user: 'ann' })).body).toEqual([])
    expect((await api.get('/api/bindings', { user: 'ann' })).body).toEqual([])
  })

  it('nodes/:node/memory/relative: shares of a hundred', async () => {
    const [status, { memory }] = await get('nodes/:node/memory/relative')
    expect([status, memory?.['total']]).toEqual([200, 100])
  })

  it('auth/hash_password/:password: a hash that RabbitMQ takes', async () => {
    const [status, { ok }] = await get('auth/hash_password/secret')
    expect([status, Buffer.from(word(ok), 'base64').length]).toEqual([200, 36])
    const body = { password_hash: ok, tags: 'management', hashing_algorithm: 'rabbit_password_hashing_sha256' }
    await api.put('/api/users/hashed', body)
    expect((await api.get('/api/whoami', { user: 'hashed', password: 'secret' })).status).toBe(200)
    await api.delete('/api/users/hashed')
  })

  it('version: a text, for everybody', async () => {
    const { status, body } = await api.get('/api/version', { user: '' })
    expect(status).toBe(200)
    expect(body).toMatch(/^\d+\.\d+\.\d+/)
  })

  it.each(['/livez', '/readyz', '/api/health/checks/is-in-service', '/api/health/checks/ready-to-serve-clients'])(
    '%s: whether it is well, for everybody',
    async (path) => {
      const { status, body } = await api.get(path, { user: '' })
      expect([status, body]).toEqual([200, OK])
    },
  )

  it('the sessions of a connection that does not speak AMQP 1.0: 400', async () => {
    const [status, { error }] = await get('connections/:connection/sessions')
    expect([status, error]).toEqual([400, 'bad_request'])
  })

  it('the old name of definitions: the same', async () => {
    const [old, now] = [await api.get('/api/all-configuration'), await api.get('/api/definitions')]
    expect(old.body).toEqual(now.body)
    expect((await api.post('/api/all-configuration', {})).status).toBe(204)
  })
})

describe('what is changed at', () => {
  it('bindings between exchanges: made, found and deleted', async () => {
    const path = '/api/bindings/v/e/x/e/y'
    const made = await api.post(path, { routing_key: 'k.#' })
    expect([made.status, made.headers.get('location')]).toEqual([201, 'y/k.%2523'])
    const shown = { source: 'x', vhost: 'v', destination: 'y', destination_type: 'exchange', properties_key: 'k.%23' }
    expect((await api.get(path)).body).toMatchObject([shown])
    expect((await api.get(`${path}/k.%2523`)).body).toMatchObject(shown)
    expect((await api.get('/api/exchanges/v/x/bindings/source')).body).toMatchObject([shown])
    expect((await api.get('/api/exchanges/v/y/bindings/destination')).body).toMatchObject([shown])
    expect((await api.delete(`${path}/k.%2523`)).status).toBe(204)
    expect((await api.delete(`${path}/k.%2523`)).status).toBe(404)
    expect((await api.post('/api/bindings/v/e/x/e/none')).status).toBe(404)
    expect((await api.post('/api/bindings/v/e/none/e/y')).status).toBe(404)
  })

  it('exchanges and permissions: deleted once', async () => {
    await api.put('/api/exchanges/v/gone')
    await api.put('/api/permissions/v/ann', { configure: '', write: '', read: '' })
    for (const path of ['/api/exchanges/v/gone', '/api/permissions/v/ann']) {
      expect((await api.delete(path)).status).toBe(204)
      expect((await api.delete(path)).status).toBe(404)
    }
  })

  it('connections of a user: closed, also when there are none', async () => {
    expect((await api.delete('/api/connections/username/ann')).status).toBe(204)
    await api.put('/api/users/ben', { password: 'ben', tags: '' })
    await api.put('/api/permissions/v/ben', { configure: '', write: '', read: '' })
    const ben = await connect(`${api.amqp.replace('guest:guest', 'ben:ben')}/v`)
    const gone = new Promise<Error>((resolve) => ben.on('close', resolve))
    const headers = { 'x-reason': 'spring cleaning' }
    expect((await api.delete('/api/connections/username/ben', { user: 'ann', headers })).status).toBe(401)
    expect((await api.delete('/api/connections/username/ben', { headers })).status).toBe(204)
    expect((await gone).message).toMatch(/320.*spring cleaning/)
  })

  it.each([
    ['DELETE', 'reset/none', 404],
    ['DELETE', 'reset/:node', 204],
    ['DELETE', 'auth/attempts/none', 404],
    ['DELETE', 'auth/attempts/none/source', 404],
    ['POST', 'vhosts/none/deletion/protection', 404],
    ['DELETE', 'vhosts/none/deletion/protection', 404],
    ['POST', 'vhosts/none/start/:node', 404],
    ['DELETE', 'shovels/vhost/v/s/restart', 404],
    ['DELETE', 'shovels/vhost/v/none', 404],
    ['DELETE', 'topic-permissions/v/none/x', 404],
    ['DELETE', 'vhost-limits/none/max-queues', 404],
    ['DELETE', 'operator-policies/v/none', 404],
    ['DELETE', 'global-parameters/none', 404],
    ['DELETE', 'trace-files/node/:node/none', 404],
    ['DELETE', 'traces/node/:node/v/none', 404],
    ['PUT', 'queues/v/none/pause', 404],
    ['PUT', 'queues/v/none/resume', 404],
    ['POST', 'queues/v/none/actions', 404],
    ['POST', 'queues/v/q/actions', 400],
    ['POST', 'queues/v/none/move', 404],
    ['DELETE', 'connections/none', 404],
    ['PUT', 'feature-flags/none/enable', 400],
  ])('%s %s is answered %j', async (method, path, status) => {
    const headers = { 'content-type': 'application/json' }
    const body = path.endsWith('move') ? { routing_key: 'a' } : {}
    const sent = method === 'DELETE' ? { headers } : { headers, body }
    expect((await api.call(method, filled(path), sent)).status).toBe(status)
  })

  it('traces, by the name of the node', async () => {
    const path = `/api/traces/node/${node}/v/t`
    expect((await api.put(path, { format: 'text', pattern: 'publish.#' })).status).toBe(201)
    expect((await api.get(`/api/traces/node/${node}`)).body).toMatchObject([{ name: 't', vhost: 'v' }])
    expect((await api.get(`/api/traces/node/${node}/v`)).body).toMatchObject([{ name: 't' }])
    await api.post('/api/exchanges/v/x/publish', MESSAGE)
    await expect.poll(async () => (await api.get(`/api/trace-files/node/${node}/t.log`)).status).toBe(200)
    expect((await api.get(`/api/trace-files/node/${node}`)).body).toMatchObject([{ name: 't.log' }])
    expect((await api.delete(path)).status).toBe(204)
    expect((await api.delete(`/api/trace-files/node/${node}/t.log`)).status).toBe(204)
    for (const other of ['traces', 'trace-files'])
      expect((await api.get(`/api/${other}/node/none`)).status).toBeGreaterThanOrEqual(400)
  })
})
