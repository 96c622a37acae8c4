// Prometheus' text format, version 0.0.4. Written here, for our counters stand in the core and are only read.
import type { Histogram } from '../../core/counts.ts'
import type { Slices } from '../../lib/slices.ts'

/** Prometheus' types, as far as they are used. */
export type MetricType = 'counter' | 'gauge'
/** What tells the figures of a metric apart. */
export type Labels = Readonly<Record<string, string>>

/** One metric: its name (without a prefix), what it is, and its series. */
export interface Metric {
  readonly name: string
  readonly type: MetricType | 'histogram'
  readonly help: string
  readonly series: Iterable<Series>
}

/** One value with its labels, or their text where many have the same. A histogram's have a suffix to the name. */
export interface Series {
  readonly labels?: Labels | string
  readonly value: number
  readonly suffix?: string
}

/** Lines that are written between two looks at the clock. */
const LINES_AT_ONCE = 128
/** Characters of a piece: a longer one would be much to copy at once. */
const PIECE_LENGTH = 65_536

/** A metric of one value. */
export function single(name: string, type: MetricType, help: string, value: number, labels: Labels = {}): Metric {
  return { name, type, help, series: [{ labels, value }] }
}

/** One value and what it is. */
export type Figure = readonly [name: string, help: string, value: number]

/** Metrics of one value each, that go up and down. */
export function* gaugesOf(all: readonly Figure[]): Generator<Metric> {
  for (const [name, help, value] of all) yield single(name, 'gauge', help, value)
}

/** The same, that only go up. */
export function* countersOf(all: readonly Figure[]): Generator<Metric> {
  for (const [name, help, value] of all) yield single(name, 'counter', help, value)
}

/** A histogram. The texts of its bounds are their numbers unless others are given. */
export function histogram(
  name: string,
  help: string,
  { bounds, counts, sum }: Histogram,
  labels: Labels = {},
  texts: readonly string[] = bounds.map(numberText),
): Metric {
  let below = 0
  const series: Series[] = counts.map((count, i) => {
    below += count
    return { suffix: '_bucket', labels: { ...labels, le: texts[i]! }, value: below }
  })
  series.push({ suffix: '_sum', labels, value: sum }, { suffix: '_count', labels, value: below })
  return { name, type: 'histogram', help, series }
}

/** Writes metrics of which there are few: none that each object has. */
export function expositionOf(metrics: Iterable<Metric>, prefix: string): string {
  let text = ''
  for (const metric of metrics) {
    const full = prefix + metric.name
    text += head(full, metric)
    for (const series of metric.series) text += line(full, series)
  }
  return text
}

function head(full: string, { type, help }: Metric): string {
  return `# TYPE ${full} ${type}\n# HELP ${full} ${help}\n`
}

function line(full: string, { labels = '', value, suffix = '' }: Series): string {
  return `${full}${suffix}${typeof labels === 'string' ? labels : labelText(labels)} ${numberText(value)}\n`
}

/** Writes metrics in pieces, and in slices: between two of them others get their turn. */
export async function* expositionText(
  metrics: Iterable<Metric>,
  prefix: string,
  slices: Slices,
): AsyncGenerator<string> {
  let text = ''
  let lines = 0
  await slices.begin()
  for (const metric of metrics) {
    const full = prefix + metric.name
    text += head(full, metric)
    for (const series of metric.series) {
      text += line(full, series)
      if (++lines % LINES_AT_ONCE !== 0) continue
      const { over } = slices
      if (!over && text.length < PIECE_LENGTH) continue
      yield text
      text = ''
      if (over) await slices.next()
    }
  }
  yield text
}

/** Labels as they stand behind a name. */
export function labelText(labels: Labels): string {
  let text = ''
  for (const name in labels) text += `${text === '' ? '{' : ','}${name}="${escaped(labels[name]!)}"`
  return text === '' ? '' : `${text}}`
}

function escaped(value: string): string {
  if (!/["\\\n]/.test(value)) return value
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}
