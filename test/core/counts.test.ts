// Counts of what contained others have those, too.
import { expect, it } from 'vitest'
import { COUNT_NAMES, MessageCounts } from '../../src/core/counts.ts'

it('adds every count that there is', () => {
  const [sum, other] = [new MessageCounts(), new MessageCounts()]
  COUNT_NAMES.forEach((name, i) => (other[name] = i + 1))
  sum.add(other)
  sum.add(other)
  expect(COUNT_NAMES.map((name) => sum[name])).toEqual(COUNT_NAMES.map((_name, i) => 2 * (i + 1)))
})
