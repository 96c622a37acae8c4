// `leveret ctl`: commands over the HTTP API, so that it works from anywhere.
import { nearest } from '../lib/nearest.ts'
import { ApiClient, CtlError, CtlExit, type Target } from './client.ts'
import type { Command, Options, Outcome } from './command.ts'
import { commands } from './commands.ts'
import { absentCommands } from './commands/absent.ts'
import type { Progress } from './progress.ts'
import { csvText, selected, tableText } from './table.ts'

/** How a list is written. */
export type Format = 'table' | 'json' | 'csv'

/** What the command line said. */
export interface CtlWords extends Target {
  readonly command: string
  readonly words: readonly string[]
  readonly vhost: string
  readonly format: Format
  /** Whether the names of the columns stand above a list. */
  readonly heading: boolean
  readonly options: Options
}

/** Where a command writes. */
export interface CtlOutput {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly progress: Progress
}

/** What is not asked of a broker. */
const HELP = 'help'

/** Where the purpose of a command stands in the help, unless its usage is longer. */
const HELP_LEFT = 48

/** The list of commands, for the help. */
export function ctlHelp(): string {
  const lines = Object.entries(commands).map(([name, { usage, purpose }]) => {
    return `${`${name} ${usage}`.trimEnd().padEnd(HELP_LEFT)}  ${purpose}`
  })
  return lines.join('\n')
}

/** The names of the commands, for the shell's completion. */
export function ctlCommands(): readonly string[] {
  return [...Object.keys(commands), HELP]
}

/** The options that a command takes beside those that all take. */
export function ctlOptionsOf(name: string): readonly string[] {
  const usage = Object.hasOwn(commands, name) ? commands[name]!.usage : ''
  return usage.match(/--[a-z-]+/g) ?? []
}

/** Runs one command and writes what it says. Returns the exit code. */
export async function runCtl(line: CtlWords, output: CtlOutput): Promise<number> {
  return guarded(output, async () => outcomeText(await outcome(line, output), line))
}

/** Runs something that may fail with a CtlError, and writes what it says. Returns the exit code. */
export async function guarded({ out, err, progress }: CtlOutput, run: () => Promise<string>): Promise<number> {
  try {
    const said = await run()
    progress.clear()
    out(said)
    return CtlExit.done
  } catch (error) {
    if (!(error instanceof CtlError)) throw error
    progress.clear()
    err(`leveret: ${error.message}\n`)
    return error.code
  }
}

async function outcome(line: CtlWords, { out, progress }: CtlOutput): Promise<Outcome> {
  const { command: name, words, vhost, options, url, user, password } = line
  if (name === HELP) return help(words)
  const command = commandOf(name)
  const [least, most] = command.words
  if (words.length < least || words.length > most) {
    throw new CtlError(CtlExit.usage, `usage: leveret ctl ${name} ${command.usage}`.trimEnd())
  }
  const target = { url, user, password }
  return command.run({ api: new ApiClient(target), target, vhost, words, options, progress, say: out })
}

/** Throws CtlError. */
function commandOf(name: string): Command {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command !== undefined) return command
  if (Object.hasOwn(absentCommands, name)) {
    throw new CtlError(CtlExit.usage, `${name} has no meaning here: ${absentCommands[name]}`)
  }
  const hint = nearest(name, Object.keys(commands))
  throw new CtlError(CtlExit.usage, `there is no command ctl ${name}; did you mean ${hint}?`)
}

/** How one command is used, or all. */
function help([name]: readonly string[]): string {
  if (name === undefined) return ctlHelp()
  const { usage, purpose } = commandOf(name)
  return `usage: leveret ctl ${`${name} ${usage}`.trimEnd()}\n\n${purpose}.`
}

function outcomeText(said: Outcome, { format, heading }: CtlWords): string {
  if (said === undefined) return ''
  if (typeof said === 'string') return said.endsWith('\n') ? said : `${said}\n`
  const { columns, rows } = said
  if (format === 'json') return `${JSON.stringify(selected(columns, rows))}\n`
  return format === 'csv' ? csvText(columns, rows, heading) : tableText(columns, rows, heading)
}
