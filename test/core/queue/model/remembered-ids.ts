// The ids by which a queue or an exchange knows duplicates, and what of them the disk knows.
import { NEVER, type Moment } from './moment.ts'
import type { Deduplication } from './rules.ts'

/** An id that is remembered, or was. */
export interface Remembered<First> {
  readonly unique: number
  /** What it came with. */
  readonly first: First
  /** Whether it is to survive a restart. */
  readonly kept: boolean
  /** The clock's time at which it is forgotten. */
  readonly until: number
  readonly at: Moment
  forgottenAt: Moment
}

export class RememberedIds<First> {
  readonly #rules: Deduplication | null
  /** In the order in which they came. */
  #ids: Remembered<First>[] = []

  /** Without rules nothing is remembered. */
  constructor(rules: Deduplication | null) {
    this.#rules = rules
  }

  /** How many there are; null when that depends on when somebody looks. */
  get count(): number | null {
    return this.#rules !== null && this.#rules.ttlMs >= 0 ? null : this.#known.length
  }

  /** That of which another would be a duplicate now. */
  find(unique: number, time: number): Remembered<First> | null {
    return this.#known.find((known) => known.unique === unique && known.until > time) ?? null
  }

  /** Something was taken: another one with its id is a duplicate from now on. An id of 0 is none. */
  add(unique: number, first: First, kept: boolean, time: number, now: Moment): Remembered<First> | null {
    if (this.#rules === null || unique === 0) return null
    const { size, ttlMs } = this.#rules
    const until = ttlMs < 0 ? NEVER : time + ttlMs
    for (const known of this.#known) if (known.until <= time || known.unique === unique) known.forgottenAt = now
    for (const known of this.#known.slice(0, size === null ? 0 : -(size - 1) || undefined)) known.forgottenAt = now
    const remembered = { unique, first, kept, until, at: now, forgottenAt: NEVER }
    this.#ids.push(remembered)
    return remembered
  }

  /** What an id came with is there no more. */
  forget(first: First, now: Moment): void {
    for (const known of this.#known) if (known.first === first) known.forgottenAt = now
  }

  forgetAll(now: Moment): void {
    for (const known of this.#known) known.forgottenAt = now
  }

  /** Keeps what a restart that remembers everything up to a moment finds. */
  restart(known: Moment): void {
    this.#ids = this.#ids.filter(({ kept, at, forgottenAt }) => kept && at <= known && forgottenAt > known)
    for (const remembered of this.#ids) remembered.forgottenAt = NEVER
  }

  get #known(): Remembered<First>[] {
    return this.#ids.filter(({ forgottenAt }) => forgottenAt === NEVER)
  }
}
