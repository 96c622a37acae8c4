// Lets a few asynchronous works run at a time; the others wait in lines, which take turns.
import { Fifo } from './fifo.ts'

/** Lets `limit` works run at once. */
export class Semaphore {
  #free: number
  /** Those who wait, by line, in the order in which the lines come next. */
  readonly #lines = new Map<string, Fifo<() => void>>()

  constructor(limit: number) {
    this.#free = limit
  }

  /**
   * Runs the work as soon as there is room for it, and passes its outcome on. Works of one line come in their order;
   * where there are several lines, each waits only for one work of every other.
   */
  async run<T>(work: () => Promise<T>, line = ''): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((admit) => this.#wait(line, admit))
    try {
      return await work()
    } finally {
      const next = this.#next()
      if (next) next()
      else this.#free++
    }
  }

  #wait(line: string, admit: () => void): void {
    let waiting = this.#lines.get(line)
    if (waiting === undefined) this.#lines.set(line, (waiting = new Fifo()))
    waiting.push(admit)
  }

  #next(): (() => void) | undefined {
    for (const [line, waiting] of this.#lines) {
      // To the end, if anybody is left in it.
      this.#lines.delete(line)
      const next = waiting.shift()
      if (waiting.length > 0) this.#lines.set(line, waiting)
      return next
    }
    return undefined
  }
}
