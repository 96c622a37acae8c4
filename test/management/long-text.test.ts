// A body with a long text, read in slices: what it says is what `JSON.parse` says, wherever a slice ends.
import { describe, expect, it } from 'vitest'
import { SLICE_MS, Slices } from '../../src/lib/slices.ts'
import { fromBase64, parseWithText, TEXT_AT_ONCE_BYTES } from '../../src/management/long-text.ts'
import { ManualPasses } from '../support/manual-passes.ts'

/** Longer than what is read at once, with something before it that shifts where its parts end. */
function long(unit: string, shift: number): string {
  return `${'x'.repeat(shift)}${unit.repeat(Math.ceil((TEXT_AT_ONCE_BYTES + 1) / unit.length))}`
}

function read(body: string) {
  return parseWithText(Buffer.from(body), 'payload', new Slices())
}

describe('a long text', () => {
  it.each([
    ['letters', 'abcdefg'],
    ['characters of two bytes', 'é'],
    ['characters of three bytes', '語'],
    ['characters of four bytes', '🐇'],
    ['short escapes', String.raw`\n\"\\\/`],
    ['long escapes', String.raw`\u00e9`],
    ['escapes of halves', String.raw`\ud83d\uDC07`],
    ['halves that are none', String.raw`\ud83d\ud83d\udc07\udc07\u0041`],
    ['a half before another escape', String.raw`\ud83d\n`],
    ['backslashes before quotes', String.raw`\\\"`],
  ])('of %s is what it is, wherever its parts end', async (_what, unit) => {
    for (let shift = 0; shift < 13; shift++) {
      const text = long(unit, shift)
      const { object, text: payload } = await read(`{"a": "b", "payload" :"${text}","c":[{}]}`)
      expect(object).toMatchObject({ a: 'b', c: [{}] })
      expect(payload?.equals(Buffer.from(JSON.parse(`"${text}"`) as string))).toBe(true)
    }
  })

  it('stands in the object where it is not that long', async () => {
    const payload = 'x'.repeat(TEXT_AT_ONCE_BYTES - 100)
    expect(await read(JSON.stringify({ payload }))).toEqual({ object: { payload }, text: null })
  })

  it.each([
    ['a control character in it', `{"payload":"${long('x', 0)}\n"}`, 'not_json'],
    ['an escape that is none', String.raw`{"payload":"${long('x', 0)}\x"}`, 'not_json'],
    ['half an escape at its end', String.raw`{"payload":"${long('x', 0)}\u12"}`, 'not_json'],
    ['no end', `{"payload":"${long('x', 0)}`, 'the body is too large, but for its payload'],
    ['another name', `{"payload":"","load":"${long('x', 0)}"}`, 'the body is too large, but for its payload'],
    ['a place further in', `{"payload":{"payload":"${long('x', 0)}"}}`, 'the body is too large, but for its payload'],
    ['the place of a name', `{"${long('x', 0)}":"payload"}`, 'the body is too large, but for its payload'],
    [
      'another beside it',
      `{"payload":"${long('x', 1)}","a":"${long('x', 0)}"}`,
      'the body is too large, but for its payload',
    ],
    ['no object around it', `"${long('x', 0)}"`, expect.stringContaining('invalid payload')],
    ['something behind it', `{"payload":"${long('x', 0)}"} 1`, 'not_json'],
  ])('with %s is refused', async (_what, body, reason) => {
    await expect(read(body)).rejects.toMatchObject({ status: 400, reason })
  })

  it('is read while others have their turn', async () => {
    const passes = new ManualPasses(SLICE_MS)
    const slices = new Slices(passes)
    const reading = parseWithText(Buffer.from(`{"payload":"${long('é', 0)}"}`), 'payload', slices)
    expect(await passes.runAll()).toBeGreaterThan(20)
    await reading
  })
})

describe('base64', () => {
  it('is read wherever its parts end, with white space in it', async () => {
    for (let shift = 0; shift < 5; shift++) {
      const bytes = Buffer.alloc(200_000 + shift, 'rabbit')
      const lines = bytes.toString('base64').replaceAll(/.{76}/g, '$&\r\n')
      const decoded = await fromBase64(Buffer.from(`${' '.repeat(shift)}${lines}\n`), new Slices())
      expect(decoded.equals(bytes)).toBe(true)
    }
  })

  it.each(['-', '=A', 'é', '===='])('is none with %j in it', async (wrong) => {
    const text = Buffer.from(`${'AAAA'.repeat(30_000)}${wrong}${'AAAA'.repeat(30_000)}`)
    const reason = ['not_base64', 'AAAA'.repeat(25)]
    await expect(fromBase64(text, new Slices())).rejects.toMatchObject({ status: 400, reason })
  })

  it('is none with an end in it, wherever that stands', async () => {
    for (let whole = 16_382; whole < 16_386; whole++) {
      const text = Buffer.from(`${'AAAA'.repeat(whole)}AA==${'AAAA'.repeat(16_384)}`)
      await expect(fromBase64(text, new Slices())).rejects.toMatchObject({ status: 400 })
    }
  })

  it('is read with white space behind its end', async () => {
    const text = Buffer.from(`${'AAAA'.repeat(16_383)}AA==${' '.repeat(100_000)}`)
    expect((await fromBase64(text, new Slices())).length).toBe(16_383 * 3 + 1)
  })
})
