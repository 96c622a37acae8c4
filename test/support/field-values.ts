// Field tables as tests write and read them: plain values where one tag is the obvious one, `Tagged` for all others.

/** The one-letter tags of RabbitMQ's dialect of field values. */
export type Tag =
  't' | 'b' | 'B' | 's' | 'u' | 'I' | 'i' | 'l' | 'L' | 'f' | 'd' | 'D' | 'S' | 'A' | 'T' | 'F' | 'V' | 'x'

/**
 * A field value. Strings are `S`, booleans `t`, whole numbers `I`, other numbers `d`, bigints `l`, null `V`, bytes `x`,
 * arrays `A` and objects `F`. What is read back is written the same way, so what went in and what came out compare.
 */
export type Value = string | number | boolean | bigint | null | Uint8Array | Tagged | readonly Value[] | Table

/** A field table, in the order of its keys. */
export interface Table {
  readonly [key: string]: Value
}

/** A value under a tag of the test's choice. `D` holds `[scale, value]`; `S` may hold bytes that are not UTF-8. */
export class Tagged {
  readonly tag: Tag
  readonly value: Value

  constructor(tag: Tag, value: Value) {
    this.tag = tag
    this.value = value
  }
}

/** Short for `new Tagged(tag, value)`. */
export function tagged(tag: Tag, value: Value): Tagged {
  return new Tagged(tag, value)
}

/** Encodes a table with its length in front. */
export function encodeTable(table: Table): Buffer {
  return longBytes(encodeTableBody(table))
}

/** Encodes the pairs of a table without the length, as an AMQPLAIN response has them. */
export function encodeTableBody(table: Table): Buffer {
  return Buffer.concat(Object.entries(table).flatMap(([key, value]) => [shortBytes(key), encodeValue(value)]))
}

/** A length octet and the bytes of a short string. */
export function shortBytes(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text as string)
  if (bytes.length > 255) throw new RangeError(`a short string of ${bytes.length} bytes`)
  return Buffer.concat([Buffer.of(bytes.length), bytes])
}

/** Four octets of length and the bytes of a long string, a table or an array. */
export function longBytes(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text as string)
  return Buffer.concat([uint(bytes.length, 4), bytes])
}

/** A number in big-endian octets; negative ones as two's complement. */
export function uint(value: number | bigint, octets: 1 | 2 | 4 | 8): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)))
  return bytes.subarray(8 - octets)
}

function encodeValue(value: Value): Buffer {
  const { tag, value: bare } = value instanceof Tagged ? value : { tag: naturalTag(value), value }
  return Buffer.concat([Buffer.from(tag), encodeBare(tag, bare)])
}

function naturalTag(value: Value): Tag {
  if (value === null) return 'V'
  if (value instanceof Uint8Array) return 'x'
  if (Array.isArray(value)) return 'A'
  switch (typeof value) {
    case 'string':
      return 'S'
    case 'boolean':
      return 't'
    case 'bigint':
      return 'l'
    case 'number':
      return isInt32(value) ? 'I' : 'd'
    default:
      return 'F'
  }
}

function isInt32(value: number): boolean {
  return (value | 0) === value && !Object.is(value, -0)
}

function encodeBare(tag: Tag, value: Value): Buffer {
  switch (tag) {
    case 't':
      return Buffer.of(value ? 1 : 0)
    case 'b':
    case 'B':
      return uint(Number(value), 1)
    case 's':
    case 'u':
      return uint(Number(value), 2)
    case 'I':
    case 'i':
      return uint(Number(value), 4)
    case 'l':
    case 'L':
    case 'T':
      return uint(BigInt(value as bigint | number), 8)
    case 'f': {
      const bytes = Buffer.alloc(4)
      bytes.writeFloatBE(Number(value))
      return bytes
    }
    case 'd': {
      const bytes = Buffer.alloc(8)
      bytes.writeDoubleBE(Number(value))
      return bytes
    }
    case 'D': {
      const [scale, unscaled] = value as readonly number[]
      return Buffer.concat([uint(scale!, 1), uint(unscaled!, 4)])
    }
    case 'S':
    case 'x':
      return longBytes(value as string | Uint8Array)
    case 'A':
      return longBytes(Buffer.concat((value as readonly Value[]).map(encodeValue)))
    case 'F':
      return encodeTable(value as Table)
    case 'V':
      return Buffer.alloc(0)
  }
}

/** Reads AMQP's elementary types from bytes, and throws when they run out. */
export class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  take(length: number): Buffer {
    if (length > this.left) throw new RangeError(`${length} bytes wanted, ${this.left} left`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  uint(octets: 1 | 2 | 4): number {
    return this.take(octets).readUIntBE(0, octets)
  }

  /** Eight octets as a number, or as a bigint where a number would not be exact. */
  ulonglong(): number | bigint {
    const value = this.take(8).readBigUInt64BE()
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
  }

  short(): string {
    return this.take(this.uint(1)).toString()
  }

  long(): Buffer {
    return this.take(this.uint(4))
  }

  table(): Table {
    const pairs = new Reader(this.long())
    const table: Record<string, Value> = {}
    while (pairs.left > 0) table[pairs.short()] = pairs.#value()
    return table
  }

  #value(): Value {
    const tag = this.take(1).toString('latin1') as Tag
    const value = this.#bare(tag)
    // Anything that would be written under another tag keeps its own.
    return naturalTag(value) === tag ? value : tagged(tag, value)
  }

  #bare(tag: Tag): Value {
    switch (tag) {
      case 't':
        return this.uint(1) !== 0
      case 'b':
        return this.take(1).readInt8()
      case 'B':
        return this.uint(1)
      case 's':
        return this.take(2).readInt16BE()
      case 'u':
        return this.uint(2)
      case 'I':
        return this.take(4).readInt32BE()
      case 'i':
        return this.uint(4)
      case 'l':
      case 'L':
        return this.take(8).readBigInt64BE()
      case 'T':
        return this.take(8).readBigUInt64BE()
      case 'f':
        return this.take(4).readFloatBE()
      case 'd':
        return this.take(8).readDoubleBE()
      case 'D':
        return [this.uint(1), this.uint(4)]
      case 'S':
        return textOrBytes(this.long())
      case 'x':
        return Buffer.from(this.long())
      case 'A': {
        const items = new Reader(this.long())
        const values: Value[] = []
        while (items.left > 0) values.push(items.#value())
        return values
      }
      case 'F':
        return this.table()
      case 'V':
        return null
      default:
        throw new RangeError(`unknown field tag '${String(tag)}'`)
    }
  }
}

function textOrBytes(bytes: Buffer): string | Buffer {
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes) ? text : Buffer.from(bytes)
}
