// The recent-history exchange: to everybody, and what came last also to those who come later.
import { integerOf } from '../arguments/same-value.ts'
import { BrokerError } from '../errors.ts'
import type { Message } from '../message.ts'
import type { HeaderReader } from '../ports.ts'
import type { FieldTable } from '../value.ts'
import { link, unlink, type Binding, type BindingChain } from './binding.ts'
import { Exchange, type ExchangeProperties } from './exchange.ts'
import type { Routes } from './routes.ts'

const LENGTH_DEFAULT = 20
const NO_STORE = 'x-recent-history-no-store'

/**
 * Routes as a fanout exchange does, and keeps the last messages, which a new binding gets at once (RabbitMQ:
 * x-recent-history). They are kept in memory, and are forgotten at a restart.
 */
export class RecentHistoryExchange extends Exchange {
  readonly #codec: HeaderReader
  readonly #length: number
  readonly #bindings: BindingChain = { first: null }
  readonly #history: Message[] = []

  /** @throws BrokerError precondition-failed when the length is no positive integer */
  constructor(name: string, properties: ExchangeProperties, codec: HeaderReader) {
    super(name, properties)
    this.#codec = codec
    this.#length = historyLength(properties.arguments)
  }

  override get history(): readonly Message[] {
    return this.#history
  }

  override match(message: Message, _routingKey: string, routes: Routes): void {
    routes.repeatable = false
    this.#keep(message)
    routes.addBindings(this.#bindings.first)
  }

  protected override attach(binding: Binding): void {
    link(this.#bindings, binding)
  }

  protected override detach(binding: Binding): void {
    unlink(this.#bindings, binding)
  }

  #keep(message: Message): void {
    const history = this.#history
    // A message with several routing keys comes several times.
    if (history.at(-1) === message) return
    if (message.headers) {
      const noStore = this.#codec.headers(message).get(NO_STORE)
      if (noStore?.type === 'bool' && noStore.value) return
    }
    message.own()
    history.push(message)
    if (history.length > this.#length) history.shift()
  }
}

function historyLength(args: FieldTable): number {
  const value = args.get('x-recent-history-length')
  if (value === undefined) return LENGTH_DEFAULT
  const length = Number(integerOf(value) ?? 0)
  if (length > 0) return length
  const sentence = "Invalid argument, 'x-recent-history-length' must be a positive integer"
  throw new BrokerError('precondition-failed', sentence)
}
