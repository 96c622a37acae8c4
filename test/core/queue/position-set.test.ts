import fc from 'fast-check'
import { expect, it } from 'vitest'
import { PositionSet } from '../../../src/core/queue/position-set.ts'

it('has what was added and not deleted, alone or in a range, in order, and knows the first of them', () => {
  const position = fc.oneof(fc.nat(100), fc.integer({ min: 4_090, max: 4_100 }), fc.constant(2 ** 40 + 1))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), position, fc.nat(20_000))), (changes) => {
      const set = new PositionSet()
      const model = new Set<number>()
      for (const [adds, at, reach] of changes) {
        const within = [...model].filter((known) => known >= at && known < at + reach).toSorted((a, b) => a - b)
        expect([...set.from(at, at + reach)]).toEqual(within)
        if (reach < 10_000) {
          set.deleteRange(at, at + reach)
          for (const known of within) model.delete(known)
        }
        const known = [set, model].map((each) => (adds ? each.has(at) : each.delete(at)))
        expect(known[0]).toBe(known[1])
        for (const each of adds ? [set, model] : []) each.add(at)
        expect([set.size, set.first, set.has(at)]).toEqual([model.size, Math.min(...model), model.has(at)])
      }
      expect([...set]).toEqual([...model].toSorted((a, b) => a - b))
      const runs = [...set.runs()].flatMap(([first, last]) =>
        Array.from({ length: last - first + 1 }, (_, i) => first + i),
      )
      expect(runs).toEqual([...set])
      set.clear()
      expect([set.size, set.first, [...set.runs()]]).toEqual([0, Infinity, []])
    }),
  )
})
