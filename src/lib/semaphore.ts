// Lets a few asynchronous works run at a time; the others wait in order.
import { Fifo } from './fifo.ts'

/** Lets `limit` works run at once. */
export class Semaphore {
  #free: number
  readonly #waiting = new Fifo<() => void>()

  constructor(limit: number) {
    this.#free = limit
  }

  /** Runs the work as soon as there is room for it, and passes its outcome on. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((admit) => this.#waiting.push(admit))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
