// The topic exchange: by the words of the routing key.
import type { Message } from '../message.ts'
import type { Binding } from './binding.ts'
import { Exchange } from './exchange.ts'
import type { Routes } from './routes.ts'
import { TopicTrie } from './topic-trie.ts'

/** Routes to the bindings whose pattern matches the routing key (AMQP 0-9-1 §3.1.3.3). */
export class TopicExchange extends Exchange {
  readonly #trie = new TopicTrie()

  override match(_message: Message, routingKey: string, routes: Routes): void {
    this.#trie.match(routingKey, routes)
  }

  protected override attach(binding: Binding): void {
    this.#trie.add(binding)
  }

  protected override detach(binding: Binding): void {
    this.#trie.remove(binding)
  }
}
