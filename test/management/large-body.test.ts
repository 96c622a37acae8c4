// Large bodies: they are what JSON says, read in slices; and what is no JSON is refused.
import { describe, expect, it } from 'vitest'
import { SLICE_MS, Slices } from '../../src/lib/slices.ts'
import { parseLargeObject } from '../../src/management/large-body.ts'
import { ManualPasses } from '../support/manual-passes.ts'

/** So much white space that a body is read in slices. */
const LARGE = ' '.repeat(300_000)

function parsed(text: string): Promise<unknown> {
  return parseLargeObject(Buffer.from(text), new Slices())
}

const queues = Array.from({ length: 20_000 }, (_, i) => ({
  name: `queue "${i}" \\ é 🐇 ],{`,
  arguments: { 'x-max-length': i, list: [1, [2, { deep: [] }]] },
}))

describe('a large body', () => {
  it('is what JSON says', async () => {
    const body = {
      version: '1',
      users: [],
      empty: {},
      object: { list: [1, 2], n: null },
      queues,
      numbers: [1, -2.5e3],
      t: true,
    }
    expect(await parsed(JSON.stringify(body))).toEqual(body)
    expect(await parsed(JSON.stringify(body, null, 2))).toEqual(body)
    expect(await parsed(`{"a":[1], "a":[2,3]${LARGE}}`)).toEqual({ a: [2, 3] })
    expect(await parsed(`${LARGE}{"a":[ ${LARGE} ],"b\\"":["\\\\"]}`)).toEqual({ a: [], 'b"': ['\\'] })
  })

  it('is read while others have their turn', async () => {
    const passes = new ManualPasses(SLICE_MS)
    const reading = parseLargeObject(Buffer.from(JSON.stringify({ queues })), new Slices(passes))
    expect(await passes.runAll()).toBeGreaterThan(20)
    expect(await reading).toEqual({ queues })
  })

  it.each([String.raw`\"`, String.raw`\\`, 'x'])(
    'gives others their turn while a long text of %s goes by',
    async (unit) => {
      const passes = new ManualPasses(SLICE_MS)
      const body = Buffer.from(`{"a":["${unit.repeat(2_000_000)}"]}`)
      const reading = parseLargeObject(body, new Slices(passes))
      const [turns, refusal] = await Promise.all([passes.runAll(), reading.catch((error: unknown) => error)])
      expect(turns).toBeGreaterThan(20)
      expect(refusal).toMatchObject({ reason: 'an item of a list is too large' })
    },
  )

  it.each([
    '[1,]',
    '[,1]',
    '[1}',
    '[1,2',
    '["x]',
    '[{"a":[}]',
    '[1 2]',
    `[${'1,'.repeat(70_000)}]`,
    `[${'1,'.repeat(40_000)},1]`,
    '[nul]',
    '[1]]',
  ])('is refused with %.20j in it', async (list) => {
    await expect(parsed(`{"a":${list}${LARGE}}`)).rejects.toMatchObject({ status: 400 })
  })

  it.each([`[1]${LARGE}`, `"x"${LARGE}`, `${LARGE}5`, `{"a":1}{${LARGE}`])('is an object', async (text) => {
    await expect(parsed(text)).rejects.toMatchObject({ status: 400 })
  })

  it('nests no deeper than others, and has no item that would hold everybody up', async () => {
    const deep = `${'['.repeat(40)}${']'.repeat(40)}`
    await expect(parsed(`{"a":[${deep}]${LARGE}}`)).rejects.toMatchObject({ reason: 'the body is nested too deeply' })
    const large = JSON.stringify('x'.repeat(1_200_000))
    await expect(parsed(`{"a":[${large}]}`)).rejects.toMatchObject({ reason: 'an item of a list is too large' })
    await expect(parsed(`{"a":${large}}`)).rejects.toMatchObject({ reason: 'what is in no list is too large' })
  })
})
