// What the tests of the wire have in common: bytes in hexadecimal, an output, a sink that remembers, random values.
import fc from 'fast-check'
import type { FieldTable, FieldValue } from '../../../src/amqp/wire/field-table.ts'
import type { FrameSink } from '../../../src/amqp/wire/frame-reader.ts'
import type { FrameOutput } from '../../../src/amqp/wire/frame-writer.ts'
import { decodeText } from '../../../src/amqp/wire/text.ts'
import { WireError } from '../../../src/amqp/wire/wire-error.ts'

/** Bytes from hexadecimal digits; spaces are for the reader. */
export function hex(digits: string): Buffer {
  const compact = digits.replaceAll(/\s/g, '')
  const bytes = Buffer.from(compact, 'hex')
  if (bytes.length * 2 !== compact.length) throw new Error(`not hexadecimal: ${digits}`)
  return bytes
}

/** An output that gives exactly the room that was asked for, in a new buffer each time. */
export class TightOutput implements FrameOutput {
  buffer = Buffer.alloc(0)
  position = 0

  reserve(bytes: number): void {
    const grown = Buffer.alloc(this.position + bytes, 0xee)
    this.buffer.copy(grown, 0, 0, this.position)
    this.buffer = grown
  }

  get written(): Buffer {
    return this.buffer.subarray(0, this.position)
  }
}

/** What `write` puts into an output. */
export function written(write: (out: FrameOutput) => void): Buffer {
  const out = new TightOutput()
  write(out)
  return out.written
}

/** Remembers frames as text: `1 method 000a000b`. Pieces of one body are joined, for where they are cut is free. */
export class RecordingSink implements FrameSink {
  readonly events: string[] = []

  method(channel: number, buffer: Buffer, start: number, end: number): void {
    this.events.push(`${channel} method ${buffer.toString('hex', start, end)}`)
  }

  header(channel: number, buffer: Buffer, start: number, end: number): void {
    this.events.push(`${channel} header ${buffer.toString('hex', start, end)}`)
  }

  body(channel: number, buffer: Buffer, start: number, end: number): void {
    const piece = buffer.toString('hex', start, end)
    const last = this.events.at(-1)
    if (last?.startsWith(`${channel} body `)) this.events[this.events.length - 1] = last + piece
    else this.events.push(`${channel} body ${piece}`)
  }
}

/** The WireError that `act` throws; anything else that it throws, or nothing, fails the test. */
export function wireError(act: () => unknown): WireError {
  try {
    act()
  } catch (error) {
    if (error instanceof WireError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** Calls `act`, which may throw nothing but a WireError. */
export function tolerate(act: () => unknown): void {
  try {
    act()
  } catch (error) {
    if (!(error instanceof WireError)) throw error
  }
}

/** Text of up to `maxLength` bytes, mostly valid UTF-8, but any bytes now and then. */
export function text(maxLength: number): fc.Arbitrary<string> {
  const valid = fc.string({ unit: 'binary', maxLength: Math.floor(maxLength / 4) }).map((string) => Buffer.from(string))
  const any = fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes))
  return fc
    .oneof({ weight: 3, arbitrary: valid }, { weight: 1, arbitrary: any })
    .map((bytes) => decodeText(bytes, 0, bytes.length))
}

const { table } = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ type: fc.constant('bool' as const), value: fc.boolean() }),
    integer('byte', -0x80, 0x7f),
    integer('unsignedbyte', 0, 0xff),
    integer('short', -0x8000, 0x7fff),
    integer('unsignedshort', 0, 0xffff),
    integer('signedint', -0x80000000, 0x7fffffff),
    integer('unsignedint', 0, 0xffffffff),
    fc.record({ type: fc.constant('long' as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
    fc.record({ type: fc.constant('float' as const), value: fc.float() }),
    fc.record({ type: fc.constant('double' as const), value: fc.double() }),
    fc.record({
      type: fc.constant('decimal' as const),
      value: fc.integer({ min: 0, max: 0xffffffff }),
      scale: fc.integer({ min: 0, max: 0xff }),
    }),
    fc.record({ type: fc.constant('longstr' as const), value: text(80) }),
    fc.record({ type: fc.constant('binary' as const), value: fc.uint8Array({ maxLength: 80 }) }),
    fc.record({ type: fc.constant('timestamp' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
    fc.constant<FieldValue>({ type: 'void', value: null }),
    fc.record({ type: fc.constant('array' as const), value: fc.array(tie('value'), { maxLength: 4 }) }),
    fc.record({ type: fc.constant('table' as const), value: tie('table') }),
  ),
  table: fc.array(fc.tuple(text(30), tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
}))

/** Tables of all types, nested a few levels deep. */
export const fieldTables: fc.Arbitrary<FieldTable> = table

function integer<T extends 'byte' | 'unsignedbyte' | 'short' | 'unsignedshort' | 'signedint' | 'unsignedint'>(
  type: T,
  min: number,
  max: number,
): fc.Arbitrary<{ type: T; value: number }> {
  return fc.record({ type: fc.constant(type), value: fc.integer({ min, max }) })
}
