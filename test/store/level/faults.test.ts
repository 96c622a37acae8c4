// What the store does when the database under it fails, waits or is damaged.
import { describe, expect, it } from 'vitest'
import type { DueMessages, LostMessages, StoreMonitor } from '../../../src/core/ports.ts'
import { Entry } from '../../../src/core/queue/entry.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { Kind } from '../../../src/store/level/keys.ts'
import type { LevelStore } from '../../../src/store/level/level-store.ts'
import { DELIVERED_AHEAD_MIN } from '../../../src/store/level/tuning.ts'
import { Disk, FaultyDatabase, diskError } from '../../support/faulty-database.ts'
import {
  appendAll,
  bodyOf,
  durable,
  entryOf,
  EVERYTHING,
  NotingPublisher,
  openWhole,
  positionsOf,
  range,
  readAll,
  whenOpen,
} from '../../support/store.ts'

/** Notes what it is told, in words. */
class NotingMonitor implements StoreMonitor {
  readonly told: string[] = []
  readonly lost: LostMessages[] = []
  readonly damage: string[] = []

  storeFailed(error: Error): void {
    this.told.push(`failed: ${error.message}`)
  }

  storeRecovered(): void {
    this.told.push('recovered')
  }

  messagesLost(lost: LostMessages): void {
    this.lost.push(lost)
  }

  damageFound(damage: Error): void {
    this.damage.push(damage.message)
  }
}

async function openOn(disk: Disk) {
  const database = new FaultyDatabase(disk)
  const monitor = new NotingMonitor()
  const clock = new ManualClock()
  const { store, definitions } = await openWhole({
    location: 'nowhere',
    turn: new Turn(),
    monitor,
    clock,
    database: () => database,
  })
  return { store, definitions, database, monitor, clock }
}

/** Has a log settle so much of what it stored long ago that its space is asked back. */
async function settleOld(store: LevelStore): Promise<void> {
  const [old, other] = [store.log(), store.log()]
  const body = Buffer.alloc(2 ** 20)
  const aged = appendAll(old, range(0, 10), { body })
  await durable(store)
  appendAll(other, range(0, 64), { body })
  await durable(store)
  for (const entry of aged) old.settle(entry)
  await durable(store)
}

/** Lets everything happen that needs no more than the event loop. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a batch that fails', () => {
  it('is accepted only after it was written again, behind a reopened database', async () => {
    const { store, database, monitor, clock } = await openOn(new Disk())
    const publisher = new NotingPublisher()
    database.failures = [diskError()]
    const log = store.log()
    log.append(entryOf(0), publisher, 1)
    await settle()
    expect(publisher.acceptances).toEqual([])
    expect(monitor.told).toEqual(['failed: IO error: No space left on device'])
    clock.advance(100)
    await settle()
    expect(publisher.acceptances).toEqual([1])
    expect(monitor.told).toEqual(['failed: IO error: No space left on device', 'recovered'])
    expect(database.calls).toMatchObject({ open: 2, close: 1 })
  })

  it('is tried again and again, less and less often, while its failure is told once', async () => {
    const { store, database, monitor, clock } = await openOn(new Disk())
    const publisher = new NotingPublisher()
    database.failures = [1, 2, 3, 4].map(() => diskError())
    database.openFailures = [diskError('IO error: still no space')]
    const batches = database.calls.batch
    store.log().append(entryOf(0), publisher, 1)
    const tries: number[] = []
    for (let ms = 0; ms < 10_000 && publisher.acceptances.length === 0; ms += 100) {
      await settle()
      if (database.calls.batch - batches > tries.length) tries.push(ms)
      clock.advance(100)
    }
    expect(tries).toEqual([0, 300, 700, 1_500, 3_100])
    expect(publisher.acceptances).toEqual([1])
    expect(monitor.told).toEqual(['failed: IO error: No space left on device', 'recovered'])
  })

  it('is not overtaken: what came later is written and accepted later', async () => {
    const disk = new Disk()
    const { store, database, clock } = await openOn(disk)
    const publisher = new NotingPublisher()
    const log = store.log()
    database.failures = [diskError(), diskError()]
    log.append(entryOf(0), publisher, 0)
    await settle()
    log.append(entryOf(1), publisher, 1)
    clock.advance(100)
    await settle()
    log.append(entryOf(2), publisher, 2)
    expect(publisher.acceptances).toEqual([])
    clock.advance(200)
    await durable(store)
    expect(publisher.acceptances).toEqual([0, 1, 2])
    const again = (await openOn(disk)).store.log(log.id)
    expect(positionsOf(await readAll(again))).toEqual([0, 1, 2])
  })

  it('may have reached the disk after all: then it is there once', async () => {
    const disk = new Disk()
    const { store, database, clock } = await openOn(disk)
    const log = store.log()
    await durable(store)
    database.holding = true
    const entries = appendAll(log, range(0, 3))
    await settle()
    database.release('written but failed')
    await settle()
    log.settle(entries[1]!)
    database.holding = false
    clock.advance(100)
    await durable(store)
    const again = (await openOn(disk)).store.log(log.id)
    expect(again.recovered).toMatchObject({ count: 2, first: 0 })
    expect(positionsOf(await readAll(again))).toEqual([0, 2])
  })

  it('keeps accepting what is settled before it was written', async () => {
    const { store, database } = await openOn(new Disk())
    const publisher = new NotingPublisher()
    const log = store.log()
    database.failures = [diskError()]
    log.append(entryOf(0), publisher, 0)
    await settle()
    const entry = entryOf(1)
    log.append(entry, publisher, 1)
    log.settle(entry)
    expect(publisher.acceptances).toEqual([1])
  })

  it('lets reads wait while the database is opened again', async () => {
    const { store, database, clock } = await openOn(new Disk())
    const log = store.log()
    appendAll(log, range(0, 3))
    await durable(store)
    database.failures = [diskError()]
    database.openFailures = [diskError()]
    store.log().append(entryOf(0), null, 0)
    await settle()
    expect(positionsOf(await readAll(log))).toEqual([0, 1, 2])
    clock.advance(100)
    await settle()
    let answered = false
    const answer = readAll(log).finally(() => {
      answered = true
    })
    await settle()
    expect(answered).toBe(false)
    clock.advance(200)
    expect(positionsOf(await answer)).toEqual([0, 1, 2])
  })

  it('when the store is being closed is tried once more; then closing fails, and says why', async () => {
    const { store, database } = await openOn(new Disk())
    database.failures = [diskError('IO error: first'), diskError('IO error: second')]
    store.log().append(entryOf(0), null, 0)
    const closing = store.close()
    await expect(closing).rejects.toThrow('The store could not write what waited when it was closed')
    await expect(closing).rejects.toMatchObject({ cause: { message: 'IO error: second' } })
    expect(database.calls.close).toBe(2)
  })

  it('when the store is being closed and can be written the second time is not lost', async () => {
    const disk = new Disk()
    const { store, database } = await openOn(disk)
    const log = store.log()
    database.failures = [diskError()]
    log.append(entryOf(0), null, 0)
    await store.close()
    expect(positionsOf(await readAll((await openOn(disk)).store.log(log.id)))).toEqual([0])
  })
})

describe('a batch that takes its time', () => {
  it('is the only one: what comes meanwhile is one batch behind it', async () => {
    const { store, database } = await openOn(new Disk())
    const publisher = new NotingPublisher()
    const logs = [store.log(), store.log()]
    await durable(store)
    database.holding = true
    const before = database.calls.batch
    for (const i of range(0, 10)) {
      for (const log of logs) log.append(entryOf(i), publisher, i)
      await settle()
    }
    expect(database.calls.batch - before).toBe(1)
    expect(publisher.acceptances).toEqual([])
    database.release()
    await settle()
    expect(publisher.acceptances).toEqual([0, 0])
    expect(database.calls.batch - before).toBe(2)
    database.release()
    await settle()
    expect(publisher.acceptances.length).toBe(20)
    expect(database.held).toBe(0)
  })

  it('takes with it all that was enlisted in the same turn, or nothing of it', async () => {
    const { store, database } = await openOn(new Disk())
    const [source, target] = [store.log(), store.log()]
    const [dead] = appendAll(source, [0])
    await durable(store)
    const batches: number[][] = []
    database.onBatch = (operations) => batches.push(operations.map(({ key }) => key[0]!))
    source.settle(dead!)
    target.append(entryOf(0), null, 0)
    store.save({ kind: 'vhost', name: 'v', description: '', tags: [] })
    await durable(store)
    expect(batches.length).toBe(1)
    expect(batches[0]).toEqual(expect.arrayContaining([Kind.definition, Kind.fragment, Kind.index]))
  })

  it('is waited for by a read of what it holds', async () => {
    const { store, database } = await openOn(new Disk())
    const log = store.log()
    await durable(store)
    database.holding = true
    appendAll(log, range(0, 3))
    await settle()
    expect(log.durableBelow).toBe(0)
    const reading = log.read(0, EVERYTHING)
    await settle()
    database.release()
    expect(positionsOf(await reading)).toEqual([0, 1, 2])
    expect(log.durableBelow).toBe(3)
  })
})

/** A disk with one page of twenty messages in two fragments, and the log that it is of. */
async function pageOfTwoFragments(): Promise<{ disk: Disk; id: number }> {
  const disk = new Disk()
  const { store } = await openOn(disk)
  const { id } = store.log()
  for (const first of [0, 10]) {
    appendAll(store.log(id), range(first, first + 10))
    await durable(store)
  }
  await store.close()
  return { disk, id }
}

describe('damage', () => {
  /** A log of three pages on a disk, and what it is called. */
  async function threePages(disk: Disk): Promise<number> {
    const { store } = await openOn(disk)
    const log = store.log()
    for (const page of range(0, 3)) {
      appendAll(log, range(page * 512, page * 512 + 512))
      await durable(store)
    }
    await store.close()
    return log.id
  }

  it('of a page costs that page: it is set aside and reported, and the rest serves', async () => {
    const disk = new Disk()
    const id = await threePages(disk)
    disk.damage(disk.keys(Kind.fragment)[1]!, 5_000)
    const { store, monitor } = await openOn(disk)
    const log = store.log(id)
    expect(log.recovered.count).toBe(1_536)
    const rest = [...range(0, 512), ...range(1_024, 1_536)]
    expect(positionsOf(await readAll(log))).toEqual(rest)
    expect(monitor.lost).toMatchObject([{ log: id, first: 512, last: 1_023, count: 512 }])
    expect(monitor.lost[0]!.error.message).toBe('the checksum of a fragment is wrong')
    await store.close()
    expect(disk.keys(Kind.setAside).length).toBe(1)
    const again = await openOn(disk)
    expect((await whenOpen(again.store.log(id))).recovered.count).toBe(1_024)
    expect(positionsOf(await readAll(again.store.log(id)))).toEqual(rest)
    expect(again.monitor.lost).toEqual([])
    again.store.log(id).drop()
    await durable(again.store)
    expect(disk.keys(Kind.setAside)).toEqual([])
    expect(disk.keys(Kind.fragment)).toEqual([])
  })

  it('of an index record costs nothing: it is made anew from the page', async () => {
    const disk = new Disk()
    const id = await threePages(disk)
    disk.damage(disk.keys(Kind.index)[1]!, 7)
    disk.damage(disk.keys(Kind.log)[0]!, 6)
    const { store, monitor } = await openOn(disk)
    const log = store.log(id)
    expect(log.recovered).toMatchObject({ count: 1_536, first: 0 })
    expect(positionsOf(await readAll(log))).toEqual([...range(0, 1_536)])
    expect((await readAll(log)).map(bodyOf)).toEqual([...range(0, 1_536)].map((i) => `body ${i}`))
    expect(monitor.damage).toEqual([
      `the record of log ${id} is damaged and made anew`,
      `the index record of 512 in log ${id} was damaged and is made anew from 512 messages`,
    ])
    expect(monitor.lost).toEqual([])
  })

  it('of neighbouring index records costs nothing either, and brings nothing twice', async () => {
    const disk = new Disk()
    const id = await threePages(disk)
    for (const key of disk.keys(Kind.index)) disk.damage(key, 7)
    const { store, monitor } = await openOn(disk)
    expect((await whenOpen(store.log(id))).recovered).toMatchObject({ count: 1_536, first: 0 })
    expect(positionsOf(await readAll(store.log(id)))).toEqual([...range(0, 1_536)])
    expect(monitor.damage).toEqual(
      [1_024, 512, 0].map(
        (first) => `the index record of ${first} in log ${id} was damaged and is made anew from 512 messages`,
      ),
    )
    expect(monitor.lost).toEqual([])
  })

  it('of an index record and of the first fragment of its page costs that fragment', async () => {
    const { disk, id } = await pageOfTwoFragments()
    disk.damage(disk.keys(Kind.index)[0]!, 7)
    disk.damage(disk.keys(Kind.fragment)[0]!, 50)
    const { store: opened, monitor } = await openOn(disk)
    expect((await whenOpen(opened.log(id))).recovered).toMatchObject({ count: 20, first: 0 })
    expect(monitor.damage).toEqual([`the index record of 0 in log ${id} was damaged and is made anew from 20 messages`])
    expect(positionsOf(await readAll(opened.log(id)))).toEqual([...range(10, 20)])
    expect(monitor.lost).toMatchObject([{ log: id, first: 0, last: 9, count: 10 }])
    await opened.close()
    expect(disk.keys(Kind.setAside).length).toBe(1)
    const again = await openOn(disk)
    expect((await whenOpen(again.store.log(id))).recovered.count).toBe(10)
    expect([again.monitor.damage, again.monitor.lost]).toEqual([[], []])
  })

  it.each([
    ['its header', 7, 1],
    ['what is behind that', 50, 10],
  ])('of an index record and of the last fragment of its page, in %s, costs that fragment', async (_, byte, count) => {
    const { disk, id } = await pageOfTwoFragments()
    disk.damage(disk.keys(Kind.index)[0]!, 7)
    disk.damage(disk.keys(Kind.fragment)[1]!, byte)
    const { store: opened, monitor } = await openOn(disk)
    expect(positionsOf(await readAll(opened.log(id)))).toEqual([...range(0, 10)])
    expect(monitor.lost).toMatchObject([{ log: id, first: 10, count: expect.any(Number) }])
    expect(monitor.lost[0]!.count).toBeGreaterThanOrEqual(count)
    expect(disk.keys(Kind.fragment).length).toBe(2)
    opened.log(id).drop()
    await durable(opened)
    expect([disk.keys(Kind.fragment), disk.keys(Kind.setAside)]).toEqual([[], []])
  })

  it('of an index record without a page is told once', async () => {
    const disk = new Disk()
    const id = await threePages(disk)
    disk.damage(disk.keys(Kind.index)[1]!, 7)
    disk.records.delete(disk.keys(Kind.fragment)[1]!.toString('latin1'))
    const { store, monitor } = await openOn(disk)
    expect(positionsOf(await readAll(store.log(id)))).toEqual([...range(0, 512), ...range(1_024, 1_536)])
    expect(monitor.damage).toEqual([
      `the index record of 512 in log ${id} was damaged and is made anew from 0 messages`,
    ])
    await settle()
    await store.close()
    expect((await openOn(disk)).monitor.damage).toEqual([])
  })

  it('of an index record is mended at once, whether the page is touched again or not', async () => {
    const disk = new Disk()
    const id = await threePages(disk)
    disk.damage(disk.keys(Kind.index)[1]!, 7)
    const { store, database, monitor } = await openOn(disk)
    expect((await whenOpen(store.log(id))).recovered.count).toBe(1_536)
    await durable(store)
    expect(monitor.damage.length).toBe(1)
    database.abandon()
    const again = await openOn(disk)
    expect((await whenOpen(again.store.log(id))).recovered.count).toBe(1_536)
    expect(again.monitor.damage).toEqual([])
    expect(positionsOf(await readAll(again.store.log(id)))).toEqual([...range(0, 1_536)])
  })

  it('is nothing that the disk says: what it does not give now is told, and is there when it does', async () => {
    const disk = new Disk()
    const id = await threePages(disk)
    const { store, database, monitor } = await openOn(disk)
    const log = store.log(id)
    database.readFailures = [diskError('IO error: Input/output error')]
    const refused = log.read(10, EVERYTHING)
    await expect(refused).rejects.toThrow('IO error: Input/output error')
    const page = { first: 10, below: 512, count: 502, deliveredBelow: 10, bodyBytes: expect.any(Number) }
    await expect(refused).rejects.toMatchObject({ page })
    expect(positionsOf(await readAll(log))).toEqual([...range(0, 1_536)])
    expect(monitor.lost).toEqual([])
  })

  it('of a page that is read ahead keeps nobody from what is before it', async () => {
    const disk = new Disk()
    const id = await threePages(disk)
    const { store, database, monitor } = await openOn(disk)
    const log = store.log(id)
    expect(positionsOf(await log.read(0, EVERYTHING, 1_000_000))).toEqual([...range(0, 1_536)])
    database.readFailures = [diskError('IO error: Input/output error')]
    expect(positionsOf(await log.read(0, EVERYTHING, 1_000_000))).toEqual([...range(0, 512)])
    disk.damage(disk.keys(Kind.fragment)[1]!, 5_000)
    expect(positionsOf(await log.read(0, EVERYTHING, 1_000_000))).toEqual([...range(0, 512), ...range(1_024, 1_536)])
    expect(monitor.lost).toMatchObject([{ first: 512, last: 1_023, count: 512 }])
    expect(positionsOf(await log.read(0, EVERYTHING, 1_000))).toEqual([...range(0, 512)])
  })

  it('that the database finds in its own bytes costs the page until it is opened again', async () => {
    const disk = new Disk()
    const id = await threePages(disk)
    const { store, database, monitor } = await openOn(disk)
    database.readFailures = [Object.assign(new Error('block checksum mismatch'), { code: 'LEVEL_CORRUPTION' })]
    expect(positionsOf(await readAll(store.log(id)))).toEqual([...range(512, 1_536)])
    expect(monitor.lost).toMatchObject([{ log: id, first: 0, last: 511, count: 512 }])
    await store.close()
    expect(positionsOf(await readAll((await openOn(disk)).store.log(id)))).toEqual([...range(0, 1_536)])
  })

  it('of a body that is kept apart and cannot be read now is none either', async () => {
    const disk = new Disk()
    const { store, database, monitor } = await openOn(disk)
    const logs = [store.log(), store.log()]
    const { queue, message } = entryOf(0, { body: Buffer.alloc(8_000, 'b') })
    for (const log of logs) log.append(new Entry(queue, message, 0), null, 0)
    await durable(store)
    expect(disk.keys(Kind.body).length).toBe(1)
    // The page is given, the body is not.
    const getMany = database.getMany.bind(database)
    const asked: number[] = []
    database.getMany = (keys) => {
      asked.push(keys[0]![0]!)
      if (asked.length === 2) database.readFailures = [diskError('IO error: Input/output error')]
      return getMany(keys)
    }
    await expect(logs[0]!.read(0, EVERYTHING)).rejects.toMatchObject({ page: { first: 0, below: 1, count: 1 } })
    expect(asked).toEqual([Kind.fragment, Kind.body])
    expect(positionsOf(await readAll(logs[0]!))).toEqual([0])
    expect(monitor.lost).toEqual([])
  })
})

describe('what is written', () => {
  it('has few index records when messages come one a batch, and one value a page', async () => {
    const disk = new Disk()
    const { store } = await openOn(disk)
    const log = store.log()
    for (const i of range(0, 1_280)) {
      appendAll(log, [i])
      await durable(store)
    }
    await settle()
    await durable(store)
    expect(disk.keys(Kind.index).length).toBe(10)
    expect(disk.keys(Kind.fragment).length).toBe(10)
    expect(positionsOf(await readAll(log))).toEqual([...range(0, 1_280)])
    expect(positionsOf(await readAll((await openOn(disk)).store.log(log.id)))).toEqual([...range(0, 1_280)])
  })

  it('is gone when everything is settled, but for the record of the log', async () => {
    const disk = new Disk()
    const { store } = await openOn(disk)
    const log = store.log()
    const entries = appendAll(log, range(0, 5_000))
    await durable(store)
    for (const entry of entries) log.settle(entry)
    await durable(store)
    expect([...disk.keys(Kind.index), ...disk.keys(Kind.fragment)]).toEqual([])
    expect(disk.keys(Kind.log).length).toBe(1)
  })

  it('gives its space back when much of it was old, and not for what was written of late', async () => {
    const disk = new Disk()
    const { store, database } = await openOn(disk)
    const [old, young, other] = [store.log(), store.log(), store.log()]
    const body = Buffer.alloc(2 ** 20)
    const aged = appendAll(old, range(0, 10), { body })
    await durable(store)
    const fresh = appendAll(young, range(0, 20), { body })
    await durable(store)
    const others = appendAll(other, range(0, 40), { body })
    await durable(store)
    // Something is left, and what follows will bring LevelDB to it; and these are too young.
    for (const entry of fresh.slice(1)) young.settle(entry)
    for (const entry of others.slice(32)) other.settle(entry)
    await durable(store)
    await settle()
    expect(database.calls.compactRange).toBe(0)
    for (const entry of aged) old.settle(entry)
    await durable(store)
    await settle()
    expect(database.calls.compactRange).toBe(1)
    // Nothing is left that anything could follow.
    young.settle(fresh[0]!)
    await durable(store)
    await settle()
    expect(database.calls.compactRange).toBe(2)
  })

  it('has tables held while its space is given back, and not for longer', async () => {
    const { store, database } = await openOn(new Disk())
    await settleOld(store)
    let compacted = (): void => undefined
    database.compacting = new Promise((resolve) => (compacted = resolve))
    await settle()
    expect([database.calls.compactRange, database.tablesHeld > 0]).toEqual([1, true])
    compacted()
    await settle()
    expect(database.tablesHeld).toBe(0)
  })

  it('keeps its space when the store is closed before the tables are held', async () => {
    const { store, database } = await openOn(new Disk())
    let opened = (): void => undefined
    database.openingTables = new Promise((resolve) => (opened = resolve))
    await settleOld(store)
    await settle()
    await store.close()
    opened()
    await settle()
    expect([database.calls.compactRange, database.tablesHeld]).toEqual([0, 0])
  })

  it('is deleted in slices when it is much, and the rest of it after a crash on the way', async () => {
    const disk = new Disk()
    const { store, database } = await openOn(disk)
    const log = store.log()
    const other = store.log()
    for (const i of range(0, 700)) {
      appendAll(log, range(i * 512, i * 512 + 512), { body: '' })
      if (i % 100 === 99) await durable(store)
    }
    appendAll(other, range(0, 10))
    await durable(store)
    expect(disk.keys(Kind.fragment).length).toBe(701)
    log.drop()
    await durable(store)
    // The first slice went with the drop itself. The broker crashes before the next one reaches the disk.
    database.holding = true
    await settle()
    database.abandon()
    const left = disk.keys(Kind.fragment).length
    expect(left).toBeGreaterThan(1)
    expect(left).toBeLessThan(701)
    const again = await openOn(disk)
    expect(await readAll(again.store.log(log.id))).toEqual([])
    expect(positionsOf(await readAll(again.store.log(other.id)))).toEqual([...range(0, 10)])
    await settle()
    expect(disk.keys(Kind.index).length).toBe(1)
    expect(disk.keys(Kind.fragment).length).toBe(1)
    expect(disk.keys(Kind.erasure)).toEqual([])
    expect(again.database.calls.compactRange).toBe(0)
  })
})

describe('after a crash', () => {
  it('positions count on from every one that was stored, also when nothing is left', async () => {
    const disk = new Disk()
    const { store } = await openOn(disk)
    const log = store.log()
    for (const entry of appendAll(log, range(0, 9_000))) {
      if (entry.position === 8_999) await durable(store)
      log.settle(entry)
    }
    await durable(store)
    const { recovered, next } = await whenOpen((await openOn(disk)).store.log(log.id))
    expect(recovered.count).toBe(0)
    expect(next).toBeGreaterThanOrEqual(9_000)
  })

  it('what was handed to somebody is marked, and not much more', async () => {
    const disk = new Disk()
    const { store } = await openOn(disk)
    const log = store.log()
    appendAll(log, range(0, 1_000))
    await durable(store)
    for (const position of range(0, 200)) log.delivered(position)
    await durable(store)
    for (const position of range(200, 210)) {
      log.delivered(position)
      await durable(store)
    }
    const found = await readAll((await openOn(disk)).store.log(log.id))
    const marked = found.filter(({ redelivered }) => redelivered)
    expect(positionsOf(marked)).toEqual([...range(0, marked.length)])
    expect(marked.length).toBeGreaterThanOrEqual(210)
    expect(marked.length).toBeLessThanOrEqual(210 + DELIVERED_AHEAD_MIN)
  })

  it('what is handed over one after the other is marked before its batch is written: the mark runs ahead', async () => {
    const disk = new Disk()
    const { store, database } = await openOn(disk)
    const log = store.log()
    appendAll(log, range(0, 10_000))
    await durable(store)
    for (let position = 0; position < 3_000; position++) {
      log.delivered(position)
      if (position % 100 === 99) await durable(store)
    }
    database.abandon()
    for (const position of range(3_000, 3_050)) log.delivered(position)
    await settle()
    const found = await readAll((await openOn(disk)).store.log(log.id))
    const marked = found.filter(({ redelivered }) => redelivered).length
    expect(marked).toBeGreaterThanOrEqual(3_050)
    expect(marked).toBeLessThanOrEqual(3_000 + DELIVERED_AHEAD_MIN)
  })
})

describe('what was spilled', () => {
  it('is gone after a restart, and nobody else gets its id while it is being deleted', async () => {
    const disk = new Disk()
    const { store, database } = await openOn(disk)
    const spilled = store.spill()
    for (const i of range(0, 700)) {
      appendAll(spilled, range(i * 512, i * 512 + 512), { body: '' })
      if (i % 100 === 99) await durable(store)
    }
    expect((await spilled.read(100, 110)).length).toBe(10)
    // Crashed, and crashed again while what was spilled is deleted.
    database.abandon()
    const second = await openOn(disk)
    await durable(second.store)
    second.database.abandon()
    expect(disk.keys(Kind.erasure).length).toBe(1)
    const third = await openOn(disk)
    const fresh = third.store.spill()
    expect(fresh.id).toBeGreaterThan(spilled.id)
    appendAll(fresh, range(0, 10))
    await settle()
    await durable(third.store)
    expect(positionsOf(await readAll(fresh))).toEqual([...range(0, 10)])
    expect(disk.keys(Kind.index).length).toBe(1)
  })
})

describe('what waits for its time', () => {
  it('is left for the next start, without an error, when the store is closed while it is being read', async () => {
    const { store, database } = await openOn(new Disk())
    const log = store.delays(() => undefined, true)
    const readings: Promise<DueMessages>[] = []
    const interrupt = await new Promise<(error: Error) => void>((asked) => {
      const nextv = () => new Promise<never>((_, reject) => asked(reject))
      database.iterator = () => ({ nextv, close: () => Promise.resolve() })
      readings.push(log.due(100))
    })
    const closed = store.close()
    interrupt(Object.assign(new Error('Iterator is not open'), { code: 'LEVEL_ITERATOR_NOT_OPEN' }))
    expect(await Promise.all(readings)).toEqual([{ messages: [], next: Infinity }])
    await closed
  })
})
