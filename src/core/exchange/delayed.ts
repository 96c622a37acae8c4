// The delayed exchange: any other, before which messages wait for as long as they ask for.
import { integerOf } from '../arguments/same-value.ts'
import { BrokerError } from '../errors.ts'
import { Message } from '../message.ts'
import type { DelayedMessage, PropertyCodec, Publisher } from '../ports.ts'
import type { FieldTable, FieldValue } from '../value.ts'
import type { Binding } from './binding.ts'
import type { Delays } from './delays.ts'
import { Exchange, type ExchangeProperties } from './exchange.ts'
import type { Detour, Routes } from './routes.ts'

/** The type that RabbitMQ's plugin adds. */
export const DELAYED_TYPE = 'x-delayed-message'

const DELAY_HEADER = 'x-delay'
/** Some thousands of years; RabbitMQ's plugin delays nothing above 2^32 - 1. */
const DELAY_MS_MAX = 2 ** 47
const SIGNED_INT_MAX = 2 ** 31 - 1

/** The type of the exchange behind, if an exchange of these properties is to delay messages; otherwise null. */
export function delayedType(properties: ExchangeProperties): string | null {
  if (properties.type === DELAYED_TYPE) {
    const type = properties.arguments.get('x-delayed-type')
    if (type?.type === 'longstr') return type.value
    const sentence = "Invalid argument, 'x-delayed-type' must be an existing exchange type"
    throw new BrokerError('precondition-failed', sentence)
  }
  // LavinMQ: an argument makes any exchange a delayed one.
  const delayed = properties.arguments.get('x-delayed-exchange')
  return delayed?.type === 'bool' && delayed.value ? properties.type : null
}

/**
 * Routes as the exchange behind does, but messages with a delay only when it is over. `delays` is set by the owner
 * before the first message.
 */
export class DelayedExchange extends Exchange implements Detour {
  delays: Delays | null = null
  readonly #behind: Exchange
  readonly #codec: PropertyCodec
  /** The message that has waited and is being routed. */
  #released: Message | null = null

  constructor(name: string, properties: ExchangeProperties, behind: Exchange, codec: PropertyCodec) {
    super(name, properties)
    this.#behind = behind
    this.#codec = codec
  }

  /** The messages that wait. */
  get delayedCount(): number {
    return this.delays?.count ?? 0
  }

  override match(message: Message, routingKey: string, routes: Routes): void {
    // Whether a message waits is its own affair, not its key's.
    routes.repeatable = false
    if (message.headers && message !== this.#released && delayOf(this.#codec.headers(message)) > 0) {
      routes.addDetour(this)
    } else this.#behind.match(message, routingKey, routes)
  }

  /** Keeps a message that has to wait. RabbitMQ: when it goes on, its delay is negative. */
  take(message: Message, copies: readonly string[], publisher: Publisher | null, sequence: number): void {
    const headers = this.#codec.headers(message)
    const delayMs = delayOf(headers)
    const waited = new Map(headers).set(DELAY_HEADER, negated(delayMs))
    const properties = this.#codec.rewritten(message, waited, true)
    const { exchange, routingKey, body, bodyStart, bodyEnd } = message
    const kept = new Message(
      exchange,
      routingKey,
      message,
      properties,
      0,
      properties.length,
      body,
      bodyStart,
      bodyEnd,
      message.owned,
    )
    kept.deaths = message.deaths
    kept.own()
    this.delays!.add(kept, copies, delayMs, publisher, sequence)
  }

  /** Routes a message that has waited, with `routing`, which calls `match`. */
  release(delayed: DelayedMessage, routing: () => void): void {
    this.#released = delayed.message
    if (this.deduplication !== null) this.deduplication.exempt = delayed.message
    try {
      routing()
    } finally {
      this.#released = null
      if (this.deduplication !== null) this.deduplication.exempt = null
    }
  }

  protected override attach(binding: Binding): void {
    this.#behind.bind(binding)
  }

  protected override detach(binding: Binding): void {
    this.#behind.unbind(binding.identity)
  }
}

/** The delay that headers ask for, in milliseconds; 0 when they ask for none, or for one that cannot be. */
function delayOf(headers: FieldTable): number {
  const value = headers.get(DELAY_HEADER)
  const delayMs = value === undefined ? 0 : numberOf(value)
  return delayMs > 0 && delayMs <= DELAY_MS_MAX ? Math.trunc(delayMs) : 0
}

function numberOf(value: FieldValue): number {
  if (value.type === 'longstr') return /^\d+$/.test(value.value) ? Number(value.value) : 0
  if (value.type === 'float' || value.type === 'double') return value.value
  return Number(integerOf(value) ?? 0)
}

function negated(delayMs: number): FieldValue {
  if (delayMs <= SIGNED_INT_MAX) return { type: 'signedint', value: -delayMs }
  return { type: 'long', value: BigInt(-delayMs) }
}
