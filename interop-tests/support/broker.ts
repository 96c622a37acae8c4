// The broker that a test file talks to: one of its own as a child process, or the one that INTEROP_URL names.
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll } from 'vitest'
import type { TestContext } from 'vitest'
import { deleteLeftovers } from './names.ts'

const host = '127.0.0.1'
const externalUrl = process.env['INTEROP_URL']
/** The HTTP API of that broker, for the tests that need it. */
const externalManagementUrl = process.env['INTEROP_MANAGEMENT_URL']
/** The program under test; an installed package's `dist/main.js` may be named instead of this checkout's. */
const program = process.env['INTEROP_MAIN'] ?? fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export interface Broker {
  /** `amqp://guest:guest@127.0.0.1:PORT`, without a trailing slash, so that `/vhost` or `?frameMax=4096` can follow. */
  readonly url: string
  readonly port: number
  /** `http://127.0.0.1:PORT` of the HTTP API, where user and password are `guest`. Throws when it is not known. */
  readonly managementUrl: string
  /** Ends the process with SIGKILL and resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again on the same port and data directory; one that still runs is stopped in order first. */
  restart(): Promise<void>
  /** Stops it with SIGTERM and removes its data. Throws when it does not exit with 0. */
  stop(): Promise<void>
}

/** Starts a broker on a free port and an empty directory, or lends the external one. */
async function startBroker(): Promise<Broker> {
  if (externalUrl !== undefined) return new BorrowedBroker(externalUrl)
  const broker = new OwnBroker(await freePort(), await mkdtemp(join(tmpdir(), 'leveret-interop-')))
  await broker.start()
  return broker
}

/** One broker for all tests of the file that calls this; it runs from before the first to after the last. */
export function useBroker(): Broker {
  let broker: Broker | undefined
  const running = (): Broker => {
    if (broker === undefined) throw new Error('The broker is only there while tests run.')
    return broker
  }
  beforeAll(async () => {
    broker = await startBroker()
  })
  afterAll(async () => {
    if (broker === undefined) return
    if (externalUrl !== undefined) await deleteLeftovers(broker.url)
    await broker.stop()
  })
  return {
    get url() {
      return running().url
    },
    get port() {
      return running().port
    },
    get managementUrl() {
      return running().managementUrl
    },
    kill: () => running().kill(),
    restart: () => running().restart(),
    stop: () => running().stop(),
  }
}

/** Skips a test that kills or restarts the broker when the broker belongs to somebody else. */
export function needsOwnBroker(context: TestContext): void {
  context.skip(externalUrl !== undefined, 'the broker at INTEROP_URL is not ours to kill')
}

/** Skips a test that asks the HTTP API when that of an external broker is not known. */
export function needsManagement(context: TestContext): void {
  const known = externalUrl === undefined || externalManagementUrl !== undefined
  context.skip(!known, 'INTEROP_MANAGEMENT_URL does not name the HTTP API of the broker at INTEROP_URL')
}

/** Skips a test on an external broker, which may be a RabbitMQ that answers differently; `reason` says how. */
export function differsElsewhere(context: TestContext, reason: string): void {
  context.skip(externalUrl !== undefined, reason)
}

class OwnBroker implements Broker {
  readonly port: number
  readonly url: string
  readonly #directory: string
  #process: ChildProcessByStdio<null, Readable, Readable> | undefined
  #managementPort = 0
  readonly #killOnExit = (): void => {
    this.#process?.kill('SIGKILL')
  }

  constructor(port: number, directory: string) {
    this.port = port
    this.url = `amqp://guest:guest@${host}:${port}`
    this.#directory = directory
  }

  get managementUrl(): string {
    return `http://${host}:${this.#managementPort}`
  }

  async start(): Promise<void> {
    if (!existsSync(program)) throw new Error(`${program} is missing: run "npm run build" first.`)
    const flags = [
      'start',
      '--data-dir',
      this.#directory,
      '--host',
      host,
      '--port',
      String(this.port),
      '--management-port',
      '0',
      '--prometheus-port',
      '0',
    ]
    const child = spawn(process.execPath, [program, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    // Should the tests' own process die, nothing may be left running.
    process.on('exit', this.#killOnExit)
    this.#managementPort = await readyLine(child, this.port)
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    if (this.#process !== undefined) await this.#stopInOrder()
    await this.start()
  }

  async stop(): Promise<void> {
    if (this.#process !== undefined) await this.#stopInOrder()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #stopInOrder(): Promise<void> {
    const code = await this.#end('SIGTERM')
    if (code !== 0) throw new Error(`The broker exited with ${code} after SIGTERM.`)
  }

  /** Resolves with the exit code, or null when a signal ended the process. */
  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#process
    if (child === undefined) throw new Error('The broker does not run.')
    this.#process = undefined
    process.off('exit', this.#killOnExit)
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    child.kill(signal)
    const [code] = (await once(child, 'exit')) as [number | null]
    return code
  }
}

class BorrowedBroker implements Broker {
  readonly url: string
  readonly port: number

  constructor(url: string) {
    this.url = url.replace(/\/$/, '')
    this.port = Number(new URL(url).port || 5672)
  }

  get managementUrl(): string {
    if (externalManagementUrl === undefined) throw new Error('INTEROP_MANAGEMENT_URL is not set.')
    return externalManagementUrl.replace(/\/$/, '')
  }

  async kill(): Promise<void> {
    throw new Error('An external broker is not killed.')
  }

  async restart(): Promise<void> {
    throw new Error('An external broker is not restarted.')
  }

  async stop(): Promise<void> {
    // It was running before the tests and goes on running.
  }
}

/**
 * Resolves with the port of the HTTP API when the process says that it accepts connections; rejects with its last words
 * when it ends before.
 */
async function readyLine(child: ChildProcessByStdio<null, Readable, Readable>, port: number): Promise<number> {
  let lastWords = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-4096)
  })
  return new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      reject(new Error(`The broker ended with ${code} before it was ready:\n${lastWords}`))
    })
    // The reader goes on to the end of the process, so that its output never fills the pipe.
    createInterface(child.stdout).on('line', (line) => {
      const [, amqpPort, managementPort] = /^leveret \S+ ready: amqp (\d+), management (\d+)/.exec(line) ?? []
      if (amqpPort === undefined) return
      if (Number(amqpPort) === port) resolve(Number(managementPort))
      else reject(new Error(`The broker listens on ${amqpPort}, not on ${port}.`))
    })
  })
}

/**
 * A port nobody listens on. It is below the range from which the system takes the ports of outgoing connections, because
 * such a connection, or a client that reconnects to a dead port and meets itself, would hold it when the broker returns.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const probe = createServer()
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen(port, host, () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => probe.close(resolve))
    return port
  }
}
