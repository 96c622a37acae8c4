// Values and resources as RabbitMQ's texts show them.
import { isUtf8 } from 'node:buffer'
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
      return textTerm(value.value)
    case 'binary':
      return isUtf8(value.value) ? textTerm(Buffer.from(value.value).toString('utf8')) : numbersTerm(value.value)
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
    return `{${textTerm(key)},${value.type},${renderTerm(value)}}`
  })
  return `[${pairs.join(',')}]`
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\b', String.raw`\b`],
  ['\t', String.raw`\t`],
  ['\n', String.raw`\n`],
  ['\v', String.raw`\v`],
  ['\f', String.raw`\f`],
  ['\r', String.raw`\r`],
  ['\u001B', String.raw`\e`],
  ['"', String.raw`\"`],
  ['\\', String.raw`\\`],
])

/** A text as Erlang writes it between double quotes. */
export function escapedText(text: string): string {
  return Array.from(text, (character) => ESCAPES.get(character) ?? character).join('')
}

/** Erlang writes bytes as text when all of them are printable in Latin-1, and otherwise as numbers. */
function textTerm(text: string): string {
  const bytes = textBytes(text)
  return bytes.length > 0 && bytes.every(isPrintable) ? `<<"${escapedText(text)}">>` : numbersTerm(bytes)
}

function numbersTerm(bytes: Uint8Array): string {
  return `<<${bytes.join(',')}>>`
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte >= 0xa0 || ESCAPES.has(String.fromCharCode(byte))
}

/**
 * Erlang always writes a fraction, and takes an exponent where that is shorter (`1.0e3`), or where not every integer is a
 * float any more.
 */
function floatTerm(value: number): string {
  const [digits, exponent] = value.toExponential().replace('e+', 'e').split('e')
  const scientific = `${withFraction(digits!)}e${exponent}`
  if (!Number.isFinite(value)) return String(value)
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return scientific
  const decimal = withFraction(decimalDigits(value))
  return decimal.length <= scientific.length ? decimal : scientific
}

function withFraction(digits: string): string {
  return digits.includes('.') ? digits : `${digits}.0`
}

/** The shortest digits without an exponent, which JavaScript takes for small numbers. */
function decimalDigits(value: number): string {
  const [digits, exponent] = String(value).split('e-')
  if (exponent === undefined) return digits!
  const [sign, bare] = digits!.startsWith('-') ? ['-', digits!.slice(1)] : ['', digits!]
  return `${sign}0.${bare.replace('.', '').padStart(bare.replace('.', '').length + Number(exponent) - 1, '0')}`
}
