// A page that the disk does not give: the rest of the queue serves, everybody is told, and it comes back by itself.
import { connect } from 'amqplib'
import { expect, it, onTestFinished, vi } from 'vitest'
import { startServer, type ServerOptions } from '../../src/server.ts'
import { silentLogger } from '../../src/lib/log.ts'
import type * as DatabaseModule from '../../src/store/level/database.ts'
import { Kind } from '../../src/store/level/keys.ts'
import { Api } from '../support/api.ts'
import { diskError } from '../support/faulty-database.ts'
import { temporaryDirectory } from '../support/store.ts'

/** The first page that is asked for once it is `failing`: the disk does not give it for as long. */
const sector = vi.hoisted(() => ({ failing: false, key: '' }))

vi.mock('../../src/store/level/database.ts', async (original) => {
  const module = await original<typeof DatabaseModule>()
  const levelDatabase: typeof module.levelDatabase = (...words) => {
    return (location) => {
      const database = module.levelDatabase(...words)(location)
      const get = database.get.bind(database)
      const getMany = database.getMany.bind(database)
      database.get = (key) => (refused(key) ? Promise.reject(ioError()) : get(key))
      database.getMany = (keys) => (keys.some(refused) ? Promise.reject(ioError()) : getMany(keys))
      return database
    }
  }
  return { ...module, levelDatabase }
})

function refused(key: Buffer): boolean {
  if (!sector.failing) return false
  if (key[0] === Kind.fragment && sector.key === '') sector.key = key.toString('hex')
  return sector.key === key.toString('hex')
}

const ioError = (): Error => diskError('IO error: Input/output error')

const Q = '/api/queues/%2F/q'
const COUNT = 600
const BODY_BYTES = 1024

/** A broker with its API on a directory. */
class DurableApi extends Api {
  readonly #dataDir: string
  /** What was logged of unreadable pages: the facts and the words. */
  readonly told: [facts: object, words: string][] = []

  constructor(dataDir: string) {
    super()
    this.#dataDir = dataDir
  }

  override async start(): Promise<void> {
    const options: ServerOptions = {
      host: '127.0.0.1',
      managementHost: '127.0.0.1',
      managementPort: 0,
      clock: this.clock,
    }
    const note = (facts: object, words: string): void => {
      if (/cannot be read now|can be read again/.test(words)) this.told.push([facts, words])
    }
    const logger = { ...silentLogger, warn: note, error: note }
    this.server = await startServer({ ...options, dataDir: this.#dataDir, logger })
  }
}

it('costs its messages some time and nobody else anything: no restart is needed', async () => {
  const api = new DurableApi(await temporaryDirectory())
  await api.start()
  const writer = await connect(api.amqp)
  const publisher = await writer.createConfirmChannel()
  await publisher.assertQueue('q')
  for (let i = 0; i < COUNT; i++) {
    publisher.sendToQueue('q', Buffer.from(String(i).padEnd(BODY_BYTES)), { persistent: true })
  }
  await publisher.waitForConfirms()
  await writer.close()
  await api.stop()

  await api.start()
  onTestFinished(() => api.stop())
  sector.failing = true
  const reader = await connect(api.amqp)
  const channel = await reader.createChannel()
  const received: number[] = []
  let wanted = { count: Infinity, arrived: (): void => undefined }
  const arrival = (count: number): Promise<void> =>
    new Promise((resolve) => {
      wanted = { count, arrived: resolve }
      if (received.length >= count) resolve()
    })
  await channel.consume(
    'q',
    (message) => {
      received.push(Number(message!.content.toString()))
      expect(message!.fields.redelivered).toBe(false)
      if (received.length === wanted.count) wanted.arrived()
    },
    { noAck: true },
  )
  await expect.poll(async () => (await api.get(Q)).body['messages_unreadable'], { interval: 5 }).toBeGreaterThan(0)
  const unreadable = Number((await api.get(Q)).body['messages_unreadable'])
  expect(unreadable).toBeLessThan(COUNT)
  await arrival(COUNT - unreadable)
  expect(received).toEqual(Array.from({ length: COUNT - unreadable }, (_, i) => unreadable + i))
  expect((await api.get(`${Q}/verdict`)).body['verdict']).toBe('unreadable')
  const told = [{ vhost: '/', queue: 'q', err: { message: 'IO error: Input/output error' } }, expect.any(String)]
  expect(api.told).toMatchObject([told])

  // It is tried again, in vain.
  api.clock.advance(1000)
  expect((await api.get(Q)).body['messages_unreadable']).toBe(unreadable)
  sector.failing = false
  api.clock.advance(2000)
  await arrival(COUNT)
  expect(received.slice(COUNT - unreadable)).toEqual(Array.from({ length: unreadable }, (_, i) => i))
  expect((await api.get(Q)).body['messages_unreadable']).toBeUndefined()
  expect(api.told).toMatchObject([told, [{ vhost: '/', queue: 'q', count: unreadable }, expect.any(String)]])
  await reader.close()
}, 60_000)
