// A broker put together by a test itself, so that it can do what operators do: policies, limits, permissions.
import { afterAll, afterEach, beforeEach } from 'vitest'
import type { AmqpContext } from '../../src/amqp/amqp-context.ts'
import { Connection } from '../../src/amqp/connection.ts'
import { MECHANISMS } from '../../src/amqp/mechanisms.ts'
import { AllIncomplete } from '../../src/amqp/incomplete.ts'
import { AllUncommitted } from '../../src/amqp/uncommitted.ts'
import { amqpPropertyCodec } from '../../src/amqp/property-codec.ts'
import { Broker } from '../../src/core/broker.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/log.ts'
import { Turn } from '../../src/lib/turn.ts'
import { Portions } from '../../src/lib/portions.ts'
import { Listener } from '../../src/net/listener.ts'
import { SlabPool } from '../../src/net/socket-writer.ts'
import { MemoryStore } from '../../src/store/memory/memory-store.ts'
import { RawClient, type Login, type RawChannel } from './raw-client.ts'

/** Gives each test of a file a broker of its own, with the user guest and the vhost `/`. */
export function useOpenBroker(): OpenBroker {
  const open = new OpenBroker()
  beforeEach(() => open.start())
  afterEach(() => open.clean())
  afterAll(() => open.clean())
  return open
}

export class OpenBroker {
  broker!: Broker
  clock!: ManualClock
  #listener: Listener | null = null
  readonly #clients: RawClient[] = []
  readonly #connections = new Set<Connection>()

  async start(): Promise<void> {
    const turn = new Turn()
    this.clock = new ManualClock()
    const resources = {
      limits: { memoryBytes: 0, diskFreeBytes: 0 },
      readings: { residentBytes: () => 0, freeDiskBytes: () => Promise.resolve(null) },
    }
    const store = new MemoryStore({ turn, clock: this.clock })
    this.broker = new Broker({ store, clock: this.clock, codec: amqpPropertyCodec, logger: silentLogger, resources })
    await this.broker.firstStart({ user: 'guest', password: 'guest', vhost: '/' })
    const options = {
      frameMax: 131_072,
      channelMax: 2047,
      heartbeatSeconds: 0,
      messageBytesMax: 1 << 24,
      mechanisms: MECHANISMS,
      handshakeTimeoutMs: 10_000,
      consumerTimeoutMs: 0,
      consumerTimeoutCloses: false,
      version: '0.0.0',
      clusterName: () => 'test',
    }
    const context: AmqpContext = {
      broker: this.broker,
      turn,
      slabs: new SlabPool(),
      uncommitted: new AllUncommitted(this.broker.resources),
      incomplete: new AllIncomplete(this.broker.resources, this.broker.clock),
      options,
      connections: this.#connections,
      leaving: new Portions<Connection>(turn, 50, (connection) => connection.leave()),
    }
    this.#listener = await Listener.listen(
      { host: '127.0.0.1', port: 0 },
      (socket) => void new Connection(socket, context),
      (error) => {
        throw error
      },
    )
  }

  /** Adds a user with these rights in the vhost `/`. */
  async user(
    name: string,
    rights: { configure?: string; write?: string; read?: string } = {},
    tags: readonly string[] = [],
  ): Promise<void> {
    await this.broker.access.putUser(name, { password: name }, tags)
    const { configure = '.*', write = '.*', read = '.*' } = rights
    this.broker.access.putPermission(name, '/', { configure, write, read })
  }

  /** Connects a socket and sends nothing. */
  async dial(): Promise<RawClient> {
    const client = await RawClient.dial(this.#listener!.port)
    this.#clients.push(client)
    return client
  }

  /** Connects and logs in. */
  async connect(login: Login = {}): Promise<RawClient> {
    const client = await this.dial()
    await client.handshake(login)
    return client
  }

  /** Goes through the handshake up to connection.open, whose answer is the test's affair. */
  async knock(login: Login = {}): Promise<RawClient> {
    const client = await this.dial()
    client.protocolHeader()
    await client.expect('connection.start')
    client.startOk(login)
    await client.tune(login)
    return client.send('connection.open', { 'virtual-host': login.vhost ?? '/' })
  }

  async channel(login: Login = {}): Promise<RawChannel> {
    return (await this.connect(login)).openChannel()
  }

  clean(): void {
    for (const client of this.#clients.splice(0)) client.drop()
    this.#listener?.stop()
    this.#listener = null
  }
}
