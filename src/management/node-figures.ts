// What is sampled of the node: comings and goings, and what the system tells of the process. RabbitMQ's names.
import type { Broker } from '../core/broker.ts'
import { Churn } from '../core/counts.ts'
import { openFiles, type OpenFiles } from './metrics/totals.ts'
import type { Kind } from './rates.ts'

/** Bytes of the blocks in which the system counts what is read and written. */
const BLOCK_BYTES = 512

/** What RabbitMQ counts, and this broker has not or cannot tell. */
export const UNKNOWN_FIGURES = [
  'gc_num',
  'gc_bytes_reclaimed',
  'io_read_avg_time',
  'io_write_avg_time',
  'io_seek_count',
  'io_seek_avg_time',
  'io_reopen_count',
  'mnesia_ram_tx_count',
  'mnesia_disk_tx_count',
  'msg_store_read_count',
  'queue_index_read_count',
  'queue_index_write_count',
] as const

/** Comings and goings by RabbitMQ's names. */
export function churnFigures(churn: Churn) {
  return {
    connection_created: churn.connectionsOpened,
    connection_closed: churn.connectionsClosed,
    channel_created: churn.channelsOpened,
    channel_closed: churn.channelsClosed,
    queue_declared: churn.queuesDeclared,
    queue_created: churn.queuesCreated,
    queue_deleted: churn.queuesDeleted,
  }
}

/** What the process has and does. */
export class NodeFigures {
  readonly #broker: Broker
  /** As they were last looked at. */
  files: OpenFiles = { open: -1, most: -1 }

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Looks at what cannot be read at once. Rejects when it cannot be read at all. */
  async look(): Promise<void> {
    this.files = await openFiles()
  }

  /** What is there now. */
  get levels() {
    const { resources, connections } = this.#broker
    return {
      mem_used: resources.usedBytes,
      fd_used: this.files.open < 0 ? connections.size : this.files.open,
      sockets_used: connections.size,
      disk_free: resources.freeDiskBytes ?? 0,
      proc_used: 1,
    }
  }

  /** What was done since the start. The store syncs each batch that it writes; times are in milliseconds. */
  get counters() {
    const { seconds, operations } = this.#broker.store.commits
    const syncs = seconds.counts.reduce((sum, count) => sum + count, 0)
    const { fsRead, fsWrite, voluntaryContextSwitches, involuntaryContextSwitches } = process.resourceUsage()
    return {
      context_switches: voluntaryContextSwitches + involuntaryContextSwitches,
      io_read_count: fsRead,
      io_read_bytes: fsRead * BLOCK_BYTES,
      io_write_count: fsWrite,
      io_write_bytes: fsWrite * BLOCK_BYTES,
      io_sync_count: syncs,
      io_sync_avg_time: syncs === 0 ? 0 : (seconds.sum / syncs) * 1000,
      msg_store_write_count: operations.sum,
    }
  }
}

/** How comings and goings are sampled. */
export const churnKind: Kind<Churn> = {
  names: Object.keys(churnFigures(new Churn())),
  read: (churn, into) => into.set(Object.values(churnFigures(churn))),
}

/** How the node is sampled: levels and counters, in the order of these names. */
export const nodeKind: Kind<NodeFigures> = {
  names: [
    ...['mem_used', 'fd_used', 'sockets_used', 'disk_free', 'proc_used'],
    ...['context_switches', 'io_read_count', 'io_read_bytes', 'io_write_count', 'io_write_bytes'],
    ...['io_sync_count', 'io_sync_avg_time', 'msg_store_write_count'],
  ],
  read: ({ levels, counters }, into) => into.set([...Object.values(levels), ...Object.values(counters)]),
}
