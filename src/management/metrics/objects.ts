// The metrics of single queues, exchanges, connections and channels, with RabbitMQ's names and labels.
import { queueTypeOf } from '../../core/arguments.ts'
import type { Broker } from '../../core/broker.ts'
import type { ConnectionView, ConsumerView } from '../../core/clients.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { VHost } from '../../core/vhost.ts'
import type { Pattern } from '../../lib/pattern.ts'
import type { Slices } from '../../lib/slices.ts'
import { channelsOf, type OpenChannel } from '../views/connection.ts'
import { VHostExchange } from '../views/topology.ts'
import { labelText, type Labels, type Metric, type MetricType, type Series } from './exposition.ts'

/** An object, and the text of its labels. */
interface Labelled<T> {
  readonly object: T
  readonly labels: string
}

/** Objects with the texts of their labels, which are put together as they are first gone through. */
class LabelledObjects<T> {
  readonly #objects: Iterable<T>
  readonly #labels: (object: T) => Labels
  #known: readonly Labelled<T>[] | null = null

  constructor(objects: Iterable<T>, labels: (object: T) => Labels) {
    this.#objects = objects
    this.#labels = labels
  }

  [Symbol.iterator](): Iterator<Labelled<T>> {
    return this.#known === null ? this.#first() : this.#known[Symbol.iterator]()
  }

  *#first(): Generator<Labelled<T>> {
    const known: Labelled<T>[] = []
    for (const object of this.#objects) {
      const labelled = { object, labels: labelText(this.#labels(object)) }
      known.push(labelled)
      yield labelled
    }
    this.#known = known
  }
}

/** The objects that one scrape tells of, those that it is asked for. */
export class Scope {
  readonly queues: LabelledObjects<Queue>
  readonly exchanges: LabelledObjects<VHostExchange>
  /** The same, with their types beside their names. */
  readonly typedExchanges: LabelledObjects<VHostExchange>
  readonly connections: LabelledObjects<ConnectionView>
  readonly channels: LabelledObjects<OpenChannel>
  readonly vhosts: readonly VHost[]

  constructor(
    { vhosts, connections }: Pick<Broker, 'vhosts' | 'connections'>,
    wanted: ReadonlySet<string> | null = null,
    queues: Iterable<Queue> | null = null,
  ) {
    this.vhosts = [...vhosts.values()].filter(({ name }) => wanted === null || wanted.has(name))
    this.queues = new LabelledObjects(queues ?? queuesIn(this.vhosts), ({ vhost, name }) => ({ vhost, queue: name }))
    this.exchanges = new LabelledObjects(exchangesIn(this.vhosts), ({ vhost, name }) => ({ vhost, exchange: name }))
    this.typedExchanges = new LabelledObjects(exchangesIn(this.vhosts), ({ vhost, exchange: { name, type } }) => ({
      vhost,
      exchange: name,
      type,
    }))
    this.connections = new LabelledObjects(connections.values(), ({ name }) => ({ channel: name }))
    this.channels = new LabelledObjects(channelsOf(connections.values()), ({ name }) => ({ channel: name }))
  }
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
  ['exchange_messages_published_total', 'counter', 'Messages published to it', ({ exchange }) => exchange.publishedIn],
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
  ['channel_messages_confirmed_total', 'counter', 'Messages confirmed', ({ channel }) => channel.counts.confirmed],
  ['channel_messages_acked_total', 'counter', 'Messages acknowledged', ({ channel }) => channel.counts.acknowledged],
]

const queuesOf = ({ queues }: Scope): LabelledObjects<Queue> => queues
const exchangesOf = ({ exchanges }: Scope): LabelledObjects<VHostExchange> => exchanges
const typedExchangesOf = ({ typedExchanges }: Scope): LabelledObjects<VHostExchange> => typedExchanges

type Family = (scope: Scope) => Iterable<Metric>

/** The families by the names that `family` takes. */
export const objectFamilies: ReadonlyMap<string, Family> = new Map<string, Family>([
  ['queue_coarse_metrics', metricsOf(queueCoarse, queuesOf)],
  ['queue_consumer_count', metricsOf(queueConsumers, queuesOf)],
  ['queue_metrics', metricsOf([...queueConsumers, ...queueDetails], queuesOf)],
  ['queue_delivery_metrics', metricsOf(queueDeliveries, queuesOf)],
  ['queue_exchange_metrics', queueExchanges],
  ['exchange_metrics', metricsOf(exchangeReadings, exchangesOf)],
  ['connection_coarse_metrics', metricsOf(connectionCoarse, ({ connections }) => connections)],
  ['connection_metrics', metricsOf(connectionDetails, ({ connections }) => connections)],
  ['channel_metrics', metricsOf(channelReadings, ({ channels }) => channels)],
  ['channel_exchange_metrics', channelExchanges],
  ['channel_queue_metrics', channelQueues],
])

/** What holds of the whole cluster, with a prefix of its own. */
export const clusterFamilies: ReadonlyMap<string, Family> = new Map<string, Family>([
  ['vhost_status', vhostStatus],
  [
    'exchange_bindings',
    metricsOf(
      [['exchange_bindings', 'gauge', 'Bindings of an exchange', (one) => one.exchange.sourceBindings.size]],
      typedExchangesOf,
    ),
  ],
  ['exchange_names', metricsOf([['exchange_name', 'gauge', 'Names of exchanges', () => 1]], typedExchangesOf)],
])

/** Everything that there is of single objects, each once. */
export function* everyObject(scope: Scope): Generator<Metric> {
  for (const [name, family] of objectFamilies) if (name !== 'queue_consumer_count') yield* family(scope)
  yield {
    name: 'queue_info',
    type: 'gauge',
    help: 'A metric with a constant value of 1 that tells of a queue',
    series: queueInfo(scope),
  }
}

function bytesOf(queue: Queue): number {
  return queue.readyBytes + queue.unackedBytes
}

/** Objects are gone through once for each metric; of the text, nothing is kept while it is written. */
function metricsOf<T>(readings: readonly Reading<T>[], objects: (scope: Scope) => LabelledObjects<T>): Family {
  return (scope) =>
    readings.map(([name, type, help, read]) => {
      const series = {
        *[Symbol.iterator](): Generator<Series> {
          for (const { object, labels } of objects(scope)) yield { labels, value: read(object) }
        },
      }
      return { name, type, help, series }
    })
}

function* queuesIn(vhosts: readonly VHost[]): Generator<Queue> {
  for (const { queues } of vhosts) yield* queues.values()
}

/** Those of the queues whose names match. Strangers choose the pattern: in slices, for it may be a slow one. */
export async function queuesNamed<Q extends { readonly name: string }>(
  queues: Iterable<Q>,
  pattern: Pattern,
  slices: Slices,
): Promise<readonly Q[]> {
  const found: Q[] = []
  await slices.next()
  for (const queue of queues) {
    if (pattern.test(queue.name)) found.push(queue)
    if (slices.over) await slices.next()
  }
  return found
}

function* exchangesIn(vhosts: readonly VHost[]): Generator<VHostExchange> {
  for (const { name, exchanges } of vhosts) {
    for (const exchange of exchanges.values()) yield new VHostExchange(exchange, name)
  }
}

/** Publishes by queue and exchange. */
function* queueExchanges({ queues }: Scope): Generator<Metric> {
  yield {
    name: 'queue_exchange_messages_published_total',
    type: 'counter',
    help: 'Messages that reached a queue through an exchange',
    series: {
      *[Symbol.iterator](): Generator<Series> {
        for (const { object } of queues) {
          const { name: queue, vhost } = object
          for (const { exchange, count } of object.passages) {
            yield { labels: { vhost, exchange, queue }, value: count }
          }
        }
      },
    },
  }
}

/** Publishes by channel and exchange. */
function* channelExchanges({ channels }: Scope): Generator<Metric> {
  yield {
    name: 'channel_messages_published_total',
    type: 'counter',
    help: 'Messages published to an exchange on a channel',
    series: {
      *[Symbol.iterator](): Generator<Series> {
        for (const { object } of channels) {
          for (const { exchange, count } of object.channel.publishes) {
            yield { labels: { channel: object.name, vhost: object.vhost, exchange }, value: count }
          }
        }
      },
    },
  }
}

/** What the consumers of one channel and queue got together. */
class ChannelQueue {
  deliveredAck = 0
  delivered = 0
  redelivered = 0
  acknowledged = 0

  add({ noAck, delivered, redelivered, acknowledged }: ConsumerView): void {
    if (noAck) this.delivered += delivered
    else this.deliveredAck += delivered
    this.redelivered += redelivered
    this.acknowledged += acknowledged
  }
}

const channelQueueReadings: readonly Reading<ChannelQueue>[] = [
  ['channel_messages_delivered_ack_total', 'counter', 'Delivered to be acknowledged', (one) => one.deliveredAck],
  ['channel_messages_delivered_total', 'counter', 'Delivered without acknowledgement', (one) => one.delivered],
  ['channel_messages_redelivered_total', 'counter', 'Redelivered to consumers', (one) => one.redelivered],
  ['channel_messages_acked_total', 'counter', 'Acknowledged by consumers', (one) => one.acknowledged],
]

/** Deliveries by channel and queue, to the consumers that there are. */
function* channelQueues({ channels }: Scope): Generator<Metric> {
  for (const [name, type, help, read] of channelQueueReadings) {
    const series = {
      *[Symbol.iterator](): Generator<Series> {
        for (const { object } of channels) {
          for (const [queue, sums] of sumsByQueue(object)) {
            yield { labels: { channel: object.name, vhost: object.vhost, queue }, value: read(sums) }
          }
        }
      },
    }
    yield { name, type, help, series }
  }
}

function sumsByQueue({ channel }: OpenChannel): ReadonlyMap<string, ChannelQueue> {
  const sums = new Map<string, ChannelQueue>()
  for (const consumer of channel.consumerViews) {
    const sum = sums.get(consumer.queue.name) ?? new ChannelQueue()
    sum.add(consumer)
    sums.set(consumer.queue.name, sum)
  }
  return sums
}

function* queueInfo({ queues }: Scope): Generator<Series> {
  for (const { object } of queues) {
    const { vhost, name } = object
    const type = `rabbit_${queueTypeOf(object.arguments)}_queue`
    yield { labels: { vhost, queue: name, queue_type: type, membership: 'leader' }, value: 1 }
  }
}

function* vhostStatus({ vhosts }: Scope): Generator<Metric> {
  const series = vhosts.map(({ name: vhost }) => ({ labels: { vhost }, value: 1 }))
  yield { name: 'vhost_status', type: 'gauge', help: 'Whether a virtual host is running', series }
}
