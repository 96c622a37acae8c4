// Bodies with one long text in them, as they have who publish a message: the text is read some of it at a time, so that
// others have their turn. Ten megabytes of it take `JSON.parse` and what comes before and after it some sixty milliseconds.
import { randomUUID } from 'node:crypto'
import type { Slices } from '../lib/slices.ts'
import { parseObject } from './body.ts'
import { AT_ONCE_BYTES, assertReadable } from './body-outline.ts'
import { badRequest, type JsonObject } from './http-error.ts'

/** Texts up to this, all together, are read at once, in some milliseconds. */
export const TEXT_AT_ONCE_BYTES = 1024 * 1024
/** What is read of a longer text at once, about. */
const PART_BYTES = 64 * 1024
/** The bytes of a character in UTF-8, at the most. */
const CHARACTER_BYTES_MAX = 4

const BACKSLASH = 0x5c
const LETTER_U = 0x75
/** A backslash, the letter u and four digits. */
const ESCAPE_BYTES = 6

/** A body, and its long text. */
export interface BodyWithText {
  readonly object: JsonObject
  /** The text in UTF-8; null where it is not long, and stands in the object. */
  readonly text: Buffer | null
}

/**
 * Reads a body as `parseObject` does; the text under a key of it may be long.
 * @throws HttpError 400 for what is no JSON object, and for what is long beside that text
 */
export async function parseWithText(bytes: Buffer, key: string, slices: Slices): Promise<BodyWithText> {
  if (bytes.length <= AT_ONCE_BYTES) return { object: parseObject(bytes), text: null }
  const { from, to } = await assertReadable(bytes, slices)
  if (bytes.length <= TEXT_AT_ONCE_BYTES) return { object: parseObject(bytes), text: null }
  // It stands for the text, and nobody can have known it.
  const mark = randomUUID()
  const tooLarge = badRequest(`the body is too large, but for its ${key}`)
  if (bytes.length - (to - from) > TEXT_AT_ONCE_BYTES) throw tooLarge
  const object = parseObject(Buffer.concat([bytes.subarray(0, from), Buffer.from(mark), bytes.subarray(to)]))
  if (object[key] !== mark) throw tooLarge
  return { object, text: await unescaped(bytes.subarray(from, to), slices) }
}

/** The text between two quotes of JSON, in UTF-8. */
async function unescaped(text: Buffer, slices: Slices): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let from = 0; from < text.length;) {
    const to = endOfPart(text, from)
    parts.push(Buffer.from(partOf(text.toString('utf8', from, to))))
    from = to
    if (slices.over) await slices.next()
  }
  return Buffer.concat(parts)
}

function partOf(escaped: string): string {
  try {
    return JSON.parse(`"${escaped}"`) as string
  } catch {
    throw badRequest('not_json')
  }
}

/** Where a part ends that begins there: within no character, be it written as one, as an escape or as two of these. */
function endOfPart(text: Buffer, from: number): number {
  const enough = from + PART_BYTES
  let at = from
  while (at < enough) at += text[at] === BACKSLASH ? escapeLength(text, at) : 1
  // Bytes that go on for longer are no UTF-8.
  const most = at + CHARACTER_BYTES_MAX
  while (at < most && at < text.length && (text[at]! & 0xc0) === 0x80) at++
  return Math.min(at, text.length)
}

function escapeLength(text: Buffer, at: number): number {
  if (text[at + 1] !== LETTER_U) return 2
  const pair = surrogate(text, at, /^[89ab]$/i) && surrogate(text, at + ESCAPE_BYTES, /^[c-f]$/i)
  return pair ? 2 * ESCAPE_BYTES : ESCAPE_BYTES
}

/** Whether there is one half of a character outside of the first 65,536, by the second digit of its number. */
function surrogate(text: Buffer, at: number, digit: RegExp): boolean {
  const escape = text.toString('latin1', at, at + ESCAPE_BYTES)
  return escape.startsWith('\\u') && /^d$/i.test(escape[2] ?? '') && digit.test(escape[3] ?? '')
}

/**
 * What a long text says in base64, white space aside.
 * @throws HttpError 400 for what is no base64
 */
export async function fromBase64(text: Buffer, slices: Slices): Promise<Buffer> {
  const parts: Buffer[] = []
  let left = ''
  for (let from = 0; from < text.length; from += PART_BYTES) {
    const digits = left + text.toString('latin1', from, from + PART_BYTES).replaceAll(/\s+/g, '')
    const last = from + PART_BYTES >= text.length
    // The last four stay behind: only they may end in `=`, and white space may follow them.
    const whole = last ? digits.length : Math.max(0, digits.length - 1 - ((digits.length - 1) % 4))
    left = digits.slice(whole)
    const part = digits.slice(0, whole)
    if (!(last ? /^[a-z0-9+/]*={0,2}$/i : /^[a-z0-9+/]*$/i).test(part))
      throw badRequest(['not_base64', text.toString('latin1', 0, 100)])
    parts.push(Buffer.from(part, 'base64'))
    if (slices.over) await slices.next()
  }
  return Buffer.concat(parts)
}
