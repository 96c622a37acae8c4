// Values and resources as RabbitMQ's texts show them.
import type { FieldTable, FieldValue } from '../value.ts'
import { textBytes } from './text-bytes.ts'

/** `queue 'q' in vhost 'v'`: how texts name a queue or an exchange. */
export function resource(kind: 'queue' | 'exchange', name: string, vhost: string): string {
  return `${kind} '${name}' in vhost '${vhost}'`
}

/** A value between quotes that the text has already: strings as they are, anything else as a term. */
export function renderValue(value: FieldValue): string {
  switch (value.type) {
    case 'longstr':
      return value.value
    case 'binary':
      return Buffer.from(value.value).toString('utf8')
    default:
      return renderTerm(value)
  }
}

/** A value as an Erlang term, as in `invalid arg ... : {value_negative,-1}`. */
export function renderTerm(value: FieldValue): string {
  switch (value.type) {
    case 'longstr':
      return binaryTerm(textBytes(value.value))
    case 'binary':
      return binaryTerm(value.value)
    case 'float':
    case 'double':
      return floatTerm(value.value)
    case 'decimal':
      return `{${value.scale},${value.value}}`
    case 'array':
      return `[${value.value.map((item) => `{${item.type},${renderTerm(item)}}`).join(',')}]`
    case 'table':
      return tableTerm(value.value)
    case 'void':
      return 'undefined'
    default:
      return String(value.value)
  }
}

function tableTerm(table: FieldTable): string {
  const pairs = [...table].map(([key, value]) => {
    return `{${binaryTerm(textBytes(key))},${value.type},${renderTerm(value)}}`
  })
  return `[${pairs.join(',')}]`
}

/** Erlang writes bytes as text when all of them are printable in ASCII, and otherwise as numbers. */
function binaryTerm(bytes: Uint8Array): string {
  if (!bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return `<<${[...bytes].join(',')}>>`
  const text = Buffer.from(bytes).toString('latin1')
  return bytes.length === 0 ? '<<>>' : `<<"${text.replaceAll(/["\\]/g, String.raw`\$&`)}">>`
}

/** Erlang always writes a fraction: `1.0`, `1.0e21`. */
function floatTerm(value: number): string {
  const [digits, exponent] = String(value).replace('e+', 'e').split('e')
  const fraction = /[.NI]/.test(digits!) ? digits! : `${digits!}.0`
  return exponent === undefined ? fraction : `${fraction}e${exponent}`
}
