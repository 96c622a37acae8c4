// Puts the configuration together: flags before environment before files before defaults, and where each value is from.
import { readFile } from 'node:fs/promises'
import { nearest } from '../lib/nearest.ts'
import { readRabbitmqConf, type RabbitmqConf } from './rabbitmq-conf.ts'
import { KEYS, setting, variable, type Key, type Values } from './schema.ts'
import { ConfigError, ValueError } from './setting.ts'

/** The configuration that holds. */
export interface Config {
  readonly values: Values
  /** Where each value comes from, in words: `default`, `LEVERET_PORT`, `port in leveret.yaml` or `--port`. */
  readonly sources: Readonly<Record<Key, string>>
  /** What RabbitMQ's file has that means nothing here, in words. */
  readonly ignored: readonly string[]
}

/** What the configuration is put together from. */
export interface ConfigInput {
  /** Flags by key, as text. `config` is the path of the file, `rabbitmq-conf` that of one in RabbitMQ's form. */
  readonly flags: Readonly<Record<string, unknown>>
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Raw values by key, each with the name under which it was given. */
type Layer = Map<Key, { readonly raw: unknown; readonly source: string }>

const CONFIG_VARIABLE = variable('config')
const RABBITMQ_CONF = 'rabbitmq-conf'
const RABBITMQ_CONF_VARIABLE = variable(RABBITMQ_CONF)
// Kubernetes tells each container about every service, and about one called "leveret" with these names.
const KUBERNETES_NAME = /^LEVERET_(SERVICE_(HOST|PORT.*)|PORT_\d+_(TCP|UDP|SCTP).*)$/
/** Passwords for `leveret ctl` may be in the same environment. */
const CTL_PREFIX = 'LEVERET_CTL_'
const KUBERNETES_PORT = /^(tcp|udp|sctp):\/\//

/**
 * Reads and checks the configuration.
 *
 * @throws ConfigError one sentence about a key or a value that is wrong, with the nearest right one
 */
export async function loadConfig(input: ConfigInput): Promise<Config> {
  const flags = flagLayer(input.flags)
  const environment = environmentLayer(input.environment)
  const path = input.flags['config'] ?? input.environment[CONFIG_VARIABLE]
  const file = typeof path === 'string' && path !== '' ? await fileLayer(path) : new Map<Key, never>()
  const rabbitmq = await rabbitmqLayer(input)

  const values: Partial<Record<Key, unknown>> = {}
  const sources: Partial<Record<Key, string>> = {}
  for (const key of KEYS) {
    const given = flags.get(key) ?? environment.get(key) ?? file.get(key) ?? rabbitmq.settings.get(key)
    values[key] = given ? readValue(key, given.raw, given.source) : setting(key).default
    sources[key] = given?.source ?? 'default'
  }
  // Every key has been through its own setting's read().
  return { values: values as Values, sources: sources as Record<Key, string>, ignored: rabbitmq.ignored }
}

function flagLayer(flags: ConfigInput['flags']): Layer {
  const layer: Layer = new Map()
  for (const [name, raw] of Object.entries(flags)) {
    if (raw === undefined || name === 'config' || name === RABBITMQ_CONF) continue
    const key = knownKey(name)
    if (!key) {
      const meant = nearest(name, ['config', RABBITMQ_CONF, 'help', 'version', ...KEYS])
      throw new ConfigError(`there is no option ${name.length === 1 ? '-' : '--'}${name}; did you mean --${meant}?`)
    }
    layer.set(key, { raw, source: `--${name}` })
  }
  return layer
}

function environmentLayer(environment: ConfigInput['environment']): Layer {
  const layer: Layer = new Map()
  for (const key of KEYS) {
    const own = variable(key)
    const alias = setting(key).alias
    for (const name of alias === undefined ? [own] : [alias, own]) {
      const raw = environment[name]
      if (raw === undefined || (name === 'LEVERET_PORT' && KUBERNETES_PORT.test(raw))) continue
      layer.set(key, { raw, source: name })
    }
  }
  const known = [CONFIG_VARIABLE, RABBITMQ_CONF_VARIABLE, ...KEYS.map(variable)]
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('LEVERET_') || known.includes(name) || KUBERNETES_NAME.test(name)) continue
    if (name.startsWith(CTL_PREFIX)) continue
    throw new ConfigError(`there is no setting for the variable ${name}; did you mean ${nearest(name, known)}?`)
  }
  return layer
}

async function rabbitmqLayer({ flags, environment }: ConfigInput): Promise<RabbitmqConf> {
  const path = flags[RABBITMQ_CONF] ?? environment[RABBITMQ_CONF_VARIABLE]
  if (typeof path !== 'string' || path === '') return { settings: new Map(), ignored: [] }
  return readRabbitmqConf(path, environment)
}

async function fileLayer(path: string): Promise<Layer> {
  const layer: Layer = new Map()
  const content = await parseFile(path)
  if (content === null) return layer
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new ConfigError(`${path} must hold settings as "key: value", one a line`)
  }
  for (const [name, raw] of Object.entries(content)) {
    const key = knownKey(name)
    if (!key) throw new ConfigError(`there is no setting ${name} (in ${path}); did you mean ${nearest(name, KEYS)}?`)
    // A key without a value is one that somebody left open.
    if (raw !== null) layer.set(key, { raw, source: `${key} in ${path}` })
  }
  return layer
}

async function parseFile(path: string): Promise<unknown> {
  let source: string
  try {
    source = await readFile(path, 'utf8')
  } catch (error) {
    const reason =
      error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'it does not exist' : String(error)
    throw new ConfigError(`the configuration file ${path} cannot be read: ${reason}`, { cause: error })
  }
  // Loaded only when there is a file: most starts have none.
  const { parseDocument } = await import('yaml')
  const document = parseDocument(source, { prettyErrors: true })
  const fault = document.errors[0]
  if (fault) {
    const sentence = fault.message.split('\n')[0]!.replace(/:$/, '')
    throw new ConfigError(`the configuration file ${path} is not valid YAML: ${sentence}`, { cause: fault })
  }
  return document.toJS() as unknown
}

function readValue(key: Key, raw: unknown, source: string): unknown {
  try {
    return setting(key).read(raw)
  } catch (error) {
    if (!(error instanceof ValueError)) throw error
    const shown = setting(key).secret ? 'the value' : `the value ${JSON.stringify(raw)}`
    throw new ConfigError(`${shown} of ${source} is not right: it ${error.message}`, { cause: error })
  }
}

function knownKey(name: string): Key | undefined {
  return KEYS.find((key) => key === name)
}
