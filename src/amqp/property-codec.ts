// Reads headers out of properties for the core, which does not know AMQP's encoding.
import type { Message } from '../core/message.ts'
import type { PropertyCodec } from '../core/ports.ts'
import { NO_ARGUMENTS, type FieldTable } from '../core/value.ts'
import { readTable } from './wire/field-table.ts'
import { PropertyScan } from './wire/properties.ts'

const scan = new PropertyScan()

/** The codec of messages that were published over AMQP 0-9-1. */
export const amqpPropertyCodec: PropertyCodec = {
  /** @throws WireError 502 when the headers are malformed */
  headers(message: Message): FieldTable {
    scan.scan(message.properties, message.propertiesStart, message.propertiesEnd)
    return scan.headersStart < 0 ? NO_ARGUMENTS : readTable(message.properties, scan.headersStart, scan.headersEnd)
  },
}
