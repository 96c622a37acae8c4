// Reads rabbitmq.conf: what of it has a meaning here, as our settings, and the names of the rest.
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LISTS, overridden, RECORDS, translate } from './rabbitmq-keys.ts'
import type { Key } from './schema.ts'
import { ConfigError } from './setting.ts'

/** What a file of RabbitMQ's says. */
export interface RabbitmqConf {
  /** Raw values by our key, each with the name under which it stands there. */
  readonly settings: ReadonlyMap<Key, { readonly raw: unknown; readonly source: string }>
  /** What has no meaning here, in words. */
  readonly ignored: readonly string[]
}

type Environment = Readonly<Record<string, string | undefined>>

/** What the files say last of one key. */
interface Line {
  readonly value: string
  readonly file: string
}

/**
 * Reads a file, or a directory of files that end in `.conf`, in the order of their names; the last value of a key counts,
 * as in RabbitMQ.
 * @throws ConfigError when it cannot be read, or a line is not `key = value`
 */
export async function readRabbitmqConf(path: string, environment: Environment): Promise<RabbitmqConf> {
  const given = await lastLines(path, environment)
  const settings = new Map<Key, { raw: unknown; source: string }>()
  const ignored: string[] = []
  const lists = new Map<Key, string[]>()
  const listeners = new Map<string, string[]>()
  const taken: string[] = []
  const records = new Map<Key, Map<string, Record<string, unknown>>>()
  for (const [name, { value, file }] of given) {
    const part = partOf(name, value)
    if (part !== null) {
      const list = lists.get(part.key) ?? []
      lists.set(part.key, part.item === null ? list : [...list, part.item])
      settings.set(part.key, { raw: part.together(lists.get(part.key)!), source: `${part.of} in ${file}` })
      continue
    }
    const field = fieldOf(name, value)
    if (field !== null) {
      const known = records.get(field.key) ?? new Map<string, Record<string, unknown>>()
      records.set(field.key, known)
      known.set(field.record, { ...known.get(field.record), [field.name]: field.value })
      settings.set(field.key, { raw: Object.fromEntries(known), source: `${field.of} in ${file}` })
      continue
    }
    const stronger = overridden(name, (other) => given.get(other)?.value)
    if (stronger === true) continue
    const found = translate(name, value)
    const further = found === null ? null : furtherListeners(name, value, listeners)
    if (stronger !== null || found === null) ignored.push(`${name} (in ${file})`)
    else if (further !== null) settings.set(further.key, { raw: further.addresses, source: `${name} in ${file}` })
    else {
      for (const [key, raw] of found) settings.set(key, { raw, source: `${name} in ${file}` })
      taken.push(`${name} in ${file}`)
    }
  }
  everyInterfaceForTls(settings)
  onlyTls(settings, taken)
  return { settings, ignored }
}

async function lastLines(path: string, environment: Environment): Promise<ReadonlyMap<string, Line>> {
  const last = new Map<string, Line>()
  for (const file of await filesAt(path)) {
    for (const { name, value } of lines(file, await contentOf(file), environment)) {
      // It would be taken for the password itself.
      if (value.startsWith('encrypted:')) {
        throw new ConfigError(`the value of ${name} in ${file} is encrypted, which cannot be undone here`)
      }
      // Behind the others: of two names of one setting, the later line counts.
      last.delete(name)
      last.set(name, { value, file })
    }
  }
  return last
}

/** The item of a list that a line adds; its item is null when it says that something does not belong to the list. */
interface Part {
  readonly of: string
  readonly key: Key
  readonly item: string | null
  readonly together: (items: readonly string[]) => unknown
}

function partOf(name: string, value: string): Part | null {
  const [, of = '', last = ''] = /^(.+)\.([^.]+)$/.exec(name) ?? []
  if (!Object.hasOwn(LISTS, of)) return null
  const { key, named, known, together } = LISTS[of]!
  const item = named ? (value === 'true' ? last : null) : value
  if (known?.includes(value) === false) return null
  return { of, key, item, together }
}

/** What a line says of one of many things, as of a user: the field's name and value as they are here. */
interface Field {
  readonly of: string
  readonly key: Key
  readonly record: string
  readonly name: string
  readonly value: unknown
}

function fieldOf(name: string, value: string): Field | null {
  const of = Object.keys(RECORDS).find((prefix) => name.startsWith(`${prefix}.`))
  if (of === undefined) return null
  const { key, fields } = RECORDS[of]!
  const [, record, field = ''] = /^([^.]+)\.(.+)$/.exec(name.slice(of.length + 1)) ?? []
  if (record === undefined || !Object.hasOwn(fields, field)) return null
  const ours = field.replace(/^classic_queues\./, '').replaceAll('_', '-')
  return { of, key, record, name: ours, value: fields[field]!(value) }
}

/** The addresses of a kind of listeners beside the first, this one among them; null for what is no further listener. */
function furtherListeners(
  name: string,
  value: string,
  listeners: Map<string, string[]>,
): { readonly key: Key; readonly addresses: readonly string[] } | null {
  const [, kind] = /^listeners\.(tcp|ssl)(?=\.)/.exec(name) ?? []
  if (kind === undefined) return null
  const known = listeners.get(kind) ?? []
  listeners.set(kind, known)
  if (!known.includes(value)) known.push(value)
  const addresses = known.slice(1)
  return addresses.length === 0 ? null : { key: kind === 'tcp' ? 'also-listen' : 'tls-also-listen', addresses }
}

/** RabbitMQ: a port without an address is one of every interface, whatever addresses other ports have. */
function everyInterfaceForTls(settings: Map<Key, { raw: unknown; source: string }>): void {
  const tls = settings.get('tls-port')
  if (settings.has('host') && tls !== undefined && tls.raw !== 'none' && !settings.has('tls-host')) {
    settings.set('tls-host', { raw: '::', source: tls.source })
  }
}

/** RabbitMQ: who sets up TLS for HTTP, and says nothing of a port without, has none without. */
function onlyTls(settings: Map<Key, { raw: unknown; source: string }>, taken: readonly string[]): void {
  for (const [plain, prefix] of [
    ['management-port', 'management.ssl.'],
    ['prometheus-port', 'prometheus.ssl.'],
  ] as const) {
    const source = taken.find((name) => name.startsWith(prefix))
    if (source !== undefined && !settings.has(plain)) settings.set(plain, { raw: 'none', source })
  }
}

async function filesAt(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path]
    const names = (await readdir(path)).filter((name) => name.endsWith('.conf'))
    return names.toSorted().map((name) => join(path, name))
  } catch (error) {
    throw unreadable(path, error)
  }
}

async function contentOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
}

function unreadable(path: string, error: unknown): ConfigError {
  const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
  const reason = missing ? 'it does not exist' : String(error)
  return new ConfigError(`the file ${path} cannot be read: ${reason}`, { cause: error })
}

/** The lines `key = value` of a file, without comments, with `$(NAME)` filled in from the environment. */
function* lines(file: string, content: string, environment: Environment): Generator<{ name: string; value: string }> {
  for (const [index, line] of content.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const [, name, quoted, plain] = /^\s*([\w.\-:$]+)\s*=\s*(?:'([^']*)'|([^#]*?))\s*(?:#.*)?$/.exec(line) ?? []
    if (name === undefined) throw new ConfigError(`line ${index + 1} of ${file} is not "key = value"`)
    const value = (quoted ?? plain ?? '').replaceAll(/\$\((\w+)\)/g, (_all, key: string) => environment[key] ?? '')
    yield { name, value }
  }
}
