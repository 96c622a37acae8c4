// A queue that goes when nobody has used it for a while.
import type { Clock, Timer } from '../../lib/clock.ts'
import { TIMER_MS_MAX } from '../limits.ts'

/** What an idleness needs from its queue. */
export interface IdlenessHost {
  readonly consumerCount: number
  /** Nobody has used the queue for the whole time. */
  idle(): void
}

/** RabbitMQ: x-expires. Counts from the last use; a queue that has consumers is in use. */
export class Idleness {
  readonly expiresMs: number
  readonly #clock: Clock
  readonly #host: IdlenessHost
  #usedAt: number
  #timer: Timer | null = null

  constructor(expiresMs: number, clock: Clock, host: IdlenessHost) {
    this.expiresMs = expiresMs
    this.#clock = clock
    this.#host = host
    this.#usedAt = clock.now()
    this.#arm(expiresMs)
  }

  /** The queue is used just now. The timer is not set anew: it looks when it fires. */
  used(): void {
    this.#usedAt = this.#clock.now()
  }

  /** The queue goes, or the broker stops. */
  stop(): void {
    this.#timer?.cancel()
  }

  #arm(delay: number): void {
    this.#timer = this.#clock.after(Math.min(delay, TIMER_MS_MAX), this.#fire)
  }

  readonly #fire = (): void => {
    const now = this.#clock.now()
    if (this.#host.consumerCount > 0) this.#usedAt = now
    const left = this.#usedAt + this.expiresMs - now
    if (left > 0) this.#arm(left)
    else this.#host.idle()
  }
}
