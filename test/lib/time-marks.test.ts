import { describe, expect, it } from 'vitest'
import { TimeMarks } from '../../src/lib/time-marks.ts'

describe('time marks', () => {
  it('know when a number was first seen above a value', () => {
    const marks = new TimeMarks()
    marks.note(3, 0, 100)
    marks.note(7, 0, 200)
    expect([0, 2, 3, 6].map((value) => marks.passed(value))).toEqual([100, 100, 200, 200])
    expect(marks.passed(7)).toBeNull()
  })

  it('keep the first time at which a number stood where it is', () => {
    const marks = new TimeMarks()
    marks.note(3, 0, 100)
    marks.note(3, 0, 200)
    expect(marks.passed(2)).toBe(100)
  })

  it('forget what nobody will ask for', () => {
    const marks = new TimeMarks()
    marks.note(3, 0, 100)
    marks.note(7, 3, 200)
    marks.note(7, Infinity, 300)
    expect(marks.passed(6)).toBeNull()
    marks.note(9, 8, 400)
    expect(marks.passed(8)).toBe(400)
  })

  it('take bounded memory, and know the distant past less exactly, but never as older than it is', () => {
    const marks = new TimeMarks()
    for (let time = 1; time <= 10_000; time++) marks.note(time, 0, time)
    for (let value = 0; value < 10_000; value += 7) {
      expect(marks.passed(value)).toBeGreaterThan(value)
      expect(marks.passed(value)! - value).toBeLessThan(10_000)
    }
    expect(marks.passed(9_999)).toBe(10_000)
  })
})
