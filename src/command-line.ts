// The command line with its commands, options and help. A plain `leveret start` does without it: see main.ts.
import yargs, { type Argv } from 'yargs'
import { loadConfig, type Config } from './config/config.ts'
import { defaultWords, effectiveDocument, helpLine } from './config/document.ts'
import { FLAGS } from './config/plain-flags.ts'
import { KEYS } from './config/schema.ts'
import { ConfigError } from './config/setting.ts'
import { nearest } from './lib/nearest.ts'
import { VERSION } from './lib/version.ts'

const COMPLETION = 'completion'
const COMMANDS = ['start', 'config', 'ctl', 'import', 'drain-from', COMPLETION] as const
const HELP_WIDTH_MAX = 110

/**
 * Does what a command line says.
 * @throws ConfigError one sentence about what is wrong with it
 */
export async function runCommandLine(words: readonly string[]): Promise<void> {
  await (await commandLine(words)).parseAsync()
}

async function commandLine(words: readonly string[]): Promise<Argv> {
  // Yargs renders the help of each command that it runs, wanted or not: a tenth of a second for so many options.
  const settings = words.some((word) => /^--?h/.test(word)) ? settingOptions : hiddenSettingOptions
  const line = yargs([...words])
    .scriptName('leveret')
    .locale('en')
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'duplicate-arguments-array': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .usage('$0 <command> [options]\n\nA message broker that speaks AMQP 0-9-1 as RabbitMQ does.')
    .command('start', 'Start the broker', settings, startWith)
    .command('config', 'Print the settings that hold, and where each comes from', settingOptions, async (argv) => {
      process.stdout.write(effectiveDocument(await configOf(argv)))
    })
    .command('$0', false, {}, (argv) => noCommand(argv))
    .example('$0 start', 'Listen on port 5672 and keep everything in ./data')
    .example('$0 start --data-dir /var/lib/leveret --port 5673', 'Another directory, another port')
    .example('$0 start --config leveret.yaml', 'Settings from a file')
    .example('LEVERET_LOG_LEVEL=debug $0 start', 'Settings from the environment')
    .epilogue('Every option is also a key of the file and, as LEVERET_DATA_DIR, an environment variable.')
    .alias({ h: 'help' })
    .version(VERSION)
    .wrap(Math.min(HELP_WIDTH_MAX, process.stdout.columns ?? HELP_WIDTH_MAX))
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw error ?? new ConfigError(message ?? 'the command line cannot be read')
    })
  // A broker that starts has no need of them, and starts sooner.
  if (words[0] === 'start') return line
  const { ctlCompletions, withCtlCommands } = await import('./ctl/command-line.ts')
  line.completion(COMPLETION, 'Print a script that completes commands in the shell', (current, argv) =>
    completions(current, argv as Readonly<Record<string, unknown>>, ctlCompletions),
  )
  return withCtlCommands(line)
}

/** What the shell may complete a word with. */
function completions(
  current: string,
  argv: Readonly<Record<string, unknown>>,
  further: (words: readonly string[], current: string) => readonly string[],
): string[] {
  const words = commandWords(argv)
  const [, command] = words
  if (current.startsWith('-') && (command === 'start' || command === 'config')) return KEYS.map((key) => `--${key}`)
  if (words.length <= 2 && command === current) return [...COMMANDS]
  return [...further(words, current)]
}

/** The options of `leveret start`, of which the help says nothing. */
function hiddenSettingOptions(command: Argv): Argv {
  for (const flag of FLAGS) command.option(flag, { type: 'string', hidden: true })
  return command
}

function settingOptions(command: Argv): Argv {
  command.option('config', { type: 'string', describe: 'YAML file with settings' })
  command.option('rabbitmq-conf', { type: 'string', describe: "RabbitMQ's file with settings, or a directory of them" })
  for (const key of KEYS) {
    command.option(key, { type: 'string', describe: helpLine(key), defaultDescription: defaultWords(key) })
  }
  return command
}

/** The broker is not loaded for any other command. */
async function startWith(argv: Readonly<Record<string, unknown>>): Promise<void> {
  const config = await configOf(argv)
  const { start } = await import('./start.ts')
  await start(config)
}

function configOf(argv: Readonly<Record<string, unknown>>): Promise<Config> {
  const { _: _words, $0: _script, help: _help, h: _h, version: _version, ...flags } = argv
  const stray = commandWords(argv)[1]
  if (stray !== undefined) throw new ConfigError(`there is no use for ${JSON.stringify(stray)} on the command line`)
  return loadConfig({ flags, environment: process.env })
}

/** The words of the command line that are no options: the command, and what should not be there. */
function commandWords(argv: Readonly<Record<string, unknown>>): readonly string[] {
  return Array.isArray(argv['_']) ? argv['_'].map(String) : []
}

function noCommand(argv: Readonly<Record<string, unknown>>): void {
  const [word] = commandWords(argv)
  // Yargs has printed the script by then.
  if (word === COMPLETION) return
  if (word === undefined) throw new ConfigError(`a command is missing: ${COMMANDS.join(', ')}; see leveret --help`)
  throw new ConfigError(`there is no command ${word}; did you mean ${nearest(word, COMMANDS)}?`)
}
