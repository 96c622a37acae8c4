// Sizes as people write them.
import { expect, it } from 'vitest'
import { byteSize } from '../../src/lib/byte-size.ts'

it.each([
  ['1000', 1000],
  ['2GB', 2_000_000_000],
  ['2 GiB', 2 ** 31],
  ['3k', 3072],
  ['50mb', 50_000_000],
  ['0', 0],
  ['', null],
  ['GB', null],
  ['1.5GB', null],
  ['2 bushels', null],
  ['-1', null],
])('the size %j is %j', (text, bytes) => {
  expect(byteSize(text)).toBe(bytes)
})
