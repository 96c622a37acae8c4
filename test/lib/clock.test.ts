// Clocks: the one that tests move, and the machine's.
import { describe, expect, it } from 'vitest'
import { ManualClock, systemClock } from '../../src/lib/clock.ts'

describe('a manual clock', () => {
  it('stands still until it is moved', () => {
    const clock = new ManualClock(1000)
    expect(clock.now()).toBe(1000)
    clock.advance(250)
    expect(clock.now()).toBe(1250)
  })

  it('runs what falls due in its order, at its time, and nothing before', () => {
    const clock = new ManualClock(0)
    const log: string[] = []
    clock.after(300, () => log.push(`late at ${clock.now()}`))
    clock.after(100, () => log.push(`early at ${clock.now()}`))
    clock.after(100, () => log.push(`second at ${clock.now()}`))
    clock.advance(99)
    expect(log).toEqual([])
    clock.advance(500)
    expect(log).toEqual(['early at 100', 'second at 100', 'late at 300'])
    expect(clock.now()).toBe(599)
  })

  it('runs a timer once, and a periodic one in every period', () => {
    const clock = new ManualClock(0)
    const log: number[] = []
    clock.after(10, () => log.push(-1))
    clock.every(20, () => log.push(clock.now()))
    clock.advance(65)
    expect(log).toEqual([-1, 20, 40, 60])
  })

  it('runs in one move what timers set off, if it falls due', () => {
    const clock = new ManualClock(0)
    const log: number[] = []
    clock.after(10, () => {
      clock.after(0, () => log.push(clock.now()))
      clock.after(5, () => log.push(clock.now()))
      clock.after(50, () => log.push(clock.now()))
    })
    clock.advance(20)
    expect(log).toEqual([10, 15])
  })

  it('does not run what was cancelled, not even by a timer of the same time', () => {
    const clock = new ManualClock(0)
    const log: string[] = []
    const periodic = clock.every(10, () => {
      log.push('periodic')
      if (log.length === 2) periodic.cancel()
    })
    clock.after(5, () => other.cancel())
    const other = clock.after(5, () => log.push('other'))
    clock.advance(100)
    expect(log).toEqual(['periodic', 'periodic'])
  })
})

describe("the machine's clock", () => {
  it("has the calendar's time, calls back, and can be cancelled", async () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1000)
    const log: string[] = []
    const cancelled = [
      systemClock.after(0, () => log.push('cancelled')),
      systemClock.every(1, () => log.push('cancelled')),
    ]
    for (const timer of cancelled) timer.cancel()
    // Its own timers do not keep the process alive; this one does while the test waits.
    const alive = setInterval(() => undefined, 1000)
    await new Promise<void>((resolve) => systemClock.after(5, resolve))
    await new Promise<void>((resolve) => {
      let periods = 0
      const timer = systemClock.every(1, () => {
        if (++periods < 3) return
        timer.cancel()
        resolve()
      })
    })
    clearInterval(alive)
    expect(log).toEqual([])
  })
})
