// What a page knows of itself goes through its index record and comes back.
import { describe, expect, it } from 'vitest'
import { Page } from '../../../src/store/level/page.ts'
import { decodeIndexRecord, encodeIndexRecord } from '../../../src/store/level/records.ts'

describe('a page', () => {
  it('never counts fewer bytes than none, so that its index record can be read', () => {
    const page = new Page(0)
    for (const [position, bodyBytes] of [90, 10, 10, 90].entries()) page.add(position, bodyBytes)
    // Nobody knows how large these two were: they count as the average.
    page.settleRange(1, 3)
    page.settle(3, 90)
    expect(page.settle(0, 90)).toBe(true)
    expect(page.bodyBytes).toBe(0)
    page.add(4, 5)
    const decoded = decodeIndexRecord(0, encodeIndexRecord(page))
    expect(decoded).toMatchObject({ last: 4, entries: 5, live: 1, bodyBytes: 5 })
    expect(decoded.holds(4, 5)).toBe(true)
  })
})
