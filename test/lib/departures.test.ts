// Memory after many have gone: when it is asked back.
import { beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { DEPARTED_MIN, Departures } from '../../src/lib/departures.ts'

describe('Departures', () => {
  let clock: ManualClock
  let present: number
  let calls: number
  let watched: Departures

  beforeEach(() => {
    clock = new ManualClock()
    present = 0
    calls = 0
    watched = new Departures(
      clock,
      () => present,
      () => calls++,
    )
  })

  /** Lets so many be there when it looks. */
  function look(count: number): void {
    present = count
    clock.advance(2000)
  }

  it('calls back once when many have gone and nobody else is going', () => {
    look(DEPARTED_MIN)
    look(0)
    expect(calls).toBe(0)
    look(0)
    expect(calls).toBe(1)
    look(0)
    expect(calls).toBe(1)
  })

  it('does not call back while they are still going', () => {
    look(DEPARTED_MIN + 2)
    look(2)
    look(1)
    look(0)
    expect(calls).toBe(0)
  })

  it('does not call back for a few', () => {
    look(DEPARTED_MIN)
    look(1)
    look(1)
    expect(calls).toBe(0)
  })

  it('adds up those who go little by little', () => {
    look(DEPARTED_MIN)
    for (let left = DEPARTED_MIN; left >= 0; left -= DEPARTED_MIN / 2) {
      look(left)
      look(left)
    }
    expect(calls).toBe(1)
  })

  it('does not call back once it is stopped', () => {
    look(DEPARTED_MIN)
    watched.stop()
    look(0)
    look(0)
    expect(calls).toBe(0)
  })

  it('has what is garbage collected when nothing else was asked of it', async () => {
    const collecting = new Departures(clock, () => present)
    let told = (_what: string): void => undefined
    const collected = new Promise<string>((resolve) => (told = resolve))
    const registry = new FinalizationRegistry<string>((what) => told(what))
    registry.register({ bytes: new Uint8Array(1024) }, 'a kibibyte', registry)
    look(DEPARTED_MIN)
    look(0)
    look(0)
    expect(await collected).toBe('a kibibyte')
    // A registry that nobody has any more tells nothing.
    registry.unregister(registry)
    collecting.stop()
  })
})
