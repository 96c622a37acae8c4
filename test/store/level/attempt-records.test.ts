// How often messages were tried: on disk as long as their page is, and known whatever becomes of the broker.
import { expect, it, vi } from 'vitest'
import type { QueueLog } from '../../../src/core/ports.ts'
import type { Entry } from '../../../src/core/queue/entry.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { Kind, positionKey } from '../../../src/store/level/keys.ts'
import { Disk, FaultyDatabase, diskError } from '../../support/faulty-database.ts'
import { turnsRun } from '../../support/sockets.ts'
import { appendAll, durable, openWhole, range, readAll } from '../../support/store.ts'

vi.mock('../../../src/store/level/tuning.ts', async (original) => ({
  ...(await original<object>()),
  ERASE_SLICE: 4,
}))

async function open(disk: Disk) {
  const database = new FaultyDatabase(disk)
  const damage: string[] = []
  const monitor = {
    storeFailed: () => undefined,
    storeRecovered: () => undefined,
    damageFound: (error: Error) => void damage.push(error.message),
  }
  const clock = new ManualClock()
  const options = { location: 'memory', turn: new Turn(), clock, monitor, database: () => database }
  const { store } = await openWhole(options)
  return { store, database, damage, clock }
}

/** A log with messages at these positions, each tried as often as its position says, and all of it on disk. */
async function tried(positions: Iterable<number>) {
  const disk = new Disk()
  const opened = await open(disk)
  const log = opened.store.log()
  const entries = appendAll(log, positions)
  for (const { position } of entries) log.attempted(position, triedOften(position))
  await durable(opened.store)
  return { disk, ...opened, log, entries }
}

function triedOften(times: number) {
  return { deliveryCount: times, acquiredCount: times, dueAt: 0 }
}

/** How often each message was tried, as it is read; -1 when nothing is known of that. */
async function counts(log: QueueLog): Promise<number[]> {
  return (await readAll(log)).map(({ attempts }) => attempts?.deliveryCount ?? -1)
}

/** Has the database opened again after a write that failed: it is open once what is returned was called. */
async function openingAgain(database: FaultyDatabase, clock: ManualClock): Promise<() => void> {
  const opening = database.open.bind(database)
  let opened: () => void = () => undefined
  database.open = async () => {
    await new Promise<void>((resolve) => (opened = resolve))
    await opening()
  }
  clock.advance(1000)
  await turnsRun()
  return opened
}

/** Waits until there are no more records than so many. */
async function remaining(disk: Disk, count: number): Promise<void> {
  for (let turn = 0; turn < 100 && disk.keys(Kind.attempts).length > count; turn++) await turnsRun()
  expect(disk.keys(Kind.attempts)).toHaveLength(count)
}

it('are known before, while and after they are written', async () => {
  const { database, store, log } = await tried(range(0, 3))
  expect(await counts(log)).toEqual([0, 1, 2])
  log.attempted(1, triedOften(7))
  expect(await counts(log)).toEqual([0, 7, 2])
  database.holding = true
  await turnsRun()
  expect(database.held).toBe(1)
  expect(await counts(log)).toEqual([0, 7, 2])
  log.attempted(1, triedOften(8))
  log.attempted(2, triedOften(9))
  expect(await counts(log)).toEqual([0, 8, 9])
  database.holding = false
  const reading = counts(log)
  database.release()
  expect(await reading).toEqual([0, 8, 9])
  await durable(store)
  expect(await counts(log)).toEqual([0, 8, 9])
})

it('stay with a page until all of it is settled, and go with it', async () => {
  const { disk, store, log, entries } = await tried(range(0, 20))
  log.settle(entries[0]!)
  log.discard(1, 16)
  log.attempted(17, triedOften(170))
  await durable(store)
  expect(await counts(log)).toEqual([16, 170, 18, 19])
  await remaining(disk, 20)
  log.discard(16, 20)
  await remaining(disk, 0)
  expect(disk.keys(Kind.index)).toEqual([])
})

it('go with a log that is dropped', async () => {
  const { disk, log } = await tried(range(0, 20))
  log.attempted(3, triedOften(30))
  log.drop()
  await remaining(disk, 0)
  expect(disk.keys(Kind.index)).toEqual([])
})

it('are not written of what was settled meanwhile', async () => {
  const { disk, store, log, entries } = await tried(range(0, 4))
  const late = appendAll(log, [4, 5])
  log.attempted(4, triedOften(40))
  log.attempted(5, triedOften(50))
  log.settle(late[0]!)
  log.attempted(3, triedOften(30))
  log.settle(entries[3]!)
  await durable(store)
  expect(disk.keys(Kind.attempts)).toHaveLength(5)
  expect(await counts(log)).toEqual([0, 1, 2, 50])
})

it.each([...range(1, 5)])('go at the next start, when the broker ended behind batch %i', async (batches) => {
  for (const all of [
    (log: QueueLog) => log.discard(0, 20),
    (log: QueueLog, entries: readonly Entry[]) => {
      for (const entry of entries) log.settle(entry)
    },
    (log: QueueLog) => log.drop(),
  ]) {
    const { disk, database, log, entries } = await tried(range(0, 20))
    let written = 0
    database.onBatch = () => {
      if (++written > batches) database.abandon()
    }
    all(log, entries)
    for (let turn = 0; turn < 20; turn++) await turnsRun()
    const again = await open(disk)
    expect(await counts(again.store.log(log.id))).toEqual([])
    await remaining(disk, 0)
    for (let turn = 0; turn < 20; turn++) await turnsRun()
    expect([...disk.keys(Kind.fragment), ...disk.keys(Kind.index), ...disk.keys(Kind.erasure)]).toEqual([])
  }
})

it('are found again after a crash, though no index record told of their page', async () => {
  const { disk, store, database, log } = await tried(range(0, 3))
  // So much at once that index records fall behind.
  appendAll(log, range(3, 100), { body: 'x'.repeat(1024) })
  log.attempted(50, triedOften(50))
  await durable(store)
  appendAll(log, range(100, 200), { body: 'x'.repeat(1024) })
  await durable(store)
  log.attempted(150, triedOften(150))
  appendAll(log, range(200, 300), { body: 'x'.repeat(1024) })
  await durable(store)
  database.abandon()
  const again = await open(disk)
  const found = await counts(again.store.log(log.id))
  expect(found).toHaveLength(300)
  expect(found.filter((count) => count >= 0)).toEqual([0, 1, 2, 50, 150])
})

it('are deleted though the database is opened again meanwhile', async () => {
  const { disk, database, store, clock, log } = await tried(range(0, 20))
  const other = store.log()
  const iterator = database.iterator.bind(database)
  let fail: () => void = () => undefined
  database.iterator = (scanned) => ({
    ...iterator(scanned),
    nextv: () => new Promise((_, reject) => (fail = () => reject(diskError('Iterator is not open')))),
  })
  log.discard(0, 20)
  await turnsRun()
  // What is read is gone with the database, which is closed after a write that failed.
  database.failures = [diskError()]
  appendAll(other, [1])
  await turnsRun()
  const opened = await openingAgain(database, clock)
  database.iterator = iterator
  fail()
  await turnsRun()
  expect(disk.keys(Kind.attempts)).toHaveLength(20)
  opened()
  await remaining(disk, 0)
})

it('are lost when they are damaged, and that is said; the messages are there', async () => {
  const { disk, store, log, damage } = await tried(range(0, 4))
  disk.damage(positionKey(Kind.attempts, log.id, 2), 5)
  expect(await counts(log)).toEqual([0, 1, -1, 3])
  expect(damage).toEqual([`how often message 2 of log ${log.id} was tried is damaged and left out`])
  await durable(store)
  expect(disk.keys(Kind.attempts)).toHaveLength(3)
  expect(await counts(log)).toEqual([0, 1, -1, 3])
  expect(damage).toHaveLength(1)
})

it('of settled messages are nobody’s business when they are damaged', async () => {
  const { disk, log, entries, damage } = await tried(range(0, 4))
  log.settle(entries[1]!)
  disk.damage(positionKey(Kind.attempts, log.id, 1), 5)
  expect(await counts(log)).toEqual([0, 2, 3])
  expect(damage).toEqual([])
})

it('of few messages are deleted in the batch that settles the last of their page', async () => {
  const { disk, database, store, log, entries } = await tried(range(0, 2))
  const batches = database.calls.batch
  for (const entry of entries) log.settle(entry)
  await durable(store)
  expect(database.calls.batch).toBe(batches + 1)
  expect([...disk.keys(Kind.attempts), ...disk.keys(Kind.index), ...disk.keys(Kind.fragment)]).toEqual([])
})

it('are not known when the database finds them damaged, but for what was written anew', async () => {
  const { database, log, damage } = await tried(range(0, 6))
  log.attempted(3, triedOften(30))
  database.scanFailures = [Object.assign(diskError('Corruption: bad block'), { code: 'LEVEL_CORRUPTION' })]
  expect(await counts(log)).toEqual([-1, -1, -1, 30, -1, -1])
  expect(damage).toEqual([`how often messages were tried is damaged: between 0 and 5 of log ${log.id}`])
})

it('are those that were written while they were read, by however many batches', async () => {
  const { database, store, log } = await tried(range(0, 4))
  const iterator = database.iterator.bind(database)
  let arrive: () => void = () => undefined
  database.iterator = (scanned) => {
    const found = iterator(scanned)
    const arrived = new Promise<void>((resolve) => (arrive = resolve))
    return { ...found, nextv: (size) => arrived.then(() => found.nextv(size)) }
  }
  const reading = counts(log)
  await turnsRun()
  for (const times of [10, 20, 30]) {
    log.attempted(times / 10, triedOften(times))
    await durable(store)
  }
  database.iterator = iterator
  arrive()
  expect(await reading).toEqual([0, 10, 20, 30])
})

it('are read again when the disk did not give them, and when the database was opened again', async () => {
  const { database, clock, store, log } = await tried(range(0, 4))
  database.scanFailures = [diskError('IO error: Input/output error')]
  await expect(counts(log)).rejects.toThrow('Input/output error')
  expect(await counts(log)).toEqual([0, 1, 2, 3])
  // A write fails; what is read is read when the database is open again.
  database.failures = [diskError()]
  log.attempted(3, triedOften(30))
  await turnsRun()
  const opened = await openingAgain(database, clock)
  const reading = counts(log)
  await turnsRun()
  opened()
  expect(await reading).toEqual([0, 1, 2, 30])
  await durable(store)
})
