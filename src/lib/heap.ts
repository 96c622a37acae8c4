// A binary heap: the smallest first.

/** Items by a number of theirs, the smallest first; those with equal numbers in no particular order. */
export class Heap<T> {
  readonly #items: T[] = []
  readonly #rank: (item: T) => number

  constructor(rank: (item: T) => number) {
    this.#rank = rank
  }

  get length(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    const rank = this.#rank(item)
    let index = items.push(item) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (this.#rank(items[parent]!) <= rank) break
      items[index] = items[parent]!
      index = parent
    }
    items[index] = item
  }

  pop(): T | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (items.length === 0 || last === undefined) return first
    const rank = this.#rank(last)
    let index = 0
    for (;;) {
      let child = index * 2 + 1
      if (child >= items.length) break
      if (child + 1 < items.length && this.#rank(items[child + 1]!) < this.#rank(items[child]!)) child++
      if (this.#rank(items[child]!) >= rank) break
      items[index] = items[child]!
      index = child
    }
    items[index] = last
    return first
  }

  clear(): void {
    this.#items.length = 0
  }
}
