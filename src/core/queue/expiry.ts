// Messages that do not wait for ever: each goes when its own time has come, wherever in the queue it stands.
import type { Clock, Timer } from '../../lib/clock.ts'
import { Heap } from '../../lib/heap.ts'
import { EXPIRED_AT_ONCE, TIMER_MS_MAX } from '../limits.ts'
import { EntryState, type Entry, type EntryDetails } from './entry.ts'

/** An entry that has a deadline. */
type Mortal = Entry & { readonly details: EntryDetails }

const COMPACT_FROM = 64

/** The ready messages of a queue. */
export interface Perishables {
  /** When the first of those that are on disk only expires; Infinity when none does. */
  readonly storedDeadline: number
  /** Has those read that are on disk only and have expired. */
  expireStored(now: number): void
  /** Takes one out, wherever it stands. */
  remove(entry: Entry): void
}

/**
 * The deadlines of one queue: those in memory by message, those on disk by stretches. One timer, set to the first of
 * them. What was delivered meanwhile stays in the heap until its time comes or the dead are the majority.
 */
export class Expiry {
  readonly #clock: Clock
  readonly #ready: Perishables
  readonly #expired: (entry: Entry) => void
  readonly #heap = new Heap<Mortal>(earlier)
  #compactAbove = COMPACT_FROM
  #timer: Timer | null = null
  #timerAt = Infinity
  #stopped = false

  /** `expired` is given those that were taken out, each when its time has come. */
  constructor(clock: Clock, ready: Perishables, expired: (entry: Entry) => void) {
    this.#clock = clock
    this.#ready = ready
    this.#expired = expired
  }

  /** An entry that has a deadline waits from now on. */
  watch(entry: Entry): void {
    const { details } = entry
    if (details === null || details.deadline === Infinity || details.watched) return
    details.watched = true
    this.#heap.push(entry as Mortal)
    if (this.#heap.length > this.#compactAbove) this.#compact()
    if (details.deadline < this.#timerAt) this.arm()
  }

  /** Whether a message that is about to be delivered must not be any more. */
  due(entry: Entry): boolean {
    return entry.details !== null && entry.details.deadline <= this.#clock.now()
  }

  /** Sets the timer to the first deadline: called when those on disk have changed. */
  arm(): void {
    const first = Math.min(this.#heap.peek()?.details.deadline ?? Infinity, this.#ready.storedDeadline)
    if (first === this.#timerAt || this.#stopped) return
    this.#timer?.cancel()
    this.#timer = null
    this.#timerAt = first
    if (first === Infinity) return
    const delay = Math.min(Math.max(first - this.#clock.now(), 0), TIMER_MS_MAX)
    this.#timer = this.#clock.after(delay, this.#fire)
  }

  /** The queue is gone. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#heap.clear()
  }

  readonly #fire = (): void => {
    this.#timer = null
    this.#timerAt = Infinity
    const now = this.#clock.now()
    // Many that are due at once must not keep everybody else waiting.
    for (let count = 0; count < EXPIRED_AT_ONCE; count++) {
      const entry = this.#heap.peek()
      if (entry === undefined || entry.details.deadline > now) break
      this.#heap.pop()
      entry.details.watched = false
      if (entry.state !== EntryState.ready) continue
      this.#ready.remove(entry)
      this.#expired(entry)
    }
    if (this.#ready.storedDeadline <= now) this.#ready.expireStored(now)
    this.arm()
  }

  #compact(): void {
    this.#heap.retain((entry) => {
      const { details } = entry
      details.watched = entry.state === EntryState.ready
      return details.watched
    })
    this.#compactAbove = Math.max(COMPACT_FROM, this.#heap.length * 2)
  }
}

/** Those of one deadline go in the order of the queue. */
function earlier(a: Mortal, b: Mortal): boolean {
  const difference = a.details.deadline - b.details.deadline
  return difference === 0 ? a.position < b.position : difference < 0
}
