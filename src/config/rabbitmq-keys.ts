// The keys of rabbitmq.conf that have a meaning here: what each comes to, and which values of others are so already.
import { byteSize } from '../lib/byte-size.ts'
import { levelNamed } from '../lib/log.ts'
import { memoryBytes } from '../lib/machine.ts'
import type { Key } from './schema.ts'
import { addressOf } from './setting.ts'

/** Gives a value under our key, or nothing where it is so anyway; null where this value has no meaning here. */
type Translation = (value: string, name: string) => readonly (readonly [key: Key, raw: unknown])[] | null

/** A list that stands there as one key for each item. */
interface List {
  readonly key: Key
  /** Whether the last part of the key is the item, and its value whether it is one. */
  readonly named: boolean
  /** The items that have a meaning here; absent: all. */
  readonly known?: readonly string[]
  readonly together: (items: readonly string[]) => unknown
}

/** Lists, by what their keys begin with. */
export const LISTS: Readonly<Record<string, List>> = {
  loopback_users: namedList('loopback-users'),
  default_user_tags: namedList('default-user-tags'),
  auth_mechanisms: { ...list('auth-mechanisms'), known: ['PLAIN', 'AMQPLAIN', 'EXTERNAL'] },
  'management.cors.allow_origins': list('management-cors-allow-origins'),
  'ssl_options.versions': list('tls-versions'),
  'ssl_options.ciphers': cipherList('tls-ciphers'),
  'management.ssl.versions': list('management-tls-versions'),
  'management.ssl.ciphers': cipherList('management-tls-ciphers'),
}

/** Things that stand there as one key for each of their fields, by what the keys begin with before the thing's name. */
interface Records {
  readonly key: Key
  /** What reads the value of each field that has a meaning here, by its name there. */
  readonly fields: Readonly<Record<string, (value: string) => unknown>>
}

export const RECORDS: Readonly<Record<string, Records>> = {
  default_users: {
    key: 'default-users',
    fields: {
      vhost_pattern: asItIs,
      password: asItIs,
      tags: asItIs,
      configure: asItIs,
      write: asItIs,
      read: asItIs,
    },
  },
  'default_policies.operator': {
    key: 'default-operator-policies',
    fields: {
      vhost_pattern: asItIs,
      queue_pattern: asItIs,
      apply_to: asItIs,
      expires: duration,
      message_ttl: duration,
      max_length: asItIs,
      max_length_bytes: binarySize,
      max_in_memory_length: asItIs,
      max_in_memory_bytes: binarySize,
      delivery_limit: asItIs,
      'classic_queues.queue_version': asItIs,
    },
  },
  'default_limits.vhosts': {
    key: 'default-vhost-limits',
    fields: { pattern: asItIs, max_connections: signed, max_queues: signed },
  },
}

/** What 0 stands for: no limit. */
const FRAME_BYTES_MOST = 2_147_483_647
const CHANNELS_MOST = 65_535

/** RabbitMQ's names of what we call otherwise. */
const NAMES: Readonly<Record<string, Translation>> = {
  'listeners.tcp': (value) => (value === 'none' ? [['port', value]] : null),
  'listeners.tcp.default': address('host', 'port'),
  handshake_timeout: as('handshake-timeout'),
  default_user: as('default-user'),
  default_pass: as('default-pass'),
  'credential_validator.min_length': as('password-min-length'),
  'credential_validator.regexp': as('password-pattern'),
  default_vhost: as('default-vhost'),
  'default_permissions.configure': as('default-permissions-configure'),
  'default_permissions.write': as('default-permissions-write'),
  'default_permissions.read': as('default-permissions-read'),
  default_queue_type: as('default-queue-type', (value) => value.replace(/^rabbit_(\w+)_queue$/, '$1')),
  cluster_name: as('cluster-name'),
  loopback_users: (value) => (value === 'none' ? [['loopback-users', []]] : null),
  heartbeat: as('heartbeat'),
  frame_max: as('frame-max', (value) => (value === '0' ? FRAME_BYTES_MOST : value)),
  channel_max: as('channel-max', channels),
  max_channels_per_connection: as('channel-max', channels),
  connection_max: as('connection-max', count),
  max_connections: as('connection-max', count),
  vhost_max: as('vhost-max', count),
  channel_max_per_node: as('channel-max-per-node', count),
  consumer_max_per_channel: as('consumer-max-per-channel', count),
  cluster_queue_limit: as('queue-max', count),
  cluster_exchange_limit: as('exchange-max', count),
  'quorum_queue.property_equivalence.relaxed_checks_on_redeclaration': as('quorum-relaxed-redeclaration'),
  max_message_size: as('max-message-size', size),
  consumer_timeout: as('consumer-timeout'),
  'vm_memory_high_watermark.relative': as('memory-limit'),
  'vm_memory_high_watermark.absolute': as('memory-limit', size),
  'disk_free_limit.absolute': as('disk-free-limit', size),
  'disk_free_limit.relative': as('disk-free-limit', ofMemory),
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
  'listeners.ssl.default': address('tls-host', 'tls-port'),
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
  'prometheus.ssl.certfile': as('management-tls-certfile'),
  'prometheus.ssl.keyfile': as('management-tls-keyfile'),
  'prometheus.ssl.password': as('management-tls-password'),
  'prometheus.ssl.cacertfile': as('management-tls-cacertfile'),
  'prometheus.ssl.verify': as('management-tls-verify'),
  'prometheus.ssl.fail_if_no_peer_cert': as('management-tls-fail-if-no-peer-cert'),
  load_definitions: as('load-definitions'),
  'management.load_definitions': as('load-definitions'),
  'definitions.local.path': as('load-definitions'),
  'definitions.skip_if_unchanged': as('definitions-skip-if-unchanged'),
  'log.level': as('log-level', levelNamed),
  'log.console.level': as('log-level', levelNamed),
  'log.file.level': as('log-level', levelNamed),
  'log.console.formatter': (value) => [['log-format', value === 'json' ? 'json' : 'pretty']],
}

/** What can be said otherwise there but not here, with the values for which nothing needs to be said. */
const ALREADY_SO: Readonly<Record<string, readonly string[]>> = {
  'auth_backends.1': ['internal', 'rabbit_auth_backend_internal'],
  'credential_validator.validation_backend': [
    'rabbit_credential_validator_accept_everything',
    'rabbit_credential_validator_min_password_length',
    'rabbit_credential_validator_password_regexp',
  ],
  'definitions.import_backend': ['local_filesystem', 'rabbit_definitions_import_local_filesystem'],
  'log.console': ['true'],
  'log.exchange': ['true'],
  'log.file': ['false'],
  'management.definitions.require_json_extension': ['false'],
  'management.disable_basic_auth': ['false'],
  'management.disable_stats': ['false'],
  'management.oauth_enabled': ['false'],
  'management.rates_mode': ['basic'],
  'management.tcp.compress': ['true'],
  'management_agent.disable_metrics_collector': ['false'],
  password_hashing_module: ['rabbit_password_hashing_sha256'],
  proxy_protocol: ['false'],
  reverse_dns_lookups: ['false'],
  'tcp_listen_options.nodelay': ['true'],
  vm_memory_calculation_strategy: ['rss'],
}

/** Keys that RabbitMQ does not look at where one of these others is given. */
const STRONGER: Readonly<Record<string, readonly string[]>> = {
  'disk_free_limit.absolute': ['disk_free_limit.relative'],
  'vm_memory_high_watermark.absolute': ['vm_memory_high_watermark.relative'],
  // There is one log here, that of the console.
  'log.file.level': ['log.console.level', 'log.level'],
  'log.level': ['log.console.level'],
}

/** Which validator of passwords looks at which key; RabbitMQ has one at a time, and without one takes every password. */
const VALIDATORS: Readonly<Record<string, string>> = {
  'credential_validator.min_length': 'rabbit_credential_validator_min_password_length',
  'credential_validator.regexp': 'rabbit_credential_validator_password_regexp',
}

/** What a line comes to: nothing where it is so anyway, null where it has no meaning here. */
export function translate(name: string, value: string): ReturnType<Translation> {
  if (Object.hasOwn(ALREADY_SO, name)) return ALREADY_SO[name]!.includes(value) ? [] : null
  // RabbitMQ: listeners have any name.
  const listener = name.replace(/^(listeners\.(?:tcp|ssl))\.[^.]+$/, '$1.default')
  return Object.hasOwn(NAMES, listener) ? NAMES[listener]!(value, name) : null
}

/**
 * What another line does to this one, by `given`, the value of a key: true where it stands in its place, 'ignored' where
 * the two cannot both hold, null where nothing is in the way.
 */
export function overridden(name: string, given: (name: string) => string | undefined): true | 'ignored' | null {
  if (Object.hasOwn(VALIDATORS, name)) {
    return given('credential_validator.validation_backend') === VALIDATORS[name] ? null : true
  }
  if (Object.hasOwn(STRONGER, name) && STRONGER[name]!.some((other) => given(other) !== undefined)) return true
  // The HTTP API and Prometheus have one certificate, which RabbitMQ lets differ.
  const [, ofHttp] = /^prometheus\.ssl\.(?!port$|ip$)(.+)$/.exec(name) ?? []
  const http = ofHttp === undefined ? undefined : given(`management.ssl.${ofHttp}`)
  return http === undefined || http === given(name) ? null : 'ignored'
}

function list(key: Key): List {
  return { key, named: false, together: (items) => items }
}

function cipherList(key: Key): List {
  return { ...list(key), together: (items) => items.join(':') }
}

function namedList(key: Key): List {
  return { ...list(key), named: true }
}

function as(key: Key, read: (value: string) => unknown = (value) => value): Translation {
  return (value) => [[key, read(value)]]
}

/** A port, with an address or without; a path of a socket has no meaning here. */
function address(host: Key, port: Key): Translation {
  return (value) => {
    const at = addressOf(value)
    if (at === null) return null
    return at.host === null
      ? [[port, at.port]]
      : [
          [host, at.host],
          [port, at.port],
        ]
  }
}

/** A size with its unit; what is none is left to the setting to refuse. */
function size(value: string): unknown {
  return byteSize(value) ?? value
}

function asItIs(value: string): unknown {
  return value
}

/** A number that may be negative. */
function signed(value: string): unknown {
  return /^-?\d+$/.test(value) ? Number(value) : value
}

/** A size whose units are all powers of two, as they are in these keys of RabbitMQ. */
function binarySize(value: string): unknown {
  return /^\d+(kb|mb|gb)$/i.test(value) ? byteSize(value.slice(0, -1)) : value
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  f: 1_209_600_000,
}

/** Milliseconds, or a time such as `1h30m`: fortnights, weeks, days, hours, minutes, seconds, milliseconds. */
function duration(value: string): unknown {
  if (!/^(\d+(\.\d+)?(ms|[fwdhms]))+$/.test(value)) return value
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|[fwdhms])/g)]
  return Math.ceil(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * UNITS_MS[unit!]!, 0))
}

function count(value: string): unknown {
  return value === 'infinity' ? 0 : value
}

/** RabbitMQ: 0 is as many as the protocol has numbers for. */
function channels(value: string): unknown {
  return value === '0' ? CHANNELS_MOST : value
}

/** So many times the memory of the machine, or of the control group, in bytes; what is no number is left to the setting. */
function ofMemory(value: string): unknown {
  return /^\d+(\.\d+)?$/.test(value) ? Math.floor(Number(value) * memoryBytes()) : value
}
