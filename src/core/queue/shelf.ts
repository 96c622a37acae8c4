// Dead letters that nobody takes yet and that are on disk only: those of one log that wait for one reason.
import type { DeathReason } from '../counts.ts'
import { DEAD_LETTERS_AT_ONCE, QUEUE_READ_AHEAD_BYTES } from '../limits.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import type { Entry } from './entry.ts'
import { Forgotten, type ForgottenOwner } from './forgotten.ts'
import type { UnreadablePageError } from './unreadable.ts'

/** Who has shelves. */
export interface ShelfOwner {
  /** So many messages more are on its shelves, with so many bytes of bodies; less when that is negative. */
  shelfChanged(count: number, bodyBytes: number): void
  /** A message was read, and is on the shelf no longer. */
  recalled(shelf: Shelf, stored: StoredMessage): void
  /** Something cannot be read now: `reread` is to be called after a while. */
  shelfUnreadable(error: unknown): void
}

/** Messages that are tried in their order, again and again. What cannot be read is passed over until it is read again. */
export class Shelf implements ForgottenOwner {
  readonly log: QueueLog
  readonly reason: DeathReason
  /** Whether the log is one of what need not survive a restart. */
  readonly spilled: boolean
  readonly #owner: ShelfOwner
  readonly #forgotten: Forgotten
  /** The position from which on they are tried next. */
  #next = 0
  /** Whether the last read failed altogether: it is not a page, it is the disk. */
  #failing = false
  /** What the owner knows of. */
  #count = 0
  #bodyBytes = 0

  /** `withheld`: the log withholds them from those who do not ask for such. */
  constructor(log: QueueLog, reason: DeathReason, spilled: boolean, withheld: boolean, owner: ShelfOwner) {
    this.log = log
    this.reason = reason
    this.spilled = spilled
    this.#owner = owner
    this.#forgotten = new Forgotten(log, this, withheld)
  }

  get empty(): boolean {
    return this.#count === 0
  }

  /** Whether there is something to recall. */
  get readable(): boolean {
    return this.#forgotten.count > 0 && !this.#failing
  }

  get reading(): boolean {
    return this.#forgotten.reading
  }

  /** Messages that it waits for, before any of it is tried again. */
  get unreadableCount(): number {
    return this.#failing ? this.#count : this.#forgotten.unreadableCount
  }

  add({ position, message }: Entry): void {
    this.#forgotten.add(position, message.bodyBytes)
    this.#tell()
  }

  /** Reads the next of them, behind those of the last time. */
  async recall(): Promise<void> {
    const forgotten = this.#forgotten
    if (forgotten.count === 0) return
    const fitting = Math.floor(QUEUE_READ_AHEAD_BYTES / (forgotten.bytes / forgotten.count + 1))
    const most = Math.max(1, Math.min(fitting, DEAD_LETTERS_AT_ONCE))
    let positions = forgotten.some(this.#next, most)
    if (positions.length === 0) positions = forgotten.some(0, most)
    this.#next = positions.at(-1)! + 1
    await forgotten.recall(positions)
  }

  /** Tries again what could not be read. Returns how many messages came that had been set aside. */
  async reread(): Promise<number> {
    const count = this.#forgotten.unreadableCount > 0 ? await this.#forgotten.reread() : 0
    this.#tell()
    if (this.#failing) {
      this.#failing = false
      await this.recall()
    }
    return count
  }

  /** Forgets what it has: what is being read is not wanted any more. */
  forget(): void {
    this.#forgotten.forget()
    this.#tell()
  }

  remembered(_forgotten: Forgotten, stored: StoredMessage): void {
    this.#tell()
    this.#owner.recalled(this, stored)
  }

  returned(forgotten: Forgotten, stored: StoredMessage): void {
    this.remembered(forgotten, stored)
  }

  forgottenAside(error: UnreadablePageError): void {
    this.#tell()
    this.#owner.shelfUnreadable(error)
  }

  forgottenRead(error: unknown): void {
    // What turned out to be damaged the log has reported.
    this.#tell()
    if (error === null) return
    this.#failing = true
    this.#owner.shelfUnreadable(error)
  }

  #tell(): void {
    const { count, unreadableCount, bytes } = this.#forgotten
    this.#owner.shelfChanged(count + unreadableCount - this.#count, bytes - this.#bodyBytes)
    this.#count = count + unreadableCount
    this.#bodyBytes = bytes
  }
}
