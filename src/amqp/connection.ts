// One AMQP 0-9-1 connection: from its first byte to its last.
import type { Socket } from 'node:net'
import type { AlarmListener } from '../core/alarms.ts'
import type { User } from '../core/access.ts'
import type { TlsView } from '../core/clients.ts'
import type { Broker } from '../core/broker.ts'
import { BrokerError } from '../core/errors.ts'
import type { TracedClient } from '../core/firehose.ts'
import type { Session } from '../core/session.ts'
import type { Timer } from '../lib/clock.ts'
import { isLoopback } from '../lib/loopback.ts'
import type { Turn } from '../lib/turn.ts'
import { endTurns } from '../lib/turns.ts'
import { SocketReader } from '../net/socket-reader.ts'
import { SocketWriter, type SlabPool } from '../net/socket-writer.ts'
import { Channel } from './channel.ts'
import { AmqpConnectionView } from './connection-view.ts'
import { contentUnexpected } from './content-assembly.ts'
import { DeliveryWriter } from './delivery.ts'
import { AmqpError, atMethod, fromBrokerError } from './errors.ts'
import { Handshake, HandshakeError } from './handshake.ts'
import { Heartbeat, type HeartbeatPeer } from './heartbeat.ts'
import { CLOSE_ANSWER_MS_MAX, INITIAL_FRAME_BYTES_MAX, SILENT_CLOSE_MS, UNREAD_BYTES_MAX } from './limits.ts'
import type { Peer } from './mechanisms.ts'
import { connectionMethods } from './methods/connection.ts'
import { FrameReader, type FrameSink } from './wire/frame-reader.ts'
import {
  dispatchConnection,
  Method,
  ReplyCode,
  writeChannelClose,
  writeChannelCloseOk,
  writeChannelOpenOk,
  writeConnectionBlocked,
  writeConnectionClose,
  writeConnectionCloseOk,
  writeConnectionUnblocked,
} from './wire/generated.ts'
import { cannotDecode } from './wire/method-arguments.ts'
import { PROTOCOL_HEADER, ProtocolHeaderReader } from './wire/protocol-header.ts'
import { NO_ARGUMENTS, type FieldTable } from '../core/value.ts'
import { WireError } from './wire/wire-error.ts'

/** How the front end was configured. */
export interface AmqpOptions {
  /** Bytes of a whole frame; offered to clients. */
  readonly frameMax: number
  readonly channelMax: number
  /** Offered to clients, who choose. */
  readonly heartbeatSeconds: number
  readonly messageBytesMax: number
  readonly handshakeTimeoutMs: number
  /** Milliseconds that a delivery may wait for its acknowledgement where nothing else is said; 0: for ever. */
  readonly consumerTimeoutMs: number
  /** Whether one that waits longer ends the channel, rather than its consumer. */
  readonly consumerTimeoutCloses: boolean
  readonly version: string
  /** The name of the broker, which may change. */
  readonly clusterName: () => string
}

/** What all connections share. */
export interface AmqpContext {
  readonly broker: Broker
  readonly turn: Turn
  readonly slabs: SlabPool
  readonly options: AmqpOptions
  /** Every open connection. Kept by the connections. */
  readonly connections: Set<Connection>
}

/** What TLS knows of a connection. */
export interface Security {
  readonly facts: TlsView
  /** The user that the client's certificate names; null when it gave none that is valid and names one. */
  readonly user: string | null
}

/** What the client said of itself, as far as the server acts on it. */
export interface ClientCapabilities {
  readonly authenticationFailureClose: boolean
  readonly consumerCancelNotify: boolean
  readonly connectionBlocked: boolean
}

/**
 * Where the connection is. RabbitMQ's states: until `opening`, whatever goes wrong is answered by silence; from then on
 * by connection.close.
 */
export type ConnectionState =
  'header' | 'starting' | 'authenticating' | 'tuning' | 'opening' | 'running' | 'closing' | 'closed'

/** The bytes of a heartbeat: type 8, channel 0, no payload (AMQP 0-9-1 §4.2.7). */
const HEARTBEAT = [8, 0, 0, 0, 0, 0, 0, 0xce] as const

/** Owns the socket's two sides, the state and the channels. What a client sends wrong throws up to `#data` and no further. */
export class Connection implements FrameSink, AlarmListener, HeartbeatPeer, TracedClient {
  readonly context: AmqpContext
  readonly options: AmqpOptions
  readonly peer: Peer
  readonly writer: SocketWriter
  readonly deliveries: DeliveryWriter
  state: ConnectionState = 'header'
  client: ClientCapabilities = {
    authenticationFailureClose: false,
    consumerCancelNotify: false,
    connectionBlocked: false,
  }
  /** What the client said of itself in connection.start-ok, and how it logged in. */
  clientProperties: FieldTable = NO_ARGUMENTS
  mechanism = ''
  /** Who the client says it is, be it true or not. */
  claimedUser = ''
  /** This side of the socket, as the client sees it. */
  readonly local: { readonly address: string; readonly port: number }
  /** Null when the connection is not encrypted. */
  readonly tls: TlsView | null
  /** Milliseconds since 1970. */
  readonly connectedAt: number
  channelMax: number
  frameMax = INITIAL_FRAME_BYTES_MAX
  heartbeatSeconds = 0
  receivedBytes = 0

  readonly #socket: Socket
  readonly #reader: SocketReader
  readonly #protocolHeader = new ProtocolHeaderReader()
  readonly #frames = new FrameReader()
  readonly #handshake: Handshake
  readonly #channels = new Map<number, Channel>()
  readonly #timers: Timer[] = []
  #heartbeat: Heartbeat | null = null
  #session: Session | null = null
  #view: AmqpConnectionView | null = null
  /** The channel of the last frame: the next one is most often for the same. */
  #lastChannel: Channel | null = null
  /** What arrived behind the frame at which the connection was suspended. */
  #rest: Buffer | null = null
  #inMethod = false
  #afterReply: (() => void)[] = []
  #publishing = false
  #publishedInChunk = false
  #blocked = false
  /** Whether the client must read before it is read from. */
  #choked = false

  /** `security` is there when the socket is encrypted. */
  constructor(socket: Socket, context: AmqpContext, security: Security | null = null) {
    this.context = context
    this.options = context.options
    this.channelMax = context.options.channelMax
    this.#socket = socket
    const certificateName = security?.user ?? null
    this.peer = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0, certificateName }
    this.tls = security?.facts ?? null
    this.local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
    this.connectedAt = context.broker.clock.now()
    this.writer = new SocketWriter(socket, context.turn, context.slabs, () => this.#drained())
    this.deliveries = new DeliveryWriter(this.writer)
    this.#handshake = new Handshake(this)
    this.#frames.frameMax = INITIAL_FRAME_BYTES_MAX
    this.#reader = new SocketReader(socket, context.turn, (chunk) => this.#data(chunk))
    context.connections.add(this)
    const timeout = context.options.handshakeTimeoutMs
    this.#after(timeout, () => this.#session === null && this.#socket.destroy())
    // The cause of a broken socket is of no interest: a client that goes without a word is common.
    socket.on('error', () => this.#socket.destroy())
    socket.on('close', () => this.#closed())
  }

  get running(): boolean {
    return this.state === 'running'
  }

  /** `peer host:port -> own host:port`, unique while it lasts. */
  get name(): string {
    const { peer, local } = this
    return `${peer.address}:${peer.port} -> ${local.address}:${local.port}`
  }

  get sentBytes(): number {
    return this.writer.sentBytes
  }

  get readingHeld(): boolean {
    return this.#reader.held
  }

  /** Whether an alarm keeps it from publishing. */
  get publisherBlocked(): boolean {
    return this.#blocked
  }

  get openChannels(): Iterable<Channel> {
    return this.#channels.values()
  }

  get channelCount(): number {
    return this.#channels.size
  }

  get peerIsLoopback(): boolean {
    return isLoopback(this.peer.address)
  }

  // --- frames: nothing that is thrown leaves these three, so that the reader stays in step ---

  method(number: number, buffer: Buffer, start: number, end: number): void {
    const channel = number === 0 ? null : this.#channel(number)
    this.#inMethod = true
    try {
      if (number === 0) this.#connectionMethod(buffer, start, end)
      else if (this.state === 'closing') return
      else if (channel === null) this.#openChannel(number, buffer, start, end)
      else if (channel.closing) this.#whileClosing(channel, buffer, start, end)
      else channel.method(buffer, start, end)
    } catch (error) {
      this.channelFailed(channel, error)
    }
    this.#inMethod = false
    if (this.#afterReply.length > 0) this.#replied()
  }

  header(number: number, buffer: Buffer, start: number, end: number): void {
    const channel = this.#channel(number)
    try {
      if (channel === null) this.#contentUnasked(number)
      else if (!channel.closing) channel.publishing.header(buffer, start, end)
    } catch (error) {
      this.channelFailed(channel, error)
    }
    this.#publishedInChunk = true
  }

  body(number: number, buffer: Buffer, start: number, end: number): void {
    const channel = this.#channel(number)
    try {
      if (channel === null) this.#contentUnasked(number)
      else if (!channel.closing) channel.publishing.body(buffer, start, end)
    } catch (error) {
      this.channelFailed(channel, error)
    }
  }

  // --- what handshake and methods do with the connection ---

  /** Sets what connection.tune-ok agreed on, and starts the heartbeats. */
  tuned(channelMax: number, frameMax: number, heartbeatSeconds: number): void {
    this.channelMax = channelMax
    this.frameMax = frameMax
    this.#frames.frameMax = frameMax
    this.deliveries.tuned(frameMax)
    this.heartbeatSeconds = heartbeatSeconds
    this.#heartbeat = new Heartbeat(this.context.broker.clock, heartbeatSeconds, this)
  }

  /** The client is in: from here on it has a session in its vhost. */
  opened(session: Session): void {
    this.#session = session
    this.state = 'running'
    session.origin = this
    if (session.vhost.firehose !== null) this.tracingChanged(true)
    this.#view = new AmqpConnectionView(this, session)
    this.context.broker.connectionOpened(this.#view)
  }

  /** The channel that is at work: what is traced is done while its frames are read. */
  get channelNumber(): number {
    return this.#lastChannel?.number ?? 0
  }

  tracingChanged(on: boolean): void {
    this.deliveries.watched = on
    for (const channel of this.#channels.values()) channel.settlements.tracingChanged(on)
  }

  /** The user of the session, once there is one. */
  get user(): User | null {
    return this.#session?.user ?? null
  }

  /** Closes without a word: what a client gets that cannot be trusted yet. RabbitMQ waits before it does. */
  closeSilently(): void {
    this.state = 'closed'
    this.#stopReading()
    this.#after(SILENT_CLOSE_MS, () => this.#socket.destroy())
  }

  /** Sends connection.close and waits for the answer. Everything of the client's ends at once. */
  close(replyCode: number, text: string, method: number): void {
    if (this.state === 'closing' || this.state === 'closed') return
    const tuned = this.state === 'opening' || this.state === 'running'
    this.state = 'closing'
    this.report(replyCode, text)
    this.#endChannels()
    writeConnectionClose(this.writer, 0, replyCode, text, method >>> 16, method & 0xffff)
    this.writer.flush()
    const answerMs = this.heartbeatSeconds > 0 ? this.heartbeatSeconds * 1000 : CLOSE_ANSWER_MS_MAX
    this.#after(tuned ? Math.min(answerMs, CLOSE_ANSWER_MS_MAX) : SILENT_CLOSE_MS, () => this.#socket.destroy())
  }

  /** Takes no deliveries any more: the connection is about to be closed. */
  stopDelivering(): void {
    this.writer.stayFull()
  }

  /** Answers connection.close and ends. */
  answerClose(): void {
    this.#endChannels()
    writeConnectionCloseOk(this.writer, 0)
    this.end()
  }

  /** Sends what is written and ends; nothing is taken any more. */
  end(): void {
    this.state = 'closed'
    this.#stopReading()
    this.writer.end()
    // A peer that does not end its side is not waited for longer than a refused one.
    this.#after(SILENT_CLOSE_MS, () => this.#socket.destroy())
  }

  /** Ends the socket without regard to what was not sent. */
  destroy(): void {
    this.#socket.destroy()
  }

  /**
   * Runs a command, and if it changed what must survive a restart, keeps everything written from here on back until
   * that is on disk: the effect is there at once, the answer tells of what is safe, and the order stays.
   */
  durably<T>(command: () => T): T {
    const { broker } = this.context
    const before = broker.durableChanges
    const result = command()
    if (broker.durableChanges !== before || broker.definitionsWaiting) {
      this.writer.hold()
      broker.store.whenDurable(() => this.writer.release())
    }
    return result
  }

  /** Takes no more frames until the returned function is called. What has arrived waits. */
  suspend(): () => void {
    this.#reader.hold()
    this.#frames.pause()
    return () => this.#resume()
  }

  /** Runs when the reply to the method that is being handled is written; at once when there is none. */
  afterReply(action: () => void): void {
    if (this.#inMethod) this.#afterReply.push(action)
    else action()
  }

  /** The channel's number is free again. */
  channelClosed(channel: Channel): void {
    if (this.#channels.delete(channel.number)) this.#session?.channelClosed()
    if (this.#lastChannel === channel) this.#lastChannel = null
  }

  // --- alarms and heartbeats ---

  blocked(reason: string): void {
    if (!this.#blocked) this.#reader.hold()
    this.#blocked = true
    if (this.client.connectionBlocked) writeConnectionBlocked(this.writer, 0, reason)
  }

  unblocked(): void {
    if (!this.#blocked) return
    this.#blocked = false
    this.#reader.release()
    if (this.client.connectionBlocked) writeConnectionUnblocked(this.writer, 0)
  }

  sendHeartbeat(): void {
    const { writer } = this
    writer.reserve(HEARTBEAT.length)
    for (const octet of HEARTBEAT) writer.buffer[writer.position++] = octet
  }

  peerSilent(): void {
    const { address, port } = this.peer
    const sentence = 'missed heartbeats from the client'
    this.context.broker.logger.warn({ peer: `${address}:${port}` }, sentence)
    this.report(null, sentence)
    this.#socket.destroy()
  }

  // --- input ---

  #data(chunk: Buffer): void {
    this.receivedBytes += chunk.length
    this.context.broker.window.received(chunk.length)
    try {
      if (this.state !== 'header') this.#read(chunk, 0)
      else this.#readProtocolHeader(chunk)
    } catch (error) {
      this.#outOfStep(error)
    }
    if (this.#publishedInChunk) this.#paced()
    if (this.writer.unsentBytes > UNREAD_BYTES_MAX) this.#choke()
  }

  /** The answers to what the client asks are memory: one that does not read them is not asked for more. */
  #choke(): void {
    if (this.#choked || !this.running) return
    this.#choked = true
    this.#reader.hold()
  }

  #unchoke(): void {
    if (this.#choked) this.#reader.release()
    this.#choked = false
  }

  #readProtocolHeader(chunk: Buffer): void {
    const header = this.#protocolHeader
    const position = header.read(chunk)
    if (!header.complete) return
    if (!header.accepted) {
      this.writer.reserve(PROTOCOL_HEADER.length)
      this.writer.position += PROTOCOL_HEADER.copy(this.writer.buffer, this.writer.position)
      this.end()
      return
    }
    this.state = 'starting'
    this.#handshake.start()
    this.#read(chunk, position)
  }

  #read(chunk: Buffer, start: number): void {
    if (this.#rest !== null) {
      this.#rest = Buffer.concat([this.#rest, chunk.subarray(start)])
      return
    }
    const read = this.context.broker.rates.any ? this.#readMetered(chunk, start) : this.#frames.read(chunk, start, this)
    if (read < chunk.length) this.#rest = chunk.subarray(read)
  }

  /** Reads, and has it counted what was published: nobody else publishes meanwhile. */
  #readMetered(chunk: Buffer, start: number): number {
    const { rates, sizes } = this.context.broker
    const session = this.#session
    const [messages, bytes] = [session?.vhost.counts.published ?? 0, sizes.sum]
    const read = this.#frames.read(chunk, start, this)
    if (session === null) return read
    const published = session.vhost.counts.published - messages
    if (published > 0) rates.spent(this.#reader, session.user.name, session.vhost.name, published, sizes.sum - bytes)
    return read
  }

  #resume(): void {
    this.#frames.resume()
    this.#reader.release()
    const rest = this.#rest
    this.#rest = null
    if (rest === null || this.state === 'closed') return
    try {
      this.#read(rest, 0)
    } catch (error) {
      this.#outOfStep(error)
    }
  }

  /** The reader met something that is no frame: what follows cannot be told apart any more. */
  #outOfStep(error: unknown): void {
    this.#failed(error)
    if (this.state !== 'closed') this.closeSilently()
  }

  #stopReading(): void {
    this.#frames.stop()
    this.#reader.hold()
    // A held socket would not notice that its peer is gone: what still comes is read and thrown away.
    this.#socket.removeAllListeners('data')
    this.#socket.resume()
  }

  /** Publishers that are ahead of the rest give way. */
  #paced(): void {
    this.#publishedInChunk = false
    if (!this.running) return
    if (!this.#publishing) {
      this.#publishing = true
      this.context.broker.alarms.add(this)
    }
    const overrun = this.#session?.takeOverrun() ?? null
    this.context.broker.pace.after(this.#reader, overrun)
  }

  #connectionMethod(buffer: Buffer, start: number, end: number): void {
    const method = end - start < 4 ? 0 : buffer.readUInt32BE(start)
    if (this.state === 'closing') {
      if (method === Method.connectionCloseOk) this.end()
      else if (method === Method.connectionClose) this.answerClose()
      return
    }
    const known = dispatchConnection(connectionMethods, this.#handshake, buffer, start, end)
    if (known) return
    if (METHODS.has(method)) throw this.#handshake.unexpected(method)
    throw new AmqpError('connection', ReplyCode.commandInvalid, 'unimplemented method', method)
  }

  /** A method on a channel that is not open: it must open it (AMQP 0-9-1 §4.3). */
  #openChannel(number: number, buffer: Buffer, start: number, end: number): void {
    if (this.#session === null) throw unexpectedFrame(number)
    const method = end - start < 4 ? 0 : buffer.readUInt32BE(start)
    if (method !== Method.channelOpen) throw notOpen(method)
    // One short string that means nothing.
    if (end - start < 5 || end - start !== 5 + buffer[start + 4]!) throw cannotDecode(buffer, start, end)
    if (this.channelMax > 0 && this.#channels.size >= this.channelMax) {
      const sentence =
        `number of channels opened (${this.#channels.size}) has reached the negotiated ` +
        `channel_max (${this.channelMax})`
      // RabbitMQ: its reader refuses the channel, and names no method.
      throw new AmqpError('connection', ReplyCode.notAllowed, sentence)
    }
    try {
      this.#session.channelOpened()
    } catch (error) {
      throw atMethod(error, method)
    }
    const channel = new Channel(number, this, this.#session)
    if (this.#session.vhost.firehose !== null) channel.settlements.tracingChanged(true)
    this.#channels.set(number, channel)
    this.context.broker.churn.channelsOpened++
    channel.opened()
    writeChannelOpenOk(this.writer, number)
  }

  /** A header or a body on a channel that is not open. */
  #contentUnasked(number: number): void {
    if (this.state === 'closing') return
    if (this.#session === null) throw unexpectedFrame(number)
    throw contentUnexpected()
  }

  #channel(number: number): Channel | null {
    const last = this.#lastChannel
    if (last !== null && last.number === number) return last
    const channel = this.#channels.get(number) ?? null
    if (channel !== null) this.#lastChannel = channel
    return channel
  }

  /** A channel that the server closed waits for the client's answer and swallows the rest (AMQP 0-9-1 §2.2.3). */
  #whileClosing(channel: Channel, buffer: Buffer, start: number, end: number): void {
    if (end - start < 4) return
    const method = buffer.readUInt32BE(start)
    if (method === Method.channelCloseOk) this.channelClosed(channel)
    else if (method === Method.channelClose) writeChannelCloseOk(this.writer, channel.number)
  }

  /** An error of the channel closes it; any other closes the connection. */
  channelFailed(channel: Channel | null, error: unknown): void {
    if (channel !== null && error instanceof AmqpError && error.scope === 'channel') this.#closeChannel(channel, error)
    else this.#failed(error)
  }

  #replied(): void {
    const actions = this.#afterReply
    this.#afterReply = []
    for (const action of actions) action()
  }

  #closeChannel(channel: Channel, error: AmqpError): void {
    channel.closing = true
    channel.close()
    const { replyCode, method } = error
    writeChannelClose(this.writer, channel.number, replyCode, error.replyText, method >>> 16, method & 0xffff)
    this.report(replyCode, error.replyText, channel.number)
    const { user } = this
    this.context.broker.logger.info(
      { user: user?.name, channel: channel.number, reply: error.replyText },
      'channel closed',
    )
  }

  // --- the end ---

  /** Remembers why the connection, or one of its channels, was closed. Strangers' names are not kept. */
  report(code: number | null, text: string, channel: number | null = null): void {
    const { access, clock, recentErrors } = this.context.broker
    recentErrors.report({
      scope: channel === null ? 'connection' : 'channel',
      user: this.user?.name ?? access.user(this.claimedUser)?.name ?? null,
      vhost: this.#session?.vhost.name ?? null,
      connection: this.name,
      channel,
      code,
      text,
      time: clock.now(),
    })
  }

  /** What was thrown while input was handled. Nothing a client sends gets past this. */
  #failed(error: unknown): void {
    const { logger } = this.context.broker
    const peer = `${this.peer.address}:${this.peer.port}`
    if (error instanceof HandshakeError) {
      logger.warn({ peer, state: this.state, reason: error.message }, 'handshake failed')
      this.closeSilently()
      return
    }
    const failure = asAmqpError(error)
    const facts = { peer, state: this.state, reply: failure.replyText }
    if (failure.replyCode === ReplyCode.internalError) logger.error({ ...facts, err: error }, 'internal error')
    else logger.warn(facts, 'connection closed')
    if (this.state === 'opening' || this.state === 'running') {
      this.close(failure.replyCode, failure.replyText, failure.method)
    } else if (this.state !== 'closing') this.closeSilently()
  }

  #endChannels(): void {
    // What goes back from one channel must not go out through the next, which is about to end as well.
    this.stopDelivering()
    for (const channel of this.#channels.values()) {
      channel.close()
      this.#session?.channelClosed()
    }
    this.#channels.clear()
    this.#lastChannel = null
    this.#session?.close()
    this.context.broker.alarms.delete(this)
    // Nobody would say when the alarm is clear, and the answer to a close must be read.
    if (this.#blocked) this.#reader.release()
    this.#blocked = false
    this.#unchoke()
  }

  #closed(): void {
    this.state = 'closed'
    for (const timer of this.#timers) timer.cancel()
    this.#heartbeat?.stop()
    this.#endChannels()
    this.context.connections.delete(this)
    if (this.#view !== null) this.context.broker.connectionClosed(this.#view)
  }

  #drained(): void {
    this.#unchoke()
    let served = 0
    for (const channel of this.#channels.values()) {
      if (!this.writer.full) served++
      channel.resumeConsumers()
    }
    if (this.writer.full) endTurns(this.#channels, served)
  }

  #after(delayMs: number, action: () => void): void {
    this.#timers.push(this.context.broker.clock.after(delayMs, action))
  }
}

/** The error in AMQP's terms, whatever it was. */
function asAmqpError(error: unknown): AmqpError {
  if (error instanceof AmqpError) return error
  if (error instanceof WireError) return new AmqpError('connection', error.replyCode, error.message, error.method)
  if (error instanceof BrokerError) return fromBrokerError(error, 0)
  return new AmqpError('connection', ReplyCode.internalError, '')
}

/** The class and method ids that have a name. */
const METHODS: ReadonlySet<number> = new Set(Object.values(Method))

function notOpen(method: number): AmqpError {
  return new AmqpError('connection', ReplyCode.channelError, "expected 'channel.open'", method)
}

/** A frame of a channel before the connection is open. */
function unexpectedFrame(channel: number): AmqpError {
  return new AmqpError('connection', ReplyCode.unexpectedFrame, `frame on channel ${channel} before connection.open`)
}
