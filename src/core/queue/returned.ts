// Requeued messages of a backlog, by position: in memory, and when they are many some of them on disk only.
import { Heap } from '../../lib/heap.ts'
import { QUEUE_RESIDENT_BYTES } from '../limits.ts'
import type { QueueLog } from '../ports.ts'
import { EntryState, footprint, Stored, type Entry } from './entry.ts'
import { Forgotten, type ForgottenOwner } from './forgotten.ts'

/** What they are of. */
export interface ReturnedOwner extends ForgottenOwner {
  /** The log that an entry is in. */
  logOf(entry: Entry): QueueLog
}

/** A message that is on disk, and of which no more is in memory. */
export interface UnreadMessage {
  readonly position: number
  readonly bodyBytes: number
  /** Milliseconds since 1970 when it expires; Infinity for never. */
  readonly deadline: number
}

/** Those that are in memory come out by position. Where those on disk stand between them, the backlog asks first. */
export class Returned {
  /** What those in memory cost there, about. */
  bytes = 0
  /** Those that are on disk only: of the queue's log, and of the one that is spilled to. */
  forgotten: readonly Forgotten[] = []
  readonly #owner: ReturnedOwner
  readonly #resident = new Heap<Entry>((a, b) => a.position < b.position)
  #unforgettableBytes = 0

  constructor(owner: ReturnedOwner) {
    this.#owner = owner
  }

  /** So much of that could not be forgotten when it was last tried: looking again for little more would be in vain. */
  get unforgettableBytes(): number {
    return this.#unforgettableBytes
  }

  /** Whether some of those on disk are being read. */
  get reading(): boolean {
    return this.forgotten.some(({ reading }) => reading)
  }

  /** The position of the first on disk; Infinity when there is none. */
  get forgottenFrom(): number {
    let first = Infinity
    for (const { from } of this.forgotten) if (from < first) first = from
    return first
  }

  /** When the first of those on disk expires, or earlier; Infinity when none does. */
  get storedDeadline(): number {
    let first = Infinity
    for (const { deadline } of this.forgotten) first = Math.min(first, deadline)
    return first
  }

  /** Has those on disk read that have expired by `now`. */
  expireStored(now: number): void {
    for (const forgotten of this.forgotten) if (forgotten.deadline <= now) forgotten.expire(now)
  }

  /** Takes in an entry. */
  push(entry: Entry): void {
    this.#resident.push(entry)
    this.bytes += footprint(entry)
  }

  /** Takes in an entry, and forgets others when they have become many. */
  pushAndForget(entry: Entry): void {
    // Before it comes what is to be read first, and by then memory may be wanted for that.
    const behind = this.bytes >= QUEUE_RESIDENT_BYTES && entry.position > this.forgottenFrom
    if (behind && !this.reading && this.#forgettable(entry)) {
      this.#drop(entry)
      return
    }
    this.push(entry)
    if (this.bytes > Math.max(QUEUE_RESIDENT_BYTES, this.#unforgettableBytes) * 2) this.#forget(QUEUE_RESIDENT_BYTES)
  }

  /** Takes in a message that is on disk in this log, and was there for long. */
  pushUnread(log: QueueLog, { position, bodyBytes, deadline }: UnreadMessage): void {
    this.#forgottenIn(log).add(position, bodyBytes, deadline)
  }

  /** The first that is in memory. */
  peek(): Entry | undefined {
    return this.#resident.peek()
  }

  pop(): Entry | undefined {
    const entry = this.#resident.pop()
    if (entry !== undefined) this.#resized(this.bytes - footprint(entry))
    return entry
  }

  /** All that are in memory, in no particular order. */
  [Symbol.iterator](): IterableIterator<Entry> {
    return this.#resident[Symbol.iterator]()
  }

  /** Lets go of those that are settled. */
  sweep(): void {
    this.#resident.retain((entry) => entry.state === EntryState.ready)
    let bytes = 0
    for (const entry of this.#resident) bytes += footprint(entry)
    this.#resized(bytes)
  }

  /** Drops from memory what is on disk, as far as it is more than about so many bytes. */
  shrink(keep: number): void {
    const stuck = this.#unforgettableBytes
    if (this.bytes - stuck > Math.max(keep, stuck >> 2)) this.#forget(keep)
  }

  /**
   * Has the first of those on disk read, when they come before this position, or when little is in memory. Returns
   * whether they do not.
   */
  readAhead(position: number, readAheadBytes: number): boolean {
    const from = this.forgottenFrom
    if (from < position || this.bytes < readAheadBytes) {
      this.forgotten.find((each) => each.from === from)?.read(readAheadBytes >> 1)
    }
    return from >= position
  }

  /** Drops what has nothing any more of what is on disk. */
  prune(): void {
    if (this.forgotten.length === 0) return
    this.forgotten = this.forgotten.filter(({ count, unreadableCount }) => count + unreadableCount > 0)
  }

  clear(): void {
    this.#resident.clear()
    this.forgotten = []
    this.#resized(0)
  }

  /** What becomes less also makes less of what could not be forgotten. */
  #resized(bytes: number): void {
    this.bytes = bytes
    if (bytes < this.#unforgettableBytes) this.#unforgettableBytes = bytes
  }

  /** Drops from memory what is on disk, the newest first, as far as it is more than this. */
  #forget(keep: number): void {
    // What is on disk only since a page is being read would be missed there.
    if (this.reading) return
    const entries = [...this.#resident].toSorted((a, b) => a.position - b.position)
    this.#resident.clear()
    this.bytes = 0
    for (const entry of entries) {
      if (this.bytes + footprint(entry) <= keep || !this.#forgettable(entry)) this.push(entry)
      else this.#drop(entry)
    }
    this.#unforgettableBytes = this.bytes > keep ? this.bytes : 0
  }

  #forgettable(entry: Entry): boolean {
    const written = entry.stored === Stored.written && entry.position < this.#owner.logOf(entry).durableBelow
    return written && entry.redelivered && entry.state === EntryState.ready
  }

  #drop(entry: Entry): void {
    const { position, message, details } = entry
    const deadline = details?.deadline ?? Infinity
    this.pushUnread(this.#owner.logOf(entry), { position, bodyBytes: message.bodyBytes, deadline })
    // Whoever still knows this entry has no business with it: it comes back as another one.
    if (details !== null) entry.state = EntryState.settled
  }

  #forgottenIn(log: QueueLog): Forgotten {
    let forgotten = this.forgotten.find((each) => each.log === log)
    if (forgotten === undefined) this.forgotten = [...this.forgotten, (forgotten = new Forgotten(log, this.#owner))]
    return forgotten
  }
}
