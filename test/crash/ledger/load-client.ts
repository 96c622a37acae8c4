// A client that is fast enough to load a broker from one process beside it: it publishes, confirms, consumes and
// acknowledges without an object model in between, and everything else by name.
import { connect, type Socket } from 'node:net'
import { crc32 } from 'node:zlib'
import {
  decodeMethod,
  encodeMethod,
  FrameType,
  methodNamed,
  PROTOCOL_HEADER,
  type Fields,
  type FieldsInput,
} from '../../support/codec.ts'
import { frame } from '../../support/raw-client.ts'

const FRAME_END = 0xce
const FRAME_OVERHEAD = 8
const HEADER_FIXED_BYTES = 12
const SLAB_BYTES = 64 * 1024
/** Bodies that are at least so long are sent by reference. */
const REFERENCE_BYTES = 16 * 1024
/** What may wait in the socket before `full` says so. */
const SOCKET_BYTES_MAX = 1024 * 1024

const Id = {
  basicReturn: (60 << 16) | 50,
  basicDeliver: (60 << 16) | 60,
  basicGetOk: (60 << 16) | 71,
  basicAck: (60 << 16) | 80,
  basicReject: (60 << 16) | 90,
  basicNack: (60 << 16) | 120,
} as const

/** The call will not be answered: the connection has ended. */
export class ConnectionLostError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`the connection ended before ${what} was answered`, options)
    this.name = 'ConnectionLostError'
  }
}

/** How a broker ended a connection or a channel: the fields of its close. */
export interface Closure {
  readonly code: number
  readonly text: string
}

/** A message as it came, without its body. */
export interface Delivery {
  readonly tag: number
  readonly redelivered: boolean
  readonly exchange: string
  readonly routingKey: string
  messageId: string
  bodyBytes: number
  /** Over the properties as they were encoded, and the body. */
  crc: number
  /** Over the body alone. */
  bodyCrc: number
}

/** A method that waits for its answer. */
interface Call<Answer> {
  readonly answers: readonly string[]
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/** What a channel is told of. What is not listened to is not expected, and fails the client. */
export interface ChannelEvents {
  readonly delivered?: (delivery: Delivery) => void
  readonly confirmed?: (tag: number, multiple: boolean) => void
  readonly refused?: (tag: number, multiple: boolean) => void
  readonly returned?: (delivery: Delivery) => void
}

/** The checksum of a message: over its properties as they are encoded, and its body. */
export function messageCrc(properties: Buffer, body: Buffer): number {
  return crc32(body, crc32(properties))
}

/** A method frame, whole, to be sent as it is. */
export function methodFrame(channel: number, method: string, fields: FieldsInput): Buffer {
  return frame(FrameType.method, channel, encodeMethod(method, fields))
}

/** One connection. */
export class LoadClient {
  /** Resolves when the connection has ended: with the broker's close, or null when there was none. */
  readonly ended: Promise<Closure | null>
  frameMax = 131072
  /** How much has come from the broker. */
  bytesReceived = 0
  readonly #socket: Socket
  readonly #channels = new Map<number, LoadChannel>()
  #input: Buffer = Buffer.alloc(0)
  #slab: Buffer = Buffer.allocUnsafe(SLAB_BYTES)
  #slabUsed = 0
  #output: Buffer[] = []
  #flushing = false
  #closure: Closure | null = null
  #lost = false
  #running = false
  #leaving = false
  #failure: Error | null = null
  #waiting: Call<Fields> | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#data(chunk))
    // A killed broker resets its connections. That is an end as good as any other.
    socket.on('error', () => socket.destroy())
    this.ended = new Promise((resolve, reject) => {
      socket.on('close', () => {
        this.#lose()
        if (this.#failure === null) resolve(this.#closure)
        else reject(this.#failure)
      })
    })
    // Whoever does not wait for the end learns of a failure by the calls that are not answered.
    this.ended.catch(() => undefined)
  }

  /** Connects as the default user; rejects with ConnectionLostError when the broker goes away meanwhile. */
  static async connect(port: number, frameMax = 131072): Promise<LoadClient> {
    const socket = connect({ port, host: '127.0.0.1' })
    const client = new LoadClient(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('close', () => reject(new ConnectionLostError('a connect')))
    })
    await client.#handshake(frameMax)
    return client
  }

  /** Whether the connection has ended. */
  get lost(): boolean {
    return this.#lost
  }

  /** Whether it is connected, logged in, and not about to leave. */
  get open(): boolean {
    return this.#running && !this.#lost && !this.#leaving
  }

  /** Whether it was us who ended the connection. */
  get leftByItself(): boolean {
    return this.#leaving
  }

  /** Whether more waits to be sent than there should. */
  get full(): boolean {
    return this.#socket.writableLength > SOCKET_BYTES_MAX
  }

  /** Calls back when the socket has taken what waits. */
  whenDrained(callback: () => void): void {
    this.#socket.once('drain', callback)
  }

  async openChannel(number: number, events: ChannelEvents = {}): Promise<LoadChannel> {
    const channel = new LoadChannel(this, number, events)
    this.#channels.set(number, channel)
    await channel.call('channel.open')
    return channel
  }

  /** Ends the connection without a word. */
  drop(): void {
    this.#leaving = true
    this.#socket.destroy()
  }

  /** Closes in order. Whoever was faster, the broker or we: the connection has ended afterwards. */
  async close(): Promise<void> {
    this.#leaving = true
    if (!this.#lost) this.#send(methodFrame(0, 'connection.close', { 'reply-code': 200, 'reply-text': 'done' }))
    await this.ended
  }

  /** Sends bytes. They leave at the end of the turn. */
  #send(bytes: Buffer): void {
    this.reserve(bytes.length)
    bytes.copy(this.#slab, this.#slabUsed)
    this.#slabUsed += bytes.length
  }

  sendFrame(bytes: Buffer): void {
    this.#send(bytes)
  }

  /** Sends a header frame and the body frames. */
  sendContent(channel: number, properties: Buffer, body: Buffer): void {
    const size = HEADER_FIXED_BYTES + properties.length
    this.reserve(size + FRAME_OVERHEAD)
    const at = this.#frameStart(FrameType.header, channel, size)
    const slab = this.#slab
    slab.writeUInt32BE(60 << 16, at)
    slab.writeUInt32BE(0, at + 4)
    slab.writeUInt32BE(body.length, at + 8)
    properties.copy(slab, at + HEADER_FIXED_BYTES)
    this.#frameEnd(at + size)
    const most = this.frameMax - FRAME_OVERHEAD
    for (let from = 0; from < body.length; from += most) this.#sendBody(channel, body.subarray(from, from + most))
  }

  /** Sends a method of a delivery tag and a bit field: ack, nack. */
  sendTag(channel: number, methodId: number, tag: number, bits: number): void {
    this.reserve(21)
    const at = this.#frameStart(FrameType.method, channel, 13)
    this.#slab.writeUInt32BE(methodId, at)
    this.#slab.writeUInt32BE(Math.floor(tag / 2 ** 32), at + 4)
    this.#slab.writeUInt32BE(tag >>> 0, at + 8)
    this.#slab[at + 12] = bits
    this.#frameEnd(at + 13)
  }

  /** Makes room for so many bytes, and has what is sent leave at the end of the turn. */
  reserve(bytes: number): void {
    if (this.#slabUsed + bytes > this.#slab.length) {
      this.#output.push(this.#slab.subarray(0, this.#slabUsed))
      this.#slab = Buffer.allocUnsafe(Math.max(SLAB_BYTES, bytes))
      this.#slabUsed = 0
    }
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => this.#flush())
  }

  #frameStart(type: number, channel: number, size: number): number {
    const slab = this.#slab
    const at = this.#slabUsed
    slab[at] = type
    slab.writeUInt16BE(channel, at + 1)
    slab.writeUInt32BE(size, at + 3)
    return at + 7
  }

  #frameEnd(at: number): void {
    this.#slab[at] = FRAME_END
    this.#slabUsed = at + 1
  }

  #sendBody(channel: number, piece: Buffer): void {
    const byReference = piece.length >= REFERENCE_BYTES
    this.reserve(FRAME_OVERHEAD + (byReference ? 0 : piece.length))
    const at = this.#frameStart(FrameType.body, channel, piece.length)
    if (byReference) {
      this.#output.push(this.#slab.subarray(0, at), piece)
      this.#slab = this.#slab.subarray(at)
      this.#frameEnd(0)
    } else {
      piece.copy(this.#slab, at)
      this.#frameEnd(at + piece.length)
    }
  }

  #flush(): void {
    this.#flushing = false
    if (this.#lost) return
    this.#socket.cork()
    for (const bytes of this.#output) this.#socket.write(bytes)
    if (this.#slabUsed > 0) this.#socket.write(this.#slab.subarray(0, this.#slabUsed))
    this.#socket.uncork()
    this.#output = []
    this.#slab = this.#slab.subarray(this.#slabUsed)
    this.#slabUsed = 0
  }

  async #handshake(frameMax: number): Promise<void> {
    this.#socket.write(PROTOCOL_HEADER)
    await this.#wait(['connection.start'])
    const response = Buffer.from('\0guest\0guest')
    const capabilities = { 'basic.nack': true, publisher_confirms: true, consumer_cancel_notify: true }
    const tune = this.#wait(['connection.tune'])
    this.#send(
      methodFrame(0, 'connection.start-ok', {
        'client-properties': { product: 'ledger', capabilities },
        mechanism: 'PLAIN',
        response,
        locale: 'en_US',
      }),
    )
    const { 'channel-max': channelMax } = await tune
    this.frameMax = frameMax
    this.#send(methodFrame(0, 'connection.tune-ok', { 'channel-max': channelMax!, 'frame-max': frameMax }))
    const open = this.#wait(['connection.open-ok'])
    this.#send(methodFrame(0, 'connection.open', { 'virtual-host': '/' }))
    await open
    this.#running = true
  }

  #wait(answers: readonly string[]): Promise<Fields> {
    return new Promise((resolve, reject) => {
      if (this.#lost) reject(new ConnectionLostError(answers.join()))
      else this.#waiting = { resolve, reject, answers }
    })
  }

  #lose(): void {
    this.#lost = true
    this.#waiting?.reject(new ConnectionLostError(this.#waiting.answers.join()))
    for (const channel of this.#channels.values()) channel.connectionLost()
  }

  #data(chunk: Buffer): void {
    this.bytesReceived += chunk.length
    const input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk])
    let at = 0
    try {
      // Who has dropped the connection does not listen any more.
      while (input.length - at >= FRAME_OVERHEAD && !this.#socket.destroyed) {
        const size = input.readUInt32BE(at + 3)
        const end = at + size + FRAME_OVERHEAD
        if (end > input.length) break
        if (input[end - 1] !== FRAME_END) throw new Error(`a frame ends with ${input[end - 1]}`)
        this.#frame(input[at]!, input.readUInt16BE(at + 1), input.subarray(at + 7, end - 1))
        at = end
      }
      this.#input = input.subarray(at)
    } catch (error) {
      this.#failure = error as Error
      this.#socket.destroy()
    }
  }

  #frame(type: number, channel: number, payload: Buffer): void {
    if (channel > 0) {
      const open = this.#channels.get(channel)
      if (open === undefined) throw new Error(`a frame of type ${type} on channel ${channel}, which is not open`)
      open.frame(type, payload)
    } else if (type === FrameType.method) this.#control(payload)
    else if (type !== FrameType.heartbeat) throw new Error(`a frame of type ${type} on channel 0`)
  }

  #control(payload: Buffer): void {
    const { method, fields } = decodeMethod(payload)
    if (method === 'connection.close') {
      this.#closure = { code: Number(fields['reply-code']), text: fields['reply-text'] as string }
      this.#socket.end(methodFrame(0, 'connection.close-ok', {}))
    } else if (method === 'connection.close-ok') this.#socket.end()
    else if (this.#waiting?.answers.includes(method)) {
      const { resolve } = this.#waiting
      this.#waiting = null
      resolve(fields)
    } else throw new Error(`${method} came unasked`)
  }
}

/** One channel. */
export class LoadChannel {
  readonly client: LoadClient
  readonly number: number
  readonly #events: ChannelEvents
  readonly #calls: Call<Fields | null>[] = []
  #closing = false
  #published = 0
  /** The content that is arriving: what it belongs to, and how much of the body is missing. */
  #content: Delivery | null = null
  #kind = 0
  #missing = -1

  constructor(client: LoadClient, number: number, events: ChannelEvents) {
    this.client = client
    this.number = number
    this.#events = events
  }

  /** Sends a method and waits for its answer, while others may wait for theirs. */
  async call(method: string, fields: FieldsInput = {}): Promise<Fields> {
    return (await this.#call(method, fields))!
  }

  /** basic.get: true when there was a message, which was told as a delivery before. */
  async get(queue: string): Promise<boolean> {
    return (await this.#call('basic.get', { queue })) === null
  }

  /** Publishes and returns the tag of the confirm. `publish` is the whole frame of the method, for this channel. */
  publish(publish: Buffer, properties: Buffer, body: Buffer): number {
    this.client.sendFrame(publish)
    this.client.sendContent(this.number, properties, body)
    return ++this.#published
  }

  acknowledge(tag: number, multiple: boolean): void {
    this.client.sendTag(this.number, Id.basicAck, tag, multiple ? 1 : 0)
  }

  /** Rejects a message, which is not to come back. */
  reject(tag: number): void {
    this.client.sendTag(this.number, Id.basicReject, tag, 0)
  }

  /** Rejects a message, which comes back and has failed. */
  fail(tag: number): void {
    this.client.sendTag(this.number, Id.basicReject, tag, 1)
  }

  requeue(tag: number, multiple: boolean): void {
    this.client.sendTag(this.number, Id.basicNack, tag, multiple ? 3 : 2)
  }

  /** Closes the channel; what was delivered meanwhile is not told. */
  async close(): Promise<void> {
    this.#closing = true
    await this.call('channel.close', { 'reply-code': 200, 'reply-text': 'done' })
  }

  frame(type: number, payload: Buffer): void {
    if (type === FrameType.method) this.#method(payload)
    else if (type === FrameType.header) this.#header(payload)
    else if (type === FrameType.body) this.#body(payload)
    else throw new Error(`a frame of type ${type} on channel ${this.number}`)
  }

  connectionLost(): void {
    for (const call of this.#calls.splice(0)) call.reject(new ConnectionLostError(call.answers.join()))
  }

  #call(method: string, fields: FieldsInput): Promise<Fields | null> {
    const { answers } = methodNamed(method)
    return new Promise((resolve, reject) => {
      if (this.client.lost) {
        reject(new ConnectionLostError(method))
        return
      }
      this.#calls.push({ resolve, reject, answers })
      this.client.sendFrame(methodFrame(this.number, method, fields))
    })
  }

  #method(payload: Buffer): void {
    if (this.#content !== null) throw new Error('a method within a content')
    const id = payload.readUInt32BE(0)
    switch (id) {
      case Id.basicDeliver:
      case Id.basicGetOk:
      case Id.basicReturn:
        this.#kind = id
        this.#content = contentOf(id, payload)
        break
      case Id.basicAck:
        this.#confirm(payload, this.#events.confirmed)
        break
      case Id.basicNack:
        this.#confirm(payload, this.#events.refused)
        break
      default:
        this.#answer(payload)
    }
  }

  #confirm(payload: Buffer, listener: ((tag: number, multiple: boolean) => void) | undefined): void {
    const tag = Number(payload.readBigUInt64BE(4))
    this.#listener(listener, 'a confirm')(tag, (payload[12]! & 1) !== 0)
  }

  #answer(payload: Buffer): void {
    const { method, fields } = decodeMethod(payload)
    if (method === 'channel.close') {
      throw new Error(`the broker closed channel ${this.number}: ${fields['reply-text'] as string}`)
    }
    const call = this.#calls.shift()
    if (!call?.answers.includes(method))
      throw new Error(`${method} came instead of ${call?.answers.join() ?? 'nothing'}`)
    call.resolve(fields)
  }

  #header(payload: Buffer): void {
    const content = this.#content
    if (content === null || this.#missing >= 0) throw new Error('a content header out of order')
    const properties = payload.subarray(HEADER_FIXED_BYTES)
    content.messageId = messageIdOf(properties)
    content.bodyBytes = payload.readUInt32BE(8)
    content.crc = crc32(properties)
    this.#missing = content.bodyBytes
    if (this.#missing === 0) this.#complete(content)
  }

  #body(payload: Buffer): void {
    const content = this.#content
    if (content === null || this.#missing < payload.length) throw new Error('a body frame out of order')
    content.crc = crc32(payload, content.crc)
    content.bodyCrc = crc32(payload, content.bodyCrc)
    this.#missing -= payload.length
    if (this.#missing === 0) this.#complete(content)
  }

  #complete(content: Delivery): void {
    this.#content = null
    this.#missing = -1
    if (this.#kind === Id.basicReturn) {
      this.#listener(this.#events.returned, 'basic.return')(content)
      return
    }
    if (!this.#closing) this.#listener(this.#events.delivered, 'a delivery')(content)
    if (this.#kind === Id.basicGetOk) this.#calls.shift()!.resolve(null)
  }

  #listener<T>(listener: T | undefined, what: string): T {
    if (listener === undefined) throw new Error(`${what} came unasked`)
    return listener
  }
}

/** The delivery that a deliver, a get-ok or a return begins. */
function contentOf(id: number, payload: Buffer): Delivery {
  let at = 4
  let tag = 0
  let redelivered = false
  if (id === Id.basicReturn) at = skipText(payload, at + 2)
  else {
    if (id === Id.basicDeliver) at = skipText(payload, at)
    tag = payload.readUInt32BE(at) * 2 ** 32 + payload.readUInt32BE(at + 4)
    redelivered = payload[at + 8] === 1
    at += 9
  }
  const exchangeEnd = skipText(payload, at)
  return {
    tag,
    redelivered,
    exchange: payload.toString('latin1', at + 1, exchangeEnd),
    routingKey: payload.toString('latin1', exchangeEnd + 1, skipText(payload, exchangeEnd)),
    messageId: '',
    bodyBytes: 0,
    crc: 0,
    bodyCrc: 0,
  }
}

function skipText(bytes: Buffer, at: number): number {
  return at + 1 + bytes[at]!
}

/** Of the encoded properties, the message id; empty when there is none. */
function messageIdOf(properties: Buffer): string {
  const flags = properties.readUInt16BE(0)
  let at = 2
  for (let flag = 0x8000; flag > 0x0080; flag >>= 1) {
    if ((flags & flag) === 0) continue
    if (flag === 0x2000) at += 4 + properties.readUInt32BE(at)
    else if (flag === 0x1000 || flag === 0x0800) at++
    else at = skipText(properties, at)
  }
  return flags & 0x0080 ? properties.toString('latin1', at + 1, skipText(properties, at)) : ''
}
