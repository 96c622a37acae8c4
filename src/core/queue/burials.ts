// Dead letters that nobody takes yet, of queues that are to deliver them at least once.
import type { Clock, Timer } from '../../lib/clock.ts'
import { DEAD_LETTERS_AT_ONCE, DEAD_LETTER_RETRY_MS } from '../limits.ts'
import type { DeathReason } from '../counts.ts'
import type { Entry } from './entry.ts'

interface Waiting {
  readonly entry: Entry
  readonly reason: DeathReason
}

/** Messages that are given up, and still kept: in the log as they were, so that a restart makes them ready again. */
export class Burials {
  readonly #clock: Clock
  readonly #retry: (entry: Entry, reason: DeathReason) => void
  #waiting: Waiting[] = []
  #bytes = 0
  #timer: Timer | null = null

  /** `retry` tries again; what is still not taken comes back by `add`. */
  constructor(clock: Clock, retry: (entry: Entry, reason: DeathReason) => void) {
    this.#clock = clock
    this.#retry = retry
  }

  get count(): number {
    return this.#waiting.length
  }

  /** Their bodies, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** Keeps a message until its dead letter is tried again. */
  add(entry: Entry, reason: DeathReason): void {
    this.#waiting.push({ entry, reason })
    this.#bytes += entry.message.bodyBytes
    this.#timer ??= this.#clock.after(DEAD_LETTER_RETRY_MS, this.#fire)
  }

  /** Forgets all of them: the queue goes, or the broker stops. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#waiting = []
    this.#bytes = 0
  }

  readonly #fire = (): void => {
    this.#timer = null
    const waiting = this.#waiting
    const due = waiting.splice(0, DEAD_LETTERS_AT_ONCE)
    for (const { entry, reason } of due) {
      this.#bytes -= entry.message.bodyBytes
      this.#retry(entry, reason)
    }
    if (this.#waiting.length > 0) this.#timer ??= this.#clock.after(DEAD_LETTER_RETRY_MS, this.#fire)
  }
}
