// The store without a disk: for tests of what lies above, and for brokers whose messages need not survive them.
import { Commits } from '../../core/counts.ts'
import type { Definition } from '../../core/definitions.ts'
import type {
  Attempts,
  DelayLog,
  ExpiringStretch,
  Held,
  IdLog,
  LogSummary,
  Publisher,
  QueueLog,
  Store,
  StoredMessage,
} from '../../core/ports.ts'
import type { Entry } from '../../core/queue/entry.ts'
import { Stored } from '../../core/queue/entry.ts'
import type { Clock } from '../../lib/clock.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Turn, TurnTask } from '../../lib/turn.ts'
import { Stage } from '../../lib/turn.ts'
import { MemoryDelayLog } from './memory-delay-log.ts'
import { MemoryIdLog } from './memory-id-log.ts'

/** What a store in memory is made with. */
export interface MemoryStoreOptions {
  readonly turn: Turn
  readonly clock?: Clock
}

/** Accepts at the end of the turn, as a store whose disk takes no time would. Keeps what is not settled. */
export class MemoryStore implements Store, TurnTask {
  readonly commits = new Commits()
  readonly #turn: Turn
  readonly #clock: Clock
  readonly #logs = new Map<number, MemoryLog>()
  #nextLog = 1
  readonly #waiting: { commit(now: number): void }[] = []
  #changed = false
  #enlisted = false
  readonly #waiters: (() => void)[] = []

  constructor(options: MemoryStoreOptions) {
    this.#turn = options.turn
    this.#clock = options.clock ?? systemClock
  }

  /** Nothing waits longer than until the end of the turn. */
  get pendingBytes(): number {
    return 0
  }

  save(_definition: Definition): void {
    this.#changed = true
    this.#enlist()
  }

  remove(_definition: Definition): void {
    this.#changed = true
    this.#enlist()
  }

  log(id?: number): QueueLog {
    const known = id ?? this.#nextLog
    this.#nextLog = Math.max(this.#nextLog, known + 1)
    let log = this.#logs.get(known)
    if (log === undefined) {
      const enlist = (member: MemoryLog): void => {
        this.#waiting.push(member)
        this.#enlist()
      }
      const dropped = (): void => void this.#logs.delete(known)
      this.#logs.set(known, (log = new MemoryLog(known, this.#clock, enlist, dropped)))
    }
    return log
  }

  /** There is nothing that a log could have held. */
  openLogs(): Promise<void> {
    return Promise.resolve()
  }

  /** Nothing survives here, so any log will do. */
  spill(): QueueLog {
    return this.log()
  }

  delays(stored: (due: number) => void): DelayLog {
    return new MemoryDelayLog(this.#nextLog++, stored, (log) => {
      this.#waiting.push(log)
      this.#enlist()
    })
  }

  ids(): IdLog {
    return new MemoryIdLog(this.#nextLog++, (log) => {
      this.#waiting.push(log)
      this.#enlist()
    })
  }

  whenDurable(callback: () => void): void {
    if (this.#changed || this.#waiting.length > 0) this.#waiters.push(callback)
    else callback()
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.whenDurable(resolve))
  }

  runStage(): void {
    this.#enlisted = false
    this.#changed = false
    for (const log of this.#waiting.splice(0)) log.commit(this.#clock.now())
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  #enlist(): void {
    if (this.#enlisted) return
    this.#enlisted = true
    this.#turn.enlist(Stage.store, this)
  }
}

/** Messages that one answer to `read` has at the most. */
const READ_MAX = 512

interface Kept {
  readonly entry: Entry
  /** How often it was tried, as was last told. */
  attempts: Attempts | null
  readonly storedAt: number
}

class MemoryLog implements QueueLog {
  readonly inMemory = true
  readonly id: number
  readonly next = 0
  readonly opened = true
  readonly recovered: LogSummary = { count: 0, bodyBytes: 0, first: 0 }
  readonly recoveredDeadlines: readonly ExpiringStretch[] = []
  readonly #clock: Clock
  readonly #enlist: (log: MemoryLog) => void
  readonly #forget: () => void
  #entries: (Entry | null)[] = []
  #publishers: (Publisher | null)[] = []
  #sequences: number[] = []
  /** By position; positions only grow, so they are in order. */
  readonly #kept = new Map<number, Kept>()
  /** The positions of those that are not read like the others. */
  readonly #withheld = new Set<number>()
  #durableBelow = 0
  #deliveredBelow = 0
  #dropped = false

  constructor(id: number, clock: Clock, enlist: (log: MemoryLog) => void, dropped: () => void) {
    this.#forget = dropped
    this.id = id
    this.#clock = clock
    this.#enlist = enlist
  }

  whenOpened(opened: () => void): void {
    opened()
  }

  get durableBelow(): number {
    return this.#durableBelow
  }

  get held(): Held {
    let [count, bodyBytes] = [0, 0]
    for (const { entry } of this.#all()) {
      count++
      bodyBytes += entry.message.bodyBytes
    }
    return { count, bodyBytes }
  }

  append(entry: Entry, publisher: Publisher | null, sequence: number): void {
    if (this.#dropped) {
      publisher?.accepted(sequence)
      return
    }
    entry.stored = Stored.pending
    entry.slot = this.#entries.length
    if (this.#entries.length === 0) this.#enlist(this)
    this.#entries.push(entry)
    this.#publishers.push(publisher)
    this.#sequences.push(sequence)
  }

  settle(entry: Entry): void {
    if (entry.stored === Stored.pending) this.#accept(entry)
    this.supersede(entry)
  }

  supersede(entry: Entry): void {
    if (entry.stored === Stored.pending) this.#entries[entry.slot] = null
    else if (entry.stored === Stored.written) this.#kept.delete(entry.position)
    entry.stored = Stored.no
    if (this.#withheld.size > 0) this.#withheld.delete(entry.position)
  }

  withhold(entry: Entry): void {
    this.#withheld.add(entry.position)
  }

  /** There is no crash that this would survive. */
  deliverable(): boolean {
    return true
  }

  delivered(position: number): void {
    if (position >= this.#deliveredBelow) this.#deliveredBelow = position + 1
  }

  attempted(position: number, attempts: Attempts): void {
    const kept = this.#kept.get(position)
    if (kept !== undefined) kept.attempts = attempts
  }

  read(from: number, below: number): Promise<readonly StoredMessage[]> {
    return Promise.resolve(this.#found(from, below, false))
  }

  readWithheld(from: number, below: number): Promise<readonly StoredMessage[]> {
    return Promise.resolve(this.#found(from, below, true))
  }

  #found(from: number, below: number, withheld: boolean): StoredMessage[] {
    const found: StoredMessage[] = []
    for (const { entry, attempts: told, storedAt } of this.#all()) {
      if (entry.position < from || entry.position >= below) continue
      if (this.#withheld.has(entry.position) !== withheld) continue
      const redelivered = entry.redelivered || entry.position < this.#deliveredBelow
      const deadline = entry.details?.deadline ?? Infinity
      const tried = told ?? entry.details
      const attempts = tried === null ? {} : { attempts: tried }
      found.push({ position: entry.position, message: entry.message, redelivered, storedAt, deadline, ...attempts })
      if (found.length === READ_MAX) break
    }
    return found
  }

  discard(from: number, below: number): void {
    for (const { entry } of this.#all()) {
      const { position } = entry
      if (position >= from && position < below && !this.#withheld.has(position)) this.settle(entry)
    }
  }

  drop(): void {
    this.#withheld.clear()
    this.discard(0, Number.MAX_SAFE_INTEGER)
    this.#dropped = true
    this.#forget()
  }

  /** The end of the turn: what waits is kept and accepted. */
  commit(now: number): void {
    const publishers = this.#publishers
    const sequences = this.#sequences
    for (const entry of this.#entries) {
      if (entry === null) continue
      entry.message.own()
      entry.stored = Stored.written
      this.#kept.set(entry.position, { entry, attempts: null, storedAt: now })
      this.#durableBelow = entry.position + 1
    }
    this.#entries = []
    this.#publishers = []
    this.#sequences = []
    for (let i = 0; i < publishers.length; i++) publishers[i]?.accepted(sequences[i]!)
  }

  *#all(): Generator<Kept> {
    yield* this.#kept.values()
    const storedAt = this.#clock.now()
    for (const entry of this.#entries) if (entry !== null) yield { entry, attempts: null, storedAt }
  }

  #accept(entry: Entry): void {
    const publisher = this.#publishers[entry.slot]!
    this.#publishers[entry.slot] = null
    publisher?.accepted(this.#sequences[entry.slot]!)
  }
}
