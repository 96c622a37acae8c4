import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { FrameReader, type FrameSink } from '../../../src/amqp/wire/frame-reader.ts'
import { hex, RecordingSink, tolerate, wireError } from './support.ts'

const OPEN = '01 0001 00000005 0014 000a 00 ce'
const PUBLISH = '01 0001 0000000c 003c 0028 0000 01 65 02 726b 03 ce'
const HEADER = '02 0001 0000000f 003c 0000 0000000000000005 1000 02 ce'
const BODY = '03 0001 00000005 68656c6c6f ce'
const EMPTY_BODY = '03 0001 00000000 ce'
const HEARTBEAT = '08 0000 00000000 ce'

const STREAM = hex([OPEN, HEARTBEAT, PUBLISH, HEADER, BODY, EMPTY_BODY, PUBLISH, HEARTBEAT, OPEN].join(''))
const EVENTS = [
  '1 method 0014000a00',
  '1 method 003c00280000016502726b03',
  '1 header 003c00000000000000000005100002',
  '1 body 68656c6c6f',
  '1 method 003c00280000016502726b03',
  '1 method 0014000a00',
]

let reader: FrameReader
let sink: RecordingSink
beforeEach(() => {
  reader = new FrameReader()
  sink = new RecordingSink()
})

describe('the frame reader', () => {
  it('passes on what the frames of a chunk carry', () => {
    expect(reader.read(STREAM, 0, sink)).toBe(STREAM.length)
    expect(sink.events).toEqual(EVENTS)
  })

  it('passes on views of the chunk, when frames are whole', () => {
    const chunk = hex(OPEN + HEADER + BODY)
    const buffers: Buffer[] = []
    const note = (_channel: number, buffer: Buffer) => void buffers.push(buffer)
    reader.read(chunk, 0, { method: note, header: note, body: note })
    expect(buffers).toHaveLength(3)
    expect(buffers.every((buffer) => buffer === chunk)).toBe(true)
  })

  it('reads the same when the stream is cut in two, wherever that is', () => {
    for (let cut = 0; cut <= STREAM.length; cut++) {
      const halves = [STREAM.subarray(0, cut), STREAM.subarray(cut)]
      expect(eventsOf(halves)).toEqual(EVENTS)
    }
  })

  it('reads the same when the stream is cut in three, wherever that is', () => {
    for (let first = 0; first <= STREAM.length; first++) {
      for (let second = first; second <= STREAM.length; second++) {
        const thirds = [STREAM.subarray(0, first), STREAM.subarray(first, second), STREAM.subarray(second)]
        expect(eventsOf(thirds)).toEqual(EVENTS)
      }
    }
  })

  it('reads the same one byte at a time', () => {
    expect(eventsOf(Array.from(STREAM, (octet) => Buffer.of(octet)))).toEqual(EVENTS)
  })

  it('does not depend on chunks that it has read', () => {
    for (const octet of STREAM) {
      const chunk = Buffer.of(octet)
      reader.read(chunk, 0, sink)
      chunk.fill(0xff)
    }
    expect(sink.events).toEqual(EVENTS)
  })

  it('reads random frames through random cuts', () => {
    const frame = fc.oneof(
      payloads(4).map((payload) => ({ type: 1, payload })),
      payloads(12).map((payload) => ({ type: 2, payload })),
      payloads(0).map((payload) => ({ type: 3, payload })),
    )
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 8 }), (frames, cuts) => {
        const stream = Buffer.concat(frames.map(({ type, payload }) => frameOf(type, 1, payload)))
        const whole = eventsOf([stream])
        const at = cuts.map((cut) => cut % (stream.length + 1)).toSorted((a, b) => a - b)
        const chunks = [...at, stream.length].map((end, index) => stream.subarray(at[index - 1] ?? 0, end))
        expect(eventsOf(chunks)).toEqual(whole)
        expect(whole.filter((event) => !event.includes('body'))).toHaveLength(
          frames.filter(({ type }) => type !== 3).length,
        )
      }),
    )
  })

  it('passes on the pieces of a body as they come', () => {
    const pieces: string[] = []
    const bodySink = bodies((buffer, start, end) => pieces.push(buffer.toString('latin1', start, end)))
    for (const chunk of [hex('03 0001 00000005'), hex('68 65'), hex('6c 6c 6f'), hex('ce')]) {
      reader.read(chunk, 0, bodySink)
    }
    expect(pieces).toEqual(['he', 'llo'])
  })

  it('gives one empty piece for an empty body frame, wherever it is cut', () => {
    const bytes = hex(EMPTY_BODY)
    for (let cut = 0; cut <= bytes.length; cut++) {
      let pieces = 0
      const bodySink = bodies((_, start, end) => {
        expect(end).toBe(start)
        pieces++
      })
      const each = new FrameReader()
      each.read(bytes.subarray(0, cut), 0, bodySink)
      each.read(bytes.subarray(cut), 0, bodySink)
      expect(pieces).toBe(1)
    }
  })

  it('begins where it is told to', () => {
    const chunk = Buffer.concat([Buffer.from('AMQP....'), hex(OPEN)])
    expect(reader.read(chunk, 8, sink)).toBe(chunk.length)
    expect(sink.events).toEqual(['1 method 0014000a00'])
  })

  it('stops at once when the sink says so, and reads no more', () => {
    const stopping: FrameSink = {
      method: (channel, buffer, start, end) => {
        sink.method(channel, buffer, start, end)
        reader.stop()
      },
      header: (channel, buffer, start, end) => sink.header(channel, buffer, start, end),
      body: (channel, buffer, start, end) => sink.body(channel, buffer, start, end),
    }
    reader.read(STREAM, 0, stopping)
    reader.read(STREAM, 0, stopping)
    expect(sink.events).toEqual(['1 method 0014000a00'])
  })

  it('stops within the pieces of a body', () => {
    let pieces = 0
    const stopping = bodies(() => {
      pieces++
      reader.stop()
    })
    reader.read(hex(BODY).subarray(0, 9), 0, stopping)
    reader.read(hex(BODY).subarray(9), 0, stopping)
    expect(pieces).toBe(1)
  })

  it('pauses behind the frame that it was in, and goes on from there', () => {
    const pausing: FrameSink = {
      method: (channel, buffer, start, end) => {
        sink.method(channel, buffer, start, end)
        reader.pause()
      },
      header: (channel, buffer, start, end) => sink.header(channel, buffer, start, end),
      body: (channel, buffer, start, end) => sink.body(channel, buffer, start, end),
    }
    let position = reader.read(STREAM, 0, pausing)
    expect(position).toBe(hex(OPEN).length)
    expect(sink.events).toHaveLength(1)
    expect(reader.read(STREAM, position, pausing)).toBe(position)
    while (position < STREAM.length) {
      reader.resume()
      position = reader.read(STREAM, position, pausing)
    }
    expect(sink.events).toEqual(EVENTS)
  })
})

describe('the frame reader refuses', () => {
  it('a frame whose payload is longer than frame-max, once its header is there', () => {
    reader.frameMax = 4096
    const error = wireError(() => reader.read(hex('03 0001 00001001'), 0, sink))
    expect(error.replyCode).toBe(501)
    expect(error.message).toBe('type 3, all octets = <<>>: {frame_too_large,4097,4088}')
  })

  it('no frame whose payload is as long as frame-max, as RabbitMQ does not', () => {
    reader.frameMax = 4096
    reader.read(frameOf(3, 1, Buffer.alloc(4096)), 0, sink)
    reader.read(frameOf(1, 1, Buffer.alloc(4096)), 0, sink)
    expect(sink.events).toHaveLength(2)
  })

  it('frames above 8192 until the peers have agreed on a size', () => {
    const error = wireError(() => reader.read(hex('01 0000 00002001'), 0, sink))
    expect(error.message).toBe('type 1, all octets = <<>>: {frame_too_large,8193,8184}')
  })

  it('no body for its size when there is no limit, but methods that are too much to gather', () => {
    reader.frameMax = 0
    reader.read(hex('03 0001 ffffffff 68 65'), 0, sink)
    expect(sink.events).toEqual(['1 body 6865'])
    const error = wireError(() => new FrameReader().read(hex('01 0001 ffffffff'), 0, sink))
    expect(error.replyCode).toBe(501)
  })

  it.each([
    ['a method', '01 0001 00000005 0014 000a 00', 'type 1, all octets = <<0,20,0,10,0>>'],
    [
      'a header',
      '02 0001 00000011 003c 0000 0000000000000005 1000 02 00 00',
      'type 2, first 16 octets = <<0,60,0,0,0,0,0,0,0,0,0,5,16,0,2,0>>',
    ],
    ['a body', '03 0001 00000005 68656c6c6f', 'type 3, all octets = <<"hello">>'],
    [
      'a body of more than 16 octets',
      `03 0001 00000012 ${Buffer.from('all of it is "text').toString('hex')}`,
      'type 3, first 16 octets = <<"all of it is \\"te">>',
    ],
    ['an empty body', '03 0001 00000000', 'type 3, all octets = <<>>'],
    ['a heartbeat', '08 0000 00000000', 'type 8, all octets = <<>>'],
    ['what is no frame', '09 0001 00000001 01', 'type 9, all octets = <<1>>'],
  ])('a wrong end octet behind %s, wherever the frame is cut', (_, digits, text) => {
    const bytes = hex(`${digits} 36`)
    for (let cut = 0; cut <= bytes.length; cut++) {
      const error = wireError(() => eventsOf([bytes.subarray(0, cut), bytes.subarray(cut)]))
      expect(error.replyCode).toBe(501)
      expect(error.message).toBe(`${text}: {invalid_frame_end_marker,54}`)
    }
    const error = wireError(() => eventsOf(Array.from(bytes, (octet) => Buffer.of(octet))))
    expect(error.message).toBe(`${text}: {invalid_frame_end_marker,54}`)
  })

  it('a whole body with a wrong end octet before any of it is passed on', () => {
    wireError(() => reader.read(hex('03 0001 00000002 6869 00'), 0, sink))
    expect(sink.events).toEqual([])
  })

  it.each([
    ['a type that is none', '09 0001 00000000 ce', 501, 'type 9, all octets = <<>>: unknown_frame'],
    ['type 0', '00 0000 00000001 41 ce', 501, 'type 0, all octets = <<"A">>: unknown_frame'],
    [
      'a type that is none, with a long payload',
      `04 0001 00000012 ${'ff'.repeat(18)} ce`,
      501,
      `type 4, first 16 octets = <<${Array(16).fill('255').join(',')}>>: unknown_frame`,
    ],
    ['a heartbeat with a payload', '08 0000 00000001 07 ce', 501, 'type 8, all octets = <<7>>: unknown_frame'],
    [
      'a heartbeat with a payload on a channel',
      '08 0001 00000001 07 ce',
      501,
      'type 8, all octets = <<7>>: unknown_frame',
    ],
    ['a heartbeat on a channel', '08 0001 00000000 ce', 505, 'type 8, all octets = <<>>'],
    [
      'a header on channel 0',
      '02 0000 0000000c 003c 0000 0000000000000000 ce',
      505,
      'type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,0>>',
    ],
    ['a body on channel 0', '03 0000 00000002 6869 ce', 505, 'type 3, all octets = <<"hi">>'],
    ['an empty body on channel 0', '03 0000 00000000 ce', 505, 'type 3, all octets = <<>>'],
    ['a method without ids', '01 0001 00000003 001400 ce', 501, 'type 1, all octets = <<0,20,0>>: unknown_frame'],
    ['an empty method', '01 0000 00000000 ce', 501, 'type 1, all octets = <<>>: unknown_frame'],
    [
      'a header without a size',
      '02 0001 00000004 003c0000 ce',
      501,
      'type 2, all octets = <<0,60,0,0>>: unknown_frame',
    ],
  ] as const)('%s, wherever the frame is cut', (_, digits, replyCode, message) => {
    const bytes = hex(digits)
    for (let cut = 0; cut <= bytes.length; cut++) {
      const error = wireError(() => eventsOf([bytes.subarray(0, cut), bytes.subarray(cut)]))
      expect(error.replyCode).toBe(replyCode)
      expect(error.message).toBe(message)
    }
  })

  it('everything after the first violation', () => {
    wireError(() => reader.read(hex('08 0001 00000000 ce'), 0, sink))
    expect(reader.read(STREAM, 0, sink)).toBe(STREAM.length)
    expect(sink.events).toEqual([])
  })

  it('random bytes with nothing but WireError, and gathers no more than frame-max', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), (chunks) => {
        const each = new FrameReader()
        each.frameMax = 100
        tolerate(() => {
          for (const chunk of chunks) each.read(Buffer.from(chunk), 0, new RecordingSink())
        })
      }),
      { numRuns: 500 },
    )
  })
})

/** What a sink is told when a new reader reads these chunks. */
function eventsOf(chunks: readonly Buffer[]): string[] {
  const each = new FrameReader()
  const events = new RecordingSink()
  for (const chunk of chunks) each.read(chunk, 0, events)
  return events.events
}

function frameOf(type: number, channel: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(7)
  header.writeUInt8(type, 0)
  header.writeUInt16BE(channel, 1)
  header.writeUInt32BE(payload.length, 3)
  return Buffer.concat([header, payload, Buffer.of(0xce)])
}

function payloads(minLength: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength: minLength + 20 }).map((bytes) => Buffer.from(bytes))
}

/** A sink for bodies only. */
function bodies(body: (buffer: Buffer, start: number, end: number) => void): FrameSink {
  const refuse = () => {
    throw new Error('only bodies were sent')
  }
  return { method: refuse, header: refuse, body: (_, buffer, start, end) => body(buffer, start, end) }
}
