// Index records that are behind: how much of the store they know nothing of, and when they are to be written.
import type { BackgroundWork, Batch } from './committer.ts'
import { BEHIND_BYTES_MAX, BEHIND_LOGS_MAX, BEHIND_PAGES_MAX } from './tuning.ts'

/** A log whose index records are behind. */
export interface Behind {
  /** Puts them into a batch. */
  catchUp(batch: Batch): void
}

/**
 * A log that stores much writes fragments only, whose keys grow. Its index records are written together, when there is
 * so much of all logs that a start would take long to find it: one that is behind is made anew from fragments then.
 */
export class CatchingUp implements BackgroundWork {
  /** There is never anything for which a batch would have to be written. */
  readonly waiting = false
  readonly #logs = new Set<Behind>()
  #pages = 0
  #bytes = 0

  /** A log stored so much of which its index records do not know, in pages some of which are new. */
  behind(log: Behind, pages: number, bytes: number): void {
    this.#logs.add(log)
    this.#pages += pages
    this.#bytes += bytes
  }

  /** A log is of no use any more. */
  forget(log: Behind): void {
    this.#logs.delete(log)
  }

  contribute(batch: Batch): void {
    const few = this.#pages <= BEHIND_PAGES_MAX && this.#logs.size <= BEHIND_LOGS_MAX
    if (few && this.#bytes <= BEHIND_BYTES_MAX) return
    const logs = [...this.#logs]
    this.#logs.clear()
    this.#pages = 0
    this.#bytes = 0
    for (const log of logs) log.catchUp(batch)
  }

  committed(): void {}
}
