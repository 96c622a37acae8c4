// The metrics of single queues, exchanges, connections and channels, with RabbitMQ's names and labels.
import { queueTypeOf } from '../../core/arguments.ts'
import type { Broker } from '../../core/broker.ts'
import type { ConnectionView, ConsumerView } from '../../core/clients.ts'
import type { QueueGets } from '../../core/gets.ts'
import type { Passage } from '../../core/passages.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { VHost } from '../../core/vhost.ts'
import type { Pattern } from '../../lib/pattern.ts'
import type { Slices } from '../../lib/slices.ts'
import {
  bodyBytes,
  bodyBytesInMemory,
  consumerCapacity,
  countInMemory,
  countOnDiskOnly,
  isQuorum,
  queuesIn,
} from '../queue-figures.ts'
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
  /** Those of them that delivered something since the start (RabbitMQ: of others there are no series of deliveries). */
  readonly deliveringQueues: LabelledObjects<Queue>
  readonly exchanges: LabelledObjects<VHostExchange>
  /** The same, with their types beside their names. */
  readonly typedExchanges: LabelledObjects<VHostExchange>
  readonly connections: LabelledObjects<ConnectionView>
  readonly channels: LabelledObjects<OpenChannel>
  readonly vhosts: readonly VHost[]

  constructor(
    { vhosts, connections }: Pick<Broker, 'vhosts' | 'connections'>,
    wanted: ReadonlySet<string> | null = null,
    queues: readonly Queue[] | null = null,
  ) {
    this.vhosts = [...vhosts.values()].filter(({ name }) => wanted === null || wanted.has(name))
    const queueLabels = ({ vhost, name }: Queue): Labels => ({ vhost, queue: name })
    this.queues = new LabelledObjects(queues ?? queuesIn(this.vhosts), queueLabels)
    this.deliveringQueues = new LabelledObjects(delivering(queues ?? queuesIn(this.vhosts)), queueLabels)
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

/** One metric that each object of a kind has; those for which it is null are left out. */
type Reading<T> = readonly [name: string, type: MetricType, help: string, read: (object: T) => number | null]

/** Of these, those that tell how much a queue holds are left out as long as that is not known. */
function ofOpened(readings: readonly Reading<Queue>[]): readonly Reading<Queue>[] {
  return readings.map((reading): Reading<Queue> => {
    const [name, type, help, read] = reading
    const counts = type === 'gauge' && name.startsWith('queue_messages')
    return counts ? [name, type, help, (queue) => (queue.opened ? read(queue) : null)] : reading
  })
}

const queueCoarse: readonly Reading<Queue>[] = [
  ['queue_messages_ready', 'gauge', 'Messages ready to be delivered to consumers', (queue) => queue.readyCount],
  ['queue_messages_unacked', 'gauge', 'Messages delivered but not yet acknowledged', (queue) => queue.unackedCount],
  ['queue_messages', 'gauge', 'Sum of ready and unacknowledged messages', (one) => one.readyCount + one.unackedCount],
]
const queueConsumers: readonly Reading<Queue>[] = [
  ['queue_consumers', 'gauge', 'Consumers on a queue', (queue) => queue.consumerCount],
]
const queueDetails: readonly Reading<Queue>[] = [
  ['queue_messages_bytes', 'gauge', 'Size in bytes of ready and unacknowledged messages', bodyBytes],
  ['queue_messages_ready_bytes', 'gauge', 'Size in bytes of ready messages', (queue) => queue.readyBytes],
  ['queue_messages_unacked_bytes', 'gauge', 'Size in bytes of unacknowledged messages', (queue) => queue.unackedBytes],
  ['queue_process_memory_bytes', 'gauge', 'Memory that its messages take', (queue) => queue.residentBytes],
  ['queue_messages_published_total', 'counter', 'Total number of messages published', ({ counts }) => counts.published],
  ['queue_consumer_capacity', 'gauge', 'Whether consumers could take more at once', consumerCapacity],
  ['queue_consumer_utilisation', 'gauge', 'The same', consumerCapacity],
  ['queue_process_reductions_total', 'counter', 'Work of a queue: not counted', () => 0],
  ['queue_messages_ram', 'gauge', 'Messages in memory', countInMemory],
  ['queue_messages_ram_bytes', 'gauge', 'Size in bytes of messages in memory', bodyBytesInMemory],
  ['queue_messages_ready_ram', 'gauge', 'Ready messages in memory', (queue) => queue.residentCount],
  ['queue_messages_unacked_ram', 'gauge', 'Unacknowledged messages in memory', (one) => one.unackedResidentCount],
  ['queue_messages_persistent', 'gauge', 'Messages that survive a restart', (queue) => queue.persistent.count],
  ['queue_messages_persistent_bytes', 'gauge', 'Their size in bytes', (queue) => queue.persistent.bodyBytes],
  ['queue_messages_paged_out', 'gauge', 'Messages that are on disk only', countOnDiskOnly],
  [
    'queue_messages_paged_out_bytes',
    'gauge',
    'Their size in bytes',
    (queue) => bodyBytes(queue) - bodyBytesInMemory(queue),
  ],
  ['queue_disk_reads_total', 'counter', 'Messages read from disk: not counted', () => 0],
  ['queue_disk_writes_total', 'counter', 'Messages written to disk: not counted', () => 0],
]
const raftIndex = (queue: Queue): number | null => (isQuorum(queue) ? queue.nextPosition : null)
/** A quorum of one: what it has taken, it has agreed on. */
const raft: readonly Reading<Queue>[] = [
  ['raft_term_total', 'counter', 'Current term', (queue) => (raftIndex(queue) === null ? null : 1)],
  ['raft_log_snapshot_index', 'gauge', 'Index of the snapshot', (queue) => (raftIndex(queue) === null ? null : 0)],
  ['raft_log_last_applied_index', 'gauge', 'Messages that were taken', raftIndex],
  ['raft_log_commit_index', 'gauge', 'Messages that were agreed on', raftIndex],
  ['raft_log_last_written_index', 'gauge', 'Messages that were written', raftIndex],
  ['raft_entry_commit_latency_seconds', 'gauge', 'Not counted', (queue) => (raftIndex(queue) === null ? null : 0)],
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
  ['connection_incoming_packets_total', 'counter', 'Reads of a connection: not counted', () => 0],
  ['connection_outgoing_packets_total', 'counter', 'Writes of a connection: not counted', () => 0],
  ['connection_pending_packets', 'gauge', 'Writes that wait: not counted', () => 0],
  ['connection_process_reductions_total', 'counter', 'Work of a connection: not counted', () => 0],
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
  ['channel_messages_uncommitted', 'gauge', 'Messages in a transaction: not counted', () => 0],
  ['channel_acks_uncommitted', 'gauge', 'Acknowledgements in a transaction: not counted', () => 0],
  ['consumer_prefetch', 'gauge', 'Prefetch of each consumer', ({ channel }) => channel.consumerPrefetch],
  ['channel_prefetch', 'gauge', 'Prefetch of all consumers together', ({ channel }) => channel.globalPrefetch],
  ['channel_process_reductions_total', 'counter', 'Work of a channel: not counted', () => 0],
]

const queuesOf = ({ queues }: Scope): LabelledObjects<Queue> => queues
const exchangesOf = ({ exchanges }: Scope): LabelledObjects<VHostExchange> => exchanges
const typedExchangesOf = ({ typedExchanges }: Scope): LabelledObjects<VHostExchange> => typedExchanges

type Family = (scope: Scope) => Iterable<Metric>

/** The families by the names that `family` takes. */
export const objectFamilies: ReadonlyMap<string, Family> = new Map<string, Family>([
  ['queue_coarse_metrics', metricsOf(ofOpened(queueCoarse), queuesOf)],
  ['queue_consumer_count', metricsOf(queueConsumers, queuesOf)],
  ['queue_metrics', metricsOf([...queueConsumers, ...ofOpened(queueDetails)], queuesOf)],
  ['queue_delivery_metrics', metricsOf(queueDeliveries, ({ deliveringQueues }) => deliveringQueues)],
  ['queue_exchange_metrics', queueExchanges],
  ['channel_queue_exchange_metrics', publishesOfQueues],
  ['exchange_metrics', metricsOf(exchangeReadings, exchangesOf)],
  ['connection_coarse_metrics', metricsOf(connectionCoarse, ({ connections }) => connections)],
  ['connection_metrics', metricsOf(connectionDetails, ({ connections }) => connections)],
  ['channel_metrics', metricsOf(channelReadings, ({ channels }) => channels)],
  ['channel_exchange_metrics', channelExchanges],
  ['channel_queue_metrics', channelQueues],
  ['ra_metrics', metricsOf(raft, queuesOf)],
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

/** Families that tell again what others do. */
const REPEATED: ReadonlySet<string> = new Set(['queue_consumer_count', 'channel_queue_exchange_metrics'])

/** Everything that there is of single objects, each once. */
export function* everyObject(scope: Scope): Generator<Metric> {
  for (const [name, family] of objectFamilies) if (!REPEATED.has(name)) yield* family(scope)
  yield {
    name: 'queue_info',
    type: 'gauge',
    help: 'A metric with a constant value of 1 that tells of a queue',
    series: queueInfo(scope),
  }
}

function* delivering(queues: Iterable<Queue>): Generator<Queue> {
  for (const queue of queues) if (queue.deliveredTotal > 0 || queue.counts.getEmpty > 0) yield queue
}

function metricsOf<T>(readings: readonly Reading<T>[], objects: (scope: Scope) => LabelledObjects<T>): Family {
  return (scope) =>
    readings.map(([name, type, help, read]) => {
      const series = {
        *[Symbol.iterator](): Generator<Series> {
          for (const { object, labels } of objects(scope)) {
            const value = read(object)
            if (value !== null) yield { labels, value }
          }
        },
      }
      return { name, type, help, series }
    })
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
  const name = 'queue_exchange_messages_published_total'
  yield passagesMetric(name, queues, (vhost, exchange, queue) => ({ vhost, exchange, queue }))
}

/** The same with the labels that RabbitMQ gives it by channel, but for the channel: nothing counts by all three. */
function* publishesOfQueues({ queues }: Scope): Generator<Metric> {
  yield passagesMetric('queue_messages_published_total', queues, (vhost, exchange, queue) => ({
    queue_vhost: vhost,
    queue,
    exchange_vhost: vhost,
    exchange,
  }))
}

function passagesMetric(
  name: string,
  queues: Scope['queues'],
  labels: (vhost: string, exchange: string, queue: string) => NonNullable<Series['labels']>,
): Metric {
  return {
    name,
    type: 'counter',
    help: 'Messages that reached a queue through an exchange',
    series: {
      *[Symbol.iterator](): Generator<Series> {
        for (const { object } of queues) {
          for (const { exchange, count } of object.passages) {
            yield { labels: labels(object.vhost, exchange, object.name), value: count }
          }
        }
      },
    },
  }
}

type Counted<T> = readonly [name: string, help: string, read: (object: T) => number]

const channelExchangeReadings: readonly Counted<Passage>[] = [
  ['channel_messages_published_total', 'Messages published to an exchange on a channel', ({ count }) => count],
  ['channel_messages_confirmed_total', 'The same that were confirmed', ({ confirmed }) => confirmed],
  ['channel_messages_unroutable_returned_total', 'The same that were returned', ({ returned }) => returned],
  ['channel_messages_unroutable_dropped_total', 'The same that reached no queue', ({ dropped }) => dropped],
]

/** Publishes by channel and exchange. */
function* channelExchanges({ channels }: Scope): Generator<Metric> {
  for (const [name, help, read] of channelExchangeReadings) {
    const series = {
      *[Symbol.iterator](): Generator<Series> {
        for (const { object } of channels) {
          for (const passage of object.channel.publishes) {
            const { exchange } = passage
            yield { labels: { channel: object.name, vhost: object.vhost, exchange }, value: read(passage) }
          }
        }
      },
    }
    yield { name, type: 'counter', help, series }
  }
}

/** What the consumers of one channel and queue got together, and what was fetched there. */
class ChannelQueue {
  deliveredAck = 0
  delivered = 0
  redelivered = 0
  acknowledged = 0
  got = 0
  gotNoAck = 0
  empty = 0

  addConsumer({ noAck, delivered, redelivered, acknowledged }: ConsumerView): void {
    if (noAck) this.delivered += delivered
    else this.deliveredAck += delivered
    this.redelivered += redelivered
    this.acknowledged += acknowledged
  }

  addGets({ got, gotNoAck, empty, redelivered, acknowledged }: QueueGets): void {
    this.got += got
    this.gotNoAck += gotNoAck
    this.empty += empty
    this.redelivered += redelivered
    this.acknowledged += acknowledged
  }
}

const channelQueueReadings: readonly Counted<ChannelQueue>[] = [
  ['channel_messages_delivered_ack_total', 'Delivered to be acknowledged', (one) => one.deliveredAck],
  ['channel_messages_delivered_total', 'Delivered without acknowledgement', (one) => one.delivered],
  ['channel_messages_redelivered_total', 'Redelivered to consumers', (one) => one.redelivered],
  ['channel_messages_acked_total', 'Acknowledged by consumers', (one) => one.acknowledged],
  ['channel_get_ack_total', 'Fetched to be acknowledged', (one) => one.got],
  ['channel_get_total', 'Fetched without acknowledgement', (one) => one.gotNoAck],
  ['channel_get_empty_total', 'Times basic.get found no message', (one) => one.empty],
]

/** Deliveries by channel and queue: to the consumers that there are, and by basic.get. */
function* channelQueues({ channels }: Scope): Generator<Metric> {
  for (const [name, help, read] of channelQueueReadings) {
    const series = {
      *[Symbol.iterator](): Generator<Series> {
        for (const { object } of channels) {
          for (const [queue, sums] of sumsByQueue(object)) {
            yield { labels: { channel: object.name, vhost: object.vhost, queue }, value: read(sums) }
          }
        }
      },
    }
    yield { name, type: 'counter', help, series }
  }
}

function sumsByQueue({ channel }: OpenChannel): ReadonlyMap<string, ChannelQueue> {
  const sums = new Map<string, ChannelQueue>()
  const of = (queue: string): ChannelQueue => {
    const sum = sums.get(queue) ?? new ChannelQueue()
    sums.set(queue, sum)
    return sum
  }
  for (const consumer of channel.consumerViews) of(consumer.queue.name).addConsumer(consumer)
  for (const gets of channel.gets) of(gets.queue).addGets(gets)
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
