// The JSON bodies of requests: read, and asked for fields of a type, with RabbitMQ's words when they are missing or wrong.
import { SHORT_BYTES_MAX } from '../core/limits.ts'
import { AT_ONCE_BYTES, assertShallow, DEPTH_MAX } from './body-outline.ts'
import { badRequest, type Json, type JsonObject } from './http-error.ts'

/**
 * Reads a body; one larger than `AT_ONCE_BYTES` was looked through before. An empty one stands for an empty object.
 * @throws HttpError 400 for what is no JSON object
 */
export function parseObject(bytes: Buffer): JsonObject {
  if (bytes.length <= AT_ONCE_BYTES) assertShallow(bytes)
  const text = bytes.toString('utf8').trim()
  if (text === '' || text === 'null' || text === 'undefined') return {}
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch {
    throw badRequest('not_json')
  }
  if (typeof value === 'string') {
    throw badRequest('invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?')
  }
  if (!isObject(value)) throw badRequest('not_json')
  if (deeperThan(value, DEPTH_MAX)) throw badRequest('the body is nested too deeply')
  return value
}

/** Whether a value is an object, and no list. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Throws 400 naming every key that is missing. */
export function assertPresent(body: JsonObject, ...keys: string[]): void {
  const missing = keys.filter((key) => body[key] === undefined || body[key] === null)
  if (missing.length > 0) throw badRequest(`[${missing.map((key) => `{key_missing,${key}}`).join(',')}]`)
}

/** A text; absent without a substitute, it throws 400, as does anything else. */
export function stringField(body: JsonObject, key: string, absent?: string): string {
  const value = body[key] ?? absent
  if (value === undefined) throw badRequest(`[{key_missing,${key}}]`)
  if (typeof value !== 'string') throw badRequest(['not_string', key])
  return value
}

/** A text that must fit into AMQP's short strings. */
export function shortField(body: JsonObject, key: string): string {
  const text = stringField(body, key)
  if (Buffer.byteLength(text) > SHORT_BYTES_MAX) throw badRequest(['too_long', key])
  return text
}

/** true, false, or either as text. */
export function booleanField(body: JsonObject, key: string, absent: boolean): boolean {
  const value = body[key] ?? absent
  if (value === true || value === 'true') return true
  if (value === false || value === 'false') return false
  throw badRequest(['not_boolean', value])
}

/** A whole number, or one as text. */
export function integerField(body: JsonObject, key: string): number {
  const value = body[key]
  if (value === undefined || value === null) throw badRequest(`[{key_missing,${key}}]`)
  const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw badRequest(['not_integer', value])
  return number
}

/** An object; absent stands for an empty one. Throws 400 for anything else. */
export function objectField(body: JsonObject, key: string): JsonObject {
  const value = body[key] ?? {}
  // RabbitMQ's own export writes an empty table as an empty array.
  if (Array.isArray(value) && value.length === 0) return {}
  if (!isObject(value)) throw badRequest(['not_object', key])
  return value
}

/** Objects of a list; absent stands for none. */
export function objectsField(body: JsonObject, key: string): readonly JsonObject[] {
  const value = body[key] ?? []
  if (!Array.isArray(value) || !value.every((item: Json) => isObject(item))) throw badRequest(['not_a_list', key])
  return value
}

/** Texts in a list. */
export function textsField(body: JsonObject, key: string): readonly string[] {
  if (typeof body[key] === 'string') throw badRequest(['not_a_list_of_strings', key])
  return wordsField(body, key)
}

/** Texts in a list, or in one text with commas. */
export function wordsField(body: JsonObject, key: string): readonly string[] {
  const value = body[key] ?? []
  const words = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(words) || !words.every((word: Json) => typeof word === 'string')) {
    throw badRequest(['not_a_list_of_strings', key])
  }
  return (words as readonly string[]).map((word) => word.trim()).filter((word) => word !== '')
}

/** Whether a value nests deeper than that. */
export function deeperThan(value: Json | undefined, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (depth === 0) return true
  return Object.values(value as JsonObject).some((inner) => deeperThan(inner, depth - 1))
}
