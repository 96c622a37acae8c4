// The part of the command line that speaks to running brokers: `ctl`, `import`, `drain-from`.
import type { Argv } from 'yargs'
import { CtlError, CtlExit, type Target } from './client.ts'
import { ctlCommands, ctlHelp, ctlOptionsOf, guarded, runCtl, type CtlOutput, type Format } from './ctl.ts'
import { apiOf, drain } from './drain.ts'
import { importFrom } from './import.ts'
import { Progress } from './progress.ts'
import { tableText } from './table.ts'

/** The options of a command line, as yargs has them. */
type Arguments = Readonly<Record<string, unknown>>

const LOCAL_API = 'http://127.0.0.1:15672'
const FORMATS = ['table', 'json', 'csv'] as const

/** Adds the commands. */
export function withCtlCommands(line: Argv): Argv {
  return line
    .command('ctl', 'Ask or tell a running broker', ctlOptions, async (argv) => run(() => ctl(argv)))
    .command('import', "Bring a running broker's definitions over", importOptions, async (argv) =>
      run(() => guarded(output, () => importDefinitions(argv))),
    )
    .command('drain-from AMQP', "Move another broker's messages here", drainOptions, async (argv) =>
      run(() => guarded(output, () => drainFrom(argv))),
    )
}

/** Words that may come next, for the shell: the commands, and what options the one that stands there has. */
export function ctlCompletions(words: readonly string[], current: string): readonly string[] {
  if (words[1] !== 'ctl') return []
  const [, , command = ''] = words
  if (current.startsWith('-')) return [...ctlOptionsOf(command), ...COMMON_OPTIONS]
  return words.length <= 3 || command === 'help' ? ctlCommands() : []
}

const COMMON_OPTIONS = ['--vhost', '--json', '--formatter', '--silent', '--url', '--user', '--password']

const output: CtlOutput = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  progress: new Progress(process.stderr),
}

async function run(command: () => Promise<number>): Promise<void> {
  process.exitCode = await command()
}

function ctlOptions(command: Argv): Argv {
  return targetOptions(command)
    .usage(`$0 ctl COMMAND [options]\n\nAsks or tells a running broker, over its HTTP API.\n\n${ctlHelp()}`)
    .option('vhost', { alias: 'p', type: 'string', describe: 'The virtual host', default: '/' })
    .option('formatter', { type: 'string', choices: FORMATS, describe: 'How lists are printed', default: 'table' })
    .option('json', { type: 'boolean', describe: 'The same as --formatter json', default: false })
    .option('table-headers', { type: 'boolean', describe: 'Whether columns have a heading', default: true })
    .option('no-table-headers', { type: 'boolean', default: false, hidden: true })
    .option('silent', { alias: 's', type: 'boolean', describe: 'No heading', default: false })
    .option('quiet', { alias: 'q', type: 'boolean', default: false, hidden: true })
    .option('timeout', { alias: 't', type: 'string', describe: 'How long await_startup and wait do, in seconds' })
    .options(Object.fromEntries(WORD_OPTIONS.map((name) => [name, { type: 'string', hidden: true }])))
    .options(Object.fromEntries(FLAG_OPTIONS.map((name) => [name, { type: 'boolean', default: false, hidden: true }])))
    .example('$0 ctl list_queues name messages consumers', 'The queues of the vhost /')
    .example('$0 ctl add_user ann secret', 'A new user')
    .example(`$0 ctl set_policy ttl '^tmp' '{"message-ttl":60000}' --apply-to queues`, 'A policy')
    .example('$0 ctl return_messages failed --all', 'Dead letters, back to where they came from')
    .example('$0 ctl export_definitions definitions.json', 'Everything that is declared')
}

/** The options of single commands: their usage names them. */
const WORD_OPTIONS = [
  'apply-to',
  'priority',
  'description',
  'tags',
  'default-queue-type',
  'limit',
  'per-connection-delay',
  'header',
  'text',
  'within',
  'duration',
  'pattern',
  'object-type',
  'pid',
  'unit',
] as const
const FLAG_OPTIONS = ['if-empty', 'if-unused', 'all'] as const

function targetOptions(command: Argv): Argv {
  return command
    .option('url', { type: 'string', describe: 'The HTTP API', default: LOCAL_API })
    .option('user', { type: 'string', describe: 'Who asks', default: 'guest' })
    .option('password', { type: 'string', describe: 'Their password; better in LEVERET_CTL_PASSWORD' })
}

function importOptions(command: Argv): Argv {
  return targetOptions(command)
    .usage('$0 import --from URL [options]\n\nCopies the definitions of a running broker, over the HTTP APIs of both.')
    .option('from', { type: 'string', demandOption: true, describe: 'The HTTP API of the other broker' })
    .option('from-user', { type: 'string', describe: 'Who asks there', default: 'guest' })
    .option('from-password', { type: 'string', describe: 'Their password; better in LEVERET_CTL_FROM_PASSWORD' })
    .option('vhost', { alias: 'p', type: 'string', describe: 'Only what is in this virtual host' })
    .example('$0 import --from http://rabbit:15672', 'Users, vhosts, rights, policies, exchanges, queues and bindings')
    .example('$0 import --from http://rabbit:15672 -p orders', 'One virtual host, into one that is there')
}

function drainOptions(command: Argv): Argv {
  return command
    .usage(
      '$0 drain-from AMQP [options]\n\nMoves messages into the queues of the same names. Nothing is acknowledged there ' +
        'before it is confirmed here; whatever happens on the way, nothing is lost.',
    )
    .option('to', { type: 'string', describe: 'Where the messages go', default: 'amqp://guest:guest@127.0.0.1:5672' })
    .option('queue', { type: 'string', describe: 'A queue, or several with commas; absent: all that hold messages' })
    .option('api', {
      type: 'string',
      describe: 'The HTTP API that lists the queues; absent: at its port of AMQP plus 10000',
    })
    .example('$0 drain-from amqp://guest:guest@rabbit/', 'All messages of the vhost /')
    .example('$0 drain-from amqp://rabbit/orders --to amqp://localhost/orders --queue new', 'One queue of a vhost')
}

function ctl(argv: Arguments): Promise<number> {
  // Not as positional arguments of yargs: of several words in one place it would keep the last only, as of a repeated flag.
  const [, command = '', ...words] = Array.isArray(argv['_']) ? argv['_'].map(String) : []
  if (command === '') {
    return guarded(output, () => {
      throw new CtlError(CtlExit.usage, 'a command is missing behind ctl; see leveret ctl --help')
    })
  }
  const options = Object.fromEntries(
    [...WORD_OPTIONS, ...FLAG_OPTIONS, 'timeout'].map((name) => [name, argv[name] as string | boolean | undefined]),
  )
  const line = {
    ...targetOf(argv, '', process.env['LEVERET_CTL_PASSWORD']),
    vhost: textOf(argv, 'vhost') ?? '/',
    command,
    words,
    format: argv['json'] === true ? ('json' as const) : ((textOf(argv, 'formatter') ?? 'table') as Format),
    heading: argv['table-headers'] !== false && argv['no-table-headers'] !== true && argv['silent'] !== true,
    options,
  }
  return runCtl(line, output)
}

async function importDefinitions(argv: Arguments): Promise<string> {
  const { counts, ignored } = await importFrom(
    targetOf(argv, 'from', process.env['LEVERET_CTL_FROM_PASSWORD']),
    targetOf(argv, '', process.env['LEVERET_CTL_PASSWORD']),
    textOf(argv, 'vhost') ?? null,
  )
  const rows = Object.entries(counts).map(([what, count]) => ({ what, count }))
  const left = ignored.map((one) => `not honoured: ${one}\n`).join('')
  return tableText(['what', 'count'], rows, true) + left
}

async function drainFrom(argv: Arguments): Promise<string> {
  const from = textOf(argv, 'AMQP') ?? ''
  if (!/^amqps?:/.test(from) || !URL.canParse(from)) {
    throw new CtlError(CtlExit.usage, `drain-from takes a URL such as amqp://rabbit/vhost, not ${from}`)
  }
  const queues = (textOf(argv, 'queue') ?? '').split(',').filter((name) => name !== '')
  const drained = await drain({
    from,
    to: textOf(argv, 'to') ?? '',
    queues,
    api: textOf(argv, 'api') ?? apiOf(from),
    progress: output.progress,
  })
  return tableText(['queue', 'messages'], drained, true)
}

/** Where a broker is: by the options, or by the credentials in the URL. */
function targetOf(argv: Arguments, prefix: '' | 'from', environmentPassword: string | undefined): Target {
  const dash = prefix === '' ? '' : `${prefix}-`
  const given = textOf(argv, prefix === '' ? 'url' : prefix) ?? LOCAL_API
  if (!URL.canParse(given)) throw new CtlError(CtlExit.usage, `${given} is not a URL`)
  const url = new URL(given)
  const user = url.username === '' ? (textOf(argv, `${dash}user`) ?? 'guest') : decodeURIComponent(url.username)
  const password =
    url.password === ''
      ? (textOf(argv, `${dash}password`) ?? environmentPassword ?? 'guest')
      : decodeURIComponent(url.password)
  url.username = ''
  url.password = ''
  return { url: url.href, user, password }
}

function textOf(argv: Arguments, name: string): string | undefined {
  const value = argv[name]
  return typeof value === 'string' ? value : undefined
}
