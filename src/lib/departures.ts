// Has memory collected after many have gone: V8 collects when something is allocated, and an idle process allocates
// nothing for hours.
import type { Clock, Timer } from './clock.ts'
import { beginCollection } from './garbage.ts'

const PERIOD_MS = 2000

/** So many must have gone before a collection is worth its time: as much as half a millisecond for each MiB of the heap. */
export const DEPARTED_MIN = 1000

/** Looks every two seconds how many there are, and calls back once when many have gone and no more are going. */
export class Departures {
  readonly #count: () => number
  readonly #departed: () => void
  readonly #timer: Timer
  #highest = 0
  #before = 0

  constructor(clock: Clock, count: () => number, departed: () => void = beginCollection) {
    this.#count = count
    this.#departed = departed
    this.#timer = clock.every(PERIOD_MS, () => this.#look())
  }

  stop(): void {
    this.#timer.cancel()
  }

  #look(): void {
    const now = this.#count()
    const settled = now === this.#before
    this.#before = now
    this.#highest = Math.max(this.#highest, now)
    if (!settled || this.#highest - now < DEPARTED_MIN) return
    this.#highest = now
    this.#departed()
  }
}
