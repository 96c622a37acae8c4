import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeTable,
  readTable,
  readTableBody,
  skipTable,
  TABLE_DEPTH_MAX,
  TABLE_VALUES_MAX,
  type FieldTable,
  type FieldValue,
} from '../../../src/amqp/wire/field-table.ts'
import type { FieldTable as CoreFieldTable } from '../../../src/core/value.ts'
import { fieldTables, hex, tolerate, wireError } from './support.ts'

/** A table with one value, named `a`, whose tag and bytes these are. */
function tableOf(digits: string): Buffer {
  return lengthBefore(Buffer.concat([hex('01 61'), hex(digits)]))
}

function lengthBefore(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function read(bytes: Buffer): FieldTable {
  return readTable(bytes, 0, bytes.length)
}

/** Tables inside each other, so many that `depth` are open at the innermost. */
function nested(depth: number, tag: 'F' | 'A'): Buffer {
  let bytes = Buffer.alloc(0)
  for (let i = 1; i < depth; i++) {
    const name = tag === 'F' || i === depth - 1 ? hex('00') : hex('')
    bytes = Buffer.concat([name, Buffer.from(tag), lengthBefore(bytes)])
  }
  return lengthBefore(bytes)
}

const values: readonly (readonly [string, FieldValue])[] = [
  ['74 00', { type: 'bool', value: false }],
  ['74 01', { type: 'bool', value: true }],
  ['62 ff', { type: 'byte', value: -1 }],
  ['42 ff', { type: 'unsignedbyte', value: 255 }],
  ['73 8000', { type: 'short', value: -32768 }],
  ['75 ffff', { type: 'unsignedshort', value: 65535 }],
  ['49 ffffffff', { type: 'signedint', value: -1 }],
  ['69 ffffffff', { type: 'unsignedint', value: 4294967295 }],
  ['6c 7fffffffffffffff', { type: 'long', value: 9223372036854775807n }],
  ['6c 8000000000000000', { type: 'long', value: -9223372036854775808n }],
  ['66 3fc00000', { type: 'float', value: 1.5 }],
  ['64 3ff8000000000000', { type: 'double', value: 1.5 }],
  ['44 02 0000007b', { type: 'decimal', value: 123, scale: 2 }],
  ['44 00 ffffffff', { type: 'decimal', value: 4294967295, scale: 0 }],
  ['53 00000002 c3bc', { type: 'longstr', value: 'ü' }],
  ['53 00000002 fffe', { type: 'longstr', value: '\uDCFF\uDCFE' }],
  ['53 00000000', { type: 'longstr', value: '' }],
  ['78 00000003 00ff01', { type: 'binary', value: Uint8Array.of(0, 255, 1) }],
  ['54 ffffffffffffffff', { type: 'timestamp', value: 18446744073709551615n }],
  ['56', { type: 'void', value: null }],
  ['41 00000000', { type: 'array', value: [] }],
  [
    '41 00000003 56 74 01',
    {
      type: 'array',
      value: [
        { type: 'void', value: null },
        { type: 'bool', value: true },
      ],
    },
  ],
  ['46 00000003 01 62 56', { type: 'table', value: new Map([['b', { type: 'void', value: null }]]) }],
]

describe('a field table', () => {
  it.each(values)('reads %s, writes it again, and skips it', (digits, value) => {
    const bytes = tableOf(digits)
    expect(read(bytes)).toEqual(new Map([['a', value]]))
    expect(encodeTable(new Map([['a', value]]))).toEqual(bytes)
    expect(skipTable(bytes, 0, bytes.length)).toBe(bytes.length)
  })

  it('reads L as a signed long, and writes that as l', () => {
    const table = read(tableOf('4c ffffffffffffffff'))
    expect(table).toEqual(new Map([['a', { type: 'long', value: -1n }]]))
    expect(encodeTable(table)).toEqual(tableOf('6c ffffffffffffffff'))
  })

  it('reads U as a short, for strict php clients', () => {
    expect(read(tableOf('55 ffff'))).toEqual(new Map([['a', { type: 'short', value: -1 }]]))
  })

  it('takes any octet but 0 for true', () => {
    expect(read(tableOf('74 02'))).toEqual(new Map([['a', { type: 'bool', value: true }]]))
  })

  it('is the type that the core has', () => {
    const table: CoreFieldTable = read(tableOf('56'))
    const back: FieldTable = table
    expect(back).toBe(table)
  })

  it('gives back every table that it wrote', () => {
    fc.assert(
      fc.property(fieldTables, (table) => {
        const bytes = encodeTable(table)
        expect(read(bytes)).toEqual(table)
        expect([...read(bytes).keys()]).toEqual([...table.keys()])
        expect(encodeTable(read(bytes))).toEqual(bytes)
        expect(skipTable(bytes, 0, bytes.length)).toBe(bytes.length)
      }),
    )
  })

  it('is read in the middle of other bytes', () => {
    const bytes = Buffer.concat([hex('ffff'), tableOf('74 01'), hex('ffff')])
    expect(readTable(bytes, 2, bytes.length)).toEqual(new Map([['a', { type: 'bool', value: true }]]))
    expect(skipTable(bytes, 2, bytes.length)).toBe(bytes.length - 2)
  })

  it('is read without a length in front, as AMQPLAIN responses come', () => {
    const bytes = tableOf('74 01')
    expect(readTableBody(bytes, 4, bytes.length)).toEqual(new Map([['a', { type: 'bool', value: true }]]))
    expect(readTableBody(bytes, 4, 4)).toEqual(new Map())
  })

  it('owns the bytes of its binaries', () => {
    const bytes = tableOf('78 00000001 07')
    const table = read(bytes)
    bytes.fill(0)
    expect(table.get('a')).toEqual({ type: 'binary', value: Uint8Array.of(7) })
  })

  it('takes __proto__ and constructor for the ordinary names that they are', () => {
    const bytes = encodeTable(
      new Map<string, FieldValue>([
        ['__proto__', { type: 'table', value: new Map([['polluted', { type: 'bool', value: true }]]) }],
        ['constructor', { type: 'void', value: null }],
      ]),
    )
    expect([...read(bytes).keys()]).toEqual(['__proto__', 'constructor'])
    expect(Reflect.get({}, 'polluted')).toBe(undefined)
  })

  it('keeps the first of two values with the same name', () => {
    const bytes = lengthBefore(hex('01 61 74 01  01 62 56  01 61 46 00000003 01 63 56'))
    expect([...read(bytes)]).toEqual([
      ['a', { type: 'bool', value: true }],
      ['b', { type: 'void', value: null }],
    ])
  })

  it('reads names of 255 bytes, and writes none that are longer', () => {
    const table = new Map<string, FieldValue>([['n'.repeat(255), { type: 'void', value: null }]])
    expect(read(encodeTable(table))).toEqual(table)
    expect(() => encodeTable(new Map([['n'.repeat(256), { type: 'void', value: null }]]))).toThrow(RangeError)
  })

  it('refuses to write numbers that do not fit their type', () => {
    expect(() => encodeTable(new Map([['a', { type: 'byte', value: 128 }]]))).toThrow(RangeError)
    expect(() => encodeTable(new Map([['a', { type: 'long', value: 2n ** 63n }]]))).toThrow(RangeError)
    expect(() => encodeTable(new Map([['a', { type: 'timestamp', value: -1n }]]))).toThrow(RangeError)
  })
})

describe('a malformed field table', () => {
  it.each([
    ['an unknown tag', tableOf('7a 00')],
    ['a length of its own that is cut off', hex('000000')],
    ['a length that goes behind the end', hex('00000001')],
    ['a length near 4 GiB', hex('ffffffff 01 61 56')],
    ['a name without a tag', lengthBefore(hex('01 61'))],
    ['a name that is cut off', lengthBefore(hex('05 61'))],
    ['a value that is cut off', tableOf('49 000000')],
    ['a string whose length is cut off', tableOf('53 0000')],
    ['a string that is longer than the table', tableOf('53 00000002 61')],
    ['a string whose length is near 4 GiB', tableOf('53 ffffffff')],
    ['an array that is longer than the table', tableOf('41 00000002 56')],
    ['a value that goes behind the end of its array', lengthBefore(hex('01 61 41 00000002 49 00 01 62 56 56'))],
    ['a value that goes behind the end of its table', lengthBefore(hex('01 61 46 00000004 01 62 49 00 01 62 56 56'))],
  ])('with %s is refused with 502', (_, bytes) => {
    for (const act of [read, (table: Buffer) => skipTable(table, 0, table.length)]) {
      const error = wireError(() => act(bytes))
      expect(error.replyCode).toBe(502)
      expect(error.message).toMatch(/^malformed field table: /)
    }
  })

  it('throws nothing but WireError when it is cut anywhere', () => {
    fc.assert(
      fc.property(fieldTables, (table) => {
        const bytes = encodeTable(table)
        for (let end = 0; end < bytes.length; end++) {
          expect(wireError(() => readTable(bytes, 0, end)).replyCode).toBe(502)
          expect(wireError(() => skipTable(bytes, 0, end)).replyCode).toBe(502)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('throws nothing but WireError when bytes of it are changed, and is skipped if and only if it can be read', () => {
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(fieldTables, fc.array(change, { maxLength: 4 }), (table, changes) => {
        const bytes = encodeTable(table)
        for (const [at, octet] of changes) bytes[at % bytes.length] = octet
        expect(readable(bytes)).toBe(skippable(bytes))
      }),
      { numRuns: 300 },
    )
  })

  it('throws nothing but WireError on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        const bytes = Buffer.from(random)
        tolerate(() => readTableBody(bytes, 0, bytes.length))
        expect(readable(lengthBefore(bytes))).toBe(skippable(lengthBefore(bytes)))
      }),
    )
  })
})

describe('the limits of a field table', () => {
  it.each(['F', 'A'] as const)('allow as many levels of %s as they say, and not one more', (tag) => {
    const deepest = nested(TABLE_DEPTH_MAX, tag)
    expect(read(deepest).size).toBe(1)
    expect(encodeTable(read(deepest))).toEqual(deepest)
    expect(skipTable(deepest, 0, deepest.length)).toBe(deepest.length)
    const deeper = nested(TABLE_DEPTH_MAX + 1, tag)
    expect(wireError(() => read(deeper)).message).toContain('deeper than 32')
    expect(wireError(() => skipTable(deeper, 0, deeper.length)).message).toContain('deeper than 32')
  })

  it('refuse a table that is nested thousands of times at the level where it is too deep', () => {
    const bytes = nested(2_000, 'F')
    expect(wireError(() => read(bytes)).replyCode).toBe(502)
    expect(wireError(() => skipTable(bytes, 0, bytes.length)).replyCode).toBe(502)
  })

  it('do not let a table be written that could not be read', () => {
    let table: FieldTable = new Map()
    for (let i = 0; i < TABLE_DEPTH_MAX; i++) table = new Map([['t', { type: 'table', value: table }]])
    expect(() => encodeTable(table)).toThrow(RangeError)
  })

  it('count values that take no bytes', () => {
    const voids = (count: number) =>
      lengthBefore(Buffer.concat([hex('01 61 41'), lengthBefore(Buffer.alloc(count, 'V'))]))
    // The array itself is a value too.
    const most = voids(TABLE_VALUES_MAX - 1)
    expect(skipTable(most, 0, most.length)).toBe(most.length)
    expect(read(most).size).toBe(1)
    const more = voids(TABLE_VALUES_MAX)
    expect(wireError(() => skipTable(more, 0, more.length)).message).toContain('more than 65536 values')
    expect(wireError(() => read(more)).message).toContain('more than 65536 values')
  })
})

function readable(bytes: Buffer): boolean {
  let table: FieldTable | null = null
  tolerate(() => (table = read(bytes)))
  return table !== null
}

function skippable(bytes: Buffer): boolean {
  let end = -1
  tolerate(() => (end = skipTable(bytes, 0, bytes.length)))
  return end !== -1
}
