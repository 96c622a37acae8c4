// Random choices from a seed, so that a run can be made again.

/** A source of random numbers (mulberry32): fast, and good enough to choose by. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A number from 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `least` to `most`, both included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  /** The same, small numbers more often: each power of two is as likely as the next. */
  skewed(least: number, most: number): number {
    return Math.min(most, Math.floor(least + Math.expm1(this.next() * Math.log(most - least + 2))))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)]!
  }

  /** Puts the items into another order. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.int(0, i)
      const item = items[i]!
      items[i] = items[j]!
      items[j] = item
    }
    return items
  }

  /** A source of its own, so that what one actor does with its numbers changes nothing for the others. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 2 ** 32))
  }
}
