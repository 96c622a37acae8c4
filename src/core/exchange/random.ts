// The random exchange: to one destination, whichever.
import type { Message } from '../message.ts'
import type { Binding } from './binding.ts'
import { Exchange } from './exchange.ts'
import type { Routes } from './routes.ts'

/** Routes to one binding, each time another as chance has it. Keys mean nothing (RabbitMQ: x-random). */
export class RandomExchange extends Exchange {
  /** In no order: the last takes the place of one that goes. */
  readonly #bindings: Binding[] = []
  readonly #places = new Map<Binding, number>()

  override match(_message: Message, _routingKey: string, routes: Routes): void {
    routes.repeatable = false
    const count = this.#bindings.length
    if (count > 0) routes.addBinding(this.#bindings[Math.floor(Math.random() * count)]!)
  }

  protected override attach(binding: Binding): void {
    this.#places.set(binding, this.#bindings.push(binding) - 1)
  }

  protected override detach(binding: Binding): void {
    const place = this.#places.get(binding)!
    this.#places.delete(binding)
    const last = this.#bindings.pop()!
    if (last === binding) return
    this.#bindings[place] = last
    this.#places.set(last, place)
  }
}
