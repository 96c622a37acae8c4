// What a command of `leveret ctl` is made of.
import type { ApiClient, Row, Target } from './client.ts'
import { CtlError, CtlExit } from './client.ts'
import type { Progress } from './progress.ts'

/** The options that commands take, by name, as they were given. */
export type Options = Readonly<Record<string, string | boolean | undefined>>

/** What a command works with. */
export interface Context {
  readonly api: ApiClient
  readonly target: Target
  readonly vhost: string
  /** The words behind the command. */
  readonly words: readonly string[]
  readonly options: Options
  readonly progress: Progress
  /** Writes something before the command has ended. */
  readonly say: (text: string) => void
}

/** What a command says: rows of a table, a text, or nothing. */
export type Outcome = { readonly columns: readonly Column[]; readonly rows: readonly Row[] } | string | void

/** A column: the name in the heading, which is also the dotted path of the value unless that is named apart. */
export type Column = string | { readonly name: string; readonly path: string }

/** One command: what it takes, what it is for, and how many words it needs at least and takes at most. */
export interface Command {
  readonly usage: string
  readonly purpose: string
  readonly words: readonly [least: number, most: number]
  run(context: Context): Promise<Outcome>
}

/** Commands by their names. */
export type Commands = Readonly<Record<string, Command>>

export const MANY = Infinity

export function command(
  usage: string,
  purpose: string,
  words: 0 | readonly [least: number, most: number],
  run: (context: Context) => Promise<Outcome>,
): Command {
  return { usage, purpose, words: words === 0 ? [0, 0] : words, run }
}

/** A list whose columns may be named; some columns have another name in the API than rabbitmqctl gives them. */
export function list(
  columns: readonly string[],
  rows: (context: Context) => Promise<readonly Row[]>,
  purpose: string,
  paths: Readonly<Record<string, string>> = {},
): Command {
  return command('[COLUMN...]', purpose, [0, MANY], async (context) => ({
    columns: (context.words.length > 0 ? context.words : columns).map((name) => ({ name, path: paths[name] ?? name })),
    rows: await rows(context),
  }))
}

/** For calls whose answer is not worth a word. */
export async function silent(call: Promise<unknown>): Promise<void> {
  await call
}

/** An option as text. */
export function textOption(options: Options, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

/** An option as a number. Throws CtlError. */
export function numberOption(options: Options, name: string, absent: number): number {
  const text = textOption(options, name)
  if (text === undefined) return absent
  if (!/^-?\d+$/.test(text)) throw new CtlError(CtlExit.usage, `--${name} must be a whole number, not ${text}`)
  return Number(text)
}

/** A word that holds JSON. Throws CtlError. */
export function jsonWord(word: string): unknown {
  try {
    return JSON.parse(word) as unknown
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new CtlError(CtlExit.data, `this is not JSON: ${word}`, { cause: error })
  }
}

/** A word that holds a JSON object. Throws CtlError. */
export function jsonObjectWord(word: string): Row {
  const value = jsonWord(word)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Row
  throw new CtlError(CtlExit.data, `this is not a JSON object: ${word}`)
}
