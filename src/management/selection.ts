// Which messages of a queue are meant: single ones, or all that have a header or a text.
import type { FieldValue } from '../core/value.ts'
import type { Message } from '../core/message.ts'
import type { MessageCodec } from '../core/ports.ts'
import { FIRST_PLACE, type Browsed, type Place } from '../core/queue/browse.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { Slices } from '../lib/slices.ts'
import { integerField, stringField } from './body.ts'
import { badRequest, type JsonObject } from './http-error.ts'
import { tableJson } from './json-table.ts'

/** Positions that one request may name. */
const POSITIONS_MAX = 10_000

/** Says whether a message is meant. */
export type Filter = (message: Message) => boolean

/** Messages of a queue that one request is about. */
export interface Selection {
  /** Single ones; null for all that the filter says yes to. */
  readonly positions: readonly number[] | null
  readonly filter: Filter
  /** At most so many. */
  readonly count: number
}

/**
 * A filter by header (`name`, or `name=value`) and by a text that the body or the routing key contains. What is not given
 * is not asked for.
 */
export function filterOf(codec: MessageCodec, header: string | undefined, text: string | undefined): Filter {
  const [name = '', ...rest] = (header ?? '').split('=')
  const value = rest.length === 0 ? null : rest.join('=')
  const needle = Buffer.from(text ?? '')
  return (message) => {
    if (name !== '' && !hasHeader(codec, message, name, value)) return false
    if (needle.length === 0 || message.routingKey.includes(text!)) return true
    return message.body.subarray(message.bodyStart, message.bodyEnd).includes(needle)
  }
}

/** What a body asks for: `positions`, or `all`, or `header` and `text`; and `count`. Throws 400 when it is nothing. */
export function selectionOf(body: JsonObject, codec: MessageCodec): Selection {
  const { positions, header, text, all, count } = body
  const most = count === undefined ? Infinity : integerField(body, 'count')
  if (positions !== undefined) {
    const valid = Array.isArray(positions) && positions.length <= POSITIONS_MAX && positions.every(isPosition)
    if (!valid) throw badRequest(`positions should be a list of up to ${POSITIONS_MAX} whole numbers`)
    return { positions: (positions as readonly number[]).slice(0, most), filter: () => true, count: most }
  }
  if (header === undefined && text === undefined && all !== true) {
    throw badRequest('which messages are meant is said by one of positions, header, text, and all')
  }
  const filter = filterOf(codec, stringField(body, 'header', ''), stringField(body, 'text', ''))
  return { positions: null, filter, count: most }
}

/**
 * Goes through the ready messages that are meant, of those that were there when it began, some at a time. What comes back
 * meanwhile, or is new, is not met again.
 */
export async function* selected(
  queue: Queue,
  selection: Selection,
  slices: Slices,
): AsyncGenerator<readonly Browsed[]> {
  const below = queue.nextPosition
  const wanted = selection.positions === null ? null : new Set(selection.positions)
  let left = Math.min(selection.count, wanted?.size ?? Infinity)
  const ordered = wanted !== null && !queue.ranked
  let place: Place | null = ordered ? { ...FIRST_PLACE, position: Math.min(...wanted, below) } : FIRST_PLACE
  while (place !== null && left > 0 && !queue.deleted) {
    await slices.next()
    const page = await queue.browse(place)
    const meant: Browsed[] = []
    for (const one of page.messages) {
      if (meant.length === left) break
      if (slices.over) await slices.next()
      if (one.position >= below || (wanted !== null && !wanted.has(one.position))) continue
      if (selection.filter(one.message)) meant.push(one)
    }
    left -= meant.length
    if (meant.length > 0) yield meant
    place = page.next !== null && page.next.position >= below && !queue.ranked ? null : page.next
  }
}

function isPosition(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function hasHeader(codec: MessageCodec, message: Message, name: string, value: string | null): boolean {
  if (!message.headers) return false
  const found = codec.headers(message).get(name)
  if (found === undefined) return false
  return value === null || textOf(name, found) === value
}

/** A header as text: itself, or its JSON. */
function textOf(name: string, value: FieldValue): string {
  const json = tableJson(new Map([[name, value]]))[name]
  return typeof json === 'string' ? json : JSON.stringify(json)
}
