// A subscription as a channel sees it: basic.consume until basic.cancel.
import type { ConsumerView } from '../core/clients.ts'
import type { FieldTable } from '../core/value.ts'
import type { Subscription } from '../core/queue/dispatch.ts'
import type { Entry } from '../core/queue/entry.ts'
import { integerOf } from '../core/arguments/same-value.ts'
import type { CancelReason, Consumer } from '../core/ports.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { AckTimeouts } from './ack-timeouts.ts'
import type { Channel } from './channel.ts'
import { DeliveryHead } from './delivery-head.ts'

/** What a client asks for in basic.consume, beside queue and tag. */
interface ConsumerTerms {
  readonly noAck: boolean
  readonly exclusive: boolean
  readonly arguments: FieldTable
}

/** Credit and tag of one consumer. Deliveries go to its channel, which owns the delivery tags. */
export class ChannelConsumer implements Consumer, ConsumerView {
  readonly tag: string
  /** What its deliveries begin with. */
  readonly head: DeliveryHead
  readonly noAck: boolean
  readonly exclusive: boolean
  readonly arguments: FieldTable
  /** Deliveries that may be outstanding; 0 is no limit. Fixed when the consumer starts (RabbitMQ: basic.qos). */
  readonly prefetch: number
  readonly queue: Queue
  outstanding = 0
  delivered = 0
  redelivered = 0
  acknowledged = 0
  /** Whether an acknowledgement has returned credit that the queue was not yet told of. */
  credited = false

  readonly #channel: Channel
  #subscription: Subscription | null = null
  #timeouts: AckTimeouts | null = null

  constructor(channel: Channel, queue: Queue, tag: string, terms: ConsumerTerms) {
    this.#channel = channel
    this.queue = queue
    this.tag = tag
    this.head = new DeliveryHead(channel.number, tag)
    this.noAck = terms.noAck
    this.exclusive = terms.exclusive
    this.arguments = terms.arguments
    this.prefetch = channel.consumerPrefetch
  }

  get ready(): boolean {
    return (this.noAck || this.prefetch === 0 || this.outstanding < this.prefetch) && this.#channel.takes(this.noAck)
  }

  deliver(entry: Entry): boolean {
    return this.#channel.deliver(this, entry)
  }

  rulesChanged(): void {
    this.#watch()
  }

  cancelled(_reason: CancelReason): void {
    this.#subscription = null
    this.#channel.consumerCancelled(this)
    this.#channel.consumerTold('consumer.deleted', this)
  }

  /** The queue knows the consumer from here on. */
  started(subscription: Subscription): void {
    this.#subscription = subscription
    this.#channel.consumerTold('consumer.created', this)
    this.#watch()
  }

  /** Whether nothing is out with it, and nothing more will be. */
  get over(): boolean {
    return this.queue.deleted || (this.#subscription === null && this.outstanding === 0)
  }

  /**
   * How long an acknowledgement may take, in milliseconds; 0 for ever. RabbitMQ 4.3: the consumer's own argument comes
   * before the queue's, and that before the setting.
   */
  get #timeoutMs(): number {
    if (this.noAck) return 0
    const own = this.arguments.get('x-consumer-timeout')
    return own === undefined ? this.#channel.timeouts.timeoutMs(this.queue) : Number(integerOf(own))
  }

  #watch(): void {
    const timeoutMs = this.#timeoutMs
    if (timeoutMs === (this.#timeouts?.timeoutMs ?? 0)) return
    if (this.#timeouts !== null) this.#channel.timeouts.unwatch(this.#timeouts)
    this.#timeouts = timeoutMs > 0 ? this.#channel.timeouts.watch(timeoutMs, this, this.queue) : null
  }

  /** Ends the subscription from this side. */
  stop(): void {
    const subscription = this.#subscription
    this.#subscription = null
    if (subscription === null) return
    this.queue.unsubscribe(subscription)
    this.#channel.consumerTold('consumer.deleted', this)
  }

  get active(): boolean {
    return this.queue.serves(this)
  }

  cancelByOperator(): void {
    if (this.#subscription === null) return
    this.#channel.consumerCancelled(this)
    this.stop()
  }

  /** Tells the queue that deliveries may be taken again. */
  resume(): void {
    this.credited = false
    if (this.#subscription !== null) this.queue.resume(this.#subscription)
  }
}
