// Work that comes in masses and can wait for a moment: some of it in each turn, so that nobody else waits for all of it.
import { Fifo } from './fifo.ts'
import { Stage, type Turn, type TurnTask } from './turn.ts'

/** Items in order of arrival, of which each turn takes some. A few are done at the end of the turn that they came in. */
export class Portions<T> implements TurnTask {
  readonly #turn: Turn
  readonly #atOnce: number
  readonly #work: (item: T) => void
  readonly #items = new Fifo<T>()
  #enlisted = false

  /** Does `work` for each item, `atOnce` of them in a turn. */
  constructor(turn: Turn, atOnce: number, work: (item: T) => void) {
    this.#turn = turn
    this.#atOnce = atOnce
    this.#work = work
  }

  add(item: T): void {
    this.#items.push(item)
    this.#enlist()
  }

  runStage(): void {
    this.#enlisted = false
    // What the work adds comes later.
    for (let left = Math.min(this.#atOnce, this.#items.length); left > 0; left--) this.#work(this.#items.shift()!)
    if (this.#items.length > 0) this.#enlist()
  }

  #enlist(): void {
    if (this.#enlisted) return
    this.#enlisted = true
    this.#turn.enlist(Stage.store, this)
  }
}
