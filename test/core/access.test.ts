// Who may log in, and who may do what.
import * as crypto from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { Access, type AccessOptions } from '../../src/core/access.ts'
import { Hashing } from '../../src/core/access/password.ts'
import { definitionIdentity, type Definition } from '../../src/core/definitions.ts'
import { BrokerError } from '../../src/core/errors.ts'
import { ManualClock } from '../../src/lib/clock.ts'

vi.mock('node:crypto', async (original) => {
  const actual = await original<typeof crypto>()
  return { ...actual, scrypt: vi.fn(actual.scrypt) }
})
const hashes = vi.mocked(crypto.scrypt)

/** Keeps definitions as a store would. */
class Shelf {
  readonly kept = new Map<string, Definition>()

  save(definition: Definition): void {
    this.kept.set(this.#key(definition), definition)
  }

  remove(definition: Definition): void {
    this.kept.delete(this.#key(definition))
  }

  #key(definition: Definition): string {
    return JSON.stringify([definition.kind, definitionIdentity(definition)])
  }
}

async function broker(options: Partial<AccessOptions> = {}) {
  const store = new Shelf()
  const clock = new ManualClock()
  const access = new Access({ store, clock, ...options })
  await access.putUser('guest', { password: 'guest' }, ['administrator'])
  await access.putUser('ann', { password: 'carrot' }, [])
  access.putPermission('guest', '/', { configure: '.*', write: '.*', read: '.*' })
  access.putPermission('ann', '/', { configure: '^ann-.*', write: '^(ann-.*|amq\\.default)$', read: '' })
  hashes.mockClear()
  return { access, store, clock }
}

describe('logging in', () => {
  it('lets a user in with the right password and no other', async () => {
    const { access } = await broker()
    expect(await access.authenticate('guest', 'guest', true)).toEqual({ name: 'guest', tags: ['administrator'] })
    expect(await access.authenticate('ann', Buffer.from('carrot'), false)).toEqual({ name: 'ann', tags: [] })
    expect(await access.authenticate('ann', 'Carrot', true)).toBeNull()
    expect(await access.authenticate('ann', 'guest', true)).toBeNull()
    expect(await access.authenticate('nobody', 'carrot', true)).toBeNull()
  })

  it('refuses a loopback user from elsewhere, and others only where it is told so', async () => {
    const { access } = await broker()
    expect(await access.authenticate('guest', 'guest', false)).toBeNull()
    const open = await broker({ loopbackUsers: ['ann'] })
    expect(await open.access.authenticate('guest', 'guest', false)).not.toBeNull()
    expect(await open.access.authenticate('ann', 'carrot', false)).toBeNull()
  })

  it('never lets an empty password in, whatever the hash', async () => {
    const { access } = await broker()
    await access.putUser('bob', null, [])
    await access.putUser('eve', { password: '' }, [])
    for (const user of ['bob', 'eve', 'ann']) expect(await access.authenticate(user, '', true)).toBeNull()
    expect(await access.authenticate('bob', 'x', true)).toBeNull()
  })

  it('goes to the same trouble for a user who does not exist', async () => {
    const { access } = await broker()
    await access.authenticate('nobody', 'carrot', true)
    expect(hashes).toHaveBeenCalledTimes(1)
  })

  it('hashes once for a thousand connections at once and for those of the next minute', async () => {
    const { access, clock } = await broker()
    const users = await Promise.all(Array.from({ length: 1000 }, () => access.authenticate('ann', 'carrot', true)))
    expect(users.every((user) => user?.name === 'ann')).toBe(true)
    clock.advance(59_999)
    expect(await access.authenticate('ann', 'carrot', true)).not.toBeNull()
    expect(hashes).toHaveBeenCalledTimes(1)
    clock.advance(60_000)
    expect(await access.authenticate('ann', 'carrot', true)).not.toBeNull()
    expect(hashes).toHaveBeenCalledTimes(2)
  })

  it('goes to no trouble for those who have gone, unless somebody else waits for the same', async () => {
    const { access } = await broker()
    const here = { protocol: 'amqp091', address: '192.0.2.1', gone: () => false } as const
    const gone = { ...here, gone: () => true }
    // Two at a time: the others wait.
    const busy = ['a', 'b'].map((name) => access.authenticate(name, 'wrong', true, here))
    const left = access.authenticate('guest', 'guest', true, gone)
    const [shared, alone] = [gone, here].map((source) => access.authenticate('ann', 'carrot', true, source))
    expect(await left).toBeNull()
    expect([await shared, await alone]).toEqual([
      { name: 'ann', tags: [] },
      { name: 'ann', tags: [] },
    ])
    await Promise.all(busy)
    expect(hashes).toHaveBeenCalledTimes(3)
    expect(await access.authenticate('guest', 'guest', true, here)).not.toBeNull()
  })

  it('lets nobody wait for more than a turn of those at another address', async () => {
    const { access } = await broker()
    const answered: string[] = []
    const login = async (name: string, password: string, address: string): Promise<void> => {
      await access.authenticate(name, password, true, { protocol: 'amqp091', address })
      answered.push(name)
    }
    const guesses = Array.from({ length: 12 }, (_, i) => login(`guess${i}`, 'wrong', '192.0.2.1'))
    await Promise.all([...guesses, login('ann', 'carrot', '192.0.2.2')])
    expect(answered.indexOf('ann')).toBeLessThanOrEqual(4)
  })

  it('takes as long for a wrong password where the hash is a quick one', async () => {
    const { access } = await broker()
    const [salt, hash] = [Buffer.alloc(4), crypto.createHash('sha256').update(Buffer.alloc(4)).update('hay').digest()]
    const passwordHash = Buffer.concat([salt, hash]).toString('base64')
    await access.putUser('old', { passwordHash, hashing: Hashing.sha256 }, [])
    expect(await access.authenticate('old', 'straw', true)).toBeNull()
    expect(hashes).toHaveBeenCalledTimes(1)
    expect(await access.authenticate('old', 'hay', true)).not.toBeNull()
    expect(hashes).toHaveBeenCalledTimes(1)
  })

  it('forgets a login when the user is changed or deleted', async () => {
    const { access } = await broker()
    await access.authenticate('ann', 'carrot', true)
    await access.putUser('ann', { password: 'turnip' }, [])
    expect(await access.authenticate('ann', 'carrot', true)).toBeNull()
    expect(await access.authenticate('ann', 'turnip', true)).not.toBeNull()
    access.deleteUser('ann')
    expect(await access.authenticate('ann', 'turnip', true)).toBeNull()
  })

  it('answers for the user as they are when the hash is ready, not as they were', async () => {
    const { access } = await broker()
    const login = access.authenticate('ann', 'carrot', true)
    await access.putUser(
      'ann',
      { passwordHash: 'AQIDBEMMOXwY6PKx/JKP9PAqfsb4ozuD0Ta3pxxa9gEYBMmD', hashing: Hashing.sha256 },
      [],
    )
    expect(await login).toBeNull()
    expect(await access.authenticate('ann', 'guest', true)).not.toBeNull()
  })

  it('says why in the log only, and never with the password', async () => {
    const info = vi.fn()
    const { access } = await broker({ logger: { debug: info, info, warn: info, error: info } })
    await access.authenticate('ann', 'parsnip', true)
    await access.authenticate('guest', 'guest', false)
    expect(info.mock.calls).toEqual([
      [{ user: 'ann', reason: 'the password is wrong' }, 'login refused'],
      [{ user: 'guest', reason: 'the user may log in from this machine only' }, 'login refused'],
    ])
  })
})

describe('permissions', () => {
  it('opens a vhost to those who have a permission there', async () => {
    const { access } = await broker()
    expect(access.mayOpen('ann', '/')).toBe(true)
    expect(access.mayOpen('ann', 'other')).toBe(false)
    expect(access.mayOpen('nobody', '/')).toBe(false)
  })

  it('decides by the pattern of each right, an empty one matching nothing but the empty name', async () => {
    const { access } = await broker()
    expect(access.allowed('ann', '/', 'queue', 'ann-q', 'configure')).toBe(true)
    expect(access.allowed('ann', '/', 'queue', 'q', 'configure')).toBe(false)
    expect(access.allowed('ann', '/', 'queue', 'ann-q', 'read')).toBe(false)
    expect(access.allowed('ann', '/', 'queue', '', 'read')).toBe(true)
    expect(access.allowed('ann', 'other', 'queue', 'ann-q', 'configure')).toBe(false)
  })

  it("knows the default exchange as 'amq.default'", async () => {
    const { access } = await broker()
    expect(access.allowed('ann', '/', 'exchange', '', 'write')).toBe(true)
    expect(() => access.check('ann', '/', 'exchange', '', 'read')).toThrow(
      new BrokerError('access-refused', "read access to exchange 'amq.default' in vhost '/' refused for user 'ann'"),
    )
  })

  it("refuses with RabbitMQ's sentence", async () => {
    const { access } = await broker()
    expect(() => access.check('ann', '/', 'queue', 'ann-q', 'configure')).not.toThrow()
    expect(() => access.check('ann', '/', 'queue', 'q', 'configure')).toThrow(
      new BrokerError('access-refused', "configure access to queue 'q' in vhost '/' refused for user 'ann'"),
    )
    expect(() => access.checkAny('ann', '/', 'queue', 'ann-q')).not.toThrow()
    expect(() => access.checkAny('ann', '/', 'queue', 'q')).toThrow("configure access to queue 'q'")
  })

  it('counts its version up with each change', async () => {
    const { access } = await broker()
    const seen = new Set([access.version])
    const changes: (() => unknown)[] = [
      () => access.putUser('bob', null, []),
      () => access.putPermission('bob', '/', { configure: '', write: '', read: '.*' }),
      () => access.deletePermission('bob', '/'),
      () => access.deleteUser('bob'),
    ]
    for (const change of changes) {
      await change()
      seen.add(access.version)
    }
    expect(seen.size).toBe(1 + changes.length)
    expect(access.deletePermission('bob', '/')).toBe(false)
    expect(access.deleteUser('bob')).toBe(false)
    expect(seen.has(access.version)).toBe(true)
  })

  it('refuses a pattern that it cannot match safely, an unknown user, and keeps what there was', async () => {
    const { access } = await broker()
    const rights = { configure: '.*', write: '(a)\\1', read: '.*' }
    expect(() => access.putPermission('ann', '/', rights)).toThrow(
      "the write pattern '(a)\\1' cannot be used: back references are not supported (at character 4)",
    )
    expect(access.allowed('ann', '/', 'queue', 'q', 'configure')).toBe(false)
    expect(() => access.putPermission('bob', '/', { ...rights, write: '' })).toThrow("no user 'bob'")
  })
})

describe('what is kept', () => {
  it('comes back as it was from what the store holds', async () => {
    const { store } = await broker()
    const again = new Access({ store: new Shelf(), clock: new ManualClock() })
    again.load([...store.kept.values(), { kind: 'vhost', name: '/', description: '', tags: [] }])
    expect(await again.authenticate('ann', 'carrot', true)).not.toBeNull()
    expect(again.permission('ann', '/')).toMatchObject({ configure: '^ann-.*', read: '' })
    expect([...again.users].map((user) => user.name)).toEqual(['guest', 'ann'])
    expect([...again.permissions()].map((row) => row.user)).toEqual(['guest', 'ann'])
  })

  it('holds no password in the clear', async () => {
    const { store } = await broker()
    expect(JSON.stringify([...store.kept.values()])).not.toContain('carrot')
  })

  it('loses the permissions of a deleted user and of a deleted vhost', async () => {
    const { access, store } = await broker()
    access.putPermission('ann', 'other', { configure: '', write: '', read: '' })
    access.deleteUser('ann')
    expect([...access.permissions()]).toHaveLength(1)
    access.vhostDeleted('/')
    expect([...access.permissions()]).toHaveLength(0)
    expect([...store.kept.values()].map((definition) => definition.kind)).toEqual(['user'])
  })
})
