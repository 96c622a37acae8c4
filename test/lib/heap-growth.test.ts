// A large heap: from when on its growth is bounded, and until when.
import { beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { LARGE_HEAP_BYTES, boundHeapGrowth } from '../../src/lib/heap-growth.ts'

describe('boundHeapGrowth', () => {
  let clock: ManualClock
  let heapBytes: number
  let percents: number[]

  beforeEach(() => {
    clock = new ManualClock()
    heapBytes = 0
    percents = []
    boundHeapGrowth(
      clock,
      () => heapBytes,
      (percent) => void percents.push(percent),
    )
  })

  /** Lets the heap have so many bytes when it is looked at. */
  function look(bytes: number): void {
    heapBytes = bytes
    clock.advance(200)
  }

  it('leaves a small heap to V8', () => {
    look(LARGE_HEAP_BYTES)
    look(LARGE_HEAP_BYTES / 2)
    expect(percents).toEqual([])
  })

  it('bounds the growth of a large one, once, until it is well below that size', () => {
    look(LARGE_HEAP_BYTES + 1)
    look(LARGE_HEAP_BYTES * 2)
    look(LARGE_HEAP_BYTES * 0.8)
    expect(percents).toEqual([30])
    look(LARGE_HEAP_BYTES * 0.75)
    expect(percents).toEqual([30, 0])
    look(LARGE_HEAP_BYTES)
    expect(percents).toEqual([30, 0])
  })
})
