// One channel of a connection: its state, its consumers and what is out with them.
import type { ChannelView } from '../core/clients.ts'
import { MessageCounts } from '../core/counts.ts'
import type { Entry } from '../core/queue/entry.ts'
import type { Message } from '../core/message.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { Session } from '../core/session.ts'
import { TIGHT_UNACKED_MAX } from '../core/limits.ts'
import type { Confirms } from './confirms.ts'
import type { Connection } from './connection.ts'
import type { ChannelConsumer } from './consumer.ts'
import { ContentAssembly } from './content-assembly.ts'
import { AmqpError, atMethod, replyText } from './errors.ts'
import { channelMethods } from './methods/channel-methods.ts'
import { Unacked } from './unacked.ts'
import { dispatchChannel, Method, ReplyCode, writeBasicCancel } from './wire/generated.ts'

/** AMQP's name for "no such route" in basic.return. */
const NO_ROUTE = 'NO_ROUTE'

/**
 * One channel. Owns delivery tags and what is unacknowledged. A channel that was closed by the server swallows what
 * comes until the client has answered (`closing`).
 */
export class Channel implements ChannelView {
  readonly number: number
  readonly connection: Connection
  readonly session: Session
  readonly consumers = new Map<string, ChannelConsumer>()
  readonly counts = new MessageCounts()
  readonly transactional = false
  /** The last queue that was declared here: what an empty queue name stands for (AMQP 0-9-1, queue.declare). */
  lastQueue = ''
  /** The prefetch of consumers that start from now on (RabbitMQ: basic.qos, global = false). */
  consumerPrefetch = 0
  /** The prefetch of all consumers together (RabbitMQ: basic.qos, global = true). */
  globalPrefetch = 0
  confirms: Confirms | null = null
  closing = false

  readonly #content: ContentAssembly
  readonly #unacked = new Unacked()
  #nextDeliveryTag = 1
  #open = true
  #awaitsRelief = false

  constructor(number: number, connection: Connection, session: Session) {
    this.number = number
    this.connection = connection
    this.session = session
    this.#content = new ContentAssembly(connection.options.messageBytesMax)
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

  /** basic.publish: its content follows. */
  beginPublish(exchange: string, routingKey: string, mandatory: boolean): void {
    this.#content.begin(exchange, routingKey, mandatory)
  }

  /** Whether a delivery can be taken now, as far as the channel and its connection go. */
  takes(noAck: boolean): boolean {
    if (this.connection.writer.full || !this.#open) return false
    if (noAck) return true
    const outstanding = this.#unacked.count
    if (this.globalPrefetch > 0 && outstanding >= this.globalPrefetch) return false
    return outstanding < TIGHT_UNACKED_MAX || !this.#tight()
  }

  /** Writes a delivery, and remembers it if it is to be acknowledged. */
  deliver(consumer: ChannelConsumer, entry: Entry): void {
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
    if (!deliveries.fits(message)) this.#cannotDeliver(message)
    else deliveries.deliver(this.number, consumer.tagBytes, tag, entry.redelivered, message)
  }

  /** Answers basic.get with a message. */
  deliverGot(entry: Entry, noAck: boolean, messageCount: number): void {
    const tag = this.#nextDeliveryTag++
    if (entry.redelivered) this.counts.redelivered++
    if (noAck) this.counts.gotNoAck++
    else this.counts.got++
    if (!noAck) this.#unacked.add(tag, entry, null)
    const { deliveries } = this.connection
    const message = entry.presented
    if (!deliveries.fits(message)) this.#cannotDeliver(message)
    else deliveries.getOk(this.number, tag, entry.redelivered, message, messageCount)
  }

  /** basic.ack. Throws AmqpError 406 when the tag is not outstanding. */
  acknowledge(tag: number | bigint, multiple: boolean): void {
    const before = this.#unacked.count
    this.#take(tag, multiple, acknowledgeEntry)
    this.counts.acknowledged += before - this.#unacked.count
    this.#returnCredit()
  }

  /** basic.nack and basic.reject; `failed` tells a rejection from giving back (RabbitMQ 4.3). Throws AmqpError 406 when the tag is not outstanding. */
  reject(tag: number | bigint, multiple: boolean, requeue: boolean, failed: boolean): void {
    if (!requeue) {
      this.#take(tag, multiple, rejectEntry)
      this.#returnCredit()
      return
    }
    const queues = new Set<Queue>()
    this.#take(tag, multiple, (entry, consumer) => requeueEntry(entry, consumer, queues, failed))
    this.#returnCredit()
    for (const queue of queues) queue.takenBack()
  }

  /** basic.recover: everything that is outstanding goes back to its queue. */
  recover(): void {
    this.reject(0, true, true, false)
  }

  /** The queue has ended the subscription: the client hears of it if it can (RabbitMQ: consumer_cancel_notify). */
  consumerCancelled(consumer: ChannelConsumer): void {
    this.consumers.delete(consumer.tag)
    if (this.closing || !this.#open || !this.connection.client.consumerCancelNotify) return
    this.connection.afterReply(() => {
      if (this.#open && !this.closing) writeBasicCancel(this.connection.writer, this.number, consumer.tag, true)
    })
  }

  /** The socket has room again, or prefetch has changed: consumers may take more. */
  resumeConsumers(): void {
    for (const consumer of this.consumers.values()) consumer.resume()
  }

  /** Stops taking and giving: consumers end, what is outstanding goes back, publishes are no longer confirmed. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    this.connection.context.broker.churn.channelsClosed++
    this.session.vhost.channelClosed(this.counts)
    this.#content.abandon()
    this.confirms?.close()
    const queues = new Set<Queue>()
    // Back first: the end of the last consumer may delete its queue.
    this.#unacked.take(0, true, (entry, consumer) => requeueEntry(entry, consumer, queues, true))
    const consumers = [...this.consumers.values()]
    this.consumers.clear()
    for (const consumer of consumers) consumer.stop()
    for (const queue of queues) queue.takenBack()
  }

  #publish(message: Message): void {
    const content = this.#content
    if (content.fault !== null || content.userId !== null) this.#checkProperties(message)
    const { confirms, counts } = this
    counts.published++
    const sequence = confirms === null ? 0 : confirms.begin()
    let reached: number
    try {
      reached = this.session.publish(message, confirms, sequence)
    } catch (error) {
      throw atMethod(error, Method.basicPublish)
    }
    if (reached === 0) {
      if (content.mandatory) counts.returned++
      else counts.dropped++
    }
    if (reached === 0 && content.mandatory) {
      const { deliveries } = this.connection
      if (!deliveries.fits(message)) this.#cannotDeliver(message)
      else deliveries.returned(this.number, ReplyCode.noRoute, NO_ROUTE, message)
    }
    if (confirms !== null) confirms.finish(sequence, reached)
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
    const sentence = `content header with ${message.propertiesBytes} bytes of properties exceeds the frame size`
    queueMicrotask(() => this.connection.close(ReplyCode.frameError, replyText(ReplyCode.frameError, sentence), 0))
  }

  /** RabbitMQ: what is wrong with the exchange comes before the expiration, and that before the user-id. */
  #checkProperties(message: Message): void {
    const { userId, fault: expiration } = this.#content
    const fault = expiration ?? this.#userIdFault(userId!)
    if (fault === null) return
    try {
      this.session.publishableExchange(message.exchange)
    } catch (error) {
      throw atMethod(error, Method.basicPublish)
    }
    throw fault
  }

  /** RabbitMQ: validated user-id. */
  #userIdFault(userId: string): AmqpError | null {
    const { name, tags } = this.session.user
    if (userId === name || tags.includes('impersonator')) return null
    const sentence = `user_id property set to '${userId}' but authenticated user was '${name}'`
    return new AmqpError('channel', ReplyCode.preconditionFailed, sentence, Method.basicPublish)
  }

  #take(
    tag: number | bigint,
    multiple: boolean,
    visit: (entry: Entry, consumer: ChannelConsumer | null) => void,
  ): void {
    if (typeof tag === 'number' && this.#unacked.take(tag, multiple, visit)) return
    throw new AmqpError('channel', ReplyCode.preconditionFailed, `unknown delivery tag ${tag}`)
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

function acknowledgeEntry(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  entry.queue.acknowledge(entry)
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

function giveBack(consumer: ChannelConsumer | null): void {
  if (consumer === null) return
  consumer.outstanding--
  consumer.credited = true
}
