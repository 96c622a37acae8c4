// Messages that wait for their time, and of which nothing but that is in memory.
import type { UnreadMessage } from './returned.ts'

/** The numbers that are kept of each: due at, position, bytes of the body, deadline. */
const FIELDS = 4

const LENGTH_FIRST = 64
/** By how much there is more room than is used when there is none left: some of it is always empty. */
const GROWTH = 1.5
/** Where there is room for so many times as many as there are, some of it is given back. */
const SPARE_MAX = 4

/** A heap in numbers, at 32 bytes a message: the first that is due comes out first, and of those the lowest position. */
export class DuePositions {
  length = 0
  #numbers = new Float64Array(LENGTH_FIRST * FIELDS)

  /** How many it has room for. */
  get room(): number {
    return this.#numbers.length / FIELDS
  }

  /** When the first is due, in milliseconds since 1970; Infinity when there is none. */
  get first(): number {
    return this.length === 0 ? Infinity : this.#numbers[0]!
  }

  /** Takes in a message that is due at this time, in milliseconds since 1970. */
  push(dueAt: number, { position, bodyBytes, deadline }: UnreadMessage): void {
    this.#reserve(this.length + 1)
    let index = this.length++
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!this.#before(dueAt, position, parent)) break
      this.#move(parent, index)
      index = parent
    }
    const numbers = this.#numbers
    const at = index * FIELDS
    numbers[at] = dueAt
    numbers[at + 1] = position
    numbers[at + 2] = bodyBytes
    numbers[at + 3] = deadline
  }

  /** Takes the first out. There is one. */
  pop(): UnreadMessage {
    const numbers = this.#numbers
    const first = { position: numbers[1]!, bodyBytes: numbers[2]!, deadline: numbers[3]! }
    const last = --this.length
    const [dueAt, position] = [numbers[last * FIELDS]!, numbers[last * FIELDS + 1]!]
    let index = 0
    for (;;) {
      let child = index * 2 + 1
      if (child >= last) break
      if (child + 1 < last && this.#sooner(child + 1, child)) child++
      if (this.#before(dueAt, position, child)) break
      this.#move(child, index)
      index = child
    }
    this.#move(last, index)
    if (this.room > Math.max(last * SPARE_MAX, LENGTH_FIRST))
      this.#resize(Math.max(Math.ceil(last * GROWTH), LENGTH_FIRST))
    return first
  }

  /** Whether a message that is due then stands before the one at an index. */
  #before(dueAt: number, position: number, index: number): boolean {
    const other = this.#numbers[index * FIELDS]!
    return dueAt === other ? position < this.#numbers[index * FIELDS + 1]! : dueAt < other
  }

  #sooner(a: number, b: number): boolean {
    return this.#before(this.#numbers[a * FIELDS]!, this.#numbers[a * FIELDS + 1]!, b)
  }

  #move(from: number, to: number): void {
    const start = from * FIELDS
    this.#numbers.copyWithin(to * FIELDS, start, start + FIELDS)
  }

  #reserve(length: number): void {
    if (length > this.room) this.#resize(Math.ceil(this.length * GROWTH))
  }

  #resize(length: number): void {
    const numbers = new Float64Array(length * FIELDS)
    numbers.set(this.#numbers.subarray(0, Math.min(this.#numbers.length, numbers.length)))
    this.#numbers = numbers
  }
}
