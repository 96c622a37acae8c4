// The consistent-hash exchange: to one destination, the same for the same key, in shares by weight.
import { renderTerm, renderValue } from '../arguments/render.ts'
import { BrokerError } from '../errors.ts'
import type { Message } from '../message.ts'
import type { HeaderReader } from '../ports.ts'
import type { Queue } from '../queue/queue.ts'
import type { FieldTable } from '../value.ts'
import type { Binding } from './binding.ts'
import { Exchange, type ExchangeProperties } from './exchange.ts'
import { hashText } from './hash.ts'
import type { Routes } from './routes.ts'

const WEIGHT_MAX = 10_000
const HASH_VALUES = 2 ** 32

/** The properties that may be hashed, by RabbitMQ's names. */
const HASH_PROPERTIES = ['correlation_id', 'message_id', 'timestamp'] as const
/** One of these properties. */
export type HashProperty = (typeof HASH_PROPERTIES)[number]

/** One destination. RabbitMQ: a second binding of it changes nothing, as long as the first is there. */
interface Share {
  readonly bindings: Binding[]
  readonly weight: number
  readonly seed: number
}

/**
 * Routes by weighted rendezvous: each destination draws a number from the key, and the best wins. What is added or
 * removed moves the keys that it gets or had, and no others. RabbitMQ: the binding key is the weight, and what is hashed
 * is the routing key, or the header or property that an argument names.
 */
export class ConsistentHashExchange extends Exchange {
  readonly #codec: HeaderReader
  readonly #header: string | null
  readonly #property: HashProperty | null
  readonly #shares = new Map<Queue | Exchange, Share>()

  /** @throws BrokerError precondition-failed when the arguments name what cannot be hashed */
  constructor(name: string, properties: ExchangeProperties, codec: HeaderReader) {
    super(name, properties)
    this.#codec = codec
    this.#header = textArgument(properties.arguments, 'hash-header')
    this.#property = hashProperty(properties.arguments, this.#header)
  }

  override match(message: Message, routingKey: string, routes: Routes): void {
    const key = this.#key(message, routingKey, routes)
    let best: Share | null = null
    let bestDraw = Infinity
    for (const share of this.#shares.values()) {
      const chance = (hashText(key, share.seed) + 1) / HASH_VALUES
      const draw = -Math.log(chance) / share.weight
      if (draw < bestDraw || best === null) {
        best = share
        bestDraw = draw
      }
    }
    if (best !== null) routes.addBinding(best.bindings[0]!)
  }

  protected override attach(binding: Binding): void {
    const weight = weightOf(binding.routingKey)
    const share = this.#shares.get(binding.destination)
    if (share !== undefined) share.bindings.push(binding)
    else this.#shares.set(binding.destination, { bindings: [binding], weight, seed: seedOf(binding) })
  }

  protected override detach(binding: Binding): void {
    const bindings = this.#shares.get(binding.destination)!.bindings.filter((other) => other !== binding)
    this.#shares.delete(binding.destination)
    const [next] = bindings
    if (next === undefined) return
    this.#shares.set(binding.destination, { bindings, weight: weightOf(next.routingKey), seed: seedOf(next) })
  }

  #key(message: Message, routingKey: string, routes: Routes): string {
    if (this.#header === null && this.#property === null) return routingKey
    routes.repeatable = false
    if (this.#property !== null) return this.#codec.property(message, this.#property) ?? ''
    const value = message.headers ? this.#codec.headers(message).get(this.#header!) : undefined
    return value === undefined ? '' : renderValue(value)
  }
}

function seedOf(binding: Binding): number {
  return hashText(`${binding.destinationKind}:${binding.destination.name}`)
}

function weightOf(key: string): number {
  if (!/^[+-]?\d+$/.test(key)) {
    const term = renderTerm({ type: 'longstr', value: key })
    throw new BrokerError('precondition-failed', `The binding key must be an integer: ${term}`)
  }
  const weight = Number(key)
  if (weight < 1) throw new BrokerError('precondition-failed', 'The binding key must be greater than 0')
  if (weight > WEIGHT_MAX) {
    throw new BrokerError('precondition-failed', `The binding key must not exceed ${WEIGHT_MAX}`)
  }
  return weight
}

function hashProperty(args: FieldTable, header: string | null): HashProperty | null {
  const property = textArgument(args, 'hash-property')
  if (property === null) return null
  if (header !== null) {
    throw new BrokerError('precondition-failed', 'hash-header and hash-property are mutually exclusive')
  }
  const known = HASH_PROPERTIES.find((name) => name === property)
  if (known === undefined) throw new BrokerError('precondition-failed', `Unsupported property: ${property}`)
  return known
}

function textArgument(args: FieldTable, key: string): string | null {
  const value = args.get(key)
  if (value === undefined) return null
  // RabbitMQ fails here, with 541.
  if (value.type !== 'longstr')
    throw new BrokerError('precondition-failed', `invalid type '${value.type}' for arg '${key}'`)
  return value.value
}
