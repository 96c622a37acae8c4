#!/usr/bin/env node
// The command line: `leveret start` and what belongs to it.
import type { BaseLogger } from 'pino'
import yargs, { type Argv } from 'yargs'
import { loadConfig, type Config } from './config/config.ts'
import { defaultWords, effectiveDocument, helpLine } from './config/document.ts'
import { KEYS, type Values } from './config/schema.ts'
import { ConfigError } from './config/setting.ts'
import { tlsSettings } from './config/tls.ts'
import { systemClock } from './lib/clock.ts'
import { collectGarbage } from './lib/garbage.ts'
import { boundHeapGrowth } from './lib/heap-growth.ts'
import { nearest } from './lib/nearest.ts'
import { VERSION } from './lib/version.ts'
import type { Server, ServerOptions } from './server.ts'

/** How the program ends. */
const Exit = { done: 0, failed: 1, misused: 2 } as const

/** A log that may hold lines back, and must be flushed before the process exits. */
interface ProcessLog {
  readonly logger: BaseLogger
  flush(): void
}

const COMPLETION = 'completion'
const COMMANDS = ['start', 'config', 'ctl', 'import', 'drain-from', COMPLETION] as const
const HELP_WIDTH_MAX = 110
/** A close that takes longer is cut off: whoever sent the signal follows it with SIGKILL at some time. */
const CLOSE_MS_MAX = 4500
/** What the log may hold back while standard error takes nothing; beyond that lines are dropped. */
const LOG_BYTES_MAX = 1024 * 1024

async function main(words: readonly string[]): Promise<void> {
  try {
    await (await commandLine(words)).parseAsync()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    fail(error.message, Exit.misused)
  }
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
    .command('start', 'Start the broker', settings, async (argv) => start(await configOf(argv)))
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

/** The same, of which the help says nothing. */
function hiddenSettingOptions(command: Argv): Argv {
  for (const key of ['config', 'rabbitmq-conf', ...KEYS]) command.option(key, { type: 'string', hidden: true })
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

/** Starts the broker, says so, and stops it when the process is told to. */
async function start(config: Config): Promise<void> {
  const [log, { startServer, StartError }] = await Promise.all([openLog(config.values), import('./server.ts')])
  process.on('uncaughtException', (error) => crash(log, error))
  let server: Server
  try {
    server = await startServer({
      ...serverOptions(config.values),
      logger: log.logger,
      logThreshold: log.logger,
      configuration: () => effectiveDocument(config),
    })
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    log.flush()
    fail(error.message, Exit.failed)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop(server, log, signal))
  if (config.sources['default-user'] !== 'default' && config.sources['default-pass'] === 'default') {
    log.logger.warn({ setting: 'default-pass' }, 'a default user was named, but has the password that everybody knows')
  }
  if (config.ignored.length > 0)
    log.logger.warn({ keys: config.ignored }, 'settings of RabbitMQ that mean nothing here')
  announce(server, log)
  // What starting took; an idle broker would keep it for hours.
  collectGarbage()
  boundHeapGrowth(systemClock)
}

function serverOptions(values: Values): ServerOptions {
  return {
    dataDir: values['data-dir'],
    port: values.port,
    ...(values['management-port'] === null ? {} : { managementPort: values['management-port'] }),
    ...(values['prometheus-port'] === null ? {} : { prometheusPort: values['prometheus-port'] }),
    ...tlsSettings(values),
    ...(values['management-host'] === null ? {} : { managementHost: values['management-host'] }),
    ...(values['prometheus-host'] === null ? {} : { prometheusHost: values['prometheus-host'] }),
    metricsPerObject: values['prometheus-per-object'],
    defaultUser: values['default-user'],
    defaultPassword: values['default-pass'],
    defaultVhost: values['default-vhost'],
    defaultPermissions: {
      configure: values['default-permissions-configure'],
      write: values['default-permissions-write'],
      read: values['default-permissions-read'],
    },
    ...(values['cluster-name'] === null ? {} : { clusterName: values['cluster-name'] }),
    ...(values['load-definitions'] === null ? {} : { loadDefinitions: values['load-definitions'] }),
    loopbackUsers: values['loopback-users'],
    limits: {
      connections: values['connection-max'] || Infinity,
      channels: values['channel-max-per-node'] || Infinity,
      queues: values['queue-max'] || Infinity,
      exchanges: values['exchange-max'] || Infinity,
      consumers: values['consumer-max-per-channel'] || Infinity,
    },
    frameMax: values['frame-max'],
    channelMax: values['channel-max'],
    heartbeatSeconds: values.heartbeat,
    memoryLimit: values['memory-limit'],
    diskFreeLimitBytes: values['disk-free-limit'],
    messageBytesMax: values['max-message-size'],
    consumerTimeoutMs: values['consumer-timeout'],
    consumerTimeoutResponse: values['consumer-timeout-response'],
    handshakeTimeoutMs: values['handshake-timeout'],
    managementBodyBytesMax: values['management-max-body-size'],
    crossOrigins: {
      origins: values['management-cors-allow-origins'],
      maxAgeSeconds: values['management-cors-max-age'],
    },
    ...(values['management-path-prefix'] === null ? {} : { managementPathPrefix: values['management-path-prefix'] }),
    operatorPolicyChanges: values['operator-policy-changes'] === 'allowed',
    ...(values.host === null ? {} : { host: values.host }),
  }
}

/** Prints the one line that scripts wait for: `leveret VERSION ready: PROTOCOL PORT[, PROTOCOL PORT]...`. */
function announce(server: Server, log: ProcessLog): void {
  const opened = Object.entries(server.ports).filter(([, port]) => port !== 0)
  const ports = opened.map(([protocol, port]) => `${protocol} ${port}`)
  process.stdout.on('error', (error) => log.logger.warn({ err: error }, 'nobody reads standard output'))
  process.stdout.write(`leveret ${VERSION} ready: ${ports.join(', ')}\n`)
}

async function stop(server: Server, log: ProcessLog, signal: string): Promise<void> {
  log.logger.info({ signal }, 'told to stop')
  const overdue = setTimeout(() => {
    log.logger.error({ milliseconds: CLOSE_MS_MAX }, 'closing took too long and was cut off')
    exit(log, Exit.failed)
  }, CLOSE_MS_MAX)
  let code: number = Exit.done
  try {
    await server.close()
  } catch (error) {
    // The disk, most likely. What was confirmed is on it.
    log.logger.error({ err: error }, 'closing failed')
    code = Exit.failed
  }
  clearTimeout(overdue)
  exit(log, code)
}

/** A mistake of ours: say where, and go. What was confirmed is on disk. */
function crash(log: ProcessLog, error: unknown): void {
  log.logger.fatal({ err: error }, 'the broker made a mistake and cannot go on')
  exit(log, Exit.failed)
}

async function openLog(values: Values): Promise<ProcessLog> {
  const { pino } = await import('pino')
  const level = values['log-level']
  const format = values['log-format']
  const destination = pino.destination({ dest: 2, sync: false, maxLength: LOG_BYTES_MAX })
  if (format === 'json' || (format === 'auto' && !process.stderr.isTTY)) {
    return { logger: pino({ level }, destination), flush: () => destination.flushSync() }
  }
  const { default: pretty } = await import('pino-pretty')
  const stream = pretty({ destination: 2, sync: true, colorize: process.stderr.isTTY, ignore: 'pid,hostname' })
  return { logger: pino({ level }, stream), flush: () => undefined }
}

function exit(log: ProcessLog, code: number): never {
  log.flush()
  process.exit(code)
}

function fail(sentence: string, code: number): never {
  process.stderr.write(`leveret: ${sentence}\n`)
  process.exit(code)
}

await main(process.argv.slice(2))
