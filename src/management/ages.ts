// How long messages have waited, and deliveries been out. Nothing is noted for a single message: positions and delivery
// tags only grow, so that it is enough to look every few seconds how far they have come.
import type { ChannelView } from '../core/clients.ts'
import type { QueueLog } from '../core/ports.ts'
import type { Queue } from '../core/queue/queue.ts'
import { TimeMarks } from '../lib/time-marks.ts'

/** The first message of a queue, and when the store took it, of one that was here before the broker started. */
interface Survivor {
  readonly position: number
  readonly storedAt: number
}

/** What is known of ages; each is an age of at least so long, by some seconds less than it is. */
export class Ages {
  readonly #queues = new WeakMap<Queue, TimeMarks>()
  readonly #channels = new WeakMap<ChannelView, TimeMarks>()
  readonly #survivors = new WeakMap<Queue, Survivor>()
  /** Queues whose first message is to be asked for its time. */
  readonly #unknown = new Set<Queue>()
  #asking = false

  /** Looks how far a queue has come. */
  noteQueue(queue: Queue, now: number): void {
    if (!queue.opened) return
    const first = queue.firstPosition
    if (first < queue.recoveredBelow && this.#survivors.get(queue)?.position !== first) this.#unknown.add(queue)
    const marks = this.#queues.get(queue)
    if (marks === undefined && first === Infinity) return
    this.#marksOf(this.#queues, queue).note(queue.nextPosition, first, now)
  }

  /** Looks how far a channel has come. */
  noteChannel(channel: ChannelView, now: number): void {
    const marks = this.#channels.get(channel)
    if (marks === undefined && channel.unackedCount === 0) return
    const from = channel.unackedCount === 0 ? channel.nextDeliveryTag : channel.firstUnackedTag
    this.#marksOf(this.#channels, channel).note(channel.nextDeliveryTag, from, now)
  }

  /** How long the first of the ready messages has been here, in milliseconds; null when there is none. */
  oldest(queue: Queue, now: number): number | null {
    const first = queue.firstPosition
    if (first === Infinity || !queue.opened) return null
    return this.of(queue, first, now)
  }

  /** How long the message at this position has been here, in milliseconds. */
  of(queue: Queue, position: number, now: number): number {
    const survivor = this.#survivors.get(queue)
    if (survivor?.position === position) return Math.max(0, now - survivor.storedAt)
    return since(this.#queues.get(queue)?.passed(position), now)
  }

  /** How long a delivery has been out, in milliseconds. */
  ofDelivery(channel: ChannelView, deliveryTag: number, now: number): number {
    return since(this.#channels.get(channel)?.passed(deliveryTag), now)
  }

  /** Asks the store for the times of first messages that were here before the start, one queue after the other. */
  async askStore(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    try {
      for (const queue of this.#unknown) {
        this.#unknown.delete(queue)
        const survivor = await firstStored(queue.levelLogs.values(), queue.firstPosition)
        if (survivor !== null) this.#survivors.set(queue, survivor)
      }
    } finally {
      this.#asking = false
    }
  }

  #marksOf<T extends object>(all: WeakMap<T, TimeMarks>, object: T): TimeMarks {
    let marks = all.get(object)
    if (marks === undefined) all.set(object, (marks = new TimeMarks()))
    return marks
  }
}

async function firstStored(logs: Iterable<QueueLog>, position: number): Promise<Survivor | null> {
  for (const log of logs) {
    const [stored] = await log.read(position, position + 1)
    if (stored !== undefined) return { position, storedAt: stored.storedAt }
  }
  return null
}

function since(time: number | null | undefined, now: number): number {
  return time === null || time === undefined ? 0 : Math.max(0, now - time)
}
