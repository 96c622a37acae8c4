// Debian's RabbitMQ, where it is installed: a node of our own beside whatever else runs, and its command line tool.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const LIBRARY = '/usr/lib/rabbitmq/lib'
const START_MS_MAX = 90_000

/** The directory of the installed version; null without one. */
function installed(): string | null {
  if (!existsSync(LIBRARY)) return null
  const version = readdirSync(LIBRARY).find((name) => name.startsWith('rabbitmq_server-'))
  return version === undefined ? null : join(LIBRARY, version)
}

/** The program that starts a node, and the command line tool in Python that is part of the management plugin. */
export const serverPath = installed() === null ? null : join(installed()!, 'sbin/rabbitmq-server')
export const adminPath = findAdmin()

function findAdmin(): string | null {
  if (spawnSync('python3', ['--version']).status !== 0) return null
  const plugins = installed() === null ? null : join(installed()!, 'plugins')
  const management =
    plugins === null ? undefined : readdirSync(plugins).find((name) => /^rabbitmq_management-[\d.]+$/.test(name))
  const paths = ['/usr/bin/rabbitmqadmin']
  if (management !== undefined) paths.unshift(join(plugins!, management, 'priv/www/cli/rabbitmqadmin'))
  return paths.find((path) => existsSync(path)) ?? null
}

/** A node of RabbitMQ that nobody else knows of. */
export class RabbitNode {
  readonly port: number
  readonly #directory: string
  readonly #child: ChildProcess

  readonly #namesPort: number

  private constructor(port: number, namesPort: number, directory: string, child: ChildProcess) {
    this.port = port
    this.#namesPort = namesPort
    this.#directory = directory
    this.#child = child
  }

  /** Starts a node with its HTTP API. Rejects when it does not come up. */
  static async start(): Promise<RabbitNode> {
    const directory = await mkdtemp(join(tmpdir(), 'leveret-rabbitmq-'))
    const [amqp, management, distribution, names] = await freePorts(4)
    await writeFile(join(directory, 'plugins'), '[rabbitmq_management].\n')
    const lines = [`listeners.tcp.1 = 127.0.0.1:${amqp}`, 'management.tcp.ip = 127.0.0.1', 'log.console = true']
    await writeFile(join(directory, 'rabbitmq.conf'), [...lines, `management.tcp.port = ${management}`, ''].join('\n'))
    const child = spawn(serverPath!, [], {
      detached: true,
      stdio: 'ignore',
      env: {
        PATH: process.env['PATH'],
        HOME: directory,
        RABBITMQ_NODENAME: `leveret${process.pid}@localhost`,
        RABBITMQ_NODE_PORT: String(amqp),
        RABBITMQ_DIST_PORT: String(distribution),
        ERL_EPMD_PORT: String(names),
        // It may be told to go before it has seen that the node is gone.
        ERL_EPMD_RELAXED_COMMAND_CHECK: 'true',
        RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
        RABBITMQ_LOG_BASE: join(directory, 'log'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'plugins'),
        RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
        RABBITMQ_PID_FILE: join(directory, 'pid'),
      },
    })
    const node = new RabbitNode(management!, names!, directory, child)
    try {
      await node.#ready()
    } catch (error) {
      await node.stop()
      throw error
    }
    return node
  }

  call(method: string, path: string, body?: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`,
        'content-type': 'application/json',
      },
      ...(body === undefined ? {} : { body }),
    })
  }

  async stop(): Promise<void> {
    const { pid, exitCode } = this.#child
    if (pid !== undefined && exitCode === null) {
      const ended = once(this.#child, 'exit')
      // The server and what it started are one process group of ours.
      process.kill(-pid, 'SIGKILL')
      await ended
    }
    // Erlang's name server leaves the group, and stays until it is told to go.
    spawnSync('epmd', ['-port', String(this.#namesPort), '-kill'])
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }

  async #ready(): Promise<void> {
    const deadline = performance.now() + START_MS_MAX
    for (;;) {
      try {
        if ((await this.call('GET', '/api/overview')).ok) return
      } catch (error) {
        if (!(error instanceof TypeError)) throw error
      }
      if (performance.now() > deadline || this.#child.exitCode !== null) throw new Error('RabbitMQ does not come up')
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
