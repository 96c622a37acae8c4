// Deadlines of a queue, by a clock that stands still unless it is moved.
import { describe, expect, it } from 'vitest'
import { Expiry, type Perishables } from '../../../src/core/queue/expiry.ts'
import { Entry, EntryDetails, EntryState } from '../../../src/core/queue/entry.ts'
import { Idleness } from '../../../src/core/queue/idleness.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { messageOf, queueNamed } from '../../support/core.ts'

const queue = queueNamed('q')
const TEN_YEARS_MS = 315_360_000_000

class Bench implements Perishables {
  readonly clock = new ManualClock()
  readonly expiry = new Expiry(this.clock, this, (entry) => this.gone.push(entry.position))
  readonly gone: number[] = []
  storedDeadline = Infinity
  readonly storedAsked: number[] = []
  #next = 0

  /** Has an entry wait for so long. */
  add(waitMs: number): Entry {
    const entry = new Entry(queue, messageOf('k'), this.#next++)
    entry.details = new EntryDetails()
    entry.details.deadline = this.clock.now() + waitMs
    this.expiry.watch(entry)
    return entry
  }

  remove(entry: Entry): void {
    entry.state = EntryState.settled
  }

  expireStored(now: number): void {
    this.storedAsked.push(now)
    this.storedDeadline = Infinity
  }
}

describe('deadlines', () => {
  it('are kept to the millisecond, earliest first, those of one time in the order of the queue', () => {
    const bench = new Bench()
    for (const wait of [30, 10, 20, 10, 30]) bench.add(wait)
    bench.clock.advance(9)
    expect(bench.gone).toEqual([])
    bench.clock.advance(1)
    expect(bench.gone).toEqual([1, 3])
    bench.clock.advance(20)
    expect(bench.gone).toEqual([1, 3, 2, 0, 4])
  })

  it('may be further away than a timer can be set', () => {
    const bench = new Bench()
    bench.add(TEN_YEARS_MS)
    bench.clock.advance(TEN_YEARS_MS - 1)
    expect(bench.gone).toEqual([])
    bench.clock.advance(1)
    expect(bench.gone).toEqual([0])
  })

  it('mean nothing for an entry that is out, and count again when it is back', () => {
    const bench = new Bench()
    const [kept, returned] = [bench.add(10), bench.add(20)]
    kept.state = EntryState.unacked
    returned.state = EntryState.unacked
    bench.clock.advance(15)
    returned.state = EntryState.ready
    bench.expiry.watch(returned)
    expect(bench.gone).toEqual([])
    bench.clock.advance(5)
    expect(bench.gone).toEqual([1])
  })

  it('that come all at once are worked off in parts, in order', () => {
    const bench = new Bench()
    for (let i = 0; i < 5000; i++) bench.add(10)
    bench.clock.advance(10)
    expect(bench.gone).toEqual(Array.from({ length: 5000 }, (_, i) => i))
  })

  it('of entries that were delivered are forgotten after a while', () => {
    const bench = new Bench()
    const entries = Array.from({ length: 10_000 }, () => {
      const entry = bench.add(1000)
      entry.state = EntryState.settled
      return entry
    })
    expect(entries.filter((entry) => entry.details!.watched).length).toBeLessThan(200)
  })

  it('of what is on disk share the timer', () => {
    const bench = new Bench()
    bench.add(50)
    bench.storedDeadline = bench.clock.now() + 20
    bench.expiry.arm()
    bench.clock.advance(20)
    expect(bench.storedAsked).toEqual([bench.clock.now()])
    bench.clock.advance(30)
    expect(bench.gone).toEqual([0])
  })

  it('end with the queue', () => {
    const bench = new Bench()
    bench.add(10)
    bench.expiry.stop()
    bench.clock.advance(10)
    expect(bench.gone).toEqual([])
  })
})

describe('a queue that is not used', () => {
  function idling(consumerCount = 0): {
    clock: ManualClock
    idleness: Idleness
    host: { consumerCount: number; times: number }
  } {
    const clock = new ManualClock()
    const host = { consumerCount, times: 0, idle: () => void host.times++ }
    return { clock, host, idleness: new Idleness(TEN_YEARS_MS, clock, host) }
  }

  it('goes after its time, however long that is', () => {
    const { clock, host, idleness } = idling()
    clock.advance(TEN_YEARS_MS / 2)
    idleness.used()
    clock.advance(TEN_YEARS_MS - 1)
    expect(host.times).toBe(0)
    clock.advance(1)
    expect(host.times).toBe(1)
  })

  it('stays as long as somebody consumes, or when it was told to stop', () => {
    const { clock, host, idleness } = idling(1)
    clock.advance(TEN_YEARS_MS * 2)
    expect(host.times).toBe(0)
    idleness.stop()
    host.consumerCount = 0
    clock.advance(TEN_YEARS_MS * 2)
    expect(host.times).toBe(0)
  })
})
