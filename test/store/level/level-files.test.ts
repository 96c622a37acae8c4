// What LevelDB leaves to its user: it is refused what it would destroy, and what it left out is kept and told.
import { readFile, readdir, readlink, realpath, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Turn } from '../../../src/lib/turn.ts'
import { holdOldestTables } from '../../../src/store/level/level-files.ts'
import { appendAll, durable, openWhole, positionsOf, range, readAll, temporaryDirectory } from '../../support/store.ts'

/** A store that is open until the test ends, and what it was found to have lost. */
async function open(location: string) {
  const damage: string[] = []
  const monitor = {
    storeFailed: () => undefined,
    storeRecovered: () => undefined,
    damageFound: (error: Error) => damage.push(error.message),
  }
  const { store } = await openWhole({ location, turn: new Turn(), monitor })
  return { store, damage }
}

/** A store with some batches in its journal, closed, and the id of their log. */
async function closedStore(location: string): Promise<number> {
  const { store } = await open(location)
  const log = store.log()
  for (const position of range(0, 10)) {
    appendAll(log, [position], { body: 'x'.repeat(10_000) })
    await durable(store)
  }
  await store.close()
  return log.id
}

async function journalOf(location: string): Promise<string> {
  return (await readdir(location)).find((name) => name.endsWith('.log'))!
}

/** What this process has open, deleted or not, where the system tells. */
async function openFiles(): Promise<string[]> {
  if (process.platform !== 'linux') return []
  const names = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''))
  return Promise.all(names)
}

describe('the files of LevelDB', () => {
  it('are refused when CURRENT is gone, and left as they are: LevelDB would begin anew and delete them', async () => {
    const location = await temporaryDirectory()
    await closedStore(location)
    const journal = await journalOf(location)
    await unlink(join(location, 'CURRENT'))
    const before = await readFile(join(location, journal))
    const sentence = `The store in ${location} is damaged: there is ${journal}, but no file CURRENT.`
    await expect(open(location)).rejects.toThrow(sentence)
    expect(await readFile(join(location, journal))).toEqual(before)
    expect(await readdir(location)).not.toContain('CURRENT')
  })

  it('may be those of a creation that the power ended: it begins anew', async () => {
    const location = await temporaryDirectory()
    await writeFile(join(location, 'CURRENT'), 'MANIFEST-000001\n')
    await writeFile(join(location, 'MANIFEST-000001'), '')
    await writeFile(join(location, '000003.log'), '')
    const { store, damage } = await open(location)
    onTestFinished(() => store.close())
    expect(damage).toEqual([])
  })

  it('are kept and told of when a batch in the journal is damaged, and the other batches are there', async () => {
    const location = await temporaryDirectory()
    const id = await closedStore(location)
    const journal = await journalOf(location)
    const bytes = await readFile(join(location, journal))
    bytes[45_000]! ^= 1
    await writeFile(join(location, journal), bytes)
    const { store, damage } = await open(location)
    onTestFinished(() => store.close())
    expect(damage.length).toBeGreaterThan(0)
    expect(damage[0]).toMatch(new RegExp(`^${journal}: dropping .* \\(a copy is kept as damaged-${journal}\\)$`))
    expect(await readFile(join(location, `damaged-${journal}`))).toEqual(bytes)
    const positions = positionsOf(await readAll(store.log(id)))
    expect(positions.length).toBeLessThan(10)
    expect(positions).toEqual(expect.arrayContaining([0, 9]))
  })

  it('are held by their age, and one that is deleted meanwhile is there until it is let go of', async () => {
    const location = await realpath(await temporaryDirectory())
    const names = ['999999.ldb', '1000000.ldb', '000007.ldb', '000012.sst']
    for (const name of [...names, '000001.log', 'MANIFEST-000002']) await writeFile(join(location, name), name)
    const held = async (): Promise<number> => (await openFiles()).filter((file) => file.startsWith(location)).length
    const tables = await holdOldestTables(location, 3)
    expect(tables.names).toEqual(['000007.ldb', '000012.sst', '999999.ldb'])
    for (const name of tables.names) await unlink(join(location, name))
    expect(await held()).toBe(process.platform === 'linux' ? 3 : 0)
    await tables.letGo()
    expect(await held()).toBe(0)
  })

  it('are not held where one of them cannot be opened, or nobody can say which there are', async () => {
    const location = await realpath(await temporaryDirectory())
    await writeFile(join(location, '000001.ldb'), '')
    await symlink('nowhere', join(location, '000002.ldb'))
    expect((await holdOldestTables(location, 2)).names).toEqual([])
    expect((await openFiles()).filter((file) => file.startsWith(location))).toEqual([])
    const tables = await holdOldestTables(location, 1)
    expect(tables.names).toEqual(['000001.ldb'])
    await tables.letGo()
    expect((await holdOldestTables(join(location, 'nothing'), 2)).names).toEqual([])
  })
})
