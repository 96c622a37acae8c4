// The heap that returned messages wait in.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Heap } from '../../src/lib/heap.ts'

describe('a heap', () => {
  it('gives the smallest first, whatever order things come in and are taken out', () => {
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 50 }) }, fc.constant(null)))
    fc.assert(
      fc.property(steps, (all) => {
        const heap = new Heap<{ rank: number }>((a, b) => a.rank < b.rank)
        const sorted: number[] = []
        for (const rank of all) {
          if (rank !== null) {
            heap.push({ rank })
            sorted.push(rank)
            sorted.sort((a, b) => a - b)
          }
          const taken = rank === null ? [heap.pop()?.rank, sorted.shift()] : [0, 0]
          expect([taken[0], heap.length, heap.peek()?.rank]).toEqual([taken[1], sorted.length, sorted[0]])
        }
        while (sorted.length > 0) expect(heap.pop()?.rank).toBe(sorted.shift())
        expect(heap.pop()).toBeUndefined()
      }),
    )
  })

  it('is empty once it is cleared', () => {
    const heap = new Heap<number>((a, b) => a < b)
    for (const item of [3, 1, 2]) heap.push(item)
    heap.clear()
    expect([heap.length, heap.peek(), heap.pop()]).toEqual([0, undefined, undefined])
    heap.push(5)
    expect(heap.pop()).toBe(5)
  })
})
