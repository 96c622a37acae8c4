// Messages as JSON: properties by RabbitMQ's names, and payloads as text or base64.
import { isUtf8 } from 'node:buffer'
import { SHORT_BYTES_MAX } from '../core/limits.ts'
import type { Message } from '../core/message.ts'
import type { MessageCodec, MessageProperties } from '../core/ports.ts'
import { isObject } from './body.ts'
import { badRequest, type Json, type JsonObject } from './http-error.ts'
import { jsonTable, tableJson } from './json-table.ts'

/** The properties that are texts, by their names in JSON. */
const TEXTS = {
  content_type: 'contentType',
  content_encoding: 'contentEncoding',
  correlation_id: 'correlationId',
  reply_to: 'replyTo',
  expiration: 'expiration',
  message_id: 'messageId',
  type: 'type',
  user_id: 'userId',
  app_id: 'appId',
  cluster_id: 'clusterId',
} as const

const OCTETS = { delivery_mode: 'deliveryMode', priority: 'priority' } as const
const OCTET_MAX = 255

/** Reads properties. What is null or unknown is left out; a wrong type is 400. */
export function propertiesOf(json: JsonObject): MessageProperties {
  const properties: Record<string, unknown> = {}
  for (const [key, name] of Object.entries(TEXTS)) {
    const value = json[key] ?? undefined
    if (value === undefined) continue
    if (typeof value !== 'string') throw badRequest(['not_string', key])
    if (Buffer.byteLength(value) > SHORT_BYTES_MAX) throw badRequest(['too_long', key])
    properties[name] = value
  }
  for (const [key, name] of Object.entries(OCTETS)) {
    const value = json[key] ?? undefined
    if (value !== undefined) properties[name] = wholeNumber(value, key, OCTET_MAX)
  }
  const timestamp = json['timestamp'] ?? undefined
  if (timestamp !== undefined)
    properties['timestamp'] = BigInt(wholeNumber(timestamp, 'timestamp', Number.MAX_SAFE_INTEGER))
  const headers = json['headers'] ?? undefined
  if (headers !== undefined) {
    if (!isObject(headers)) throw badRequest(['not_object', 'headers'])
    properties['headers'] = jsonTable(headers)
  }
  return properties
}

function wholeNumber(value: Json, key: string, most: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > most) {
    throw badRequest(['not_int', key])
  }
  return value
}

/** The properties of a message; RabbitMQ writes an empty array when there are none. */
export function propertiesJson(codec: MessageCodec, message: Message): Json {
  const properties = codec.properties(message)
  const json: Record<string, Json> = {}
  for (const [key, name] of Object.entries(TEXTS)) if (properties[name] !== undefined) json[key] = properties[name]
  for (const [key, name] of Object.entries(OCTETS)) if (properties[name] !== undefined) json[key] = properties[name]
  if (properties.timestamp !== undefined) json['timestamp'] = Number(properties.timestamp)
  if (properties.headers !== undefined) json['headers'] = tableJson(properties.headers)
  return Object.keys(json).length === 0 ? [] : json
}

/** A body cut to `truncate` bytes: text where it is UTF-8 and `base64` is not asked for. */
export function payloadJson(message: Message, encoding: 'auto' | 'base64', truncate: number): JsonObject {
  const bytes = message.body.subarray(message.bodyStart, Math.min(message.bodyEnd, message.bodyStart + truncate))
  return encoding === 'auto' && isUtf8(bytes)
    ? { payload: bytes.toString('utf8'), payload_encoding: 'string' }
    : { payload: bytes.toString('base64'), payload_encoding: 'base64' }
}
