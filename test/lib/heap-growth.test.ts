// A large heap: from when on its growth is bounded, and until when.
import { beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { LARGE_HEAP_BYTES, LOOKS, boundHeapGrowth } from '../../src/lib/heap-growth.ts'

describe('boundHeapGrowth', () => {
  let clock: ManualClock
  let usedBytes: number
  let percents: number[]
  let collections: number

  beforeEach(() => {
    clock = new ManualClock()
    usedBytes = 0
    percents = []
    collections = 0
    boundHeapGrowth(
      clock,
      () => usedBytes,
      (percent) => void percents.push(percent),
      () => collections++,
    )
  })

  /** Lets so many bytes be in use at each of so many looks. */
  function look(bytes: number, times = LOOKS): void {
    usedBytes = bytes
    clock.advance(200 * times)
  }

  it('leaves a small heap to V8', () => {
    look(LARGE_HEAP_BYTES)
    look(LARGE_HEAP_BYTES / 2)
    expect(percents).toEqual([])
  })

  it('leaves one to V8 that is large of garbage only', () => {
    for (let time = 0; time < 10; time++) {
      look(LARGE_HEAP_BYTES * 2, LOOKS - 2)
      look(LARGE_HEAP_BYTES / 2, 1)
    }
    expect(percents).toEqual([])
  })

  it('bounds the growth of one of which much stays in use, once, until that is well below this size', () => {
    look(LARGE_HEAP_BYTES + 1)
    look(LARGE_HEAP_BYTES * 2)
    look(LARGE_HEAP_BYTES * 0.8)
    expect(percents).toEqual([30])
    // V8 goes by it from then on.
    expect(collections).toBe(1)
    look(LARGE_HEAP_BYTES * 0.75, 1)
    expect(percents).toEqual([30, 0])
    look(LARGE_HEAP_BYTES)
    expect([percents, collections]).toEqual([[30, 0], 1])
  })
})
