// What is read when a store is opened: everything but the messages, and of those what index records are behind with.
import type { Definition } from '../../core/definitions.ts'
import type { SeenId } from '../../core/ports.ts'
import { PositionSet } from '../../core/queue/position-set.ts'
import { DamagedRecordError } from './bytes.ts'
import type { Database } from './database.ts'
import { StoreOpenError, recordsIn } from './database.ts'
import { decodeDefinition } from './definition-codec.ts'
import { scanFragment } from './fragment.ts'
import type { BodyReference } from './bodies.ts'
import {
  Kind,
  POSITION_MAX,
  isMergedKey,
  kindEnd,
  kindKey,
  logOfKey,
  positionKey,
  positionOfKey,
  referenceOfKey,
} from './keys.ts'
import type { RecoveredLog } from './level-log.ts'
import { Page } from './page.ts'
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
 * fragments was CRC-32.
 */
export const FORMAT = 3

/** Pages of one log that were being deleted when the broker ended. */
export interface UnfinishedErasure {
  readonly from: number
  readonly below: number
  readonly pages: Page[]
}

/** How often messages were tried that there are no more: records from one position to below another. */
interface OrphanedAttempts {
  readonly log: number
  readonly from: number
  below: number
}

/** What a database held. */
export interface Recovered {
  readonly definitions: Definition[]
  readonly logs: Map<number, RecoveredLog>
  readonly erasures: Map<number, UnfinishedErasure[]>
  readonly delayLogs: Map<number, DelayRecord>
  /** The ids that are remembered, by log and in order. */
  readonly ids: Map<number, SeenId[]>
  readonly nextLog: number
  readonly bodies: { readonly live: BodyReference[]; readonly dead: BodyReference[] }
  readonly orphanedAttempts: OrphanedAttempts[]
  /** What was made anew or left out, because records were damaged. */
  readonly damage: Error[]
}

/** A log that nothing is known of. */
export function emptyLog(): RecoveredLog {
  return { pages: [], aside: [], unindexedFrom: -1, attempts: null, next: 0, deliveredBelow: 0, bodies: null }
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
  // It is written again and again: of that an iterator finds the newest, a look-up perhaps not (see `mergedKey`).
  let nextLog = 1
  for await (const found of recordsOf(database, Kind.nextLog)) nextLog = decodeNumber(found[0]![1])
  const recovered: Recovered = {
    definitions,
    logs: new Map(),
    erasures: new Map(),
    delayLogs: new Map(),
    ids: new Map(),
    nextLog,
    bodies: { live: [], dead: [] },
    orphanedAttempts: [],
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
  await recoverAttempts(database, recovered)
  await recoverBodies(database, recovered.logs, recovered.bodies)
  for await (const found of recordsOf(database, Kind.setAside)) {
    for (const [key] of found) logOf(recovered, logOfKey(key)).aside.push(positionOfKey(key))
  }
  return recovered
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

/** Notes which messages were tried; how often is read with them. */
async function recoverAttempts(database: Database, { logs, orphanedAttempts }: Recovered): Promise<void> {
  let orphans = null as OrphanedAttempts | null
  for await (const found of recordsOf(database, Kind.attempts)) {
    for (const [key] of found) {
      const id = logOfKey(key)
      const position = positionOfKey(key)
      const log = logs.get(id)
      if (log !== undefined && holds(log.pages, position)) {
        log.attempts ??= new PositionSet()
        log.attempts.add(position)
        orphans = null
        continue
      }
      // Living messages between them may be tried while those are being deleted.
      const goesOn = orphans?.log === id && !holdsWithin(log?.pages ?? [], orphans.below, position)
      if (goesOn) orphans!.below = position + 1
      else orphanedAttempts.push((orphans = { log: id, from: position, below: position + 1 }))
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
      const known = [log.pages, ...(recovered.erasures.get(id) ?? []).map(({ pages }) => pages)].flat()
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
  return pages
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
  const pages = erasure?.pages ?? logOf(recovered, id).pages
  const following = pages.findLastIndex(({ first }) => first < page.first) + 1
  pages.splice(following, 0, page)
}

/** Finds which references to shared bodies still count: those of entries that are not settled. */
async function recoverBodies(
  database: Database,
  logs: ReadonlyMap<number, RecoveredLog>,
  bodies: Recovered['bodies'],
): Promise<void> {
  for await (const found of recordsOf(database, Kind.bodyReference)) {
    for (const [key] of found) {
      const reference = referenceOfKey(key)
      const { body, log: id, position } = reference
      const log = logs.get(id)
      if (log === undefined || !holds(log.pages, position)) {
        bodies.dead.push(reference)
        continue
      }
      bodies.live.push(reference)
      log.bodies ??= new Map()
      log.bodies.set(position, body)
    }
  }
}

/** Whether one of the pages, which are in order, has an entry at this position that is not settled. */
function holds(pages: readonly Page[], position: number): boolean {
  const page = pages[firstUpTo(pages, position)]
  return page !== undefined && page.first <= position && page.live > 0 && !page.settled(position)
}

/** The same from one position to below another. */
function holdsWithin(pages: readonly Page[], from: number, below: number): boolean {
  for (let i = firstUpTo(pages, from); i < pages.length && pages[i]!.first < below; i++) {
    const page = pages[i]!
    if (page.holds(Math.max(from, page.first), Math.min(below, page.last + 1))) return true
  }
  return false
}

/** The index of the first page that ends at this position or behind it. */
function firstUpTo(pages: readonly Page[], position: number): number {
  let low = 0
  let high = pages.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (pages[middle]!.last < position) low = middle + 1
    else high = middle
  }
  return low
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
  const deleted = (recovered.erasures.get(id) ?? []).map(({ pages }) => pages)
  const nexts = [logOf(recovered, id).pages, ...deleted].map((pages) => pages.find((page) => page.first > first)?.first)
  const below = Math.min(...nexts.map((next) => next ?? POSITION_MAX))
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
    recovered.erasures.set(id, [...(recovered.erasures.get(id) ?? []), { from: first, below: first, pages: [page] }])
  }
  const messages = pages.reduce((sum, page) => sum + page.live, 0)
  const what = `the index record of ${first} in log ${id} was damaged and is made anew from ${messages} messages`
  recovered.damage.push(new Error(what))
}

function recordsOf(database: Database, kind: Kind): AsyncGenerator<[Buffer, Buffer][]> {
  return recordsIn(database, { gte: kindKey(kind), lt: kindEnd(kind) })
}
