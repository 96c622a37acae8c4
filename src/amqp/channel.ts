// One channel of a connection: its state, its consumers and what is out with them.
import { BrokerError } from '../core/errors.ts'
import type { EventFacts } from '../core/events.ts'
import type { Settlement as TracedSettlement, TraceOrigin } from '../core/firehose.ts'
import type { ChannelView } from '../core/clients.ts'
import { MessageCounts } from '../core/counts.ts'
import { EntryState, type Entry } from '../core/queue/entry.ts'
import { NO_KEYS, type Message } from '../core/message.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { Publisher } from '../core/ports.ts'
import type { Delivered, Destinations, Session } from '../core/session.ts'
import { TIGHT_UNACKED_MAX } from '../core/limits.ts'
import { endTurns } from '../lib/turns.ts'
import { AckTimeouts, type DeliveryHolder } from './ack-timeouts.ts'
import type { Confirms } from './confirms.ts'
import type { Connection } from './connection.ts'
import type { ChannelConsumer } from './consumer.ts'
import { ContentAssembly } from './content-assembly.ts'
import { AmqpError, atMethod, replyText } from './errors.ts'
import { RECLAIMED_TAGS_MAX } from './limits.ts'
import { channelMethods } from './methods/channel-methods.ts'
import { Transaction, type Settlement, type TransactionHost } from './transaction.ts'
import { addressReply, takeCopies } from './publish-properties.ts'
import { Unacked, type UnackedVisitor } from './unacked.ts'
import { dispatchChannel, Method, ReplyCode, writeBasicCancel, writeTxCommitOk } from './wire/generated.ts'

/** AMQP's name for "no such route" in basic.return. */
const NO_ROUTE = 'NO_ROUTE'

/**
 * One channel. Owns delivery tags and what is unacknowledged. A channel that was closed by the server swallows what
 * comes until the client has answered (`closing`).
 */
export class Channel implements ChannelView, TransactionHost, DeliveryHolder {
  readonly number: number
  readonly connection: Connection
  readonly session: Session
  readonly consumers = new Map<string, ChannelConsumer>()
  readonly counts = new MessageCounts()
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

  #replyQueue: Queue | null = null
  readonly #content: ContentAssembly
  readonly #unacked = new Unacked()
  /** What acknowledging and rejecting do: others while the vhost is traced. */
  #acknowledgement: Settlement = acknowledgeEntry
  #rejection: Settlement = rejectEntry
  #nextDeliveryTag = 1
  #open = true
  #awaitsRelief = false
  /** Those who watch what waits for acknowledgements for which there is a time. */
  readonly #watches = new Set<AckTimeouts>()
  /** Of these, those that watch what was got, by queue. */
  readonly #got = new Map<Queue, AckTimeouts>()
  /** Tags of deliveries that went back because they took too long: they may still be settled, in vain. */
  readonly #reclaimed = new Set<number>()

  constructor(number: number, connection: Connection, session: Session) {
    this.number = number
    this.connection = connection
    this.session = session
    this.#content = new ContentAssembly(connection.options.messageBytesMax)
  }

  /** The vhost of the channel is traced from here on, or not any more. */
  tracingChanged(on: boolean): void {
    this.#acknowledgement = on ? this.#traced('ack', acknowledgeEntry) : acknowledgeEntry
    this.#rejection = on ? this.#traced('reject', rejectEntry) : rejectEntry
  }

  #traced(how: TracedSettlement, settle: Settlement): Settlement {
    return (entry, consumer) => {
      settle(entry, consumer)
      this.#trace(how, entry)
    }
  }

  #trace(how: TracedSettlement, entry: Entry): void {
    const { vhost, user } = this.session
    vhost.firehose?.settled(how, entry.message, entry.queue.name, this.#origin, user.name)
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

  #tell(event: string, facts: () => EventFacts): void {
    const { user, vhost } = this.session
    this.connection.context.broker.events.emit(event, () => {
      return { ...facts(), vhost: vhost.name, user_who_performed_action: user.name }
    })
  }

  /** The channel as the trace tells of it. */
  get #origin(): TraceOrigin {
    return { name: this.connection.name, channelNumber: this.number }
  }

  get activity(): 'running' | 'closing' {
    return this.closing || !this.#open ? 'closing' : 'running'
  }

  get confirmMode(): boolean {
    return this.confirms !== null
  }

  get unackedCount(): number {
    return this.#unacked.count
  }

  get firstUnackedTag(): number {
    return this.#unacked.first ?? this.#nextDeliveryTag
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

  /** Takes the payload of a method frame. Throws AmqpError or WireError for what must end channel or connection. */
  method(buffer: Buffer, start: number, end: number): void {
    if (this.#content.busy) throw this.#content.interrupted()
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

  header(buffer: Buffer, start: number, end: number): void {
    const message = this.#content.header(buffer, start, end)
    if (message !== null) this.#publish(message)
  }

  body(buffer: Buffer, start: number, end: number): void {
    const message = this.#content.body(buffer, start, end)
    if (message !== null) this.#publish(message)
  }

  get transactional(): boolean {
    return this.transaction !== null
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

  /** basic.publish: its content follows. */
  beginPublish(exchange: string, routingKey: string, mandatory: boolean): void {
    this.#content.begin(exchange, routingKey, mandatory)
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
    if (entry.redelivered) counts.redelivered++
    if (consumer.noAck) counts.deliveredNoAck++
    else {
      counts.delivered++
      consumer.outstanding++
      this.#unacked.add(tag, entry, consumer)
    }
    const { deliveries } = this.connection
    const message = entry.presented
    if (deliveries.plain(message) || this.#mayDeliver(entry, message)) {
      deliveries.deliver(this.number, consumer.tagBytes, tag, entry.redelivered, message)
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
    if (entry.redelivered) this.counts.redelivered++
    if (noAck) this.counts.gotNoAck++
    else this.counts.got++
    if (entry.state === EntryState.unacked) {
      this.#unacked.add(tag, entry, null)
      this.#watchGot(entry.queue)
    }
    const { deliveries } = this.connection
    const message = entry.presented
    if (deliveries.plain(message) || this.#mayDeliver(entry, message))
      deliveries.getOk(this.number, tag, entry.redelivered, message, messageCount)
  }

  /** basic.ack. Throws AmqpError 406 when the tag is not outstanding. */
  acknowledge(tag: number | bigint, multiple: boolean): void {
    if (this.transaction !== null) {
      const traced = this.#acknowledgement !== acknowledgeEntry
      const settlement = traced ? this.#traced('ack', acknowledgeInTransaction) : acknowledgeInTransaction
      this.#settleLater(this.transaction, tag, multiple, settlement)
      return
    }
    const before = this.#unacked.count
    this.#take(tag, multiple, this.#acknowledgement)
    this.counts.acknowledged += before - this.#unacked.count
    this.#returnCredit()
  }

  /** basic.nack and basic.reject; `failed` tells a rejection from giving back (RabbitMQ 4.3). Throws AmqpError 406 when the tag is not outstanding. */
  reject(tag: number | bigint, multiple: boolean, requeue: boolean, failed: boolean): void {
    if (this.transaction !== null) {
      const settlement = requeue ? (failed ? requeueFailed : requeueGivenBack) : this.#rejection
      this.#settleLater(this.transaction, tag, multiple, settlement)
    } else if (requeue) {
      this.#requeue(tag, multiple, failed)
    } else {
      this.#take(tag, multiple, this.#rejection)
      this.#returnCredit()
    }
  }

  /** basic.recover: everything that is outstanding goes back to its queue. It is no part of transactions. */
  recover(): void {
    this.#requeue(0, true, false)
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
    if (settled > 0) this.#returnCredit()
  }

  /** tx.rollback. What was settled is outstanding again; it is not redelivered by itself. */
  rollback(transaction: Transaction): void {
    this.#unacked.restore(transaction.rollback())
  }

  #requeue(tag: number | bigint, multiple: boolean, failed: boolean): void {
    const queues = new Set<Queue>()
    this.#take(tag, multiple, (entry, consumer) => {
      requeueEntry(entry, consumer, queues, failed)
      this.#trace('requeue', entry)
    })
    for (const queue of queues) queue.takenBack()
    this.#returnCredit()
  }

  /** What a commit delivers. Part of TransactionHost, as are the next two. */
  deliverCommitted(message: Message, destinations: Destinations, publisher: Publisher): Delivered {
    return this.session.deliver(message, destinations, publisher, 0)
  }

  unroutable(message: Message): void {
    this.counts.returned++
    const { deliveries } = this.connection
    if (!deliveries.fits(message)) this.#cannotDeliver(message)
    else deliveries.returned(this.number, ReplyCode.noRoute, NO_ROUTE, message)
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

  /** The queue has ended the subscription: the client hears of it if it can (RabbitMQ: consumer_cancel_notify). */
  consumerCancelled(consumer: ChannelConsumer): void {
    this.consumers.delete(consumer.tag)
    if (this.closing || !this.#open || !this.connection.client.consumerCancelNotify) return
    this.connection.afterReply(() => {
      if (this.#open && !this.closing) writeBasicCancel(this.connection.writer, this.number, consumer.tag, true)
    })
  }

  /** How long what this queue delivers may wait for its acknowledgement; 0 for ever. */
  timeoutMs(queue: Queue): number {
    const { consumerTimeoutMs } = queue.rules
    return consumerTimeoutMs >= 0 ? consumerTimeoutMs : this.connection.options.consumerTimeoutMs
  }

  /** Watches what a consumer has, or what was got from a queue (then there is no consumer). */
  watch(timeoutMs: number, consumer: ChannelConsumer | null, queue: Queue): AckTimeouts {
    const timeouts = new AckTimeouts(this.connection.context.broker.clock, timeoutMs, this, consumer, queue)
    this.#watches.add(timeouts)
    return timeouts
  }

  unwatch(timeouts: AckTimeouts): void {
    timeouts.stop()
    this.#watches.delete(timeouts)
    if (timeouts.consumer === null) this.#got.delete(timeouts.queue)
  }

  get nextDeliveryTag(): number {
    return this.#nextDeliveryTag
  }

  watchOver(timeouts: AckTimeouts): boolean {
    const { consumer, queue } = timeouts
    let over = consumer === null || consumer.over
    if (consumer === null) {
      this.#unacked.each((_tag, entry, holder) => {
        if (holder === null && entry.queue === queue && !queue.deleted) over = false
      })
    }
    if (over) this.unwatch(timeouts)
    return over
  }

  /**
   * Deliveries have taken too long. RabbitMQ 4.3: they go back, and their consumer is cancelled if the client can be
   * told; otherwise, and for what was got, the channel is closed. It is no failure that counts for a delivery limit.
   */
  overdue({ consumer, queue, timeoutMs }: AckTimeouts, below: number): void {
    const tags: number[] = []
    this.#unacked.eachBelow(below, (tag, entry, holder) => {
      if (holder === consumer && entry.queue === queue) tags.push(tag)
    })
    if (tags.length === 0) return
    const { consumerTimeoutCloses } = this.connection.options
    if (consumer === null || consumerTimeoutCloses || !this.connection.client.consumerCancelNotify) {
      this.connection.channelFailed(this, acknowledgementTimeout(this.number, timeoutMs))
      return
    }
    for (const tag of tags) {
      this.#unacked.take(tag, false, (entry) => {
        giveBack(consumer)
        entry.queue.requeue(entry, false)
      })
      this.#reclaim(tag)
    }
    if (this.consumers.get(consumer.tag) === consumer) {
      consumer.stop()
      this.consumerCancelled(consumer)
    }
    this.#returnCredit()
    queue.takenBack()
  }

  /**
   * The socket has room again, or prefetch has changed: consumers may take more. Who leaves nothing to the others comes
   * last the next time.
   */
  resumeConsumers(): void {
    let served = 0
    let exhausted = !this.takes(false)
    for (const consumer of this.consumers.values()) {
      if (!exhausted) served++
      consumer.resume()
      exhausted ||= !this.takes(false)
    }
    if (exhausted) endTurns(this.consumers, served)
  }

  /** Stops taking and giving: consumers end, what is outstanding goes back, publishes are no longer confirmed. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    this.connection.context.broker.churn.channelsClosed++
    this.#tell('channel.closed', () => ({ number: this.number, name: this.name }))
    this.session.vhost.channelClosed(this.counts)
    this.#content.abandon()
    this.confirms?.close()
    if (this.transaction !== null) this.rollback(this.transaction)
    const queues = new Set<Queue>()
    // Back first: the end of the last consumer may delete its queue.
    this.#unacked.take(0, true, (entry, consumer) => requeueEntry(entry, consumer, queues, true))
    const consumers = [...this.consumers.values()]
    this.consumers.clear()
    for (const timeouts of this.#watches) timeouts.stop()
    for (const consumer of consumers) consumer.stop()
    // Usually it went with its consumer; not if that was refused.
    if (this.replyQueue !== null) this.session.endReplies(this.replyQueue)
    for (const queue of queues) queue.takenBack()
  }

  #watchGot(queue: Queue): void {
    const timeoutMs = this.timeoutMs(queue)
    if (timeoutMs > 0 && !this.#got.has(queue)) this.#got.set(queue, this.watch(timeoutMs, null, queue))
  }

  #reclaim(tag: number): void {
    this.#reclaimed.add(tag)
    if (this.#reclaimed.size <= RECLAIMED_TAGS_MAX) return
    for (const oldest of this.#reclaimed) {
      this.#reclaimed.delete(oldest)
      return
    }
  }

  #publish(message: Message): void {
    const content = this.#content
    this.counts.published++
    try {
      const copies = content.special ? this.#checkProperties(message) : NO_KEYS
      if (this.transaction === null) this.#publishNow(message, copies)
      else this.transaction.publish(message, this.session.destinations(message, copies), content.mandatory)
    } catch (error) {
      throw atMethod(error, Method.basicPublish)
    }
  }

  #publishNow(message: Message, copies: readonly string[]): void {
    const { session, confirms, counts } = this
    const sequence = confirms === null ? 0 : confirms.begin()
    const reached =
      copies === NO_KEYS
        ? session.publish(message, confirms, sequence)
        : session.publishCopies(message, copies, confirms, sequence)
    // RabbitMQ: a message that is delayed has reached nobody yet, and is returned although it is delivered later.
    if (this.#content.mandatory && session.unrouted) this.unroutable(message)
    else if (reached === 0) counts.dropped++
    if (confirms !== null) confirms.finish(sequence, reached)
  }

  /** Takes a closer look at a delivery. Returns false when it cannot be made. */
  #mayDeliver(entry: Entry, message: Message): boolean {
    const { vhost, user } = this.session
    vhost.firehose?.delivered(message, entry.queue.name, entry.redelivered, this.#origin, user.name)
    if (this.connection.deliveries.fits(message)) return true
    this.#cannotDeliver(message)
    return false
  }

  /** RabbitMQ: while a commit is under way the channel may only be closed. */
  #assertNotCommitting(method: number): void {
    if (method === Method.channelClose) return
    const sentence = "unexpected command while processing 'tx.commit'"
    throw new AmqpError('connection', ReplyCode.channelError, sentence, method)
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

  /**
   * A content header cannot be split over frames, and this one is too large for the client's: RabbitMQ ends such a
   * connection too. What it holds goes back to the queues, but not while one of them is at work.
   */
  #cannotDeliver(message: Message): void {
    this.connection.stopDelivering()
    const sentence = `content header with ${message.propertiesBytes} bytes of properties exceeds the frame size`
    queueMicrotask(() => this.connection.close(ReplyCode.frameError, replyText(ReplyCode.frameError, sentence), 0))
  }

  /**
   * Does what properties ask for, and returns the further routing keys among it. RabbitMQ: what is wrong with the
   * exchange comes before the reply-to, that before expiration, CC and BCC, and the user-id is last.
   */
  #checkProperties(message: Message): readonly string[] {
    const { userId, fault: expiration, directReply, copied } = this.#content
    const userIdFault = userId === null ? null : this.#userIdFault(userId)
    if (expiration === null && userIdFault === null && !directReply && !copied) return NO_KEYS
    this.session.publishableExchange(message.exchange)
    if (directReply) {
      if (this.replyQueue === null) throw new BrokerError('precondition-failed', 'fast reply consumer does not exist')
      addressReply(message, this.replyQueue.name)
    }
    if (expiration !== null) throw expiration
    const copies = copied ? takeCopies(message) : NO_KEYS
    if (userIdFault !== null) throw userIdFault
    return copies
  }

  /** RabbitMQ: validated user-id. */
  #userIdFault(userId: string): AmqpError | null {
    const { name, tags } = this.session.user
    if (userId === name || tags.includes('impersonator')) return null
    const sentence = `user_id property set to '${userId}' but authenticated user was '${name}'`
    return new AmqpError('channel', ReplyCode.preconditionFailed, sentence, Method.basicPublish)
  }

  #settleLater(transaction: Transaction, tag: number | bigint, multiple: boolean, settlement: Settlement): void {
    this.#take(tag, multiple, (entry, consumer, each) => transaction.settle(each, entry, consumer, settlement))
  }

  #take(tag: number | bigint, multiple: boolean, visit: UnackedVisitor): void {
    if (typeof tag === 'number') {
      if (this.#unacked.take(tag, multiple, visit)) return
      if (this.#reclaimed.delete(tag)) {
        if (multiple) this.#takeBelow(tag, visit)
        return
      }
    }
    throw new AmqpError('channel', ReplyCode.preconditionFailed, `unknown delivery tag ${tag}`)
  }

  /** Takes out all deliveries below a tag that is not outstanding itself. */
  #takeBelow(below: number, visit: UnackedVisitor): void {
    let last = 0
    this.#unacked.eachBelow(below, (tag) => (last = tag))
    if (last > 0) this.#unacked.take(last, true, visit)
  }

  /** Tells the queues that their consumers can take more. */
  #returnCredit(): void {
    if (this.globalPrefetch > 0) {
      this.resumeConsumers()
      return
    }
    for (const consumer of this.consumers.values()) if (consumer.credited) consumer.resume()
  }
}

/** RabbitMQ's text; the failure is no method's. */
function acknowledgementTimeout(channel: number, timeoutMs: number): AmqpError {
  const sentence =
    `delivery acknowledgement on channel ${channel} timed out. Timeout value used: ${timeoutMs} ms. ` +
    'This timeout value can be configured, see consumers doc guide to learn more'
  return new AmqpError('channel', ReplyCode.preconditionFailed, sentence)
}

function acknowledgeEntry(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  entry.queue.acknowledge(entry)
}

function acknowledgeInTransaction(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  entry.queue.acknowledgeInTransaction(entry)
}

function rejectEntry(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  entry.queue.reject(entry)
}

function requeueEntry(entry: Entry, consumer: ChannelConsumer | null, queues: Set<Queue>, failed: boolean): void {
  giveBack(consumer)
  entry.queue.requeue(entry, failed)
  queues.add(entry.queue)
}

/** A rejection that is committed, and what is given back likewise. */
function requeueFailed(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  entry.queue.requeue(entry, true)
  entry.queue.takenBack()
}

function requeueGivenBack(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  entry.queue.requeue(entry, false)
  entry.queue.takenBack()
}

function giveBack(consumer: ChannelConsumer | null): void {
  if (consumer === null) return
  consumer.outstanding--
  consumer.credited = true
}
