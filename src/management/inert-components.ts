// What RabbitMQ's plugins keep as parameters: kept here too, for tools and for the way back, and not acted on.
import { isObject } from './body.ts'
import { badRequest, type Json, type JsonObject } from './http-error.ts'

/** What is wrong with the value of a parameter of this name, in RabbitMQ's words. */
type Faults = (value: JsonObject, name: string) => readonly string[]

const COMPONENTS: Readonly<Record<string, Faults>> = {
  shovel: (value, name) => {
    const [source, destination] = [value['src-protocol'], value['dest-protocol']]
    return [
      ...(source === AMQP_10 ? [] : sourceFaults(value)),
      ...(destination === AMQP_10 ? [] : bothFaults(value, 'dest')),
      ...missing(value, name, [
        ...(destination === AMQP_10 ? ['dest-address'] : []),
        'dest-uri',
        ...(source === AMQP_10 ? ['src-address'] : []),
        'src-uri',
      ]),
    ]
  },
  'federation-upstream': (value, name) => missing(value, name, ['uri']),
  'federation-upstream-set': (value, name) =>
    Object.values(value).flatMap((one) => (isObject(one) ? missing(one, name, ['upstream']) : [])),
}
const AMQP_10 = 'amqp10'

/** Their names. */
export const INERT_COMPONENTS: ReadonlySet<string> = new Set(Object.keys(COMPONENTS))
/** What a parameter of those is answered and logged with. */
export const INERT = 'is kept, but nothing is done with it: this broker runs neither shovels nor federation'

/** Throws 400 for a value that RabbitMQ's plugin would not take: it lacks what it needs, or has what excludes itself. */
export function assertInertValue(component: string, name: string, value: Json): void {
  if (!isObject(value) && !Array.isArray(value)) throw invalidParameter(['the value is no object'])
  // RabbitMQ: an array has its items for terms; an empty one is an empty object.
  const faults = COMPONENTS[component]!(isObject(value) ? value : Object.fromEntries(value.entries()), name)
  if (faults.length > 0) throw invalidParameter(faults)
}

/** RabbitMQ's sentences about keys that a value lacks. */
export function missing(value: JsonObject, name: string, keys: readonly string[]): readonly string[] {
  return keys.filter((key) => value[key] === undefined).map((key) => `Key "${key}" not found in ${name}`)
}

/** RabbitMQ's frame around what is wrong with a parameter. */
export function invalidParameter(faults: readonly string[]): Error {
  return badRequest(`Validation failed\n\n${faults.map((fault) => `${fault}\n`).join('')}`)
}

function sourceFaults(value: JsonObject): readonly string[] {
  if (value['src-exchange'] !== undefined || value['src-queue'] !== undefined) return bothFaults(value, 'src')
  return ["Must specify 'src-exchange' or 'src-queue'"]
}

function bothFaults(value: JsonObject, side: 'src' | 'dest'): readonly string[] {
  const both = value[`${side}-exchange`] !== undefined && value[`${side}-queue`] !== undefined
  return both ? [`Cannot specify '${side}-exchange' and '${side}-queue'`] : []
}
