// The pages of one log: they take what a batch stores, note what is settled, and are deleted.
import type { Held, LostMessages, StoredMessage } from '../../core/ports.ts'
import type { Entry } from '../../core/queue/entry.ts'
import type { Bodies } from './bodies.ts'
import type { Behind, CatchingUp } from './catching-up.ts'
import type { Batch, Committer } from './committer.ts'
import type { Database } from './database.ts'
import type { Eraser } from './eraser.ts'
import type { FoundPages } from './found-pages.ts'
import { packFragment } from './fragment.ts'
import { Kind, POSITION_MAX, mergedKey, positionKey } from './keys.ts'
import { Elsewhere, Page } from './page.ts'
import type { Openings } from './openings.ts'
import { PageList } from './page-list.ts'
import { type PageDamage, PageReader } from './page-reader.ts'
import type { Reader } from './reader.ts'
import { encodeIndexRecord, encodeNumber } from './records.ts'
import { BEHIND_BYTES_MIN, ERASE_AT_ONCE_PAGES, FRAGMENTS_UNMERGED, TRIED_KNOWN_MAX } from './tuning.ts'

/** What a log shares with the others of its store. */
export interface StoreContext {
  readonly database: Database
  readonly committer: Committer
  readonly reader: Reader
  readonly eraser: Eraser
  readonly bodies: Bodies
  readonly catchingUp: CatchingUp
  readonly openings: Openings
  /** Milliseconds since 1970. */
  now(): number
  /** The log with this id was dropped: it is of no use any more. */
  dropped(id: number): void
  /** Messages turned out to be damaged and were set aside. */
  lost(lost: LostMessages): void
  /** Something else turned out to be damaged and was left out. */
  damaged(damage: Error): void
}

/** The log that pages belong to. */
export interface PageOwner extends Behind {
  /** Asks for a batch to which the pages contribute. */
  enlist(): void
  /** Whether the entry at this position may have been handed to somebody. */
  wasDelivered(position: number): boolean
  /** Whether the entry at this position is kept, and not to be read like the others. */
  withheld(position: number): boolean
}

/**
 * The pages of a log, and what has to be written of them with the next batch. Those that were there when the store was
 * opened come with `open`, before or after the first new ones.
 */
export class LogPages implements PageDamage {
  readonly #log: number
  readonly #context: StoreContext
  readonly #owner: PageOwner
  readonly #pages = new PageList()
  #opened = false
  readonly #reader: PageReader
  /** The page that the next fragment goes to, if it has room. */
  #open: Page | null = null
  /** The page in which the last entry was settled: mostly the next one lies there too. */
  #hit: Page | null = null
  /** Pages whose index record is to be written again, or which are to be deleted. */
  #dirty: Page[] = []
  /** Pages whose index records are behind, and from where on there may be what these do not tell of; -1 when nowhere. */
  #behind: Page[] = []
  #unindexedFrom: number
  /** Full pages of many fragments. */
  readonly #fragmented: Page[] = []
  /** Pages that were merged, with their bytes. */
  #merged: { page: Page; value: Buffer }[] = []
  /** Pages that are deleted in slices, behind a record that says so. */
  readonly #erased: Page[][] = []
  /** Pages that the database finds damaged: on disk until the next start tries them again, or the log goes. */
  readonly #unreadablePages: Page[] = []
  /** Index records that such pages are to have, as they were. */
  #unreadableRecords: { page: Page; record: Buffer }[] = []
  /** Damaged bytes that are to be kept elsewhere, and the positions of all that are. */
  readonly #setAside: { position: number; value: Buffer }[] = []
  readonly #asidePositions: number[]

  /** `unindexedFrom` as the log's record has it; `aside`: the positions at which damaged bytes are kept. */
  constructor(
    log: number,
    context: StoreContext,
    owner: PageOwner,
    unindexedFrom: number,
    aside: readonly number[] = [],
  ) {
    this.#log = log
    this.#context = context
    this.#owner = owner
    this.#reader = new PageReader(log, context, this.#pages, owner, this)
    this.#asidePositions = [...aside]
    this.#unindexedFrom = unindexedFrom
  }

  /** Takes in the pages that the database had. */
  open({ pages }: FoundPages): void {
    this.#opened = true
    this.#pages.prepend(pages)
    this.#open ??= pages.at(-1) ?? null
    // Index records that were made anew are to be written.
    for (const page of pages) if (page.dirty) this.#dirty.push(page)
    if (this.#dirty.length > 0) this.#owner.enlist()
    if (this.#unindexedFrom < 0) return
    for (const page of pages) if (page.behind) this.#behind.push(page)
    const bytes = this.#behind.reduce((sum, page) => sum + page.bytes, 0)
    this.#context.catchingUp.behind(this.#owner, this.#behind.length, bytes)
  }

  /** From here on there may be fragments that no index record tells of; -1 when there are none. */
  get unindexedFrom(): number {
    return this.#unindexedFrom
  }

  /** The first position whose entry is not settled; -1 when there is none. */
  first(): number {
    return this.#pages.from(0)?.firstLive() ?? -1
  }

  /** What is not settled. */
  get held(): Held {
    let [count, bodyBytes] = [0, 0]
    for (const page of this.#pages) {
      count += page.live
      bodyBytes += page.bodyBytes
    }
    return { count, bodyBytes }
  }

  /** Packs entries into fragments and pages; those that are null were struck. */
  store(entries: readonly (Entry | null)[], batch: Batch): void {
    const pages: Page[] = []
    const bytesBefore = batch.bytes
    let index = nextEntry(entries, 0)
    const first = entries[index]?.position ?? 0
    while (index < entries.length) {
      const position = entries[index]!.position
      const page = this.#pageFor(position)
      page.beginFragment(position)
      const { value, end } = packFragment(entries, index, page, batch.now, (message) =>
        this.#context.bodies.share(batch, message, page),
      )
      page.serial = batch.serial
      page.writtenMiB = batch.writtenMiB
      batch.put(positionKey(Kind.fragment, this.#log, position), value)
      pages.push(page)
      if (page.full && page.fragmentCount > FRAGMENTS_UNMERGED) this.#fragmented.push(page)
      index = nextEntry(entries, end)
    }
    if (pages.length > 0) this.#grown(pages, first, batch.bytes - bytesBefore)
  }

  /** Pages have grown by so many bytes, from a position on: their index records are written, or fall behind. */
  #grown(pages: readonly Page[], from: number, bytes: number): void {
    if (this.#unindexedFrom < 0) {
      if (bytes < BEHIND_BYTES_MIN) {
        for (const page of pages) this.#touch(page)
        return
      }
      this.#unindexedFrom = from
    }
    const ahead = pages.filter((page) => !page.behind)
    for (const page of ahead) {
      page.behind = true
      this.#behind.push(page)
    }
    this.#context.catchingUp.behind(this.#owner, ahead.length, bytes)
  }

  /**
   * Puts the index records that are behind into a batch, unless it is not known yet which all of them are. `goesOn`: those
   * of what is stored next are behind again.
   */
  catchUp(batch: Batch, goesOn: boolean): void {
    if (!this.#opened) return
    for (const page of this.#behind) if (page.behind && page.live > 0) this.#writeIndex(batch, page)
    this.#behind = []
    this.#unindexedFrom = goesOn && this.#open !== null ? this.#open.last + 1 : -1
    if (this.#unindexedFrom >= 0) this.#context.catchingUp.behind(this.#owner, 0, 0)
  }

  /** Whether something was stored with this batch. */
  grewWith(batch: Batch): boolean {
    return this.#open !== null && this.#open.serial === batch.serial
  }

  #writeIndex(batch: Batch, page: Page): void {
    this.#putIndex(batch, page, encodeIndexRecord(page))
  }

  #putIndex(batch: Batch, page: Page, record: Buffer): void {
    batch.put(positionKey(Kind.index, this.#log, page.first), record)
    page.indexed = true
    page.behind = false
  }

  /** Whether of the message at this position, which is not settled, there may be a record of how often it was tried. */
  tried(position: number): boolean {
    const page = this.#pageOf(position)
    return page !== null && (page.elsewhere & Elsewhere.attempts) !== 0
  }

  /** Notes that there is one from the next batch on. Returns false when there is no such message. */
  noteTried(position: number): boolean {
    const page = this.#pageOf(position)
    if (page === null || page.settled(position)) return false
    if ((page.elsewhere & Elsewhere.attempts) === 0) {
      page.elsewhere |= Elsewhere.attempts
      page.tried = []
      this.#touch(page)
    }
    if (page.tried !== null && page.tried.push(position) > TRIED_KNOWN_MAX) page.tried = null
    return true
  }

  /** The page in which this position lies, unless nothing is left of it. */
  #pageOf(position: number): Page | null {
    const page = this.#hit
    if (page !== null && position >= page.first && position <= page.last && page.live > 0) return page
    const found = this.#pages.find(position)
    if (found === undefined) return null
    return (this.#hit = found)
  }

  /** Settles the entry at this position. */
  settle(position: number, bodyBytes: number): void {
    const page = this.#pageOf(position)
    if (page === null || !page.settle(position, bodyBytes)) return
    if (page.live === 0) this.#pages.remove()
    if (!page.dirty) this.#touch(page)
  }

  /** Settles everything from one position to below another. */
  discard(from: number, below: number): void {
    const emptied: Page[] = []
    let page = this.#pages.from(from)
    while (page !== undefined && page.first < below) {
      page.settleRange(from, below)
      if (page.live > 0) this.#touch(page)
      else emptied.push(page)
      page = this.#pages.from(page.last + 1)
    }
    if (emptied.length > 0) this.#pages.remove(emptied.length)
    if (emptied.length > ERASE_AT_ONCE_PAGES) this.#erase(emptied)
    else for (const each of emptied) this.#touch(each)
  }

  /** Settles everything for good. Nothing is to be stored afterwards. It is known what there is. */
  drop(batch: Batch): void {
    const pages = [...this.#pages, ...this.#dirty.filter((page) => page.live === 0), ...this.#unreadablePages]
    const few = pages.length <= ERASE_AT_ONCE_PAGES
    const rest = few ? pages.filter((page) => !this.#context.eraser.settled(batch, this.#log, page)) : pages
    if (rest.length > 0) {
      // Its record is told by its first page from those of discards, which go with other pages and end before.
      const record = rest.reduce((first, page) => Math.min(first, page.first), POSITION_MAX)
      batch.put(positionKey(Kind.erasure, this.#log, record), encodeNumber(POSITION_MAX))
      this.#erasing(batch, rest, record)
    }
    for (const position of this.#asidePositions) batch.del(positionKey(Kind.setAside, this.#log, position))
    this.#writeErasures(batch)
    this.#context.eraser.emptied(this.#log)
    // Whoever is reading one of them, or is about to merge it, finds nothing any more, and no damage.
    for (const page of pages) page.live = 0
    this.#pages.clear()
    this.#dirty = []
    this.#behind = []
    this.#merged = []
    this.#unreadableRecords = []
    this.#open = null
    this.#hit = null
  }

  /** Puts what has changed into a batch. */
  contribute(batch: Batch): void {
    if (this.#merged.length > 0) this.#writeMerged(batch)
    if (this.#erased.length > 0) this.#writeErasures(batch)
    for (const { position, value } of this.#setAside.splice(0)) {
      batch.put(positionKey(Kind.setAside, this.#log, position), value)
    }
    for (const { page, record } of this.#unreadableRecords.splice(0)) this.#putIndex(batch, page, record)
    for (const page of this.#dirty) {
      page.dirty = false
      if (page.live === 0 && this.#context.eraser.settled(batch, this.#log, page)) continue
      this.#writeIndex(batch, page)
      // It is deleted when it is known what goes along; after a crash its record tells that nothing is left.
      if (page.live === 0) this.#context.eraser.add({ log: this.#log, pages: [page], record: null })
    }
    this.#dirty.length = 0
    if (this.#pages.length === 0 && this.#opened) this.#context.eraser.emptied(this.#log)
  }

  /** The batch is on disk: pages of many fragments can be merged. */
  committed(): void {
    if (this.#fragmented.length === 0) return
    for (const page of this.#fragmented.splice(0)) void this.#merge(page)
  }

  /** See `PageReader.read`. */
  read(from: number, below: number, bytes: number, withheld: boolean): Promise<StoredMessage[]> {
    return this.#reader.read(from, below, bytes, withheld)
  }

  #pageFor(position: number): Page {
    const open = this.#open
    if (open !== null && open.live > 0 && !open.full && open.spans(position)) return open
    const page = new Page(position)
    this.#open = page
    this.#pages.push(page)
    return page
  }

  #touch(page: Page): void {
    if (page.dirty) return
    page.dirty = true
    this.#dirty.push(page)
    this.#owner.enlist()
  }

  #erase(pages: Page[]): void {
    const erased = new Set(pages)
    this.#dirty = this.#dirty.filter((page) => !erased.has(page))
    this.#erased.push(pages)
    this.#owner.enlist()
  }

  #writeErasures(batch: Batch): void {
    for (const pages of this.#erased.splice(0)) {
      const record = pages[0]!.first
      batch.put(positionKey(Kind.erasure, this.#log, record), encodeNumber(pages[pages.length - 1]!.last + 1))
      this.#erasing(batch, pages, record)
    }
  }

  /** Has pages deleted in slices: what is left of them after a crash is found by their index records. */
  #erasing(batch: Batch, pages: readonly Page[], record: number): void {
    // One that was made anew at the start may have none yet, and not be behind.
    for (const page of pages) if (page.behind || !page.indexed) this.#writeIndex(batch, page)
    this.#context.eraser.add({ log: this.#log, pages, record })
  }

  #writeMerged(batch: Batch): void {
    for (const { page, value } of this.#merged.splice(0)) {
      if (page.live === 0 || page.fragments === null) continue
      batch.put(mergedKey(this.#log, page.first), value)
      for (const first of page.fragments) batch.del(positionKey(Kind.fragment, this.#log, first))
      page.fragments = null
      page.merged = true
      // Until the batch is on disk there is nothing under its new key.
      page.serial = batch.serial
      this.#touch(page)
    }
  }

  /** Makes one value of a page's fragments, for the next batch. Not worth it when most of it is settled. */
  async #merge(page: Page): Promise<void> {
    if (this.#context.committer.closing || page.live * 2 < page.entries) return
    let values: (Buffer | undefined)[]
    try {
      values = await this.#reader.load(page, page.fragments!)
    } catch (error) {
      // Reading failed: the page serves as it is, and whoever wants its messages is told.
      if (!('code' in (error as Error))) throw error
      return
    }
    if (page.live === 0 || values.some((value) => value === undefined)) return
    this.#merged.push({ page, value: Buffer.concat(values as Buffer[]) })
    this.#owner.enlist()
  }

  /** Entries are damaged, from this position to the end of their fragment: they are put aside, and count as settled. */
  fragmentDamaged(page: Page, fragment: number, position: number, value: Buffer, error: Error): void {
    const following = page.fragments?.find((first) => first > fragment)
    const last = (following ?? page.last + 1) - 1
    if (!this.#lose(page, position, last, error) || value.length === 0) return
    this.#setAside.push({ position: fragment, value })
    this.#asidePositions.push(fragment)
  }

  entriesDamaged(page: Page, first: number, last: number, error: Error): void {
    this.#lose(page, first, last, error)
  }

  pageDamaged(page: Page, error: Error): void {
    const count = page.live
    // The next start finds it by its index record.
    if (page.behind || page.dirty || !page.indexed) {
      this.#unreadableRecords.push({ page, record: encodeIndexRecord(page) })
      this.#owner.enlist()
    }
    this.#unreadablePages.push(page)
    page.live = 0
    page.dirty = true
    this.#dirty = this.#dirty.filter((other) => other !== page)
    this.#pages.remove()
    this.#context.lost({ log: this.#log, first: page.first, last: page.last, count, error })
  }

  /** Counts entries as settled, and reports them. Returns whether any of them was not settled before. */
  #lose(page: Page, first: number, last: number, error: Error): boolean {
    const count = page.settleRange(first, last + 1)
    if (count === 0) return false
    if (page.live === 0) this.#pages.remove()
    this.#touch(page)
    this.#context.lost({ log: this.#log, first, last, count, error })
    return true
  }
}

/** The index of the next entry that was not struck. */
function nextEntry(entries: readonly (Entry | null)[], index: number): number {
  while (index < entries.length && entries[index] === null) index++
  return index
}
