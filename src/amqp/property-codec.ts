// Reads and writes properties for the core, which does not know AMQP's encoding.
import { BrokerError } from '../core/errors.ts'
import { Message } from '../core/message.ts'
import type { MessageCodec, MessageProperties } from '../core/ports.ts'
import { parseExpiration } from './content-assembly.ts'
import { NO_ARGUMENTS, type FieldTable } from '../core/value.ts'
import { takeCopies } from './publish-properties.ts'
import { readTable } from './wire/field-table.ts'
import { decodeProperties, encodeProperties, PropertyScan, type BasicProperties } from './wire/properties.ts'
import { WireError } from './wire/wire-error.ts'

const scan = new PropertyScan()

/** The codec of messages that were published over AMQP 0-9-1. */
export const amqpPropertyCodec: MessageCodec = {
  /** @throws WireError 502 when the headers are malformed */
  headers(message: Message): FieldTable {
    scan.scan(message.properties, message.propertiesStart, message.propertiesEnd)
    return scan.headersStart < 0 ? NO_ARGUMENTS : readTable(message.properties, scan.headersStart, scan.headersEnd)
  },

  property(message: Message, name: 'correlation_id' | 'message_id' | 'timestamp'): string | null {
    const properties = decodeProperties(message.properties, message.propertiesStart, message.propertiesEnd)
    switch (name) {
      case 'correlation_id':
        return properties.correlationId ?? null
      case 'message_id':
        return properties.messageId ?? null
      case 'timestamp':
        return properties.timestamp === undefined ? null : String(properties.timestamp)
    }
  },

  rewritten(message: Message, headers: FieldTable, keepExpiration: boolean): Buffer {
    const own = decodeProperties(message.properties, message.propertiesStart, message.propertiesEnd)
    const { expiration, ...others } = own
    const properties: BasicProperties = keepExpiration || expiration === undefined ? own : others
    const bytes = encodeProperties({ ...properties, headers })
    // Headers that were as large as they may be stay as they were: a message must always be readable.
    return readable(bytes) ? bytes : encodeProperties(properties)
  },

  /** @throws WireError 502 when the properties are malformed */
  properties(message: Message): MessageProperties {
    return decodeProperties(message.properties, message.propertiesStart, message.propertiesEnd)
  },

  takeCopies,

  compose(exchange: string, routingKey: string, properties: MessageProperties, body: Buffer): Message {
    const bytes = encoded(properties)
    const facts = {
      persistent: properties.deliveryMode === 2,
      priority: properties.priority ?? -1,
      expirationMs: properties.expiration === undefined ? -1 : expirationMs(properties.expiration),
      headers: properties.headers !== undefined,
    }
    return new Message(exchange, routingKey, facts, bytes, 0, bytes.length, body, 0, body.length, true)
  },
}

function readable(properties: Buffer): boolean {
  try {
    scan.scan(properties, 0, properties.length)
    return true
  } catch (error) {
    if (error instanceof WireError) return false
    throw error
  }
}

/** Throws BrokerError for what cannot be encoded, or could not be read again. */
function encoded(properties: MessageProperties): Buffer {
  try {
    const bytes = encodeProperties(properties)
    if (properties.headers === undefined || readable(bytes)) return bytes
    throw new BrokerError('precondition-failed', 'the headers hold more than a table may')
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new BrokerError('precondition-failed', 'a property is out of range', { cause: error })
  }
}

function expirationMs(text: string): number {
  const value = parseExpiration(text)
  if (typeof value === 'number') return value
  throw new BrokerError('precondition-failed', value.message, { cause: value })
}
