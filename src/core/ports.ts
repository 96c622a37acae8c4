// What core asks of those around it. Front ends implement Consumer and Publisher, stores implement the rest.
import type { Commits } from './counts.ts'
import type { Definition } from './definitions.ts'
import type { Message } from './message.ts'
import type { Entry } from './queue/entry.ts'
import type { FieldTable } from './value.ts'

/** Why a consumer was cancelled by the broker. */
export type CancelReason = 'queue-deleted' | 'queue-failed'

/** What a queue needs from a subscriber. Front ends implement it. */
export interface Consumer {
  /** The consumer's name, for people. */
  readonly tag: string
  /** Delivered is done: nothing waits for an acknowledgement. */
  readonly noAck: boolean
  /** Whether a delivery would be accepted now: credit left, and a socket that is not full. */
  readonly ready: boolean
  /** Deliveries that it has, and that wait for their acknowledgement. */
  readonly outstanding: number
  /**
   * Takes a delivery. The entry comes back by acknowledge or requeue; not so with `noAck`, unless the answer is false:
   * then it could not be delivered, and comes back when the consumer ends.
   */
  deliver(entry: Entry): boolean
  /** The broker ended the subscription. */
  cancelled(reason: CancelReason): void
  /** The queue goes by other rules. */
  rulesChanged?(): void
}

/** Told once for each queue a message reached, perhaps before publish returns: take note, act at the end of the turn. */
export interface Publisher {
  accepted(sequence: number): void
  refused(sequence: number): void
}

/** A message that was read back from a queue's log. */
export interface StoredMessage {
  readonly position: number
  readonly message: Message
  /** Whether it may have been handed to somebody before. */
  readonly redelivered: boolean
  /** Milliseconds since 1970 when the store took it. */
  readonly storedAt: number
  /** Milliseconds since 1970 when it expires, as its queue had reckoned; Infinity for never. */
  readonly deadline: number
  /** What was last told of it with `attempted`. */
  readonly attempts?: Attempts
}

/** How often a message was tried in vain: see EntryDetails. */
export interface Attempts {
  readonly deliveryCount: number
  readonly acquiredCount: number
  /** Milliseconds since 1970 before which it is not to be tried again; 0 when it may be at once. */
  readonly dueAt: number
}

/** Stored messages that cannot be read any more, because their bytes are damaged. */
export interface LostMessages {
  /** The id of the log that they were in. */
  readonly log: number
  /** The positions between which they lie, themselves included. */
  readonly first: number
  readonly last: number
  readonly count: number
  readonly error: Error
}

/** A range of positions in a log, both included, and when the first of the messages in it expires. */
export interface ExpiringStretch {
  readonly first: number
  readonly last: number
  /** Milliseconds since 1970, or earlier than that message's time if it is not there any more. */
  readonly deadline: number
}

/** What is known of a log without reading its messages. */
export interface LogSummary {
  /** Messages that are stored and not settled. */
  readonly count: number
  /** The bodies of those, in bytes. */
  readonly bodyBytes: number
  /** The position of the first message that is stored and not settled; the log's `next` when there is none. */
  readonly first: number
}

/** So many messages, with bodies of so many bytes. */
export interface Held {
  readonly count: number
  readonly bodyBytes: number
}

/** One queue's durable record. A replicated store answers later, that is all. */
export interface QueueLog {
  readonly id: number
  /** Whether what is stored is in memory: then nothing is gained by letting go of it there. */
  readonly inMemory: boolean
  /** Above every position that had been stored here when the store was opened. */
  readonly next: number
  /**
   * Whether it is known what the log held then. A store with much in it finds that out beside all else: until then the log
   * takes messages, can be dropped, and does not know `recovered`, `recoveredDeadlines` and `held`; who reads waits, and
   * nothing is discarded.
   */
  readonly opened: boolean
  /**
   * Calls back when that is known, at once if it is. Whoever waits for it names `failed`: then it is found out before all
   * else, and that is called instead when the disk does not give it now.
   */
  whenOpened(opened: () => void, failed?: (error: Error) => void): void
  /** What the log held. */
  readonly recovered: LogSummary
  /** Where in it messages expire. */
  readonly recoveredDeadlines: readonly ExpiringStretch[]
  /** What was appended below this position is on disk, and can be read back. */
  readonly durableBelow: number
  /** What was appended and is not settled, be it on disk yet or not. Counted when it is asked for, page by page. */
  readonly held: Held
  /**
   * Enlists an entry for the next batch. `publisher.accepted(sequence)` follows once that batch is on disk, or as soon
   * as the entry is settled before its batch started. Positions only grow.
   */
  append(entry: Entry, publisher: Publisher | null, sequence: number): void
  /** The entry is done with. If it waits for a batch it is struck from it, and its publisher is told at once. */
  settle(entry: Entry): void
  /**
   * The same for an entry of which something else becomes that is enlisted in this turn, such as a dead letter. If it
   * waits for a batch it is struck, but its publisher is told when that batch is on disk: so is then what became of it.
   */
  supersede(entry: Entry): void
  /** The entry is kept, to be settled later, but `read` does not give it any more until after a restart. */
  withhold(entry: Entry): void
  /**
   * Whether the message at this position, which is written, may be handed to somebody now: only if it will count as
   * redelivered after a crash, however soon that comes. If not, the disk is told, and `then` is called when it knows. An
   * entry that still waits for its batch is not asked for: its batch will tell.
   */
  deliverable(position: number, then: () => void): boolean
  /** The message at this position was handed to somebody: after a restart it counts as redelivered. */
  delivered(position: number): void
  /** Keeps with a message how often it was tried, until it is settled. */
  attempted(position: number, attempts: Attempts): void
  /**
   * Reads the messages that are stored, not settled and not withheld, from position `from` on and below `below`, in order:
   * about one page of them, or as many as take about so many bytes in memory. An empty answer means that there are none.
   * Rejects with UnreadablePageError when the disk does not give the first page now; what is damaged is left out and
   * reported.
   */
  read(from: number, below: number, bytes?: number): Promise<readonly StoredMessage[]>
  /** Reads about one page of those that are withheld, as `read` does the others. */
  readWithheld(from: number, below: number): Promise<readonly StoredMessage[]>
  /** Settles, without reading them, all the stored messages from position `from` on and below `below`, but not those withheld. */
  discard(from: number, below: number): void
  /** Deletes the log with everything in it. What waited to be stored counts as accepted. */
  drop(): void
}

/** A message that waits for its time. */
export interface DelayedMessage {
  /** Milliseconds since 1970 at which it is to go on. */
  readonly due: number
  /** Grows with each: of those that are due at the same time the first goes first. */
  readonly order: number
  readonly message: Message
  /** The routing keys that it has beside its own. */
  readonly copies: readonly string[]
}

/** What a delay log answers. */
export interface DueMessages {
  readonly messages: readonly DelayedMessage[]
  /** When the next one is due; Infinity when there is none. */
  readonly next: number
}

/** The durable record of what waits before one exchange, or of what an exchange keeps. */
export interface DelayLog {
  readonly id: number
  /** Messages that wait. */
  readonly count: number
  /**
   * Enlists a message for the next batch; `publisher` is told when it is on disk. The message's bytes are its own. Returns
   * what `settle` and `cancel` take.
   */
  append(
    message: Message,
    copies: readonly string[],
    due: number,
    publisher: Publisher | null,
    sequence: number,
  ): DelayedMessage
  /**
   * Reads those that are on disk and due at `now`, in their order, some hundreds of them at the most, and none that was
   * settled before.
   */
  due(now: number): Promise<DueMessages>
  /** Reads those that are on disk, from this time and order on, so many at the most. What was settled may be among them. */
  read(due: number, order: number, most: number): Promise<readonly DelayedMessage[]>
  /** The message has gone on. */
  settle(delayed: DelayedMessage): void
  /** A message that has not gone on is not to; perhaps before it is on disk. */
  cancel(delayed: DelayedMessage): void
  /** Deletes the log with everything in it. What waited to be stored counts as accepted. */
  drop(): void
}

/** An id that a queue or an exchange remembers, so that messages with the same one are known for duplicates. */
export interface SeenId {
  readonly id: string
  /** Grows with each; it tells those of one log apart. */
  readonly order: number
  /** Milliseconds since 1970 from which on it is forgotten; Infinity for never. */
  readonly until: number
}

/** The durable record of the ids that one queue or exchange remembers. */
export interface IdLog {
  readonly id: number
  /** What it held when it was opened, in order. It is handed over once. */
  recovered(): readonly SeenId[]
  /** Enlists an id for the next batch. `publisher.accepted(sequence)` follows once that is on disk. */
  keep(seen: SeenId, publisher: Publisher | null, sequence: number): void
  /** Tells a publisher once all ids that were kept so far are on disk, perhaps at once. */
  follow(publisher: Publisher, sequence: number): void
  /** The id of this order is not to be known any more. */
  forget(order: number): void
  /** Deletes the log with everything in it. What waited to be stored counts as accepted. */
  drop(): void
}

/** The store: definitions, and one log a queue. One batch spans them all, so what is enlisted together stays together. */
export interface Store {
  /** The bytes that wait to be written: publishers are read more slowly when they are many. */
  readonly pendingBytes: number
  /** The batches that were written. */
  readonly commits: Commits
  /** Enlists a definition to be written; replaces the one of the same identity. */
  save(definition: Definition): void
  /** Enlists a definition to be deleted. */
  remove(definition: Definition): void
  /** Opens the log with this id, or makes a new one when none is given. */
  log(id?: number): QueueLog
  /**
   * Finds out what all logs held when the store was opened. Resolves when that was tried for each; where the disk does not
   * give it, it is tried again and again from then on.
   */
  openLogs(): Promise<void>
  /** Makes a log for what need not survive a restart: when the store is opened again it is gone. */
  spill(): QueueLog
  /**
   * Opens the delay log with this id, or makes a new one when none is given; one that is not `durable` is gone when the
   * store is opened again. `stored` is told when a message can be read, with the time at which it is due.
   */
  delays(stored: (due: number) => void, durable: boolean, id?: number): DelayLog
  /** Opens the log of remembered ids with this id, or makes a new one when none is given. */
  ids(id?: number): IdLog
  /** Calls back once everything that has been enlisted so far is on disk; at once when nothing waits. */
  whenDurable(callback: () => void): void
  /** Writes what waits and closes. */
  close(): Promise<void>
}

/** Told when the store cannot write, and when it can again. */
export interface StoreMonitor {
  storeFailed(error: Error): void
  storeRecovered(): void
  /** Messages were found damaged. They have been set aside; what is around them serves. */
  messagesLost?(lost: LostMessages): void
  /** Something else was found damaged, and what could not be read was left out: the error says what. The rest serves. */
  damageFound?(damage: Error): void
}

/** A message's properties by name, those that are present (AMQP 0-9-1, class basic). */
export interface MessageProperties {
  readonly contentType?: string
  readonly contentEncoding?: string
  readonly headers?: FieldTable
  readonly deliveryMode?: number
  readonly priority?: number
  readonly correlationId?: string
  readonly replyTo?: string
  /** Milliseconds, as text. */
  readonly expiration?: string
  readonly messageId?: string
  /** Seconds since 1970. */
  readonly timestamp?: bigint
  readonly type?: string
  readonly userId?: string
  readonly appId?: string
  readonly clusterId?: string
}

/** Reads what the front end's encoding keeps in a message's properties. */
export interface HeaderReader {
  headers(message: Message): FieldTable
  /** A property that exchanges can hash, as text; null when the message has none. */
  property(message: Message, name: 'correlation_id' | 'message_id' | 'timestamp'): string | null
}

/** Also writes it. */
export interface PropertyCodec extends HeaderReader {
  /** The message's properties with other headers; also without its expiration, unless that is kept. */
  rewritten(message: Message, headers: FieldTable, keepExpiration: boolean): Buffer
}

/** Reads and writes whole messages in the front end's encoding, for those that have one of their own. */
export interface MessageCodec extends PropertyCodec {
  /** All of the properties. */
  properties(message: Message): MessageProperties
  /**
   * The routing keys beside its own that a message asks for (RabbitMQ: CC and BCC). Nobody who gets it reads in it those
   * that are blind from then on.
   * @throws BrokerError precondition-failed when it cannot be told what it asks for
   */
  takeCopies(message: Message): readonly string[]
  /**
   * Makes a message that owns its bytes.
   * @throws BrokerError precondition-failed when a property cannot be encoded
   */
  compose(exchange: string, routingKey: string, properties: MessageProperties, body: Buffer): Message
}
