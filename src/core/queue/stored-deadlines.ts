// When messages expire that are on disk only: known by stretches of positions, not one by one.
import { Heap } from '../../lib/heap.ts'
import type { ExpiringStretch } from '../ports.ts'

/** Positions that one stretch covers: about a page of the store, which is what must be read to expire some of it. */
const STRETCH_POSITIONS = 512

const COMPACT_FROM = 64

interface Stretch extends ExpiringStretch {
  first: number
  last: number
  deadline: number
}

/** The stretches of a gap in which something expires, the earliest first. */
export class StoredDeadlines {
  readonly #stretches = new Heap<ExpiringStretch>((a, b) => a.deadline < b.deadline)
  /** The one that grows. */
  #open: Stretch | null = null
  #compactAbove = COMPACT_FROM

  /** Takes note of a message behind all others, or before them. */
  note(position: number, deadline: number, from: number): void {
    const open = this.#open
    if (open !== null && position - open.first < STRETCH_POSITIONS && open.last - position < STRETCH_POSITIONS) {
      open.first = Math.min(open.first, position)
      open.last = Math.max(open.last, position)
      open.deadline = Math.min(open.deadline, deadline)
      return
    }
    if (open !== null) this.put(open)
    this.#open = { first: position, last: position, deadline }
    if (this.#stretches.length > this.#compactAbove) this.#compact(from)
  }

  put(stretch: ExpiringStretch): void {
    this.#stretches.push(stretch)
  }

  /** When the first message at position `from` or behind it expires; Infinity when none does. */
  next(from: number): number {
    let first = this.#stretches.peek()
    for (; first !== undefined && first.last < from; first = this.#stretches.peek()) this.#stretches.pop()
    const open = this.#open === null || this.#open.last < from ? Infinity : this.#open.deadline
    return Math.min(first?.deadline ?? Infinity, open)
  }

  /** Takes out the stretch of which `next` told. */
  take(from: number): ExpiringStretch {
    const next = this.next(from)
    const open = this.#open
    if (open === null || open.deadline !== next) return this.#stretches.pop()!
    this.#open = null
    return open
  }

  clear(): void {
    this.#stretches.clear()
    this.#open = null
    this.#compactAbove = COMPACT_FROM
  }

  /** Forgets what has been read meanwhile. */
  #compact(from: number): void {
    this.#stretches.retain((stretch) => stretch.last >= from)
    this.#compactAbove = Math.max(COMPACT_FROM, this.#stretches.length * 2)
  }
}
