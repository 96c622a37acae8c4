// Which addresses are this machine's.
import { describe, expect, it } from 'vitest'
import { isLoopback } from '../../src/lib/loopback.ts'

describe('isLoopback', () => {
  it.each([
    '127.0.0.1',
    '127.255.3.4',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::ffff:127.9.9.9',
    '::ffff:7f00:1',
  ])('takes %s for loopback', (address) => expect(isLoopback(address)).toBe(true))

  it.each([
    undefined,
    '',
    'localhost',
    '10.0.0.1',
    '128.0.0.1',
    '::',
    '::2',
    '::ffff:10.0.0.1',
    '::127.0.0.1',
    'fe80::1',
  ])('does not take %s for loopback', (address) => expect(isLoopback(address)).toBe(false))
})
