// The codec of amqplib, an unmodified client, to hold ours against: it was generated from somebody else's definition.
import { createRequire } from 'node:module'

/** Fields by amqplib's names; octets, numbers, strings, buffers and plain objects for tables. */
export type AmqplibFields = Readonly<Record<string, unknown>>

interface Definitions {
  readonly decode: (id: number, args: Buffer) => AmqplibFields
  readonly encodeMethod: (id: number, channel: number, fields: AmqplibFields) => Buffer
  readonly encodeProperties: (id: number, channel: number, size: number, fields: AmqplibFields) => Buffer
  readonly info: (id: number) => MethodInfo
}

/** A method as amqplib describes it. */
export interface MethodInfo {
  readonly id: number
  readonly classId: number
  readonly methodId: number
  readonly name: string
  readonly args: readonly { readonly name: string; readonly type: string; readonly default?: unknown }[]
}

const require = createRequire(import.meta.url)

export const amqplib = require('../../../node_modules/amqplib/lib/defs.js') as Definitions
