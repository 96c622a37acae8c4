// The space that a backlog has on a real disk, and that it is given back without anybody asking for it.
import { randomBytes } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Entry } from '../../../src/core/queue/entry.ts'
import type { QueueLog } from '../../../src/core/ports.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { appendAll, durable, entryOf, EVERYTHING, openWhole, range, temporaryDirectory } from '../../support/store.ts'

const MIB = 2 ** 20
/** More than twice of what LevelDB is left to itself with, because it was written of late. */
const BACKLOG_MIB = 160
const monitor = { storeFailed: () => undefined, storeRecovered: () => undefined }

async function mebibytesIn(directory: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(directory)) {
    // A file may go between the two calls.
    const { size } = await stat(join(directory, name)).catch(() => ({ size: 0 }))
    bytes += size
  }
  return bytes / MIB
}

it.each<[string, (log: QueueLog, entries: readonly Entry[]) => void]>([
  ['purged', (log) => log.discard(0, EVERYTHING)],
  ['deleted', (log) => log.drop()],
  ['acknowledged one by one', (log, entries) => entries.forEach((entry) => log.settle(entry))],
])('what was %s is off the disk soon, and what is beside it stays', { timeout: 60_000 }, async (_how, end) => {
  const location = await temporaryDirectory()
  const { store } = await openWhole({ location, turn: new Turn(), monitor })
  const [gone, kept] = [store.log(), store.log()]
  const entries: Entry[] = []
  for (let i = 0; i < BACKLOG_MIB; i += 4) {
    entries.push(...appendAll(gone, range(i, i + 4), { body: randomBytes(MIB) }))
    appendAll(kept, [i], { body: randomBytes(1000) })
    await durable(store)
  }
  expect(await mebibytesIn(location)).toBeGreaterThan(BACKLOG_MIB * 0.8)
  end(gone, entries)
  await durable(store)
  await expect.poll(() => mebibytesIn(location), { timeout: 50_000, interval: 50 }).toBeLessThan(BACKLOG_MIB / 2)
  expect(kept.held.count).toBe(BACKLOG_MIB / 4)
  expect(await kept.read(0, EVERYTHING)).not.toEqual([])
  await store.close()
})

it('large bodies that queues had in common are off the disk soon, too', { timeout: 60_000 }, async () => {
  const location = await temporaryDirectory()
  const { store } = await openWhole({ location, turn: new Turn(), monitor })
  const logs = [store.log(), store.log()]
  for (const position of range(0, BACKLOG_MIB * 8)) {
    const { queue, message } = entryOf(position, { body: randomBytes(MIB / 8) })
    for (const log of logs) log.append(new Entry(queue, message, position), null, 0)
    if (position % 32 === 31) await durable(store)
  }
  await durable(store)
  const full = await mebibytesIn(location)
  expect(full).toBeGreaterThan(BACKLOG_MIB * 0.8)
  expect(full).toBeLessThan(BACKLOG_MIB * 1.6)
  for (const log of logs) log.drop()
  await expect.poll(() => mebibytesIn(location), { timeout: 50_000, interval: 50 }).toBeLessThan(BACKLOG_MIB / 2)
  await store.close()
})
