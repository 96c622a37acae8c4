// Reads the messages of a log's pages back: some pages at once, and what their entries have elsewhere.
import { ENTRY_OVERHEAD_BYTES } from '../../core/limits.ts'
import type { StoredMessage } from '../../core/ports.ts'
import { UnreadablePageError, type UnreadablePage } from '../../core/queue/unreadable.ts'
import { bodiesOf, decodeBody } from './bodies.ts'
import { DamagedRecordError } from './bytes.ts'
import { unpackFragments } from './fragment.ts'
import { bodyKey } from './keys.ts'
import type { PageOwner, StoreContext } from './log-pages.ts'
import { type Page, fragmentKeys } from './page.ts'
import type { PageList } from './page-list.ts'

/** The code of LevelDB's errors when the system could not read or write. */
const IO_ERROR = 'LEVEL_IO_ERROR'

/** Told of what cannot be read: it sets that aside, and has it reported. */
export interface PageDamage {
  /** A fragment is damaged from an entry's position on; `value`: what is there, nothing if it is missing. */
  fragmentDamaged(page: Page, fragment: number, position: number, value: Buffer, error: Error): void
  /** Entries are lost, from one position to another, itself included. */
  entriesDamaged(page: Page, first: number, last: number, error: Error): void
  /** The database finds a page damaged, and gives nothing of it as long as it is open. */
  pageDamaged(page: Page, error: Error): void
}

/** A page, and what of it is to be read: positions from `from` on and below `below`, either withheld or not. */
interface PagePart {
  readonly page: Page
  readonly from: number
  readonly below: number
  readonly withheld: boolean
}

/** Fragments of a page, by their first positions, and what the database has of each. */
interface Loaded {
  readonly fragments: readonly number[]
  /** Whether the page was merged by then. */
  readonly merged: boolean
  readonly values: readonly (Buffer | undefined)[]
}

type LoadedPages = ReadonlyMap<Page, Loaded>

const NOTHING_LOADED: LoadedPages = new Map()

/** What reads from the pages of a log. */
export class PageReader {
  readonly #log: number
  readonly #context: StoreContext
  readonly #pages: PageList
  readonly #owner: PageOwner
  readonly #damage: PageDamage

  constructor(log: number, context: StoreContext, pages: PageList, owner: PageOwner, damage: PageDamage) {
    this.#log = log
    this.#context = context
    this.#pages = pages
    this.#owner = owner
    this.#damage = damage
  }

  /**
   * Reads the first page that has something in this range, and so on until something is found, or nothing is left; and
   * with it what is behind it, as long as all of that takes no more than so many bytes in memory. Of entries that are
   * withheld, or of all others.
   */
  async read(from: number, below: number, bytes: number, withheld: boolean): Promise<StoredMessage[]> {
    const found: StoredMessage[] = []
    for (;;) {
      const first = this.#partFrom(from, below, withheld)
      if (first === null) return found
      const ahead = this.#partsBehind(first, below, bytes)
      const loaded = ahead.length > 0 ? await this.#loadAhead([first, ...ahead]) : NOTHING_LOADED
      await this.#readPage(first, found, loaded)
      if (loaded !== NOTHING_LOADED) await this.#readAhead(ahead, found, loaded)
      if (found.length > 0) return found
      from = first.below
    }
  }

  /** The first page that has something in a range, and what of it is to be read; null when there is none. */
  #partFrom(from: number, below: number, withheld: boolean): PagePart | null {
    const page = this.#pages.from(from)
    if (page === undefined || page.first >= below || from >= below) return null
    // The page may grow while it is read: what is added then is for the next one who asks.
    return { page, from, below: Math.min(below, page.last + 1), withheld }
  }

  /** The parts of pages behind this one that are on disk, as many as take so many bytes together with it. */
  #partsBehind(first: PagePart, below: number, bytes: number): PagePart[] {
    const parts: PagePart[] = []
    const { durable } = this.#context.committer
    let left = bytes - residentBytes(first.page)
    if (first.page.serial > durable) return parts
    const { withheld } = first
    const next = (from: number): PagePart | null => this.#partFrom(from, below, withheld)
    for (let part = next(first.below); part !== null; part = next(part.below)) {
      left -= residentBytes(part.page)
      if (left < 0 || part.page.serial > durable) break
      parts.push(part)
    }
    return parts
  }

  /** Loads what is wanted of some pages at once. Nothing when one of them cannot be read: then each is alone. */
  async #loadAhead(parts: readonly PagePart[]): Promise<LoadedPages> {
    const wanted = parts.map(({ page, from, below }) => wantedFragments(page, from, below))
    const merged = parts.map(({ page }) => page.merged)
    const keys = parts.flatMap(({ page }, i) => fragmentKeys(this.#log, page, wanted[i]))
    let values: (Buffer | undefined)[]
    try {
      values = await this.#context.reader.values(keys, Math.max(...parts.map(({ page }) => page.serial)))
    } catch (error) {
      // Which of them that was is seen when they are read one by one.
      if (!('code' in (error as Error))) throw error
      return NOTHING_LOADED
    }
    let at = 0
    return new Map(
      parts.map(({ page }, i) => {
        const fragments = wanted[i]!
        return [page, { fragments, merged: merged[i]!, values: values.slice(at, (at += fragments.length)) }]
      }),
    )
  }

  /** Reads further pages that were loaded. Stops before one that cannot be read: that is for the next one who asks. */
  async #readAhead(parts: readonly PagePart[], found: StoredMessage[], loaded: LoadedPages): Promise<void> {
    for (const part of parts) {
      const some: StoredMessage[] = []
      try {
        await this.#readPage(part, some, loaded)
      } catch (error) {
        if (error instanceof UnreadablePageError && found.length > 0) return
        throw error
      }
      for (const stored of some) found.push(stored)
    }
  }

  async #readPage(part: PagePart, found: StoredMessage[], loaded: LoadedPages): Promise<void> {
    const { page } = part
    try {
      await this.#readEntries(part, found, loaded)
      const bodiless = bodiesOf(found)
      if (bodiless.length > 0) await this.#readBodies(page, bodiless, found)
    } catch (error) {
      found.length = 0
      this.#unreadable(part, error as Error & { code?: string })
    }
  }

  /** Reads the bodies that are kept apart. An entry whose body is missing or damaged is lost. */
  async #readBodies(page: Page, bodiless: readonly StoredMessage[], found: StoredMessage[]): Promise<void> {
    const keys = bodiless.map(({ message }) => bodyKey(message.sharedBody))
    const bodies = await this.#context.reader.values(keys, page.serial)
    bodiless.forEach((stored, i) => {
      const { message, position } = stored
      try {
        message.body = decodeBody(bodies[i], message.bodyBytes)
      } catch (error) {
        if (!(error instanceof DamagedRecordError)) throw error
        found.splice(found.indexOf(stored), 1)
        if (!page.settled(position)) this.#damage.entriesDamaged(page, position, position, error)
      }
    })
  }

  async #readEntries(part: PagePart, found: StoredMessage[], loaded: LoadedPages): Promise<void> {
    const { page, from, below, withheld } = part
    const { fragments, merged, values } = loadedOf(part, loaded) ?? (await this.#loadPage(part))
    const wanted = {
      wants: (position: number) =>
        position >= from && position < below && page.live > 0 && this.#wanted(page, position, withheld),
      redelivered: (position: number) => this.#owner.wasDelivered(position),
    }
    for (let i = 0; i < fragments.length; i++) {
      const value = values[i]
      if (value === undefined) {
        // The page was merged, or deleted, while it was read.
        if (page.merged !== merged || !sameNumbers(wantedFragments(page, from, below), fragments)) {
          found.length = 0
          await this.#readEntries(part, found, NOTHING_LOADED)
          return
        }
        this.#damage.fragmentDamaged(
          page,
          fragments[i]!,
          fragments[i]!,
          Buffer.alloc(0),
          new DamagedRecordError('a fragment is missing'),
        )
        continue
      }
      const damage = unpackFragments(value, fragments[i]!, wanted, found)
      if (damage !== null) this.#damage.fragmentDamaged(page, fragments[i]!, damage.position, value, damage.error)
    }
  }

  async #loadPage({ page, from, below }: PagePart): Promise<Loaded> {
    const { committer } = this.#context
    while (page.serial > committer.durable) await committer.settled()
    const fragments = wantedFragments(page, from, below)
    const { merged } = page
    return { fragments, merged, values: await this.load(page, fragments) }
  }

  /** Loads fragments of a page that are on disk. */
  load(page: Page, fragments: readonly number[]): Promise<(Buffer | undefined)[]> {
    return this.#context.reader.values(fragmentKeys(this.#log, page, fragments), page.serial)
  }

  /**
   * A page cannot be read. When the disk says so, nothing has happened to it: another attempt may do better, and is for
   * whoever asked. When the database finds its own bytes damaged, that is so for good, as long as it is open.
   */
  #unreadable(part: PagePart, error: Error & { code?: string }): void {
    if (error.code === undefined || error.code === 'LEVEL_DATABASE_NOT_OPEN') throw error
    if (part.page.live === 0) return
    if (error.code !== IO_ERROR) {
      this.#damage.pageDamaged(part.page, error)
      return
    }
    const wanted = this.#wantedPage(part)
    if (wanted.count > 0) throw new UnreadablePageError(wanted, error)
  }

  /** Whether an entry of a page is one of those that are asked for. */
  #wanted(page: Page, position: number, withheld: boolean): boolean {
    return !page.settled(position) && this.#owner.withheld(position) === withheld
  }

  /** What is wanted of a page, without reading it. */
  #wantedPage({ page, from, below, withheld }: PagePart): UnreadablePage {
    const first = Math.max(from, page.first)
    let count = 0
    let deliveredBelow = first
    for (let position = first; position < below; position++) {
      if (this.#owner.wasDelivered(position)) deliveredBelow = position + 1
      if (this.#wanted(page, position, withheld)) count++
    }
    return { first, below, count, bodyBytes: Math.round((page.bodyBytes * count) / page.live), deliveredBelow }
  }
}

/** What was loaded of a page, if that is all that is wanted of it: it may have been merged meanwhile. */
function loadedOf({ page, from, below }: PagePart, loaded: LoadedPages): Loaded | null {
  const known = loaded.get(page)
  if (known === undefined || known.merged !== page.merged || known.values.includes(undefined)) return null
  return sameNumbers(wantedFragments(page, from, below), known.fragments) ? known : null
}

function sameNumbers(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((number, i) => number === others[i])
}

/** What a page takes in memory once it is read, about. */
function residentBytes(page: Page): number {
  // Bodies may be kept apart.
  return Math.max(page.bytes, page.bodyBytes) + page.live * ENTRY_OVERHEAD_BYTES
}

/** The fragments of a page that hold something in a range which is not settled. */
function wantedFragments(page: Page, from: number, below: number): number[] {
  if (page.fragments === null) return [page.first]
  const fragments: number[] = []
  for (let i = 0; i < page.fragments.length; i++) {
    const first = page.fragments[i]!
    const end = page.fragments[i + 1] ?? page.last + 1
    if (page.holds(Math.max(first, from), Math.min(end, below))) fragments.push(first)
  }
  return fragments
}
