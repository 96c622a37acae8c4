// A queue as anybody would draw it: a list of what is ready, a list of what is out, and what of it the disk knows.
import { strict as assert } from 'node:assert'
import type { Death, Traits } from './messages.ts'
import { NEVER, type Moment } from './moment.ts'
import { RememberedIds } from './remembered-ids.ts'
import { deliveryLimitOf, type ModelRules, levelOf } from './rules.ts'

/** How often a message was tried in vain. */
interface Attempts {
  readonly at: Moment
  readonly failed: number
  readonly acquired: number
}

const UNTRIED: Attempts = { at: -1, failed: 0, acquired: 0 }

/** One message in one queue. */
export class ModelEntry {
  readonly queue: ModelQueue
  /** Which publish it came with; also what its body says. */
  readonly id: number
  readonly traits: Traits
  /** How it got here, when it is a dead letter. */
  readonly death: Death | null
  /** Whether it is to survive a restart: a persistent message in a durable queue. */
  readonly durable: boolean
  /** Its place among those of its priority. */
  readonly position: number
  /** The clock's time at which it expires. */
  readonly deadline: number
  /** How long it may wait, in milliseconds. */
  readonly waitMs: number
  readonly publishedAt: Moment
  deliveredAt: Moment = NEVER
  settledAt: Moment = NEVER
  /** Whether it was delivered while the disk took nothing. */
  untold = false
  /** What its next delivery must say; `maybe` after a crash, which may find the mark ahead. */
  redelivered: boolean | 'maybe' = false
  /** How often it was tried in vain, each time; null when that was not known to the disk for sure. */
  attempts: Attempts[] | null = []
  /** What became of it when its queue gave it up. */
  letter: ModelEntry | null = null

  constructor(
    facts: Pick<
      ModelEntry,
      'queue' | 'id' | 'traits' | 'death' | 'durable' | 'position' | 'deadline' | 'waitMs' | 'publishedAt'
    >,
  ) {
    this.queue = facts.queue
    this.id = facts.id
    this.traits = facts.traits
    this.death = facts.death
    this.durable = facts.durable
    this.position = facts.position
    this.deadline = facts.deadline
    this.waitMs = facts.waitMs
    this.publishedAt = facts.publishedAt
  }

  get tried(): Attempts | null {
    return this.attempts === null ? null : (this.attempts.at(-1) ?? UNTRIED)
  }
}

/** One queue from its declaration to its deletion. */
export class ModelQueue {
  readonly name: string
  readonly durable: boolean
  readonly rules: ModelRules
  readonly declaredAt: Moment
  deletedAt: Moment = NEVER
  /** Everything that came, in the order in which it came. */
  readonly entries: ModelEntry[] = []
  /** In the order in which they are to leave. */
  ready: ModelEntry[] = []
  readonly unacked = new Set<ModelEntry>()
  /** What is out no more and must be given up at once, with the reason. */
  readonly condemned = new Map<ModelEntry, string>()
  readonly #remembered: RememberedIds<ModelEntry>
  /** Whether the store was made to guess how large messages are: it has discarded some that it had not read. */
  #sizesGuessed = false
  /** Whether a restart has made these guesses the queue's: until it is empty. */
  #sizesDoubtful = false
  #nextPosition = 0
  /** Whether some may have been passed by others, which the disk takes for their deliveries. */
  #passed = false
  /** How many of the ready messages the broker has set aside, as the disk does not give them. */
  unreadable: () => number = () => 0

  constructor(name: string, durable: boolean, rules: ModelRules, declaredAt: Moment) {
    this.name = name
    this.durable = durable
    this.rules = rules
    this.declaredAt = declaredAt
    this.#remembered = new RememberedIds(rules.deduplication)
  }

  /** The bodies of what is ready; null when nobody can tell without reading them. */
  get readyBytes(): number | null {
    if (this.ready.length === 0) this.#sizesDoubtful = false
    return this.#sizesDoubtful ? null : this.#bytes
  }

  /** How many messages could be delivered. */
  get readable(): number {
    return this.ready.length - this.unreadable()
  }

  /** Something of it cannot be read, for now: how large that is the store can only guess. */
  readFails(): void {
    this.#sizesDoubtful = true
    this.#passed = true
  }

  /** Whether the queue may not take another message. */
  get full(): boolean {
    return this.rules.overflow !== 'drop-head' && this.readable >= this.rules.maxLength
  }

  /** The message of which another with these traits would be a duplicate now. */
  repeated({ unique }: Traits, time: number): ModelEntry | null {
    return this.#remembered.find(unique, time)?.first ?? null
  }

  /** How many ids are remembered; null when that depends on when somebody looks. */
  get rememberedCount(): number | null {
    return this.#remembered.count
  }

  publish(id: number, traits: Traits, death: Death | null, time: number, now: Moment): ModelEntry {
    const expirationMs = death === null ? traits.expirationMs : -1
    const waits = [this.rules.ttlMs, expirationMs].filter((ms) => ms >= 0)
    const durable = (traits.persistent || this.rules.type === 'quorum') && this.durable
    const waitMs = Math.min(...waits)
    const deadline = time + waitMs
    const position = this.#nextPosition++
    const entry = new ModelEntry({
      queue: this,
      id,
      traits,
      death,
      durable,
      position,
      deadline,
      waitMs,
      publishedAt: now,
    })
    this.entries.push(entry)
    this.#makeReady(entry)
    return entry
  }

  /** A message was taken: another one like it is a duplicate from now on. */
  remember(entry: ModelEntry, time: number): void {
    this.#remembered.add(entry.traits.unique, entry, entry.durable, time, entry.publishedAt)
  }

  /** The queue has not taken a message after all. */
  refuse(entry: ModelEntry): void {
    this.ready = this.ready.filter((other) => other !== entry)
    this.entries.splice(this.entries.indexOf(entry), 1)
  }

  /** Hands out what is next, which is this message, and says how it must look. `dead`: it is a dead letter. */
  deliver(id: number, dead: boolean, noAck: boolean, now: Moment, untold: boolean): ModelEntry {
    const index = this.ready.findIndex((entry) => entry.id === id && (entry.death !== null) === dead)
    assert(index >= 0, `${this.name} delivers ${id}, which is not ready`)
    // Only what cannot be read lets others pass.
    assert(index <= this.unreadable(), `${this.name} delivers ${id} before ${this.ready[0]!.id}`)
    const [entry] = this.ready.splice(index, 1) as [ModelEntry]
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

  reject(entry: ModelEntry, now: Moment): void {
    if (this.rules.deadLetters === null) this.acknowledge(entry, now)
    else if (this.unacked.delete(entry) && this.deletedAt === NEVER) this.condemned.set(entry, 'rejected')
  }

  /** Takes a message back. `failed`: it was rejected or lost, and not given back. */
  requeue(entry: ModelEntry, failed: boolean, now: Moment): void {
    if (!this.unacked.delete(entry) || this.deletedAt !== NEVER) return
    entry.redelivered = true
    const limit = deliveryLimitOf(this.rules)
    if (limit !== null) {
      const before = entry.tried!
      const tried = { at: now, failed: before.failed + (failed ? 1 : 0), acquired: before.acquired + 1 }
      entry.attempts!.push(tried)
      if (tried.failed > limit) {
        this.condemned.set(entry, 'delivery_limit')
        return
      }
    }
    this.#makeReady(entry)
  }

  /** The queue has given a message up: makes sure that it had a reason to. */
  giveUp(entry: ModelEntry, reason: string, time: number, now: Moment): void {
    const about = `${entry.id} in ${this.name}, given up as ${reason}`
    if (this.condemned.has(entry)) {
      assert.equal(reason, this.condemned.get(entry), about)
      this.condemned.delete(entry)
    } else {
      const index = this.ready.indexOf(entry)
      assert(index >= 0, `${about}, is not ready`)
      if (reason === 'expired') assert(entry.deadline <= time, `${about}, ${entry.deadline - time} ms too early`)
      else this.#assertTooMany(reason, entry, index, about)
      this.ready.splice(index, 1)
    }
    this.#settle(entry, now)
  }

  purge(now: Moment): number {
    const purged = this.ready
    for (const entry of purged) this.#settle(entry, now)
    this.ready = []
    // Also of what is out.
    if (this.#whilePresent) this.#remembered.forgetAll(now)
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
    this.condemned.clear()
    const left = this.entries.filter(({ durable, publishedAt, settledAt }) => {
      return durable && publishedAt <= known && settledAt > known
    })
    this.entries.splice(0, this.entries.length, ...left)
    this.ready = left.toSorted(this.#order)
    for (const entry of left) {
      // What came after that moment has not happened.
      entry.settledAt = NEVER
      entry.letter = null
      // A delivery is known after a crash, however short before it was; only not if the disk could not be told.
      if (entry.deliveredAt !== NEVER && (!entry.untold || clean)) entry.redelivered = true
      else if (!clean || this.#passed) entry.redelivered = 'maybe'
      entry.deliveredAt = NEVER
      entry.untold = false
      entry.attempts = attemptsKnown(entry, known)
    }
    this.#passed = false
    this.#sizesDoubtful ||= this.#sizesGuessed
    this.#remembered.restart(known)
  }

  get #whilePresent(): boolean {
    return this.rules.deduplication?.size === null
  }

  /** A message is in the queue no more. */
  #settle(entry: ModelEntry, now: Moment): void {
    entry.settledAt = now
    if (this.#whilePresent) this.#remembered.forget(entry, now)
  }

  get #bytes(): number {
    return this.ready.reduce((sum, { traits }) => sum + traits.bytes, 0)
  }

  #assertTooMany(reason: string, entry: ModelEntry, index: number, about: string): void {
    assert.equal(reason, 'maxlen', about)
    const { overflow, maxLength, maxLengthBytes } = this.rules
    assert.notEqual(overflow, 'reject-publish', about)
    const tooLong = this.ready.length > maxLength || (this.readyBytes ?? Infinity) > maxLengthBytes
    assert(tooLong, `${about} although it is not too long`)
    if (overflow === 'drop-head') assert(index <= this.unreadable(), `${about} before another`)
    else assert.equal(entry, this.entries.at(-1), `${about} though it had been taken`)
  }

  #makeReady(entry: ModelEntry): void {
    const index = this.ready.findIndex((other) => this.#order(entry, other) < 0)
    this.ready.splice(index < 0 ? this.ready.length : index, 0, entry)
  }

  /** The higher priority first, and of the same the first. */
  readonly #order = (a: ModelEntry, b: ModelEntry): number => {
    return levelOf(this.rules, b.traits) - levelOf(this.rules, a.traits) || a.position - b.position
  }
}

/** What is known after a restart of how often a message was tried in vain: what was out has failed once at least. */
function attemptsKnown({ attempts, redelivered }: ModelEntry, known: Moment): Attempts[] | null {
  const written = (attempts ?? []).filter(({ at }) => at <= known)
  if (written.length > 0 || redelivered === false) return written
  return redelivered === true ? [{ at: known, failed: 1, acquired: 1 }] : null
}
