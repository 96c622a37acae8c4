// Readings share a snapshot as long as it has what they ask for, and it keeps nothing from being given back.
import { expect, it } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { LevelStore } from '../../../src/store/level/level-store.ts'
import { ERASE_AT_ONCE_PAGES, PAGE_ENTRIES, SNAPSHOT_BATCHES } from '../../../src/store/level/tuning.ts'
import { Disk, FaultyDatabase, diskError } from '../../support/faulty-database.ts'
import { EVERYTHING, appendAll, durable, positionsOf, range } from '../../support/store.ts'

async function opened() {
  const database = new FaultyDatabase(new Disk())
  const clock = new ManualClock()
  const monitor = { storeFailed: () => undefined, storeRecovered: () => undefined }
  const options = { location: 'nowhere', turn: new Turn(), clock, monitor, database: () => database }
  const { store } = await LevelStore.open(options)
  return { database, clock, store, log: store.log() }
}

/** The positions of the first page that has something from here on. */
async function read(log: ReturnType<LevelStore['log']>, from: number): Promise<number[]> {
  return positionsOf(await log.read(from, EVERYTHING, 0))
}

it('reads through one snapshot as long as it has what is asked for', async () => {
  const { database, store, log } = await opened()
  appendAll(log, range(0, PAGE_ENTRIES))
  await durable(store)
  appendAll(log, range(PAGE_ENTRIES, 2 * PAGE_ENTRIES))
  await durable(store)
  expect(await read(log, 0)).toEqual([...range(0, PAGE_ENTRIES)])
  expect(await read(log, PAGE_ENTRIES)).toEqual([...range(PAGE_ENTRIES, 2 * PAGE_ENTRIES)])
  expect(database.calls.snapshot).toBe(1)
  appendAll(log, range(2 * PAGE_ENTRIES, 3 * PAGE_ENTRIES))
  await durable(store)
  expect(await read(log, 0)).toEqual([...range(0, PAGE_ENTRIES)])
  expect(database.calls.snapshot).toBe(1)
  expect(await read(log, 2 * PAGE_ENTRIES)).toEqual([...range(2 * PAGE_ENTRIES, 3 * PAGE_ENTRIES)])
  expect(database.calls.snapshot).toBe(2)
  expect(database.snapshots.length).toBe(1)
})

it('lets go of a snapshot that nobody renews', async () => {
  const { database, store, log } = await opened()
  appendAll(log, range(0, PAGE_ENTRIES))
  await durable(store)
  await read(log, 0)
  expect(database.snapshots.length).toBe(1)
  for (const position of range(PAGE_ENTRIES, PAGE_ENTRIES + SNAPSHOT_BATCHES + 1)) {
    appendAll(log, [position])
    await durable(store)
  }
  expect(database.snapshots.length).toBe(0)
})

it('has no snapshot open when space is given back', async () => {
  const { database, store, log } = await opened()
  const pages = ERASE_AT_ONCE_PAGES + 1
  appendAll(log, range(0, pages * PAGE_ENTRIES), { body: 'x'.repeat(200) })
  await durable(store)
  await read(log, 0)
  expect(database.snapshots.length).toBe(1)
  log.discard(0, EVERYTHING)
  while (database.calls.compactRange === 0) await durable(store)
  expect(database.snapshotsCompacted).toEqual([0])
})

it('reads on when the database was opened again', async () => {
  const { database, clock, store, log } = await opened()
  appendAll(log, range(0, PAGE_ENTRIES))
  await durable(store)
  await read(log, 0)
  database.failures = [diskError()]
  appendAll(log, [PAGE_ENTRIES])
  const written = durable(store)
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(100)
  await written
  expect(database.calls.open).toBe(2)
  expect(await read(log, 0)).toEqual([...range(0, PAGE_ENTRIES)])
  expect(database.calls.snapshot).toBe(2)
})

it('reads on when the database was opened again to be closed', async () => {
  const { database, store, log } = await opened()
  appendAll(log, range(0, PAGE_ENTRIES))
  await durable(store)
  await read(log, 0)
  database.failures = [diskError()]
  appendAll(log, [PAGE_ENTRIES])
  await new Promise((resolve) => setImmediate(resolve))
  database.holding = true
  const closing = store.close()
  expect(await read(log, 0)).toEqual([...range(0, PAGE_ENTRIES)])
  database.holding = false
  database.release()
  await closing
})
