// What a queue is made with: how it was declared, and the broker around it.
import type { Clock } from '../../lib/clock.ts'
import type { DeathCounts, DeathReason } from '../counts.ts'
import type { InputWindow } from '../input-window.ts'
import type { Message } from '../message.ts'
import type { IdLog, PropertyCodec, QueueLog } from '../ports.ts'
import type { FieldTable } from '../value.ts'
import type { Entry } from './entry.ts'
import type { Queue } from './queue.ts'
import type { ResidentBudget } from './resident-budget.ts'

/** Who an exclusive queue belongs to: nobody else may use it, and it goes with them. */
export interface QueueOwner {
  /** Its connection; null when there is none. */
  readonly origin: { readonly name: string } | null
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
  /** What the queues keep in memory together. */
  readonly residentBudget: ResidentBudget
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
  /** Calls back once everything that has been enlisted so far is on disk. */
  whenDurable(callback: () => void): void
  /** What queues of a type gave up. */
  deaths(queueType: string): DeathCounts
  /** The queue gives a message up, and has an exchange for such. */
  deadLetter(queue: Queue, message: Message, reason: DeathReason): void
  /** The same for a message that is not to be lost: `queue.buried` follows, in this turn. */
  deadLetterSurely(queue: Queue, entry: Entry, reason: DeathReason): void
  /** The last consumer of an auto-delete queue went, or nobody has used the queue for the time of its x-expires. */
  queueUnused(queue: Queue): void
  /** A page could not be read. The queue tries again by itself. */
  queueReadFailed(queue: Queue, error: unknown): void
  /** So many messages could be read after all. */
  queueReadable(queue: Queue, count: number): void
}
