// Deletes the pages of large discards and of dropped logs, a slice with each batch, and asks for their space back.
import type { BackgroundWork, Batch } from './committer.ts'
import type { Database } from './database.ts'
import { Kind, positionKey } from './keys.ts'
import type { Page } from './page.ts'
import { COMPACT_BYTES, COMPACT_BYTES_MIN, ERASE_SLICE } from './tuning.ts'

/** Pages of one log that are to be deleted. */
export interface Erasure {
  readonly log: number
  readonly pages: readonly Page[]
  /** The position in the key of the record that says so, should the broker crash on the way. */
  readonly record: number
}

/** Puts the deletion of a page into a batch. Returns the number of operations. */
export function erasePage(batch: Batch, log: number, page: Page): number {
  batch.del(positionKey(Kind.index, log, page.first))
  if (page.fragments === null) batch.del(positionKey(Kind.fragment, log, page.first))
  else for (const first of page.fragments) batch.del(positionKey(Kind.fragment, log, first))
  return 1 + page.fragmentCount
}

/**
 * Deletes pages in slices. Each page goes with its index record in one batch, so nothing is left behind by a crash; the
 * record of an erasure goes with its last page.
 */
export class Eraser implements BackgroundWork {
  readonly #database: Database
  readonly #readable: () => Promise<void>
  readonly #erasures: Erasure[] = []
  /** The page that comes next in the first erasure. */
  #next = 0
  /** Ranges of keys that were deleted, with the bytes that they held. */
  readonly #ranges: { start: Buffer; end: Buffer; bytes: number }[] = []
  #compacting = false
  #closed = false

  constructor(database: Database, readable: () => Promise<void>) {
    this.#database = database
    this.#readable = readable
  }

  get waiting(): boolean {
    return this.#erasures.length > 0
  }

  add(erasure: Erasure): void {
    this.#erasures.push(erasure)
  }

  contribute(batch: Batch): void {
    let operations = 0
    while (operations < ERASE_SLICE && this.#erasures.length > 0) {
      const erasure = this.#erasures[0]!
      const page = erasure.pages[this.#next++]
      if (page !== undefined) {
        operations += erasePage(batch, erasure.log, page)
        this.#erased(erasure.log, page)
      } else {
        batch.del(positionKey(Kind.erasure, erasure.log, erasure.record))
        this.#erasures.shift()
        this.#next = 0
      }
    }
  }

  committed(): void {
    if (this.#ranges.length > 0 && !this.waiting && !this.#compacting && !this.#closed) void this.#compact()
  }

  /** No more compactions: the database is about to be closed. */
  close(): void {
    this.#closed = true
  }

  /** Takes note of the range that was deleted, in pieces that LevelDB compacts in a moment. */
  #erased(log: number, page: Page): void {
    const end = positionKey(Kind.fragment, log, page.last + 1)
    const range = this.#ranges[this.#ranges.length - 1]
    if (range !== undefined && range.bytes < COMPACT_BYTES && range.start.compare(end, 1, 5, 1, 5) === 0) {
      range.end = end
      range.bytes += page.bytes
    } else {
      this.#ranges.push({ start: positionKey(Kind.fragment, log, page.first), end, bytes: page.bytes })
    }
  }

  async #compact(): Promise<void> {
    this.#compacting = true
    while (this.#ranges.length > 0 && !this.#closed) {
      const { start, end, bytes } = this.#ranges.shift()!
      if (bytes < COMPACT_BYTES_MIN || this.#database.compactRange === undefined) continue
      await this.#readable()
      try {
        await this.#database.compactRange(start, end)
      } catch (error) {
        // The database was closed, or cannot write. The space comes back another time; commits report the trouble.
        if (!('code' in (error as Error))) throw error
      }
    }
    this.#compacting = false
  }
}
