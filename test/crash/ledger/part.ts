// What a part of the mix is. The ledger test is put together from parts; a feature that keeps messages in a way of its
// own adds one, as dead-lettering, transactions, priorities and delays do.
import type { Family, Ledger } from './ledger.ts'
import type { LoadChannel, LoadClient } from './load-client.ts'
import type { Random } from '../random.ts'

/** A way to publish, and the queues that it leads to. */
export interface Route {
  readonly exchange: string
  readonly routingKey: string
  readonly queues: readonly string[]
  /** The highest priority that messages are given. */
  readonly priorityMax?: number
  /** The delays, in milliseconds, of which each message asks for one. */
  readonly delays?: readonly number[]
  /** Whether messages are not to be returned: an exchange returns duplicates, which lead nowhere. */
  readonly unreturned?: boolean
  /** Whether the queue takes each message once, however often it is sent. */
  readonly deduplicated?: boolean
  /** Whether the broker may refuse to take a message. */
  readonly refusable?: boolean
}

/** Somebody who uses the broker while it is under load. */
export interface Actor {
  /** Resolves once it is at work. */
  start(): Promise<void>
  /** Resolves when its connections have ended; rejects when the broker did what it must not. */
  readonly ended: Promise<void>
}

/** What actors work with: one load, between a start of the broker and its end. */
export interface Load {
  readonly ledger: Ledger
  readonly random: Random
  /** Where to publish what proves that everything before it is on disk: to a queue from which nobody consumes. */
  readonly proof: Route
  /** Whether much is to be published: small messages, with many of them on their way. */
  readonly masses: boolean
  connect(frameMax?: number): Promise<LoadClient>
}

/** Queues, how messages get into them, and who takes them out. */
export interface Part {
  readonly name: string
  /** Its queues, or the first of each family. */
  readonly queues: readonly string[]
  /** Those of its queues that lead to others. */
  readonly families?: readonly Family[]
  /** By which messages come to its queues late: they are waited for before the queues are read. */
  readonly delayed?: Route
  /** Declares and binds everything it needs. Called again for each start of the broker: what is there must stay. */
  declare(channel: LoadChannel): Promise<void>
  /** Those who work on a broker that was just started. */
  actors(load: Load): Actor[]
}
