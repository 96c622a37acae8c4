// The window of remembered ids.
import { expect, test } from 'vitest'
import { SeenIds } from '../../../src/core/deduplication/seen-ids.ts'

function add(ids: SeenIds, id: string, now: number, until = Infinity): void {
  ids.add({ id, order: ids.nextOrder, until }, now, false, null, 0)
}

test('a window never holds more than its size, and the oldest gives way', () => {
  const ids = new SeenIds(null, 3)
  for (let i = 0; i < 10_000; i++) {
    add(ids, String(i), 0)
    expect(ids.count).toBeLessThanOrEqual(3)
  }
  expect([9999, 9998, 9997, 9996].map((id) => ids.has(String(id), 0))).toEqual([true, true, true, false])
  ids.size = 1
  expect([ids.count, ids.has('9999', 0)]).toEqual([1, true])
})

test('expired ids go when others come, so that a large window is no larger than it must be', () => {
  const ids = new SeenIds(null, 1_000_000)
  for (let now = 0; now < 1000; now++) add(ids, String(now), now, now + 10)
  expect(ids.count).toBe(10)
  expect([ids.has('990', 999), ids.has('989', 999)]).toEqual([true, false])
})

test('an id that comes again after its time stands behind the others', () => {
  const ids = new SeenIds(null, 2)
  add(ids, 'b', 0)
  add(ids, 'a', 0, 5)
  expect(ids.has('a', 5)).toBe(false)
  add(ids, 'a', 5)
  add(ids, 'c', 5)
  expect([ids.has('b', 5), ids.has('a', 5), ids.has('c', 5)]).toEqual([false, true, true])
})

test('an id is only removed for the one that it was remembered for', () => {
  const ids = new SeenIds(null, 2)
  add(ids, 'a', 0)
  ids.remove('a', 7)
  expect(ids.has('a', 0)).toBe(true)
  ids.remove('a', 0)
  expect(ids.has('a', 0)).toBe(false)
})
