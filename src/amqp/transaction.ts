// A transaction of one channel: publishes and settlements that wait for tx.commit.
import { ENTRY_OVERHEAD_BYTES } from '../core/limits.ts'
import type { Message } from '../core/message.ts'
import type { Publisher } from '../core/ports.ts'
import type { Entry } from '../core/queue/entry.ts'
import type { Delivered, Destinations } from '../core/session.ts'
import type { ChannelConsumer } from './consumer.ts'
import { AmqpError } from './errors.ts'
import type { Uncommitted } from './uncommitted.ts'
import { Method, ReplyCode } from './wire/generated.ts'

/** What becomes of a delivery when its acknowledgement or rejection is committed. */
export type Settlement = (entry: Entry, consumer: ChannelConsumer | null) => void

/** A delivery that the client has settled, and that is its own again if the transaction is rolled back. */
export interface SettledDelivery {
  readonly tag: number
  readonly entry: Entry
  readonly consumer: ChannelConsumer | null
  readonly settlement: Settlement
}

/** What a transaction needs from its channel. */
export interface TransactionHost {
  /** What waits on all channels of the connection. */
  readonly uncommitted: Uncommitted
  /** Hands the message to those of the queues that still exist. */
  deliverCommitted(message: Message, destinations: Destinations, publisher: Publisher): Delivered
  /** The message is mandatory and has reached nobody. */
  unroutable(message: Message): void
  /** Everything is safe. `refused`: a queue did not take a message of the transaction. */
  committed(refused: boolean): void
}

interface WaitingPublish {
  readonly message: Message
  readonly destinations: Destinations
  readonly mandatory: boolean
}

/**
 * Gathers what a channel publishes and settles. A commit hands all of it to the queues within one turn, so that it goes
 * into one batch of the store; it is over when each queue has answered each publish (RabbitMQ: tx.commit).
 */
export class Transaction implements Publisher {
  /** Whether a commit waits for the store: no method may come meanwhile. */
  pending = false
  readonly #host: TransactionHost
  #publishes: WaitingPublish[] = []
  #publishedBytes = 0
  #settled: SettledDelivery[] = []
  #settledConsumed = 0
  /** Answers that are not yet in. Below zero when queues answer a publish before it is known how many it reached. */
  #outstanding = 0
  #enlisting = false
  #refused = false

  constructor(host: TransactionHost) {
    this.#host = host
  }

  /** Deliveries that are settled here and nowhere else yet. */
  get settledCount(): number {
    return this.#settled.length
  }

  /** Those of them that went to a consumer, not to basic.get. */
  get settledConsumedCount(): number {
    return this.#settledConsumed
  }

  /** Keeps a publish. Where it goes was decided when it came. Throws AmqpError when too many wait. */
  publish(message: Message, destinations: Destinations, mandatory: boolean): void {
    const { uncommitted } = this.#host
    const { refusal } = uncommitted
    if (refusal !== '') throw new AmqpError('channel', ReplyCode.preconditionFailed, refusal, Method.basicPublish)
    message.own()
    const bytes = message.bodyBytes + message.propertiesBytes + ENTRY_OVERHEAD_BYTES
    this.#publishedBytes += bytes
    uncommitted.change(bytes)
    this.#publishes.push({ message, destinations, mandatory })
  }

  /** Keeps an acknowledgement or a rejection. */
  settle(tag: number, entry: Entry, consumer: ChannelConsumer | null, settlement: Settlement): void {
    this.#settled.push({ tag, entry, consumer, settlement })
    if (consumer !== null) this.#settledConsumed++
  }

  /** Publishes first, then settles, as RabbitMQ does. Ensures: the host is told once, perhaps before this returns. */
  commit(): void {
    const publishes = this.#publishes
    const settled = this.#settled
    this.#empty()
    this.#refused = false
    this.pending = true
    this.#enlisting = true
    for (const { message, destinations, mandatory } of publishes) {
      const { reached, answers } = this.#host.deliverCommitted(message, destinations, this)
      this.#outstanding += answers
      if (reached === 0 && mandatory) this.#host.unroutable(message)
    }
    for (const { entry, consumer, settlement } of settled) settlement(entry, consumer)
    this.#enlisting = false
    this.#finish()
  }

  /** Forgets the publishes. Returns the deliveries that are unacknowledged again, in the order of their settlement. */
  rollback(): readonly SettledDelivery[] {
    const settled = this.#settled
    this.#empty()
    return settled
  }

  accepted(_sequence: number): void {
    this.#answered()
  }

  refused(_sequence: number): void {
    this.#refused = true
    this.#answered()
  }

  #empty(): void {
    this.#host.uncommitted.change(-this.#publishedBytes)
    this.#publishedBytes = 0
    this.#publishes = []
    this.#settled = []
    this.#settledConsumed = 0
  }

  #answered(): void {
    this.#outstanding--
    this.#finish()
  }

  #finish(): void {
    if (this.#enlisting || this.#outstanding !== 0) return
    this.pending = false
    this.#host.committed(this.#refused)
  }
}
