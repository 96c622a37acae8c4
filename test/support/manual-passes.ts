// An event loop whose passes and whose time a test moves on.
import { setImmediate as settled } from 'node:timers/promises'
import type { Passes } from '../../src/lib/slices.ts'

/** Passes that come when the test says so; time stands still unless it is spent. */
export class ManualPasses implements Passes {
  readonly #waiting: (() => void)[] = []
  readonly #perLook: number
  #now = 0
  #count = 0

  /** With `perLook`, every look at the time takes so many milliseconds: work that looks often takes long. */
  constructor(perLook = 0) {
    this.#perLook = perLook
  }

  /** How many there have been. */
  get count(): number {
    return this.#count
  }

  now(): number {
    this.#now += this.#perLook
    return this.#now
  }

  next(callback: () => void): void {
    this.#waiting.push(callback)
  }

  spend(milliseconds: number): void {
    this.#now += milliseconds
  }

  /** One pass, and all that follows from it until the next is asked for. Returns whether there was anything to do. */
  async run(): Promise<boolean> {
    const due = this.#waiting.splice(0)
    this.#count++
    for (const callback of due) callback()
    await settled()
    return due.length > 0
  }

  /** Passes for as long as there is something to do; returns how many. */
  async runAll(): Promise<number> {
    let passes = 0
    while (this.#waiting.length > 0) {
      await this.run()
      passes++
    }
    return passes
  }
}
