// Tables that LevelDB would end the process for are told from those that it can live with.
import { readFile, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, it } from 'vitest'
import { DamagedRecordError } from '../../../src/store/level/bytes.ts'
import { checkTables, checkTable } from '../../../src/store/level/table-check.ts'
import { temporaryDirectory } from '../../support/store.ts'

const KEYS = Array.from({ length: 40 }, (_, i) => `key ${String(i).padStart(2, '0')}`)

/** What the types leave out. */
interface Compacting {
  compactRange(start: string, end: string): Promise<void>
}

/** A database with one table, and the table's name. */
async function oneTable(): Promise<{ location: string; name: string }> {
  const location = await temporaryDirectory()
  const level = new Level(location, { compression: false, blockSize: 256 }) as Level & Compacting
  await level.batch(KEYS.map((key) => ({ type: 'put', key, value: `value of ${key}` })))
  await level.compactRange('', '~')
  await level.close()
  return { location, name: (await readdir(location)).find((name) => name.endsWith('.ldb'))! }
}

/** What is wrong with a table, or null. */
function faultOf(table: Buffer): string | null {
  try {
    return checkTable(table)[0] ?? null
  } catch (error) {
    if (!(error instanceof DamagedRecordError)) throw error
    return error.message
  }
}

describe('a table', () => {
  it('is fine as LevelDB wrote it, unfinished, or not one at all', async () => {
    const { location, name } = await oneTable()
    const table = await readFile(join(location, name))
    expect(faultOf(table)).toBe(null)
    expect(faultOf(table.subarray(0, -100))).toBe(null)
    expect(faultOf(Buffer.alloc(0))).toBe(null)
    expect(faultOf(Buffer.alloc(1_000))).toBe(null)
  })

  it('may have other values, and no other order of keys', async () => {
    const { location, name } = await oneTable()
    const table = await readFile(join(location, name))
    const changed = (text: string, byte: string) => {
      const copy = Buffer.from(table)
      copy.write(byte, table.indexOf(text) + text.length, 'latin1')
      return faultOf(copy)
    }
    expect(changed('value of ', 'K')).toBe('a block at 0 has a wrong checksum')
    expect(changed('key ', '9')).toBe('its keys are in disorder')
  })

  it('is checked to its last byte without a mistake of ours, whatever is changed', async () => {
    const { location, name } = await oneTable()
    const table = await readFile(join(location, name))
    const faults = new Set<string | null>()
    for (let at = 0; at < table.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        table[at]! ^= mask
        faults.add(faultOf(table))
        table[at]! ^= mask
      }
    }
    expect(faults).toContain('its keys are in disorder')
    expect(faults).toContain('a block lies beyond the end')
    expect(faultOf(table)).toBe(null)
  })
})

describe('the tables of a database', () => {
  const merging = [
    '2026/11/23-08:27:44.379375 7fd2 Delete type=3 #2',
    '2026/11/23-08:27:44.379689 7fd2 Compacting 5@0 + 1@1 files',
  ].join('\n')

  it('are all looked through when they are small', async () => {
    const { location, name } = await oneTable()
    expect(await checkTables(location)).toEqual({ broken: null, damaged: [] })
    await disorder(join(location, name))
    expect((await checkTables(location)).broken).toBe(`${name}: its keys are in disorder`)
  })

  it('are looked through when they are large and two runs ended in a merge, the last one soon', async () => {
    const { location, name } = await oneTable()
    await disorder(join(location, name))
    await writeFile(join(location, '009999.ldb'), '')
    await truncate(join(location, '009999.ldb'), 17 * 1024 * 1024)
    const merged = `${merging}\n2026/11/23-08:27:45.000000 7fd2 compacted to: files[ 0 1 0 0 0 0 0 ]\n`
    const long = merging.replace('08:27:44.379375', '07:27:44.379375')
    for (const [last, before] of [
      [merged, merging],
      [merging, merged],
      [long, merging],
    ]) {
      await writeFile(join(location, 'LOG'), last!)
      await writeFile(join(location, 'LOG.old'), before!)
      expect(await checkTables(location)).toEqual({ broken: null, damaged: [] })
    }
    await writeFile(join(location, 'LOG'), merging)
    await writeFile(join(location, 'LOG.old'), long)
    expect((await checkTables(location)).broken).toBe(`${name}: its keys are in disorder`)
  })

  async function disorder(path: string): Promise<void> {
    const table = await readFile(path)
    table.write('9', table.indexOf('key ') + 4)
    await writeFile(path, table)
  }
})
