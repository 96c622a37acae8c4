// The modulus-hash exchange: to one destination, by the hash of the routing key.
import type { Message } from '../message.ts'
import type { Queue } from '../queue/queue.ts'
import type { Binding } from './binding.ts'
import { Exchange } from './exchange.ts'
import { hashText } from './hash.ts'
import type { Routes } from './routes.ts'

/** Routes to one of the destinations in the order of their names. RabbitMQ: binding keys mean nothing. */
export class ModulusHashExchange extends Exchange {
  readonly #bindings = new Set<Binding>()
  /** One binding of each destination; null until it is needed again. */
  #ordered: readonly Binding[] | null = null

  override match(_message: Message, routingKey: string, routes: Routes): void {
    const ordered = (this.#ordered ??= this.#order())
    if (ordered.length > 0) routes.addBinding(ordered[hashText(routingKey) % ordered.length]!)
  }

  protected override attach(binding: Binding): void {
    this.#bindings.add(binding)
    this.#ordered = null
  }

  protected override detach(binding: Binding): void {
    this.#bindings.delete(binding)
    this.#ordered = null
  }

  #order(): readonly Binding[] {
    const destinations = new Map<Queue | Exchange, Binding>()
    for (const binding of this.#bindings) destinations.set(binding.destination, binding)
    return [...destinations.values()].toSorted((a, b) => (orderName(a) < orderName(b) ? -1 : 1))
  }
}

function orderName(binding: Binding): string {
  return `${binding.destinationKind} ${binding.destination.name}`
}
