import { describe, expect, it } from 'vitest'
import { PROTOCOL_HEADER, ProtocolHeaderReader } from '../../../src/amqp/wire/protocol-header.ts'
import { hex } from './support.ts'

describe('the protocol header', () => {
  it.each([
    ['0-9-1', '414d5150 00000901'],
    ['0-9', '414d5150 01010009'],
  ])('of AMQP %s is accepted, wherever it is cut', (_, digits) => {
    const stream = Buffer.concat([hex(digits), Buffer.from('frames')])
    for (let cut = 0; cut <= stream.length; cut++) {
      const reader = new ProtocolHeaderReader()
      const first = stream.subarray(0, cut)
      const second = stream.subarray(cut)
      expect(reader.read(first)).toBe(Math.min(cut, 8))
      expect(reader.complete).toBe(cut >= 8)
      expect(reader.accepted).toBe(cut >= 8)
      expect(reader.read(second)).toBe(Math.max(8 - cut, 0))
      expect(reader.accepted).toBe(true)
    }
  })

  it.each([
    ['AMQP 1.0', '414d5150 00010000'],
    ['AMQP 1.0 with SASL', '414d5150 03010000'],
    ['AMQP 0-8', '414d5150 01010800'],
    ['AMQP 0-9-2', '414d5150 00000902'],
    ['HTTP', Buffer.from('GET / HT').toString('hex')],
    ['TLS', '1603010200010001'],
  ])('of %s is refused, but not before all of it is there', (_, digits) => {
    const reader = new ProtocolHeaderReader()
    for (const octet of hex(digits)) {
      expect(reader.complete).toBe(false)
      expect(reader.read(Buffer.of(octet))).toBe(1)
    }
    expect(reader.complete).toBe(true)
    expect(reader.accepted).toBe(false)
  })

  it('that the broker answers with is that of 0-9-1', () => {
    expect(PROTOCOL_HEADER).toEqual(Buffer.from('AMQP\x00\x00\x09\x01', 'latin1'))
  })
})
