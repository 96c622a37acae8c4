// Reads and writes the arguments of methods (AMQP 0-9-1 §4.2.5): what the generated code is made of.
import { binaryNumbers } from './erlang-binary.ts'
import { writeUint32 } from './frame-writer.ts'
import { internShortString, textBytes, truncateText, wellFormedText, writeText } from './text.ts'
import { WireError } from './wire-error.ts'

/** An end that no frame has: where the arguments run out, so that one comparison at the end catches all. */
const NOWHERE = 0x3fffffff

/** As much of bad arguments as a reply text can show. */
const SHOWN_BYTES_MAX = 128

const SHORT_STRING_BYTES_MAX = 255

/** The position behind the short string at `position`, or one that is behind every end. */
export function shortStringEnd(buffer: Buffer, position: number, end: number): number {
  return position < end ? position + 1 + buffer[position]! : NOWHERE
}

/** The position behind the long string or table at `position`, or one that is behind every end. */
export function longStringEnd(buffer: Buffer, position: number, end: number): number {
  return position + 4 <= end ? position + 4 + readUint32(buffer, position) : NOWHERE
}

/** Reads a short string of any bytes. */
export function readShortString(buffer: Buffer, position: number): string {
  return internShortString(buffer, position + 1, position + 1 + buffer[position]!)
}

/**
 * Reads a short string that must be UTF-8.
 * @throws WireError 501
 */
export function readName(buffer: Buffer, position: number): string {
  const text = readShortString(buffer, position)
  if (!wellFormedText(text)) throw new WireError(501, 'Malformed UTF-8 in shortstr')
  return text
}

/** A view of the bytes of a long string, valid for as long as the buffer is. */
export function readBytes(buffer: Buffer, position: number): Buffer {
  return buffer.subarray(position + 4, position + 4 + readUint32(buffer, position))
}

/** Reads two octets, the high one first. */
export function readUint16(buffer: Buffer, position: number): number {
  return (buffer[position]! << 8) | buffer[position + 1]!
}

/** The same with four. */
export function readUint32(buffer: Buffer, position: number): number {
  return (
    ((buffer[position]! << 24) |
      (buffer[position + 1]! << 16) |
      (buffer[position + 2]! << 8) |
      buffer[position + 3]!) >>>
    0
  )
}

/** Reads an unsigned 64-bit integer: exact in any case, as a number where that is possible. */
export function readUint64(buffer: Buffer, position: number): number | bigint {
  const high = readUint32(buffer, position)
  if (high >= 0x200000) return buffer.readBigUInt64BE(position)
  return high * 0x100000000 + readUint32(buffer, position + 4)
}

/** Writes a short string. What is longer than 255 bytes is cut, as RabbitMQ cuts reply texts. */
export function writeShortString(buffer: Buffer, position: number, text: string): number {
  const length = text.length
  if (length > SHORT_STRING_BYTES_MAX) return writeShortString(buffer, position, cut(text))
  const start = position + 1
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return writeAnyShortString(buffer, position, text)
    buffer[start + i] = code
  }
  buffer[position] = length
  return start + length
}

/** Writes a long string. */
export function writeLongString(buffer: Buffer, position: number, text: string): number {
  const end = writeText(buffer, position + 4, text)
  writeUint32(buffer, position, end - position - 4)
  return end
}

/** Writes a long string of bytes. */
export function writeBytes(buffer: Buffer, position: number, bytes: Buffer): number {
  buffer.set(bytes, writeUint32(buffer, position, bytes.length))
  return position + 4 + bytes.length
}

/** Puts bytes that are encoded already. */
export function writeEncoded(buffer: Buffer, position: number, bytes: Buffer): number {
  buffer.set(bytes, position)
  return position + bytes.length
}

/** The error for a method frame's payload whose arguments are too short, or go on behind the last one. */
export function cannotDecode(buffer: Buffer, start: number, end: number): WireError {
  const shown = buffer.subarray(start + 4, Math.min(end, start + 4 + SHOWN_BYTES_MAX))
  return new WireError(501, `cannot decode ${binaryNumbers(shown)}`, buffer.readUInt32BE(start))
}

function writeAnyShortString(buffer: Buffer, position: number, text: string): number {
  const fitting = textBytes(text) > SHORT_STRING_BYTES_MAX ? cut(text) : text
  const end = writeText(buffer, position + 1, fitting)
  buffer[position] = end - position - 1
  return end
}

function cut(text: string): string {
  return truncateText(text, SHORT_STRING_BYTES_MAX)
}
