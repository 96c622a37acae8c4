// Puts the parts together: store, broker, listeners. Also the entry for embedding a broker in other people's tests.
import type { Socket } from 'node:net'
import { hostname } from 'node:os'
import { Connection, type AmqpContext } from './amqp/connection.ts'
import { MESSAGE_BYTES_MAX_DEFAULT } from './amqp/limits.ts'
import { amqpPropertyCodec } from './amqp/property-codec.ts'
import { ReplyCode } from './amqp/wire/generated.ts'
import { Broker } from './core/broker.ts'
import type { Definition } from './core/definitions.ts'
import type { Queue } from './core/queue/queue.ts'
import type { ResourceLimits, ResourceReadings } from './core/resources.ts'
import type { LostMessages, Store, StoreMonitor } from './core/ports.ts'
import { systemClock, type Clock } from './lib/clock.ts'
import { silentLogger, type Logger } from './lib/log.ts'
import { DefinitionsError, loadDefinitions } from './management/load-definitions.ts'
import { ManagementServer } from './management/management-server.ts'
import { freeBytes, memoryBytes } from './lib/machine.ts'
import { VERSION } from './lib/version.ts'
import { Turn } from './lib/turn.ts'
import { Listener } from './net/listener.ts'
import { SlabPool } from './net/socket-writer.ts'
import { LevelStore } from './store/level/level-store.ts'
import { StoreOpenError } from './store/level/database.ts'
import { MemoryStore } from './store/memory/memory-store.ts'

/** How a broker is started. Everything has a default. */
export interface ServerOptions {
  /** The directory of the database; made if it is not there. Absent: everything is in memory, and gone at the end. */
  readonly dataDir?: string | undefined
  /** The address to listen on. Absent: every interface, IPv6 and IPv4. */
  readonly host?: string | undefined
  /** The AMQP port; 0 (the default) picks a free one. */
  readonly port?: number | undefined
  /** The port of the HTTP API; 0 picks a free one. Absent: it is not started. */
  readonly managementPort?: number | undefined
  /** The address of the HTTP API. Absent: every interface. */
  readonly managementHost?: string | undefined
  /** The port that Prometheus scrapes, on the address of the HTTP API; 0 picks a free one. Absent: not served there. */
  readonly prometheusPort?: number | undefined
  /** User, password and vhost that are made when the database is empty. */
  readonly defaultUser?: string | undefined
  readonly defaultPassword?: string | undefined
  readonly defaultVhost?: string | undefined
  /** A file with definitions, or a directory of such, to be imported before anybody is let in; instead of the defaults. */
  readonly loadDefinitions?: string | undefined
  /** Bytes of a whole frame, as offered to clients. */
  readonly frameMax?: number | undefined
  readonly channelMax?: number | undefined
  /** Seconds, as offered to clients, who choose; 0 offers none. */
  readonly heartbeatSeconds?: number | undefined
  /** Bytes that the body of a message may have. */
  readonly messageBytesMax?: number | undefined
  /** Milliseconds from accepting a connection to connection.open-ok. */
  readonly handshakeTimeoutMs?: number | undefined
  /** Milliseconds that a delivery may wait for its acknowledgement where nothing else is said; 0: for ever. */
  readonly consumerTimeoutMs?: number | undefined
  /** What a delivery that waits longer ends: its consumer, or its channel. */
  readonly consumerTimeoutResponse?: 'notify_consumer' | 'close_channel' | undefined
  /** Resident memory from which on publishers are blocked: bytes, or a share of the machine's up to 1; 0 is no limit. */
  readonly memoryLimit?: number | undefined
  /** Free bytes on the disk of the data directory below which publishers are blocked; 0 is no limit. */
  readonly diskFreeLimitBytes?: number | undefined
  /** Users that may log in from this machine only. */
  readonly loopbackUsers?: readonly string[] | undefined
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
}

/** A running broker. */
export interface Server {
  readonly ports: { readonly amqp: number; readonly management?: number; readonly prometheus?: number }
  /** Stops accepting, closes the connections with 320 CONNECTION_FORCED, writes what waits, and closes the database. */
  close(reason?: string): Promise<void>
}

/** A start that failed for a reason the operator can mend. The message is the sentence to print. */
export class StartError extends Error {
  constructor(sentence: string, options?: ErrorOptions) {
    super(sentence, options)
    this.name = 'StartError'
  }
}

const NODE_NAME = `leveret@${hostname()}`

/** How long clients have to answer the close of a stopping broker, in milliseconds. */
const GOODBYE_MS = 1500

/** RabbitMQ 4's watermarks: six tenths of the memory, and 50 MB of the disk. */
const MEMORY_SHARE_DEFAULT = 0.6
const DISK_FREE_BYTES_DEFAULT = 50_000_000

/**
 * Starts a broker.
 * @throws StartError when the data directory, the port or the definitions to load cannot be used
 */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const logger = options.logger ?? silentLogger
  const clock = options.clock ?? systemClock
  const turn = new Turn()
  const troubles = new StoreTroubles(logger)
  const { store, definitions } = await openStore(options, turn, clock, troubles)
  try {
    const { loopbackUsers } = options
    const resources = { limits: resourceLimits(options), readings: resourceReadings(options.dataDir) }
    const broker = new Broker({ store, clock, codec: amqpPropertyCodec, logger, loopbackUsers, resources })
    troubles.broker = broker
    broker.load(definitions)
    if (options.loadDefinitions !== undefined) {
      await definitionsLoaded(broker, options.loadDefinitions)
    } else if (broker.vacant) {
      await broker.firstStart({
        user: options.defaultUser ?? 'guest',
        password: options.defaultPassword ?? 'guest',
        vhost: options.defaultVhost ?? '/',
      })
      await new Promise<void>((resolve) => store.whenDurable(resolve))
    }
    const context = amqpContext(options, broker, turn)
    await broker.resources.start(clock)
    try {
      return await serve(options, context, logger)
    } catch (error) {
      broker.resources.stop()
      throw error
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function definitionsLoaded(broker: Broker, path: string): Promise<void> {
  try {
    await loadDefinitions(broker, path)
  } catch (error) {
    if (error instanceof DefinitionsError) throw new StartError(error.message, { cause: error })
    throw error
  }
}

/** Opens the ports, the one for AMQP first. */
async function serve(options: ServerOptions, context: AmqpContext, logger: Logger): Promise<Server> {
  const listener = await listen(options, context)
  logger.info({ port: listener.port, dataDir: options.dataDir ?? null }, 'accepting AMQP connections')
  try {
    const management = await startManagement(options, context, listener.port)
    return new RunningServer(context, listener, management, context.broker.store, logger)
  } catch (error) {
    listener.stop()
    throw error
  }
}

class RunningServer implements Server {
  readonly ports: Server['ports']
  readonly #management: ManagementServer | null
  readonly #context: AmqpContext
  readonly #listener: Listener
  readonly #store: Store
  readonly #logger: Logger
  #closing: Promise<void> | null = null

  constructor(
    context: AmqpContext,
    listener: Listener,
    management: ManagementServer | null,
    store: Store,
    logger: Logger,
  ) {
    this.ports = { amqp: listener.port, ...managementPorts(management) }
    this.#management = management
    this.#context = context
    this.#listener = listener
    this.#store = store
    this.#logger = logger
  }

  close(reason = 'shutdown'): Promise<void> {
    this.#closing ??= this.#close(reason)
    return this.#closing
  }

  async #close(reason: string): Promise<void> {
    this.#logger.info({ reason, connections: this.#context.connections.size }, 'stopping')
    this.#listener.stop()
    await this.#management?.close()
    const text = `CONNECTION_FORCED - broker forced connection closure with reason '${reason}'`
    // What goes back to a queue from one connection must not go out to another that is about to be closed.
    for (const connection of this.#context.connections) connection.stopDelivering()
    for (const connection of this.#context.connections) {
      if (connection.running) connection.close(ReplyCode.connectionForced, text, 0)
      else connection.destroy()
    }
    await this.#goodbyes()
    this.#context.broker.stop()
    await this.#store.close()
    this.#logger.info({}, 'stopped')
  }

  /** Waits until the clients have answered, and no longer than they deserve. */
  async #goodbyes(): Promise<void> {
    const { connections } = this.#context
    const deadline = performance.now() + GOODBYE_MS
    while (connections.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    for (const connection of connections) connection.destroy()
  }
}

/** Hears of the store's troubles, and has the publishers wait while they last. */
class StoreTroubles implements StoreMonitor {
  broker: Broker | null = null
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  storeFailed(error: Error): void {
    this.#logger.error({ err: error }, 'the database cannot be written; publishers wait')
    this.broker?.alarms.raise('disk', 'failure')
  }

  storeRecovered(): void {
    this.#logger.warn({}, 'the database can be written again')
    this.broker?.alarms.clear('disk', 'failure')
  }

  messagesLost({ log, first, last, count, error }: LostMessages): void {
    const queue = this.#queueOf(log)
    const facts = { err: error, vhost: queue?.vhost, queue: queue?.name, log, first, last, count }
    this.#logger.error(facts, 'stored messages are damaged; they were set aside')
  }

  damageFound(damage: Error): void {
    this.#logger.error({ err: damage }, 'the database is damaged; what could not be read was left out')
  }

  #queueOf(log: number): Queue | undefined {
    for (const { queues } of this.broker?.vhosts.values() ?? []) {
      for (const queue of queues.values()) if (queue.log?.id === log) return queue
    }
    return undefined
  }
}

async function openStore(
  options: ServerOptions,
  turn: Turn,
  clock: Clock,
  monitor: StoreMonitor,
): Promise<{ store: Store; definitions: readonly Definition[] }> {
  if (options.dataDir === undefined) return { store: new MemoryStore({ turn }), definitions: [] }
  try {
    return await LevelStore.open({ location: options.dataDir, turn, clock, monitor })
  } catch (error) {
    if (error instanceof StoreOpenError) throw new StartError(error.message, { cause: error })
    throw error
  }
}

function resourceLimits(options: ServerOptions): ResourceLimits {
  const memory = options.memoryLimit ?? MEMORY_SHARE_DEFAULT
  return {
    memoryBytes: memory <= 1 ? Math.floor(memory * memoryBytes()) : memory,
    diskFreeBytes: options.diskFreeLimitBytes ?? DISK_FREE_BYTES_DEFAULT,
  }
}

function resourceReadings(dataDir: string | undefined): ResourceReadings {
  return {
    residentBytes: () => process.memoryUsage.rss(),
    freeDiskBytes: async () => (dataDir === undefined ? null : freeBytes(dataDir)),
  }
}

function amqpContext(options: ServerOptions, broker: Broker, turn: Turn): AmqpContext {
  return {
    broker,
    turn,
    slabs: new SlabPool(),
    connections: new Set(),
    options: {
      frameMax: options.frameMax ?? 131_072,
      channelMax: options.channelMax ?? 2047,
      heartbeatSeconds: options.heartbeatSeconds ?? 60,
      messageBytesMax: options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
      handshakeTimeoutMs: options.handshakeTimeoutMs ?? 10_000,
      consumerTimeoutMs: options.consumerTimeoutMs ?? 0,
      consumerTimeoutCloses: options.consumerTimeoutResponse === 'close_channel',
      version: VERSION,
      clusterName: NODE_NAME,
    },
  }
}

function listen({ host, port = 0 }: ServerOptions, context: AmqpContext): Promise<Listener> {
  const { logger } = context.broker
  const accept = (socket: Socket): void => void new Connection(socket, context)
  const failed = (error: Error): void => logger.error({ err: error }, 'a connection cannot be accepted')
  return listening(host, port, () => Listener.listen({ host, port }, accept, failed))
}

async function startManagement(
  options: ServerOptions,
  context: AmqpContext,
  amqpPort: number,
): Promise<ManagementServer | null> {
  const { managementHost: host, managementPort: port } = options
  if (port === undefined) return null
  const { broker } = context
  const listeners = [{ protocol: 'amqp', address: options.host ?? '::', port: amqpPort, tls: false }]
  const { clock } = broker
  const node = {
    name: NODE_NAME,
    version: VERSION,
    startedAt: clock.now(),
    dataDir: options.dataDir ?? null,
    listeners,
  }
  const management = await listening(host, port, () => ManagementServer.listen({ broker, clock, node, host, port }))
  listeners.push({ protocol: 'http', address: host ?? '::', port: management.port, tls: false })
  const { prometheusPort } = options
  if (prometheusPort !== undefined) {
    try {
      await listening(host, prometheusPort, () => management.listenForScrapes({ host, port: prometheusPort }))
    } catch (error) {
      await management.close()
      throw error
    }
    const { scrapePort } = management
    listeners.push({ protocol: 'http/prometheus', address: host ?? '::', port: scrapePort ?? 0, tls: false })
  }
  broker.logger.info({ port: management.port }, 'the HTTP API is served')
  return management
}

function managementPorts(management: ManagementServer | null): Omit<Server['ports'], 'amqp'> {
  if (management === null) return {}
  const { port, scrapePort } = management
  return { management: port, ...(scrapePort === null ? {} : { prometheus: scrapePort }) }
}

/** Starts to listen, or says in words why that cannot be. */
async function listening<T>(host: string | undefined, port: number, begin: () => Promise<T>): Promise<T> {
  try {
    return await begin()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const where = host === undefined ? `port ${port}` : `${host}, port ${port}`
    if (code === 'EADDRINUSE') throw new StartError(`${where} is in use by another process`, { cause: error })
    if (code === 'EACCES')
      throw new StartError(`${where} needs rights that this process does not have`, { cause: error })
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new StartError(`${where} is not an address of this machine`, { cause: error })
    }
    throw error
  }
}
