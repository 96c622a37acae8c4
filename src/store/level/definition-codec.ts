// Definitions as records: the identity in the key, everything in the value, as JSON in which no type is lost.
import type { Definition } from '../../core/definitions.ts'
import { definitionIdentity } from '../../core/definitions.ts'
import type { FieldTable, FieldType, FieldValue } from '../../core/value.ts'
import { VARINT_BYTES_MAX, putText, putVarint, textBytesMax } from './bytes.ts'
import { Kind } from './keys.ts'
import { seal, unseal } from './records.ts'

/** The kinds of definitions in keys. Their numbers are part of the format. */
const DEFINITION_KINDS: { readonly [K in Definition['kind']]: number } = {
  vhost: 1,
  user: 2,
  permission: 3,
  exchange: 4,
  queue: 5,
  binding: 6,
  'topic-permission': 7,
  policy: 8,
  'vhost-limits': 9,
  'user-limits': 10,
  parameter: 11,
  'global-parameter': 12,
}

/** The key of a definition: the same identity has the same key, whatever the order of arguments was. */
export function definitionKey(definition: Definition): Buffer {
  const parts = definitionIdentity(definition).map((part) =>
    typeof part === 'string' ? part : JSON.stringify(encodeTable(part, true)),
  )
  const bytes = Buffer.allocUnsafe(2 + parts.reduce((sum, part) => sum + textBytesMax(part), VARINT_BYTES_MAX))
  bytes[0] = Kind.definition
  bytes[1] = DEFINITION_KINDS[definition.kind]
  let at = putVarint(bytes, 2, parts.length)
  for (const part of parts) at = putText(bytes, at, part)
  return bytes.subarray(0, at)
}

/** The record of a definition. */
export function encodeDefinition(definition: Definition): Buffer {
  const fields =
    'arguments' in definition ? { ...definition, arguments: encodeTable(definition.arguments) } : definition
  return seal(Buffer.from(JSON.stringify(fields)))
}

/** Throws DamagedRecordError when the value is not what was written. */
export function decodeDefinition(value: Buffer): Definition {
  const fields = JSON.parse(unseal(value).toString()) as Record<string, unknown>
  if ('arguments' in fields) fields.arguments = decodeTable(fields.arguments as EncodedTable)
  return fields as unknown as Definition
}

type EncodedTable = [name: string, type: FieldType, value: EncodedValue][]
type EncodedValue = boolean | number | string | null | EncodedTable | [FieldType, EncodedValue][] | [number, number]

function encodeTable(table: FieldTable, sorted = false): EncodedTable {
  const fields: EncodedTable = []
  for (const [name, value] of table) fields.push([name, value.type, encodeValue(value, sorted)])
  return sorted ? fields.toSorted((a, b) => (a[0] < b[0] ? -1 : 1)) : fields
}

function encodeValue(field: FieldValue, sorted: boolean): EncodedValue {
  switch (field.type) {
    case 'long':
    case 'timestamp':
      return String(field.value)
    case 'float':
    case 'double':
      return encodeFloat(field.value)
    case 'decimal':
      return [field.value, field.scale]
    case 'binary':
      return Buffer.from(field.value).toString('base64')
    case 'array':
      return field.value.map((item) => [item.type, encodeValue(item, sorted)])
    case 'table':
      return encodeTable(field.value, sorted)
    default:
      return field.value
  }
}

/** JSON has no infinities, no NaN and no negative zero. */
function encodeFloat(value: number): number | string {
  if (Object.is(value, -0)) return '-0'
  return Number.isFinite(value) ? value : String(value)
}

function decodeTable(fields: EncodedTable): FieldTable {
  return new Map(fields.map(([name, type, value]) => [name, decodeValue(type, value)]))
}

function decodeValue(type: FieldType, value: EncodedValue): FieldValue {
  switch (type) {
    case 'long':
    case 'timestamp':
      return { type, value: BigInt(value as string) }
    case 'float':
    case 'double':
      return { type, value: Number(value) }
    case 'decimal': {
      const [unscaled, scale] = value as [number, number]
      return { type, value: unscaled, scale }
    }
    case 'binary':
      return { type, value: Buffer.from(value as string, 'base64') }
    case 'array':
      return {
        type,
        value: (value as [FieldType, EncodedValue][]).map(([item, encoded]) => decodeValue(item, encoded)),
      }
    case 'table':
      return { type, value: decodeTable(value as EncodedTable) }
    default:
      return { type, value } as FieldValue
  }
}
