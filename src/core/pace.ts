// Slows publishers that outrun consumers, so that deliveries and acknowledgements get their turn and memory its bounds.
import type { Clock } from '../lib/clock.ts'
import { OVERRUN_HOLD_MS_MAX, STORE_PENDING_BYTES_MAX } from './limits.ts'
import type { Store } from './ports.ts'
import type { Queue } from './queue/queue.ts'

/** A source of publishes that can be stopped for a while. */
export interface Throttle {
  hold(): void
  release(): void
}

/**
 * Holds a publisher's input for as long as what it published last is ahead of others:
 *
 * - ahead of a queue's consumers, when transient messages fill memory: a millisecond for each time over the limit, but
 *   only while the consumers keep up a rate that makes the wait worth it; a consumer that takes a message a minute
 *   must not stop a burst;
 * - ahead of the store, when too much waits to be written: until it is on disk.
 */
export class Pace {
  readonly #clock: Clock
  readonly #store: Store

  constructor(clock: Clock, store: Store) {
    this.#clock = clock
    this.#store = store
  }

  /** Called after a chunk of publishes: `queue` is one that is overrun, or null. */
  after(throttle: Throttle, queue: Queue | null): void {
    if (this.#store.pendingBytes > STORE_PENDING_BYTES_MAX) {
      throttle.hold()
      this.#store.whenDurable(() => throttle.release())
      return
    }
    if (queue === null || !queue.keepsUp) return
    const before = queue.deliveredTotal
    const pauseMs = Math.min(OVERRUN_HOLD_MS_MAX, Math.ceil(holdMs(queue.overrunRatio)))
    throttle.hold()
    this.#clock.after(pauseMs, () => {
      queue.paced(queue.deliveredTotal - before, pauseMs)
      throttle.release()
    })
  }
}

/**
 * How long a publisher waits for the consumers of a queue that is so many times over its limit. Beyond twice of it
 * messages are written to disk only to be read again: it pays to wait longer.
 */
function holdMs(ratio: number): number {
  return ratio * Math.max(1, ratio / 2)
}
