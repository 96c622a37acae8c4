// What is read when a store is opened: everything but the messages, and of those what index records are behind with.
import type { Definition } from '../../core/definitions.ts'
import type { SeenId } from '../../core/ports.ts'
import { DamagedRecordError } from './bytes.ts'
import type { Database } from './database.ts'
import { StoreOpenError, recordsIn } from './database.ts'
import { decodeDefinition } from './definition-codec.ts'
import { scanFragment } from './fragment.ts'
import {
  BLOCK_BODIES,
  blockOfBody,
  blockOfKey,
  bodyBlockKey,
  Kind,
  POSITION_MAX,
  isMergedKey,
  kindEnd,
  kindKey,
  logOfKey,
  positionKey,
  positionOfKey,
} from './keys.ts'
import type { RecoveredLog } from './level-log.ts'
import { Elsewhere, Page } from './page.ts'
import {
  decodeDelayRecord,
  decodeIndexRecord,
  decodeLogRecord,
  decodeNumber,
  decodeSeenId,
  type DelayRecord,
} from './records.ts'
import { SCANNED_BYTES } from './tuning.ts'

/**
 * The version of the format that this broker writes. Older ones are read; newer ones are refused. In version 1 index
 * records were never behind, and a merged page had the key of its first fragment; before version 3 the checksum of
 * fragments was CRC-32; before version 5 index records said nothing of what entries have elsewhere, which was deleted
 * with these, and not with their page. Version 4 is that of a store that is being brought up.
 */
export const FORMAT = 5
export const FORMAT_BEING_BROUGHT_UP = 4

/** Pages of one log that were being deleted when the broker ended. */
export interface UnfinishedErasure {
  readonly from: number
  readonly below: number
  readonly pages: Page[]
}

/** What a database held. */
export interface Recovered {
  readonly definitions: Definition[]
  readonly logs: Map<number, RecoveredLog>
  readonly erasures: Map<number, UnfinishedErasure[]>
  /** Pages of which nothing is left but what they have elsewhere, by log. */
  readonly dead: Map<number, Page[]>
  readonly delayLogs: Map<number, DelayRecord>
  /** The ids that are remembered, by log and in order. */
  readonly ids: Map<number, SeenId[]>
  readonly nextLog: number
  /** Above every number that a shared body has or had. */
  nextBody: number
  /** What was made anew or left out, because records were damaged. */
  readonly damage: Error[]
}

/** A log that nothing is known of. */
export function emptyLog(): RecoveredLog {
  return { pages: [], aside: [], unindexedFrom: -1, next: 0, deliveredBelow: 0 }
}

/**
 * Reads the version of the format; 0 when there is none, as in a new database.
 * Throws StoreOpenError when it is not one that this broker reads.
 */
export async function formatOf(database: Database, location: string): Promise<number> {
  const value = await database.get(kindKey(Kind.format))
  if (value === undefined) {
    for await (const _ of recordsIn(database, { gte: Buffer.alloc(0), lt: Buffer.of(0xff) })) {
      throw new StoreOpenError(`The directory ${location} holds a database that is not Leveret's.`)
    }
    return 0
  }
  const format = decodeNumber(value)
  if (format > FORMAT) {
    throw new StoreOpenError(
      `The store in ${location} was written by a newer version of Leveret: its format is ${format}, this version reads up to ${FORMAT}.`,
    )
  }
  return format
}

/** Reads definitions, the records of logs, the index records of pages, and the fragments that these are behind with. */
export async function recover(database: Database): Promise<Recovered> {
  const definitions: Definition[] = []
  for await (const found of recordsOf(database, Kind.definition)) {
    for (const [, value] of found) definitions.push(decodeDefinition(value))
  }
  const recovered: Recovered = {
    definitions,
    logs: new Map(),
    erasures: new Map(),
    dead: new Map(),
    delayLogs: new Map(),
    ids: new Map(),
    nextLog: await counter(database, Kind.nextLog),
    nextBody: await nextBody(database),
    damage: [],
  }
  for await (const found of recordsOf(database, Kind.erasure)) {
    for (const [key, value] of found) {
      const id = logOfKey(key)
      const erasures = recovered.erasures.get(id) ?? []
      erasures.push({ from: positionOfKey(key), below: decodeNumber(value), pages: [] })
      recovered.erasures.set(id, erasures)
    }
  }
  for await (const found of recordsOf(database, Kind.delayLog)) {
    for (const [key, value] of found) recovered.delayLogs.set(logOfKey(key), decodeDelayRecord(value))
  }
  await recoverIds(database, recovered)
  await recoverPages(database, recovered)
  await recoverLogs(database, recovered)
  await recoverUnindexed(database, recovered)
  for await (const found of recordsOf(database, Kind.setAside)) {
    for (const [key] of found) logOf(recovered, logOfKey(key)).aside.push(positionOfKey(key))
  }
  return recovered
}

/** A number that is written again and again: of that an iterator finds the newest, a look-up perhaps not (see `mergedKey`). */
async function counter(database: Database, kind: Kind): Promise<number> {
  let number = 1
  for await (const found of recordsOf(database, kind)) number = decodeNumber(found[0]![1])
  return number
}

/** Above every number that a body has, also when the record that says so was lost: two bodies never share one. */
async function nextBody(database: Database): Promise<number> {
  let next = await counter(database, Kind.nextBody)
  const range = { gte: bodyBlockKey(blockOfBody(next)), lt: kindEnd(Kind.bodyBlock) }
  for await (const found of recordsIn(database, range)) next = (blockOfKey(found.at(-1)![0]) + 1) * BLOCK_BODIES
  return next
}

async function recoverPages(database: Database, recovered: Recovered): Promise<void> {
  const damaged: { log: number; first: number }[] = []
  for await (const found of recordsOf(database, Kind.index)) {
    for (const [key, value] of found) {
      const log = logOfKey(key)
      const first = positionOfKey(key)
      const page = undamaged(() => decodeIndexRecord(first, value))
      if (page === null) damaged.push({ log, first })
      else addPage(recovered, log, page)
    }
  }
  // From behind, so that each ends where the next one begins, be that damaged too.
  for (const { log, first } of damaged.toReversed()) await rebuildPage(database, recovered, log, first)
}

/** An id that is damaged is forgotten: a message with it may come twice. */
async function recoverIds(database: Database, { ids, damage }: Recovered): Promise<void> {
  for await (const found of recordsOf(database, Kind.seenId)) {
    for (const [key, value] of found) {
      const log = logOfKey(key)
      const seen = undamaged(() => decodeSeenId(positionOfKey(key), value))
      if (seen === null) damage.push(new Error(`an id in log ${log} that was remembered is damaged and left out`))
      else if (!ids.get(log)?.push(seen)) ids.set(log, [seen])
    }
  }
}

async function recoverLogs(database: Database, recovered: Recovered): Promise<void> {
  for await (const found of recordsOf(database, Kind.log)) {
    for (const [key, value] of found) {
      const log = logOf(recovered, logOfKey(key))
      const record = undamaged(() => decodeLogRecord(value))
      if (record === null)
        recovered.damage.push(new Error(`the record of log ${logOfKey(key)} is damaged and made anew`))
      log.next = record?.next ?? 0
      // Nobody knows what was delivered, or stored: then anything may have been.
      log.deliveredBelow = record?.deliveredBelow ?? Infinity
      log.unindexedFrom = record?.unindexedFrom ?? 0
    }
  }
}

/** Makes the pages whose index records were behind: what lies between the others. */
async function recoverUnindexed(database: Database, recovered: Recovered): Promise<void> {
  for (const [id, log] of recovered.logs) {
    if (log.unindexedFrom >= 0) {
      const known = [...log.pages, ...deletedPages(recovered, id)]
      known.sort((a, b) => a.first - b.first)
      let from = log.unindexedFrom
      for (const page of known) {
        if (page.last < from) continue
        if (page.first > from) await addUnindexed(database, recovered, id, from, page.first)
        from = page.last + 1
      }
      await addUnindexed(database, recovered, id, from, POSITION_MAX)
      // Also above what is being deleted, should the record of the log be damaged: its keys are not free yet.
      log.next = Math.max(log.next, from)
    }
    if (log.deliveredBelow === Infinity) log.deliveredBelow = (log.pages.at(-1)?.last ?? -1) + 1
  }
}

async function addUnindexed(
  database: Database,
  recovered: Recovered,
  log: number,
  from: number,
  below: number,
): Promise<void> {
  for (const page of await scanPages(database, log, from, below)) {
    page.behind = true
    addPage(recovered, log, page)
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

/** What a record says; null when it is damaged. */
function undamaged<T>(decode: () => T): T | null {
  try {
    return decode()
  } catch (error) {
    if (error instanceof DamagedRecordError) return null
    throw error
  }
}

/** Gives a page to its log, or to the erasure that was deleting it. */
function addPage(recovered: Recovered, id: number, page: Page): void {
  const erasure = recovered.erasures.get(id)?.find(({ from, below }) => from <= page.first && below > page.last)
  if (erasure === undefined && page.live === 0) {
    addDead(recovered, id, page)
    return
  }
  const pages = erasure?.pages ?? logOf(recovered, id).pages
  const following = pages.findLastIndex(({ first }) => first < page.first) + 1
  pages.splice(following, 0, page)
}

function addDead({ dead }: Recovered, id: number, page: Page): void {
  const pages = dead.get(id)
  if (pages === undefined) dead.set(id, [page])
  else pages.push(page)
}

/** The pages of a log that are still on disk, though nobody wants them. */
export function deletedPages({ erasures, dead }: Recovered, id: number): Page[] {
  const erased = (erasures.get(id) ?? []).flatMap(({ pages }) => pages)
  return [...erased, ...(dead.get(id) ?? [])]
}

function logOf(recovered: Recovered, id: number): RecoveredLog {
  let log = recovered.logs.get(id)
  if (log === undefined) recovered.logs.set(id, (log = emptyLog()))
  return log
}

/**
 * Makes the page whose index record is damaged from its fragments, and those behind it that have none. What of them was
 * settled comes back: rather twice than never.
 */
async function rebuildPage(database: Database, recovered: Recovered, id: number, first: number): Promise<void> {
  // It ends where the next one begins, also if that is being deleted.
  let below = POSITION_MAX
  for (const page of [...logOf(recovered, id).pages, ...deletedPages(recovered, id)]) {
    if (page.first > first) below = Math.min(below, page.first)
  }
  const pages = await scanPages(database, id, first, below)
  for (const page of pages) {
    page.dirty = true
    addPage(recovered, id, page)
  }
  if (pages[0]?.first === first) pages[0].indexed = true
  else {
    // There is nothing that it would be the record of.
    const page = new Page(first)
    page.indexed = true
    addDead(recovered, id, page)
  }
  const messages = pages.reduce((sum, page) => sum + page.live, 0)
  const what = `the index record of ${first} in log ${id} was damaged and is made anew from ${messages} messages`
  recovered.damage.push(new Error(what))
}

function recordsOf(database: Database, kind: Kind): AsyncGenerator<[Buffer, Buffer][]> {
  return recordsIn(database, { gte: kindKey(kind), lt: kindEnd(kind) })
}
