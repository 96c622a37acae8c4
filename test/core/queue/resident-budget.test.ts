// The budget of all backlogs, with backlogs that only note what they are asked. Limits small enough to count.
import { describe, expect, it, vi } from 'vitest'
import { ResidentBudget, type Resident } from '../../../src/core/queue/resident-budget.ts'

vi.mock('../../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  BACKLOGS_STORED_BYTES: 1000,
  BACKLOGS_TRANSIENT_BYTES: 2000,
  BACKLOG_SHARE_BYTES_MIN: 100,
  BACKLOGS_SWEEP_BYTES: 50,
  BACKLOGS_SWEEP_COUNT: 3,
  QUEUE_READ_AHEAD_BYTES: 400,
  TIGHT_DIVISOR: 2,
}))

class Bench {
  readonly memory = { tight: false }
  readonly budget = new ResidentBudget(this.memory)
  /** Who was asked, and for what. */
  readonly asked: string[] = []

  /** A backlog that has so many bytes, and lets go of all of them but for `stubborn` when it is asked. */
  backlog(name: string, storedBytes: number, transientBytes = 0, stubborn = 0): Resident {
    const held = { stored: storedBytes, transient: transientBytes }
    const resident: Resident = {
      shrink: (shareBytes, spill) => {
        this.asked.push(`${name} ${shareBytes}${spill ? ' spill' : ''}`)
        const stored = stubborn - held.stored
        const transient = spill ? -held.transient : 0
        held.stored += stored
        held.transient += transient
        this.budget.changed(resident, stored, transient)
        return held.stored + held.transient > 0
      },
    }
    this.budget.enter(resident)
    this.budget.changed(resident, storedBytes, transientBytes)
    return resident
  }

  grow(resident: Resident, bytes = 51): void {
    this.budget.changed(resident, bytes, 0)
  }
}

describe('the budget of all backlogs', () => {
  it('asks nobody for anything as long as there is room', () => {
    const bench = new Bench()
    bench.backlog('a', 600)
    bench.backlog('b', 400, 2000)
    expect(bench.asked).toEqual([])
    expect([bench.budget.storedBytes, bench.budget.transientBytes]).toEqual([1000, 2000])
  })

  it('asks the next in turn when it is exceeded, and stops as soon as it is kept', () => {
    const bench = new Bench()
    bench.backlog('a', 60)
    bench.backlog('b', 60)
    bench.backlog('c', 870)
    expect(bench.asked).toEqual([])
    bench.backlog('d', 110)
    // 1100 bytes: one is not enough, two are.
    expect(bench.asked).toEqual(['a 250', 'b 250'])
    expect(bench.budget.storedBytes).toBe(980)
  })

  it('does not ask the one that grows, which is in the middle of something', () => {
    const bench = new Bench()
    const growing = bench.backlog('growing', 900)
    bench.backlog('other', 100)
    bench.grow(growing)
    expect(bench.asked).toEqual(['other 500'])
  })

  it('looks at so many at the most each time, and goes on behind them the next time', () => {
    const bench = new Bench()
    for (const name of ['a', 'b', 'c', 'd']) bench.backlog(name, 240, 0, 240)
    const growing = bench.backlog('growing', 0)
    bench.grow(growing)
    expect(bench.asked.map((each) => each[0])).toEqual(['a', 'b', 'c'])
    // Less growth than makes a look worth it.
    bench.grow(growing, 50)
    expect(bench.asked).toHaveLength(3)
    bench.grow(growing, 1)
    expect(bench.asked.slice(3).map((each) => each[0])).toEqual(['d', 'a'])
  })

  it('forgets those that have nothing left, until they enter again, and those that are gone', () => {
    const bench = new Bench()
    const empty = bench.backlog('empty', 40)
    const gone = bench.backlog('gone', 200, 0, 200)
    const growing = bench.backlog('growing', 700)
    bench.budget.leave(gone)
    bench.grow(growing, 61)
    expect(bench.asked).toEqual(['empty 500'])
    bench.grow(growing)
    expect(bench.asked).toHaveLength(1)
    bench.budget.enter(empty)
    bench.grow(growing)
    expect(bench.asked).toHaveLength(2)
  })

  it('has transient messages written when those alone are too many', () => {
    const bench = new Bench()
    bench.backlog('a', 0, 1990)
    bench.backlog('b', 0, 60)
    expect(bench.asked).toEqual(['a 500 spill'])
    expect(bench.budget.transientBytes).toBe(60)
  })

  it('has backlogs read less ahead while it is exceeded, and no share is too small to read a page for', () => {
    const bench = new Bench()
    expect(bench.budget.readAheadBytes(400)).toBe(400)
    for (let i = 0; i < 4; i++) bench.backlog('stubborn', 251, 0, 251)
    expect(bench.budget.readAheadBytes(400)).toBe(125)
    for (let i = 0; i < 20; i++) bench.backlog('stubborn', 1, 0, 1)
    expect(bench.budget.readAheadBytes(400)).toBe(50)
  })

  it('has backlogs asked when memory is tight, also if none of them grows', () => {
    const bench = new Bench()
    bench.backlog('a', 510)
    bench.budget.relieve()
    expect(bench.asked).toEqual([])
    bench.memory.tight = true
    bench.budget.relieve()
    expect(bench.asked).toEqual(['a 500'])
  })

  it('is smaller while memory is tight', () => {
    const bench = new Bench()
    bench.backlog('a', 450)
    bench.memory.tight = true
    bench.backlog('b', 60)
    expect(bench.asked).toEqual(['a 250'])
  })
})
