// A client that costs as little as it can, so that the broker is measured: frames are written by hand, and of what comes
// back only what must be known is looked at.
import { connect, type Socket } from 'node:net'

const FRAME_END = 0xce
const QUEUE_DECLARE = 0x0032000a
const BASIC_QOS = 0x003c000a
const BASIC_CONSUME = 0x003c0014
const BASIC_PUBLISH = 0x003c0028
const BASIC_DELIVER = 0x003c003c
const BASIC_ACK = 0x003c0050
const CONFIRM_SELECT = 0x0055000a
const CHANNEL_OPEN = 0x0014000a
const CONNECTION_START_OK = 0x000a000b
const CONNECTION_TUNE_OK = 0x000a001f
const CONNECTION_OPEN = 0x000a0028
const CLOSES: ReadonlySet<number> = new Set([0x000a0032, 0x00140028])

/** Where all clients have their input put: each looks at it at once, and keeps no more than an unfinished frame. */
const input = Buffer.allocUnsafeSlow(256 * 1024)
const NOTHING = Buffer.alloc(0)

/** One connection with one channel, number 1. */
export class LeanClient {
  readonly #socket: Socket
  /** The beginning of a frame, and what is still to come of one that is passed over. */
  #rest = NOTHING
  #skipped = 0
  #confirmedUpTo: (tag: number, multiple: boolean) => void = () => undefined
  #delivered: (tag: number) => void = () => undefined
  #heard: ((body: Buffer) => void) | null = null
  /** Messages that were published with confirms. */
  #confirmed = 0
  #waiting: { method: number; resolve: () => void } | null = null
  #received = 0

  private constructor(port: number) {
    const callback = (bytes: number): boolean => {
      this.#read(input.subarray(0, bytes))
      return true
    }
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: input, callback } })
    this.#socket = socket
    socket.on('error', () => socket.destroy())
  }

  /** Connects as guest, and opens the channel. */
  static async open(port: number): Promise<LeanClient> {
    const client = new LeanClient(port)
    const socket = client.#socket
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    socket.write('AMQP\0\0\x09\x01', 'latin1')
    await client.#expect(0x000a000a)
    const login = longString('\0guest\0guest')
    client.#send(0, CONNECTION_START_OK, table(), shortString('PLAIN'), login, shortString('en_US'))
    await client.#expect(0x000a001e)
    client.#send(0, CONNECTION_TUNE_OK, uint16(2047), uint32(131_072), uint16(0))
    await client.#call(0, CONNECTION_OPEN, shortString('/'), shortString(''), Buffer.of(0))
    await client.#call(1, CHANNEL_OPEN, shortString(''))
    return client
  }

  close(): void {
    this.#socket.destroy()
  }

  /** Messages that were consumed. */
  get received(): number {
    return this.#received
  }

  /** Declares a durable queue. */
  declare(queue: string, args: Readonly<Record<string, number | string>> = {}): Promise<void> {
    return this.#call(1, QUEUE_DECLARE, uint16(0), shortString(queue), Buffer.of(2), table(args))
  }

  /** Publishes `count` persistent messages with confirms, and resolves when the last of them is confirmed. */
  async publish(queue: string, count: number, bodyBytes: number, window = 5000): Promise<void> {
    const message = publishFrames({ routingKey: queue, body: Buffer.alloc(bodyBytes, 'x') })
    await this.publishEach([message], count, window)
  }

  /**
   * The same for messages of which the frames are given: these, in turn, until there were `count`. Resolves when the last
   * is confirmed.
   */
  async publishEach(messages: readonly Buffer[], count: number, window = 5000): Promise<void> {
    await this.#call(1, CONFIRM_SELECT, Buffer.of(0))
    const batches = batchesOf(messages, window)
    let next = 0
    let sent = 0
    let confirmed = 0
    const before = this.#confirmed
    await new Promise<void>((resolve) => {
      const more = (): void => {
        while (sent < count) {
          const batch = batches[next]!
          const now = Math.min(batch.ends.length, count - sent)
          if (sent - confirmed + now > window && sent > confirmed) return
          next = (next + 1) % batches.length
          sent += now
          this.#socket.write(batch.bytes.subarray(0, batch.ends[now - 1]))
        }
      }
      this.#confirmedUpTo = (tag, multiple) => {
        confirmed = multiple ? tag - before : confirmed + 1
        if (confirmed < count) more()
        else resolve()
      }
      more()
    })
    this.#confirmed += count
  }

  /** Subscribes, and acknowledges nothing. */
  subscribe(queue: string): Promise<void> {
    return this.#call(1, BASIC_CONSUME, uint16(0), shortString(queue), shortString(''), Buffer.of(0), table())
  }

  /** Consumes `count` messages, acknowledging each hundred, and resolves when they have come. */
  async consume(queue: string, count: number, prefetch = 1000): Promise<void> {
    await this.#call(1, BASIC_QOS, uint32(0), uint16(prefetch), Buffer.of(0))
    let received = 0
    const done = new Promise<void>((resolve) => {
      this.#delivered = (tag) => {
        received++
        this.#received++
        if (received % 100 === 0 || received === count) this.#send(1, BASIC_ACK, uint64(tag), Buffer.of(1))
        if (received === count) resolve()
      }
    })
    await this.#call(1, BASIC_CONSUME, uint16(0), shortString(queue), shortString(''), Buffer.of(0), table())
    await done
  }

  /** Consumes queues without acknowledgement from here on, telling of each body, which is there as long as that takes. */
  async listen(queues: readonly string[], heard: (body: Buffer) => void): Promise<void> {
    this.#heard = heard
    const noAck = Buffer.of(2)
    for (const queue of queues) {
      await this.#call(1, BASIC_CONSUME, uint16(0), shortString(queue), shortString(''), noAck, table())
    }
  }

  /** Sends methods that are not answered. */
  sendAll(method: number, calls: Iterable<readonly Buffer[]>): void {
    const frames = Array.from(calls, (fields) => frame(1, 1, Buffer.concat([uint32(method), ...fields])))
    this.#socket.write(Buffer.concat(frames))
  }

  /** A call whose answer has the id after its own. */
  call(method: number, ...fields: Buffer[]): Promise<void> {
    return this.#call(1, method, ...fields)
  }

  #call(channel: number, method: number, ...fields: Buffer[]): Promise<void> {
    const answered = this.#expect(method + 1)
    this.#send(channel, method, ...fields)
    return answered
  }

  #send(channel: number, method: number, ...fields: Buffer[]): void {
    this.#socket.write(frame(1, channel, Buffer.concat([uint32(method), ...fields])))
  }

  #expect(method: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { method, resolve }
    })
  }

  #read(chunk: Buffer): void {
    let at = Math.min(this.#skipped, chunk.length)
    this.#skipped -= at
    let bytes = chunk
    if (this.#rest.length > 0) {
      bytes = Buffer.concat([this.#rest, chunk])
      this.#rest = NOTHING
    }
    while (bytes.length - at >= 7) {
      const type = bytes[at]
      const end = at + 8 + uint32At(bytes, at + 3)
      const whole = type === 1 || (type === 3 && this.#heard !== null)
      if (end > bytes.length) {
        if (whole) break
        this.#skipped = end - bytes.length
        return
      }
      if (type === 1) this.#method(bytes, at + 7)
      else if (whole) this.#heard!(bytes.subarray(at + 7, end - 1))
      at = end
    }
    // What is in the input is there until the next is read.
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at))
  }

  #method(bytes: Buffer, at: number): void {
    const method = uint32At(bytes, at)
    if (method === BASIC_DELIVER) {
      this.#delivered(uint64At(bytes, at + 5 + bytes[at + 4]!))
      return
    }
    if (CLOSES.has(method)) throw new Error(`closed by the broker: ${bytes.toString('latin1', at + 7, at + 200)}`)
    if (this.#waiting?.method === method) {
      const { resolve } = this.#waiting
      this.#waiting = null
      resolve()
    } else if (method === BASIC_ACK) {
      this.#confirmedUpTo(uint64At(bytes, at + 4), (bytes[at + 12]! & 1) === 1)
    }
  }
}

/** What a message is published with. */
export interface LeanMessage {
  readonly exchange?: string
  readonly routingKey: string
  readonly body: Buffer
  readonly transient?: boolean
  readonly priority?: number
  readonly expiration?: string
  /** Integers, as 64 bits. */
  readonly headers?: Readonly<Record<string, number>>
}

/** The frames of one basic.publish. */
export function publishFrames(message: LeanMessage): Buffer {
  const { exchange = '', routingKey, body, headers, priority, expiration } = message
  const method = [uint32(BASIC_PUBLISH), uint16(0), shortString(exchange), shortString(routingKey), Buffer.of(0)]
  let flags = 0x1000
  const values: Buffer[] = []
  if (headers !== undefined) {
    flags |= 0x2000
    values.push(table(headers))
  }
  values.push(Buffer.of(message.transient === true ? 1 : 2))
  if (priority !== undefined) {
    flags |= 0x0800
    values.push(Buffer.of(priority))
  }
  if (expiration !== undefined) {
    flags |= 0x0100
    values.push(shortString(expiration))
  }
  const header = Buffer.concat([uint32(0x003c0000), uint64(body.length), uint16(flags), ...values])
  return Buffer.concat([frame(1, 1, Buffer.concat(method)), frame(2, 1, header), frame(3, 1, body)])
}

/** Messages that are written at once, and where each of them ends. */
interface FrameBatch {
  readonly bytes: Buffer
  readonly ends: readonly number[]
}

const BATCH_BYTES = 60_000

/** Puts messages together, no more than a window of them at once; a few are repeated, so that it is worth a write. */
function batchesOf(messages: readonly Buffer[], window: number): FrameBatch[] {
  const batches: FrameBatch[] = []
  const average = messages.reduce((sum, { length }) => sum + length, 0) / messages.length
  const size = Math.max(1, Math.min(window, Math.floor(BATCH_BYTES / average)))
  const rounds = Math.max(1, Math.floor(size / messages.length))
  const all = Array.from({ length: rounds }, () => messages).flat()
  for (let at = 0; at < all.length; at += size) {
    const some = all.slice(at, at + size)
    let end = 0
    batches.push({ bytes: Buffer.concat(some), ends: some.map(({ length }) => (end += length)) })
  }
  return batches
}

function frame(type: number, channel: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), uint16(channel), uint32(payload.length), payload, Buffer.of(FRAME_END)])
}

export function shortString(text: string): Buffer {
  return Buffer.concat([Buffer.of(Buffer.byteLength(text)), Buffer.from(text)])
}

function longString(text: string): Buffer {
  return Buffer.concat([uint32(Buffer.byteLength(text)), Buffer.from(text)])
}

/** A table of strings and integers, these as 64 bits. */
export function table(values: Readonly<Record<string, number | string>> = {}): Buffer {
  const pairs = Object.entries(values).flatMap(([key, value]) => [
    shortString(key),
    typeof value === 'string'
      ? Buffer.concat([Buffer.from('S'), longString(value)])
      : Buffer.concat([Buffer.from('l'), uint64(value)]),
  ])
  const bytes = Buffer.concat(pairs)
  return Buffer.concat([uint32(bytes.length), bytes])
}

export function uint16(value: number): Buffer {
  return Buffer.of(value >>> 8, value & 0xff)
}

function uint32At(bytes: Buffer, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

function uint64At(bytes: Buffer, at: number): number {
  return uint32At(bytes, at) * 0x1_0000_0000 + uint32At(bytes, at + 4)
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
