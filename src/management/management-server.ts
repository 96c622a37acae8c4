// The HTTP API. Imports core and lib, and no front end: what AMQP knows comes through core.
import type { Socket } from 'node:net'
import type { Broker } from '../core/broker.ts'
import { Slices } from '../lib/slices.ts'
import type { Served } from './application.ts'
import { Authentication } from './authentication.ts'
import { LoopDelay } from './metrics/loop-delay.ts'
import { QueueOrder } from './queue-order.ts'
import { Rates } from './rates.ts'
import { Reception, type Place } from './reception.ts'
import type { Management, Node } from './route.ts'
import { Traces } from './traces/traces.ts'

/** Serves the API until it is closed. */
export class ManagementServer {
  readonly #rates: Rates
  readonly #loopDelay: LoopDelay
  readonly #traces: Traces
  readonly #api: Reception
  /** Metrics for scrapers, without credentials and with nothing else. */
  readonly #scrapes: Reception

  /** Begins to watch the broker; listens nowhere yet. */
  constructor(broker: Broker, node: Node) {
    const { clock } = broker
    const slices = new Slices()
    this.#rates = new Rates(broker, clock, slices)
    this.#loopDelay = new LoopDelay(clock)
    this.#traces = new Traces(broker)
    const management = {
      broker,
      clock,
      slices,
      node,
      rates: this.#rates,
      ages: this.#rates.ages,
      queueOrder: new QueueOrder(broker, slices),
      loopDelay: this.#loopDelay,
      traces: this.#traces,
      authentication: new Authentication(broker.access, clock),
    }
    this.#api = reception(management, 'api')
    this.#scrapes = reception(management, 'scrapes')
    this.#rates.start()
    this.#loopDelay.start()
  }

  /** Serves the API. Rejects with Node's system error. */
  async listen(place: Place): Promise<void> {
    await this.#api.listen(place)
  }

  /** The port that the API is served on, if that was asked for. */
  get port(): number | null {
    return this.#api.port
  }

  /** The port that metrics are scraped from, if that was asked for. */
  get scrapePort(): number | null {
    return this.#scrapes.port
  }

  /** Serves the API on a connection that was accepted elsewhere, such as one over TLS. */
  accept(socket: Socket): void {
    this.#api.accept(socket)
  }

  /** Serves metrics on such a connection. */
  acceptScrape(socket: Socket): void {
    this.#scrapes.accept(socket)
  }

  /** Serves metrics on a port of their own. Rejects with Node's system error. */
  async listenForScrapes(place: Place): Promise<void> {
    await this.#scrapes.listen(place)
  }

  async close(): Promise<void> {
    this.#rates.stop()
    this.#loopDelay.stop()
    this.#traces.close()
    await Promise.all([this.#api.close(), this.#scrapes.close()])
  }
}

function reception(management: Management, served: Served): Reception {
  const make = async () => (await import('./application.ts')).application(management, served)
  return new Reception(make, management.broker.logger)
}
