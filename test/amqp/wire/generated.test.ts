import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { classes, replyCodes, type FieldDefinition } from '../../../spec/amqp.ts'
import type { FieldTable } from '../../../src/amqp/wire/field-table.ts'
import type { FrameOutput } from '../../../src/amqp/wire/frame-writer.ts'
import * as generated from '../../../src/amqp/wire/generated.ts'
import {
  dispatchChannel,
  dispatchConnection,
  isHardError,
  Method,
  methodName,
  ReplyCode,
  replyName,
  writeBasicAck,
  writeBasicDeliver,
  writeBasicNack,
  writeChannelClose,
  writeChannelOpenOk,
  writeConnectionStart,
  type ChannelMethods,
  type ConnectionMethods,
} from '../../../src/amqp/wire/generated.ts'
import { amqplib, type AmqplibFields } from './amqplib-codec.ts'
import { hex, tolerate, wireError, written } from './support.ts'

/** A method by its full name, with the name that it has in code. */
interface Named {
  readonly name: string
  readonly key: string
  readonly id: number
  readonly fields: readonly FieldDefinition[]
  readonly direction: string
}

const methods: readonly Named[] = classes.flatMap((of) =>
  of.methods.map((each) => ({
    name: `${of.name}.${each.name}`,
    key: camelCase(`${of.name}-${each.name}`),
    id: (of.id << 16) | each.id,
    fields: each.fields,
    direction: each.direction,
  })),
)
const fromClients = methods.filter(({ direction }) => direction === 'client' || direction === 'both')
const fromServers = methods.filter(({ direction }) => direction === 'server' || direction === 'both')

/** A call of a handler: its name, and the arguments behind the target. */
type Call = readonly [string, ...unknown[]]

/** Dispatches the payload of a method, whole or a part of a buffer, and returns the call that was made of it. */
function dispatch(payload: Buffer, start = 0, end = payload.length): Call | null {
  const calls: Call[] = []
  const handlers = new Proxy(
    {},
    {
      get:
        (_, key) =>
        (target: Call[], ...args: unknown[]) =>
          void target.push([String(key), ...args]),
    },
  ) as ConnectionMethods<Call[]> & ChannelMethods<Call[]>
  const ofConnection = payload.readUInt16BE(start) === 10
  const known = ofConnection
    ? dispatchConnection(handlers, calls, payload, start, end)
    : dispatchChannel(handlers, calls, payload, start, end)
  expect(calls).toHaveLength(known ? 1 : 0)
  return calls[0] ?? null
}

describe('the names of methods and codes', () => {
  it.each(methods)('$name has its number', ({ name, key, id }) => {
    expect(Reflect.get(Method, key)).toBe(id)
    expect(methodName(id)).toBe(name)
  })

  it('show the numbers of what has no name', () => {
    expect(methodName((60 << 16) | 999)).toBe('60.999')
    expect(replyName(299)).toBe('299')
  })

  it.each(replyCodes)('$name is $value and a $errorClass error', ({ name, value, errorClass }) => {
    expect(Reflect.get(ReplyCode, camelCase(name))).toBe(value)
    expect(replyName(value)).toBe(name.toUpperCase().replaceAll('-', '_'))
    expect(isHardError(value)).toBe(errorClass === 'hard')
  })

  it('are those that amqplib has', () => {
    const ours = methods.filter(({ direction }) => direction !== 'internal')
    for (const { name, id, fields } of ours) {
      const theirs = amqplib.info(id)
      expect((theirs.classId << 16) | theirs.methodId).toBe(id)
      expect(theirs.name).toBe(pascalCase(name))
      expect(theirs.args.map((arg) => `${arg.type} ${arg.name}`)).toEqual(
        fields.map((field) => `${field.kind === 'bytes' ? 'longstr' : field.kind} ${camelCase(field.name)}`),
      )
    }
  })
})

describe('dispatching methods of clients', () => {
  it.each(fromClients)('decodes $name as amqplib sends it', ({ id, key, fields }) => {
    const frame = amqplib.encodeMethod(id, 1, Object.fromEntries(fields.map(amqplibField)))
    expect(dispatch(frame, 7, frame.length - 1)).toEqual([key, ...values(fields)])
    expect(dispatch(frame.subarray(7, -1))).toEqual([key, ...values(fields)])
  })

  it.each(fromClients)('decodes every bit of $name by itself', ({ id, key, fields }) => {
    for (const set of fields.filter((field) => field.kind === 'bit' && !field.reserved)) {
      const bits = fields.filter((field) => field.kind === 'bit').map((field) => [camelCase(field.name), field === set])
      const others = fields.filter((field) => field.kind !== 'bit').map(amqplibField)
      const frame = amqplib.encodeMethod(id, 1, Object.fromEntries([...others, ...bits]) as AmqplibFields)
      const expected = fields.filter((field) => !field.reserved)
      expect(dispatch(frame, 7, frame.length - 1)).toEqual([
        key,
        ...expected.map((field) => (field.kind === 'bit' ? field === set : valueOf(field))),
      ])
    }
  })

  it.each(fromClients)('refuses $name with 501 when it is cut anywhere, or goes on', ({ id, fields }) => {
    const frame = amqplib.encodeMethod(id, 1, Object.fromEntries(fields.map(amqplibField)))
    const payload = frame.subarray(7, -1)
    for (let end = 4; end < payload.length; end++) {
      const error = wireError(() => dispatch(payload, 0, end))
      expect(error.replyCode).toBe(501)
      expect(error.message).toBe(`cannot decode <<${payload.subarray(4, end).join(',')}>>`)
    }
    const longer = Buffer.concat([payload, hex('00')])
    expect(wireError(() => dispatch(longer)).message).toBe(`cannot decode <<${longer.subarray(4).join(',')}>>`)
  })

  it.each(fromClients)('throws nothing but WireError on random arguments of $name', ({ id }) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (random) => {
        const ids = Buffer.alloc(4)
        ids.writeUInt32BE(id)
        tolerate(() => dispatch(Buffer.concat([ids, random])))
      }),
    )
  })

  it.each(methods.filter((each) => !fromClients.includes(each)))('knows no handler for $name', ({ id }) => {
    const payload = Buffer.alloc(4)
    payload.writeUInt32BE(id)
    expect(dispatch(payload)).toBe(null)
  })

  it.each(['003c 03e7', '0000 0000', 'ffff ffff', '8014 000a', '000a 03e7'])('knows no method %s', (digits) => {
    expect(dispatch(hex(digits))).toBe(null)
  })

  it('leaves methods of the connection to the connection, and others to channels', () => {
    const refuse = {} as ConnectionMethods<null> & ChannelMethods<null>
    expect(dispatchConnection(refuse, null, hex('0014 000a 00'), 0, 5)).toBe(false)
    expect(dispatchChannel(refuse, null, hex('000a 0033'), 0, 4)).toBe(false)
  })

  it.each([
    ['0000000000000001', 1],
    ['001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['0020000000000000', 2n ** 53n],
    ['ffffffffffffffff', 2n ** 64n - 1n],
  ])('gives delivery tag %s exactly', (digits, tag) => {
    expect(dispatch(hex(`003c 0050 ${digits} 01`))).toEqual(['basicAck', tag, true])
  })

  it('ignores the ticket', () => {
    expect(dispatch(hex('003c 0046 ffff 01 71 01'))).toEqual(['basicGet', 'q', true])
  })

  it('refuses a name that is not UTF-8 with 501', () => {
    const error = wireError(() => dispatch(hex('003c 0046 0000 02 c328 00')))
    expect(error.replyCode).toBe(501)
    expect(error.message).toBe('Malformed UTF-8 in shortstr')
  })

  it('takes an exchange and a routing key of basic.publish that are not UTF-8', () => {
    expect(dispatch(hex('003c 0028 0000 01 ff 02 c328 02'))).toEqual(['basicPublish', '\uDCFF', '\uDCC3(', false, true])
  })

  it('refuses a table that is malformed inside with 502', () => {
    // queue.declare of q, whose arguments hold one value of an unknown type.
    const error = wireError(() => dispatch(hex('0032 000a 0000 01 71 00 00000003 01 61 7a')))
    expect(error.replyCode).toBe(502)
  })

  it('shows no more of bad arguments than a reply text can hold', () => {
    const payload = Buffer.concat([hex('0014 0014'), Buffer.alloc(100_000)])
    expect(wireError(() => dispatch(payload)).message.length).toBeLessThan(300)
  })

  it('gives opaque bytes as they are', () => {
    const response = hex('00 67 00 ff')
    const call = dispatch(Buffer.concat([hex('000a 0015 00000004'), response]))
    expect(call).toEqual(['connectionSecureOk', response])
  })
})

describe('writing methods of servers', () => {
  it.each(fromServers)('writes $name as amqplib reads it', ({ id, key, fields }) => {
    const frame = written((out) => write(key, out, values(fields)))
    expect(frame.subarray(0, 3)).toEqual(hex('01 0102'))
    expect(frame.readUInt32BE(3)).toBe(frame.length - 8)
    expect(frame.readUInt32BE(7)).toBe(id)
    expect(frame.at(-1)).toBe(0xce)
    const decoded = amqplib.decode(id, frame.subarray(11, -1))
    expect(decoded).toEqual(Object.fromEntries(fields.map(amqplibField)))
    expect(frame.equals(amqplib.encodeMethod(id, 0x102, Object.fromEntries(fields.map(amqplibField))))).toBe(true)
  })

  it('writes the frames that are known by heart', () => {
    expect(written((out) => writeChannelOpenOk(out, 1))).toEqual(hex('01 0001 00000008 0014 000b 00000000 ce'))
    expect(written((out) => writeBasicAck(out, 1, 5, true))).toEqual(
      hex('01 0001 0000000d 003c 0050 0000000000000005 01 ce'),
    )
    expect(written((out) => writeBasicNack(out, 1, 2n ** 60n, false, true))).toEqual(
      hex('01 0001 0000000d 003c 0078 1000000000000000 02 ce'),
    )
  })

  it('writes text beyond ASCII, and octets that were never text', () => {
    expect(written((out) => writeBasicDeliver(out, 1, 'ü', 1, false, '🐇', 'a\uDCFF'))).toEqual(
      hex('01 0001 00000018 003c 003c 02 c3bc 0000000000000001 00 04 f09f9087 02 61ff ce'),
    )
  })

  it.each([
    ['ASCII', 'x'.repeat(300), 'x'.repeat(255)],
    ['of two bytes a character', 'ü'.repeat(200), 'ü'.repeat(127)],
    ['long only in bytes', 'x'.repeat(254) + 'ü', 'x'.repeat(254)],
    ['just short enough', 'x'.repeat(253) + 'ü', 'x'.repeat(253) + 'ü'],
  ])('cuts a reply text of more than 255 bytes between characters: %s', (_, text, expected) => {
    const frame = written((out) => writeChannelClose(out, 1, 404, text, 60, 20))
    expect(amqplib.decode(Method.channelClose, frame.subarray(11, -1))).toMatchObject({
      replyText: expected,
      classId: 60,
      methodId: 20,
    })
  })

  it('writes tables and long strings of any length', () => {
    const properties: FieldTable = new Map([['long', { type: 'longstr', value: 'x'.repeat(5000) }]])
    const frame = written((out) => writeConnectionStart(out, 0, 0, 9, properties, 'PLAIN '.repeat(200), 'en_US ü'))
    expect(amqplib.decode(Method.connectionStart, frame.subarray(11, -1))).toMatchObject({
      serverProperties: { long: 'x'.repeat(5000) },
      mechanisms: Buffer.from('PLAIN '.repeat(200)),
      locales: Buffer.from('en_US ü'),
    })
  })
})

/** Calls the generated function that writes this method, on channel 0x102. */
function write(key: string, out: FrameOutput, args: readonly unknown[]): void {
  const name = `write${key[0]!.toUpperCase()}${key.slice(1)}`
  const writer: unknown = Reflect.get(generated, name)
  if (typeof writer !== 'function') throw new Error(`no function ${name}`)
  Reflect.apply(writer, undefined, [out, 0x102, ...args])
}

/** Values for the fields that are not reserved: different ones, so that none is taken for another. */
function values(fields: readonly FieldDefinition[]): unknown[] {
  return fields.filter((field) => !field.reserved).map(valueOf)
}

function valueOf(field: FieldDefinition): unknown {
  switch (field.kind) {
    case 'bit':
      return field.name.length % 2 === 0
    case 'octet':
      return 0x80 + field.name.length
    case 'short':
      return 0x8000 + field.name.length
    case 'long':
      return 0x80000000 + field.name.length
    case 'longlong':
      return 0x1_0000_0000 + field.name.length
    case 'shortstr':
    case 'longstr':
      return `the ${field.name}`
    case 'bytes':
      return Buffer.from(`the ${field.name}`)
    case 'table':
      return new Map([['key', { type: 'longstr', value: field.name }]])
  }
}

/** The name of a field in amqplib, and its value as amqplib takes it. */
function amqplibField(field: FieldDefinition): [string, unknown] {
  return [camelCase(field.name), amqplibValue(field)]
}

function amqplibValue(field: FieldDefinition): unknown {
  if (field.kind === 'table') return { key: field.name }
  if (field.kind === 'longstr') return Buffer.from(field.reserved ? '' : `the ${field.name}`)
  if (!field.reserved) return valueOf(field)
  return { bit: false, octet: 0, short: 0, long: 0, longlong: 0, shortstr: '', bytes: Buffer.alloc(0) }[field.kind]
}

function camelCase(name: string): string {
  return name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

function pascalCase(name: string): string {
  return camelCase(`-${name.replace('.', '-')}`)
}
