// JSON that is written in pieces of a slice each, where all of it at once would hold up the broker.
import type { Slices } from '../lib/slices.ts'
import type { Json, JsonObject } from './http-error.ts'

/** Rows that are written between two looks at the clock. */
const ROWS_AT_ONCE = 16

/** An array, each of whose rows is made when it is written. */
export async function* arrayText<T>(
  items: readonly T[],
  show: (item: T) => Json,
  slices: Slices,
  rowsAtOnce = ROWS_AT_ONCE,
): AsyncGenerator<string> {
  let text = '['
  let rows = 0
  await slices.begin()
  for (const item of items) {
    text += `${rows === 0 ? '' : ','}${JSON.stringify(show(item))}`
    if (++rows % rowsAtOnce !== 0 || !slices.over) continue
    yield text
    text = ''
    await slices.next()
  }
  yield `${text}]`
}

/** An object with long arrays of large rows, such as messages with their bodies. */
export async function* objectText(object: JsonObject, slices: Slices): AsyncGenerator<string> {
  let before = '{'
  for (const [key, value] of Object.entries(object)) {
    if (value === undefined) continue
    yield `${before}${JSON.stringify(key)}:`
    before = ','
    if (isArray(value)) yield* arrayText(value, itself, slices, 1)
    else yield JSON.stringify(value)
  }
  yield before === '{' ? '{}' : '}'
}

function itself<T>(value: T): T {
  return value
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
