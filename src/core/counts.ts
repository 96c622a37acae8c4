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
    // By name: each is added for every queue again and again, and a loop over names takes ten times as long.
    this.published += other.published
    this.routed += other.routed
    this.confirmed += other.confirmed
    this.returned += other.returned
    this.dropped += other.dropped
    this.delivered += other.delivered
    this.deliveredNoAck += other.deliveredNoAck
    this.got += other.got
    this.gotNoAck += other.gotNoAck
    this.getEmpty += other.getEmpty
    this.redelivered += other.redelivered
    this.acknowledged += other.acknowledged
    this.rejected += other.rejected
    this.deduplicated += other.deduplicated
  }
}

export type CountName = Exclude<keyof MessageCounts, 'add'>

export const COUNT_NAMES = Object.keys(new MessageCounts()) as readonly CountName[]

/** The upper bounds of the sizes that are told apart, in bytes. RabbitMQ's. */
export const SIZE_BOUNDS = [100, 1e3, 1e4, 1e5, 1e6, 1e7, 5e7, 1e8, Infinity] as const

/** How values are spread: how many were within each bound, and their sum. The last bound is Infinity. */
export class Histogram {
  readonly bounds: readonly number[]
  /** How many were within each bound, and not within the one before. */
  readonly counts: number[]
  /** All of them together. */
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    this.sum += value
    let bound = 0
    while (value > this.bounds[bound]!) bound++
    this.counts[bound]!++
  }
}

/** The batches that a store has written: how long each took, in seconds, and how many operations were in it. */
export class Commits {
  readonly seconds = new Histogram([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, Infinity])
  readonly operations = new Histogram([1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, Infinity])
}

/** Why queues give messages up. RabbitMQ's words. */
export const DEATH_REASONS = ['rejected', 'expired', 'maxlen', 'delivery_limit'] as const
/** Why a queue gave a message up. */
export type DeathReason = (typeof DEATH_REASONS)[number]

type Deaths = Record<DeathReason, number>

/** The messages that queues of one type gave up since the start. */
export class DeathCounts {
  /** Those of queues with a dead-letter exchange. */
  readonly lettered: Deaths = { rejected: 0, expired: 0, maxlen: 0, delivery_limit: 0 }
  /** Those of queues without one. */
  readonly dropped: Deaths = { rejected: 0, expired: 0, maxlen: 0, delivery_limit: 0 }
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
