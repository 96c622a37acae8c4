// The traces of all vhosts, and what they have written.
import type { Broker } from '../../core/broker.ts'
import type { Session } from '../../core/session.ts'
import { badRequest } from '../http-error.ts'
import { Trace, type TraceTerms } from './trace.ts'
import { TraceLog } from './trace-log.ts'

/** Files that there may be, traces that may run, and bytes that each of them keeps. */
const FILES_MAX = 16
const TRACES_MAX = 16
const FILE_BYTES_MAX = 4 * 1024 * 1024

/** RabbitMQ's ending of a trace's file. */
const ENDING = '.log'

/** Traces by vhost and name. A vhost with traces is traced; one that was not before is not any more with the last. */
export class Traces {
  /** What traces have written, by the name of the file. It stays when its trace is stopped, until it is deleted. */
  readonly files = new Map<string, TraceLog>()
  readonly #broker: Broker
  readonly #traces = new Set<Trace>()
  /** Vhosts whose firehose was switched on for the sake of a trace. */
  readonly #switchedOn = new Set<string>()

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** All that run. */
  get all(): Iterable<Trace> {
    return this.#traces
  }

  /** The trace of this name, if it runs. */
  get(vhost: string, name: string): Trace | undefined {
    for (const trace of this.#traces) if (trace.vhost === vhost && trace.terms.name === name) return trace
    return undefined
  }

  /**
   * Starts one, which writes behind what an earlier one of its name has written. It owns the session from here on.
   * @throws HttpError 400 when one of this name runs, or there are too many files
   * @throws BrokerError what the user of the session may not do
   */
  start(session: Session, terms: TraceTerms): void {
    const { vhost } = session
    if (this.get(vhost.name, terms.name) !== undefined) throw badRequest('a trace of this name runs already')
    if (this.#traces.size === TRACES_MAX) {
      throw badRequest(`${TRACES_MAX} traces run, which is the most; stop one that is not needed`)
    }
    const file = terms.name + ENDING
    const log = this.files.get(file) ?? new TraceLog(FILE_BYTES_MAX)
    if (!this.files.has(file) && this.files.size === FILES_MAX) {
      throw badRequest(`there are ${FILES_MAX} trace files, which is the most; delete one that is not needed`)
    }
    const trace = new Trace(this.#broker, session, terms, log, (ended) => this.#forget(ended))
    this.files.set(file, log)
    this.#traces.add(trace)
    if (vhost.definition.tracing === true) return
    this.#switchedOn.add(vhost.name)
    this.#broker.updateVHost(vhost, { tracing: true })
  }

  /** Stops one. What it has written stays. */
  stop(trace: Trace): void {
    trace.stop()
    this.#forget(trace)
  }

  /** Stops all of them. */
  close(): void {
    for (const trace of [...this.#traces]) this.stop(trace)
  }

  #forget(trace: Trace): void {
    this.#traces.delete(trace)
    for (const other of this.#traces) if (other.vhost === trace.vhost) return
    if (!this.#switchedOn.delete(trace.vhost)) return
    const vhost = this.#broker.vhosts.get(trace.vhost)
    if (vhost !== undefined) this.#broker.updateVHost(vhost, { tracing: false })
  }
}
