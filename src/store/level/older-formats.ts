// What older formats did not write down, and this one relies on: it is looked for once, when their store is opened.
import type { Database, Operation } from './database.ts'
import { recordsIn } from './database.ts'
import { allOf, type FoundPages } from './found-pages.ts'
import { visitBodies } from './fragment.ts'
import {
  BLOCK_BODIES,
  Kind,
  blockOfBody,
  bodyBlockKey,
  bodyKey,
  kindEnd,
  kindKey,
  logOfKey,
  positionKey,
  positionOfKey,
} from './keys.ts'
import { Elsewhere, type Page, fragmentKeys } from './page.ts'
import { encodeBlock, encodeIndexRecord, type BlockRecord } from './records.ts'

/** Changes that are written at once. */
const OPERATIONS_MAX = 2000

/** What older formats have, and this one does not. It is deleted when the store is open. */
export const OLDER_RECORDS = { gte: kindKey(Kind.bodyReference), lt: kindEnd(Kind.bodyReference) }

/** An entry has a body, as older formats noted it until the entry was settled. */
interface BodyReference {
  readonly body: number
  readonly log: number
  readonly position: number
}

/** Finds the page in which a position lies, of those that a log has and those that are being deleted. */
type PageOf = (log: number, position: number) => Page | undefined

/**
 * Notes in the index records which pages have something elsewhere, counts their shared bodies, and deletes what belongs to
 * no page: before format 5 it went after its message, and perhaps not before the broker ended. It reads a record for each
 * message that has something elsewhere, and the pages with shared bodies. It may be begun again at any moment. Returns
 * what is damaged.
 */
export async function bringUp(database: Database, found: ReadonlyMap<number, FoundPages>): Promise<Error[]> {
  const changes = new Changes(database)
  const pageOf = pagesByPosition(found)
  await noteAttempts(database, changes, pageOf)
  const damaged = await noteBodies(database, changes, pageOf)
  await changes.write()
  return damaged > 0 ? [new Error(`${damaged} pages with large messages are damaged`)] : []
}

class Changes {
  readonly #database: Database
  #operations: Operation[] = []
  #noted = new Map<Page, number>()

  constructor(database: Database) {
    this.#database = database
  }

  async add(operation: Operation): Promise<void> {
    this.#operations.push(operation)
    if (this.#operations.length >= OPERATIONS_MAX) await this.write()
  }

  /** A page has something elsewhere: its index record is written when all that it has is known. */
  note(log: number, page: Page, elsewhere: number): void {
    if ((page.elsewhere & elsewhere) === elsewhere) return
    page.elsewhere |= elsewhere
    this.#noted.set(page, log)
  }

  /** Writes what was added. */
  async write(): Promise<void> {
    for (const [page, log] of this.#noted) {
      const key = positionKey(Kind.index, log, page.first)
      this.#operations.push({ type: 'put', key, value: encodeIndexRecord(page) })
      page.indexed = true
      page.behind = false
    }
    this.#noted = new Map()
    const operations = this.#operations
    this.#operations = []
    if (operations.length > 0) await this.#database.batch(operations, { sync: true })
  }
}

async function noteAttempts(database: Database, changes: Changes, pageOf: PageOf): Promise<void> {
  for await (const found of recordsIn(database, { gte: kindKey(Kind.attempts), lt: kindEnd(Kind.attempts) })) {
    for (const [key] of found) {
      const log = logOfKey(key)
      const page = pageOf(log, positionOfKey(key))
      if (page === undefined) await changes.add({ type: 'del', key })
      else changes.note(log, page, Elsewhere.attempts)
    }
  }
}

/** Counts the bodies of pages that have some. Bodies that nobody has are deleted. Returns how many pages are damaged. */
async function noteBodies(database: Database, changes: Changes, pageOf: PageOf): Promise<number> {
  const pages = new Map<Page, number>()
  for await (const references of bodyReferences(database)) {
    for (const { log, position } of references) {
      const page = pageOf(log, position)
      if (page !== undefined) pages.set(page, log)
    }
  }
  const counts = new Counts()
  const unread = new Set<Page>()
  for (const [page, log] of pages) {
    const counted = await counts.addPage(database, log, page)
    if (!counted) unread.add(page)
    page.elsewhere &= ~(Elsewhere.bodies | Elsewhere.olderBodies)
    changes.note(log, page, counted ? Elsewhere.bodies | Elsewhere.olderBodies : Elsewhere.bodies)
  }
  // What those have is not counted when they go: so it stays for good, rather than be missed by others.
  for await (const references of bodyReferences(database)) {
    for (const { body, log, position } of references) {
      const page = pageOf(log, position)
      if (page !== undefined && unread.has(page)) counts.add(body, 0)
    }
  }
  for (const [number, block] of counts.blocks) {
    await changes.add({ type: 'put', key: bodyBlockKey(number), value: encodeBlock(block) })
  }
  for await (const references of bodyReferences(database)) {
    for (const { body } of references) {
      if (!counts.has(body)) await changes.add({ type: 'del', key: bodyKey(body) })
    }
  }
  return unread.size
}

/** How many entries have each body. */
class Counts {
  readonly blocks = new Map<number, BlockRecord>()

  has(body: number): boolean {
    return (this.blocks.get(blockOfBody(body))?.counts[body % BLOCK_BODIES] ?? 0) > 0
  }

  add(body: number, bodyBytes: number): void {
    let block = this.blocks.get(blockOfBody(body))
    if (block === undefined) {
      block = { counts: new Array<number>(BLOCK_BODIES).fill(0), bytes: 0 }
      this.blocks.set(blockOfBody(body), block)
    }
    if (block.counts[body % BLOCK_BODIES]!++ === 0) block.bytes += bodyBytes
  }

  /** Adds all entries of a page, be they settled or not. Returns false, and adds none, when it is damaged. */
  async addPage(database: Database, log: number, page: Page): Promise<boolean> {
    const found: [body: number, bytes: number][] = []
    const note = (body: number, bytes: number): void => void found.push([body, bytes])
    const values = await valuesOf(database, log, page)
    const whole = values.every(
      (value, i) => value !== undefined && visitBodies(value, page.fragments?.[i] ?? page.first, note) === null,
    )
    if (whole) for (const [body, bytes] of found) this.add(body, bytes)
    return whole
  }
}

/** What the database has of a page's fragments: of a page that it finds damaged, nothing. */
async function valuesOf(database: Database, log: number, page: Page): Promise<(Buffer | undefined)[]> {
  try {
    return await database.getMany(fragmentKeys(log, page))
  } catch (error) {
    if ((error as { code?: string }).code !== 'LEVEL_CORRUPTION') throw error
    return [undefined]
  }
}

async function* bodyReferences(database: Database): AsyncGenerator<BodyReference[]> {
  for await (const found of recordsIn(database, OLDER_RECORDS)) yield found.map(([key]) => referenceOfKey(key))
}

function referenceOfKey(key: Buffer): BodyReference {
  return { body: key.readUIntBE(1, 6), log: key.readUInt32BE(7), position: key.readUIntBE(11, 6) }
}

function pagesByPosition(found: ReadonlyMap<number, FoundPages>): PageOf {
  const pages = new Map<number, Page[]>()
  for (const [log, each] of found) {
    pages.set(
      log,
      allOf(each).toSorted((a, b) => a.first - b.first),
    )
  }
  return (log, position) => pageAt(pages.get(log) ?? [], position)
}

/** The page of these, which are in order, in which a position lies. */
function pageAt(pages: readonly Page[], position: number): Page | undefined {
  let low = 0
  let high = pages.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (pages[middle]!.last < position) low = middle + 1
    else high = middle
  }
  const page = pages[low]
  return page !== undefined && page.first <= position ? page : undefined
}
