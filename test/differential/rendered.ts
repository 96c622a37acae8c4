// What arrived, as a line of a transcript that compares.
import type { Fields, Properties } from '../support/codec.ts'
import { Tagged, type Table, type Value } from '../support/field-values.ts'
import type { Arrived } from '../support/raw-client.ts'
import { limitsNothing, withoutDetails, withoutDifferences, withoutMarkup, withoutTypes } from './differences.ts'
import type { Step } from './program.ts'

/** A step as it stands in a program. */
export function renderedStep(step: Step): string {
  if (step.do === 'operate') return `${step.method} ${step.kind}/${step.name} ${json(step.body ?? {})}`
  const { do: what, at, ...rest } = step
  return `${at.client}/${at.channel} ${what} ${json(rest)}`
}

/** An answer of the HTTP API to a change. */
export function renderedAnswer(status: number, body: string): string {
  const refusal = withoutDetails(status, body)
  if (refusal !== null) return refusal
  if (!body.startsWith('[') && !body.startsWith('{')) return `${status} ${withoutMarkup(body)}`
  // No two brokers bury at the same second.
  return `${status} ${withoutMarkup(json(JSON.parse(body) as object)).replaceAll(/"time":\d+/g, '"time":"T"')}`
}

/** What a definitions file says of a vhost, line by line. */
export function renderedDefinitions(body: string): string[] {
  const file = JSON.parse(body) as { readonly [section: string]: readonly Table[] | undefined }
  return ['queues', 'exchanges', 'bindings', 'policies', 'parameters'].flatMap((section) => {
    const objects = (file[section] ?? []).filter((object) => !limitsNothing(object))
    const lines = objects.map((object) => json(withoutTypes(section, object)))
    return lines.toSorted().map((line) => `${section} ${line}`)
  })
}

/** A method without content. */
export function renderedMethod({ method, fields }: Arrived): string {
  return `${method} ${json(fields)}`
}

/** A message, and how it came. */
export function renderedContent(arrived: Arrived): string {
  const { fields, content } = arrived
  const { 'delivery-tag': _tag, 'consumer-tag': _consumer, ...how } = fields
  const properties = withoutDifferences(content!.properties)
  return `${arrived.method} ${json(how)} ${json(properties)} ${content!.body.toString()}`
}

/** JSON with the keys of tables in order, for which brokers do not care. */
function json(value: Fields | Properties | object): string {
  return JSON.stringify(sorted(value as Value))
}

function sorted(value: Value): unknown {
  if (value instanceof Tagged) return { [value.tag]: sorted(value.value) }
  if (typeof value === 'bigint') return { l: String(value) }
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map((item: Value) => sorted(item))
  if (value === null || typeof value !== 'object') return value
  const table = value as Table
  return Object.fromEntries(
    Object.keys(table)
      .toSorted()
      .map((key) => [key, sorted(table[key]!)]),
  )
}
