// The messages of the model: each tells in its body which it is, and which of its bytes is where.
import { strict as assert } from 'node:assert'
import { Message } from '../../../../src/core/message.ts'

// Nothing but the delivery mode (AMQP 0-9-1 §4.2.6.1).
const PERSISTENT = Buffer.of(0x10, 0, 2)
const TRANSIENT = Buffer.of(0x10, 0, 1)

/** Which message this is. */
export function idOf({ body, bodyStart, bodyEnd }: Message): number {
  return Number.parseInt(body.toString('latin1', bodyStart, bodyEnd), 10)
}

/** Makes sure that a message is what was published, to the last byte. */
export function assertWhole(message: Message, id: number, bytes: number): void {
  const body = message.body.subarray(message.bodyStart, message.bodyEnd)
  assert(body.equals(bodyOf(id, bytes)), `the body of ${id}`)
  const properties = message.properties.subarray(message.propertiesStart, message.propertiesEnd)
  assert(properties.equals(message.persistent ? PERSISTENT : TRANSIENT), `the properties of ${id}`)
}

/** A message that is a view into a chunk of input, as a front end makes it. */
export function messageOf(
  exchange: string,
  routingKey: string,
  id: number,
  bytes: number,
  persistent: boolean,
): Message {
  const body = bodyOf(id, bytes)
  const properties = persistent ? PERSISTENT : TRANSIENT
  const chunk = Buffer.concat([Buffer.from('before'), properties, Buffer.from('|'), body, Buffer.from('after')])
  const start = 6 + properties.length + 1
  const facts = { persistent, priority: 0, expirationMs: -1, headers: false }
  return new Message(exchange, routingKey, facts, chunk, 6, start - 1, chunk, start, start + body.length, false)
}

function bodyOf(id: number, bytes: number): Buffer {
  return Buffer.from(`${id}:`.padEnd(bytes, 'abcdefghijklmnopqrstuvwxyz'))
}
