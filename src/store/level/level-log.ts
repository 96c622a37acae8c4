// One queue's log in the database: what waits for a batch, and how far positions and deliveries went.
import type {
  Attempts,
  ExpiringStretch,
  Held,
  LogSummary,
  Publisher,
  QueueLog,
  StoredMessage,
} from '../../core/ports.ts'
import type { Entry } from '../../core/queue/entry.ts'
import { Stored } from '../../core/queue/entry.ts'
import { PositionSet } from '../../core/queue/position-set.ts'
import { AttemptRecords } from './attempt-records.ts'
import type { Batch, BatchMember } from './committer.ts'
import { allOf, type FoundPages } from './found-pages.ts'
import { Kind, logKey } from './keys.ts'
import type { PageOwner, StoreContext } from './log-pages.ts'
import { LogPages } from './log-pages.ts'
import type { ClosedLog } from './openings.ts'
import { encodeLogRecord, type LogRecord } from './records.ts'
import { ENTRY_BYTES, NEXT_AHEAD, NEXT_AHEAD_BEHIND, PAGE_ENTRIES } from './tuning.ts'
import { DeliveryMark } from './delivery-mark.ts'
import { Elsewhere } from './page.ts'

/** The record of a log that is new. */
const NEW_LOG: LogRecord = { next: 0, deliveredBelow: 0, unindexedFrom: -1, dropped: false }

const NOTHING: LogSummary = { count: 0, bodyBytes: 0, first: 0 }

/** About the bytes that an entry takes on disk. */
function entryBytes(entry: Entry): number {
  const { message } = entry
  return ENTRY_BYTES + message.bodyEnd - message.bodyStart + message.propertiesEnd - message.propertiesStart
}

/**
 * A log.
 *
 *     appended ──► pending ──► in the batch in flight ──► on disk
 *                     │                  └──────┬───────────┘
 *                  settled: struck          settled: a bit in its page; a page without entries is deleted
 */
export class LevelLog implements QueueLog, BatchMember, PageOwner, ClosedLog {
  readonly id: number
  readonly inMemory = false
  readonly next: number
  opened = false
  recovered = NOTHING
  recoveredDeadlines: readonly ExpiringStretch[] = []
  readonly #context: StoreContext
  readonly #pages: LogPages

  /** What waits for a batch; an entry's `slot` is its index. An entry that was settled meanwhile is null. */
  #entries: (Entry | null)[] = []
  #publishers: (Publisher | null)[] = []
  #sequences: number[] = []
  #pendingBytes = 0
  /** Who waits for the batch in flight. */
  #publishersInFlight: (Publisher | null)[] = []
  #sequencesInFlight: number[] = []
  #bytesInFlight = 0

  /** Above every position that was given to a batch, that is on disk, and as the log's record has it: that runs ahead. */
  #storedBelow: number
  #durableBelow: number
  #recordNext: number
  /** From where on index records are behind, as the log's record has it. */
  #recordUnindexed: number
  readonly #mark: DeliveryMark

  /** How often messages were tried. Most logs know nothing of that. */
  #attempts: AttemptRecords | null = null

  /** The positions of messages that are kept and not read like the others. Most logs have none. */
  #withheld: PositionSet | null = null

  /** Who is told when it is known what it held, and those who wait for that also when it cannot be read now. */
  #openers: { readonly opened: () => void; readonly failed: ((error: Error) => void) | null }[] = []

  #enlisted = false
  #dropped = false
  #closing = false

  /** `record`: what the database has for it; undefined for a new log. `aside` as for LogPages. */
  constructor(id: number, context: StoreContext, record: LogRecord = NEW_LOG, aside?: readonly number[]) {
    this.id = id
    this.#context = context
    this.#pages = new LogPages(id, context, this, record.unindexedFrom, aside)
    const found = context.openings.of(id, this)
    const last = found?.pages.at(-1)?.last ?? -1
    // Of a record that was damaged it is not known: anything may have been delivered.
    const deliveredBelow = record.deliveredBelow === Infinity ? last + 1 : record.deliveredBelow
    this.#mark = new DeliveryMark(deliveredBelow)
    this.#recordNext = record.next
    this.#recordUnindexed = record.unindexedFrom
    this.next = Math.max(record.next, deliveredBelow, found === null ? 0 : endOf(found))
    this.#storedBelow = this.next
    this.#durableBelow = this.next
    if (found !== null) this.open(found)
  }

  open(found: FoundPages): void {
    const { pages } = found
    this.opened = true
    this.#pages.open(found)
    if (pages.some(({ elsewhere }) => elsewhere & Elsewhere.attempts)) this.#attempts ??= this.#attemptRecords()
    this.recoveredDeadlines = pages
      .filter((page) => page.expiresFirst > 0)
      .map((page) => ({ first: page.first, last: page.last, deadline: page.expiresFirst }))
    this.recovered = {
      count: pages.reduce((sum, page) => sum + page.live, 0),
      bodyBytes: pages.reduce((sum, page) => sum + page.bodyBytes, 0),
      first: pages[0]?.firstLive() ?? this.next,
    }
    // What was found goes as well.
    if (this.#dropped) {
      this.enlist()
      this.#context.catchingUp.forget(this)
    }
    for (const { opened } of this.#openers.splice(0)) opened()
  }

  openingFailed(error: Error): void {
    const openers = this.#openers
    this.#openers = openers.filter(({ failed }) => failed === null)
    for (const { failed } of openers) failed?.(error)
  }

  whenOpened(opened: () => void, failed: ((error: Error) => void) | null = null): void {
    if (this.opened) {
      opened()
      return
    }
    this.#openers.push({ opened, failed })
    if (failed !== null) this.#context.openings.hasten(this.id)
  }

  get durableBelow(): number {
    return this.#durableBelow
  }

  get held(): Held {
    let { count, bodyBytes } = this.#pages.held
    for (const entry of this.#entries) {
      if (entry === null) continue
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
    entry.message.logs++
    if (entry.message.sharedBody !== 0) this.#context.bodies.admit(entry.message)
    entry.slot = this.#entries.length
    this.#entries.push(entry)
    this.#publishers.push(publisher)
    this.#sequences.push(sequence)
    this.#pendingBytes += entryBytes(entry)
    this.#context.committer.pendingBytes += entryBytes(entry)
    if (!this.#enlisted) this.enlist()
  }

  settle(entry: Entry): void {
    if (entry.stored === Stored.pending) this.#accept(entry)
    this.supersede(entry)
  }

  supersede(entry: Entry): void {
    if (this.#attempts !== null) this.#attempts.forget(entry.position)
    if (this.#withheld !== null) this.#withheld.delete(entry.position)
    if (entry.stored === Stored.written) {
      entry.stored = Stored.no
      if (this.#dropped) return
      this.#pages.settle(entry.position, entry.message.bodyBytes)
    } else if (entry.stored === Stored.pending) this.#strike(entry)
  }

  withhold(entry: Entry): void {
    this.#withheld ??= new PositionSet()
    this.#withheld.add(entry.position)
  }

  deliverable(position: number, then: () => void): boolean {
    if (this.#mark.covers(position, this.#durableBelow)) return true
    // A disk that takes nothing is told nothing: rather a flag that is false than consumers that get nothing.
    if (this.#dropped || this.#context.committer.failing) return true
    if (this.#mark.ask(position, then)) this.enlist()
    return false
  }

  delivered(position: number): void {
    if (this.#mark.delivered(position, this.#storedBelow)) this.enlist()
  }

  attempted(position: number, attempts: Attempts): void {
    if (this.#dropped) return
    this.#attempts ??= this.#attemptRecords()
    this.#attempts.put(position, attempts)
  }

  async read(from: number, below: number, bytes = 0): Promise<readonly StoredMessage[]> {
    if (!this.opened) await new Promise<void>((resolve, reject) => this.whenOpened(resolve, reject))
    if (this.#dropped) return []
    const found = await this.#pages.read(from, below, bytes, false)
    const all = found.length > 0 ? found : this.#readPending(from, below)
    return this.#attempts === null ? all : this.#attempts.addTo(all)
  }

  async readWithheld(from: number, below: number): Promise<readonly StoredMessage[]> {
    return this.#dropped ? [] : this.#pages.read(from, below, 0, true)
  }

  discard(from: number, below: number): void {
    if (this.#dropped) return
    let start = from
    for (const [first, last] of this.#withheld?.runs() ?? []) {
      if (last < start || first >= below) continue
      this.#discardRange(start, first)
      start = last + 1
    }
    this.#discardRange(start, below)
  }

  #discardRange(from: number, below: number): void {
    if (from >= below) return
    // What waits for a batch stands behind everything that was given to one.
    if (below > this.#storedBelow) {
      for (const entry of this.#entries) {
        if (entry !== null && entry.position >= from && entry.position < below) this.#withdraw(entry)
      }
    }
    this.#attempts?.discard(from, below)
    this.#pages.discard(from, Math.min(below, this.#storedBelow))
  }

  drop(): void {
    if (this.#dropped) return
    for (const entry of this.#entries) if (entry !== null) this.#withdraw(entry)
    this.#dropped = true
    this.enlist()
    this.#context.catchingUp.forget(this)
    this.#context.dropped(this.id)
  }

  /** The store is being closed: the log's record is written exactly. */
  close(): void {
    this.#closing = true
    if (!this.#dropped) this.enlist()
  }

  contribute(batch: Batch): void {
    this.#enlisted = false
    if (this.#entries.length > 0) this.#store(batch)
    if (this.#dropped) this.#contributeDropped(batch)
    else {
      this.#attempts?.contribute(batch)
      if (this.#closing) this.#pages.catchUp(batch, false)
      this.#pages.contribute(batch)
      this.#writeRecord(batch)
    }
  }

  /** Before it is known what it held, the log can only say that it is gone. */
  #contributeDropped(batch: Batch): void {
    if (this.opened) {
      this.#pages.drop(batch)
      batch.del(logKey(Kind.log, this.id))
    } else this.#putRecord(batch, this.#storedBelow)
  }

  catchUp(batch: Batch): void {
    if (this.#dropped || !this.opened) return
    this.#pages.catchUp(batch, this.#pages.grewWith(batch) && !this.#closing)
    const ahead = this.#recordNext - this.#storedBelow
    this.#putRecord(batch, ahead > NEXT_AHEAD_BEHIND >> 1 ? this.#recordNext : this.#storedBelow + NEXT_AHEAD_BEHIND)
  }

  committed(): void {
    const publishers = this.#publishersInFlight
    const sequences = this.#sequencesInFlight
    for (let i = 0; i < publishers.length; i++) publishers[i]?.accepted(sequences[i]!)
    this.#publishersInFlight = []
    this.#sequencesInFlight = []
    this.#context.committer.pendingBytes -= this.#bytesInFlight
    this.#bytesInFlight = 0
    this.#durableBelow = this.#storedBelow
    this.#attempts?.committed()
    if (!this.#dropped) this.#pages.committed()
    this.#mark.committed()
  }

  stalled(): void {
    this.#mark.tell()
  }

  enlist(): void {
    if (this.#enlisted) return
    this.#enlisted = true
    this.#context.committer.enlist(this)
  }

  wasDelivered(position: number): boolean {
    return position < this.#mark.deliveredBelow
  }

  withheld(position: number): boolean {
    return this.#withheld !== null && this.#withheld.has(position)
  }

  #attemptRecords(): AttemptRecords {
    return new AttemptRecords(this.id, this.#context, this.#pages, () => this.enlist())
  }

  #withdraw(entry: Entry): void {
    this.#accept(entry)
    this.#strike(entry)
  }

  /** Takes an entry out of what waits. Its publisher, unless it was told before, is told with the batch. */
  #strike(entry: Entry): void {
    this.#entries[entry.slot] = null
    entry.stored = Stored.no
    entry.message.logs--
    this.#pendingBytes -= entryBytes(entry)
    this.#context.committer.pendingBytes -= entryBytes(entry)
  }

  /** Tells the publisher of an entry that waits, which need not be written any more. */
  #accept(entry: Entry): void {
    const publisher = this.#publishers[entry.slot]!
    this.#publishers[entry.slot] = null
    publisher?.accepted(this.#sequences[entry.slot]!)
  }

  #store(batch: Batch): void {
    const entries = this.#entries
    this.#publishersInFlight = this.#publishers
    this.#sequencesInFlight = this.#sequences
    this.#bytesInFlight = this.#pendingBytes
    this.#entries = []
    this.#publishers = []
    this.#sequences = []
    this.#pendingBytes = 0
    this.#pages.store(entries, batch)
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i]!
      if (entry === null) continue
      this.#storedBelow = Math.max(this.#storedBelow, entry.position + 1)
      break
    }
  }

  /** Writes the log's record when it is behind. */
  #writeRecord(batch: Batch): void {
    let next = this.#recordNext
    if (this.#closing) next = this.#storedBelow
    else if (next < this.#storedBelow) next = this.#storedBelow + this.#nextAhead
    const marked = this.#mark.advance(batch.now, this.#storedBelow, this.#closing)
    if (next !== this.#recordNext || marked || this.#recordUnindexed !== this.#pages.unindexedFrom) {
      this.#putRecord(batch, next)
    }
  }

  get #nextAhead(): number {
    return this.#pages.unindexedFrom < 0 ? NEXT_AHEAD : NEXT_AHEAD_BEHIND
  }

  #putRecord(batch: Batch, next: number): void {
    const { unindexedFrom } = this.#pages
    this.#recordNext = next
    this.#recordUnindexed = unindexedFrom
    const record = { next, deliveredBelow: this.#mark.recorded, unindexedFrom, dropped: this.#dropped }
    batch.put(logKey(Kind.log, this.id), encodeLogRecord(record))
  }

  #readPending(from: number, below: number): StoredMessage[] {
    const found: StoredMessage[] = []
    for (const entry of this.#entries) {
      if (entry === null || entry.position < from || entry.position >= below) continue
      if (this.withheld(entry.position)) continue
      const redelivered = entry.redelivered || this.wasDelivered(entry.position)
      const deadline = entry.details?.deadline ?? Infinity
      const storedAt = this.#context.now()
      found.push({ position: entry.position, message: entry.message, redelivered, storedAt, deadline })
      if (found.length === PAGE_ENTRIES) break
    }
    return found
  }
}

/** Above all positions of these pages, be something left of them or not: the keys of others are not free yet. */
function endOf(found: FoundPages): number {
  return allOf(found).reduce((end, { last }) => Math.max(end, last + 1), 0)
}
