// What there is, and what happened to messages: over all queues, as last sampled, with RabbitMQ's names.
import { DEATH_REASONS, MessageCounts, type DeathReason } from '../../core/counts.ts'
import type { ConnectionView } from '../../core/clients.ts'
import type { Totals } from '../rates.ts'
import type { Management } from '../route.ts'
import { channelsOf } from '../views/connection.ts'
import { countersOf, gaugesOf, histogram, single, type Labels, type Metric, type MetricType } from './exposition.ts'

const PROTOCOL = { protocol: 'amqp091' } as const

/** The types of queues that are always there, also while nothing has happened in them. */
const QUEUE_TYPES = ['classic', 'quorum'] as const

/** The bounds as RabbitMQ writes them: dashboards select them by text. */
const SIZE_BOUND_TEXTS = ['100.0', '1000.0', '10000.0', '100000.0', '1e+06', '1e+07', '5e+07', '1e+08', '+Inf']

type Counted = readonly [name: string, what: string, read: (counts: MessageCounts) => number]

const INCOMING: readonly Counted[] = [
  ['routed', 'routed to queues or streams', ({ routed }) => routed],
  ['confirmed', 'confirmed to publishers', ({ confirmed }) => confirmed],
  ['deduplicated', 'not taken, because they were duplicates', ({ deduplicated }) => deduplicated],
  ['unroutable_dropped', 'published as non-mandatory into an exchange and dropped', ({ dropped }) => dropped],
  ['unroutable_returned', 'published as mandatory into an exchange and returned', ({ returned }) => returned],
]

const OUTGOING: readonly Counted[] = [
  ['delivered', 'delivered to consumers', (one) => one.delivered + one.deliveredNoAck + one.got + one.gotNoAck],
  ['delivered_consume_manual_ack', 'delivered with manual acknowledgment', ({ delivered }) => delivered],
  ['delivered_consume_auto_ack', 'delivered without acknowledgment', ({ deliveredNoAck }) => deliveredNoAck],
  ['delivered_get_manual_ack', 'got with manual acknowledgment', ({ got }) => got],
  ['delivered_get_auto_ack', 'got without acknowledgment', ({ gotNoAck }) => gotNoAck],
  ['get_empty', 'asked for with basic.get of an empty queue', ({ getEmpty }) => getEmpty],
  ['redelivered', 'redelivered to consumers', ({ redelivered }) => redelivered],
  ['acknowledged', 'acknowledged by consumers', ({ acknowledged }) => acknowledged],
]

/** How many connections, channels, consumers and queues there are, and messages in these: counted now, or last sampled. */
export function* objectCounts({ broker, rates }: Management): Generator<Metric> {
  const { counts, received, sent } = rates.totals()
  const channels = channelSums(broker.connections.values())
  const queues = [...broker.vhosts.values()].reduce((sum, vhost) => sum + vhost.queues.size, 0)
  yield* gaugesOf([
    ['connections', 'Connections currently open', broker.connections.size],
    ['channels', 'Channels currently open', channels.count],
    ['consumers', 'Consumers currently connected', channels.consumers],
    ['queues', 'Queues available', queues],
    ['connection_channels', 'Channels on connections', channels.count],
    ['connection_pending_packets', 'Writes that wait: not counted', 0],
    ['channel_consumers', 'Consumers on channels', channels.consumers],
    ['channel_messages_unacked', 'Delivered but not yet acknowledged messages', channels.unacked],
    ['channel_messages_unconfirmed', 'Published but not yet confirmed messages', channels.unconfirmed],
    ['channel_messages_uncommitted', 'Messages in transactions: not counted', 0],
    ['channel_acks_uncommitted', 'Acknowledgements in transactions: not counted', 0],
    ['consumer_prefetch', 'Limit of unacknowledged messages for each consumer', channels.consumerPrefetch],
    ['channel_prefetch', 'Total limit of unacknowledged messages for all consumers', channels.prefetch],
  ])
  yield* countersOf([
    ['connection_incoming_bytes_total', 'Bytes received on open connections', received],
    ['connection_outgoing_bytes_total', 'Bytes sent on open connections', sent],
    ['connection_incoming_packets_total', 'Reads of open connections: not counted', 0],
    ['connection_outgoing_packets_total', 'Writes of open connections: not counted', 0],
    ['connection_process_reductions_total', 'Work of connections: not counted', 0],
    ['channel_process_reductions_total', 'Work of channels: not counted', 0],
    ['channel_messages_published_total', 'Messages published', counts.published],
    ['channel_messages_confirmed_total', 'Messages confirmed', counts.confirmed],
    ['channel_messages_unroutable_returned_total', 'Mandatory messages that were returned', counts.returned],
    ['channel_messages_unroutable_dropped_total', 'Other messages that reached no queue', counts.dropped],
    ['channel_get_ack_total', 'Messages fetched with manual acknowledgement', counts.got],
    ['channel_get_total', 'Messages fetched without acknowledgement', counts.gotNoAck],
    ['channel_get_empty_total', 'Times basic.get found no message', counts.getEmpty],
    ['channel_messages_delivered_ack_total', 'Delivered to be acknowledged', counts.delivered],
    ['channel_messages_delivered_total', 'Delivered without acknowledgement', counts.deliveredNoAck],
    ['channel_messages_redelivered_total', 'Redelivered to consumers', counts.redelivered],
    ['channel_messages_acked_total', 'Acknowledged by consumers', counts.acknowledged],
  ])
  yield* queueSums(rates.totals(), channels.consumers)
  yield single('global_publishers', 'gauge', 'Current number of publishers', channels.publishers, PROTOCOL)
  yield single('global_consumers', 'gauge', 'Current number of consumers', channels.consumers, PROTOCOL)
}

/** What there is in all queues. */
function* queueSums({ counts, ready, unacked, backlog }: Totals, consumers: number): Generator<Metric> {
  const { readyBytes, unackedBytes, residentBytes, resident, unackedResident } = backlog
  const { persistent, persistentBytes, capacity } = backlog
  const bytes = readyBytes + unackedBytes
  const bytesInMemory = Math.min(residentBytes, bytes)
  yield* gaugesOf([
    ['queue_messages_ready', 'Messages ready to be delivered to consumers', ready],
    ['queue_messages_unacked', 'Messages delivered to consumers but not yet acknowledged', unacked],
    ['queue_messages', 'Sum of ready and unacknowledged messages', ready + unacked],
    ['queue_messages_ready_bytes', 'Size in bytes of ready messages', readyBytes],
    ['queue_messages_unacked_bytes', 'Size in bytes of unacknowledged messages', unackedBytes],
    ['queue_messages_bytes', 'Size in bytes of ready and unacknowledged messages', bytes],
    ['queue_messages_ready_ram', 'Ready messages in memory', resident],
    ['queue_messages_unacked_ram', 'Unacknowledged messages in memory', unackedResident],
    ['queue_messages_ram', 'Messages in memory', resident + unackedResident],
    ['queue_messages_ram_bytes', 'Size in bytes of messages in memory', bytesInMemory],
    ['queue_messages_paged_out', 'Messages that are on disk only', ready + unacked - resident - unackedResident],
    ['queue_messages_paged_out_bytes', 'Size in bytes of messages that are on disk only', bytes - bytesInMemory],
    ['queue_messages_persistent', 'Messages that survive a restart', persistent],
    ['queue_messages_persistent_bytes', 'Size in bytes of messages that survive a restart', persistentBytes],
    ['queue_process_memory_bytes', 'Memory that messages take', residentBytes],
    ['queue_consumers', 'Consumers on a queue', consumers],
    ['queue_consumer_capacity', 'Queues of which consumers would take more', capacity],
    ['queue_consumer_utilisation', 'The same', capacity],
  ])
  yield* countersOf([
    ['queue_messages_published_total', 'Total number of messages published to queues', counts.routed],
    ['queue_process_reductions_total', 'Work of queues: not counted', 0],
    ['queue_disk_reads_total', 'Messages read from disk: not counted', 0],
    ['queue_disk_writes_total', 'Messages written to disk: not counted', 0],
  ])
}

function channelSums(connections: Iterable<ConnectionView>) {
  const sums = { count: 0, consumers: 0, publishers: 0, unacked: 0, unconfirmed: 0, consumerPrefetch: 0, prefetch: 0 }
  for (const { channel } of channelsOf(connections)) {
    sums.count++
    sums.consumers += channel.consumerCount
    if (channel.counts.published > 0) sums.publishers++
    sums.unacked += channel.unackedCount
    sums.unconfirmed += channel.unconfirmedCount
    sums.consumerPrefetch += channel.consumerPrefetch
    sums.prefetch += channel.globalPrefetch
  }
  return sums
}

/** What happened to messages since the start. */
export function* globalMetrics({ broker, rates }: Management): Generator<Metric> {
  const { counts, byType } = rates.totals()
  let unconfirmed = 0
  for (const { channel } of channelsOf(broker.connections.values())) unconfirmed += channel.unconfirmedCount
  const received = (name: string, what: string, value: number): Metric =>
    single(`global_messages_${name}_total`, 'counter', `Total number of messages ${what}`, value, PROTOCOL)
  yield received('received', 'received from publishers', counts.published)
  yield received('received_confirm', 'received from publishers expecting confirmations', counts.confirmed + unconfirmed)
  for (const [name, what, read] of INCOMING) yield received(name, what, read(counts))
  const none = new MessageCounts()
  const types = new Set([...QUEUE_TYPES, ...byType.keys()])
  for (const [name, what, read] of OUTGOING) {
    const series = Array.from(types, (type) => ({
      labels: { ...PROTOCOL, ...typeLabel(type) },
      value: read(byType.get(type) ?? none),
    }))
    yield counter(`global_messages_${name}_total`, `Total number of messages ${what}`, series)
  }
  for (const reason of DEATH_REASONS) yield deathMetric(broker.deaths.bind(broker), reason, types)
  yield counter('global_messages_dead_lettered_confirmed_total', 'Dead letters that their queues have confirmed', [
    { labels: { ...typeLabel('quorum'), dead_letter_strategy: 'at_least_once' }, value: 0 },
  ])
  yield histogram(
    'message_size_bytes',
    'Size of messages received from publishers',
    broker.sizes,
    PROTOCOL,
    SIZE_BOUND_TEXTS,
  )
}

/** What was given up for one reason: without a dead-letter exchange, and with one. */
function deathMetric(of: Management['broker']['deaths'], reason: DeathReason, types: ReadonlySet<string>): Metric {
  const series = [...types].flatMap((type) => {
    const { dropped, lettered } = of(type)
    return [
      { labels: { ...typeLabel(type), dead_letter_strategy: 'disabled' }, value: dropped[reason] },
      { labels: { ...typeLabel(type), dead_letter_strategy: 'at_most_once' }, value: lettered[reason] },
    ]
  })
  const name = `global_messages_dead_lettered_${reason}_total`
  return counter(name, `Total number of messages dead-lettered: ${reason}`, series)
}

function counter(name: string, help: string, series: Metric['series']): Metric {
  const type: MetricType = 'counter'
  return { name, type, help, series }
}

function typeLabel(type: string): Labels {
  return { queue_type: `rabbit_${type}_queue` }
}
