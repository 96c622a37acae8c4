// The pages of one log, in the order of their positions.
import type { Page } from './page.ts'

/**
 * Pages in order. Found by position in logarithmic time, added at the end, taken out anywhere: a page that has nothing
 * left stays as a marker until the front reaches it, or until such pages are the majority.
 */
export class PageList {
  #pages: Page[] = []
  #head = 0
  #removed = 0

  /** Pages that are in the list. */
  get length(): number {
    return this.#pages.length - this.#head - this.#removed
  }

  push(page: Page): void {
    this.#pages.push(page)
  }

  /** Adds pages that come before all others. */
  prepend(pages: readonly Page[]): void {
    this.#pages = pages.concat(this.#pages.slice(this.#head))
    this.#head = 0
  }

  /** The page in which this position lies. */
  find(position: number): Page | undefined {
    const page = this.#pages[this.#search(position)]
    return page !== undefined && page.first <= position && page.live > 0 ? page : undefined
  }

  /** The first page that has entries which are not settled, at this position or behind it. */
  from(position: number): Page | undefined {
    for (let i = this.#search(position); i < this.#pages.length; i++) {
      const page = this.#pages[i]!
      if (page.live > 0) return page
    }
    return undefined
  }

  /** All pages, in order. */
  *[Symbol.iterator](): Generator<Page> {
    for (let i = this.#head; i < this.#pages.length; i++) if (this.#pages[i]!.live > 0) yield this.#pages[i]!
  }

  /** Takes note that so many pages have nothing left: their `live` is 0. */
  remove(count = 1): void {
    this.#removed += count
    while (this.#head < this.#pages.length && this.#pages[this.#head]!.live === 0) {
      this.#head++
      this.#removed--
    }
    if (this.#head + this.#removed > 64 && (this.#head + this.#removed) * 2 > this.#pages.length) this.#compact()
  }

  clear(): void {
    this.#pages = []
    this.#head = 0
    this.#removed = 0
  }

  #compact(): void {
    this.#pages = this.#pages.filter((page) => page.live > 0)
    this.#head = 0
    this.#removed = 0
  }

  /** The index of the first page that ends at this position or behind it. */
  #search(position: number): number {
    let low = this.#head
    let high = this.#pages.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#pages[middle]!.last < position) low = middle + 1
      else high = middle
    }
    return low
  }
}
