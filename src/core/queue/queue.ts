// A queue: its messages in order, what is out with consumers, and who is next.
import { Passages } from '../passages.ts'
import { MessageCounts, type DeathReason } from '../counts.ts'
import { QueueDeduplication } from '../deduplication/queue-deduplication.ts'
import type { Binding } from '../exchange/binding.ts'
import { PACE_DELIVERIES_MIN, QUEUE_OVERRUN_BYTES } from '../limits.ts'
import type { Message } from '../message.ts'
import type { Governance } from '../policies.ts'
import type { CancelReason, Consumer, Held, IdLog, Publisher, QueueLog, StoredMessage } from '../ports.ts'
import type { FieldTable } from '../value.ts'
import { presentedMessage } from './attempts.ts'
import { Backlog } from './backlog.ts'
import type { BrowsedPage, Place } from './browse.ts'
import { Dispatch, Subscription } from './dispatch.ts'
import { Endings } from './endings.ts'
import { Entry, EntryState, Stored } from './entry.ts'
import { Expiry } from './expiry.ts'
import { Gate, type GateHost } from './gate.ts'
import { Idleness, type IdlenessHost } from './idleness.ts'
import { Lent } from './lent.ts'
import { PriorityBacklog, type LevelHost } from './priority-backlog.ts'
import type { QueueContext, QueueOwner, QueueProperties } from './queue-context.ts'
import { Redeliveries, type RedeliveryHost } from './redeliveries.ts'
import type { ResidentBudget } from './resident-budget.ts'
import { longerThan, queueRules, rulePublishes, waitMs, type QueueRules } from './rules.ts'
import { Undecided } from './undecided.ts'
import { Rereading } from './unreadable.ts'

/** The logs of a queue's priorities, by priority. */
type LevelLogs = ReadonlyMap<number, QueueLog>

const NO_LEVELS: LevelLogs = new Map()
const NOTHING_HELD: Held = { count: 0, bodyBytes: 0 }

/** One queue. Owns the entries, their order and their states; the log owns what is on disk of them. */
export class Queue implements LevelHost, IdlenessHost, RedeliveryHost, GateHost {
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
  /** Stored messages that turned out to be damaged since the start. */
  damagedCount = 0
  /** By way of which exchanges clients published here. Kept by sessions. */
  readonly passages = new Passages()

  readonly #context: QueueContext
  #rules: QueueRules
  /** Whether a publish must look at the rules at all. */
  #ruled = false
  readonly #dispatch: Dispatch
  readonly #backlog: Backlog | PriorityBacklog
  readonly #levels: PriorityBacklog | null
  readonly #endings: Endings
  readonly #gate: Gate
  readonly #lent = new Lent()
  /** The deadlines of messages, once there were any. */
  #expiry: Expiry | null = null
  #idleness: Idleness | null = null
  /** What came back, once the rules had that counted. */
  #redeliveries: Redeliveries | null = null
  #rereading: Rereading | null = null
  readonly #deduplication: QueueDeduplication
  /** RabbitMQ: a quorum queue keeps everything, whatever its delivery mode. */
  readonly #storesAll: boolean
  #nextPosition: number
  /** Below this position messages were here before the broker started. */
  readonly recoveredBelow: number
  /** Messages that may not wait, once one came before it was known whether anything stands before it. */
  #undecided: Undecided | null = null
  #hadConsumer = false
  #stopped = false
  #keepsUp = true

  constructor(
    properties: QueueProperties,
    log: QueueLog | null,
    context: QueueContext,
    levels: LevelLogs | null = NO_LEVELS,
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
    this.#storesAll = this.#rules.type === 'quorum'
    const { priorityMax, priorityDefault, singleActiveConsumer } = this.#rules
    const ranked = levels !== null && priorityMax > 0
    const logs = ranked ? withOwn(log, levels, priorityDefault) : NO_LEVELS
    this.#levels = ranked ? new PriorityBacklog(this.#rules, logs, this) : null
    this.#backlog = this.#levels ?? new Backlog(log, this)
    this.#dispatch = new Dispatch(singleActiveConsumer, this.#rules.type === 'quorum')
    this.#nextPosition = 0
    for (const { next } of this.levelLogs.values()) this.#nextPosition = Math.max(this.#nextPosition, next)
    this.recoveredBelow = this.#nextPosition
    this.#ruled = rulePublishes(this.#rules)
    this.#deduplication = new QueueDeduplication(ids, log !== null, context)
    this.#deduplication.apply(this.#rules.deduplication)
    this.#endings = new Endings(this, this.#backlog, this.#deduplication, context)
    this.#gate = new Gate(this, this.#backlog)
    this.#timeIdleness()
    if (this.#backlog.storedDeadline < Infinity) this.#deadlines().arm()
  }

  /** What holds for the queue now. */
  get rules(): QueueRules {
    return this.#rules
  }

  /**
   * Other rules hold from now on (RabbitMQ: policies). The caller calls `enforceRules` once other queues go by theirs too:
   * what is too much here may be a dead letter there.
   */
  applyRules(rules: QueueRules): void {
    this.#rules = rules
    this.#ruled = rulePublishes(rules)
    if (this.#deduplication.apply(rules.deduplication)) this.#context.logsChanged(this)
    for (const { consumer } of this.#dispatch.subscriptions) consumer.rulesChanged?.()
    this.#timeIdleness()
  }

  /** The rules hold for the messages that are here already. */
  enforceRules(): void {
    this.#dropSurplus()
  }

  /**
   * Whether the queue would not take this message, because it would be too long with it. RabbitMQ asks that even if a
   * consumer could take it, and counts what waits to be taken as a dead letter.
   */
  refuses(message: Message): boolean {
    if (this.#rules.overflow === 'drop-head') return false
    const count = this.#backlog.count + this.#endings.dyingCount + 1
    const bytes = this.#backlog.bytes + this.#endings.dyingBytes + message.bodyBytes
    return longerThan(this.#rules, count, bytes)
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

  /**
   * Takes the next message out, as basic.get does. Undefined when none is ready, or it is not gettable. One that does not
   * fit whoever gets it is to be given back, `noAck` or not.
   */
  get(noAck: boolean, fits: (message: Message) => boolean = always): Entry | undefined {
    this.#idleness?.used()
    const backlog = this.#backlog
    while (backlog.count > 0 && backlog.available && this.#headGoes());
    if (backlog.count === 0) this.counts.getEmpty++
    if (backlog.count === 0 || !backlog.available || !this.#gate.open) return undefined
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

  /** Whether `get` can answer: the next message can be handed out, or there is none. */
  get gettable(): boolean {
    return this.#gate.gettable
  }

  /**
   * Calls back when `get` can answer, at once or later; with false when the next message cannot be read. Whoever is
   * called back comes before the consumers, but even so `get` may find that all that was read has expired.
   */
  whenGettable(callback: (gettable: boolean) => void): void {
    this.#gate.whenGettable(callback)
  }

  /** The message was dealt with. */
  acknowledge(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#lent.remove(entry)
    this.counts.acknowledged++
    this.#endings.settle(entry)
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
    this.#lent.remove(entry)
    if (this.deleted) {
      entry.state = EntryState.settled
      return
    }
    entry.redelivered = true
    if (this.#rules.countsDeliveries && this.#comebacks().heldBack(entry, failed)) return
    this.#takeBack(entry)
  }

  /** Messages that were requeued are all back: they are delivered, or dropped if the queue has grown too long. */
  takenBack(): void {
    this.shorten()
    this.serve()
    if (this.#ruled && this.#rules.type === 'quorum') this.#dropSurplus()
  }

  /**
   * Drops what is too much of what came back. RabbitMQ: a classic queue does so before a consumer can take it, a quorum
   * queue delivers first.
   */
  shorten(): void {
    if (this.#ruled && this.#rules.type === 'classic') this.#dropSurplus()
  }

  /**
   * A message has been out for some time: its properties and its body are let go of, if they are on disk and what is out
   * takes much memory. Returns false when it is to be asked again, as they are not on disk yet.
   */
  release(entry: Entry): boolean {
    if (this.#lent.light || entry.state !== EntryState.unacked || entry.stored === Stored.no) return true
    // Should it be rejected, its dead letter is written at once; and once it is settled, its id may be wanted.
    if (this.deleted || this.#rules.deadLetterExchange !== null || this.#deduplication.active) return true
    const log = this.#backlog.logOf(entry)
    if (log.inMemory) return true
    if (entry.stored === Stored.pending || entry.position >= log.durableBelow) return false
    this.#lent.release(entry)
    return true
  }

  /** The consumer will not take the message, and it is not to come back. */
  reject(entry: Entry): void {
    if (entry.state !== EntryState.unacked) return
    this.#lent.remove(entry)
    this.counts.rejected++
    this.#endings.giveUp(entry, 'rejected')
  }

  /** A message that was to be dead-lettered for sure: all that it leads to have taken it, or it must be tried again. */
  buried(entry: Entry, reason: DeathReason, taken: boolean): void {
    this.#endings.buried(entry, reason, taken)
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

  /** Delivers what waits, for as long as a consumer is ready and the messages are in memory. */
  serve(): void {
    const backlog = this.#backlog
    while (backlog.count > 0 && !this.#stopped) {
      if (!backlog.available) return
      if (this.#headGoes()) continue
      if (this.consumerCount === 0 || !this.#gate.open) return
      const consumer = this.#dispatch.next()
      if (consumer === undefined) return
      this.#deliver(consumer, backlog.take()!)
    }
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

  /** Whether deliveries are stopped. */
  get paused(): boolean {
    return this.#dispatch.paused
  }

  /** Whether this consumer gets deliveries as far as the others are concerned (RabbitMQ: single active consumer). */
  serves(consumer: Consumer): boolean {
    for (const subscription of this.#dispatch.subscriptions) {
      if (subscription.consumer === consumer) return this.#dispatch.active(subscription)
    }
    return false
  }

  get consumers(): readonly Consumer[] {
    return Array.from(this.#dispatch.subscriptions, (subscription) => subscription.consumer)
  }

  get consumerCount(): number {
    return this.#dispatch.subscriptions.size
  }

  /** Whether somebody consumes exclusively. */
  get exclusivelyConsumed(): boolean {
    for (const subscription of this.#dispatch.subscriptions) if (subscription.exclusive) return true
    return false
  }

  /** Whether publishers should be read more slowly: memory fills although somebody consumes. */
  get overrun(): boolean {
    return this.#backlog.passingBytes > QUEUE_OVERRUN_BYTES && this.#dispatch.subscriptions.size > 0
  }

  /** How far over, 1 being the limit. */
  get overrunRatio(): number {
    return this.#backlog.passingBytes / QUEUE_OVERRUN_BYTES
  }

  /** Whether the consumers take messages at a rate that is worth waiting for. */
  get keepsUp(): boolean {
    return this.#keepsUp
  }

  /** A publisher was held back for so many milliseconds, and so many messages were delivered meanwhile. */
  paced(deliveries: number, pauseMs: number): void {
    this.#keepsUp = deliveries >= PACE_DELIVERIES_MIN * pauseMs
  }

  /**
   * Whether it is known what the queue held when the broker started. Until then it takes messages and consumers; it gives
   * nothing (with priorities: what stands above the first level that is not known), and its counts tell of what has come
   * since.
   */
  get opened(): boolean {
    return this.#backlog.unknownCount === 0
  }

  /** Calls back when that is known, at once or later; with false when the disk does not give it now. */
  whenOpened(callback: (opened: boolean) => void): void {
    const logs = Array.from(this.levelLogs.values()).filter(({ opened }) => !opened)
    let left = logs.length
    if (left === 0) callback(true)
    const opened = (): void => {
      if (--left === 0) callback(true)
    }
    const failed = (): void => {
      // Of one of them is enough.
      if (left > 0) callback(false)
      left = 0
    }
    for (const log of logs) log.whenOpened(opened, failed)
  }

  /** Messages that wait to be delivered. */
  get readyCount(): number {
    return this.#backlog.count - this.#backlog.unknownCount
  }

  /** The bodies of those, in bytes. */
  get readyBytes(): number {
    return this.#backlog.bytes
  }

  /** Messages that were delivered and are neither acknowledged nor requeued. */
  get unackedCount(): number {
    return this.#lent.count
  }

  /** The bodies of those, in bytes. */
  get unackedBytes(): number {
    return this.#lent.bytes
  }

  /** Those of them that are in memory, be they on disk too or not. */
  get unackedResidentCount(): number {
    return this.#lent.residentCount
  }

  /** Messages that were given back and wait before they are ready again. */
  get delayedCount(): number {
    return this.#redeliveries?.waitingCount ?? 0
  }

  /** Messages that are given up, and kept until their dead letters are taken. */
  get dyingCount(): number {
    return this.#endings.dyingCount
  }

  /** Their bodies, in bytes. */
  get dyingBytes(): number {
    return this.#endings.dyingBytes
  }

  /** Messages that the disk does not give now. They are not ready, and tried again. */
  get unreadableCount(): number {
    return this.#backlog.unreadableCount
  }

  /** Whether it has no message but those that are out with somebody: none is ready, waits for its time or for the disk. */
  get empty(): boolean {
    return this.readyCount + this.delayedCount + this.dyingCount + this.unreadableCount === 0
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
    const waitingBytes = this.#redeliveries?.waitingResidentBytes ?? 0
    return this.#backlog.residentBytes + waitingBytes + this.#endings.dyingResidentBytes + this.#lent.residentBytes
  }

  /** Ready messages that are in memory, be they on disk too or not. */
  get residentCount(): number {
    return this.#backlog.residentCount
  }

  /**
   * Messages that survive a restart, and the bytes of their bodies, with those that the disk does not give now. Counted
   * when it is asked for.
   */
  get persistent(): Held {
    if (this.log === null) return NOTHING_HELD
    if (this.#levels === null) return this.log.held
    let [count, bodyBytes] = [0, 0]
    for (const log of this.levelLogs.values()) {
      const { held } = log
      count += held.count
      bodyBytes += held.bodyBytes
    }
    return { count, bodyBytes }
  }

  /** The message that is the next to be delivered, if it is in memory. */
  get head(): Message | undefined {
    return this.#backlog.peek()?.message
  }

  /** The ids of messages that it remembers, to know duplicates by. */
  get rememberedIds(): number {
    return this.#deduplication.cached
  }

  /** Whether its messages stand by their priorities. */
  get ranked(): boolean {
    return this.#levels !== null
  }

  /** The logs of its priorities, by priority; one of them is the queue's own. */
  get levelLogs(): LevelLogs {
    return this.#levels === null ? withOwn(this.log, NO_LEVELS, 0) : this.#levels.logs
  }

  /** The log of the ids that it remembers, if it does and survives. */
  get ids(): IdLog | null {
    return this.#deduplication.log
  }

  /**
   * Looks at ready messages from a place on, some hundreds at the most, without changing anything. What is on disk only is
   * read from there for this once. Rejects when that cannot be read.
   */
  browse(from: Place): Promise<BrowsedPage> {
    return this.#backlog.browse(from)
  }

  /** Looks in the same way at those that were given back and wait. They stand by their positions alone. */
  async browseDelayed(from: Place): Promise<BrowsedPage> {
    if (this.#redeliveries === null) return { messages: [], next: null }
    const { messages, next } = await this.#redeliveries.browse(from.position)
    return { messages, next: next === Infinity ? null : { priority: from.priority, position: next } }
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
      this.#endings.settle(entry)
    }
    await this.#redeliveries?.withdraw(positions, (entry) => {
      if (!wants(entry)) return false
      taken(entry)
      return true
    })
    await this.#backlog.withdraw(positions, { wants, taken })
    return count
  }

  /** Drops everything that is ready, and what cannot be read now. Returns how many messages that were. */
  purge(): number {
    const count = this.#backlog.count + this.#backlog.unreadableCount
    this.#backlog.clear((entry) => this.#endings.settle(entry))
    this.#deduplication.purged()
    return count
  }

  /** Somebody has declared the queue again, which counts as a use of it (RabbitMQ: of a classic one). */
  redeclared(): void {
    if (this.#rules.type === 'classic') this.#idleness?.used()
  }

  /** So many messages at these positions, both included, turned out to be damaged: they are not in the queue any more. */
  messagesLost(first: number, last: number, count: number): void {
    this.damagedCount += count
    this.#deduplication.lost(first, last)
  }

  /** Ends the queue: its consumers are cancelled, its messages gone. What is out with consumers may still be acked. */
  delete(reason: CancelReason): void {
    this.deleted = true
    this.stop()
    this.#endings.drop()
    this.#backlog.drop()
    const subscriptions = [...this.#dispatch.subscriptions]
    for (const subscription of subscriptions) this.#dispatch.remove(subscription)
    this.log?.drop()
    this.#deduplication.drop()
    this.owner?.queueDeleted(this)
    for (const subscription of subscriptions) subscription.consumer.cancelled(reason)
  }

  /** Nothing happens by itself from here on: the queue goes, or the broker stops. */
  stop(): void {
    this.#stopped = true
    this.#expiry?.stop()
    this.#idleness?.stop()
    this.#redeliveries?.stop()
    this.#endings.stop()
    this.#rereading?.stop()
  }

  get residentBudget(): ResidentBudget {
    return this.#context.residentBudget
  }

  spillLog(): QueueLog {
    return this.#context.spillLog()
  }

  levelLog(): QueueLog | null {
    return this.log === null ? null : this.#context.levelLog()
  }

  levelAdded(): void {
    if (this.log !== null) this.#context.logsChanged(this)
  }

  restored(stored: StoredMessage): Entry {
    const entry = new Entry(this, stored.message, stored.position)
    entry.redelivered = stored.redelivered
    if (this.#rules.countsDeliveries && stored.redelivered) this.#comebacks().recall(entry, stored.attempts)
    if (stored.deadline !== Infinity) {
      entry.detailed().deadline = stored.deadline
      this.#deadlines().watch(entry)
    }
    return entry
  }

  presented({ message, attempts }: StoredMessage): Message {
    if (attempts === undefined || attempts.acquiredCount === 0) return message
    return presentedMessage(message, attempts, this.#context.codec)
  }

  backlogRead(): void {
    // What was being read when the broker stopped is for its next start.
    if (this.#stopped) return
    this.#expiry?.arm()
    this.serve()
    if (this.#ruled) this.#dropSurplus()
  }

  backlogUnreadable(error: unknown): void {
    this.#expiry?.arm()
    this.#context.queueReadFailed(this, error)
    if (this.deleted) return
    this.#rereading ??= new Rereading(this.#context.clock, this.#backlog, (again) => this.backlogUnreadable(again))
    this.#rereading.failed()
  }

  backlogReadable(count: number): void {
    this.#context.queueReadable(this, count)
  }

  backlogOpened(): void {
    if (this.#stopped) return
    if (this.#backlog.storedDeadline < Infinity) this.#deadlines().arm()
    if (this.opened) this.#undecided?.decide(this.#heldNothing)
    // Nothing is read before somebody wants it.
    if (this.consumerCount > 0) this.serve()
    if (this.#ruled) this.#dropSurplus()
  }

  expiredUnread(entry: Entry): void {
    if (!this.#stopped) this.#endings.giveUp(entry, 'expired')
  }

  /** Messages have waited long enough since they were given back. */
  readyAgain(entries: readonly Entry[]): void {
    for (const entry of entries) this.#takeBack(entry)
    if (this.#backlog.storedDeadline < Infinity) this.#deadlines().arm()
    this.takenBack()
  }

  idle(): void {
    this.#context.queueUnused(this)
  }

  /** The same in a queue that may not take everything, or not for ever. */
  #publishByRules(message: Message, publisher: Publisher | null, sequence: number): void {
    if (this.#deduplication.repeats(message)) {
      this.counts.deduplicated++
      if (publisher !== null) this.#deduplication.follow(publisher, sequence)
      return
    }
    if (this.refuses(message)) {
      this.#endings.refuse(message)
      publisher?.refused(sequence)
      return
    }
    const entry = new Entry(this, message, this.#nextPosition++)
    const ttlMs = waitMs(this.#rules, message.expirationMs)
    if (ttlMs >= 0) entry.detailed().deadline = this.#context.clock.now() + ttlMs
    const stored = message.persistent || this.#storesAll
    const log = this.#levels === null || !stored ? this.log : this.#levels.logFor(message)
    if (stored && log !== null) log.append(entry, publisher, sequence)
    else if (publisher !== null) publisher.accepted(sequence)
    this.#deduplication.taken(entry)
    const consumer = this.#backlog.count === 0 ? this.#dispatch.next() : undefined
    if (consumer !== undefined) {
      this.#deliver(consumer, entry)
      return
    }
    if (ttlMs === 0) {
      // RabbitMQ: with no time to wait a message is delivered at once or never.
      if (this.opened || this.consumerCount === 0 || !this.#undecidedMessages().add(entry)) {
        this.#endings.giveUp(entry, 'expired')
        return
      }
    }
    if (!message.owned) this.#context.window.watch(entry)
    this.#backlog.push(entry)
    if (ttlMs > 0) this.#deadlines().watch(entry)
    // What stands above the first level that is not open is given.
    if (this.#levels !== null && this.#levels.unknownCount > 0) this.serve()
    this.#dropSurplus()
  }

  /**
   * RabbitMQ: drop-head. What is too much goes from the front, as far as it is in memory and known to be that; the rest when
   * it is read.
   */
  #dropSurplus(): void {
    if (this.#rules.overflow !== 'drop-head') return
    const backlog = this.#backlog
    while (longerThan(this.#rules, backlog.count, backlog.bytes)) {
      if (backlog.count === 0 || backlog.unknownCount > 0 || !backlog.available) return
      this.#endings.giveUp(backlog.take()!, 'maxlen')
    }
  }

  #takeBack(entry: Entry): void {
    if (entry.message.released) {
      this.#takeBackUnread(entry)
      return
    }
    entry.state = EntryState.ready
    this.#backlog.giveBack(entry)
    // It may have been handed out as it came, and have waited for the first time only now.
    if (entry.details !== null && entry.details.deadline !== Infinity) this.#deadlines().watch(entry)
  }

  #takeBackUnread(entry: Entry): void {
    const { position, message, details } = entry
    const deadline = details?.deadline ?? Infinity
    // Whoever still knows this entry has no business with it: it comes back as another one.
    entry.state = EntryState.settled
    const unread = { position, bodyBytes: message.bodyBytes, deadline }
    this.#backlog.giveBackUnread(this.#backlog.logOf(entry), unread)
    if (deadline < Infinity) this.#deadlines().arm()
  }

  /** Whether the next message, which is in memory, was not to be handed out, and is gone: its time passed, or is to come. */
  #headGoes(): boolean {
    if (this.#expiry !== null && this.#expiry.due(this.#backlog.peek()!) && !this.#spared) {
      // Its timer was not yet heard.
      this.#endings.giveUp(this.#backlog.take()!, 'expired')
      return true
    }
    return this.#redeliveries !== null && this.#redeliveries.headDelayed()
  }

  /** Whether the next message, which is in memory, may be delivered though its time is over. */
  get #spared(): boolean {
    return this.#undecided !== null && this.#undecided.spares(this.#backlog.peek()!)
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
      this.#endings.settle(entry)
      return
    }
    entry.state = EntryState.unacked
    this.#lent.add(entry)
    if (!entry.message.owned) this.#context.window.watch(entry)
  }

  #timeIdleness(): void {
    const { expiresMs } = this.#rules
    if (this.#idleness !== null && this.#idleness.expiresMs === expiresMs) return
    this.#idleness?.stop()
    this.#idleness = expiresMs < 0 ? null : new Idleness(expiresMs, this.#context.clock, this)
  }

  #deadlines(): Expiry {
    return (this.#expiry ??= new Expiry(this.#context.clock, this.#backlog, (entry) => this.expiredUnread(entry)))
  }

  #undecidedMessages(): Undecided {
    return (this.#undecided ??= new Undecided(this, this.#backlog, this.#gate))
  }

  /** Whether nothing was here when the broker started. It is open. */
  get #heldNothing(): boolean {
    for (const { recovered } of this.levelLogs.values()) if (recovered.count > 0) return false
    return true
  }

  #comebacks(): Redeliveries {
    return (this.#redeliveries ??= new Redeliveries(this, this.#backlog, this.#endings, this.#context))
  }
}

/** The logs of a queue by priority, with its own as that of messages which have none. */
function withOwn(log: QueueLog | null, levels: LevelLogs, priority: number): LevelLogs {
  return log === null ? levels : new Map([...levels, [priority, log]])
}

function always(): boolean {
  return true
}
