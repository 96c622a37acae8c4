// What older formats did not write down, and this one relies on: it is looked for once, when their store is opened.
import type { Database, Operation } from './database.ts'
import { recordsIn } from './database.ts'
import { unpackFragments } from './fragment.ts'
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
import { encodeBlock, encodeIndexRecord, encodeNumber, type BlockRecord } from './records.ts'
import { deletedPages, type Recovered } from './recovery.ts'

/** Changes that are written at once. */
const OPERATIONS_MAX = 2000

/** Numbers above those of the bodies that there are, which other bodies may have had. */
const NUMBERS_SKIPPED = 2 ** 28

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
 * no page: before format 4 it went after its message, and perhaps not before the broker ended. It reads a record for each
 * message that has something elsewhere, and the pages with shared bodies. It may be begun again at any moment.
 */
export async function bringUp(database: Database, recovered: Recovered): Promise<void> {
  const changes = new Changes(database)
  await noteAttempts(database, changes, pagesByPosition(recovered))
  recovered.nextBody = (await noteBodies(database, changes, recovered)) + NUMBERS_SKIPPED
  await changes.add({ type: 'put', key: kindKey(Kind.nextBody), value: encodeNumber(recovered.nextBody) })
  await changes.write()
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
    if ((page.elsewhere & elsewhere) !== 0) return
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

/** Returns the number of the last body; 0 when there is none. */
async function noteBodies(database: Database, changes: Changes, recovered: Recovered): Promise<number> {
  const pageOf = pagesByPosition(recovered)
  for await (const references of bodyReferences(database)) {
    for (const { log, position } of references) {
      const page = pageOf(log, position)
      if (page !== undefined) changes.note(log, page, Elsewhere.bodies)
    }
  }
  const blocks = await countBodies(database, recovered)
  for (const [number, block] of blocks) {
    await changes.add({ type: 'put', key: bodyBlockKey(number), value: encodeBlock(block) })
  }
  let last = 0
  for await (const references of bodyReferences(database)) {
    for (const { body } of references) {
      const counted = (blocks.get(blockOfBody(body))?.counts[body % BLOCK_BODIES] ?? 0) > 0
      if (body !== last && !counted) await changes.add({ type: 'del', key: bodyKey(body) })
      last = body
    }
  }
  return last
}

/** How many entries have each body, by block: as many as are in the pages that are known to have some. */
async function countBodies(database: Database, recovered: Recovered): Promise<Map<number, BlockRecord>> {
  const blocks = new Map<number, BlockRecord>()
  const counting = {
    wants(_position: number, bodyBytes: number, _deadline: number, body: number): boolean {
      if (body === 0) return false
      let block = blocks.get(blockOfBody(body))
      if (block === undefined) {
        block = { counts: new Array<number>(BLOCK_BODIES).fill(0), bytes: 0 }
        blocks.set(blockOfBody(body), block)
      }
      if (block.counts[body % BLOCK_BODIES]!++ === 0) block.bytes += bodyBytes
      return false
    },
    redelivered: () => false,
  }
  for (const [log, pages] of pagesByLog(recovered)) {
    for (const page of pages) {
      if ((page.elsewhere & Elsewhere.bodies) === 0) continue
      const values = await database.getMany(fragmentKeys(log, page))
      values.forEach((value, i) => {
        // What is damaged cannot be read either when the page goes.
        if (value !== undefined) unpackFragments(value, page.fragments?.[i] ?? page.first, counting, [])
      })
    }
  }
  return blocks
}

async function* bodyReferences(database: Database): AsyncGenerator<BodyReference[]> {
  for await (const found of recordsIn(database, OLDER_RECORDS)) yield found.map(([key]) => referenceOfKey(key))
}

function referenceOfKey(key: Buffer): BodyReference {
  return { body: key.readUIntBE(1, 6), log: key.readUInt32BE(7), position: key.readUIntBE(11, 6) }
}

function pagesByPosition(recovered: Recovered): PageOf {
  const pages = pagesByLog(recovered)
  return (log, position) => pageAt(pages.get(log) ?? [], position)
}

/** All pages that are on disk, by log and in order. */
function pagesByLog(recovered: Recovered): Map<number, Page[]> {
  const { logs, erasures, dead } = recovered
  const pages = new Map<number, Page[]>()
  for (const id of new Set([...logs.keys(), ...erasures.keys(), ...dead.keys()])) {
    const all = [...(logs.get(id)?.pages ?? []), ...deletedPages(recovered, id)]
    pages.set(
      id,
      all.toSorted((a, b) => a.first - b.first),
    )
  }
  return pages
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
