// Readings share a snapshot while space is given back, as far as it has what they ask for.
import { expect, it } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import type { LevelStore } from '../../../src/store/level/level-store.ts'
import { ERASE_AT_ONCE_PAGES, PAGE_ENTRIES } from '../../../src/store/level/tuning.ts'
import { Disk, FaultyDatabase, diskError } from '../../support/faulty-database.ts'
import { appendAll, durable, EVERYTHING, openWhole, positionsOf, range } from '../../support/store.ts'

async function opened() {
  const database = new FaultyDatabase(new Disk())
  const clock = new ManualClock()
  const monitor = { storeFailed: () => undefined, storeRecovered: () => undefined }
  const options = { location: 'nowhere', turn: new Turn(), clock, monitor, database: () => database }
  const { store } = await openWhole(options)
  return { database, clock, store, log: store.log() }
}

/** The positions of the first page that has something from here on. */
async function read(log: ReturnType<LevelStore['log']>, from: number): Promise<number[]> {
  return positionsOf(await log.read(from, EVERYTHING, 0))
}

type Opened = Awaited<ReturnType<typeof opened>>

/** Has space given back, of another log, until what is returned is called. */
async function compacting({ database, store }: Opened): Promise<() => void> {
  let finish = (): void => undefined
  database.compacting = new Promise((resolve) => (finish = resolve))
  const other = store.log()
  appendAll(other, range(0, (ERASE_AT_ONCE_PAGES + 1) * PAGE_ENTRIES), { body: 'x'.repeat(200) })
  await durable(store)
  other.discard(0, EVERYTHING)
  while (database.calls.compactRange === 0) await durable(store)
  return finish
}

it('reads without a snapshot of its own', async () => {
  const { database, store, log } = await opened()
  appendAll(log, range(0, PAGE_ENTRIES))
  await durable(store)
  expect(await read(log, 0)).toEqual([...range(0, PAGE_ENTRIES)])
  expect(database.calls.snapshot).toBe(0)
})

it('reads through one while space is given back, as far as it has what is asked for, and no longer', async () => {
  const bench = await opened()
  const { database, store, log } = bench
  appendAll(log, range(0, PAGE_ENTRIES))
  await durable(store)
  const finish = await compacting(bench)
  expect(database.snapshots.length).toBe(1)
  appendAll(log, range(PAGE_ENTRIES, 2 * PAGE_ENTRIES))
  await durable(store)
  const asked: boolean[] = []
  const getMany = database.getMany.bind(database)
  database.getMany = (keys, snapshot) => {
    asked.push(snapshot !== undefined)
    return getMany(keys, snapshot)
  }
  for (const from of [0, PAGE_ENTRIES]) expect(await read(log, from)).toEqual([...range(from, from + PAGE_ENTRIES)])
  expect(asked).toEqual([true, false])
  finish()
  while (database.snapshots.length > 0) await durable(store)
  expect(await read(log, 0)).toEqual([...range(0, PAGE_ENTRIES)])
  expect(asked).toEqual([true, false, false])
  expect(database.calls.snapshot).toBe(1)
})

it('reads on when the database was opened again', async () => {
  const bench = await opened()
  const { database, clock, store, log } = bench
  appendAll(log, range(0, PAGE_ENTRIES))
  await durable(store)
  const finish = await compacting(bench)
  database.failures = [diskError()]
  appendAll(log, [PAGE_ENTRIES])
  const written = durable(store)
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(100)
  await written
  expect(database.calls.open).toBe(2)
  expect(await read(log, 0)).toEqual([...range(0, PAGE_ENTRIES)])
  finish()
})

it('reads on when the database was opened again to be closed', async () => {
  const bench = await opened()
  const { database, store, log } = bench
  appendAll(log, range(0, PAGE_ENTRIES))
  await durable(store)
  const finish = await compacting(bench)
  database.failures = [diskError()]
  appendAll(log, [PAGE_ENTRIES])
  await new Promise((resolve) => setImmediate(resolve))
  database.holding = true
  const closing = store.close()
  expect(await read(log, 0)).toEqual([...range(0, PAGE_ENTRIES)])
  database.holding = false
  database.release()
  finish()
  await closing
})
