// What must be true of the whole broker: its queues, what waits before its delayed exchange, and what it has confirmed.
import { strict as assert } from 'node:assert'
import type { Message } from '../../../../src/core/message.ts'
import type { Clock } from '../../../../src/lib/clock.ts'
import { deathOf, idOf, type Traits } from './messages.ts'
import { NEVER, type Moment } from './moment.ts'
import { ModelQueue, type ModelEntry } from './queue-model.ts'
import { RememberedIds, type Remembered } from './remembered-ids.ts'
import { NO_RULES, type Deduplication, type ModelRules } from './rules.ts'

/** The queues: two that survive restarts, of which the first has rules, and one that does not. */
export const QUEUES = ['a', 'b', 'c'] as const
export type QueueName = (typeof QUEUES)[number]

/** One publish, and who has answered for it. */
interface Publication {
  readonly traits: Traits
  /** The queues that it has yet to reach. */
  readonly missing: Set<QueueName>
  readonly entries: ModelEntry[]
  readonly delayed: Delayed | null
  /** The id that the exchange remembers of it, or of that of which it is a duplicate. */
  remembered: Remembered<readonly ModelEntry[]> | null
  /** Whether a queue has not taken it. */
  unwanted: boolean
  reached: number
  answered: number
  refused: boolean
}

/** A message that waits before the delayed exchange. */
interface Delayed {
  readonly id: number
  readonly traits: Traits
  readonly targets: readonly QueueName[]
  /** The queues that it has yet to reach, once it has begun to. */
  missing: Set<QueueName> | null
  readonly due: number
  readonly publishedAt: Moment
  settledAt: Moment
}

/** A message that a queue is being given, and has not taken yet. */
interface Arrival {
  readonly queue: ModelQueue
  /** Null for a duplicate. */
  readonly entry: ModelEntry | null
  /** Whether the queue was full when it came. */
  readonly unwanted: boolean
  refused: boolean
}

/** The model. It is told what is asked of the broker, and of each message that the broker gives to a queue. */
export class BrokerModel {
  now: Moment = 0
  readonly #clock: Clock
  readonly #rules: ModelRules
  /** Queues by name, with all that had the name before. */
  readonly #queues = new Map<QueueName, ModelQueue[]>(QUEUES.map((name) => [name, []]))
  readonly #publications = new Map<number, Publication>()
  /** Those that were confirmed and not yet looked at. */
  readonly #confirmed: number[] = []
  #delayed: Delayed[] = []
  /** The ids that the deduplicating exchange remembers, with the messages that came of them. */
  readonly #once: RememberedIds<readonly ModelEntry[]>
  /** The innermost last: a queue that takes a message may push another one into the next queue. */
  readonly #arrivals: Arrival[] = []

  /** `rules` are those of the first queue, `window` is that of the deduplicating exchange. */
  constructor(clock: Clock, rules: ModelRules, window: Deduplication) {
    this.#clock = clock
    this.#rules = rules
    this.#once = new RememberedIds(window)
  }

  tick(): Moment {
    return ++this.now
  }

  queue(name: QueueName): ModelQueue {
    return this.#queues.get(name)!.at(-1)!
  }

  get queues(): ModelQueue[] {
    return QUEUES.map((name) => this.queue(name))
  }

  /** Messages that wait for their time. */
  get delayedCount(): number {
    return this.#delayed.filter(({ settledAt }) => settledAt === NEVER).length
  }

  /** The disk does not give a page, of whichever queue. */
  readFails(): void {
    for (const queue of this.queues) queue.readFails()
  }

  /** How many ids the deduplicating exchange remembers; null when that depends on when somebody looks. */
  get rememberedCount(): number | null {
    return this.#once.count
  }

  rulesOf(name: QueueName): ModelRules {
    return name === 'a' ? this.#rules : NO_RULES
  }

  declare(name: QueueName): ModelQueue {
    const queue = new ModelQueue(name, name !== 'c', this.rulesOf(name), this.tick())
    this.#queues.get(name)!.push(queue)
    return queue
  }

  /**
   * A message is published. It reaches its queues at once, or waits first, or is a duplicate. Returns how many are to
   * answer for it.
   */
  published(id: number, traits: Traits, targets: readonly QueueName[]): number {
    const { delayMs, once } = traits
    const times = { publishedAt: this.tick(), settledAt: NEVER }
    const due = this.#clock.now() + delayMs
    const delayed = delayMs === 0 ? null : { id, traits, targets, missing: null, due, ...times }
    if (delayed !== null) this.#delayed.push(delayed)
    const routed = delayed === null && this.#once.find(once, this.#clock.now()) === null
    const missing = new Set(routed ? targets : [])
    // What keeps the message, or its id, answers too.
    const reached = missing.size + (delayed !== null || once !== 0 ? 1 : 0)
    const answers = { reached, answered: 0, refused: false, unwanted: false }
    this.#publications.set(id, { traits, missing, entries: [], delayed, remembered: null, ...answers })
    return reached
  }

  /** A message was handed to the queues, or was not: then it is a duplicate, in a transaction perhaps only since. */
  handed(id: number): void {
    const publication = this.#publications.get(id)!
    const { traits, missing, entries, unwanted } = publication
    if (traits.once === 0) return
    const time = this.#clock.now()
    const known = this.#once.find(traits.once, time)
    if (known !== null) {
      assert.equal(entries.length, 0, `${id} is routed, although it is a duplicate`)
      missing.clear()
      // As safe as its first, whether the id of that is kept or not.
      entries.push(...known.first)
      publication.remembered = known
    } else if (!unwanted) {
      publication.remembered = this.#once.add(traits.once, entries, traits.persistent, time, this.tick())
    }
  }

  /** A queue is being given a message: published, given up by another queue, or come to its time. */
  arrived(name: QueueName, message: Message): void {
    const queue = this.queue(name)
    const id = idOf(message)
    const full = queue.full
    const entry = this.#arrival(name, queue, id, message)
    const unwanted = full && entry !== null
    if (entry !== null && !unwanted) queue.remember(entry, this.#clock.now())
    this.#arrivals.push({ queue, entry, unwanted, refused: false })
  }

  /** It has taken the message, or not. `answered`: there was a publisher to be told so. */
  taken(answered: boolean, duplicate: boolean): void {
    const { queue, entry, unwanted, refused } = this.#arrivals.pop()!
    assert.equal(duplicate, entry === null, `whether ${queue.name} has ${entry === null ? 'it' : entry.id} already`)
    if (answered) assert.equal(refused, unwanted, `whether ${queue.name} refuses ${entry?.id}`)
    if (!unwanted) return
    queue.refuse(entry!)
    const publication = this.#publications.get(entry!.id)
    if (publication !== undefined && entry!.death === null) publication.unwanted = true
  }

  /** The queue that is being given a message refuses it. */
  turnedAway(): void {
    this.#arrivals.at(-1)!.refused = true
  }

  accepted(id: number): void {
    this.#answered(id)
  }

  refused(id: number): void {
    this.#publications.get(id)!.refused = true
    this.#answered(id)
  }

  /** A transaction is on disk, with these publishes in it. `refused`: a queue has not taken one of them. */
  committed(ids: readonly number[], refused: boolean): void {
    for (const id of ids) {
      const publication = this.#publications.get(id)!
      publication.answered = publication.reached
    }
    if (!refused) this.#confirmed.push(...ids)
  }

  /** Whether all that has been published was answered. */
  expectAnswers(): void {
    for (const [id, { answered, reached }] of this.#publications)
      assert.equal(answered, reached, `${id} is not confirmed`)
  }

  /** Whether what has been confirmed since the last time is on disk, up to this moment, or was dealt with. */
  expectSafe(durable: Moment): void {
    for (const id of this.#confirmed.splice(0)) {
      const { entries, delayed, remembered, missing } = this.#publications.get(id)!
      assert.equal(missing.size, 0, `${id} has not reached ${[...missing].join()}`)
      const kept = delayed === null || delayed.publishedAt <= durable
      assert(kept, `${id} is confirmed, and neither on disk nor where it was to go`)
      const known = remembered?.kept !== true || remembered.at <= durable || remembered.forgottenAt !== NEVER
      assert(known, `${id} is confirmed, but its id is not on disk`)
      for (const entry of entries) {
        assert(safe(entry, durable), `${id} is confirmed, but not on disk in ${entry.queue.name}`)
      }
    }
  }

  /** Whether all that had to happen at once has happened. */
  expectComplete(): void {
    for (const { name, condemned } of this.queues) {
      assert.deepEqual(
        [...condemned.keys()].map(({ id }) => id),
        [],
        `what ${name} had to give up`,
      )
    }
    for (const { id, missing } of this.#delayed) assert(!missing?.size, `${id} has come to some of its queues only`)
  }

  /** The broker is started on what it had written up to a moment. Returns the queues that are there. */
  restart(known: Moment, clean: boolean): QueueName[] {
    this.#publications.clear()
    this.#confirmed.length = 0
    for (const incarnations of this.#queues.values()) {
      const survivors = incarnations.filter((queue) => queue.survives(known))
      for (const queue of survivors) queue.restart(known, clean)
      incarnations.splice(0, incarnations.length, ...survivors)
    }
    this.#delayed = this.#delayed.filter(({ publishedAt, settledAt }) => publishedAt <= known && settledAt > known)
    for (const delayed of this.#delayed) {
      delayed.settledAt = NEVER
      delayed.missing = null
    }
    this.#once.restart(known)
    // What a crash has undone can not become known later.
    this.tick()
    return QUEUES.filter((name) => this.#queues.get(name)!.length > 0)
  }

  /** What the queue is to make of a message; null when it is a duplicate. */
  #arrival(name: QueueName, queue: ModelQueue, id: number, message: Message): ModelEntry | null {
    const time = this.#clock.now()
    const death = deathOf(message)
    if (death !== null) {
      const from = this.queue(death.queue as QueueName)
      assert.equal(from.rules.deadLetters, name, `where ${from.name} sends ${id}`)
      const entry = from.entries.find((other) => other.id === id && other.settledAt === NEVER)
      assert(entry, `${from.name} gives up ${id}, which it does not have`)
      const now = this.tick()
      from.giveUp(entry, death.reason, time, now)
      entry.letter = queue.publish(id, entry.traits, death, time, now)
      return entry.letter
    }
    const publication = this.#publications.get(id)
    const delayed = this.#delayed.find((other) => other.id === id)
    if (delayed !== undefined && delayed.settledAt === NEVER) this.#release(delayed)
    const missing = delayed === undefined ? publication?.missing : delayed.missing
    assert(missing?.delete(name), `${id} comes to ${name} out of the blue`)
    const traits = delayed?.traits ?? publication!.traits
    const first = queue.repeated(traits, time)
    const entry = first ?? queue.publish(id, traits, null, time, this.tick())
    // A duplicate is as safe as its first.
    if (delayed === undefined) publication!.entries.push(entry)
    return first === null ? entry : null
  }

  #release(delayed: Delayed): void {
    const { id, due, publishedAt, targets } = delayed
    const early = due - this.#clock.now()
    assert(early <= 0, `${id} comes ${early} ms too early`)
    for (const other of this.#delayed) {
      const before = other.settledAt === NEVER && other.due <= due && other.publishedAt < publishedAt
      assert(!before, `${id} comes before ${other.id}, which is due at ${other.due - due} ms`)
    }
    delayed.settledAt = this.tick()
    delayed.missing = new Set(targets)
  }

  #answered(id: number): void {
    const publication = this.#publications.get(id)!
    publication.answered++
    assert(publication.answered <= publication.reached, `${id} is answered too often`)
    if (publication.answered === publication.reached && !publication.refused) this.#confirmed.push(id)
  }
}

/** Whether a message is on disk, or has been dealt with; a dead letter takes the place of what has died. */
function safe({ durable, publishedAt, settledAt, queue, letter }: ModelEntry, known: Moment): boolean {
  if (!durable || publishedAt <= known || queue.deletedAt !== NEVER) return true
  return settledAt !== NEVER && (letter === null || safe(letter, known))
}
