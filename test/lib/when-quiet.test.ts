// What waits until there is time for it.
import { beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { whenQuiet } from '../../src/lib/when-quiet.ts'

describe('whenQuiet', () => {
  let clock: ManualClock
  let busy: number
  let calls: number

  beforeEach(() => {
    clock = new ManualClock()
    busy = 0
    calls = 0
    whenQuiet(
      clock,
      { periodMs: 500, periodsMax: 4 },
      () => calls++,
      () => busy,
    )
  })

  it('calls back once after a period in which there was little to do', () => {
    clock.advance(499)
    expect(calls).toBe(0)
    clock.advance(1)
    expect(calls).toBe(1)
    clock.advance(10_000)
    expect(calls).toBe(1)
    expect(clock.timerCount).toBe(0)
  })

  it('waits while there is more to do', () => {
    busy = 0.9
    clock.advance(1000)
    expect(calls).toBe(0)
    busy = 0.2
    clock.advance(500)
    expect(calls).toBe(1)
  })

  it('calls back after so many periods, however much there is to do', () => {
    busy = 1
    clock.advance(1999)
    expect(calls).toBe(0)
    clock.advance(1)
    expect(calls).toBe(1)
    expect(clock.timerCount).toBe(0)
  })

  it('asks the event loop, when nobody else is named', async () => {
    const loop = new ManualClock()
    let called = false
    whenQuiet(loop, { periodMs: 500, periodsMax: 100 }, () => (called = true))
    // No time has passed in which the loop could have waited.
    const until = performance.now() + 5
    while (performance.now() < until);
    loop.advance(500)
    expect(called).toBe(false)
    await new Promise((resolve) => setTimeout(resolve, 50))
    loop.advance(500)
    expect(called).toBe(true)
  })
})
