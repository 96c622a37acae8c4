// One channel of a connection: its state, its consumers and what is out with them.
import type { EventFacts } from '../core/events.ts'
import type { TraceOrigin } from '../core/firehose.ts'
import type { ChannelView } from '../core/clients.ts'
import { MessageCounts } from '../core/counts.ts'
import { EntryState, type Entry } from '../core/queue/entry.ts'
import type { Message } from '../core/message.ts'
import { Gets } from '../core/gets.ts'
import { Passages } from '../core/passages.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { Consumer, Publisher } from '../core/ports.ts'
import type { Delivered, Destinations, Session } from '../core/session.ts'
import { TIGHT_UNACKED_MAX } from '../core/limits.ts'
import { endTurns } from '../lib/end-turns.ts'
import { ChannelTimeouts } from './channel-timeouts.ts'
import type { Confirms } from './confirms.ts'
import type { Connection } from './connection.ts'
import type { ChannelConsumer } from './consumer.ts'
import { AmqpError, atMethod, replyText } from './errors.ts'
import { channelMethods } from './methods/channel-methods.ts'
import { Publishing } from './publishing.ts'
import { Settlements } from './settlements.ts'
import { Transaction, type TransactionHost } from './transaction.ts'
import type { Uncommitted } from './uncommitted.ts'
import { Unacked } from './unacked.ts'
import { dispatchChannel, Method, ReplyCode, writeBasicCancel, writeTxCommitOk } from './wire/generated.ts'

/** AMQP's name for "no such route" in basic.return. */
const NO_ROUTE = 'NO_ROUTE'

/**
 * One channel. Owns its consumers, the delivery tags and what is unacknowledged. A channel that was closed by the server
 * swallows what comes until the client has answered (`closing`).
 */
export class Channel implements ChannelView, TransactionHost {
  readonly number: number
  readonly connection: Connection
  readonly session: Session
  readonly consumers = new Map<string, ChannelConsumer>()
  readonly counts = new MessageCounts()
  readonly publishes = new Passages()
  readonly gets = new Gets()
  /** The last queue that was declared here: what an empty queue name stands for (AMQP 0-9-1, queue.declare). */
  lastQueue = ''
  /** The prefetch of consumers that start from now on (RabbitMQ: basic.qos, global = false). */
  consumerPrefetch = 0
  /** The prefetch of all consumers together (RabbitMQ: basic.qos, global = true). */
  globalPrefetch = 0
  confirms: Confirms | null = null
  /** What waits for tx.commit, since tx.select. */
  transaction: Transaction | null = null
  closing = false
  readonly publishing: Publishing
  readonly settlements: Settlements
  readonly timeouts: ChannelTimeouts

  #replyQueue: Queue | null = null
  readonly #unacked = new Unacked()
  #nextDeliveryTag = 1
  #open = true
  #awaitsRelief = false

  constructor(number: number, connection: Connection, session: Session) {
    this.number = number
    this.connection = connection
    this.session = session
    this.publishing = new Publishing(this)
    this.settlements = new Settlements(this, this.#unacked)
    this.timeouts = new ChannelTimeouts(this, this.#unacked)
  }

  /** `peer host:port -> own host:port (number)`. */
  get name(): string {
    return `${this.connection.name} (${this.number})`
  }

  /** The channel is open. */
  opened(): void {
    this.#tell('channel.created', () => ({
      number: this.number,
      name: this.name,
      connection: this.connection.name,
      user: this.session.user.name,
    }))
  }

  /** Takes the payload of a method frame. Throws AmqpError or WireError for what must end channel or connection. */
  method(buffer: Buffer, start: number, end: number): void {
    this.publishing.assertIdle()
    const method = buffer.readUInt32BE(start)
    if (this.transaction?.pending) this.#assertNotCommitting(method)
    try {
      if (!dispatchChannel(channelMethods, this, buffer, start, end)) {
        throw new AmqpError('connection', ReplyCode.commandInvalid, 'unimplemented method', method)
      }
    } catch (error) {
      throw atMethod(error, method)
    }
  }

  /** Whether a delivery can be taken now, as far as the channel and its connection go. */
  takes(noAck: boolean): boolean {
    if (this.connection.writer.full || !this.#open) return false
    if (noAck) return true
    const { transaction } = this
    if (this.globalPrefetch > 0) {
      const consumed = this.#unacked.consumedCount + (transaction?.settledConsumedCount ?? 0)
      if (consumed >= this.globalPrefetch) return false
    }
    const outstanding = this.#unacked.count + (transaction?.settledCount ?? 0)
    return outstanding < TIGHT_UNACKED_MAX || !this.#tight()
  }

  /** Writes a delivery, and remembers it if it is to be acknowledged. Returns whether it could be written. */
  deliver(consumer: ChannelConsumer, entry: Entry): boolean {
    const tag = this.#nextDeliveryTag++
    const { counts } = this
    consumer.delivered++
    if (entry.redelivered) {
      counts.redelivered++
      consumer.redelivered++
    }
    if (consumer.noAck) counts.deliveredNoAck++
    else {
      counts.delivered++
      consumer.outstanding++
      this.#unacked.add(tag, entry, consumer)
      if (this.globalPrefetch > 0) this.#endTurn(consumer)
    }
    const { deliveries } = this.connection
    const message = entry.presented
    if (deliveries.plain(message) || this.#mayDeliver(entry, message)) {
      deliveries.deliver(consumer.head, tag, entry.redelivered, message)
      return true
    }
    if (consumer.noAck) {
      consumer.outstanding++
      this.#unacked.add(tag, entry, consumer)
    }
    return false
  }

  /** Whether a message can be written to the client at all. */
  readonly fits = (message: Message): boolean => this.connection.deliveries.fits(message)

  /** Answers basic.get with a message. */
  deliverGot(entry: Entry, noAck: boolean, messageCount: number): void {
    const tag = this.#nextDeliveryTag++
    const gets = this.gets.of(entry.queue.name)
    if (entry.redelivered) {
      this.counts.redelivered++
      gets.redelivered++
    }
    if (noAck) {
      this.counts.gotNoAck++
      gets.gotNoAck++
    } else {
      this.counts.got++
      gets.got++
    }
    if (entry.state === EntryState.unacked) {
      this.#unacked.add(tag, entry, null)
      this.timeouts.watchGot(entry.queue)
    }
    const { deliveries } = this.connection
    const message = entry.presented
    if (deliveries.plain(message) || this.#mayDeliver(entry, message))
      deliveries.getOk(this.number, tag, entry.redelivered, message, messageCount)
  }

  /** Tells the queues that their consumers can take more. */
  returnCredit(): void {
    if (this.globalPrefetch > 0) {
      this.resumeConsumers()
      return
    }
    for (const consumer of this.consumers.values()) if (consumer.credited) consumer.resume()
  }

  /**
   * The socket has room again, or prefetch has changed: consumers may take more. Who leaves nothing to the others comes
   * last the next time.
   */
  resumeConsumers(): void {
    let served = 0
    let exhausted = !this.takes(false)
    for (const consumer of [...this.consumers.values()]) {
      if (!exhausted) served++
      consumer.resume()
      exhausted ||= !this.takes(false)
    }
    if (exhausted && this.globalPrefetch === 0) endTurns(this.consumers, served)
  }

  /** RabbitMQ: those who wait for the prefetch that they share stand in line, and whoever got something comes last. */
  #endTurn(consumer: ChannelConsumer): void {
    if (this.consumers.size === 1 || !this.consumers.delete(consumer.tag)) return
    this.consumers.set(consumer.tag, consumer)
  }

  /** A consumer is there, or gone. */
  consumerTold(event: 'consumer.created' | 'consumer.deleted', consumer: ChannelConsumer): void {
    this.#tell(event, () => ({
      consumer_tag: consumer.tag,
      queue: consumer.queue.name,
      channel: this.name,
      ack_required: !consumer.noAck,
      exclusive: consumer.exclusive,
      prefetch_count: consumer.prefetch,
      arguments: consumer.arguments,
    }))
  }

  /** The queue has ended the subscription: the client hears of it if it can (RabbitMQ: consumer_cancel_notify). */
  consumerCancelled(consumer: ChannelConsumer): void {
    this.consumers.delete(consumer.tag)
    if (this.closing || !this.#open || !this.connection.client.consumerCancelNotify) return
    this.connection.afterReply(() => {
      if (this.#open && !this.closing) writeBasicCancel(this.connection.writer, this.number, consumer.tag, true)
    })
  }

  /** Where direct replies to this channel are published, while it consumes them. */
  get replyQueue(): Queue | null {
    return this.#replyQueue === null || this.#replyQueue.deleted ? null : this.#replyQueue
  }

  /** The channel is about to consume direct replies. */
  startReplies(): Queue {
    this.#replyQueue = this.session.consumeReplies()
    return this.#replyQueue
  }

  /** tx.select. From now on publishes, acknowledgements and rejections wait for tx.commit. */
  beginTransactions(): void {
    this.transaction ??= new Transaction(this)
  }

  /** tx.commit. Everything is enlisted at once; tx.commit-ok follows when it is safe, and any other method after that. */
  commit(transaction: Transaction): void {
    const settled = transaction.settledCount
    this.connection.durably(() => {
      // What acknowledgements change must be on disk before anything is answered, as with any other command.
      if (settled > 0) this.connection.context.broker.durableChanges++
      transaction.commit()
    })
    if (settled > 0) this.returnCredit()
  }

  /** tx.rollback. What was settled is outstanding again; it is not redelivered by itself. */
  rollback(transaction: Transaction): void {
    this.#unacked.restore(transaction.rollback())
  }

  /** Part of TransactionHost, as are the next three. */
  get uncommitted(): Uncommitted {
    return this.connection.uncommitted
  }

  /** What a commit delivers. */
  deliverCommitted(message: Message, destinations: Destinations, publisher: Publisher): Delivered {
    return this.session.deliver(message, destinations, publisher, 0)
  }

  unroutable(message: Message): void {
    this.counts.returned++
    const passage = this.publishes.by(message.exchange)
    if (passage !== undefined) passage.returned++
    const { deliveries } = this.connection
    if (!deliveries.fits(message)) this.#cannotDeliver(message)
    else deliveries.returned(this.number, ReplyCode.noRoute, NO_ROUTE, message)
  }

  /** A message that is not mandatory reached no queue. */
  dropped(message: Message): void {
    this.counts.dropped++
    const passage = this.publishes.by(message.exchange)
    if (passage !== undefined) passage.dropped++
  }

  committed(refused: boolean): void {
    if (!this.#open || this.closing) return
    if (!refused) {
      writeTxCommitOk(this.connection.writer, this.number)
      return
    }
    const { preconditionFailed } = ReplyCode
    const error = new AmqpError('channel', preconditionFailed, 'partial tx completion', Method.txCommit)
    this.connection.channelFailed(this, error)
  }

  /** Stops taking and giving: consumers end, what is outstanding goes back, publishes are no longer confirmed. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    this.connection.context.broker.churn.channelsClosed++
    this.#tell('channel.closed', () => ({ number: this.number, name: this.name }))
    this.session.vhost.channelClosed(this.counts)
    this.publishing.abandon()
    this.confirms?.close()
    if (this.transaction !== null) this.rollback(this.transaction)
    // Back first: the end of the last consumer may delete its queue.
    const queues = this.settlements.end()
    const consumers = [...this.consumers.values()]
    // The next single active consumer gets what is left. A queue that goes with its last consumer drops nothing before.
    for (const queue of queues) if (!goesWith(queue, consumers)) queue.shorten()
    this.consumers.clear()
    this.timeouts.stop()
    for (const consumer of consumers) consumer.stop()
    // Usually it went with its consumer; not if that was refused.
    if (this.replyQueue !== null) this.session.endReplies(this.replyQueue)
    for (const queue of queues) queue.takenBack()
  }

  get activity(): 'running' | 'closing' {
    return this.closing || !this.#open ? 'closing' : 'running'
  }

  get confirmMode(): boolean {
    return this.confirms !== null
  }

  get transactional(): boolean {
    return this.transaction !== null
  }

  get nextDeliveryTag(): number {
    return this.#nextDeliveryTag
  }

  get firstUnackedTag(): number {
    return this.#unacked.first ?? this.#nextDeliveryTag
  }

  get unackedCount(): number {
    return this.#unacked.count
  }

  get unconfirmedCount(): number {
    return this.confirms?.outstanding ?? 0
  }

  get consumerViews(): Iterable<ChannelConsumer> {
    return this.consumers.values()
  }

  get consumerCount(): number {
    return this.consumers.size
  }

  eachUnacked(visit: (deliveryTag: number, entry: Entry, consumerTag: string) => void): void {
    this.#unacked.each((tag, entry, consumer) => visit(tag, entry, consumer?.tag ?? ''))
  }

  /** The channel as the trace tells of it. */
  get origin(): TraceOrigin {
    return { name: this.connection.name, channelNumber: this.number }
  }

  /** RabbitMQ: while a commit is under way the channel may only be closed. */
  #assertNotCommitting(method: number): void {
    if (method === Method.channelClose) return
    const sentence = "unexpected command while processing 'tx.commit'"
    throw new AmqpError('connection', ReplyCode.channelError, sentence, method)
  }

  /** Takes a closer look at a delivery. Returns false when it cannot be made. */
  #mayDeliver(entry: Entry, message: Message): boolean {
    const { vhost, user } = this.session
    vhost.firehose?.delivered(message, entry.queue.name, entry.redelivered, this.origin, user.name)
    if (this.connection.deliveries.fits(message)) return true
    this.#cannotDeliver(message)
    return false
  }

  /**
   * A content header cannot be split over frames, and this one is too large for the client's: RabbitMQ ends such a
   * connection too. What it holds goes back to the queues, but not while one of them is at work.
   */
  #cannotDeliver(message: Message): void {
    this.connection.stopDelivering()
    const sentence = `content header with ${message.propertiesBytes} bytes of properties exceeds the frame size`
    queueMicrotask(() => this.connection.close(ReplyCode.frameError, replyText(ReplyCode.frameError, sentence), 0))
  }

  /** Whether memory is short, so that no more unacknowledged messages are let out; asks to be told when it is not. */
  #tight(): boolean {
    const { resources } = this.connection.context.broker
    if (!resources.tight) return false
    if (!this.#awaitsRelief) {
      this.#awaitsRelief = true
      resources.whenRelieved(() => {
        this.#awaitsRelief = false
        if (this.#open) this.resumeConsumers()
      })
    }
    return true
  }

  #tell(event: string, facts: () => EventFacts): void {
    const { user, vhost } = this.session
    this.connection.context.broker.events.emit(event, () => {
      return { ...facts(), vhost: vhost.name, user_who_performed_action: user.name }
    })
  }
}

/** Whether a queue is deleted once these consumers end. */
function goesWith({ autoDelete, consumers }: Queue, ending: readonly Consumer[]): boolean {
  return autoDelete && consumers.length > 0 && consumers.every((consumer) => ending.includes(consumer))
}
