// Messages that come back to a queue that counts its deliveries: how often each was tried, and what follows from that.
import type { Clock } from '../../lib/clock.ts'
import type { Attempts, PropertyCodec, QueueLog } from '../ports.ts'
import { presentedMessage } from './attempts.ts'
import type { Endings } from './endings.ts'
import { EntryState, Stored, type Entry } from './entry.ts'
import { Retries, retryDelayMs, type Waiting } from './retries.ts'
import type { QueueRules } from './rules.ts'

/** What redeliveries need from their queue. */
export interface RedeliveryHost {
  readonly rules: QueueRules
  /** Messages have waited long enough since they were given back. */
  readyAgain(entries: readonly Entry[]): void
}

/** The messages that are ready. */
interface Ready {
  peek(): Entry | undefined
  take(): Entry | undefined
  logOf(entry: Entry): QueueLog
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

  constructor(
    host: RedeliveryHost,
    ready: Ready,
    endings: Endings,
    { clock, codec }: { clock: Clock; codec: PropertyCodec },
  ) {
    this.#host = host
    this.#ready = ready
    this.#endings = endings
    this.#clock = clock
    this.#codec = codec
    this.#retries = new Retries(clock, (entries) => host.readyAgain(entries))
  }

  /** Messages that were given back, and when each is ready again, in no particular order. */
  get waiting(): Iterable<Waiting> {
    return this.#retries.waiting
  }

  /** How many those are. */
  get waitingCount(): number {
    return this.#retries.count
  }

  /** Takes out those of these positions that wait, and that `take` says yes to. */
  withdraw(positions: ReadonlySet<number>, take: (entry: Entry) => boolean): void {
    this.#retries.withdraw(positions, take)
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
    details.presented = presentedMessage(entry.message, details, this.#codec)
    const attempts = failed ? details.deliveryCount : details.acquiredCount
    const delayMs = retryDelayMs(rules, failed, attempts)
    details.dueAt = delayMs > 0 ? this.#clock.now() + delayMs : 0
    if (entry.stored !== Stored.no && !entry.spilled) this.#ready.logOf(entry).attempted(entry.position, details)
    if (delayMs <= 0) return false
    this.#retries.add(entry, delayMs)
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
    const delayMs = (this.#ready.peek()!.details?.dueAt ?? 0) - this.#clock.now()
    if (delayMs <= 0) return false
    const entry = this.#ready.take()!
    // As with those that were given back a moment ago: until it is ready again it does not expire either.
    entry.state = EntryState.unacked
    this.#retries.add(entry, delayMs)
    return true
  }

  /** Nothing becomes ready again from here on. */
  stop(): void {
    this.#retries.stop()
  }
}
