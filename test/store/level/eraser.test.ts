// What is deleted in slices, and what is left of that when the broker ends in between. Two entries a page.
import { describe, expect, it, vi } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { Kind } from '../../../src/store/level/keys.ts'
import type { LevelStore } from '../../../src/store/level/level-store.ts'
import { Disk, FaultyDatabase } from '../../support/faulty-database.ts'
import { turnsRun } from '../../support/sockets.ts'
import { appendAll, durable, openWhole, positionsOf, range, readAll, whenOpen } from '../../support/store.ts'

vi.mock('../../../src/store/level/tuning.ts', async (original) => ({
  ...(await original<object>()),
  PAGE_ENTRIES: 2,
  ERASE_AT_ONCE_PAGES: 1,
  ERASE_SLICE: 4,
}))

const monitor = {
  storeFailed(error: Error): void {
    throw error
  },
  storeRecovered: () => undefined,
}

async function open(disk: Disk): Promise<{ store: LevelStore; database: FaultyDatabase }> {
  const database = new FaultyDatabase(disk)
  const options = { location: 'memory', turn: new Turn(), clock: new ManualClock(), monitor }
  const { store } = await openWhole({ ...options, database: () => database })
  return { store, database }
}

/** The index records and fragments of a log that are on the disk. */
function left(disk: Disk): number {
  return disk.keys(Kind.index).length + disk.keys(Kind.fragment).length + disk.keys(Kind.erasure).length
}

/** Fills a log, does what is told to it, and kills the broker after so many batches. */
async function erase(disk: Disk, batches: number, act: (log: ReturnType<LevelStore['log']>) => void): Promise<void> {
  const { store, database } = await open(disk)
  const log = store.log()
  appendAll(log, range(0, 40))
  await durable(store)
  expect(disk.keys(Kind.index).length).toBe(20)
  act(log)
  for (let done = 0; done < batches; done++) await turnsRun()
  database.abandon()
}

describe('pages that are deleted in slices', () => {
  const MANY = 30

  it('are all deleted when nothing comes in between', async () => {
    const disk = new Disk()
    await erase(disk, MANY, (log) => log.drop())
    expect(left(disk)).toBe(0)
  })

  it.each([...range(1, 12)])('are all deleted after a crash behind batch %i', async (batches) => {
    for (const act of [
      (log: ReturnType<LevelStore['log']>) => log.drop(),
      (log: ReturnType<LevelStore['log']>) => {
        log.discard(0, 20)
        log.drop()
      },
      (log: ReturnType<LevelStore['log']>) => {
        log.discard(6, 20)
        log.discard(0, 6)
        log.drop()
      },
    ]) {
      const disk = new Disk()
      await erase(disk, batches, act)
      const { store, database } = await open(disk)
      expect((await whenOpen(store.log(1))).recovered.count).toBe(0)
      for (let turns = 0; turns < MANY; turns++) await turnsRun()
      expect(left(disk)).toBe(0)
      database.abandon()
    }
  })

  it.each([...range(1, 12)])(
    'are those that were discarded, and no others, after a crash behind batch %i',
    async (batches) => {
      const disk = new Disk()
      await erase(disk, batches, (log) => {
        log.discard(4, 12)
        log.discard(20, 36)
      })
      const { store, database } = await open(disk)
      const log = store.log(1)
      expect(log.recovered).toMatchObject({ count: 16, first: 0 })
      for (let turns = 0; turns < MANY; turns++) await turnsRun()
      expect(disk.keys(Kind.index).length).toBe(8)
      expect(disk.keys(Kind.erasure)).toEqual([])
      database.abandon()
    },
  )

  it('stay deleted when the index record of the page before them is damaged', async () => {
    const disk = new Disk()
    await erase(disk, 1, (log) => log.discard(2, 40))
    expect(disk.keys(Kind.erasure)).toHaveLength(1)
    expect(disk.keys(Kind.index).length).toBeGreaterThan(1)
    disk.damage(disk.keys(Kind.index)[0]!, 7)
    const { store } = await open(disk)
    expect(positionsOf(await readAll(store.log(1)))).toEqual([0, 1])
    for (let done = 0; done < MANY; done++) await turnsRun()
    expect(disk.keys(Kind.fragment)).toHaveLength(1)
  })
})
