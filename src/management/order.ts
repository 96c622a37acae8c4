// The order of a list, found in slices: the first so many of the items, without sorting those behind them.
import type { Slices } from '../lib/slices.ts'
import type { Json } from './http-error.ts'

/** Items that are looked at between two looks at the clock. */
const ITEMS_AT_ONCE = 64
/** Items that are sorted at once, in a millisecond or two at the most; what is longer is merged out of such. */
const RUN_LENGTH_MIN = 256
const RUN_LENGTH_MAX = 2048

/** By what items are ordered: a key if there is one, then vhost and name, then where they stood. */
export interface Order<T> {
  readonly key: ((item: T) => Json) | null
  /** Both may be the same for all where items stand by vhost and name already. */
  readonly vhost: (item: T) => string
  readonly name: (item: T) => string
  readonly reverse: boolean
}

/** An item with what it is ordered by, which is read once: it may change while others have their turn. */
interface Ranked<T> {
  item: T
  /** Where values of this type stand: numbers before texts before the rest, as Erlang orders its terms. */
  rank: number
  key: number | string
  vhost: string
  name: string
  /** Where it stood, so that equals keep their order. */
  index: number
}

type Comparison<T> = (a: Ranked<T>, b: Ranked<T>) => number

/** The first `count` items in this order; to be called within a slice. */
export async function firstInOrder<T>(
  items: readonly T[],
  order: Order<T>,
  count: number,
  slices: Slices,
): Promise<readonly T[]> {
  const ascending: Comparison<T> = order.key === null ? byName : byKey
  const comparison: Comparison<T> = order.reverse ? (a, b) => ascending(b, a) : ascending
  const runLength = Math.min(Math.max(count, RUN_LENGTH_MIN), RUN_LENGTH_MAX)
  let first: readonly Ranked<T>[] = []
  let last: Ranked<T> | null = null
  let run: Ranked<T>[] = []
  if (items.length === 0) return []
  const next: Ranked<T> = { item: items[0]!, rank: 0, key: 0, vhost: '', name: '', index: 0 }
  for (let looked = 0; looked < items.length; looked++) {
    // From the end of the order, so that of equals, too, those that are met first stand first.
    const index = order.reverse ? items.length - 1 - looked : looked
    rank(next, order, items[index]!, index)
    // Most of a long list is behind the page that is asked for, and nothing is made for it.
    if (last === null || comparison(next, last) < 0) run.push({ ...next })
    if (run.length === runLength) {
      first = merged(first, run.toSorted(comparison), comparison, count)
      if (first.length === count) last = first.at(-1)!
      run = []
    } else if (looked % ITEMS_AT_ONCE !== 0) continue
    if (slices.over) await slices.next()
  }
  return merged(first, run.toSorted(comparison), comparison, count).map(({ item }) => item)
}

function rank<T>(ranked: Ranked<T>, order: Order<T>, item: T, index: number): void {
  ranked.item = item
  ranked.index = index
  ranked.vhost = order.vhost(item)
  ranked.name = order.name(item)
  if (order.key !== null) rankByKey(ranked, order.key(item))
}

function rankByKey(ranked: Ranked<unknown>, value: Json): void {
  if (typeof value === 'number') {
    ranked.rank = 0
    ranked.key = value
  } else if (typeof value === 'boolean') {
    ranked.rank = 1
    ranked.key = Number(value)
  } else if (typeof value === 'string') {
    ranked.rank = 3
    ranked.key = value
  } else {
    ranked.rank = 2
    ranked.key = JSON.stringify(value)
  }
}

function merged<T>(
  a: readonly Ranked<T>[],
  b: readonly Ranked<T>[],
  comparison: Comparison<T>,
  count: number,
): readonly Ranked<T>[] {
  const result: Ranked<T>[] = []
  let [i, j] = [0, 0]
  while (result.length < count) {
    const [left, right] = [a[i], b[j]]
    if (left !== undefined && (right === undefined || comparison(left, right) < 0)) {
      result.push(left)
      i++
    } else if (right !== undefined) {
      result.push(right)
      j++
    } else break
  }
  return result
}

function byName<T>(a: Ranked<T>, b: Ranked<T>): number {
  return compared(a.vhost, b.vhost) || compared(a.name, b.name) || a.index - b.index
}

function byKey<T>(a: Ranked<T>, b: Ranked<T>): number {
  return a.rank - b.rank || compared(a.key, b.key) || byName(a, b)
}

/** Of the same rank, and so of the same type. */
function compared(a: number | string, b: number | string): number {
  return a === b ? 0 : a < b ? -1 : 1
}
