// A broker, for the program and for other people's tests: opens its store, and has the rest loaded meanwhile.
import type { PasswordRule } from './core/access/password.ts'
import type { DeclarationRules } from './core/arguments.ts'
import type { Broker, FirstStart } from './core/broker.ts'
import type { Definition } from './core/definitions.ts'
import type { LostMessages, Store, StoreMonitor } from './core/ports.ts'
import type { Queue } from './core/queue/queue.ts'
import type { NodeLimits } from './core/quotas.ts'
import type { VHostDefaultsOptions } from './core/vhost-defaults.ts'
import { systemClock, type Clock } from './lib/clock.ts'
import { silentLogger, type Logger, type LogThreshold } from './lib/log.ts'
import { StartError } from './lib/start-error.ts'
import { Turn } from './lib/turn.ts'
import type { ListenerOptions, Ports } from './listeners.ts'
import type { CrossOrigins } from './management/cors.ts'
import { StoreOpenError } from './store/level/database.ts'
import { LevelStore } from './store/level/level-store.ts'
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
  /** Where metrics lie on the port that Prometheus scrapes. */
  readonly prometheusPath?: string | undefined
  /** Whether /metrics has a series for each object. Absent: it has their sums. */
  readonly metricsPerObject?: boolean | undefined
  /** The settings that hold, for whoever asks the HTTP API: text, without passwords. */
  readonly configuration?: (() => string) | undefined
  /** User, password and vhost that are made when the database is empty. */
  readonly defaultUser?: string | undefined
  readonly defaultPassword?: string | undefined
  readonly defaultVhost?: string | undefined
  /** The tags of that user; administrator without it. */
  readonly defaultUserTags?: readonly string[] | undefined
  /** What that user may do in that vhost; everything without it. */
  readonly defaultPermissions?: FirstStart['rights']
  /** Users, operator policies and limits that vhosts to come are made with. Absent: none. */
  readonly vhostDefaults?: VHostDefaultsOptions | undefined
  /** The name by which the broker is known from now on. Absent: the one that it has. */
  readonly clusterName?: string | undefined
  /** Whether definitions to load are left alone when they are those of the last import. */
  readonly skipUnchangedDefinitions?: boolean | undefined
  /** A file with definitions, or a directory of such, to be imported before anybody is let in; instead of the defaults. */
  readonly loadDefinitions?: string | undefined
  /** How many connections, channels, vhosts, queues and exchanges there may be in all, and consumers on a channel. Absent: any. */
  readonly limits?: NodeLimits | undefined
  /** What holds of declarations of queues. Absent: they are classic ones, and are what they were declared as. */
  readonly declarations?: DeclarationRules | undefined
  /** Bytes of a whole frame, as offered to clients. */
  readonly frameMax?: number | undefined
  readonly channelMax?: number | undefined
  /** Seconds, as offered to clients, who choose; 0 offers none. */
  readonly heartbeatSeconds?: number | undefined
  /** Bytes that the body of a message may have. */
  readonly messageBytesMax?: number | undefined
  /** Milliseconds from accepting a connection to connection.open-ok. */
  readonly handshakeTimeoutMs?: number | undefined
  /** The mechanisms by which clients may log in. Absent: all. */
  readonly authMechanisms?: readonly string[] | undefined
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
  /** What new passwords have to be like. */
  readonly passwordRule?: PasswordRule | undefined
  readonly logger?: Logger | undefined
  /** What the log leaves out, for operators to change. Absent: it cannot be changed. */
  readonly logThreshold?: LogThreshold | undefined
  /** Ends the program, for an administrator who asks for it over HTTP. Absent: nobody can but who started the broker. */
  readonly endProgram?: (() => void) | undefined
  readonly clock?: Clock | undefined
  /** Called once the database opens, on a thread of its own: until it has, the main thread is free for other things. */
  readonly opening?: (() => void) | undefined
}

/** A running broker. */
export interface Server {
  readonly ports: Ports
  /** Stops accepting, closes the connections with 320 CONNECTION_FORCED, writes what waits, and closes the database. */
  close(reason?: string): Promise<void>
}

export { StartError }

/**
 * Starts a broker.
 * @throws StartError when the data directory, the port or the definitions to load cannot be used
 */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const logger = options.logger ?? silentLogger
  const clock = options.clock ?? systemClock
  const turn = new Turn()
  const troubles = new StoreTroubles(logger)
  // The database is opened beside the main thread, which has much to load until then.
  const load = async () => import('./running-server.ts')
  const { store, definitions } = await openStore(options, turn, clock, troubles, () => {
    void load()
    options.opening?.()
  })
  try {
    const { runServer } = await load()
    return await runServer({
      options,
      store,
      definitions,
      logger,
      clock,
      turn,
      made: (broker) => troubles.watchedBy(broker),
    })
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Hears of the store's troubles, and has the publishers wait while they last. */
class StoreTroubles implements StoreMonitor {
  readonly #logger: Logger
  #broker: Broker | null = null
  #failing = false

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** The broker over the store, which may have had troubles before there was one. */
  watchedBy(broker: Broker): void {
    this.#broker = broker
    if (this.#failing) broker.alarms.raise('disk', 'failure')
  }

  storeFailed(error: Error): void {
    this.#logger.error({ err: error }, 'the database cannot be written; publishers wait')
    this.#failing = true
    this.#broker?.alarms.raise('disk', 'failure')
  }

  storeRecovered(): void {
    this.#logger.warn({}, 'the database can be written again')
    this.#failing = false
    this.#broker?.alarms.clear('disk', 'failure')
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
    for (const { queues } of this.#broker?.vhosts.values() ?? []) {
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
  opening: () => void,
): Promise<{ store: Store; definitions: readonly Definition[] }> {
  if (options.dataDir === undefined) return { store: new MemoryStore({ turn }), definitions: [] }
  try {
    return await LevelStore.open({ location: options.dataDir, turn, clock, monitor, opening })
  } catch (error) {
    if (error instanceof StoreOpenError) throw new StartError(error.message, { cause: error })
    throw error
  }
}
