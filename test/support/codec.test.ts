// The test client's own codec, against bytes that were written down by hand.
import { describe, expect, it } from 'vitest'
import { decodeHeader, decodeMethod, encodeHeader, encodeMethod, FrameType } from './codec.ts'
import { encodeTable, Reader, tagged, type Table } from './field-values.ts'
import { frame } from './raw-client.ts'

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Hexadecimal digits without the spaces that make them readable. */
function digits(text: string): string {
  return text.replaceAll(' ', '')
}

describe('the codec of the test client', () => {
  it('writes frames', () => {
    expect(hex(frame(FrameType.heartbeat, 0, Buffer.alloc(0)))).toBe('08000000000000ce')
    expect(hex(frame(FrameType.method, 1, encodeMethod('channel.open')))).toBe('010001000000050014000a00ce')
  })

  it('packs neighbouring bits into one octet', () => {
    const declare = encodeMethod('queue.declare', { queue: 'q', durable: true, nowait: true, arguments: { a: 1 } })
    expect(hex(declare)).toBe(digits('0032000a 0000 0171 12 00000007 0161 49 00000001'))
    const unbind = encodeMethod('queue.unbind', { queue: 'q', exchange: 'x', 'routing-key': 'k' })
    expect(hex(unbind)).toBe(digits('00320032 0000 0171 0178 016b 00000000'))
  })

  it('reads what it has written', () => {
    const fields = { 'consumer-tag': 'c', 'delivery-tag': 2 ** 40, redelivered: true, exchange: '', 'routing-key': 'é' }
    expect(decodeMethod(encodeMethod('basic.deliver', fields))).toEqual({ method: 'basic.deliver', fields })
    const properties = { 'content-type': 'text/plain', headers: { n: 1 }, priority: 3, timestamp: 2n ** 63n + 1n }
    expect(decodeHeader(encodeHeader(7, properties))).toEqual({ size: 7, properties })
  })

  it('writes properties in the order of their flags', () => {
    const bytes = encodeHeader(258, { 'app-id': 'a', 'delivery-mode': 2 })
    expect(hex(bytes)).toBe(digits('003c 0000 0000000000000102 1008 02 0161'))
  })

  it('keeps the tag of every value', () => {
    const table: Table = {
      plain: [true, 'text', 7, 1n << 40n, 0.5, null, Buffer.of(255), { nested: [] }],
      small: tagged('b', -1),
      large: tagged('L', -1n),
      whole: tagged('d', 4),
      bytes: tagged('S', Buffer.of(0xff)),
      price: tagged('D', [2, 1999]),
    }
    expect(new Reader(encodeTable(table)).table()).toEqual(table)
  })

  it('refuses fields, properties and bytes that should not be there', () => {
    expect(() => encodeMethod('queue.declare', { name: 'q' })).toThrow('no field name')
    expect(() => encodeHeader(0, { colour: 'blue' })).toThrow('no property is called colour')
    expect(() => decodeMethod(Buffer.concat([encodeMethod('basic.qos-ok'), Buffer.of(0)]))).toThrow('1 bytes behind')
  })
})
