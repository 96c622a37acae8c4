// Lists: in order, by page, and in slices, however long they are.
import { describe, expect, it } from 'vitest'
import { SLICE_MS, Slices } from '../../src/lib/slices.ts'
import type { JsonObject } from '../../src/management/http-error.ts'
import { Listing, viewOf, type Listed } from '../../src/management/listing.ts'
import { ManualPasses } from '../support/manual-passes.ts'

interface Hare {
  readonly name: string
  readonly vhost: string
  readonly weight: number
}

const COUNT = 10_000

/** Hares in no order, by a fixed walk through all of them. */
const hares: readonly Hare[] = Array.from({ length: COUNT }, (_, i) => {
  const number = (i * 7919) % COUNT
  return {
    name: `hare-${String(number).padStart(5, '0')}`,
    vhost: number % 2 === 0 ? '/' : 'field',
    weight: number % 10,
  }
})

const view = viewOf<Hare>({
  name: ({ name }) => name,
  vhost: ({ vhost }) => vhost,
  weight: ({ weight }) => weight,
  body: ({ weight }) => ({ ears: 2, weight }),
})

function slices(): Slices {
  return new Slices()
}

async function page(
  query: Readonly<Record<string, string>>,
  listing: Listed = new Listing(hares, view, true),
): Promise<JsonObject> {
  const answer = await listing.answer({ page: '1', page_size: '3', ...query }, slices())
  if (!('page' in answer)) throw new Error('no page')
  return answer.page
}

async function namesOf(query: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const { items } = await page(query)
  return (items as unknown as readonly Hare[]).map(({ name }) => name)
}

async function textOf(pieces: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += piece
  return text
}

/** The same order, found by sorting everything. */
function ordered(compare: (a: Hare, b: Hare) => number): readonly string[] {
  return hares.toSorted(compare).map(({ name }) => name)
}

const byVHost = (a: Hare, b: Hare): number => byText(a.vhost, b.vhost) || byText(a.name, b.name)
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byWeight = (a: Hare, b: Hare): number => a.weight - b.weight || byVHost(a, b)

describe('a list', () => {
  it.each([
    ['by vhost and name', {}, ordered(byVHost)],
    ['by name', { sort: 'name' }, ordered((a, b) => byText(a.name, b.name))],
    ['by a column', { sort: 'weight' }, ordered(byWeight)],
    ['by what is inside a column', { sort: 'body.weight' }, ordered(byWeight)],
    ['backwards', { sort: 'weight', sort_reverse: 'true' }, ordered(byWeight).toReversed()],
    ['by what nobody has', { sort: 'wings' }, ordered(byVHost)],
  ])('is ordered %s, on every page', async (_how, query, expected) => {
    expect(await namesOf(query)).toEqual(expected.slice(0, 3))
    expect(await namesOf({ ...query, page: '2500' })).toEqual(expected.slice(7497, 7500))
    expect(await namesOf({ ...query, page: '3334' })).toEqual(expected.slice(9999))
  })

  it('puts numbers before other values, and these before texts', async () => {
    const values = ['b', 2, true, { a: 1 }, 'a', 1]
    const items = values.map((value, i) => ({ name: String(i), value }))
    const listing = new Listing(items, viewOf<(typeof items)[number]>({ value: ({ value }) => value }), true)
    const answer = await page({ sort: 'value', page_size: '10' }, listing)
    const shown = (answer['items'] as readonly { value: unknown }[]).map(({ value }) => value)
    expect(shown).toEqual([1, 2, true, { a: 1 }, 'a', 'b'])
  })

  it('tells how many there are, and how many match', async () => {
    expect(await page({ name: 'HARE-0000' })).toMatchObject({ total_count: COUNT, filtered_count: 10, page_count: 4 })
    expect(await page({ name: '-0000[1-5]$', use_regex: 'true' })).toMatchObject({ filtered_count: 5, item_count: 3 })
  })

  it('is not put in order again where its order is known', async () => {
    const known = hares.toSorted(byVHost)
    const items: Iterable<Hare> = {
      [Symbol.iterator]: () => {
        throw new Error('the items were gone through')
      },
    }
    const listing = new Listing<Hare>(items, view, true, known)
    const names = async (query: Readonly<Record<string, string>>): Promise<readonly unknown[]> => {
      const shown = (await page(query, listing))['items'] as readonly { name: unknown }[]
      return shown.map(({ name }) => name)
    }
    const expected = known.map(({ name }) => name)
    expect(await names({ page: '2500' })).toEqual(expected.slice(7497, 7500))
    expect(await names({ sort_reverse: 'true' })).toEqual(expected.toReversed().slice(0, 3))
    expect(await names({ name: '7', page: '2' })).toEqual(expected.filter((name) => name.includes('7')).slice(3, 6))
  })

  it.each([
    [{ sort: 'weight' }, ordered(byWeight)],
    [{ sort: 'weight', sort_reverse: 'true' }, ordered(byWeight).toReversed()],
    [{ sort: 'name' }, ordered((a, b) => byText(a.name, b.name))],
    [{ sort: 'wings', sort_reverse: 'true' }, ordered(byVHost).toReversed()],
  ])('of a known order is ordered by %j, and equals stay in that order', async (query, expected) => {
    const listing = new Listing<Hare>(hares, view, true, hares.toSorted(byVHost))
    for (const number of [1, 150, 2500, 3334]) {
      const { items } = await page({ ...query, page: String(number) }, listing)
      const names = (items as unknown as readonly Hare[]).map(({ name }) => name)
      expect(names).toEqual(expected.slice((number - 1) * 3, number * 3))
    }
  })

  it('looks only at what it is ordered by, of all but the page', async () => {
    const looked = new Map<string, number>()
    const counting = (name: keyof Hare) => (hare: Hare) => {
      looked.set(name, (looked.get(name) ?? 0) + 1)
      return hare[name]
    }
    const counted = viewOf<Hare>({ name: counting('name'), weight: counting('weight'), vhost: counting('vhost') })
    await page({ sort: 'weight' }, new Listing<Hare>(hares, counted, true, hares.toSorted(byVHost)))
    expect(Object.fromEntries(looked)).toEqual({ weight: COUNT + 3, name: 3, vhost: 3 })
  })

  it('refuses an expression that takes too long', async () => {
    const slow = new Listing([{ name: 'x'.repeat(255), vhost: '/', weight: 1 }], view, true)
    const asked = page({ name: `(${'(x?){50}'.repeat(20)}y)*z`, use_regex: 'true' }, slow)
    await expect(asked).rejects.toMatchObject({ status: 400, reason: 'Pagination parameters are invalid' })
  })

  it('makes no whole row where a column is enough', async () => {
    const row = (): never => {
      throw new Error('a whole row was made')
    }
    const listing = new Listing(hares, { ...view, row }, true)
    const { items } = await page({ sort: 'weight', columns: 'name,body.ears' }, listing)
    expect(items).toContainEqual({ name: 'hare-00000', body: { ears: 2 } })
  })
})

describe('between two slices of a long list, others have their turn:', () => {
  /** Every look at the time takes so long that a slice is over after some of them. */
  const LOOKS = 8
  const perLook = SLICE_MS / LOOKS

  it.each([
    ['finding a page', { page: '1' }, 64],
    ['ordering it', { page: '1', sort: 'weight' }, 64],
    ['a filter, after each name', { page: '1', name: '^x', use_regex: 'true' }, 1],
  ])('%s', async (_what, query, itemsAtOnce) => {
    const passes = new ManualPasses(perLook)
    const answering = new Listing(hares, view, true).answer(query, new Slices(passes))
    // There are many more looks than one slice has room for.
    expect(await passes.runAll()).toBeGreaterThanOrEqual(COUNT / itemsAtOnce / LOOKS)
    expect(await answering).toHaveProperty('page')
  })

  it('the text of all rows, in pieces', async () => {
    const passes = new ManualPasses(perLook)
    const answering = new Listing(hares, view, false).answer({}, new Slices(passes))
    await passes.runAll()
    const answer = await answering
    if (!('rows' in answer)) throw new Error('no rows')
    const before = passes.count
    const writing = textOf(answer.rows)
    await passes.runAll()
    expect(passes.count - before).toBeGreaterThanOrEqual(COUNT / 16 / LOOKS)
    expect(JSON.parse(await writing)).toHaveLength(COUNT)
  })
})
