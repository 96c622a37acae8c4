// Random choices from a seed, so that a run can be made again.
import { Random as RandomNumbers } from '../support/random.ts'

/** Choices out of random numbers. */
export class Random extends RandomNumbers {
  /** A whole number from `least` to `most`, both included. */
  int(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  /** The same, small numbers more often: each power of two is as likely as the next. */
  skewed(least: number, most: number): number {
    return Math.min(most, Math.floor(least + Math.expm1(this.next() * Math.log(most - least + 2))))
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
