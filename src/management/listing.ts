// Lists: filtered, sorted, paged and cut to columns, in slices, so that a long one does not hold up the broker.
import { Pattern, QUERY_STEPS } from '../lib/pattern.ts'
import { PatternError } from '../lib/pattern/parse.ts'
import type { Slices } from '../lib/slices.ts'
import { isObject } from './body.ts'
import { badRequest, HttpError, type Json, type JsonObject } from './http-error.ts'
import { arrayText } from './json-text.ts'
import { firstInOrder, type Order } from './order.ts'

/** Items that are looked at between two looks at the clock; rows, which are more work, are fewer. */
const ITEMS_AT_ONCE = 64
const ROWS_AT_ONCE = 16
const PAGE_SIZE_DEFAULT = 100
const PAGE_SIZE_MAX = 500
/** Characters of a regular expression over names. RabbitMQ's. */
export const EXPRESSION_LENGTH_MAX = 1024

type Query = Readonly<Record<string, string | undefined>>

/** One page, with the counts around it; or a list that is to be written as an array, row by row. */
export type ListAnswer = { readonly page: JsonObject } | { readonly rows: AsyncGenerator<string> }

/** A list, whatever it is of. */
export interface Listed {
  answer(query: Query, slices: Slices): Promise<ListAnswer>
}

/** What a row is made of, each part by itself; one that is undefined is left out. */
export type Columns<T> = Readonly<Record<string, (item: T) => Json | undefined>>

/** How the items of a list are shown: as whole rows, or by columns that can be read without making the whole row. */
export interface View<T> {
  readonly row: (item: T) => JsonObject
  /** Those of the row, or some of them. */
  readonly columns?: Columns<T>
  /** Short ways to what is inside columns, by names with dots, for whoever sorts by it. What is absent is 0. */
  readonly keys?: Columns<T>
}

/** The view of which these are all the columns. */
export function viewOf<T>(columns: Columns<T>, keys: Columns<T> = {}): View<T> {
  const all = Object.entries(columns)
  const row = (item: T): JsonObject => {
    const made: Record<string, Json | undefined> = {}
    for (const [name, read] of all) {
      const value = read(item)
      if (value !== undefined) made[name] = value
    }
    return made
  }
  return { row, columns, keys }
}

/** A list that the caller may page, sort, filter and cut to columns. */
export class Listing<T> implements Listed {
  readonly items: Iterable<T>
  readonly view: View<T>
  /** Whether `page` means something here; elsewhere it is ignored (RabbitMQ). */
  readonly paged: boolean
  /** The same items by vhost and name, where that order is known. */
  readonly ordered: readonly T[] | null

  /** Items are gone through when the answer is made, in slices. */
  constructor(items: Iterable<T>, view: View<T> | View<T>['row'], paged: boolean, ordered: readonly T[] | null = null) {
    this.items = items
    this.ordered = ordered
    this.view = typeof view === 'function' ? { row: view } : view
    this.paged = paged
  }

  answer(query: Query, slices: Slices): Promise<ListAnswer> {
    return answerListing(this, query, slices)
  }
}

/** Answers a listing as the query asks. Throws 400 when it asks for what cannot be. */
async function answerListing<T>(listing: Listing<T>, query: Query, slices: Slices): Promise<ListAnswer> {
  const { view, paged } = listing
  const paging = paged && query['page'] !== undefined ? pagingOf(query) : null
  const show = shown(view, columnsOf(query))
  await slices.begin()
  const { items, total } = await gathered(listing, paging?.filter ?? null, slices)
  const last = paging === null ? items.length : paging.page * paging.size
  if (paging !== null && last - paging.size > items.length) {
    const { page, size } = paging
    const reason = `Page out of range, page: ${page} page size: ${size}, len: ${items.length}`
    throw new HttpError(400, 'page_out_of_range', reason)
  }
  const ordered = await orderedAs(query, listing, items, last, slices)
  if (paging === null) return { rows: arrayText(ordered, show, slices) }
  const { page, size } = paging
  const rows: JsonObject[] = []
  for (const item of ordered.slice(last - size, last)) {
    rows.push(show(item))
    if (rows.length % ROWS_AT_ONCE === 0 && slices.over) await slices.next()
  }
  // The text of all rows is made, and compressed, at once.
  if (slices.over) await slices.next()
  return {
    page: {
      filtered_count: items.length,
      item_count: rows.length,
      items: rows,
      page,
      page_count: Math.ceil(items.length / size),
      page_size: size,
      total_count: total,
    },
  }
}

/** The first so many of the items that were gathered. */
async function orderedAs<T>(
  query: Query,
  { view, ordered }: Listing<T>,
  items: readonly T[],
  count: number,
  slices: Slices,
): Promise<readonly T[]> {
  const sorted = (query['sort'] ?? '') !== ''
  if (ordered === null || sorted) return firstInOrder(items, orderOf(view, query, ordered !== null), count, slices)
  return query['sort_reverse'] === 'true' ? items.toReversed() : items
}

/** Cuts one object to the columns that the query names. */
export function cutToColumns(object: JsonObject, query: Query): JsonObject {
  const wanted = columnsOf(query)
  return wanted === null ? object : cut(wanted, (path) => at(object, path))
}

interface Paging {
  readonly page: number
  readonly size: number
  readonly filter: NameFilter | null
}

interface NameFilter {
  matches(name: string): boolean
  /** Whether one name may take milliseconds. */
  readonly costly: boolean
}

function pagingOf(query: Query): Paging {
  const page = pageNumber(query['page'])
  const size = query['page_size'] === undefined ? PAGE_SIZE_DEFAULT : pageNumber(query['page_size'])
  if (page < 1 || size < 1 || size > PAGE_SIZE_MAX) {
    const given = query['page_size'] === undefined ? 'undefined' : String(size)
    throw new HttpError(
      400,
      'invalid_pagination_parameters',
      `Invalid pagination parameters: page number ${page}, page size ${given}`,
    )
  }
  return { page, size, filter: nameFilter(query['name'] ?? '', query['use_regex'] === 'true') }
}

function pageNumber(text: string | undefined): number {
  if (text === undefined || !/^-?\d{1,9}$/.test(text)) throw badRequest('Pagination parameters are invalid')
  return Number(text)
}

function nameFilter(wanted: string, expression: boolean): NameFilter | null {
  if (wanted === '') return null
  if (!expression) {
    const lower = wanted.toLowerCase()
    return { matches: (name) => name.toLowerCase().includes(lower), costly: false }
  }
  if (wanted.length > EXPRESSION_LENGTH_MAX) throw badRequest('Pagination parameters are invalid')
  const pattern = unlessPatternFails(
    () => new Pattern(wanted.startsWith('(?i)') ? wanted : `(?i)${wanted}`, QUERY_STEPS),
  )
  return { matches: (name) => unlessPatternFails(() => pattern.test(name)), costly: true }
}

/** Throws 400 for an expression that cannot be used, or takes too long. */
function unlessPatternFails<R>(work: () => R): R {
  try {
    return work()
  } catch (error) {
    if (error instanceof PatternError) {
      throw new HttpError(400, 'bad_request', 'Pagination parameters are invalid', { cause: error })
    }
    throw error
  }
}

/** The items whose names match, and how many there are with the others. */
async function gathered<T>(
  { items, view, ordered }: Listing<T>,
  filter: NameFilter | null,
  slices: Slices,
): Promise<{ readonly items: readonly T[]; readonly total: number }> {
  if (ordered !== null && filter === null) return { items: ordered, total: ordered.length }
  const kept: T[] = []
  let total = 0
  for (const item of ordered ?? items) {
    if (filter === null || filter.matches(nameOf(item) ?? nameOf(view.row(item)) ?? '')) kept.push(item)
    if ((++total % ITEMS_AT_ONCE === 0 || filter?.costly === true) && slices.over) await slices.next()
  }
  return { items: kept, total }
}

/**
 * By the key that is asked for, or else by vhost and name, in which they may be already. What lacks the key counts as 0
 * (RabbitMQ).
 */
function orderOf<T>(view: View<T>, query: Query, byName: boolean): Order<T> {
  const wanted = query['sort'] ?? ''
  return {
    key: wanted === '' ? null : keyOf(view, wanted),
    // The name of the vhost is the same for many, so that it is compared by itself.
    vhost: byName ? () => '' : (item) => textOf(item, 'vhost') ?? '',
    name: byName ? () => '' : (item) => nameOf(item) ?? '',
    reverse: query['sort_reverse'] === 'true',
  }
}

function keyOf<T>(view: View<T>, wanted: string): (item: T) => Json {
  if (wanted === 'name') return (item) => nameOf(item) ?? nameOf(view.row(item)) ?? ''
  const { keys = {} } = view
  const short = Object.hasOwn(keys, wanted) ? keys[wanted] : undefined
  const path = wanted.split('.')
  return (item) => (short === undefined ? columnOf(view, item, path) : short(item)) ?? 0
}

/** What the path leads to, without making the whole row where its column can be read by itself. */
function columnOf<T>({ row, columns = {} }: View<T>, item: T, path: readonly string[]): Json | undefined {
  const [first = '', ...rest] = path
  if (!Object.hasOwn(columns, first)) return at(row(item), path)
  const value = columns[first]!(item)
  return rest.length === 0 ? value : isObject(value) ? at(value, rest) : undefined
}

function nameOf(item: unknown): string | undefined {
  return textOf(item, 'name')
}

function textOf(item: unknown, key: 'name' | 'vhost'): string | undefined {
  const value = (item as Readonly<Record<string, unknown>>)[key]
  return typeof value === 'string' ? value : undefined
}

type Paths = readonly (readonly string[])[]

function columnsOf(query: Query): Paths | null {
  const columns = query['columns']
  return columns === undefined || columns === '' ? null : columns.split(',').map((column) => column.trim().split('.'))
}

/** How an item is shown: the whole row, or the columns that are wanted. */
function shown<T>(view: View<T>, wanted: Paths | null): (item: T) => JsonObject {
  if (wanted === null) return view.row
  const { columns = {} } = view
  if (wanted.every(([first = '']) => Object.hasOwn(columns, first))) {
    return (item) => cut(wanted, (path) => columnOf(view, item, path))
  }
  return (item) => {
    const row = view.row(item)
    return cut(wanted, (path) => at(row, path))
  }
}

function cut(wanted: Paths, read: (path: readonly string[]) => Json | undefined): JsonObject {
  const result = emptyObject()
  for (const path of wanted) {
    const value = read(path)
    if (value !== undefined) put(result, path, value)
  }
  return result
}

/** One that inherits nothing: names in paths are whatever somebody called an argument, `__proto__` among them. */
function emptyObject(): Record<string, Json | undefined> {
  return Object.create(null) as Record<string, Json | undefined>
}

function at(object: JsonObject, path: readonly string[]): Json | undefined {
  let value: Json | undefined = object
  for (const key of path) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined
    value = value[key]
  }
  return value
}

function put(target: Record<string, Json | undefined>, path: readonly string[], value: Json): void {
  let inner = target
  for (const key of path.slice(0, -1)) {
    const next = inner[key]
    if (!isObject(next)) inner[key] = emptyObject()
    inner = inner[key] as Record<string, Json | undefined>
  }
  inner[path.at(-1)!] = value
}
