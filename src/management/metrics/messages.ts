// What there is, and what happened to messages: over all queues, as last sampled, with RabbitMQ's names.
import { DEATH_REASONS, MessageCounts, type DeathReason } from '../../core/counts.ts'
import type { Management } from '../route.ts'
import { channelsOf } from '../views/connection.ts'
import { histogram, single, type Labels, type Metric, type MetricType } from './exposition.ts'

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

/** How many connections, channels, consumers and queues there are, and messages in these. */
export function* objectCounts({ broker, rates }: Management): Generator<Metric> {
  const { counts, ready, unacked, received, sent } = rates.totals()
  let [channels, consumers, publishers, queues, bytes] = [0, 0, 0, 0, 0]
  for (const { channel } of channelsOf(broker.connections.values())) {
    channels++
    consumers += channel.consumerCount
    if (channel.counts.published > 0) publishers++
  }
  for (const vhost of broker.vhosts.values()) {
    queues += vhost.queues.size
    for (const queue of vhost.queues.values()) bytes += queue.readyBytes + queue.unackedBytes
  }
  const gauge = (name: string, help: string, value: number): Metric => single(name, 'gauge', help, value)
  yield gauge('connections', 'Connections currently open', broker.connections.size)
  yield gauge('channels', 'Channels currently open', channels)
  yield gauge('consumers', 'Consumers currently connected', consumers)
  yield gauge('queues', 'Queues available', queues)
  yield gauge('queue_messages_ready', 'Messages ready to be delivered to consumers', ready)
  yield gauge('queue_messages_unacked', 'Messages delivered to consumers but not yet acknowledged', unacked)
  yield gauge('queue_messages', 'Sum of ready and unacknowledged messages', ready + unacked)
  yield gauge('queue_messages_bytes', 'Size in bytes of ready and unacknowledged messages', bytes)
  yield gauge('queue_consumers', 'Consumers on a queue', consumers)
  yield single(
    'queue_messages_published_total',
    'counter',
    'Total number of messages published to queues',
    counts.routed,
  )
  yield single('connection_incoming_bytes_total', 'counter', 'Bytes received on open connections', received)
  yield single('connection_outgoing_bytes_total', 'counter', 'Bytes sent on open connections', sent)
  yield single('global_publishers', 'gauge', 'Current number of publishers', publishers, PROTOCOL)
  yield single('global_consumers', 'gauge', 'Current number of consumers', consumers, PROTOCOL)
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
