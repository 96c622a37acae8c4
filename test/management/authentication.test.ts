// How many wrong passwords are looked at, and whom that keeps out.
import { beforeEach, describe, expect, it } from 'vitest'
import type { User } from '../../src/core/access.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { Authentication } from '../../src/management/authentication.ts'
import { HttpError } from '../../src/management/http-error.ts'

const OFFICE = '203.0.113.7'

let clock: ManualClock
let authentication: Authentication

beforeEach(() => {
  clock = new ManualClock()
  const passwords = {
    authenticate: async (name: string, password: string): Promise<User | null> =>
      password === 'right' ? { name, tags: ['management'] } : null,
    loopbackOnly: () => false,
  }
  authentication = new Authentication(passwords, clock)
})

/** The status that an attempt is answered with. */
async function attempt(name: string | null, password: string, address = OFFICE): Promise<number> {
  try {
    await authentication.login(name, password, address)
    return 200
  } catch (error) {
    if (error instanceof HttpError) return error.status
    throw error
  }
}

async function attempts(count: number, name: (i: number) => string | null): Promise<ReadonlySet<number>> {
  const seen = new Set<number>()
  for (let i = 0; i < count; i++) seen.add(await attempt(name(i), 'wrong'))
  return seen
}

describe('wrong passwords', () => {
  it('keep that user out from that address for a minute, and nobody else', async () => {
    expect(await attempts(30, () => 'ann')).toEqual(new Set([401]))
    expect(await attempt('ann', 'right')).toBe(429)
    expect(await attempt('ann', 'right', '203.0.113.8')).toBe(200)
    expect(await attempt('bob', 'right')).toBe(200)
    clock.advance(59_999)
    expect(await attempt('ann', 'right')).toBe(429)
    clock.advance(1)
    expect(await attempt('ann', 'right')).toBe(200)
  })

  it('tell no more when many are tried at once', async () => {
    const guesses = Array.from({ length: 100 }, (_, i) => attempt('ann', i === 99 ? 'right' : 'wrong'))
    expect(await Promise.all(guesses)).toEqual([...Array<number>(30).fill(401), ...Array<number>(70).fill(429)])
  })

  it('are not counted against the address once they are no longer looked at', async () => {
    expect(await attempts(1000, () => 'ann')).toEqual(new Set([401, 429]))
    expect(await attempt('bob', 'right')).toBe(200)
  })

  it('for many users keep the address out', async () => {
    expect(await attempts(300, (i) => `user-${i}`)).toEqual(new Set([401]))
    expect(await attempt('bob', 'right')).toBe(429)
    expect(await attempt('bob', 'right', '203.0.113.8')).toBe(200)
    clock.advance(60_000)
    expect(await attempt('bob', 'right')).toBe(200)
  })

  it('may be credentials that cannot be read', async () => {
    expect(await attempts(31, () => null)).toEqual(new Set([401, 429]))
    expect(await attempt('bob', 'right')).toBe(200)
  })

  it('are forgotten for those who come after ten thousand others', async () => {
    await attempts(30, () => 'ann')
    for (let i = 0; i < 10_000; i++) await attempt(`user-${i}`, 'wrong', `address-${i}`)
    expect(await attempt('ann', 'right')).toBe(200)
  })
})
