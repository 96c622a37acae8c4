// The table of compatibility: every row names the tests that hold it, and they are there.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const DOCS = join(import.meta.dirname, '../docs')

const rows = readFileSync(join(DOCS, 'compatibility.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .slice(2)
  .map((line) => line.slice(2, -2).split(' | '))

describe('the table of compatibility', () => {
  it('has a cell for each broker in every row', () => {
    expect(rows.length).toBeGreaterThan(50)
    expect(rows.filter((cells) => cells.length !== 6)).toEqual([])
  })

  it.each(rows.map((cells) => [cells[0]!, cells.at(-1)!]))('%s is held by tests that are there', (_, held) => {
    const paths = Array.from(held.matchAll(/\]\(([^)]+)\)/g), ([, path]) => path!)
    expect(paths.length).toBeGreaterThan(0)
    expect(paths.filter((path) => !existsSync(join(DOCS, path)))).toEqual([])
  })
})
