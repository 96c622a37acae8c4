// Keeps a large heap from becoming a much larger one before it is collected.
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import type { Clock } from './clock.ts'

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
 * sooner, and a small one as V8 likes. That holds for the whole process, as long as it lasts: it is for the program to
 * ask for, not for a broker that is part of another one.
 */
export function boundHeapGrowth(
  clock: Clock,
  heapBytes: () => number = totalHeapBytes,
  bound: (percent: number) => void = setGrowth,
): void {
  let bounded = false
  clock.every(PERIOD_MS, () => {
    const large = heapBytes() > (bounded ? LARGE_HEAP_BYTES * 0.75 : LARGE_HEAP_BYTES)
    if (large === bounded) return
    bounded = large
    bound(large ? GROWTH_PERCENT : OWN_JUDGEMENT)
  })
}

function totalHeapBytes(): number {
  return getHeapStatistics().total_heap_size
}

function setGrowth(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`)
}
