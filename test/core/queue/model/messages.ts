// The messages of the model: each tells in its body which it is, and which of its bytes is where.
import { strict as assert } from 'node:assert'
import { amqpPropertyCodec } from '../../../../src/amqp/property-codec.ts'
import { Deaths, Message } from '../../../../src/core/message.ts'
import type { MessageProperties } from '../../../../src/core/ports.ts'
import type { FieldTable, FieldValue } from '../../../../src/core/value.ts'

const NO_BODY = Buffer.alloc(0)
const UNIQUE_HEADER = 'x-deduplication-header'
/** The header by which the deduplicating exchange knows duplicates. */
export const ONCE_HEADER = 'once'

/** What a message asks for, and how large it is. */
export interface Traits {
  readonly bytes: number
  readonly persistent: boolean
  readonly priority: number
  /** Milliseconds; -1 when it may wait for ever. */
  readonly expirationMs: number
  /** Milliseconds that it is to wait before it is routed; 0 when it is not. */
  readonly delayMs: number
  /** The id by which a queue knows a duplicate of it; 0 when it has none. */
  readonly unique: number
  /** The id by which the deduplicating exchange does; 0 when it is not published there. */
  readonly once: number
}

/** How a dead letter came to be one. */
export interface Death {
  readonly reason: string
  readonly queue: string
}

/** Which message this is. */
export function idOf({ body, bodyStart, bodyEnd }: Message): number {
  return Number.parseInt(body.toString('latin1', bodyStart, bodyEnd), 10)
}

/** The bytes that it takes to say so. */
export function bytesLeast(id: number): number {
  return String(id).length + 1
}

/** Makes sure that a message is what was published, to the last byte, but for what the broker has to write into it. */
export function assertWhole(message: Message, id: number, traits: Traits, death: Death | null): void {
  const body = message.body.subarray(message.bodyStart, message.bodyEnd)
  assert(body.equals(bodyOf(id, traits.bytes)), `the body of ${id}`)
  const properties = message.properties.subarray(message.propertiesStart, message.propertiesEnd)
  if (death === null && traits.delayMs === 0) {
    assert(properties.equals(propertiesOf(traits)), `the properties of ${id}`)
    return
  }
  const { headers, ...found } = amqpPropertyCodec.properties(message)
  const asked = propertiesAsked(death === null ? traits : { ...traits, expirationMs: -1 })
  assert.deepEqual({ ...found, headers: undefined }, { ...asked, headers: undefined }, `the properties of ${id}`)
  assert.deepEqual(headers?.get(UNIQUE_HEADER), idIn(traits.unique), `the id by which queues know ${id}`)
  assert.deepEqual(headers?.get(ONCE_HEADER), idIn(traits.once), `the id by which the exchange knows ${id}`)
  assert.equal(delayIn(headers), traits.delayMs === 0 ? undefined : -traits.delayMs, `the delay of ${id}`)
  assert.deepEqual(deathsIn(headers), death === null ? [] : [death], `the deaths of ${id}`)
}

/** How a message that came to a queue died in another; null when it did not. */
export function deathOf(message: Message): Death | null {
  return message.deaths === Deaths.none ? null : deathsIn(amqpPropertyCodec.headers(message))[0]!
}

/** A message that is a view into a chunk of input, as a front end makes it. */
export function messageOf(exchange: string, routingKey: string, id: number, traits: Traits): Message {
  const { persistent, priority, expirationMs, delayMs, unique, once } = traits
  const body = bodyOf(id, traits.bytes)
  const properties = propertiesOf(traits)
  const chunk = Buffer.concat([Buffer.from('before'), properties, Buffer.from('|'), body, Buffer.from('after')])
  const start = 6 + properties.length + 1
  const facts = { persistent, priority, expirationMs, headers: delayMs !== 0 || unique !== 0 || once !== 0 }
  return new Message(exchange, routingKey, facts, chunk, 6, start - 1, chunk, start, start + body.length, false)
}

function propertiesOf(traits: Traits): Buffer {
  return amqpPropertyCodec.compose('', '', propertiesAsked(traits), NO_BODY).properties
}

function propertiesAsked(traits: Traits): MessageProperties {
  const { persistent, priority, expirationMs, delayMs } = traits
  const headers = new Map<string, FieldValue>()
  if (delayMs !== 0) headers.set('x-delay', { type: 'signedint', value: delayMs })
  const [unique, once] = [idIn(traits.unique), idIn(traits.once)]
  if (unique !== undefined) headers.set(UNIQUE_HEADER, unique)
  if (once !== undefined) headers.set(ONCE_HEADER, once)
  return {
    deliveryMode: persistent ? 2 : 1,
    ...(priority < 0 ? {} : { priority }),
    ...(expirationMs < 0 ? {} : { expiration: String(expirationMs) }),
    ...(headers.size === 0 ? {} : { headers }),
  }
}

function idIn(id: number): FieldValue | undefined {
  return id === 0 ? undefined : { type: 'signedint', value: id }
}

function bodyOf(id: number, bytes: number): Buffer {
  return Buffer.from(`${id}:`.padEnd(bytes, 'abcdefghijklmnopqrstuvwxyz'))
}

function delayIn(headers: FieldTable | undefined): unknown {
  return headers?.get('x-delay')?.value
}

function deathsIn(headers: FieldTable | undefined): Death[] {
  const history = headers?.get('x-death')
  if (history?.type !== 'array') return []
  return history.value.map((death) => {
    assert(death.type === 'table')
    return { reason: text(death.value.get('reason')), queue: text(death.value.get('queue')) }
  })
}

function text(value: FieldValue | undefined): string {
  assert(value?.type === 'longstr')
  return value.value
}
