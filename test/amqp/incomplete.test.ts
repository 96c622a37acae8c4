// How much may have come of bodies that are not whole, on all connections together, and who is not read.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { AllIncomplete, Incomplete } from '../../src/amqp/incomplete.ts'
import { ManualClock } from '../../src/lib/clock.ts'

vi.mock('../../src/amqp/limits.ts', async (original) => ({
  ...(await original<object>()),
  INCOMPLETE_PROGRESS_BYTES: 1,
}))

/** All may have 100 bytes before somebody is held. */
const MEMORY_BYTES = 1000
const SHARE_BYTES = 100

/** A connection with a body under way. */
class Client {
  readonly incomplete: Incomplete
  held = false
  came = 0
  readonly bodyBytes: number

  constructor(all: AllIncomplete, bodyBytes: number) {
    this.bodyBytes = bodyBytes
    this.incomplete = new Incomplete(all, { hold: () => (this.held = true), release: () => (this.held = false) })
  }

  /** A chunk comes, with so many bytes of the body at the most. */
  read(bytes: number): void {
    expect(this.held).toBe(false)
    const more = Math.min(bytes, this.bodyBytes - this.came)
    this.incomplete.came(more, this.came === 0 ? this.bodyBytes - more : -more)
    this.came += more
    if (this.came === this.bodyBytes) this.incomplete.gone(this.bodyBytes, 0)
    this.incomplete.chunkRead()
  }

  get whole(): boolean {
    return this.came === this.bodyBytes
  }

  /** The connection ends. */
  end(): void {
    if (!this.whole && this.came > 0) this.incomplete.gone(this.came, this.bodyBytes - this.came)
  }
}

function clients(sizes: readonly number[], memoryBytes = MEMORY_BYTES, clock = new ManualClock()): Client[] {
  const all = new AllIncomplete({ limits: { memoryBytes } }, clock)
  return sizes.map((bytes) => new Client(all, bytes))
}

describe('bodies of which a part has come', () => {
  it('go on until all together have a tenth of the memory limit: then those go on that began first', () => {
    const [first, second, third, fourth] = clients([80, 80, 80, 80]) as [Client, Client, Client, Client]
    for (const each of [first, second, third]) each.read(30)
    expect([first.held, second.held, third.held]).toEqual([false, false, false])
    fourth.read(10)
    expect(fourth.held).toBe(true)
    // The first two can finish with as much again; the third cannot.
    second.read(10)
    expect(second.held).toBe(false)
    third.read(1)
    expect(third.held).toBe(true)
    first.read(50)
    // There is room for all of them.
    expect([first.whole, third.held, fourth.held]).toEqual([true, false, false])
  })

  it('are read on when others end without being whole', () => {
    const [first, second] = clients([500, 500]) as [Client, Client]
    first.read(99)
    second.read(1)
    expect([first.held, second.held]).toEqual([false, true])
    first.end()
    expect(second.held).toBe(false)
  })

  it('do not keep a connection from being read that gives its own up', () => {
    const [first, second] = clients([500, 500]) as [Client, Client]
    first.read(99)
    second.read(1)
    second.end()
    expect(second.held).toBe(false)
  })

  it('have no bound where memory has none', () => {
    const many = clients(Array<number>(50).fill(1000), 0)
    for (const each of many) each.read(900)
    expect(many.some(({ held }) => held)).toBe(false)
  })

  it('go on also when those before them do not, who wait for their turn then', () => {
    const clock = new ManualClock()
    const [first, second] = clients([150, 150], MEMORY_BYTES, clock) as [Client, Client]
    first.read(90)
    second.read(15)
    expect([first.held, second.held]).toEqual([false, true])
    clock.advance(1999)
    expect(second.held).toBe(true)
    clock.advance(1)
    expect([first.held, second.held]).toEqual([false, false])
    first.read(1)
    second.read(1)
    expect([first.held, second.held]).toEqual([true, false])
    second.read(150)
    expect([second.whole, first.held]).toEqual([true, false])
    first.read(150)
    expect([first.whole, clock.timerCount]).toEqual([true, 0])
  })

  it('go on one at a time where those who never finish have twice of that already', () => {
    const clock = new ManualClock()
    const [first, second, third, fourth] = clients([160, 160, 20, 20], MEMORY_BYTES, clock) as [
      Client,
      Client,
      Client,
      Client,
    ]
    first.read(40)
    second.read(59)
    // The first may go on in any case; one byte is missing.
    first.read(119)
    third.read(5)
    fourth.read(5)
    expect([third.held, fourth.held]).toEqual([true, true])
    clock.advance(2000)
    expect([third.held, fourth.held]).toEqual([false, true])
    third.read(15)
    expect([third.whole, fourth.held]).toEqual([true, true])
    clock.advance(1000)
    expect(fourth.held).toBe(false)
    fourth.read(15)
    expect(fourth.whole).toBe(true)
  })

  it('take three times of that at the most beside a chunk of each, and all become whole, but for a client that stops', () => {
    const anyClients = fc.array(fc.integer({ min: 2, max: 90 }), { minLength: 2, maxLength: 40 })
    fc.assert(
      fc.property(anyClients, fc.boolean(), fc.infiniteStream(fc.nat(1000)), (sizes, stops, picks) => {
        const clock = new ManualClock()
        const all = clients(sizes, MEMORY_BYTES, clock)
        const chunkBytes = 5
        for (;;) {
          // The first stops within its body, and is still there.
          const open = all.filter((each, i) => !each.whole && !(stops && i === 0 && each.came > 0))
          if (open.length === 0) break
          if (open.every(({ held }) => held)) clock.advance(2000)
          const readable = open.filter(({ held }) => !held)
          expect(readable.length).toBeGreaterThan(0)
          readable[picks.next().value! % readable.length]!.read(chunkBytes)
          const bytes = all.reduce((sum, { came, whole }) => sum + (whole ? 0 : came), 0)
          expect(bytes).toBeLessThanOrEqual(SHARE_BYTES * 3 + all.length * chunkBytes)
        }
      }),
    )
  })
})
