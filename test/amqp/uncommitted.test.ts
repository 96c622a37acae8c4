// How much may wait for tx.commit, of one connection and of all together.
import { describe, expect, it } from 'vitest'
import { AllUncommitted, Uncommitted } from '../../src/amqp/uncommitted.ts'

const OWN = 'messages that wait for tx.commit take more than 134217728 bytes'
const ALL = 'messages of all clients that wait for tx.commit take too much memory'

/** Connections whose messages may take 200 bytes together before somebody is stopped. */
function connections(count: number, memoryBytes = 1000): Uncommitted[] {
  const all = new AllUncommitted({ limits: { memoryBytes } })
  return Array.from({ length: count }, () => new Uncommitted(all))
}

describe('what waits for tx.commit', () => {
  it('is 128 MiB for one connection, whatever the memory', () => {
    const [one, other] = connections(2, 0) as [Uncommitted, Uncommitted]
    one.change(128 * 1024 * 1024 - 1)
    expect(one.refusal).toBe('')
    one.change(1)
    expect([one.refusal, other.refusal]).toEqual([OWN, ''])
    one.change(-128 * 1024 * 1024)
    expect(one.refusal).toBe('')
  })

  it('is a fifth of the memory limit for all: then those are stopped that have more than an equal part', () => {
    const [large, small, none] = connections(3) as [Uncommitted, Uncommitted, Uncommitted]
    large.change(150)
    small.change(49)
    expect([large.refusal, small.refusal, none.refusal]).toEqual(['', '', ''])
    small.change(1)
    expect([large.refusal, small.refusal, none.refusal]).toEqual([ALL, '', ''])
    large.change(-150)
    expect([large.refusal, small.refusal]).toEqual(['', ''])
  })

  it('is twice of it at the most: then everybody is stopped', () => {
    const many = connections(41)
    for (const each of many.slice(0, 40)) {
      expect(each.refusal).toBe('')
      each.change(10)
    }
    expect(new Set(many.map(({ refusal }) => refusal))).toEqual(new Set([ALL]))
    many[0]!.change(-10)
    expect(many[40]!.refusal).toBe('')
  })
})
