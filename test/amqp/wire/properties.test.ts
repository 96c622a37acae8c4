import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeProperties,
  encodeProperties,
  headerBodySize,
  headerClass,
  headerWeight,
  PropertyScan,
  type BasicProperties,
} from '../../../src/amqp/wire/properties.ts'
import { decodeText } from '../../../src/amqp/wire/text.ts'
import { fieldTables, hex, text, tolerate, wireError } from './support.ts'

const shortText = text(255)
const octet = fc.integer({ min: 0, max: 255 })

const properties: fc.Arbitrary<BasicProperties> = fc.record(
  {
    contentType: shortText,
    contentEncoding: shortText,
    headers: fieldTables,
    deliveryMode: octet,
    priority: octet,
    correlationId: shortText,
    replyTo: shortText,
    expiration: shortText,
    messageId: shortText,
    timestamp: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    type: shortText,
    userId: shortText,
    appId: shortText,
    clusterId: shortText,
  },
  { requiredKeys: [] },
)

function decode(bytes: Buffer): BasicProperties {
  return decodeProperties(bytes, 0, bytes.length)
}

function scan(bytes: Buffer): PropertyScan {
  const result = new PropertyScan()
  result.scan(bytes, 0, bytes.length)
  return result
}

describe('properties', () => {
  it.each<[string, BasicProperties]>([
    ['0000', {}],
    ['8000 04 74657874', { contentType: 'text' }],
    ['4000 01 67', { contentEncoding: 'g' }],
    ['2000 00000003 01 61 56', { headers: new Map([['a', { type: 'void', value: null }]]) }],
    ['1000 02', { deliveryMode: 2 }],
    ['0800 09', { priority: 9 }],
    ['0400 01 63', { correlationId: 'c' }],
    ['0200 01 72', { replyTo: 'r' }],
    ['0100 03 313030', { expiration: '100' }],
    ['0080 01 6d', { messageId: 'm' }],
    ['0040 0000000065000000', { timestamp: 0x65000000n }],
    ['0020 01 74', { type: 't' }],
    ['0010 01 75', { userId: 'u' }],
    ['0008 01 61', { appId: 'a' }],
    ['0004 00', { clusterId: '' }],
    ['9804 01 78 02 05 01 79', { contentType: 'x', deliveryMode: 2, priority: 5, clusterId: 'y' }],
  ])('decode and encode %s', (digits, expected) => {
    expect(decode(hex(digits))).toEqual(expected)
    expect(encodeProperties(expected)).toEqual(hex(digits))
  })

  it('come back as they were', () => {
    fc.assert(
      fc.property(properties, (expected) => {
        expect(decode(encodeProperties(expected))).toEqual(expected)
      }),
    )
  })

  it('may set the two unused flags, which mean nothing', () => {
    expect(decode(hex('1003 02'))).toEqual({ deliveryMode: 2 })
    expect(decode(hex('0001'))).toEqual({})
    expect(scan(hex('1003 02')).deliveryMode).toBe(2)
    expect(scan(hex('0003')).deliveryMode).toBe(0)
  })

  it('are not encoded when a text is too long', () => {
    expect(() => encodeProperties({ type: 'x'.repeat(256) })).toThrow(RangeError)
  })

  it.each([
    ['no flags', ''],
    ['half of the flags', '00'],
    ['bytes behind the last value', '1000 02 00'],
    ['bytes behind no value', '0000 00'],
    ['a text that is missing', '8000'],
    ['a text that is cut off', '8000 05 61'],
    ['a delivery mode that is missing', '1000'],
    ['a priority that is missing', '0800'],
    ['a timestamp that is cut off', '0040 00000000'],
    ['headers whose length is cut off', '2000 000000'],
    ['headers that are longer than the properties', '2000 00000004 01 61 56'],
    ['headers with an unknown tag', '2000 00000003 01 61 7a'],
  ])('with %s are refused with 502', (_, digits) => {
    expect(wireError(() => decode(hex(digits))).replyCode).toBe(502)
    expect(wireError(() => scan(hex(digits))).replyCode).toBe(502)
  })

  it('throw nothing but WireError when they are cut anywhere', () => {
    fc.assert(
      fc.property(properties, (expected) => {
        const bytes = encodeProperties(expected)
        for (let end = 0; end < bytes.length; end++) {
          expect(wireError(() => decodeProperties(bytes, 0, end)).replyCode).toBe(502)
          expect(wireError(() => new PropertyScan().scan(bytes, 0, end)).replyCode).toBe(502)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('are accepted by a scan if and only if they can be decoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (random) => {
        const bytes = Buffer.from(random)
        let decoded = false
        let scanned = false
        tolerate(() => (decoded = decode(bytes) !== undefined))
        tolerate(() => (scanned = scan(bytes) !== undefined))
        expect(scanned).toBe(decoded)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('a property scan', () => {
  it('finds what routing and queues need, anywhere in a buffer', () => {
    const result = new PropertyScan()
    fc.assert(
      fc.property(properties, fc.nat(5), (expected, offset) => {
        const encoded = encodeProperties(expected)
        const bytes = Buffer.concat([Buffer.alloc(offset, 0xff), encoded, Buffer.from([0xff])])
        result.scan(bytes, offset, offset + encoded.length)
        expect(result.deliveryMode).toBe(expected.deliveryMode ?? 0)
        expect(result.priority).toBe(expected.priority ?? -1)
        expect(found(bytes, result.expirationStart, result.expirationEnd)).toBe(expected.expiration)
        expect(found(bytes, result.userIdStart, result.userIdEnd)).toBe(expected.userId)
        expect(found(bytes, result.replyToStart, result.replyToEnd)).toBe(expected.replyTo)
        const headers = result.headersStart === -1 ? undefined : bytes.subarray(result.headersStart, result.headersEnd)
        expect(headers).toEqual(expected.headers && encodeProperties({ headers: expected.headers }).subarray(2))
      }),
    )
  })

  it('forgets what the last one found', () => {
    const result = new PropertyScan()
    const empty = new PropertyScan()
    const full = encodeProperties({
      headers: new Map(),
      deliveryMode: 2,
      priority: 3,
      replyTo: 'r',
      expiration: '1',
      userId: 'u',
    })
    for (const digits of ['0000', '0003', '8000 00']) {
      result.scan(full, 0, full.length)
      expect(result).not.toEqual(empty)
      const next = hex(digits)
      result.scan(next, 0, next.length)
      expect(result).toEqual(empty)
    }
  })
})

describe('the fixed part of a content header', () => {
  it('holds class, weight and body size, exact to 64 bits', () => {
    const header = hex('ffff 003c 0001 0000000000000010 0000')
    expect(headerClass(header, 2)).toBe(60)
    expect(headerWeight(header, 2)).toBe(1)
    expect(headerBodySize(header, 2)).toBe(16)
    expect(headerBodySize(hex('003c 0000 001fffffffffffff'), 0)).toBe(Number.MAX_SAFE_INTEGER)
    expect(headerBodySize(hex('003c 0000 0020000000000000'), 0)).toBe(2n ** 53n)
    expect(headerBodySize(hex('003c 0000 ffffffffffffffff'), 0)).toBe(2n ** 64n - 1n)
  })
})

function found(bytes: Buffer, start: number, end: number): string | undefined {
  return start === -1 && end === -1 ? undefined : decodeText(bytes, start, end)
}
