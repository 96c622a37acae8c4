// What a database has of the pages of logs: their index records, and the fragments that these are behind with.
import type { Database } from './database.ts'
import { recordsIn } from './database.ts'
import { scanFragment } from './fragment.ts'
import { Kind, POSITION_MAX, isMergedKey, logOfKey, positionKey, positionOfKey } from './keys.ts'
import { Elsewhere, Page } from './page.ts'
import { decodeIndexRecord } from './records.ts'
import type { ErasedRange, Recovered } from './recovery.ts'
import { recordsOf, undamaged } from './recovery.ts'
import { SCANNED_BYTES } from './tuning.ts'

/** Pages of one log that were being deleted when the broker ended. */
export interface UnfinishedErasure extends ErasedRange {
  readonly pages: Page[]
}

/** What a database has of one log. */
export interface FoundPages {
  /** Those that have entries which are not settled, in order. */
  readonly pages: Page[]
  /** Those of which nothing is left but what they have elsewhere. */
  readonly dead: Page[]
  readonly erasures: readonly UnfinishedErasure[]
  /** Index records that were damaged and are made anew. */
  readonly damage: Error[]
}

/** What is known of a log before its pages are looked at. */
export interface Sought {
  /** Pages are looked for below this position: behind it there are none, or they were stored since. */
  readonly below: number
  /** From here on there may be fragments that no index record tells of; -1 when there are none. */
  readonly unindexedFrom: number
  readonly erasures: readonly ErasedRange[]
}

/** What there may be of a log that nothing but index records tells of. */
export const LEFTOVER: Sought = { below: POSITION_MAX, unindexedFrom: -1, erasures: [] }

/** What a log has of which there are no pages. */
export function nothingFound({ erasures }: Pick<Sought, 'erasures'> = LEFTOVER): FoundPages {
  return { pages: [], dead: [], erasures: erasures.map((range) => ({ ...range, pages: [] })), damage: [] }
}

/** All pages that were found, be something left of them or not, in no order. */
export function allOf({ pages, dead, erasures }: FoundPages): Page[] {
  return [...pages, ...dead, ...erasures.flatMap((erasure) => erasure.pages)]
}

/** Finds the pages of one log. Rejects with the database's error, which has a code. */
export async function findPages(database: Database, log: number, sought: Sought): Promise<FoundPages> {
  const finder = new Finder(database, log, sought)
  const range = { gte: positionKey(Kind.index, log, 0), lt: positionKey(Kind.index, log, sought.below) }
  for await (const found of recordsIn(database, range)) for (const [key, value] of found) finder.take(key, value)
  return finder.finish()
}

/** The logs that are looked for together. */
export interface Search {
  /** What is known of a log; null when nobody looks for it. */
  sought(log: number): Sought | null
  found(log: number, pages: FoundPages): void
  /** Whether nothing more is wanted. */
  ended(): boolean
}

/**
 * Finds the pages of all logs that have index records: the index is read once and in order. Rejects with the database's
 * error, which has a code.
 */
export async function findAllPages(database: Database, search: Search): Promise<void> {
  let log = -1
  let finder: Finder | null = null
  for await (const found of recordsOf(database, Kind.index)) {
    for (const [key, value] of found) {
      const id = logOfKey(key)
      if (id !== log) {
        if (finder !== null) search.found(log, await finder.finish())
        const sought = search.sought(id)
        finder = sought === null ? null : new Finder(database, id, sought)
        log = id
      }
      finder?.take(key, value)
    }
    if (search.ended()) return
  }
  if (finder !== null) search.found(log, await finder.finish())
}

/** The logs that are known to have had pages. What is stored from now on stands behind what is looked for. */
export function* soughtLogs({ logs, erasures }: Recovered): Generator<[log: number, sought: Sought]> {
  for (const [log, { next, unindexedFrom }] of logs) {
    yield [log, { below: next, unindexedFrom, erasures: erasures.get(log) ?? [] }]
  }
  for (const [log, ranges] of erasures) if (!logs.has(log)) yield [log, { ...LEFTOVER, erasures: ranges }]
}

/**
 * Finds the pages of all logs before anything is stored: also what stands behind where their records say that they end,
 * which those may have lost when the database was damaged. Rejects with the database's error, which has a code.
 */
export async function findEverything(database: Database, recovered: Recovered): Promise<Map<number, FoundPages>> {
  const all = new Map<number, FoundPages>()
  const left = new Map<number, Sought>()
  for (const [log, sought] of soughtLogs(recovered)) left.set(log, { ...sought, below: POSITION_MAX })
  await findAllPages(database, {
    sought: (log) => left.get(log) ?? LEFTOVER,
    found: (log, pages) => {
      left.delete(log)
      all.set(log, pages)
    },
    ended: () => false,
  })
  for (const [log, sought] of left) all.set(log, await findPages(database, log, sought))
  return all
}

/** Puts together what is found of one log. */
class Finder {
  readonly #database: Database
  readonly #log: number
  readonly #sought: Sought
  readonly #found: FoundPages
  /** Where pages begin whose index records are damaged. */
  readonly #damaged: number[] = []

  constructor(database: Database, log: number, sought: Sought) {
    this.#database = database
    this.#log = log
    this.#sought = sought
    this.#found = nothingFound(sought)
  }

  /** Takes an index record. */
  take(key: Buffer, value: Buffer): void {
    const first = positionOfKey(key)
    if (first >= this.#sought.below) return
    const page = undamaged(() => decodeIndexRecord(first, value))
    if (page === null) this.#damaged.push(first)
    else this.#add(page)
  }

  /** Looks for what index records do not tell, or not any more. */
  async finish(): Promise<FoundPages> {
    // From behind, so that each ends where the next one begins, be that damaged too.
    for (const first of this.#damaged.toReversed()) await this.#rebuild(first)
    const { unindexedFrom, below } = this.#sought
    if (unindexedFrom >= 0) await this.#addUnindexed(unindexedFrom, below)
    return this.#found
  }

  /** Makes the pages whose index records were behind: what lies between the others. */
  async #addUnindexed(unindexedFrom: number, below: number): Promise<void> {
    let from = unindexedFrom
    for (const page of this.#known.toSorted((a, b) => a.first - b.first)) {
      if (page.last < from) continue
      if (page.first > from) await this.#addScanned(from, page.first)
      from = page.last + 1
    }
    await this.#addScanned(from, below)
  }

  async #addScanned(from: number, below: number): Promise<void> {
    if (from >= below) return
    for (const page of await scanPages(this.#database, this.#log, from, below)) {
      page.behind = true
      this.#add(page)
    }
  }

  /**
   * Makes the page whose index record is damaged from its fragments, and those behind it that have none. What of them was
   * settled comes back: rather twice than never.
   */
  async #rebuild(first: number): Promise<void> {
    // It ends where the next one begins, also if that is being deleted.
    let { below } = this.#sought
    for (const page of this.#known) if (page.first > first) below = Math.min(below, page.first)
    const pages = await scanPages(this.#database, this.#log, first, below)
    for (const page of pages) {
      page.dirty = true
      this.#add(page)
    }
    if (pages[0]?.first === first) pages[0].indexed = true
    else {
      // There is nothing that it would be the record of.
      const page = new Page(first)
      page.indexed = true
      this.#found.dead.push(page)
    }
    const messages = pages.reduce((sum, page) => sum + page.live, 0)
    const what = `the index record of ${first} in log ${this.#log} was damaged and is made anew from ${messages} messages`
    this.#found.damage.push(new Error(what))
  }

  get #known(): Page[] {
    return allOf(this.#found)
  }

  /** Gives a page to those of the log, or to the erasure that was deleting it. */
  #add(page: Page): void {
    const erasure = this.#found.erasures.find(({ from, below }) => from <= page.first && below > page.last)
    if (erasure === undefined && page.live === 0) {
      this.#found.dead.push(page)
      return
    }
    const pages = erasure?.pages ?? this.#found.pages
    const following = pages.findLastIndex(({ first }) => first < page.first) + 1
    pages.splice(following, 0, page)
  }
}

/** Makes pages of all fragments of a log from one position to below another. */
async function scanPages(database: Database, log: number, from: number, below: number): Promise<Page[]> {
  const pages: Page[] = []
  const range = { gte: positionKey(Kind.fragment, log, from), lt: positionKey(Kind.fragment, log, below) }
  let page: Page | null = null
  const add = (key: Buffer, value: Buffer, end: number): void => {
    const first = positionOfKey(key)
    const merged = isMergedKey(key)
    if (page === null || merged || page.merged || page.full || !page.spans(first)) pages.push((page = new Page(first)))
    page.merged = merged
    scanFragment(page, first, value, end)
  }
  // Each ends where the next one begins.
  let last: [key: Buffer, value: Buffer] | null = null
  for await (const found of recordsIn(database, range, SCANNED_BYTES)) {
    for (const [key, value] of found) {
      if (last !== null) add(...last, positionOfKey(key))
      last = [key, value]
    }
  }
  if (last !== null) add(...last, below)
  await noteTried(database, log, pages)
  return pages
}

/** Notes which of these pages, which are in order, have messages that were tried. */
async function noteTried(database: Database, log: number, pages: readonly Page[]): Promise<void> {
  if (pages.length === 0) return
  const gte = positionKey(Kind.attempts, log, pages[0]!.first)
  const lt = positionKey(Kind.attempts, log, pages.at(-1)!.last + 1)
  let at = 0
  for await (const found of recordsIn(database, { gte, lt })) {
    for (const [key] of found) {
      const position = positionOfKey(key)
      while (pages[at]!.last < position) at++
      pages[at]!.elsewhere |= Elsewhere.attempts
    }
  }
}
