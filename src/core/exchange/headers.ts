// The headers exchange: by the message's headers.
import { renderTerm } from '../arguments/render.ts'
import { sameValue } from '../arguments/same-value.ts'
import { BrokerError } from '../errors.ts'
import type { Message } from '../message.ts'
import type { HeaderReader } from '../ports.ts'
import { NO_ARGUMENTS, type FieldTable, type FieldValue } from '../value.ts'
import type { Binding } from './binding.ts'
import { Exchange, type ExchangeProperties } from './exchange.ts'
import type { Routes } from './routes.ts'

/** What a binding asks of a message's headers. */
interface HeaderRule {
  /** Whether each of the wanted headers must match, or one is enough. */
  readonly all: boolean
  readonly wanted: readonly (readonly [key: string, value: FieldValue])[]
}

/** Routes to the bindings whose arguments the message's headers match (AMQP 0-9-1 §3.1.3.4, with RabbitMQ's x-match). */
export class HeadersExchange extends Exchange {
  readonly #codec: Pick<HeaderReader, 'headers'>
  readonly #rules = new Map<Binding, HeaderRule>()

  constructor(name: string, properties: ExchangeProperties, codec: Pick<HeaderReader, 'headers'>) {
    super(name, properties)
    this.#codec = codec
  }

  override match(message: Message, _routingKey: string, routes: Routes): void {
    if (this.#rules.size === 0) return
    routes.repeatable = false
    const headers = message.headers ? this.#codec.headers(message) : NO_ARGUMENTS
    for (const [binding, rule] of this.#rules) {
      if (matches(rule, headers)) routes.addBinding(binding)
    }
  }

  protected override attach(binding: Binding): void {
    this.#rules.set(binding, headerRule(binding.arguments))
  }

  protected override detach(binding: Binding): void {
    this.#rules.delete(binding)
  }
}

function matches(rule: HeaderRule, headers: FieldTable): boolean {
  for (const [key, wanted] of rule.wanted) {
    if (matchesHeader(wanted, headers.get(key)) !== rule.all) return !rule.all
  }
  return rule.all
}

/**
 * RabbitMQ: a void asks only that the header is there, and a timestamp in a message never matches, for it is held in
 * another unit there than in the binding.
 */
function matchesHeader(wanted: FieldValue, header: FieldValue | undefined): boolean {
  if (header === undefined) return false
  if (wanted.type === 'void') return true
  return header.type !== 'timestamp' && sameValue(wanted, header)
}

/** @throws BrokerError precondition-failed when x-match is none of the four modes. */
function headerRule(args: FieldTable): HeaderRule {
  const mode = matchMode(args.get('x-match'))
  const withX = mode === 'all-with-x' || mode === 'any-with-x'
  const wanted = [...args].filter(([key]) => (withX ? key !== 'x-match' : !key.startsWith('x-')))
  return { all: mode === 'all' || mode === 'all-with-x', wanted }
}

function matchMode(value: FieldValue | undefined): string {
  if (value === undefined) return 'all'
  if (value.type !== 'longstr') {
    const sentence = `Invalid x-match field type ${value.type} (value ${renderTerm(value)}); expected longstr`
    throw new BrokerError('precondition-failed', sentence)
  }
  if (!['all', 'any', 'all-with-x', 'any-with-x'].includes(value.value)) {
    const sentence = `Invalid x-match field value ${renderTerm(value)}; expected all, any, all-with-x, or any-with-x`
    throw new BrokerError('precondition-failed', sentence)
  }
  return value.value
}
