// The table of compatibility: every row names the tests that hold it, and they are there.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const DOCS = join(import.meta.dirname, '../docs')
/** A link to a test file says which of its tests is meant; clients have a directory each. */
const LINK = /\]\(([^ )]+)(?: '([^']+)'| "([^"]+)")?\)/g

const rows = readFileSync(join(DOCS, 'compatibility.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .slice(2)
  .map((line) => line.slice(2, -2).split(' | '))

/** What is wrong with a link of the table, if anything. */
function fault(path: string, title: string | undefined): string | undefined {
  const file = join(DOCS, path)
  if (!existsSync(file)) return `${path} is not there`
  if (!path.endsWith('.test.ts')) return undefined
  if (title === undefined) return `${path}: no test is named`
  const source = readFileSync(file, 'utf8')
  const quoted = ["'", '"', '`'].map((quote) => `${quote}${title}${quote}`)
  const named = quoted.some((literal) => source.includes(`(${literal}`) || source.includes(` ${literal},`))
  return named ? undefined : `${path} has no test '${title}'`
}

describe('the table of compatibility', () => {
  it('has a cell for each broker in every row', () => {
    expect(rows.length).toBeGreaterThan(50)
    expect(rows.filter((cells) => cells.length !== 6)).toEqual([])
  })

  it.each(rows.map((cells) => [cells[0]!, cells.at(-1)!]))('%s is held by tests that are there', (_, held) => {
    const links = Array.from(held.matchAll(LINK), ([, path, single, double]) => [path!, single ?? double] as const)
    expect(links.length).toBeGreaterThan(0)
    expect(links.map(([path, title]) => fault(path, title)).filter((what) => what !== undefined)).toEqual([])
  })
})
