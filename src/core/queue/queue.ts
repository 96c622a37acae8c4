// A queue: its messages in order, what is out with consumers, and who is next.
import type { Clock } from '../../lib/clock.ts'
import { MessageCounts, type DeathCounts, type DeathReason } from '../counts.ts'
import { QueueDeduplication } from '../deduplication/queue-deduplication.ts'
import type { Binding } from '../exchange/binding.ts'
import type { InputWindow } from '../input-window.ts'
import { PACE_DELIVERIES_MIN, QUEUE_OVERRUN_BYTES } from '../limits.ts'
import type { Message } from '../message.ts'
import type { Governance } from '../policies.ts'
import type {
  Attempts,
  CancelReason,
  Consumer,
  PropertyCodec,
  IdLog,
  Publisher,
  QueueLog,
  StoredMessage,
} from '../ports.ts'
import type { FieldTable } from '../value.ts'
import { presentedMessage } from './attempts.ts'
import { Backlog } from './backlog.ts'
import type { BrowsedPage, Place } from './browse.ts'
import { Burials } from './burials.ts'
import { Dispatch, Subscription } from './dispatch.ts'
import { Entry, EntryDetails, EntryState, Stored } from './entry.ts'
import { Expiry, type ExpiryHost } from './expiry.ts'
import { Idleness } from './idleness.ts'
import { PriorityBacklog, type LevelHost } from './priority-backlog.ts'
import { Retries, retryDelayMs, type Waiting } from './retries.ts'
import { queueRules, rulePublishes, waitMs, type QueueRules } from './rules.ts'

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
  /** Who declared it, where that is known. */
  readonly user: string | null
}

/** What a queue needs from the broker around it. */
export interface QueueContext {
  readonly clock: Clock
  readonly codec: PropertyCodec
  readonly window: InputWindow
  /** Whether the process is short of memory. */
  readonly memoryTight: boolean
  /** A log for messages that need not survive a restart. */
  spillLog(): QueueLog
  /** A log for a priority that a queue uses for the first time. */
  levelLog(): QueueLog
  /** A log for the ids of messages. */
  idLog(): IdLog
  /** The queue has another log, or one less, which is to be remembered. */
  logsChanged(queue: Queue): void
  /** The queue has refused a message. */
  refused(message: Message): void
  /** What queues of a type gave up. */
  deaths(queueType: string): DeathCounts
  /** The queue gives a message up, and has an exchange for such. */
  deadLetter(queue: Queue, message: Message, reason: DeathReason): void
  /** The same for a message that is not to be lost: `queue.buried` follows, in this turn. */
  deadLetterSurely(queue: Queue, entry: Entry, reason: DeathReason): void
  /** The last consumer of an auto-delete queue went, or nobody has used the queue for the time of its x-expires. */
  queueUnused(queue: Queue): void
  /** A page could not be read. The queue tries again when it is next asked for messages. */
  queueReadFailed(queue: Queue, error: unknown): void
}

/** The logs of a queue's priorities, by priority. */
type LevelLogs = ReadonlyMap<number, QueueLog>

const NO_LEVELS: LevelLogs = new Map()

/** One queue. Owns the entries, their order and their states; the log owns what is on disk of them. */
export class Queue implements LevelHost, ExpiryHost {
  readonly name: string
  readonly vhost: string
  readonly durable: boolean
  readonly owner: QueueOwner | null
  readonly autoDelete: boolean
  readonly arguments: FieldTable
  readonly user: string | null
  readonly log: QueueLog | null
  /** The bindings that lead here. Kept by the vhost. */
  readonly bindings = new Set<Binding>()
  /** Kept by Routes: the last routing that reached this queue. */
  routeMark = 0
  /** Kept by the vhost: the policies that apply; null without any. */
  governance: Governance | null = null
  deleted = false
  /** Messages handed out since the start, redeliveries included. */
  deliveredTotal = 0
  readonly counts = new MessageCounts()

  readonly #context: QueueContext
  #rules: QueueRules
  readonly #deaths: DeathCounts
  /** Whether a publish must look at the rules at all. */
  #ruled = false
  readonly #dispatch: Dispatch
  readonly #backlog: Backlog | PriorityBacklog
  readonly #levels: PriorityBacklog | null
  readonly #levelLogs: Map<number, QueueLog>
  /** The deadlines of messages, once there were any. */
  #expiry: Expiry | null = null
  #idleness: Idleness | null = null
  #retries: Retries | null = null
  /** Whether messages were read back that may have to wait before they are tried again. */
  #recallsDelays = false
  #deduplication: QueueDeduplication | null = null
  /** What is given up, and taken by nobody yet. */
  #burials: Burials | null = null
  /** The log of its ids as it was found at the start, until the rules ask for it: a policy may come to that. */
  #restoredIds: IdLog | null
  /** RabbitMQ: a quorum queue keeps everything, whatever its delivery mode. */
  readonly #storesAll: boolean
  #nextPosition: number
  /** Below this position messages were here before the broker started. */
  readonly recoveredBelow: number
  #unackedCount = 0
  #unackedBytes = 0
  #hadConsumer = false
  /** Who waits until the next message may be handed out. */
  readonly #getters: ((gettable: boolean) => void)[] = []
  #keepsUp = true

  constructor(
    properties: QueueProperties,
    log: QueueLog | null,
    context: QueueContext,
    levels = NO_LEVELS,
    ids: IdLog | null = null,
  ) {
    this.name = properties.name
    this.vhost = properties.vhost
    this.durable = properties.durable
    this.owner = properties.owner
    this.autoDelete = properties.autoDelete
    this.arguments = properties.arguments
    this.user = properties.user
    this.log = log
    this.#context = context
    this.#rules = queueRules(properties.arguments)
    this.#deaths = context.deaths(this.#rules.type)
    this.#storesAll = this.#rules.type === 'quorum'
    this.#levelLogs = new Map(levels)
    if (log !== null) this.#levelLogs.set(0, log)
    const { priorityMax, singleActiveConsumer } = this.#rules
    this.#levels = priorityMax > 0 ? new PriorityBacklog(priorityMax, this.#levelLogs, this) : null
    this.#backlog = this.#levels ?? new Backlog(log, this)
    this.#dispatch = new Dispatch(singleActiveConsumer, this.#rules.type === 'quorum')
    this.#nextPosition = 0
    for (const { recovered } of this.#levelLogs.values()) {
      this.#nextPosition = Math.max(this.#nextPosition, recovered.next)
    }
    this.recoveredBelow = this.#nextPosition
    this.#ruled = rulePublishes(this.#rules)
    this.#restoredIds = ids
    this.#deduplicate()
    this.#timeIdleness()
    if (this.storedDeadline < Infinity) this.#mortality().arm()
  }

  /** What holds for the queue now. */
  get rules(): QueueRules {
    return this.#rules
  }

  /** Other rules hold from now on, also for the messages that are here (RabbitMQ: policies). */
  applyRules(rules: QueueRules): void {
    this.#rules = rules
    this.#ruled = rulePublishes(rules)
    if (this.#deduplicate()) this.#context.logsChanged(this)
    for (const { consumer } of this.#dispatch.subscriptions) consumer.rulesChanged?.()
    this.#timeIdleness()
    this.#dropSurplus()
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

  /** Messages that were given back and wait before they are ready again. */
  get delayedCount(): number {
    return this.#retries?.count ?? 0
  }

  /** Messages that are given up, and kept until their dead letters are taken. */
  get dyingCount(): number {
    return this.#burials?.count ?? 0
  }

  /** The bodies of those, in bytes. */
  get unackedBytes(): number {
    return this.#unackedBytes
  }

  /** The position of the oldest ready message; Infinity when none is ready. */
  get firstPosition(): number {
    return this.#backlog.firstPosition
  }

  /** The position that the next message will have. */
  get nextPosition(): number {
    return this.#nextPosition
  }

  /** What the messages that are in memory cost there, about, in bytes. */
  get residentBytes(): number {
    return this.#backlog.residentBytes + this.#unackedBytes
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
    if (this.#ruled || message.expirationMs >= 0) {
      this.#publishByRules(message, publisher, sequence)
      return
    }
    const entry = new Entry(this, message, this.#nextPosition++)
    if ((message.persistent || this.#storesAll) && this.log !== null) this.log.append(entry, publisher, sequence)
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

  /** The same in a queue that may not take everything, or not for ever. */
  #publishByRules(message: Message, publisher: Publisher | null, sequence: number): void {
    const rules = this.#rules
    const { overflow } = rules
    if (this.#deduplication !== null && this.#deduplication.repeats(message)) {
      this.counts.deduplicated++
      if (publisher !== null) this.#deduplication.follow(publisher, sequence)
      return
    }
    if (overflow !== 'drop-head' && this.#overflows(message)) {
      if (overflow === 'reject-publish-dlx' && rules.deadLetterExchange !== null) {
        this.#deaths.lettered.maxlen++
        this.#context.deadLetter(this, message, 'maxlen')
      }
      this.#context.refused(message)
      publisher?.refused(sequence)
      return
    }
    const entry = new Entry(this, message, this.#nextPosition++)
    const ttlMs = waitMs(rules, message.expirationMs)
    if (ttlMs >= 0) this.#detailsOf(entry).deadline = this.#context.clock.now() + ttlMs
    const stored = message.persistent || this.#storesAll
    const log = this.#levels === null || !stored ? this.log : this.#levels.logFor(message)
    if (stored && log !== null) log.append(entry, publisher, sequence)
    else if (publisher !== null) publisher.accepted(sequence)
    this.#deduplication?.taken(entry)
    const consumer = this.#backlog.count === 0 ? this.#dispatch.next() : undefined
    if (consumer !== undefined) {
      this.#deliver(consumer, entry)
      return
    }
    if (ttlMs === 0) {
      // RabbitMQ: with no time to wait a message is delivered at once or never.
      this.#giveUp(entry, 'expired')
      return
    }
    if (!message.owned) this.#context.window.watch(entry)
    this.#backlog.push(entry)
    if (ttlMs > 0) this.#mortality().watch(entry)
    this.#dropSurplus()
  }

  /** The message was dealt with. */
  acknowledge(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#unackedCount--
    this.#unackedBytes -= entry.message.bodyBytes
    this.counts.acknowledged++
    this.#settle(entry)
  }

  /** The same in a transaction: a message that waits to be written is safe only when that is on disk. */
  acknowledgeInTransaction(entry: Entry): void {
    const pending = entry.state === EntryState.unacked && entry.stored === Stored.pending && !this.deleted
    if (pending) this.#backlog.logOf(entry).supersede(entry)
    this.acknowledge(entry)
  }

  /**
   * The message goes back to its place in the queue. `failed`: it was rejected, or lost with its channel, and not just
   * given back; that is what counts for a delivery limit (RabbitMQ 4.3). The caller calls `takenBack` when all of them
   * are.
   */
  requeue(entry: Entry, failed = false): void {
    if (entry.state !== EntryState.unacked) return
    this.#unackedCount--
    this.#unackedBytes -= entry.message.bodyBytes
    if (this.deleted) {
      entry.state = EntryState.settled
      return
    }
    entry.redelivered = true
    if (this.#rules.countsDeliveries && this.#heldBack(entry, failed)) return
    this.#takeBack(entry)
  }

  #takeBack(entry: Entry): void {
    entry.state = EntryState.ready
    this.#backlog.giveBack(entry)
    // It may have been handed out as it came, and have waited for the first time only now.
    if (entry.details !== null && entry.details.deadline !== Infinity) this.#mortality().watch(entry)
  }

  /** Counts a delivery that came to nothing. Returns whether the message does not come back, or not yet. */
  #heldBack(entry: Entry, failed: boolean): boolean {
    const details = this.#detailsOf(entry)
    details.acquiredCount++
    if (failed) details.deliveryCount++
    if (details.deliveryCount > this.#rules.deliveryLimit) {
      this.#giveUp(entry, 'delivery_limit')
      return true
    }
    details.presented = presentedMessage(entry.message, details, this.#context.codec)
    const attempts = failed ? details.deliveryCount : details.acquiredCount
    const delayMs = retryDelayMs(this.#rules, failed, attempts)
    details.dueAt = delayMs > 0 ? this.#context.clock.now() + delayMs : 0
    if (entry.stored !== Stored.no && !entry.spilled) this.#backlog.logOf(entry).attempted(entry.position, details)
    if (delayMs <= 0) return false
    this.#delay(entry, delayMs)
    return true
  }

  /** The message is neither ready nor with anybody for so long. */
  #delay(entry: Entry, delayMs: number): void {
    this.#retries ??= new Retries(this.#context.clock, this.#retriesDue)
    this.#retries.add(entry, delayMs)
  }

  /** Puts the next message aside if it was read back before it is to be tried again. */
  #headDelayed(): boolean {
    const delayMs = (this.#backlog.peek()!.details?.dueAt ?? 0) - this.#context.clock.now()
    if (delayMs <= 0) return false
    this.#delay(this.#backlog.take()!, delayMs)
    return true
  }

  readonly #retriesDue = (entries: readonly Entry[]): void => {
    for (const entry of entries) this.#takeBack(entry)
    this.takenBack()
  }

  /** The consumer will not take the message, and it is not to come back. */
  reject(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#unackedCount--
    this.#unackedBytes -= entry.message.bodyBytes
    this.counts.rejected++
    this.#giveUp(entry, 'rejected')
  }

  /** Adds a consumer. The caller calls `serve` once the subscription is confirmed to the client. */
  subscribe(consumer: Consumer, exclusive: boolean, priority = 0): Subscription {
    const subscription = new Subscription(consumer, exclusive, priority)
    this.#hadConsumer = true
    this.#idleness?.used()
    this.#dispatch.add(subscription)
    return subscription
  }

  /** Removes a consumer. What it has not acknowledged stays with the channel. */
  unsubscribe(subscription: Subscription): void {
    const succeeded = this.#dispatch.remove(subscription)
    this.#idleness?.used()
    if (succeeded) this.serve()
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

  /** Messages that were requeued are all back: they are delivered, or dropped if the queue has grown too long. */
  takenBack(): void {
    // RabbitMQ: also what a consumer could take at once is dropped when it is too much.
    if (this.#ruled) this.#dropSurplus()
    this.serve()
  }

  /** Whether deliveries are stopped. */
  get paused(): boolean {
    return this.#dispatch.paused
  }

  /** Stops deliveries; consumers stay, and publishes are taken. */
  pause(): void {
    if (!this.paused) this.#dispatch.pause()
  }

  /** Goes on with deliveries. */
  unpause(): void {
    if (!this.paused) return
    this.#dispatch.unpause()
    this.serve()
  }

  /** Whether this consumer gets deliveries as far as the others are concerned (RabbitMQ: single active consumer). */
  serves(consumer: Consumer): boolean {
    for (const subscription of this.#dispatch.subscriptions) {
      if (subscription.consumer === consumer) return this.#dispatch.active(subscription)
    }
    return false
  }

  /** Messages that were given back, and when each is ready again, in no particular order. */
  get retries(): Iterable<Waiting> {
    return this.#retries?.waiting ?? []
  }

  /**
   * Looks at ready messages from a place on, some hundreds at the most, without changing anything. What is on disk only is
   * read from there for this once. Rejects when that cannot be read.
   */
  browse(from: Place): Promise<BrowsedPage> {
    return this.#backlog.browse(from)
  }

  /**
   * Takes messages out, wherever they stand, if `wants` says so when it sees each: those that are ready, and those that
   * wait before they are ready again. They are settled within the same call, so that what `wants` does goes into the same
   * batch. Returns how many that were.
   */
  async withdraw(positions: readonly number[], wants: (entry: Entry) => boolean): Promise<number> {
    let count = 0
    const taken = (entry: Entry): void => {
      count++
      this.#settle(entry)
    }
    this.#retries?.withdraw(new Set(positions), (entry) => {
      if (!wants(entry)) return false
      taken(entry)
      return true
    })
    await this.#backlog.withdraw(positions, { wants, taken })
    return count
  }

  /** Delivers what waits, for as long as a consumer is ready and the messages are in memory. */
  serve(): void {
    const backlog = this.#backlog
    while (backlog.count > 0 && !this.deleted) {
      if (!backlog.available) return
      if (this.#expiry !== null && this.#headExpired()) continue
      if (this.#recallsDelays && this.#headDelayed()) continue
      if (this.consumerCount === 0 || !this.#deliverable()) return
      const consumer = this.#dispatch.next()
      if (consumer === undefined) return
      this.#deliver(consumer, backlog.take()!)
    }
  }

  /** Whether `get` can answer: the next message can be handed out, or there is none. */
  get gettable(): boolean {
    return this.deleted || this.#backlog.count === 0 || (this.#backlog.available && this.#deliverable())
  }

  /**
   * Calls back when `get` can answer, at once or later; with false when the next message cannot be read. Whoever is
   * called back comes before the consumers, but even so `get` may find that all that was read has expired.
   */
  whenGettable(callback: (gettable: boolean) => void): void {
    if (this.gettable) callback(true)
    else if (this.#backlog.available) this.#getters.push(callback)
    else this.#backlog.afterRead((read) => (read ? this.whenGettable(callback) : callback(false)))
  }

  /**
   * Takes the next message out, as basic.get does. Undefined when none is ready, or it is not gettable. One that does not
   * fit whoever gets it is to be given back, `noAck` or not.
   */
  get(noAck: boolean, fits: (message: Message) => boolean = always): Entry | undefined {
    this.#idleness?.used()
    const backlog = this.#backlog
    while (this.#expiry !== null && backlog.count > 0 && backlog.available && this.#headExpired());
    while (this.#recallsDelays && backlog.count > 0 && backlog.available && this.#headDelayed());
    if (backlog.count === 0) this.counts.getEmpty++
    if (backlog.count === 0 || !backlog.available || !this.#deliverable()) return undefined
    const entry = backlog.take()!
    if (noAck) this.counts.gotNoAck++
    else this.counts.got++
    this.#handOut(entry, noAck && fits(entry.presented))
    return entry
  }

  /** The same for whoever can wait. Undefined when none is ready, or it cannot be read. */
  async getSoon(noAck: boolean): Promise<Entry | undefined> {
    for (;;) {
      const gettable = await new Promise<boolean>((resolve) => this.whenGettable(resolve))
      const entry = this.get(noAck)
      if (entry !== undefined || !gettable || this.gettable) return entry
    }
  }

  /** Drops everything that is ready. Returns how many messages that were. */
  purge(): number {
    const count = this.#backlog.count
    this.#backlog.clear((entry) => this.#settle(entry))
    this.#deduplication?.purged()
    return count
  }

  /** Ends the queue: its consumers are cancelled, its messages gone. What is out with consumers may still be acked. */
  delete(reason: CancelReason): void {
    this.deleted = true
    this.stop()
    this.#backlog.drop()
    const subscriptions = [...this.#dispatch.subscriptions]
    for (const subscription of subscriptions) this.#dispatch.remove(subscription)
    this.log?.drop()
    this.#deduplication?.drop()
    this.owner?.queueDeleted(this)
    for (const subscription of subscriptions) subscription.consumer.cancelled(reason)
  }

  /** Nothing happens by itself from here on: the queue goes, or the broker stops. */
  stop(): void {
    this.#expiry?.stop()
    this.#idleness?.stop()
    this.#retries?.stop()
    this.#burials?.stop()
  }

  /** The log of the ids that it remembers, if it does and survives. */
  get ids(): IdLog | null {
    return this.#deduplication === null ? this.#restoredIds : this.#deduplication.log
  }

  /** Stored messages at these positions, both included, turned out to be damaged: they are not in the queue any more. */
  messagesLost(first: number, last: number): void {
    this.#deduplication?.lost(first, last)
  }

  /** The ids of messages that it remembers, to know duplicates by. */
  get rememberedIds(): number {
    return this.#deduplication?.cached ?? 0
  }

  get memoryTight(): boolean {
    return this.#context.memoryTight
  }

  spillLog(): QueueLog {
    return this.#context.spillLog()
  }

  /** The logs of its priorities, by priority; the lowest is the queue's own. */
  get levelLogs(): LevelLogs {
    return this.#levelLogs
  }

  levelLog(priority: number): QueueLog | null {
    if (this.log === null) return null
    const log = this.#context.levelLog()
    this.#levelLogs.set(priority, log)
    this.#context.logsChanged(this)
    return log
  }

  restored(stored: StoredMessage): Entry {
    const entry = new Entry(this, stored.message, stored.position)
    entry.redelivered = stored.redelivered
    if (this.#rules.countsDeliveries && stored.redelivered) this.#recall(entry, stored.attempts)
    if (stored.deadline !== Infinity) {
      this.#detailsOf(entry).deadline = stored.deadline
      this.#mortality().watch(entry)
    }
    return entry
  }

  /** What was out when the broker ended, and nothing is known of, has failed once. */
  #recall(entry: Entry, attempts: Attempts = { deliveryCount: 1, acquiredCount: 1, dueAt: 0 }): void {
    const details = this.#detailsOf(entry)
    details.deliveryCount = attempts.deliveryCount
    details.acquiredCount = attempts.acquiredCount
    details.dueAt = attempts.dueAt
    this.#recallsDelays ||= attempts.dueAt > 0
    details.presented = presentedMessage(entry.message, details, this.#context.codec)
  }

  get storedDeadline(): number {
    return this.#backlog.storedDeadline
  }

  expireStored(now: number): void {
    this.#backlog.expireStored(now)
  }

  expired(entry: Entry): void {
    this.#backlog.remove(entry)
    this.#giveUp(entry, 'expired')
  }

  expiredUnread(entry: Entry): void {
    this.#giveUp(entry, 'expired')
  }

  /** Somebody has declared the queue again, which counts as a use of it (RabbitMQ: of a classic one). */
  redeclared(): void {
    if (this.#rules.type === 'classic') this.#idleness?.used()
  }

  idle(): void {
    this.#context.queueUnused(this)
  }

  backlogRead(): void {
    this.#expiry?.arm()
    this.serve()
    if (this.#ruled) this.#dropSurplus()
  }

  backlogUnreadable(error: unknown): void {
    this.#expiry?.arm()
    this.#context.queueReadFailed(this, error)
  }

  /** Whether the queue would not take this message. */
  refuses(message: Message): boolean {
    return this.#rules.overflow !== 'drop-head' && this.#overflows(message)
  }

  /**
   * Whether the queue would be too long with this message. RabbitMQ asks that even if a consumer could take it, and
   * counts what waits to be taken as a dead letter.
   */
  #overflows(message: Message): boolean {
    const { maxLength, maxLengthBytes } = this.#rules
    const count = this.#backlog.count + (this.#burials?.count ?? 0)
    const bytes = this.#backlog.bytes + (this.#burials?.bytes ?? 0)
    return count + 1 > maxLength || bytes + message.bodyBytes > maxLengthBytes
  }

  /** RabbitMQ: drop-head. What is too much goes from the front, as far as it is in memory; the rest when it is read. */
  #dropSurplus(): void {
    const { maxLength, maxLengthBytes, overflow } = this.#rules
    if (overflow !== 'drop-head') return
    const backlog = this.#backlog
    while (backlog.count > maxLength || backlog.bytes > maxLengthBytes) {
      if (backlog.count === 0 || !backlog.available) return
      this.#giveUp(backlog.take()!, 'maxlen')
    }
  }

  #timeIdleness(): void {
    const { expiresMs } = this.#rules
    if (this.#idleness !== null && this.#idleness.expiresMs === expiresMs) return
    this.#idleness?.stop()
    this.#idleness = expiresMs < 0 ? null : new Idleness(expiresMs, this.#context.clock, this)
  }

  /** Does as the rules say about duplicates. Returns whether its logs are others than before. */
  #deduplicate(): boolean {
    const rules = this.#rules.deduplication
    if (rules !== null && this.#deduplication !== null) {
      this.#deduplication.rules = rules
      return false
    }
    if (rules === null) {
      const dropped = this.#deduplication
      this.#deduplication = null
      dropped?.drop()
      return dropped !== null && dropped.log !== null
    }
    const { clock, codec } = this.#context
    const restored = this.#restoredIds
    const log = restored ?? (this.log === null ? null : this.#context.idLog())
    this.#restoredIds = null
    this.#deduplication = new QueueDeduplication(rules, log, clock, codec)
    return log !== restored
  }

  #mortality(): Expiry {
    return (this.#expiry ??= new Expiry(this.#context.clock, this))
  }

  #detailsOf(entry: Entry): EntryDetails {
    return (entry.details ??= new EntryDetails())
  }

  /** Gives up the next message if its time has passed, though its timer was not yet heard. */
  #headExpired(): boolean {
    const entry = this.#backlog.peek()!
    if (!this.#expiry!.due(entry)) return false
    this.#giveUp(this.#backlog.take()!, 'expired')
    return true
  }

  /**
   * Whether the next message, which is in memory, may be handed out. One that is on disk may come back after a crash: it
   * is to say then that it was delivered before, so the disk must know of that first. It mostly does.
   */
  #deliverable(): boolean {
    const entry = this.#backlog.peek()!
    if (entry.stored !== Stored.written || entry.spilled) return true
    return this.#backlog.logOf(entry).deliverable(entry.position, this.#nowDeliverable)
  }

  readonly #nowDeliverable = (): void => {
    for (const getter of this.#getters.splice(0)) this.whenGettable(getter)
    this.serve()
  }

  #deliver(consumer: Consumer, entry: Entry): void {
    if (consumer.noAck) {
      this.counts.deliveredNoAck++
      this.#handOut(entry, consumer.deliver(entry))
    } else {
      this.counts.delivered++
      this.#handOut(entry, false)
      consumer.deliver(entry)
    }
  }

  #handOut(entry: Entry, noAck: boolean): void {
    this.deliveredTotal++
    if (entry.redelivered) this.counts.redelivered++
    if (entry.stored !== Stored.no && !entry.spilled) this.#backlog.logOf(entry).delivered(entry.position)
    if (noAck) {
      this.#settle(entry)
      return
    }
    entry.state = EntryState.unacked
    this.#unackedCount++
    this.#unackedBytes += entry.message.bodyBytes
    if (!entry.message.owned) this.#context.window.watch(entry)
  }

  /** Settles a message that nobody will have, and hands it over to the dead-letter exchange: one batch, one fact. */
  #giveUp(entry: Entry, reason: DeathReason): void {
    if (this.#rules.deadLetterExchange === null || this.deleted) {
      if (!this.deleted) this.#deaths.dropped[reason]++
      this.#settle(entry)
      return
    }
    entry.state = EntryState.settled
    if (this.#rules.deadLettersSurely) {
      this.#context.deadLetterSurely(this, entry, reason)
      return
    }
    this.#deaths.lettered[reason]++
    this.#leave(entry)
    this.#context.deadLetter(this, entry.message, reason)
  }

  /** A message that was to be dead-lettered for sure: all that it leads to have taken it, or it must be tried again. */
  buried(entry: Entry, reason: DeathReason, taken: boolean): void {
    if (taken) {
      this.#deaths.lettered[reason]++
      this.#leave(entry)
      return
    }
    if (!entry.message.owned) entry.message.own()
    this.#burials ??= new Burials(this.#context.clock, (each, why) => this.#giveUp(each, why))
    this.#burials.add(entry, reason)
  }

  /** Its dead letter is enlisted: the message goes with the batch that has that. */
  #leave(entry: Entry): void {
    if (entry.stored !== Stored.no) this.#backlog.logOf(entry).supersede(entry)
    this.#deduplication?.left(entry)
  }

  #settle(entry: Entry): void {
    entry.state = EntryState.settled
    const deduplication = this.#deduplication
    if (entry.stored !== Stored.no && !this.deleted) {
      // What is remembered of a message is in its batch: that is what its publisher waits for then.
      if (deduplication === null) this.#backlog.logOf(entry).settle(entry)
      else this.#backlog.logOf(entry).supersede(entry)
    }
    if (deduplication !== null) deduplication.left(entry)
  }
}

function always(): boolean {
  return true
}
