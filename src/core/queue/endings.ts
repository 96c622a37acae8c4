// How messages leave a queue: somebody has had them, or the queue gives them up.
import type { DeathCounts, DeathReason } from '../counts.ts'
import type { QueueDeduplication } from '../deduplication/queue-deduplication.ts'
import type { Message } from '../message.ts'
import type { QueueLog } from '../ports.ts'
import { Burials } from './burials.ts'
import { EntryState, Stored, type Entry } from './entry.ts'
import type { Queue } from './queue.ts'
import type { QueueContext } from './queue-context.ts'

/** Knows which log an entry is in. */
interface Logs {
  logOf(entry: Entry): QueueLog
}

/** Settles the messages of one queue. Owns what is given up and taken by nobody yet, and counts what was given up. */
export class Endings {
  readonly #queue: Queue
  readonly #logs: Logs
  readonly #deduplication: QueueDeduplication
  readonly #context: QueueContext
  readonly #deaths: DeathCounts
  /** What is given up, and taken by nobody yet. */
  #burials: Burials | null = null

  constructor(queue: Queue, logs: Logs, deduplication: QueueDeduplication, context: QueueContext) {
    this.#queue = queue
    this.#logs = logs
    this.#deduplication = deduplication
    this.#context = context
    this.#deaths = context.deaths(queue.rules.type)
  }

  /** Messages that are given up, and kept until their dead letters are taken. */
  get dyingCount(): number {
    return this.#burials === null ? 0 : this.#burials.count
  }

  /** Their bodies, in bytes. */
  get dyingBytes(): number {
    return this.#burials === null ? 0 : this.#burials.bytes
  }

  /** What those of them that are in memory cost there, about, in bytes. */
  get dyingResidentBytes(): number {
    return this.#burials === null ? 0 : this.#burials.residentBytes
  }

  /** The message is in the queue no more: it was acknowledged, or nobody is to have it. */
  settle(entry: Entry): void {
    entry.state = EntryState.settled
    const remembered = this.#deduplication.active
    if (entry.stored !== Stored.no && !this.#queue.deleted) {
      // What is remembered of a message is in its batch: that is what its publisher waits for then.
      if (remembered) this.#logOf(entry).supersede(entry)
      else this.#logOf(entry).settle(entry)
    }
    if (remembered) this.#deduplication.left(entry)
  }

  /** Settles a message that nobody will have, and hands it over to the dead-letter exchange: one batch, one fact. */
  giveUp(entry: Entry, reason: DeathReason): void {
    const queue = this.#queue
    const { deadLetterExchange, deadLettersSurely } = queue.rules
    if (deadLetterExchange === null || queue.deleted) {
      if (!queue.deleted) this.#deaths.dropped[reason]++
      this.settle(entry)
      return
    }
    entry.state = EntryState.settled
    if (entry.message.released) {
      // Its letter is written when it has been read.
      this.#bury(entry).addUnread(entry, reason)
      return
    }
    if (deadLettersSurely) {
      this.#context.deadLetterSurely(queue, entry, reason)
      return
    }
    this.#deaths.lettered[reason]++
    this.#leave(entry)
    this.#context.deadLetter(queue, entry.message, reason)
  }

  /** A message that the queue does not take, being too long. */
  refuse(message: Message): void {
    const { overflow, deadLetterExchange } = this.#queue.rules
    if (overflow === 'reject-publish-dlx' && deadLetterExchange !== null) {
      this.#deaths.lettered.maxlen++
      this.#context.deadLetter(this.#queue, message, 'maxlen')
    }
    this.#context.refused(message)
  }

  /** A message that was to be dead-lettered for sure: all that it leads to have taken it, or it must be tried again. */
  buried(entry: Entry, reason: DeathReason, taken: boolean): void {
    if (taken) {
      this.#deaths.lettered[reason]++
      this.#leave(entry)
      return
    }
    if (!entry.message.owned) entry.message.own()
    this.#bury(entry).add(entry, reason)
  }

  /** Nothing is tried again from here on. */
  stop(): void {
    this.#burials?.stop()
  }

  /** The queue is gone. */
  drop(): void {
    this.#burials?.drop()
  }

  /** Its log keeps a message that is given up, and withholds it from those who read what is ready. */
  #bury(entry: Entry): Burials {
    const burials = (this.#burials ??= this.#newBurials())
    if (entry.stored !== Stored.no && burials.logOf(entry) === undefined) this.#logs.logOf(entry).withhold(entry)
    return burials
  }

  #newBurials(): Burials {
    const retry = (entry: Entry, reason: DeathReason): void => this.giveUp(entry, reason)
    return new Burials(this.#queue, { retry, logOf: (entry) => this.#logs.logOf(entry) }, this.#context)
  }

  #logOf(entry: Entry): QueueLog {
    return this.#burials?.logOf(entry) ?? this.#logs.logOf(entry)
  }

  /** Its dead letter is enlisted: the message goes with the batch that has that. */
  #leave(entry: Entry): void {
    if (entry.stored !== Stored.no) this.#logOf(entry).supersede(entry)
    this.#deduplication.left(entry)
  }
}
