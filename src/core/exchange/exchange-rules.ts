// What arguments and policies add to an exchange: an alternate, delays, and the keeping back of duplicates.
import type { Clock } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import type { MessageCounts } from '../counts.ts'
import { ExchangeDeduplication } from '../deduplication/exchange-deduplication.ts'
import { exchangeDeduplication } from '../deduplication/rules.ts'
import type { ExchangeDefinition } from '../definitions.ts'
import type { Message } from '../message.ts'
import { governanceOf, type Effective } from '../policies.ts'
import type { DelayedMessage, DelayLog, MessageCodec, Store } from '../ports.ts'
import type { FieldTable } from '../value.ts'
import { Delaying, delaysMessages } from './delayed.ts'
import { Delays } from './delays.ts'
import type { Exchange } from './exchange.ts'

/** What exchanges need from their vhost to keep messages and ids. */
export interface ExchangeRulesContext {
  readonly store: Pick<Store, 'delays' | 'ids' | 'whenDurable'>
  readonly codec: MessageCodec
  readonly clock: Clock
  readonly logger: Logger
}

/** The ids of the logs that an exchange had. */
export type ExchangeLogs = Pick<ExchangeDefinition, 'delays' | 'ids' | 'history'>

/** Has the exchanges of one vhost do as their arguments and the policies say. */
export class ExchangeRules {
  readonly #context: ExchangeRulesContext
  /** The counts of the vhost. */
  readonly #counts: MessageCounts
  readonly #release: (exchange: Exchange, delayed: DelayedMessage) => void
  /** What queues have refused, as long as there are exchanges that must know. */
  #refused: WeakSet<Message> | null = null

  /** `release` is called with what has waited long enough before an exchange. */
  constructor(
    context: ExchangeRulesContext,
    counts: MessageCounts,
    release: (exchange: Exchange, delayed: DelayedMessage) => void,
  ) {
    this.#context = context
    this.#counts = counts
    this.#release = release
  }

  /**
   * Applies what holds for an exchange now. `kept` says whether there is a record in which its logs can be named; `logs`
   * are those that it had. Returns whether it has others than before.
   */
  apply(exchange: Exchange, effective: Effective, kept: boolean, logs: ExchangeLogs = {}): boolean {
    // RabbitMQ: the default exchange has no alternate.
    if (exchange.name === '') return false
    exchange.governance = governanceOf(effective)
    const alternate = effective.arguments.get('alternate-exchange')
    exchange.alternate = alternate?.type === 'longstr' ? alternate.value : null
    const otherIds = this.#deduplicate(exchange, effective.arguments, kept, logs.ids)
    const otherDelays = this.#delay(exchange, effective, kept, logs.delays)
    return otherIds || otherDelays
  }

  /** A queue has refused a message: it may come again, and is no duplicate then. */
  refused(message: Message): void {
    this.#refused?.add(message)
  }

  /** Has an exchange delay messages, or no more. Returns whether it has a log for them that it had not. */
  #delay(exchange: Exchange, { definition }: Effective, kept: boolean, delays?: number): boolean {
    const active = delaysMessages(exchange.type, exchange.arguments, definition)
    if (exchange.delaying !== null) exchange.delaying.active = active
    if (exchange.delaying !== null || (!active && delays === undefined)) return false
    const { store, codec } = this.#context
    const open = (stored: (due: number) => void): DelayLog => store.delays(stored, kept, delays)
    const waiting = new Delays(open, this.#context, (delayed) => this.#release(exchange, delayed))
    exchange.delaying = new Delaying(waiting, codec)
    exchange.delaying.active = active
    return kept && delays === undefined
  }

  /** Does as the arguments say about duplicates. Returns whether the exchange has another log, or one less. */
  #deduplicate(exchange: Exchange, args: FieldTable, kept: boolean, ids?: number): boolean {
    const rules = exchangeDeduplication(exchange.type, args)
    const { deduplication } = exchange
    if (rules !== null && deduplication !== null) {
      deduplication.rules = rules
      return false
    }
    if (rules === null) {
      exchange.deduplication = null
      deduplication?.drop()
      return deduplication !== null && deduplication.log !== null
    }
    const { clock, codec, store } = this.#context
    const log = kept ? store.ids(ids) : null
    this.#refused ??= new WeakSet()
    const context = { clock, codec, store, counts: this.#counts, refused: this.#refused }
    exchange.deduplication = new ExchangeDeduplication(rules, log, context)
    return log !== null && log.id !== ids
  }
}
