// Looks through JSON before it is read. `JSON.parse` reads a text of a megabyte in a millisecond or two, a megabyte of small
// numbers in twenty, and of brackets in two hundred: what would take long is refused before it does.
import type { Slices } from '../lib/slices.ts'
import { badRequest } from './http-error.ts'

/** Nothing that RabbitMQ's API takes nests deeper; the broker's tables end at this depth too. */
export const DEPTH_MAX = 32
/** A body up to this is looked through and read at once, in some milliseconds. */
export const AT_ONCE_BYTES = 256 * 1024
/** Bytes that are looked at between two looks at the clock. */
const LOOKED_AT_ONCE = 64 * 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Throws 400 for what nests too deeply. For bodies up to `AT_ONCE_BYTES`. */
export function assertShallow(bytes: Buffer): void {
  new Outline(bytes).look(bytes.length)
}

/** Where the longest text of a body stands, without its quotes. */
export interface TextPlace {
  readonly from: number
  readonly to: number
}

/**
 * The same for larger ones, in slices. Returns the longest of their texts.
 * @throws HttpError 400 also for what has more than `AT_ONCE_BYTES` outside of its texts
 */
export async function assertReadable(bytes: Buffer, slices: Slices): Promise<TextPlace> {
  await slices.begin()
  const outline = new Outline(bytes)
  while (outline.look(LOOKED_AT_ONCE)) if (slices.over) await slices.next()
  return outline.longest
}

/** How far a body has been looked through. */
class Outline {
  /** The longest text so far that has ended. */
  longest: TextPlace = { from: 0, to: 0 }
  readonly #bytes: Buffer
  #at = 0
  #inText = false
  #textFrom = 0
  #depth = 0
  #outside = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Looks at so many more bytes. Returns whether there are others. */
  look(count: number): boolean {
    const bytes = this.#bytes
    const end = Math.min(this.#at + count, bytes.length)
    let at = this.#at
    for (; at < end; at++) {
      const byte = bytes[at]!
      if (this.#inText) {
        if (byte === BACKSLASH) at++
        else if (byte === QUOTE) this.#endText(at)
        continue
      }
      this.#outside++
      if (byte === QUOTE) this.#beginText(at + 1)
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) this.#depth++
      else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) this.#depth--
      if (this.#depth > DEPTH_MAX) throw badRequest('the body is nested too deeply')
    }
    this.#at = at
    if (this.#outside > AT_ONCE_BYTES) throw badRequest('the body is too large, but for its texts')
    return at < bytes.length
  }

  #beginText(at: number): void {
    this.#inText = true
    this.#textFrom = at
  }

  #endText(at: number): void {
    this.#inText = false
    if (at - this.#textFrom > this.longest.to - this.longest.from) this.longest = { from: this.#textFrom, to: at }
  }
}
