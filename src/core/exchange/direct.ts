// The direct exchange: by the whole routing key.
import type { Message } from '../message.ts'
import { link, unlink, type Binding, type BindingChain } from './binding.ts'
import { Exchange } from './exchange.ts'
import type { Routes } from './routes.ts'

/** Routes to the bindings whose key is the message's routing key (AMQP 0-9-1 §3.1.3.1). */
export class DirectExchange extends Exchange {
  readonly #byKey = new Map<string, BindingChain>()

  override match(_message: Message, routingKey: string, routes: Routes): void {
    const chain = this.#byKey.get(routingKey)
    if (chain !== undefined) routes.addBindings(chain.first)
  }

  protected override attach(binding: Binding): void {
    const chain = this.#byKey.get(binding.routingKey)
    if (chain !== undefined) link(chain, binding)
    else this.#byKey.set(binding.routingKey, { first: binding })
  }

  protected override detach(binding: Binding): void {
    const chain = this.#byKey.get(binding.routingKey)!
    unlink(chain, binding)
    if (chain.first === null) this.#byKey.delete(binding.routingKey)
  }
}
