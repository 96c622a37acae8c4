// Lists: filtered, sorted, paged and cut to columns, in slices, so that a long one does not hold up the broker.
import { Pattern } from '../lib/pattern.ts'
import { PatternError } from '../lib/pattern/parse.ts'
import { isObject } from './body.ts'
import { badRequest, HttpError, type Json, type JsonObject } from './http-error.ts'

/** How long a list may keep the event loop at a stretch, in milliseconds. */
const SLICE_MS = 8
/** Rows that are made between two looks at the clock. */
const SLICE_ROWS = 64
const PAGE_SIZE_DEFAULT = 100
const PAGE_SIZE_MAX = 500
/** Characters of a regular expression over names. RabbitMQ's. */
const EXPRESSION_LENGTH_MAX = 1024

type Query = Readonly<Record<string, string | undefined>>

/** One page, with the counts around it; or a list that is to be written as an array, row by row. */
export type ListAnswer = { readonly page: JsonObject } | { readonly rows: AsyncGenerator<string> }

type SortKeys<T> = Readonly<Record<string, (item: T) => Json>>

/** A list, whatever it is of. */
export interface Listed {
  answer(query: Query): Promise<ListAnswer>
}

/** A list that the caller may page, sort, filter and cut to columns. */
export class Listing<T> implements Listed {
  readonly items: readonly T[]
  readonly view: (item: T) => JsonObject
  /** Whether `page` means something here; elsewhere it is ignored (RabbitMQ). */
  readonly paged: boolean
  /** Short ways to columns that are often sorted by. */
  readonly keys: SortKeys<T>

  constructor(items: Iterable<T>, view: (item: T) => JsonObject, paged: boolean, keys: SortKeys<T> = {}) {
    this.items = [...items]
    this.view = view
    this.paged = paged
    this.keys = keys
  }

  answer(query: Query): Promise<ListAnswer> {
    return answerListing(this, query)
  }
}

/** Answers a listing as the query asks. Throws 400 when it asks for what cannot be. */
async function answerListing<T>(listing: Listing<T>, query: Query): Promise<ListAnswer> {
  const paging = listing.paged && query['page'] !== undefined ? pagingOf(query) : null
  const columns = columnsOf(query)
  const show = (item: T): JsonObject => cut(listing.view(item), columns)
  if (paging === null) {
    return { rows: arrayText(await sorted(listing, listing.items, query), show) }
  }
  const filtered = await named(listing, paging.matches)
  const { page, size } = paging
  if ((page - 1) * size > filtered.length) {
    const reason = `Page out of range, page: ${page} page size: ${size}, len: ${filtered.length}`
    throw new HttpError(400, 'page_out_of_range', reason)
  }
  const ordered = await sorted(listing, filtered, query)
  const items = ordered.slice((page - 1) * size, page * size).map(show)
  return {
    page: {
      filtered_count: filtered.length,
      item_count: items.length,
      items,
      page,
      page_count: Math.ceil(filtered.length / size),
      page_size: size,
      total_count: listing.items.length,
    },
  }
}

/** Cuts one object to the columns that the query names. */
export function cutToColumns(object: JsonObject, query: Query): JsonObject {
  return cut(object, columnsOf(query))
}

interface Paging {
  readonly page: number
  readonly size: number
  readonly matches: ((name: string) => boolean) | null
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
  return { page, size, matches: nameFilter(query['name'] ?? '', query['use_regex'] === 'true') }
}

function pageNumber(text: string | undefined): number {
  if (text === undefined || !/^-?\d{1,9}$/.test(text)) throw badRequest('Pagination parameters are invalid')
  return Number(text)
}

function nameFilter(wanted: string, expression: boolean): ((name: string) => boolean) | null {
  if (wanted === '') return null
  if (!expression) {
    const lower = wanted.toLowerCase()
    return (name) => name.toLowerCase().includes(lower)
  }
  if (wanted.length > EXPRESSION_LENGTH_MAX) throw badRequest('Pagination parameters are invalid')
  try {
    const pattern = new Pattern(wanted.startsWith('(?i)') ? wanted : `(?i)${wanted}`)
    return (name) => pattern.test(name)
  } catch (error) {
    if (error instanceof PatternError) throw badRequest('Pagination parameters are invalid')
    throw error
  }
}

async function named<T>(listing: Listing<T>, matches: ((name: string) => boolean) | null): Promise<readonly T[]> {
  if (matches === null) return listing.items
  const kept: T[] = []
  await inSlices(listing.items, (item) => {
    if (matches(nameOf(item) ?? nameOf(listing.view(item)) ?? '')) kept.push(item)
  })
  return kept
}

/** By the key that is asked for, or else by vhost and name. What lacks the key counts as 0 (RabbitMQ). */
async function sorted<T>(listing: Listing<T>, items: readonly T[], query: Query): Promise<readonly T[]> {
  const reverse = query['sort_reverse'] === 'true'
  const wanted = query['sort'] ?? ''
  const key = wanted === '' || wanted === 'name' ? null : keyReader(listing, wanted)
  // The name of the vhost is the same for many, so that it is compared by itself.
  const rows: { readonly item: T; readonly key: Json; readonly vhost: string; readonly name: string }[] = []
  await inSlices(items, (item) => {
    const { vhost } = item as { readonly vhost?: unknown }
    const within = wanted === 'name' || typeof vhost !== 'string' ? '' : vhost
    rows.push({ item, key: key === null ? 0 : key(item), vhost: within, name: nameOf(item) ?? '' })
  })
  const byName = (a: (typeof rows)[number], b: (typeof rows)[number]): number =>
    textsCompared(a.vhost, b.vhost) || textsCompared(a.name, b.name)
  rows.sort(key === null ? byName : (a, b) => compared(a.key, b.key) || byName(a, b))
  if (reverse) rows.reverse()
  return rows.map((row) => row.item)
}

/** Reads the key that rows are sorted by, without making the whole row where there is a shorter way. */
function keyReader<T>(listing: Listing<T>, wanted: string): (item: T) => Json {
  if (Object.hasOwn(listing.keys, wanted)) return listing.keys[wanted]!
  const path = wanted.split('.')
  return (item) => at(listing.view(item), path) ?? 0
}

function nameOf(item: unknown): string | undefined {
  const name = typeof item === 'object' && item !== null && 'name' in item ? item.name : undefined
  return typeof name === 'string' ? name : undefined
}

/** Numbers before texts before the rest, as Erlang orders its terms. */
function compared(a: Json, b: Json): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'string' && typeof b === 'string') return textsCompared(a, b)
  const [left, right] = [rank(a), rank(b)]
  if (left !== right) return left - right
  return compared(JSON.stringify(a), JSON.stringify(b))
}

function textsCompared(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function rank(value: Json): number {
  return typeof value === 'number' ? 0 : typeof value === 'boolean' ? 1 : typeof value === 'string' ? 3 : 2
}

type Columns = readonly (readonly string[])[] | null

function columnsOf(query: Query): Columns {
  const columns = query['columns']
  return columns === undefined || columns === '' ? null : columns.split(',').map((column) => column.trim().split('.'))
}

function cut(object: JsonObject, columns: Columns): JsonObject {
  if (columns === null) return object
  const result: Record<string, Json | undefined> = {}
  for (const path of columns) {
    const value = at(object, path)
    if (value !== undefined) put(result, path, value)
  }
  return result
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
    if (!isObject(next)) inner[key] = {}
    inner = inner[key] as Record<string, Json | undefined>
  }
  inner[path.at(-1)!] = value
}

/** A JSON array in pieces of some rows each; between two pieces others get their turn. */
async function* arrayText<T>(items: readonly T[], show: (item: T) => JsonObject): AsyncGenerator<string> {
  let text = '['
  let started = performance.now()
  for (let i = 0; i < items.length; i++) {
    text += `${i === 0 ? '' : ','}${JSON.stringify(show(items[i]!))}`
    if (i % SLICE_ROWS !== SLICE_ROWS - 1 || performance.now() - started < SLICE_MS) continue
    yield text
    text = ''
    await others()
    started = performance.now()
  }
  yield `${text}]`
}

async function inSlices<T>(items: readonly T[], each: (item: T) => void): Promise<void> {
  let started = performance.now()
  for (let i = 0; i < items.length; i++) {
    each(items[i]!)
    if (i % SLICE_ROWS !== SLICE_ROWS - 1 || performance.now() - started < SLICE_MS) continue
    await others()
    started = performance.now()
  }
}

/** Lets everything else that is ready run once. */
function others(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
