// How far deliveries from a log went, as the disk knows it: never less far than they did.
import {
  DELIVERED_AHEAD_BATCHES,
  DELIVERED_AHEAD_DECAY_SHIFT,
  DELIVERED_AHEAD_MAX,
  DELIVERED_AHEAD_MIN,
  DELIVERED_RECENT_MS,
} from './tuning.ts'

/**
 * A position below which everything counts as redelivered after a crash.
 *
 *     delivered ──► on disk ──► in the batch in flight ──► stored
 *
 * What is stored is handed out only below the mark that is on disk; or, if it is in the batch in flight itself, below
 * the mark in that batch. So that hardly anybody has to wait, the mark is ahead of the deliveries by what some batches
 * deliver. It never covers what is stored later: that goes into a batch together with a mark of its own.
 */
export class DeliveryMark {
  /** Above every position that was handed to somebody. */
  deliveredBelow: number
  /** The mark in the newest batch. */
  recorded: number
  /** The mark on disk. */
  #durable: number
  /** Above every position that somebody waits for, and those who do. */
  #askedBelow = 0
  #waiting: (() => void)[] = []
  /** How far it is ahead. */
  #ahead = 0
  /** What was delivered when the last batch started, and while the one before it was written. */
  #deliveredAtBatch: number
  #deliveredInFlight = 0
  /** Milliseconds since 1970: a batch in which there were deliveries. */
  #lastDelivery = -Infinity

  constructor(recovered: number) {
    this.deliveredBelow = recovered
    this.recorded = recovered
    this.#durable = recovered
    this.#deliveredAtBatch = recovered
  }

  /** Whether a delivery would be known after a crash. What stands at `durableBelow` or above it is not yet on disk. */
  covers(position: number, durableBelow: number): boolean {
    return position < this.#durable || (position >= durableBelow && position < this.recorded)
  }

  /** Has somebody told when the mark covers a position. Returns whether a batch must be written for that. */
  ask(position: number, then: () => void): boolean {
    if (position >= this.#askedBelow) this.#askedBelow = position + 1
    if (!this.#waiting.includes(then)) this.#waiting.push(then)
    return position >= this.recorded
  }

  /** Notes a delivery. Returns whether it is time to write the mark anew. */
  delivered(position: number, storedBelow: number): boolean {
    if (position < this.deliveredBelow) return false
    this.deliveredBelow = position + 1
    // What waits for its batch is marked with that: only for what was written before a batch is asked for.
    return position < storedBelow && this.recorded < storedBelow && position >= this.recorded - (this.#ahead >> 1)
  }

  /** A batch starts at `now`. Returns whether the mark has moved, and must be in it. */
  advance(now: number, storedBelow: number, closing: boolean): boolean {
    const waited = this.#waiting.length > 0
    if (this.deliveredBelow > this.#deliveredAtBatch || waited) this.#lastDelivery = now
    this.#deliveredAtBatch = this.deliveredBelow
    if (closing) return this.#record(Math.min(this.deliveredBelow, storedBelow))
    // Where somebody had to wait, the last batches say what the mark allowed, and not what might be delivered.
    const kept = waited ? this.#ahead * 2 : this.#ahead - (this.#ahead >> DELIVERED_AHEAD_DECAY_SHIFT)
    const least = Math.max(DELIVERED_AHEAD_MIN, kept)
    const ahead = Math.min(Math.max(this.#deliveredInFlight * DELIVERED_AHEAD_BATCHES, least), DELIVERED_AHEAD_MAX)
    this.#ahead = now - this.#lastDelivery > DELIVERED_RECENT_MS ? 0 : ahead
    const from = Math.max(this.deliveredBelow, this.#askedBelow)
    return this.#record(Math.max(Math.min(from + this.#ahead, storedBelow), this.recorded))
  }

  /** The newest batch is on disk. */
  committed(): void {
    this.#durable = this.recorded
    this.#deliveredInFlight = this.deliveredBelow - this.#deliveredAtBatch
    this.tell()
  }

  /** Tells those who wait, whether they may go on now or not: they ask again. */
  tell(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const then of waiting) then()
  }

  #record(mark: number): boolean {
    const moved = mark !== this.recorded
    this.recorded = mark
    return moved
  }
}
