// Token buckets: who is held when a vhost or a user publishes too much, and for how long.
import { describe, expect, it } from 'vitest'
import { PublishRates } from '../../src/core/publish-rates.ts'
import type { Throttle } from '../../src/core/pace.ts'
import { ManualClock } from '../../src/lib/clock.ts'

class Input implements Throttle {
  held = false

  hold(): void {
    this.held = true
  }

  release(): void {
    this.held = false
  }
}

function bench(): { clock: ManualClock; rates: PublishRates; input: Input } {
  const clock = new ManualClock()
  return { clock, rates: new PublishRates(clock), input: new Input() }
}

describe('publish rates', () => {
  it('are none until one is set, and none when all are taken away', () => {
    const { rates } = bench()
    expect(rates.any).toBe(false)
    rates.limit('vhost', '/', { maxPublishRate: -1 })
    expect(rates.any).toBe(false)
    rates.limit('vhost', '/', { maxPublishRate: 1 })
    expect(rates.any).toBe(true)
    rates.limit('vhost', '/', {})
    expect(rates.any).toBe(false)
  })

  it('let through what a second allows, and hold for what is over it', () => {
    const { clock, rates, input } = bench()
    rates.limit('vhost', '/', { maxPublishRate: 10 })
    rates.spent(input, 'u', '/', 10, 0)
    expect(input.held).toBe(false)
    rates.spent(input, 'u', '/', 5, 0)
    expect(input.held).toBe(true)
    clock.advance(499)
    expect(input.held).toBe(true)
    clock.advance(1)
    expect(input.held).toBe(false)
  })

  it('come to the rate in the long run, whatever the chunks are', () => {
    const { clock, rates, input } = bench()
    rates.limit('user', 'u', { maxPublishRate: 1000 })
    const started = clock.now()
    let published = 0
    for (let chunk = 1; published < 100_000; chunk = (chunk * 7) % 911) {
      while (input.held) clock.advance(1)
      rates.spent(input, 'u', '/', chunk, 0)
      published += chunk
    }
    const seconds = (clock.now() - started) / 1000
    expect(published / seconds).toBeGreaterThan(950)
    expect(published / seconds).toBeLessThan(1050)
  })

  it('count bytes beside messages, and what is scarcer holds', () => {
    const { clock, rates, input } = bench()
    rates.limit('vhost', '/', { maxPublishRate: 1000, maxPublishByteRate: 1000 })
    rates.spent(input, 'u', '/', 1, 3000)
    clock.advance(1999)
    expect(input.held).toBe(true)
    clock.advance(1)
    expect(input.held).toBe(false)
  })

  it('are shared by all sources of a vhost, and are not those of another', () => {
    const { rates } = bench()
    const [first, second, third] = [new Input(), new Input(), new Input()]
    rates.limit('vhost', '/', { maxPublishRate: 10 })
    rates.spent(first, 'u', '/', 10, 0)
    rates.spent(second, 'v', '/', 1, 0)
    rates.spent(third, 'u', 'other', 100, 0)
    expect([first.held, second.held, third.held]).toEqual([false, true, false])
  })

  it('let go within a second when the limit is lifted', () => {
    const { clock, rates, input } = bench()
    rates.limit('user', 'u', { maxPublishRate: 0 })
    rates.spent(input, 'u', '/', 1, 0)
    clock.advance(3_600_000)
    expect(input.held).toBe(true)
    rates.limit('user', 'u', {})
    clock.advance(1000)
    expect(input.held).toBe(false)
  })

  it('save up no more than a second', () => {
    const { clock, rates, input } = bench()
    rates.limit('user', 'u', { maxPublishRate: 10 })
    clock.advance(60_000)
    rates.spent(input, 'u', '/', 11, 0)
    expect(input.held).toBe(true)
    clock.advance(100)
    expect(input.held).toBe(false)
  })
})
