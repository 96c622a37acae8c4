// The fanout exchange: to everybody.
import type { Message } from '../message.ts'
import { link, unlink, type Binding, type BindingChain } from './binding.ts'
import { Exchange } from './exchange.ts'
import type { Routes } from './routes.ts'

/** Routes to all bindings, whatever their keys (AMQP 0-9-1 §3.1.3.2). */
export class FanoutExchange extends Exchange {
  readonly #bindings: BindingChain = { first: null }

  override match(_message: Message, _routingKey: string, routes: Routes): void {
    routes.addBindings(this.#bindings.first)
  }

  protected override attach(binding: Binding): void {
    link(this.#bindings, binding)
  }

  protected override detach(binding: Binding): void {
    unlink(this.#bindings, binding)
  }
}
