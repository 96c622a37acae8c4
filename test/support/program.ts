// Runs the program as it was built, and hears what it says.
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

/** Ports that the system picks, so that no broker is in another's way. */
export const ANY_PORTS = ['--port', '0', '--management-port', '0', '--prometheus-port', '0'] as const

/** What a program that ended left behind. */
export interface Outcome {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

/** A run of `leveret`. */
export class Program {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #firstLine: Promise<unknown>
  readonly #ended: Promise<unknown>
  #output = ''
  #errors = ''

  /** Runs it with these words on its command line, and nothing of ours but the path in its environment. */
  constructor(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const env = { PATH: process.env['PATH'] ?? '', ...environment }
    this.#child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'pipe'], env })
    this.#child.stdout.on('data', (chunk: Buffer) => (this.#output += chunk.toString()))
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()))
    this.#ended = once(this.#child, 'close')
    const line = once(createInterface(this.#child.stdout), 'line').then(([text]) => text as unknown)
    this.#firstLine = Promise.race([line, this.#ended.then(() => undefined)])
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** The first line on standard output; fails with what it said on standard error when it ends before. */
  async firstLine(): Promise<string> {
    const line = await this.#firstLine
    if (typeof line === 'string') return line
    throw new Error(`the program ended before it printed a line: ${this.#errors}`)
  }

  /** The port of a protocol in the ready line. */
  async port(protocol = 'amqp'): Promise<number> {
    const line = await this.firstLine()
    return Number(new RegExp(`^leveret \\S+ ready: .*\\b${protocol} (\\d+)\\b`).exec(line)?.[1])
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async outcome(): Promise<Outcome> {
    await this.#ended
    return { code: this.#child.exitCode, output: this.#output, errors: this.#errors }
  }

  /** Ends it, whatever it is doing. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#ended
  }
}
