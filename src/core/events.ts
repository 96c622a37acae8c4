// What happens in the broker, told to the topic exchange amq.rabbitmq.event, and its log to amq.rabbitmq.log.
import type { Clock } from '../lib/clock.ts'
import type { Logger, LogLine } from '../lib/log.ts'
import type { Announcements, Outlet } from './announcements.ts'
import { BrokerError } from './errors.ts'
import type { Exchange } from './exchange/exchange.ts'
import type { Message } from './message.ts'
import type { MessageCodec, MessageProperties } from './ports.ts'
import type { FieldTable, FieldValue } from './value.ts'

export const EVENT_EXCHANGE = 'amq.rabbitmq.event'
export const LOG_EXCHANGE = 'amq.rabbitmq.log'

/** Where both are (RabbitMQ: the default virtual host). */
export const EVENT_VHOST = '/'

/** Who does what nobody asked for. RabbitMQ's name. */
export const INTERNAL_USER = 'rmq-internal'

/** What is told of an event, by name. */
export type EventFacts = Readonly<Record<string, string | number | boolean | null | readonly string[] | FieldTable>>

/** Where the exchanges are: a vhost. */
interface EventOutlet extends Outlet {
  readonly exchanges: ReadonlyMap<string, Exchange>
}

interface EventContext {
  readonly announcements: Announcements
  readonly codec: MessageCodec
  readonly clock: Clock
  readonly nodeName: string
  readonly vhosts: ReadonlyMap<string, EventOutlet>
}

/** Tells whoever is bound. When nobody is, nothing is made. */
export class Events {
  readonly #context: EventContext

  constructor(context: EventContext) {
    this.#context = context
  }

  /** Something has happened: `queue.created` and the like. `facts` are only asked for when somebody is bound. */
  emit(event: string, facts: () => EventFacts): void {
    const outlet = this.#heard(EVENT_EXCHANGE)
    if (outlet === null) return
    const now = this.#context.clock.now()
    const headers = new Map<string, FieldValue>()
    for (const [name, value] of Object.entries(facts())) if (value !== null) headers.set(name, fieldValue(value))
    headers.set('timestamp_in_ms', { type: 'long', value: BigInt(now) })
    const properties = { headers, deliveryMode: 2, timestamp: BigInt(Math.floor(now / 1000)) }
    this.#publish(outlet, EVENT_EXCHANGE, event, properties, '')
  }

  /** The same log, whose lines also go to the exchange: the level is the routing key, in RabbitMQ's words. */
  logging(logger: Logger): Logger {
    // A logger may need itself: its methods are not taken off it.
    return {
      debug: this.#told('debug', (fields, message) => logger.debug(fields, message)),
      info: this.#told('info', (fields, message) => logger.info(fields, message)),
      warn: this.#told('warning', (fields, message) => logger.warn(fields, message)),
      error: this.#told('error', (fields, message) => logger.error(fields, message)),
    }
  }

  #told(level: string, write: LogLine): LogLine {
    return (fields, message) => {
      write(fields, message)
      const outlet = this.#heard(LOG_EXCHANGE)
      if (outlet === null) return
      const { clock, nodeName } = this.#context
      const headers = new Map<string, FieldValue>([
        ['level', fieldValue(level)],
        ['node', fieldValue(nodeName)],
        ['timestamp', { type: 'long', value: BigInt(clock.now()) }],
      ])
      const timestamp = BigInt(Math.floor(clock.now() / 1000))
      const properties = { contentType: 'text/plain', headers, timestamp }
      this.#publish(outlet, LOG_EXCHANGE, level, properties, logLine(fields, message))
    }
  }

  /** The vhost of the exchange, if somebody is bound to it. */
  #heard(exchange: string): EventOutlet | null {
    const outlet = this.#context.vhosts.get(EVENT_VHOST)
    return (outlet?.exchanges.get(exchange)?.sourceBindings.size ?? 0) > 0 ? outlet! : null
  }

  #publish(outlet: EventOutlet, exchange: string, key: string, properties: MessageProperties, body: string): void {
    this.#context.announcements.add(outlet, this.#composed(exchange, key, properties, Buffer.from(body)))
  }

  /** What a client said of itself may nest as deep as it may: deeper it cannot, and is left out. */
  #composed(exchange: string, key: string, properties: MessageProperties, body: Buffer): Message {
    const { codec } = this.#context
    try {
      return codec.compose(exchange, key, properties, body)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      const headers = new Map([...(properties.headers ?? [])].filter(([, { type }]) => type !== 'table'))
      return codec.compose(exchange, key, { ...properties, headers }, body)
    }
  }
}

function fieldValue(value: NonNullable<EventFacts[string]>): FieldValue {
  if (typeof value === 'string') return { type: 'longstr', value }
  if (typeof value === 'number') return { type: 'long', value: BigInt(Math.trunc(value)) }
  if (typeof value === 'boolean') return { type: 'bool', value }
  if (value instanceof Map) return { type: 'table', value: value as FieldTable }
  return { type: 'array', value: (value as readonly string[]).map((text) => ({ type: 'longstr', value: text })) }
}

/** A line for people: the phrase, and the facts as JSON. */
function logLine(fields: Readonly<Record<string, unknown>>, message: string): string {
  const facts = JSON.stringify(fields, (_key, value: unknown) =>
    value instanceof Error ? value.message : typeof value === 'bigint' ? String(value) : value,
  )
  return facts === '{}' ? message : `${message} ${facts}`
}
