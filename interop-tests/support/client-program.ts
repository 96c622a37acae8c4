// Programs in other languages, which use a client as its users do. What they print are lines: one for each point at which
// the test has something to do, and at the end their result as JSON.
import { execFile, spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { afterAll, onTestFinished } from 'vitest'
import { Inbox } from './inbox.ts'

type Environment = Readonly<Record<string, string>>

/** Why these programs, or files of theirs, cannot be used here; null when they can. */
export function whyMissing(commands: readonly string[], files: readonly string[] = []): string | null {
  const command = commands.find((name) => spawnSync('which', [name]).status !== 0)
  if (command !== undefined) return `there is no ${command}`
  const file = files.find((path) => !existsSync(path))
  return file === undefined ? null : `there is no ${file}`
}

/** Why a command does not run with these words, which load a client; null when it does. */
export function whyRefused(command: string, words: readonly string[]): string | null {
  const { error, status } = spawnSync(command, [...words])
  if (error !== undefined) return `there is no ${command}`
  return status === 0 ? null : `${command} ${words.join(' ')} fails`
}

/** The reason why tests are skipped, if they are, as it follows their title. */
export function because(why: string | null): string {
  return why === null ? '' : ` (${why})`
}

/** A directory for what a compiler makes; it is removed after the file's last test. */
export function buildDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-build-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Runs a command to its end and resolves with what it prints. Throws with what it says when it fails. */
export async function run(command: string, words: readonly string[], more: Environment = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(command, [...words], { env: environment(more), maxBuffer: 1 << 26 })
  return stdout
}

/** A program that runs; it is ended with the test that started it. */
export class ClientProgram {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #lines = new Inbox<string | null>()
  readonly #name: string
  #errors = ''

  constructor(command: string, words: readonly string[], more: Environment = {}) {
    this.#name = [command, ...words].join(' ')
    this.#child = spawn(command, [...words], { stdio: ['ignore', 'pipe', 'pipe'], env: environment(more) })
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()))
    createInterface(this.#child.stdout).on('line', this.#lines.put)
    this.#child.once('close', () => this.#lines.put(null))
    onTestFinished(() => this.#end())
  }

  /** Waits for its next line and throws, with what it says of the matter, when that is another one. */
  async says(expected: string): Promise<void> {
    const line = await this.#lines.next()
    if (line !== expected) throw new Error(`${this.#name} said ${line ?? 'no more'}\n${this.#errors}`)
  }

  /** Waits for its last line, and reads it as JSON. Throws with what it said when it fails. */
  async result(): Promise<unknown> {
    const line = await this.#lines.next()
    const after = line === null ? null : await this.#lines.next()
    if (line === null || after !== null || this.#child.exitCode !== 0) {
      throw new Error(`${this.#name} ended with ${this.#child.exitCode}: ${line} ${after}\n${this.#errors}`)
    }
    return JSON.parse(line) as unknown
  }

  async #end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}

function environment(more: Environment): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', ...more }
}
