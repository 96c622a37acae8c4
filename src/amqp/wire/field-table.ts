// Field tables, both ways, with every value type that RabbitMQ knows (AMQP 0-9-1 §4.2.5.5 and its errata).
//
// No recursion anywhere: what a client nests costs a stack of its own, of limited depth.
import { decodeText, encodeText, internShortString } from './text.ts'
import { WireError } from './wire-error.ts'

/** A value with the type it was given with; the same as in core/value, by the same rules. */
export type FieldValue =
  | { readonly type: 'bool'; readonly value: boolean }
  | {
      readonly type: 'byte' | 'unsignedbyte' | 'short' | 'unsignedshort' | 'signedint' | 'unsignedint'
      readonly value: number
    }
  | { readonly type: 'long'; readonly value: bigint }
  | { readonly type: 'float' | 'double'; readonly value: number }
  | { readonly type: 'decimal'; readonly value: number; readonly scale: number }
  | { readonly type: 'longstr'; readonly value: string }
  | { readonly type: 'binary'; readonly value: Uint8Array }
  | { readonly type: 'timestamp'; readonly value: bigint }
  | { readonly type: 'array'; readonly value: readonly FieldValue[] }
  | { readonly type: 'table'; readonly value: FieldTable }
  | { readonly type: 'void'; readonly value: null }

/** Arguments or headers by name, in the order in which they came. */
export type FieldTable = ReadonlyMap<string, FieldValue>

/** How many tables and arrays may be open at once, the outermost table included. */
export const TABLE_DEPTH_MAX = 32
/** How many values a table may hold, those of all its tables and arrays included. */
export const TABLE_VALUES_MAX = 65_536

const LENGTH_BYTES = 4

/** How many bytes follow a tag; -1 for a tag that is none, LENGTH for those that give their length. */
const LENGTH = -2
const widths = new Int8Array(256).fill(-1)
for (const [tags, width] of [
  ['V', 0],
  ['tbB', 1],
  ['suU', 2],
  ['Iif', 4],
  ['D', 5],
  ['lLdT', 8],
  ['SxAF', LENGTH],
] as const) {
  for (const tag of tags) widths[tag.charCodeAt(0)] = width
}

const TAG_TABLE = 'F'.charCodeAt(0)
const TAG_ARRAY = 'A'.charCodeAt(0)

/** A table or an array that is being read. */
interface OpenContainer {
  readonly end: number
  readonly table: Map<string, FieldValue> | null
  readonly array: FieldValue[] | null
}

/** A table or an array that is being written: what is left of it, and where its length will go. */
interface OpenOutput {
  readonly rest: Iterator<readonly [string | number, FieldValue]>
  readonly lengthAt: number
}

/**
 * Reads the table whose 4-byte length is at `start`. Of a name that comes twice the first counts, as in RabbitMQ.
 * @throws WireError 502
 */
export function readTable(buffer: Buffer, start: number, end: number): FieldTable {
  return readTableBody(buffer, start + LENGTH_BYTES, containerEnd(buffer, start, end))
}

/**
 * Reads a table without the length in front: an AMQPLAIN response is one.
 * @throws WireError 502
 */
export function readTableBody(buffer: Buffer, start: number, end: number): FieldTable {
  const root = new Map<string, FieldValue>()
  const open: OpenContainer[] = [{ end, table: root, array: null }]
  let position = start
  let values = 0
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    if (position === top.end) {
      open.pop()
      continue
    }
    if (++values > TABLE_VALUES_MAX) throw tooManyValues()
    let name = ''
    if (top.table !== null) {
      const nameStart = position + 1
      position = nameEnd(buffer, position, top.end)
      name = internShortString(buffer, nameStart, position)
    }
    const tag = buffer[position]!
    const valueStart = position + 1
    const next = valueEnd(buffer, position, top.end)
    if (tag === TAG_TABLE || tag === TAG_ARRAY) {
      if (open.length === TABLE_DEPTH_MAX) throw tooDeep()
      const inner = openContainer(tag, next)
      add(top, name, containerValue(inner))
      open.push(inner)
      position = valueStart + LENGTH_BYTES
    } else {
      add(top, name, readValue(buffer, tag, valueStart, next))
      position = next
    }
  }
  return root
}

// The tables and arrays that skipTable is in, reused by every call.
const openEnds = new Float64Array(TABLE_DEPTH_MAX)
const openArrays = new Uint8Array(TABLE_DEPTH_MAX)

/**
 * Checks the table whose 4-byte length is at `start` and returns the position behind it. Makes nothing: `readTable`
 * will read what passed here.
 * @throws WireError 502
 */
export function skipTable(buffer: Buffer, start: number, end: number): number {
  const tableEnd = containerEnd(buffer, start, end)
  let position = start + LENGTH_BYTES
  let values = 0
  let depth = 1
  let limit = tableEnd
  let inArray = 0
  openEnds[0] = limit
  openArrays[0] = inArray
  while (depth > 0) {
    if (position === limit) {
      if (--depth === 0) break
      limit = openEnds[depth - 1]!
      inArray = openArrays[depth - 1]!
      continue
    }
    if (++values > TABLE_VALUES_MAX) throw tooManyValues()
    if (inArray === 0) position = nameEnd(buffer, position, limit)
    const valueStart = position + 1
    position = valueEnd(buffer, position, limit)
    const tag = buffer[valueStart - 1]!
    if (tag === TAG_TABLE || tag === TAG_ARRAY) {
      if (depth === TABLE_DEPTH_MAX) throw tooDeep()
      limit = position
      inArray = tag === TAG_ARRAY ? 1 : 0
      openEnds[depth] = limit
      openArrays[depth] = inArray
      depth++
      position = valueStart + LENGTH_BYTES
    }
  }
  return tableEnd
}

/** The end of the table whose 4-byte length is at `start`. */
function containerEnd(buffer: Buffer, start: number, end: number): number {
  if (end - start < LENGTH_BYTES) throw malformed('its length is missing')
  const length = buffer.readUInt32BE(start)
  if (length > end - start - LENGTH_BYTES) throw malformed('it is longer than what holds it')
  return start + LENGTH_BYTES + length
}

/** The position of the tag behind the name at `position`. */
function nameEnd(buffer: Buffer, position: number, end: number): number {
  const tagAt = position + 1 + buffer[position]!
  if (tagAt >= end) throw malformed('a name has no value')
  return tagAt
}

/** The position behind the value whose tag is at `position`, which is before `end`. */
function valueEnd(buffer: Buffer, position: number, end: number): number {
  const tag = buffer[position]!
  const width = widths[tag]!
  if (width === -1) throw malformed(`unknown type ${tag}`)
  const start = position + 1
  if (width !== LENGTH) {
    if (width > end - start) throw malformed('a value is cut off')
    return start + width
  }
  return containerEnd(buffer, start, end)
}

function openContainer(tag: number, end: number): OpenContainer {
  return tag === TAG_TABLE ? { end, table: new Map(), array: null } : { end, table: null, array: [] }
}

/** The value of a container that is still empty. */
function containerValue(container: OpenContainer): FieldValue {
  if (container.table !== null) return { type: 'table', value: container.table }
  return { type: 'array', value: container.array ?? [] }
}

function add(container: OpenContainer, name: string, value: FieldValue): void {
  if (container.array !== null) container.array.push(value)
  else if (container.table !== null && !container.table.has(name)) container.table.set(name, value)
}

/** Reads the value with this tag at `[start, end)`, which is neither a table nor an array, and complete. */
function readValue(buffer: Buffer, tag: number, start: number, end: number): FieldValue {
  switch (String.fromCharCode(tag)) {
    case 't':
      return { type: 'bool', value: buffer[start] !== 0 }
    case 'b':
      return { type: 'byte', value: buffer.readInt8(start) }
    case 'B':
      return { type: 'unsignedbyte', value: buffer.readUInt8(start) }
    case 's':
    // The strict mode of php-amqplib sends its 16-bit integers as U.
    case 'U':
      return { type: 'short', value: buffer.readInt16BE(start) }
    case 'u':
      return { type: 'unsignedshort', value: buffer.readUInt16BE(start) }
    case 'I':
      return { type: 'signedint', value: buffer.readInt32BE(start) }
    case 'i':
      return { type: 'unsignedint', value: buffer.readUInt32BE(start) }
    case 'l':
    // RabbitMQ reads L as signed too, and never writes it, for Java and Go clients cannot read it.
    case 'L':
      return { type: 'long', value: buffer.readBigInt64BE(start) }
    case 'f':
      return { type: 'float', value: buffer.readFloatBE(start) }
    case 'd':
      return { type: 'double', value: buffer.readDoubleBE(start) }
    case 'D':
      return { type: 'decimal', value: buffer.readUInt32BE(start + 1), scale: buffer.readUInt8(start) }
    case 'T':
      return { type: 'timestamp', value: buffer.readBigUInt64BE(start) }
    case 'S':
      return { type: 'longstr', value: decodeText(buffer, start + LENGTH_BYTES, end) }
    case 'x':
      return { type: 'binary', value: new Uint8Array(buffer.subarray(start + LENGTH_BYTES, end)) }
    default:
      return { type: 'void', value: null }
  }
}

/**
 * Encodes a table, with its 4-byte length in front.
 * @throws RangeError when a number does not fit its type, a name is longer than 255 bytes or tables nest too deep
 */
export function encodeTable(table: FieldTable): Buffer {
  const out = new TableOutput()
  const open: OpenOutput[] = [{ rest: table.entries(), lengthAt: out.beginLength() }]
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const next = top.rest.next()
    if (next.done === true) {
      out.endLength(top.lengthAt)
      open.pop()
      continue
    }
    const [name, value] = next.value
    if (typeof name === 'string') out.name(name)
    if (value.type === 'table' || value.type === 'array') {
      if (open.length === TABLE_DEPTH_MAX) throw new RangeError(`tables nest deeper than ${TABLE_DEPTH_MAX}`)
      out.tag(value.type === 'table' ? 'F' : 'A')
      open.push({ rest: value.value.entries(), lengthAt: out.beginLength() })
    } else out.value(value)
  }
  return out.bytes()
}

/** Bytes that grow as values are put behind each other. */
class TableOutput {
  #buffer = Buffer.allocUnsafe(256)
  #length = 0

  /** A copy of what was put: small, and nobody else's. */
  bytes(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length))
  }

  /** Leaves a length open and returns where it is. */
  beginLength(): number {
    return this.#take(LENGTH_BYTES)
  }

  /** Sets a length to what was put behind it. */
  endLength(at: number): void {
    this.#buffer.writeUInt32BE(this.#length - at - LENGTH_BYTES, at)
  }

  name(name: string): void {
    const bytes = encodeText(name)
    const at = this.#take(1 + bytes.length)
    this.#buffer.writeUInt8(bytes.length, at)
    this.#buffer.set(bytes, at + 1)
  }

  tag(tag: string): void {
    const at = this.#take(1)
    this.#buffer[at] = tag.charCodeAt(0)
  }

  value(value: Exclude<FieldValue, { readonly type: 'table' | 'array' }>): void {
    switch (value.type) {
      case 'bool':
        this.#fixed('t', (at) => this.#buffer.writeUInt8(value.value ? 1 : 0, at))
        break
      case 'byte':
        this.#fixed('b', (at) => this.#buffer.writeInt8(value.value, at))
        break
      case 'unsignedbyte':
        this.#fixed('B', (at) => this.#buffer.writeUInt8(value.value, at))
        break
      case 'short':
        this.#fixed('s', (at) => this.#buffer.writeInt16BE(value.value, at))
        break
      case 'unsignedshort':
        this.#fixed('u', (at) => this.#buffer.writeUInt16BE(value.value, at))
        break
      case 'signedint':
        this.#fixed('I', (at) => this.#buffer.writeInt32BE(value.value, at))
        break
      case 'unsignedint':
        this.#fixed('i', (at) => this.#buffer.writeUInt32BE(value.value, at))
        break
      case 'long':
        this.#fixed('l', (at) => this.#buffer.writeBigInt64BE(value.value, at))
        break
      case 'float':
        this.#fixed('f', (at) => this.#buffer.writeFloatBE(value.value, at))
        break
      case 'double':
        this.#fixed('d', (at) => this.#buffer.writeDoubleBE(value.value, at))
        break
      case 'decimal':
        this.#fixed('D', (at) => this.#buffer.writeUInt32BE(value.value, this.#buffer.writeUInt8(value.scale, at)))
        break
      case 'timestamp':
        this.#fixed('T', (at) => this.#buffer.writeBigUInt64BE(value.value, at))
        break
      case 'longstr':
        this.#counted('S', encodeText(value.value))
        break
      case 'binary':
        this.#counted('x', value.value)
        break
      case 'void':
        this.tag('V')
    }
  }

  #fixed(tag: string, write: (at: number) => void): void {
    this.tag(tag)
    write(this.#take(widths[tag.charCodeAt(0)]!))
  }

  #counted(tag: string, bytes: Uint8Array): void {
    this.tag(tag)
    const at = this.#take(LENGTH_BYTES + bytes.length)
    this.#buffer.writeUInt32BE(bytes.length, at)
    this.#buffer.set(bytes, at + LENGTH_BYTES)
  }

  /** Takes room for this many bytes and returns where it begins. */
  #take(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2))
      this.#buffer.copy(grown, 0, 0, at)
      this.#buffer = grown
    }
    return at
  }
}

function malformed(what: string): WireError {
  return new WireError(502, `malformed field table: ${what}`)
}

function tooDeep(): WireError {
  return malformed(`it nests deeper than ${TABLE_DEPTH_MAX}`)
}

function tooManyValues(): WireError {
  return malformed(`it holds more than ${TABLE_VALUES_MAX} values`)
}
