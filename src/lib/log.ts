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
