// How what a client publishes on a channel comes to the queues, and what its properties ask for on the way.
import { BrokerError } from '../core/errors.ts'
import { NO_KEYS, type Message } from '../core/message.ts'
import type { Channel } from './channel.ts'
import { ContentAssembly } from './content-assembly.ts'
import { AmqpError, atMethod } from './errors.ts'
import { addressReply, takeCopies } from './publish-properties.ts'
import { Method, ReplyCode } from './wire/generated.ts'

/** The publishes of one channel. Owns the content that is under way. */
export class Publishing {
  readonly #channel: Channel
  readonly #content: ContentAssembly

  constructor(channel: Channel) {
    this.#channel = channel
    const { options, incomplete } = channel.connection
    this.#content = new ContentAssembly(options.messageBytesMax, incomplete)
  }

  /** basic.publish: its content follows. */
  begin(exchange: string, routingKey: string, mandatory: boolean): void {
    this.#content.begin(exchange, routingKey, mandatory)
  }

  /** A method comes. Throws AmqpError when a content is under way: nothing may come between (AMQP 0-9-1 §4.2.6). */
  assertIdle(): void {
    if (this.#content.busy) throw this.#content.interrupted()
  }

  /** Takes the payload of a header frame. Throws AmqpError or BrokerError, as does the next. */
  header(buffer: Buffer, start: number, end: number): void {
    const message = this.#content.header(buffer, start, end)
    if (message !== null) this.#publish(message)
  }

  /** Takes the payload of a body frame. */
  body(buffer: Buffer, start: number, end: number): void {
    const message = this.#content.body(buffer, start, end)
    if (message !== null) this.#publish(message)
  }

  /** The channel has ended: what is under way will not be whole. */
  abandon(): void {
    this.#content.abandon()
  }

  #publish(message: Message): void {
    const content = this.#content
    const { counts, publishes, transaction, session } = this.#channel
    counts.published++
    publishes.count(message.exchange)
    try {
      const copies = content.special ? this.#checkProperties(message) : NO_KEYS
      if (transaction === null) this.#publishNow(message, copies)
      else transaction.publish(message, session.destinations(message, copies), content.mandatory)
    } catch (error) {
      throw atMethod(error, Method.basicPublish)
    }
  }

  #publishNow(message: Message, copies: readonly string[]): void {
    const { session, confirms } = this.#channel
    const sequence = confirms === null ? 0 : confirms.begin()
    const reached =
      copies === NO_KEYS
        ? session.publish(message, confirms, sequence)
        : session.publishCopies(message, copies, confirms, sequence)
    // RabbitMQ: a message that is delayed has reached nobody yet, and is returned although it is delivered later.
    if (this.#content.mandatory && session.unrouted) this.#channel.unroutable(message)
    else if (reached === 0) this.#channel.dropped(message)
    if (confirms !== null) confirms.finish(sequence, reached)
  }

  /**
   * Does what properties ask for, and returns the further routing keys among it. RabbitMQ: what is wrong with the
   * exchange comes before the reply-to, that before expiration, CC and BCC, and the user-id is last.
   */
  #checkProperties(message: Message): readonly string[] {
    const { userId, fault: expiration, directReply, copied } = this.#content
    const { session, replyQueue } = this.#channel
    const userIdFault = userId === null ? null : this.#userIdFault(userId)
    if (expiration === null && userIdFault === null && !directReply && !copied) return NO_KEYS
    session.publishableExchange(message.exchange)
    if (directReply) {
      if (replyQueue === null) throw new BrokerError('precondition-failed', 'fast reply consumer does not exist')
      addressReply(message, replyQueue.name)
    }
    if (expiration !== null) throw expiration
    const copies = copied ? takeCopies(message) : NO_KEYS
    if (userIdFault !== null) throw userIdFault
    return copies
  }

  /** RabbitMQ: validated user-id. */
  #userIdFault(userId: string): AmqpError | null {
    const { name, tags } = this.#channel.session.user
    if (userId === name || tags.includes('impersonator')) return null
    const sentence = `user_id property set to '${userId}' but authenticated user was '${name}'`
    return new AmqpError('channel', ReplyCode.preconditionFailed, sentence, Method.basicPublish)
  }
}
