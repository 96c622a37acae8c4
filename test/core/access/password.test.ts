// Password hashes, RabbitMQ's and our own.
import { describe, expect, it } from 'vitest'
import { checkCredential, DECOY, Hashing, hashPassword, verifyPassword } from '../../../src/core/access/password.ts'

// The first is from RabbitMQ's documentation.
const rabbitmq = [
  { password: 'test12', passwordHash: 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR', hashing: Hashing.sha256 },
  { password: 'guest', passwordHash: 'AQIDBEMMOXwY6PKx/JKP9PAqfsb4ozuD0Ta3pxxa9gEYBMmD', hashing: Hashing.sha256 },
]

describe('passwords', () => {
  it.each(rabbitmq)("verifies RabbitMQ's hash of $password", async (kept) => {
    expect(await verifyPassword(kept, kept.password)).toBe(true)
    expect(await verifyPassword(kept, Buffer.from(kept.password))).toBe(true)
    expect(await verifyPassword(kept, `${kept.password}x`)).toBe(false)
  })

  it('verifies SHA-512 hashes in the same layout', async () => {
    const { createHash } = await import('node:crypto')
    const salt = Buffer.from('01020304', 'hex')
    const digest = createHash('sha512').update(salt).update('secret').digest()
    const kept = { hashing: Hashing.sha512, passwordHash: Buffer.concat([salt, digest]).toString('base64') }
    expect(await verifyPassword(kept, 'secret')).toBe(true)
    expect(await verifyPassword(kept, 'Secret')).toBe(false)
  })

  it('hashes with a salt of its own each time, and verifies that', async () => {
    const [one, other] = await Promise.all([hashPassword('hare'), hashPassword('hare')])
    expect(one.hashing).toBe(Hashing.scrypt)
    expect(one.passwordHash).not.toBe(other.passwordHash)
    expect(await verifyPassword(one, 'hare')).toBe(true)
    expect(await verifyPassword(one, 'hart')).toBe(false)
  })

  it('never verifies the decoy, an empty hash or an unknown algorithm', async () => {
    expect(await verifyPassword(DECOY, '')).toBe(false)
    for (const hashing of [...Object.values(Hashing), 'rabbit_password_hashing_md5']) {
      expect(await verifyPassword({ hashing, passwordHash: '' }, '')).toBe(false)
    }
  })

  it('never verifies a hash that asks for more memory than is reasonable', async () => {
    const passwordHash = Buffer.from([30, 8, 1, ...new Uint8Array(48)]).toString('base64')
    expect(await verifyPassword({ hashing: Hashing.scrypt, passwordHash }, 'a')).toBe(false)
    expect(() => checkCredential({ hashing: Hashing.scrypt, passwordHash })).toThrow('parameters out of bounds')
  })

  it('refuses credentials that could never be verified', () => {
    expect(() => checkCredential({ hashing: 'rot13', passwordHash: 'AAAA' })).toThrow(
      "unknown password hashing algorithm 'rot13'",
    )
    expect(() => checkCredential({ hashing: Hashing.sha256, passwordHash: 'not base64!' })).toThrow('not valid base64')
    expect(() => checkCredential({ hashing: Hashing.sha256, passwordHash: '' })).not.toThrow()
    expect(() => checkCredential(rabbitmq[0]!)).not.toThrow()
  })
})
