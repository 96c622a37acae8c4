// What a channel fetched by basic.get, by queue.
import { forgetOldest } from '../lib/forget-oldest.ts'

/** Queues that are told apart by one channel; beyond that the one that was met first is forgotten. */
const QUEUES_MAX = 1000

/** What was fetched from one queue. */
export class QueueGets {
  readonly queue: string
  /** To be acknowledged. */
  got = 0
  gotNoAck = 0
  /** When there was nothing. */
  empty = 0
  redelivered = 0
  acknowledged = 0

  constructor(queue: string) {
    this.queue = queue
  }
}

/** Counts by the queue's name. */
export class Gets {
  readonly #byQueue = new Map<string, QueueGets>()

  /** The counts of this queue, from now on in any case. */
  of(queue: string): QueueGets {
    const known = this.#byQueue.get(queue)
    if (known !== undefined) return known
    const gets = new QueueGets(queue)
    this.#byQueue.set(queue, gets)
    if (this.#byQueue.size > QUEUES_MAX) forgetOldest(this.#byQueue)
    return gets
  }

  /** The counts of this queue, if there are any. */
  by(queue: string): QueueGets | undefined {
    return this.#byQueue.get(queue)
  }

  [Symbol.iterator](): Iterator<QueueGets> {
    return this.#byQueue.values()
  }
}
