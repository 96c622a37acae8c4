// Writes src/amqp/wire/generated.ts from spec/amqp.ts: `npm run generate`.
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { format, resolveConfig } from 'prettier'
import {
  basicProperties,
  classes,
  replyCodes,
  type ClassDefinition,
  type FieldDefinition,
  type FieldKind,
  type MethodDefinition,
} from './amqp.ts'

/** The file that is generated. */
export const generatedPath = fileURLToPath(new URL('../src/amqp/wire/generated.ts', import.meta.url))

/** The source text of the generated file. */
export async function generate(): Promise<string> {
  const code = [HEADER, methods(), codes(), propertyFlags(), handlers(), dispatchers(), writers()].join('\n\n')
  return format(code, { ...(await resolveConfig(generatedPath)), parser: 'typescript' })
}

/** A method together with the class that it belongs to. */
interface ClassMethod {
  readonly of: ClassDefinition
  readonly method: MethodDefinition
}

const HEADER = `// The methods of AMQP 0-9-1, their decoding and encoding. Made by spec/generate.ts of spec/amqp.ts: do not edit this
// file, but run \`npm run generate\`.
import { encodeTable, readTable, type FieldTable } from './field-table.ts'
import { beginMethod, endFrame, writeUint16, writeUint32, writeUint64, type FrameOutput } from './frame-writer.ts'
import {
  cannotDecode, longStringEnd, readBytes, readName, readShortString, readUint16, readUint32, readUint64, shortStringEnd,
  writeBytes, writeEncoded, writeLongString, writeShortString,
} from './method-arguments.ts'
import { textBytes } from './text.ts'`

const allMethods: readonly ClassMethod[] = classes.flatMap((of) => of.methods.map((method) => ({ of, method })))

function methods(): string {
  const ids = allMethods.map((each) => `${methodKey(each)}: ${methodId(each)},`)
  const names = allMethods.map((each) => `[${methodId(each)}, '${each.of.name}.${each.method.name}'],`)
  return `
/** Methods by name: the class id in the upper 16 bits, the method id in the lower. */
export const Method = {
  ${ids.join('\n')}
} as const

const METHOD_NAMES: ReadonlyMap<number, string> = new Map([
  ${names.join('\n')}
])

/** The name of a method, such as \`basic.publish\`; its two numbers when it has none. */
export function methodName(id: number): string {
  return METHOD_NAMES.get(id) ?? \`\${id >>> 16}.\${id & 0xffff}\`
}`
}

function codes(): string {
  const values = replyCodes.map((code) => `${camelCase(code.name)}: ${code.value},`)
  const names = replyCodes.map((code) => `[${code.value}, '${code.name.toUpperCase().replaceAll('-', '_')}'],`)
  const hard = replyCodes.filter((code) => code.errorClass === 'hard').map((code) => `case ${code.value}:`)
  return `
export const ReplyCode = {
  ${values.join('\n')}
} as const

const REPLY_NAMES: ReadonlyMap<number, string> = new Map([
  ${names.join('\n')}
])

/** The name of a reply code as it begins a reply text, such as \`NOT_FOUND\`; the number itself when it has none. */
export function replyName(code: number): string {
  return REPLY_NAMES.get(code) ?? String(code)
}

/** Whether an error with this code ends the connection, and not only the channel. */
export function isHardError(code: number): boolean {
  switch (code) {
    ${hard.join('\n')}
      return true
    default:
      return false
  }
}`
}

function propertyFlags(): string {
  const flags = basicProperties.map((property) => `${camelCase(property.name)}: ${hex(property.flag, 4)},`)
  return `
/** The bits of a content header's property flags, in the order of the values behind them. */
export const PropertyFlag = {
  ${flags.join('\n')}
} as const`
}

function handlers(): string {
  return `
/** What a client may send on channel 0. Reserved fields are left out. */
export interface ConnectionMethods<T> {
  ${clientMethods(true).map(handlerSignature).join('\n')}
}

/** What a client may send on a channel of its own. Reserved fields are left out. */
export interface ChannelMethods<T> {
  ${clientMethods(false).map(handlerSignature).join('\n')}
}`
}

function handlerSignature(each: ClassMethod): string {
  return `${methodKey(each)}(${['target: T', ...parameters(each.method)].join(', ')}): void`
}

function dispatchers(): string {
  return [
    dispatcher('dispatchConnection', 'ConnectionMethods', clientMethods(true)),
    dispatcher('dispatchChannel', 'ChannelMethods', clientMethods(false)),
  ].join('\n\n')
}

function dispatcher(name: string, interfaceName: string, handled: readonly ClassMethod[]): string {
  const frequent = handled.filter((each) => each.method.frequent)
  const others = handled.filter((each) => !each.method.frequent)
  return `
/**
 * Decodes the payload of a method frame, \`buffer[start, end)\`, and calls its handler. False when the method is unknown,
 * or not for clients to send.
 * @throws WireError 501 or 502
 */
export function ${name}<T>(handlers: ${interfaceName}<T>, target: T, buffer: Buffer, start: number, end: number): boolean {
  switch (readUint32(buffer, start)) {
    ${[...frequent, ...others].map(decoder).join('\n')}
    default:
      return false
  }
}`
}

/** A case that finds out where each field is, compares where the last one ends, and only then reads them. */
function decoder(each: ClassMethod): string {
  const { declarations, values, end } = layout(each.method)
  return `case ${methodId(each)}: {
    ${declarations.join('\n')}
    if (${end} !== end) throw cannotDecode(buffer, start, end)
    handlers.${methodKey(each)}(${['target', ...values].join(', ')})
    return true
  }`
}

interface Layout {
  /** Statements that find the ends of fields of variable length. */
  readonly declarations: readonly string[]
  /** The expressions that read the fields which are not reserved. */
  readonly values: readonly string[]
  /** The position behind the last field. */
  readonly end: string
}

function layout(method: MethodDefinition): Layout {
  const declarations: string[] = []
  const values: string[] = []
  let base = 'start'
  let offset = 4
  for (const group of packed(method.fields)) {
    const position = offset === 0 ? base : `${base} + ${offset}`
    for (const [index, field] of group.entries()) {
      if (!field.reserved) values.push(reader(field, position, index, method.content))
    }
    const first = group[0]!
    const bytes = fixedBytes(first.kind)
    if (bytes > 0) {
      offset += bytes
      continue
    }
    const find = first.kind === 'shortstr' ? 'shortStringEnd' : 'longStringEnd'
    base = `${fieldName(first)}End`
    offset = 0
    declarations.push(`const ${base} = ${find}(buffer, ${position}, end)`)
  }
  return { declarations, values, end: offset === 0 ? base : `${base} + ${offset}` }
}

/** Fields in groups that share bytes: bits that follow each other, up to eight, and every other field alone (§4.2.5.2). */
function packed(fields: readonly FieldDefinition[]): FieldDefinition[][] {
  const groups: FieldDefinition[][] = []
  for (const field of fields) {
    const last = groups.at(-1)
    if (field.kind === 'bit' && last?.[0]?.kind === 'bit' && last.length < 8) last.push(field)
    else groups.push([field])
  }
  return groups
}

/** How many bytes a group takes that begins with this kind of field; 0 when that depends on what is in it. */
function fixedBytes(kind: FieldKind): number {
  switch (kind) {
    case 'bit':
    case 'octet':
      return 1
    case 'short':
      return 2
    case 'long':
      return 4
    case 'longlong':
      return 8
    default:
      return 0
  }
}

function reader(field: FieldDefinition, position: string, bit: number, content: boolean): string {
  switch (field.kind) {
    case 'bit':
      return `(buffer[${position}]! & ${1 << bit}) !== 0`
    case 'octet':
      return `buffer[${position}]!`
    case 'short':
      return `readUint16(buffer, ${position})`
    case 'long':
      return `readUint32(buffer, ${position})`
    case 'longlong':
      return `readUint64(buffer, ${position})`
    case 'shortstr':
      // RabbitMQ does not check the text of methods that carry content.
      return `${content ? 'readShortString' : 'readName'}(buffer, ${position})`
    case 'bytes':
      return `readBytes(buffer, ${position})`
    case 'table':
      return `readTable(buffer, ${position}, end)`
    case 'longstr':
      throw new Error(`no client sends a longstr of text: ${field.name}`)
  }
}

function writers(): string {
  return allMethods
    .filter((each) => each.method.direction === 'server' || each.method.direction === 'both')
    .map(writer)
    .join('\n\n')
}

function writer(each: ClassMethod): string {
  const fields = each.method.fields
  const tables = fields.filter((field) => field.kind === 'table')
  const writes = packed(fields).map((group) => write(group))
  const head = `beginMethod(buffer, start, channel, ${methodId(each)})`
  return `
/** Writes a whole frame of ${each.of.name}.${each.method.name}. */
export function ${writerName(each)}(${['out: FrameOutput', 'channel: number', ...parameters(each.method)].join(', ')}): void {
  ${tables.map((field) => `const ${fieldName(field)}Bytes = encodeTable(${fieldName(field)})`).join('\n')}
  out.reserve(${room(fields)})
  const buffer = out.buffer
  const start = out.position
  ${writes.length === 0 ? `const position = ${head}` : `let position = ${head}`}
  ${writes.join('\n')}
  out.position = endFrame(buffer, start, position)
}`
}

/** The most bytes that a frame with these fields can take, as an expression. */
function room(fields: readonly FieldDefinition[]): string {
  let fixed = 8 + 4
  const variable: string[] = []
  for (const group of packed(fields)) {
    const field = group[0]!
    if (field.kind === 'shortstr') fixed += field.reserved ? 1 : 256
    else if (field.kind === 'longstr' || field.kind === 'bytes') fixed += 4
    else fixed += fixedBytes(field.kind)
    if (field.reserved) continue
    if (field.kind === 'table') variable.push(`${fieldName(field)}Bytes.length`)
    if (field.kind === 'longstr') variable.push(`textBytes(${fieldName(field)})`)
    if (field.kind === 'bytes') variable.push(`${fieldName(field)}.length`)
  }
  return [String(fixed), ...variable].join(' + ')
}

function write(group: readonly FieldDefinition[]): string {
  const field = group[0]!
  const name = fieldName(field)
  switch (field.kind) {
    case 'bit':
      return `buffer[position++] = ${group.map((bit, index) => `(${fieldName(bit)} ? ${1 << index} : 0)`).join(' | ')}`
    case 'octet':
      return `buffer[position++] = ${name}`
    case 'short':
      return `position = writeUint16(buffer, position, ${name})`
    case 'long':
      return `position = writeUint32(buffer, position, ${name})`
    case 'longlong':
      return `position = writeUint64(buffer, position, ${name})`
    case 'shortstr':
      return field.reserved ? 'buffer[position++] = 0' : `position = writeShortString(buffer, position, ${name})`
    case 'longstr':
      return field.reserved
        ? 'position = writeUint32(buffer, position, 0)'
        : `position = writeLongString(buffer, position, ${name})`
    case 'bytes':
      return `position = writeBytes(buffer, position, ${name})`
    case 'table':
      return `position = writeEncoded(buffer, position, ${name}Bytes)`
  }
}

function clientMethods(ofConnection: boolean): ClassMethod[] {
  return allMethods.filter(
    ({ of, method }) =>
      (of.name === 'connection') === ofConnection && (method.direction === 'client' || method.direction === 'both'),
  )
}

function parameters(method: MethodDefinition): string[] {
  return method.fields
    .filter((field) => !field.reserved)
    .map((field) => `${fieldName(field)}: ${parameterType(field.kind)}`)
}

function parameterType(kind: FieldKind): string {
  switch (kind) {
    case 'bit':
      return 'boolean'
    case 'octet':
    case 'short':
    case 'long':
      return 'number'
    case 'longlong':
      return 'number | bigint'
    case 'shortstr':
    case 'longstr':
      return 'string'
    case 'bytes':
      return 'Buffer'
    case 'table':
      return 'FieldTable'
  }
}

/** A field's name as a variable; \`arguments\` is not free for that. */
function fieldName(field: FieldDefinition): string {
  return field.name === 'arguments' ? 'args' : camelCase(field.name)
}

function methodKey({ of, method }: ClassMethod): string {
  return camelCase(`${of.name}-${method.name}`)
}

function writerName(each: ClassMethod): string {
  return camelCase(`write-${each.of.name}-${each.method.name}`)
}

function methodId({ of, method }: ClassMethod): string {
  return hex((of.id << 16) | method.id, 8)
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** Writes the file, unless it is as it should be already. */
async function main(): Promise<void> {
  const code = await generate()
  const old = await readFile(generatedPath, 'utf8').catch(() => '')
  if (code !== old) await writeFile(generatedPath, code)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main()
