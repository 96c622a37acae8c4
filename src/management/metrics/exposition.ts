// Prometheus' text format, version 0.0.4. Written here, for our counters stand in the core and are only read.
import type { Histogram } from '../../core/counts.ts'

export type MetricType = 'counter' | 'gauge'
export type Labels = Readonly<Record<string, string>>

/** One metric: its name (without a prefix), what it is, and its series. */
export interface Metric {
  readonly name: string
  readonly type: MetricType | 'histogram'
  readonly help: string
  readonly series: Iterable<Series>
}

/** One value with its labels. A histogram's have a suffix to the name. */
export interface Series {
  readonly labels?: Labels
  readonly value: number
  readonly suffix?: string
}

/** How long writing may keep the event loop at a stretch, in milliseconds. */
const SLICE_MS = 8
const SLICE_LINES = 256

/** A metric of one value. */
export function single(name: string, type: MetricType, help: string, value: number, labels: Labels = {}): Metric {
  return { name, type, help, series: [{ labels, value }] }
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

/** Writes metrics in pieces; between two of them others get their turn. */
export async function* expositionText(metrics: Iterable<Metric>, prefix: string): AsyncGenerator<string> {
  let text = ''
  let lines = 0
  let started = performance.now()
  for (const { name, type, help, series } of metrics) {
    const full = prefix + name
    text += `# TYPE ${full} ${type}\n# HELP ${full} ${help}\n`
    for (const { labels, value, suffix } of series) {
      text += `${full}${suffix ?? ''}${labelText(labels)} ${numberText(value)}\n`
      if (++lines % SLICE_LINES !== 0 || performance.now() - started < SLICE_MS) continue
      yield text
      text = ''
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
      started = performance.now()
    }
  }
  yield text
}

function labelText(labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}
