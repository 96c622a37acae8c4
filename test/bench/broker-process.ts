// A broker in a process of its own, started as `npm start` starts it, and what can be seen of it from outside.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { Readable } from 'node:stream'

const MAIN = join(import.meta.dirname, '../../dist/main.js')
const PROBE = join(import.meta.dirname, 'loop-probe.mjs')
const SAMPLE_MS = 50

/** What `npm start` tells malloc; and Node.js, which would read any authorities that are named there at each start. */
const ENVIRONMENT = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '262144',
  NODE_EXTRA_CA_CERTS: '',
} as const

/** How late the event loop was, in milliseconds. */
export interface LoopDelay {
  readonly p99: number
  readonly max: number
  /** The longest that one pass of it had the processor, which is less when others had it meanwhile. */
  readonly held: number
}

/** Resident memory in MiB: the highest that was seen, and the last. */
export interface Memory {
  readonly peak: number
  readonly last: number
}

/** Passes on what a broker writes of its own accord, but for what it tells of a day without trouble. */
function sayTrouble(line: string): void {
  if (!line.startsWith('{"level":30,')) process.stderr.write(`${line}\n`)
}

/** A running broker with its HTTP API and its metrics, on ports that were free. */
export class BrokerProcess {
  readonly port: number
  /** Of the HTTP API. */
  readonly managementPort: number
  /** Milliseconds from its start until it said that it was ready. */
  readonly readyMs: number
  /** `performance.now()` when it was started. */
  readonly begun: number
  readonly #child: ChildProcess
  readonly #answers: Interface

  private constructor(child: ChildProcess, ready: string, begun: number) {
    this.#child = child
    this.#answers = createInterface(child.stdio[3] as Readable)
    this.port = Number(/amqp (\d+)/.exec(ready)![1])
    this.managementPort = Number(/management (\d+)/.exec(ready)![1])
    this.begun = begun
    this.readyMs = performance.now() - begun
  }

  /** Starts one; `flags` are further ones for Node.js. */
  static async start(directory: string, flags: readonly string[] = []): Promise<BrokerProcess> {
    const begun = performance.now()
    const ports = ['--port', '0', '--management-port', '0', '--prometheus-port', '0']
    const words = [MAIN, 'start', '--data-dir', directory, ...ports, '--log-level', 'info', '--log-format', 'json']
    const child = spawn(process.execPath, ['--max-semi-space-size=8', ...flags, '--import', PROBE, ...words], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...ENVIRONMENT },
    })
    const end = (): unknown => child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.off('exit', end))
    createInterface(child.stderr!).on('line', sayTrouble)
    const [line] = (await once(child.stdout!, 'data')) as [Buffer]
    return new BrokerProcess(child, line.toString(), begun)
  }

  /** Resident memory in MiB. */
  get resident(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024
  }

  /** Milliseconds that its event loop's thread has been on a processor. */
  get threadMs(): number {
    const { pid } = this.#child
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ', 1)[0]) / 1e6
  }

  /** How many descriptors it has open. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.#child.pid}/fd`).length
  }

  /** Watches its memory while something is done. */
  async during(work: Promise<void>): Promise<Memory> {
    let peak = 0
    const timer = setInterval(() => (peak = Math.max(peak, this.resident)), SAMPLE_MS)
    try {
      await work
    } finally {
      clearInterval(timer)
    }
    const last = this.resident
    return { peak: Math.max(peak, last), last }
  }

  /** How late its event loop was since it was started, or since this was last asked. */
  async loopDelay(): Promise<LoopDelay> {
    const answer = once(this.#answers, 'line')
    this.#child.kill('SIGUSR2')
    const [line] = (await answer) as [string]
    return JSON.parse(line) as LoopDelay
  }

  /** Asks it to stop, and waits until it has. */
  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await ended
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}
