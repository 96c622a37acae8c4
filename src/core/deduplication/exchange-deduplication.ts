// An exchange that routes each id once.
import type { Clock } from '../../lib/clock.ts'
import type { MessageCounts } from '../counts.ts'
import type { Detour, Routes } from '../exchange/routes.ts'
import { Deaths, type Message } from '../message.ts'
import type { HeaderReader, IdLog, Publisher, Store } from '../ports.ts'
import { messageId } from './message-id.ts'
import { DEDUPLICATING_TYPE, rememberedMs, type DeduplicationRules } from './rules.ts'
import { SeenIds } from './seen-ids.ts'

/** What it needs from the vhost of its exchange. */
export interface DeduplicationContext {
  readonly clock: Clock
  readonly codec: HeaderReader
  /** The counts of the vhost. */
  readonly counts: MessageCounts
  /** Messages that a queue has refused. */
  readonly refused: WeakSet<Message>
  readonly store: Pick<Store, 'whenDurable'>
}

/**
 * Keeps duplicates from being routed. An id counts as seen once its message was handed to the queues, as a detour that
 * comes after them: so that one which was refused, or rolled back, may come again.
 */
export class ExchangeDeduplication implements Detour {
  /** Duplicates that came. */
  count = 0
  /** A message that has been here before and is routed again, because it was delayed. */
  exempt: Message | null = null
  readonly log: IdLog | null
  #rules: DeduplicationRules
  readonly #seen: SeenIds
  readonly #context: DeduplicationContext

  constructor(rules: DeduplicationRules, log: IdLog | null, context: DeduplicationContext) {
    this.#rules = rules
    this.log = log
    this.#seen = new SeenIds(log, rules.size)
    this.#context = context
  }

  /** Other rules hold from now on. */
  set rules(rules: DeduplicationRules) {
    this.#rules = rules
    this.#seen.size = rules.size
  }

  /** Ids that are remembered. */
  get cached(): number {
    return this.#seen.count
  }

  /** Whether the message is to be routed. */
  admits(message: Message, routes: Routes): boolean {
    // Whether a message is a duplicate is its own affair, not its key's.
    routes.repeatable = false
    return message === this.exempt || !this.repeats(message)
  }

  /** The message leads somewhere: it is to be remembered once it is there. */
  admitted(message: Message, routes: Routes): void {
    if (message !== this.exempt && this.#idOf(message) !== null) routes.addDetour(this)
  }

  /** The message leads nowhere, but its publisher hears of it. RabbitMQ's plugin: an alternate exchange gets it. */
  keptBack(type: string, routes: Routes): void {
    routes.addDetour(this)
    routes.matched = type !== DEDUPLICATING_TYPE
  }

  /** Remembers the id of a message that was handed to the queues, or counts it when it was not. */
  take(message: Message, _copies: readonly string[], publisher: Publisher | null, sequence: number): void {
    if (this.repeats(message)) {
      this.count++
      this.#context.counts.deduplicated++
      // Its first is enlisted, whether its id is kept or not: what is confirmed must not be lost with it.
      if (publisher !== null) this.#context.store.whenDurable(() => publisher.accepted(sequence))
      return
    }
    const { clock, codec, refused } = this.#context
    const id = this.#idOf(message)
    if (id === null || refused.has(message)) {
      publisher?.accepted(sequence)
      return
    }
    const now = clock.now()
    const until = now + rememberedMs(this.#rules, codec.headers(message))
    // What would be lost at a restart must not be taken for seen after it.
    this.#seen.add({ id, order: this.#seen.nextOrder, until }, now, message.persistent, publisher, sequence)
  }

  /** A dead letter is no duplicate of what it was: it comes back because somebody wanted that. */
  repeats(message: Message): boolean {
    if (message.deaths !== Deaths.none) return false
    const id = this.#idOf(message)
    return id !== null && this.#seen.has(id, this.#context.clock.now())
  }

  drop(): void {
    this.#seen.drop()
  }

  #idOf(message: Message): string | null {
    return message.headers ? messageId(this.#context.codec.headers(message), this.#rules.header) : null
  }
}
