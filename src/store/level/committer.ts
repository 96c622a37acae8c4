// The committer: one synced batch in flight for the whole store, and what was enlisted meanwhile is the next.
import type { Clock, Timer } from '../../lib/clock.ts'
import type { Turn, TurnTask } from '../../lib/turn.ts'
import { Stage } from '../../lib/turn.ts'
import { Commits } from '../../core/counts.ts'
import type { StoreMonitor } from '../../core/ports.ts'
import type { Database, Operation } from './database.ts'
import { COMPACT_AGE_MIB, RETRY_FIRST_MS, RETRY_MAX_MS } from './tuning.ts'

/** Something that has a last word in a batch, when all others have put into it what they have. */
export interface BatchEnding {
  finish(batch: Batch): void
}

/** The batch that is being put together. */
export class Batch {
  readonly serial: number
  /** Milliseconds since 1970 at which it starts. */
  readonly now: number
  /** What the store has written before it, in MiB; so much more than nothing that what it was opened with is old. */
  readonly writtenMiB: number
  readonly operations: Operation[] = []
  /** Those who are asked at its end. */
  readonly endings = new Set<BatchEnding>()
  /** The values in it, in bytes. */
  bytes = 0

  constructor(serial: number, now: number, writtenMiB: number) {
    this.serial = serial
    this.now = now
    this.writtenMiB = writtenMiB
  }

  put(key: Buffer, value: Buffer): void {
    this.operations.push({ type: 'put', key, value })
    this.bytes += value.length
  }

  del(key: Buffer): void {
    this.operations.push({ type: 'del', key })
  }
}

/** Somebody who has something to write: a log. Enlists itself once for a batch. */
export interface BatchMember {
  /** The batch starts: what waits is put into it. */
  contribute(batch: Batch): void
  /** The batch is on disk. */
  committed(): void
  /** Batches cannot be written for now. */
  stalled?(): void
}

/** Work that goes along with batches, a slice in each, and keeps nobody waiting. */
export interface BackgroundWork {
  readonly waiting: boolean
  contribute(batch: Batch): void
  committed(): void
}

const SYNCED = { sync: true }

/**
 * Writes batches, one after the other, each synced. A batch that fails is written again, after the database was closed
 * and opened, until it succeeds: nothing of it is accepted before, and nothing later overtakes it.
 */
export class Committer implements TurnTask {
  readonly #database: Database
  readonly #turn: Turn
  readonly #clock: Clock
  readonly #monitor: StoreMonitor
  readonly #background: BackgroundWork[] = []
  /** The messages that are not yet on disk, in bytes. The logs count them. */
  pendingBytes = 0
  readonly commits = new Commits()

  #members: BatchMember[] = []
  readonly #definitions = new Map<string, Operation>()
  #waiters: (() => void)[] = []

  /** What the batch in flight holds, to be told when it is on disk. */
  #memberInFlight: BatchMember[] = []
  #waitersInFlight: (() => void)[] = []
  #batch: Batch | null = null
  /** When it started, by the clock of performance. */
  #batchBegan = 0

  #serial = 0
  #writtenBytes = 0
  #enlisted = false
  #failing = false
  #backoffMs = RETRY_FIRST_MS
  #retryTimer: Timer | null = null
  /** Whether the database is open, and who waits until it is again. */
  #readable = true
  readonly #readers: (() => void)[] = []
  #closing: { attempts: number; reject: (error: Error) => void } | null = null
  #closed = false

  constructor(database: Database, turn: Turn, clock: Clock, monitor: StoreMonitor) {
    this.#database = database
    this.#turn = turn
    this.#clock = clock
    this.#monitor = monitor
  }

  /** Names the work that goes along with batches. */
  accompany(work: BackgroundWork): void {
    this.#background.push(work)
  }

  /** The highest serial of a batch that is on disk, with all those before it. */
  get durable(): number {
    return this.#batch === null ? this.#serial : this.#serial - 1
  }

  /** Whether batches cannot be written for now. */
  get failing(): boolean {
    return this.#failing
  }

  get closing(): boolean {
    return this.#closing !== null
  }

  /** Asks for a batch to which this member contributes. The member sees to it that it asks once a batch. */
  enlist(member: BatchMember): void {
    this.#members.push(member)
    this.schedule()
  }

  /** Enlists a single change. A later one of the same key replaces it. */
  change(operation: Operation): void {
    this.#definitions.set(operation.key.toString('latin1'), operation)
    this.schedule()
  }

  whenDurable(callback: () => void): void {
    if (this.#members.length > 0 || this.#definitions.size > 0) this.#waiters.push(callback)
    else if (this.#batch !== null) this.#waitersInFlight.push(callback)
    else callback()
  }

  /** Resolves when the batch in flight, if there is one, is on disk. */
  settled(): Promise<void> {
    if (this.#batch === null) return Promise.resolve()
    return new Promise((resolve) => this.#waitersInFlight.push(resolve))
  }

  /** Whether the database is being opened again, and cannot be read until then. */
  get reopening(): boolean {
    return !this.#readable
  }

  /** Resolves when the database can be read: at once, unless it is being opened again. */
  readable(): Promise<void> {
    if (this.#readable) return Promise.resolve()
    return new Promise((resolve) => this.#readers.push(resolve))
  }

  /** Has a batch start at the end of the turn, unless one is in flight: then the next one starts behind it. */
  schedule(): void {
    if (this.#enlisted || this.#batch !== null) return
    this.#enlisted = true
    this.#turn.enlist(Stage.store, this)
  }

  runStage(): void {
    this.#enlisted = false
    // What comes when the database is closed, such as a page that was being merged, is not worth a word.
    if (this.#batch === null && !this.#closed) this.#start()
  }

  /**
   * Writes what waits and closes the database. Rejects when that cannot be written: it is tried once more, after the
   * database was opened again.
   */
  async close(): Promise<void> {
    const drained = new Promise<void>((resolve, reject) => {
      this.#closing = { attempts: 0, reject }
      this.whenDurable(resolve)
    })
    if (this.#retryTimer !== null) {
      this.#retryTimer.cancel()
      this.#retryTimer = null
      void this.#retry()
    }
    try {
      await drained
    } finally {
      this.#closed = true
      this.#readable = true
      for (const reader of this.#readers.splice(0)) reader()
      await this.#database.close()
    }
  }

  #start(): void {
    const writtenMiB = COMPACT_AGE_MIB + Math.floor(this.#writtenBytes / 2 ** 20)
    const batch = new Batch(++this.#serial, this.#clock.now(), writtenMiB)
    this.#batch = batch
    this.#memberInFlight = this.#members
    this.#waitersInFlight = this.#waiters
    this.#members = []
    this.#waiters = []
    for (const member of this.#memberInFlight) member.contribute(batch)
    for (const operation of this.#definitions.values()) batch.operations.push(operation)
    this.#definitions.clear()
    if (!this.closing) for (const work of this.#background) work.contribute(batch)
    for (const ending of batch.endings) ending.finish(batch)
    this.#writtenBytes += batch.bytes
    if (batch.operations.length === 0) {
      this.#succeeded()
      return
    }
    this.#batchBegan = performance.now()
    this.#write()
  }

  #write(): void {
    this.#database.batch(this.#batch!.operations, SYNCED).then(this.#written, this.#failed)
  }

  readonly #written = (): void => {
    this.commits.seconds.observe((performance.now() - this.#batchBegan) / 1000)
    this.commits.operations.observe(this.#batch!.operations.length)
    this.#succeeded()
  }

  readonly #succeeded = (): void => {
    const members = this.#memberInFlight
    const waiters = this.#waitersInFlight
    this.#batch = null
    this.#memberInFlight = []
    this.#waitersInFlight = []
    if (this.#failing) {
      this.#failing = false
      this.#backoffMs = RETRY_FIRST_MS
      this.#monitor.storeRecovered()
    }
    for (const member of members) member.committed()
    for (const work of this.#background) work.committed()
    for (const waiter of waiters) waiter()
    const waiting = this.#members.length > 0 || this.#definitions.size > 0
    if (waiting || (!this.closing && this.#background.some((work) => work.waiting))) this.schedule()
  }

  readonly #failed = (error: Error): void => {
    if (!this.#failing) {
      this.#failing = true
      this.#monitor.storeFailed(error)
      for (const member of [...this.#memberInFlight, ...this.#members]) member.stalled?.()
    }
    if (this.#closing !== null && this.#closing.attempts++ > 0) {
      this.#closing.reject(new Error('The store could not write what waited when it was closed', { cause: error }))
      return
    }
    if (this.closing) void this.#retry()
    else this.#retryTimer = this.#clock.after(this.#backoffMs, () => void this.#retryWithRoom(error))
    this.#backoffMs = Math.min(this.#backoffMs * 2, RETRY_MAX_MS)
  }

  /**
   * As long as the database is open it can be read, whatever became of the write. Opening it takes room on the disk; so
   * it stays as it is until there is some.
   */
  async #retryWithRoom(error: Error): Promise<void> {
    this.#retryTimer = null
    if ((await this.#hasRoom()) || this.closing) await this.#retry()
    else this.#failed(error)
  }

  async #hasRoom(): Promise<boolean> {
    try {
      return (await this.#database.hasRoom?.(this.#batch!.bytes)) ?? true
    } catch {
      // The disk does not tell, or a file has gone just now: opening the database finds out, and says why not.
      return true
    }
  }

  /**
   * LevelDB goes on behind a record that it wrote in part, where a later recovery would not find it; so the database is
   * opened again, which cuts that off, before the batch is written again.
   */
  async #retry(): Promise<void> {
    this.#readable = false
    try {
      await this.#database.close()
      await this.#database.open()
    } catch (error) {
      this.#failed(error as Error)
      return
    }
    this.#readable = true
    for (const reader of this.#readers.splice(0)) reader()
    this.#write()
  }
}
