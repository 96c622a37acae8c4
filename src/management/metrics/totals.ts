// The metrics of the whole node, with RabbitMQ's names.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { readdir, readFile } from 'node:fs/promises'
import type { AttemptCounts } from '../../core/access/login-attempts.ts'
import { SIZE_BOUNDS, type MessageSizes } from '../../core/counts.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import { channelsOf } from '../views/connection.ts'
import { clusterName, type Management } from '../route.ts'
import { single, type Metric, type MetricType } from './exposition.ts'

const PROTOCOL = { protocol: 'amqp091' } as const
const QUEUE_TYPE = { ...PROTOCOL, queue_type: 'rabbit_classic_queue' } as const

/** The bounds as RabbitMQ writes them: dashboards select them by text. */
const BOUND_TEXTS = ['100.0', '1000.0', '10000.0', '100000.0', '1e+06', '1e+07', '5e+07', '1e+08', '+Inf']

const loopDelay = monitorEventLoopDelay({ resolution: 20 })

/** What is known of open files; -1 where the system does not say. */
export interface OpenFiles {
  readonly open: number
  readonly most: number
}

/** Counts the open files of this process. */
export async function openFiles(): Promise<OpenFiles> {
  try {
    const [names, limits] = await Promise.all([readdir('/proc/self/fd'), readFile('/proc/self/limits', 'utf8')])
    return { open: names.length, most: Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? -1) }
  } catch (error) {
    // Only Linux has these files.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { open: -1, most: -1 }
    throw error
  }
}

/** What joins everything else on a dashboard. */
export function* identity(management: Management, endpoint: string): Generator<Metric> {
  const { node } = management
  yield single('identity_info', 'gauge', 'RabbitMQ node & cluster identity info', 1, {
    rabbitmq_node: node.name,
    rabbitmq_cluster: clusterName(management),
    rabbitmq_cluster_permanent_id: node.name,
    rabbitmq_endpoint: endpoint,
  })
  yield single('build_info', 'gauge', 'RabbitMQ & Erlang/OTP version info', 1, {
    rabbitmq_version: RABBITMQ_VERSION,
    erlang_version: '26.2.5',
    prometheus_plugin_version: RABBITMQ_VERSION,
    prometheus_client_version: RABBITMQ_VERSION,
    product_name: 'RabbitMQ',
    product_version: RABBITMQ_VERSION,
    leveret_version: node.version,
  })
}

/** The node itself: memory, disk, files, alarms. */
export function* nodeMetrics({ broker, clock, node }: Management, files: OpenFiles): Generator<Metric> {
  const { usedBytes, freeDiskBytes, limits } = broker.resources
  const gauge = (name: string, help: string, value: number): Metric => single(name, 'gauge', help, value)
  yield gauge('erlang_uptime_seconds', 'Node uptime', (clock.now() - node.startedAt) / 1000)
  yield gauge('process_resident_memory_bytes', 'Memory used in bytes', usedBytes)
  yield gauge('resident_memory_limit_bytes', 'Memory high watermark in bytes', limits.memoryBytes)
  yield gauge('disk_space_available_bytes', 'Disk space available in bytes', freeDiskBytes ?? 0)
  yield gauge('disk_space_available_limit_bytes', 'Free disk space low watermark in bytes', limits.diskFreeBytes)
  yield gauge('process_open_fds', 'Open file descriptors', files.open)
  yield gauge('process_max_fds', 'Open file descriptors limit', files.most)
  yield gauge('alarms_memory_used_watermark', 'is 1 if the memory alarm is in effect', raised('memory'))
  yield gauge('alarms_free_disk_space_watermark', 'is 1 if the disk alarm is in effect', raised('disk'))
  yield gauge('alarms_file_descriptor_limit', 'is 1 if file descriptor limit alarm is in effect', 0)

  function raised(alarm: 'memory' | 'disk'): number {
    return broker.alarms.causes(alarm).size > 0 ? 1 : 0
  }
}

export function* churnMetrics({ broker: { churn } }: Management): Generator<Metric> {
  const counter = (name: string, help: string, value: number): Metric => single(name, 'counter', help, value)
  yield counter('connections_opened_total', 'Total number of connections opened', churn.connectionsOpened)
  yield counter('connections_closed_total', 'Total number of connections closed or terminated', churn.connectionsClosed)
  yield counter('channels_opened_total', 'Total number of channels opened', churn.channelsOpened)
  yield counter('channels_closed_total', 'Total number of channels closed', churn.channelsClosed)
  yield counter('queues_declared_total', 'Total number of queues declared', churn.queuesDeclared)
  yield counter('queues_created_total', 'Total number of queues created', churn.queuesCreated)
  yield counter('queues_deleted_total', 'Total number of queues deleted', churn.queuesDeleted)
}

export function* loginMetrics({ broker }: Management): Generator<Metric> {
  const { attempts } = broker.access
  const metric = (kind: string, what: string, value: (counts: AttemptCounts) => number): Metric => ({
    name: `auth_attempts_${kind}total`,
    type: 'counter',
    help: `Total number of ${what} attempts`,
    series: (['http', 'amqp091'] as const).map((protocol) => ({
      labels: { protocol },
      value: value(attempts.of(protocol)),
    })),
  })
  yield metric('', 'authorization', ({ succeeded, failed }) => succeeded + failed)
  yield metric('succeeded_', 'successful authentication', ({ succeeded }) => succeeded)
  yield metric('failed_', 'failed authentication', ({ failed }) => failed)
}

/** How many there are of everything, and what happened to messages, as last sampled. */
export function* globalMetrics(management: Management): Generator<Metric> {
  const { broker, rates } = management
  const { counts, ready, unacked } = rates.totals()
  let [channels, consumers, publishers, unconfirmed, queues] = [0, 0, 0, 0, 0]
  for (const { channel } of channelsOf(broker.connections.values())) {
    channels++
    consumers += channel.consumerCount
    unconfirmed += channel.unconfirmedCount
    if (channel.counts.published > 0) publishers++
  }
  for (const vhost of broker.vhosts.values()) queues += vhost.queues.size
  yield single('connections', 'gauge', 'Connections currently open', broker.connections.size)
  yield single('channels', 'gauge', 'Channels currently open', channels)
  yield single('consumers', 'gauge', 'Consumers currently connected', consumers)
  yield single('queues', 'gauge', 'Queues available', queues)
  yield single('queue_messages_ready', 'gauge', 'Messages ready to be delivered to consumers', ready)
  yield single('queue_messages_unacked', 'gauge', 'Messages delivered to consumers but not yet acknowledged', unacked)
  yield single('queue_messages', 'gauge', 'Sum of ready and unacknowledged messages', ready + unacked)
  const ofProtocol = (name: string, type: MetricType, help: string, value: number): Metric =>
    single(`global_${name}`, type, help, value, PROTOCOL)
  yield ofProtocol('publishers', 'gauge', 'Current number of publishers', publishers)
  yield ofProtocol('consumers', 'gauge', 'Current number of consumers', consumers)
  const received = (name: string, what: string, value: number): Metric =>
    ofProtocol(`messages_${name}_total`, 'counter', `Total number of messages ${what}`, value)
  yield received('received', 'received from publishers', counts.published)
  yield received('received_confirm', 'received from publishers expecting confirmations', counts.confirmed + unconfirmed)
  yield received('routed', 'routed to queues or streams', counts.routed)
  yield received('confirmed', 'confirmed to publishers', counts.confirmed)
  yield received('deduplicated', 'not taken, because they were duplicates', counts.deduplicated)
  yield received('unroutable_dropped', 'published as non-mandatory into an exchange and dropped', counts.dropped)
  yield received('unroutable_returned', 'published as mandatory into an exchange and returned', counts.returned)
  const outgoing = (name: string, what: string, value: number): Metric =>
    single(`global_${name}_total`, 'counter', `Total number of ${what}`, value, QUEUE_TYPE)
  const { delivered, deliveredNoAck, got, gotNoAck } = counts
  const sent = delivered + deliveredNoAck + got + gotNoAck
  yield outgoing('messages_delivered', 'messages delivered to consumers', sent)
  yield outgoing('messages_delivered_consume_manual_ack', 'messages delivered with manual acknowledgment', delivered)
  yield outgoing('messages_delivered_consume_auto_ack', 'messages delivered without acknowledgment', deliveredNoAck)
  yield outgoing('messages_delivered_get_manual_ack', 'messages got with manual acknowledgment', got)
  yield outgoing('messages_delivered_get_auto_ack', 'messages got without acknowledgment', gotNoAck)
  yield outgoing('messages_get_empty', 'times basic.get operations fetched no message', counts.getEmpty)
  yield outgoing('messages_redelivered', 'messages redelivered to consumers', counts.redelivered)
  yield outgoing('messages_acknowledged', 'messages acknowledged by consumers', counts.acknowledged)
  yield sizeHistogram(broker.sizes)
}

function sizeHistogram(sizes: MessageSizes): Metric {
  let below = 0
  const buckets = SIZE_BOUNDS.map((_bound, i) => {
    below += sizes.counts[i]!
    return { suffix: '_bucket', labels: { ...PROTOCOL, le: BOUND_TEXTS[i]! }, value: below }
  })
  const rest = [
    { suffix: '_sum', labels: PROTOCOL, value: sizes.sum },
    { suffix: '_count', labels: PROTOCOL, value: below },
  ]
  const help = 'Size of messages received from publishers'
  return { name: 'message_size_bytes', type: 'histogram', help, series: [...buckets, ...rest] }
}

/** What RabbitMQ has no name for. The delays are those since the last scrape. */
export function* ownMetrics(): Generator<Metric> {
  loopDelay.enable()
  const quantile = (share: number): { labels: { quantile: string }; value: number } => {
    const nanoseconds = loopDelay.count === 0 ? 0 : loopDelay.percentile(share * 100)
    return { labels: { quantile: String(share) }, value: nanoseconds / 1e9 }
  }
  const series = [quantile(0.5), quantile(0.99), quantile(1)]
  yield { name: 'event_loop_delay_seconds', type: 'gauge', help: 'How late the event loop runs what is due', series }
  loopDelay.reset()
  const { heapUsed, external } = process.memoryUsage()
  yield single('heap_used_bytes', 'gauge', 'Memory that objects of JavaScript take', heapUsed)
  yield single('external_memory_bytes', 'gauge', 'Memory that buffers take', external)
}
