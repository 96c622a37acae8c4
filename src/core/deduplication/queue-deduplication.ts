// A queue that takes each id once.
import type { Clock } from '../../lib/clock.ts'
import { DEDUPLICATED_IDS_MAX } from '../limits.ts'
import { Deaths, type Message } from '../message.ts'
import type { HeaderReader, IdLog, Publisher } from '../ports.ts'
import { Stored, type Entry } from '../queue/entry.ts'
import { messageId } from './message-id.ts'
import { rememberedMs, type DeduplicationRules } from './rules.ts'
import { SeenIds } from './seen-ids.ts'

/** What it needs from the broker around its queue. */
export interface QueueDeduplicationContext {
  readonly clock: Clock
  readonly codec: HeaderReader
  /** Makes a log for the ids of messages. */
  idLog(): IdLog
}

/** How duplicates are known, and what is remembered for that. */
interface Memory {
  rules: DeduplicationRules
  readonly seen: SeenIds
}

/**
 * Knows the ids of a queue's messages: of those that are in it, or of the last that came, as the rules say; or none, as
 * long as the rules do not ask for it.
 */
export class QueueDeduplication {
  /** A log that is found at the start is kept until the rules ask for it: a policy may come to that. */
  #log: IdLog | null
  readonly #durable: boolean
  readonly #context: QueueDeduplicationContext
  #memory: Memory | null = null

  /** `log` is what was found at the start; a durable queue makes one when it needs one. */
  constructor(log: IdLog | null, durable: boolean, context: QueueDeduplicationContext) {
    this.#log = log
    this.#durable = durable
    this.#context = context
  }

  /**
   * These rules hold from now on; null: duplicates are taken like all others. What was remembered under another sense of
   * the word is forgotten. Returns whether it has another log than before, or none any more.
   */
  apply(rules: DeduplicationRules | null): boolean {
    const memory = this.#memory
    if (rules === null) {
      if (memory === null) return false
      const logged = this.#log !== null
      this.drop()
      return logged
    }
    if (memory !== null) {
      if (rules.whilePresent !== memory.rules.whilePresent) memory.seen.clear()
      memory.rules = rules
      memory.seen.size = sizeOf(rules)
      return false
    }
    const found = this.#log
    if (this.#durable) this.#log ??= this.#context.idLog()
    this.#memory = { rules, seen: new SeenIds(this.#log, sizeOf(rules)) }
    return this.#log !== found
  }

  /** The log of the ids, if they survive a restart. */
  get log(): IdLog | null {
    return this.#log
  }

  /** Whether the rules ask for anything to be remembered. */
  get active(): boolean {
    return this.#memory !== null
  }

  /** Ids that are remembered. */
  get cached(): number {
    return this.#memory?.seen.count ?? 0
  }

  /**
   * Whether a message with the same id is there, or was of late. A dead letter is no duplicate of what it was: only of
   * one that is there.
   */
  repeats(message: Message): boolean {
    const memory = this.#memory
    if (memory === null || (message.deaths !== Deaths.none && !memory.rules.whilePresent)) return false
    const id = this.#idOf(message, memory.rules)
    return id !== null && memory.seen.has(id, this.#context.clock.now())
  }

  /** Tells the publisher of a duplicate when its first is safe. */
  follow(publisher: Publisher, sequence: number): void {
    this.#memory!.seen.follow(publisher, sequence)
  }

  /** The queue has taken a message. It is remembered for as long as it would be kept itself, in the same batch. */
  taken(entry: Entry): void {
    if (this.#memory === null) return
    const { rules, seen } = this.#memory
    const { message } = entry
    const id = this.#idOf(message, rules)
    if (id === null) return
    const now = this.#context.clock.now()
    const until = rules.whilePresent ? Infinity : now + rememberedMs(rules, this.#context.codec.headers(message))
    seen.add({ id, order: entry.position, until }, now, entry.stored !== Stored.no, null, 0)
  }

  /** A message has left the queue. */
  left(entry: Entry): void {
    if (this.#memory === null || !this.#memory.rules.whilePresent) return
    const id = this.#idOf(entry.message, this.#memory.rules)
    if (id !== null) this.#memory.seen.remove(id, entry.position)
  }

  /** Messages at these positions cannot be read any more: they will never leave the queue. */
  lost(first: number, last: number): void {
    if (this.#memory?.rules.whilePresent === true) this.#memory.seen.removeBetween(first, last)
  }

  /** The queue was purged. RabbitMQ's plugin: all ids are forgotten, those of unacknowledged messages too. */
  purged(): void {
    if (this.#memory?.rules.whilePresent === true) this.#memory.seen.clear()
  }

  /** Forgets everything, for good. */
  drop(): void {
    this.#memory = null
    this.#log?.drop()
    this.#log = null
  }

  #idOf(message: Message, rules: DeduplicationRules): string | null {
    return message.headers ? messageId(this.#context.codec.headers(message), rules.header) : null
  }
}

function sizeOf(rules: DeduplicationRules): number {
  return rules.whilePresent ? DEDUPLICATED_IDS_MAX : rules.size
}
