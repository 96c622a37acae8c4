// Counters as RabbitMQ shows them: the count, and beside it `<name>_details` with its rate and history.
import type { MessageCounts } from '../../core/counts.ts'
import type { JsonObject } from '../http-error.ts'
import { badRequest } from '../http-error.ts'
import type { Columns } from '../listing.ts'
import type { Figure, History, Span } from '../rates.ts'
import type { Call } from '../route.ts'

type Query = Call['query']
type Figures = Record<string, number | JsonObject>

/** Samples that one request may ask for. RabbitMQ's. */
const SAMPLES_MAX = 500

/** The history that a request asks for with `<prefix>_age` and `<prefix>_incr`; null without both. Throws 400. */
export function spanOf(query: Query, prefix: 'lengths' | 'msg_rates' | 'data_rates' | 'node_stats'): Span | null {
  const ageSeconds = Number(query[`${prefix}_age`])
  const stepSeconds = Number(query[`${prefix}_incr`])
  if (!Number.isSafeInteger(ageSeconds) || !Number.isSafeInteger(stepSeconds)) return null
  if (ageSeconds < 0 || stepSeconds <= 0 || ageSeconds / stepSeconds > SAMPLES_MAX) {
    throw badRequest(`Invalid range parameters: age ${ageSeconds}, incr ${stepSeconds}`)
  }
  return { ageSeconds, stepSeconds }
}

/** Of which object the figures are, where they come from, and how far back they go. */
export interface Source {
  readonly object: object
  readonly rates: History
  readonly span: Span | null
}

/** `{ name: count, name_details: {...} }` for one figure. */
export function figure(source: Source, name: string, kept: string, count: number): Figures {
  return { [name]: count, [`${name}_details`]: details(source.rates.figure(source.object, kept, source.span)) }
}

/** The same for the sum of several objects. */
export function figureOfAll(sources: readonly Source[], name: string, kept: readonly string[], count: number): Figures {
  const parts = sources.flatMap(({ object, rates, span }) => kept.map((one) => rates.figure(object, one, span)))
  return { [name]: count, [`${name}_details`]: details(parts.reduce(sumOf, undefined)) }
}

/** Lengths: ready, unacknowledged, and both. */
export function lengths(source: Source, ready: number, unacked: number): Figures {
  return {
    messages: ready + unacked,
    messages_details: details(
      sumOf(
        source.rates.figure(source.object, 'ready', source.span),
        source.rates.figure(source.object, 'unacked', source.span),
      ),
    ),
    ...figure(source, 'messages_ready', 'ready', ready),
    ...figure(source, 'messages_unacknowledged', 'unacked', unacked),
  }
}

/** The same by columns, for a list: of which object is said for each item. */
export function lengthColumns<T extends object>(
  source: Omit<Source, 'object'>,
  ready: (item: T) => number,
  unacked: (item: T) => number,
): Columns<T> {
  const kept = (item: T, name: string): Figure | undefined => source.rates.figure(item, name, source.span)
  return {
    messages: (item) => ready(item) + unacked(item),
    messages_details: (item) => details(sumOf(kept(item, 'ready'), kept(item, 'unacked'))),
    messages_ready: ready,
    messages_ready_details: (item) => details(kept(item, 'ready')),
    messages_unacknowledged: unacked,
    messages_unacknowledged_details: (item) => details(kept(item, 'unacked')),
  }
}

const DELIVERIES = [
  ['ack', 'acknowledged'],
  ['deliver', 'delivered'],
  ['deliver_no_ack', 'deliveredNoAck'],
  ['get', 'got'],
  ['get_empty', 'getEmpty'],
  ['get_no_ack', 'gotNoAck'],
  ['redeliver', 'redelivered'],
] as const
const OF_DELIVER_GET = ['delivered', 'deliveredNoAck', 'got', 'gotNoAck'] as const
const PUBLISHES = [
  ['publish', 'published'],
  ['confirm', 'confirmed'],
  ['return_unroutable', 'returned'],
  ['drop_unroutable', 'dropped'],
] as const

/** RabbitMQ's message_stats of a queue, channel or vhost; empty as long as nothing has happened. */
export function messageStats(source: Source, counts: MessageCounts, publisher: boolean): Figures {
  const stats: Figures = {}
  if (DELIVERIES.some(([, kept]) => counts[kept] > 0)) {
    for (const [name, kept] of DELIVERIES) Object.assign(stats, figure(source, name, kept, counts[kept]))
    const parts = OF_DELIVER_GET.map((kept) => source.rates.figure(source.object, kept, source.span))
    stats['deliver_get'] = OF_DELIVER_GET.reduce((sum, kept) => sum + counts[kept], 0)
    stats['deliver_get_details'] = details(parts.reduce(sumOf))
  }
  const publishes = publisher ? PUBLISHES : PUBLISHES.slice(0, 1)
  if (publishes.some(([, kept]) => counts[kept] > 0)) {
    for (const [name, kept] of publishes) Object.assign(stats, figure(source, name, kept, counts[kept]))
  }
  // LavinMQ's name.
  if (counts.deduplicated > 0) Object.assign(stats, figure(source, 'dedup', 'deduplicated', counts.deduplicated))
  return stats
}

/** Single parts of message_stats, for a list that is ordered by one: nothing else is put together for it. */
export function messageStatsColumns<T extends object>(rates: History, counts: (item: T) => MessageCounts): Columns<T> {
  const columns: Record<string, (item: T) => number> = {}
  const rate = (item: T, kept: readonly string[]): number => kept.reduce((sum, name) => sum + rates.rate(item, name), 0)
  const add = (name: string, kept: readonly string[]): void => {
    columns[`message_stats.${name}_details.rate`] = (item) => rate(item, kept)
  }
  for (const [name, kept] of [...DELIVERIES, ...PUBLISHES]) {
    columns[`message_stats.${name}`] = (item) => counts(item)[kept]
    add(name, [kept])
  }
  columns['message_stats.deliver_get'] = (item) => OF_DELIVER_GET.reduce((sum, kept) => sum + counts(item)[kept], 0)
  add('deliver_get', OF_DELIVER_GET)
  return columns
}

/** The rates of lengths, for the same. */
export function lengthRates(rates: History): Columns<object> {
  return {
    'messages_details.rate': (item) => rates.rate(item, 'ready') + rates.rate(item, 'unacked'),
    'messages_ready_details.rate': (item) => rates.rate(item, 'ready'),
    'messages_unacknowledged_details.rate': (item) => rates.rate(item, 'unacked'),
  }
}

/**
 * What RabbitMQ tells of the Erlang process behind an object. There is none here; monitoring wants the fields for all
 * that.
 */
export const PROCESS_FIGURES = {
  garbage_collection: {
    fullsweep_after: 0,
    max_heap_size: 0,
    min_bin_vheap_size: 0,
    min_heap_size: 0,
    minor_gcs: 0,
  },
  reductions: 0,
  reductions_details: { rate: 0 },
} as const

/** Figures of which nothing is known, with as many samples as another figure of the same object has. */
export function unknownFigures({ object, rates, span }: Source, like: string, names: readonly string[]): Figures {
  const known = rates.figure(object, like, span)
  const none = details({ rate: 0, samples: (known?.samples ?? []).map(({ timestamp }) => ({ sample: 0, timestamp })) })
  return Object.fromEntries(names.flatMap((name) => [[name, 0] as const, [`${name}_details`, none] as const]))
}

/** Since when nothing has happened to an object, as RabbitMQ writes it; undefined while something does. */
export function idleSince({ rates }: Pick<Call, 'rates'>, object: object): string | undefined {
  const since = rates.idleSince(object)
  return since === null ? undefined : new Date(since).toISOString().replace('Z', '+00:00')
}

/** An object that is left out as long as it is empty. */
export function unlessEmpty(key: string, stats: Figures): JsonObject {
  return Object.keys(stats).length === 0 ? {} : { [key]: stats }
}

function details(one: Figure | undefined): JsonObject {
  if (one === undefined) return { rate: 0 }
  const { rate, samples } = one
  const [newest, oldest] = [samples[0], samples.at(-1)]
  if (newest === undefined || oldest === undefined) return { rate }
  const seconds = (newest.timestamp - oldest.timestamp) / 1000
  return {
    rate,
    samples: samples.map(({ sample, timestamp }) => ({ sample, timestamp })),
    avg_rate: seconds > 0 ? (newest.sample - oldest.sample) / seconds : 0,
    avg: samples.reduce((sum, { sample }) => sum + sample, 0) / samples.length,
  }
}

function sumOf(a: Figure | undefined, b: Figure | undefined): Figure | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return {
    rate: a.rate + b.rate,
    samples: a.samples.map(({ sample, timestamp }, i) => ({ sample: sample + (b.samples[i]?.sample ?? 0), timestamp })),
  }
}
