// The metrics of the whole node, with RabbitMQ's names.
import { readdir, readFile } from 'node:fs/promises'
import type { AttemptCounts } from '../../core/access/login-attempts.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import { clusterName, type Management } from '../route.ts'
import { memoryJson } from '../views/memory.ts'
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

/** RabbitMQ's names for the parts of the memory, and what they are called in the node's breakdown. */
const MEMORY_PARTS: readonly (readonly [metric: string, part: string, help: string])[] = [
  ['code_module', 'code', 'Code'],
  ['client_connection_reader', 'connection_readers', 'What reads from connections'],
  ['client_connection_writer', 'connection_writers', 'What writes to connections'],
  ['client_connection_channel', 'connection_channels', 'Channels'],
  ['client_connection_other', 'connection_other', 'What else connections have'],
  ['classic_queue_erlang_process', 'queue_procs', 'Classic queues'],
  ['quorum_queue_erlang_process', 'quorum_queue_procs', 'Quorum queues'],
  ['quorum_queue_dlx_erlang_process', 'quorum_queue_dlx_procs', 'Dead-lettering of quorum queues'],
  ['stream_erlang_process', 'stream_queue_procs', 'Streams'],
  ['stream_replica_reader_erlang_process', 'stream_queue_replica_reader_procs', 'Readers of streams'],
  ['stream_coordinator_erlang_process', 'stream_queue_coordinator_procs', 'Coordination of streams'],
  ['plugin', 'plugins', 'Plugins'],
  ['modern_metadata_store', 'metadata_store', 'Metadata'],
  ['other_erlang_process', 'other_proc', 'Other work'],
  ['metrics', 'metrics', 'Metrics'],
  ['management_stats_db', 'mgmt_db', 'Statistics of the management API'],
  ['classic_metadata_store', 'mnesia', 'Metadata of earlier versions'],
  ['quorum_queue_ets_table', 'quorum_ets', 'Tables of quorum queues'],
  ['modern_metadata_store_ets_table', 'metadata_store_ets', 'Tables of metadata'],
  ['other_ets_table', 'other_ets', 'Other tables'],
  ['binary_heap', 'binary', 'Bytes outside of the heap, such as bodies'],
  ['message_index', 'msg_index', 'The index of messages'],
  ['atom_table', 'atom', 'Names'],
  ['other_system', 'other_system', 'What else the process has'],
  ['runtime_allocated_unused', 'allocated_unused', 'Allocated and not used'],
  ['runtime_reserved_unallocated', 'reserved_unallocated', 'Reserved and not allocated'],
]

/** Where the memory is, as far as Node tells: what it does not have is 0. */
export function* memoryMetrics(): Generator<Metric> {
  const memory = memoryJson()
  for (const [metric, part, help] of MEMORY_PARTS) {
    yield single(`memory_${metric}_bytes`, 'gauge', `${help}, in bytes`, memory[part] ?? 0)
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
