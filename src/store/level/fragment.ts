// Fragments: the entries that one batch adds to a page, packed into one value. The bytes of a merged page are those of
// its fragments one behind the other.
//
//     u32  checksum of everything behind it        u48  position of the first entry
//     u8   version        u8   0                   u48  milliseconds since 1970 when it was written
//     u16  entries        u32  bytes of the entries     then the entries:
//
//     varint  positions since the previous entry   varint  bytes of the properties
//     u8      flags                                varint  bytes of the body
//     u8      priority, if any                     varint  bytes of further fields, if any, and these
//     varint  expiration in ms, if any             properties, body
//     texts   exchange and routing key, unless as before
//
// Further fields are the number of the body, if that is kept elsewhere, then an octet that tells which others there are,
// and these in the order of its bits. In version 2 the checksum is `laneSum`, in version 1 it was CRC-32.
import { crc32 } from 'node:zlib'
import type { MessageFacts } from '../../core/message.ts'
import { Deaths, Message, NO_KEYS } from '../../core/message.ts'
import type { StoredMessage } from '../../core/ports.ts'
import type { Entry } from '../../core/queue/entry.ts'
import { Stored } from '../../core/queue/entry.ts'
import {
  DamagedRecordError,
  LENGTH_BYTES,
  RecordReader,
  VARINT_BYTES_MAX,
  putLength,
  putText,
  putVarint,
  textBytesMax,
} from './bytes.ts'
import { sharesBody } from './bodies.ts'
import { laneSum } from './lane-sum.ts'
import { Elsewhere, PAGE_BODIES_BYTES, type Page } from './page.ts'
import { COPY_LOOP_BYTES, PAGE_BYTES, PAGE_ENTRIES } from './tuning.ts'

const VERSION = 2
const HEADER_BYTES = 24
const CHECKSUM_BYTES = 4

/** The flags of an entry. Their numbers are part of the format. */
const Flag = {
  persistent: 0x01,
  headers: 0x02,
  priority: 0x04,
  expiration: 0x08,
  /** Exchange and routing key are those of the entry before. */
  sameRoute: 0x10,
  redelivered: 0x20,
  /** Further fields follow, with their length in front: a reader that does not know them steps over. */
  further: 0x40,
  /** The body is kept elsewhere, and shared: its number is the first of the further fields. */
  bodyElsewhere: 0x80,
} as const

/** The further fields of an entry, as bits. Their numbers are part of the format. */
const Further = {
  /** When it expires, in milliseconds since 1970. */
  deadline: 0x01,
  /** One octet: what is known of the message's deaths. */
  deaths: 0x02,
  /** A number, and so many texts: the message's blind copies. */
  blindCopies: 0x04,
} as const

/** The most that an entry takes beside its texts, properties, body and further fields, and the most that those take. */
const ENTRY_BYTES_MAX = 2 + 8 + 8 + 8 + 8
const FURTHER_BYTES_MAX = LENGTH_BYTES + 8 + 1 + 8 + 1

/** What was written last: mostly the next message has the same route. */
const route = { exchange: '', routingKey: '', bytes: Buffer.of(0, 0) }

function encodeRoute(exchange: string, routingKey: string): Buffer {
  if (route.exchange === exchange && route.routingKey === routingKey) return route.bytes
  const bytes = Buffer.allocUnsafe(textBytesMax(exchange) + textBytesMax(routingKey))
  const end = putText(bytes, putText(bytes, 0, exchange), routingKey)
  route.exchange = exchange
  route.routingKey = routingKey
  route.bytes = bytes.subarray(0, end)
  return route.bytes
}

/** Stores a message's body apart from its entry, and returns the number under which it is kept. */
export type ShareBody = (message: Message) => number

/** What came of packing entries. */
export interface Packed {
  readonly value: Buffer
  /** The index behind the last entry that was taken. */
  readonly end: number
}

/**
 * Packs entries into a fragment for a page, from index `start` on, until the page is full; those that are null are left
 * out. Messages whose bytes are not their own take those of the fragment. Notes the entries in the page.
 */
export function packFragment(
  entries: readonly (Entry | null)[],
  start: number,
  page: Page,
  now: number,
  share: ShareBody,
): Packed {
  let size = HEADER_BYTES
  let count = 0
  let bodyBytes = 0
  let end = start
  let exchange = ''
  let routingKey = ''
  // What is taken is settled before memory is: until the page has enough entries, bytes or positions.
  for (; end < entries.length; end++) {
    const entry = entries[end]!
    if (entry === null) continue
    if (count > 0 && (page.entries + count >= PAGE_ENTRIES || page.bytes + size >= PAGE_BYTES)) break
    if (count > 0 && page.addedBodyBytes + bodyBytes >= PAGE_BODIES_BYTES) break
    if (count > 0 && !page.spans(entry.position)) break
    const message = entry.message
    size += ENTRY_BYTES_MAX + message.propertiesBytes
    if (!sharesBody(message)) size += message.bodyBytes
    bodyBytes += message.bodyBytes
    if (hasFurther(entry)) size += FURTHER_BYTES_MAX
    if (message.blindCopies.length > 0) size += keysBytesMax(message.blindCopies)
    if (count === 0 || message.exchange !== exchange || message.routingKey !== routingKey) {
      exchange = message.exchange
      routingKey = message.routingKey
      size += encodeRoute(exchange, routingKey).length
    }
    count++
  }
  const bytes = Buffer.allocUnsafe(size)
  const used = putEntries(bytes, entries, start, end, page, now, share)
  putHeader(bytes, used, count, firstPosition(entries, start), now)
  page.bytes += used
  return { value: bytes.subarray(0, used), end }
}

function firstPosition(entries: readonly (Entry | null)[], start: number): number {
  while (entries[start] === null) start++
  return entries[start]!.position
}

function putHeader(bytes: Buffer, used: number, count: number, position: number, now: number): void {
  bytes[4] = VERSION
  bytes[5] = 0
  bytes.writeUInt16BE(count, 6)
  bytes.writeUIntBE(position, 8, 6)
  bytes.writeUIntBE(now, 14, 6)
  bytes.writeUInt32BE(used - HEADER_BYTES, 20)
  bytes.writeUInt32BE(laneSum(bytes, CHECKSUM_BYTES, used), 0)
}

function putEntries(
  bytes: Buffer,
  entries: readonly (Entry | null)[],
  start: number,
  end: number,
  page: Page,
  now: number,
  share: ShareBody,
): number {
  let at = HEADER_BYTES
  let previous = -1
  let exchange: string | null = null
  let routingKey = ''
  for (let i = start; i < end; i++) {
    const entry = entries[i]!
    if (entry === null) continue
    const message = entry.message
    const position = entry.position
    const expirationMs = message.expirationMs
    const sameRoute = message.exchange === exchange && message.routingKey === routingKey
    let flags = 0
    if (message.persistent) flags |= Flag.persistent
    if (message.headers) flags |= Flag.headers
    if (message.priority >= 0) flags |= Flag.priority
    if (expirationMs >= 0) flags |= Flag.expiration
    if (sameRoute) flags |= Flag.sameRoute
    if (entry.redelivered) flags |= Flag.redelivered
    const shared = sharesBody(message)
    if (shared) flags |= Flag.bodyElsewhere
    const further = hasFurther(entry)
    if (further) flags |= Flag.further
    at = putVarint(bytes, at, previous < 0 ? 0 : position - previous)
    previous = position
    bytes[at++] = flags
    if (message.priority >= 0) bytes[at++] = message.priority
    if (expirationMs >= 0) {
      at = putVarint(bytes, at, expirationMs)
      if (!further) page.expires(now + expirationMs)
    }
    if (!sameRoute) {
      exchange = message.exchange
      routingKey = message.routingKey
      const encoded = encodeRoute(exchange, routingKey)
      at = putBytes(bytes, at, encoded, 0, encoded.length)
    }
    const bodyBytes = message.bodyEnd - message.bodyStart
    at = putVarint(bytes, at, message.propertiesEnd - message.propertiesStart)
    at = putVarint(bytes, at, bodyBytes)
    if (further) at = putFurther(bytes, at, entry, shared ? share(message) : 0, page)
    const propertiesStart = at
    at = putBytes(bytes, at, message.properties, message.propertiesStart, message.propertiesEnd)
    if (!shared) {
      const bodyStart = at
      at = putBytes(bytes, at, message.body, message.bodyStart, message.bodyEnd)
      if (!message.owned) message.adopt(bytes, propertiesStart, bodyStart, bodyStart, at)
    }
    page.add(position, bodyBytes)
    entry.stored = Stored.written
  }
  return at
}

/** Whether there is more to say of an entry than of most. */
function hasFurther(entry: Entry): boolean {
  const { details, message } = entry
  if (message.blindCopies.length > 0) return true
  return details !== null || message.deaths !== Deaths.none || sharesBody(message)
}

function keysBytesMax(keys: readonly string[]): number {
  return keys.reduce((sum, key) => sum + textBytesMax(key), VARINT_BYTES_MAX)
}

/** Writes the further fields: the number of the body, if that is elsewhere, and then what else there is. */
function putFurther(bytes: Buffer, start: number, entry: Entry, body: number, page: Page): number {
  const { deaths, blindCopies } = entry.message
  const deadline = entry.details?.deadline ?? Infinity
  // The length is known at the end, and takes one octet unless there are texts.
  const short = blindCopies.length === 0
  const fieldsStart = start + (short ? 1 : LENGTH_BYTES)
  let at = fieldsStart
  if (body !== 0) at = putVarint(bytes, at, body)
  let which = 0
  const whichAt = at++
  if (deadline !== Infinity) {
    which |= Further.deadline
    at = putVarint(bytes, at, deadline)
    page.expires(deadline)
  }
  if (deaths !== Deaths.none) {
    which |= Further.deaths
    bytes[at++] = deaths
  }
  if (!short) {
    which |= Further.blindCopies
    at = putVarint(bytes, at, blindCopies.length)
    for (const key of blindCopies) at = putText(bytes, at, key)
  }
  bytes[whichAt] = which
  if (short) bytes[start] = at - fieldsStart
  else putLength(bytes, start, at - fieldsStart)
  return at
}

/** Copies bytes: few of them in a loop, for a call into the engine costs as much as some dozens. */
function putBytes(target: Buffer, at: number, source: Buffer, start: number, end: number): number {
  const length = end - start
  if (length > COPY_LOOP_BYTES) source.copy(target, at, start, end)
  else for (let i = 0; i < length; i++) target[at + i] = source[start + i]!
  return at + length
}

/** The facts of the message that is being read: the constructor copies them. */
const facts: { -readonly [Fact in keyof MessageFacts]: MessageFacts[Fact] } = {
  persistent: false,
  priority: -1,
  expirationMs: -1,
  headers: false,
}

/** Decides which of the entries that are read back are wanted. */
export interface Wanted {
  /**
   * Whether the entry at this position is to be returned; `deadline`: in milliseconds since 1970, or Infinity; `body`: the
   * number of its body, if that is kept elsewhere, or 0.
   */
  wants(position: number, bodyBytes: number, deadline: number, body: number): boolean
  /** Whether the entry at this position was handed to somebody, as far as its log knows. */
  redelivered(position: number): boolean
}

/** Bytes that are not what was written. */
export interface Damage {
  /** The entries from this position on cannot be read. */
  readonly position: number
  /** The offset of the first fragment that cannot be read. */
  readonly at: number
  readonly error: DamagedRecordError
}

/**
 * Reads the entries of a value, which are those of one or more fragments, and adds those that are wanted to `found`.
 * The messages are views of the value. Stops at a fragment that is damaged, and says where that is.
 */
export function unpackFragments(value: Buffer, first: number, wanted: Wanted, found: StoredMessage[]): Damage | null {
  let position = first
  let at = 0
  try {
    while (at < value.length) {
      const end = checkFragment(value, at)
      position = unpackEntries(value, at, end, wanted, found) + 1
      at = end
    }
  } catch (error) {
    if (error instanceof DamagedRecordError) return { position, at, error }
    throw error
  }
  return null
}

/** Visits the bodies that the entries of a value have elsewhere, be they settled or not. Stops as `unpackFragments` does. */
export function visitBodies(
  value: Buffer,
  first: number,
  visit: (body: number, bodyBytes: number) => void,
): Damage | null {
  const noted: Wanted = {
    wants: (_position, bodyBytes, _deadline, body) => {
      if (body !== 0) visit(body, bodyBytes)
      return false
    },
    redelivered: () => false,
  }
  return unpackFragments(value, first, noted, [])
}

/** Checks the fragment that begins at this offset and returns the offset behind it. */
function checkFragment(value: Buffer, at: number): number {
  if (value.length - at < HEADER_BYTES) throw new DamagedRecordError('a fragment ends within its header')
  const end = at + HEADER_BYTES + value.readUInt32BE(at + 20)
  if (end > value.length) throw new DamagedRecordError('a fragment ends too early')
  if (checksumOf(value, at, end) !== value.readUInt32BE(at)) {
    throw new DamagedRecordError('the checksum of a fragment is wrong')
  }
  return end
}

function checksumOf(value: Buffer, at: number, end: number): number {
  const version = value[at + 4]
  if (version === VERSION) return laneSum(value, at + CHECKSUM_BYTES, end)
  if (version === 1) return crc32(value.subarray(at + CHECKSUM_BYTES, end))
  throw new DamagedRecordError(`a fragment has version ${version}, which there is not`)
}

/** Reads the entries of one fragment. Returns the position of the last. */
function unpackEntries(bytes: Buffer, at: number, end: number, wanted: Wanted, found: StoredMessage[]): number {
  const reader = new RecordReader(bytes, at + HEADER_BYTES, end)
  const storedAt = bytes.readUIntBE(at + 14, 6)
  let position = bytes.readUIntBE(at + 8, 6)
  let exchange = ''
  let routingKey = ''
  while (reader.at < end) {
    position += reader.varint()
    const flags = reader.byte()
    facts.persistent = (flags & Flag.persistent) !== 0
    facts.headers = (flags & Flag.headers) !== 0
    facts.priority = flags & Flag.priority ? reader.byte() : -1
    facts.expirationMs = flags & Flag.expiration ? reader.varint() : -1
    if (!(flags & Flag.sameRoute)) {
      exchange = reader.text()
      routingKey = reader.text()
    }
    const propertiesBytes = reader.varint()
    const bodyBytes = reader.varint()
    further.body = 0
    further.deadline = Infinity
    further.deaths = Deaths.none
    further.blindCopies = NO_KEYS
    if (flags & Flag.further) readFurther(reader, (flags & Flag.bodyElsewhere) !== 0)
    if (further.deadline === Infinity && facts.expirationMs >= 0) further.deadline = storedAt + facts.expirationMs
    const shared = further.body !== 0
    const start = reader.skip(shared ? propertiesBytes : propertiesBytes + bodyBytes)
    if (!wanted.wants(position, bodyBytes, further.deadline, further.body)) continue
    const bodyStart = start + propertiesBytes
    const bodyEnd = bodyStart + bodyBytes
    const message = shared
      ? new Message(exchange, routingKey, facts, bytes, start, bodyStart, NO_BODY, 0, bodyBytes, true)
      : new Message(exchange, routingKey, facts, bytes, start, bodyStart, bytes, bodyStart, bodyEnd, true)
    message.sharedBody = further.body
    message.deaths = further.deaths
    message.blindCopies = further.blindCopies
    const redelivered = (flags & Flag.redelivered) !== 0 || wanted.redelivered(position)
    found.push({ position, message, redelivered, storedAt, deadline: further.deadline })
  }
  return position
}

/** Stands for a body that is still to be read. */
const NO_BODY = Buffer.alloc(0)

/** The further fields of the entry that is being read. */
const further: { body: number; deadline: number; deaths: Deaths; blindCopies: readonly string[] } = {
  body: 0,
  deadline: Infinity,
  deaths: Deaths.none,
  blindCopies: NO_KEYS,
}

/** Reads the fields that are known. What a later version has put behind them is stepped over. */
function readFurther(reader: RecordReader, bodyElsewhere: boolean): void {
  const length = reader.varint()
  const end = reader.at + length
  if (bodyElsewhere) further.body = reader.varint()
  const which = reader.at < end ? reader.byte() : 0
  if (which & Further.deadline) further.deadline = reader.varint()
  if (which & Further.deaths) further.deaths = reader.byte() as Deaths
  if (which & Further.blindCopies) further.blindCopies = readKeys(reader)
  reader.skip(end - reader.at)
}

function readKeys(reader: RecordReader): readonly string[] {
  const keys: string[] = []
  for (let count = reader.varint(); count > 0; count--) keys.push(reader.text())
  return keys
}

/**
 * Adds a fragment to a page of which no index record tells: its first position, its value, and where it ends at the
 * latest. Entries that are damaged are taken for what the fragment says that they are: whoever reads them finds the damage.
 */
export function scanFragment(page: Page, first: number, value: Buffer, below: number): void {
  page.beginFragment(first)
  const noted: Wanted = {
    wants: (position, bodyBytes, deadline, body) => {
      page.add(position, bodyBytes)
      if (body !== 0) page.elsewhere |= Elsewhere.bodies
      if (deadline !== Infinity) page.expires(deadline)
      return false
    },
    redelivered: () => false,
  }
  const damage = unpackFragments(value, first, noted, [])
  page.bytes += value.length
  if (damage === null) return
  const from = Math.max(damage.position, page.last + 1)
  const end = Math.min(from + entriesFrom(value, damage.at), below)
  for (let position = from; position < end; position++) page.add(position, 0)
}

/** How many entries the fragments from this offset on have, as far as their headers can be believed: at least one. */
function entriesFrom(value: Buffer, at: number): number {
  let entries = 0
  while (at + HEADER_BYTES <= value.length) {
    entries += value.readUInt16BE(at + 6)
    at += HEADER_BYTES + value.readUInt32BE(at + 20)
  }
  return Math.min(Math.max(entries, 1), PAGE_ENTRIES)
}
