// The channels of one connection, by their numbers.
import type { Session } from '../core/session.ts'
import { endTurns } from '../lib/end-turns.ts'
import { Channel } from './channel.ts'
import type { Connection } from './connection.ts'
import { AmqpError, atMethod } from './errors.ts'
import { ReplyCode } from './wire/generated.ts'

/** RabbitMQ: its reader refuses a channel that is too many, and names no method. */
const NO_METHOD = 0

/** Owns the channels that are open, or wait for the client's answer to channel.close. */
export class OpenChannels {
  readonly #connection: Connection
  readonly #byNumber = new Map<number, Channel>()
  /** The channel of the last frame: the next one is most often for the same. */
  #last: Channel | null = null

  constructor(connection: Connection) {
    this.#connection = connection
  }

  get count(): number {
    return this.#byNumber.size
  }

  [Symbol.iterator](): Iterator<Channel> {
    return this.#byNumber.values()
  }

  /** The number of the channel that is at work; 0 when none is. */
  get lastNumber(): number {
    return this.#last?.number ?? 0
  }

  /** The channel that a frame is for. */
  at(number: number): Channel | null {
    const last = this.#last
    if (last !== null && last.number === number) return last
    const channel = this.#byNumber.get(number) ?? null
    if (channel !== null) this.#last = channel
    return channel
  }

  /** Opens a channel. Throws AmqpError when there are too many, or the user or the node may not have more. */
  open(number: number, session: Session): void {
    const { channelMax, context } = this.#connection
    if (channelMax > 0 && this.count >= channelMax) {
      const sentence = `number of channels opened (${this.count}) has reached the negotiated channel_max (${channelMax})`
      throw new AmqpError('connection', ReplyCode.notAllowed, sentence)
    }
    try {
      session.channelOpened()
    } catch (error) {
      throw atMethod(error, NO_METHOD)
    }
    const channel = new Channel(number, this.#connection, session)
    if (session.vhost.firehose !== null) channel.settlements.tracingChanged(true)
    this.#byNumber.set(number, channel)
    context.broker.churn.channelsOpened++
    channel.opened()
  }

  /** A channel's number is free again. */
  delete(channel: Channel, session: Session | null): void {
    if (this.#byNumber.delete(channel.number)) session?.channelClosed()
    if (this.#last === channel) this.#last = null
  }

  /** The socket has room again. Who leaves nothing to the others comes last the next time. */
  resumeConsumers(): void {
    const { writer } = this.#connection
    let served = 0
    for (const channel of this) {
      if (!writer.full) served++
      channel.resumeConsumers()
    }
    if (writer.full) endTurns(this.#byNumber, served)
  }

  /** Ends all of them. */
  close(session: Session | null): void {
    for (const channel of this) {
      channel.close()
      session?.channelClosed()
    }
    this.#byNumber.clear()
    this.#last = null
  }
}
