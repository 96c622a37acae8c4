// A backlog over logs that answer when the test says so. Ten bytes a message; limits small enough to count.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { Message } from '../../../src/core/message.ts'
import type { ExpiringStretch, LogSummary, Publisher, QueueLog, StoredMessage } from '../../../src/core/ports.ts'
import { Backlog, type BacklogHost } from '../../../src/core/queue/backlog.ts'
import { FIRST_PLACE, type BrowsedPage, type Place } from '../../../src/core/queue/browse.ts'
import { Entry, EntryDetails, EntryState, Stored } from '../../../src/core/queue/entry.ts'
import { ResidentBudget } from '../../../src/core/queue/resident-budget.ts'
import { queueNamed } from '../../support/core.ts'
import { UnreadablePageError } from '../../../src/core/queue/unreadable.ts'
import { UNREADABLE_PAGES_MAX } from '../../../src/core/limits.ts'

const MESSAGE_BYTES = 10

// A head of 20 stored or 60 transient messages is split at 10, after these were written by ten for each three that come;
// the tail is cut from 10 to 5; a page is read below 5.
vi.mock('../../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  ENTRY_OVERHEAD_BYTES: 0,
  QUEUE_RESIDENT_BYTES: 100,
  QUEUE_TRANSIENT_BYTES: 600,
  QUEUE_SPILL_BYTES: 100,
  QUEUE_SPILL_GROWTH_BYTES: 30,
  QUEUE_PAGE_OUT_BYTES: 200,
  QUEUE_READ_AHEAD_BYTES: 50,
  QUEUE_READ_AHEAD_BYTES_MAX: 200,
  TIGHT_DIVISOR: 2,
}))

const queue = queueNamed('q')

function messageOf(persistent: boolean): Message {
  const facts = { persistent, priority: -1, expirationMs: -1, headers: false }
  return new Message('', 'q', facts, Buffer.alloc(0), 0, 0, Buffer.alloc(MESSAGE_BYTES), 0, MESSAGE_BYTES, true)
}

interface Reading {
  readonly from: number
  readonly below: number
  readonly resolve: (messages: readonly StoredMessage[]) => void
  readonly reject: (error: Error) => void
}

/** A log that is written when it is told to be, and whose reads wait to be answered, a page of four at a time. */
class FakeLog implements QueueLog {
  readonly inMemory = false
  readonly id = 1
  readonly next: number
  opened = true
  readonly waiting: { opened: () => void; failed: ((error: Error) => void) | undefined }[] = []
  readonly recovered: LogSummary
  readonly recoveredDeadlines: ExpiringStretch[] = []
  durableBelow = 0
  readonly stored = new Map<number, Message>()
  readonly deadlines = new Map<number, number>()
  readonly withheld = new Set<number>()
  readonly readings: Reading[] = []
  readonly discards: [number, number][] = []
  dropped = false
  /** Whether all may have been delivered before. */
  redelivered = false
  #pending: Entry[] = []

  constructor(positions: readonly number[] = []) {
    for (const position of positions) this.stored.set(position, messageOf(true))
    const next = (positions.at(-1) ?? -1) + 1
    const bodyBytes = positions.length * MESSAGE_BYTES
    this.recovered = { count: positions.length, bodyBytes, first: positions[0] ?? next }
    this.next = next
    this.durableBelow = next
  }

  whenOpened(opened: () => void, failed?: (error: Error) => void): void {
    if (this.opened) opened()
    else this.waiting.push({ opened, failed })
  }

  /** It is known now what it held. */
  open(): void {
    this.opened = true
    for (const { opened } of this.waiting.splice(0)) opened()
  }

  get held(): never {
    throw new Error('a backlog counts for itself')
  }

  append(entry: Entry, publisher: Publisher | null): void {
    expect(publisher).toBeNull()
    entry.stored = Stored.pending
    this.#pending.push(entry)
  }

  settle(entry: Entry): void {
    this.#pending = this.#pending.filter((other) => other !== entry)
    this.stored.delete(entry.position)
    entry.stored = Stored.no
  }

  supersede(): void {
    throw new Error('a backlog gives nothing up')
  }

  withhold(entry: Entry): void {
    this.withheld.add(entry.position)
  }

  /** What was appended is on disk. */
  commit(): void {
    for (const entry of this.#pending.splice(0)) {
      if (entry.details !== null) this.deadlines.set(entry.position, entry.details.deadline)
      entry.stored = Stored.written
      this.stored.set(entry.position, entry.message)
      this.durableBelow = entry.position + 1
    }
  }

  attempted(): void {
    throw new Error('a backlog tries nothing')
  }

  deliverable(): boolean {
    throw new Error('a backlog delivers nothing')
  }

  delivered(): void {
    throw new Error('a backlog delivers nothing')
  }

  read(from: number, below: number): Promise<readonly StoredMessage[]> {
    return new Promise((resolve, reject) => this.readings.push({ from, below, resolve, reject }))
  }

  readWithheld(): never {
    throw new Error('a backlog buries nothing')
  }

  discard(from: number, below: number): void {
    this.discards.push([from, below])
    for (const position of this.stored.keys()) if (position >= from && position < below) this.stored.delete(position)
  }

  drop(): void {
    this.dropped = true
  }

  /** Answers the read that was asked for first: the disk does not give the page of four messages that it begins with. */
  async refuse(deliveredBelow = 0): Promise<UnreadablePageError> {
    const { from, below } = this.readings[0]!
    const positions = this.#readable(from, below)
    const error = new UnreadablePageError(
      {
        first: positions[0]!,
        below: positions.at(-1)! + 1,
        count: positions.length,
        bodyBytes: positions.length * MESSAGE_BYTES,
        deliveredBelow,
      },
      new Error('a bad sector'),
    )
    await this.answer(error)
    return error
  }

  /** Answers the read that was asked for first, truly unless told otherwise. */
  async answer(answer?: Error | 'nothing'): Promise<void> {
    const { from, below, resolve, reject } = this.readings.shift()!
    const positions = this.#readable(from, below)
    const redelivered = this.redelivered
    if (answer instanceof Error) reject(answer)
    else if (answer === 'nothing') resolve([])
    else
      resolve(
        positions.map((position) => ({
          position,
          message: this.stored.get(position)!,
          redelivered,
          storedAt: 0,
          deadline: this.deadlines.get(position) ?? Infinity,
        })),
      )
    await settled()
  }

  /** A page of what may be read. */
  #readable(from: number, below: number): number[] {
    const wanted = (position: number): boolean => position >= from && position < below && !this.withheld.has(position)
    return [...this.stored.keys()].filter(wanted).slice(0, 4)
  }
}

/** Lets promises that are resolved by now call back. */
async function settled(): Promise<void> {
  for (let hops = 0; hops < 10; hops++) await Promise.resolve()
}

class Bench implements BacklogHost {
  readonly memory = { tight: false }
  readonly residentBudget = new ResidentBudget(this.memory)
  readonly log: FakeLog | null
  readonly spilled = new FakeLog()
  readonly backlog: Backlog
  readonly troubles: unknown[] = []
  readonly readAgain: number[] = []
  /** Entries that were made of what was read. */
  restorations = 0
  openings = 0
  reads = 0
  readonly expired: number[] = []
  readonly buried = new Set<number>()
  #next: number

  constructor(log: FakeLog | null = new FakeLog()) {
    this.log = log
    this.backlog = new Backlog(log, this)
    this.#next = log?.next ?? 0
  }

  spillLog(): QueueLog {
    return this.spilled
  }

  backlogOpened(): void {
    this.openings++
  }

  restored(stored: StoredMessage): Entry {
    this.restorations++
    const entry = new Entry(queue, stored.message, stored.position)
    entry.redelivered = stored.redelivered
    if (stored.deadline !== Infinity) mortal(entry, stored.deadline)
    return entry
  }

  presented({ message }: StoredMessage): Message {
    return message
  }

  expiredUnread(entry: Entry): void {
    this.expired.push(this.#settle(entry))
  }

  backlogRead(): void {
    this.reads++
    // As a queue does: it looks whether there is something for its consumers.
    void this.backlog.available
  }

  backlogUnreadable(error: unknown): void {
    this.troubles.push(error)
  }

  backlogReadable(count: number): void {
    this.readAgain.push(count)
  }

  /** Pushes messages: a letter for each, `p` for persistent and `t` for transient ones. */
  push(kinds: string, deadline = Infinity): Entry[] {
    return Array.from(kinds, (kind) => {
      const entry = new Entry(queue, messageOf(kind === 'p'), this.#next++)
      if (deadline !== Infinity) mortal(entry, deadline)
      if (kind === 'p' && this.log !== null) this.log.append(entry, null)
      this.backlog.push(entry)
      return entry
    })
  }

  /** Takes an entry out of the middle. */
  remove(entry: Entry): void {
    this.backlog.remove(entry)
    this.#settle(entry)
  }

  /** Gives a message up whose dead letter nobody takes: its log keeps it. */
  bury(entry: Entry): void {
    this.backlog.remove(entry)
    if (entry.stored !== Stored.no) this.backlog.logOf(entry).withhold(entry)
    this.buried.add(entry.position)
  }

  commit(): void {
    this.log?.commit()
    this.spilled.commit()
  }

  /** Takes messages as long as there are any in memory, up to so many. Returns their positions. */
  take(most = Infinity): number[] {
    const positions: number[] = []
    while (positions.length < most && this.backlog.available) positions.push(this.#settle(this.backlog.take()!))
    return positions
  }

  /** Takes so many messages out, and does not settle them. */
  lend(count: number): Entry[] {
    return Array.from({ length: count }, () => {
      const entry = this.backlog.take()!
      entry.state = EntryState.unacked
      return entry
    })
  }

  /** Gives messages back that were taken out. */
  giveBack(entries: readonly Entry[]): void {
    for (const entry of entries) {
      entry.state = EntryState.ready
      entry.redelivered = true
      this.backlog.giveBack(entry)
    }
  }

  /** Takes everything, and has the logs answer whatever is asked for. */
  async drain(): Promise<number[]> {
    const positions = this.take()
    for (let rounds = 0; this.backlog.count > 0 && rounds < 1000; rounds++) {
      for (const log of [this.log, this.spilled]) if (log !== null && log.readings.length > 0) await log.answer()
      positions.push(...this.take())
    }
    return positions
  }

  get state(): { count: number; bytes: number; transientBytes: number } {
    const { count, bytes, transientBytes } = this.backlog
    return { count, bytes, transientBytes }
  }

  #settle(entry: Entry): number {
    entry.state = EntryState.settled
    if (entry.stored !== Stored.no) this.backlog.logOf(entry).settle(entry)
    return entry.position
  }
}

function mortal(entry: Entry, deadline: number): void {
  entry.details = new EntryDetails()
  entry.details.deadline = deadline
}

function span(from: number, below: number): number[] {
  return Array.from({ length: below - from }, (_each, i) => from + i)
}

const EMPTY = { count: 0, bytes: 0, transientBytes: 0 }

/** Waits for a promise while the logs answer whatever is asked for. */
async function answering<T>(bench: Bench, promise: Promise<T>): Promise<T> {
  const state = { done: false }
  const finished = promise.finally(() => (state.done = true))
  const logs = bench.log === null ? [bench.spilled] : [bench.log, bench.spilled]
  for (let rounds = 0; !state.done && rounds < 1000; rounds++) {
    for (const log of logs) if (log.readings.length > 0) await log.answer()
    await settled()
  }
  return finished
}

/** Looks at everything that is ready, in as many steps as it takes. */
async function seen(bench: Bench): Promise<BrowsedPage['messages'][number][]> {
  const messages: BrowsedPage['messages'][number][] = []
  for (let place: Place | null = FIRST_PLACE; place !== null;) {
    const page: BrowsedPage = await answering(bench, bench.backlog.browse(place))
    messages.push(...page.messages)
    place = page.next
  }
  return messages
}

async function browsed(bench: Bench): Promise<number[]> {
  return (await seen(bench)).map(({ position }) => position)
}

describe('what a backlog has in memory', () => {
  it('is counted apart from what is on disk only', async () => {
    const bench = new Bench(new FakeLog(span(0, 8)))
    expect(bench.backlog.residentCount).toBe(0)
    expect(bench.take()).toEqual([])
    await bench.log!.answer()
    expect(bench.backlog.residentCount).toBe(4)
    await bench.log!.answer()
    expect(bench.backlog.residentCount).toBe(8)
    expect(bench.take(3)).toEqual(span(0, 3))
    expect([bench.backlog.residentCount, bench.backlog.count]).toEqual([5, 5])
  })
})

describe('looking at a backlog', () => {
  it('sees everything in order, wherever it is, and changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('p', 't'), { minLength: 1, maxLength: 200 }),
        fc.nat(60),
        async (kinds, taken) => {
          const bench = new Bench()
          for (let i = 0; i < kinds.length; i += 20) {
            bench.push(kinds.slice(i, i + 20).join(''))
            bench.commit()
          }
          const gone = bench.take(taken).length
          const before = bench.state
          expect(await browsed(bench)).toEqual(span(gone, kinds.length))
          expect(bench.state).toEqual(before)
          expect(await bench.drain()).toEqual(span(gone, kinds.length))
        },
      ),
      { numRuns: 50 },
    )
  })

  it('does not see what was taken while a page was being read', async () => {
    const bench = new Bench(new FakeLog(span(0, 8)))
    const looking = bench.backlog.browse(FIRST_PLACE)
    expect(bench.take()).toEqual([])
    await bench.log!.answer()
    await settled()
    // The second reading is that of the backlog itself; the look asked first.
    const page = await answering(bench, looking)
    expect(page.messages.map(({ position }) => position)).toEqual(span(0, 4))
    expect(await bench.drain()).toEqual(span(0, 8))
  })
})

describe('taking messages out of a backlog', () => {
  it('takes those that are wanted, wherever they are, and leaves the others in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('p', 't'), { minLength: 1, maxLength: 200 }),
        fc.nat(40),
        fc.uniqueArray(fc.nat(199), { maxLength: 40 }),
        async (kinds, gone, named) => {
          const bench = new Bench()
          for (let i = 0; i < kinds.length; i += 20) {
            bench.push(kinds.slice(i, i + 20).join(''))
            bench.commit()
          }
          bench.take(gone)
          const here = span(0, kinds.length).filter((position) => position >= gone)
          const refused = new Set(named.filter((position) => position % 3 === 0))
          const taken: number[] = []
          const withdrawal = {
            wants: (entry: Entry) => !refused.has(entry.position),
            taken: (entry: Entry) => {
              entry.state = EntryState.settled
              if (entry.stored !== Stored.no) bench.backlog.logOf(entry).settle(entry)
              taken.push(entry.position)
            },
          }
          const left = here.filter((position) => !named.includes(position) || refused.has(position))
          await answering(bench, bench.backlog.withdraw(named, withdrawal))
          expect(taken.toSorted((a, b) => a - b)).toEqual(here.filter((position) => !left.includes(position)))
          expect(bench.backlog.count).toBe(left.length)
          expect(await browsed(bench)).toEqual(left)
          expect(await bench.drain()).toEqual(left)
          expect(bench.state).toEqual(EMPTY)
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('a short backlog', () => {
  it('gives messages as they came, and counts them', () => {
    const bench = new Bench()
    bench.push('ptpp')
    expect(bench.state).toEqual({ count: 4, bytes: 40, transientBytes: 10 })
    expect(bench.take()).toEqual([0, 1, 2, 3])
    expect(bench.state).toEqual(EMPTY)
    expect(bench.backlog.take()).toBeUndefined()
  })

  it('gives messages that came back before others, by their position', () => {
    const bench = new Bench()
    bench.push('pppppp')
    const entries = Array.from({ length: 4 }, () => bench.backlog.take()!)
    for (const index of [2, 0, 3]) bench.backlog.giveBack(entries[index]!)
    expect(bench.backlog.count).toBe(5)
    expect(bench.take()).toEqual([0, 2, 3, 4, 5])
  })

  it('reads nothing', () => {
    const bench = new Bench()
    bench.push('p'.repeat(20))
    bench.commit()
    expect(bench.take().length).toBe(20)
    expect(bench.log!.readings).toEqual([])
  })
})

describe('a long backlog of stored messages', () => {
  /** A hundred messages of which all but the last were on disk before the next came. */
  function long(): Bench {
    const bench = new Bench()
    for (let i = 0; i < 100; i++) {
      bench.push('p')
      bench.commit()
    }
    return bench
  }

  it('comes back complete and in order', async () => {
    const bench = long()
    expect(bench.state).toEqual({ count: 100, bytes: 1000, transientBytes: 0 })
    expect(await bench.drain()).toEqual(span(0, 100))
    expect(bench.state).toEqual(EMPTY)
    expect(bench.log!.stored.size).toBe(0)
  })

  it('has its middle on disk only', async () => {
    const bench = long()
    await bench.drain()
    expect(bench.restorations).toBeGreaterThan(70)
    expect(bench.restorations).toBeLessThan(90)
  })

  it('is read before the head has run out, one page at a time', async () => {
    const bench = long()
    expect(bench.take(5)).toEqual(span(0, 5))
    expect(bench.log!.readings).toEqual([])
    expect(bench.take(3)).toEqual([5, 6, 7])
    expect(bench.log!.readings.map(({ from }) => from)).toEqual([10])
    expect(bench.backlog.available).toBe(true)
    await bench.log!.answer()
    expect(bench.take(2)).toEqual([8, 9])
    expect(bench.take(1)).toEqual([10])
    expect(bench.log!.readings.length).toBe(1)
  })

  it('says that nothing is there until what comes next has been read, and then tells who waits', async () => {
    const bench = long()
    expect(bench.take()).toEqual(span(0, 10))
    expect([bench.backlog.available, bench.backlog.take()]).toEqual([false, undefined])
    const told: string[] = []
    // Before the queue's consumers, which asked later.
    bench.backlog.afterRead((read) => told.push(`read: ${read}, available: ${bench.backlog.available}, ${bench.reads}`))
    expect(told).toEqual([])
    await bench.log!.answer()
    expect(told).toEqual(['read: true, available: true, 0'])
    expect(bench.reads).toBe(1)
    expect(bench.take(1)).toEqual([10])
  })

  it('is read further ahead once somebody has waited for it, and as before when it is in memory', async () => {
    const bench = new Bench(new FakeLog(span(0, 60)))
    const readAll = async (): Promise<void> => {
      expect(bench.backlog.available).toBe(bench.backlog.residentCount > 0)
      while (bench.log!.readings.length > 0) await bench.log!.answer()
    }
    await readAll()
    // Four messages a page, until there are 100 bytes, and 50 before anybody waited.
    expect(bench.backlog.residentCount).toBe(12)
    for (const further of [20, 20]) {
      bench.take(bench.backlog.residentCount)
      await readAll()
      expect(bench.backlog.residentCount).toBe(further)
    }
    expect(await bench.drain()).toEqual(span(32, 60))
  })

  it('tells at once when nothing is being read', () => {
    const bench = long()
    const told: string[] = []
    bench.backlog.afterRead((read) => told.push(`at once: ${read}`))
    expect(told).toEqual(['at once: false'])
  })

  it('gives back to their places messages that were taken before and after a page was read', async () => {
    const bench = long()
    const entries = Array.from({ length: 10 }, () => bench.backlog.take()!)
    expect(bench.backlog.available).toBe(false)
    await bench.log!.answer()
    entries.push(bench.backlog.take()!)
    for (const index of [10, 3, 9]) bench.backlog.giveBack(entries[index]!)
    const rest = await bench.drain()
    expect(rest).toEqual([3, 9, ...span(10, 100)])
  })

  it('takes messages while it is read', async () => {
    const bench = long()
    const taken: number[] = []
    for (let round = 0; round < 30; round++) {
      taken.push(...bench.take(6))
      bench.push('ppp')
      if (bench.log!.readings.length > 0) await bench.log!.answer()
      bench.commit()
    }
    taken.push(...(await bench.drain()))
    expect(taken).toEqual(span(0, 190))
    expect(bench.state).toEqual(EMPTY)
  })

  it('stays in memory for as long as it is not on disk, and not for longer', async () => {
    const bench = new Bench()
    bench.push('p'.repeat(100))
    bench.commit()
    bench.push('p'.repeat(100))
    expect(await bench.drain()).toEqual(span(0, 200))
    expect(bench.restorations).toBeGreaterThan(60)
    expect(bench.restorations).toBeLessThanOrEqual(100)
  })

  it('is shorter in memory when that is tight', async () => {
    const bench = new Bench()
    bench.memory.tight = true
    for (let i = 0; i < 20; i++) {
      bench.push('p')
      bench.commit()
    }
    expect(await bench.drain()).toEqual(span(0, 20))
    expect(bench.restorations).toBeGreaterThan(0)
  })
})

describe('a backlog that is asked to keep less', () => {
  it('lets go of what is on disk when nobody takes messages, and reads it when somebody does', async () => {
    const bench = new Bench()
    bench.push('p'.repeat(15))
    bench.commit()
    expect(bench.backlog.shrink(50, false)).toBe(false)
    expect([bench.backlog.residentBytes, bench.residentBudget.storedBytes]).toEqual([0, 0])
    expect(bench.state).toEqual({ count: 15, bytes: 150, transientBytes: 0 })
    expect(bench.log!.readings).toEqual([])
    expect(await bench.drain()).toEqual(span(0, 15))
    expect(bench.state).toEqual(EMPTY)
    expect(bench.residentBudget.storedBytes).toBe(0)
  })

  it('keeps its share when somebody has taken messages since it was last asked', () => {
    const bench = new Bench()
    bench.push('p'.repeat(15))
    bench.commit()
    bench.take(1)
    expect(bench.backlog.shrink(50, false)).toBe(true)
    expect(bench.backlog.residentBytes).toBe(70)
    expect(bench.backlog.shrink(50, false)).toBe(false)
  })

  it('keeps what is not on disk', async () => {
    const bench = new Bench()
    bench.push('p'.repeat(6))
    bench.commit()
    bench.push('p'.repeat(6))
    expect(bench.backlog.shrink(50, false)).toBe(true)
    expect(bench.residentBudget.storedBytes).toBe(60)
    expect(await bench.drain()).toEqual(span(0, 12))
  })

  it('has transient messages written when it is told to, or when they are few', async () => {
    const bench = new Bench()
    bench.push('t'.repeat(12))
    bench.backlog.shrink(50, false)
    expect(bench.state.transientBytes).toBe(120)
    expect([bench.residentBudget.storedBytes, bench.residentBudget.transientBytes]).toEqual([0, 120])
    // In two steps.
    bench.backlog.shrink(50, true)
    expect(bench.residentBudget.transientBytes).toBe(20)
    bench.backlog.shrink(50, true)
    expect([bench.residentBudget.storedBytes, bench.residentBudget.transientBytes]).toEqual([120, 0])
    bench.commit()
    expect(bench.backlog.shrink(50, false)).toBe(false)
    expect(await bench.drain()).toEqual(span(0, 12))

    const mixed = new Bench()
    mixed.push('tppppppp')
    mixed.commit()
    mixed.backlog.shrink(50, false)
    mixed.commit()
    expect(mixed.backlog.shrink(50, false)).toBe(false)
    expect(await mixed.drain()).toEqual(span(0, 8))
  })

  it('gives the head back to the gaps that it was read from, but not while a page is being read', async () => {
    const bench = new Bench(new FakeLog(span(0, 20)))
    expect(bench.backlog.available).toBe(false)
    await bench.log!.answer()
    // One page is in memory; another is being read.
    expect(bench.log!.readings).toHaveLength(1)
    expect(bench.backlog.shrink(0, false)).toBe(true)
    expect(bench.backlog.residentBytes).toBe(40)
    await bench.log!.answer()
    expect(bench.backlog.residentBytes).toBe(80)
    await bench.log!.answer()
    expect(bench.log!.readings).toEqual([])
    expect(bench.backlog.shrink(0, false)).toBe(false)
    expect(bench.state).toEqual({ count: 20, bytes: 200, transientBytes: 0 })
    expect(await bench.drain()).toEqual(span(0, 20))
  })

  it('knows when what it let go of expires', () => {
    const bench = new Bench()
    bench.push('ppp', 1000)
    bench.push('ppp', 500)
    bench.commit()
    bench.backlog.shrink(0, false)
    expect(bench.backlog.storedDeadline).toBe(500)
    bench.backlog.expireStored(500)
    expect(bench.log!.readings.map(({ from, below }) => [from, below])).toEqual([[0, 6]])
  })

  it('is forgotten by the budget with its queue', () => {
    const bench = new Bench()
    bench.push('pppt')
    bench.backlog.drop()
    expect([bench.residentBudget.storedBytes, bench.residentBudget.transientBytes]).toEqual([0, 0])
  })

  it('gives everything in order, whenever it is asked', async () => {
    const kinds = fc.array(fc.constantFrom('p', 'p', 't'), { maxLength: 40 })
    const asks = fc.array(fc.record({ share: fc.constantFrom(0, 30, 60), spill: fc.boolean() }), { maxLength: 2 })
    const step = fc.record({
      kinds,
      asks,
      takes: fc.nat(30),
      commit: fc.boolean(),
      answers: fc.nat(3),
      mortal: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step), async (steps) => {
        const bench = new Bench()
        const taken: number[] = []
        let pushed = 0
        for (const each of steps) {
          pushed += bench.push(each.kinds.join(''), each.mortal ? 1e9 : Infinity).length
          if (each.commit) bench.commit()
          for (const { share, spill } of each.asks) bench.backlog.shrink(share, spill)
          taken.push(...bench.take(each.takes))
          for (let i = 0; i < each.answers; i++) {
            const log = [bench.spilled, bench.log!].find(({ readings }) => readings.length > 0)
            await log?.answer()
          }
          for (const { share, spill } of each.asks) bench.backlog.shrink(share, spill)
          expect(bench.backlog.count).toBe(pushed - taken.length)
          expect(bench.backlog.bytes).toBe((pushed - taken.length) * MESSAGE_BYTES)
          const { storedBytes, transientBytes } = bench.residentBudget
          expect(storedBytes + transientBytes).toBe(bench.backlog.residentBytes)
        }
        bench.commit()
        taken.push(...(await bench.drain()))
        expect(taken).toEqual(span(0, pushed))
        expect(bench.state).toEqual(EMPTY)
        expect([bench.log!.stored.size, bench.spilled.stored.size]).toEqual([0, 0])
      }),
      { numRuns: 300 },
    )
  })
})

describe('a backlog that was there at the start', () => {
  it('is counted without being read, and read when it is asked for', async () => {
    const bench = new Bench(new FakeLog([3, 4, 7, 8, 9, 20]))
    expect(bench.state).toEqual({ count: 6, bytes: 60, transientBytes: 0 })
    expect(bench.log!.readings).toEqual([])
    expect(bench.backlog.available).toBe(false)
    expect(bench.log!.readings.map(({ from, below }) => [from, below])).toEqual([[3, 21]])
    bench.push('pt')
    expect(await bench.drain()).toEqual([3, 4, 7, 8, 9, 20, 21, 22])
    expect(bench.state).toEqual(EMPTY)
  })
})

describe('a long backlog of transient messages', () => {
  it('is kept in memory up to its budget, and spilled beyond', async () => {
    const bench = new Bench(null)
    bench.push('t'.repeat(60))
    expect(bench.backlog.transientBytes).toBe(600)
    bench.push('t'.repeat(43))
    expect(bench.backlog.transientBytes).toBeLessThanOrEqual(130)
    bench.commit()
    bench.push('tttt')
    expect(await bench.drain()).toEqual(span(0, 107))
    expect(bench.restorations).toBeGreaterThan(60)
    expect(bench.state).toEqual(EMPTY)
    expect(bench.spilled.stored.size).toBe(0)
  })

  it('is written and dropped from memory in small steps, the oldest first', () => {
    const bench = new Bench(null)
    bench.push('t'.repeat(60))
    const written: number[] = []
    const resident: number[] = []
    for (let i = 0; i < 60; i++) {
      const before = bench.backlog.transientBytes
      bench.push('t')
      bench.commit()
      written.push((before + MESSAGE_BYTES - bench.backlog.transientBytes) / MESSAGE_BYTES)
      resident.push(bench.backlog.residentCount)
    }
    expect(Math.max(...written)).toBe(10)
    expect([...bench.spilled.stored.keys()]).toEqual(span(10, 120))
    const dropped = resident.map((count, i) => (resident[i - 1] ?? 60) + 1 - count)
    expect(Math.max(...dropped)).toBe(20)
    expect(resident.at(-1)).toBeLessThanOrEqual(20)
  })

  it('counts as one for those who publish too fast, whether in memory or not', () => {
    const bench = new Bench(null)
    bench.push('t'.repeat(60))
    expect(bench.backlog.passingBytes).toBe(600)
    bench.push('t'.repeat(40))
    expect(bench.backlog.passingBytes).toBe(1000)
    const stored = new Bench()
    stored.push('p'.repeat(100))
    expect(stored.backlog.passingBytes).toBe(0)
  })

  it('is merged by position with stored messages, whichever log answers first', async () => {
    for (const first of ['log', 'spilled'] as const) {
      const bench = new Bench()
      for (let i = 0; i < 120; i++) {
        bench.push(i % 7 < 3 || (i > 50 && i < 70) ? 't' : 'p')
        bench.commit()
      }
      const taken = bench.take()
      for (let rounds = 0; bench.backlog.count > 0 && rounds < 1000; rounds++) {
        const log =
          bench[first]!.readings.length > 0
            ? bench[first]!
            : [bench.log!, bench.spilled].find((each) => each.readings.length > 0)
        await log?.answer()
        taken.push(...bench.take())
      }
      expect(taken).toEqual(span(0, 120))
      expect(bench.state).toEqual(EMPTY)
      expect([bench.log!.stored.size, bench.spilled.stored.size]).toEqual([0, 0])
    }
  })

  it('is deleted with its queue', () => {
    const bench = new Bench(null)
    bench.push('t'.repeat(100))
    bench.backlog.drop()
    expect(bench.spilled.dropped).toBe(true)
    expect(bench.state).toEqual(EMPTY)
    expect([bench.backlog.available, bench.backlog.take()]).toEqual([false, undefined])
  })
})

describe('a purge', () => {
  it('settles what is in memory, and has the log discard the rest', () => {
    const bench = new Bench()
    for (let i = 0; i < 100; i++) {
      bench.push(i % 10 === 0 ? 't' : 'p')
      bench.commit()
    }
    bench.backlog.giveBack(bench.backlog.take()!)
    const cleared: number[] = []
    bench.backlog.clear((entry) => {
      cleared.push(entry.position)
      if (entry.stored !== Stored.no) bench.backlog.logOf(entry).settle(entry)
    })
    expect(bench.state).toEqual(EMPTY)
    expect(cleared.length).toBeLessThan(40)
    expect(bench.log!.discards.length).toBe(1)
    expect([bench.log!.stored.size, bench.spilled.stored.size]).toEqual([0, 0])
    bench.push('pp')
    expect(bench.take()).toEqual([100, 101])
  })

  it('leaves alone what is taken, which may come back afterwards', async () => {
    const bench = new Bench(new FakeLog(span(0, 50)))
    expect(bench.backlog.available).toBe(false)
    await bench.log!.answer()
    const entry = bench.backlog.take()!
    bench.backlog.clear((other) => bench.log!.settle(other))
    bench.backlog.giveBack(entry)
    bench.push('p')
    expect(bench.take()).toEqual([0, 50])
  })

  it('while a page is read makes nothing of what arrives, and the next messages are read as ever', async () => {
    const bench = new Bench(new FakeLog(span(0, 50)))
    expect(bench.backlog.available).toBe(false)
    const read = bench.log!.readings[0]!
    bench.backlog.clear((entry) => bench.log!.settle(entry))
    for (let i = 0; i < 40; i++) {
      bench.push('p')
      bench.commit()
    }
    expect(bench.take()).toEqual(span(50, 60))
    expect(bench.log!.readings).toEqual([read])
    const late = [0, 1].map((position) => ({
      position,
      message: messageOf(true),
      redelivered: false,
      storedAt: 0,
      deadline: Infinity,
    }))
    bench.log!.readings.shift()
    read.resolve(late)
    await settled()
    expect(bench.log!.readings.map(({ from }) => from)).toEqual([60])
    expect(await bench.drain()).toEqual(span(60, 90))
  })
})

describe('what a log held that is not open', () => {
  /** A backlog that takes two messages before it is known that its log held three. */
  function closed(): Bench {
    const log = new FakeLog(span(0, 3))
    log.opened = false
    const bench = new Bench(log)
    bench.push('pt')
    return bench
  }

  it('comes before what has come since', async () => {
    const bench = closed()
    expect([bench.backlog.available, bench.backlog.unknownCount, bench.backlog.count]).toEqual([false, 1, 3])
    bench.log!.open()
    expect([bench.openings, bench.backlog.unknownCount, bench.backlog.count]).toEqual([1, 0, 5])
    expect(await bench.drain()).toEqual(span(0, 5))
  })

  it('is waited for by nobody any more once the queue is gone and the log is open', () => {
    const bench = closed()
    const told: boolean[] = []
    bench.backlog.afterRead((read) => told.push(read))
    bench.backlog.drop()
    bench.log!.open()
    expect([told, bench.openings, bench.backlog.count]).toEqual([[true], 0, 0])
  })
})

describe('many messages that come back', () => {
  /** Sixty that are on disk, of which all were out and all but each seventh are back. */
  async function mostlyBack(): Promise<{ bench: Bench; out: Entry[]; back: number[] }> {
    const bench = new Bench()
    for (let i = 0; i < 60; i++) {
      bench.push('p')
      bench.commit()
    }
    const lent: Entry[] = []
    while (lent.length < 60) {
      while (!bench.backlog.available) await bench.log!.answer()
      lent.push(...bench.lend(1))
    }
    const out = lent.filter(({ position }) => position % 7 === 3)
    const back = lent.filter(({ position }) => position % 7 !== 3)
    bench.giveBack(back.toReversed())
    return { bench, out, back: back.map(({ position }) => position) }
  }

  it('are in memory in part only, and come in their order, without those that are out', async () => {
    const { bench, back } = await mostlyBack()
    expect(bench.state).toEqual({ count: back.length, bytes: back.length * MESSAGE_BYTES, transientBytes: 0 })
    expect(bench.backlog.residentCount).toBeLessThanOrEqual(20)
    expect(bench.backlog.firstPosition).toBe(0)
    const restored: Entry[] = []
    while (bench.backlog.count > 0) {
      while (!bench.backlog.available) await bench.log!.answer()
      restored.push(...bench.lend(1))
    }
    expect(restored.map(({ position }) => position)).toEqual(back)
    expect(restored.every(({ redelivered, stored }) => redelivered && stored === Stored.written)).toBe(true)
    expect(bench.state).toEqual(EMPTY)
    expect(bench.residentBudget.storedBytes).toBe(0)
  })

  it('are not kept in memory behind others that are on disk only', async () => {
    const { bench, back } = await mostlyBack()
    const lent: Entry[] = []
    while (bench.backlog.count > 0) {
      while (!bench.backlog.available) await bench.log!.answer()
      lent.push(...bench.lend(1))
    }
    const resident = lent.map((entry) => {
      bench.giveBack([entry])
      return bench.backlog.residentCount
    })
    const most = Math.max(...resident)
    expect(resident.slice(resident.indexOf(most) + 1)).toEqual(
      Array.from({ length: back.length - most }, () => most >> 1),
    )
    expect(await bench.drain()).toEqual(back)
  })

  it('are seen, and taken out, where they stand', async () => {
    const { bench, back } = await mostlyBack()
    expect(await browsed(bench)).toEqual(back)
    const taken: number[] = []
    const withdrawal = { wants: () => true, taken: ({ position }: Entry) => void taken.push(position) }
    await answering(bench, bench.backlog.withdraw([1, 3, 30, 41], withdrawal))
    expect(taken.toSorted((a, b) => a - b)).toEqual([1, 30, 41])
    const rest = back.filter((position) => !taken.includes(position))
    expect(bench.backlog.count).toBe(rest.length)
    expect(await bench.drain()).toEqual(rest)
  })

  it('are purged without those that are out, which may come back', async () => {
    const { bench, out } = await mostlyBack()
    bench.backlog.shrink(0, false)
    const reading = bench.backlog.available
    bench.backlog.clear((entry) => bench.log!.settle(entry))
    expect([reading, bench.state]).toEqual([false, EMPTY])
    expect([...bench.log!.stored.keys()]).toEqual(out.map(({ position }) => position))
    if (bench.log!.readings.length > 0) await bench.log!.answer()
    bench.giveBack(out)
    expect(await bench.drain()).toEqual(out.map(({ position }) => position))
  })

  it('are set aside where the disk does not give them, and come when it does', async () => {
    const { bench, back } = await mostlyBack()
    bench.backlog.shrink(0, false)
    expect(bench.backlog.available).toBe(false)
    const { page } = await bench.log!.refuse()
    const aside = back.filter((position) => position >= page.first && position < page.below)
    expect([bench.backlog.unreadableCount, bench.backlog.count]).toEqual([aside.length, back.length - aside.length])
    expect(bench.troubles.length).toBe(1)
    const taken = await bench.drain()
    expect(taken).toEqual(back.filter((position) => !aside.includes(position)))
    const reads = vi.spyOn(bench.log!, 'read')
    const inVain = bench.backlog.rereadUnreadable()
    await bench.log!.refuse()
    await inVain
    expect([bench.readAgain, bench.backlog.unreadableCount]).toEqual([[], aside.length])
    await answering(bench, bench.backlog.rereadUnreadable())
    expect(bench.readAgain).toEqual([aside.length])
    // The page, and not each of its messages.
    expect(reads).toHaveBeenCalledTimes(2)
    expect(await bench.drain()).toEqual(aside)
    expect([bench.backlog.unreadableCount, bench.state]).toEqual([0, EMPTY])
  })

  it('are seen as redelivered, also where they were never to be on disk', async () => {
    const bench = new Bench(null)
    bench.push('t'.repeat(60))
    for (let i = 0; i < 60; i++) {
      bench.push('t')
      bench.commit()
    }
    const lent: Entry[] = []
    while (lent.length < 120) {
      while (!bench.backlog.available) await bench.spilled.answer()
      lent.push(...bench.lend(1))
    }
    bench.giveBack(lent)
    bench.backlog.shrink(0, false)
    expect(bench.backlog.residentCount).toBeLessThan(120)
    const messages = await seen(bench)
    expect(messages.map(({ redelivered }) => redelivered)).toEqual(Array.from({ length: 120 }, () => true))
  })

  it('are counted no longer when their log has lost them', async () => {
    const { bench, back } = await mostlyBack()
    bench.backlog.shrink(0, false)
    expect(bench.backlog.available).toBe(false)
    await bench.log!.answer('nothing')
    const taken = await bench.drain()
    expect(taken.length).toBeLessThan(back.length)
    expect(bench.state).toEqual(EMPTY)
  })

  it('that cannot be forgotten leave the budget to the others, until they are delivered', () => {
    const bench = new Bench()
    bench.push('p'.repeat(40))
    bench.giveBack(bench.lend(40))
    const before = bench.residentBudget.storedBytes
    expect(before).toBeGreaterThan(0)
    bench.backlog.shrink(0, false)
    expect(bench.residentBudget.storedBytes).toBeLessThan(before)
    expect(bench.backlog.residentCount).toBe(40)
    expect(bench.take()).toEqual(span(0, 40))
    expect(bench.residentBudget.storedBytes).toBe(0)
  })

  it('stay in memory as far as they are not on disk', () => {
    const bench = new Bench()
    bench.push('p'.repeat(4), 1000)
    bench.push('p'.repeat(4))
    bench.commit()
    bench.push('tttt')
    bench.giveBack(bench.lend(12))
    bench.backlog.shrink(0, false)
    expect([bench.backlog.count, bench.backlog.residentCount]).toEqual([12, 4])
  })

  it('expire where they are: what has expired is read, and the rest stays there', async () => {
    const bench = new Bench()
    for (let i = 0; i < 8; i++) {
      bench.push('pp', 1000)
      bench.push('p', 2000)
    }
    bench.commit()
    bench.giveBack(bench.lend(24))
    bench.backlog.shrink(0, false)
    expect([bench.backlog.residentCount, bench.backlog.storedDeadline]).toEqual([0, 1000])
    bench.backlog.expireStored(1000)
    expect(bench.backlog.storedDeadline).toBe(Infinity)
    while (bench.log!.readings.length > 0) await bench.log!.answer()
    // Somebody looks for what is next meanwhile, and some more are read for that. Those in memory expire there.
    expect([bench.backlog.count, bench.backlog.storedDeadline]).toEqual([24, 2000])
    expect(bench.backlog.residentCount).toBeGreaterThanOrEqual(16)
    expect(bench.backlog.residentCount).toBeLessThan(24)
  })
})

describe('a page that cannot be read', () => {
  it('is said to be, tells who waits, and is tried again when messages are next asked for', async () => {
    const bench = new Bench(new FakeLog(span(0, 20)))
    const trouble = new Error('a bad sector')
    expect(bench.backlog.available).toBe(false)
    const told: string[] = []
    bench.backlog.afterRead((read) => told.push(`read: ${read}`))
    await bench.log!.answer(trouble)
    expect([bench.troubles, told]).toEqual([[trouble], ['read: false']])
    expect(bench.backlog.count).toBe(20)
    expect(await bench.drain()).toEqual(span(0, 20))
  })

  it('is not asked for again and again by itself', async () => {
    const bench = new Bench(new FakeLog(span(0, 20)))
    expect(bench.backlog.available).toBe(false)
    await bench.log!.answer(new Error('a bad sector'))
    expect(bench.log!.readings).toEqual([])
  })

  it('is set aside when the disk does not give it: the rest serves, and its messages return once it does', async () => {
    const bench = new Bench(new FakeLog(span(0, 20)))
    expect(bench.backlog.available).toBe(false)
    await bench.log!.answer()
    expect(bench.take()).toEqual(span(0, 4))
    const trouble = await bench.log!.refuse()
    expect(bench.troubles).toEqual([trouble])
    expect([bench.backlog.count, bench.backlog.bytes, bench.backlog.unreadableCount]).toEqual([12, 120, 4])
    expect(await browsed(bench)).toEqual(span(8, 20))
    expect(bench.take(2)).toEqual([8, 9])
    bench.log!.redelivered = true
    const reread = bench.backlog.rereadUnreadable()
    while (bench.readAgain.length === 0) await bench.log!.answer()
    await reread
    expect(bench.readAgain).toEqual([4])
    expect([bench.backlog.count, bench.backlog.bytes, bench.backlog.unreadableCount]).toEqual([14, 140, 0])
    // Others overtook them, but nobody has had them.
    expect(bench.backlog.peek()).toMatchObject({ position: 4, redelivered: false })
    expect(await bench.drain()).toEqual([...span(4, 8), ...span(10, 20)])
    expect(bench.state).toEqual(EMPTY)
  })

  it('returns between messages of the other log, which stand there', async () => {
    const bench = new Bench()
    bench.push('pt'.repeat(40))
    bench.commit()
    bench.push('pt'.repeat(10))
    bench.commit()
    const first = bench.take()
    expect(bench.backlog.available).toBe(false)
    await bench.log!.refuse()
    const reread = bench.backlog.rereadUnreadable()
    while (bench.readAgain.length === 0) await bench.log!.answer()
    await reread
    expect([...first, ...(await bench.drain())]).toEqual(span(0, 100))
  })

  it('stays aside while the disk still does not give it, and is emptied with the rest', async () => {
    const bench = new Bench(new FakeLog(span(0, 20)))
    expect(bench.backlog.available).toBe(false)
    await bench.log!.refuse()
    const reread = bench.backlog.rereadUnreadable()
    // What it goes on with, and then the page.
    await bench.log!.answer()
    await bench.log!.refuse()
    await reread
    expect([bench.backlog.unreadableCount, bench.readAgain]).toEqual([4, []])
    bench.backlog.clear((entry) => bench.log!.settle(entry))
    expect(bench.backlog.unreadableCount).toBe(0)
    expect([...bench.log!.stored.keys()]).toEqual([])
    expect(bench.state).toEqual(EMPTY)
  })

  it('that is discarded while it is read again does not come back', async () => {
    const bench = new Bench(new FakeLog(span(0, 4)))
    expect(bench.backlog.available).toBe(false)
    await bench.log!.refuse()
    const reread = bench.backlog.rereadUnreadable()
    const { resolve } = bench.log!.readings.shift()!
    const message = messageOf(true)
    bench.backlog.clear((entry) => bench.log!.settle(entry))
    resolve([{ position: 0, message, redelivered: false, storedAt: 0, deadline: Infinity }])
    await reread
    expect([bench.state, bench.readAgain]).toEqual([EMPTY, []])
  })

  it('is not set aside when there are many: then the queue waits for the disk', async () => {
    const bench = new Bench(new FakeLog(span(0, 100)))
    expect(bench.backlog.available).toBe(false)
    for (let page = 0; page < UNREADABLE_PAGES_MAX; page++) await bench.log!.refuse()
    expect([bench.backlog.count, bench.backlog.unreadableCount]).toEqual([36, 64])
    await bench.log!.refuse()
    expect(bench.troubles.length).toBe(UNREADABLE_PAGES_MAX + 1)
    expect([bench.backlog.count, bench.backlog.unreadableCount, bench.log!.readings.length]).toEqual([36, 64, 0])
    const reread = bench.backlog.rereadUnreadable()
    for (let page = 0; page < UNREADABLE_PAGES_MAX; page++) await bench.log!.answer()
    await reread
    expect(bench.backlog.unreadableCount).toBe(0)
    expect(await bench.drain()).toEqual(span(0, 100))
  })

  it.each([
    ['has come back', true],
    ['is still aside', false],
  ])('comes once, also if the backlog is asked to keep less when it %s', async (_when, back) => {
    const bench = new Bench(new FakeLog(span(0, 24)))
    expect(bench.backlog.available).toBe(false)
    await bench.log!.answer()
    await bench.log!.refuse()
    while (bench.log!.readings.length > 0) await bench.log!.answer()
    // In memory: what is before the page, and what is behind it.
    expect(await browsed(bench)).toEqual([...span(0, 4), ...span(8, 24)])
    const reread = async (): Promise<void> => answering(bench, bench.backlog.rereadUnreadable())
    if (back) await reread()
    bench.backlog.shrink(0, false)
    if (!back) await reread()
    // What the head needs is read while the messages of the page still wait.
    expect(bench.backlog.available).toBe(true)
    while (bench.log!.readings.length > 0) await bench.log!.answer()
    expect([bench.backlog.count, bench.backlog.bytes]).toEqual([24, 240])
    expect(await bench.drain()).toEqual(span(0, 24))
    expect(bench.state).toEqual(EMPTY)
  })

  it('comes once, also if everything behind it had been read', async () => {
    const bench = new Bench(new FakeLog(span(0, 12)))
    expect(bench.backlog.available).toBe(false)
    await bench.log!.answer()
    await bench.log!.refuse()
    await bench.log!.answer()
    await answering(bench, bench.backlog.rereadUnreadable())
    bench.backlog.shrink(0, false)
    expect(bench.backlog.residentBytes).toBe(80)
    expect([bench.backlog.count, bench.backlog.bytes]).toEqual([12, 120])
    expect(await bench.drain()).toEqual(span(0, 12))
    expect(bench.state).toEqual(EMPTY)
  })

  it('has its messages counted no longer once the log has set them aside', async () => {
    const bench = new Bench(new FakeLog(span(0, 20)))
    for (const position of [5, 6, 7, 18, 19]) bench.log!.stored.delete(position)
    expect(await bench.drain()).toEqual([...span(0, 5), ...span(8, 18)])
    expect(bench.state).toEqual(EMPTY)
  })

  it('takes none of the messages along that came while it was read', async () => {
    const bench = new Bench(new FakeLog(span(0, 20)))
    expect(bench.backlog.available).toBe(false)
    for (let i = 0; i < 30; i++) {
      bench.push('p')
      bench.commit()
    }
    for (const position of span(0, 20)) bench.log!.stored.delete(position)
    await bench.log!.answer('nothing')
    expect(bench.state).toEqual({ count: 30, bytes: 300, transientBytes: 0 })
    expect(await bench.drain()).toEqual(span(20, 50))
    expect(bench.state).toEqual(EMPTY)
  })
})

describe('entries that are removed from where they stand', () => {
  it('are skipped, in memory and on disk, and counted no longer', async () => {
    const kinds = fc.array(fc.constantFrom('p', 't'), { maxLength: 150 })
    const steps = fc.array(fc.record({ kinds, removals: fc.array(fc.nat()), takes: fc.nat(20), commit: fc.boolean() }))
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const bench = new Bench()
        const expected = new Set<number>()
        const entries: Entry[] = []
        const taken: number[] = []
        for (const step of all) {
          for (const entry of bench.push(step.kinds.join(''))) {
            entries.push(entry)
            expected.add(entry.position)
          }
          for (const removal of step.removals) {
            // What was dropped from memory is not the entry that it was: a queue never removes such a one.
            const entry = entries[removal % (entries.length || 1)]
            if (entry === undefined || entry.state !== EntryState.ready || !expected.has(entry.position)) continue
            if (entry.stored !== Stored.no) continue
            bench.remove(entry)
            expected.delete(entry.position)
          }
          if (step.commit) bench.commit()
          for (const position of bench.take(step.takes)) {
            taken.push(position)
            expected.delete(position)
          }
          expect(bench.backlog.count).toBe(expected.size)
          expect(bench.backlog.bytes).toBe(expected.size * MESSAGE_BYTES)
        }
        bench.commit()
        const rest = [...expected]
        expect(await bench.drain()).toEqual(rest)
        expect(bench.state).toEqual({ count: 0, bytes: 0, transientBytes: 0 })
        expect(taken).toEqual(taken.toSorted((a, b) => a - b))
      }),
      { numRuns: 300 },
    )
  })

  it('do not hold on to memory: as many as are left at the most', () => {
    const bench = new Bench(null)
    const entries = bench.push('t'.repeat(60))
    for (const entry of entries.slice(1)) bench.remove(entry)
    expect(bench.take()).toEqual([0])
    for (const entry of bench.push('t'.repeat(59)).slice(1)) bench.remove(entry)
    bench.backlog.clear(() => undefined)
    expect(bench.state).toEqual({ count: 0, bytes: 0, transientBytes: 0 })
    bench.push('tt')
    expect(bench.take().length).toBe(2)
  })
})

describe('messages that expire on disk', () => {
  /** A backlog of a head, ten stored messages that expire at 1000 and 2000 in turns, and a tail. */
  async function paged(): Promise<Bench> {
    const bench = new Bench()
    for (let i = 0; i < 30; i++) {
      bench.push('p', i % 2 === 0 ? 1000 : 2000)
      bench.commit()
    }
    bench.push('pp')
    expect(bench.backlog.storedDeadline).toBe(1000)
    await settled()
    return bench
  }

  it('are read when the first of them is due, and told of one by one', async () => {
    const bench = await paged()
    const before = bench.backlog.count
    bench.backlog.expireStored(1000)
    expect(bench.backlog.storedDeadline).toBe(Infinity)
    for (let rounds = 0; bench.log!.readings.length > 0 && rounds < 20; rounds++) {
      await bench.log!.answer()
      if (bench.backlog.storedDeadline <= 1000) bench.backlog.expireStored(1000)
    }
    expect(bench.expired.length).toBeGreaterThan(0)
    expect(bench.expired.every((position) => position % 2 === 0)).toBe(true)
    expect(bench.backlog.count).toBe(before - bench.expired.length)
    expect(bench.backlog.storedDeadline).toBe(2000)
    const gone = new Set(bench.expired)
    expect(await bench.drain()).toEqual(span(0, 32).filter((position) => !gone.has(position)))
  })

  it('are looked for again, some seconds later, when they could not be read', async () => {
    const bench = await paged()
    bench.backlog.expireStored(1000)
    await bench.log!.answer(new Error('no disk'))
    expect(bench.troubles.length).toBe(1)
    expect(bench.backlog.storedDeadline).toBe(6000)
    expect(await bench.drain()).toEqual(span(0, 32))
  })

  it('are known of a log that was opened again', () => {
    const log = new FakeLog(span(0, 10))
    log.recoveredDeadlines.push({ first: 0, last: 4, deadline: 500 }, { first: 5, last: 9, deadline: 300 })
    expect(new Bench(log).backlog.storedDeadline).toBe(300)
  })

  it('are forgotten with everything else', async () => {
    const bench = await paged()
    bench.backlog.clear(() => undefined)
    expect(bench.backlog.storedDeadline).toBe(Infinity)
  })
})

describe('messages that are given up and kept in their log until their dead letters are taken', () => {
  it('do not come back with the page on which they are, wherever they stood and whenever they went', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ kinds: fc.constantFrom('p', 'pppp', 'ptpt', 'tt'), commit: fc.boolean(), bury: fc.nat(9) }),
          { minLength: 1, maxLength: 60 },
        ),
        fc.array(fc.nat(3), { minLength: 1 }),
        async (steps, shares) => {
          const bench = new Bench()
          const pushed: Entry[] = []
          const taken: number[] = []
          for (const [i, { kinds, commit, bury }] of steps.entries()) {
            pushed.push(...bench.push(kinds, 1000))
            if (commit) bench.commit()
            const victim = pushed.at(-1 - bury)
            if (victim?.state === EntryState.ready && bury < 8) bench.bury(victim)
            const share = shares[i % shares.length]!
            if (share < 3) bench.backlog.shrink(share * 40, share === 1)
            else taken.push(...bench.take(2))
            for (const log of [bench.log!, bench.spilled]) if (log.readings.length > 0) await log.answer()
          }
          bench.commit()
          const left = span(0, pushed.length).filter((position) => !bench.buried.has(position))
          expect(await browsed(bench)).toEqual(left.filter((position) => !taken.includes(position)))
          expect([...taken, ...(await bench.drain())]).toEqual(left)
          expect(bench.state).toEqual(EMPTY)
        },
      ),
      { numRuns: 50 },
    )
  })
})
