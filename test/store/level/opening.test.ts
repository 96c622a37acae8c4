// What is said when a store cannot be opened, and that nothing is touched then.
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, it } from 'vitest'
import { Turn } from '../../../src/lib/turn.ts'
import { StoreOpenError } from '../../../src/store/level/database.ts'
import { Kind, kindKey } from '../../../src/store/level/keys.ts'
import { LevelStore } from '../../../src/store/level/level-store.ts'
import { encodeNumber } from '../../../src/store/level/records.ts'
import { FORMAT } from '../../../src/store/level/recovery.ts'
import { appendAll, durable, positionsOf, range, readAll, temporaryDirectory } from '../../support/store.ts'

const monitor = { storeFailed: () => undefined, storeRecovered: () => undefined }

function open(location: string): Promise<{ store: LevelStore }> {
  return LevelStore.open({ location, turn: new Turn(), monitor })
}

/** The sentence with which opening fails. */
async function refusal(location: string): Promise<string> {
  const error: unknown = await open(location).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(StoreOpenError)
  return (error as StoreOpenError).message
}

/** A store with some messages, closed, and the id of their log. */
async function closedStore(location: string): Promise<number> {
  const { store } = await open(location)
  const log = store.log()
  appendAll(log, range(0, 100))
  await durable(store)
  await store.close()
  return log.id
}

async function contents(location: string): Promise<Map<string, string>> {
  const names = (await readdir(location)).filter((name) => !name.startsWith('LOG') && name !== 'LOCK')
  const files = await Promise.all(
    names.map(async (name) => [name, await readFile(join(location, name), 'latin1')] as const),
  )
  return new Map(files)
}

describe('opening a store', () => {
  it('makes the directory, with all above it', async () => {
    const location = join(await temporaryDirectory(), 'a', 'b', 'c')
    const id = await closedStore(location)
    const { store } = await open(location)
    expect(positionsOf(await readAll(store.log(id)))).toEqual([...range(0, 100)])
    await store.close()
  })

  it('says that the directory is a file', async () => {
    const location = join(await temporaryDirectory(), 'file')
    await writeFile(location, 'precious')
    expect(await refusal(location)).toBe(`The data directory ${location} is a file, not a directory.`)
    expect(await readFile(location, 'utf8')).toBe('precious')
  })

  it('says that a part of the path is a file', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'file'), 'precious')
    const location = join(directory, 'file', 'below')
    expect(await refusal(location)).toBe(`The data directory ${location} cannot be made: a part of its path is a file.`)
  })

  it.skipIf(process.getuid?.() === 0)(
    'says that the directory is not writable (root may write everywhere)',
    async () => {
      const location = await temporaryDirectory()
      await chmod(location, 0o500)
      expect(await refusal(location)).toBe(`The data directory ${location} is not writable.`)
    },
  )

  it('says that another broker uses the directory, which goes on as if nothing had been', async () => {
    const location = await temporaryDirectory()
    const { store } = await open(location)
    expect(await refusal(location)).toBe(`The data directory ${location} is in use by another broker.`)
    const log = store.log()
    appendAll(log, range(0, 10))
    await durable(store)
    expect(positionsOf(await readAll(log))).toEqual([...range(0, 10)])
    await store.close()
  })

  it('refuses the format of a newer version', async () => {
    const location = await temporaryDirectory()
    const level = new Level<Buffer, Buffer>(location, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
    await level.put(kindKey(Kind.format), encodeNumber(FORMAT + 1))
    await level.put(Buffer.from('unknown'), Buffer.from('precious'))
    await level.close()
    expect(await refusal(location)).toBe(
      `The store in ${location} was written by a newer version of Leveret: its format is ${FORMAT + 1}, this version reads up to ${FORMAT}.`,
    )
    await level.open()
    expect(await level.get(Buffer.from('unknown'))).toEqual(Buffer.from('precious'))
    await level.close()
  })

  it("refuses somebody else's database", async () => {
    const location = await temporaryDirectory()
    const level = new Level(location)
    await level.put('somebody', 'else')
    await level.close()
    expect(await refusal(location)).toBe(`The directory ${location} holds a database that is not Leveret's.`)
    await level.open()
    expect(await level.keys().all()).toEqual(['somebody'])
    await level.close()
  })

  it('says that the database is damaged, and leaves its files as they are', async () => {
    const location = await temporaryDirectory()
    await closedStore(location)
    await writeFile(join(location, 'CURRENT'), 'nonsense')
    const before = await contents(location)
    expect(await refusal(location)).toMatch(new RegExp(`^The store in ${location} is damaged: .+\\.$`))
    expect(await contents(location)).toEqual(before)
  })

  it('says that a definition is damaged', async () => {
    const location = await temporaryDirectory()
    await closedStore(location)
    const level = new Level<Buffer, Buffer>(location, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
    await level.put(Buffer.of(Kind.definition, 1), Buffer.from('nonsense'))
    await level.close()
    expect(await refusal(location)).toBe(`The store in ${location} is damaged: a checksum is wrong.`)
  })

  it('does not mind files of others beside its own', async () => {
    const location = await temporaryDirectory()
    await mkdir(join(location, 'lost+found'))
    await closedStore(location)
    expect(await readdir(location)).toContain('lost+found')
  })
})
