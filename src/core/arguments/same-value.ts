// When two values are the same although their types differ in width or kind of string.
import type { FieldTable, FieldValue } from '../value.ts'
import { textBytes } from './text-bytes.ts'

/**
 * Whether two values are the same. Integers compare by value whatever their width, floats and doubles likewise, but an
 * integer never equals a float; a decimal equals one of the same digits and scale; strings equal the same bytes; arrays
 * and tables compare item by item, tables in any order.
 */
export function sameValue(a: FieldValue, b: FieldValue): boolean {
  switch (a.type) {
    case 'longstr':
      return b.type === 'longstr' ? a.value === b.value : b.type === 'binary' && sameText(a.value, b.value)
    case 'binary':
      if (b.type === 'longstr') return sameText(b.value, a.value)
      return b.type === 'binary' && Buffer.compare(a.value, b.value) === 0
    case 'float':
    case 'double':
      return (b.type === 'float' || b.type === 'double') && a.value === b.value
    case 'decimal':
      return b.type === 'decimal' && a.value === b.value && a.scale === b.scale
    case 'array':
      return b.type === 'array' && sameArray(a.value, b.value)
    case 'table':
      return b.type === 'table' && sameTable(a.value, b.value)
    case 'bool':
    case 'timestamp':
    case 'void':
      return b.type === a.type && b.value === a.value
    default:
      return sameInteger(a.value, b)
  }
}

/** Whether two tables have the same keys with the same values, in whatever order. */
function sameTable(a: FieldTable, b: FieldTable): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) {
    const other = b.get(key)
    if (other === undefined || !sameValue(value, other)) return false
  }
  return true
}

/** The value of an integer of any width, or undefined if it is something else. */
export function integerOf(value: FieldValue): number | bigint | undefined {
  switch (value.type) {
    case 'byte':
    case 'unsignedbyte':
    case 'short':
    case 'unsignedshort':
    case 'signedint':
    case 'unsignedint':
    case 'long':
      return value.value
    default:
      return undefined
  }
}

function sameInteger(a: number | bigint, b: FieldValue): boolean {
  const other = integerOf(b)
  if (other === undefined) return false
  return typeof a === typeof other ? a === other : BigInt(a) === BigInt(other)
}

function sameArray(a: readonly FieldValue[], b: readonly FieldValue[]): boolean {
  return a.length === b.length && a.every((value, index) => sameValue(value, b[index]!))
}

function sameText(text: string, bytes: Uint8Array): boolean {
  return textBytes(text).equals(bytes)
}
