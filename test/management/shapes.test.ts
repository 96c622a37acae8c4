// The same done to a RabbitMQ and to ours, and the same asked: what every endpoint answers has the same fields of the same
// types, and what is refused is refused in the same words.
import { isDeepStrictEqual } from 'node:util'
import { connect, type ChannelModel } from 'amqplib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Api, items, word, type Body } from '../support/api.ts'
import { RabbitMQ, rabbitmqInstalled } from '../support/rabbitmq.ts'
import { lacking, shapeOf } from '../support/shapes.ts'

/** One of the two, as both are asked. */
interface Peer {
  readonly amqp: string
  call(method: string, path: string, body?: unknown): Promise<Answer>
  /** Lets it count what has happened. */
  counted(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly body: Body
}

const PLUGINS = [
  ...['rabbitmq_prometheus', 'rabbitmq_shovel', 'rabbitmq_shovel_management', 'rabbitmq_federation'],
  ...['rabbitmq_federation_management', 'rabbitmq_tracing'],
]

class Theirs implements Peer {
  readonly #rabbit: RabbitMQ

  constructor(rabbit: RabbitMQ) {
    this.#rabbit = rabbit
  }

  get amqp(): string {
    return `amqp://guest:guest@127.0.0.1:${this.#rabbit.port}`
  }

  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await this.#rabbit.call(method, path, body === undefined ? undefined : JSON.stringify(body))
    const text = await response.text()
    const json = response.headers.get('content-type')?.startsWith('application/json') ?? false
    return { status: response.status, body: (json && text !== '' ? JSON.parse(text) : text) as Body }
  }

  async counted(): Promise<void> {
    // It tells of a channel what this last said of itself, which is not when something happened.
    await vi.waitFor(
      async () => {
        const { body: channels } = await this.call('GET', '/api/channels')
        const { body: queue } = await this.call('GET', '/api/queues/v/q')
        const { body: exchange } = await this.call('GET', '/api/exchanges/v/x')
        const { body: overview } = await this.call('GET', '/api/overview')
        expect([
          items(channels).some((one) => one['message_stats']?.['deliver_details'] !== undefined),
          queue['message_stats']?.['deliver_details'] !== undefined && queue['idle_since'] !== undefined,
          exchange['message_stats'] !== undefined,
          overview['message_stats']?.['deliver_details'] !== undefined,
        ]).toEqual([true, true, true, true])
      },
      { timeout: 60_000, interval: 500 },
    )
  }
}

class Ours implements Peer {
  readonly #api: Api

  constructor(api: Api) {
    this.#api = api
  }

  get amqp(): string {
    return this.#api.amqp
  }

  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const { status, body: answer } = await this.#api.call(method, path, body === undefined ? {} : { body })
    return { status, body: answer }
  }

  async counted(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      this.#api.clock.advance(5000)
      // A sample is taken in slices.
      await this.call('GET', '/api/overview')
      await new Promise<void>((resolve) => void setImmediate(resolve))
    }
  }
}

/** What is made over HTTP. */
const MADE: readonly (readonly [method: string, path: string, body?: unknown])[] = [
  ['PUT', '/api/vhosts/v', { description: 'd', tags: 'a,b' }],
  ['PUT', '/api/users/u', { password: 'p', tags: 'management' }],
  ['PUT', '/api/permissions/v/u', { configure: '.*', write: '.*', read: '.*' }],
  ['PUT', '/api/topic-permissions/v/u', { exchange: 'amq.topic', write: '.*', read: '.*' }],
  ['PUT', '/api/vhost-limits/v/max-queues', { value: 100 }],
  ['PUT', '/api/user-limits/u/max-channels', { value: 100 }],
  [
    'PUT',
    '/api/policies/v/p',
    { pattern: '^(q|x)$', definition: { 'alternate-exchange': 'amq.fanout' }, 'apply-to': 'all' },
  ],
  ['PUT', '/api/policies/v/q', { pattern: '^s', definition: { 'max-length': 10 }, 'apply-to': 'queues', priority: 3 }],
  ['PUT', '/api/operator-policies/v/o', { pattern: '^q', definition: { expires: 5_000_000 }, 'apply-to': 'queues' }],
  ['PUT', '/api/parameters/federation-upstream/v/up', { value: { uri: 'amqp://127.0.0.1:1', expires: 1000 } }],
  ['PUT', '/api/global-parameters/g', { value: { a: [1, 'two'] } }],
  ['PUT', '/api/exchanges/v/x', { type: 'topic', durable: true, arguments: { 'alternate-exchange': 'amq.fanout' } }],
  ['PUT', '/api/queues/v/q', { durable: true, arguments: { 'x-message-ttl': 60_000_000, 'x-max-length': 100 } }],
  ['PUT', '/api/queues/v/qq', { durable: true, arguments: { 'x-queue-type': 'quorum' } }],
  ['PUT', '/api/queues/v/s', { durable: true, arguments: { 'x-single-active-consumer': true } }],
  ['POST', '/api/bindings/v/e/x/q/q', { routing_key: 'k.#', arguments: { a: 'b' } }],
  ['POST', '/api/bindings/v/e/x/q/qq', { routing_key: 'k.#' }],
  ['POST', '/api/bindings/v/e/x/e/amq.direct', { routing_key: '*' }],
  ['PUT', '/api/traces/v/t', { format: 'text', pattern: '#' }],
]

/** What a client does, which then stays connected. */
async function use({ amqp }: Peer): Promise<ChannelModel> {
  const client = await connect(`${amqp}/v`, { clientProperties: { connection_name: 'shapes' } })
  client.on('error', () => undefined)
  const channel = await client.createConfirmChannel()
  channel.on('error', () => undefined)
  await channel.prefetch(2)
  for (let i = 0; i < 5; i++) {
    const options = { persistent: i % 2 === 0, timestamp: 1_700_000_000, headers: { n: i }, contentType: 'text/plain' }
    channel.publish('x', 'k.1', Buffer.from('hello'), options)
  }
  channel.publish('amq.direct', 'nowhere', Buffer.from('back'), { mandatory: true })
  channel.publish('amq.direct', 'nowhere', Buffer.from('gone'))
  channel.publish('', 's', Buffer.from('single'))
  await channel.waitForConfirms()
  await new Promise<void>((resolve) => {
    let got = 0
    const deliver = (): void => {
      if (++got === 2) resolve()
    }
    void channel.consume('q', deliver, { consumerTag: 'held' })
  })
  const second = await client.createChannel()
  await second.assertQueue('mine', { exclusive: true })
  await new Promise<void>((resolve) => {
    void second.consume(
      's',
      (message) => {
        second.ack(message!)
        resolve()
      },
      { consumerTag: 'single', arguments: { 'x-priority': 1 } },
    )
  })
  await second.get('mine', { noAck: true })
  const got = await second.get('qq', { noAck: false })
  if (got !== false) second.nack(got)
  await second.get('qq', { noAck: true })
  const third = await client.createChannel()
  await third.assertExchange('temporary', 'fanout', { autoDelete: true, durable: false })
  return client
}

const GETS: readonly string[] = [
  'overview',
  'overview?lengths_age=60&lengths_incr=5&msg_rates_age=60&msg_rates_incr=5',
  'cluster-name',
  'nodes',
  'nodes/:node',
  'nodes/:node?memory=true&binary=true',
  'nodes/:node/memory',
  'nodes/:node/memory/relative',
  'extensions',
  'definitions',
  'definitions/v',
  'parameters',
  'parameters/federation-upstream',
  'parameters/federation-upstream/v',
  'parameters/federation-upstream/v/up',
  'parameters/none',
  'global-parameters',
  'global-parameters/g',
  'global-parameters/none',
  'connections',
  'connections?page=1',
  'connections/:connection',
  'connections/:connection?data_rates_age=60&data_rates_incr=5',
  'connections/none',
  'connections/:connection/channels',
  'connections/username/guest',
  'channels',
  'channels?page=1',
  'channels/:channel',
  'channels/:channel?msg_rates_age=60&msg_rates_incr=5',
  'channels/none',
  'consumers',
  'consumers/v',
  'exchanges',
  'exchanges?page=1&name=x',
  'exchanges/v',
  'exchanges/v/x',
  'exchanges/v/x?msg_rates_age=60&msg_rates_incr=5',
  'exchanges/v/none',
  'exchanges/v/amq.default',
  'exchanges/v/x/bindings/source',
  'exchanges/v/amq.direct/bindings/destination',
  'queues',
  'queues?page=1&name=q&use_regex=true',
  'queues?disable_stats=true',
  'queues?disable_stats=true&enable_queue_totals=true',
  'queues?columns=name,messages,message_stats.publish_details.rate',
  'queues/v',
  'queues/none',
  'queues/v/q',
  'queues/v/q?lengths_age=60&lengths_incr=5&msg_rates_age=60&msg_rates_incr=5',
  'queues/v/qq',
  'queues/v/s',
  'queues/v/mine',
  'queues/v/none',
  'queues/v/q/bindings',
  'bindings',
  'bindings/v',
  'bindings/v/e/x/q/q',
  'bindings/v/e/x/e/amq.direct',
  'bindings/v/e/x/q/none',
  'vhosts',
  'vhosts?page=1',
  'vhosts/v',
  'vhosts/v?lengths_age=60&lengths_incr=5&msg_rates_age=60&msg_rates_incr=5&data_rates_age=60&data_rates_incr=5',
  'vhosts/none',
  'vhosts/v/permissions',
  'vhosts/v/topic-permissions',
  'vhosts/v/connections',
  'vhosts/v/channels',
  'users',
  'users/without-permissions',
  'users/u',
  'users/none',
  'users/u/permissions',
  'users/u/topic-permissions',
  'user-limits',
  'user-limits/u',
  'whoami',
  'permissions',
  'permissions/v/u',
  'permissions/v/none',
  'topic-permissions',
  'topic-permissions/v/u',
  'policies',
  'policies/v',
  'policies/v/p',
  'policies/v/none',
  'operator-policies',
  'operator-policies/v',
  'operator-policies/v/o',
  'vhost-limits',
  'vhost-limits/v',
  'aliveness-test/v',
  'health/checks/alarms',
  'health/checks/local-alarms',
  'health/checks/certificate-expiration/1/days',
  'health/checks/certificate-expiration/1/centuries',
  'health/checks/port-listener/1',
  'health/checks/port-listener/x',
  'health/checks/port-listener/:port',
  'health/checks/protocol-listener/amqp',
  'health/checks/protocol-listener/mqtt',
  'health/checks/virtual-hosts',
  'health/checks/node-is-quorum-critical',
  'health/checks/node-is-mirror-sync-critical',
  'healthchecks/node',
  'auth',
  'auth/attempts/:node',
  'auth/attempts/:node/source',
  'auth/hash_password/secret',
  'feature-flags',
  'rebalance/queues',
  'federation-links',
  'federation-links/v',
  'shovels',
  'shovels/v',
  'traces',
  'traces/v',
  'traces/v/t',
  'traces/node/:node',
  'trace-files',
  'trace-files/node/:node',
  'none',
]

/** What is sent afterwards; most of it is refused. */
const CALLS: readonly (readonly [method: string, path: string, body?: unknown])[] = [
  ['PUT', '/api/vhosts/v', { description: 'e' }],
  ['PUT', '/api/vhosts/w'],
  ['DELETE', '/api/vhosts/none'],
  ['PUT', '/api/vhosts/w', { tracing: 'troo' }],
  ['PUT', '/api/users/x', { password: 'p' }],
  ['PUT', '/api/users/x', { password: 'p', password_hash: 'x', tags: '' }],
  ['PUT', '/api/users/x', { password_hash: '%', tags: '' }],
  ['PUT', '/api/users/x', { password: 1, tags: '' }],
  ['PUT', '/api/users/x', { password: 'p', tags: 1 }],
  ['PUT', '/api/users/x', { password: '', tags: '' }],
  ['PUT', '/api/users/x', { password: 'p', tags: ['monitoring'] }],
  ['PUT', '/api/users/x', { tags: 'administrator' }],
  ['DELETE', '/api/users/none'],
  ['POST', '/api/users/bulk-delete', { users: 'x' }],
  ['POST', '/api/users/bulk-delete', {}],
  ['PUT', '/api/permissions/v/x', { configure: '[', write: '', read: '' }],
  ['PUT', '/api/permissions/v/x', { configure: '', write: '' }],
  ['PUT', '/api/permissions/v/x', { configure: 1, write: '', read: '' }],
  ['PUT', '/api/permissions/none/x', { configure: '', write: '', read: '' }],
  ['PUT', '/api/permissions/v/none', { configure: '', write: '', read: '' }],
  ['PUT', '/api/permissions/v/x', { configure: '', write: '', read: '' }],
  ['PUT', '/api/permissions/v/x', { configure: '', write: '', read: '' }],
  ['DELETE', '/api/permissions/v/none'],
  ['DELETE', '/api/permissions/none/x'],
  ['PUT', '/api/topic-permissions/v/x', { exchange: 'amq.topic', write: '[', read: '' }],
  ['PUT', '/api/topic-permissions/v/x', { exchange: 'amq.topic', write: '' }],
  ['PUT', '/api/topic-permissions/v/none', { exchange: 'amq.topic', write: '', read: '' }],
  ['DELETE', '/api/topic-permissions/v/none'],
  ['PUT', '/api/exchanges/v/y'],
  ['PUT', '/api/exchanges/v/y', {}],
  ['PUT', '/api/exchanges/v/y', { durable: true }],
  ['PUT', '/api/exchanges/v/z', { type: 'nope' }],
  ['PUT', '/api/exchanges/v/z', { type: 5 }],
  ['PUT', '/api/exchanges/v/z', { durable: 'troo' }],
  ['PUT', '/api/exchanges/v/z', { arguments: [1] }],
  ['PUT', '/api/exchanges/v/z', { arguments: { a: null } }],
  ['PUT', '/api/exchanges/none/y', { type: 'direct' }],
  ['PUT', '/api/exchanges/v/amq.mine', { type: 'direct' }],
  ['PUT', '/api/exchanges/v/amq.direct', { type: 'direct', durable: true }],
  ['PUT', '/api/exchanges/v/amq.default', { type: 'direct', durable: true }],
  ['DELETE', '/api/exchanges/v/none'],
  ['DELETE', '/api/exchanges/v/amq.direct'],
  ['DELETE', '/api/exchanges/v/amq.default'],
  ['DELETE', '/api/exchanges/v/x?if-unused=true'],
  ['PUT', '/api/queues/v/q', { durable: true }],
  ['PUT', '/api/queues/v/new', { durable: true }],
  ['PUT', '/api/queues/v/new', { durable: true }],
  ['PUT', '/api/queues/v/bad', { durable: true, arguments: { 'x-message-ttl': 'x' } }],
  ['PUT', '/api/queues/v/bad', { durable: true, arguments: { 'x-queue-type': 'nope' } }],
  ['PUT', '/api/queues/v/bad', { durable: true, arguments: { 'x-max-priority': 1000 } }],
  ['PUT', '/api/queues/v/bad', { durable: 1 }],
  ['PUT', '/api/queues/v/bad', { auto_delete: 'x' }],
  ['PUT', '/api/queues/v/bad', { arguments: 'x' }],
  ['PUT', '/api/queues/v/bad', { node: 'nobody@nowhere' }],
  ['PUT', '/api/queues/none/new', { durable: true }],
  ['PUT', '/api/queues/v/amq.mine', { durable: true }],
  ['PUT', '/api/queues/v/mine', { durable: false }],
  ['DELETE', '/api/queues/v/none'],
  ['DELETE', '/api/queues/v/q?if-empty=true'],
  ['DELETE', '/api/queues/v/q?if-unused=true'],
  ['DELETE', '/api/queues/v/mine'],
  ['DELETE', '/api/queues/v/mine/contents'],
  ['DELETE', '/api/queues/v/none/contents'],
  ['DELETE', '/api/queues/v/new/contents'],
  ['POST', '/api/bindings/v/e/x/q/new', {}],
  ['POST', '/api/bindings/v/e/x/q/new', { routing_key: '*.error' }],
  ['GET', '/api/bindings/v/e/x/q/new/%252A.error'],
  ['DELETE', '/api/bindings/v/e/x/q/new/%252A.error'],
  ['GET', '/api/bindings/v/e/x/q/new/none'],
  ['DELETE', '/api/bindings/v/e/x/q/new/none'],
  ['POST', '/api/bindings/v/e/x/q/none', {}],
  ['POST', '/api/bindings/v/e/none/q/new', {}],
  ['POST', '/api/bindings/none/e/x/q/new', {}],
  ['POST', '/api/bindings/v/e/x/q/new', { routing_key: 5 }],
  ['POST', '/api/bindings/v/e/x/q/new', { arguments: 5 }],
  ['POST', '/api/bindings/v/e/amq.default/q/new', { routing_key: 'k' }],
  [
    'POST',
    '/api/exchanges/v/amq.default/publish',
    { properties: {}, routing_key: 'new', payload: 'hello', payload_encoding: 'string' },
  ],
  [
    'POST',
    '/api/exchanges/v/amq.default/publish',
    { properties: {}, routing_key: 'zz', payload: 'hello', payload_encoding: 'string' },
  ],
  [
    'POST',
    '/api/exchanges/v/amq.default/publish',
    { properties: { priority: 'high' }, routing_key: 'new', payload: 'x', payload_encoding: 'string' },
  ],
  [
    'POST',
    '/api/exchanges/v/amq.default/publish',
    { properties: { expiration: 1234 }, routing_key: 'new', payload: 'x', payload_encoding: 'string' },
  ],
  [
    'POST',
    '/api/exchanges/v/amq.default/publish',
    { properties: {}, routing_key: 'new', payload: ['x'], payload_encoding: 'string' },
  ],
  ['POST', '/api/exchanges/v/amq.default/publish', { properties: {}, payload: 'x', payload_encoding: 'string' }],
  [
    'POST',
    '/api/exchanges/v/amq.default/publish',
    { properties: {}, routing_key: 'new', payload: '%', payload_encoding: 'base64' },
  ],
  [
    'POST',
    '/api/exchanges/v/amq.default/publish',
    { properties: {}, routing_key: 'new', payload: 'x', payload_encoding: 'hex' },
  ],
  [
    'POST',
    '/api/exchanges/v/amq.default/publish',
    { properties: { user_id: 'other' }, routing_key: 'new', payload: 'x', payload_encoding: 'string' },
  ],
  [
    'POST',
    '/api/exchanges/v/none/publish',
    { properties: {}, routing_key: 'new', payload: 'x', payload_encoding: 'string' },
  ],
  ['POST', '/api/queues/v/new/get', { count: 5, ackmode: 'ack_requeue_true', encoding: 'auto', truncate: 2 }],
  ['POST', '/api/queues/v/new/get', { count: 1, ackmode: 'get', encoding: 'auto' }],
  ['POST', '/api/queues/v/new/get', { count: 1, ackmode: 'ack_requeue_true', encoding: 'hex' }],
  ['POST', '/api/queues/v/new/get', { count: 'x', ackmode: 'ack_requeue_true', encoding: 'auto' }],
  ['POST', '/api/queues/v/new/get', { ackmode: 'ack_requeue_true', encoding: 'auto' }],
  ['POST', '/api/queues/v/none/get', { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto' }],
  ['POST', '/api/queues/v/new/get', { count: 1, ackmode: 'ack_requeue_false', encoding: 'base64' }],
  ['POST', '/api/queues/v/new/get', { count: 1, ackmode: 'reject_requeue_false', encoding: 'auto' }],
  ['POST', '/api/queues/v/new/actions', { action: 'dance' }],
  ['PUT', '/api/policies/v/p2', { pattern: '[', definition: { 'max-length': 1 } }],
  ['PUT', '/api/policies/v/p2', { pattern: '^a', definition: {} }],
  ['PUT', '/api/policies/v/p2', { pattern: '^a', definition: { none: 1 } }],
  ['PUT', '/api/policies/v/p2', { pattern: '^a', definition: { 'max-length': 'x' } }],
  ['PUT', '/api/policies/v/p2', { pattern: '^a', definition: { 'max-length': 1 }, priority: 'x' }],
  ['PUT', '/api/policies/v/p2', { pattern: '^a', definition: { 'max-length': 1 }, 'apply-to': 'x' }],
  ['PUT', '/api/policies/v/p2', { definition: { 'max-length': 1 } }],
  ['PUT', '/api/policies/v/p2', { pattern: '^a' }],
  ['PUT', '/api/policies/none/p2', { pattern: '^a', definition: { 'max-length': 1 } }],
  ['PUT', '/api/operator-policies/v/o2', { pattern: '^a', definition: { 'dead-letter-exchange': 'x' } }],
  ['DELETE', '/api/policies/v/none'],
  ['DELETE', '/api/operator-policies/v/none'],
  ['PUT', '/api/parameters/none/v/n', { value: 1 }],
  ['PUT', '/api/parameters/shovel/none/n', { value: {} }],
  ['PUT', '/api/parameters/shovel/v/n', {}],
  ['DELETE', '/api/parameters/shovel/v/none'],
  ['PUT', '/api/global-parameters/h', {}],
  ['PUT', '/api/global-parameters/h', { value: 1 }],
  ['PUT', '/api/global-parameters/h', { value: 2 }],
  ['DELETE', '/api/global-parameters/none'],
  ['PUT', '/api/vhost-limits/v/max-channels', { value: 1 }],
  ['PUT', '/api/vhost-limits/v/max-queues', { value: 'x' }],
  ['PUT', '/api/vhost-limits/v/max-queues', {}],
  ['PUT', '/api/vhost-limits/none/max-queues', { value: 1 }],
  ['DELETE', '/api/vhost-limits/v/max-queues'],
  ['DELETE', '/api/vhost-limits/v/max-queues'],
  ['PUT', '/api/user-limits/u/max-queues', { value: 1 }],
  ['PUT', '/api/user-limits/u/max-channels', { value: 'x' }],
  ['PUT', '/api/user-limits/none/max-channels', { value: 1 }],
  ['DELETE', '/api/user-limits/u/max-channels'],
  ['GET', '/api/user-limits/none'],
  ['PUT', '/api/cluster-name', {}],
  ['PUT', '/api/cluster-name', { name: 'n' }],
  ['POST', '/api/definitions', { users: 5 }],
  ['POST', '/api/definitions', { queues: [{ name: 'a' }] }],
  ['POST', '/api/definitions/none', {}],
  ['GET', '/api/definitions/none'],
  ['GET', '/api/queues?page=0'],
  ['GET', '/api/queues?page=x'],
  ['GET', '/api/queues?page=1000'],
  ['GET', '/api/queues?page=1&page_size=501'],
  ['GET', '/api/queues?page=1&name=(&use_regex=true'],
  ['GET', '/api/exchanges?page=2&page_size=100'],
  ['GET', '/api/queues/v/q?lengths_age=100000&lengths_incr=1'],
  ['GET', '/api/consumers?disable_stats=true'],
  ['DELETE', '/api/connections/none'],
  ['DELETE', '/api/connections/username/nobody'],
  ['GET', '/api/nodes/nobody'],
  ['GET', '/api/nodes/nobody/memory'],
  ['GET', '/api/vhosts/none/permissions'],
  ['GET', '/api/users/none/permissions'],
  ['PUT', '/api/feature-flags/none/enable', {}],
  ['PATCH', '/api/queues/v/q', {}],
  ['POST', '/api/queues/v/q', {}],
  ['DELETE', '/api/overview'],
  ['OPTIONS', '/api/queues'],
  ['POST', '/api/rebalance/queues', {}],
  ['DELETE', '/api/reset'],
  ['DELETE', '/api/reset/nobody'],
  ['POST', '/api/vhosts/v/start/nobody'],
  ['PUT', '/api/traces/v/t', { format: 'text', pattern: '#' }],
  ['PUT', '/api/traces/v/t2', { format: 'none', pattern: '#' }],
  ['DELETE', '/api/traces/v/none'],
  ['DELETE', '/api/trace-files/none'],
  ['DELETE', '/api/exchanges/v/y'],
  ['DELETE', '/api/queues/v/new'],
  ['DELETE', '/api/users/x'],
  ['DELETE', '/api/vhosts/w'],
]

/** Where the two are meant to differ in fields: at which paths, in which fields, and why. */
const FIELDS_APART: readonly (readonly [path: RegExp, field: RegExp, why: string])[] = [
  [/^overview|^nodes/, /exchange_types\[\]\.internal_purpose/, 'an exchange type of the plugin for federation'],
  [/^overview/, /listeners\[\]\.socket_opts\./, 'options that Erlang has for sockets'],
  [/^overview|^nodes/, /contexts\[\]\.(cowboy_opts|protocol)$/, "settings of Erlang's HTTP server"],
  [/^nodes/, /config_files\[\]$/, 'no file was given'],
  [/^nodes/, /queue_slave_procs$/, 'mirrors of classic queues: not since 4.0'],
  [/^definitions\/v/, /\.vhost$/, 'a file of one vhost does not name it: since 3.12'],
  [/^connections\/:connection/, /\.(ssl_|peer_cert_)/, 'empty texts where lists have null; here it is null in both'],
  [/^queues/, /recoverable_slaves$/, 'mirrors of classic queues: not since 4.0'],
  [
    /^(queues|traces)/,
    /backing_queue_status\.(delta|q\d|next_deliver_seq_id|target_ram_count)$/,
    'gone with version 2 of classic queues',
  ],
  [/^traces/, /recoverable_slaves$/, 'mirrors of classic queues: not since 4.0'],
  [
    /^queues(\?page.*|\/v)?$/,
    /\.(backing_queue_status|garbage_collection|idle_since)$/,
    'details that lists lack since 4.0',
  ],
  [/^queues(\?page.*|\/v)?$/, /\.(exclusive|single_active)_consumer_tag: null$/, 'lists lack what is null since 4.0'],
]

/** Where they are meant to differ in what they refuse: which calls, and why. */
const REFUSALS_APART: readonly (readonly [call: RegExp, why: string])[] = [
  [/^GET \/api\/parameters\/none$/, 'an unknown component is not found: since 3.12'],
  [/^GET \/api\/bindings\/v\/e\/x\/q\/none$/, 'bindings of what is not there are not found: since 3.12'],
  [/^GET \/api\/auth$/, 'settings of OAuth: not since 4.0'],
  [/^GET \/api\/auth\/hash_password/, 'since 3.13'],
  [/^GET \/api\/health\/checks\/p/, 'other listeners'],
  [/^PUT \/api\/users\/x .*"(password|tags)":1/, 'answered there with 500'],
  [/^POST \/api\/users\/bulk-delete \{"users":"x"/, 'answered there with 500'],
  [/^PUT \/api\/(topic-)?permissions\/v\/x .*("\["|:1)/, 'the reason is in words of its own'],
  [/^PUT \/api\/exchanges\/v\/z .*(5|\[1\])/, 'types are checked here'],
  [/^PUT \/api\/queues\/v\/bad .*"arguments":"x"/, 'answered there with 500'],
  [/^DELETE \/api\/queues\/v\/mine\/contents$/, 'reasons begin with the code of AMQP: since 3.12'],
  [/^POST \/api\/bindings\/v\/e\/x\/q\/new .*5/, 'types are checked here'],
  [/^POST \/api\/exchanges\/v\/none\/publish/, 'not found: since 3.12'],
  [/^POST \/api\/queues\/v\/new\/get .*"get"/, 'answered there with 500'],
  [/^POST \/api\/queues\/v\/none\/get/, 'the reason is queue_not_found: since 3.12'],
  [/^PUT \/api\/policies\/v\/p2/, 'reasons are not escaped for a web page, and name more kinds of queues'],
  [/^PUT \/api\/user-limits\/none/, 'an unknown user is not found, as with GET'],
  [/^POST \/api\/definitions \{"(users":5|queues)/, 'answered there with 500; and in words of its own'],
  [/^GET \/api\/\w+\?page=\d{1,4}/, 'other exchanges, and so another count in the reason'],
  [/^GET \/api\/nodes\/nobody$/, 'answered there with 500'],
  [/^PUT \/api\/traces\/v\/t /, 'the reason says what is wrong'],
]

/** What is counted of the queue `q`: numbers, and not just their types. */
const NUMBERS = [
  ...['messages', 'messages_ready', 'messages_unacknowledged', 'messages_persistent', 'messages_ram', 'consumers'],
  ...['messages_ready_ram', 'messages_unacknowledged_ram', 'messages_paged_out', 'message_bytes'],
  ...['message_bytes_ready', 'message_bytes_unacknowledged', 'message_bytes_persistent', 'message_bytes_paged_out'],
  'head_message_timestamp',
]

const FAMILIES = [
  ...['queue_coarse_metrics', 'queue_metrics', 'queue_consumer_count', 'channel_metrics', 'channel_exchange_metrics'],
  ...['channel_queue_metrics', 'connection_coarse_metrics', 'connection_metrics', 'connection_churn_metrics'],
  ...['node_coarse_metrics', 'node_metrics', 'node_persister_metrics', 'ra_metrics', 'auth_attempt_metrics'],
]
const SCRAPES = [
  '/metrics',
  '/metrics/per-object',
  `/metrics/detailed?${FAMILIES.map((family) => `family=${family}`).join('&')}`,
]

/** Where metrics are meant to differ. */
const METRICS_APART: readonly (readonly [name: RegExp, why: string])[] = [
  [/^erlang_|^process_|^telemetry_/, "Erlang's machine"],
  [/_(build|identity)_info$/, 'more labels, as since 4.0'],
  [/_auth_attempts_detailed_/, 'by source: told to those who log in'],
  [/_raft_/, 'a queue of this type came too late for some of these'],
  [/_queue_head_message_timestamp$/, 'the HTTP API tells that'],
  [/^rabbitmq_(detailed_)?queue_messages_published_total$/, 'by queue only, as since 4.0'],
]

interface Names {
  readonly node: string
  readonly connection: string
  readonly channel: string
  readonly port: string
}

describe.skipIf(!rabbitmqInstalled)('beside a running RabbitMQ', { timeout: 240_000 }, () => {
  let rabbit: RabbitMQ
  const api = new Api()
  const clients: ChannelModel[] = []
  let theirs: Peer
  let ours: Peer
  const names = new Map<Peer, Names>()

  beforeAll(async () => {
    ;[rabbit] = await Promise.all([RabbitMQ.start({ statistics: true, plugins: PLUGINS }), api.start()])
    theirs = new Theirs(rabbit)
    ours = new Ours(api)
    for (const peer of [theirs, ours]) {
      for (const [method, path, body] of MADE) {
        const { status } = await peer.call(method, path, body)
        expect([method, path, status < 300]).toEqual([method, path, true])
      }
      clients.push(await use(peer))
    }
    await Promise.all([theirs.counted(), ours.counted()])
    for (const peer of [theirs, ours]) names.set(peer, await namesOf(peer))
  }, 240_000)
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()))
    await Promise.all([rabbit.stop(), api.stop()])
  })

  async function namesOf(peer: Peer): Promise<Names> {
    const node = word((await peer.call('GET', '/api/overview')).body['node'])
    const all = items((await peer.call('GET', '/api/channels')).body).map((one) => word(one['name']))
    const channel = all.find((name) => name.endsWith(' (1)'))!
    return { node, channel, connection: channel.replace(/ \(1\)$/, ''), port: new URL(peer.amqp).port }
  }

  async function ask(peer: Peer, method: string, path: string, body?: unknown): Promise<Answer> {
    const known = names.get(peer)!
    const filled = path.replaceAll(/:(\w+)/g, (_all, name: keyof Names) => encodeURIComponent(known[name]))
    return peer.call(method, filled, body)
  }

  /** What differs and is not meant to. */
  async function apart(path: string): Promise<readonly unknown[]> {
    const [there, here] = await Promise.all([ask(theirs, 'GET', `/api/${path}`), ask(ours, 'GET', `/api/${path}`)])
    if (there.status >= 300 || here.status >= 300) {
      const meant = REFUSALS_APART.some(([call]) => call.test(`GET /api/${path}`))
      return meant || isDeepStrictEqual(here, there) ? [] : [there, here]
    }
    const shapes = [there, here].map(({ body }, i) => shapeOf(body, names.get(i === 0 ? theirs : ours)!.node))
    return lacking(shapes[0]!, shapes[1]!).filter((line) => {
      const whole = line.slice(2)
      const field = whole.split(': ')[0]!
      return !FIELDS_APART.some(([where, meant]) => where.test(path) && (meant.test(field) || meant.test(whole)))
    })
  }

  it.each(GETS)('has every field of GET /api/%s, of the same type', async (path) => {
    expect(await apart(path)).toEqual([])
  })

  it('counts the same', async () => {
    const [there, here] = await Promise.all([theirs, ours].map((peer) => ask(peer, 'GET', '/api/queues/v/q')))
    for (const name of NUMBERS) expect([name, here!.body[name]]).toEqual([name, there!.body[name]])
  })

  it('refuses what it refuses, in the same words', async () => {
    for (const [method, path, body] of CALLS) {
      const call = [`${method} ${path}`, ...(body === undefined ? [] : [JSON.stringify(body)])].join(' ')
      const there = await ask(theirs, method, path, body)
      const here = await ask(ours, method, path, body)
      expect([call, here.status === 500]).toEqual([call, false])
      if (REFUSALS_APART.some(([meant]) => meant.test(call))) continue
      const shown = ({ status, body: answer }: Answer) => [call, status, status < 300 ? '' : answer]
      expect(shown(here)).toEqual(shown(there))
    }
  })

  /** Names of metrics with their types, and the labels that each has. */
  async function metrics(port: number, path: string): Promise<ReadonlyMap<string, string>> {
    const text = await (await fetch(`http://127.0.0.1:${port}${path}`)).text()
    const found = new Map<string, string>()
    for (const [, name, type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) found.set(name!, type!)
    for (const [, name, labels] of text.matchAll(/^(\w+)(?:\{(.*)\})? /gm)) {
      const known = found.get(name!)
      if (known === undefined || known.includes(' ')) continue
      found.set(
        name!,
        [
          known,
          ...Array.from((labels ?? '').matchAll(/(\w+)="/g), ([, label]) => label!).toSorted((a, b) =>
            a < b ? -1 : 1,
          ),
        ].join(' '),
      )
    }
    return found
  }

  it.each(SCRAPES)('has every metric of GET %s', async (path) => {
    const there = await metrics(rabbit.prometheusPort, path)
    const here = await metrics(api.server.ports.prometheus!, path)
    const differing = [...there].filter(([name, facts]) => {
      const meant = METRICS_APART.some(([one]) => one.test(name))
      return !meant && here.get(name) !== facts.replace('untyped', 'gauge')
    })
    expect(differing.map(([name, facts]) => [name, facts, here.get(name)])).toEqual([])
  })
})
