// The order of a list, found in slices: the first so many of the items, without sorting those behind them.
import type { Slices } from '../lib/slices.ts'
import type { Json } from './http-error.ts'

/** Items that are looked at between two looks at the clock. */
const ITEMS_AT_ONCE = 64
/** Items that are sorted at once, in a millisecond or two; what is longer is merged out of such. */
const RUN_LENGTH = 2048

/** By what items are ordered: a key if there is one, then vhost and name. */
export interface Order<T> {
  readonly key: ((item: T) => Json) | null
  readonly vhost: (item: T) => string
  readonly name: (item: T) => string
  readonly reverse: boolean
}

/** An item with what it is ordered by, which is read once: it may change while others have their turn. */
interface Ranked<T> {
  readonly item: T
  /** Where values of this type stand: numbers before texts before the rest, as Erlang orders its terms. */
  readonly rank: number
  readonly key: number | string
  readonly vhost: string
  readonly name: string
  /** Where it came, so that equals keep their order. */
  readonly index: number
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
  let first: readonly Ranked<T>[] = []
  let run: Ranked<T>[] = []
  for (let index = 0; index < items.length; index++) {
    const next = rankedBy(order, items[index]!, index)
    // Most of a long list is behind the page that is asked for.
    if (first.length < count || comparison(next, first.at(-1)!) < 0) run.push(next)
    if (run.length === RUN_LENGTH) {
      first = merged(first, run.toSorted(comparison), comparison, count)
      run = []
    } else if (index % ITEMS_AT_ONCE !== 0) continue
    if (slices.over) await slices.next()
  }
  return merged(first, run.toSorted(comparison), comparison, count).map(({ item }) => item)
}

function rankedBy<T>(order: Order<T>, item: T, index: number): Ranked<T> {
  const value = order.key === null ? 0 : order.key(item)
  const [rank, key] = termOf(value)
  return { item, rank, key, vhost: order.vhost(item), name: order.name(item), index }
}

function termOf(value: Json): readonly [rank: number, key: number | string] {
  if (typeof value === 'number') return [0, value]
  if (typeof value === 'boolean') return [1, Number(value)]
  return typeof value === 'string' ? [3, value] : [2, JSON.stringify(value)]
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
