// Keeps a large heap from becoming a much larger one before it is collected.
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import type { Clock } from './clock.ts'
import { beginCollection } from './garbage.ts'

const PERIOD_MS = 200

/**
 * So many looks back, 1.4 s: what was in use at the least of them is about what the last collection left, the rest garbage,
 * as long as a busy broker has one every second or so; one that has them more rarely is collected once more, and judged by
 * what that leaves. What grows without garbage is bounded so much later: with 15 looks ten thousand queues that were being
 * filled took 20 MiB more, and of eight loads the same one was bounded.
 */
export const LOOKS = 8

/** From here on growth is bounded, until less than three quarters of it is in use. Bytes. */
export const LARGE_HEAP_BYTES = 64 * 1024 * 1024

/** How much a large heap may grow on what was left of it by a collection. */
const GROWTH_PERCENT = 30

/** What V8 makes of its flag by itself: up to four times of what was left. */
const OWN_JUDGEMENT = 0

/**
 * V8 lets a heap that fills fast become several times as large as what is in use of it. As long as that is little the
 * time is well saved, also where garbage comes fast: a queue that is always a little behind took a quarter more processor
 * time a message when it was bounded. With ten thousand queues it is hundreds of megabytes. So a heap of which much stays
 * in use is collected sooner, and any other as V8 likes. That holds for the whole process, as long as it lasts: it is for
 * the program to ask for, not for a broker that is part of another one. `usedBytes` tells what objects take, garbage
 * among them.
 */
export function boundHeapGrowth(
  clock: Clock,
  usedBytes: () => number = usedHeapBytes,
  bound: (percent: number) => void = setGrowth,
  collect: () => void = beginCollection,
): void {
  const looks: number[] = []
  let bounded = false
  clock.every(PERIOD_MS, () => {
    looks.push(usedBytes())
    if (looks.length < LOOKS) return
    const kept = Math.min(...looks)
    looks.shift()
    const large = kept > (bounded ? LARGE_HEAP_BYTES * 0.75 : LARGE_HEAP_BYTES)
    if (large === bounded) return
    bounded = large
    bound(large ? GROWTH_PERCENT : OWN_JUDGEMENT)
    // V8 goes by it from the next collection on: until then the heap may grow to what was in mind at the last one.
    if (large) collect()
  })
}

function usedHeapBytes(): number {
  return getHeapStatistics().used_heap_size
}

function setGrowth(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`)
}
