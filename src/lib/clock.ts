// Time as the broker sees it: injected, so that a test can move it.

/** A timer that was set on a clock. */
export interface Timer {
  cancel(): void
}

/** A source of time. Milliseconds everywhere. */
export interface Clock {
  /** Milliseconds since 1970, as the machine's calendar has them. */
  now(): number
  /** Calls back once after `delayMs`. A timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer
  /** Calls back every `periodMs` until it is cancelled. */
  every(periodMs: number, callback: () => void): Timer
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref()
    return { cancel: () => clearTimeout(timer) }
  },
  every(periodMs, callback) {
    const timer = setInterval(callback, periodMs).unref()
    return { cancel: () => clearInterval(timer) }
  },
}

/** A clock that stands still until it is told to move. For tests. */
export class ManualClock implements Clock {
  #now: number
  readonly #timers = new Set<{ due: number; period: number; callback: () => void }>()

  constructor(now = 1_700_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  /** Timers that are set. */
  get timerCount(): number {
    return this.#timers.size
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#add(delayMs, 0, callback)
  }

  every(periodMs: number, callback: () => void): Timer {
    return this.#add(periodMs, periodMs, callback)
  }

  /** Moves time on and runs what falls due, in the order in which it does. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds
    for (;;) {
      let next: { due: number; period: number; callback: () => void } | undefined
      for (const timer of this.#timers) if (timer.due <= end && (!next || timer.due < next.due)) next = timer
      if (!next) break
      this.#now = Math.max(this.#now, next.due)
      if (next.period > 0) next.due += next.period
      else this.#timers.delete(next)
      next.callback()
    }
    this.#now = end
  }

  #add(delayMs: number, period: number, callback: () => void): Timer {
    const timer = { due: this.#now + delayMs, period, callback }
    this.#timers.add(timer)
    return { cancel: () => this.#timers.delete(timer) }
  }
}
