// Where the memory is.
import { getHeapStatistics } from 'node:v8'
import type { JsonObject } from '../http-error.ts'

/** RabbitMQ's memory breakdown, as far as one process of JavaScript has such parts. */
export function memoryJson(): { readonly [part: string]: number } {
  const { rss, heapUsed, external } = process.memoryUsage()
  const code = getHeapStatistics().total_heap_size_executable
  const known = heapUsed + external
  return {
    connection_readers: 0,
    connection_writers: 0,
    connection_channels: 0,
    connection_other: 0,
    queue_procs: Math.max(0, heapUsed - code),
    quorum_queue_procs: 0,
    quorum_queue_dlx_procs: 0,
    stream_queue_procs: 0,
    stream_queue_replica_reader_procs: 0,
    stream_queue_coordinator_procs: 0,
    plugins: 0,
    metadata_store: 0,
    other_proc: 0,
    metrics: 0,
    mgmt_db: 0,
    mnesia: 0,
    quorum_ets: 0,
    metadata_store_ets: 0,
    other_ets: 0,
    binary: external,
    msg_index: 0,
    code,
    atom: 0,
    other_system: Math.max(0, rss - known),
    allocated_unused: 0,
    reserved_unallocated: 0,
  }
}

/** The same with the sum, of which three views are told. */
export function memoryWithTotal(): JsonObject {
  const { rss, heapTotal } = process.memoryUsage()
  return { ...memoryJson(), strategy: 'rss', total: { erlang: heapTotal, rss, allocated: rss } }
}

/** Who has the bytes that are outside of the heap. Node does not tell. */
export function binaryJson(): JsonObject {
  return {
    connection_readers: 0,
    connection_writers: 0,
    connection_channels: 0,
    connection_other: 0,
    queue_procs: 0,
    quorum_queue_procs: 0,
    quorum_queue_dlx_procs: 0,
    stream_queue_procs: 0,
    stream_queue_replica_reader_procs: 0,
    stream_queue_coordinator_procs: 0,
    plugins: 0,
    mgmt_db: 0,
    msg_index: 0,
    other: process.memoryUsage().external,
  }
}
