// The small encodings that all records of the store are made of: numbers of variable length, and text.

/** The most bytes that a number takes: 53 bits, seven at a time. */
export const VARINT_BYTES_MAX = 8

/** Writes a whole number from 0 to 2^53 - 1, seven bits a byte, lowest first. Returns the offset behind it. */
export function putVarint(bytes: Buffer, at: number, value: number): number {
  if (value < 0x80) {
    bytes[at] = value
    return at + 1
  }
  while (value > 0x7fff_ffff) {
    bytes[at++] = (value % 0x80) | 0x80
    value = Math.floor(value / 0x80)
  }
  while (value >= 0x80) {
    bytes[at++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  bytes[at] = value
  return at + 1
}

/** What `putLength` takes. */
export const LENGTH_BYTES = 4

/** Writes a number below 2^28 that reads as any other, in four bytes: for lengths that are known only afterwards. */
export function putLength(bytes: Buffer, at: number, value: number): void {
  for (let i = 0; i < LENGTH_BYTES; i++)
    bytes[at + i] = ((value >>> (7 * i)) & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0)
}

/** The bytes that a text takes, with its length in front, at the most. */
export function textBytesMax(text: string): number {
  return VARINT_BYTES_MAX + text.length * 2
}

/**
 * Writes any string so that it comes back as it was, lone surrogates included: the number of characters times two,
 * then a byte for each; or, when a character does not fit, the same number plus one, then two bytes for each.
 */
export function putText(bytes: Buffer, at: number, text: string): number {
  const length = text.length
  const start = putVarint(bytes, at, length * 2)
  for (let i = 0; i < length; i++) {
    const character = text.charCodeAt(i)
    if (character > 0xff) return putWideText(bytes, at, text)
    bytes[start + i] = character
  }
  return start + length
}

function putWideText(bytes: Buffer, at: number, text: string): number {
  const start = putVarint(bytes, at, text.length * 2 + 1)
  return start + bytes.write(text, start, 'utf16le')
}

/** A record that ends too early, or holds what no writer wrote. */
export class DamagedRecordError extends Error {
  constructor(sentence: string) {
    super(sentence)
    this.name = 'DamagedRecordError'
  }
}

/** Reads a record from front to back. Throws DamagedRecordError when it ends too early. */
export class RecordReader {
  readonly bytes: Buffer
  at: number
  readonly end: number

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  byte(): number {
    if (this.at >= this.end) throw new DamagedRecordError('a record ends too early')
    return this.bytes[this.at++]!
  }

  varint(): number {
    let byte = this.byte()
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    let scale = 0x80
    do {
      byte = this.byte()
      value += (byte & 0x7f) * scale
      scale *= 0x80
    } while (byte >= 0x80)
    return value
  }

  text(): string {
    const header = this.varint()
    const length = header & 1 ? header - 1 : header / 2
    const start = this.skip(length)
    return this.bytes.toString(header & 1 ? 'utf16le' : 'latin1', start, start + length)
  }

  /** Steps over so many bytes and returns the offset of the first. */
  skip(length: number): number {
    const start = this.at
    if (length > this.end - start) throw new DamagedRecordError('a record ends too early')
    this.at = start + length
    return start
  }
}
