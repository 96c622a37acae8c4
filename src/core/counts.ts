// What has happened to messages, as plain integers: raised where it happens, read by whoever wants rates.

/** Counts of one queue, one channel or one vhost since it came to be. They only grow. Not every kind uses every field. */
export class MessageCounts {
  /** Taken from publishers; for a queue, what reached it. */
  published = 0
  /** For a vhost: one for each queue that a publish reached. */
  routed = 0
  /** Publishes that their publisher was told are safe. */
  confirmed = 0
  /** Mandatory messages that reached no queue. */
  returned = 0
  /** Other messages that reached no queue. */
  dropped = 0
  /** Deliveries to consumers that acknowledge. */
  delivered = 0
  /** Deliveries to consumers that do not. */
  deliveredNoAck = 0
  /** Messages fetched by basic.get that are to be acknowledged. */
  got = 0
  /** Those that are not. */
  gotNoAck = 0
  /** basic.get on an empty queue. */
  getEmpty = 0
  /** Of the deliveries and gets, those that were not the first. */
  redelivered = 0
  acknowledged = 0
  /** Rejected without being requeued. */
  rejected = 0
  /** Not taken, because they were duplicates. */
  deduplicated = 0

  /** Adds another's counts: those of something that ends go on in what contained it. */
  add(other: MessageCounts): void {
    for (const key of COUNT_NAMES) this[key] += other[key]
  }
}

export type CountName = Exclude<keyof MessageCounts, 'add'>

export const COUNT_NAMES = Object.keys(new MessageCounts()) as readonly CountName[]

/** The upper bounds of the sizes that are told apart, in bytes. RabbitMQ's. */
export const SIZE_BOUNDS = [100, 1e3, 1e4, 1e5, 1e6, 1e7, 5e7, 1e8, Infinity] as const

/** How large the bodies of published messages were. */
export class MessageSizes {
  /** How many were within each bound, and not within the one before. */
  readonly counts: number[] = SIZE_BOUNDS.map(() => 0)
  /** All of them together, in bytes. */
  sum = 0

  observe(bytes: number): void {
    this.sum += bytes
    let bound = 0
    while (bytes > SIZE_BOUNDS[bound]!) bound++
    this.counts[bound]!++
  }
}

/** Comings and goings since the broker started. */
export class Churn {
  connectionsOpened = 0
  connectionsClosed = 0
  channelsOpened = 0
  channelsClosed = 0
  /** Declarations that succeeded, of queues that existed too. */
  queuesDeclared = 0
  queuesCreated = 0
  queuesDeleted = 0
}
