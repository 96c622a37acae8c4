// Every route that takes a body, with a body that it understands, and then with each field of that spoilt in every way.
import { hostname } from 'node:os'
import { beforeAll, describe, expect, it } from 'vitest'
import { Slices } from '../../src/lib/slices.ts'
import { loadRoutes } from '../../src/management/routes/routes.ts'
import { useApi, type Response } from '../support/api.ts'

const routes = await loadRoutes(new Slices())
const api = useApi()

const NODE = `nodes/${encodeURIComponent(`leveret@${hostname()}`)}`

type Fields = Readonly<Record<string, unknown>>

const TRACE = { format: 'json', pattern: '#', max_payload_bytes: 5 }
const RIGHTS = { configure: '.*', write: '.*', read: '.*' }
const POLICY = { pattern: '^a', definition: { 'max-length': 5 }, priority: 1, 'apply-to': 'queues' }
const EXCHANGE = { type: 'topic', durable: true, auto_delete: false, internal: false, arguments: { a: 1 } }
const QUEUE = { durable: true, auto_delete: false, arguments: { 'x-max-length': 5, 'x-overflow': 'drop-head' } }
const BINDING = { routing_key: 'k', arguments: { a: 'b' } }
const SELECTED = { positions: [0], header: 'a', text: 'x', all: true, count: 1 }
const PUBLISH = {
  routing_key: 'q',
  payload: 'x',
  payload_encoding: 'string',
  properties: {
    ...{ content_type: 'text/plain', content_encoding: 'gzip', headers: { a: [1, { b: true }] }, delivery_mode: 2 },
    ...{ priority: 1, correlation_id: 'c', reply_to: 'r', expiration: '1000', message_id: 'm', timestamp: 1 },
    ...{ type: 't', user_id: 'guest', app_id: 'a' },
  },
}
const INNER = {
  parameters: [{ component: 'shovel', name: 's', value: { 'src-queue': 'a' } }],
  policies: [{ name: 'p', ...POLICY }],
  queues: [{ name: 'q2', type: 'classic', ...QUEUE }],
  exchanges: [{ name: 'x2', ...EXCHANGE }],
  bindings: [{ source: 'x2', destination: 'q2', destination_type: 'queue', ...BINDING }],
}
const IN_VHOST = {
  description: 'd',
  metadata: { description: 'd', tags: ['t'] },
  limits: { 'max-queues': 100 },
  ...INNER,
}
const EVERYTHING = {
  users: [
    {
      name: 'bob',
      password_hash: 'AAAA',
      hashing_algorithm: 'rabbit_password_hashing_sha256',
      tags: ['t'],
      limits: {},
    },
  ],
  vhosts: [{ name: 'w', limits: { 'max-queues': 100 }, metadata: { description: 'd', default_queue_type: 'classic' } }],
  permissions: [{ user: 'bob', vhost: 'w', ...RIGHTS }],
  topic_permissions: [{ user: 'bob', vhost: 'w', exchange: 'amq.topic', write: '.*', read: '.*' }],
  global_parameters: [{ name: 'g', value: 1 }],
  ...Object.fromEntries(Object.entries(INNER).map(([key, rows]) => [key, rows.map((row) => ({ vhost: 'w', ...row }))])),
}

/** A path without names for each route, and a body that it takes; null for those that read none. */
const BODIES: Readonly<Record<string, readonly [path: string, body: Fields | null]>> = {
  'PUT /api/cluster-name': ['cluster-name', { name: 'c' }],
  'PUT /api/feature-flags/:name/enable': ['feature-flags/virtual_host_metadata/enable', null],
  'POST /api/rebalance/queues': ['rebalance/queues', null],
  'PUT /api/vhosts/:vhost': [
    'vhosts/v',
    { description: 'd', tags: 'a,b', default_queue_type: 'quorum', tracing: false },
  ],
  'POST /api/vhosts/:vhost/deletion/protection': ['vhosts/v/deletion/protection', null],
  'POST /api/vhosts/:vhost/start/:node': [`vhosts/v/start/rabbit@${hostname()}`, null],
  'POST /api/users/bulk-delete': ['users/bulk-delete', { users: ['many'] }],
  'PUT /api/users/:user': [
    'users/ann',
    { password_hash: 'AAAA', tags: 'management', limits: { 'max-channels': 5 }, permissions: { '/': RIGHTS } },
  ],
  'PUT /api/permissions/:vhost/:user': ['permissions/%2F/ann', RIGHTS],
  // A form: `auth.test.ts` has what is wrong with those.
  'POST /api/login': ['login', null],
  'PUT /api/topic-permissions/:vhost/:user': [
    'topic-permissions/%2F/ann',
    { exchange: 'amq.topic', write: '.*', read: '.*' },
  ],
  'PUT /api/vhost-limits/:vhost/:name': ['vhost-limits/v/max-queues', { value: 100 }],
  'PUT /api/user-limits/:user/:name': ['user-limits/ann/max-channels', { value: 100 }],
  'PUT /api/policies/:vhost/:name': ['policies/%2F/p', POLICY],
  'PUT /api/operator-policies/:vhost/:name': ['operator-policies/%2F/p', POLICY],
  'PUT /api/parameters/:component/:vhost/:name': [
    'parameters/shovel/%2F/s',
    { value: { 'src-queue': 'a', 'src-uri': 'amqp://', 'dest-uri': 'amqp://' } },
  ],
  'PUT /api/global-parameters/:name': ['global-parameters/g', { value: { a: 1 } }],
  'PUT /api/exchanges/:vhost/:exchange': ['exchanges/%2F/declared', EXCHANGE],
  'POST /api/exchanges/:vhost/:exchange/publish': ['exchanges/%2F/amq.default/publish', PUBLISH],
  'PUT /api/queues/:vhost/:queue': ['queues/%2F/declared', QUEUE],
  'POST /api/queues/:vhost/:queue/get': [
    'queues/%2F/q/get',
    { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto', truncate: 5 },
  ],
  // There is no action at all any more.
  'POST /api/queues/:vhost/:queue/actions': ['queues/%2F/q/actions', null],
  'POST /api/queues/:vhost/:queue/move': ['queues/%2F/q/move', { exchange: '', routing_key: 'other', count: 1 }],
  'POST /api/queues/:vhost/:queue/messages/delete': ['queues/%2F/q/messages/delete', SELECTED],
  'POST /api/queues/:vhost/:queue/messages/return': ['queues/%2F/q/messages/return', SELECTED],
  'POST /api/queues/:vhost/:queue/copy': ['queues/%2F/q/copy', { exchange: '', routing_key: 'other', ...SELECTED }],
  'PUT /api/queues/:vhost/:queue/pause': ['queues/%2F/other/pause', null],
  'PUT /api/queues/:vhost/:queue/resume': ['queues/%2F/other/resume', null],
  'POST /api/bindings/:vhost/e/:source/q/:destination': ['bindings/%2F/e/amq.topic/q/q', BINDING],
  'POST /api/bindings/:vhost/e/:source/e/:destination': ['bindings/%2F/e/amq.topic/e/amq.fanout', BINDING],
  'POST /api/definitions': ['definitions', EVERYTHING],
  'POST /api/all-configuration': ['all-configuration', { global_parameters: EVERYTHING.global_parameters }],
  'POST /api/definitions/:vhost': ['definitions/%2F', IN_VHOST],
  'PUT /api/traces/:vhost/:name': ['traces/%2F/t', TRACE],
  'PUT /api/traces/node/:node/:vhost/:name': ['traces/node/none/%2F/t', null],
  // These brokers have no log: `node.test.ts` has what is wrong with its levels.
  'PUT /api/nodes/:node/log-level': [`${NODE}/log-level`, null],
  'POST /api/nodes/:node/collect-garbage': [`${NODE}/collect-garbage`, null],
  'PUT /api/nodes/:node/listeners/suspend': [`${NODE}/listeners/suspend`, null],
  'PUT /api/nodes/:node/listeners/resume': [`${NODE}/listeners/resume`, null],
  // Nothing but its test may end these brokers.
  'PUT /api/nodes/:node/stop': [`${NODE}/stop`, null],
  // The last, for it may block publishers.
  'PUT /api/nodes/:node/limits': [`${NODE}/limits`, { memory_absolute: 1e12, disk_free_relative: 0 }],
}

const WRONG: readonly unknown[] = [
  ...[
    undefined,
    null,
    true,
    0,
    -1,
    1.5,
    1e300,
    2 ** 53,
    '',
    'x',
    '[',
    'x'.repeat(300),
    '\u0000',
    '🐇',
    [],
    [null],
    ['x'],
  ],
  ...[[[]], {}, { a: {} }, { a: null }, { 'x-max-length': 'x' }, JSON.parse('{"__proto__":{"a":1},"constructor":1}')],
]

/** Fewer, for what lies deep. */
const WRONG_DEEP = WRONG.filter((_value, i) => i % 3 === 0)
const DEEP = 2

/** A body in every way in which one of its fields, however deep, is something else. */
function* spoilt(body: unknown, depth = 0): Generator {
  if (Array.isArray(body)) {
    for (const [i, item] of body.entries()) for (const other of spoiltField(item, depth)) yield body.with(i, other)
  } else if (typeof body === 'object' && body !== null) {
    for (const [key, value] of Object.entries(body)) {
      for (const other of spoiltField(value, depth)) yield { ...body, [key]: other }
    }
  }
}

function* spoiltField(value: unknown, depth: number): Generator {
  yield* depth < DEEP ? WRONG : WRONG_DEEP
  yield* spoilt(value, depth + 1)
}

/** Requests that are on their way together. */
const BATCH = 32

function* batches<T>(items: Iterable<T>): Generator<T[]> {
  let batch: T[] = []
  for (const item of items) {
    if (batch.push(item) < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

const JSON_TYPE = { 'content-type': 'application/json' }

function send(method: string, path: string, raw: string): Promise<Response> {
  return api.call(method, `/api/${path}`, { raw, headers: JSON_TYPE })
}

/** What is wrong with an answer to a request that may be wrong itself; null when nothing is. */
function fault({ status, body }: Response): string | null {
  // A form is wanted: RabbitMQ says no more than that.
  if (status < 400 || status === 415) return null
  if (status >= 500) return `a mistake of ours: ${JSON.stringify(body)}`
  const { error, reason } = body
  const shown = typeof error === 'string' && error !== '' && reason !== undefined && JSON.stringify(reason) !== '""'
  return shown ? null : `${status} without an error and a reason: ${JSON.stringify(body)}`
}

beforeAll(async () => {
  await api.put('/api/vhosts/v')
  await api.put('/api/users/ann', { password: 'p', tags: 'management' })
  await api.put('/api/users/many', { tags: '' })
  for (const name of ['q', 'other']) await api.put(`/api/queues/%2F/${name}`, { durable: true })
})

describe('the table of bodies', () => {
  it('has every route that may have one', () => {
    const sent = routes.filter(({ method }) => method === 'PUT' || method === 'POST')
    expect(Object.keys(BODIES).toSorted()).toEqual(sent.map(({ method, path }) => `${method} ${path}`).toSorted())
  })
})

describe.each(Object.entries(BODIES).map(([route, [path, body]]) => [route, path, body] as const))(
  '%s',
  (route, path, body) => {
    const method = route.split(' ')[0]!

    it.runIf(body !== null)('takes a body that is right', async () => {
      expect((await send(method, path, JSON.stringify(body))).status).toBeLessThan(300)
    })

    it.runIf(body !== null)(
      'says what is wrong with one of which a field is spoilt',
      { timeout: 120_000 },
      async () => {
        for (const batch of batches(spoilt(body))) {
          const texts = batch.map((other) => JSON.stringify(other))
          const answers = await Promise.all(texts.map((raw) => send(method, path, raw)))
          for (const [i, answer] of answers.entries()) expect(fault(answer), texts[i]).toBeNull()
        }
      },
    )

    it('says what is wrong with what is no object of JSON', async () => {
      const nested = '['.repeat(100_000)
      for (const raw of ['{', '{"a":', '[]', '[1]', '1', '"x"', '"{}"', 'true', '\u0000', '{"a":1}}', nested]) {
        const answer = await send(method, path, raw)
        expect(fault(answer), raw.slice(0, 20)).toBeNull()
        expect([raw.slice(0, 20), body === null || answer.status === 400]).toEqual([raw.slice(0, 20), true])
      }
    })
  },
)
