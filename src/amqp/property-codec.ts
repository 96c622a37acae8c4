// Reads and rewrites properties for the core, which does not know AMQP's encoding.
import type { Message } from '../core/message.ts'
import type { PropertyCodec } from '../core/ports.ts'
import { NO_ARGUMENTS, type FieldTable } from '../core/value.ts'
import { readTable } from './wire/field-table.ts'
import { decodeProperties, encodeProperties, PropertyScan, type BasicProperties } from './wire/properties.ts'
import { WireError } from './wire/wire-error.ts'

const scan = new PropertyScan()

/** The codec of messages that were published over AMQP 0-9-1. */
export const amqpPropertyCodec: PropertyCodec = {
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
