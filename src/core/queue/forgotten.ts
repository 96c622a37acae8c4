// Single messages that are on disk, and in memory no longer: requeued ones, and those that wait for their dead letters.
import { EXPIRY_READ_MS, EXPIRY_RETRY_MS, UNREADABLE_PAGES_MAX } from '../limits.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import { PositionDeadlines, type PositionChunk } from './position-deadlines.ts'
import { PositionSet } from './position-set.ts'
import { UnreadablePageError } from './unreadable.ts'

/** What is done with messages that were read again. */
export interface ForgottenOwner {
  /** A message is in memory again. */
  remembered(forgotten: Forgotten, stored: StoredMessage): void
  /** The same of one that had been set aside. */
  returned(forgotten: Forgotten, stored: StoredMessage): void
  /** The page of so many messages, with about so many bytes, cannot be read now: they are counted apart. */
  forgottenAside(error: UnreadablePageError, count: number, bytes: number): void
  /** What was read has arrived, or could not be read: so many messages, with about so many bytes, turned out to be damaged. */
  forgottenRead(error: unknown, lost: number, lostBytes: number): void
}

/** Positions that are looked for in one read. */
const RECALLED_AT_ONCE = 512

/** What a read is about. */
interface Wanted extends PositionChunk {
  /** What is read takes about so many bytes in memory; 0 for one page. */
  readonly bytes: number
  readonly wants: (position: number) => boolean
  /** Only those are wanted that have expired at this time, in milliseconds since 1970; Infinity for all. */
  readonly expiredAt: number
}

/**
 * Messages of one log that were dropped from memory, by position. Between them there are others that are not to be read,
 * such as those that are out with consumers: so each position counts, not a range of them.
 */
export class Forgotten {
  readonly log: QueueLog
  readonly requeued = true
  /** The bodies of the messages, in bytes. */
  bytes = 0
  readonly #owner: ForgottenOwner
  readonly #withheld: boolean
  readonly #positions = new PositionSet()
  readonly #deadlines = new PositionDeadlines()
  /** Those on pages that the disk did not give, and how many such pages there were. */
  readonly #aside = new PositionSet()
  #asidePages = 0
  /** Above every position that was ever in it. */
  #below = 0
  /** What is being read. */
  #current: Promise<unknown> | null = null
  /** Whether some are being looked through for what has expired. */
  #expiring = false
  /** Changes when what is being read is no longer wanted. */
  #generation = 0

  /** `withheld`: the log withholds them from those who do not ask for such. */
  constructor(log: QueueLog, owner: ForgottenOwner, withheld = false) {
    this.log = log
    this.#owner = owner
    this.#withheld = withheld
  }

  get count(): number {
    return this.#positions.size
  }

  /** The position of the first; Infinity when there is none. */
  get from(): number {
    return this.#positions.first
  }

  get below(): number {
    return this.#below
  }

  get reading(): boolean {
    return this.#current !== null
  }

  get unreadableCount(): number {
    return this.#aside.size
  }

  holds(position: number): boolean {
    return this.#positions.has(position)
  }

  /** When the first of them expires, or earlier; Infinity when none does, or one looks already. */
  get deadline(): number {
    return this.count === 0 || this.reading || this.#expiring ? Infinity : this.#deadlines.first
  }

  /** The first of the positions from this one on, so many at the most. */
  some(from: number, most: number): number[] {
    const found: number[] = []
    for (const position of this.#positions.from(from)) {
      if (found.length === most) break
      found.push(position)
    }
    return found
  }

  /**
   * Takes in a message that is on disk, and expires at this time, in milliseconds since 1970. It was there before anything
   * that is being read was asked for.
   */
  add(position: number, bodyBytes: number, deadline = Infinity): void {
    this.#positions.add(position)
    this.#deadlines.note(position, deadline)
    this.bytes += bodyBytes
    if (position >= this.#below) this.#below = position + 1
  }

  /** Reads the first of them, and more as long as that takes no more than about so many bytes in memory. */
  read(bytes: number): void {
    if (this.reading || this.count === 0) return
    void this.#read({ from: this.from, below: this.#below, bytes, wants: () => true, expiredAt: Infinity })
  }

  /** Reads some of those that have expired by `now`. They are in memory then, and it is up to the owner to let them go. */
  expire(now: number): void {
    const chunk = this.#deadlines.take()
    if (chunk !== null) void this.#expire(chunk, now)
  }

  async #expire(chunk: PositionChunk, now: number): Promise<void> {
    this.#expiring = true
    const below = Math.min(chunk.below, this.#below)
    const generation = this.#generation
    for (let next = chunk.from; next < below;) {
      while (this.#current !== null) await this.#current
      if (generation !== this.#generation) return
      next = await this.#read({ from: next, below, bytes: 0, wants: () => true, expiredAt: now })
    }
  }

  /** Reads those of these positions that it has, as far as the disk gives them. */
  async recall(positions: readonly number[]): Promise<void> {
    const wanted = new Set(positions)
    const ordered = positions.toSorted((a, b) => a - b)
    const below = ordered.at(-1)! + 1
    for (const position of ordered) {
      while (this.#current !== null) await this.#current
      if (!this.holds(position)) continue
      const end = Math.min(below, position + RECALLED_AT_ONCE)
      const wants = (each: number): boolean => wanted.has(each)
      const next = await this.#read({ from: position, below: end, bytes: 0, wants, expiredAt: Infinity })
      if (next === Infinity) return
    }
  }

  /** Tries the pages again that could not be read. Returns how many messages came. */
  async reread(): Promise<number> {
    const generation = this.#generation
    let count = 0
    let unreadableBelow = 0
    for (const position of [...this.#aside]) {
      if (position < unreadableBelow || !this.#aside.has(position)) continue
      const found = await this.#readPage(position)
      if (generation !== this.#generation) break
      if (found instanceof UnreadablePageError) {
        unreadableBelow = found.page.below
        continue
      }
      for (const stored of found) {
        if (!this.#aside.delete(stored.position)) continue
        count++
        this.#owner.returned(this, stored)
      }
      // What did not come is not there any more: the log has reported it.
      this.#aside.delete(position)
    }
    if (this.#aside.size === 0) this.#asidePages = 0
    return count
  }

  /** Forgets what it has, and settles it in the log unread. */
  discard(): void {
    for (const each of [this.#positions, this.#aside]) {
      for (const [first, last] of each.runs()) this.log.discard(first, last + 1)
    }
    this.forget()
  }

  /** Forgets what it has: what is being read is not wanted any more. */
  forget(): void {
    this.#positions.clear()
    this.#deadlines.clear()
    this.#aside.clear()
    this.#asidePages = 0
    this.bytes = 0
    this.#expiring = false
    this.#generation++
  }

  /** What the log has on the page of a position, from there on; or that it cannot be read. */
  async #readPage(position: number): Promise<readonly StoredMessage[] | UnreadablePageError> {
    try {
      return await this.#readLog(position, this.#below)
    } catch (error) {
      if (error instanceof UnreadablePageError) return error
      throw error
    }
  }

  #readLog(from: number, below: number, bytes?: number): Promise<readonly StoredMessage[]> {
    return this.#withheld ? this.log.readWithheld(from, below) : this.log.read(from, below, bytes)
  }

  /** Returns the position behind what was looked at; Infinity when that is of no use. */
  #read(wanted: Wanted): Promise<number> {
    const reading = this.#readNow(wanted)
    this.#current = reading
    return reading
  }

  async #readNow(wanted: Wanted): Promise<number> {
    const { from, below, bytes, wants, expiredAt } = wanted
    const generation = this.#generation
    let failure: unknown = null
    let lost = 0
    let lostBytes = 0
    let next = Infinity
    try {
      const messages = await this.#readLog(from, below, bytes)
      if (generation === this.#generation) {
        const kept = new Set<number>()
        for (const stored of messages) {
          const { position, message, deadline } = stored
          if (!wants(position) || !this.holds(position)) continue
          if (deadline > expiredAt) {
            kept.add(position)
            this.#deadlines.note(position, Math.max(deadline, expiredAt + EXPIRY_READ_MS))
            continue
          }
          this.#positions.delete(position)
          this.bytes -= message.bodyBytes
          this.#owner.remembered(this, stored)
        }
        // What was asked for and did not come is not there any more: the log has reported it.
        const end = messages.at(-1)?.position ?? below - 1
        ;({ count: lost, bytes: lostBytes } = this.#takeOut(from, end, (each) => wants(each) && !kept.has(each)))
        if (this.count === 0) this.#deadlines.clear()
        next = end + 1
      }
    } catch (error) {
      failure = error
      const single = error instanceof UnreadablePageError && this.#asidePages < UNREADABLE_PAGES_MAX
      if (single && generation === this.#generation) {
        this.#asidePages++
        const { first, below: end } = error.page
        const { count, bytes: asideBytes, positions } = this.#takeOut(first, end - 1, () => true)
        for (const position of positions) this.#aside.add(position)
        this.#owner.forgottenAside(error, count, asideBytes)
        failure = null
        next = end
      }
      if (failure !== null) this.#deadlines.note(from, expiredAt + EXPIRY_RETRY_MS)
    }
    this.#current = null
    if (expiredAt < Infinity) this.#expiring = next < below
    this.#owner.forgottenRead(failure, lost, lostBytes)
    return next
  }

  /** Takes out what is left between two positions, both included; how large those are is not known but on average. */
  #takeOut(
    first: number,
    last: number,
    wants: (position: number) => boolean,
  ): { count: number; bytes: number; positions: number[] } {
    const positions: number[] = []
    const before = this.count
    for (let position = first; position <= last && this.count > 0; position++) {
      if (wants(position) && this.#positions.delete(position)) positions.push(position)
    }
    const count = positions.length
    // Once nothing is left, so is nothing of what sizes were taken for too much or too little.
    const bytes = this.count === 0 ? this.bytes : count === 0 ? 0 : Math.round((this.bytes * count) / before)
    this.bytes -= bytes
    return { count, bytes, positions }
  }
}
