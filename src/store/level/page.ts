// What the store knows in memory of a page: the entries of one log that share an index record.
import { Kind, mergedKey, positionKey } from './keys.ts'
import { PAGE_BYTES, PAGE_ENTRIES, PAGE_FRAGMENTS, PAGE_SPAN } from './tuning.ts'

/**
 * What the bodies of a page have together, before no more are added, also where they are kept apart: whoever reads the
 * page has all of them in memory.
 */
export const PAGE_BODIES_BYTES = PAGE_BYTES * 8

/**
 * What a page's entries have in other records than its own, as bits. It stays until the page is deleted, and goes with it:
 * so nobody has to know for each message what there is. The numbers are part of the format.
 */
export const Elsewhere = {
  /** Bodies, which other logs may have, too. */
  bodies: 0x01,
  /** How often messages were tried. */
  attempts: 0x02,
  /** Bodies with numbers of older formats, and they are counted. */
  olderBodies: 0x04,
} as const

/**
 * A page: neighbouring entries of a log, on disk as one or more fragments beside one index record.
 *
 * A set bit stands for a position that holds nothing any more, or never did. There are no bits as long as all positions
 * from the first to the last hold entries that are not settled.
 */
export class Page {
  readonly first: number
  last: number
  /** Entries that were stored, settled or not. */
  entries = 0
  /** Entries that are not settled. */
  live = 0
  /** The bodies of those, in bytes. */
  bodyBytes = 0
  /** The bodies of all that were added since the start, settled or not, in bytes. */
  addedBodyBytes = 0
  /** The size of the fragments. */
  bytes = 0
  bits: Uint8Array | null = null
  /** The first position of each fragment; null when there is one, which begins with the page. */
  fragments: number[] | null = null
  /** Whether its fragments are one value, under a key of its own. */
  merged = false
  /** What its entries have elsewhere, or may have: see `Elsewhere`. */
  elsewhere = 0
  /** The shared bodies of its entries; null when they are not in memory, or there are none. Kept by Bodies. */
  bodies: number[] | null = null
  /** The positions of messages that were tried; null when they are not in memory, or there are none. */
  tried: number[] | null = null
  /** Milliseconds since 1970: when the first and the last of the entries that expire do so; 0 when none does. */
  expiresFirst = 0
  expiresLast = 0
  /** Whether the index record is enlisted to be written again, or the page to be deleted. */
  dirty = false
  /** Whether there is an index record, be it of when the page was smaller. */
  indexed = false
  /** Whether no index record tells of all that the page has: then its log's record says from where on to look for it. */
  behind = false
  /** The batch that wrote the page's newest fragment. */
  serial = 0
  /** How much the store had written by then, in MiB. */
  writtenMiB = 0

  constructor(first: number) {
    this.first = first
    this.last = first - 1
  }

  get fragmentCount(): number {
    return this.fragments === null ? 1 : this.fragments.length
  }

  /** Whether the page has no room for a further fragment. */
  get full(): boolean {
    // What was merged has a key of its own, under which nothing is written again.
    if (this.merged || this.entries >= PAGE_ENTRIES || this.bytes >= PAGE_BYTES) return true
    return this.fragmentCount >= PAGE_FRAGMENTS || this.addedBodyBytes >= PAGE_BODIES_BYTES
  }

  /** Whether this position is near enough to the page's first. */
  spans(position: number): boolean {
    return position - this.first < PAGE_SPAN
  }

  /** Notes when an entry expires, in milliseconds since 1970. */
  expires(time: number): void {
    if (this.expiresFirst === 0 || time < this.expiresFirst) this.expiresFirst = time
    if (time > this.expiresLast) this.expiresLast = time
  }

  /** Notes that a fragment begins at this position. One that does not begin with the page has others before it. */
  beginFragment(position: number): void {
    if (position === this.first) return
    if (this.fragments === null) this.fragments = [this.first]
    this.fragments.push(position)
  }

  /** Notes an entry that is being stored. Positions between the last one and this one hold nothing. */
  add(position: number, bodyBytes: number): void {
    for (let gap = this.last + 1; gap < position; gap++) this.#set(gap)
    this.last = position
    this.entries++
    this.live++
    this.bodyBytes += bodyBytes
    this.addedBodyBytes += bodyBytes
  }

  /** Whether a position holds nothing any more. */
  settled(position: number): boolean {
    const bits = this.bits
    if (bits === null) return false
    const offset = position - this.first
    return offset >> 3 < bits.length && (bits[offset >> 3]! & (1 << (offset & 7))) !== 0
  }

  /** Settles one entry. Returns whether it was not settled before. */
  settle(position: number, bodyBytes: number): boolean {
    if (this.settled(position)) return false
    this.#set(position)
    this.live--
    // After a range was settled the sum is an estimate, and may have been too low.
    this.bodyBytes = Math.max(0, this.bodyBytes - bodyBytes)
    return true
  }

  /**
   * Settles the entries from one position to below another, all of them unread. How large their bodies are is not
   * known: they count as large as the average. Returns how many were not settled before.
   */
  settleRange(from: number, below: number): number {
    const before = this.live
    if (before === 0) return 0
    if (from <= this.first && below > this.last) {
      this.live = 0
      this.bodyBytes = 0
      return before
    }
    const end = Math.min(below, this.last + 1)
    for (let position = Math.max(from, this.first); position < end; position++) {
      if (this.settled(position)) continue
      this.#set(position)
      this.live--
    }
    this.bodyBytes = Math.round((this.bodyBytes * this.live) / before)
    return before - this.live
  }

  /** Whether something between two positions, the second excluded, is not settled. */
  holds(from: number, below: number): boolean {
    if (this.live === 0) return false
    for (let position = from; position < below; position++) if (!this.settled(position)) return true
    return false
  }

  /** The first position that holds an entry which is not settled; `last + 1` when there is none. */
  firstLive(): number {
    if (this.live === 0) return this.last + 1
    let position = this.first
    while (this.settled(position)) position++
    return position
  }

  #set(position: number): void {
    const offset = position - this.first
    const index = offset >> 3
    if (this.bits === null) this.bits = new Uint8Array(Math.max(index + 1, (this.last - this.first + 8) >> 3))
    else if (index >= this.bits.length) this.#grow(index + 1)
    this.bits[index]! |= 1 << (offset & 7)
  }

  #grow(length: number): void {
    const bits = new Uint8Array(Math.max(length, this.bits!.length * 2))
    bits.set(this.bits!)
    this.bits = bits
  }
}

/** The keys of a page's fragments, or of those that begin at these positions. */
export function fragmentKeys(
  log: number,
  page: Page,
  firsts: readonly number[] = page.fragments ?? [page.first],
): Buffer[] {
  if (page.merged) return [mergedKey(log, page.first)]
  return firsts.map((first) => positionKey(Kind.fragment, log, first))
}
