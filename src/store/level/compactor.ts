// Asks LevelDB to give back the space of pages and bodies that were deleted, where it would not do so by itself for long.
import type { Database } from './database.ts'
import { BLOCK_BODIES, Kind, bodyKey, positionKey } from './keys.ts'
import type { Reader } from './reader.ts'
import { COMPACT_BYTES, COMPACT_BYTES_MIN, COMPACT_YOUNG_BYTES_MIN, PAGE_SPAN, TABLES_HELD } from './tuning.ts'

/** What was deleted, a page or a block of bodies: its positions, both included, or the numbers of those, and its bytes. */
export interface Deleted {
  readonly first: number
  readonly last: number
  readonly bytes: number
}

/** Stands in place of a log for the bodies that logs have in common. */
export const BODIES = -1

/** Neighbours of a log that were deleted, from one position to below another, and the bytes that they had. */
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

  /** Takes note of what is being deleted. */
  deleted(log: number, one: Deleted): void {
    let range = this.#gathered.get(log)
    if (range !== undefined && (range.bytes >= COMPACT_BYTES || !neighbours(range, one))) {
      this.emptied(log)
      range = undefined
    }
    if (range === undefined) this.#gathered.set(log, rangeOf(log, one))
    else extend(range, one)
  }

  /** Takes note of what is being deleted and was written of late. */
  deletedYoung(log: number, one: Deleted): void {
    const range = this.#young.get(log)
    if (range === undefined || !neighbours(range, one)) this.#young.set(log, rangeOf(log, one))
    else extend(range, one)
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
    const keyOf = (position: number): Buffer =>
      log === BODIES ? bodyKey(position) : positionKey(Kind.fragment, log, position)
    try {
      this.#reader.hold()
      await this.#database.compactRange?.(keyOf(from), keyOf(below))
    } catch (error) {
      // The database was closed, or cannot write. The space comes back another time; commits report the trouble.
      if (!('code' in (error as Error))) throw error
    } finally {
      this.#reader.release()
    }
  }
}

function rangeOf(log: number, one: Deleted): Range {
  return { log, from: one.first, below: one.last + 1, bytes: one.bytes }
}

function extend(range: Range, one: Deleted): void {
  range.from = Math.min(range.from, one.first)
  range.below = Math.max(range.below, one.last + 1)
  range.bytes += one.bytes
}

/** Whether something lies beside a range, so that hardly anything is between them that would be compacted for nothing. */
function neighbours(range: Range, one: Deleted): boolean {
  const span = range.log === BODIES ? BLOCK_BODIES : PAGE_SPAN
  return one.first - range.below < span && range.from - one.last < span
}
