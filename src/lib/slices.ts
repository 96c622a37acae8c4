// Long work beside messages: it is cut into slices, and all that goes on at a time shares one slice in each pass of the
// event loop, so that however much is asked for, messages wait no longer than for that.
import { Fifo } from './fifo.ts'

/** How long a slice lasts, in milliseconds. Some times what a pass full of messages takes, and much less than is noticed. */
export const SLICE_MS = 4

/** What slices are cut by: a time in milliseconds that only grows, and something that calls back in the next pass. */
export interface Passes {
  now(): number
  next(callback: () => void): void
}

const eventLoop: Passes = {
  now: () => performance.now(),
  next: (callback) => void setImmediate(callback),
}

/**
 * Hands out slices in turn, one a pass. Whoever has long work to do awaits `begin` before it and, between two small steps
 * of it, `next` whenever the slice is `over`.
 */
export class Slices {
  readonly #passes: Passes
  readonly #waiting = new Fifo<() => void>()
  #endsAt = 0
  #scheduled = false
  /** Whether a slice began in this pass, or the one before, for somebody who had not waited. */
  #begun = false

  constructor(passes: Passes = eventLoop) {
    this.#passes = passes
  }

  /** Whether the slice that was handed out last has lasted long enough. */
  get over(): boolean {
    return this.#passes.now() >= this.#endsAt
  }

  /**
   * Resolves at the start of a slice: at once if nobody has one and nobody waits, so that what is short waits for no pass
   * of the event loop; otherwise as `next` does.
   */
  async begin(): Promise<void> {
    if (this.#begun || this.#scheduled || this.#waiting.length > 0) return this.next()
    this.#begun = true
    this.#endsAt = this.#passes.now() + SLICE_MS
    // Whoever comes in the same pass waits, and in the one after it gives way to whoever has waited.
    this.#passes.next(() => this.#passes.next(() => (this.#begun = false)))
  }

  /** Resolves at the start of a slice, in a later pass of the event loop. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#passes.next(this.#begin)
  }

  readonly #begin = (): void => {
    this.#scheduled = false
    const resume = this.#waiting.shift()
    if (resume === undefined) return
    this.#endsAt = this.#passes.now() + SLICE_MS
    resume()
    if (this.#waiting.length > 0) this.#schedule()
  }
}
