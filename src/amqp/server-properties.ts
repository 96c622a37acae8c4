// What the server says of itself in connection.start. Clients choose features by it.
import { RABBITMQ_VERSION } from '../lib/version.ts'
import type { FieldTable, FieldValue } from './wire/field-table.ts'

const CAPABILITIES = [
  'publisher_confirms',
  'exchange_exchange_bindings',
  'basic.nack',
  'consumer_cancel_notify',
  'connection.blocked',
  'consumer_priorities',
  'authentication_failure_close',
  'per_consumer_qos',
  'direct_reply_to',
]

/** The table of server properties. `product` and `version` are RabbitMQ's; our own stand beside them. */
export function serverProperties(version: string, clusterName: string): FieldTable {
  const capabilities = new Map<string, FieldValue>(CAPABILITIES.map((name) => [name, { type: 'bool', value: true }]))
  return new Map<string, FieldValue>([
    ['capabilities', { type: 'table', value: capabilities }],
    ['cluster_name', text(clusterName)],
    ['copyright', text('Copyright the Leveret authors')],
    ['information', text('Licensed under the Apache License, Version 2.0')],
    ['platform', text(`Node.js ${process.versions.node}`)],
    ['product', text('RabbitMQ')],
    ['version', text(RABBITMQ_VERSION)],
    ['broker', text('Leveret')],
    ['broker_version', text(version)],
  ])
}

function text(value: string): FieldValue {
  return { type: 'longstr', value }
}
