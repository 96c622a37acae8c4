// What a trace writes of one message of the firehose, as the tracing plugin of RabbitMQ lays it out.
import { renderTerm } from '../../core/arguments/render.ts'
import type { Message } from '../../core/message.ts'
import type { MessageCodec } from '../../core/ports.ts'
import type { FieldTable, FieldValue } from '../../core/value.ts'
import type { Json } from '../http-error.ts'
import { tableJson } from '../json-table.ts'

/** The two that there are. */
export const TRACE_FORMATS = ['text', 'json'] as const
export type TraceFormat = (typeof TRACE_FORMATS)[number]

/** How it is to be written. */
interface LineTerms {
  readonly format: TraceFormat
  readonly payloadBytesMax: number
}

/** What was traced, by the first word of the firehose's routing key; RabbitMQ knows the first two. */
const TYPES: Readonly<Record<string, string>> = {
  publish: 'published',
  deliver: 'received',
  ack: 'acknowledged',
  reject: 'rejected',
  requeue: 'requeued',
  dead_letter: 'dead-lettered',
}

const RULE = '='.repeat(80)
const EMPTY: FieldTable = new Map()

/** The line, or with `text` the lines, for a message that the firehose told; `now` in milliseconds since 1970. */
export function traceLine(terms: LineTerms, told: Message, codec: MessageCodec, now: number): string {
  const facts = codec.headers(told)
  const dot = told.routingKey.indexOf('.')
  const event = told.routingKey.slice(0, dot)
  const type = TYPES[event] ?? event
  const queue = event === 'publish' ? null : told.routingKey.slice(dot + 1)
  const payload = told.body.subarray(told.bodyStart, Math.min(told.bodyEnd, told.bodyStart + terms.payloadBytesMax))
  const timestamp = timestampText(now)
  if (terms.format === 'json') return jsonLine(facts, type, queue, payload, timestamp)
  return textLines(facts, type, queue, payload, timestamp)
}

function jsonLine(facts: FieldTable, type: string, queue: string | null, payload: Buffer, timestamp: string): string {
  const json: Record<string, Json> = {
    channel: numberIn(facts, 'channel'),
    connection: textIn(facts, 'connection'),
    exchange: textIn(facts, 'exchange_name'),
    node: textIn(facts, 'node'),
    payload: payload.toString('base64'),
    properties: tableJson(propertiesIn(facts)),
    queue: queue ?? 'none',
    routed_queues: queue === null ? textsIn(facts, 'routed_queues') : 'none',
    routing_keys: textsIn(facts, 'routing_keys'),
    timestamp,
    type,
    user: textIn(facts, 'user'),
    vhost: textIn(facts, 'vhost'),
  }
  return `${JSON.stringify(json)}\n`
}

function textLines(facts: FieldTable, type: string, queue: string | null, payload: Buffer, timestamp: string): string {
  const rows = [
    '',
    RULE,
    `${timestamp}: Message ${type}`,
    '',
    `Node:         ${textIn(facts, 'node')}`,
    `Connection:   ${textIn(facts, 'connection')}`,
    `Virtual host: ${textIn(facts, 'vhost')}`,
    `User:         ${textIn(facts, 'user')}`,
    `Channel:      ${numberIn(facts, 'channel')}`,
    `Exchange:     ${textIn(facts, 'exchange_name')}`,
    `Routing keys: ${termsIn(facts, 'routing_keys')}`,
    queue === null ? `Routed queues: ${termsIn(facts, 'routed_queues')}` : `Queue:        ${queue}`,
    `Properties:   ${renderTerm({ type: 'table', value: propertiesIn(facts) })}`,
    'Payload: ',
    payload.toString('utf8'),
    '',
  ]
  return rows.join('\n')
}

function propertiesIn(facts: FieldTable): FieldTable {
  const properties = facts.get('properties')
  return properties?.type === 'table' ? properties.value : EMPTY
}

function textIn(facts: FieldTable, name: string): string {
  const value = facts.get(name)
  return value?.type === 'longstr' ? value.value : ''
}

function numberIn(facts: FieldTable, name: string): number {
  const value = facts.get(name)
  return value?.type === 'signedint' ? value.value : 0
}

function valuesIn(facts: FieldTable, name: string): readonly FieldValue[] {
  const values = facts.get(name)
  return values?.type === 'array' ? values.value : []
}

function textsIn(facts: FieldTable, name: string): string[] {
  return valuesIn(facts, name).map((value) => (value.type === 'longstr' ? value.value : ''))
}

/** Erlang's list of binaries. */
function termsIn(facts: FieldTable, name: string): string {
  return `[${valuesIn(facts, name).map(renderTerm).join(',')}]`
}

/** RFC 3339, in UTC, as RabbitMQ writes it. */
function timestampText(now: number): string {
  return new Date(now).toISOString().replace('Z', '+00:00')
}
