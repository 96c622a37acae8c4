// JSON in pieces: the same as at once, and others have their turn in between.
import { expect, it } from 'vitest'
import { SLICE_MS, Slices } from '../../src/lib/slices.ts'
import { arrayText, objectText } from '../../src/management/json-text.ts'
import { ManualPasses } from '../support/manual-passes.ts'

const ROWS = 100

async function textOf(pieces: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += piece
  return text
}

it.each([
  [{}],
  [{ a: 1 }],
  [{ messages: [{ payload: 'a "hare"' }, { payload: 'é' }], scanned: 2, cursor: null, none: [] }],
])('is the same as at once: %j', async (object) => {
  expect(await textOf(objectText(object, new Slices()))).toBe(JSON.stringify(object))
})

it('gives others their turn between two large rows', async () => {
  const passes = new ManualPasses(SLICE_MS / 8)
  const rows = Array.from({ length: ROWS }, (_, i) => ({ i }))
  const writing = textOf(arrayText(rows, (row) => row, new Slices(passes), 1))
  expect(await passes.runAll()).toBeGreaterThanOrEqual(ROWS / 10)
  expect(JSON.parse(await writing)).toEqual(rows)
})
