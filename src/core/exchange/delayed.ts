// Delays: before any exchange messages can wait for as long as they ask for.
import { integerOf } from '../arguments/same-value.ts'
import { BrokerError } from '../errors.ts'
import { Message } from '../message.ts'
import type { PropertyCodec, Publisher } from '../ports.ts'
import type { PolicyValues } from '../policy-values.ts'
import type { FieldTable, FieldValue } from '../value.ts'
import type { Delays } from './delays.ts'
import type { ExchangeProperties } from './exchange.ts'
import type { Detour, Routes } from './routes.ts'

/** The type that RabbitMQ's plugin adds. */
export const DELAYED_TYPE = 'x-delayed-message'

const DELAY_HEADER = 'x-delay'
/** Some thousands of years; RabbitMQ's plugin delays nothing above 2^32 - 1. */
const DELAY_MS_MAX = 2 ** 47
const SIGNED_INT_MAX = 2 ** 31 - 1

/**
 * The type by which an exchange of these properties routes: for a delayed one, the type that stands behind it.
 * @throws BrokerError precondition-failed when it names none
 */
export function routingType(properties: ExchangeProperties): string {
  if (properties.type !== DELAYED_TYPE) return properties.type
  const type = properties.arguments.get('x-delayed-type')
  if (type?.type === 'longstr') return type.value
  const sentence = "Invalid argument, 'x-delayed-type' must be an existing exchange type"
  throw new BrokerError('precondition-failed', sentence)
}

/** Whether an exchange is to delay messages: by its type, or by LavinMQ's argument or policy, for any type. */
export function delaysMessages(type: string, args: FieldTable, policy: PolicyValues): boolean {
  return type === DELAYED_TYPE || args.get('x-delayed-exchange')?.value === true || policy['delayed-message'] === true
}

/** Stands before the routing of an exchange: messages with a delay are kept, and go on when it is over. */
export class Delaying implements Detour {
  /** Whether messages are kept that come now. Those that are here go on in any case. */
  active = true
  readonly #codec: PropertyCodec
  /** What waits. */
  readonly delays: Delays
  /** The message that has waited and is being routed. */
  #released: Message | null = null

  constructor(delays: Delays, codec: PropertyCodec) {
    this.delays = delays
    this.#codec = codec
  }

  /** The id of the log in the store. */
  get id(): number {
    return this.delays.id
  }

  /** The messages that wait. */
  get count(): number {
    return this.delays.count
  }

  /** Whether a message is to wait, rather than to be routed now. */
  holds(message: Message, routes: Routes): boolean {
    // That is its own affair, not its key's.
    routes.repeatable = false
    if (!this.active || !message.headers || message === this.#released) return false
    return delayOf(this.#codec.headers(message)) > 0
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
    kept.blindCopies = message.blindCopies
    kept.own()
    this.delays.add(kept, copies, delayMs, publisher, sequence)
  }

  /** Routes a message that has waited, with `routing`. */
  release(message: Message, routing: () => void): void {
    this.#released = message
    try {
      routing()
    } finally {
      this.#released = null
    }
  }

  /** Forgets them all. */
  drop(): void {
    this.delays.drop()
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
