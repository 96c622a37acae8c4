// The id by which a message is known for a duplicate, as a short text.
import { createHash } from 'node:crypto'
import { renderTerm } from '../arguments/render.ts'
import { integerOf } from '../arguments/same-value.ts'
import type { FieldTable, FieldValue } from '../value.ts'

/** Longer ids are kept as their digest, so that what is remembered has a size. */
const TEXT_LENGTH_MAX = 64

/** The id that headers give; null when they give none. Integers are the same whatever their width. */
export function messageId(headers: FieldTable, header: string): string | null {
  const value = headers.get(header)
  if (value === undefined) return null
  const text = idText(value)
  return text.length <= TEXT_LENGTH_MAX ? text : `d${createHash('sha256').update(text).digest('base64')}`
}

function idText(value: FieldValue): string {
  if (value.type === 'longstr') return `s${value.value}`
  const integer = integerOf(value)
  return integer === undefined ? `t${value.type} ${renderTerm(value)}` : `i${integer}`
}
