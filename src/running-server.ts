// Puts the parts together: a broker over its store, and the listeners. Ends them in order.
import { hostname } from 'node:os'
import type { AmqpContext } from './amqp/amqp-context.ts'
import type { Connection } from './amqp/connection.ts'
import { CONNECTIONS_LEAVING_AT_ONCE, MESSAGE_BYTES_MAX_DEFAULT } from './amqp/limits.ts'
import { MECHANISMS } from './amqp/mechanisms.ts'
import { AllIncomplete } from './amqp/incomplete.ts'
import { AllUncommitted } from './amqp/uncommitted.ts'
import { amqpPropertyCodec } from './amqp/property-codec.ts'
import { ReplyCode } from './amqp/wire/generated.ts'
import { Broker } from './core/broker.ts'
import type { Definition } from './core/definitions.ts'
import type { Store } from './core/ports.ts'
import type { ResourceLimits, ResourceReadings } from './core/resources.ts'
import type { Clock } from './lib/clock.ts'
import { Departures } from './lib/departures.ts'
import { beginCollection } from './lib/garbage.ts'
import type { Logger } from './lib/log.ts'
import { freeBytes, memoryBytes } from './lib/machine.ts'
import { Portions } from './lib/portions.ts'
import type { Turn } from './lib/turn.ts'
import { VERSION } from './lib/version.ts'
import { Listeners, type Ports } from './listeners.ts'
import { SlabPool } from './net/socket-writer.ts'
import type { Server, ServerOptions } from './server.ts'

/** What a server is made of. */
export interface ServerParts {
  readonly options: ServerOptions
  readonly store: Store
  /** What the store held. */
  readonly definitions: readonly Definition[]
  readonly logger: Logger
  readonly clock: Clock
  readonly turn: Turn
  /** Told of the broker before anything is loaded into it. */
  readonly made: (broker: Broker) => void
}

const NODE_NAME = `leveret@${hostname()}`

/** How long clients have to answer the close of a stopping broker, in milliseconds. */
const GOODBYE_MS = 1500

/** RabbitMQ 4's watermarks: six tenths of the memory, and 50 MB of the disk. */
const MEMORY_SHARE_DEFAULT = 0.6
const DISK_FREE_BYTES_DEFAULT = 50_000_000

/** RabbitMQ's management.http.max_body_size. */
const MANAGEMENT_BODY_BYTES_MAX_DEFAULT = 10_000_000

/**
 * Makes a broker of what the store held, and opens the ports.
 * @throws StartError when a port or the definitions to load cannot be used; the store stays open
 */
export async function runServer({
  options,
  store,
  definitions,
  logger,
  clock,
  turn,
  made,
}: ServerParts): Promise<Server> {
  const { loopbackUsers, passwordRule } = options
  const resources = { limits: resourceLimits(options), readings: resourceReadings(options.dataDir) }
  const broker = new Broker({
    store,
    clock,
    codec: amqpPropertyCodec,
    nodeName: NODE_NAME,
    logger,
    loopbackUsers,
    passwordRule,
    limits: options.limits,
    declarations: options.declarations,
    vhostDefaults: options.vhostDefaults,
    resources,
  })
  made(broker)
  broker.load(definitions)
  await broker.recall()
  if (options.loadDefinitions !== undefined) {
    const { loadDefinitions } = await import('./management/load-definitions.ts')
    await loadDefinitions(broker, options.loadDefinitions, options.skipUnchangedDefinitions ?? false)
  } else if (broker.vacant) {
    await broker.firstStart({
      user: options.defaultUser ?? 'guest',
      password: options.defaultPassword ?? 'guest',
      tags: options.defaultUserTags,
      vhost: options.defaultVhost ?? '/',
      rights: options.defaultPermissions,
    })
    await new Promise<void>((resolve) => store.whenDurable(resolve))
  }
  await broker.start()
  const { clusterName } = options
  if (clusterName !== undefined && clusterName !== broker.parameters.clusterName) {
    broker.parameters.renameCluster(clusterName)
  }
  const context = amqpContext(options, broker, turn)
  await broker.resources.start(clock)
  try {
    return await serve(options, context, logger)
  } catch (error) {
    broker.resources.stop()
    throw error
  }
}

/** Opens the ports. */
async function serve(options: ServerOptions, context: AmqpContext, logger: Logger): Promise<Server> {
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
    prometheusPath: options.prometheusPath ?? '/metrics',
    authMechanisms: context.options.mechanisms.map(({ name }) => name),
    metricsPerObject: options.metricsPerObject ?? false,
    logThreshold: options.logThreshold ?? null,
    endProgram: options.endProgram ?? null,
    configuration: options.configuration ?? (() => ''),
  }
  context.broker.openQueues()
  const listeners = await Listeners.open(options, context, node)
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
    collectGarbage: beginCollection,
    freeDiskBytes: async () => (dataDir === undefined ? null : freeBytes(dataDir)),
  }
}

function amqpContext(options: ServerOptions, broker: Broker, turn: Turn): AmqpContext {
  return {
    broker,
    turn,
    slabs: new SlabPool(),
    uncommitted: new AllUncommitted(broker.resources),
    incomplete: new AllIncomplete(broker.resources, broker.clock),
    connections: new Set(),
    leaving: new Portions<Connection>(turn, CONNECTIONS_LEAVING_AT_ONCE, (connection) => connection.leave()),
    options: {
      frameMax: options.frameMax ?? 131_072,
      channelMax: options.channelMax ?? 2047,
      heartbeatSeconds: options.heartbeatSeconds ?? 60,
      messageBytesMax: options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
      handshakeTimeoutMs: options.handshakeTimeoutMs ?? 10_000,
      mechanisms: MECHANISMS.filter(({ name }) => options.authMechanisms?.includes(name) ?? true),
      consumerTimeoutMs: options.consumerTimeoutMs ?? 0,
      consumerTimeoutCloses: options.consumerTimeoutResponse === 'close_channel',
      version: VERSION,
      clusterName: () => broker.parameters.clusterName ?? NODE_NAME,
    },
  }
}
