// The firehose: what is published, delivered and settled in a vhost, told to the exchange amq.rabbitmq.trace.
import { BrokerError } from './errors.ts'
import type { Message } from './message.ts'
import type { MessageCodec, MessageProperties } from './ports.ts'
import { NO_ARGUMENTS, type FieldTable, type FieldValue } from './value.ts'

export const TRACE_EXCHANGE = 'amq.rabbitmq.trace'

/** Where something is done that is traced. */
export interface TraceOrigin {
  /** The connection's name. */
  readonly name: string
  /** The channel that is at work. */
  readonly channelNumber: number
}

/** A connection, as the trace knows it. Front ends implement it. */
export interface TracedClient extends TraceOrigin {
  /** The vhost is traced from here on, or not any more. */
  tracingChanged(on: boolean): void
}

/** How a delivery ended. RabbitMQ does not tell; here each is a routing key with the queue's name behind it. */
export type Settlement = 'ack' | 'reject' | 'requeue'

/** Where the trace goes. */
interface FirehoseContext {
  readonly vhost: string
  readonly node: string
  readonly codec: MessageCodec
  /** Whether anybody is bound. */
  heard(): boolean
  /** Publishes a message of the broker's own, when what is being done now is done. */
  announce(message: Message): void
}

/** Names of queues, and routing keys, that are told of one message: tables have their limits. */
const TEXTS_MAX = 10_000

/** Names of properties as RabbitMQ gives them, and as what they are told. */
const PROPERTIES: readonly (readonly [property: keyof MessageProperties, name: string])[] = [
  ['contentType', 'content_type'],
  ['contentEncoding', 'content_encoding'],
  ['headers', 'headers'],
  ['deliveryMode', 'delivery_mode'],
  ['priority', 'priority'],
  ['correlationId', 'correlation_id'],
  ['replyTo', 'reply_to'],
  ['expiration', 'expiration'],
  ['messageId', 'message_id'],
  ['timestamp', 'timestamp'],
  ['type', 'type'],
  ['userId', 'user_id'],
  ['appId', 'app_id'],
  ['clusterId', 'cluster_id'],
]

/**
 * The trace of one vhost, while it is switched on. Keys and headers are RabbitMQ's: `publish.EXCHANGE`, `deliver.QUEUE`;
 * and beyond it `ack.QUEUE`, `reject.QUEUE`, `requeue.QUEUE` without the body, and `dead_letter.QUEUE` with it.
 */
export class Firehose {
  readonly #context: FirehoseContext

  constructor(context: FirehoseContext) {
    this.#context = context
  }

  /** A message was routed to these queues. */
  published(
    message: Message,
    copies: readonly string[],
    queues: readonly string[],
    origin: TraceOrigin | null,
    user: string,
  ): void {
    if (!this.#traces(message)) return
    const headers = this.#facts(message, [message.routingKey, ...copies])
    this.#by(headers, origin, user)
    headers.set('routed_queues', texts(queues))
    this.#tell(`publish.${message.exchange}`, headers, message)
  }

  /** A message was handed out. */
  delivered(message: Message, queue: string, redelivered: boolean, origin: TraceOrigin, user: string): void {
    if (!this.#traces(message)) return
    const headers = this.#facts(message)
    headers.set('redelivered', { type: 'signedint', value: redelivered ? 1 : 0 })
    this.#by(headers, origin, user)
    this.#tell(`deliver.${queue}`, headers, message)
  }

  /** A delivery was dealt with. */
  settled(how: Settlement, message: Message, queue: string, origin: TraceOrigin, user: string): void {
    if (!this.#traces(message)) return
    const headers = this.#facts(message)
    this.#by(headers, origin, user)
    this.#tell(`${how}.${queue}`, headers, null)
  }

  /** A queue gave a message up. */
  deadLettered(message: Message, queue: string, reason: string, exchange: string): void {
    if (!this.#traces(message)) return
    const headers = this.#facts(message)
    headers.set('vhost', text(this.#context.vhost))
    headers.set('reason', text(reason))
    headers.set('dead_letter_exchange', text(exchange))
    this.#tell(`dead_letter.${queue}`, headers, message)
  }

  /** RabbitMQ: the trace itself is not traced. */
  #traces(message: Message): boolean {
    return message.exchange !== TRACE_EXCHANGE && this.#context.heard()
  }

  #facts(message: Message, keys: readonly string[] | null = null): Map<string, FieldValue> {
    const properties = this.#context.codec.properties(message)
    return new Map<string, FieldValue>([
      ['exchange_name', text(message.exchange)],
      ['routing_keys', texts(keys ?? [message.routingKey, ...carbonCopies(properties.headers)])],
      ['properties', { type: 'table', value: propertyTable(properties) }],
      ['node', text(this.#context.node)],
    ])
  }

  #by(headers: Map<string, FieldValue>, origin: TraceOrigin | null, user: string): void {
    headers.set('vhost', text(this.#context.vhost))
    headers.set('connection', text(origin?.name ?? ''))
    headers.set('channel', { type: 'signedint', value: origin?.channelNumber ?? 0 })
    headers.set('user', text(user))
  }

  #tell(key: string, headers: Map<string, FieldValue>, content: Message | null): void {
    const body = content === null ? NO_BODY : Buffer.from(content.body.subarray(content.bodyStart, content.bodyEnd))
    this.#context.announce(this.#composed(key, headers, body))
  }

  /** Headers that are as large, or as deep, as they may be are more than that among these: then they are left out. */
  #composed(key: string, headers: Map<string, FieldValue>, body: Buffer): Message {
    const { codec } = this.#context
    try {
      return codec.compose(TRACE_EXCHANGE, key, { headers }, body)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      headers.set('properties', { type: 'table', value: NO_ARGUMENTS })
      return codec.compose(TRACE_EXCHANGE, key, { headers }, body)
    }
  }
}

const NO_BODY = Buffer.alloc(0)

function propertyTable(properties: MessageProperties): FieldTable {
  const table = new Map<string, FieldValue>()
  for (const [property, name] of PROPERTIES) {
    const value = properties[property]
    if (value === undefined) continue
    if (typeof value === 'string') table.set(name, text(value))
    else if (typeof value === 'number') table.set(name, { type: 'signedint', value })
    else if (typeof value === 'bigint') table.set(name, { type: 'long', value: BigInt.asIntN(64, value) })
    else table.set(name, { type: 'table', value })
  }
  return table
}

function carbonCopies(headers: FieldTable | undefined): string[] {
  const copies = headers?.get('CC')
  if (copies?.type !== 'array') return []
  return copies.value.flatMap((key) => (key.type === 'longstr' ? [key.value] : []))
}

function text(value: string): FieldValue {
  return { type: 'longstr', value }
}

function texts(values: readonly string[]): FieldValue {
  return { type: 'array', value: values.slice(0, TEXTS_MAX).map(text) }
}
