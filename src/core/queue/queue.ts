// A queue: its messages in order, what is out with consumers, and who is next.
import { MessageCounts } from '../counts.ts'
import type { Binding } from '../exchange/binding.ts'
import type { InputWindow } from '../input-window.ts'
import { PACE_DELIVERIES_MIN, QUEUE_OVERRUN_BYTES } from '../limits.ts'
import type { Message } from '../message.ts'
import type { CancelReason, Consumer, Publisher, QueueLog, StoredMessage } from '../ports.ts'
import type { FieldTable } from '../value.ts'
import { Backlog, type BacklogHost } from './backlog.ts'
import { Dispatch, Subscription } from './dispatch.ts'
import { Entry, EntryState, Stored } from './entry.ts'

/** Who an exclusive queue belongs to: nobody else may use it, and it goes with them. */
export interface QueueOwner {
  queueDeleted(queue: Queue): void
}

/** How a queue was declared. */
export interface QueueProperties {
  readonly name: string
  readonly vhost: string
  readonly durable: boolean
  /** The session that may use it, and with whose end it goes. */
  readonly owner: QueueOwner | null
  readonly autoDelete: boolean
  readonly arguments: FieldTable
}

/** What a queue needs from the broker around it. */
export interface QueueContext {
  readonly window: InputWindow
  /** Whether the process is short of memory. */
  readonly memoryTight: boolean
  /** A log for messages that need not survive a restart. */
  spillLog(): QueueLog
  /** The last consumer of an auto-delete queue went. */
  queueUnused(queue: Queue): void
  /** A page could not be read. The queue tries again when it is next asked for messages. */
  queueReadFailed(queue: Queue, error: unknown): void
}

/** One queue. Owns the entries, their order and their states; the log owns what is on disk of them. */
export class Queue implements BacklogHost {
  readonly name: string
  readonly vhost: string
  readonly durable: boolean
  readonly owner: QueueOwner | null
  readonly autoDelete: boolean
  readonly arguments: FieldTable
  readonly log: QueueLog | null
  /** The bindings that lead here. Kept by the vhost. */
  readonly bindings = new Set<Binding>()
  /** Kept by Routes: the last routing that reached this queue. */
  routeMark = 0
  deleted = false
  /** Messages handed out since the start, redeliveries included. */
  deliveredTotal = 0
  readonly counts = new MessageCounts()

  readonly #context: QueueContext
  readonly #dispatch = new Dispatch()
  readonly #backlog: Backlog
  #nextPosition: number
  #unackedCount = 0
  #unackedBytes = 0
  #hadConsumer = false
  #keepsUp = true

  constructor(properties: QueueProperties, log: QueueLog | null, context: QueueContext) {
    this.name = properties.name
    this.vhost = properties.vhost
    this.durable = properties.durable
    this.owner = properties.owner
    this.autoDelete = properties.autoDelete
    this.arguments = properties.arguments
    this.log = log
    this.#context = context
    this.#backlog = new Backlog(log, this)
    this.#nextPosition = log?.recovered.next ?? 0
  }

  /** Messages that wait to be delivered. */
  get readyCount(): number {
    return this.#backlog.count
  }

  /** The bodies of those, in bytes. */
  get readyBytes(): number {
    return this.#backlog.bytes
  }

  /** Messages that were delivered and are neither acknowledged nor requeued. */
  get unackedCount(): number {
    return this.#unackedCount
  }

  /** The bodies of those, in bytes. */
  get unackedBytes(): number {
    return this.#unackedBytes
  }

  get consumerCount(): number {
    return this.#dispatch.subscriptions.size
  }

  get consumers(): readonly Consumer[] {
    return Array.from(this.#dispatch.subscriptions, (subscription) => subscription.consumer)
  }

  /** Whether somebody consumes exclusively. */
  get exclusivelyConsumed(): boolean {
    for (const subscription of this.#dispatch.subscriptions) if (subscription.exclusive) return true
    return false
  }

  /** Whether publishers should be read more slowly: memory fills although somebody consumes. */
  get overrun(): boolean {
    return this.#backlog.transientBytes > QUEUE_OVERRUN_BYTES && this.#dispatch.subscriptions.size > 0
  }

  /** How far over, 1 being the limit. */
  get overrunRatio(): number {
    return this.#backlog.transientBytes / QUEUE_OVERRUN_BYTES
  }

  /** Whether the consumers take messages at a rate that is worth waiting for. */
  get keepsUp(): boolean {
    return this.#keepsUp
  }

  /** A publisher was held back, and so many messages were delivered meanwhile. */
  paced(deliveries: number): void {
    this.#keepsUp = deliveries >= PACE_DELIVERIES_MIN
  }

  /**
   * Takes a message. Ensures: the publisher (if there is one) is told once, now or later; the message is delivered at
   * once when nothing waits before it and a consumer is ready.
   */
  publish(message: Message, publisher: Publisher | null, sequence: number): void {
    this.counts.published++
    const entry = new Entry(this, message, this.#nextPosition++)
    if (message.persistent && this.log !== null) this.log.append(entry, publisher, sequence)
    else if (publisher !== null) publisher.accepted(sequence)
    if (this.#backlog.count === 0) {
      const consumer = this.#dispatch.next()
      if (consumer !== undefined) {
        this.#deliver(consumer, entry)
        return
      }
    }
    if (!message.owned) this.#context.window.watch(entry)
    this.#backlog.push(entry)
  }

  /** The message was dealt with. */
  acknowledge(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#unackedCount--
    this.#unackedBytes -= entry.message.bodyBytes
    this.counts.acknowledged++
    this.#settle(entry)
  }

  /** The message goes back to its place in the queue. The caller calls `serve` when all of them are back. */
  requeue(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#unackedCount--
    this.#unackedBytes -= entry.message.bodyBytes
    if (this.deleted) {
      entry.state = EntryState.settled
      return
    }
    entry.redelivered = true
    entry.state = EntryState.ready
    this.#backlog.giveBack(entry)
  }

  /** The consumer will not take the message, and it is not to come back. */
  reject(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#unackedCount--
    this.#unackedBytes -= entry.message.bodyBytes
    this.counts.rejected++
    this.#settle(entry)
  }

  /** Adds a consumer. The caller calls `serve` once the subscription is confirmed to the client. */
  subscribe(consumer: Consumer, exclusive: boolean): Subscription {
    const subscription = new Subscription(consumer, exclusive)
    this.#hadConsumer = true
    this.#dispatch.add(subscription)
    return subscription
  }

  /** Removes a consumer. What it has not acknowledged stays with the channel. */
  unsubscribe(subscription: Subscription): void {
    this.#dispatch.remove(subscription)
    if (this.autoDelete && this.#hadConsumer && this.consumerCount === 0 && !this.deleted) {
      this.#context.queueUnused(this)
    }
  }

  /** A consumer may be able to take deliveries again. */
  resume(subscription: Subscription): void {
    this.#keepsUp = true
    this.#dispatch.resume(subscription)
    if (this.#backlog.count > 0) this.serve()
  }

  /** Delivers what waits, for as long as a consumer is ready and the messages are in memory. */
  serve(): void {
    const backlog = this.#backlog
    while (backlog.count > 0 && !this.deleted) {
      if (!backlog.available) return
      const consumer = this.#dispatch.next()
      if (consumer === undefined) return
      this.#deliver(consumer, backlog.take()!)
    }
  }

  /** Whether the next message must be read from disk before it can be had. */
  get mustRead(): boolean {
    return this.#backlog.count > 0 && !this.#backlog.available
  }

  /** Calls back when the page that is being read has arrived (or could not be read). */
  afterRead(callback: () => void): void {
    this.#backlog.afterRead(callback)
  }

  /** Takes the next message out, as basic.get does. Undefined when none is ready, or one must be read first. */
  get(noAck: boolean): Entry | undefined {
    if (this.#backlog.count === 0) this.counts.getEmpty++
    if (this.#backlog.count === 0 || !this.#backlog.available) return undefined
    const entry = this.#backlog.take()!
    if (noAck) this.counts.gotNoAck++
    else this.counts.got++
    this.#handOut(entry, noAck)
    return entry
  }

  /** Drops everything that is ready. Returns how many messages that were. */
  purge(): number {
    const count = this.#backlog.count
    this.#backlog.clear((entry) => this.#settle(entry))
    return count
  }

  /** Ends the queue: its consumers are cancelled, its messages gone. What is out with consumers may still be acked. */
  delete(reason: CancelReason): void {
    this.deleted = true
    this.#backlog.drop()
    const subscriptions = [...this.#dispatch.subscriptions]
    for (const subscription of subscriptions) this.#dispatch.remove(subscription)
    this.log?.drop()
    this.owner?.queueDeleted(this)
    for (const subscription of subscriptions) subscription.consumer.cancelled(reason)
  }

  get memoryTight(): boolean {
    return this.#context.memoryTight
  }

  spillLog(): QueueLog {
    return this.#context.spillLog()
  }

  restored(stored: StoredMessage): Entry {
    const entry = new Entry(this, stored.message, stored.position)
    entry.redelivered = stored.redelivered
    return entry
  }

  backlogRead(): void {
    this.serve()
  }

  backlogUnreadable(error: unknown): void {
    this.#context.queueReadFailed(this, error)
  }

  #deliver(consumer: Consumer, entry: Entry): void {
    if (consumer.noAck) this.counts.deliveredNoAck++
    else this.counts.delivered++
    this.#handOut(entry, consumer.noAck)
    consumer.deliver(entry)
  }

  #handOut(entry: Entry, noAck: boolean): void {
    this.deliveredTotal++
    if (entry.redelivered) this.counts.redelivered++
    if (noAck) {
      this.#settle(entry)
      return
    }
    entry.state = EntryState.unacked
    this.#unackedCount++
    this.#unackedBytes += entry.message.bodyBytes
    if (entry.stored !== Stored.no && !entry.spilled) this.log!.delivered(entry.position)
    if (!entry.message.owned) this.#context.window.watch(entry)
  }

  #settle(entry: Entry): void {
    entry.state = EntryState.settled
    if (entry.stored !== Stored.no && !this.deleted) this.#backlog.logOf(entry).settle(entry)
  }
}
