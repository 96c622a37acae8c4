// A message's place in one queue.
import { ENTRY_OVERHEAD_BYTES } from '../limits.ts'
import type { Message } from '../message.ts'
import type { Queue } from './queue.ts'

/** Where an entry is on its way through the queue. */
export const EntryState = { ready: 0, unacked: 1, settled: 2 } as const
export type EntryState = (typeof EntryState)[keyof typeof EntryState]

/** How far the store is with an entry. Set by the store (and by the queue for what it read back). */
export const Stored = {
  /** Never written: a transient message or a transient queue. */
  no: 0,
  /** Enlisted for a batch that has not started; `slot` is its place there. */
  pending: 1,
  /** In the batch in flight, or on disk. */
  written: 2,
} as const
export type Stored = (typeof Stored)[keyof typeof Stored]

/** What only some entries have: those that expire, and those of queues that count their deliveries. */
export class EntryDetails {
  /** Milliseconds since 1970 when it expires; Infinity for never. */
  deadline = Infinity
  /** Whether it stands among the deadlines of its queue. Kept by Expiry. */
  watched = false
  /** Deliveries that failed, and deliveries that ended without an acknowledgement. Kept by queues that count. */
  deliveryCount = 0
  acquiredCount = 0
  /** Milliseconds since 1970 before which it is not to be delivered again; 0 when it may be at once. */
  dueAt = 0
  /** The message with these counts in its headers, once there are any. */
  presented: Message | null = null
}

/** One message in one queue. The queue owns its order and state; the store owns `stored` and `slot`. */
export class Entry {
  readonly queue: Queue
  /** Its outline, while it is out with a consumer and on disk only. Kept by Lent. */
  message: Message
  /** Grows by one with each message that the queue takes, and never changes: a requeued message goes back to it. */
  readonly position: number
  state: EntryState = EntryState.ready
  /** Whether it was handed to somebody before. */
  redelivered = false
  stored: Stored = Stored.no
  slot = -1
  /** Whether it is kept in the log for what need not survive, rather than in the queue's own. */
  spilled = false
  details: EntryDetails | null = null

  constructor(queue: Queue, message: Message, position: number) {
    this.queue = queue
    this.message = message
    this.position = position
  }

  /** Its details, from now on in any case. */
  detailed(): EntryDetails {
    return (this.details ??= new EntryDetails())
  }

  /** The message as consumers are to see it. */
  get presented(): Message {
    return this.details === null ? this.message : (this.details.presented ?? this.message)
  }
}

/** What an entry costs in memory, about. */
export function footprint(entry: Entry): number {
  return entry.message.bodyBytes + ENTRY_OVERHEAD_BYTES
}
