// A large body that several queues have is stored once, for as long as one of them wants it.
import { expect, it } from 'vitest'
import { Entry } from '../../../src/core/queue/entry.ts'
import type { QueueLog } from '../../../src/core/ports.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { Kind } from '../../../src/store/level/keys.ts'
import { LevelStore } from '../../../src/store/level/level-store.ts'
import { RELEASE_SLICE, SHARED_BODY_BYTES } from '../../../src/store/level/tuning.ts'
import { Disk, FaultyDatabase } from '../../support/faulty-database.ts'
import {
  appendAll,
  bodyOf,
  durable,
  entryOf,
  EVERYTHING,
  positionsOf,
  propertiesOf,
  range,
  readAll,
} from '../../support/store.ts'

const LARGE = 'x'.repeat(8_000)
/** As little as is stored apart. */
const SHARED = 'x'.repeat(SHARED_BODY_BYTES)

const monitor = {
  storeFailed(error: Error): void {
    throw error
  },
  storeRecovered: () => undefined,
}

async function open(disk: Disk): Promise<LevelStore> {
  const options = { location: 'nowhere', turn: new Turn(), clock: new ManualClock(), monitor }
  const { store } = await LevelStore.open({ ...options, database: () => new FaultyDatabase(disk) })
  return store
}

/** Gives one message to each log at this position. */
function fanOut(logs: readonly QueueLog[], position: number, body = LARGE): Entry[] {
  const first = entryOf(position, { body })
  return logs.map((log) => {
    const entry = new Entry(first.queue, first.message, position)
    log.append(entry, null, 0)
    return entry
  })
}

/** Has so many batches run that what follows an acknowledgement has been written. */
async function written(store: LevelStore): Promise<void> {
  await durable(store)
  await new Promise((resolve) => setImmediate(resolve))
  await durable(store)
}

it('stores a large body once, however many queues have it, and reads it back for each', async () => {
  const disk = new Disk()
  const store = await open(disk)
  const logs = [store.log(), store.log(), store.log()]
  fanOut(logs, 0)
  await durable(store)
  expect(disk.keys(Kind.body).length).toBe(1)
  for (const log of logs) {
    const [found] = await readAll(log)
    expect(bodyOf(found!)).toBe(LARGE)
    expect(propertiesOf(found!)).toBe('props')
  }
})

it('keeps a small body, and one that a single queue has, with its entry', async () => {
  const disk = new Disk()
  const store = await open(disk)
  const logs = [store.log(), store.log()]
  fanOut(logs, 0, 'small')
  appendAll(logs[0]!, [1], { body: LARGE })
  const [, struck] = fanOut(logs, 2)
  logs[1]!.settle(struck!)
  await durable(store)
  expect(disk.keys(Kind.body).length).toBe(0)
  expect((await readAll(logs[0]!)).map(bodyOf)).toEqual(['small', LARGE, LARGE])
})

it('gives back some of many large bodies at a time, be they in one batch or in many, and all in the end', async () => {
  const store = await open(new Disk())
  const logs = [store.log(), store.log()]
  const body = 'x'.repeat(128 * 1024)
  for (let position = 0; position < 100; position++) {
    fanOut(logs, position, body)
    // Some are one batch, others one each.
    if (position >= 60) await durable(store)
  }
  await durable(store)
  for (const log of logs) {
    let position = 0
    while (position < 100) {
      // It is asked for as much as a queue reads ahead.
      const found = await log.read(position, EVERYTHING, 512 * 1024)
      expect(positionsOf(found)).toEqual([...range(position, position + found.length)])
      expect(found.length * body.length).toBeLessThanOrEqual(1024 * 1024)
      position += found.length
    }
  }
})

it('deletes the body with the last entry that has it', async () => {
  const disk = new Disk()
  const store = await open(disk)
  const logs = [store.log(), store.log()]
  const [one, other] = fanOut(logs, 0)
  await durable(store)
  logs[0]!.settle(one!)
  await written(store)
  expect(disk.keys(Kind.body).length).toBe(1)
  logs[1]!.settle(other!)
  await written(store)
  expect(disk.keys(Kind.body).length).toBe(0)
  expect(disk.keys(Kind.bodyReference).length).toBe(0)
})

it('counts rightly after a crash, whatever of the deletions came about', async () => {
  const disk = new Disk()
  const store = await open(disk)
  const logs = [store.log(), store.log()]
  const [one] = fanOut(logs, 0)
  fanOut(logs, 1)
  await durable(store)
  const reference = new Map(
    disk.keys(Kind.bodyReference).map((key) => [key.toString('latin1'), disk.records.get(key.toString('latin1'))!]),
  )
  logs[0]!.settle(one!)
  await written(store)
  // As if the crash had come between the acknowledgement and the deletion of the reference.
  for (const [key, value] of reference) disk.records.set(key, value)
  const again = await open(disk)
  const reopened = logs.map((log) => again.log(log.id))
  await written(again)
  expect(disk.keys(Kind.bodyReference).length).toBe(3)
  expect(positionsOf(await readAll(reopened[0]!))).toEqual([1])
  expect((await readAll(reopened[1]!)).map(bodyOf)).toEqual([LARGE, LARGE])
  for (const log of reopened) log.discard(0, 2)
  await written(again)
  expect(disk.keys(Kind.body).length).toBe(0)
  expect(disk.keys(Kind.bodyReference).length).toBe(0)
})

it('lets the bodies of a dropped queue go, and of others only when they are done', async () => {
  const disk = new Disk()
  const store = await open(disk)
  const logs = [store.log(), store.log()]
  fanOut(logs, 0)
  await durable(store)
  logs[0]!.drop()
  await written(store)
  expect((await readAll(logs[1]!)).map(bodyOf)).toEqual([LARGE])
  logs[1]!.drop()
  await written(store)
  expect(disk.keys(Kind.body).length).toBe(0)
})

it('lets many go in slices when a range is settled, and keeps what is not in it', async () => {
  const disk = new Disk()
  const store = await open(disk)
  const logs = [store.log(), store.log()]
  const count = RELEASE_SLICE * 2 + 100
  for (let position = 0; position < count; position++) fanOut(logs, position, SHARED)
  await durable(store)
  const references = (): number => disk.keys(Kind.bodyReference).length
  const left: number[] = []
  const untilAllWent = async (end: number): Promise<void> => {
    left.length = 0
    do {
      await new Promise((resolve) => setImmediate(resolve))
      await durable(store)
      left.push(references())
    } while (left.at(-1)! > end)
  }
  logs[0]!.discard(50, count - 50)
  await untilAllWent(count + 100)
  expect(left[0]).toBe(count * 2 - RELEASE_SLICE)
  expect(positionsOf(await readAll(logs[0]!))).toEqual([...range(0, 50), ...range(count - 50, count)])
  // Few that are known of a range that is large, and many positions of one that is not.
  logs[0]!.drop()
  await untilAllWent(count)
  logs[1]!.discard(0, 10)
  await untilAllWent(count - 10)
  expect(disk.keys(Kind.body).length).toBe(count - 10)
  logs[1]!.drop()
  await untilAllWent(0)
  expect(left.length).toBeGreaterThan(2)
  expect(disk.keys(Kind.body).length).toBe(0)
})

it('reports an entry whose body is missing, and serves the rest', async () => {
  const disk = new Disk()
  const store = await open(disk)
  const logs = [store.log(), store.log()]
  fanOut(logs, 0)
  appendAll(logs[0]!, [1])
  await durable(store)
  disk.records.delete(disk.keys(Kind.body)[0]!.toString('latin1'))
  expect(positionsOf(await readAll(logs[0]!))).toEqual([1])
})
