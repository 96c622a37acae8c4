// Large JSON bodies: what stands in their lists is read some of it at a time, so that others have their turn. A worker
// would be no help: to take over what it has read costs more than reading it.
import type { Slices } from '../lib/slices.ts'
import { deeperThan, parseObject } from './body.ts'
import { AT_ONCE_BYTES, DEPTH_MAX } from './body-outline.ts'
import { badRequest, type Json, type JsonObject } from './http-error.ts'

/** What is read of a list at once, in bytes, if its items are not larger. */
const CHUNK_BYTES = 64 * 1024
/** What one item of a list may have, in bytes, and all that is in no list: it is read at once. */
const ITEM_BYTES_MAX = 1024 * 1024
/** Bytes that are looked at between two looks at the clock. */
const LOOKED_AT_ONCE = 64 * 1024

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/**
 * Reads a body as `parseObject` does, in slices.
 * @throws HttpError 400 for what is no JSON object, or has a single item that is too large
 */
export async function parseLargeObject(bytes: Buffer, slices: Slices): Promise<JsonObject> {
  if (bytes.length <= AT_ONCE_BYTES) return parseObject(bytes)
  return new LargeBody(bytes, slices).parse()
}

/** One body. In its frame, which is all but the items of the lists in it, `[n]` stands for the n-th of these lists. */
class LargeBody {
  readonly #bytes: Buffer
  readonly #slices: Slices
  readonly #lists: Json[][] = []
  #frame = ''

  constructor(bytes: Buffer, slices: Slices) {
    this.#bytes = bytes
    this.#slices = slices
  }

  async parse(): Promise<JsonObject> {
    await this.#slices.begin()
    await this.#read()
    const frame = parseObject(Buffer.from(this.#frame))
    const object: Record<string, Json | undefined> = {}
    for (const [key, value] of Object.entries(frame)) {
      object[key] = Array.isArray(value) ? this.#lists[value[0] as number] : value
    }
    return object
  }

  async #read(): Promise<void> {
    const bytes = this.#bytes
    let depth = 0
    /** Where the frame goes on, or the items that are still to be read begin. */
    let from = 0
    let list: Json[] | null = null
    let inText = false
    let lookAt = LOOKED_AT_ONCE
    for (let at = 0; at < bytes.length; at++) {
      if (at >= lookAt) {
        lookAt = at + LOOKED_AT_ONCE
        if (this.#slices.over) await this.#slices.next()
      }
      const byte = bytes[at]!
      if (inText) {
        if (byte === BACKSLASH) at++
        else if (byte === QUOTE) inText = false
      } else if (byte === QUOTE) inText = true
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        depth++
        if (depth > DEPTH_MAX) throw badRequest('the body is nested too deeply')
        if (byte !== OPEN_LIST || depth !== 2) continue
        list = []
        this.#addToFrame(from, at + 1, String(this.#lists.push(list) - 1))
        from = at + 1
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        depth--
        if (list === null || depth !== 1) continue
        if (byte !== CLOSE_LIST) throw badRequest('not_json')
        this.#addItems(list, from, at)
        list = null
        from = at
      } else if (byte === COMMA && list !== null && depth === 2 && at - from >= CHUNK_BYTES) {
        this.#addItems(list, from, at)
        from = at + 1
        if (this.#slices.over) await this.#slices.next()
      }
    }
    if (list !== null || inText) throw badRequest('not_json')
    this.#addToFrame(from, bytes.length, '')
  }

  #addToFrame(from: number, to: number, list: string): void {
    this.#frame += this.#bytes.toString('utf8', from, to) + list
    if (this.#frame.length > ITEM_BYTES_MAX) throw badRequest('what is in no list is too large')
  }

  #addItems(list: Json[], from: number, to: number): void {
    if (to - from > CHUNK_BYTES + ITEM_BYTES_MAX) throw badRequest('an item of a list is too large')
    const items = itemsOf(this.#bytes.toString('utf8', from, to))
    // Behind a comma there is something.
    if (items.length === 0 && list.length > 0) throw badRequest('not_json')
    if (items.some((item) => deeperThan(item, DEPTH_MAX - 2))) throw badRequest('the body is nested too deeply')
    for (const item of items) list.push(item)
  }
}

function itemsOf(text: string): readonly Json[] {
  try {
    return JSON.parse(`[${text}]`) as readonly Json[]
  } catch {
    throw badRequest('not_json')
  }
}
