// Work in portions: how much of it a turn takes, and when.
import { describe, expect, it } from 'vitest'
import { Portions } from '../../src/lib/portions.ts'
import { Turn } from '../../src/lib/turn.ts'

/** The end of this turn, and of each further one. */
function turnEnd(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('Portions', () => {
  it('does a few at the end of the turn that they came in', async () => {
    const done: number[] = []
    const portions = new Portions<number>(new Turn(), 3, (item) => done.push(item))
    portions.add(1)
    portions.add(2)
    expect(done).toEqual([])
    await turnEnd()
    expect(done).toEqual([1, 2])
  })

  it('does so many of more in each turn, in order', async () => {
    const done: number[] = []
    const portions = new Portions<number>(new Turn(), 3, (item) => done.push(item))
    for (let item = 1; item <= 7; item++) portions.add(item)
    await turnEnd()
    expect(done).toEqual([1, 2, 3])
    portions.add(8)
    await turnEnd()
    expect(done).toEqual([1, 2, 3, 4, 5, 6])
    await turnEnd()
    expect(done).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('leaves what the work adds to the next turn', async () => {
    const done: number[] = []
    const portions = new Portions<number>(new Turn(), 3, (item) => {
      done.push(item)
      if (item === 1) portions.add(2)
    })
    portions.add(1)
    await turnEnd()
    expect(done).toEqual([1])
    await turnEnd()
    expect(done).toEqual([1, 2])
  })
})
