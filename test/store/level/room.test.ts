// A store that cannot write because its disk is full: what it does until there is room.
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { Disk, FaultyDatabase, diskError } from '../../support/faulty-database.ts'
import {
  appendAll,
  durable,
  entryOf,
  NotingPublisher,
  openWhole,
  positionsOf,
  range,
  readAll,
} from '../../support/store.ts'

/** A database on a disk that knows how much room it has. */
class FillingDatabase extends FaultyDatabase {
  readonly asked: number[] = []
  room = 0
  failure: Error | null = null

  hasRoom(bytes: number): Promise<boolean> {
    this.asked.push(bytes)
    if (this.failure !== null) return Promise.reject(this.failure)
    return Promise.resolve(bytes <= this.room)
  }
}

/** A store with three messages, whose disk is full. */
async function fullStore() {
  const database = new FillingDatabase(new Disk())
  const clock = new ManualClock()
  const monitor = { storeFailed: () => undefined, storeRecovered: () => undefined }
  const options = { location: 'nowhere', turn: new Turn(), monitor, clock, database: () => database }
  const { store } = await openWhole(options)
  const log = store.log()
  appendAll(log, range(0, 3))
  await durable(store)
  const publisher = new NotingPublisher()
  database.failures = [diskError()]
  log.append(entryOf(5_000, { body: 'x'.repeat(1_000) }), publisher, 3)
  await settle()
  return { store, log, database, clock, publisher }
}

/** Lets everything happen that needs no more than the event loop. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a store without room', () => {
  it('opens its database again where the disk does not tell how much there is', async () => {
    const { log, database, clock, publisher } = await fullStore()
    database.failure = Object.assign(new Error('no such file or directory, stat 000003.log'), { code: 'ENOENT' })
    clock.advance(5_000)
    await settle()
    expect(database.calls).toMatchObject({ open: 2, close: 1 })
    expect(publisher.acceptances).toEqual([3])
    expect(positionsOf(await readAll(log))).toEqual([0, 1, 2, 5_000])
  })

  it('leaves its database open and can be read, until there is room for the batch', async () => {
    const { log, database, clock, publisher } = await fullStore()
    for (let tries = 0; tries < 5; tries++) {
      clock.advance(5_000)
      await settle()
    }
    expect(database.asked.length).toBe(5)
    expect(database.asked[0]).toBeGreaterThan(1_000)
    expect(database.calls).toMatchObject({ open: 1, close: 0 })
    expect(positionsOf(await log.read(0, 3))).toEqual([0, 1, 2])
    expect(publisher.acceptances).toEqual([])
    database.room = 100_000
    clock.advance(5_000)
    await settle()
    expect(database.calls).toMatchObject({ open: 2, close: 1 })
    expect(publisher.acceptances).toEqual([3])
    expect(positionsOf(await readAll(log))).toEqual([0, 1, 2, 5_000])
  })

  it('tries at once when it is closed, and does not wait for its next attempt', async () => {
    const { store, publisher } = await fullStore()
    await store.close()
    expect(publisher.acceptances).toEqual([3])
  })
})
