// Typed values of arguments and headers. The type names are RabbitMQ's, for they appear in its error texts.

/** A value with the type it was given with. Strings hold any bytes (see amqp/wire/text). */
export type FieldValue =
  | { readonly type: 'bool'; readonly value: boolean }
  | {
      readonly type: 'byte' | 'unsignedbyte' | 'short' | 'unsignedshort' | 'signedint' | 'unsignedint'
      readonly value: number
    }
  | { readonly type: 'long'; readonly value: bigint }
  | { readonly type: 'float' | 'double'; readonly value: number }
  | { readonly type: 'decimal'; readonly value: number; readonly scale: number }
  | { readonly type: 'longstr'; readonly value: string }
  | { readonly type: 'binary'; readonly value: Uint8Array }
  | { readonly type: 'timestamp'; readonly value: bigint }
  | { readonly type: 'array'; readonly value: readonly FieldValue[] }
  | { readonly type: 'table'; readonly value: FieldTable }
  | { readonly type: 'void'; readonly value: null }

/** The types of AMQP 0-9-1 field tables, as RabbitMQ has them. */
export type FieldType = FieldValue['type']

/** Arguments or headers by name, in the order in which they came. */
export type FieldTable = ReadonlyMap<string, FieldValue>

export const NO_ARGUMENTS: FieldTable = new Map()
