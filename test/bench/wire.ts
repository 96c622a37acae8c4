// How fast the wire is: reading publishes, writing deliveries, interning names. Run: npx tsx test/bench/wire.ts [body]
import { FrameReader, type FrameSink } from '../../src/amqp/wire/frame-reader.ts'
import { writeBody, writeContentHeader, type FrameOutput } from '../../src/amqp/wire/frame-writer.ts'
import { dispatchChannel, writeBasicDeliver, type ChannelMethods } from '../../src/amqp/wire/generated.ts'
import { encodeProperties, headerBodySize, PropertyScan } from '../../src/amqp/wire/properties.ts'
import { internShortString } from '../../src/amqp/wire/text.ts'

const MESSAGES = 4_000
const ROUNDS = 50
const CHUNK_BYTES = 64 * 1024
const FRAME_MAX = 131_072

const body = Buffer.alloc(Number(process.argv[2] ?? 16), 'x')
const properties = encodeProperties({ deliveryMode: 2 })
const exchange = 'orders'
const routingKeys = Array.from({ length: 16 }, (_, index) => `orders.created.eu.${index + 10}`)

/** Writes round and round into one buffer. */
class Slab implements FrameOutput {
  buffer = Buffer.alloc(CHUNK_BYTES * 4)
  position = 0

  reserve(bytes: number): void {
    if (this.position + bytes > this.buffer.length) this.position = 0
  }
}

/** Takes messages as a channel would, but only adds up what it sees. */
class Counter implements FrameSink {
  seen = 0
  readonly #properties = new PropertyScan()

  method(_channel: number, buffer: Buffer, start: number, end: number): void {
    dispatchChannel(handlers, this, buffer, start, end)
  }

  header(_channel: number, buffer: Buffer, start: number, end: number): void {
    this.#properties.scan(buffer, start + 12, end)
    this.seen += this.#properties.deliveryMode + Number(headerBodySize(buffer, start))
  }

  body(_channel: number, _buffer: Buffer, start: number, end: number): void {
    this.seen += end - start
  }
}

const handlers = {
  basicPublish(target: Counter, exchangeName: string, routingKey: string): void {
    target.seen += exchangeName.length + routingKey.length
  },
} as unknown as ChannelMethods<Counter>

measure('reading a publish with its content', MESSAGES * ROUNDS, reading(chunks()))
measure('writing a deliver with its content', MESSAGES * ROUNDS, writing())
measure('interning a name of 20 bytes', 1_000_000, interning())

function reading(input: readonly Buffer[]): () => void {
  const reader = new FrameReader()
  reader.frameMax = FRAME_MAX
  const counter = new Counter()
  return () => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const chunk of input) reader.read(chunk, 0, counter)
    }
  }
}

function writing(): () => void {
  const out = new Slab()
  return () => {
    for (let tag = 0; tag < MESSAGES * ROUNDS; tag++) {
      writeBasicDeliver(out, 1, 'amq.ctag-0123456789abcdefghijkl', tag, false, exchange, routingKeys[tag & 15]!)
      writeContentHeader(out, 1, body.length, properties, 0, properties.length)
      writeBody(out, 1, body, 0, body.length, FRAME_MAX)
    }
  }
}

function interning(): () => void {
  const names = Buffer.from(routingKeys.join(''))
  let seen = 0
  return () => {
    for (let i = 0; i < 1_000_000; i++) {
      const start = (i & 15) * 20
      seen += internShortString(names, start, start + 20).length
    }
    if (seen % 20 !== 0) throw new Error('a name was not read')
  }
}

/** Publishes as a client sends them, cut as a socket cuts them. */
function chunks(): Buffer[] {
  const out = new Slab()
  const parts: Buffer[] = []
  for (let i = 0; i < MESSAGES; i++) {
    out.position = 0
    writeContentHeader(out, 1, body.length, properties, 0, properties.length)
    writeBody(out, 1, body, 0, body.length, FRAME_MAX)
    parts.push(publish(routingKeys[i & 15]!), Buffer.from(out.buffer.subarray(0, out.position)))
  }
  const stream = Buffer.concat(parts)
  return Array.from({ length: Math.ceil(stream.length / CHUNK_BYTES) }, (_, index) =>
    Buffer.from(stream.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)),
  )
}

/** A frame of basic.publish. */
function publish(routingKey: string): Buffer {
  const names = [exchange, routingKey].map((name) => Buffer.from(`${String.fromCharCode(name.length)}${name}`))
  const payload = Buffer.concat([Buffer.from([0, 60, 0, 40, 0, 0]), ...names, Buffer.of(0)])
  return Buffer.concat([Buffer.from([1, 0, 1, 0, 0, 0, payload.length]), payload, Buffer.of(0xce)])
}

/** Prints the best of several runs, for other loads only ever slow one down. */
function measure(name: string, times: number, run: () => void): void {
  let best = Infinity
  for (let i = 0; i < 8; i++) {
    const started = process.hrtime.bigint()
    run()
    best = Math.min(best, Number(process.hrtime.bigint() - started) / times)
  }
  process.stdout.write(`${name.padEnd(40)} ${best.toFixed(1).padStart(7)} ns\n`)
}
