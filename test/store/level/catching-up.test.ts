// Index records that are behind: a start finds what they do not tell of. Four entries a page; what a batch stores of a
// log counts as much from a hundred bytes on.
import { describe, expect, it, vi } from 'vitest'
import type { LostMessages } from '../../../src/core/ports.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import type { Operation } from '../../../src/store/level/database.ts'
import { Kind, kindKey, logKey } from '../../../src/store/level/keys.ts'
import { decodeLogRecord, decodeNumber, encodeNumber } from '../../../src/store/level/records.ts'
import { FORMAT } from '../../../src/store/level/recovery.ts'
import { Disk, FaultyDatabase, diskError } from '../../support/faulty-database.ts'
import { turnsRun } from '../../support/sockets.ts'
import {
  appendAll,
  bodyOf,
  durable,
  entryOf,
  openWhole,
  positionsOf,
  range,
  readAll,
  whenOpen,
  withCrc32,
} from '../../support/store.ts'

vi.mock('../../../src/store/level/tuning.ts', async (original) => ({
  ...(await original<object>()),
  PAGE_ENTRIES: 4,
  BEHIND_BYTES_MIN: 100,
  BEHIND_PAGES_MAX: 10,
  BEHIND_LOGS_MAX: 3,
  ERASE_AT_ONCE_PAGES: 2,
  ERASE_SLICE: 4,
}))

const MANY = 30

async function open(disk: Disk) {
  const database = new FaultyDatabase(disk)
  const batches: (readonly Operation[])[] = []
  database.onBatch = (operations) => void batches.push(operations)
  const lost: LostMessages[] = []
  const damage: string[] = []
  const monitor = {
    storeFailed(error: Error): void {
      throw error
    },
    storeRecovered: () => undefined,
    messagesLost: (messages: LostMessages) => void lost.push(messages),
    damageFound: (error: Error) => void damage.push(error.message),
  }
  const options = { location: 'memory', turn: new Turn(), clock: new ManualClock(), monitor }
  const { store } = await openWhole({ ...options, database: () => database })
  return { store, database, batches, lost, damage }
}

type Opened = Awaited<ReturnType<typeof open>>

/** Opens the store again as a crash leaves it. */
function crashed(disk: Disk, { database }: Opened): Promise<Opened> {
  database.abandon()
  return open(disk)
}

/** A store on a new disk, with a log that has entries at these positions, stored in one batch. */
async function begun(positions: Iterable<number> = []) {
  const disk = new Disk()
  const opened = await open(disk)
  const log = opened.store.log()
  const entries = appendAll(log, positions)
  await durable(opened.store)
  return { disk, opened, store: opened.store, log, entries }
}

/** From where on a start looks for what index records do not tell of; -1 when nowhere. */
function unindexedFrom(disk: Disk, log: number): number {
  return decodeLogRecord(disk.records.get(logKey(Kind.log, log).toString('latin1'))!).unindexedFrom
}

describe('index records', () => {
  it('fall behind when much is stored at once, and a start makes pages of what they do not tell of', async () => {
    const { disk, opened, log } = await begun(range(0, 2))
    expect(disk.keys(Kind.index)).toHaveLength(1)
    appendAll(log, range(2, 20), { expirationMs: 5_000 })
    await durable(opened.store)
    appendAll(log, range(30, 31))
    await durable(opened.store)
    expect(disk.keys(Kind.index)).toHaveLength(1)
    const { recovered } = log
    const again = await crashed(disk, opened)
    const found = again.store.log(log.id)
    expect(recovered.count).toBe(0)
    const bodies = [...range(0, 20), 30].map((position) => `body ${position}`)
    expect(found.recovered).toMatchObject({ count: 21, first: 0, bodyBytes: bodies.join('').length })
    expect(found.recoveredDeadlines.length).toBeGreaterThan(0)
    expect((await readAll(found)).map(bodyOf)).toEqual(bodies)
    expect([again.lost, again.damage]).toEqual([[], []])
  })

  it('do not fall behind when little is', async () => {
    const { disk, store, log } = await begun()
    for (const position of range(0, 12)) {
      appendAll(log, [position])
      await durable(store)
    }
    expect(disk.keys(Kind.index)).toHaveLength(3)
    expect(unindexedFrom(disk, log.id)).toBe(-1)
  })

  it('catch up when they are behind by too many pages', async () => {
    const { disk, opened, log } = await begun()
    for (const i of range(0, 3)) {
      appendAll(log, range(i * 16, i * 16 + 16))
      await durable(opened.store)
    }
    expect(disk.keys(Kind.index)).toHaveLength(12)
    // What follows will be behind again, and is looked for behind what was written now.
    expect(unindexedFrom(disk, log.id)).toBe(48)
    appendAll(log, range(48, 64))
    await durable(opened.store)
    expect(disk.keys(Kind.index)).toHaveLength(12)
    const again = await crashed(disk, opened)
    expect(positionsOf(await readAll(again.store.log(log.id)))).toEqual([...range(0, 64)])
  })

  it('catch up when those of too many logs are behind, and stay so where nothing follows', async () => {
    const disk = new Disk()
    const { store } = await open(disk)
    const logs = [...range(0, 4)].map(() => store.log())
    for (const log of logs) {
      appendAll(log, range(0, 8))
      await durable(store)
    }
    expect(disk.keys(Kind.index)).toHaveLength(8)
    expect(logs.map(({ id }) => unindexedFrom(disk, id))).toEqual([-1, -1, -1, 8])
  })

  it('catch up when the store is closed', async () => {
    const { disk, store, log } = await begun(range(0, 16))
    expect(disk.keys(Kind.index)).toHaveLength(0)
    await store.close()
    expect(disk.keys(Kind.index)).toHaveLength(4)
    expect(unindexedFrom(disk, log.id)).toBe(-1)
  })

  it('tell what is settled of a page, whatever it grows by before and after', async () => {
    const { disk, opened, log, entries } = await begun(range(0, 10))
    for (const position of [1, 8, 9]) log.settle(entries[position]!)
    await durable(opened.store)
    expect(disk.keys(Kind.index)).toHaveLength(1)
    // The page of 8 and 9 is gone; the one that these begin has no index record, nor have those behind it.
    appendAll(log, range(10, 20))
    await durable(opened.store)
    const again = await crashed(disk, opened)
    const wanted = [0, ...range(2, 8), ...range(10, 20)]
    expect((await whenOpen(again.store.log(log.id))).recovered).toMatchObject({ count: wanted.length, first: 0 })
    expect(positionsOf(await readAll(again.store.log(log.id)))).toEqual(wanted)
  })

  it('are found where a page has grown since its own was written', async () => {
    const {
      disk,
      opened,
      log,
      entries: [, second],
    } = await begun(range(0, 6))
    const [next] = appendAll(log, range(6, 7))
    await durable(opened.store)
    log.settle(second!)
    log.settle(next!)
    await durable(opened.store)
    appendAll(log, range(7, 9))
    await durable(opened.store)
    const again = await crashed(disk, opened)
    const found = again.store.log(log.id)
    expect(positionsOf(await readAll(found))).toEqual([0, 2, 3, 4, 5, 7, 8])
    found.discard(0, 9)
    await durable(again.store)
    await turnsRun()
    expect([disk.keys(Kind.index), disk.keys(Kind.fragment)]).toEqual([[], []])
  })

  it('stay behind over a crash, and catch up with what comes then', async () => {
    const { disk, opened, log } = await begun(range(0, 20))
    const again = await crashed(disk, opened)
    const found = again.store.log(log.id)
    const first = found.next
    appendAll(found, range(first, first + 24))
    await durable(again.store)
    expect(disk.keys(Kind.index)).toHaveLength(11)
    const third = await crashed(disk, again)
    expect(positionsOf(await readAll(third.store.log(log.id)))).toEqual([...range(0, 20), ...range(first, first + 24)])
  })

  it('are not behind any more when the log is dropped', async () => {
    const { disk, store, log } = await begun(range(0, 8))
    log.drop()
    const others = [...range(0, 4)].map(() => store.log())
    for (const other of others) {
      appendAll(other, range(0, 8))
      await durable(store)
    }
    expect(disk.records.has(logKey(Kind.log, log.id).toString('latin1'))).toBe(false)
    expect(disk.keys(Kind.index)).toHaveLength(8)
  })

  it.each([...range(1, 12)])(
    'that are behind leave nothing of a dropped log after a crash behind batch %i',
    async (at) => {
      const disk = new Disk()
      const opened = await open(disk)
      const log = opened.store.log()
      appendAll(log, range(0, 39))
      await durable(opened.store)
      log.discard(4, 20)
      log.drop()
      for (let done = 0; done < at; done++) await turnsRun()
      const again = await crashed(disk, opened)
      expect((await whenOpen(again.store.log(log.id))).recovered.count).toBe(0)
      for (let turns = 0; turns < MANY; turns++) await turnsRun()
      const left = [Kind.index, Kind.fragment, Kind.erasure].map((kind) => disk.keys(kind))
      expect(left).toEqual([[], [], []])
    },
  )

  it.each([...range(1, 5)])(
    'that are behind one that is damaged leave nothing of a spilled log after a crash behind batch %i',
    async (at) => {
      const disk = new Disk()
      const opened = await open(disk)
      const log = opened.store.spill()
      const entries = appendAll(log, range(0, 40))
      await durable(opened.store)
      log.settle(entries[1]!)
      await durable(opened.store)
      disk.damage(disk.keys(Kind.index)[0]!, 8)
      // It is dropped at once, in slices, before the records that were made anew are written.
      const again = await crashed(disk, opened)
      for (let done = 0; done < at; done++) await turnsRun()
      await crashed(disk, again)
      for (let turns = 0; turns < MANY; turns++) await turnsRun()
      const left = [Kind.index, Kind.fragment, Kind.erasure].map((kind) => disk.keys(kind))
      expect(left).toEqual([[], [], []])
    },
  )

  it.each([...range(1, 12)])('that are behind bring nothing back that was discarded, after batch %i', async (at) => {
    const { disk, opened, log } = await begun(range(0, 39))
    log.discard(4, 28)
    for (let done = 0; done < at; done++) await turnsRun()
    const again = await crashed(disk, opened)
    expect(positionsOf(await readAll(again.store.log(log.id)))).toEqual([...range(0, 4), ...range(28, 39)])
    for (let turns = 0; turns < MANY; turns++) await turnsRun()
    expect(disk.keys(Kind.fragment)).toHaveLength(4)
  })

  it('that are behind cost nothing when the record of their log is damaged', async () => {
    const { disk, opened, log, entries } = await begun(range(0, 16))
    log.settle(entries[9]!)
    await durable(opened.store)
    disk.damage(logKey(Kind.log, log.id), 6)
    const again = await crashed(disk, opened)
    expect(again.damage).toEqual([`the record of log ${log.id} is damaged and made anew`])
    const found = await readAll(again.store.log(log.id))
    expect(positionsOf(found)).toEqual([...range(0, 9), ...range(10, 16)])
    expect(found.every(({ redelivered }) => redelivered)).toBe(true)
  })

  it('stand at no position of what is being deleted when the record of their log is damaged', async () => {
    const { disk, opened, log } = await begun(range(0, 40))
    log.discard(0, 40)
    await turnsRun()
    disk.damage(logKey(Kind.log, log.id), 6)
    const again = await crashed(disk, opened)
    const found = again.store.log(log.id)
    const { next } = found
    appendAll(found, range(next, next + 40))
    await durable(again.store)
    for (let turns = 0; turns < MANY; turns++) await turnsRun()
    expect(positionsOf(await readAll(found))).toEqual([...range(next, next + 40)])
  })

  it('that are behind cost no more than the fragment that is damaged', async () => {
    const { disk, opened, log } = await begun(range(0, 16))
    disk.damage(disk.keys(Kind.fragment)[1]!, 50)
    const again = await crashed(disk, opened)
    expect((await whenOpen(again.store.log(log.id))).recovered.count).toBe(16)
    expect(positionsOf(await readAll(again.store.log(log.id)))).toEqual([...range(0, 4), ...range(8, 16)])
    expect(again.lost).toMatchObject([{ log: log.id, first: 4, last: 7, count: 4 }])
  })

  it('are written for a page that the database cannot read, so that the next start tries it again', async () => {
    const { disk, opened, log } = await begun(range(0, 8))
    opened.database.readFailures = [Object.assign(diskError('Corruption: bad block'), { code: 'LEVEL_CORRUPTION' })]
    expect(positionsOf(await log.read(0, 4))).toEqual([])
    await durable(opened.store)
    expect(disk.keys(Kind.index)).toHaveLength(1)
    await opened.store.close()
    const again = await open(disk)
    expect(positionsOf(await readAll(again.store.log(log.id)))).toEqual([...range(0, 8)])
  })

  it.each(['before', 'after'])('of a page that is damaged go with the log, %s they are written', async (when) => {
    const { disk, opened, log } = await begun(range(0, 8))
    opened.database.readFailures = [Object.assign(diskError('Corruption: bad block'), { code: 'LEVEL_CORRUPTION' })]
    expect(positionsOf(await log.read(0, 4))).toEqual([])
    if (when === 'after') await durable(opened.store)
    log.drop()
    await durable(opened.store)
    await opened.store.close()
    expect([Kind.index, Kind.fragment, Kind.log].map((kind) => disk.keys(kind))).toEqual([[], [], []])
  })

  it.each([...range(0, 6)])(
    'of a page that is damaged go with those of a long log, also after a crash in turn %i',
    async (at) => {
      const { disk, opened, log } = await begun(range(0, 24))
      opened.database.readFailures = [Object.assign(diskError('Corruption: bad block'), { code: 'LEVEL_CORRUPTION' })]
      expect(positionsOf(await log.read(0, 4))).toEqual([])
      log.drop()
      for (let done = 0; done <= at; done++) await turnsRun()
      const again = await crashed(disk, opened)
      for (let done = 0; done < 12; done++) await turnsRun()
      await again.store.close()
      expect([Kind.index, Kind.fragment, Kind.log].map((kind) => disk.keys(kind))).toEqual([[], [], []])
    },
  )

  it('are behind by nothing that was stored and taken before a crash', async () => {
    const { disk, opened, log } = await begun()
    for (const i of range(0, 5)) {
      const entries = appendAll(log, range(i * 8, i * 8 + 8))
      await durable(opened.store)
      for (const entry of entries) log.settle(entry)
    }
    await durable(opened.store)
    expect([disk.keys(Kind.index), disk.keys(Kind.fragment)]).toEqual([[], []])
    const again = await crashed(disk, opened)
    expect((await whenOpen(again.store.log(log.id))).recovered.count).toBe(0)
    expect(again.store.log(log.id).next).toBeGreaterThanOrEqual(40)
  })

  it.each([1, 2])('of a store of format %i are read, and no older broker opens it again', async (older) => {
    const { disk, opened, log } = await begun(range(0, 3))
    await opened.store.close()
    asOfFormat(disk, older)
    const again = await open(disk)
    expect(again.batches.at(-1)).toEqual([{ type: 'put', key: kindKey(Kind.format), value: encodeNumber(FORMAT) }])
    const found = again.store.log(log.id)
    found.append(entryOf(3), null, 0)
    await durable(again.store)
    expect(positionsOf(await readAll(found))).toEqual([0, 1, 2, 3])
    const versions = disk.keys(Kind.fragment).map((key) => disk.records.get(key.toString('latin1'))![4])
    expect(versions).toEqual([1, 2])
    const last = await crashed(disk, again)
    expect(positionsOf(await readAll(last.store.log(log.id)))).toEqual([0, 1, 2, 3])
    expect(decodeNumber(disk.records.get(FORMAT_KEY)!)).toBe(FORMAT)
  })

  it('of a store of format 2 that crashed are made anew from fragments of its version', async () => {
    const { disk, opened, log } = await begun(range(0, 2))
    appendAll(log, range(2, 20))
    await durable(opened.store)
    expect(disk.keys(Kind.index)).toHaveLength(1)
    opened.database.abandon()
    asOfFormat(disk, 2)
    const again = await open(disk)
    expect(again.damage).toEqual([])
    expect(positionsOf(await readAll(again.store.log(log.id)))).toEqual([...range(0, 20)])
    expect(decodeNumber(disk.records.get(FORMAT_KEY)!)).toBe(FORMAT)
  })
})

const FORMAT_KEY = kindKey(Kind.format).toString('latin1')

/** Makes of a store one that an older broker wrote. */
function asOfFormat(disk: Disk, older: number): void {
  expect(decodeNumber(disk.records.get(FORMAT_KEY)!)).toBe(FORMAT)
  disk.records.set(FORMAT_KEY, encodeNumber(older))
  for (const key of disk.keys(Kind.fragment)) withCrc32(disk.records.get(key.toString('latin1'))!)
}
