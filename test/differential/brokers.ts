// The two brokers, and runners on both for several programs at a time.
import { startServer, type Server } from '../../src/server.ts'
import { RabbitMQ } from '../support/rabbitmq.ts'
import type { Pair } from './comparison.ts'
import { Peer } from './peer.ts'
import { Runner } from './runner.ts'

/** With the exchange types that programs declare. */
const PLUGINS = [
  'rabbitmq_consistent_hash_exchange',
  'rabbitmq_random_exchange',
  'rabbitmq_recent_history_exchange',
  'rabbitmq_sharding',
]

/** A RabbitMQ and a Leveret that are there for programs alone. */
export class Brokers {
  readonly pairs: readonly Pair[]
  readonly #rabbitmq: RabbitMQ
  readonly #leveret: Server

  private constructor(rabbitmq: RabbitMQ, leveret: Server, pairs: readonly Pair[]) {
    this.#rabbitmq = rabbitmq
    this.#leveret = leveret
    this.pairs = pairs
  }

  /** Starts both, which takes ten seconds and more. There are as many vhosts, and pairs, as lanes. */
  static async start(lanes: number): Promise<Brokers> {
    const rabbitmq = await RabbitMQ.start({ plugins: PLUGINS })
    const leveret = await startServer({ host: '127.0.0.1', managementHost: '127.0.0.1', managementPort: 0 })
    const pairs: Pair[] = []
    for (let lane = 0; lane < lanes; lane++) {
      const expected = await Peer.add(rabbitmq.port, rabbitmq.managementPort, `lane-${lane}.0`)
      const actual = await Peer.add(leveret.ports.amqp, leveret.ports.management!, `lane-${lane}.0`)
      pairs.push([new Runner(expected), new Runner(actual)])
    }
    return new Brokers(rabbitmq, leveret, pairs)
  }

  async stop(): Promise<void> {
    for (const runner of this.pairs.flat()) await runner.close()
    await this.#leveret.close()
    await this.#rabbitmq.stop()
  }
}
