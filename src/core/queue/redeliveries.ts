// Messages that come back to a queue that counts its deliveries: how often each was tried, and what follows from that.
import type { Clock } from '../../lib/clock.ts'
import type { Message } from '../message.ts'
import type { Attempts, PropertyCodec, QueueLog, StoredMessage } from '../ports.ts'
import { presentedMessage } from './attempts.ts'
import { lookAt, type Stretch } from './browse.ts'
import type { Endings } from './endings.ts'
import { EntryState, Stored, type Entry } from './entry.ts'
import { Retries, retryDelayMs, type RetriesContext } from './retries.ts'
import type { UnreadMessage } from './returned.ts'
import type { QueueRules } from './rules.ts'

/** What redeliveries need from their queue. */
export interface RedeliveryHost {
  readonly rules: QueueRules
  /** Messages have waited long enough since they were given back: these, and others that are not in memory. */
  readyAgain(entries: readonly Entry[]): void
  /** A message that was read as consumers are to see it. */
  presented(stored: StoredMessage): Message
}

/** And from the broker. */
export interface RedeliveryContext extends RetriesContext {
  readonly clock: Clock
  readonly codec: PropertyCodec
}

/** The messages that are ready. */
interface Ready {
  peek(): Entry | undefined
  take(): Entry | undefined
  logOf(entry: Entry): QueueLog
  restoredFrom(log: QueueLog, stored: StoredMessage): Entry
  giveBackUnread(log: QueueLog, unread: UnreadMessage): void
}

/** Counts deliveries that came to nothing. Owns the messages that wait before they are ready again. */
export class Redeliveries {
  readonly #host: RedeliveryHost
  readonly #ready: Ready
  readonly #endings: Endings
  readonly #clock: Clock
  readonly #codec: PropertyCodec
  readonly #retries: Retries
  /** Whether messages were read back that may have to wait before they are tried again. */
  #recallsDelays = false

  constructor(host: RedeliveryHost, ready: Ready, endings: Endings, context: RedeliveryContext) {
    this.#host = host
    this.#ready = ready
    this.#endings = endings
    this.#clock = context.clock
    this.#codec = context.codec
    this.#retries = new Retries(context, {
      logOf: (entry) => ready.logOf(entry),
      restoredFrom: (log, stored) => ready.restoredFrom(log, stored),
      giveBackUnread: (log, unread) => ready.giveBackUnread(log, unread),
      readyAgain: (entries) => host.readyAgain(entries),
    })
  }

  /** Messages that were given back and wait. */
  get waitingCount(): number {
    return this.#retries.count
  }

  /** What those of them that are in memory cost there, about, in bytes. */
  get waitingResidentBytes(): number {
    return this.#retries.residentBytes
  }

  /** Looks at some of them, from a position on, in order. Rejects when that cannot be read. */
  browse(from: number): Promise<Stretch> {
    const presented = (stored: StoredMessage): Message => this.#host.presented(stored)
    return lookAt(() => ({ ...this.#retries.parts, presented }), from)
  }

  /** Takes out those of these positions that wait, and that `take` says yes to. Rejects when some cannot be read. */
  withdraw(positions: readonly number[], take: (entry: Entry) => boolean): Promise<void> {
    return this.#retries.withdraw(positions, take)
  }

  /**
   * Counts a delivery that came to nothing. Returns whether the message does not come back, or not yet: RabbitMQ's
   * x-delivery-limit and x-delayed-retry-*.
   */
  heldBack(entry: Entry, failed: boolean): boolean {
    const { rules } = this.#host
    const details = entry.detailed()
    details.acquiredCount++
    if (failed) details.deliveryCount++
    if (details.deliveryCount > rules.deliveryLimit) {
      this.#endings.giveUp(entry, 'delivery_limit')
      return true
    }
    if (!entry.message.released) details.presented = presentedMessage(entry.message, details, this.#codec)
    const attempts = failed ? details.deliveryCount : details.acquiredCount
    const delayMs = retryDelayMs(rules, failed, attempts)
    details.dueAt = delayMs > 0 ? this.#clock.now() + delayMs : 0
    if (entry.stored !== Stored.no) this.#ready.logOf(entry).attempted(entry.position, details)
    if (delayMs <= 0) return false
    this.#retries.add(entry, details.dueAt)
    return true
  }

  /** A message was read back. What was out when the broker ended, and nothing is known of, has failed once. */
  recall(entry: Entry, attempts: Attempts = { deliveryCount: 1, acquiredCount: 1, dueAt: 0 }): void {
    const details = entry.detailed()
    details.deliveryCount = attempts.deliveryCount
    details.acquiredCount = attempts.acquiredCount
    details.dueAt = attempts.dueAt
    this.#recallsDelays ||= attempts.dueAt > 0
    details.presented = presentedMessage(entry.message, details, this.#codec)
  }

  /** Puts the next message, which is in memory, aside if it was read back before it is to be tried again. */
  headDelayed(): boolean {
    if (!this.#recallsDelays) return false
    const dueAt = this.#ready.peek()!.details?.dueAt ?? 0
    if (dueAt <= this.#clock.now()) return false
    const entry = this.#ready.take()!
    // As with those that were given back a moment ago: until it is ready again it does not expire either.
    entry.state = EntryState.unacked
    this.#retries.add(entry, dueAt)
    return true
  }

  /** Nothing becomes ready again from here on. */
  stop(): void {
    this.#retries.stop()
  }
}
