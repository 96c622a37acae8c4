// `leveret start`: the broker as a program of its own, with its log, its ready line and its signals.
import { getHeapStatistics } from 'node:v8'
import type { Config } from './config/config.ts'
import { effectiveDocument } from './config/document.ts'
import type { Values } from './config/schema.ts'
import { addressesOf } from './config/setting.ts'
import { tlsSettings } from './config/tls.ts'
import { vhostDefaults } from './config/vhost-defaults.ts'
import { Exit, fail } from './exit.ts'
import { systemClock } from './lib/clock.ts'
import { beginCollection, collectGarbage } from './lib/garbage.ts'
import { boundHeapGrowth } from './lib/heap-growth.ts'
import { VERSION } from './lib/version.ts'
import { ProcessLog } from './process-log.ts'
import { startServer, StartError, type Server, type ServerOptions } from './server.ts'

/** A close that takes longer is cut off: whoever sent the signal follows it with SIGKILL at some time. */
const CLOSE_MS_MAX = 4500
/** How long after the start its garbage is collected. */
const TIDY_AFTER_MS = 500
/** A heap of which less is in use is collected in some 20 ms. */
const SMALL_HEAP_BYTES = 32 * 1024 * 1024

/** Starts the broker, says so, and stops it when the process is told to. */
export async function start(config: Config): Promise<void> {
  const { 'log-level': level, 'log-format': format } = config.values
  const log = new ProcessLog(level, format)
  process.on('uncaughtException', (error) => crash(log, error))
  let told = false
  const stopOnce = (by: string): void => {
    if (!told) void starting.then((started) => stop(started, log, by))
    told = true
  }
  const starting = startServer({
    ...serverOptions(config.values),
    logger: log,
    logThreshold: log,
    opening: () => log.prepare('info'),
    endProgram: () => stopOnce('HTTP'),
    configuration: () => effectiveDocument(config),
  })
  let server: Server
  try {
    server = await starting
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    log.flush()
    fail(error.message, Exit.failed)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stopOnce)
  if (config.sources['default-user'] !== 'default' && config.sources['default-pass'] === 'default') {
    log.warn({ setting: 'default-pass' }, 'a default user was named, but has the password that everybody knows')
  }
  if (config.ignored.length > 0) log.warn({ keys: config.ignored }, 'settings of RabbitMQ that mean nothing here')
  announce(server, log)
  // Those who wait for the ready line come first.
  systemClock.after(TIDY_AFTER_MS, () => tidy(log))
  boundHeapGrowth(systemClock)
}

/** What could wait until there is time. */
function tidy(log: ProcessLog): void {
  // That no file can be opened any more is to be logged, too.
  log.prepare('fatal')
  // What starting took an idle broker would keep for hours. All at once leaves less, but takes long where much is in use.
  if (getHeapStatistics().used_heap_size < SMALL_HEAP_BYTES) collectGarbage()
  else beginCollection()
}

function serverOptions(values: Values): ServerOptions {
  return {
    dataDir: values['data-dir'],
    port: values.port,
    alsoListen: addressesOf(values['also-listen']),
    ...(values['management-port'] === null ? {} : { managementPort: values['management-port'] }),
    ...(values['prometheus-port'] === null ? {} : { prometheusPort: values['prometheus-port'] }),
    ...tlsSettings(values),
    ...(values['management-host'] === null ? {} : { managementHost: values['management-host'] }),
    ...(values['prometheus-host'] === null ? {} : { prometheusHost: values['prometheus-host'] }),
    prometheusPath: values['prometheus-path'],
    metricsPerObject: values['prometheus-per-object'],
    defaultUser: values['default-user'],
    defaultPassword: values['default-pass'],
    defaultUserTags: values['default-user-tags'],
    passwordRule: { lengthMin: values['password-min-length'], pattern: values['password-pattern'] },
    defaultVhost: values['default-vhost'],
    defaultPermissions: {
      configure: values['default-permissions-configure'],
      write: values['default-permissions-write'],
      read: values['default-permissions-read'],
    },
    vhostDefaults: vhostDefaults(values),
    ...(values['cluster-name'] === null ? {} : { clusterName: values['cluster-name'] }),
    ...(values['load-definitions'] === null ? {} : { loadDefinitions: values['load-definitions'] }),
    skipUnchangedDefinitions: values['definitions-skip-if-unchanged'],
    loopbackUsers: values['loopback-users'],
    limits: {
      connections: values['connection-max'] || Infinity,
      channels: values['channel-max-per-node'] || Infinity,
      vhosts: values['vhost-max'] || Infinity,
      queues: values['queue-max'] || Infinity,
      exchanges: values['exchange-max'] || Infinity,
      consumers: values['consumer-max-per-channel'] || Infinity,
    },
    declarations: {
      defaultType: values['default-queue-type'],
      relaxed: values['quorum-relaxed-redeclaration'],
    },
    frameMax: values['frame-max'],
    channelMax: values['channel-max'],
    heartbeatSeconds: values.heartbeat,
    memoryLimit: values['memory-limit'],
    diskFreeLimitBytes: values['disk-free-limit'],
    messageBytesMax: values['max-message-size'],
    consumerTimeoutMs: values['consumer-timeout'],
    consumerTimeoutResponse: values['consumer-timeout-response'],
    handshakeTimeoutMs: values['handshake-timeout'],
    authMechanisms: values['auth-mechanisms'],
    managementBodyBytesMax: values['management-max-body-size'],
    crossOrigins: {
      origins: values['management-cors-allow-origins'],
      maxAgeSeconds: values['management-cors-max-age'],
    },
    ...(values['management-path-prefix'] === null ? {} : { managementPathPrefix: values['management-path-prefix'] }),
    operatorPolicyChanges: values['operator-policy-changes'] === 'allowed',
    ...(values.host === null ? {} : { host: values.host }),
  }
}

/** Prints the one line that scripts wait for: `leveret VERSION ready: PROTOCOL PORT[, PROTOCOL PORT]...`. */
function announce(server: Server, log: ProcessLog): void {
  const opened = Object.entries(server.ports).filter(([, port]) => port !== 0)
  const ports = opened.map(([protocol, port]) => `${protocol} ${port}`)
  process.stdout.on('error', (error) => log.warn({ err: error }, 'nobody reads standard output'))
  process.stdout.write(`leveret ${VERSION} ready: ${ports.join(', ')}\n`)
}

/** Stops in order. `by` is a signal, or how else somebody asked for it. */
async function stop(server: Server, log: ProcessLog, by: string): Promise<void> {
  log.info({ by }, 'told to stop')
  const overdue = setTimeout(() => {
    log.error({ milliseconds: CLOSE_MS_MAX }, 'closing took too long and was cut off')
    exit(log, Exit.failed)
  }, CLOSE_MS_MAX)
  let code: number = Exit.done
  try {
    await server.close()
  } catch (error) {
    // The disk, most likely. What was confirmed is on it.
    log.error({ err: error }, 'closing failed')
    code = Exit.failed
  }
  clearTimeout(overdue)
  exit(log, code)
}

/** A mistake of ours: say where, and go. What was confirmed is on disk. */
function crash(log: ProcessLog, error: unknown): void {
  log.fatal({ err: error }, 'the broker made a mistake and cannot go on')
  exit(log, Exit.failed)
}

function exit(log: ProcessLog, code: number): never {
  log.flush()
  process.exit(code)
}
