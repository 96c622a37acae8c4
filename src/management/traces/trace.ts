// One trace: who listens to the firehose, and writes down what it hears.
import type { Broker } from '../../core/broker.ts'
import { TRACE_EXCHANGE } from '../../core/firehose.ts'
import type { CancelReason, Consumer } from '../../core/ports.ts'
import type { Subscription } from '../../core/queue/dispatch.ts'
import type { Entry } from '../../core/queue/entry.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { Session } from '../../core/session.ts'
import { NO_ARGUMENTS, type FieldTable } from '../../core/value.ts'
import type { TraceLog } from './trace-log.ts'
import { traceLine, type TraceFormat } from './trace-line.ts'

/** What a trace is to write. */
export interface TraceTerms {
  readonly name: string
  readonly format: TraceFormat
  /** The routing keys of the firehose that it listens to, as a topic's pattern. */
  readonly pattern: string
  /** Bytes of a body that are written; Infinity for all. */
  readonly payloadBytesMax: number
  /** The user that was named to listen; null when none was. */
  readonly user: string | null
}

/** Messages that are written down in one turn of the event loop. */
const TURN_MAX = 100
/** Bytes of bodies that may wait to be written down: the oldest are dropped when publishers are faster. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024
const QUEUE_ARGUMENTS: FieldTable = new Map([['x-max-length-bytes', { type: 'signedint', value: WAITING_BYTES_MAX }]])

/** A consumer of an exclusive queue, which is bound to the firehose of a vhost. It owns its session. */
export class Trace implements Consumer {
  readonly terms: TraceTerms
  readonly queue: Queue
  readonly tag: string
  readonly noAck = true
  readonly outstanding = 0

  readonly #broker: Broker
  readonly #session: Session
  readonly #log: TraceLog
  readonly #ended: (trace: Trace) => void
  readonly #subscription: Subscription
  #taken = 0
  #over = false

  /**
   * Listens from now on, until it is stopped; `ended` is told if its vhost goes before.
   * @throws BrokerError what AMQP would tell the user of the session who declares, binds and consumes
   */
  constructor(broker: Broker, session: Session, terms: TraceTerms, log: TraceLog, ended: (trace: Trace) => void) {
    this.#broker = broker
    this.#session = session
    this.#log = log
    this.#ended = ended
    this.terms = terms
    this.tag = `trace ${terms.name}`
    this.queue = session.declareQueue({
      name: '',
      durable: false,
      exclusive: true,
      autoDelete: false,
      arguments: QUEUE_ARGUMENTS,
    })
    session.bind({
      source: TRACE_EXCHANGE,
      destination: this.queue.name,
      destinationKind: 'queue',
      routingKey: terms.pattern,
      arguments: NO_ARGUMENTS,
    })
    this.#subscription = session.consume(session.readableQueue(this.queue.name), this, false, NO_ARGUMENTS)
  }

  get vhost(): string {
    return this.#session.vhost.name
  }

  /** The broker has other things to do than to write: what is left of a turn's share goes on in the next. */
  get ready(): boolean {
    return this.#taken < TURN_MAX && !this.#over
  }

  deliver(entry: Entry): boolean {
    if (this.#taken++ === 0) setImmediate(this.#nextTurn)
    const { clock, codec } = this.#broker
    this.#log.add(traceLine(this.terms, entry.presented, codec, clock.now()))
    return true
  }

  cancelled(_reason: CancelReason): void {
    if (this.#over) return
    this.#over = true
    this.#session.close()
    this.#ended(this)
  }

  /** Listens no more. */
  stop(): void {
    if (this.#over) return
    this.#over = true
    this.queue.unsubscribe(this.#subscription)
    this.#session.close()
  }

  readonly #nextTurn = (): void => {
    this.#taken = 0
    if (!this.#over) this.queue.resume(this.#subscription)
  }
}
