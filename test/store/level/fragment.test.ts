// Fragments of both versions: what was written is read, and nothing that is damaged passes.
import { describe, expect, it } from 'vitest'
import type { StoredMessage } from '../../../src/core/ports.ts'
import { packFragment, unpackFragments, type Wanted } from '../../../src/store/level/fragment.ts'
import { Page } from '../../../src/store/level/page.ts'
import { bodyOf, entryOf, propertiesOf, range, withCrc32 } from '../../support/store.ts'

const ALL: Wanted = { wants: () => true, redelivered: () => false }
const COUNT = 20

function bodyAt(position: number): string {
  return `${position} `.repeat(512)
}

/** A fragment of messages of some KiB, as it is written. */
function newest(): Buffer {
  const entries = [...range(0, COUNT)].map((position) => entryOf(position, { body: bodyAt(position) }))
  return packFragment(entries, 0, new Page(0), 0, () => 0).value
}

/** The same as version 1 had it. */
function older(): Buffer {
  const value = Buffer.from(newest())
  withCrc32(value)
  return value
}

describe.each([
  [1, older],
  [2, newest],
] as const)('a fragment of version %i', (version, make) => {
  it('is read', () => {
    const value = make()
    const found: StoredMessage[] = []
    expect(value[4]).toBe(version)
    expect(unpackFragments(value, 0, ALL, found)).toBe(null)
    expect(found.map((each) => [each.position, propertiesOf(each), bodyOf(each)])).toEqual(
      [...range(0, COUNT)].map((position) => [position, 'props', bodyAt(position)]),
    )
  })

  it('is not read when it is damaged anywhere', () => {
    const value = make()
    for (let at = 0; at < value.length; at += at < 30 ? 1 : 97) {
      for (const mask of [0x01, 0x03, 0x10, 0xff]) {
        const damaged = Buffer.from(value)
        damaged[at]! ^= mask
        expect(unpackFragments(damaged, 0, ALL, []), `byte ${at}`).not.toBe(null)
      }
    }
  })

  it('does not pass for the other', () => {
    const value = make()
    value[4] = version === 1 ? 2 : 1
    expect(unpackFragments(value, 0, ALL, [])?.error.message).toBe('the checksum of a fragment is wrong')
  })
})

it('fragments of both versions stand side by side in a page that was merged', () => {
  const found: StoredMessage[] = []
  expect(unpackFragments(Buffer.concat([older(), newest(), older()]), 0, ALL, found)).toBe(null)
  expect(found).toHaveLength(3 * COUNT)
})

it('a fragment of a version that nobody has written is damaged', () => {
  const value = newest()
  value[4] = 3
  expect(unpackFragments(value, 0, ALL, [])?.error.message).toBe('a fragment has version 3, which there is not')
})
