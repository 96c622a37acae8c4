// The ids that one queue or exchange remembers: in memory for the looking up, in the store for the next start.
import type { IdLog, Publisher, SeenId } from '../ports.ts'

/**
 * A window over ids in the order in which they came. It never holds more than its size. Expired ones go when they are
 * met, and from the front whenever one is added.
 */
export class SeenIds {
  readonly #log: IdLog | null
  readonly #ids = new Map<string, SeenId>()
  #size: number
  #nextOrder = 0

  /** Without a log nothing is remembered over a restart. */
  constructor(log: IdLog | null, size: number) {
    this.#log = log
    this.#size = size
    for (const seen of log?.recovered() ?? []) {
      this.#ids.set(seen.id, seen)
      this.#nextOrder = seen.order + 1
    }
    this.#fit(size)
  }

  /** Ids that are remembered, expired ones among them. */
  get count(): number {
    return this.#ids.size
  }

  /** Above the order of every id that it was given or has found in its log. */
  get nextOrder(): number {
    return this.#nextOrder
  }

  set size(size: number) {
    this.#size = size
    this.#fit(size)
  }

  has(id: string, now: number): boolean {
    const seen = this.#ids.get(id)
    if (seen === undefined) return false
    if (seen.until > now) return true
    this.#remove(seen)
    return false
  }

  /** Remembers an id; with `kept` over a restart. The publisher is told when that is safe. */
  add(seen: SeenId, now: number, kept: boolean, publisher: Publisher | null, sequence: number): void {
    for (const [, first] of this.#ids) {
      if (first.until > now) break
      this.#remove(first)
    }
    const known = this.#ids.get(seen.id)
    if (known !== undefined) this.#remove(known)
    this.#fit(this.#size - 1)
    this.#ids.set(seen.id, seen)
    this.#nextOrder = seen.order + 1
    if (kept && this.#log !== null) this.#log.keep(seen, publisher, sequence)
    else publisher?.accepted(sequence)
  }

  /** A duplicate came: its publisher is told when the first is as safe as it will be. */
  follow(publisher: Publisher, sequence: number): void {
    if (this.#log === null) publisher.accepted(sequence)
    else this.#log.follow(publisher, sequence)
  }

  /** Forgets an id, if it is remembered under this order. */
  remove(id: string, order: number): void {
    const seen = this.#ids.get(id)
    if (seen !== undefined && seen.order === order) this.#remove(seen)
  }

  /** Forgets those of these orders, both included. */
  removeBetween(first: number, last: number): void {
    for (const seen of this.#ids.values()) if (seen.order >= first && seen.order <= last) this.#remove(seen)
  }

  /** Forgets all of them. */
  clear(): void {
    for (const seen of this.#ids.values()) this.#log?.forget(seen.order)
    this.#ids.clear()
  }

  /** Forgets all of them, for good. */
  drop(): void {
    this.#ids.clear()
    this.#log?.drop()
  }

  #fit(size: number): void {
    if (this.#ids.size <= size) return
    for (const seen of this.#ids.values()) {
      this.#remove(seen)
      if (this.#ids.size <= size) return
    }
  }

  #remove(seen: SeenId): void {
    this.#ids.delete(seen.id)
    this.#log?.forget(seen.order)
  }
}
