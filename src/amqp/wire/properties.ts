// Content headers: the fixed part, and the properties of class basic (AMQP 0-9-1 §4.2.6.1).
import { encodeTable, readTable, skipTable, type FieldTable } from './field-table.ts'
import { writeUint16 } from './frame-writer.ts'
import { PropertyFlag } from './generated.ts'
import { readUint16, readUint64 } from './method-arguments.ts'
import { decodeText, encodeText } from './text.ts'
import { WireError } from './wire-error.ts'

const FLAGS_BYTES = 2

const WEIGHT_OFFSET = 2
const BODY_SIZE_OFFSET = 4

/** The class id of the content header whose payload begins at `start`. */
export function headerClass(buffer: Buffer, start: number): number {
  return readUint16(buffer, start)
}

/** The weight, which is always 0. */
export function headerWeight(buffer: Buffer, start: number): number {
  return readUint16(buffer, start + WEIGHT_OFFSET)
}

/** The size of the body in bytes, exact. */
export function headerBodySize(buffer: Buffer, start: number): number | bigint {
  return readUint64(buffer, start + BODY_SIZE_OFFSET)
}

/**
 * Finds in encoded properties the few that routing and queues act on. One scan is used again and again: its fields hold
 * what the last one found.
 */
export class PropertyScan {
  /** 0 when absent. */
  deliveryMode = 0
  /** -1 when absent. */
  priority = -1
  /** Where the headers begin, at their 4-byte length; -1 when absent. */
  headersStart = -1
  headersEnd = -1
  // Where texts begin and end, without the length; -1 when absent.
  replyToStart = -1
  replyToEnd = -1
  expirationStart = -1
  expirationEnd = -1
  userIdStart = -1
  userIdEnd = -1

  /**
   * Scans `buffer[start, end)`, property flags and values, and checks all of it.
   * @throws WireError 502
   */
  scan(buffer: Buffer, start: number, end: number): void {
    this.#clear()
    if (end - start < FLAGS_BYTES) throw malformed()
    const flags = readUint16(buffer, start)
    const position = start + FLAGS_BYTES
    if (flags === 0 && position === end) return
    if (flags === PropertyFlag.deliveryMode && position + 1 === end) {
      this.deliveryMode = buffer[position]!
      return
    }
    const behind = this.#scanTexts(buffer, flags, this.#scanFirst(buffer, flags, position, end), end)
    if (behind !== end) throw malformed()
  }

  #clear(): void {
    this.deliveryMode = 0
    this.priority = -1
    this.headersStart = -1
    this.headersEnd = -1
    this.replyToStart = -1
    this.replyToEnd = -1
    this.expirationStart = -1
    this.expirationEnd = -1
    this.userIdStart = -1
    this.userIdEnd = -1
  }

  /** Content type up to priority. */
  #scanFirst(buffer: Buffer, flags: number, start: number, end: number): number {
    let position = start
    if ((flags & PropertyFlag.contentType) !== 0) position = textEnd(buffer, position, end)
    if ((flags & PropertyFlag.contentEncoding) !== 0) position = textEnd(buffer, position, end)
    if ((flags & PropertyFlag.headers) !== 0) {
      this.headersStart = position
      position = this.headersEnd = skipTable(buffer, position, end)
    }
    if ((flags & PropertyFlag.deliveryMode) !== 0) {
      this.deliveryMode = octet(buffer, position, end)
      position++
    }
    if ((flags & PropertyFlag.priority) !== 0) {
      this.priority = octet(buffer, position, end)
      position++
    }
    return position
  }

  /** Correlation id up to cluster id. */
  #scanTexts(buffer: Buffer, flags: number, start: number, end: number): number {
    let position = start
    if ((flags & PropertyFlag.correlationId) !== 0) position = textEnd(buffer, position, end)
    if ((flags & PropertyFlag.replyTo) !== 0) {
      this.replyToStart = position + 1
      position = this.replyToEnd = textEnd(buffer, position, end)
    }
    if ((flags & PropertyFlag.expiration) !== 0) {
      this.expirationStart = position + 1
      position = this.expirationEnd = textEnd(buffer, position, end)
    }
    if ((flags & PropertyFlag.messageId) !== 0) position = textEnd(buffer, position, end)
    if ((flags & PropertyFlag.timestamp) !== 0) position = timestampEnd(position, end)
    if ((flags & PropertyFlag.type) !== 0) position = textEnd(buffer, position, end)
    if ((flags & PropertyFlag.userId) !== 0) {
      this.userIdStart = position + 1
      position = this.userIdEnd = textEnd(buffer, position, end)
    }
    if ((flags & PropertyFlag.appId) !== 0) position = textEnd(buffer, position, end)
    if ((flags & PropertyFlag.clusterId) !== 0) position = textEnd(buffer, position, end)
    return position
  }
}

/** The properties of a message, those that are present. */
export interface BasicProperties {
  readonly contentType?: string
  readonly contentEncoding?: string
  readonly headers?: FieldTable
  readonly deliveryMode?: number
  readonly priority?: number
  readonly correlationId?: string
  readonly replyTo?: string
  readonly expiration?: string
  readonly messageId?: string
  /** Seconds since 1970. */
  readonly timestamp?: bigint
  readonly type?: string
  readonly userId?: string
  readonly appId?: string
  readonly clusterId?: string
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * Decodes `buffer[start, end)`, property flags and values.
 * @throws WireError 502
 */
export function decodeProperties(buffer: Buffer, start: number, end: number): BasicProperties {
  if (end - start < FLAGS_BYTES) throw malformed()
  const flags = readUint16(buffer, start)
  const values = new ValueReader(buffer, start + FLAGS_BYTES, end)
  const properties: Writable<BasicProperties> = {}
  if (flags & PropertyFlag.contentType) properties.contentType = values.text()
  if (flags & PropertyFlag.contentEncoding) properties.contentEncoding = values.text()
  if (flags & PropertyFlag.headers) properties.headers = values.table()
  if (flags & PropertyFlag.deliveryMode) properties.deliveryMode = values.octet()
  if (flags & PropertyFlag.priority) properties.priority = values.octet()
  if (flags & PropertyFlag.correlationId) properties.correlationId = values.text()
  if (flags & PropertyFlag.replyTo) properties.replyTo = values.text()
  if (flags & PropertyFlag.expiration) properties.expiration = values.text()
  if (flags & PropertyFlag.messageId) properties.messageId = values.text()
  if (flags & PropertyFlag.timestamp) properties.timestamp = values.timestamp()
  if (flags & PropertyFlag.type) properties.type = values.text()
  if (flags & PropertyFlag.userId) properties.userId = values.text()
  if (flags & PropertyFlag.appId) properties.appId = values.text()
  if (flags & PropertyFlag.clusterId) properties.clusterId = values.text()
  if (values.position !== end) throw malformed()
  return properties
}

/**
 * Encodes properties: flags and values, as they stand in a content header behind its fixed part.
 * @throws RangeError when a text is longer than 255 bytes or a number does not fit
 */
export function encodeProperties(properties: BasicProperties): Buffer {
  const values = new ValueWriter()
  values.text(PropertyFlag.contentType, properties.contentType)
  values.text(PropertyFlag.contentEncoding, properties.contentEncoding)
  values.table(PropertyFlag.headers, properties.headers)
  values.octet(PropertyFlag.deliveryMode, properties.deliveryMode)
  values.octet(PropertyFlag.priority, properties.priority)
  values.text(PropertyFlag.correlationId, properties.correlationId)
  values.text(PropertyFlag.replyTo, properties.replyTo)
  values.text(PropertyFlag.expiration, properties.expiration)
  values.text(PropertyFlag.messageId, properties.messageId)
  values.timestamp(PropertyFlag.timestamp, properties.timestamp)
  values.text(PropertyFlag.type, properties.type)
  values.text(PropertyFlag.userId, properties.userId)
  values.text(PropertyFlag.appId, properties.appId)
  values.text(PropertyFlag.clusterId, properties.clusterId)
  return values.bytes()
}

/** Reads property values one behind the other. */
class ValueReader {
  readonly #buffer: Buffer
  readonly #end: number
  position: number

  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer
    this.position = start
    this.#end = end
  }

  text(): string {
    const start = this.position + 1
    this.position = textEnd(this.#buffer, this.position, this.#end)
    return decodeText(this.#buffer, start, this.position)
  }

  table(): FieldTable {
    const start = this.position
    this.position = skipTable(this.#buffer, start, this.#end)
    return readTable(this.#buffer, start, this.position)
  }

  octet(): number {
    return octet(this.#buffer, this.position++, this.#end)
  }

  timestamp(): bigint {
    const start = this.position
    this.position = timestampEnd(start, this.#end)
    return this.#buffer.readBigUInt64BE(start)
  }
}

/** Puts the values that are present behind each other, and notes their flags. */
class ValueWriter {
  #flags = 0
  readonly #parts: Buffer[] = []

  bytes(): Buffer {
    const flags = Buffer.alloc(FLAGS_BYTES)
    writeUint16(flags, 0, this.#flags)
    return Buffer.concat([flags, ...this.#parts])
  }

  text(flag: number, value: string | undefined): void {
    if (value === undefined) return
    const text = encodeText(value)
    const length = Buffer.alloc(1)
    length.writeUInt8(text.length)
    this.#put(flag, length, text)
  }

  table(flag: number, value: FieldTable | undefined): void {
    if (value !== undefined) this.#put(flag, encodeTable(value))
  }

  octet(flag: number, value: number | undefined): void {
    if (value === undefined) return
    const bytes = Buffer.alloc(1)
    bytes.writeUInt8(value)
    this.#put(flag, bytes)
  }

  timestamp(flag: number, value: bigint | undefined): void {
    if (value === undefined) return
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(value)
    this.#put(flag, bytes)
  }

  #put(flag: number, ...parts: Buffer[]): void {
    this.#flags |= flag
    this.#parts.push(...parts)
  }
}

/** The position behind the short string at `position`. */
function textEnd(buffer: Buffer, position: number, end: number): number {
  const behind = position < end ? position + 1 + buffer[position]! : end + 1
  if (behind > end) throw malformed()
  return behind
}

function timestampEnd(position: number, end: number): number {
  if (end - position < 8) throw malformed()
  return position + 8
}

function octet(buffer: Buffer, position: number, end: number): number {
  if (position >= end) throw malformed()
  return buffer[position]!
}

function malformed(): WireError {
  return new WireError(502, 'malformed content header properties')
}
