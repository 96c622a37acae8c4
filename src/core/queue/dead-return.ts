// The way back of dead letters: to the queue that gave them up last, as they were when they came to it.
import { BrokerError } from '../errors.ts'
import { Deaths, Message } from '../message.ts'
import type { PropertyCodec, Publisher } from '../ports.ts'
import type { FieldTable, FieldValue } from '../value.ts'
import type { Entry } from './entry.ts'
import type { Queue } from './queue.ts'

/** The marks that a returned message has: where it was, when that was, and how often it came back. */
const RETURNED_FROM = 'x-returned-from'
const RETURNED_TIME = 'x-returned-time'
const RETURNED_COUNT = 'x-returned-count'
/** More often nothing has come back. */
const RETURNED_MAX = 2n ** 32n

/** What returning needs to know. */
export interface ReturnContext {
  readonly codec: PropertyCodec
  /** Milliseconds since 1970. */
  readonly now: number
  /** The queue of this name, if messages may be given to it. */
  queue(name: string): Queue | undefined
  /** Throws BrokerError access-refused when nothing may be published with this key to an exchange of this name. */
  checkPublish(exchange: string, routingKey: string): void
}

/** Where a message came in first. */
interface Address {
  readonly exchange: string
  readonly routingKey: string
}

/** A message that stays where it is, and why. */
export interface NotReturned {
  readonly position: number
  readonly reason: string
}

/** Gives a dead letter to the queue that it came from. Returns null when that has taken it, or else why it stays. */
export function returnDeadLetter(entry: Entry, context: ReturnContext): string | null {
  const { message, queue: from } = entry
  const headers = message.headers ? context.codec.headers(message) : new Map<string, FieldValue>()
  const death = lastDeath(headers)
  const name = death === null ? null : textOf(death.get('queue'))
  if (death === null || name === null) return 'it has no x-death'
  const origin = context.queue(name)
  if (origin === undefined) return `there is no queue '${name}' that could take it`
  if (origin === from) return 'it died in this queue'
  const address = firstAddress(message, death)
  const refusal = message.deaths === Deaths.none ? refusalOf(address, context) : null
  if (refusal !== null) return refusal
  const before = origin.counts.deduplicated
  const answer = new Answer()
  origin.publish(returned(message, address, headers, from, context), answer, 0)
  if (answer.wasRefused) return `queue '${name}' is full`
  return origin.counts.deduplicated > before ? `queue '${name}' takes it for a duplicate` : null
}

/** Why whoever returns messages could not have published there; null if they could. A client may write any history. */
function refusalOf({ exchange, routingKey }: Address, context: ReturnContext): string | null {
  try {
    context.checkPublish(exchange, routingKey)
    return null
  } catch (error) {
    if (error instanceof BrokerError) return error.message
    throw error
  }
}

/** The exchange and the key that a message came with to the queue in which it died. */
function firstAddress(message: Message, death: FieldTable): Address {
  const keys = death.get('routing-keys')
  const key = keys?.type === 'array' ? textOf(keys.value[0]) : null
  return {
    exchange: textOf(death.get('exchange')) ?? message.exchange,
    routingKey: key ?? message.routingKey,
  }
}

/** The message with the exchange and key that it first came with, and with the marks. */
function returned(
  message: Message,
  { exchange, routingKey }: Address,
  headers: FieldTable,
  from: Queue,
  { codec, now }: ReturnContext,
): Message {
  const marked = new Map(headers)
  const mark = headers.get(RETURNED_COUNT)
  // Whoever published the message may have put anything there.
  const before = mark?.type === 'long' && mark.value > 0n && mark.value < RETURNED_MAX ? mark.value : 0n
  marked.set(RETURNED_FROM, { type: 'longstr', value: from.name })
  marked.set(RETURNED_TIME, { type: 'timestamp', value: BigInt(Math.floor(now / 1000)) })
  marked.set(RETURNED_COUNT, { type: 'long', value: before + 1n })
  const properties = codec.rewritten(message, marked, true)
  const { persistent, priority, expirationMs, body, bodyStart, bodyEnd, owned } = message
  const copy = new Message(
    exchange,
    routingKey,
    { persistent, priority, expirationMs, headers: true },
    properties,
    0,
    properties.length,
    body,
    bodyStart,
    bodyEnd,
    owned,
  )
  copy.deaths = message.deaths
  copy.blindCopies = message.blindCopies
  return copy
}

/** RabbitMQ: the newest death is the first of the list. */
function lastDeath(headers: FieldTable): FieldTable | null {
  const history = headers.get('x-death')
  const last = history?.type === 'array' ? history.value[0] : undefined
  return last?.type === 'table' ? last.value : null
}

function textOf(value: FieldValue | undefined): string | null {
  return value?.type === 'longstr' ? value.value : null
}

/** Hears at once when a queue refuses. */
class Answer implements Publisher {
  wasRefused = false

  accepted(): void {}

  refused(): void {
    this.wasRefused = true
  }
}
