// Messages that were given back, and wait before they are delivered again.
import type { Clock, Timer } from '../../lib/clock.ts'
import { Heap } from '../../lib/heap.ts'
import { RETRIES_AT_ONCE, RETRIES_RESIDENT_BYTES, TIGHT_DIVISOR, TIMER_MS_MAX } from '../limits.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import type { BacklogParts } from './browse.ts'
import { EntryState, footprint, Stored, type Entry } from './entry.ts'
import type { Resident, ResidentBudget } from './resident-budget.ts'
import type { UnreadMessage } from './returned.ts'
import type { QueueRules } from './rules.ts'
import { UnreadRetries } from './unread-retries.ts'

/** Positions that are looked for in one read. */
const WITHDRAWN_AT_ONCE = 512

/** What retries need around them. */
export interface RetriesContext {
  readonly clock: Clock
  /** Counts what is in memory, and has some of it let go. */
  readonly residentBudget: ResidentBudget
}

/** What they need from their queue. */
export interface RetriesHost {
  /** The log that an entry is in. */
  logOf(entry: Entry): QueueLog
  /** Makes the entry of a message that was read back from this log. */
  restoredFrom(log: QueueLog, stored: StoredMessage): Entry
  /** The time of a message has come that is in this log, and not in memory. */
  giveBackUnread(log: QueueLog, unread: UnreadMessage): void
  /** The time of these has come too, if there are any; that was all for now. */
  readyAgain(entries: readonly Entry[]): void
}

/** A message, and when it is ready again, in milliseconds since 1970. */
interface Waiting {
  readonly entry: Entry
  readonly dueAt: number
}

/** How long a message that was tried so often waits (RabbitMQ: x-delayed-retry-*): longer each time, up to a limit. */
export function retryDelayMs(rules: QueueRules, failed: boolean, attempts: number): number {
  const { delayedRetry, retryMinMs, retryMaxMs } = rules
  const wanted = delayedRetry === 'all' || delayedRetry === (failed ? 'failed' : 'returned')
  return wanted ? Math.min(retryMinMs * Math.max(attempts, 1), retryMaxMs) : 0
}

/**
 * They are neither ready nor with anybody. Some of them are in memory, and of those that are on disk and further away in
 * time nothing but the positions and the times: when they are due they are ready as such, and read with the others. One
 * timer, set to the first of all.
 */
export class Retries implements Resident {
  readonly #clock: Clock
  readonly #budget: ResidentBudget
  readonly #host: RetriesHost
  readonly #heap = new Heap<Waiting>(sooner)
  /** What those in memory cost there, about, and those of them that are on disk or on their way there. */
  residentBytes = 0
  #storedBytes = 0
  /** What must be in memory before it is looked again for what need not be. */
  #sweepAbove = 0
  #unread: readonly UnreadRetries[] = []
  /** What the budget knows of, and whether it knows of these retries at all. */
  #countedBytes = 0
  #resident = false
  #timer: Timer | null = null
  #timerAt = Infinity

  constructor({ clock, residentBudget }: RetriesContext, host: RetriesHost) {
    this.#clock = clock
    this.#budget = residentBudget
    this.#host = host
  }

  get count(): number {
    return this.#unread.reduce((count, part) => count + part.count, this.#heap.length)
  }

  /** Where all of them are, for who wants to look. */
  get parts(): Omit<BacklogParts, 'presented'> {
    return { returned: Array.from(this.#heap, ({ entry }) => entry), lines: [], gaps: this.#unread }
  }

  /** Takes out those of these positions that `take` says yes to. Rejects when some of them cannot be read. */
  async withdraw(positions: readonly number[], take: (entry: Entry) => boolean): Promise<void> {
    const wanted = new Set(positions)
    if (this.#heap.length > 0) {
      this.#heap.retain(({ entry }) => !wanted.has(entry.position) || !take(entry))
      this.#recount()
    }
    for (const part of this.#unread) await this.#withdrawUnread(part, wanted, take)
    this.#tidy()
  }

  /** Keeps a message until then, in milliseconds since 1970. */
  add(entry: Entry, dueAt: number): void {
    if (!entry.message.released || !this.#forget({ entry, dueAt })) this.#push({ entry, dueAt })
    if (this.residentBytes > Math.max(this.#limit, this.#sweepAbove)) this.#sweep(this.#limit >> 1)
    this.#tell()
    this.#arm()
  }

  shrink(): boolean {
    this.#sweep(0)
    this.#tell()
    this.#resident = this.#heap.length > 0
    return this.#resident
  }

  /** Forgets all of them: the queue goes, or the broker stops. */
  stop(): void {
    this.#timer?.cancel()
    this.#heap.clear()
    for (const part of this.#unread) part.clear()
    this.#unread = []
    this.#recount()
    this.#budget.leave(this)
  }

  get #limit(): number {
    return this.#budget.tight ? RETRIES_RESIDENT_BYTES / TIGHT_DIVISOR : RETRIES_RESIDENT_BYTES
  }

  #arm(): void {
    let first = this.#heap.peek()?.dueAt ?? Infinity
    for (const { due } of this.#unread) first = Math.min(first, due.first)
    if (first >= this.#timerAt) return
    this.#timer?.cancel()
    this.#timerAt = first
    const delay = Math.min(Math.max(first - this.#clock.now(), 0), TIMER_MS_MAX)
    this.#timer = this.#clock.after(delay, this.#fire)
  }

  readonly #fire = (): void => {
    this.#timerAt = Infinity
    const now = this.#clock.now()
    const entries: Entry[] = []
    // Many that are due at once must not keep everybody else waiting.
    let left = RETRIES_AT_ONCE
    for (let first = this.#heap.peek(); left > 0 && first && first.dueAt <= now; first = this.#heap.peek()) {
      entries.push(this.#pop().entry)
      left--
    }
    for (const part of this.#unread) {
      for (; left > 0 && part.due.first <= now; left--) {
        const unread = part.due.pop()
        if (part.delete(unread.position)) this.#host.giveBackUnread(part.log, unread)
      }
    }
    this.#tidy()
    this.#tell()
    this.#arm()
    this.#host.readyAgain(entries)
  }

  /** Drops from memory what is on disk, the last first, as far as it is more than this. */
  #sweep(keep: number): void {
    const all = [...this.#heap].toSorted((a, b) => (sooner(a, b) ? -1 : 1))
    this.#heap.clear()
    this.#recount()
    for (const waiting of all) {
      if (this.residentBytes + footprint(waiting.entry) <= keep || !this.#forget(waiting)) this.#push(waiting)
    }
    // What could not be dropped is not looked at again and again.
    this.#sweepAbove = this.residentBytes > keep ? this.residentBytes * 2 : 0
  }

  /** Drops a message from memory, if it is on disk. */
  #forget({ entry, dueAt }: Waiting): boolean {
    if (entry.stored !== Stored.written) return false
    const log = this.#host.logOf(entry)
    const { position, message, details } = entry
    if (position >= log.durableBelow) return false
    let part = this.#unread.find((each) => each.log === log)
    if (part === undefined) this.#unread = [...this.#unread, (part = new UnreadRetries(log))]
    part.add(dueAt, { position, bodyBytes: message.bodyBytes, deadline: details?.deadline ?? Infinity })
    // Whoever still knows this entry has no business with it: it comes back as another one.
    entry.state = EntryState.settled
    return true
  }

  async #withdrawUnread(
    part: UnreadRetries,
    wanted: ReadonlySet<number>,
    take: (entry: Entry) => boolean,
  ): Promise<void> {
    const ordered = [...wanted].filter((position) => part.holds(position)).toSorted((a, b) => a - b)
    for (let next = 0; next < ordered.length;) {
      const from = ordered[next]!
      const below = Math.min(ordered.at(-1)! + 1, from + WITHDRAWN_AT_ONCE)
      const messages = await part.log.read(from, below)
      for (const stored of messages) if (wanted.has(stored.position)) this.#withdrawOne(part, stored, take)
      const end = messages.at(-1)?.position ?? below - 1
      while (next < ordered.length && ordered[next]! <= end) next++
    }
  }

  #withdrawOne(part: UnreadRetries, stored: StoredMessage, take: (entry: Entry) => boolean): void {
    // Its time may have come while it was read.
    if (!part.holds(stored.position)) return
    const entry = this.#host.restoredFrom(part.log, { ...stored, redelivered: true })
    entry.state = EntryState.unacked
    if (take(entry)) part.delete(stored.position)
    // It stays where it is; this entry stands for nothing.
    else entry.state = EntryState.settled
  }

  #push(waiting: Waiting): void {
    const { entry } = waiting
    this.#heap.push(waiting)
    this.residentBytes += footprint(entry)
    if (entry.stored !== Stored.no) this.#storedBytes += footprint(entry)
  }

  /** Takes out the first of those in memory. There is one. */
  #pop(): Waiting {
    const waiting = this.#heap.pop()!
    const { entry } = waiting
    this.residentBytes -= footprint(entry)
    if (entry.stored !== Stored.no) this.#storedBytes -= footprint(entry)
    return waiting
  }

  #recount(): void {
    this.residentBytes = 0
    this.#storedBytes = 0
    for (const { entry } of this.#heap) {
      this.residentBytes += footprint(entry)
      if (entry.stored !== Stored.no) this.#storedBytes += footprint(entry)
    }
    this.#tell()
  }

  /** Lets go of what holds nothing any more. */
  #tidy(): void {
    if (this.#unread.some(({ count }) => count === 0)) this.#unread = this.#unread.filter(({ count }) => count > 0)
  }

  /** Tells the budget what has changed, but for what it could not have let go of anyway. */
  #tell(): void {
    const change = this.#storedBytes - this.#countedBytes
    this.#countedBytes = this.#storedBytes
    if (!this.#resident && this.#storedBytes > 0) {
      this.#resident = true
      this.#budget.enter(this)
    }
    this.#budget.changed(this, change, 0)
  }
}

function sooner(a: Waiting, b: Waiting): boolean {
  return a.dueAt === b.dueAt ? a.entry.position < b.entry.position : a.dueAt < b.dueAt
}
