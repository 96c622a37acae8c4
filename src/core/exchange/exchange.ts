// What all exchange types have in common, and the way of a message through them.
import type { ExchangeDeduplication } from '../deduplication/exchange-deduplication.ts'
import { NO_KEYS, type Message } from '../message.ts'
import type { Governance } from '../policies.ts'
import type { FieldTable } from '../value.ts'
import type { Binding } from './binding.ts'
import type { Delaying } from './delayed.ts'
import type { Routes } from './routes.ts'

/** How an exchange was declared. */
export interface ExchangeProperties {
  readonly type: string
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly internal: boolean
  readonly arguments: FieldTable
}

/**
 * An exchange: the bindings that it is the source of, and how they choose. Each type is a subclass that arranges the
 * bindings for its way of matching; this class knows which there are.
 */
export abstract class Exchange {
  readonly name: string
  readonly type: string
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly internal: boolean
  readonly arguments: FieldTable
  /** Kept by the vhost: who declared it; null where nobody did, or that is not known. */
  user: string | null = null
  /** The bindings that this exchange routes by, by identity. */
  readonly sourceBindings = new Map<string, Binding>()
  /** The bindings that lead here from other exchanges. */
  readonly destinationBindings = new Set<Binding>()
  /** The exchange that takes what matches no binding here. */
  alternate: string | null
  /** Kept by the vhost: the policies that apply; null without any. */
  governance: Governance | null = null
  /** Keeps duplicates back, if the exchange is to. */
  deduplication: ExchangeDeduplication | null = null
  /** Keeps messages for later, if the exchange is to, or was. */
  delaying: Delaying | null = null
  /** Messages that were published to this exchange, and those (one for each queue) that left it for a queue. */
  publishedIn = 0
  publishedOut = 0
  /** Kept by Routes: the last routing that reached this exchange. */
  routeMark = 0

  constructor(name: string, properties: ExchangeProperties) {
    this.name = name
    this.type = properties.type
    this.durable = properties.durable
    this.autoDelete = properties.autoDelete
    this.internal = properties.internal
    this.arguments = properties.arguments
    const alternate = properties.arguments.get('alternate-exchange')
    this.alternate = alternate?.type === 'longstr' ? alternate.value : null
  }

  /**
   * Adds a binding whose source this is, also to the books of a destination exchange (a queue's are its owner's).
   * Returns false, and changes nothing, if the same binding exists.
   * @throws BrokerError precondition-failed when the type cannot route by it; nothing has changed then.
   */
  bind(binding: Binding): boolean {
    if (this.sourceBindings.has(binding.identity)) return false
    this.attach(binding)
    this.sourceBindings.set(binding.identity, binding)
    binding.exchange?.destinationBindings.add(binding)
    return true
  }

  /**
   * Changes nothing.
   * @throws BrokerError what `bind` would throw
   */
  assertBindable(binding: Binding): void {
    if (this.sourceBindings.has(binding.identity)) return
    this.attach(binding)
    this.detach(binding)
  }

  /** Removes the binding of this identity. Returns it, or undefined if there is none. */
  unbind(identity: string): Binding | undefined {
    const binding = this.sourceBindings.get(identity)
    if (binding === undefined) return undefined
    this.detach(binding)
    this.sourceBindings.delete(identity)
    binding.exchange?.destinationBindings.delete(binding)
    return binding
  }

  /** Messages that were kept back as duplicates. */
  get deduplicated(): number {
    return this.deduplication?.count ?? 0
  }

  /** Messages that wait for their time. */
  get delayedCount(): number {
    return this.delaying?.count ?? 0
  }

  /** Messages that a new binding gets at once, in their order. */
  get history(): readonly Message[] {
    return NO_MESSAGES
  }

  /** Adds to `routes` where a message with this routing key goes from here, one step far. */
  abstract match(message: Message, routingKey: string, routes: Routes): void

  /** Arranges for a new binding to be matched. Throws before it changes anything, or not at all. */
  protected abstract attach(binding: Binding): void

  /** Undoes `attach`. */
  protected abstract detach(binding: Binding): void
}

const NO_MESSAGES: readonly Message[] = []

/**
 * Routes a message through an exchange and all that it leads to: adds to `routes`, which the caller has begun. Each
 * exchange is passed once, so cycles end. An exchange that matched nothing at all, neither queue nor exchange, hands
 * over to its alternate; so does one of RabbitMQ's deduplicating type with a duplicate. An alternate that `lookup` does not know is ignored. `copies` are further routing keys, by which the
 * message goes too (RabbitMQ: sender-selected distribution).
 */
export function route(
  exchange: Exchange,
  message: Message,
  routes: Routes,
  lookup: (name: string) => Exchange | undefined,
  copies: readonly string[] = NO_KEYS,
): void {
  let next = routes.exchangeCount
  routes.addExchange(exchange)
  while (next < routes.exchangeCount) {
    const current = routes.exchanges[next++]!
    const { deduplication, delaying } = current
    routes.matched = false
    if (deduplication === null || deduplication.admits(message, routes)) {
      if (delaying !== null && delaying.holds(message, routes)) routes.addDetour(delaying)
      else {
        current.match(message, message.routingKey, routes)
        for (let i = 0; i < copies.length; i++) current.match(message, copies[i]!, routes)
      }
      if (deduplication !== null && routes.matched) deduplication.admitted(message, routes)
    } else deduplication.keptBack(current.type, routes)
    if (routes.matched || current.alternate === null) continue
    const alternate = lookup(current.alternate)
    if (alternate !== undefined) routes.addExchange(alternate)
  }
}
