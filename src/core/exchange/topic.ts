// The topic exchange: by the words of the routing key.
import type { Message } from '../message.ts'
import type { Binding } from './binding.ts'
import { Exchange } from './exchange.ts'
import type { Routes } from './routes.ts'
import { TopicTrie, type BindingSink } from './topic-trie.ts'

/** Among fewer bindings a match is found as quickly as it is remembered. */
const REMEMBERED_FROM = 1000

/** Keys whose matches are remembered at once, and how many matches one of them may have for that. */
const REMEMBERED_KEYS = 8192
const REMEMBERED_MATCHES = 16

/**
 * Routes to the bindings whose pattern matches the routing key (AMQP 0-9-1 §3.1.3.3). Where there are many, what a key
 * matched is remembered until a binding comes or goes: most keys come again, and a look into a large trie is a walk
 * through memory that no cache of the processor holds.
 */
export class TopicExchange extends Exchange {
  readonly #trie = new TopicTrie()
  readonly #remembered = new Map<string, readonly Binding[]>()
  readonly #matches = new Matches()

  override match(_message: Message, routingKey: string, routes: Routes): void {
    if (this.sourceBindings.size < REMEMBERED_FROM) {
      this.#trie.match(routingKey, routes)
      return
    }
    const bindings = this.#remembered.get(routingKey) ?? this.#find(routingKey)
    for (let i = 0; i < bindings.length; i++) routes.addBinding(bindings[i]!)
  }

  protected override attach(binding: Binding): void {
    this.#trie.add(binding)
    this.#forget()
  }

  protected override detach(binding: Binding): void {
    this.#trie.remove(binding)
    this.#forget()
  }

  #forget(): void {
    // Emptying an empty map costs as much as any.
    if (this.#remembered.size > 0) this.#remembered.clear()
  }

  #find(routingKey: string): readonly Binding[] {
    const bindings = this.#matches.of(this.#trie, routingKey)
    if (bindings.length > REMEMBERED_MATCHES) return bindings
    if (this.#remembered.size === REMEMBERED_KEYS) this.#remembered.clear()
    this.#remembered.set(routingKey, bindings)
    return bindings
  }
}

/** Gathers what matches a key. */
class Matches implements BindingSink {
  #bindings: Binding[] = []

  of(trie: TopicTrie, routingKey: string): readonly Binding[] {
    this.#bindings = []
    trie.match(routingKey, this)
    return this.#bindings
  }

  addBindings(first: Binding | null): void {
    for (let binding = first; binding !== null; binding = binding.next) this.#bindings.push(binding)
  }
}
