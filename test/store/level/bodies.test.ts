// A large body that several queues have is stored once, for as long as one of them wants it.
import { describe, expect, it, vi } from 'vitest'
import { Entry } from '../../../src/core/queue/entry.ts'
import type { QueueLog } from '../../../src/core/ports.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { BLOCK_BODIES, Kind, positionKey } from '../../../src/store/level/keys.ts'
import { Bodies } from '../../../src/store/level/bodies.ts'
import { Batch } from '../../../src/store/level/committer.ts'
import type { LevelStore } from '../../../src/store/level/level-store.ts'
import { decodeBlock } from '../../../src/store/level/records.ts'
import { BODY_BLOCKS_MAX, NEXT_BODY_AHEAD } from '../../../src/store/level/tuning.ts'
import { Disk, FaultyDatabase, diskError } from '../../support/faulty-database.ts'
import { turnsRun } from '../../support/sockets.ts'
import {
  appendAll,
  bodyOf,
  durable,
  entryOf,
  EVERYTHING,
  openWhole,
  positionsOf,
  propertiesOf,
  range,
  readAll,
} from '../../support/store.ts'

vi.mock('../../../src/store/level/tuning.ts', async (original) => ({
  ...(await original<object>()),
  BODY_BLOCKS_MAX: 2,
  PAGE_BODIES_KNOWN_MAX: 50,
  NEXT_BODY_AHEAD: 4,
  ERASE_SLICE: 10,
}))

const LARGE = 'x'.repeat(8_000)

interface Opened {
  readonly store: LevelStore
  readonly database: FaultyDatabase
  readonly clock: ManualClock
  readonly damage: string[]
}

async function open(disk: Disk): Promise<Opened> {
  const database = new FaultyDatabase(disk)
  const clock = new ManualClock()
  const damage: string[] = []
  const monitor = {
    storeFailed(error: Error): void {
      throw error
    },
    storeRecovered: () => undefined,
    damageFound: (error: Error) => void damage.push(error.message),
  }
  const options = { location: 'nowhere', turn: new Turn(), clock, monitor, database: () => database }
  const { store } = await openWhole(options)
  return { store, database, clock, damage }
}

/** What is on the disk: bodies, how many entries are counted as having one, blocks of such counts, and pages. */
function left(disk: Disk): { bodies: number; entries: number; blocks: number; pages: number } {
  const blocks = disk.keys(Kind.bodyBlock)
  const counts = blocks.flatMap((key) => decodeBlock(disk.records.get(key.toString('latin1'))).counts)
  const entries = counts.reduce((sum, count) => sum + count, 0)
  return { bodies: disk.keys(Kind.body).length, entries, blocks: blocks.length, pages: disk.keys(Kind.index).length }
}

const NOTHING = { bodies: 0, entries: 0, blocks: 0, pages: 0 }

function copyOf(disk: Disk): Disk {
  const copy = new Disk()
  for (const [key, value] of disk.records) copy.records.set(key, Buffer.from(value))
  return copy
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

/** The ids of so many logs that have these messages in common, on a disk that a broker left behind when it died. */
async function leftBehind(disk: Disk, logs: number, positions: Iterable<number>, body = LARGE): Promise<number[]> {
  const { store, database } = await open(disk)
  const ids = Array.from({ length: logs }, () => store.log().id)
  const all = ids.map((id) => store.log(id))
  for (const position of positions) fanOut(all, position, body)
  await durable(store)
  database.abandon()
  return ids
}

/** Waits until nothing more becomes of what was settled. */
async function quiet(store: LevelStore): Promise<void> {
  await durable(store)
  for (let turn = 0; turn < 100; turn++) await turnsRun()
  await durable(store)
}

it('stores a large body once, however many queues have it, and reads it back for each', async () => {
  const disk = new Disk()
  const { store } = await open(disk)
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
  const { store } = await open(disk)
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
  const { store } = await open(new Disk())
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

it('deletes the body with the last page that has it', async () => {
  const disk = new Disk()
  const { store } = await open(disk)
  const logs = [store.log(), store.log()]
  const [one, other] = fanOut(logs, 0)
  await durable(store)
  logs[0]!.settle(one!)
  await quiet(store)
  expect(left(disk)).toMatchObject({ bodies: 1, entries: 1, pages: 1 })
  logs[1]!.settle(other!)
  await quiet(store)
  expect(left(disk)).toEqual(NOTHING)
})

it('keeps what a page has elsewhere until all of the page is settled', async () => {
  const disk = new Disk()
  const { store } = await open(disk)
  const logs = [store.log(), store.log()]
  const [first] = fanOut(logs, 0)
  fanOut(logs, 1)
  await durable(store)
  logs[0]!.settle(first!)
  logs[1]!.drop()
  await quiet(store)
  expect(left(disk)).toMatchObject({ bodies: 2, entries: 2, pages: 1 })
  logs[0]!.discard(0, 2)
  await quiet(store)
  expect(left(disk)).toEqual(NOTHING)
})

describe.each([true, false])('after a crash, counts being known: %s', (known) => {
  /** The store after a crash, or as it is. */
  async function later(disk: Disk, opened: Opened): Promise<Opened> {
    if (known) return opened
    opened.database.abandon()
    return open(disk)
  }

  it('lets the bodies of a dropped queue go, and of others only when they are done', async () => {
    const disk = new Disk()
    const before = await open(disk)
    const ids = [before.store.log(), before.store.log()].map(({ id }) => id)
    fanOut(
      ids.map((id) => before.store.log(id)),
      0,
    )
    await durable(before.store)
    const { store } = await later(disk, before)
    const logs = ids.map((id) => store.log(id))
    logs[0]!.drop()
    await quiet(store)
    expect((await readAll(logs[1]!)).map(bodyOf)).toEqual([LARGE])
    expect(left(disk)).toMatchObject({ bodies: 1, entries: 1, pages: 1 })
    logs[1]!.drop()
    await quiet(store)
    expect(left(disk)).toEqual(NOTHING)
  })

  it('lets them go when all their pages go at once', async () => {
    const disk = new Disk()
    const before = await open(disk)
    const ids = [before.store.log(), before.store.log(), before.store.log()].map(({ id }) => id)
    for (const position of range(0, 20)) {
      fanOut(
        ids.map((id) => before.store.log(id)),
        position,
      )
    }
    await durable(before.store)
    const { store } = await later(disk, before)
    for (const id of ids) store.log(id).discard(0, 20)
    await quiet(store)
    expect(left(disk)).toEqual(NOTHING)
  })
})

it('deletes at the next start what it had not come to, and no more', async () => {
  const whole = new Disk()
  const ids = await leftBehind(whole, 2, [0])
  // The broker ends behind each of the batches that follow.
  for (let batches = 1; batches < 6; batches++) {
    const disk = copyOf(whole)
    const { store, database } = await open(disk)
    let written = 0
    database.onBatch = () => {
      if (++written > batches) database.abandon()
    }
    for (const id of ids) store.log(id).drop()
    for (let turn = 0; turn < 20; turn++) await turnsRun()
    expect(left(disk).blocks > 0).toBe(left(disk).bodies > 0)
    const again = await open(disk)
    await quiet(again.store)
    expect(left(disk)).toEqual(NOTHING)
  }
})

it('stores a body again for a log that gets the message later, when it may be gone by then', async () => {
  const disk = new Disk()
  const { store } = await open(disk)
  const logs = [store.log(), store.log()]
  const [one, other] = fanOut(logs, 0)
  await durable(store)
  logs[0]!.settle(one!)
  await quiet(store)
  // It is still there for the other, and all references are known.
  const third = store.log()
  third.append(new Entry(one!.queue, one!.message, 0), null, 0)
  await durable(store)
  expect(left(disk)).toMatchObject({ bodies: 1, entries: 2 })
  logs[1]!.settle(other!)
  third.drop()
  await quiet(store)
  expect(left(disk)).toEqual(NOTHING)
  logs[1]!.append(new Entry(one!.queue, one!.message, 1), null, 0)
  await durable(store)
  expect((await readAll(logs[1]!)).map(bodyOf)).toEqual([LARGE])
  expect(left(disk)).toMatchObject({ bodies: 1, entries: 1, pages: 1 })
})

/** As many bodies as are counted in memory. */
const KNOWN = BLOCK_BODIES * BODY_BLOCKS_MAX

it('knows of few bodies who has them: a further log gets others for itself', async () => {
  const disk = new Disk()
  const { store } = await open(disk)
  const logs = [store.log(), store.log()]
  const [first] = fanOut(logs, 0)
  await durable(store)
  for (const position of range(1, KNOWN + 1)) fanOut(logs, position)
  await durable(store)
  const further = [store.log(), store.log()]
  for (const log of further) log.append(new Entry(first!.queue, first!.message, 0), null, 0)
  await durable(store)
  expect(left(disk)).toMatchObject({ bodies: KNOWN + 2 })
  for (const log of logs) log.drop()
  await quiet(store)
  expect(left(disk)).toMatchObject({ bodies: 1, entries: 2, pages: 2 })
  expect((await readAll(further[1]!)).map(bodyOf)).toEqual([LARGE])
})

it('stores each once, however many come with one batch', async () => {
  const disk = new Disk()
  const { store } = await open(disk)
  const logs = [store.log(), store.log()]
  for (const position of range(0, KNOWN * 2)) fanOut(logs, position)
  await durable(store)
  expect(left(disk)).toMatchObject({ bodies: KNOWN * 2, entries: KNOWN * 4 })
  for (const log of logs) log.drop()
  await quiet(store)
  expect(left(disk)).toEqual(NOTHING)
})

it('counts an entry that was on its way when it began to look', async () => {
  const disk = new Disk()
  const before = await open(disk)
  const ids = [before.store.log(), before.store.log()].map(({ id }) => id)
  const { store, database } = before
  const logs = ids.map((id) => store.log(id))
  const [one] = fanOut(logs, 0)
  // Which bodies the pages have is not in memory.
  const others = [store.log(), store.log()]
  for (const position of range(0, 60)) fanOut(others, position)
  await durable(store)
  // The page is being read; meanwhile another log gets the message, and so many follow that the count is not in memory.
  const getMany = database.getMany.bind(database)
  const arrivals: (() => void)[] = []
  database.getMany = async (keys) => {
    await new Promise<void>((resolve) => arrivals.push(resolve))
    return getMany(keys)
  }
  for (const log of logs) log.discard(0, 1)
  await durable(store)
  await turnsRun()
  const third = store.log()
  third.append(new Entry(one!.queue, one!.message, 0), null, 0)
  for (const position of range(100, KNOWN + 200)) fanOut(others, position)
  database.holding = true
  await turnsRun()
  expect(database.held).toBe(1)
  database.getMany = getMany
  expect(arrivals.length).toBeGreaterThan(0)
  for (const arrive of arrivals) arrive()
  await turnsRun()
  database.holding = false
  database.release()
  await quiet(store)
  expect((await readAll(third)).map(bodyOf)).toEqual([LARGE])
  third.drop()
  for (const log of others) log.drop()
  await quiet(store)
  expect(left(disk)).toEqual(NOTHING)
})

it('gives no number twice, whatever became of the bodies', async () => {
  const disk = new Disk()
  const numbers = new Set<number>()
  for (let life = 0; life < 3; life++) {
    const { store, database } = await open(disk)
    const logs = [store.log(), store.log()]
    for (const position of range(0, NEXT_BODY_AHEAD + 1)) fanOut(logs, position)
    await durable(store)
    const found = disk.keys(Kind.body).map((key) => key.readUIntBE(1, 6))
    expect(found).toHaveLength(NEXT_BODY_AHEAD + 1)
    for (const number of found) {
      expect(numbers.has(number)).toBe(false)
      numbers.add(number)
    }
    for (const log of logs) log.drop()
    await quiet(store)
    expect(left(disk)).toEqual(NOTHING)
    database.abandon()
  }
})

it('gives other numbers, too, when the record of the next one is lost', async () => {
  const disk = new Disk()
  const { store, database } = await open(disk)
  const logs = [store.log(), store.log()]
  for (const position of range(0, BLOCK_BODIES + 1)) fanOut(logs, position, `${position}|${LARGE}`)
  await durable(store)
  database.abandon()
  disk.records.delete(disk.keys(Kind.nextBody)[0]!.toString('latin1'))
  const again = await open(disk)
  const further = [again.store.log(), again.store.log()]
  for (const position of range(0, BLOCK_BODIES + 1)) fanOut(further, position, `another|${LARGE}`)
  await durable(again.store)
  const found = await readAll(again.store.log(logs[0]!.id))
  expect(found.map((stored) => bodyOf(stored).split('|')[0])).toEqual([...range(0, BLOCK_BODIES + 1)].map(String))
})

it('says so when it was counted less often than it is given back, and goes on', () => {
  const damage: string[] = []
  const bodies = new Bodies(1, (error) => void damage.push(error.message))
  const batch = new Batch(1, 0, 0)
  bodies.release(batch, 7)
  expect(damage).toEqual(['body 7 belonged to more messages than were counted'])
  expect(batch.operations).toEqual([])
})

describe('while the disk is in trouble', () => {
  it('tries again when it could not read what goes with a page', async () => {
    const disk = new Disk()
    const ids = await leftBehind(disk, 2, [0])
    const { store, database, clock } = await open(disk)
    const logs = ids.map((id) => store.log(id))
    database.readFailures = logs.map(() => diskError('IO error: Input/output error'))
    for (const log of logs) log.drop()
    await quiet(store)
    expect(left(disk).bodies).toBe(1)
    clock.advance(60_000)
    await quiet(store)
    expect(left(disk)).toEqual(NOTHING)
  })

  it('goes on with other pages when it cannot read what goes with one', async () => {
    const disk = new Disk()
    const ids = await leftBehind(disk, 4, range(0, 5))
    const { store, database, clock, damage } = await open(disk)
    const getMany = database.getMany.bind(database)
    const bad = positionKey(Kind.fragment, ids[1]!, 0)
    database.getMany = (keys) => {
      const unread = keys.some((key) => key.equals(bad))
      return unread ? Promise.reject(diskError('IO error: Input/output error')) : getMany(keys)
    }
    for (const id of ids) store.log(id).drop()
    await quiet(store)
    expect(left(disk)).toMatchObject({ bodies: 5, entries: 5, pages: 1 })
    clock.advance(60_000)
    await quiet(store)
    expect(damage).toEqual([expect.stringContaining('Input/output error')])
    expect(disk.keys(Kind.erasure)).toHaveLength(1)
    // After a crash it is found again.
    database.abandon()
    const again = await open(disk)
    await quiet(again.store)
    expect(left(disk)).toEqual(NOTHING)
    expect(disk.keys(Kind.erasure)).toEqual([])
  })

  it('goes on with other pages when it cannot read how often one body is wanted', async () => {
    const disk = new Disk()
    const ids = await leftBehind(disk, 3, range(0, BLOCK_BODIES * 5))
    const { store, database, clock, damage } = await open(disk)
    const iterator = database.iterator.bind(database)
    const bad = disk.keys(Kind.bodyBlock)[0]!
    database.iterator = (scanned) =>
      scanned.gte.equals(bad)
        ? { nextv: () => Promise.reject(diskError('IO error: bad block')), close: () => Promise.resolve() }
        : iterator(scanned)
    // A page has some 130 of these: the first block's are in the first.
    store.log(ids[2]).drop()
    await quiet(store)
    clock.advance(60_000)
    await quiet(store)
    expect(damage).toEqual([expect.stringContaining('bad block')])
    expect(left(disk).bodies).toBe(BLOCK_BODIES * 5)
    expect(left(disk).entries).toBeLessThan(BLOCK_BODIES * 13)
    expect(left(disk).entries).toBeGreaterThan(BLOCK_BODIES * 10)
    database.abandon()
    const again = await open(disk)
    for (const id of ids) again.store.log(id).drop()
    await quiet(again.store)
    expect(left(disk)).toEqual(NOTHING)
  })

  it('keeps the record of an erasure until the last of its pages is deleted', async () => {
    const disk = new Disk()
    // Three pages each, for a page has a mebibyte of bodies at the most.
    const ids = await leftBehind(disk, 2, range(0, 6), 'x'.repeat(600 * 1024))
    const { store, database, clock } = await open(disk)
    const getMany = database.getMany.bind(database)
    const bad = [positionKey(Kind.fragment, ids[0]!, 0), positionKey(Kind.fragment, ids[0]!, 4)]
    database.getMany = (keys) => {
      const unread = keys.some((key) => bad.some((one) => one.equals(key)))
      return unread ? Promise.reject(diskError('IO error: Input/output error')) : getMany(keys)
    }
    const fragments = (): number => disk.keys(Kind.fragment).length
    expect(fragments()).toBe(6)
    store.log(ids[0]).drop()
    await quiet(store)
    expect(fragments()).toBe(5)
    bad.pop()
    clock.advance(60_000)
    await quiet(store)
    expect([fragments(), disk.keys(Kind.erasure).length]).toEqual([4, 1])
    bad.pop()
    clock.advance(60_000)
    await quiet(store)
    expect([fragments(), disk.keys(Kind.erasure).length]).toEqual([3, 0])
  })

  it.each(['counts', 'fragments'])('keeps a body for good rather than to lose it: damaged %s', async (what) => {
    const disk = new Disk()
    const ids = await leftBehind(disk, 2, [0])
    const { store, database, damage } = await open(disk)
    const corruption = Object.assign(diskError('Corruption: bad block'), { code: 'LEVEL_CORRUPTION' })
    if (what === 'counts') database.scanFailures = [corruption]
    else database.readFailures = [corruption]
    store.log(ids[0]).drop()
    await quiet(store)
    expect(damage).toEqual([expect.stringContaining('Corruption: bad block')])
    expect((await readAll(store.log(ids[1]))).map(bodyOf)).toEqual([LARGE])
    expect(left(disk)).toMatchObject({ bodies: 1, pages: 1 })
  })
})

it('reports an entry whose body is missing, and serves the rest', async () => {
  const disk = new Disk()
  const { store } = await open(disk)
  const logs = [store.log(), store.log()]
  fanOut(logs, 0)
  appendAll(logs[0]!, [1])
  await durable(store)
  disk.records.delete(disk.keys(Kind.body)[0]!.toString('latin1'))
  expect(positionsOf(await readAll(logs[0]!))).toEqual([1])
})
