// Methods and content headers by name, read and written by interpreting spec/amqp.ts: nothing of the generated code,
// which is under test, takes part.
import { basicProperties, classes, type Direction, type FieldKind, type PropertyKind } from '../../spec/amqp.ts'
import { encodeTable, longBytes, Reader, shortBytes, uint, type Table, type Value } from './field-values.ts'

export const PROTOCOL_HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1')

export const FrameType = { method: 1, header: 2, body: 3, heartbeat: 8 } as const

/** Arguments of a method by name, as they arrived. */
export interface Fields {
  readonly [name: string]: Value
}

/** Arguments of a method to send; those that are left out are zero, empty or false. */
export interface FieldsInput {
  readonly [name: string]: Value
}

/** Properties of a message by name; only those that are present. */
export interface Properties {
  readonly [name: string]: Value
}

/** What there is to know of a method. */
export interface Method {
  readonly name: string
  readonly classId: number
  readonly methodId: number
  readonly direction: Direction
  readonly fields: readonly { readonly name: string; readonly kind: FieldKind }[]
  /** Full names of the methods that answer it. */
  readonly answers: readonly string[]
  readonly content: boolean
}

const methodsByName = new Map<string, Method>()
const methodsById = new Map<number, Method>()
for (const { name: className, id: classId, methods } of classes) {
  for (const { name, id, direction, fields, answers, content } of methods) {
    const method: Method = {
      name: `${className}.${name}`,
      classId,
      methodId: id,
      direction,
      fields,
      answers: answers.map((answer) => `${className}.${answer}`),
      content,
    }
    methodsByName.set(method.name, method)
    methodsById.set(classId * 65536 + id, method)
  }
}

/** All methods that have a name. */
export function allMethods(): Method[] {
  return [...methodsByName.values()]
}

export function methodNamed(name: string): Method {
  const method = methodsByName.get(name)
  if (!method) throw new Error(`no method is called ${name}`)
  return method
}

/** The payload of a method frame. */
export function encodeMethod(name: string, values: FieldsInput = {}): Buffer {
  const { classId, methodId, fields } = methodNamed(name)
  for (const given of Object.keys(values)) {
    if (!fields.some((field) => field.name === given)) throw new Error(`${name} has no field ${given}`)
  }
  const parts = [uint(classId, 2), uint(methodId, 2)]
  for (let i = 0; i < fields.length;) {
    const bits = countBits(fields, i)
    if (bits > 0) {
      let octet = 0
      for (let bit = 0; bit < bits; bit++) if (values[fields[i + bit]!.name]) octet |= 1 << bit
      parts.push(Buffer.of(octet))
      i += bits
    } else {
      parts.push(encodeField(fields[i]!.kind, values[fields[i]!.name]))
      i++
    }
  }
  return Buffer.concat(parts)
}

/** Reads the payload of a method frame, and throws unless it is used up to the last byte. */
export function decodeMethod(payload: Buffer): { method: string; fields: Fields } {
  const reader = new Reader(payload)
  const classId = reader.uint(2)
  const methodId = reader.uint(2)
  const method = methodsById.get(classId * 65536 + methodId)
  if (!method) throw new Error(`no method has the ids ${classId},${methodId}`)
  const values: Record<string, Value> = {}
  for (let i = 0; i < method.fields.length;) {
    const bits = countBits(method.fields, i)
    const octet = bits > 0 ? reader.uint(1) : 0
    for (let bit = 0; bit < bits; bit++) values[method.fields[i + bit]!.name] = (octet & (1 << bit)) !== 0
    if (bits === 0) values[method.fields[i]!.name] = decodeField(method.fields[i]!.kind, reader)
    i += Math.max(1, bits)
  }
  if (reader.left > 0) throw new Error(`${reader.left} bytes behind the arguments of ${method.name}`)
  return { method: method.name, fields: values }
}

/** The payload of a content header. */
export function encodeHeader(bodySize: number | bigint, properties: Properties = {}, classId = 60): Buffer {
  let flags = 0
  const values: Buffer[] = []
  for (const { name, flag, kind } of basicProperties) {
    const value = properties[name]
    if (value === undefined) continue
    flags |= flag
    values.push(encodeField(kind, value))
  }
  for (const name of Object.keys(properties)) {
    if (!basicProperties.some((property) => property.name === name)) throw new Error(`no property is called ${name}`)
  }
  return Buffer.concat([uint(classId, 2), uint(0, 2), uint(bodySize, 8), uint(flags, 2), ...values])
}

/** Reads the payload of a content header, and throws unless it is used up to the last byte. */
export function decodeHeader(payload: Buffer): { size: number; properties: Properties } {
  const reader = new Reader(payload)
  const classId = reader.uint(2)
  const weight = reader.uint(2)
  if (classId !== 60 || weight !== 0) throw new Error(`a content header of class ${classId}, weight ${weight}`)
  const size = Number(reader.ulonglong())
  const flags = reader.uint(2)
  if ((flags & 3) !== 0) throw new Error('a content header with unused flags')
  const properties: Record<string, Value> = {}
  for (const { name, flag, kind } of basicProperties) {
    if ((flags & flag) !== 0) properties[name] = decodeField(kind, reader)
  }
  if (reader.left > 0) throw new Error(`${reader.left} bytes behind the properties`)
  return { size, properties }
}

/** How many bits follow one another from field `from` on, at most the eight that share an octet. */
function countBits(fields: Method['fields'], from: number): number {
  let bits = 0
  while (bits < 8 && fields[from + bits]?.kind === 'bit') bits++
  return bits
}

function encodeField(kind: FieldKind | PropertyKind, value: Value | undefined): Buffer {
  switch (kind) {
    case 'octet':
      return uint(Number(value ?? 0), 1)
    case 'short':
      return uint(Number(value ?? 0), 2)
    case 'long':
      return uint(Number(value ?? 0), 4)
    case 'longlong':
    case 'timestamp':
      return uint((value ?? 0) as number | bigint, 8)
    case 'shortstr':
      return shortBytes((value ?? '') as string | Uint8Array)
    case 'longstr':
    case 'bytes':
      return longBytes((value ?? '') as string | Uint8Array)
    case 'table':
      return encodeTable((value ?? {}) as Table)
    case 'bit':
      throw new Error('a bit has no octets of its own')
  }
}

function decodeField(kind: FieldKind | PropertyKind, reader: Reader): Value {
  switch (kind) {
    case 'octet':
      return reader.uint(1)
    case 'short':
      return reader.uint(2)
    case 'long':
      return reader.uint(4)
    case 'longlong':
    case 'timestamp':
      return reader.ulonglong()
    case 'shortstr':
      return reader.short()
    case 'longstr':
      return reader.long().toString()
    case 'bytes':
      return Buffer.from(reader.long())
    case 'table':
      return reader.table()
    case 'bit':
      throw new Error('a bit has no octets of its own')
  }
}
