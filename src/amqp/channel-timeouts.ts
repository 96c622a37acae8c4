// Deliveries of a channel that wait too long for their acknowledgement: where they go, and what becomes of who has them.
import type { Queue } from '../core/queue/queue.ts'
import { AckTimeouts, type DeliveryHolder } from './ack-timeouts.ts'
import type { Channel } from './channel.ts'
import type { ChannelConsumer } from './consumer.ts'
import { AmqpError } from './errors.ts'
import { requeueEntry } from './settlements.ts'
import type { Unacked } from './unacked.ts'
import { ReplyCode } from './wire/generated.ts'

/** Owns those who watch what is out with one channel, where there is a time for it. */
export class ChannelTimeouts implements DeliveryHolder {
  readonly #channel: Channel
  readonly #unacked: Unacked
  readonly #watches = new Set<AckTimeouts>()
  /** Of these, those that watch what was got, by queue. */
  readonly #got = new Map<Queue, AckTimeouts>()

  constructor(channel: Channel, unacked: Unacked) {
    this.#channel = channel
    this.#unacked = unacked
  }

  /** How long what this queue delivers may wait for its acknowledgement, in milliseconds; 0 for ever. */
  timeoutMs(queue: Queue): number {
    const { consumerTimeoutMs } = queue.rules
    return consumerTimeoutMs >= 0 ? consumerTimeoutMs : this.#channel.connection.options.consumerTimeoutMs
  }

  /** Watches what a consumer has, or what was got from a queue (then there is no consumer). */
  watch(timeoutMs: number, consumer: ChannelConsumer | null, queue: Queue): AckTimeouts {
    const { clock } = this.#channel.connection.context.broker
    const timeouts = new AckTimeouts(clock, timeoutMs, this, consumer, queue)
    this.#watches.add(timeouts)
    return timeouts
  }

  /** Something was got from this queue, and is to be acknowledged. */
  watchGot(queue: Queue): void {
    const timeoutMs = this.timeoutMs(queue)
    if (timeoutMs > 0 && !this.#got.has(queue)) this.#got.set(queue, this.watch(timeoutMs, null, queue))
  }

  unwatch(timeouts: AckTimeouts): void {
    timeouts.stop()
    this.#watches.delete(timeouts)
    if (timeouts.consumer === null) this.#got.delete(timeouts.queue)
  }

  /** The channel has ended. */
  stop(): void {
    for (const timeouts of this.#watches) timeouts.stop()
  }

  get nextDeliveryTag(): number {
    return this.#channel.nextDeliveryTag
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
    const channel = this.#channel
    const { connection } = channel
    const tags: number[] = []
    this.#unacked.eachBelow(below, (tag, entry, holder) => {
      if (holder === consumer && entry.queue === queue) tags.push(tag)
    })
    if (tags.length === 0) return
    if (consumer === null || connection.options.consumerTimeoutCloses || !connection.client.consumerCancelNotify) {
      connection.channelFailed(channel, acknowledgementTimeout(channel.number, timeoutMs))
      return
    }
    for (const tag of tags) this.#unacked.reclaim(tag, (entry) => requeueEntry(entry, consumer, false))
    if (channel.consumers.get(consumer.tag) === consumer) {
      consumer.stop()
      channel.consumerCancelled(consumer)
    }
    channel.returnCredit()
    queue.takenBack()
  }
}

/** RabbitMQ's text; the failure is no method's. */
function acknowledgementTimeout(channel: number, timeoutMs: number): AmqpError {
  const sentence =
    `delivery acknowledgement on channel ${channel} timed out. Timeout value used: ${timeoutMs} ms. ` +
    'This timeout value can be configured, see consumers doc guide to learn more'
  return new AmqpError('channel', ReplyCode.preconditionFailed, sentence)
}
