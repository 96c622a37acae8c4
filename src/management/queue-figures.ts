// What is told of queues in more than one place: lists, metrics and samples.
import { queueTypeOf } from '../core/arguments.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { VHost } from '../core/vhost.ts'

/** All queues of these vhosts. */
export function* queuesIn(vhosts: readonly VHost[]): Generator<Queue> {
  for (const { queues } of vhosts) yield* queues.values()
}

/** Bytes of the bodies of its messages. */
export function bodyBytes(queue: Queue): number {
  return queue.readyBytes + queue.unackedBytes
}

/** The same of those that are in memory, about. */
export function bodyBytesInMemory(queue: Queue): number {
  return Math.min(queue.residentBytes, bodyBytes(queue))
}

/** Its messages that are in memory, be they ready or out with consumers. */
export function countInMemory(queue: Queue): number {
  return queue.residentCount + queue.unackedResidentCount
}

/** Those that are on disk only. */
export function countOnDiskOnly(queue: Queue): number {
  return queue.readyCount + queue.unackedCount - countInMemory(queue)
}

/** Whether a consumer would take more at once: 1 or 0 (RabbitMQ's share of time, of which only that is known). */
export function consumerCapacity(queue: Queue): 0 | 1 {
  return queue.consumerCount > 0 && queue.opened && queue.readyCount === 0 ? 1 : 0
}

/** Whether it is a quorum queue: a quorum of one. */
export function isQuorum(queue: Queue): boolean {
  return queueTypeOf(queue.arguments) === 'quorum'
}
