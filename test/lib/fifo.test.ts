// The ring that queues are made of, against an array.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fifo } from '../../src/lib/fifo.ts'

type Step = 'push' | 'unshift' | 'shift' | 'pop' | 'clear'

/** Mostly growing, mostly shrinking, or both: so that the ring is resized either way. */
const steps: fc.Arbitrary<Step[]> = fc
  .array(
    fc.tuple(
      fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom<Step>('push', 'unshift') },
        { weight: 6, arbitrary: fc.constantFrom<Step>('shift', 'pop') },
        { weight: 3, arbitrary: fc.constantFrom<Step>('push', 'shift') },
        { weight: 1, arbitrary: fc.constant<Step>('clear') },
      ),
      fc.integer({ min: 1, max: 40 }),
    ),
    { maxLength: 40 },
  )
  .map((runs) => runs.flatMap(([step, times]) => Array.from({ length: step === 'clear' ? 1 : times }, () => step)))

/** Does the same to both, and returns what each gave. */
function apply(step: Step, fifo: Fifo<number>, array: number[], item: number): [unknown, unknown] {
  switch (step) {
    case 'push':
      return [fifo.push(item), void array.push(item)]
    case 'unshift':
      return [fifo.unshift(item), void array.unshift(item)]
    case 'shift':
      return [fifo.shift(), array.shift()]
    case 'pop':
      return [fifo.pop(), array.pop()]
    case 'clear':
      return [fifo.clear(), void (array.length = 0)]
  }
}

describe('a fifo', () => {
  it('does what an array does', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const fifo = new Fifo<number>()
        const array: number[] = []
        for (const [i, step] of all.entries()) {
          const [taken, expected] = apply(step, fifo, array, i)
          expect(taken).toBe(expected)
          expect([fifo.length, fifo.peek(), fifo.last()]).toEqual([array.length, array[0], array.at(-1)])
        }
        expect(Array.from(array.keys(), (index) => fifo.at(index))).toEqual(array)
      }),
    )
  })

  it('has nothing before its front and nothing behind its end', () => {
    const fifo = new Fifo<string>()
    fifo.push('a')
    expect([fifo.at(-1), fifo.at(0), fifo.at(1)]).toEqual([undefined, 'a', undefined])
    expect(fifo.shift()).toBe('a')
    expect([fifo.at(0), fifo.shift(), fifo.pop(), fifo.peek(), fifo.last()]).toEqual(Array(5).fill(undefined))
  })

  it('keeps its order through a long life at every length', () => {
    const fifo = new Fifo<number>()
    let [next, first] = [0, 0]
    for (const length of [1, 15, 16, 17, 1000, 3, 33, 0, 20_000, 5]) {
      while (fifo.length < length) fifo.push(next++)
      while (fifo.length > length) expect(fifo.shift()).toBe(first++)
    }
    while (fifo.length > 0) expect(fifo.shift()).toBe(first++)
    expect(first).toBe(next)
  })
})
