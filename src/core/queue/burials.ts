// Dead letters that nobody takes yet, of queues that are to deliver them at least once.
import type { Timer } from '../../lib/clock.ts'
import { Fifo } from '../../lib/fifo.ts'
import type { DeathReason } from '../counts.ts'
import {
  DEAD_LETTERS_AT_ONCE,
  DEAD_LETTERS_NEXT_MS,
  DEAD_LETTERS_RESIDENT_BYTES,
  DEAD_LETTER_RETRY_MS,
  QUEUE_READ_AHEAD_BYTES,
} from '../limits.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import { Entry, EntryState, footprint, Stored } from './entry.ts'
import type { Queue } from './queue.ts'
import type { QueueContext } from './queue-context.ts'
import type { Resident } from './resident-budget.ts'
import { Shelf, type ShelfOwner } from './shelf.ts'
import { Rereading, type UnreadableHost } from './unreadable.ts'

/** What burials need from their queue. */
export interface BurialsHost {
  /** Tries again; what is still not taken comes back by `add`. */
  retry(entry: Entry, reason: DeathReason): void
  /** The log that an entry is in. */
  logOf(entry: Entry): QueueLog
}

interface Waiting {
  readonly entry: Entry
  readonly reason: DeathReason
}

/**
 * Messages that are given up, and still kept: in the log as they were, so that a restart makes them ready again. Some
 * stay in memory; of the others only the positions do, and they are read when they are tried again. Those that are in no
 * log are written for that, some at a time, each time to a log that goes with the last of them.
 */
export class Burials implements Resident, ShelfOwner, UnreadableHost {
  readonly #queue: Queue
  readonly #host: BurialsHost
  readonly #context: QueueContext
  /** Those in memory, in the order in which they are tried. */
  readonly #line = new Fifo<Waiting>()
  #lineBodyBytes = 0
  #storedBytes = 0
  #transientBytes = 0
  /** What must be in memory before it is looked again for what need not be. */
  #sweepAbove = DEAD_LETTERS_RESIDENT_BYTES
  /** Those that are on disk only, in the order in which they are tried. */
  #shelves: Shelf[] = []
  #shelvedCount = 0
  /** Of those that the disk does not give now nothing is counted. */
  #shelvedBodyBytes = 0
  /** What was read of them, and is about to be tried. */
  #recalled: Waiting[] = []
  #recalledBodyBytes = 0
  #rereading: Rereading | null = null
  /** The logs that were made for what was in none, and who of those that are in memory is in which. */
  #spillLogs: QueueLog[] = []
  readonly #spilledTo = new WeakMap<Entry, QueueLog>()
  /** What the budget knows of, and whether it knows of these burials at all. */
  #countedStored = 0
  #countedTransient = 0
  #resident = false
  #timer: Timer | null = null
  #trying = false
  #returned = 0
  #stopped = false

  constructor(queue: Queue, host: BurialsHost, context: QueueContext) {
    this.#queue = queue
    this.#host = host
    this.#context = context
  }

  /** Messages that wait, wherever they are. */
  get count(): number {
    return this.#line.length + this.#recalled.length + this.#shelvedCount
  }

  /** Their bodies, in bytes; those that the disk does not give now are not counted. */
  get bytes(): number {
    return this.#lineBodyBytes + this.#recalledBodyBytes + this.#shelvedBodyBytes
  }

  /** What those that are in memory cost there, about. */
  get residentBytes(): number {
    return this.#storedBytes + this.#transientBytes
  }

  /** The log that an entry was written to while it waited; undefined when that is where it was anyway. */
  logOf(entry: Entry): QueueLog | undefined {
    return this.#spilledTo.get(entry)
  }

  /** Keeps a message until its dead letter is tried again. */
  add(entry: Entry, reason: DeathReason): void {
    if (this.#stopped) return
    this.#returned++
    this.#push({ entry, reason })
    if (this.residentBytes > this.#sweepAbove) this.#sweep(DEAD_LETTERS_RESIDENT_BYTES >> 1, true)
    this.#tell()
    if (!this.#trying) this.#arm(DEAD_LETTER_RETRY_MS)
  }

  /** The same of one that is on disk only. It is read, and tried for the first time, as soon as the disk gives it. */
  addUnread(entry: Entry, reason: DeathReason): void {
    if (this.#stopped) return
    this.#forget({ entry, reason })
    if (!this.#trying) this.#arm(DEAD_LETTERS_NEXT_MS)
  }

  shrink(_shareBytes: number, spill: boolean): boolean {
    this.#sweep(0, spill)
    this.#tell()
    this.#resident = this.#line.length > 0
    return this.#resident
  }

  /** Forgets all of them: the broker stops. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#rereading?.stop()
    for (const shelf of this.#shelves) shelf.forget()
    this.#shelves = []
    this.#takeRecalled()
    while (this.#shift() !== undefined);
    this.#tell()
    this.#context.residentBudget.leave(this)
  }

  /** The same for good: the queue goes. */
  drop(): void {
    this.stop()
    for (const log of this.#spillLogs) log.drop()
    this.#spillLogs = []
  }

  shelfChanged(count: number, bodyBytes: number): void {
    this.#shelvedCount += count
    this.#shelvedBodyBytes += bodyBytes
  }

  recalled({ log, reason, spilled }: Shelf, { message, position }: StoredMessage): void {
    const entry = new Entry(this.#queue, message, position)
    entry.state = EntryState.settled
    entry.stored = Stored.written
    entry.spilled = spilled
    if (this.#spillLogs.includes(log)) this.#spilledTo.set(entry, log)
    this.#recalled.push({ entry, reason })
    this.#recalledBodyBytes += message.bodyBytes
  }

  shelfUnreadable(error: unknown): void {
    this.#context.queueReadFailed(this.#queue, error)
    if (this.#stopped) return
    this.#rereading ??= new Rereading(this.#context.clock, this, (again) => this.shelfUnreadable(again))
    this.#rereading.failed()
  }

  /** Messages that the disk does not give now. They are among those that wait. */
  get unreadableCount(): number {
    return this.#shelves.reduce((sum, { unreadableCount }) => sum + unreadableCount, 0)
  }

  /** Reads again what could not be read; what comes of it is tried with the next. */
  async rereadUnreadable(): Promise<void> {
    let count = 0
    for (const shelf of [...this.#shelves]) count += await shelf.reread()
    if (count > 0) this.#context.queueReadable(this.#queue, count)
  }

  /** Whoever waits is tried again after so many milliseconds. */
  #arm(delayMs: number): void {
    if (this.#stopped || this.#timer !== null || this.count === 0) return
    this.#timer = this.#context.clock.after(delayMs, this.#fire)
  }

  readonly #fire = (): void => {
    this.#timer = null
    void this.#tryAgain()
  }

  /** Tries some of those in memory and some of those on disk. While all are taken it goes on as fast as the disk does. */
  async #tryAgain(): Promise<void> {
    this.#trying = true
    const portion = this.#portion()
    let taken = this.#try(portion)
    let tried = portion.length
    if (this.#shelves.length > 0) {
      await this.#recall()
      if (this.#stopped) return
      const recalled = this.#takeRecalled()
      taken = this.#try(recalled) && taken
      tried += recalled.length
    }
    this.#tidy()
    if (this.residentBytes > DEAD_LETTERS_RESIDENT_BYTES) this.#sweep(DEAD_LETTERS_RESIDENT_BYTES >> 1, true)
    this.#tell()
    if (taken && tried > 0) this.#context.whenDurable(() => this.#goOn(DEAD_LETTERS_NEXT_MS))
    else this.#goOn(DEAD_LETTER_RETRY_MS)
  }

  #goOn(delayMs: number): void {
    this.#trying = false
    this.#arm(delayMs)
  }

  /** Returns whether all of them were taken. */
  #try(waiting: readonly Waiting[]): boolean {
    const before = this.#returned
    for (const { entry, reason } of waiting) this.#host.retry(entry, reason)
    return this.#returned === before
  }

  /** Takes out the first of those in memory. */
  #portion(): Waiting[] {
    const portion: Waiting[] = []
    for (let left = QUEUE_READ_AHEAD_BYTES; left > 0 && portion.length < DEAD_LETTERS_AT_ONCE;) {
      const waiting = this.#shift()
      if (waiting === undefined) break
      left -= footprint(waiting.entry)
      portion.push(waiting)
    }
    return portion
  }

  /** Reads the next of those on disk: of one shelf after the other. */
  async #recall(): Promise<void> {
    for (let left = this.#shelves.length; left > 0; left--) {
      const shelf = this.#shelves.shift()!
      this.#shelves.push(shelf)
      if (shelf.readable) return shelf.recall()
    }
  }

  #takeRecalled(): readonly Waiting[] {
    const recalled = this.#recalled
    this.#recalled = []
    this.#recalledBodyBytes = 0
    return recalled
  }

  /** Lets go of what holds nothing any more. */
  #tidy(): void {
    this.#shelves = this.#shelves.filter(({ empty }) => !empty)
    this.#spillLogs = this.#spillLogs.filter((log) => {
      if (log.held.count > 0) return true
      log.drop()
      return false
    })
  }

  /**
   * Drops from memory what is on disk, the next first, as far as it is more than this. `spill`: what is in memory only is
   * written, so that it can be dropped the next time.
   */
  #sweep(keep: number, spill: boolean): void {
    // What is dropped while a page is being read would be missed there.
    if (this.#shelves.some(({ reading }) => reading)) return
    const transient: Entry[] = []
    for (let left = this.#line.length; left > 0; left--) {
      const excessive = this.residentBytes > keep
      const waiting = this.#shift()!
      if (excessive && this.#forget(waiting)) continue
      this.#push(waiting)
      if (waiting.entry.stored === Stored.no) transient.push(waiting.entry)
    }
    if (spill && this.#transientBytes > keep) this.#spill(transient)
    this.#sweepAbove = Math.max(DEAD_LETTERS_RESIDENT_BYTES, this.residentBytes + (DEAD_LETTERS_RESIDENT_BYTES >> 1))
  }

  /** Drops a message from memory, if it is on disk. */
  #forget({ entry, reason }: Waiting): boolean {
    if (entry.stored !== Stored.written) return false
    const spillLog = this.#spilledTo.get(entry)
    const log = spillLog ?? this.#host.logOf(entry)
    if (entry.position >= log.durableBelow) return false
    let shelf = this.#shelves.findLast((each) => each.log === log && each.reason === reason)
    if (shelf === undefined) {
      shelf = new Shelf(log, reason, entry.spilled, spillLog === undefined, this)
      this.#shelves.push(shelf)
    }
    shelf.add(entry)
    return true
  }

  /** Writes messages that are in no log. A log takes positions in their order, so each time it is another one. */
  #spill(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    const log = this.#context.spillLog()
    this.#spillLogs.push(log)
    for (const entry of entries.toSorted((a, b) => a.position - b.position)) {
      this.#transientBytes -= footprint(entry)
      this.#storedBytes += footprint(entry)
      entry.spilled = true
      this.#spilledTo.set(entry, log)
      log.append(entry, null, 0)
    }
  }

  #push(waiting: Waiting): void {
    this.#line.push(waiting)
    this.#count(waiting.entry, 1)
  }

  #shift(): Waiting | undefined {
    const waiting = this.#line.shift()
    if (waiting !== undefined) this.#count(waiting.entry, -1)
    return waiting
  }

  #count(entry: Entry, sign: 1 | -1): void {
    this.#lineBodyBytes += sign * entry.message.bodyBytes
    if (entry.stored === Stored.no) this.#transientBytes += sign * footprint(entry)
    else this.#storedBytes += sign * footprint(entry)
  }

  /** Tells the budget what has changed. */
  #tell(): void {
    const budget = this.#context.residentBudget
    const storedChange = this.#storedBytes - this.#countedStored
    const transientChange = this.#transientBytes - this.#countedTransient
    this.#countedStored = this.#storedBytes
    this.#countedTransient = this.#transientBytes
    if (!this.#resident && this.#line.length > 0) {
      this.#resident = true
      budget.enter(this)
    }
    budget.changed(this, storedChange, transientChange)
  }
}
