// By way of which exchanges confirmed publishes went: known without noting anything for a single one.
import type { Passage } from '../core/passages.ts'
import { Fifo } from '../lib/fifo.ts'

/** Publishes in a row to the same exchange. */
interface Run {
  readonly passage: Passage
  /** The sequence of the first of them. */
  readonly first: number
}

/** Publishes by number, in runs to the same exchange. Confirms come in the order of the numbers, so that they follow. */
export class ConfirmedPassages {
  /** That of the newest publish, and of the next one to be confirmed. */
  #newest: Passage | null = null
  #current: Passage | null = null
  /** The runs behind the current one. */
  readonly #runs = new Fifo<Run>()

  /** A publish begins. */
  begin(sequence: number, passage: Passage): void {
    if (passage === this.#newest) return
    this.#newest = passage
    if (this.#current === null) this.#current = passage
    else this.#runs.push({ passage, first: sequence })
  }

  /** The publishes from one number to below another are confirmed. Those before were, or were refused. */
  confirm(first: number, below: number): void {
    let at = first
    while (at < below) {
      const next = this.#runs.peek()
      const end = next === undefined ? below : Math.min(next.first, below)
      if (end > at) {
        this.#current!.confirmed += end - at
        at = end
      } else {
        this.#current = next!.passage
        this.#runs.shift()
      }
    }
  }
}
