// The recent-history exchange: to everybody, and what came last also to those who come later.
import { renderTerm } from '../arguments/render.ts'
import { integerOf } from '../arguments/same-value.ts'
import { BrokerError } from '../errors.ts'
import { NO_KEYS, type Message } from '../message.ts'
import type { DelayedMessage, DelayLog, HeaderReader } from '../ports.ts'
import type { FieldTable } from '../value.ts'
import { link, unlink, type Binding, type BindingChain } from './binding.ts'
import { Exchange, type ExchangeProperties } from './exchange.ts'
import type { Routes } from './routes.ts'

const LENGTH_DEFAULT = 20
const NO_STORE = 'x-recent-history-no-store'

/** A message that was published here, and its record, if it survives a restart. */
interface Kept {
  readonly message: Message
  readonly record: DelayedMessage | null
}

/** What is kept is in its log in order of arrival: nothing there is ever due. */
const NEVER_DUE = 0

/**
 * Routes as a fanout exchange does, and keeps the last messages, which a new binding gets at once (RabbitMQ:
 * x-recent-history). Persistent ones survive a restart if the exchange does: each is in one batch with what it pushes out.
 */
export class RecentHistoryExchange extends Exchange {
  readonly #codec: HeaderReader
  readonly #length: number
  readonly #bindings: BindingChain = { first: null }
  #history: Kept[] = []
  #log: DelayLog | null = null

  /** @throws BrokerError precondition-failed when the length is no positive integer */
  constructor(name: string, properties: ExchangeProperties, codec: HeaderReader) {
    super(name, properties)
    this.#codec = codec
    this.#length = historyLength(properties.arguments)
  }

  override get history(): readonly Message[] {
    return this.#history.map(({ message }) => message)
  }

  /** The log that persistent messages are kept in; null in an exchange that does not survive a restart. */
  get log(): DelayLog | null {
    return this.#log
  }

  /** Keeps persistent messages in this log, from now on. */
  keepIn(log: DelayLog): void {
    this.#log = log
  }

  /** Takes over what its log held when it was opened. */
  async recall(): Promise<void> {
    const records = (await this.#log?.read(NEVER_DUE, 0, this.#length)) ?? []
    this.#history = [...records.map((record) => ({ message: record.message, record })), ...this.#history]
    this.#trim()
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
    if (history.at(-1)?.message === message) return
    if (message.headers) {
      const noStore = this.#codec.headers(message).get(NO_STORE)
      if (noStore?.type === 'bool' && noStore.value) return
    }
    message.own()
    const log = message.persistent ? this.#log : null
    history.push({ message, record: log === null ? null : log.append(message, NO_KEYS, NEVER_DUE, null, 0) })
    this.#trim()
  }

  #trim(): void {
    while (this.#history.length > this.#length) {
      const { record } = this.#history.shift()!
      if (record !== null) this.#log!.cancel(record)
    }
  }
}

function historyLength(args: FieldTable): number {
  const value = args.get('x-recent-history-length')
  if (value === undefined) return LENGTH_DEFAULT
  const length = Number(integerOf(value) ?? 0)
  if (length > 0) return length
  const sentence = `Invalid argument ${renderTerm(value)}, 'x-recent-history-length' must be a positive integer`
  throw new BrokerError('precondition-failed', sentence)
}
