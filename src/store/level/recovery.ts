// What is read when a store is opened: everything but the messages.
import type { Definition } from '../../core/definitions.ts'
import { DamagedRecordError } from './bytes.ts'
import type { Database, KeyRange } from './database.ts'
import { StoreOpenError } from './database.ts'
import { decodeDefinition } from './definition-codec.ts'
import { scanFragments } from './fragment.ts'
import { Kind, POSITION_MAX, kindEnd, kindKey, logOfKey, positionKey, positionOfKey } from './keys.ts'
import type { RecoveredLog } from './level-log.ts'
import { Page } from './page.ts'
import { decodeIndexRecord, decodeLogRecord, decodeNumber } from './records.ts'

/** The version of the format that this broker writes. Older ones are read; newer ones are refused. */
export const FORMAT = 1

const READ_AT_ONCE = 1000

/** Pages of one log that were being deleted when the broker ended. */
export interface UnfinishedErasure {
  readonly log: number
  readonly from: number
  readonly below: number
  readonly pages: Page[]
}

/** What a database held. */
export interface Recovered {
  readonly definitions: Definition[]
  readonly logs: Map<number, RecoveredLog>
  readonly erasures: UnfinishedErasure[]
  readonly nextLog: number
}

/**
 * Reads the version of the format, and says whether there is one: a new database has none.
 * Throws StoreOpenError when it is not one that this broker reads.
 */
export async function checkFormat(database: Database, location: string): Promise<boolean> {
  const value = await database.get(kindKey(Kind.format))
  if (value === undefined) {
    for await (const _ of records(database, { gte: Buffer.alloc(0), lt: Buffer.of(0xff) })) {
      throw new StoreOpenError(`The directory ${location} holds a database that is not Leveret's.`)
    }
    return false
  }
  const format = decodeNumber(value)
  if (format > FORMAT) {
    throw new StoreOpenError(
      `The store in ${location} was written by a newer version of Leveret: its format is ${format}, this version reads up to ${FORMAT}.`,
    )
  }
  return true
}

/** Reads definitions, the records of logs and the index records of pages. */
export async function recover(database: Database): Promise<Recovered> {
  const definitions: Definition[] = []
  for await (const [, value] of recordsOf(database, Kind.definition)) definitions.push(decodeDefinition(value))
  const nextLog = await database.get(kindKey(Kind.nextLog))
  const recovered = {
    definitions,
    logs: new Map<number, RecoveredLog>(),
    erasures: [] as UnfinishedErasure[],
    nextLog: nextLog === undefined ? 1 : decodeNumber(nextLog),
  }
  for await (const [key, value] of recordsOf(database, Kind.log)) {
    const { next, deliveredBelow } = decodeLogRecord(value)
    recovered.logs.set(logOfKey(key), { pages: [], aside: [], next, deliveredBelow })
  }
  for await (const [key, value] of recordsOf(database, Kind.erasure)) {
    const range = { log: logOfKey(key), from: positionOfKey(key), below: decodeNumber(value) }
    recovered.erasures.push({ ...range, pages: [] })
  }
  await recoverPages(database, recovered)
  for await (const [key] of recordsOf(database, Kind.setAside)) {
    logOf(recovered, logOfKey(key)).aside.push(positionOfKey(key))
  }
  return recovered
}

async function recoverPages(database: Database, recovered: Recovered): Promise<void> {
  const damaged: { log: number; first: number }[] = []
  for await (const [key, value] of recordsOf(database, Kind.index)) {
    const log = logOfKey(key)
    const first = positionOfKey(key)
    try {
      addPage(recovered, log, decodeIndexRecord(first, value))
    } catch (error) {
      if (!(error instanceof DamagedRecordError)) throw error
      damaged.push({ log, first })
    }
  }
  for (const { log, first } of damaged) await rebuildPage(database, recovered, log, first)
}

function addPage(recovered: Recovered, log: number, page: Page): void {
  for (const erasure of recovered.erasures) {
    if (erasure.log !== log || erasure.from > page.first || erasure.below <= page.last) continue
    erasure.pages.push(page)
    return
  }
  logOf(recovered, log).pages.push(page)
}

function logOf(recovered: Recovered, id: number): RecoveredLog {
  let log = recovered.logs.get(id)
  if (log === undefined) recovered.logs.set(id, (log = { pages: [], aside: [], next: 0, deliveredBelow: 0 }))
  return log
}

/**
 * Makes the page whose index record is damaged from its fragments. What of it was settled comes back: rather twice than
 * never.
 */
async function rebuildPage(database: Database, recovered: Recovered, id: number, first: number): Promise<void> {
  const log = logOf(recovered, id)
  const index = log.pages.findIndex((page) => page.first > first)
  const end = index < 0 ? POSITION_MAX : log.pages[index]!.first
  const page = new Page(first)
  const values: Buffer[] = []
  const range = { gte: positionKey(Kind.fragment, id, first), lt: positionKey(Kind.fragment, id, end) }
  for await (const [, value] of records(database, range)) values.push(value)
  scanFragments(page, values)
  if (page.live > 0) log.pages.splice(index < 0 ? log.pages.length : index, 0, page)
}

function recordsOf(database: Database, kind: Kind): AsyncGenerator<[Buffer, Buffer]> {
  return records(database, { gte: kindKey(kind), lt: kindEnd(kind) })
}

async function* records(database: Database, range: KeyRange): AsyncGenerator<[Buffer, Buffer]> {
  const iterator = database.iterator(range)
  try {
    for (;;) {
      const found = await iterator.nextv(READ_AT_ONCE)
      if (found.length === 0) return
      yield* found
    }
  } finally {
    await iterator.close()
  }
}
