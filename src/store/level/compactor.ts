// Asks LevelDB to give back the space of pages that were deleted, where it would not do so by itself for long.
import type { Database } from './database.ts'
import { Kind, positionKey } from './keys.ts'
import type { Page } from './page.ts'
import type { Reader } from './reader.ts'
import { COMPACT_BYTES, COMPACT_BYTES_MIN, COMPACT_YOUNG_BYTES_MIN, PAGE_SPAN, TABLES_HELD } from './tuning.ts'

/** Neighbouring pages of a log that were deleted, from one position to below another, and the bytes that they had. */
interface Range {
  readonly log: number
  from: number
  below: number
  bytes: number
}

/**
 * Gathers what was deleted in ranges of which each is compacted in a moment, and has them compacted one after the
 * other: LevelDB does not compact anything else meanwhile.
 */
export class Compactor {
  readonly #database: Database
  readonly #reader: Reader
  readonly #readable: () => Promise<void>
  /**
   * What is being gathered, by log, and what is written of late of that; what waits until its deletion is on disk; and
   * what can be compacted.
   */
  readonly #gathered = new Map<number, Range>()
  readonly #young = new Map<number, Range>()
  readonly #deleted: Range[] = []
  readonly #ready: Range[] = []
  #running = false
  #closed = false

  constructor(database: Database, reader: Reader, readable: () => Promise<void>) {
    this.#database = database
    this.#reader = reader
    this.#readable = readable
  }

  /** Takes note of a page that is being deleted. */
  deleted(log: number, page: Page): void {
    let range = this.#gathered.get(log)
    if (range !== undefined && (range.bytes >= COMPACT_BYTES || !neighbours(range, page))) {
      this.emptied(log)
      range = undefined
    }
    if (range === undefined) this.#gathered.set(log, rangeOf(log, page))
    else extend(range, page)
  }

  /** Takes note of a page that is being deleted and was written of late. */
  deletedYoung(log: number, page: Page): void {
    const range = this.#young.get(log)
    if (range === undefined || !neighbours(range, page)) this.#young.set(log, rangeOf(log, page))
    else extend(range, page)
  }

  /** Nothing follows for now: what was gathered of this log is worth it, or is forgotten. */
  emptied(log: number): void {
    const [old, young] = [this.#gathered.get(log), this.#young.get(log)]
    if (old !== undefined && old.bytes >= COMPACT_BYTES_MIN) this.#deleted.push(old)
    if (young !== undefined && young.bytes >= COMPACT_YOUNG_BYTES_MIN) this.#deleted.push(young)
    this.#gathered.delete(log)
    this.#young.delete(log)
  }

  /** All deletions so far are on disk: has their space given back, unless that is going on. */
  committed(): void {
    this.#ready.push(...this.#deleted.splice(0))
    if (!this.#running && !this.#closed && this.#ready.length > 0) void this.#run()
  }

  close(): void {
    this.#closed = true
  }

  async #run(): Promise<void> {
    this.#running = true
    let closing = Promise.resolve()
    while (this.#ready.length > 0 && !this.#closed) {
      const tables = await this.#database.holdTables?.(TABLES_HELD)
      await this.#readable()
      if (!this.#closed) await this.#compact(this.#ready.shift()!)
      await closing
      if (tables !== undefined) closing = tables.letGo()
    }
    this.#running = false
    await closing
  }

  async #compact({ log, from, below }: Range): Promise<void> {
    try {
      this.#reader.hold()
      await this.#database.compactRange?.(positionKey(Kind.fragment, log, from), positionKey(Kind.fragment, log, below))
    } catch (error) {
      // The database was closed, or cannot write. The space comes back another time; commits report the trouble.
      if (!('code' in (error as Error))) throw error
    } finally {
      this.#reader.release()
    }
  }
}

function rangeOf(log: number, page: Page): Range {
  return { log, from: page.first, below: page.last + 1, bytes: page.bytes }
}

function extend(range: Range, page: Page): void {
  range.from = Math.min(range.from, page.first)
  range.below = Math.max(range.below, page.last + 1)
  range.bytes += page.bytes
}

/** Whether a page lies beside a range, so that hardly anything is between them that would be compacted for nothing. */
function neighbours(range: Range, page: Page): boolean {
  return page.first - range.below < PAGE_SPAN && range.from - page.last < PAGE_SPAN
}
