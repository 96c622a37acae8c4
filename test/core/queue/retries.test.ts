// Messages that wait before they are tried again, whatever happens meanwhile: each comes when it is due, and in its place.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { Message } from '../../../src/core/message.ts'
import type { Entry } from '../../../src/core/queue/entry.ts'
import { FIRST_PLACE, type Browsed, type Place } from '../../../src/core/queue/browse.ts'
import { DuePositions } from '../../../src/core/queue/due-positions.ts'
import type { FieldValue } from '../../../src/core/value.ts'
import { Kind } from '../../../src/store/level/keys.ts'
import { amqpPropertyCodec } from '../../../src/amqp/property-codec.ts'
import { longstr, signedint, table } from '../../support/core.ts'
import { DurableCore, textOf } from '../../support/durable-core.ts'
import { Disk, diskError } from '../../support/faulty-database.ts'
import { turnsRun } from '../../support/sockets.ts'

/** How many programs are run, and the seed of a failure that is to be seen again. */
const { TEST_MODEL_RUNS = '300', TEST_MODEL_SEED } = process.env

// Limits at which a handful of messages has to leave memory, and several pages.
vi.mock('../../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../support/small-sizes.ts')).SMALL_LIMITS,
  RETRIES_RESIDENT_BYTES: 90,
  RETRIES_AT_ONCE: 3,
}))
vi.mock('../../../src/store/level/tuning.ts', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../support/small-sizes.ts')).SMALL_PAGES,
}))

const RETRY_MS = 1000
const RETRY_MS_MAX = 3000
const TTL_MS = 4000

type Step =
  | { readonly do: 'publish'; readonly persistent: boolean; readonly priority: number; readonly count: number }
  | { readonly do: 'get'; readonly count: number }
  | { readonly do: 'acknowledge' | 'return' | 'fail'; readonly pick: number; readonly count: number }
  | { readonly do: 'delete'; readonly positions: readonly number[] }
  | { readonly do: 'look' | 'purge' | 'cut' | 'disk fails' }
  | { readonly do: 'wait'; readonly milliseconds: number }
  | { readonly do: 'turn'; readonly count: number }

const someCount = fc.integer({ min: 1, max: 8 })
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      persistent: fc.boolean(),
      priority: fc.integer({ min: 0, max: 3 }),
      count: someCount,
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('get' as const), count: someCount }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('acknowledge' as const, 'return' as const, 'return' as const, 'fail' as const),
      pick: fc.nat(20),
      count: someCount,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('delete' as const), positions: fc.array(fc.nat(40), { maxLength: 5 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('look' as const, 'look' as const, 'look' as const, 'purge' as const, 'cut' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('disk fails' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), milliseconds: fc.constantFrom(1, 500, 1000, 5000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('turn' as const), count: someCount }) },
)

/** What a program's queue is like. */
interface Kindness {
  readonly quorum: boolean
  readonly ranked: boolean
  readonly mortal: boolean
}

const anyQueue = fc.record({ quorum: fc.boolean(), ranked: fc.boolean(), mortal: fc.boolean() })

/** A message, and what must be true of it. */
interface Told {
  readonly text: string
  readonly position: number
  readonly priority: number
  readonly stored: boolean
  readonly deadline: number
  dueAt: number
  /** Null: nobody can tell since the power went. */
  redelivered: boolean | null
  failed: number
  acquired: number
}

/** A queue whose messages wait when they come back, and a plain list of what is in it. */
class WaitingRoom {
  core!: DurableCore
  readonly #kind: Kindness
  #here: Told[] = []
  readonly #held: { readonly entry: Entry; readonly told: Told }[] = []
  #next = 0
  /** Whether a page may be out of reach: then others pass, and nothing can be counted. */
  #doubtful = false
  /** Whether messages that wait may count as ready, until somebody reads them. */
  #unread = false

  private constructor(kind: Kindness) {
    this.#kind = kind
  }

  static async start(kind: Kindness): Promise<WaitingRoom> {
    const room = new WaitingRoom(kind)
    room.core = await DurableCore.start()
    const { quorum, ranked, mortal } = kind
    const args = {
      'x-queue-type': longstr(quorum ? 'quorum' : 'classic'),
      'x-delayed-retry-type': longstr('all'),
      'x-delayed-retry-min': signedint(RETRY_MS),
      'x-delayed-retry-max': signedint(RETRY_MS_MAX),
      'x-delivery-limit': signedint(-1),
      ...(ranked && !quorum ? { 'x-max-priority': signedint(3) } : {}),
      ...(mortal ? { 'x-message-ttl': signedint(TTL_MS) } : {}),
    }
    room.core.declare('q', table(args))
    await room.core.written()
    return room
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'publish':
        for (let i = 0; i < step.count; i++) this.#publish(step.persistent, step.priority)
        break
      case 'get':
        for (let i = 0; i < step.count; i++) await this.#get()
        break
      case 'delete':
        return this.#delete(step.positions)
      case 'look':
        return this.#look()
      case 'purge':
        return this.#purge()
      case 'cut':
        return this.#cut()
      case 'disk fails':
        this.#doubtful = true
        this.core.database.readFailures.push(diskError())
        break
      case 'wait':
        this.core.clock.advance(step.milliseconds)
        break
      case 'turn':
        for (let i = 0; i < step.count; i++) await turnsRun()
        break
      default:
        this.#settle(step.do, step.pick, step.count)
    }
  }

  /** Everything comes in the end, and nothing is left. */
  async finish(): Promise<void> {
    const { core } = this
    core.database.readFailures.length = 0
    this.#settle('return', 0, Infinity)
    const { readyCount, delayedCount, unreadableCount } = core.queue('q')
    if (!this.#kind.mortal) expect(readyCount + delayedCount + unreadableCount).toBe(this.#here.length)
    for (let round = 0; round < 200 && !core.queue('q').empty; round++) {
      core.clock.advance(round < 50 ? RETRY_MS : 60_000)
      await this.#settled()
      for (let left = core.queue('q').readyCount; left > 0; left--) {
        if (!(await this.#get())) break
        this.#settle('acknowledge', 0, 1)
      }
    }
    expect(core.queue('q')).toMatchObject({ readyCount: 0, delayedCount: 0, unreadableCount: 0 })
    this.#expire()
    expect(this.#here).toEqual([])
    await core.written()
    for (let turns = 0; turns < 100; turns++) await turnsRun()
    for (const kind of ['index', 'fragment', 'attempts'] as const) expect(core.disk.keys(Kind[kind])).toEqual([])
  }

  #publish(persistent: boolean, priority: number): void {
    const position = this.core.queue('q').nextPosition
    const text = String(this.#next++).padEnd(20, '.')
    const facts = { persistent, priority: this.#kind.ranked ? priority : -1, expirationMs: -1, headers: false }
    const bytes = Buffer.from(text)
    const message = new Message('', 'q', facts, Buffer.alloc(2), 0, 2, bytes, 0, bytes.length, true)
    const { quorum, mortal } = this.#kind
    const stored = quorum || persistent
    const deadline = mortal ? this.core.clock.now() + TTL_MS : Infinity
    const unknown = { dueAt: 0, redelivered: false, failed: 0, acquired: 0 }
    this.#here.push({ text, position, priority, stored, deadline, ...unknown })
    this.core.session.publish(message, null, 0)
  }

  /** Gets the next message, which must be the right one. */
  async #get(): Promise<boolean> {
    await this.#settled()
    const expected = this.#ready[0]
    const getting = this.core.queue('q').getSoon(false)
    await this.#settled()
    const entry = await getting
    if (entry === undefined) {
      if (this.#doubtful) return false
      expect(expected).toBeUndefined()
      this.#unread = false
      return false
    }
    const text = textOf(entry.message)
    const told = this.#here.find((each) => each.text === text)
    if (told === undefined) throw new Error(`${text} comes and is not there`)
    expect(told.dueAt).toBeLessThanOrEqual(this.core.clock.now())
    expect(told.deadline).toBeGreaterThan(this.core.clock.now())
    if (!this.#doubtful) expect(text).toBe(expected?.text)
    if (told.redelivered !== null) expect(entry.redelivered).toBe(told.redelivered)
    const { deliveryCount, acquiredCount } = entry.details ?? { deliveryCount: 0, acquiredCount: 0 }
    // What may have been out when the power went has failed once.
    if (told.redelivered === null && entry.redelivered && told.acquired === 0) told.failed = told.acquired = 1
    expect([text, deliveryCount, acquiredCount]).toEqual([text, told.failed, told.acquired])
    expect(headersOf(entry.presented)).toEqual(headersFor(told))
    told.redelivered = true
    this.#here.splice(this.#here.indexOf(told), 1)
    this.#held.push({ entry, told })
    return true
  }

  #settle(how: 'acknowledge' | 'return' | 'fail', pick: number, most: number): void {
    const queue = this.core.queue('q')
    const now = this.core.clock.now()
    for (const { entry, told } of this.#held.splice(pick % (this.#held.length + 1), most)) {
      if (how === 'acknowledge') {
        queue.acknowledge(entry)
        continue
      }
      queue.requeue(entry, how === 'fail')
      told.acquired++
      if (how === 'fail') told.failed++
      const attempts = how === 'fail' ? told.failed : told.acquired
      told.dueAt = now + Math.min(RETRY_MS * attempts, RETRY_MS_MAX)
      this.#here.push(told)
    }
    queue.takenBack()
  }

  /** Somebody takes messages out, wherever they are. */
  async #delete(positions: readonly number[]): Promise<void> {
    if (this.#doubtful) return
    await this.#settled()
    this.#expire()
    const wanted = new Set(positions)
    const gone = this.#here.filter(({ position }) => wanted.has(position))
    expect(await this.core.session.deleteMessages('q', [...wanted])).toBe(gone.length)
    this.#here = this.#here.filter((told) => !gone.includes(told))
  }

  /** Compares what is there with the list. */
  async #look(): Promise<void> {
    if (this.#doubtful) return
    await this.#settled()
    this.#expire()
    const queue = this.core.queue('q')
    const ready = this.#ready.length
    const waiting = this.#here.length - ready
    expect(queue.readyCount + queue.delayedCount).toBe(ready + waiting)
    expect(queue.residentBytes).toBeGreaterThanOrEqual(0)
    if (this.#unread) return
    expect([queue.readyCount, queue.delayedCount]).toEqual([ready, waiting])
    expect(queue.readyBytes).toBe(ready * 20)
    const delayed = await allOf((place) => queue.browseDelayed(place))
    const expected = this.#here.filter(({ dueAt }) => dueAt > this.core.clock.now())
    expected.sort((a, b) => a.position - b.position)
    expect(delayed.map(({ position, dueAt, redelivered }) => [position, dueAt, redelivered])).toEqual(
      expected.map(({ position, dueAt }) => [position, dueAt, true]),
    )
    expect(delayed.map(({ message }) => headersOf(message))).toEqual(expected.map(headersFor))
  }

  /** What is ready goes; what waits for its time stays. */
  async #purge(): Promise<void> {
    if (this.#doubtful || this.#unread) return
    await this.#settled()
    this.#expire()
    const ready = new Set(this.#ready)
    expect(this.core.queue('q').purge()).toBe(ready.size)
    this.#here = this.#here.filter((told) => !ready.has(told))
  }

  /** The power goes. Everything was on disk. */
  async #cut(): Promise<void> {
    const { core } = this
    await this.#settled()
    await core.written()
    core.broker.stop()
    const left = new Disk()
    for (const [key, value] of core.disk.records) left.records.set(key, Buffer.from(value))
    core.database.abandon()
    this.core = await DurableCore.start(left, core.clock)
    for (const { told } of this.#held.splice(0)) this.#here.push(told)
    this.#here = this.#here.filter(({ stored }) => stored)
    for (const told of this.#here) if (told.redelivered === false || told.acquired === 0) told.redelivered = null
    this.#unread = true
    this.#doubtful = false
    await this.#settled()
  }

  /** What could be had now, in order. */
  get #ready(): Told[] {
    this.#expire()
    const ready = this.#here.filter(({ dueAt }) => dueAt <= this.core.clock.now())
    const { ranked } = this.#kind
    return ready.toSorted((a, b) => (ranked ? b.priority - a.priority : 0) || a.position - b.position)
  }

  /** What waits before it is tried again does not expire; once it is ready it does. */
  #expire(): void {
    const now = this.core.clock.now()
    this.#here = this.#here.filter(({ dueAt, deadline }) => dueAt > now || deadline > now)
  }

  /** Everything that happens by itself has happened. */
  async #settled(): Promise<void> {
    for (let turns = 0; turns < 40; turns++) {
      this.core.clock.advance(0)
      await turnsRun()
    }
  }
}

/** What is said of a message's attempts in its headers. */
function headersOf(message: Message): Record<string, bigint> {
  const headers = message.headers ? amqpPropertyCodec.headers(message) : new Map<string, FieldValue>()
  return Object.fromEntries(Array.from(headers, ([key, { value }]) => [key, value as bigint]))
}

function headersFor({ failed, acquired }: Told): Record<string, bigint> {
  if (acquired === 0) return {}
  const counts = { 'x-acquired-count': BigInt(acquired) }
  return failed === 0 ? counts : { ...counts, 'x-delivery-count': BigInt(failed) }
}

async function allOf(look: (place: Place) => Promise<{ messages: readonly Browsed[]; next: Place | null }>) {
  const found: Browsed[] = []
  for (let place: Place | null = FIRST_PLACE; place !== null;) {
    const { messages, next } = await look(place)
    found.push(...messages)
    place = next
  }
  return found
}

describe('messages that wait before they are tried again', () => {
  it(
    'come when they are due, in their places and with their counts, whatever happens meanwhile',
    { timeout: 60_000 + Number(TEST_MODEL_RUNS) * 400 },
    async () => {
      await fc.assert(
        fc.asyncProperty(anyQueue, fc.array(anyStep, { maxLength: 40 }), async (kind, program) => {
          const room = await WaitingRoom.start(kind)
          for (const each of program) await room.take(each)
          await room.finish()
        }),
        { numRuns: Number(TEST_MODEL_RUNS), seed: Number(TEST_MODEL_SEED ?? 11) },
      )
    },
  )
})

/** A queue of messages that have all been given back. */
async function allWaiting(count: number, mortal: boolean): Promise<DurableCore> {
  const room = await WaitingRoom.start({ quorum: true, ranked: false, mortal })
  await room.take({ do: 'publish', persistent: true, priority: 0, count })
  await room.take({ do: 'get', count })
  await room.take({ do: 'return', pick: 0, count })
  return room.core
}

async function turnsAndTimers(core: DurableCore): Promise<void> {
  for (let turns = 0; turns < 40; turns++) {
    core.clock.advance(0)
    await turnsRun()
  }
}

describe('a queue with many messages that wait', () => {
  it('keeps few of them in memory, also when they are due and nobody takes them', async () => {
    const core = await allWaiting(40, false)
    const queue = core.queue('q')
    expect([queue.readyCount, queue.delayedCount]).toEqual([0, 40])
    expect(queue.residentBytes).toBeLessThanOrEqual(90)
    core.clock.advance(RETRY_MS)
    expect([queue.readyCount, queue.delayedCount]).toEqual([40, 0])
    await turnsAndTimers(core)
    expect(queue.residentBytes).toBeLessThanOrEqual(240)
    const consumer = core.consume(queue)
    await turnsAndTimers(core)
    expect(consumer.entries.map(({ position }) => position)).toEqual([...Array(40).keys()])
  })

  it('has those expire that nobody takes once they are due', async () => {
    const core = await allWaiting(40, true)
    const queue = core.queue('q')
    core.clock.advance(TTL_MS - 1)
    await turnsAndTimers(core)
    expect([queue.readyCount, queue.readyBytes]).toEqual([40, 40 * 20])
    core.clock.advance(1)
    await turnsAndTimers(core)
    expect([queue.readyCount, queue.readyBytes, queue.persistent.count]).toEqual([0, 0, 0])
  })

  it('is deleted with all of them', async () => {
    const core = await allWaiting(40, true)
    core.session.deleteQueue('q', false, false)
    core.clock.advance(RETRY_MS_MAX)
    await core.written()
    for (let turns = 0; turns < 100; turns++) await turnsRun()
    for (const kind of ['index', 'fragment', 'attempts'] as const) expect(core.disk.keys(Kind[kind])).toEqual([])
    expect(core.broker.residentBudget.storedBytes).toBe(0)
  })

  it('does not lose those whose page cannot be read when somebody wants to delete them', async () => {
    const core = await allWaiting(40, false)
    const queue = core.queue('q')
    core.database.readFailures = [diskError()]
    await expect(core.session.deleteMessages('q', [20])).rejects.toThrow(diskError().message)
    expect([queue.delayedCount, queue.unreadableCount]).toEqual([40, 0])
    expect(await core.session.deleteMessages('q', [20])).toBe(1)
    expect(queue.delayedCount).toBe(39)
  })
})

describe('times of messages that are on disk only', () => {
  it('come out in their order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 300 }), (times) => {
        const due = new DuePositions()
        for (const [dueAt, position] of times) due.push(dueAt, { position, bodyBytes: dueAt + 1, deadline: Infinity })
        const found: [number, number][] = []
        while (due.length > 0) {
          const dueAt = due.first
          const { position, bodyBytes, deadline } = due.pop()
          expect([bodyBytes, deadline]).toEqual([dueAt + 1, Infinity])
          found.push([dueAt, position])
        }
        expect(found).toEqual(times.toSorted(([a, p], [b, q]) => a - b || p - q))
        expect(due.first).toBe(Infinity)
      }),
    )
  })

  it('take no more memory than four times what they need, however many there were', () => {
    const due = new DuePositions()
    const roomFirst = due.room
    for (let position = 0; position < 10_000; position++) due.push(position, { position, bodyBytes: 1, deadline: 2 })
    for (let position = 0; position < 10_000; position++) {
      expect(due.pop()).toEqual({ position, bodyBytes: 1, deadline: 2 })
      expect(due.room).toBeLessThanOrEqual(Math.max(due.length * 4, roomFirst))
    }
    expect(due.room).toBe(roomFirst)
  })
})
