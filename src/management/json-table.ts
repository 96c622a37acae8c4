// Tables of arguments and headers as JSON, and back (RabbitMQ's mapping of types).
import type { FieldTable, FieldValue } from '../core/value.ts'
import { isObject } from './body.ts'
import { badRequest, type Json, type JsonObject } from './http-error.ts'

/** A table as a JSON object. */
export function tableJson(table: FieldTable): JsonObject {
  return Object.fromEntries(Array.from(table, ([name, value]) => [name, valueJson(value)]))
}

/** An object as a table: whole numbers become 64-bit, others doubles. Throws 400 for null. */
export function jsonTable(object: JsonObject): FieldTable {
  const table = new Map<string, FieldValue>()
  for (const [name, value] of Object.entries(object)) table.set(name, jsonValue(value))
  return table
}

/** A value as JSON. Numbers beyond 2^53 lose their last digits, as they do in every reader that is JavaScript. */
function valueJson(field: FieldValue): Json {
  switch (field.type) {
    case 'long':
    case 'timestamp':
      return Number(field.value)
    case 'decimal':
      return field.value / 10 ** field.scale
    case 'float':
    case 'double':
      return Number.isFinite(field.value) ? field.value : String(field.value)
    case 'binary':
      return Buffer.from(field.value).toString('utf8')
    case 'array':
      return field.value.map(valueJson)
    case 'table':
      return tableJson(field.value)
    default:
      return field.value
  }
}

function jsonValue(value: Json | undefined): FieldValue {
  if (value === null || value === undefined) throw badRequest('null_not_allowed')
  if (typeof value === 'string') return { type: 'longstr', value }
  if (typeof value === 'boolean') return { type: 'bool', value }
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) ? { type: 'long', value: BigInt(value) } : { type: 'double', value }
  }
  if (isObject(value)) return { type: 'table', value: jsonTable(value) }
  return { type: 'array', value: value.map(jsonValue) }
}
