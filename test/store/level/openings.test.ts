// What logs held is found out after the store was opened: until then they take messages, and can be dropped.
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import type { KeyRange, RecordIterator } from '../../../src/store/level/database.ts'
import { Kind, logKey } from '../../../src/store/level/keys.ts'
import { LevelStore } from '../../../src/store/level/level-store.ts'
import { BEHIND_BYTES_MIN, RETRY_FIRST_MS, RETRY_MAX_MS } from '../../../src/store/level/tuning.ts'
import { Disk, FaultyDatabase, diskError } from '../../support/faulty-database.ts'
import { turnsRun } from '../../support/sockets.ts'
import { appendAll, durable, positionsOf, range, readAll, whenOpen } from '../../support/store.ts'

/** Opens the store that is on a disk. */
async function open(disk: Disk, database = new FaultyDatabase(disk)) {
  const clock = new ManualClock()
  const damage: string[] = []
  const monitor = {
    storeFailed: () => undefined,
    storeRecovered: () => undefined,
    damageFound: (error: Error) => void damage.push(error.message),
  }
  const { store } = await LevelStore.open({
    location: 'memory',
    turn: new Turn(),
    clock,
    monitor,
    database: () => database,
  })
  return { store, database, clock, damage }
}

/** A disk with two logs of so many messages, as a crash leaves it, and their ids. Some have index records that are behind. */
async function crashed(count = 1_000, body = 'x') {
  const disk = new Disk()
  const { store, database } = await open(disk)
  const logs = [store.log(), store.log()]
  for (const log of logs) appendAll(log, range(0, count), { body })
  await durable(store)
  database.abandon()
  return { disk, ids: logs.map(({ id }) => id) as [number, number] }
}

/** Everything that is in a log, by its positions; of a log of the first life, from `next` on what came in the second. */
async function positions(store: LevelStore, id: number): Promise<number[]> {
  return positionsOf(await readAll(store.log(id)))
}

async function idle(store: LevelStore): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await turnsRun()
  await durable(store)
}

const LARGE = 'x'.repeat(1000)

describe.each([
  ['with all index records', 'x'],
  ['with index records that are behind', LARGE],
])('a log that is not open, %s', (_, body) => {
  it('takes messages behind what it held, whatever that was', async () => {
    const { disk, ids } = await crashed(1_000, body)
    const behind = disk.keys(Kind.index).length === 0
    expect(behind).toBe(1_000 * body.length > BEHIND_BYTES_MIN)
    const { store, database } = await open(disk)
    const log = store.log(ids[0])
    expect([log.opened, log.next > 999]).toEqual([false, true])
    const next = [...range(log.next, log.next + 1_500)]
    const [first] = appendAll(log, next, { body })
    await durable(store)
    log.settle(first!)
    await durable(store)
    expect(log.opened).toBe(false)
    await store.openLogs()
    expect(log.opened).toBe(true)
    expect(log.recovered).toEqual({ count: 1_000, bodyBytes: 1_000 * body.length, first: 0 })
    expect(log.held).toEqual({ count: 2_499, bodyBytes: 2_499 * body.length })
    const all = [...range(0, 1_000), ...next.slice(1)]
    expect(await positions(store, ids[0])).toEqual(all)
    database.abandon()
    const again = await open(disk)
    expect(await positions(again.store, ids[0])).toEqual(all)
    expect(await positions(again.store, ids[1])).toEqual([...range(0, 1_000)])
  })

  it('keeps both when the broker ends before it is opened', async () => {
    for (const end of ['crash', 'close'] as const) {
      const { disk, ids } = await crashed(1_000, body)
      const { store, database } = await open(disk)
      const log = store.log(ids[0])
      const next = [...range(log.next, log.next + 1_500)]
      appendAll(log, next, { body })
      await durable(store)
      if (end === 'close') await store.close()
      database.abandon()
      const again = await open(disk)
      expect(await positions(again.store, ids[0])).toEqual([...range(0, 1_000), ...next])
    }
  })

  it('goes with everything when it is dropped, also when the broker ends before it is opened', async () => {
    for (const end of ['never', 'crash'] as const) {
      const { disk, ids } = await crashed(1_000, body)
      const { store, database } = await open(disk)
      const log = store.log(ids[0])
      appendAll(log, range(log.next, log.next + 10), { body })
      await durable(store)
      log.drop()
      await durable(store)
      if (end === 'crash') database.abandon()
      const last = end === 'crash' ? (await open(disk)).store : store
      await last.openLogs()
      await idle(last)
      const left = [Kind.log, Kind.index, Kind.fragment].flatMap((kind) => disk.keys(kind))
      expect(left.filter((key) => key.readUInt32BE(1) === ids[0])).toEqual([])
      expect(await positions(last, ids[1])).toEqual([...range(0, 1_000)])
    }
  })
})

it('is opened before the others when somebody waits for it', async () => {
  const { disk, ids } = await crashed()
  const { store } = await open(disk)
  const [first, second] = ids.map((id) => store.log(id))
  await whenOpen(second!)
  expect([first!.opened, second!.opened]).toEqual([false, true])
})

it('is looked for by itself when the index cannot be read to its end', async () => {
  const { disk, ids } = await crashed()
  const { store, database, damage } = await open(disk)
  const logs = ids.map((id) => store.log(id))
  database.scanFailures.push(diskError('IO error'), diskError('IO error'))
  await store.openLogs()
  // The second failure was that of the first log.
  expect(logs.map(({ opened }) => opened)).toEqual([false, true])
  expect(damage).toEqual([`what log ${ids[0]} held cannot be read now: IO error`])
})

it('is tried again and again when it cannot be read, and that is said once of each', async () => {
  const { disk, ids } = await crashed()
  const { store, database, clock, damage } = await open(disk)
  const log = store.log(ids[0])
  const failures = Array.from({ length: 20 }, () => diskError('IO error'))
  database.scanFailures.push(...failures)
  const waiting = whenOpen(log)
  await expect(waiting).rejects.toThrow('IO error')
  await store.openLogs()
  expect(log.opened).toBe(false)
  while (!log.opened) {
    clock.advance(RETRY_MAX_MS)
    await turnsRun()
  }
  expect(damage.toSorted()).toEqual(ids.map((id) => `what log ${id} held cannot be read now: IO error`))
  expect(await positions(store, ids[0])).toEqual([...range(0, 1_000)])
})

it('is told to be unreadable while the database cannot be opened again for long, and opens once that is', async () => {
  const { disk, ids } = await crashed()
  const { store, database, clock, damage } = await open(disk)
  const logs = ids.map((id) => store.log(id))
  database.failures.push(diskError('IO error'))
  database.openFailures = Array.from({ length: 1_000 }, () => diskError('IO error'))
  appendAll(logs[0]!, range(logs[0]!.next, logs[0]!.next + 1), {})
  await turnsRun()
  clock.advance(RETRY_FIRST_MS)
  await turnsRun()
  let ended = false
  const opening = store.openLogs().then(() => (ended = true))
  const waiting = whenOpen(logs[0]!)
  await turnsRun()
  expect(ended).toBe(false)
  clock.advance(RETRY_MAX_MS)
  await expect(waiting).rejects.toThrow('the database is being opened again')
  await opening
  // Whoever comes now is not kept waiting.
  await expect(whenOpen(logs[1]!)).rejects.toThrow('the database is being opened again')
  expect(damage).toEqual([])
  database.openFailures = []
  while (logs.some(({ opened }) => !opened)) {
    clock.advance(RETRY_MAX_MS)
    await turnsRun()
  }
  expect(await positions(store, ids[1])).toEqual([...range(0, 1_000)])
})

it('is known from the start where something of the store is damaged, whatever its record says', async () => {
  const { disk, ids } = await crashed()
  disk.damage(logKey(Kind.log, ids[1]), 6)
  const { store } = await open(disk)
  expect(ids.map((id) => store.log(id).opened)).toEqual([true, true])
  expect(store.log(ids[1]).next).toBe(1_000)
  expect(await positions(store, ids[1])).toEqual([...range(0, 1_000)])
})

/** Gives one answer of the whole index, and fails with what is read ahead while fragments take their time. */
class FailingAhead extends FaultyDatabase {
  failing = false

  override iterator(asked: KeyRange): RecordIterator {
    const real = super.iterator(asked)
    if (!this.failing) return real
    let answers = 0
    const nextv = async (size: number): Promise<[Buffer, Buffer][]> => {
      if (asked.gte[0] === Kind.fragment) await turnsRun()
      if (asked.gte.length === 1 && answers++ > 0) throw diskError('IO error')
      return real.nextv(size)
    }
    return { nextv, close: () => real.close() }
  }
}

it('costs nothing but time when what was read ahead of it fails while it is being looked at', async () => {
  const { disk, ids } = await crashed()
  const { store, database } = await open(disk)
  const log = store.log(ids[0])
  appendAll(log, range(log.next, log.next + 1_000), { body: LARGE })
  await durable(store)
  database.abandon()
  const again = new FailingAhead(disk)
  const opened = await open(disk, again)
  again.failing = true
  // Of what fails without anybody waiting for it vitest would tell.
  await opened.store.openLogs()
  expect(ids.map((id) => opened.store.log(id).opened)).toEqual([true, true])
})
