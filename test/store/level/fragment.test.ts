// Fragments of both versions: what was written is read, and nothing that is damaged passes.
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Message } from '../../../src/core/message.ts'
import type { StoredMessage } from '../../../src/core/ports.ts'
import { Entry } from '../../../src/core/queue/entry.ts'
import type { Queue } from '../../../src/core/queue/queue.ts'
import { packFragment, unpackFragments, type Wanted } from '../../../src/store/level/fragment.ts'
import { Page } from '../../../src/store/level/page.ts'

const ALL: Wanted = { wants: () => true, redelivered: () => false }
const COUNT = 20

/** A fragment of messages of 1 KiB, as it is written. */
function newest(): Buffer {
  const facts = { persistent: true, priority: -1, expirationMs: -1, headers: false }
  const entries = Array.from({ length: COUNT }, (_, position) => {
    const bytes = Buffer.alloc(1026, `${position} `)
    return new Entry(null as unknown as Queue, new Message('', 'q', facts, bytes, 0, 2, bytes, 2, 1026, true), position)
  })
  return packFragment(entries, 0, new Page(0), 0, () => 0).value
}

/** The properties and the body of a message, as text. */
function contentOf(message: Message): string {
  const { properties, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd } = message
  return properties.toString('latin1', propertiesStart, propertiesEnd) + body.toString('latin1', bodyStart, bodyEnd)
}

/** The same as version 1 had it. */
function older(): Buffer {
  const bytes = Buffer.from(newest())
  bytes[4] = 1
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0)
  return bytes
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
    expect(found.map(({ position, message }) => [position, contentOf(message)])).toEqual(
      Array.from({ length: COUNT }, (_, position) => [position, Buffer.alloc(1026, `${position} `).toString()]),
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
