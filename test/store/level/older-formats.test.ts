// A store of an older format: what that did not write down of shared bodies and of messages that were tried is found once.
import { expect, it, vi } from 'vitest'
import { Entry } from '../../../src/core/queue/entry.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import {
  BLOCK_BODIES,
  Kind,
  bodyKey,
  kindKey,
  logOfKey,
  positionKey,
  positionOfKey,
} from '../../../src/store/level/keys.ts'
import { LevelStore } from '../../../src/store/level/level-store.ts'
import { decodeIndexRecord, decodeNumber, encodeIndexRecord, encodeNumber } from '../../../src/store/level/records.ts'
import { FORMAT, FORMAT_BEING_BROUGHT_UP } from '../../../src/store/level/recovery.ts'
import { Disk, FaultyDatabase } from '../../support/faulty-database.ts'
import { turnsRun } from '../../support/sockets.ts'
import { appendAll, bodyOf, durable, entryOf, openWhole, range, readAll } from '../../support/store.ts'

/** Where numbers of bodies begin: in the past they were lower. */
const numbers = vi.hoisted(() => ({ first: 64 }))

vi.mock('../../../src/store/level/keys.ts', async (original) => ({
  ...(await original<object>()),
  get FIRST_BODY() {
    return numbers.first
  },
}))

const LARGE = 'x'.repeat(8_000)

async function open(disk: Disk, database = new FaultyDatabase(disk)) {
  const damage: string[] = []
  const monitor = {
    storeFailed: () => undefined,
    storeRecovered: () => undefined,
    damageFound: (error: Error) => void damage.push(error.message),
  }
  const options = { location: 'memory', turn: new Turn(), clock: new ManualClock(), monitor, database: () => database }
  const { store } = await openWhole(options)
  return { store, database, damage }
}

async function quiet(store: LevelStore): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await turnsRun()
  await durable(store)
}

/** The key by which older formats noted that an entry has a body. */
function referenceKey(body: number, log: number, position: number): Buffer {
  const key = Buffer.alloc(17)
  key[0] = Kind.bodyReference
  key.writeUIntBE(body, 1, 6)
  key.writeUInt32BE(log, 7)
  key.writeUIntBE(position, 11, 6)
  return key
}

/** The first body's number. */
const FIRST = BLOCK_BODIES

/** A store as format 3 had it: two logs that have twenty bodies in common, and messages that were tried. */
async function older() {
  const disk = new Disk()
  numbers.first = BLOCK_BODIES
  const { store, database } = await open(disk)
  const logs = [store.log(), store.log()]
  for (const position of range(0, 20)) {
    const { queue, message } = entryOf(position, { body: LARGE })
    for (const log of logs) log.append(new Entry(queue, message, position), null, 0)
  }
  appendAll(logs[1]!, range(20, 30))
  for (const position of [3, 25]) {
    logs[1]!.attempted(position, { deliveryCount: position, acquiredCount: position, dueAt: 0 })
  }
  await durable(store)
  await store.close()
  database.abandon()
  numbers.first = 2 ** 32
  const ids = logs.map(({ id }) => id)
  for (const key of [...disk.keys(Kind.nextBody), ...disk.keys(Kind.bodyBlock)]) remove(disk, key)
  for (const id of ids) {
    for (const position of range(0, 20)) {
      disk.records.set(referenceKey(FIRST + position, id, position).toString('latin1'), Buffer.alloc(0))
    }
  }
  disk.records.set(kindKey(Kind.format).toString('latin1'), encodeNumber(3))
  for (const key of disk.keys(Kind.index)) {
    const page = decodeIndexRecord(positionOfKey(key), valueOf(disk, key)!)
    expect(page.elsewhere).toBe(logOfKey(key) === logs[0]!.id ? 1 : 3)
    page.elsewhere = 0
    disk.records.set(key.toString('latin1'), encodeIndexRecord(page))
  }
  return { disk, ids }
}

function valueOf(disk: Disk, key: Buffer): Buffer | undefined {
  return disk.records.get(key.toString('latin1'))
}

function remove(disk: Disk, key: Buffer): void {
  expect(disk.records.delete(key.toString('latin1'))).toBe(true)
}

const count = (disk: Disk, kind: number): number => disk.keys(kind).length

it('is read with all that it has, which goes with its pages', async () => {
  const { disk, ids } = await older()
  const { store, damage } = await open(disk)
  expect(decodeNumber(valueOf(disk, kindKey(Kind.format))!)).toBe(FORMAT)
  const logs = ids.map((id) => store.log(id))
  expect((await readAll(logs[0]!)).map(bodyOf)).toEqual(Array.from({ length: 20 }, () => LARGE))
  const found = await readAll(logs[1]!)
  expect(found.flatMap(({ position, attempts }) => (attempts ? [[position, attempts.deliveryCount]] : []))).toEqual([
    [3, 3],
    [25, 25],
  ])
  logs[1]!.drop()
  await quiet(store)
  expect([Kind.attempts, Kind.body, Kind.bodyReference].map((kind) => count(disk, kind))).toEqual([0, 20, 0])
  logs[0]!.drop()
  await quiet(store)
  expect([Kind.body, Kind.bodyBlock].map((kind) => count(disk, kind))).toEqual([0, 0])
  expect(damage).toEqual([])
})

it('loses what belongs to no page, and gives numbers that no body may have had', async () => {
  const { disk, ids } = await older()
  const gone = referenceKey(FIRST + 20, 77, 5)
  const lost = [
    gone,
    referenceKey(FIRST + 20, ids[0]!, 500),
    bodyKey(FIRST + 20),
    // A body that others have stays.
    referenceKey(FIRST + 1, 77, 6),
    positionKey(Kind.attempts, 77, 5),
    positionKey(Kind.attempts, ids[1]!, 500),
  ]
  for (const key of lost) disk.records.set(key.toString('latin1'), Buffer.alloc(0))
  const { store } = await open(disk)
  await quiet(store)
  for (const key of lost) expect(valueOf(disk, key)).toBeUndefined()
  expect(count(disk, Kind.body)).toBe(20)
  const logs = [store.log(), store.log()]
  const { queue, message } = entryOf(0, { body: LARGE })
  for (const log of logs) log.append(new Entry(queue, message, 0), null, 0)
  await durable(store)
  expect(disk.keys(Kind.body).at(-1)!.readUIntBE(1, 6)).toBeGreaterThanOrEqual(2 ** 32)
})

it('counts entries as long as their page is there, also where they are settled', async () => {
  const { disk, ids } = await older()
  // The older broker settled a message of the first log and deleted its reference.
  const page = decodeIndexRecord(0, valueOf(disk, positionKey(Kind.index, ids[0]!, 0))!)
  page.settle(7, LARGE.length)
  disk.records.set(positionKey(Kind.index, ids[0]!, 0).toString('latin1'), encodeIndexRecord(page))
  remove(disk, referenceKey(FIRST + 7, ids[0]!, 7))
  const { store } = await open(disk)
  const logs = ids.map((id) => store.log(id))
  logs[1]!.drop()
  await quiet(store)
  expect(count(disk, Kind.body)).toBe(20)
  expect(await readAll(logs[0]!)).toHaveLength(19)
  logs[0]!.discard(0, 20)
  await quiet(store)
  expect([Kind.body, Kind.bodyBlock].map((kind) => count(disk, kind))).toEqual([0, 0])
})

it('is brought up from the beginning when the broker ended in between', async () => {
  const { disk, ids } = await older()
  const before = new FaultyDatabase(disk)
  // Everything is written but the format.
  let batches = 0
  before.onBatch = () => {
    if (++batches > 2) before.abandon()
  }
  const monitor = { storeFailed: () => undefined, storeRecovered: () => undefined }
  const options = { location: 'memory', turn: new Turn(), clock: new ManualClock(), monitor, database: () => before }
  void LevelStore.open(options)
  await vi.waitUntil(() => batches > 2)
  // Not one that an older version would take for its own.
  expect(decodeNumber(valueOf(disk, kindKey(Kind.format))!)).toBe(FORMAT_BEING_BROUGHT_UP)
  const { store } = await open(disk)
  expect(decodeNumber(valueOf(disk, kindKey(Kind.format))!)).toBe(FORMAT)
  for (const id of ids) store.log(id).drop()
  await quiet(store)
  expect([Kind.attempts, Kind.body, Kind.bodyBlock].map((kind) => count(disk, kind))).toEqual([0, 0, 0])
})

it('keeps a body that others want, though a page had it before and goes on growing', async () => {
  const { disk, ids } = await older()
  // All that the first log had in common with the other is settled, and its references are gone.
  const page = decodeIndexRecord(0, valueOf(disk, positionKey(Kind.index, ids[0]!, 0))!)
  for (const position of range(0, 19)) {
    page.settle(position, LARGE.length)
    remove(disk, referenceKey(FIRST + position, ids[0]!, position))
  }
  remove(disk, referenceKey(FIRST + 19, ids[0]!, 19))
  disk.records.set(positionKey(Kind.index, ids[0]!, 0).toString('latin1'), encodeIndexRecord(page))
  const grown = await open(disk)
  const { queue, message } = entryOf(30, { body: LARGE })
  for (const id of ids) grown.store.log(id).append(new Entry(queue, message, 30), null, 0)
  await durable(grown.store)
  await grown.store.close()
  const { store, damage } = await open(disk)
  store.log(ids[0]).discard(0, 100)
  await quiet(store)
  const found = await readAll(store.log(ids[1]))
  expect(found.filter((stored) => bodyOf(stored) === LARGE)).toHaveLength(21)
  expect(damage).toEqual([])
})

it('keeps all bodies of a page that cannot be read when it is brought up', async () => {
  const { disk, ids } = await older()
  const database = new FaultyDatabase(disk)
  const getMany = database.getMany.bind(database)
  const bad = positionKey(Kind.fragment, ids[0]!, 0)
  database.getMany = (keys) => {
    if (!keys.some((key) => key.equals(bad))) return getMany(keys)
    return Promise.reject(Object.assign(new Error('Corruption: bad block'), { code: 'LEVEL_CORRUPTION' }))
  }
  const { store, damage } = await open(disk, database)
  expect(damage).toEqual(['1 pages with large messages are damaged'])
  store.log(ids[1]).drop()
  await quiet(store)
  database.getMany = getMany
  expect((await readAll(store.log(ids[0]))).map(bodyOf)).toEqual(Array.from({ length: 20 }, () => LARGE))
})

it('stores a body again for a log that gets a message later, though it is counted', async () => {
  const { disk, ids } = await older()
  const first = await open(disk)
  // Another queue's page goes: the counts are in memory.
  first.store.log(ids[1]).drop()
  await quiet(first.store)
  const [found] = await readAll(first.store.log(ids[0]))
  const logs = [first.store.log(), first.store.log()]
  for (const log of logs) log.append(new Entry(entryOf(0).queue, found!.message, 0), null, 0)
  await durable(first.store)
  expect(count(disk, Kind.body)).toBe(21)
  await first.store.close()
  const { store } = await open(disk)
  for (const { id } of logs) store.log(id).drop()
  store.log(ids[0]).drop()
  await quiet(store)
  expect([Kind.body, Kind.bodyBlock].map((kind) => count(disk, kind))).toEqual([0, 0])
})
