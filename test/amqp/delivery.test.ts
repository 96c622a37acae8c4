// Deliveries: the bytes must be those of the plain writers, whatever the sizes of bodies, frames and names.
import { describe, expect, it, vi } from 'vitest'
import { DeliveryHead } from '../../src/amqp/delivery-head.ts'
import { DeliveryWriter } from '../../src/amqp/delivery.ts'
import { writeBody, writeContentHeader, type FrameOutput } from '../../src/amqp/wire/frame-writer.ts'
import { writeBasicDeliver, writeBasicGetOk, writeBasicReturn } from '../../src/amqp/wire/generated.ts'
import { Message } from '../../src/core/message.ts'
import { Turn } from '../../src/lib/turn.ts'
import { SLAB_BYTES, SlabPool, SocketWriter } from '../../src/net/socket-writer.ts'
import { Receiver, socketPair } from '../support/sockets.ts'
import { written } from './wire/support.ts'

interface Words {
  readonly exchange?: string
  readonly routingKey?: string
  readonly propertiesBytes?: number
  readonly bodyBytes?: number
}

/** A message that lies within larger buffers, as messages do. */
function messageOf(words: Words = {}): Message {
  const { exchange = 'exchange', routingKey = 'key', propertiesBytes = 2, bodyBytes = 5 } = words
  const facts = { persistent: false, priority: -1, expirationMs: -1, headers: false }
  const properties = Buffer.alloc(propertiesBytes + 20, 'properties')
  const body = Buffer.alloc(bodyBytes + 20)
  for (let i = 0; i < body.length; i++) body[i] = i * 7 + (i >> 8)
  return new Message(exchange, routingKey, facts, properties, 3, 3 + propertiesBytes, body, 11, 11 + bodyBytes, true)
}

/** The bytes that arrive of what is written. */
async function sent(frameMax: number, write: (deliveries: DeliveryWriter) => void): Promise<Buffer> {
  const { near, far } = await socketPair()
  const receiver = new Receiver(far)
  const writer = new SocketWriter(near, new Turn(), new SlabPool(), () => undefined)
  const deliveries = new DeliveryWriter(writer)
  deliveries.tuned(frameMax)
  write(deliveries)
  writer.end()
  return receiver.all()
}

/** The same content by the plain writers. */
function writeContent(out: FrameOutput, channel: number, message: Message, frameMax: number): void {
  const { properties, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd } = message
  writeContentHeader(out, channel, message.bodyBytes, properties, propertiesStart, propertiesEnd)
  writeBody(out, channel, body, bodyStart, bodyEnd, frameMax)
}

function plainDeliver(out: FrameOutput, tag: number, redelivered: boolean, message: Message, frameMax: number): void {
  writeBasicDeliver(out, 513, 'ctag', tag, redelivered, message.exchange, message.routingKey)
  writeContent(out, 513, message, frameMax)
}

const head = new DeliveryHead(513, 'ctag')

/** Around every size at which something is done in another way. */
const BODIES = [0, 1, 63, 64, 65, 66, 1000, 4087, 4088, 4089, 4095, 4096, 8175, 8176, 8177, 8184, 8185, 16_383]
const LARGE_BODIES = [16_384, 16_385, 20_000, 131_063, 131_064, 131_065, 131_072, 131_073, 262_144, 1_000_001]
/** 0 is no limit. */
const FRAME_SIZES = [4096, 8192, 131_072, 0]

describe('a delivery', () => {
  it.each(FRAME_SIZES)(
    'has the bytes of the plain writers for bodies of any size, in frames of %i',
    async (frameMax) => {
      const messages = [...BODIES, ...LARGE_BODIES].map((bodyBytes) => messageOf({ bodyBytes }))
      const bytes = await sent(frameMax, (deliveries) => {
        for (const [i, message] of messages.entries()) deliveries.deliver(head, i + 1, i % 2 === 0, message)
      })
      const expected = written((out) => {
        for (const [i, message] of messages.entries()) plainDeliver(out, i + 1, i % 2 === 0, message, frameMax)
      })
      expect(bytes.equals(expected)).toBe(true)
    },
  )

  it('has the bytes of the plain writers for names and properties of any size', async () => {
    const messages: Message[] = []
    // None is longer than 255 over AMQP; what an argument gives, as x-dead-letter-routing-key, may be.
    for (const bytes of [0, 1, 63, 64, 65, 255, 256, 300, 1000]) {
      for (const propertiesBytes of [2, 64, 65, 3000]) {
        messages.push(messageOf({ exchange: 'x'.repeat(bytes), routingKey: 'é'.repeat(bytes >> 1), propertiesBytes }))
      }
    }
    const bytes = await sent(4096, (deliveries) => {
      for (const [i, message] of messages.entries()) deliveries.deliver(head, i, false, message)
    })
    const expected = written((out) => {
      for (const [i, message] of messages.entries()) plainDeliver(out, i, false, message, 4096)
    })
    expect(bytes.equals(expected)).toBe(true)
  })

  it('names the exchange and the routing key of its own message when either changes', async () => {
    const names = [
      ['x', 'k'],
      ['x', 'l'],
      ['y', 'l'],
      ['', ''],
      ['x', 'k'],
      ['x', 'k'],
    ] as const
    const messages = names.map(([exchange, routingKey]) => messageOf({ exchange, routingKey }))
    const bytes = await sent(4096, (deliveries) => {
      for (const message of messages) deliveries.deliver(head, 1, false, message)
    })
    const expected = written((out) => {
      for (const message of messages) plainDeliver(out, 1, false, message, 4096)
    })
    expect(bytes.equals(expected)).toBe(true)
  })

  it('carries consumer tags, channels and delivery tags of any size', async () => {
    const message = messageOf()
    const longest = new DeliveryHead(65_535, 't'.repeat(255))
    const tags = [1, 255, 256, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 1, 2 ** 53 - 1]
    const bytes = await sent(4096, (deliveries) => {
      for (const tag of tags) deliveries.deliver(longest, tag, true, message)
    })
    const expected = written((out) => {
      for (const tag of tags) {
        writeBasicDeliver(out, 65_535, 't'.repeat(255), tag, true, message.exchange, message.routingKey)
        writeContent(out, 65_535, message, 4096)
      }
    })
    expect(bytes.equals(expected)).toBe(true)
  })

  it('has the bytes of its own body and names, whoever and wherever the one before came from', async () => {
    const facts = { persistent: false, priority: -1, expirationMs: -1, headers: false }
    // Two that lie within larger memory, as in a page, and one that is too large to be remembered.
    const pages = [50_000, 60_000, 300_000].map((length, seed) => {
      const memory = Buffer.alloc(length + 100)
      for (let i = 0; i < memory.length; i++) memory[i] = i * 13 + (i >> 8) + seed
      return memory.subarray(37, 37 + length)
    })
    const heads = ['one', 'another consumer'].map((tag) => new DeliveryHead(7, tag))
    const deliveries = Array.from({ length: 60 }, (_, i) => {
      const page = pages[[0, 0, 1, 0, 2, 2, 1][i % 7]!]!
      const start = (i * 701) % 40_000
      const bodyBytes = [64, 65, 1000, 0, 4000][i % 5]!
      const names = [`x${i % 3}`, 'key'.repeat(i % 4)] as const
      const message = new Message(...names, facts, page, start, start + 2, page, start + 2, start + 2 + bodyBytes, true)
      return { consumer: i % 3 === 0 ? 0 : 1, message }
    })
    const bytes = await sent(8192, (writer) => {
      for (const [i, { consumer, message }] of deliveries.entries()) {
        writer.deliver(heads[consumer]!, i, false, message)
      }
    })
    const expected = written((out) => {
      for (const [i, { consumer, message }] of deliveries.entries()) {
        const tag = ['one', 'another consumer'][consumer]!
        writeBasicDeliver(out, 7, tag, i, false, message.exchange, message.routingKey)
        writeContent(out, 7, message, 8192)
      }
    })
    expect(bytes.equals(expected)).toBe(true)
  })

  it('fills a slab to its end', async () => {
    const bodyBytes = 16_000
    const each = written((out) => plainDeliver(out, 1, false, messageOf({ bodyBytes }), 0)).length
    const count = Math.floor(SLAB_BYTES / each)
    const rests = [0, 1, 2, 3, 4, 5, 15, 16, 17].map((spare) => SLAB_BYTES - count * each - spare)
    for (const rest of rests) {
      const last = bodyBytes + rest - each
      const messages = [
        ...Array.from({ length: count }, () => messageOf({ bodyBytes })),
        messageOf({ bodyBytes: last }),
      ]
      const bytes = await sent(0, (deliveries) => {
        for (const message of messages) deliveries.deliver(head, 1, false, message)
      })
      const expected = written((out) => {
        for (const message of messages) plainDeliver(out, 1, false, message, 0)
      })
      expect(bytes.equals(expected), `${rest} bytes are left`).toBe(true)
    }
  })

  it('refers to a large body and copies a small one', async () => {
    const { near } = await socketPair()
    const write = vi.spyOn(near, 'write')
    const writer = new SocketWriter(near, new Turn(), new SlabPool(), () => undefined)
    const deliveries = new DeliveryWriter(writer)
    deliveries.tuned(131_072)
    const [small, large] = [messageOf({ bodyBytes: 16_383 }), messageOf({ bodyBytes: 200_000 })]
    for (const message of [small, large]) deliveries.deliver(new DeliveryHead(1, 'ctag'), 1, false, message)
    writer.flush()
    const views = write.mock.calls.map(([bytes]) => bytes as Buffer)
    expect(views.filter(({ buffer }) => buffer === large.body.buffer).map(({ length }) => length)).toEqual([
      131_064, 68_936,
    ])
    expect(views.some(({ buffer }) => buffer === small.body.buffer)).toBe(false)
  })
})

describe('the answer to basic.get', () => {
  it('has the bytes of the plain writers', async () => {
    const messages = [0, 1, 5000, 16_384, 300_000].map((bodyBytes) => messageOf({ bodyBytes }))
    const bytes = await sent(4096, (deliveries) => {
      for (const [i, message] of messages.entries()) deliveries.getOk(3, 2 ** 33, true, message, i * 1000)
    })
    const expected = written((out) => {
      for (const [i, message] of messages.entries()) {
        writeBasicGetOk(out, 3, 2 ** 33, true, message.exchange, message.routingKey, i * 1000)
        writeContent(out, 3, message, 4096)
      }
    })
    expect(bytes.equals(expected)).toBe(true)
  })
})

describe('a returned message', () => {
  it('has the bytes of the plain writers', async () => {
    const messages = [0, 1, 5000, 16_384, 300_000].map((bodyBytes) => messageOf({ bodyBytes }))
    const bytes = await sent(8192, (deliveries) => {
      for (const message of messages) deliveries.returned(3, 312, 'NO_ROUTE', message)
    })
    const expected = written((out) => {
      for (const message of messages) {
        writeBasicReturn(out, 3, 312, 'NO_ROUTE', message.exchange, message.routingKey)
        writeContent(out, 3, message, 8192)
      }
    })
    expect(bytes.equals(expected)).toBe(true)
  })
})
