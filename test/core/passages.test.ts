// Counts by exchange.
import { describe, expect, it } from 'vitest'
import { Passages } from '../../src/core/passages.ts'

function counted(...exchanges: readonly string[]): Passages {
  const passages = new Passages()
  for (const exchange of exchanges) passages.count(exchange)
  return passages
}

function shown(passages: Passages): Record<string, number> {
  return Object.fromEntries(Array.from(passages, ({ exchange, count }) => [exchange, count]))
}

describe('passages', () => {
  it('are counted by exchange, in whatever order', () => {
    expect(shown(counted())).toEqual({})
    expect(shown(counted('a', 'a'))).toEqual({ a: 2 })
    expect(shown(counted('a', 'a', '', 'b', 'a', 'b', ''))).toEqual({ a: 3, '': 2, b: 2 })
  })

  it('are found by exchange', () => {
    const passages = counted('a', 'b', 'b')
    expect([passages.by('a')?.count, passages.by('b')?.count, passages.by('c')]).toEqual([1, 2, undefined])
    expect(counted('a').by('a')?.count).toBe(1)
  })

  it('are forgotten, the first first, beyond a thousand exchanges', () => {
    const passages = counted(...Array.from({ length: 1001 }, (_value, i) => `x${i}`))
    expect(Object.keys(shown(passages))).toHaveLength(1000)
    expect([passages.by('x0'), passages.by('x1')?.count, passages.by('x1000')?.count]).toEqual([undefined, 1, 1])
  })
})
