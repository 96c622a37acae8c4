// A queue that takes each id once.
import type { Clock } from '../../lib/clock.ts'
import { DEDUPLICATED_IDS_MAX } from '../limits.ts'
import { Deaths, type Message } from '../message.ts'
import type { HeaderReader, IdLog, Publisher } from '../ports.ts'
import { Stored, type Entry } from '../queue/entry.ts'
import { messageId } from './message-id.ts'
import { rememberedMs, type DeduplicationRules } from './rules.ts'
import { SeenIds } from './seen-ids.ts'

/** Knows the ids of a queue's messages: of those that are in it, or of the last that came, as the rules say. */
export class QueueDeduplication {
  readonly log: IdLog | null
  #rules: DeduplicationRules
  readonly #clock: Clock
  readonly #codec: HeaderReader
  readonly #seen: SeenIds

  constructor(rules: DeduplicationRules, log: IdLog | null, clock: Clock, codec: HeaderReader) {
    this.#rules = rules
    this.log = log
    this.#clock = clock
    this.#codec = codec
    this.#seen = new SeenIds(log, sizeOf(rules))
  }

  /** Other rules hold from now on. What was remembered under another sense of the word is forgotten. */
  set rules(rules: DeduplicationRules) {
    if (rules.whilePresent !== this.#rules.whilePresent) this.#seen.clear()
    this.#rules = rules
    this.#seen.size = sizeOf(rules)
  }

  /** Ids that are remembered. */
  get cached(): number {
    return this.#seen.count
  }

  /**
   * Whether a message with the same id is there, or was of late. A dead letter is no duplicate of what it was: only of
   * one that is there.
   */
  repeats(message: Message): boolean {
    if (message.deaths !== Deaths.none && !this.#rules.whilePresent) return false
    const id = this.#idOf(message)
    return id !== null && this.#seen.has(id, this.#clock.now())
  }

  /** Tells the publisher of a duplicate when its first is safe. */
  follow(publisher: Publisher, sequence: number): void {
    this.#seen.follow(publisher, sequence)
  }

  /** The queue has taken a message. It is remembered for as long as it would be kept itself, in the same batch. */
  taken(entry: Entry): void {
    const { message } = entry
    const id = this.#idOf(message)
    if (id === null) return
    const now = this.#clock.now()
    const { whilePresent } = this.#rules
    const until = whilePresent ? Infinity : now + rememberedMs(this.#rules, this.#codec.headers(message))
    this.#seen.add({ id, order: entry.position, until }, now, entry.stored !== Stored.no, null, 0)
  }

  /** A message has left the queue. */
  left(entry: Entry): void {
    if (!this.#rules.whilePresent) return
    const id = this.#idOf(entry.message)
    if (id !== null) this.#seen.remove(id, entry.position)
  }

  /** Messages at these positions cannot be read any more: they will never leave the queue. */
  lost(first: number, last: number): void {
    if (this.#rules.whilePresent) this.#seen.removeBetween(first, last)
  }

  /** The queue was purged. RabbitMQ's plugin: all ids are forgotten, those of unacknowledged messages too. */
  purged(): void {
    if (this.#rules.whilePresent) this.#seen.clear()
  }

  drop(): void {
    this.#seen.drop()
  }

  #idOf(message: Message): string | null {
    return message.headers ? messageId(this.#codec.headers(message), this.#rules.header) : null
  }
}

function sizeOf(rules: DeduplicationRules): number {
  return rules.whilePresent ? DEDUPLICATED_IDS_MAX : rules.size
}
