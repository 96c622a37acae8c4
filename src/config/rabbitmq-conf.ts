// Reads rabbitmq.conf: what of it has a meaning here, as our settings, and the names of the rest.
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { byteSize } from '../lib/byte-size.ts'
import { levelNamed } from '../lib/log.ts'
import type { Key } from './schema.ts'
import { ConfigError } from './setting.ts'

/** What a file of RabbitMQ's says. */
export interface RabbitmqConf {
  /** Raw values by our key, each with the name under which it stands there. */
  readonly settings: ReadonlyMap<Key, { readonly raw: unknown; readonly source: string }>
  /** What has no meaning here, in words. */
  readonly ignored: readonly string[]
}

/** Gives a value under our key; null where this value has no meaning here. */
type Translation = (value: string, name: string) => readonly (readonly [key: Key, raw: unknown])[] | null

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads a file, or a directory of files that end in `.conf`, in the order of their names; the last value of a key counts,
 * as in RabbitMQ.
 * @throws ConfigError when it cannot be read, or a line is not `key = value`
 */
export async function readRabbitmqConf(path: string, environment: Environment): Promise<RabbitmqConf> {
  const settings = new Map<Key, { raw: unknown; source: string }>()
  const ignored: string[] = []
  const lists = new Map<Key, string[]>()
  for (const file of await filesAt(path)) {
    for (const { name, value } of lines(file, await contentOf(file), environment)) {
      const part = partOf(name, value)
      if (part !== null) {
        const list = lists.get(part.key) ?? []
        lists.set(part.key, part.item === null ? list : [...list, part.item])
        settings.set(part.key, { raw: part.together(lists.get(part.key)!), source: `${part.of} in ${file}` })
        continue
      }
      const found = translate(name, value)
      if (found === null) ignored.push(`${name} (in ${file})`)
      for (const [key, raw] of found ?? []) settings.set(key, { raw, source: `${name} in ${file}` })
    }
  }
  onlyTls(settings)
  return { settings, ignored }
}

/** Lists that stand there as one key for each item. */
const LISTS: Readonly<Record<string, readonly [key: Key, together: (items: readonly string[]) => unknown]>> = {
  loopback_users: ['loopback-users', (items) => items],
  'management.cors.allow_origins': ['management-cors-allow-origins', (items) => items],
  'ssl_options.versions': ['tls-versions', (items) => items],
  'ssl_options.ciphers': ['tls-ciphers', (items) => items.join(':')],
}

/** The item of a list that a line adds: null when it says that something does not belong to the list. */
interface Part {
  readonly of: string
  readonly key: Key
  readonly item: string | null
  together(items: readonly string[]): unknown
}

function partOf(name: string, value: string): Part | null {
  const [, of = '', last = ''] = /^(.+)\.([^.]+)$/.exec(name) ?? []
  if (!Object.hasOwn(LISTS, of)) return null
  const [key, together] = LISTS[of]!
  // Users are named by the key, all else by the value.
  const item = of === 'loopback_users' ? (value === 'true' ? last : null) : value
  return { of, key, item, together }
}

/** RabbitMQ: who sets up TLS for HTTP, and says nothing of a port without, has none without. */
function onlyTls(settings: Map<Key, { raw: unknown; source: string }>): void {
  for (const [plain, prefix] of [
    ['management-port', 'management.ssl.'],
    ['prometheus-port', 'prometheus.ssl.'],
  ] as const) {
    const tls = [...settings.values()].find(({ source }) => source.startsWith(prefix))
    if (tls !== undefined && !settings.has(plain)) settings.set(plain, { raw: 'none', source: tls.source })
  }
}

/** RabbitMQ's names of what we call otherwise. */
const NAMES: Readonly<Record<string, Translation>> = {
  'listeners.tcp': (value) => (value === 'none' ? [['port', value]] : null),
  'listeners.tcp.default': address('host', 'port'),
  handshake_timeout: as('handshake-timeout'),
  default_user: as('default-user'),
  default_pass: as('default-pass'),
  default_vhost: as('default-vhost'),
  'default_permissions.configure': as('default-permissions-configure'),
  'default_permissions.write': as('default-permissions-write'),
  'default_permissions.read': as('default-permissions-read'),
  cluster_name: as('cluster-name'),
  loopback_users: (value) => (value === 'none' ? [['loopback-users', []]] : null),
  heartbeat: as('heartbeat'),
  frame_max: as('frame-max'),
  channel_max: as('channel-max'),
  connection_max: as('connection-max', count),
  channel_max_per_node: as('channel-max-per-node', count),
  consumer_max_per_channel: as('consumer-max-per-channel', count),
  cluster_queue_limit: as('queue-max', count),
  cluster_exchange_limit: as('exchange-max', count),
  default_queue_type: as('default-queue-type'),
  'quorum_queue.property_equivalence.relaxed_checks_on_redeclaration': as('quorum-relaxed-redeclaration'),
  max_message_size: as('max-message-size', size),
  consumer_timeout: as('consumer-timeout'),
  'vm_memory_high_watermark.relative': as('memory-limit'),
  'vm_memory_high_watermark.absolute': as('memory-limit', size),
  'disk_free_limit.absolute': as('disk-free-limit', size),
  'management.tcp.port': as('management-port'),
  'management.tcp.ip': as('management-host'),
  'management.listener.port': as('management-port'),
  'management.listener.ip': as('management-host'),
  'management.path_prefix': as('management-path-prefix'),
  'management.http.max_body_size': as('management-max-body-size'),
  'management.cors.allow_origins': (value) => (value === 'none' ? [['management-cors-allow-origins', []]] : null),
  'management.cors.max_age': as('management-cors-max-age'),
  'management.restrictions.operator_policy_changes.disabled': (value) => [
    ['operator-policy-changes', value === 'true' ? 'refused' : 'allowed'],
  ],
  'prometheus.tcp.port': as('prometheus-port'),
  'prometheus.tcp.ip': as('prometheus-host'),
  'prometheus.path': as('prometheus-path'),
  'prometheus.return_per_object_metrics': as('prometheus-per-object'),
  'listeners.ssl': (value) => (value === 'none' ? [['tls-port', value]] : null),
  'listeners.ssl.default': (value) => (/^\d+$/.test(value) ? [['tls-port', value]] : null),
  'ssl_options.certfile': as('tls-certfile'),
  'ssl_options.keyfile': as('tls-keyfile'),
  'ssl_options.password': as('tls-password'),
  'ssl_options.cacertfile': as('tls-cacertfile'),
  'ssl_options.verify': as('tls-verify'),
  'ssl_options.fail_if_no_peer_cert': as('tls-fail-if-no-peer-cert'),
  ssl_cert_login_from: as('tls-cert-login-from'),
  ssl_cert_login_san_type: as('tls-cert-login-san-type'),
  ssl_cert_login_san_index: as('tls-cert-login-san-index'),
  'management.ssl.port': as('management-tls-port'),
  'management.ssl.ip': as('management-tls-host'),
  'management.ssl.certfile': as('management-tls-certfile'),
  'management.ssl.keyfile': as('management-tls-keyfile'),
  'management.ssl.password': as('management-tls-password'),
  'management.ssl.cacertfile': as('management-tls-cacertfile'),
  'management.ssl.verify': as('management-tls-verify'),
  'management.ssl.fail_if_no_peer_cert': as('management-tls-fail-if-no-peer-cert'),
  'prometheus.ssl.port': as('prometheus-tls-port'),
  'prometheus.ssl.ip': as('prometheus-tls-host'),
  load_definitions: as('load-definitions'),
  'management.load_definitions': as('load-definitions'),
  'definitions.local.path': as('load-definitions'),
  'log.level': as('log-level', levelNamed),
  'log.console.level': as('log-level', levelNamed),
  'log.console.formatter': (value) => [['log-format', value === 'json' ? 'json' : 'pretty']],
}

function translate(name: string, value: string): ReturnType<Translation> {
  // RabbitMQ: listeners have any name, and one for all is what this broker has.
  const listener = name.replace(/^(listeners\.(?:tcp|ssl))\.[^.]+$/, '$1.default')
  return Object.hasOwn(NAMES, listener) ? NAMES[listener]!(value, name) : null
}

function as(key: Key, read: (value: string) => unknown = (value) => value): Translation {
  return (value) => [[key, read(value)]]
}

/** `5672`, `127.0.0.1:5672` or `[::1]:5672`. */
function address(host: Key, port: Key): Translation {
  return (value) => {
    const [, bracketed, plain, number] = /^(?:(?:\[(.+)\]|([^:]+)):)?(\d+)$/.exec(value) ?? []
    if (number === undefined) return null
    const ip = bracketed ?? plain
    return ip === undefined
      ? [[port, number]]
      : [
          [host, ip],
          [port, number],
        ]
  }
}

/** A size with its unit; what is none is left to the setting to refuse. */
function size(value: string): unknown {
  return byteSize(value) ?? value
}

function count(value: string): unknown {
  return value === 'infinity' ? 0 : value
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
