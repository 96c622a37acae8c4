// The ready messages of a queue, in order, as many of them in memory as it takes and no more.
import { Fifo } from '../../lib/fifo.ts'
import { Heap } from '../../lib/heap.ts'
import { ENTRY_OVERHEAD_BYTES, QUEUE_READ_AHEAD_BYTES, QUEUE_RESIDENT_BYTES } from '../limits.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import { Stored, type Entry } from './entry.ts'

/** What a backlog needs from its queue. */
export interface BacklogHost {
  /** Makes the entry of a message that was read back. */
  restored(stored: StoredMessage): Entry
  /** Messages that were on disk can be taken now. */
  backlogRead(): void
  /** A page could not be read. It is tried again when messages are next asked for. */
  backlogUnreadable(error: unknown): void
}

/**
 * Ready messages stand in this order, each part before the next:
 *
 *     returned        requeued ones, by position
 *     head            in memory
 *     gap             on disk only: positions from gapFrom on and below gapBelow, and the transient ones among them (kept)
 *     tail            in memory, newer than the gap; empty while there is no gap
 *
 * A queue with a long backlog has all of them; most have a head and nothing else. The gap is read back a page ahead of
 * the consumers, and the tail is dropped into the gap once it is on disk and too large.
 */
export class Backlog {
  /** Messages, and the bytes of their bodies. */
  count: number
  bytes: number
  /** What the messages that are in memory only cost there, about. */
  transientBytes = 0

  readonly #log: QueueLog | null
  readonly #host: BacklogHost
  readonly #returned = new Heap<Entry>((entry) => entry.position)
  #head = new Fifo<Entry>()
  #tail = new Fifo<Entry>()
  readonly #kept = new Fifo<Entry>()
  #headBytes = 0
  #tailBytes = 0
  #gapFrom: number
  #gapBelow: number
  #gapCount: number
  #reading = false
  /** Changes when what is being read is no longer wanted. */
  #generation = 0
  /** The head is looked at for what could be dropped when it is larger than this. */
  #splitAbove = QUEUE_RESIDENT_BYTES * 2
  #afterRead: (() => void)[] = []

  constructor(log: QueueLog | null, host: BacklogHost) {
    this.#log = log
    this.#host = host
    this.#gapFrom = log?.recovered.first ?? 0
    this.#gapBelow = log?.recovered.next ?? 0
    this.#gapCount = log?.recovered.count ?? 0
    this.count = this.#gapCount
    this.bytes = log?.recovered.bodyBytes ?? 0
  }

  /** Adds a message behind all others. */
  push(entry: Entry): void {
    this.#count(entry, 1)
    if (this.#gapCount === 0) {
      this.#append(entry)
      if (this.#headBytes > this.#splitAbove) this.#splitHead()
      return
    }
    this.#tail.push(entry)
    this.#tailBytes += footprint(entry)
    if (this.#tailBytes > QUEUE_RESIDENT_BYTES) this.#pageOut()
  }

  /** Puts a message that had been taken back to its place. */
  giveBack(entry: Entry): void {
    this.#returned.push(entry)
    this.#count(entry, 1)
  }

  /** Whether the next message is in memory. If not, or nearly not, it is being read from here on. */
  get available(): boolean {
    if (this.#gapCount > 0 && this.#headBytes < QUEUE_READ_AHEAD_BYTES) this.#read()
    return this.#returned.length > 0 || this.#head.length > 0
  }

  /** Takes the next message, if it is in memory. */
  take(): Entry | undefined {
    let entry = this.#returned.pop()
    if (entry === undefined) {
      entry = this.#head.shift()
      if (entry === undefined) return undefined
      this.#headBytes -= footprint(entry)
    }
    this.#count(entry, -1)
    return entry
  }

  /** Empties the backlog; `settle` is called for each message that is in memory, the log is told of the others. */
  clear(settle: (entry: Entry) => void): void {
    for (let entry = this.#returned.pop(); entry; entry = this.#returned.pop()) settle(entry)
    for (const part of [this.#head, this.#kept, this.#tail]) {
      for (let entry = part.shift(); entry; entry = part.shift()) settle(entry)
    }
    if (this.#gapCount > 0) this.#log!.discard(this.#gapFrom, this.#gapBelow)
    this.abandon()
    this.#gapCount = 0
    this.count = 0
    this.bytes = 0
    this.transientBytes = 0
    this.#headBytes = 0
    this.#tailBytes = 0
  }

  /** What is being read is not wanted any more. */
  abandon(): void {
    this.#generation++
  }

  /** Calls back when the page that is being read has arrived (or could not be read); at once when none is. */
  afterRead(callback: () => void): void {
    if (this.#reading) this.#afterRead.push(callback)
    else callback()
  }

  #count(entry: Entry, sign: 1 | -1): void {
    this.count += sign
    this.bytes += sign * entry.message.bodyBytes
    if (entry.stored === Stored.no) this.transientBytes += sign * footprint(entry)
  }

  #append(entry: Entry): void {
    this.#head.push(entry)
    this.#headBytes += footprint(entry)
  }

  /** The head has grown too large: what is on disk already of its newer part becomes the gap. */
  #splitHead(): void {
    if (this.#log === null || this.#kept.length > 0) return
    const tail = new Fifo<Entry>()
    let tailBytes = 0
    while (this.#headBytes - tailBytes > QUEUE_RESIDENT_BYTES) {
      const entry = this.#head.pop()!
      tail.unshift(entry)
      tailBytes += footprint(entry)
    }
    this.#headBytes -= tailBytes
    this.#tail = tail
    this.#tailBytes = tailBytes
    this.#gapFrom = tail.peek()!.position
    this.#gapBelow = this.#gapFrom
    this.#pageOut()
    this.#splitAbove = QUEUE_RESIDENT_BYTES * 2
    if (this.#gapCount > 0) return
    // Nothing of it is on disk yet. Look again when there is much more, not at every message.
    this.#closeGap()
    this.#splitAbove = this.#headBytes + QUEUE_RESIDENT_BYTES / 4
  }

  /** Drops from memory what the tail holds on disk, oldest first. Transient messages among it are kept aside. */
  #pageOut(): void {
    const log = this.#log!
    while (this.#tailBytes > QUEUE_RESIDENT_BYTES / 2) {
      const entry = this.#tail.peek()
      if (entry === undefined) break
      if (entry.stored === Stored.no) this.#kept.push(entry)
      else if (entry.position < log.durableBelow) this.#gapCount++
      else break
      this.#tail.shift()
      this.#tailBytes -= footprint(entry)
      this.#gapBelow = entry.position + 1
    }
  }

  #read(): void {
    if (this.#reading) return
    this.#reading = true
    const generation = this.#generation
    this.#log!.read(this.#gapFrom, this.#gapBelow).then(
      (messages) => {
        this.#reading = false
        if (generation === this.#generation) this.#arrived(messages)
        this.#tellReaders()
      },
      (error: unknown) => {
        this.#reading = false
        this.#host.backlogUnreadable(error)
        this.#tellReaders()
      },
    )
  }

  #arrived(messages: readonly StoredMessage[]): void {
    for (const stored of messages) {
      this.#moveKept(stored.position)
      this.#append(this.#host.restored(stored))
    }
    if (messages.length > 0) {
      this.#gapFrom = messages.at(-1)!.position + 1
      this.#gapCount -= messages.length
    } else {
      // The rest could not be read: what the log has set aside is counted no longer.
      this.count -= this.#gapCount
      this.#gapCount = 0
    }
    if (this.#gapCount === 0) this.#closeGap()
    this.#host.backlogRead()
  }

  /** Puts the transient messages that stand before `position` back into the head. */
  #moveKept(position: number): void {
    for (let kept = this.#kept.peek(); kept && kept.position < position; kept = this.#kept.peek()) {
      this.#append(this.#kept.shift()!)
    }
  }

  /** The gap has been read: the tail follows the head directly. */
  #closeGap(): void {
    this.#moveKept(Infinity)
    const tail = this.#tail
    if (this.#head.length === 0) {
      this.#tail = this.#head
      this.#head = tail
      this.#headBytes = this.#tailBytes
    } else {
      for (let entry = tail.shift(); entry; entry = tail.shift()) this.#append(entry)
    }
    this.#tailBytes = 0
  }

  #tellReaders(): void {
    const readers = this.#afterRead
    if (readers.length === 0) return
    this.#afterRead = []
    for (const reader of readers) reader()
  }
}

/** What an entry costs in memory, about. */
function footprint(entry: Entry): number {
  return entry.message.bodyBytes + ENTRY_OVERHEAD_BYTES
}
