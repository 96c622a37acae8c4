// A page of many fragments is made into one value, and can be read all the while.
import { expect, it } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { Kind } from '../../../src/store/level/keys.ts'
import { PAGE_FRAGMENTS } from '../../../src/store/level/tuning.ts'
import { Disk, FaultyDatabase } from '../../support/faulty-database.ts'
import { appendAll, durable, entryOf, openWhole, positionsOf, range, readAll } from '../../support/store.ts'

const monitor = {
  storeFailed(error: Error): void {
    throw error
  },
  storeRecovered: () => undefined,
}

/** Lets everything happen that needs no more than the event loop. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

it('reads all of a page whose merged value is on its way to the disk', async () => {
  const disk = new Disk()
  const database = new FaultyDatabase(disk)
  const options = { location: 'nowhere', turn: new Turn(), clock: new ManualClock(), monitor }
  const { store } = await openWhole({ ...options, database: () => database })
  const log = store.log()
  const [first] = appendAll(log, [0], { body: 'x'.repeat(14_000) })
  for (const position of range(1, 9)) {
    await durable(store)
    appendAll(log, [position], { body: 'x'.repeat(14_000) })
  }
  await durable(store)
  // The last of the page: the batch behind it has the merged value, and does not reach the disk yet.
  log.append(entryOf(9, { body: 'x'.repeat(14_000) }), null, 0)
  log.settle(first!)
  const merged = new Promise<void>((resolve) => {
    database.onBatch = (operations) => {
      if (!operations.some(({ type, key }) => type === 'del' && key[0] === Kind.fragment)) return
      database.holding = true
      resolve()
    }
  })
  await merged
  const reading = readAll(log)
  await settle()
  database.release()
  expect(positionsOf(await reading)).toEqual([...range(1, 10)])
  expect(disk.keys(Kind.fragment).length).toBe(1)
})

it('reads all of a page that was merged while it was read together with another', async () => {
  const disk = new Disk()
  const database = new FaultyDatabase(disk)
  const options = { location: 'nowhere', turn: new Turn(), clock: new ManualClock(), monitor }
  const { store } = await openWhole({ ...options, database: () => database })
  const log = store.log()
  appendAll(log, range(0, 512))
  for (const position of range(512, 522)) {
    await durable(store)
    appendAll(log, [position], { body: 'x'.repeat(14_000) })
  }
  await durable(store)
  const merged = new Promise<void>((resolve) => {
    database.onBatch = () => {
      database.holding = true
      resolve()
    }
  })
  const getMany = database.getMany.bind(database)
  let arrive: () => void = () => undefined
  database.getMany = async (keys) => {
    const values = await getMany(keys)
    if (keys.length === 11) await new Promise<void>((resolve) => (arrive = resolve))
    return values
  }
  const reading = log.read(0, 522, 1_000_000)
  await merged
  arrive()
  await settle()
  database.release()
  expect(positionsOf(await reading)).toEqual([...range(0, 522)])
})

it('writes no key twice that is looked up, and finds a merged page again, also when its index record is damaged', async () => {
  const disk = new Disk()
  const database = new FaultyDatabase(disk)
  const put = new Set<string>()
  database.onBatch = (operations) => {
    for (const { type, key } of operations) {
      if (type !== 'put' || key[0] !== Kind.fragment) continue
      expect(put.has(key.toString('hex'))).toBe(false)
      put.add(key.toString('hex'))
    }
  }
  const options = { location: 'nowhere', turn: new Turn(), clock: new ManualClock(), monitor }
  const { store } = await openWhole({ ...options, database: () => database })
  const log = store.log()
  for (const position of range(0, 12)) {
    appendAll(log, [position], { body: 'x'.repeat(14_000) })
    await durable(store)
  }
  await settle()
  await durable(store)
  // Ten were merged into one value; the two behind them are a page of their own.
  expect(disk.keys(Kind.fragment).map((key) => key.length)).toEqual([12, 11, 11])
  await store.close()
  for (const damaged of [false, true]) {
    if (damaged) disk.damage(disk.keys(Kind.index)[0]!, 7)
    const again = await openWhole({ ...options, database: () => new FaultyDatabase(disk) })
    expect(positionsOf(await readAll(again.store.log(log.id)))).toEqual([...range(0, 12)])
    await again.store.close()
  }
  const last = await openWhole({ ...options, database: () => new FaultyDatabase(disk) })
  last.store.log(log.id).discard(0, 12)
  await durable(last.store)
  expect([disk.keys(Kind.index), disk.keys(Kind.fragment)]).toEqual([[], []])
})

it('adds nothing to a page that was merged, though it had room', async () => {
  const disk = new Disk()
  const options = { location: 'nowhere', turn: new Turn(), clock: new ManualClock(), monitor }
  const { store } = await openWhole({ ...options, database: () => new FaultyDatabase(disk) })
  const log = store.log()
  let next = 0
  // One message a commit, and a pause whenever a page has as many fragments as it may have: it is merged then.
  for (let page = 0; page < 3; page++) {
    for (const end = next + PAGE_FRAGMENTS; next < end; next++) {
      appendAll(log, [next])
      await durable(store)
    }
    await settle()
    await durable(store)
    expect(disk.keys(Kind.fragment)).toHaveLength(page + 1)
  }
  expect(positionsOf(await readAll(log))).toEqual([...range(0, next)])
  await store.close()
  const again = await openWhole({ ...options, database: () => new FaultyDatabase(disk) })
  const found = again.store.log(log.id)
  expect(positionsOf(await readAll(found))).toEqual([...range(0, next)])
  found.discard(0, next)
  await durable(again.store)
  expect([disk.keys(Kind.index), disk.keys(Kind.fragment)]).toEqual([[], []])
})
