// What the backlogs of all queues may keep in memory together.
import {
  BACKLOGS_STORED_BYTES,
  BACKLOGS_SWEEP_BYTES,
  BACKLOGS_SWEEP_COUNT,
  BACKLOGS_TRANSIENT_BYTES,
  BACKLOG_SHARE_BYTES_MIN,
  QUEUE_READ_AHEAD_BYTES,
  TIGHT_DIVISOR,
} from '../limits.ts'

/** A backlog, as its budget sees it. */
export interface Resident {
  /**
   * Drops from memory what is on disk, but for about a share of so many bytes when somebody has taken messages since it
   * was last asked. `spill`: transient messages are to be written, so that they can be dropped as well. Returns whether
   * anything is left in memory.
   */
  shrink(shareBytes: number, spill: boolean): boolean
}

/**
 * Counts what backlogs keep in memory. When that is too much, each growth by some hundred KiB pays for a few of them that
 * are looked at, in turn: those that nobody takes messages from keep nothing that is on disk, the others their share. So
 * it takes no timer, holds nobody up, and lets go of memory faster than it fills.
 */
export class ResidentBudget {
  readonly #memory: { readonly tight: boolean }
  /** Those that may have something in memory, in the order in which they are looked at. */
  readonly #residents = new Set<Resident>()
  #storedBytes = 0
  #transientBytes = 0
  /** Growth since backlogs were last looked at, while there is too much. */
  #grown = 0

  /** `memory` says whether the process is short of it, and backlogs should keep less. */
  constructor(memory: { readonly tight: boolean }) {
    this.#memory = memory
  }

  /** Whether the process is short of memory. */
  get tight(): boolean {
    return this.#memory.tight
  }

  /** What messages that are on disk, or on their way there, take in memory, about. */
  get storedBytes(): number {
    return this.#storedBytes
  }

  /** The same of those that are in memory only. */
  get transientBytes(): number {
    return this.#transientBytes
  }

  /**
   * Below so much in memory a backlog reads its next page, if it wants so much: no more than half its share, or what there
   * is room for. Otherwise it would have others drop what they would read again, as they would have it.
   */
  readAheadBytes(wantedBytes: number): number {
    const halfShareBytes = this.#shareBytes >> 1
    const roomBytes = BACKLOGS_STORED_BYTES - this.#storedBytes
    if (roomBytes >= 0 && !this.#memory.tight) return Math.min(wantedBytes, Math.max(halfShareBytes, roomBytes))
    return Math.min(QUEUE_READ_AHEAD_BYTES, halfShareBytes)
  }

  /** A backlog that was empty has something in memory. */
  enter(resident: Resident): void {
    this.#residents.add(resident)
  }

  /** A backlog is no more. */
  leave(resident: Resident): void {
    this.#residents.delete(resident)
  }

  /** What this backlog has in memory has changed by so much. Others are perhaps asked to keep less, itself is not. */
  changed(resident: Resident, storedBytes: number, transientBytes: number): void {
    this.#storedBytes += storedBytes
    this.#transientBytes += transientBytes
    const growth = storedBytes + transientBytes
    if (growth <= 0 || !this.#exceeded) return
    this.#grown += growth
    if (this.#grown > BACKLOGS_SWEEP_BYTES) this.#sweep(resident)
  }

  /** Memory is tight: some backlogs are looked at, also if none of them grows. */
  relieve(): void {
    if (this.#exceeded) this.#sweep(null)
  }

  get #exceeded(): boolean {
    return this.#storedBytes > this.#storedLimit || this.#transientBytes > this.#transientLimit
  }

  get #storedLimit(): number {
    return this.#memory.tight ? BACKLOGS_STORED_BYTES / TIGHT_DIVISOR : BACKLOGS_STORED_BYTES
  }

  get #transientLimit(): number {
    return this.#memory.tight ? BACKLOGS_TRANSIENT_BYTES / TIGHT_DIVISOR : BACKLOGS_TRANSIENT_BYTES
  }

  /** What each that is consumed may keep. */
  get #shareBytes(): number {
    return Math.max(BACKLOG_SHARE_BYTES_MIN, Math.floor(this.#storedLimit / Math.max(1, this.#residents.size)))
  }

  /** Looks at some backlogs, and not at further ones when enough was let go of for now. */
  #sweep(growing: Resident | null): void {
    // What they let go of is told as well.
    this.#grown = -Infinity
    const enough = this.#storedBytes - BACKLOGS_SWEEP_BYTES * 4
    const share = this.#shareBytes
    let looks = Math.min(BACKLOGS_SWEEP_COUNT, this.#residents.size)
    for (const resident of this.#residents) {
      if (looks-- === 0 || !this.#exceeded || this.#storedBytes < enough) break
      this.#residents.delete(resident)
      const spill = this.#transientBytes > this.#transientLimit
      if (resident === growing || resident.shrink(share, spill)) this.#residents.add(resident)
    }
    this.#grown = 0
  }
}
