// A queue as anybody would draw it: a list of what is ready, a list of what is out, and what of it the disk knows.
import { strict as assert } from 'node:assert'

/** A moment: how many things had happened. What has not happened has `NEVER`. */
export type Moment = number
export const NEVER = Infinity

/** One message in one queue. */
export class ModelEntry {
  /** Which publish it came with; also what its body says. */
  readonly id: number
  readonly bytes: number
  /** Whether it is to survive a restart: a persistent message in a durable queue. */
  readonly durable: boolean
  readonly publishedAt: Moment
  deliveredAt: Moment = NEVER
  settledAt: Moment = NEVER
  /** Whether it was delivered while the disk took nothing. */
  untold = false
  /** What its next delivery must say; `maybe` after a crash, which may find the mark ahead. */
  redelivered: boolean | 'maybe' = false

  constructor(id: number, bytes: number, durable: boolean, publishedAt: Moment) {
    this.id = id
    this.bytes = bytes
    this.durable = durable
    this.publishedAt = publishedAt
  }
}

/** One queue from its declaration to its deletion. */
export class ModelQueue {
  readonly name: string
  readonly durable: boolean
  readonly declaredAt: Moment
  deletedAt: Moment = NEVER
  /** Everything that came, in the order in which it came: the order in which it is to leave. */
  readonly entries: ModelEntry[] = []
  ready: ModelEntry[] = []
  readonly unacked = new Set<ModelEntry>()
  /** Whether the store was made to guess how large messages are: it has discarded some that it had not read. */
  #sizesGuessed = false
  /** Whether a restart has made these guesses the queue's: until it is empty. */
  #sizesDoubtful = false

  constructor(name: string, durable: boolean, declaredAt: Moment) {
    this.name = name
    this.durable = durable
    this.declaredAt = declaredAt
  }

  /** The bodies of what is ready; null when nobody can tell without reading them. */
  get readyBytes(): number | null {
    if (this.ready.length === 0) this.#sizesDoubtful = false
    return this.#sizesDoubtful ? null : this.ready.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  publish(id: number, bytes: number, persistent: boolean, now: Moment): void {
    const entry = new ModelEntry(id, bytes, persistent && this.durable, now)
    this.entries.push(entry)
    this.ready.push(entry)
  }

  /** Hands out what is next, and says how it must look. */
  deliver(noAck: boolean, now: Moment, untold: boolean): ModelEntry {
    const entry = this.ready.shift()
    assert(entry, `${this.name} delivers although nothing is ready`)
    if (entry.deliveredAt === NEVER) {
      entry.deliveredAt = now
      entry.untold = untold
    }
    if (noAck) this.#settle(entry, now)
    else this.unacked.add(entry)
    return entry
  }

  acknowledge(entry: ModelEntry, now: Moment): void {
    if (this.unacked.delete(entry) && this.deletedAt === NEVER) this.#settle(entry, now)
  }

  requeue(entry: ModelEntry): void {
    if (!this.unacked.delete(entry) || this.deletedAt !== NEVER) return
    entry.redelivered = true
    const index = this.ready.findIndex((other) => this.#rank(other) > this.#rank(entry))
    this.ready.splice(index < 0 ? this.ready.length : index, 0, entry)
  }

  purge(now: Moment): number {
    const purged = this.ready
    for (const entry of purged) this.#settle(entry, now)
    this.ready = []
    this.#sizesGuessed = true
    return purged.length
  }

  /** Whether it is there after a restart that remembers everything up to a moment. */
  survives(known: Moment): boolean {
    return this.durable && this.declaredAt <= known && this.deletedAt > known
  }

  /** Puts the queue into the state in which such a restart finds it. */
  restart(known: Moment, clean: boolean): void {
    this.deletedAt = NEVER
    this.unacked.clear()
    this.ready = this.entries.filter(({ durable, publishedAt, settledAt }) => {
      return durable && publishedAt <= known && settledAt > known
    })
    this.entries.splice(0, this.entries.length, ...this.ready)
    for (const entry of this.ready) {
      // What came after that moment has not happened.
      entry.settledAt = NEVER
      // A delivery is known after a crash, however short before it was; only not if the disk could not be told.
      if (entry.deliveredAt !== NEVER && (!entry.untold || clean)) entry.redelivered = true
      else if (!clean) entry.redelivered = 'maybe'
      entry.deliveredAt = NEVER
      entry.untold = false
    }
    this.#sizesDoubtful ||= this.#sizesGuessed
  }

  /** Position in the queue. Priorities would come first. */
  #rank(entry: ModelEntry): number {
    return entry.id
  }

  #settle(entry: ModelEntry, now: Moment): void {
    entry.settledAt = now
  }
}
