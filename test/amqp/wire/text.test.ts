import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeText,
  encodeText,
  internShortString,
  textBytes,
  truncateText,
  wellFormedText,
  writeText,
} from '../../../src/amqp/wire/text.ts'
import { hex, text } from './support.ts'

const decode = (bytes: Buffer) => decodeText(bytes, 0, bytes.length)

/** Bytes of every kind: plain, valid beyond ASCII, and broken. */
const anyBytes = fc
  .array(
    fc.oneof(
      fc.string({ maxLength: 40 }).map((string) => Buffer.from(string)),
      fc.string({ unit: 'binary', maxLength: 10 }).map((string) => Buffer.from(string)),
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 6 },
  )
  .map((parts) => Buffer.concat(parts))

describe('text', () => {
  it.each([
    ['', ''],
    ['68656c6c6f', 'hello'],
    ['c3bc', 'ü'],
    ['e282ac', '€'],
    ['f09f9087', '🐇'],
    ['efbfbd', '\uFFFD'],
    ['efbbbf61', '\uFEFFa'],
    ['00', '\0'],
  ])('decodes %s as UTF-8', (digits, string) => {
    expect(decode(hex(digits))).toBe(string)
    expect(encodeText(string)).toEqual(hex(digits))
  })

  it.each([
    ['80', '\uDC80'],
    ['ff', '\uDCFF'],
    ['61ff62', 'a\uDCFFb'],
    ['c0af', '\uDCC0\uDCAF'],
    ['eda080', '\uDCED\uDCA0\uDC80'],
    ['edb380', '\uDCED\uDCB3\uDC80'],
    ['f4908080', '\uDCF4\uDC90\uDC80\uDC80'],
    ['e282', '\uDCE2\uDC82'],
    ['e28241', '\uDCE2\uDC82A'],
    ['efbfbdff', '\uFFFD\uDCFF'],
    ['c3bcc3', 'ü\uDCC3'],
    ['f8888080', '\uDCF8\uDC88\uDC80\uDC80'],
  ])('keeps the octets of %s that are no UTF-8 one by one', (digits, string) => {
    expect(decode(hex(digits))).toBe(string)
    expect(wellFormedText(string)).toBe(false)
    expect(encodeText(string)).toEqual(hex(digits))
  })

  it('gives back the bytes that it was made of, whatever they are', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const string = decode(bytes)
        expect(textBytes(string)).toBe(bytes.length)
        expect(encodeText(string)).toEqual(bytes)
      }),
    )
  })

  it('decodes valid UTF-8 as everybody does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (string) => {
        expect(decode(Buffer.from(string))).toBe(string)
        expect(encodeText(string)).toEqual(Buffer.from(string))
      }),
    )
  })

  it('decodes a part of a buffer, and writes into the middle of one', () => {
    expect(decodeText(Buffer.from('..héllo..'), 2, 8)).toBe('héllo')
    const buffer = Buffer.from('..........')
    expect(writeText(buffer, 2, 'hé')).toBe(5)
    expect(buffer.toString()).toBe('..hé.....')
  })

  it('writes a lone surrogate that stands for no octet as the replacement character', () => {
    expect(encodeText('a\uD800b')).toEqual(Buffer.from('a\uFFFDb'))
    expect(textBytes('a\uD800b')).toBe(5)
  })

  it('truncates between characters only', () => {
    expect(truncateText('abc', 3)).toBe('abc')
    expect(truncateText('abcd', 3)).toBe('abc')
    expect(truncateText('aüb', 2)).toBe('a')
    expect(truncateText('aüb', 3)).toBe('aü')
    expect(truncateText('🐇🐇', 7)).toBe('🐇')
    expect(truncateText('\uDCFF\uDCFF\uDCFF', 2)).toBe('\uDCFF\uDCFF')
    expect(truncateText('abc', 0)).toBe('')
  })

  it('truncates to the longest beginning that fits', () => {
    fc.assert(
      fc.property(text(60), fc.nat(70), (string, bytesMax) => {
        const cut = truncateText(string, bytesMax)
        expect(string.startsWith(cut)).toBe(true)
        expect(textBytes(cut)).toBeLessThanOrEqual(bytesMax)
        const next = String.fromCodePoint(string.codePointAt(cut.length) ?? 0)
        expect(cut === string || textBytes(cut + next) > bytesMax).toBe(true)
      }),
    )
  })
})

describe('interned short strings', () => {
  it('are what decodeText makes of the bytes, the first time and every time', () => {
    fc.assert(
      fc.property(fc.array(anyBytes, { maxLength: 10 }), (strings) => {
        const buffer = Buffer.concat(strings)
        for (let round = 0; round < 3; round++) {
          let start = 0
          for (const bytes of strings) {
            expect(internShortString(buffer, start, start + bytes.length)).toBe(decode(bytes))
            start += bytes.length
          }
        }
      }),
    )
  })

  it('differ when one byte differs, wherever it is', () => {
    for (let length = 1; length <= 70; length++) {
      const bytes = Buffer.alloc(length, 'a')
      const variants = Array.from(bytes, (_, index) => {
        const variant = Buffer.from(bytes)
        variant[index] = 0x62
        return variant
      })
      for (const variant of [bytes, ...variants, bytes]) {
        expect(internShortString(variant, 0, length)).toBe(variant.toString())
      }
    }
  })

  it('survive more names than there are slots, and the chunk that they came in', () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `queue.${index}`)
    for (const name of [...names, ...names.toReversed()]) {
      const chunk = Buffer.from(`..${name}`)
      const string = internShortString(chunk, 2, chunk.length)
      chunk.fill(0)
      expect(string).toBe(name)
    }
  })
})
