// Text as AMQP carries it: usually UTF-8, but any bytes must survive the way in and out.
import { isUtf8 } from 'node:buffer'

/** Below this length a loop beats a call into native code. */
const LOOP_LENGTH_MAX = 64

/** Lone surrogates: with the flag `u` a pair counts as one character, and does not match. */
const LONE_SURROGATE = /[\uD800-\uDFFF]/u

/** An octet that is no UTF-8 becomes this plus the octet: U+DC80 to U+DCFF, which valid UTF-8 never decodes to. */
const ESCAPE_BASE = 0xdc00

/**
 * What Node.js decodes an octet to that is no UTF-8, U+FFFD. By its number: as a character it would be the only one in its
 * file of the bundle that takes two bytes, and V8 would keep the text of the whole file so.
 */
const REPLACEMENT = String.fromCharCode(0xfffd)

/** Decodes bytes to text. Octets that are not valid UTF-8 become lone surrogates, one each, so that nothing is lost. */
export function decodeText(buffer: Buffer, start: number, end: number): string {
  if (end - start <= LOOP_LENGTH_MAX && asciiOnly(buffer, start, end)) return buffer.toString('latin1', start, end)
  const text = buffer.toString('utf8', start, end)
  // The replacement character may have been sent as such: only then is a second look needed.
  if (!text.includes(REPLACEMENT) || isUtf8(buffer.subarray(start, end))) return text
  return decodeEscaped(buffer, start, end)
}

/** The bytes that `decodeText` made this text of. Lone surrogates of no octet's become U+FFFD. */
export function encodeText(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(textBytes(text))
  writeText(bytes, 0, text)
  return bytes
}

/** How many bytes `writeText` will write. */
export function textBytes(text: string): number {
  const length = text.length
  if (length > LOOP_LENGTH_MAX) return textBytesNative(text)
  for (let i = 0; i < length; i++) {
    if (text.charCodeAt(i) > 0x7f) return textBytesNative(text)
  }
  return length
}

/** Writes text at `position`, where there is room for it, and returns the position behind it. */
export function writeText(buffer: Buffer, position: number, text: string): number {
  const length = text.length
  if (length > LOOP_LENGTH_MAX) return writeTextNative(buffer, position, text)
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return writeTextNative(buffer, position, text)
    buffer[position + i] = code
  }
  return position + length
}

/** The longest beginning of the text that takes no more than `bytesMax` bytes and does not break a character. */
export function truncateText(text: string, bytesMax: number): string {
  // No UTF-16 unit takes more than three bytes.
  if (text.length * 3 <= bytesMax) return text
  let bytes = 0
  let index = 0
  while (index < text.length) {
    const code = text.codePointAt(index) ?? 0
    bytes += codePointBytes(code)
    if (bytes > bytesMax) return text.slice(0, index)
    index += code > 0xffff ? 2 : 1
  }
  return text
}

/** Whether the text came from valid UTF-8: no octet of it had to be escaped. */
export function wellFormedText(text: string): boolean {
  return !LONE_SURROGATE.test(text)
}

// The table of short strings. A hash of the bytes picks a slot; a slot holds one string and, in whole words, the bytes
// that it was made of, so that a hit costs two passes over words and makes nothing.
//
//   strings  │ slot 0 │ slot 1 │ ...
//   words    │ 16 × 4 bytes │ 16 × 4 bytes │ ...    the last word holds the one to three bytes that remain
const SLOTS = 2048
const SLOT_WORDS = 16
const INTERNED_BYTES_MAX = SLOT_WORDS * 4 - 1

const internedStrings = Array.from({ length: SLOTS }, () => '')
const internedWords = new Int32Array(SLOTS * SLOT_WORDS)

// A view for reading words that are not aligned, kept for the next string of the same chunk.
let viewed: Buffer = Buffer.alloc(8)
let view = new DataView(viewed.buffer, viewed.byteOffset, viewed.length)

/**
 * Decodes as `decodeText` does, but gives the same string for the same short bytes, mostly without decoding again:
 * names and routing keys repeat by the million. (20 bytes: 22 ns, of which the native decode alone would take 46, and
 * leave a new string to collect and to hash.)
 */
export function internShortString(buffer: Buffer, start: number, end: number): string {
  const length = end - start
  if (length === 0) return ''
  if (length > INTERNED_BYTES_MAX) return decodeText(buffer, start, end)
  if (buffer !== viewed) look(buffer)
  const bytes = view
  const wholeEnd = end - 3
  let hash = length
  let position = start
  for (; position < wholeEnd; position += 4) hash = Math.imul(hash ^ bytes.getInt32(position), 0x9e3779b1)
  let rest = 0
  for (; position < end; position++) rest = (rest << 8) | buffer[position]!
  hash ^= rest
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  const slot = (hash ^ (hash >>> 13)) & (SLOTS - 1)
  const string = internedStrings[slot]!
  if (string.length === length) {
    let word = slot * SLOT_WORDS
    position = start
    while (position < wholeEnd && internedWords[word] === bytes.getInt32(position)) {
      position += 4
      word++
    }
    if (position >= wholeEnd && internedWords[word] === rest) return string
  }
  return intern(buffer, start, end, slot, rest)
}

function look(buffer: Buffer): void {
  viewed = buffer
  view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
}

function intern(buffer: Buffer, start: number, end: number, slot: number, rest: number): string {
  const text = decodeText(buffer, start, end)
  // Only what has a character for each byte can be found again: a longer text would but push out another.
  if (text.length !== end - start) return text
  let word = slot * SLOT_WORDS
  for (let position = start; position < end - 3; position += 4) internedWords[word++] = view.getInt32(position)
  internedWords[word] = rest
  internedStrings[slot] = text
  return text
}

function asciiOnly(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if (buffer[i]! > 0x7f) return false
  }
  return true
}

function decodeEscaped(buffer: Buffer, start: number, end: number): string {
  const parts: string[] = []
  let validFrom = start
  let position = start
  while (position < end) {
    const length = sequenceLength(buffer, position, end)
    if (length > 0) {
      position += length
      continue
    }
    if (position > validFrom) parts.push(buffer.toString('utf8', validFrom, position))
    parts.push(String.fromCharCode(ESCAPE_BASE + buffer[position]!))
    validFrom = ++position
  }
  if (position > validFrom) parts.push(buffer.toString('utf8', validFrom, position))
  return parts.join('')
}

/** The length of the valid UTF-8 sequence at this position; 0 when there is none (RFC 3629 §4). */
function sequenceLength(buffer: Buffer, position: number, end: number): number {
  const lead = buffer[position]!
  if (lead < 0x80) return 1
  if (lead < 0xc2 || lead > 0xf4) return 0
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  if (position + length > end) return 0
  // The second octet alone decides on overlong forms, surrogates and what lies above U+10FFFF.
  const second = buffer[position + 1]!
  const secondMin = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const secondMax = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  if (second < secondMin || second > secondMax) return 0
  for (let i = 2; i < length; i++) {
    if ((buffer[position + i]! & 0xc0) !== 0x80) return 0
  }
  return length
}

function textBytesNative(text: string): number {
  if (wellFormedText(text)) return Buffer.byteLength(text)
  let bytes = 0
  for (const character of text) bytes += codePointBytes(character.codePointAt(0) ?? 0)
  return bytes
}

function writeTextNative(buffer: Buffer, position: number, text: string): number {
  if (wellFormedText(text)) return position + buffer.write(text, position)
  let at = position
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (escaped(code)) buffer[at++] = code - ESCAPE_BASE
    else at += buffer.write(character, at)
  }
  return at
}

function codePointBytes(code: number): number {
  if (code < 0x80 || escaped(code)) return 1
  if (code < 0x800) return 2
  return code < 0x10000 ? 3 : 4
}

function escaped(code: number): boolean {
  return code >= ESCAPE_BASE + 0x80 && code <= ESCAPE_BASE + 0xff
}
