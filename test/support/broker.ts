// The broker that a test file talks to: one of our own, started in memory for the file, or, when AMQP_TEST_BROKER names
// a host and port, another that speaks AMQP 0-9-1. The second is how the tests themselves are checked.
import { afterAll, afterEach, beforeAll, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer, type Server, type ServerOptions } from '../../src/server.ts'
import type { FieldsInput } from './codec.ts'
import { RawClient, type Login, type RawChannel } from './raw-client.ts'

const foreign = process.env.AMQP_TEST_BROKER

/** What a test may want to set; the rest is as the broker has it by default, and it keeps everything in memory. */
export type BrokerOptions = Omit<ServerOptions, 'clock' | 'dataDir' | 'port'>

/**
 * Starts a broker before the tests of a file and closes it after them. After each test it closes what the test opened
 * and deletes the queues and exchanges that the test declared, so that all tests may use plain names.
 */
export function useBroker(options: BrokerOptions = {}): TestBroker {
  const broker = new TestBroker(options)
  beforeAll(() => broker.start())
  afterEach(() => broker.clean())
  afterAll(() => broker.stop())
  return broker
}

/** A test of a point in which an older RabbitMQ behaves otherwise, or which it cannot be made to show, and why. */
export function itOnlyHere(why: string, title: string, run: () => Promise<void>, timeoutMs?: number): void {
  it.skipIf(foreign !== undefined)(foreign === undefined ? title : `${title} (not there: ${why})`, run, timeoutMs)
}

export class TestBroker {
  /** Time as the broker sees it. It stands still unless a test moves it. */
  readonly clock = new ManualClock()
  port = 0
  /** Where clients connect to. */
  readonly host: string
  readonly #options: BrokerOptions
  readonly #clients: RawClient[] = []
  readonly #queues = new Set<string>()
  readonly #exchanges = new Set<string>()
  #server: Server | undefined

  constructor(options: BrokerOptions) {
    this.#options = options
    this.host = foreign?.split(':')[0] ?? '127.0.0.1'
  }

  async start(): Promise<void> {
    if (foreign !== undefined) {
      this.port = Number(foreign.split(':')[1])
      return
    }
    this.#server = await startServer({ host: this.host, port: 0, clock: this.clock, ...this.#options })
    this.port = this.#server.ports.amqp
  }

  async stop(): Promise<void> {
    await this.#server?.close()
  }

  /** Connects a socket and sends nothing. */
  async dial(): Promise<RawClient> {
    const client = await RawClient.dial(this.port, this.host)
    client.onSend = (method, fields) => this.#remember(method, fields)
    this.#clients.push(client)
    return client
  }

  /** Connects and logs in. */
  async connect(login: Login = {}): Promise<RawClient> {
    const client = await this.dial()
    await client.handshake(login)
    return client
  }

  /** Opens a channel, number 1, on a connection of its own. */
  async channel(login: Login = {}): Promise<RawChannel> {
    return (await this.connect(login)).openChannel()
  }

  /**
   * Moves the broker's time on, once it has read what was sent before. Elsewhere time passes by itself, and a test only
   * has to be patient.
   */
  async advance(milliseconds: number): Promise<void> {
    if (foreign !== undefined) return
    await this.settle()
    this.clock.advance(milliseconds)
    await this.settle()
  }

  /** Moves the broker's time on in steps until it has ended the connection. For what starts only when a task is done. */
  async advanceUntilEnded(client: RawClient, stepMs: number): Promise<void> {
    const stepsMax = foreign === undefined ? 200 : 0
    for (let steps = 0; steps < stepsMax && !client.ended; steps++) await this.advance(stepMs)
    await client.expectEnd()
  }

  /** Lets the broker read everything that was sent so far: a whole handshake on another socket comes after it. */
  async settle(): Promise<void> {
    const client = await RawClient.open(this.port, {}, this.host)
    await client.close()
  }

  /** Makes sure that the broker serves: declares, publishes and gets on a connection of its own. */
  async expectToServe(): Promise<void> {
    const channel = await this.channel()
    const queue = await channel.queue('', { exclusive: true })
    channel.publish({ 'routing-key': queue }, 'still here')
    channel.send('basic.get', { queue, 'no-ack': true })
    await channel.expectGetOk({ 'message-count': 0 }, 'still here')
    await channel.client.close()
  }

  async clean(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.drop()
    if (this.#queues.size + this.#exchanges.size === 0) return
    const client = await RawClient.open(this.port, {}, this.host)
    const channel = await client.openChannel()
    for (const queue of this.#queues) await channel.call('queue.delete', { queue })
    for (const exchange of this.#exchanges) await channel.call('exchange.delete', { exchange })
    this.#queues.clear()
    this.#exchanges.clear()
    await client.close()
  }

  #remember(method: string, fields: FieldsInput): void {
    const { queue, exchange, exclusive, passive } = fields
    if (method === 'queue.declare' && queue && !exclusive && !passive) this.#queues.add(String(queue))
    if (method === 'exchange.declare' && exchange && !String(exchange).startsWith('amq.'))
      this.#exchanges.add(String(exchange))
  }
}
