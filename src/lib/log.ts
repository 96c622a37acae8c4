// What the parts of the broker ask of a log. pino fits it; nothing here knows pino.

/** Writes one line with its facts as fields. The message is a constant phrase; what varies goes into the fields. */
export type LogLine = (fields: Readonly<Record<string, unknown>>, message: string) => void

/** A log with levels, as pino has them. */
export interface Logger {
  readonly debug: LogLine
  readonly info: LogLine
  readonly warn: LogLine
  readonly error: LogLine
}

const discard: LogLine = () => undefined

/** A log that nobody reads: the default when the broker is embedded. */
export const silentLogger: Logger = { debug: discard, info: discard, warn: discard, error: discard }

/** pino's levels, the lowest first; with `silent` nothing is logged. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** RabbitMQ's names of those that it calls otherwise. */
const RABBITMQ_LEVELS: ReadonlyMap<string, string> = new Map([
  ['notice', 'info'],
  ['warning', 'warn'],
  ['critical', 'fatal'],
  ['alert', 'fatal'],
  ['emergency', 'fatal'],
  ['none', 'silent'],
])

/** A level as it is called here; what is no level stays what it is. */
export function levelNamed(name: string): string {
  return RABBITMQ_LEVELS.get(name) ?? name
}

/** The least level that is logged, which can be changed at any time. A logger of pino is one. */
export interface LogThreshold {
  level: string
}
