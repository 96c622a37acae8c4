// The values of the small records beside the pages. Each begins with a CRC-32 of what follows and a version.
import { crc32 } from 'node:zlib'
import type { Attempts, SeenId } from '../../core/ports.ts'
import { DamagedRecordError, RecordReader, VARINT_BYTES_MAX, putText, putVarint, textBytesMax } from './bytes.ts'
import { BLOCK_BODIES } from './keys.ts'
import { Page } from './page.ts'

const VERSION = 1
const HEADER_BYTES = 5

/** The last field of an index record: whether the page is merged, and what its entries have elsewhere. */
const MERGED = 0x01
const ELSEWHERE_SHIFT = 1

/** Where small records are put together, header included. */
const scratch = Buffer.alloc(16 * 1024)

/** How far the positions and the deliveries of a log went. */
export interface LogRecord {
  /** Above every position that is stored, as long as the log's pages say nothing higher. */
  readonly next: number
  /** What is below was perhaps handed to somebody. */
  readonly deliveredBelow: number
  /** From here on there may be fragments that no index record tells of; -1 when there are none. */
  readonly unindexedFrom: number
  /** The log was dropped before it was known what it held: all of it is to be deleted. */
  readonly dropped: boolean
}

/** The record of a log. */
export function encodeLogRecord({ next, deliveredBelow, unindexedFrom, dropped }: LogRecord): Buffer {
  const at = putVarint(scratch, putVarint(scratch, HEADER_BYTES, next), deliveredBelow)
  if (unindexedFrom < 0 && !dropped) return taken(at)
  const end = putVarint(scratch, at, unindexedFrom < 0 ? next : unindexedFrom)
  return taken(dropped ? putVarint(scratch, end, 1) : end)
}

/** Reads it. Throws DamagedRecordError. */
export function decodeLogRecord(value: Buffer): LogRecord {
  const content = unseal(value)
  const reader = new RecordReader(content)
  const next = reader.varint()
  const deliveredBelow = reader.varint()
  const unindexedFrom = reader.at < content.length ? reader.varint() : -1
  return { next, deliveredBelow, unindexedFrom, dropped: reader.at < content.length && reader.varint() === 1 }
}

/** What is known of a delay log. */
export interface DelayRecord {
  readonly count: number
  /** Above the order of every message that was ever in it. */
  readonly next: number
  /** Its messages are being deleted. */
  readonly dropped: boolean
}

/** The record of a delay log. */
export function encodeDelayRecord(record: DelayRecord): Buffer {
  const at = putVarint(scratch, putVarint(scratch, HEADER_BYTES, record.count), record.next)
  return taken(putVarint(scratch, at, record.dropped ? 1 : 0))
}

/** Reads it. Throws DamagedRecordError. */
export function decodeDelayRecord(value: Buffer): DelayRecord {
  const reader = new RecordReader(unseal(value))
  return { count: reader.varint(), next: reader.varint(), dropped: reader.varint() === 1 }
}

/** How often a message was delivered in vain. */
export function encodeAttempts(attempts: Attempts): Buffer {
  const at = putVarint(scratch, putVarint(scratch, HEADER_BYTES, attempts.deliveryCount), attempts.acquiredCount)
  return taken(attempts.dueAt === 0 ? at : putVarint(scratch, at, attempts.dueAt))
}

/** Reads it. Throws DamagedRecordError. */
export function decodeAttempts(value: Buffer): Attempts {
  const content = unseal(value)
  const reader = new RecordReader(content)
  const deliveryCount = reader.varint()
  const acquiredCount = reader.varint()
  return { deliveryCount, acquiredCount, dueAt: reader.at < content.length ? reader.varint() : 0 }
}

/** An id that is remembered, but for its order, which is in the key. */
export function encodeSeenId({ id, until }: SeenId): Buffer {
  const bytes = Buffer.allocUnsafe(VARINT_BYTES_MAX + textBytesMax(id))
  return seal(bytes.subarray(0, putText(bytes, putVarint(bytes, 0, until === Infinity ? 0 : until), id)))
}

/** Reads it. Throws DamagedRecordError. */
export function decodeSeenId(order: number, value: Buffer): SeenId {
  const reader = new RecordReader(unseal(value))
  const until = reader.varint()
  return { id: reader.text(), order, until: until === 0 ? Infinity : until }
}

/** The number in a record that holds only that. */
export function encodeNumber(value: number): Buffer {
  return taken(putVarint(scratch, HEADER_BYTES, value))
}

/** Reads it. Throws DamagedRecordError. */
export function decodeNumber(value: Buffer): number {
  return new RecordReader(unseal(value)).varint()
}

/** What is known of a block of bodies. */
export interface BlockRecord {
  /** How many entries in pages have each of them. */
  readonly counts: number[]
  /** What they took when they were stored, all together. */
  bytes: number
}

/** The record of a block of bodies. */
export function encodeBlock({ counts, bytes }: BlockRecord): Buffer {
  let at = putVarint(scratch, HEADER_BYTES, bytes)
  for (const count of counts) at = putVarint(scratch, at, count)
  return taken(at)
}

/** Reads it. Throws DamagedRecordError. */
export function decodeBlock(value: Buffer | undefined): BlockRecord {
  if (value === undefined) throw new DamagedRecordError('a block of bodies is missing')
  const reader = new RecordReader(unseal(value))
  const bytes = reader.varint()
  const counts = Array.from({ length: BLOCK_BODIES }, () => reader.varint())
  return { counts, bytes }
}

/** A page's index record: everything that is known of it but its first position, which is in the key. */
export function encodeIndexRecord(page: Page): Buffer {
  let at = putVarint(scratch, HEADER_BYTES, page.last - page.first)
  at = putVarint(scratch, at, page.entries)
  at = putVarint(scratch, at, page.live)
  at = putVarint(scratch, at, page.bodyBytes)
  at = putVarint(scratch, at, page.bytes)
  at = putVarint(scratch, at, page.expiresFirst)
  at = putVarint(scratch, at, page.expiresLast === 0 ? 0 : page.expiresLast - page.expiresFirst)
  at = putFragments(at, page)
  at = putBits(at, page)
  const flags = (page.merged ? MERGED : 0) | (page.elsewhere << ELSEWHERE_SHIFT)
  return taken(flags > 0 ? putVarint(scratch, at, flags) : at)
}

function putFragments(at: number, page: Page): number {
  const fragments = page.fragments
  if (fragments === null) return putVarint(scratch, at, 0)
  at = putVarint(scratch, at, fragments.length - 1)
  for (let i = 1; i < fragments.length; i++) at = putVarint(scratch, at, fragments[i]! - fragments[i - 1]!)
  return at
}

function putBits(at: number, page: Page): number {
  const bits = page.bits
  if (bits === null) return putVarint(scratch, at, 0)
  const length = Math.min(bits.length, (page.last - page.first + 8) >> 3)
  at = putVarint(scratch, at, length)
  for (let i = 0; i < length; i++) scratch[at + i] = bits[i]!
  return at + length
}

/** Throws DamagedRecordError when the record is not what was written. */
export function decodeIndexRecord(first: number, value: Buffer): Page {
  const content = unseal(value)
  const reader = new RecordReader(content)
  const page = new Page(first)
  page.indexed = true
  page.last = first + reader.varint()
  page.entries = reader.varint()
  page.live = reader.varint()
  page.bodyBytes = reader.varint()
  page.bytes = reader.varint()
  page.expiresFirst = reader.varint()
  const expiryRange = reader.varint()
  page.expiresLast = page.expiresFirst === 0 ? 0 : page.expiresFirst + expiryRange
  const fragments = reader.varint()
  if (fragments > 0) {
    page.fragments = [first]
    for (let i = 0; i < fragments; i++) page.fragments.push(page.fragments[i]! + reader.varint())
  }
  const bits = reader.varint()
  if (bits > 0) {
    const start = reader.skip(bits)
    page.bits = new Uint8Array(reader.bytes.subarray(start, start + bits))
  }
  const flags = reader.at < content.length ? reader.varint() : 0
  page.merged = (flags & MERGED) !== 0
  page.elsewhere = flags >> ELSEWHERE_SHIFT
  return page
}

/** Puts checksum and version in front of content. */
export function seal(content: Buffer): Buffer {
  return sealed(Buffer.concat([Buffer.alloc(HEADER_BYTES), content]))
}

/** The content of a record. Throws DamagedRecordError when it is not what was written. */
export function unseal(value: Buffer): Buffer {
  if (value.length < HEADER_BYTES) throw new DamagedRecordError('a record ends within its header')
  if (crc32(value.subarray(4)) !== value.readUInt32BE(0)) throw new DamagedRecordError('a checksum is wrong')
  if (value[4] !== VERSION) throw new DamagedRecordError(`a record has version ${value[4]}`)
  return value.subarray(HEADER_BYTES)
}

/** A record of its own from what was put together, up to this offset. */
function taken(end: number): Buffer {
  return sealed(Buffer.from(scratch.subarray(0, end)))
}

function sealed(value: Buffer): Buffer {
  value[4] = VERSION
  value.writeUInt32BE(crc32(value.subarray(4)), 0)
  return value
}
