// Dead letters: what a queue gives up goes to another exchange, with a record of how it died.
import type { Clock } from '../../lib/clock.ts'
import { Fifo } from '../../lib/fifo.ts'
import type { DeathReason } from '../counts.ts'
import { route, type Exchange } from '../exchange/exchange.ts'
import { Routes } from '../exchange/routes.ts'
import { Deaths, Message, NO_KEYS } from '../message.ts'
import type { PropertyCodec } from '../ports.ts'
import type { FieldTable, FieldValue } from '../value.ts'
import type { Entry } from './entry.ts'
import type { Queue } from './queue.ts'

/** Where dead letters go: the names of a vhost. */
interface Names {
  readonly exchanges: ReadonlyMap<string, Exchange>
  readonly queues: ReadonlyMap<string, Queue>
}

interface DeadLettersContext {
  readonly codec: PropertyCodec
  readonly clock: Clock
}

interface Death {
  readonly queue: Queue
  readonly message: Message
  readonly reason: DeathReason
  /** What is told when it is taken, or not; null where it may be lost. */
  readonly entry: Entry | null
}

const HISTORY = 'x-death'

/**
 * Publishes what the queues of a vhost give up, within the call: so that the removal there and the arrival here are in
 * one batch of the store. A dead letter may push others out of the queue that it reaches; those wait in line, so that a
 * chain of queues is worked off and not descended into.
 */
export class DeadLetters {
  readonly #names: Names
  readonly #codec: PropertyCodec
  readonly #clock: Clock
  readonly #routes = new Routes()
  readonly #line = new Fifo<Death>()
  #publishing = false

  constructor(names: Names, context: DeadLettersContext) {
    this.#names = names
    this.#codec = context.codec
    this.#clock = context.clock
  }

  /** A queue with a dead-letter exchange has given a message up; with an entry it keeps it until it is taken. */
  add(queue: Queue, message: Message, reason: DeathReason, entry: Entry | null = null): void {
    this.#line.push({ queue, message, reason, entry })
    if (this.#publishing) return
    this.#publishing = true
    try {
      for (let death = this.#line.shift(); death; death = this.#line.shift()) {
        const taken = this.#publish(death)
        if (death.entry !== null) death.queue.buried(death.entry, death.reason, taken)
      }
    } finally {
      this.#publishing = false
    }
  }

  /** Returns whether all took it that it leads to, and it leads to somebody; if it must, it goes to all or to nobody. */
  #publish({ queue, message, reason, entry }: Death): boolean {
    const { deadLetterExchange, deadLetterRoutingKey } = queue.rules
    if (deadLetterExchange === null) return true
    // RabbitMQ: an exchange that is not there (yet, or any more) takes nothing, and nobody is told.
    const exchange = this.#names.exchanges.get(deadLetterExchange)
    if (exchange === undefined) return false
    const headers = message.headers ? this.#codec.headers(message) : new Map<string, FieldValue>()
    const told = message.deaths === Deaths.readdressed ? NO_KEYS : carbonCopies(headers)
    const history = recordDeath(queue, message, reason, [message.routingKey, ...told], headers, this.#clock.now())
    const letter = new Message(
      deadLetterExchange,
      deadLetterRoutingKey ?? message.routingKey,
      { persistent: message.persistent, priority: message.priority, expirationMs: -1, headers: true },
      ...this.#content(message, deathHeaders(headers, history, queue, message, reason)),
    )
    const readdressed = deadLetterRoutingKey !== null || message.deaths === Deaths.readdressed
    letter.deaths = readdressed ? Deaths.readdressed : Deaths.recorded
    if (!readdressed) letter.blindCopies = message.blindCopies
    return this.#deliver(
      exchange,
      letter,
      readdressed ? NO_KEYS : [...told, ...message.blindCopies],
      reason === 'rejected' ? [] : history,
      entry !== null,
    )
  }

  /** The letter's content: the body of the message, and its properties with other headers. */
  #content(message: Message, headers: FieldTable): [Buffer, number, number, Buffer, number, number, boolean] {
    const properties = this.#codec.rewritten(message, headers, false)
    return [properties, 0, properties.length, message.body, message.bodyStart, message.bodyEnd, message.owned]
  }

  /** Routes a letter and gives it to each queue that it reaches, but not where `history` says it would go in circles. */
  #deliver(
    exchange: Exchange,
    letter: Message,
    copies: readonly string[],
    history: readonly FieldTable[],
    whole: boolean,
  ): boolean {
    const routes = this.#routes
    routes.begin()
    if (exchange.name === '') {
      for (const key of [letter.routingKey, ...copies]) {
        const queue = this.#names.queues.get(key)
        if (queue !== undefined) routes.add(queue)
      }
    } else {
      route(exchange, letter, routes, (name) => this.#names.exchanges.get(name), copies)
    }
    const targets = routes.queues.slice(0, routes.length)
    const detours = routes.detours.slice(0, routes.detourCount)
    const open = targets.filter((target) => !circles(history, target.name))
    if (whole && open.some((target) => target.refuses(letter))) return false
    for (const target of open) target.publish(letter, null, 0)
    for (const detour of detours) detour.take(letter, copies, null, 0)
    return targets.length + detours.length > 0
  }
}

/** The further routing keys of a message (RabbitMQ: sender-selected distribution). */
function carbonCopies(headers: FieldTable): string[] {
  const copies = headers.get('CC')
  const keys: string[] = []
  if (copies?.type !== 'array') return keys
  for (const key of copies.value) if (key.type === 'longstr') keys.push(key.value)
  return keys
}

/** The history of a message's deaths with one more, newest first: one table for each queue and reason. */
function recordDeath(
  queue: Queue,
  message: Message,
  reason: DeathReason,
  keys: readonly string[],
  headers: FieldTable,
  now: number,
): FieldTable[] {
  const earlier = message.deaths === Deaths.none ? [] : deathsIn(headers)
  const index = earlier.findIndex(
    (death) => textOf(death, 'queue') === queue.name && textOf(death, 'reason') === reason,
  )
  const [again] = index < 0 ? [] : earlier.splice(index, 1)
  if (again !== undefined) {
    const count = again.get('count')
    const before = count?.type === 'long' ? count.value : 0n
    return [new Map(again).set('count', { type: 'long', value: before + 1n }), ...earlier]
  }
  const death = new Map<string, FieldValue>()
  if (message.expirationMs >= 0) death.set('original-expiration', longstr(String(message.expirationMs)))
  death.set('count', { type: 'long', value: 1n })
  death.set('reason', longstr(reason))
  death.set('queue', longstr(queue.name))
  death.set('time', { type: 'timestamp', value: BigInt(Math.floor(now / 1000)) })
  death.set('exchange', longstr(message.exchange))
  death.set('routing-keys', { type: 'array', value: keys.map(longstr) })
  return [death, ...earlier]
}

/** The headers of a dead letter. Those of the first death stay as they are, once they are ours. */
function deathHeaders(
  headers: FieldTable,
  history: readonly FieldTable[],
  queue: Queue,
  message: Message,
  reason: DeathReason,
): FieldTable {
  const rewritten = new Map(headers)
  rewritten.set(HISTORY, { type: 'array', value: history.map((value) => ({ type: 'table', value })) })
  for (const which of message.deaths === Deaths.none ? ['first', 'last'] : ['last']) {
    rewritten.set(`x-${which}-death-exchange`, longstr(message.exchange))
    rewritten.set(`x-${which}-death-queue`, longstr(queue.name))
    rewritten.set(`x-${which}-death-reason`, longstr(reason))
  }
  return rewritten
}

/**
 * Whether a letter would go in circles by itself: it has died in this queue before, and nobody has rejected it since.
 * What clients reject may come back as often as they like (RabbitMQ).
 */
function circles(history: readonly FieldTable[], queue: string): boolean {
  for (const death of history) {
    if (textOf(death, 'reason') === 'rejected') return false
    if (textOf(death, 'queue') === queue) return true
  }
  return false
}

function deathsIn(headers: FieldTable): FieldTable[] {
  const history = headers.get(HISTORY)
  const deaths: FieldTable[] = []
  if (history?.type !== 'array') return deaths
  for (const death of history.value) if (death.type === 'table') deaths.push(death.value)
  return deaths
}

function textOf(table: FieldTable, key: string): string | null {
  const value = table.get(key)
  return value?.type === 'longstr' ? value.value : null
}

function longstr(value: string): FieldValue {
  return { type: 'longstr', value }
}
