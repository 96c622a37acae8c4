// How late the event loop runs what is due: whatever keeps it busy keeps everybody waiting.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Clock, Timer } from '../../lib/clock.ts'

/** How long one reading lasts: long enough for a percentile, shorter than the usual distance of scrapes. Milliseconds. */
const WINDOW_MS = 10_000
/** How often the delay is looked at, in milliseconds. */
const RESOLUTION_MS = 20
const NANOSECONDS = 1e9

/** What was measured in one window, in seconds. */
export interface LoopDelays {
  readonly mean: number
  readonly p99: number
  readonly max: number
}

/** Measures in windows, one after the other, so that it does not matter who asks how often. */
export class LoopDelay {
  readonly #clock: Clock
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  #last: LoopDelays | null = null
  #timer: Timer | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  start(): void {
    this.#histogram.enable()
    this.#timer = this.#clock.every(WINDOW_MS, () => {
      this.#last = this.#read()
      this.#histogram.reset()
    })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#histogram.disable()
  }

  /** The last full window; in the first, what there is of it. */
  get delays(): LoopDelays {
    return this.#last ?? this.#read()
  }

  #read(): LoopDelays {
    const { count, mean, max } = this.#histogram
    if (count === 0) return { mean: 0, p99: 0, max: 0 }
    const p99 = this.#histogram.percentile(99)
    return { mean: mean / NANOSECONDS, p99: p99 / NANOSECONDS, max: max / NANOSECONDS }
  }
}
