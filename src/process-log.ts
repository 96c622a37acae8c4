// The log of the program: lines on standard error, written by pino, which is loaded when there is one to write.
import { createRequire } from 'node:module'
import type { BaseLogger, pino } from 'pino'
import type { PinoPretty } from 'pino-pretty'
import type { Values } from './config/schema.ts'
import { LOG_LEVELS, type Logger, type LogThreshold } from './lib/log.ts'

/** What the log may hold back while standard error takes nothing; beyond that lines are dropped. */
const LOG_BYTES_MAX = 1024 * 1024

type Level = (typeof LOG_LEVELS)[number]

type Fields = Readonly<Record<string, unknown>>

/** A log that may hold lines back, and must be flushed before the process exits. */
export class ProcessLog implements Logger, LogThreshold {
  readonly #format: Values['log-format']
  #level: string
  #writer: BaseLogger | null = null
  #flush = (): void => undefined

  constructor(level: Values['log-level'], format: Values['log-format']) {
    this.#level = level
    this.#format = format
  }

  get level(): string {
    return this.#level
  }

  set level(level: string) {
    this.#level = level
    if (this.#writer !== null) this.#writer.level = level
  }

  /** Loads what writes lines of this level, if they are wanted: now rather than with the first of them. */
  prepare(level: Level): void {
    if (this.#wants(level)) this.#writer ??= this.#open()
  }

  debug(fields: Fields, message: string): void {
    this.#write('debug', fields, message)
  }

  info(fields: Fields, message: string): void {
    this.#write('info', fields, message)
  }

  warn(fields: Fields, message: string): void {
    this.#write('warn', fields, message)
  }

  error(fields: Fields, message: string): void {
    this.#write('error', fields, message)
  }

  fatal(fields: Fields, message: string): void {
    this.#write('fatal', fields, message)
  }

  /** Writes what was held back. */
  flush(): void {
    this.#flush()
  }

  #write(level: Exclude<Level, 'silent'>, fields: Fields, message: string): void {
    if (!this.#wants(level)) return
    this.#writer ??= this.#open()
    this.#writer[level](fields, message)
  }

  #wants(level: Level): boolean {
    return LOG_LEVELS.findIndex((each) => each === level) >= LOG_LEVELS.findIndex((each) => each === this.#level)
  }

  #open(): BaseLogger {
    // An import would be waited for, and a line cannot wait.
    const require = createRequire(import.meta.url)
    const make = (require('pino') as { readonly pino: typeof pino }).pino
    const level = this.#level
    if (this.#format === 'json' || (this.#format === 'auto' && !process.stderr.isTTY)) {
      const destination = make.destination({ dest: 2, sync: false, maxLength: LOG_BYTES_MAX })
      this.#flush = () => destination.flushSync()
      return make({ level }, destination)
    }
    const pretty = require('pino-pretty') as typeof PinoPretty
    return make(
      { level },
      pretty({ destination: 2, sync: true, colorize: process.stderr.isTTY, ignore: 'pid,hostname' }),
    )
  }
}
