import { describe, expect, it } from 'vitest'
import * as frame from '../../../src/amqp/wire/frame.ts'
import { writeBody, writeContentHeader, writeHeartbeat, writeUint64 } from '../../../src/amqp/wire/frame-writer.ts'
import { frameConstants } from '../../../spec/amqp.ts'
import { hex, TightOutput, written } from './support.ts'

describe('the frame writer', () => {
  it('uses the numbers of the specification', () => {
    const numbers = new Map(frameConstants.map(({ name, value }) => [name, value]))
    expect(frame.FRAME_METHOD).toBe(numbers.get('frame-method'))
    expect(frame.FRAME_HEADER).toBe(numbers.get('frame-header'))
    expect(frame.FRAME_BODY).toBe(numbers.get('frame-body'))
    expect(frame.FRAME_HEARTBEAT).toBe(numbers.get('frame-heartbeat'))
    expect(frame.FRAME_END).toBe(numbers.get('frame-end'))
  })

  it('writes heartbeats', () => {
    expect(written(writeHeartbeat)).toEqual(hex('08 0000 00000000 ce'))
  })

  it('writes a content header around the bytes of the properties', () => {
    const properties = hex('ff 1000 02 ff')
    expect(written((out) => writeContentHeader(out, 0x102, 3, properties, 1, 4))).toEqual(
      hex('02 0102 0000000f 003c 0000 0000000000000003 1000 02 ce'),
    )
  })

  it('writes a content header with long properties and a body of more than 4 GiB', () => {
    const properties = Buffer.alloc(300, 7)
    expect(written((out) => writeContentHeader(out, 1, 0x1_0000_0002, properties, 0, 300))).toEqual(
      Buffer.concat([hex('02 0001 00000138 003c 0000 0000000100000002'), properties, hex('ce')]),
    )
  })

  it('writes a body as one frame when it fits', () => {
    expect(written((out) => writeBody(out, 1, Buffer.from('.hello.'), 1, 6, 4096))).toEqual(
      hex('03 0001 00000005 68656c6c6f ce'),
    )
  })

  it('writes no frame for an empty body', () => {
    expect(written((out) => writeBody(out, 1, Buffer.alloc(5), 3, 3, 4096))).toHaveLength(0)
    expect(written((out) => writeBody(out, 1, Buffer.alloc(5), 3, 3, 0))).toHaveLength(0)
  })

  it('splits a body into frames that are no longer than frame-max in all', () => {
    expect(written((out) => writeBody(out, 1, Buffer.from('abcdefg'), 0, 7, 11))).toEqual(
      hex('03 0001 00000003 616263 ce  03 0001 00000003 646566 ce  03 0001 00000001 67 ce'),
    )
    expect(written((out) => writeBody(out, 1, Buffer.from('abcdef'), 0, 6, 11))).toEqual(
      hex('03 0001 00000003 616263 ce  03 0001 00000003 646566 ce'),
    )
  })

  it('copies long bodies whole, and does not split without a limit', () => {
    const body = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index & 0xff))
    const limited = written((out) => writeBody(out, 1, body, 0, body.length, 131_072))
    const expected = Buffer.concat([
      hex('03 0001 0001fff8'),
      body.subarray(0, 131_064),
      hex('ce 03 0001 00010d48'),
      body.subarray(131_064),
      hex('ce'),
    ])
    expect(limited.equals(expected)).toBe(true)
    const unlimited = written((out) => writeBody(out, 1, body, 0, body.length, 0))
    expect(unlimited.equals(Buffer.concat([hex('03 0001 00030d40'), body, hex('ce')]))).toBe(true)
  })

  it('writes behind what is there', () => {
    const out = new TightOutput()
    writeHeartbeat(out)
    writeBody(out, 1, Buffer.from('a'), 0, 1, 4096)
    writeHeartbeat(out)
    expect(out.written).toEqual(hex('08 0000 00000000 ce  03 0001 00000001 61 ce  08 0000 00000000 ce'))
  })

  it.each<[number | bigint, string]>([
    [0, '0000000000000000'],
    [0xffffffff, '00000000ffffffff'],
    [0x1_0000_0000, '0000000100000000'],
    [Number.MAX_SAFE_INTEGER, '001fffffffffffff'],
    [2n ** 53n + 1n, '0020000000000001'],
    [2n ** 64n - 1n, 'ffffffffffffffff'],
  ])('writes %s as 64 bits', (value, digits) => {
    const buffer = Buffer.alloc(10)
    expect(writeUint64(buffer, 1, value)).toBe(9)
    expect(buffer).toEqual(hex(`00 ${digits} 00`))
  })
})
