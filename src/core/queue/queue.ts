// A queue: its messages in order, what is out with consumers, and who is next.
import { Fifo } from '../../lib/fifo.ts'
import { Heap } from '../../lib/heap.ts'
import type { Binding } from '../exchange/binding.ts'
import type { InputWindow } from '../input-window.ts'
import {
  ENTRY_OVERHEAD_BYTES,
  PACE_DELIVERIES_MIN,
  QUEUE_OVERRUN_BYTES,
  QUEUE_READ_AHEAD_BYTES,
  QUEUE_RESIDENT_BYTES,
} from '../limits.ts'
import type { Message } from '../message.ts'
import type { CancelReason, Consumer, Publisher, QueueLog, StoredMessage } from '../ports.ts'
import type { FieldTable } from '../value.ts'
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
  /** The last consumer of an auto-delete queue went. */
  queueUnused(queue: Queue): void
  /** A page could not be read. The queue tries again when it is next asked for messages. */
  queueReadFailed(queue: Queue, error: unknown): void
}

/**
 * One queue. Ready messages stand in this order, each part before the next:
 *
 *     returned        requeued ones, by position
 *     head            in memory
 *     gap             on disk only: positions from gapFrom on and below gapBelow, and the transient ones among them (kept)
 *     tail            in memory, newer than the gap; empty while there is no gap
 *
 * A queue with a backlog has all of them; most queues have a head and nothing else. The gap is read back a page ahead
 * of the consumers, and the tail is dropped into the gap once it is on disk and too large.
 */
export class Queue {
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

  readonly #context: QueueContext
  readonly #dispatch = new Dispatch()
  readonly #returned = new Heap<Entry>((entry) => entry.position)
  #head = new Fifo<Entry>()
  #tail = new Fifo<Entry>()
  readonly #kept = new Fifo<Entry>()
  #headBytes = 0
  #tailBytes = 0
  #gapFrom: number
  #gapBelow: number
  #gapCount: number
  #nextPosition: number
  #readyCount: number
  #readyBytes: number
  #transientBytes = 0
  #unackedCount = 0
  #hadConsumer = false
  #keepsUp = true
  #reading = false
  #readGeneration = 0
  /** The head is looked at for what could be dropped when it is larger than this. */
  #splitAbove = QUEUE_RESIDENT_BYTES * 2
  #afterRead: (() => void)[] = []

  constructor(properties: QueueProperties, log: QueueLog | null, context: QueueContext) {
    this.name = properties.name
    this.vhost = properties.vhost
    this.durable = properties.durable
    this.owner = properties.owner
    this.autoDelete = properties.autoDelete
    this.arguments = properties.arguments
    this.log = log
    this.#context = context
    this.#gapFrom = log?.recovered.first ?? 0
    this.#gapBelow = log?.recovered.next ?? 0
    this.#gapCount = log?.recovered.count ?? 0
    this.#nextPosition = this.#gapBelow
    this.#readyCount = this.#gapCount
    this.#readyBytes = log?.recovered.bodyBytes ?? 0
  }

  /** Messages that wait to be delivered. */
  get readyCount(): number {
    return this.#readyCount
  }

  /** The bodies of those, in bytes. */
  get readyBytes(): number {
    return this.#readyBytes
  }

  /** Messages that were delivered and are neither acknowledged nor requeued. */
  get unackedCount(): number {
    return this.#unackedCount
  }

  get consumerCount(): number {
    return this.#dispatch.subscriptions.size
  }

  get consumers(): Iterable<Consumer> {
    return Array.from(this.#dispatch.subscriptions, (subscription) => subscription.consumer)
  }

  /** Whether publishers should be read more slowly: memory fills although somebody consumes. */
  get overrun(): boolean {
    return this.#transientBytes > QUEUE_OVERRUN_BYTES && this.#dispatch.subscriptions.size > 0
  }

  /** How far over, 1 being the limit. */
  get overrunRatio(): number {
    return this.#transientBytes / QUEUE_OVERRUN_BYTES
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
    const entry = new Entry(this, message, this.#nextPosition++)
    if (message.persistent && this.log !== null) this.log.append(entry, publisher, sequence)
    else if (publisher !== null) publisher.accepted(sequence)
    if (this.#readyCount === 0) {
      const consumer = this.#dispatch.next()
      if (consumer !== undefined) {
        this.#deliver(consumer, entry)
        return
      }
    }
    this.#park(entry)
  }

  /** The message was dealt with. */
  acknowledge(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#unackedCount--
    this.#settle(entry)
  }

  /** The message goes back to its place in the queue. The caller calls `serve` when all of them are back. */
  requeue(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#unackedCount--
    if (this.deleted) {
      entry.state = EntryState.settled
      return
    }
    entry.redelivered = true
    entry.state = EntryState.ready
    this.#returned.push(entry)
    this.#count(entry, 1)
  }

  /** The consumer will not take the message, and it is not to come back. */
  reject(entry: Entry): void {
    this.acknowledge(entry)
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

  /** Whether somebody consumes exclusively. */
  get exclusivelyConsumed(): boolean {
    for (const subscription of this.#dispatch.subscriptions) if (subscription.exclusive) return true
    return false
  }

  /** A consumer may be able to take deliveries again. */
  resume(subscription: Subscription): void {
    this.#keepsUp = true
    this.#dispatch.resume(subscription)
    if (this.#readyCount > 0) this.serve()
  }

  /** Delivers what waits, for as long as a consumer is ready and the messages are in memory. */
  serve(): void {
    while (this.#readyCount > 0) {
      if (!this.#available()) return
      const consumer = this.#dispatch.next()
      if (consumer === undefined) return
      this.#deliver(consumer, this.#take()!)
    }
  }

  /** Whether the next message must be read from disk before it can be had. */
  get mustRead(): boolean {
    return this.#readyCount > 0 && !this.#available()
  }

  /** Calls back when the page that is being read has arrived (or could not be read). */
  afterRead(callback: () => void): void {
    if (this.#reading) this.#afterRead.push(callback)
    else callback()
  }

  /** Takes the next message out, as basic.get does. Undefined when none is ready, or one must be read first. */
  get(noAck: boolean): Entry | undefined {
    if (this.#readyCount === 0 || !this.#available()) return undefined
    const entry = this.#take()!
    this.#handOut(entry, noAck)
    return entry
  }

  /** Drops everything that is ready. Returns how many messages that were. */
  purge(): number {
    const count = this.#readyCount
    for (let entry = this.#returned.pop(); entry; entry = this.#returned.pop()) this.#settle(entry)
    for (const part of [this.#head, this.#kept, this.#tail]) {
      for (let entry = part.shift(); entry; entry = part.shift()) this.#settle(entry)
    }
    if (this.#gapCount > 0) this.log!.discard(this.#gapFrom, this.#gapBelow)
    this.#readGeneration++
    this.#gapCount = 0
    this.#readyCount = 0
    this.#readyBytes = 0
    this.#transientBytes = 0
    this.#headBytes = 0
    this.#tailBytes = 0
    return count
  }

  /** Ends the queue: its consumers are cancelled, its messages gone. What is out with consumers may still be acked. */
  delete(reason: CancelReason): void {
    this.deleted = true
    this.#readGeneration++
    const subscriptions = [...this.#dispatch.subscriptions]
    for (const subscription of subscriptions) this.#dispatch.remove(subscription)
    this.log?.drop()
    this.owner?.queueDeleted(this)
    for (const subscription of subscriptions) subscription.consumer.cancelled(reason)
  }

  #deliver(consumer: Consumer, entry: Entry): void {
    this.#handOut(entry, consumer.noAck)
    consumer.deliver(entry)
  }

  #handOut(entry: Entry, noAck: boolean): void {
    this.deliveredTotal++
    if (noAck) {
      this.#settle(entry)
      return
    }
    entry.state = EntryState.unacked
    this.#unackedCount++
    if (entry.stored !== Stored.no) this.log!.delivered(entry.position)
    if (!entry.message.owned) this.#context.window.watch(entry)
  }

  #settle(entry: Entry): void {
    entry.state = EntryState.settled
    if (entry.stored !== Stored.no && !this.deleted) this.log!.settle(entry)
  }

  #park(entry: Entry): void {
    if (!entry.message.owned) this.#context.window.watch(entry)
    const bytes = footprint(entry)
    if (this.#gapCount > 0) {
      this.#tail.push(entry)
      this.#tailBytes += bytes
      if (this.#tailBytes > QUEUE_RESIDENT_BYTES) this.#pageOut()
    } else {
      this.#head.push(entry)
      this.#headBytes += bytes
      if (this.#headBytes > this.#splitAbove) this.#splitHead()
    }
    this.#count(entry, 1)
  }

  #count(entry: Entry, sign: 1 | -1): void {
    this.#readyCount += sign
    this.#readyBytes += sign * entry.message.bodyBytes
    if (entry.stored === Stored.no) this.#transientBytes += sign * footprint(entry)
  }

  /** Whether the next message is in memory. If not, or nearly not, it is being read from here on. */
  #available(): boolean {
    if (this.#gapCount > 0 && this.#headBytes < QUEUE_READ_AHEAD_BYTES) this.#readAhead()
    return this.#returned.length > 0 || this.#head.length > 0
  }

  #take(): Entry | undefined {
    let entry = this.#returned.pop()
    if (entry === undefined) {
      entry = this.#head.shift()
      if (entry === undefined) return undefined
      this.#headBytes -= footprint(entry)
    }
    this.#count(entry, -1)
    return entry
  }

  /** The head has grown too large: what is on disk already of its newer part becomes the gap. */
  #splitHead(): void {
    const log = this.log
    if (log === null || this.#kept.length > 0) return
    const tail = new Fifo<Entry>()
    let tailBytes = 0
    while (this.#headBytes - tailBytes > QUEUE_RESIDENT_BYTES) {
      const entry = this.#head.pop()!
      tail.unshift(entry)
      tailBytes += footprint(entry)
    }
    this.#headBytes -= tailBytes
    this.#tail = tail
    this.#tailBytes = tailBytes
    this.#gapFrom = tail.peek()!.position
    this.#gapBelow = this.#gapFrom
    this.#pageOut()
    this.#splitAbove = QUEUE_RESIDENT_BYTES * 2
    if (this.#gapCount > 0) return
    // Nothing of it is on disk yet. Look again when there is much more, not at every message.
    this.#closeGap()
    this.#splitAbove = this.#headBytes + QUEUE_RESIDENT_BYTES / 4
  }

  /** Drops from memory what the tail holds on disk, oldest first. Transient messages among it are kept aside. */
  #pageOut(): void {
    const log = this.log
    if (log === null) return
    while (this.#tailBytes > QUEUE_RESIDENT_BYTES / 2) {
      const entry = this.#tail.peek()
      if (entry === undefined) break
      if (entry.stored === Stored.no) this.#kept.push(entry)
      else if (entry.position < log.durableBelow) this.#gapCount++
      else break
      this.#tail.shift()
      this.#tailBytes -= footprint(entry)
      this.#gapBelow = entry.position + 1
    }
  }

  #readAhead(): void {
    if (this.#reading || this.deleted) return
    this.#reading = true
    const generation = this.#readGeneration
    this.log!.read(this.#gapFrom, this.#gapBelow).then(
      (messages) => this.#readDone(generation, messages),
      (error: unknown) => {
        this.#reading = false
        this.#context.queueReadFailed(this, error)
        this.#tellReaders()
      },
    )
  }

  #readDone(generation: number, messages: readonly StoredMessage[]): void {
    this.#reading = false
    if (generation === this.#readGeneration) {
      for (const stored of messages) {
        this.#moveKept(stored.position)
        this.#append(this.#restored(stored))
      }
      if (messages.length > 0) {
        this.#gapFrom = messages.at(-1)!.position + 1
        this.#gapCount -= messages.length
      } else {
        // The rest of the gap could not be read: what the log set aside is no longer counted.
        this.#readyCount -= this.#gapCount
        this.#gapCount = 0
      }
      if (this.#gapCount === 0) this.#closeGap()
      this.serve()
    }
    this.#tellReaders()
  }

  #restored(stored: StoredMessage): Entry {
    const entry = new Entry(this, stored.message, stored.position)
    entry.stored = Stored.written
    entry.redelivered = stored.redelivered
    return entry
  }

  /** Puts the transient messages that stand before `position` back into the head. */
  #moveKept(position: number): void {
    for (let kept = this.#kept.peek(); kept && kept.position < position; kept = this.#kept.peek()) {
      this.#append(this.#kept.shift()!)
    }
  }

  #append(entry: Entry): void {
    this.#head.push(entry)
    this.#headBytes += footprint(entry)
  }

  /** The gap has been read: the tail follows the head directly. */
  #closeGap(): void {
    this.#moveKept(Infinity)
    const tail = this.#tail
    if (this.#head.length === 0) {
      this.#tail = this.#head
      this.#head = tail
      this.#headBytes = this.#tailBytes
    } else {
      for (let entry = tail.shift(); entry; entry = tail.shift()) this.#append(entry)
    }
    this.#tailBytes = 0
  }

  #tellReaders(): void {
    const readers = this.#afterRead
    if (readers.length === 0) return
    this.#afterRead = []
    for (const reader of readers) reader()
  }
}

/** What an entry costs in memory, about. */
function footprint(entry: Entry): number {
  return entry.message.bodyBytes + ENTRY_OVERHEAD_BYTES
}
