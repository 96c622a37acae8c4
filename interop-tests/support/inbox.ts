// Collects what arrives by callback and lets a test wait for a number of arrivals.

/** Arrivals in their order; whoever waits is served first come, first served. */
export class Inbox<T> {
  readonly #waiting: T[] = []
  readonly #takers: { count: number; resolve: (items: T[]) => void }[] = []

  /** Bound, so that it can be handed over as a callback. */
  readonly put = (item: T): void => {
    this.#waiting.push(item)
    this.#serve()
  }

  /** Resolves with the next `count` arrivals as soon as they are there. */
  take(count: number): Promise<T[]> {
    return new Promise((resolve) => {
      this.#takers.push({ count, resolve })
      this.#serve()
    })
  }

  /** Resolves with the next arrival. */
  async next(): Promise<T> {
    const [item] = await this.take(1)
    return item as T
  }

  /** How many arrived that nobody took. */
  get size(): number {
    return this.#waiting.length
  }

  #serve(): void {
    for (;;) {
      const taker = this.#takers[0]
      if (taker === undefined || taker.count > this.#waiting.length) return
      this.#takers.shift()
      taker.resolve(this.#waiting.splice(0, taker.count))
    }
  }
}
