// A raw AMQP 0-9-1 client for tests that read like a transcript of the wire: every byte can be sent by hand, and every
// wait names what must come next, fails with what came instead, and shows what went over the wire before.
import { deepStrictEqual } from 'node:assert'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import {
  decodeHeader,
  decodeMethod,
  encodeHeader,
  encodeMethod,
  FrameType,
  methodNamed,
  PROTOCOL_HEADER,
  type Fields,
  type FieldsInput,
  type Properties,
} from './codec.ts'
import { encodeTableBody, type Table } from './field-values.ts'

/** Longer than anything takes on a slow machine, and shorter than what a test may take. */
const TIMEOUT_MS = 15_000
const TRANSCRIPT_LINES = 40
const FRAME_END = 0xce
const FRAME_OVERHEAD = 8

/** How to log in. What is left out is what an ordinary client of the default user would say. */
export interface Login {
  readonly user?: string
  readonly password?: string
  readonly vhost?: string
  readonly mechanism?: 'PLAIN' | 'AMQPLAIN' | 'EXTERNAL'
  readonly clientProperties?: Table
  readonly channelMax?: number
  readonly frameMax?: number
  readonly heartbeat?: number
}

/** What ordinary clients claim to understand. */
export const CAPABILITIES: Table = {
  authentication_failure_close: true,
  'basic.nack': true,
  'connection.blocked': true,
  consumer_cancel_notify: true,
  exchange_exchange_bindings: true,
  publisher_confirms: true,
}

/** A method as it arrived, with its content where it has one. */
export interface Arrived {
  readonly method: string
  readonly fields: Fields
  readonly content?: Content
}

/** A method that carries content: deliver, return, get-ok. */
export interface Delivered {
  readonly fields: Fields
  /** The delivery tag; -1 for a return, which has none. */
  readonly tag: number
  readonly properties: Properties
  readonly body: Buffer
  /** The payload sizes of the body frames in which it came. */
  readonly pieces: readonly number[]
}

interface Content {
  readonly properties: Properties
  readonly size: number
  readonly body: Buffer
  readonly pieces: readonly number[]
}

type Event =
  | { readonly kind: 'method'; readonly arrived: Arrived }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'protocol-header'; readonly bytes: Buffer }

interface Waiter {
  readonly wanted: string
  resolve(event: Event | null): void
  reject(error: Error): void
}

/** Which publish it is: `basic.publish`'s fields. */
export interface PublishFields {
  readonly exchange?: string
  readonly 'routing-key'?: string
  readonly mandatory?: boolean
  readonly immediate?: boolean
}

export interface ExpectOptions {
  readonly timeoutMs?: number
}

export interface ExpectCloseOptions extends ExpectOptions {
  /** Whether to answer with close-ok, as a client should. True when left out. */
  readonly answer?: boolean
}

/** One socket to a broker, with channel 0 as its own. */
export class RawClient {
  /** The largest frame either way, 0 for any: what tune-ok said, once there was one. `publish` splits bodies by it. */
  frameMax = 131072
  /** How long it waits where nothing else is said. */
  timeoutMs = TIMEOUT_MS
  /** Told of every method before it is sent. */
  onSend: ((method: string, fields: FieldsInput) => void) | undefined
  readonly #socket: Socket
  readonly #inboxes = new Map<number, Event[]>()
  readonly #waiters = new Map<number, Waiter>()
  readonly #partial = new Map<number, PartialContent>()
  /** Written out only when something fails. */
  readonly #transcript: (() => string)[] = []
  #input: Buffer = Buffer.alloc(0)
  #ended = false
  #failure: Error | undefined
  #fault: Error | undefined
  #octetsIn = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#data(chunk))
    socket.on('end', () => this.#end('the server ended the connection'))
    socket.on('close', () => this.#end('the socket closed'))
    // A reset is an end like any other; tests that care about the difference look at the transcript.
    socket.on('error', (error) => this.#end(`the socket failed: ${error.message}`))
  }

  /** Connects the socket and sends nothing. */
  static async dial(port: number, host = '127.0.0.1'): Promise<RawClient> {
    const socket = connect({ port, host, allowHalfOpen: false })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket)
  }

  /** Connects over TLS and sends nothing. */
  static async dialTls(port: number, options: ConnectionOptions): Promise<RawClient> {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ...options })
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket)
  }

  /** Connects and goes through the whole handshake. */
  static async open(port: number, login: Login = {}, host?: string): Promise<RawClient> {
    const client = await RawClient.dial(port, host)
    await client.handshake(login)
    return client
  }

  /** What the server sent that no client could read, if it did. */
  get fault(): Error | undefined {
    return this.#fault
  }

  /** Whether the server has ended the connection. */
  get ended(): boolean {
    return this.#ended
  }

  /** How many heartbeats have arrived that nobody has waited for. */
  get heartbeats(): number {
    return this.waiting(HEARTBEATS)
  }

  /** How many octets have arrived. */
  get octetsIn(): number {
    return this.#octetsIn
  }

  /** Our end's port: what the broker sees as the peer's. */
  get localPort(): number {
    return this.#socket.localPort ?? 0
  }

  // --- sending ---------------------------------------------------------------------------------------------------

  /** Sends bytes as they are, or in writes of `chunk` bytes, each handed to the system before the next. */
  async bytes(bytes: Uint8Array, chunk = bytes.length): Promise<void> {
    const line = `${bytes.length} raw bytes ${Buffer.from(bytes.subarray(0, 24)).toString('hex')}`
    this.#note('→', () => line)
    for (let at = 0; at < bytes.length; at += chunk) {
      await new Promise<void>((resolve) => this.#socket.write(bytes.subarray(at, at + chunk), () => resolve()))
    }
  }

  /** Sends the protocol header, `AMQP 0 0 9 1` unless other bytes are given. */
  protocolHeader(bytes: Uint8Array = PROTOCOL_HEADER): this {
    return this.#write(() => `protocol header ${Buffer.from(bytes).toString('hex')}`, Buffer.from(bytes))
  }

  /** Sends one frame of any type, with any payload and any end octet. */
  frame(type: number, channel: number, payload: Uint8Array, end = FRAME_END): this {
    const { length } = payload
    const line = (): string => `${channel} frame of type ${type}, ${length} bytes`
    return this.#write(line, frame(type, channel, payload, end))
  }

  /** Sends in one write all that is sent within. */
  atOnce<T>(send: () => T): T {
    this.#socket.cork()
    const result = send()
    this.#socket.uncork()
    return result
  }

  heartbeat(channel = 0): this {
    return this.frame(FrameType.heartbeat, channel, Buffer.alloc(0))
  }

  /** Sends a method on channel 0. Fields that are left out are zero, empty or false. */
  send(method: string, fields: FieldsInput = {}): this {
    return this.sendOn(0, method, fields)
  }

  sendOn(channel: number, method: string, fields: FieldsInput = {}): this {
    const payload = encodeMethod(method, fields)
    this.onSend?.(method, fields)
    return this.#write(() => `${channel} ${method} ${show(fields)}`, frame(FrameType.method, channel, payload))
  }

  // --- the handshake, step by step -------------------------------------------------------------------------------

  async handshake(login: Login = {}): Promise<void> {
    this.protocolHeader()
    await this.expect('connection.start')
    this.startOk(login)
    await this.tune(login)
    this.send('connection.open', { 'virtual-host': login.vhost ?? '/' })
    await this.expect('connection.open-ok')
  }

  /** Sends start-ok with the user and password in the response. */
  startOk(login: Login = {}): this {
    const { mechanism = 'PLAIN', user = 'guest', password = 'guest' } = login
    const plain = Buffer.from(`\0${user}\0${password}`)
    const amqplain = encodeTableBody({ LOGIN: user, PASSWORD: password })
    return this.send('connection.start-ok', {
      'client-properties': login.clientProperties ?? { product: 'raw-client', capabilities: CAPABILITIES },
      mechanism,
      response: mechanism === 'PLAIN' ? plain : mechanism === 'AMQPLAIN' ? amqplain : '',
      locale: 'en_US',
    })
  }

  /** Waits for tune and answers it with the same values, but those that the login sets. */
  async tune(login: Login = {}): Promise<Fields> {
    const tune = await this.expect('connection.tune')
    this.frameMax = login.frameMax ?? Number(tune['frame-max'])
    this.send('connection.tune-ok', {
      'channel-max': login.channelMax ?? Number(tune['channel-max']),
      'frame-max': this.frameMax,
      // Off unless a test asks for it: no test may depend on how fast it runs.
      heartbeat: login.heartbeat ?? 0,
    })
    return tune
  }

  // --- channels --------------------------------------------------------------------------------------------------

  /** A channel by number, without opening it. */
  channel(number: number): RawChannel {
    return new RawChannel(this, number)
  }

  /** Opens a channel. */
  async openChannel(number = 1): Promise<RawChannel> {
    const channel = this.channel(number)
    await channel.call('channel.open')
    return channel
  }

  // --- waiting ---------------------------------------------------------------------------------------------------

  /** Waits for this method to be the next on channel 0. Fields that are given must be equal; all are returned. */
  expect(method: string, fields: FieldsInput = {}, options: ExpectOptions = {}): Promise<Fields> {
    return this.expectOn(0, method, fields, options)
  }

  async expectOn(channel: number, method: string, fields: FieldsInput, options: ExpectOptions = {}): Promise<Fields> {
    const arrived = await this.nextOn(channel, `${method} ${show(fields)}`, options)
    this.compare(`${channel}: ${method}`, summary(arrived, fields), { method, fields })
    return arrived.fields
  }

  /** Sends a method on channel 0 and waits for its answer. */
  call(method: string, fields: FieldsInput = {}): Promise<Fields> {
    return this.send(method, fields).expect(answerTo(method))
  }

  /** Waits for the server's connection.close, answers it, and waits for the socket to end. */
  async expectConnectionClose(
    code: number,
    text: string | RegExp,
    failing = '',
    { answer = true, ...options }: ExpectCloseOptions = {},
  ): Promise<Fields> {
    const close = await this.expect('connection.close', {}, options)
    this.compareClose('connection.close', close, code, text, failing)
    if (answer) {
      this.send('connection.close-ok')
      await this.expectEnd(options)
    }
    return close
  }

  /** Waits for the 8 bytes of a protocol header, with which a server answers one that it does not like. */
  async expectProtocolHeader(bytes: Uint8Array = PROTOCOL_HEADER): Promise<void> {
    const event = await this.#next(0, 'a protocol header')
    if (event?.kind !== 'protocol-header') throw this.failure(`expected a protocol header, got ${showEvent(event)}`)
    this.compare('protocol header', event.bytes.toString('hex'), Buffer.from(bytes).toString('hex'))
  }

  async expectHeartbeat(options?: ExpectOptions): Promise<void> {
    await this.#next(HEARTBEATS, 'a heartbeat', options)
  }

  /** Waits for the server to end the connection, and fails when anything else comes on channel 0. */
  async expectEnd(options: ExpectOptions = {}): Promise<void> {
    const event = await this.#next(0, 'the end of the connection', options, true)
    if (event) throw this.failure(`expected the end of the connection, got ${showEvent(event)}`)
  }

  /** The next method on a channel, whatever it is. */
  async nextOn(channel: number, wanted = 'a method', options?: ExpectOptions): Promise<Arrived> {
    const event = await this.#next(channel, wanted, options)
    if (event?.kind !== 'method') throw this.failure(`expected ${wanted}, got ${showEvent(event)}`)
    return event.arrived
  }

  /** How many methods have arrived on a channel that nobody has asked for yet. */
  waiting(channel: number): number {
    return this.#inboxes.get(channel)?.length ?? 0
  }

  // --- ending ----------------------------------------------------------------------------------------------------

  /** Closes as a well-behaved client does. Nothing happens when the connection is gone already. */
  async close(): Promise<void> {
    if (this.#ended) return
    this.send('connection.close', { 'reply-code': 200, 'reply-text': 'Goodbye' })
    for (;;) {
      const event = await this.#next(0, 'connection.close-ok', {}, true)
      if (!event || (event.kind === 'method' && event.arrived.method === 'connection.close-ok')) break
    }
    this.end()
  }

  /** Half-closes: a FIN without connection.close. */
  end(): void {
    this.#socket.end()
  }

  /** Drops the socket, with a RST when asked. */
  drop(reset = false): void {
    if (reset) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  /** Stops or goes on reading from the socket, so that the server's writes pile up. */
  pause(paused = true): void {
    if (paused) this.#socket.pause()
    else this.#socket.resume()
  }

  // --- comparing -------------------------------------------------------------------------------------------------

  /** Compares, and shows the transcript with the difference. */
  compare(what: string, actual: unknown, expected: unknown): void {
    try {
      deepStrictEqual(actual, expected)
    } catch (error) {
      throw this.failure(`${what}: ${(error as Error).message}`)
    }
  }

  compareClose(what: string, close: Fields, code: number, text: string | RegExp, failing: string): void {
    const { classId, methodId } = failing ? methodNamed(failing) : { classId: 0, methodId: 0 }
    const received = String(close['reply-text'])
    const matches = text instanceof RegExp ? text.test(received) : received === text
    this.compare(
      what,
      { code: close['reply-code'], text: matches ? text : received, failing: [close['class-id'], close['method-id']] },
      { code, text, failing: [classId, methodId] },
    )
  }

  /** An error that shows the last lines of the transcript. */
  failure(message: string): Error {
    return new Error([message, 'transcript:', ...this.#transcript.map((line) => line())].join('\n  '))
  }

  // --- reading ---------------------------------------------------------------------------------------------------

  #data(chunk: Buffer): void {
    this.#octetsIn += chunk.length
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk])
    try {
      while (this.#readOne());
    } catch (error) {
      this.#fault = this.failure(`the server sent what cannot be read: ${(error as Error).message}`)
      this.#socket.destroy(this.#fault)
    }
  }

  /** Takes one frame, or a protocol header, off the input. False when it is not all there yet. */
  #readOne(): boolean {
    const input = this.#input
    if (input.length < FRAME_OVERHEAD) return false
    if (input.toString('latin1', 0, 4) === 'AMQP') {
      this.#input = input.subarray(8)
      this.#arrive(0, { kind: 'protocol-header', bytes: input.subarray(0, 8) })
      return true
    }
    const size = input.readUInt32BE(3)
    if (this.frameMax > 0 && size + FRAME_OVERHEAD > this.frameMax) throw new Error(`a frame of ${size} bytes`)
    if (input.length < size + FRAME_OVERHEAD) return false
    if (input[size + 7] !== FRAME_END) throw new Error(`a frame that ends in ${input[size + 7]}`)
    this.#input = input.subarray(size + FRAME_OVERHEAD)
    this.#frame(input[0]!, input.readUInt16BE(1), input.subarray(7, 7 + size))
    return true
  }

  #frame(type: number, channel: number, payload: Buffer): void {
    switch (type) {
      case FrameType.method: {
        if (this.#partial.has(channel)) throw new Error(`a method on channel ${channel} within content`)
        const { method, fields } = decodeMethod(payload)
        if (methodNamed(method).content) this.#partial.set(channel, new PartialContent(method, fields))
        else this.#arrive(channel, { kind: 'method', arrived: { method, fields } })
        return
      }
      case FrameType.header:
      case FrameType.body: {
        const partial = this.#partial.get(channel)
        if (!partial) throw new Error(`a frame of type ${type} on channel ${channel} outside content`)
        const arrived = partial.take(type, payload)
        if (!arrived) return
        this.#partial.delete(channel)
        this.#arrive(channel, { kind: 'method', arrived })
        return
      }
      case FrameType.heartbeat:
        if (channel !== 0 || payload.length > 0) throw new Error('a heartbeat on a channel, or with a payload')
        this.#arrive(HEARTBEATS, { kind: 'heartbeat' })
        return
      default:
        throw new Error(`a frame of type ${type}`)
    }
  }

  #arrive(channel: number, event: Event): void {
    // Content may be large, and is not to be kept.
    const content = event.kind === 'method' && event.arrived.content ? showEvent(event) : null
    this.#note('←', () => `${Math.max(0, channel)} ${content ?? showEvent(event)}`)
    const waiter = this.#waiters.get(channel)
    if (waiter) {
      this.#waiters.delete(channel)
      waiter.resolve(event)
      return
    }
    const inbox = this.#inboxes.get(channel)
    if (inbox) inbox.push(event)
    else this.#inboxes.set(channel, [event])
    const closing = event.kind === 'method' && event.arrived.method === 'connection.close'
    if (closing) this.#fail(new Error(`connection.close ${show(event.arrived.fields)} came`))
  }

  async #next(channel: number, wanted: string, options: ExpectOptions = {}, endIsFine = false): Promise<Event | null> {
    const event = this.#inboxes.get(channel)?.shift()
    if (event) return event
    if (endIsFine && this.#ended) return null
    if (this.#failure && channel !== 0)
      throw this.failure(`expected ${wanted} on ${channel}, but ${this.#failure.message}`)
    if (this.#ended) throw this.failure(`expected ${wanted} on channel ${channel}, but the connection has ended`)
    if (this.#waiters.has(channel)) throw new Error(`two waits at once on channel ${channel}`)
    return this.#wait(channel, wanted, options.timeoutMs ?? this.timeoutMs, endIsFine)
  }

  #wait(channel: number, wanted: string, timeoutMs: number, endIsFine: boolean): Promise<Event | null> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(channel)
        reject(this.failure(`expected ${wanted} on channel ${channel}, but nothing came within ${timeoutMs} ms`))
      }, timeoutMs)
      this.#waiters.set(channel, {
        wanted,
        resolve: (event) => {
          clearTimeout(timer)
          if (event || endIsFine) resolve(event)
          else reject(this.failure(`expected ${wanted} on channel ${channel}, but the connection has ended`))
        },
        reject(error) {
          clearTimeout(timer)
          reject(error)
        },
      })
    })
  }

  /** What everybody who waits on a channel is told when that channel will say no more. */
  #fail(error: Error): void {
    this.#failure ??= error
    for (const [channel, waiter] of this.#waiters) {
      if (channel === 0 && !this.#ended) continue
      this.#waiters.delete(channel)
      waiter.reject(this.failure(`expected ${waiter.wanted} on channel ${channel}, but ${error.message}`))
    }
  }

  #end(how: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#note('←', () => how)
    const control = this.#waiters.get(0)
    this.#waiters.delete(0)
    this.#fail(new Error(how))
    if (this.#input.length > 0) control?.reject(this.failure(`${how} within a frame`))
    else control?.resolve(null)
  }

  #write(line: () => string, bytes: Buffer): this {
    this.#note('→', line)
    this.#socket.write(bytes)
    return this
  }

  #note(direction: string, line: () => string): void {
    this.#transcript.push(() => `${direction} ${line()}`)
    if (this.#transcript.length > TRANSCRIPT_LINES) this.#transcript.shift()
  }
}

/** The inbox of heartbeats, which belong to channel 0 but come between everything else. */
const HEARTBEATS = -1

/** One channel of a client. Holds no state: the same number twice is the same channel. */
export class RawChannel {
  readonly client: RawClient
  readonly number: number

  constructor(client: RawClient, number: number) {
    this.client = client
    this.number = number
  }

  send(method: string, fields: FieldsInput = {}): this {
    this.client.sendOn(this.number, method, fields)
    return this
  }

  /** Sends a method and waits for its answer to be the next that comes. */
  call(method: string, fields: FieldsInput = {}, answer: FieldsInput = {}): Promise<Fields> {
    return this.send(method, fields).expect(answerTo(method), answer)
  }

  /** Publishes: method, header and as many body frames as the frame size asks for. */
  publish(fields: PublishFields, body: string | Uint8Array = '', properties: Properties = {}): this {
    const bytes = Buffer.from(body as string)
    this.send('basic.publish', { ...fields })
    this.header(bytes.length, properties)
    const most = this.client.frameMax > 0 ? this.client.frameMax - FRAME_OVERHEAD : bytes.length
    for (let at = 0; at < bytes.length; at += most) this.body(bytes.subarray(at, at + most))
    return this
  }

  /** Sends a content header, of class 60 unless told. */
  header(bodySize: number | bigint, properties: Properties = {}, classId = 60): this {
    this.client.frame(FrameType.header, this.number, encodeHeader(bodySize, properties, classId))
    return this
  }

  /** Sends one body frame. */
  body(bytes: string | Uint8Array): this {
    this.client.frame(FrameType.body, this.number, Buffer.from(bytes as string))
    return this
  }

  /** Waits for this method to be the next on the channel. Fields that are given must be equal; all are returned. */
  expect(method: string, fields: FieldsInput = {}, options?: ExpectOptions): Promise<Fields> {
    return this.client.expectOn(this.number, method, fields, options)
  }

  /** Waits for a deliver with these fields, this body, and exactly these properties where they are given. */
  expectDeliver(fields: FieldsInput, body?: string | Uint8Array, properties?: Properties): Promise<Delivered> {
    return this.#expectContent('basic.deliver', fields, body, properties)
  }

  expectReturn(fields: FieldsInput, body?: string | Uint8Array, properties?: Properties): Promise<Delivered> {
    return this.#expectContent('basic.return', fields, body, properties)
  }

  /** Gets one message, which must be there. */
  get(queue: string, noAck = false): Promise<Delivered> {
    this.send('basic.get', { queue, 'no-ack': noAck })
    return this.#expectContent('basic.get-ok', {})
  }

  expectGetOk(fields: FieldsInput, body?: string | Uint8Array, properties?: Properties): Promise<Delivered> {
    return this.#expectContent('basic.get-ok', fields, body, properties)
  }

  /** Waits for the server's channel.close, which names the failing method, and answers it. */
  async expectChannelClose(
    code: number,
    text: string | RegExp,
    failing = '',
    { answer = true, ...options }: ExpectCloseOptions = {},
  ): Promise<Fields> {
    const close = await this.expect('channel.close', {}, options)
    this.client.compareClose('channel.close', close, code, text, failing)
    if (answer) this.send('channel.close-ok')
    return close
  }

  /** Makes sure that nothing is on its way: asks for an answer that changes nothing, and it must come first. */
  async expectNothing(): Promise<void> {
    await this.call('channel.flow', { active: true })
  }

  /** Declares a queue and returns its name. */
  async queue(queue: string, fields: FieldsInput = {}): Promise<string> {
    return String((await this.call('queue.declare', { queue, ...fields })).queue)
  }

  /** Declares an exchange and returns its name. */
  async exchange(exchange: string, type = 'direct', fields: FieldsInput = {}): Promise<string> {
    await this.call('exchange.declare', { exchange, type, ...fields })
    return exchange
  }

  async bind(queue: string, exchange: string, key = '', table: Table = {}): Promise<void> {
    await this.call('queue.bind', { queue, exchange, 'routing-key': key, arguments: table })
  }

  /** Starts a consumer and returns its tag. */
  async consume(queue: string, fields: FieldsInput = {}): Promise<string> {
    return String((await this.call('basic.consume', { queue, ...fields }))['consumer-tag'])
  }

  async close(): Promise<void> {
    await this.call('channel.close', { 'reply-code': 200, 'reply-text': 'OK' })
  }

  async #expectContent(
    method: string,
    fields: FieldsInput,
    body?: string | Uint8Array,
    properties?: Properties,
  ): Promise<Delivered> {
    const arrived = await this.client.nextOn(this.number, `${method} ${show(fields)} ${body?.length ?? ''}`)
    this.client.compare(`${this.number}: ${method}`, summary(arrived, fields), { method, fields })
    const content = arrived.content!
    if (body !== undefined) {
      const [actual, expected] =
        typeof body === 'string' ? [content.body.toString(), body] : [content.body.toString('hex'), hex(body)]
      this.client.compare(`${method}: body`, actual, expected)
    }
    if (properties !== undefined) this.client.compare(`${method}: properties`, content.properties, properties)
    return { fields: arrived.fields, tag: Number(arrived.fields['delivery-tag'] ?? -1), ...content }
  }
}

/** Content whose header or body is still arriving. */
class PartialContent {
  readonly #method: string
  readonly #fields: Fields
  #header: { properties: Properties; size: number } | undefined
  readonly #pieces: Buffer[] = []
  #received = 0

  constructor(method: string, fields: Fields) {
    this.#method = method
    this.#fields = fields
  }

  /** Takes a header or body frame; returns the whole once its last byte is in. */
  take(type: number, payload: Buffer): Arrived | undefined {
    if (type === FrameType.header) {
      if (this.#header) throw new Error('a second content header')
      this.#header = decodeHeader(payload)
    } else {
      if (!this.#header) throw new Error('a body before its header')
      if (payload.length === 0) throw new Error('an empty body frame')
      this.#pieces.push(payload)
      this.#received += payload.length
    }
    const { size, properties } = this.#header
    if (this.#received > size) throw new Error(`a body of ${this.#received} bytes where ${size} were announced`)
    if (this.#received < size) return undefined
    const content = {
      properties,
      size,
      body: Buffer.concat(this.#pieces),
      pieces: this.#pieces.map((piece) => piece.length),
    }
    return { method: this.#method, fields: this.#fields, content }
  }
}

/** The bytes of one frame. */
export function frame(type: number, channel: number, payload: Uint8Array, end = FRAME_END): Buffer {
  const bytes = Buffer.alloc(payload.length + FRAME_OVERHEAD)
  bytes[0] = type
  bytes.writeUInt16BE(channel, 1)
  bytes.writeUInt32BE(payload.length, 3)
  bytes.set(payload, 7)
  bytes[bytes.length - 1] = end
  return bytes
}

function answerTo(method: string): string {
  const [answer] = methodNamed(method).answers
  if (!answer) throw new Error(`${method} has no answer`)
  return answer
}

/** Of what arrived, the method and those fields that a test asks about. */
function summary(arrived: Arrived, asked: FieldsInput): { method: string; fields: Fields } {
  const fields: Record<string, Fields[string]> = {}
  for (const name of Object.keys(asked)) fields[name] = arrived.fields[name]!
  return { method: arrived.method, fields }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function show(fields: Fields | FieldsInput): string {
  const text = JSON.stringify(fields, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
  return text.length > 240 ? `${text.slice(0, 240)}…` : text
}

function showEvent(event: Event | null): string {
  if (!event) return 'the end of the connection'
  if (event.kind === 'heartbeat') return 'heartbeat'
  if (event.kind === 'protocol-header') return `protocol header ${event.bytes.toString('hex')}`
  const { method, fields, content } = event.arrived
  const body = content ? ` + ${content.size} bytes ${JSON.stringify(content.body.toString('utf8', 0, 40))}` : ''
  return `${method} ${show(fields)}${body}`
}
