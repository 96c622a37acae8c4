// How often a message was tried: the headers that tell a consumer of it.
import { Message } from '../message.ts'
import type { Attempts, PropertyCodec } from '../ports.ts'
import type { FieldValue } from '../value.ts'

/**
 * The message as it is delivered again: with x-delivery-count, the deliveries that failed, if any, and x-acquired-count,
 * how often it was handed out before (RabbitMQ's quorum queues). What the queue keeps, and may dead-letter, stays as it
 * was published.
 */
export function presentedMessage(message: Message, attempts: Attempts, codec: PropertyCodec): Message {
  message.own()
  const headers = new Map<string, FieldValue>(message.headers ? codec.headers(message) : [])
  if (attempts.deliveryCount > 0) headers.set('x-delivery-count', long(attempts.deliveryCount))
  headers.set('x-acquired-count', long(attempts.acquiredCount))
  const properties = codec.rewritten(message, headers, true)
  const { exchange, routingKey, persistent, priority, expirationMs, body, bodyStart, bodyEnd } = message
  const facts = { persistent, priority, expirationMs, headers: true }
  return new Message(exchange, routingKey, facts, properties, 0, properties.length, body, bodyStart, bodyEnd, true)
}

function long(value: number): FieldValue {
  return { type: 'long', value: BigInt(value) }
}
