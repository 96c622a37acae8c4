// The metrics of the whole node, with RabbitMQ's names.
import { readdir, readFile } from 'node:fs/promises'
import type { AttemptCounts } from '../../core/access/login-attempts.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import { clusterName, type Management } from '../route.ts'
import { memoryJson } from '../views/memory.ts'
import { countersOf, gaugesOf, single, type Metric } from './exposition.ts'

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

/** The node's use of what is limited. */
function* nodeCoarse({ broker, rates }: Management): Generator<Metric> {
  const { usedBytes, freeDiskBytes } = broker.resources
  const { files, levels, counters } = rates.node
  yield* gaugesOf([
    ['process_open_fds', 'Open file descriptors', files.open],
    ['process_open_tcp_sockets', 'Open TCP sockets', levels.sockets_used],
    ['process_resident_memory_bytes', 'Memory used in bytes', usedBytes],
    ['disk_space_available_bytes', 'Disk space available in bytes', freeDiskBytes ?? 0],
    ['erlang_processes_used', 'Processes used: one', levels.proc_used],
  ])
  yield* countersOf([
    ['erlang_gc_runs_total', 'Number of garbage collector runs: not counted', 0],
    ['erlang_gc_reclaimed_bytes_total', 'Bytes that were reclaimed by garbage collection: not counted', 0],
    ['erlang_scheduler_context_switches_total', 'Context switches of the process', counters.context_switches],
  ])
}

/** The limits of the node, and how long it has been up. */
function* nodeLimits({ broker, clock, node, rates }: Management): Generator<Metric> {
  const { limits } = broker.resources
  const { files } = rates.node
  yield* gaugesOf([
    ['erlang_uptime_seconds', 'Node uptime', (clock.now() - node.startedAt) / 1000],
    ['process_max_fds', 'Open file descriptors limit', files.most],
    ['process_max_tcp_sockets', 'Open TCP sockets limit', files.most],
    ['resident_memory_limit_bytes', 'Memory high watermark in bytes', limits.memoryBytes],
    ['disk_space_available_limit_bytes', 'Free disk space low watermark in bytes', limits.diskFreeBytes],
    ['erlang_processes_limit', 'Processes limit', 1],
    ['erlang_scheduler_run_queue', 'Work that waits for a processor: not counted', 0],
    ['erlang_net_ticktime_seconds', 'Time between two ticks of nodes: there is one node', 60],
  ])
}

/** What was read and written. */
function* nodePersister({ rates }: Management): Generator<Metric> {
  const { counters } = rates.node
  yield* countersOf([
    ['io_read_ops_total', 'Blocks that the system read', counters.io_read_count],
    ['io_read_bytes_total', 'Bytes that the system read', counters.io_read_bytes],
    ['io_write_ops_total', 'Blocks that the system wrote', counters.io_write_count],
    ['io_write_bytes_total', 'Bytes that the system wrote', counters.io_write_bytes],
    ['io_sync_ops_total', 'Synced batches', counters.io_sync_count],
    ['io_seek_ops_total', 'Seeks: not counted', 0],
    ['io_reopen_ops_total', 'Files that were opened again: none', 0],
    ['schema_db_ram_tx_total', 'Transactions in memory: none', 0],
    ['schema_db_disk_tx_total', 'Transactions on disk: none', 0],
    ['msg_store_read_total', 'Messages that were read from the store: not counted', 0],
    ['msg_store_write_total', 'Operations that were written to the store', counters.msg_store_write_count],
    ['queue_index_read_ops_total', 'Reads of an index: none', 0],
    ['queue_index_write_ops_total', 'Writes of an index: none', 0],
    ['io_read_time_seconds_total', 'Time of reads: not counted', 0],
    ['io_write_time_seconds_total', 'Time of writes: not counted', 0],
    [
      'io_sync_time_seconds_total',
      'Time of synced batches',
      (counters.io_sync_avg_time * counters.io_sync_count) / 1000,
    ],
    ['io_seek_time_seconds_total', 'Time of seeks: not counted', 0],
  ])
}

function* alarmMetrics({ broker }: Management): Generator<Metric> {
  const raised = (alarm: 'memory' | 'disk'): number => (broker.alarms.causes(alarm).size > 0 ? 1 : 0)
  yield* gaugesOf([
    ['alarms_memory_used_watermark', 'is 1 if the memory alarm is in effect', raised('memory')],
    ['alarms_free_disk_space_watermark', 'is 1 if the disk alarm is in effect', raised('disk')],
    ['alarms_file_descriptor_limit', 'is 1 if file descriptor limit alarm is in effect', 0],
  ])
}

/** The families of the node, by the names that `family` takes. */
export const nodeFamilies: ReadonlyMap<string, (management: Management) => Iterable<Metric>> = new Map([
  ['node_coarse_metrics', nodeCoarse],
  ['node_metrics', nodeLimits],
  ['node_persister_metrics', nodePersister],
])

/** The node itself: memory, disk, files, alarms. As last sampled, as far as the system has to be asked. */
export function* nodeMetrics(management: Management): Generator<Metric> {
  for (const family of nodeFamilies.values()) yield* family(management)
  yield* alarmMetrics(management)
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

/** Who tried to log in, from where. There are as many sources as are told apart, whatever strangers do. */
export function* loginSourceMetrics({ broker }: Management): Generator<Metric> {
  const sources = Array.from(broker.access.attempts.sources, ({ address, user, protocol, counts }) => {
    // RabbitMQ: what is empty is no label.
    const labels = Object.entries({ remote_address: address, username: user, protocol })
    return { labels: Object.fromEntries(labels.filter(([, value]) => value !== '')), counts }
  })
  const counter = (name: string, help: string, read: (counts: AttemptCounts) => number): Metric => ({
    name: `auth_attempts_detailed${name}_total`,
    type: 'counter',
    help: `${help}, by where they came from`,
    series: sources.map(({ labels, counts }) => ({ labels, value: read(counts) })),
  })
  yield counter('', 'Attempts to log in', ({ succeeded, failed }) => succeeded + failed)
  yield counter('_succeeded', 'Attempts to log in that succeeded', ({ succeeded }) => succeeded)
  yield counter('_failed', 'Attempts to log in that failed', ({ failed }) => failed)
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
