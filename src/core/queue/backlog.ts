// The ready messages of a queue, in order, as many of them in memory as it takes and no more.
import { Fifo } from '../../lib/fifo.ts'
import {
  ENTRY_OVERHEAD_BYTES,
  QUEUE_PAGE_OUT_BYTES,
  QUEUE_READ_AHEAD_BYTES,
  QUEUE_READ_AHEAD_BYTES_MAX,
  QUEUE_RESIDENT_BYTES,
  QUEUE_SPILL_BYTES,
  QUEUE_SPILL_GROWTH_BYTES,
  QUEUE_TRANSIENT_BYTES,
  TIGHT_DIVISOR,
} from '../limits.ts'
import type { Message } from '../message.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import { firstFrom, lookAt, residentAt, type BacklogParts, type BrowsedPage, type Place } from './browse.ts'
import { EntryState, footprint, Stored, type Entry } from './entry.ts'
import type { Forgotten } from './forgotten.ts'
import { Gap, type GapOwner, type Withdrawal } from './gap.ts'
import type { Resident, ResidentBudget } from './resident-budget.ts'
import { Returned, type ReturnedOwner, type UnreadMessage } from './returned.ts'
import type { UnreadablePageError } from './unreadable.ts'

/** Entries that were removed, below which nothing is done about them. */
const REMOVED_MIN = 64

/** What a backlog needs from its queue. */
export interface BacklogHost {
  /** Counts what is in memory, and has some of it let go. */
  readonly residentBudget: ResidentBudget
  /** A log for messages that need not survive a restart. */
  spillLog(): QueueLog
  /** Makes the entry of a message that was read back. */
  restored(stored: StoredMessage): Entry
  /** Such a message as consumers are to see it. */
  presented(stored: StoredMessage): Message
  /** A message expired that was on disk only. The backlog holds it no longer. */
  expiredUnread(entry: Entry): void
  /** Messages that were on disk can be taken now, or some of them have expired. */
  backlogRead(): void
  /** A page could not be read: `rereadUnreadable` is to be called after a while. Without that, messages are asked for in vain. */
  backlogUnreadable(error: unknown): void
  /** So many messages could be read after all that were set aside. */
  backlogReadable(count: number): void
  /** It is known now what was in the log. */
  backlogOpened(): void
}

/**
 * Ready messages stand in this order, each part before the next:
 *
 *     returned        requeued ones, by position, and what came from a page that could not be read before: in memory,
 *                     and when they are many some of them on disk only
 *     head            in memory
 *     gaps            on disk only: one of the queue's log, one of the log that transient messages are spilled to
 *     tail            in memory, newer than the gaps; empty while there are none
 *
 * A queue with a long backlog has all of them; most have a head and nothing else. The gaps are read back a page ahead of
 * the consumers, and the tail is dropped into them once it is on disk and too large. What all backlogs have in memory is
 * bounded too: where that is too much, head and tail are dropped into the gaps from both sides.
 */
export class Backlog implements GapOwner, ReturnedOwner, Resident {
  /** Messages, and the bytes of their bodies. */
  count: number
  bytes: number
  /** What the messages that are in memory only cost there, about. */
  transientBytes = 0

  readonly #host: BacklogHost
  readonly #budget: ResidentBudget
  /** The queue's own log, for what survives a restart; null for a transient queue. */
  readonly #stored: Gap | null
  #spilled: Gap | null = null
  /** Above every position that was spilled. */
  #spilledBelow = 0
  /**
   * Above every page that was set aside. What stands before that in the head stays there: the gap would be read from
   * there again, and bring what has come back from the page a second time.
   */
  #asideBelow = 0
  readonly #returned = new Returned(this)
  #head = new Fifo<Entry>()
  #tail = new Fifo<Entry>()
  #headBytes = 0
  #tailBytes = 0
  /** What it wants to read ahead: more once the head has run out while more of it was read. */
  #aheadBytes = QUEUE_READ_AHEAD_BYTES
  /** Below so much in the head it is looked for what to read: not for each message, and not while something is read. */
  #lookBelow = Infinity
  /** After a head that could not be split: how large it must be before that is tried again. */
  #splitAbove = 0
  /** Entries that were removed from where they stood: settled, and skipped when their turn comes. */
  #removed = 0
  #afterRead: ((read: boolean) => void)[] = []
  /** What the budget knows of this backlog, and whether it knows of it at all. */
  #countedStored = 0
  #countedTransient = 0
  #resident = false
  /** Whether a message was taken since the budget has asked. */
  #taken = false

  constructor(log: QueueLog | null, host: BacklogHost) {
    this.#host = host
    this.#budget = host.residentBudget
    this.#stored = log === null ? null : new Gap(log, this)
    this.count = this.#stored?.count ?? 0
    this.bytes = this.#stored?.bytes ?? 0
  }

  /** What of `count` stands for messages that its log may hold, as long as that is not known; then no message is taken. */
  get unknownCount(): number {
    return this.#stored?.unknownCount ?? 0
  }

  /** Adds a message behind all others. */
  push(entry: Entry): void {
    if (this.#gapless) {
      this.#count(entry, 1)
      this.append(entry)
      if (this.#headBytes > this.#headLimit && this.#headBytes > this.#splitAbove) this.#splitHead(QUEUE_RESIDENT_BYTES)
    } else {
      this.#spill(entry)
      this.#count(entry, 1)
      this.#tail.push(entry)
      this.#tailBytes += footprint(entry)
      if (this.#tailBytes > QUEUE_RESIDENT_BYTES) this.#pageOut(QUEUE_RESIDENT_BYTES / 2)
    }
    this.#tell()
  }

  /**
   * What the messages that wait and were never to be on disk take in memory, or would take there, about. Where some were
   * spilled, what is in memory may be on disk as well, and counts with those few that belong there; but not what was
   * requeued, which may be much.
   */
  get passingBytes(): number {
    const spilled = this.#spilled
    if (spilled === null) return this.transientBytes
    return this.#headBytes + this.#tailBytes + spilled.bytes + spilled.count * ENTRY_OVERHEAD_BYTES
  }

  /** Puts a message that had been taken back to its place. */
  giveBack(entry: Entry): void {
    this.#returned.pushAndForget(entry)
    this.#count(entry, 1)
    this.#tell()
  }

  /** The same of a message that is in this log, and not in memory. */
  giveBackUnread(log: QueueLog, unread: UnreadMessage): void {
    this.#returned.pushUnread(log, unread)
    this.count++
    this.bytes += unread.bodyBytes
  }

  /** Whether messages of this backlog are in that log. */
  writesTo(log: QueueLog): boolean {
    return log === this.#stored?.log || log === this.#spilled?.log
  }

  /** Whether the next message is in memory. If not, or nearly not, it is being read from here on. */
  get available(): boolean {
    if (this.#removed > 0) this.#skipRemoved()
    if (this.#returned.forgotten.length > 0 && !this.#returnedNext()) return false
    // Most queues have no gaps: what there is room for is not asked for each message.
    if (this.#headBytes < this.#lookBelow && !this.#gapless) this.#readAhead()
    return this.#head.length > 0 || this.#returnedFirst
  }

  /** The next message, if it is in memory. */
  peek(): Entry | undefined {
    if (this.#removed > 0) this.#skipRemoved()
    const next = this.#returnedFirst ? this.#returned.peek() : this.#head.peek()
    return next !== undefined && this.#returned.forgottenFrom < next.position ? undefined : next
  }

  /**
   * Whether a message that came back is the next. Mostly those stand before all others; but between those of a page that
   * could not be read there may be others, which are not in the same log.
   */
  get #returnedFirst(): boolean {
    const position = this.#returned.peek()?.position
    if (position === undefined) return false
    return position >= this.#asideBelow || position < this.#frontier
  }

  /** The position of the first of those messages that did not come back. */
  get #frontier(): number {
    const first = this.#head.peek()
    if (first !== undefined) return first.position
    let frontier = this.#tail.peek()?.position ?? Infinity
    for (const gap of this.#gaps) frontier = Math.min(frontier, gap.frontier, gap.loaded.peek()?.position ?? Infinity)
    return frontier
  }

  /** What the messages that are in memory cost there, about. */
  get residentBytes(): number {
    return this.#headBytes + this.#tailBytes + this.#returned.bytes
  }

  /** Messages that are in memory, those that were requeued included. */
  get residentCount(): number {
    return this.#unread.reduce((count, unread) => count - unread.count, this.count)
  }

  /** The position of the next message, wherever it is; Infinity when there is none. */
  get firstPosition(): number {
    if (this.count === 0) return Infinity
    const next = this.peek()
    if (next !== undefined) return next.position
    return Math.min(this.#returned.forgottenFrom, this.#frontier)
  }

  /** Takes the next message, if it is in memory. */
  take(): Entry | undefined {
    if (this.#returned.forgotten.length > 0 && this.peek() === undefined) return undefined
    if (this.#removed > 0) this.#skipRemoved()
    const returned = this.#returnedFirst
    const entry = returned ? this.#returned.pop() : this.#head.shift()
    if (entry === undefined) return undefined
    if (!returned) this.#headBytes -= footprint(entry)
    this.#count(entry, -1)
    this.#taken = true
    this.#tell()
    return entry
  }

  /** Takes a message out, wherever it stands. It counts as settled from here on. */
  remove(entry: Entry): void {
    this.#count(entry, -1)
    entry.state = EntryState.settled
    this.#removed++
    if (this.#removed > REMOVED_MIN && this.#removed > this.count) this.#sweep()
    this.#tell()
  }

  /** Looks at messages from a place on. Backlogs know no priorities. */
  async browse(from: Place): Promise<BrowsedPage> {
    const { messages, next } = await lookAt(() => this.#parts, from.position)
    return { messages, next: next === Infinity ? null : { priority: from.priority, position: next } }
  }

  /** Takes messages out at these positions, wherever they stand. */
  async withdraw(positions: readonly number[], withdrawal: Withdrawal): Promise<void> {
    const elsewhere = this.#withdrawResident(positions, withdrawal)
    if (elsewhere.length === 0) return
    for (const gap of this.#gaps) {
      while (gap.reading) await new Promise<boolean>((resolve) => this.afterRead(resolve))
      await gap.withdraw(elsewhere, withdrawal)
    }
    for (const forgotten of this.#returned.forgotten) await forgotten.recall(elsewhere)
    // Some may have been read into memory meanwhile.
    this.#withdrawResident(elsewhere, withdrawal)
  }

  /** When the first of the messages that are on disk only expires; Infinity when none does. */
  get storedDeadline(): number {
    const ofGaps = Math.min(this.#stored?.deadline ?? Infinity, this.#spilled?.deadline ?? Infinity)
    return Math.min(ofGaps, this.#returned.storedDeadline)
  }

  /**
   * Has the messages read that are on disk only and have expired: `expiredUnread` follows for each, or, of those that were
   * requeued, `backlogRead` when they are in memory.
   */
  expireStored(now: number): void {
    this.#returned.expireStored(now)
    for (const gap of this.#gaps) if (gap.deadline <= now) gap.expire(now)
  }

  /** Messages on pages that could not be read. They are not counted otherwise. */
  get unreadableCount(): number {
    return this.#unread.reduce((sum, { unreadableCount }) => sum + unreadableCount, 0)
  }

  /** Tries again what could not be read; what comes of it returns to its place. */
  async rereadUnreadable(): Promise<void> {
    for (const part of this.#unread) {
      const count = await part.reread()
      if (count > 0) this.#host.backlogReadable(count)
    }
    this.#returned.prune()
    // Also where it was not set aside: whoever waits asks for it.
    this.#host.backlogRead()
  }

  /** Empties the backlog; `settle` is called for each message that is in memory, the logs are told of the others. */
  clear(settle: (entry: Entry) => void): void {
    this.#sweep()
    for (let entry = this.#returned.pop(); entry; entry = this.#returned.pop()) settle(entry)
    for (const forgotten of this.#returned.forgotten) forgotten.discard()
    const parts = [this.#head, this.#tail]
    for (const gap of this.#gaps) parts.push(gap.discard())
    for (const part of parts) for (let entry = part.shift(); entry; entry = part.shift()) settle(entry)
    this.#reset()
  }

  /** The queue is gone: what is being read is not wanted, what was spilled is deleted, and memory let go of. */
  drop(): void {
    for (const part of this.#unread) part.forget()
    this.#spilled?.log.drop()
    this.#head = new Fifo()
    this.#tail = new Fifo()
    this.#removed = 0
    this.#reset()
    this.#budget.leave(this)
  }

  shrink(shareBytes: number, spill: boolean): boolean {
    const keep = this.#taken ? shareBytes : 0
    this.#taken = false
    this.#returned.shrink(keep)
    if (!this.#gapless) {
      this.#pageOut(keep)
      this.#withdrawHead(keep)
    } else if (this.#headBytes > keep && (spill || this.transientBytes <= this.#headBytes >> 1)) this.#splitHead(keep)
    this.#tell()
    this.#resident = this.residentBytes > 0 || this.transientBytes > 0
    return this.#resident
  }

  /** The log that an entry is in. */
  logOf(entry: Entry): QueueLog {
    return entry.spilled ? this.#spilled!.log : this.#stored!.log
  }

  /**
   * Calls back when the page that is being read has arrived, before anybody else is given of it, or could not be read;
   * with false then, and at once when none is being read.
   */
  afterRead(callback: (read: boolean) => void): void {
    if (this.#unread.some(({ reading }) => reading)) this.#afterRead.push(callback)
    else callback(false)
  }

  restored({ log }: Gap | Forgotten, stored: StoredMessage): Entry {
    return this.restoredFrom(log, stored)
  }

  /** Makes the entry of a message that was read back from this log. */
  restoredFrom(log: QueueLog, stored: StoredMessage): Entry {
    const entry = this.#host.restored(stored)
    entry.stored = Stored.written
    entry.spilled = log === this.#spilled?.log
    return entry
  }

  remembered(forgotten: Forgotten, stored: StoredMessage): void {
    this.#returned.push(this.#redelivered(forgotten, stored))
  }

  returned(forgotten: Forgotten, stored: StoredMessage): void {
    this.giveBack(this.#redelivered(forgotten, stored))
  }

  forgottenAside(error: UnreadablePageError, count: number, bytes: number): void {
    this.count -= count
    this.bytes -= bytes
    this.#host.backlogUnreadable(error)
  }

  forgottenRead(error: unknown, lost: number, lostBytes: number): void {
    if (error !== null) this.#host.backlogUnreadable(error)
    this.count -= lost
    this.bytes -= lostBytes
    this.#returned.prune()
    this.#taken = true
    this.#tell()
    this.#tellReaders(error === null)
    if (error === null) this.#host.backlogRead()
  }

  withdrawn(entry: Entry): void {
    this.#count(entry, -1)
  }

  setAside(error: UnreadablePageError): void {
    this.#asideBelow = Math.max(this.#asideBelow, error.page.below)
    this.#host.backlogUnreadable(error)
  }

  reread(gap: Gap, stored: StoredMessage): void {
    this.giveBack(this.restored(gap, stored))
  }

  expiredUnread(entry: Entry): void {
    this.#count(entry, -1)
    this.#host.expiredUnread(entry)
  }

  gapOpened(count: number, bytes: number): void {
    this.count += count
    this.bytes += bytes
    this.#lookBelow = Infinity
    if (this.#gapsEmpty) this.#closeGaps()
    this.#tell()
    this.#tellReaders(true)
    this.#host.backlogOpened()
  }

  gapArrives(): void {
    if (this.#head.length === 0) this.#aheadBytes = Math.min(this.#aheadBytes * 2, QUEUE_READ_AHEAD_BYTES_MAX)
  }

  comesNext(gap: Gap): boolean {
    return this.#gaps.every((each) => (each === gap ? each.loaded.length === 0 : empty(each)))
  }

  /** Adds a message to the head that is counted already. */
  append(entry: Entry): void {
    this.#head.push(entry)
    this.#headBytes += footprint(entry)
  }

  gapRead(error: unknown): void {
    this.#lookBelow = Infinity
    if (error !== null) this.#host.backlogUnreadable(error)
    this.#mergeLoaded()
    for (const gap of this.#gaps) {
      // What the log has set aside is counted no longer.
      this.count -= gap.lost
      this.bytes -= gap.lostBytes
      gap.lost = 0
      gap.lostBytes = 0
    }
    if (this.#gapsEmpty) this.#closeGaps()
    if (this.#head.length === 0 && error === null && !this.#gapless) this.#read()
    // Somebody has asked for it.
    this.#taken = true
    this.#tell()
    this.#tellReaders(error === null)
    // Whoever looks asks for the next page: not by itself where the last could not be read.
    if (error === null) this.#host.backlogRead()
  }

  get #parts(): BacklogParts {
    const gaps = this.#gaps
    const lines = [this.#head, ...gaps.map((gap) => gap.loaded), this.#tail]
    const presented = (stored: StoredMessage): Message => this.#host.presented(stored)
    return { returned: this.#returned, lines, gaps: this.#unread, presented }
  }

  /** Returns the positions that are not in memory. */
  #withdrawResident(positions: readonly number[], { wants, taken }: Withdrawal): number[] {
    return positions.filter((position) => {
      const entry = residentAt(this.#parts, position)
      if (entry === undefined) return true
      // What `wants` does may have pushed it out of the queue.
      if (!wants(entry) || entry.state !== EntryState.ready) return false
      this.remove(entry)
      taken(entry)
      return false
    })
  }

  get #gaps(): readonly Gap[] {
    const gaps: Gap[] = []
    if (this.#stored !== null) gaps.push(this.#stored)
    if (this.#spilled !== null) gaps.push(this.#spilled)
    return gaps
  }

  /** What is on disk only. */
  get #unread(): readonly (Gap | Forgotten)[] {
    return [...this.#returned.forgotten, ...this.#gaps]
  }

  /** Whether everything but what was requeued is in memory, in the head. */
  get #gapless(): boolean {
    return this.#tail.length === 0 && this.#gapsEmpty
  }

  get #gapsEmpty(): boolean {
    return (this.#stored === null || empty(this.#stored)) && (this.#spilled === null || empty(this.#spilled))
  }

  /** How large a head may grow. Transient messages stay in memory for longer: their disk is not for keeping. */
  get #headLimit(): number {
    const bytes = this.transientBytes > this.#headBytes >> 1 ? QUEUE_TRANSIENT_BYTES : QUEUE_RESIDENT_BYTES * 2
    return this.#budget.tight ? bytes / TIGHT_DIVISOR : bytes
  }

  #count(entry: Entry, sign: 1 | -1): void {
    this.count += sign
    this.bytes += sign * entry.message.bodyBytes
    if (entry.stored === Stored.no) this.transientBytes += sign * footprint(entry)
  }

  /**
   * Tells the budget what has changed, but for what it could not have let go of anyway: others would keep too little for
   * that. What is wrong about it, because an entry was settled, is put right the next time.
   */
  #tell(): void {
    const transient = this.transientBytes
    const stored = Math.max(0, this.residentBytes - transient - this.#returned.unforgettableBytes)
    const storedChange = stored - this.#countedStored
    const transientChange = transient - this.#countedTransient
    this.#countedStored = stored
    this.#countedTransient = transient
    if (!this.#resident && stored + transient > 0) {
      this.#resident = true
      this.#budget.enter(this)
    }
    this.#budget.changed(this, storedChange, transientChange)
  }

  /** The entry of a message that was forgotten, which only those are that had been delivered. */
  #redelivered(forgotten: Forgotten, stored: StoredMessage): Entry {
    return this.restored(forgotten, { ...stored, redelivered: true })
  }

  /** Sees to it that requeued messages are read before they are wanted. Returns whether the next message is in memory. */
  #returnedNext(): boolean {
    const next = this.#returnedFirst ? this.#returned.peek() : this.#head.peek()
    return this.#returned.readAhead(
      next?.position ?? this.#frontier,
      this.#budget.readAheadBytes(QUEUE_READ_AHEAD_BYTES),
    )
  }

  /** Has a transient message written, so that it can be dropped from memory. */
  #spill(entry: Entry): void {
    if (entry.stored !== Stored.no) return
    this.#spilled ??= new Gap(this.#host.spillLog(), this)
    entry.spilled = true
    this.#spilledBelow = entry.position + 1
    this.#spilled.log.append(entry, null, 0)
  }

  /**
   * The head has grown too large: what is newer than so much becomes the tail, which is dropped as far as it is on disk.
   * Transient messages are written before, some of them each time; so it may take several calls.
   */
  #splitHead(keep: number): void {
    const kept = this.#keptLength(keep)
    if (!this.#spillHead(kept)) {
      this.#splitAbove = this.#headBytes + QUEUE_SPILL_GROWTH_BYTES
      return
    }
    // The shorter part is moved: mostly that is what is kept.
    const tail = this.#head
    const head = new Fifo<Entry>()
    this.#tailBytes = this.#headBytes
    for (let left = kept; left > 0; left--) {
      const entry = tail.shift()!
      head.push(entry)
      this.#tailBytes -= footprint(entry)
    }
    this.#headBytes -= this.#tailBytes
    this.#head = head
    this.#tail = tail
    this.#pageOut(keep >> 1)
    this.#splitAbove = 0
    if (!this.#gapsEmpty) return
    // Nothing of it is on disk yet. Look again when there is more, not at every message.
    this.#closeGaps()
    this.#splitAbove = this.#headBytes + QUEUE_RESIDENT_BYTES / 4
  }

  /** How many entries at the front of the head stay there, if it is to keep so many bytes. */
  #keptLength(keep: number): number {
    const head = this.#head
    let kept = 0
    for (let bytes = 0; kept < head.length; kept++) {
      const entry = head.at(kept)!
      bytes += footprint(entry)
      if (bytes > keep && entry.position >= this.#asideBelow) break
    }
    // A log takes no position after a higher one: what was not written while later ones were stays, and what is before it.
    let written = firstFrom(head, this.#spilledBelow)
    for (; written > kept; written--) {
      const entry = head.at(written - 1)!
      if (entry.stored === Stored.no && entry.state === EntryState.ready) break
    }
    return Math.max(kept, written)
  }

  /** Has some transient messages of the head written, the oldest behind so many entries first. Returns whether that was all. */
  #spillHead(kept: number): boolean {
    const head = this.#head
    let left = QUEUE_SPILL_BYTES
    for (let i = Math.max(kept, firstFrom(head, this.#spilledBelow)); i < head.length; i++) {
      const entry = head.at(i)!
      if (entry.stored !== Stored.no || entry.state !== EntryState.ready) continue
      if (left <= 0) return false
      left -= footprint(entry)
      this.#spillCounted(entry)
    }
    return true
  }

  #spillCounted(entry: Entry): void {
    if (entry.stored !== Stored.no) return
    this.transientBytes -= footprint(entry)
    this.#spill(entry)
  }

  /** Drops from memory some of what the tail holds on disk, oldest first, as far as it is more than this. */
  #pageOut(keep: number): void {
    const least = Math.max(keep, this.#tailBytes - QUEUE_PAGE_OUT_BYTES)
    while (this.#tailBytes > least) {
      const entry = this.#tail.peek()
      if (entry === undefined || !this.#leave(entry, false)) return
      this.#tail.shift()
      this.#tailBytes -= footprint(entry)
    }
  }

  /** Drops from memory what the head holds on disk, newest first, as far as it is more than this. */
  #withdrawHead(keep: number): void {
    // What is before a page that is being read, or waits for another, is not read again with it.
    if (this.#gaps.some((gap) => gap.reading || gap.loaded.length > 0)) return
    while (this.#headBytes > keep) {
      const entry = this.#head.last()
      if (entry === undefined || entry.position < this.#asideBelow || !this.#leave(entry, true)) return
      this.#head.pop()
      this.#headBytes -= footprint(entry)
    }
  }

  /** Leaves an entry to the gap that it stands before or behind. Returns whether that could be done. */
  #leave(entry: Entry, before: boolean): boolean {
    if (entry.state !== EntryState.ready) {
      this.#removed--
      return true
    }
    const gap = entry.spilled ? this.#spilled! : this.#stored
    if (gap === null || entry.stored === Stored.no || entry.position >= gap.log.durableBelow) return false
    const deadline = entry.details?.deadline ?? Infinity
    if (before) gap.prepend(entry.position, entry.message.bodyBytes, deadline)
    else gap.add(entry.position, entry.message.bodyBytes, deadline)
    // Whoever still knows this entry has no business with it: it comes back as another one.
    if (entry.details !== null) entry.state = EntryState.settled
    return true
  }

  #skipRemoved(): void {
    while (this.#returned.peek()?.state === EntryState.settled) {
      this.#returned.pop()
      this.#removed--
    }
    while (this.#head.peek()?.state === EntryState.settled) {
      this.#headBytes -= footprint(this.#head.shift()!)
      this.#removed--
    }
  }

  /** Lets go of the entries that were removed. */
  #sweep(): void {
    if (this.#removed === 0) return
    this.#returned.sweep()
    const parts = [this.#head, this.#tail]
    for (const gap of this.#gaps) parts.push(gap.loaded)
    for (const part of parts) {
      for (let left = part.length; left > 0; left--) {
        const entry = part.shift()!
        if (entry.state === EntryState.ready) part.push(entry)
        else if (part === this.#head) this.#headBytes -= footprint(entry)
        else if (part === this.#tail) this.#tailBytes -= footprint(entry)
      }
    }
    this.#removed = 0
  }

  #reset(): void {
    this.count = 0
    this.bytes = 0
    this.transientBytes = 0
    this.#headBytes = 0
    this.#tailBytes = 0
    this.#returned.clear()
    this.#splitAbove = 0
    this.#lookBelow = Infinity
    this.#tell()
  }

  #readAhead(): void {
    const wanted = this.#budget.readAheadBytes(this.#aheadBytes)
    if (this.#headBytes >= wanted) {
      this.#lookBelow = wanted
      return
    }
    this.#read()
    // Whatever reads tells of it when it is done.
    this.#lookBelow = this.#gaps.some(({ reading }) => reading) ? 0 : Infinity
  }

  /** Reads what the head needs next: of the gap that begins first, some of what is read ahead at a time. */
  #read(): void {
    const gaps = this.#gaps.filter((gap) => gap.count > 0)
    if (gaps.length === 2) gaps.sort((a, b) => a.from - b.from)
    gaps[0]?.read(Math.min(this.#budget.readAheadBytes(this.#aheadBytes) >> 1, QUEUE_READ_AHEAD_BYTES))
  }

  /** Moves what has been read into the head, as far as nothing before it is missing. */
  #mergeLoaded(): void {
    const frontier = Math.min(this.#stored?.frontier ?? Infinity, this.#spilled?.frontier ?? Infinity)
    for (;;) {
      const stored = this.#stored?.loaded.peek()
      const spilled = this.#spilled?.loaded.peek()
      const first = spilled === undefined || (stored && stored.position < spilled.position) ? stored : spilled
      if (first === undefined || first.position >= frontier) return
      if (first === stored) this.#stored!.loaded.shift()
      else this.#spilled!.loaded.shift()
      this.append(first)
    }
  }

  /** The gaps have been read: the tail follows the head directly. */
  #closeGaps(): void {
    const head = this.#head
    const tail = this.#tail
    if (head.length < tail.length) {
      for (let entry = head.pop(); entry; entry = head.pop()) tail.unshift(entry)
      this.#head = tail
      this.#tail = head
      this.#headBytes += this.#tailBytes
    } else {
      for (let entry = tail.shift(); entry; entry = tail.shift()) this.append(entry)
    }
    this.#tailBytes = 0
    this.#aheadBytes = QUEUE_READ_AHEAD_BYTES
  }

  #tellReaders(read: boolean): void {
    if (this.#afterRead.length === 0) return
    const readers = this.#afterRead
    this.#afterRead = []
    for (const reader of readers) reader(read)
  }
}

function empty(gap: Gap): boolean {
  return gap.count === 0 && gap.loaded.length === 0
}
