// The metrics of single queues, exchanges, connections and channels, with RabbitMQ's names and labels.
import { queueTypeOf } from '../../core/arguments.ts'
import type { ConnectionView } from '../../core/clients.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { Management } from '../route.ts'
import { channelsOf, type OpenChannel } from '../views/connection.ts'
import { VHostExchange } from '../views/topology.ts'
import type { Labels, Metric, MetricType, Series } from './exposition.ts'

/** Which objects are wanted. */
export interface Scope {
  readonly vhosts: ReadonlySet<string> | null
  readonly queue: (name: string) => boolean
}

/** One metric that each object of a kind has. */
type Reading<T> = readonly [name: string, type: MetricType, help: string, read: (object: T) => number]

const queueCoarse: readonly Reading<Queue>[] = [
  ['queue_messages_ready', 'gauge', 'Messages ready to be delivered to consumers', (queue) => queue.readyCount],
  ['queue_messages_unacked', 'gauge', 'Messages delivered but not yet acknowledged', (queue) => queue.unackedCount],
  ['queue_messages', 'gauge', 'Sum of ready and unacknowledged messages', (one) => one.readyCount + one.unackedCount],
]
const queueConsumers: readonly Reading<Queue>[] = [
  ['queue_consumers', 'gauge', 'Consumers on a queue', (queue) => queue.consumerCount],
]
const queueDetails: readonly Reading<Queue>[] = [
  ['queue_messages_bytes', 'gauge', 'Size in bytes of ready and unacknowledged messages', bytesOf],
  ['queue_messages_ready_bytes', 'gauge', 'Size in bytes of ready messages', (queue) => queue.readyBytes],
  ['queue_messages_unacked_bytes', 'gauge', 'Size in bytes of unacknowledged messages', (queue) => queue.unackedBytes],
  ['queue_process_memory_bytes', 'gauge', 'Memory that its messages take', (queue) => queue.residentBytes],
  ['queue_messages_published_total', 'counter', 'Total number of messages published', ({ counts }) => counts.published],
]
const queueDeliveries: readonly Reading<Queue>[] = [
  ['queue_get_ack_total', 'counter', 'Messages fetched with manual acknowledgement', ({ counts }) => counts.got],
  ['queue_get_total', 'counter', 'Messages fetched without acknowledgement', ({ counts }) => counts.gotNoAck],
  ['queue_get_empty_total', 'counter', 'Times basic.get found no message', ({ counts }) => counts.getEmpty],
  [
    'queue_messages_delivered_ack_total',
    'counter',
    'Messages delivered to be acknowledged',
    (one) => one.counts.delivered,
  ],
  [
    'queue_messages_delivered_total',
    'counter',
    'Messages delivered without acknowledgement',
    (one) => one.counts.deliveredNoAck,
  ],
  ['queue_messages_redelivered_total', 'counter', 'Messages redelivered to consumers', (one) => one.counts.redelivered],
  ['queue_messages_acked_total', 'counter', 'Messages acknowledged by consumers', ({ counts }) => counts.acknowledged],
]
const exchangeReadings: readonly Reading<VHostExchange>[] = [
  [
    'exchange_messages_published_in_total',
    'counter',
    'Messages published to an exchange',
    (one) => one.exchange.publishedIn,
  ],
  [
    'exchange_messages_published_out_total',
    'counter',
    'Messages that left it for a queue',
    (one) => one.exchange.publishedOut,
  ],
]
const connectionCoarse: readonly Reading<ConnectionView>[] = [
  ['connection_incoming_bytes_total', 'counter', 'Total number of bytes received', (one) => one.receivedBytes],
  ['connection_outgoing_bytes_total', 'counter', 'Total number of bytes sent', (one) => one.sentBytes],
]
const connectionDetails: readonly Reading<ConnectionView>[] = [
  ['connection_channels', 'gauge', 'Channels on a connection', (connection) => connection.channelCount],
]
const channelReadings: readonly Reading<OpenChannel>[] = [
  ['channel_consumers', 'gauge', 'Consumers on a channel', ({ channel }) => channel.consumerCount],
  ['channel_messages_unacked', 'gauge', 'Delivered but not yet acknowledged', ({ channel }) => channel.unackedCount],
  [
    'channel_messages_unconfirmed',
    'gauge',
    'Published but not yet confirmed',
    ({ channel }) => channel.unconfirmedCount,
  ],
  ['channel_prefetch', 'gauge', 'Prefetch of all consumers together', ({ channel }) => channel.globalPrefetch],
  ['channel_messages_published_total', 'counter', 'Messages published', ({ channel }) => channel.counts.published],
  ['channel_messages_confirmed_total', 'counter', 'Messages confirmed', ({ channel }) => channel.counts.confirmed],
  ['channel_messages_acked_total', 'counter', 'Messages acknowledged', ({ channel }) => channel.counts.acknowledged],
]

/** The families by the names that `family` takes. */
export const objectFamilies: ReadonlyMap<string, (management: Management, scope: Scope) => Iterable<Metric>> = new Map([
  ['queue_coarse_metrics', ofQueues(queueCoarse)],
  ['queue_consumer_count', ofQueues(queueConsumers)],
  ['queue_metrics', ofQueues([...queueConsumers, ...queueDetails])],
  ['queue_delivery_metrics', ofQueues(queueDeliveries)],
  ['exchange_metrics', ofExchanges(exchangeReadings)],
  ['connection_coarse_metrics', ofConnections(connectionCoarse)],
  ['connection_metrics', ofConnections(connectionDetails)],
  ['channel_metrics', ofChannels(channelReadings)],
])

/** What holds of the whole cluster, with a prefix of its own. */
export const clusterFamilies: ReadonlyMap<string, (management: Management, scope: Scope) => Iterable<Metric>> = new Map(
  [
    ['vhost_status', vhostStatus],
    [
      'exchange_bindings',
      ofExchanges([
        ['exchange_bindings', 'gauge', 'Bindings of an exchange', (one) => one.exchange.sourceBindings.size],
      ]),
    ],
    ['exchange_names', ofExchanges([['exchange_name', 'gauge', 'Names of exchanges', () => 1]])],
  ],
)

/** Everything that there is of single objects, each once. */
export function* everyObject(management: Management, scope: Scope): Generator<Metric> {
  for (const [name, family] of objectFamilies) if (name !== 'queue_consumer_count') yield* family(management, scope)
  yield {
    name: 'queue_info',
    type: 'gauge',
    help: 'A metric with a constant value of 1 that tells of a queue',
    series: queueInfo(management, scope),
  }
}

function bytesOf(queue: Queue): number {
  return queue.readyBytes + queue.unackedBytes
}

function ofQueues(readings: readonly Reading<Queue>[]) {
  return metricsOf(readings, queuesIn, ({ vhost, name }) => ({ vhost, queue: name }))
}

function ofExchanges(readings: readonly Reading<VHostExchange>[]) {
  return metricsOf(readings, exchangesIn, ({ vhost, exchange }) => ({
    vhost,
    exchange: exchange.name,
    type: exchange.type,
  }))
}

function ofConnections(readings: readonly Reading<ConnectionView>[]) {
  const all = ({ broker }: Management): Iterable<ConnectionView> => broker.connections.values()
  return metricsOf(readings, all, ({ name }) => ({ channel: name }))
}

function ofChannels(readings: readonly Reading<OpenChannel>[]) {
  const all = ({ broker }: Management): Iterable<OpenChannel> => channelsOf(broker.connections.values())
  return metricsOf(readings, all, ({ name }) => ({ channel: name }))
}

/** Objects are gone through once for each metric: nothing is kept while the text is written. */
function metricsOf<T>(
  readings: readonly Reading<T>[],
  objects: (management: Management, scope: Scope) => Iterable<T>,
  labels: (object: T) => Labels,
): (management: Management, scope: Scope) => Iterable<Metric> {
  return (management, scope) =>
    readings.map(([name, type, help, read]) => {
      const series = {
        *[Symbol.iterator](): Generator<Series> {
          for (const object of objects(management, scope)) yield { labels: labels(object), value: read(object) }
        },
      }
      return { name, type, help, series }
    })
}

function* queuesIn({ broker }: Management, scope: Scope): Generator<Queue> {
  for (const { name, queues } of broker.vhosts.values()) {
    if (scope.vhosts !== null && !scope.vhosts.has(name)) continue
    for (const queue of queues.values()) if (scope.queue(queue.name)) yield queue
  }
}

function* exchangesIn({ broker }: Management, scope: Scope): Generator<VHostExchange> {
  for (const { name, exchanges } of broker.vhosts.values()) {
    if (scope.vhosts !== null && !scope.vhosts.has(name)) continue
    for (const exchange of exchanges.values()) yield new VHostExchange(exchange, name)
  }
}

function* queueInfo(management: Management, scope: Scope): Generator<Series> {
  for (const queue of queuesIn(management, scope)) {
    const { vhost, name } = queue
    yield {
      labels: { vhost, queue: name, queue_type: `rabbit_${queueTypeOf(queue.arguments)}_queue`, membership: 'leader' },
      value: 1,
    }
  }
}

function* vhostStatus({ broker }: Management, scope: Scope): Generator<Metric> {
  const names = [...broker.vhosts.keys()].filter((name) => scope.vhosts === null || scope.vhosts.has(name))
  const series = names.map((vhost) => ({ labels: { vhost }, value: 1 }))
  yield { name: 'vhost_status', type: 'gauge', help: 'Whether a virtual host is running', series }
}
