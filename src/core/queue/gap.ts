// The part of a backlog that is in a log only, and what has been read of it.
import { Fifo } from '../../lib/fifo.ts'
import { EXPIRY_READ_MS, EXPIRY_RETRY_MS, UNREADABLE_PAGES_MAX } from '../limits.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import { EntryState, type Entry } from './entry.ts'
import { StoredDeadlines } from './stored-deadlines.ts'
import { UnreadablePageError, type UnreadablePage } from './unreadable.ts'

/** What a gap does with what it has read. */
export interface GapOwner {
  /** It is known now what was in the log: so many messages more than the gap counted until then. */
  gapOpened(count: number, bytes: number): void
  restored(gap: Gap, stored: StoredMessage): Entry
  /** A message was taken out before it was read; the gap counts it no longer. */
  withdrawn(entry: Entry): void
  /** A message expired before it was read; the gap counts it no longer. */
  expiredUnread(entry: Entry): void
  /** A page could not be read, and is set aside; the gap counts it no longer, and goes on behind it. */
  setAside(error: UnreadablePageError): void
  /** A message of such a page could be read after all. */
  reread(gap: Gap, stored: StoredMessage): void
  /** Messages have arrived that were asked for, and follow. */
  gapArrives(): void
  /** Whether nothing has to come before what has arrived: then it is given to `append`, in order, and does not wait. */
  comesNext(gap: Gap): boolean
  append(entry: Entry): void
  /** A page was read, or could not be; the owner decides what is read next. */
  gapRead(error: unknown): void
}

/** Who takes single messages out. */
export interface Withdrawal {
  readonly wants: (entry: Entry) => boolean
  /** The message is out, and to be settled. */
  readonly taken: (entry: Entry) => void
}

/** Positions that are looked for in one read. */
const WITHDRAWN_AT_ONCE = 512

/** What a read was about. */
interface Asked {
  readonly generation: number
  readonly below: number
  readonly count: number
  readonly bytes: number
}

/**
 * What a log that is not open counts for, as it may hold messages: so that nothing overtakes them. That is as if a page
 * were being read.
 */
const UNKNOWN_COUNT = 1

/**
 * Messages from position `from` on and below `below`, of which `count` are still to be read, with bodies of `bytes`.
 * What has been read waits in `loaded` until everything before it is there: a queue that spills has two logs, which are
 * merged by position.
 */
export class Gap {
  readonly log: QueueLog
  readonly requeued = false
  from = 0
  below: number
  count = UNKNOWN_COUNT
  bytes = 0
  /** What of `count` stands for what is not known. */
  unknownCount = UNKNOWN_COUNT
  loaded = new Fifo<Entry>()
  readonly #deadlines = new StoredDeadlines()
  /** Pages that could not be read. They lie before the gap. */
  #aside: UnreadablePage[] = []

  readonly #owner: GapOwner
  #reading = true
  /** Whether the log was asked to be opened before others. */
  #hastened = false
  /** Changes when what is being read is no longer wanted. */
  #generation = 0

  constructor(log: QueueLog, owner: GapOwner) {
    this.log = log
    this.#owner = owner
    this.below = log.next
    if (log.opened) this.#open()
    else {
      const generation = this.#generation
      log.whenOpened(() => {
        if (generation === this.#generation) this.#opened()
        else this.#unwanted()
      })
    }
  }

  /** Takes over what was in the log. */
  #open(): void {
    const { recovered, recoveredDeadlines } = this.log
    this.from = recovered.first
    this.count += recovered.count - UNKNOWN_COUNT
    this.bytes += recovered.bodyBytes
    this.unknownCount = 0
    this.#reading = false
    for (const stretch of recoveredDeadlines) this.#deadlines.put(stretch)
  }

  #opened(): void {
    const { count, bytes } = this
    this.#open()
    this.#owner.gapOpened(this.count - count, this.bytes - bytes)
  }

  /** What the log held is not wanted any more; those who wait for it are to learn that. */
  #unwanted(): void {
    this.#reading = false
    this.#owner.gapRead(null)
  }

  /** Somebody wants what is in a log that is not open. */
  #hasten(): void {
    if (this.#hastened) return
    this.#hastened = true
    const failed = (error: Error): void => {
      this.#hastened = false
      this.#owner.gapRead(error)
    }
    this.log.whenOpened(() => undefined, failed)
  }

  /** Everything of this log that stands before this position has been read. */
  get frontier(): number {
    return this.count > 0 ? this.from : Infinity
  }

  get reading(): boolean {
    return this.#reading
  }

  /** Messages on pages that could not be read. */
  get unreadableCount(): number {
    return this.#aside.reduce((sum, { count }) => sum + count, 0)
  }

  /** Whether a message at this position, if the log has one, is still to be read. */
  holds(position: number): boolean {
    return this.count > 0 && position >= this.from && position < this.below
  }

  /** Takes in a message that was in memory, and is in the log. */
  add(position: number, bodyBytes: number, deadline: number): void {
    if (this.count === 0) this.from = position
    if (deadline !== Infinity) this.#deadlines.note(position, deadline, this.from)
    this.count++
    this.bytes += bodyBytes
    this.below = position + 1
  }

  /**
   * Takes in a message that stands before all of these, and behind what was set aside. Nothing is being read, and nothing
   * that was waits in `loaded`.
   */
  prepend(position: number, bodyBytes: number, deadline: number): void {
    if (this.count === 0) this.below = position + 1
    this.from = position
    if (deadline !== Infinity) this.#deadlines.note(position, deadline, position)
    this.count++
    this.bytes += bodyBytes
  }

  /** Reads the next page, or as many as take about so many bytes in memory, unless something is being read. */
  read(bytes: number): void {
    if (this.unknownCount > 0) this.#hasten()
    if (this.#reading) return
    this.#reading = true
    // What is added while it is read comes behind what was asked for.
    const asked = { generation: this.#generation, below: this.below, count: this.count, bytes: this.bytes }
    this.log.read(this.from, this.below, bytes).then(
      (messages) => this.#arrived(asked, messages),
      (error: unknown) => this.#unreadable(asked, error),
    )
  }

  /** Sets a page aside that cannot be read; anything else, and too many of them, is for the owner. */
  #unreadable({ generation }: Asked, error: unknown): void {
    this.#reading = false
    const single = error instanceof UnreadablePageError && this.#aside.length < UNREADABLE_PAGES_MAX
    if (!single || generation !== this.#generation) {
      this.#owner.gapRead(error)
      return
    }
    const { page } = error
    this.#aside.push(page)
    this.from = page.below
    this.count -= page.count
    this.lost += page.count
    // Once nothing is left, what the log took its size for is gone too.
    const bytes = this.count > 0 ? Math.min(page.bodyBytes, this.bytes) : this.bytes
    this.bytes -= bytes
    this.lostBytes += bytes
    this.#owner.setAside(error)
    this.#owner.gapRead(null)
  }

  /** Tries the pages again that could not be read, and tells the owner of their messages. Returns how many came. */
  async reread(): Promise<number> {
    let count = 0
    for (const page of [...this.#aside]) {
      const messages = await this.#readAgain(page)
      // It may have been discarded meanwhile.
      if (messages === null || !this.#aside.includes(page)) continue
      this.#aside = this.#aside.filter((other) => other !== page)
      for (const stored of messages) {
        const redelivered = stored.redelivered && stored.position < page.deliveredBelow
        this.#owner.reread(this, { ...stored, redelivered })
      }
      count += messages.length
    }
    return count
  }

  async #readAgain({ first, below }: UnreadablePage): Promise<readonly StoredMessage[] | null> {
    try {
      return await this.log.read(first, below)
    } catch (error) {
      if (error instanceof UnreadablePageError) return null
      throw error
    }
  }

  /** When the first of the messages that are still to be read expires; Infinity when none does, or one looks already. */
  get deadline(): number {
    return this.count === 0 || this.#reading ? Infinity : this.#deadlines.next(this.from)
  }

  /** Reads what holds the earliest deadline, and tells the owner of all that have expired by `now`. */
  expire(now: number): void {
    const stretch = this.#deadlines.take(this.from)
    const first = Math.max(stretch.first, this.from)
    this.#reading = true
    const generation = this.#generation
    this.log.read(first, Math.min(stretch.last + 1, this.below)).then(
      (messages) => this.#expireSome(messages, now, generation === this.#generation ? stretch.last : -1),
      (error: unknown) => {
        this.#reading = false
        this.#deadlines.put({ ...stretch, deadline: now + EXPIRY_RETRY_MS })
        this.#owner.gapRead(error)
      },
    )
  }

  /** Takes what was read up to position `last`; -1 when it is not wanted any more. */
  #expireSome(messages: readonly StoredMessage[], now: number, last: number): void {
    this.#reading = false
    if (last >= 0) this.#giveUpExpired(messages, now, last)
    this.#balance()
    this.#owner.gapRead(null)
  }

  #giveUpExpired(messages: readonly StoredMessage[], now: number, last: number): void {
    let next = Infinity
    for (const stored of messages) {
      if (stored.deadline > now) {
        next = Math.min(next, stored.deadline)
        continue
      }
      this.count--
      this.bytes -= stored.message.bodyBytes
      this.#owner.expiredUnread(this.#owner.restored(this, stored))
    }
    const read = messages.at(-1)?.position ?? last
    const first = messages[0]?.position ?? last
    if (next !== Infinity) this.#deadlines.put({ first, last: read, deadline: Math.max(next, now + EXPIRY_READ_MS) })
    if (read < last) this.#deadlines.put({ first: read + 1, last, deadline: now })
  }

  /** Takes messages out at these positions. Nothing else reads meanwhile: it would bring back what is taken out. */
  async withdraw(positions: readonly number[], withdrawal: Withdrawal): Promise<void> {
    const wanted = new Set(positions.filter((position) => this.holds(position)))
    if (wanted.size === 0) return
    const ordered = [...wanted].toSorted((a, b) => a - b)
    this.#reading = true
    const generation = this.#generation
    try {
      for (let first = 0; first < ordered.length && generation === this.#generation;) {
        const from = ordered[first]!
        const messages = await this.log.read(from, Math.min(ordered.at(-1)! + 1, from + WITHDRAWN_AT_ONCE))
        if (generation !== this.#generation) break
        for (const stored of messages) if (wanted.has(stored.position)) this.#withdrawOne(stored, withdrawal)
        const end = messages.at(-1)?.position ?? from
        while (first < ordered.length && ordered[first]! <= end) first++
      }
    } finally {
      this.#reading = false
      this.#balance()
      this.#owner.gapRead(null)
    }
  }

  #withdrawOne(stored: StoredMessage, { wants, taken }: Withdrawal): void {
    const generation = this.#generation
    const entry = this.#owner.restored(this, stored)
    if (!wants(entry) || generation !== this.#generation) {
      // It stays where it is; this entry stands for nothing.
      entry.state = EntryState.settled
      return
    }
    this.count--
    this.bytes -= stored.message.bodyBytes
    this.#owner.withdrawn(entry)
    taken(entry)
  }

  /** Forgets what it holds, and settles it in the log unread. Returns the entries that had been read. */
  discard(): Fifo<Entry> {
    if (this.count > 0) this.log.discard(this.from, this.below)
    for (const { first, below } of this.#aside) this.log.discard(first, below)
    const loaded = this.loaded
    this.forget()
    return loaded
  }

  /** Forgets what it holds: what is being read is not wanted any more. */
  forget(): void {
    this.count = 0
    this.bytes = 0
    this.unknownCount = 0
    this.loaded = new Fifo()
    this.#aside = []
    this.#deadlines.clear()
    this.#generation++
  }

  /** Messages that were set aside, by the log or here: they are no longer counted. Kept until asked. */
  lost = 0
  lostBytes = 0

  #arrived(asked: Asked, messages: readonly StoredMessage[]): void {
    this.#reading = false
    if (asked.generation === this.#generation) {
      if (messages.length > 0) this.#load(messages)
      else this.#lose(asked)
    }
    this.#owner.gapRead(null)
  }

  #load(messages: readonly StoredMessage[]): void {
    const owner = this.#owner
    owner.gapArrives()
    const direct = owner.comesNext(this)
    for (const stored of messages) {
      const entry = owner.restored(this, stored)
      if (direct) owner.append(entry)
      else this.loaded.push(entry)
      this.bytes -= stored.message.bodyBytes
    }
    this.from = messages.at(-1)!.position + 1
    this.count -= messages.length
    this.#balance()
  }

  /** The log may have taken the sizes of what it discarded unread for too much or too little: that shows at the end. */
  #balance(): void {
    if (this.count > 0) return
    this.lostBytes += this.bytes
    this.bytes = 0
  }

  /** Nothing is left of what was asked for. */
  #lose({ below, count, bytes }: Asked): void {
    this.from = below
    this.count -= count
    this.bytes -= bytes
    this.lost += count
    this.lostBytes += bytes
  }
}
