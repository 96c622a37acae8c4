// Puts the parts together: store, broker, listeners. Also the entry for embedding a broker in other people's tests.
import { hostname } from 'node:os'
import type { AmqpContext } from './amqp/amqp-context.ts'
import type { Connection } from './amqp/connection.ts'
import { CONNECTIONS_LEAVING_AT_ONCE, MESSAGE_BYTES_MAX_DEFAULT } from './amqp/limits.ts'
import { amqpPropertyCodec } from './amqp/property-codec.ts'
import { ReplyCode } from './amqp/wire/generated.ts'
import { Broker, type FirstStart } from './core/broker.ts'
import type { NodeLimits } from './core/quotas.ts'
import type { Definition } from './core/definitions.ts'
import type { Queue } from './core/queue/queue.ts'
import type { ResourceLimits, ResourceReadings } from './core/resources.ts'
import type { LostMessages, Store, StoreMonitor } from './core/ports.ts'
import { systemClock, type Clock } from './lib/clock.ts'
import { Departures } from './lib/departures.ts'
import { silentLogger, type Logger, type LogThreshold } from './lib/log.ts'
import { freeBytes, memoryBytes } from './lib/machine.ts'
import { Portions } from './lib/portions.ts'
import { StartError } from './lib/start-error.ts'
import { VERSION } from './lib/version.ts'
import { Turn } from './lib/turn.ts'
import type { ListenerOptions, Listeners, Ports } from './listeners.ts'
import type { CrossOrigins } from './management/cors.ts'
import { SlabPool } from './net/socket-writer.ts'
import { LevelStore } from './store/level/level-store.ts'
import { StoreOpenError } from './store/level/database.ts'
import { MemoryStore } from './store/memory/memory-store.ts'

/** How a broker is started. Everything has a default. */
export interface ServerOptions extends ListenerOptions {
  /** The directory of the database; made if it is not there. Absent: everything is in memory, and gone at the end. */
  readonly dataDir?: string | undefined
  /** Whether operator policies may be changed over the HTTP API. They may, unless this is false. */
  readonly operatorPolicyChanges?: boolean | undefined
  /** What every path of the HTTP API begins with. Absent: nothing. */
  readonly managementPathPrefix?: string | undefined
  /** Bytes that the body of a request to the HTTP API may have; files with definitions may have five times as much. */
  readonly managementBodyBytesMax?: number | undefined
  /** Web pages of which origins may use the HTTP API. Absent: none. */
  readonly crossOrigins?: CrossOrigins | undefined
  /** Whether /metrics has a series for each object. Absent: it has their sums. */
  readonly metricsPerObject?: boolean | undefined
  /** The settings that hold, for whoever asks the HTTP API: text, without passwords. */
  readonly configuration?: (() => string) | undefined
  /** User, password and vhost that are made when the database is empty. */
  readonly defaultUser?: string | undefined
  readonly defaultPassword?: string | undefined
  readonly defaultVhost?: string | undefined
  /** What that user may do in that vhost; everything without it. */
  readonly defaultPermissions?: FirstStart['rights']
  /** The name by which the broker is known from now on. Absent: the one that it has. */
  readonly clusterName?: string | undefined
  /** A file with definitions, or a directory of such, to be imported before anybody is let in; instead of the defaults. */
  readonly loadDefinitions?: string | undefined
  /** How many connections, channels, queues and exchanges there may be in all, and consumers on a channel. Absent: any. */
  readonly limits?: NodeLimits | undefined
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
  /** What the log leaves out, for operators to change. Absent: it cannot be changed. */
  readonly logThreshold?: LogThreshold | undefined
  readonly clock?: Clock | undefined
}

/** A running broker. */
export interface Server {
  readonly ports: Ports
  /** Stops accepting, closes the connections with 320 CONNECTION_FORCED, writes what waits, and closes the database. */
  close(reason?: string): Promise<void>
}

export { StartError }

const NODE_NAME = `leveret@${hostname()}`

/** How long clients have to answer the close of a stopping broker, in milliseconds. */
const GOODBYE_MS = 1500

/** RabbitMQ 4's watermarks: six tenths of the memory, and 50 MB of the disk. */
const MEMORY_SHARE_DEFAULT = 0.6
const DISK_FREE_BYTES_DEFAULT = 50_000_000

/** RabbitMQ's management.http.max_body_size. */
const MANAGEMENT_BODY_BYTES_MAX_DEFAULT = 10_000_000

/**
 * Starts a broker.
 * @throws StartError when the data directory, the port or the definitions to load cannot be used
 */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const logger = options.logger ?? silentLogger
  const clock = options.clock ?? systemClock
  const turn = new Turn()
  const troubles = new StoreTroubles(logger)
  // Read while the disk is waited for: the HTTP API is much to read.
  const listening = import('./listeners.ts')
  const { store, definitions } = await openStore(options, turn, clock, troubles)
  try {
    const { loopbackUsers } = options
    const resources = { limits: resourceLimits(options), readings: resourceReadings(options.dataDir) }
    const broker = new Broker({
      store,
      clock,
      codec: amqpPropertyCodec,
      nodeName: NODE_NAME,
      logger,
      loopbackUsers,
      limits: options.limits,
      resources,
    })
    troubles.broker = broker
    broker.load(definitions)
    await broker.recall()
    if (options.loadDefinitions !== undefined) {
      const { loadDefinitions } = await import('./management/load-definitions.ts')
      await loadDefinitions(broker, options.loadDefinitions)
    } else if (broker.vacant) {
      await broker.firstStart({
        user: options.defaultUser ?? 'guest',
        password: options.defaultPassword ?? 'guest',
        vhost: options.defaultVhost ?? '/',
        rights: options.defaultPermissions,
      })
      await new Promise<void>((resolve) => store.whenDurable(resolve))
    }
    const { clusterName } = options
    if (clusterName !== undefined && clusterName !== broker.parameters.clusterName) {
      broker.parameters.renameCluster(clusterName)
    }
    const context = amqpContext(options, broker, turn)
    await broker.resources.start(clock)
    try {
      return await serve((await listening).Listeners, options, context, logger)
    } catch (error) {
      broker.resources.stop()
      throw error
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Opens the ports. */
async function serve(
  opener: Pick<typeof Listeners, 'open'>,
  options: ServerOptions,
  context: AmqpContext,
  logger: Logger,
): Promise<Server> {
  const { clock, store } = context.broker
  const node = {
    name: NODE_NAME,
    version: VERSION,
    startedAt: clock.now(),
    dataDir: options.dataDir ?? null,
    operatorPolicyChanges: options.operatorPolicyChanges ?? true,
    pathPrefix: options.managementPathPrefix ?? '',
    bodyBytesMax: options.managementBodyBytesMax ?? MANAGEMENT_BODY_BYTES_MAX_DEFAULT,
    crossOrigins: options.crossOrigins ?? { origins: [], maxAgeSeconds: 0 },
    metricsPerObject: options.metricsPerObject ?? false,
    logThreshold: options.logThreshold ?? null,
    configuration: options.configuration ?? (() => ''),
  }
  const listeners = await opener.open(options, context, node)
  return new RunningServer(context, listeners, store, logger)
}

class RunningServer implements Server {
  readonly #listeners: Listeners
  readonly #context: AmqpContext
  readonly #store: Store
  readonly #logger: Logger
  readonly #departures: Departures
  #closing: Promise<void> | null = null

  constructor(context: AmqpContext, listeners: Listeners, store: Store, logger: Logger) {
    this.#context = context
    this.#listeners = listeners
    this.#store = store
    this.#logger = logger
    this.#departures = new Departures(context.broker.clock, () => context.connections.size)
  }

  get ports(): Ports {
    return this.#listeners.ports
  }

  close(reason = 'shutdown'): Promise<void> {
    this.#closing ??= this.#close(reason)
    return this.#closing
  }

  async #close(reason: string): Promise<void> {
    this.#logger.info({ reason, connections: this.#context.connections.size }, 'stopping')
    this.#departures.stop()
    await this.#listeners.close()
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
    queue?.messagesLost(first, last, count)
    const facts = { err: error, vhost: queue?.vhost, queue: queue?.name, log, first, last, count }
    this.#logger.error(facts, 'stored messages are damaged; they were set aside')
  }

  damageFound(damage: Error): void {
    this.#logger.error({ err: damage }, 'the database is damaged; what could not be read was left out')
  }

  #queueOf(log: number): Queue | undefined {
    for (const { queues } of this.broker?.vhosts.values() ?? []) {
      for (const queue of queues.values()) {
        for (const level of queue.levelLogs.values()) if (level.id === log) return queue
      }
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
    leaving: new Portions<Connection>(turn, CONNECTIONS_LEAVING_AT_ONCE, (connection) => connection.leave()),
    options: {
      frameMax: options.frameMax ?? 131_072,
      channelMax: options.channelMax ?? 2047,
      heartbeatSeconds: options.heartbeatSeconds ?? 60,
      messageBytesMax: options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
      handshakeTimeoutMs: options.handshakeTimeoutMs ?? 10_000,
      consumerTimeoutMs: options.consumerTimeoutMs ?? 0,
      consumerTimeoutCloses: options.consumerTimeoutResponse === 'close_channel',
      version: VERSION,
      clusterName: () => broker.parameters.clusterName ?? NODE_NAME,
    },
  }
}
