// Keeps a large heap from becoming a much larger one before it is collected.
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import type { Clock, Timer } from './clock.ts'

const PERIOD_MS = 200

/** From here on growth is bounded, until the heap is smaller than three quarters of it again. Bytes. */
export const LARGE_HEAP_BYTES = 64 * 1024 * 1024

/** How much a large heap may grow on what was left of it by a collection. */
const GROWTH_PERCENT = 30

/** What V8 makes of its flag by itself: up to four times of what was left. */
const OWN_JUDGEMENT = 0

/**
 * V8 lets a heap that fills fast become several times as large as what is in use of it. As long as that is little the
 * time is well saved; with ten thousand queues it is hundreds of megabytes of garbage. So a large heap is collected
 * sooner, and a small one as V8 likes.
 */
export class HeapGrowth {
  readonly #heapBytes: () => number
  readonly #bound: (percent: number) => void
  readonly #timer: Timer
  #large = false

  constructor(clock: Clock, heapBytes: () => number = totalHeapBytes, bound: (percent: number) => void = boundGrowth) {
    this.#heapBytes = heapBytes
    this.#bound = bound
    this.#timer = clock.every(PERIOD_MS, () => this.#look())
  }

  stop(): void {
    this.#timer.cancel()
  }

  #look(): void {
    const large = this.#heapBytes() > (this.#large ? LARGE_HEAP_BYTES * 0.75 : LARGE_HEAP_BYTES)
    if (large === this.#large) return
    this.#large = large
    this.#bound(large ? GROWTH_PERCENT : OWN_JUDGEMENT)
  }
}

function totalHeapBytes(): number {
  return getHeapStatistics().total_heap_size
}

function boundGrowth(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`)
}
