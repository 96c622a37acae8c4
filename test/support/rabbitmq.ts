// Debian's RabbitMQ, where it is installed: as a child of the test, with everything that it writes below one directory,
// and its command line tool.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

/** Not the one in the path, which changes to another user and writes where that one's service does. */
const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server'
const LIBRARY = '/usr/lib/rabbitmq/lib'
/** Syncing costs nothing there. */
const DIRECTORIES = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
/** On a quiet machine it takes ten seconds. */
const START_TIMEOUT_MS = 180_000

/** Whether there is a RabbitMQ on this machine. */
export const rabbitmqInstalled = existsSync(SERVER)

/** The tool in Python that is a part of its management plugin; null without it, or without Python. */
export const adminPath = findAdmin()

function findAdmin(): string | null {
  if (spawnSync('python3', ['--version']).status !== 0 || !existsSync(LIBRARY)) return null
  const server = readdirSync(LIBRARY).find((name) => name.startsWith('rabbitmq_server-'))
  const plugins = join(LIBRARY, server ?? '', 'plugins')
  const management = readdirSync(plugins).find((name) => /^rabbitmq_management-[\d.]+$/.test(name))
  const paths = [join(plugins, management ?? '', 'priv/www/cli/rabbitmqadmin'), '/usr/bin/rabbitmqadmin']
  return paths.find((path) => existsSync(path)) ?? null
}

/** What it is to do beyond routing messages. */
export interface RabbitMQOptions {
  /** Whether it counts what happens, twice a second: without that it is faster. */
  readonly statistics?: boolean
  readonly plugins?: readonly string[]
}

/** One that runs. */
export class RabbitMQ {
  readonly port: number
  readonly managementPort: number
  /** Where its plugin for Prometheus listens, if that is on. */
  readonly prometheusPort: number
  readonly #directory: string
  readonly #children: readonly ChildProcess[]
  readonly #killOnExit = (): void => {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  private constructor(ports: readonly number[], directory: string, children: readonly ChildProcess[]) {
    this.port = ports[0]!
    this.managementPort = ports[1]!
    this.prometheusPort = ports[4]!
    this.#directory = directory
    this.#children = children
    process.on('exit', this.#killOnExit)
  }

  /** Starts it, which takes ten seconds and more. It needs nothing of a RabbitMQ that may run on the machine. */
  static async start(options: RabbitMQOptions = {}): Promise<RabbitMQ> {
    const directory = await mkdtemp(join(DIRECTORIES, 'leveret-rabbitmq-'))
    const ports = await freePorts(5)
    const environment = await prepare(directory, ports, options)
    // Erlang would start its port mapper itself, and leave it running.
    const mapper = spawn('epmd', ['-port', String(ports[2])], { stdio: 'ignore', env: environment })
    const server = spawn(SERVER, [], { stdio: ['pipe', 'pipe', 'pipe'], env: environment, cwd: directory })
    const running = new RabbitMQ(ports, directory, [server, mapper])
    try {
      await ready(server.stdout, server)
    } catch (error) {
      await running.stop()
      throw error
    }
    return running
  }

  /** Asks its HTTP API. */
  call(method: string, path: string, body?: string): Promise<Response> {
    const headers = { authorization: `Basic ${btoa('guest:guest')}`, 'content-type': 'application/json' }
    const url = `http://127.0.0.1:${this.managementPort}${path}`
    return fetch(url, { method, headers, ...(body === undefined ? {} : { body }) })
  }

  /** Ends it and removes what it wrote. */
  async stop(): Promise<void> {
    process.off('exit', this.#killOnExit)
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Writes its settings. Returns its environment, in which nothing of ours is but the path. */
async function prepare(
  directory: string,
  ports: readonly number[],
  { statistics = false, plugins = [] }: RabbitMQOptions,
): Promise<Record<string, string>> {
  const [amqp, management, mapper, distribution, prometheus] = ports
  const settings = [
    `listeners.tcp.1 = 127.0.0.1:${amqp}`,
    'management.tcp.ip = 127.0.0.1',
    `management.tcp.port = ${management}`,
    ...(statistics
      ? ['management.rates_mode = detailed', 'collect_statistics = fine', 'collect_statistics_interval = 500']
      : ['management.rates_mode = none', 'management_agent.disable_metrics_collector = true']),
    ...(plugins.includes('rabbitmq_prometheus')
      ? ['prometheus.tcp.ip = 127.0.0.1', `prometheus.tcp.port = ${prometheus}`]
      : []),
    'disk_free_limit.absolute = 1MB',
    'log.file.level = error',
    'log.console = false',
  ]
  await mkdir(join(directory, 'home'))
  await writeFile(join(directory, 'rabbitmq.conf'), settings.join('\n'))
  await writeFile(join(directory, 'plugins'), `[${['rabbitmq_management', ...plugins].join(',')}].`)
  return {
    PATH: `${process.env['PATH'] ?? ''}:/usr/bin:/bin`,
    HOME: join(directory, 'home'),
    RABBITMQ_NODENAME: `differential-${process.pid}@localhost`,
    RABBITMQ_NODE_PORT: String(amqp),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_PID_FILE: join(directory, 'pid'),
    RABBITMQ_CONF_ENV_FILE: join(directory, 'no-environment'),
    RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'plugins'),
    // The script then becomes the server, instead of waiting for it: its process id is the server's.
    RABBITMQ_ALLOW_INPUT: 'true',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none -noinput',
    ERL_EPMD_PORT: String(mapper),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  }
}

/** Waits until it says that it has started; fails with its last words when it ends before. */
async function ready(output: Readable, server: ChildProcess): Promise<void> {
  let said = ''
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`RabbitMQ does not get ready:\n${said}`)), START_TIMEOUT_MS)
    const hear = (chunk: Buffer): void => {
      said = (said + chunk.toString()).slice(-4096)
      if (!/completed with \d+ plugins/.test(said)) return
      clearTimeout(timer)
      resolve()
    }
    output.on('data', hear)
    server.stderr?.on('data', hear)
    server.once('error', reject)
    server.once('exit', (code) => reject(new Error(`RabbitMQ ended with ${code} before it was ready:\n${said}`)))
  })
}

/** Ports that nobody listens on, all different. */
async function freePorts(count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(probes.map((probe) => once(probe, 'listening')))
  const ports = probes.map((probe) => (probe.address() as AddressInfo).port)
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  return ports
}
