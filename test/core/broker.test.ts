// A broker before and after its first start.
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { amqpPropertyCodec } from '../../src/amqp/property-codec.ts'
import { Hashing } from '../../src/core/access/password.ts'
import { Broker } from '../../src/core/broker.ts'
import { NO_ARGUMENTS } from '../../src/core/value.ts'
import type { VHostDefaultsOptions } from '../../src/core/vhost-defaults.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/log.ts'
import { Turn } from '../../src/lib/turn.ts'
import { MemoryStore } from '../../src/store/memory/memory-store.ts'
import { DurableCore } from '../support/durable-core.ts'
import { turnsRun } from '../support/sockets.ts'

function emptyBroker(vhostDefaults: VHostDefaultsOptions = {}): Broker {
  const clock = new ManualClock()
  const readings = { residentBytes: () => 0, freeDiskBytes: () => Promise.resolve(null) }
  return new Broker({
    store: new MemoryStore({ turn: new Turn(), clock }),
    clock,
    codec: amqpPropertyCodec,
    logger: silentLogger,
    vhostDefaults,
    resources: { limits: { memoryBytes: 0, diskFreeBytes: 0 }, readings },
  })
}

const DEFAULTS = { user: 'guest', password: 'guest', vhost: '/' }

describe('the first start', () => {
  it('enlists vhost, users and permissions in one turn, so that a crash leaves all of them or none', async () => {
    const rights = { configure: '', write: '', read: '' }
    const broker = emptyBroker({ users: [{ name: 'ann', vhostPattern: '', password: 'carrot', tags: [], rights }] })
    let turn = 0
    const count = (): void => {
      turn++
      next = setImmediate(count)
    }
    let next = setImmediate(count)
    onTestFinished(() => clearImmediate(next))
    const saved: { readonly kind: string; readonly turn: number }[] = []
    vi.spyOn(broker.store, 'save').mockImplementation(({ kind }) => void saved.push({ kind, turn }))
    await broker.firstStart(DEFAULTS)
    const kinds = saved.map(({ kind }) => kind)
    expect(kinds.toSorted()).toEqual(['permission', 'permission', 'user', 'user', 'vhost'])
    expect(new Set(saved.map((each) => each.turn)).size).toBe(1)
  })

  it('hashes the password that everybody knows as RabbitMQ does, and any other by scrypt', async () => {
    const hashing = async (password: string): Promise<string | undefined> => {
      const broker = emptyBroker()
      await broker.firstStart({ ...DEFAULTS, password })
      expect(await broker.access.authenticate('guest', password, true)).not.toBeNull()
      expect(await broker.access.authenticate('guest', 'another', true)).toBeNull()
      return [...broker.access.users].find(({ name }) => name === 'guest')?.hashing
    }
    expect(await hashing('guest')).toBe(Hashing.sha256)
    expect(await hashing('Guest')).toBe(Hashing.scrypt)
  })

  it('is not that of a broker that has a vhost or a user, whatever became of the other', async () => {
    const broker = emptyBroker()
    expect(broker.vacant).toBe(true)
    await broker.firstStart(DEFAULTS)
    expect(broker.vacant).toBe(false)
    broker.deleteVHost('/')
    expect(broker.vacant).toBe(false)
    broker.access.deleteUser('guest')
    expect(broker.vacant).toBe(true)
    await broker.createVHost('other', '')
    expect(broker.vacant).toBe(false)
  })
})

it('knows that definitions are on their way to disk: nobody is told before that they are there', async () => {
  const core = await DurableCore.start()
  core.database.holding = true
  expect(core.broker.definitionsWaiting).toBe(false)
  core.declare('q')
  // Somebody else declares it too, which changes nothing.
  const before = core.broker.durableChanges
  core.declare('q')
  expect([core.broker.durableChanges - before, core.broker.definitionsWaiting]).toEqual([0, true])
  await turnsRun()
  expect(core.broker.definitionsWaiting).toBe(true)
  core.database.release()
  await turnsRun()
  expect(core.broker.definitionsWaiting).toBe(false)
})

it('knows after a restart who declared an exchange', async () => {
  const core = await DurableCore.start()
  const exchange = { name: 'x', type: 'fanout', durable: true, autoDelete: false, internal: false }
  core.session.declareExchange({ ...exchange, arguments: NO_ARGUMENTS })
  const { user } = core.session.vhost.exchange('x')
  await core.written()
  const { vhost } = (await core.afterPowerCut()).session
  expect([user, vhost.exchange('x').user, vhost.exchange('amq.direct').user]).toEqual(['tester', 'tester', null])
})
