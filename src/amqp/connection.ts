// One AMQP 0-9-1 connection: from its first byte to its last.
import type { Socket } from 'node:net'
import type { User } from '../core/access.ts'
import type { TlsView } from '../core/clients.ts'
import { BrokerError } from '../core/errors.ts'
import type { TracedClient } from '../core/firehose.ts'
import type { Session } from '../core/session.ts'
import type { Timer } from '../lib/clock.ts'
import { isLoopback } from '../lib/loopback.ts'
import { SocketWriter } from '../net/socket-writer.ts'
import type { AmqpContext, AmqpOptions } from './amqp-context.ts'
import type { Channel } from './channel.ts'
import { AmqpConnectionView } from './connection-view.ts'
import { contentUnexpected } from './content-assembly.ts'
import { DeliveryWriter } from './delivery.ts'
import { AmqpError, atMethod, fromBrokerError } from './errors.ts'
import { Flow } from './flow.ts'
import { FrameInput, type FrameTaker } from './frame-input.ts'
import { Handshake, HandshakeError } from './handshake.ts'
import { Heartbeat, type HeartbeatPeer } from './heartbeat.ts'
import { CLOSE_ANSWER_MS_MAX, INITIAL_FRAME_BYTES_MAX, SILENT_CLOSE_MS } from './limits.ts'
import type { Peer } from './mechanisms.ts'
import { Incomplete } from './incomplete.ts'
import { connectionMethods } from './methods/connection.ts'
import { OpenChannels } from './open-channels.ts'
import {
  dispatchConnection,
  Method,
  ReplyCode,
  writeChannelClose,
  writeChannelCloseOk,
  writeChannelOpenOk,
  writeConnectionClose,
  writeConnectionCloseOk,
} from './wire/generated.ts'
import { Uncommitted } from './uncommitted.ts'
import { cannotDecode } from './wire/method-arguments.ts'
import { PROTOCOL_HEADER, ProtocolHeaderReader } from './wire/protocol-header.ts'
import { NO_ARGUMENTS, type FieldTable } from '../core/value.ts'
import { WireError } from './wire/wire-error.ts'

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

/** Owns the state of the connection and its end. What a client sends wrong throws up to here and no further. */
export class Connection implements FrameTaker, HeartbeatPeer, TracedClient {
  readonly context: AmqpContext
  readonly options: AmqpOptions
  readonly peer: Peer
  readonly writer: SocketWriter
  readonly deliveries: DeliveryWriter
  readonly uncommitted: Uncommitted
  readonly incomplete: Incomplete
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

  readonly #socket: Socket
  readonly #input: FrameInput
  readonly #protocolHeader = new ProtocolHeaderReader()
  readonly #handshake: Handshake
  readonly #channels = new OpenChannels(this)
  readonly #flow: Flow
  readonly #timers: Timer[] = []
  #heartbeat: Heartbeat | null = null
  #session: Session | null = null
  #view: AmqpConnectionView | null = null
  #inMethod = false
  #afterReply: (() => void)[] = []

  /** `security` is there when the socket is encrypted. */
  constructor(socket: Socket, context: AmqpContext, security: Security | null = null) {
    this.context = context
    this.options = context.options
    this.channelMax = context.options.channelMax
    this.uncommitted = new Uncommitted(context.uncommitted)
    this.#socket = socket
    const certificateName = security?.user ?? null
    this.peer = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0, certificateName }
    this.tls = security?.facts ?? null
    this.local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
    this.connectedAt = context.broker.clock.now()
    this.writer = new SocketWriter(socket, context.turn, context.slabs, () => this.#drained())
    this.deliveries = new DeliveryWriter(this.writer)
    this.#handshake = new Handshake(this)
    this.#input = new FrameInput(socket, context, this)
    this.#flow = new Flow(this, this.#input.reader)
    this.incomplete = new Incomplete(context.incomplete, this.#input.reader)
    context.connections.add(this)
    const timeout = context.options.handshakeTimeoutMs
    this.#after(timeout, () => this.#session === null && this.#socket.destroy())
    // The cause of a broken socket is of no interest: a client that goes without a word is common.
    socket.on('error', () => this.#socket.destroy())
    socket.on('end', () => context.leaving.add(this))
    socket.on('close', () => context.leaving.add(this))
  }

  get running(): boolean {
    return this.state === 'running'
  }

  /** `peer host:port -> own host:port`, unique while it lasts. */
  get name(): string {
    const { peer, local } = this
    return `${peer.address}:${peer.port} -> ${local.address}:${local.port}`
  }

  get receivedBytes(): number {
    return this.#input.receivedBytes
  }

  get sentBytes(): number {
    return this.writer.sentBytes
  }

  get readingHeld(): boolean {
    return this.#input.reader.held
  }

  /** Whether an alarm keeps it from publishing. */
  get publisherBlocked(): boolean {
    return this.#flow.publisherBlocked
  }

  get openChannels(): Iterable<Channel> {
    return this.#channels
  }

  get channelCount(): number {
    return this.#channels.count
  }

  get peerIsLoopback(): boolean {
    return isLoopback(this.peer.address)
  }

  // --- frames: nothing that is thrown leaves these three, so that the reader stays in step ---

  method(number: number, buffer: Buffer, start: number, end: number): void {
    const channel = number === 0 ? null : this.#channels.at(number)
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
    const channel = this.#channels.at(number)
    try {
      if (channel === null) this.#contentUnasked(number)
      else if (!channel.closing) channel.publishing.header(buffer, start, end)
    } catch (error) {
      this.channelFailed(channel, error)
    }
    this.#flow.published = true
  }

  body(number: number, buffer: Buffer, start: number, end: number): void {
    const channel = this.#channels.at(number)
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
    this.#input.frameMax = frameMax
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
    return this.#channels.lastNumber
  }

  tracingChanged(on: boolean): void {
    this.deliveries.watched = on
    for (const channel of this.#channels) channel.settlements.tracingChanged(on)
  }

  get session(): Session | null {
    return this.#session
  }

  /** The user of the session, once there is one. */
  get user(): User | null {
    return this.#session?.user ?? null
  }

  /** Closes without a word: what a client gets that cannot be trusted yet. RabbitMQ waits before it does. */
  closeSilently(): void {
    this.state = 'closed'
    this.#input.stop()
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
    this.#input.stop()
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
    return this.#input.suspend()
  }

  /**
   * Takes no more frames until `wait` calls back, runs a command of a channel then, unless that has ended meanwhile, and
   * goes on. What the command throws is the error of this method.
   */
  later(channel: Channel, method: number, wait: (callback: () => void) => void, command: () => void): void {
    const resume = this.suspend()
    wait(() => {
      if (this.running && channel.activity !== 'closing') {
        this.#inMethod = true
        try {
          command()
        } catch (error) {
          this.channelFailed(channel, atMethod(error, method))
        }
        this.#inMethod = false
        if (this.#afterReply.length > 0) this.#replied()
      }
      resume()
    })
  }

  /** Runs when the reply to the method that is being handled is written; at once when there is none. */
  afterReply(action: () => void): void {
    if (this.#inMethod) this.#afterReply.push(action)
    else action()
  }

  /** The channel's number is free again. */
  channelClosed(channel: Channel): void {
    this.#channels.delete(channel, this.#session)
  }

  // --- heartbeats ---

  sendHeartbeat(): void {
    const { writer } = this
    writer.reserve(HEARTBEAT.length)
    for (const octet of HEARTBEAT) writer.buffer[writer.position++] = octet
  }

  peerSilent(): void {
    this.#giveUp('missed heartbeats from the client')
  }

  /** The client has asked for much and does not read it. */
  answersUnread(): void {
    this.#giveUp('the client does not read the answers that it has asked for')
  }

  #giveUp(sentence: string): void {
    const { address, port } = this.peer
    this.context.broker.logger.warn({ peer: `${address}:${port}` }, sentence)
    this.report(null, sentence)
    this.#socket.destroy()
  }

  // --- input ---

  framesFrom(chunk: Buffer): number {
    if (this.state !== 'header') return 0
    const header = this.#protocolHeader
    const position = header.read(chunk)
    if (!header.complete) return position
    if (header.accepted) {
      this.state = 'starting'
      this.#handshake.start()
    } else {
      this.writer.reserve(PROTOCOL_HEADER.length)
      this.writer.position += PROTOCOL_HEADER.copy(this.writer.buffer, this.writer.position)
      this.end()
    }
    return position
  }

  chunkRead(): void {
    this.#flow.chunkRead(this.#session)
    this.incomplete.chunkRead()
  }

  /** The reader met something that is no frame. */
  outOfStep(error: unknown): void {
    this.#failed(error)
    if (this.state !== 'closed') this.closeSilently()
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
    this.#channels.open(number, this.#session)
    writeChannelOpenOk(this.writer, number)
  }

  /** A header or a body on a channel that is not open. */
  #contentUnasked(number: number): void {
    if (this.state === 'closing') return
    if (this.#session === null) throw unexpectedFrame(number)
    throw contentUnexpected()
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
    this.#channels.close(this.#session)
    this.#session?.close()
    this.#flow.end()
  }

  /**
   * The client has left. Called when there is time for it, twice mostly: it ended its side, and the socket is closed. The
   * second does not come by itself where something is on its way to the client, which may never read it.
   */
  leave(): void {
    if (this.#socket.closed) {
      if (this.context.connections.has(this)) this.#closed()
    } else if (this.state === 'closed' || this.writer.unsentBytes === 0) this.#socket.end()
    else {
      this.#endChannels()
      this.end()
    }
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
    this.#flow.drained()
    this.#channels.resumeConsumers()
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
