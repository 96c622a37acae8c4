// Deletes pages, and what they have elsewhere: those of large discards and of dropped logs a slice with each batch; and
// asks for their space back.
import type { Clock } from '../../lib/clock.ts'
import type { Bodies } from './bodies.ts'
import type { BackgroundWork, Batch, Committer } from './committer.ts'
import { BODIES, Compactor, type Deleted } from './compactor.ts'
import type { Database } from './database.ts'
import { Kind, positionKey } from './keys.ts'
import { Elsewhere, type Page, fragmentKeys } from './page.ts'
import type { Reader } from './reader.ts'
import { type DeadPage, type Remainder, Remains } from './remains.ts'
import { COMPACT_AGE_MIB, COMPACT_AGE_MIB_MIN, ERASE_SLICE, RETRY_MAX_MS } from './tuning.ts'

/** Pages of one log that are to be deleted. */
export interface Erasure {
  readonly log: number
  readonly pages: readonly Page[]
  /**
   * The position in the key of the record that says so, should the broker crash on the way, and which goes with the last
   * page; null: there is none, for their index records say that nothing is left of them.
   */
  readonly record: number | null
}

/**
 * Deletes pages in slices. Each page goes in one batch with its index record, which it has before it is given to this, and
 * with what it has elsewhere: so nothing is left behind by a crash. The record of an erasure goes with its last page.
 */
export class Eraser implements BackgroundWork {
  readonly #committer: Committer
  readonly #clock: Clock
  readonly #compactor: Compactor
  readonly #bodies: Bodies
  readonly #remains: Remains
  #erasures: Erasure[] = []
  /** Erasures of each log, and the logs that have no page but theirs. */
  readonly #erasing = new Map<number, number>()
  readonly #emptied = new Set<number>()
  /** The erasures that share a record, where there are several: it goes with the last of them. */
  readonly #sharing = new Map<string, number>()
  /** The page that comes next in the first erasure. */
  #next = 0
  /** What the next pages have elsewhere, as far as that was looked for; and whether it is being done. */
  #remainders = new Map<Page, Remainder>()
  #searching = false
  /** Pages of which the disk did not give all when it was last asked: that was said when there were none before. */
  readonly #unread = new Set<Page>()
  readonly #damaged: (damage: Error) => void

  constructor(
    database: Database,
    committer: Committer,
    reader: Reader,
    clock: Clock,
    bodies: Bodies,
    damaged: (damage: Error) => void,
  ) {
    this.#committer = committer
    this.#clock = clock
    this.#compactor = new Compactor(database, reader, () => committer.readable())
    this.#bodies = bodies
    this.#damaged = damaged
    this.#remains = new Remains(committer, reader, bodies, damaged)
  }

  get waiting(): boolean {
    return this.#erasures.length > 0 && !this.#searching
  }

  add(erasure: Erasure): void {
    this.#erasures.push(erasure)
    this.#erasing.set(erasure.log, (this.#erasing.get(erasure.log) ?? 0) + 1)
  }

  /**
   * Puts the deletion of a page that is settled into a batch, with what it has elsewhere. Returns false when it must be
   * looked for that before.
   */
  settled(batch: Batch, log: number, page: Page): boolean {
    if (!this.#deleteRemainder(batch, log, page)) return false
    this.#deleteSettled(batch, log, page)
    return true
  }

  #deleteSettled(batch: Batch, log: number, page: Page): void {
    deletePage(batch, log, page)
    this.#deleted(log, page, batch.writtenMiB - page.writtenMiB)
  }

  #deleted(log: number, one: Deleted, ageMiB: number): void {
    if (ageMiB >= COMPACT_AGE_MIB) this.#compactor.deleted(log, one)
    else if (ageMiB >= COMPACT_AGE_MIB_MIN) this.#compactor.deletedYoung(log, one)
  }

  /** A log has no page any more: the space that its last ones took may be asked back. */
  emptied(log: number): void {
    if (this.#erasing.has(log)) this.#emptied.add(log)
    else this.#compactor.emptied(log)
  }

  contribute(batch: Batch): void {
    const end = batch.operations.length + ERASE_SLICE
    while (batch.operations.length < end && this.#erasures.length > 0 && !this.#searching) {
      const erasure = this.#erasures[0]!
      const page = erasure.pages[this.#next]
      if (page === undefined) this.#finish(batch, erasure)
      else if (this.#deleteRemainder(batch, erasure.log, page)) {
        this.#next++
        this.#erase(batch, erasure, page)
      } else void this.#search()
    }
  }

  committed(): void {
    const emptied = this.#bodies.takeEmptied()
    for (const block of emptied) this.#deleted(BODIES, block, block.ageMiB)
    if (emptied.length > 0 && this.#bodies.none) this.#compactor.emptied(BODIES)
    this.#compactor.committed()
  }

  /** Nothing more is asked of the database: it is about to be closed. */
  close(): void {
    this.#compactor.close()
  }

  #erase(batch: Batch, { log, record }: Erasure, page: Page): void {
    if (record === null) this.#deleteSettled(batch, log, page)
    else {
      deletePage(batch, log, page)
      this.#compactor.deleted(log, page)
    }
  }

  /** Puts the deletion of what a page has elsewhere into a batch. Returns false when it must be looked for that before. */
  #deleteRemainder(batch: Batch, log: number, page: Page): boolean {
    if (page.elsewhere === 0) return true
    const remainder = this.#remainders.get(page)
    if (remainder === undefined) return this.#deleteKnown(batch, log, page)
    this.#remainders.delete(page)
    this.#bodies.forgetPage(page)
    for (const key of remainder.keys) batch.del(key)
    for (const body of remainder.bodies) this.#bodies.release(batch, body)
    if (this.#remainders.size === 0) this.#bodies.hold(NO_BLOCKS)
    return true
  }

  /** The same for a page of which all is in memory. */
  #deleteKnown(batch: Batch, log: number, page: Page): boolean {
    const { elsewhere, tried } = page
    if (elsewhere & Elsewhere.attempts && tried === null) return false
    if (elsewhere & Elsewhere.bodies && !this.#bodies.releasePage(batch, page)) return false
    for (const position of tried ?? []) batch.del(positionKey(Kind.attempts, log, position))
    return true
  }

  #finish(batch: Batch, { log, record }: Erasure): void {
    if (record !== null) this.#finishRecord(batch, log, record)
    this.#erasures.shift()
    this.#next = 0
    const further = this.#erasing.get(log)! - 1
    if (further > 0) this.#erasing.set(log, further)
    else {
      this.#erasing.delete(log)
      if (this.#emptied.delete(log)) this.#compactor.emptied(log)
    }
  }

  #finishRecord(batch: Batch, log: number, record: number): void {
    const key = `${log}/${record}`
    const further = (this.#sharing.get(key) ?? 1) - 1
    if (further > 0) this.#sharing.set(key, further)
    else {
      this.#sharing.delete(key)
      this.#compactor.emptied(log)
      batch.del(positionKey(Kind.erasure, log, record))
    }
  }

  /** Looks for what the next pages have elsewhere. Those for which that was done before are in batches by then. */
  async #search(): Promise<void> {
    this.#searching = true
    const slice = this.#slice()
    let trouble: Error | null
    try {
      const found = await this.#remains.of(slice)
      this.#remainders = found.remainders
      trouble = found.trouble
    } catch (error) {
      if (!('code' in (error as Error))) throw error
      trouble = error as Error
    }
    // When the database is closed for good the next start goes on.
    if (this.#committer.closing) return
    for (const page of this.#remainders.keys()) this.#unread.delete(page)
    if (trouble !== null) await this.#putOff(slice, trouble)
    this.#searching = false
    if (!this.#committer.closing) this.#committer.schedule()
  }

  /** The disk does not give what some pages have elsewhere: the others come first. When there are none, it is waited a while. */
  async #putOff(slice: readonly DeadPage[], trouble: Error): Promise<void> {
    const what = `what deleted messages had cannot be read now: ${trouble.message}`
    if (this.#unread.size === 0) this.#damaged(new Error(what, { cause: trouble }))
    const unread = new Set(slice.filter(({ page }) => !this.#remainders.has(page)).map(({ page }) => page))
    for (const page of unread) this.#unread.add(page)
    const last: Erasure[] = []
    this.#erasures = this.#erasures.map((erasure, i) => {
      const { log, record } = erasure
      const pages = i === 0 ? erasure.pages.slice(this.#next) : erasure.pages
      const some = pages.filter((page) => unread.has(page))
      if (some.length === 0) return { log, record, pages }
      last.push({ log, record, pages: some })
      if (record !== null) {
        const key = `${log}/${record}`
        this.#sharing.set(key, (this.#sharing.get(key) ?? 1) + 1)
      }
      return { log, record, pages: pages.filter((page) => !unread.has(page)) }
    })
    this.#next = 0
    for (const erasure of last) this.add(erasure)
    if (this.#remainders.size === 0) await new Promise<void>((resolve) => this.#clock.after(RETRY_MAX_MS, resolve))
  }

  /** The next pages that have something elsewhere: some thousand entries, most of whose bodies others have, too. */
  #slice(): DeadPage[] {
    const slice: DeadPage[] = []
    let [entries, bytes, at] = [0, 0, this.#next]
    for (const { log, pages } of this.#erasures) {
      for (; at < pages.length; at++) {
        const page = pages[at]!
        if (page.elsewhere === 0) continue
        entries += page.entries
        bytes += page.bytes
        if (slice.length > 0 && (entries > ERASE_SLICE * 4 || bytes > SLICE_BYTES)) return slice
        slice.push({ log, page })
      }
      at = 0
    }
    return slice
  }
}

const NO_BLOCKS: ReadonlySet<number> = new Set()

/** Fragments that are in memory at once, in bytes, while it is looked for what they have elsewhere. */
const SLICE_BYTES = 1024 * 1024

function deletePage(batch: Batch, log: number, page: Page): void {
  if (page.indexed) batch.del(positionKey(Kind.index, log, page.first))
  for (const key of fragmentKeys(log, page)) batch.del(key)
}
