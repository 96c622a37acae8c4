// What is read when a store is opened: definitions and small records, none of which is one of many that a log has.
import type { Definition } from '../../core/definitions.ts'
import type { SeenId } from '../../core/ports.ts'
import { DamagedRecordError } from './bytes.ts'
import type { Database } from './database.ts'
import { StoreOpenError, recordsIn } from './database.ts'
import { decodeDefinition } from './definition-codec.ts'
import {
  BLOCK_BODIES,
  blockOfBody,
  blockOfKey,
  bodyBlockKey,
  Kind,
  SPILL_FIRST,
  kindEnd,
  kindKey,
  logOfKey,
  positionKey,
  positionOfKey,
} from './keys.ts'
import {
  decodeDelayRecord,
  decodeLogRecord,
  decodeNumber,
  decodeSeenId,
  type DelayRecord,
  type LogRecord,
} from './records.ts'

/**
 * The version of the format that this broker writes. Older ones are read; newer ones are refused. In version 1 index
 * records were never behind, and a merged page had the key of its first fragment; before version 3 the checksum of
 * fragments was CRC-32; before version 5 index records said nothing of what entries have elsewhere, which was deleted
 * with these, and not with their page. Version 4 is that of a store that is being brought up.
 */
export const FORMAT = 5
export const FORMAT_BEING_BROUGHT_UP = 4

/** A range of one log whose pages were being deleted when the broker ended. */
export interface ErasedRange {
  readonly from: number
  readonly below: number
}

/** What a database held, but for the pages of logs. */
export interface Recovered {
  readonly definitions: Definition[]
  /** What the records of logs say. A log that has none has no pages either, unless the database was damaged. */
  readonly logs: Map<number, LogRecord>
  /** The positions at which damaged bytes are kept, by log. */
  readonly aside: Map<number, number[]>
  readonly erasures: Map<number, ErasedRange[]>
  readonly delayLogs: Map<number, DelayRecord>
  /** The ids that are remembered, by log and in order. */
  readonly ids: Map<number, SeenId[]>
  readonly nextLog: number
  /** Above the ids of all logs of messages that were spilled. */
  nextSpill: number
  /** Above every number that a shared body has or had. */
  nextBody: number
  /** What was made anew or left out, because records were damaged. */
  readonly damage: Error[]
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

/** Reads everything but messages, and the index records of their pages. */
export async function recover(database: Database): Promise<Recovered> {
  const definitions: Definition[] = []
  for await (const found of recordsOf(database, Kind.definition)) {
    for (const [, value] of found) definitions.push(decodeDefinition(value))
  }
  const recovered: Recovered = {
    definitions,
    logs: new Map(),
    aside: new Map(),
    erasures: new Map(),
    delayLogs: new Map(),
    ids: new Map(),
    nextLog: await counter(database, Kind.nextLog),
    nextSpill: SPILL_FIRST,
    nextBody: await nextBody(database),
    damage: [],
  }
  for await (const found of recordsOf(database, Kind.erasure)) {
    for (const [key, value] of found) {
      listed(recovered.erasures, logOfKey(key)).push({ from: positionOfKey(key), below: decodeNumber(value) })
    }
  }
  for await (const found of recordsOf(database, Kind.delayLog)) {
    for (const [key, value] of found) recovered.delayLogs.set(logOfKey(key), decodeDelayRecord(value))
  }
  await recoverIds(database, recovered)
  await recoverLogs(database, recovered)
  recovered.nextSpill = await nextSpill(database, recovered)
  for await (const found of recordsOf(database, Kind.setAside)) {
    for (const [key] of found) listed(recovered.aside, logOfKey(key)).push(positionOfKey(key))
  }
  return recovered
}

/** A number that is written again and again: of that an iterator finds the newest, a look-up perhaps not (see `mergedKey`). */
async function counter(database: Database, kind: Kind): Promise<number> {
  let number = 1
  for await (const found of recordsOf(database, kind)) number = decodeNumber(found[0]![1])
  return number
}

/**
 * Above the ids of all logs of spilled messages: of those that have no record, and pages that are to be deleted, there are
 * few above the others, if any, and of each a page is looked for.
 */
async function nextSpill(database: Database, { logs, erasures }: Recovered): Promise<number> {
  let next = SPILL_FIRST
  for (const log of [...logs.keys(), ...erasures.keys()]) next = Math.max(next, log + 1)
  for (;;) {
    const iterator = database.iterator({ gte: positionKey(Kind.index, next, 0), lt: kindEnd(Kind.index) })
    const [found] = await iterator.nextv(1)
    await iterator.close()
    if (found === undefined) return next
    next = logOfKey(found[0]) + 1
  }
}

/** Above every number that a body has, also when the record that says so was lost: two bodies never share one. */
async function nextBody(database: Database): Promise<number> {
  let next = await counter(database, Kind.nextBody)
  const range = { gte: bodyBlockKey(blockOfBody(next)), lt: kindEnd(Kind.bodyBlock) }
  for await (const found of recordsIn(database, range)) next = (blockOfKey(found.at(-1)![0]) + 1) * BLOCK_BODIES
  return next
}

/** An id that is damaged is forgotten: a message with it may come twice. */
async function recoverIds(database: Database, { ids, damage }: Recovered): Promise<void> {
  for await (const found of recordsOf(database, Kind.seenId)) {
    for (const [key, value] of found) {
      const log = logOfKey(key)
      const seen = undamaged(() => decodeSeenId(positionOfKey(key), value))
      if (seen === null) damage.push(new Error(`an id in log ${log} that was remembered is damaged and left out`))
      else listed(ids, log).push(seen)
    }
  }
}

async function recoverLogs(database: Database, { logs, damage }: Recovered): Promise<void> {
  for await (const found of recordsOf(database, Kind.log)) {
    for (const [key, value] of found) {
      const log = logOfKey(key)
      const record = undamaged(() => decodeLogRecord(value))
      if (record === null) damage.push(new Error(`the record of log ${log} is damaged and made anew`))
      logs.set(log, record ?? DAMAGED_RECORD)
    }
  }
}

/** Nobody knows what was stored, or delivered: then anything may have been. */
const DAMAGED_RECORD: LogRecord = { next: 0, deliveredBelow: Infinity, unindexedFrom: 0, dropped: false }

function listed<T>(lists: Map<number, T[]>, id: number): T[] {
  let list = lists.get(id)
  if (list === undefined) lists.set(id, (list = []))
  return list
}

/** What a record says; null when it is damaged. */
export function undamaged<T>(decode: () => T): T | null {
  try {
    return decode()
  } catch (error) {
    if (error instanceof DamagedRecordError) return null
    throw error
  }
}

/** All records of a kind, in the order of their keys. */
export function recordsOf(database: Database, kind: Kind): AsyncGenerator<[Buffer, Buffer][]> {
  return recordsIn(database, { gte: kindKey(kind), lt: kindEnd(kind) })
}
