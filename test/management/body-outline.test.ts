// What is seen of a body before it is read: how deep it nests, and how much of it is no text; in slices.
import { describe, expect, it } from 'vitest'
import { SLICE_MS, Slices } from '../../src/lib/slices.ts'
import { assertReadable, assertShallow, AT_ONCE_BYTES, DEPTH_MAX } from '../../src/management/body-outline.ts'
import { ManualPasses } from '../support/manual-passes.ts'

const DEEP = { status: 400, reason: 'the body is nested too deeply' }
const LARGE = { status: 400, reason: 'the body is too large, but for its texts' }

function nested(depth: number): string {
  return `${'['.repeat(depth)}${']'.repeat(depth)}`
}

function looked(text: string): Promise<unknown> {
  return assertReadable(Buffer.from(text), new Slices())
}

describe('a body', () => {
  it('may nest so deeply and no deeper', () => {
    expect(() => assertShallow(Buffer.from(nested(DEPTH_MAX)))).not.toThrow()
    expect(() => assertShallow(Buffer.from(nested(DEPTH_MAX + 1)))).toThrow(expect.objectContaining(DEEP))
    expect(() => assertShallow(Buffer.from(`${nested(DEPTH_MAX)},`.repeat(9)))).not.toThrow()
  })

  it.each([
    ['in a text', `"${'['.repeat(100)}"`],
    ['behind a quote in a text', String.raw`"\"${'['.repeat(100)}"`],
    ['in a text that begins with a backslash', String.raw`"\\\"${'{'.repeat(100)}"`],
  ])('does not nest %s', async (_where, text) => {
    expect(() => assertShallow(Buffer.from(text))).not.toThrow()
    await looked(text)
  })

  it('nests behind a text that ends with a backslash', async () => {
    await expect(looked(String.raw`"\\"${'['.repeat(100)}`)).rejects.toMatchObject(DEEP)
  })

  it('may have long texts, and so much beside them', async () => {
    await looked(`"${'x'.repeat(3_000_000)}"${' '.repeat(AT_ONCE_BYTES - 2)}`)
    await expect(looked(`"${'x'.repeat(3_000_000)}"${' '.repeat(AT_ONCE_BYTES)}`)).rejects.toMatchObject(LARGE)
  })

  it('is looked through while others have their turn, wherever a slice ends', async () => {
    for (const shift of [0, 1, 2, 3]) {
      const passes = new ManualPasses(SLICE_MS)
      const text = `${' '.repeat(shift)}"${String.raw`\"`.repeat(500_000)}[[["${nested(DEPTH_MAX)}`
      const looking = assertReadable(Buffer.from(text), new Slices(passes))
      expect(await passes.runAll()).toBeGreaterThan(10)
      await looking
    }
  })
})
