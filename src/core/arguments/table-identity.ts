// A table as text that can be compared and sorted, for what is identified by its arguments.
import type { FieldTable, FieldValue } from '../value.ts'

/**
 * The same text for two tables exactly if they hold the same keys with the same values of the same types, in whatever
 * order. RabbitMQ: bindings that differ in the width of an integer are two bindings.
 */
export function tableIdentity(table: FieldTable): string {
  return JSON.stringify(plainTable(table))
}

function plainTable(table: FieldTable): unknown[] {
  const keys = [...table.keys()].toSorted()
  return keys.map((key) => [key, ...plainValue(table.get(key)!)])
}

function plainValue(value: FieldValue): unknown[] {
  switch (value.type) {
    case 'long':
    case 'timestamp':
    case 'float':
    case 'double':
      // As text, for JSON has neither 64-bit integers nor NaN.
      return [value.type, String(value.value)]
    case 'decimal':
      return [value.type, value.value, value.scale]
    case 'binary':
      return [value.type, Buffer.from(value.value).toString('base64')]
    case 'array':
      return [value.type, value.value.map(plainValue)]
    case 'table':
      return [value.type, plainTable(value.value)]
    default:
      return [value.type, value.value]
  }
}
