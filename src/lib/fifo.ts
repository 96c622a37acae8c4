// A first-in, first-out queue over a ring that grows and shrinks by doubling.

const CAPACITY_MIN = 16

/** The ring of all that had no item yet: there are thousands of them where there are many queues. */
const NO_RING: readonly undefined[] = new Array<undefined>(1).fill(undefined)

/** A queue of items in order of arrival; also opens at the front, for what comes back. */
export class Fifo<T> {
  #ring: (T | undefined)[] = NO_RING as undefined[]
  #mask = -1
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: T): void {
    if (this.#length > this.#mask) this.#grow()
    this.#ring[(this.#head + this.#length) & this.#mask] = item
    this.#length++
  }

  unshift(item: T): void {
    if (this.#length > this.#mask) this.#grow()
    this.#head = (this.#head - 1) & this.#mask
    this.#ring[this.#head] = item
    this.#length++
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & this.#mask
    this.#length--
    if (this.#length < this.#mask >> 3 && this.#mask >= CAPACITY_MIN * 2) this.#resize((this.#mask + 1) >> 1)
    return item
  }

  pop(): T | undefined {
    if (this.#length === 0) return undefined
    const index = (this.#head + --this.#length) & this.#mask
    const item = this.#ring[index]
    this.#ring[index] = undefined
    return item
  }

  /** The item `index` places behind the front. */
  at(index: number): T | undefined {
    return index >= 0 && index < this.#length ? this.#ring[(this.#head + index) & this.#mask] : undefined
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#ring[this.#head]
  }

  last(): T | undefined {
    return this.at(this.#length - 1)
  }

  clear(): void {
    this.#ring = NO_RING as undefined[]
    this.#mask = -1
    this.#head = 0
    this.#length = 0
  }

  #grow(): void {
    this.#resize(Math.max(CAPACITY_MIN, (this.#mask + 1) * 2))
  }

  #resize(capacity: number): void {
    const ring = new Array<T | undefined>(capacity).fill(undefined)
    for (let i = 0; i < this.#length; i++) ring[i] = this.#ring[(this.#head + i) & this.#mask]
    this.#ring = ring
    this.#mask = capacity - 1
    this.#head = 0
  }
}
