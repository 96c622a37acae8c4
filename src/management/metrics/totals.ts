// The metrics of the whole node, with RabbitMQ's names.
import { readdir, readFile } from 'node:fs/promises'
import type { AttemptCounts } from '../../core/access/login-attempts.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import { clusterName, type Management } from '../route.ts'
import { single, type Metric } from './exposition.ts'

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

/** Who tried to log in, by protocol. */
export function* loginMetrics({ broker }: Management): Generator<Metric> {
  const { attempts } = broker.access
  const protocols = ['amqp091', 'http'] as const
  const counter = (name: string, help: string, read: (counts: AttemptCounts) => number): Metric => ({
    name: `auth_attempts${name}_total`,
    type: 'counter',
    help: `Total number of ${help}`,
    series: protocols.map((protocol) => ({ labels: { protocol }, value: read(attempts.of(protocol)) })),
  })
  yield counter('', 'authorization attempts', ({ succeeded, failed }) => succeeded + failed)
  yield counter('_succeeded', 'successful authentication attempts', ({ succeeded }) => succeeded)
  yield counter('_failed', 'failed authentication attempts', ({ failed }) => failed)
}
