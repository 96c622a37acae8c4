// `leveret ctl`: commands over the HTTP API, so that it works from anywhere.
import { nearest } from '../lib/nearest.ts'
import { ApiClient, CtlError, CtlExit, type Target } from './client.ts'
import { commands, type Outcome } from './commands.ts'
import { selected, tableText } from './table.ts'

/** What the command line said. */
export interface CtlWords extends Target {
  readonly command: string
  readonly words: readonly string[]
  readonly vhost: string
  readonly json: boolean
  readonly ifEmpty: boolean
  readonly ifUnused: boolean
}

/** The list of commands, for the help. */
export function ctlHelp(): string {
  const lines = Object.entries(commands).map(([name, { usage, purpose }]) => [`${name} ${usage}`.trimEnd(), purpose])
  const width = Math.max(...lines.map(([left]) => left!.length))
  return lines.map(([left, purpose]) => `  ${left!.padEnd(width)}  ${purpose}`).join('\n')
}

/** Runs one command and writes what it says. Returns the exit code. */
export async function runCtl(
  line: CtlWords,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  try {
    out(outcomeText(await outcome(line), line.json))
    return CtlExit.done
  } catch (error) {
    if (!(error instanceof CtlError)) throw error
    err(`leveret: ${error.message}\n`)
    return error.code
  }
}

async function outcome(line: CtlWords): Promise<Outcome> {
  const { command: name, words, vhost, ifEmpty, ifUnused } = line
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    const hint = nearest(name, Object.keys(commands))
    throw new CtlError(CtlExit.usage, `there is no command ctl ${name}; did you mean ${hint}?`)
  }
  const [least, most] = command.words
  if (words.length < least || words.length > most) {
    throw new CtlError(CtlExit.usage, `usage: leveret ctl ${name} ${command.usage}`.trimEnd())
  }
  return command.run({ api: new ApiClient(line), vhost, words, ifEmpty, ifUnused })
}

function outcomeText(said: Outcome, json: boolean): string {
  if (said === undefined) return ''
  if (typeof said === 'string') return said.endsWith('\n') ? said : `${said}\n`
  const { columns, rows } = said
  return json ? `${JSON.stringify(selected(columns, rows))}\n` : tableText(columns, rows)
}
