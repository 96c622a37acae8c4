// Every setting, once: flags, environment variables, the file's keys, the help and docs/configuration.md follow from it.
import { LOG_LEVELS } from '../lib/log.ts'
import {
  addresses,
  amount,
  choice,
  choiceList,
  expression,
  flag,
  names,
  optional,
  port,
  records,
  text,
  urlPath,
  wholeNumber,
  type Setting,
} from './setting.ts'

/** The settings by their key, in the order in which they are documented. */
const SETTINGS = {
  'data-dir': text({
    purpose: 'Directory that holds everything the broker keeps. It is made when it is missing.',
    takes: 'the path of a directory',
    default: './data',
  }),
  host: text({
    purpose: 'Address to listen on.',
    takes: 'an IP address or a host name',
    default: null,
    defaultWords: 'every interface, IPv6 and IPv4',
  }),
  port: port({
    purpose:
      'Port for AMQP 0-9-1. With 0 the system picks a free one, which the ready line names; with none, AMQP is spoken over TLS only.',
    default: 5672,
  }),
  'also-listen': addresses({
    purpose:
      'Where AMQP 0-9-1 is spoken beside that port, as on the loopback addresses of IPv4 and IPv6. RabbitMQ: listeners.tcp.NAME.',
    default: [],
    defaultWords: 'nowhere',
  }),
  'management-port': port({
    purpose: 'Port for the HTTP API. With 0 the system picks a free one, which the ready line names.',
    default: 15_672,
  }),
  'prometheus-port': port({
    purpose: 'Port that Prometheus scrapes. With 0 the system picks a free one, which the ready line names.',
    default: 15_692,
  }),
  'management-host': text({
    purpose: 'Address of the HTTP API. RabbitMQ: management.tcp.ip.',
    takes: 'an IP address or a host name',
    default: null,
    defaultWords: 'every interface, IPv6 and IPv4',
  }),
  'prometheus-host': text({
    purpose: 'Address of what Prometheus scrapes. RabbitMQ: prometheus.tcp.ip.',
    takes: 'an IP address or a host name',
    default: null,
    defaultWords: 'that of the HTTP API',
  }),
  'prometheus-path': urlPath({
    purpose:
      'Path at which Prometheus scrapes on that port; /per-object and the others follow below it. RabbitMQ: prometheus.path.',
    default: '/metrics',
  }),
  'prometheus-per-object': flag({
    purpose:
      'Whether /metrics has a series for each object, as /metrics/per-object does, and not their sums. RabbitMQ: prometheus.return_per_object_metrics.',
    default: false,
  }),
  'management-path-prefix': text({
    purpose: 'What every path of the HTTP API begins with, as behind a proxy. RabbitMQ: management.path_prefix.',
    takes: 'a path',
    default: null,
    defaultWords: 'nothing',
  }),
  'management-max-body-size': wholeNumber({
    purpose:
      'Largest body of a request to the HTTP API that publishes a message; files with definitions may have five times as much, other bodies 1 MiB at the most. RabbitMQ: management.http.max_body_size.',
    unit: 'bytes',
    default: 10_000_000,
    least: 1000,
    most: 500_000_000,
  }),
  'management-cors-allow-origins': names({
    purpose:
      'Origins of web pages that browsers let use the HTTP API (CORS), such as https://example.org. With * it is every page, also with the login that the browser knows. RabbitMQ: management.cors.allow_origins.',
    default: [],
    defaultWords: 'none, and no CORS',
  }),
  'management-cors-max-age': wholeNumber({
    purpose: 'Time that browsers may go by what they were told about an origin. RabbitMQ: management.cors.max_age.',
    unit: 'seconds',
    default: 1800,
    least: 0,
    most: 86_400,
  }),
  'operator-policy-changes': choice({
    purpose: 'Whether operator policies may be changed over the HTTP API.',
    default: 'allowed',
    words: ['allowed', 'refused'],
  }),
  'log-level': choice({
    purpose: 'The least level that is logged.',
    default: 'info',
    words: LOG_LEVELS,
  }),
  'log-format': choice({
    purpose: 'How the log is written to standard error. With auto it is pretty on a terminal and JSON elsewhere.',
    default: 'auto',
    words: ['auto', 'json', 'pretty'],
  }),
  'default-user': text({
    purpose: 'Administrator who is made at the first start. Ignored when the data directory holds users already.',
    default: 'guest',
    alias: 'RABBITMQ_DEFAULT_USER',
  }),
  'default-pass': text({
    purpose:
      'Password of the default user. Other users of the machine can see a flag, so prefer the file or a variable.',
    default: 'guest',
    alias: 'RABBITMQ_DEFAULT_PASS',
    secret: true,
  }),
  'default-user-tags': names({
    purpose:
      'What the default user may do over the HTTP API: administrator, monitoring, policymaker, management. RabbitMQ: default_user_tags.',
    default: ['administrator'],
  }),
  'password-min-length': wholeNumber({
    purpose:
      'Characters that a new password has at least; those of the first start and hashes are taken as they are. RabbitMQ: credential_validator.min_length.',
    default: 0,
    least: 0,
    most: 1000,
  }),
  'password-pattern': expression({
    purpose:
      'What a new password matches; those of the first start and hashes are taken as they are. RabbitMQ: credential_validator.regexp.',
    default: '',
    defaultWords: 'anything',
  }),
  'default-vhost': text({
    purpose: 'Virtual host that is made at the first start.',
    default: '/',
    alias: 'RABBITMQ_DEFAULT_VHOST',
  }),
  'default-permissions-configure': expression({
    purpose:
      'Names that the default user may configure in the default virtual host. RabbitMQ: default_permissions.configure.',
    default: '.*',
  }),
  'default-permissions-write': expression({
    purpose:
      'Names that the default user may write to in the default virtual host. RabbitMQ: default_permissions.write.',
    default: '.*',
  }),
  'default-permissions-read': expression({
    purpose:
      'Names that the default user may read from in the default virtual host. RabbitMQ: default_permissions.read.',
    default: '.*',
  }),
  'default-users': records({
    purpose:
      'Users, by name, who have permissions in each virtual host that is made from now on and matches, the default one at the first start among them. Who is not there yet is made with it; who is stays as they are. RabbitMQ: default_users.NAME.',
    fields: {
      'vhost-pattern': vhostPattern('the user has permissions'),
      password: text({
        purpose: 'Without it the user cannot log in by password.',
        default: null,
        defaultWords: 'none',
        secret: true,
      }),
      tags: names({
        purpose: 'What the user may do over the HTTP API, as those of the default user.',
        default: [],
        defaultWords: 'none',
      }),
      configure: expression({ purpose: 'Names that the user may configure.', default: '.*' }),
      write: expression({ purpose: 'Names that the user may write to.', default: '.*' }),
      read: expression({ purpose: 'Names that the user may read from.', default: '.*' }),
    },
  }),
  'default-operator-policies': records({
    purpose:
      'Operator policies, by name, of each virtual host that is made from now on and matches, the default one at the first start among them. One that says nothing of queues is left out. RabbitMQ: default_policies.operator.NAME.',
    fields: {
      'vhost-pattern': vhostPattern('there is the policy'),
      'queue-pattern': expression({ purpose: 'Names of the queues that it is for.', default: '.*' }),
      'apply-to': choice({
        purpose: 'What it is for.',
        default: 'all',
        words: ['all', 'queues', 'classic_queues', 'quorum_queues', 'streams'],
      }),
      expires: policyNumber('Time after which a queue that nobody uses is deleted.', 1, 'milliseconds'),
      'message-ttl': policyNumber('Time that a message lives in a queue.', 0, 'milliseconds'),
      'max-length': policyNumber('Messages that a queue may have.', 0),
      'max-length-bytes': policyNumber('Bytes of the bodies that a queue may have.', 0, 'bytes'),
      'max-in-memory-length': policyNumber('Kept and shown; queues go by what memory there is.', 0),
      'max-in-memory-bytes': policyNumber('Kept and shown; queues go by what memory there is.', 0, 'bytes'),
      'delivery-limit': policyNumber('How often a message may come back to a quorum queue.', 0),
      'queue-version': optional(
        wholeNumber({
          purpose: 'Version of classic queues. Kept and shown; there is one kind of them here.',
          default: 2,
          least: 1,
          most: 2,
        }),
      ),
    },
  }),
  'default-vhost-limits': records({
    purpose:
      'Limits, under any name, of each virtual host that is made from now on and matches, the default one at the first start among them. Of several that match, the first by name holds. RabbitMQ: default_limits.vhosts.NAME.',
    fields: {
      pattern: vhostPattern('the limits hold'),
      'max-connections': vhostLimit('Connections that there may be. -1 is no limit.'),
      'max-queues': vhostLimit('Queues that there may be. -1 is no limit.'),
    },
  }),
  'cluster-name': text({
    purpose:
      'Name by which the broker is known, set at every start; one that was given over the HTTP API holds until then. RabbitMQ: cluster_name.',
    takes: 'a text that is not empty',
    default: null,
    defaultWords: 'the one that was given over the HTTP API, or else that of the node',
  }),
  'load-definitions': text({
    purpose:
      'Definitions that are imported at every start: a file, or a directory of files that end in .json. The default user and vhost are then not made. What is there already stays; what cannot be imported keeps the broker from starting.',
    takes: 'the path of a file or a directory',
    default: null,
    defaultWords: 'none',
  }),
  'definitions-skip-if-unchanged': flag({
    purpose:
      'Whether definitions are imported only when they are not those of the last import, so that what was deleted since is not made again. RabbitMQ: definitions.skip_if_unchanged.',
    default: false,
  }),
  'loopback-users': names({
    purpose: 'Users who may log in from this machine only. Empty: everybody may from everywhere.',
    default: ['guest'],
  }),
  'frame-max': wholeNumber({
    purpose: 'Largest frame that is offered to clients.',
    unit: 'bytes',
    default: 131_072,
    least: 4096,
    most: 2_147_483_647,
  }),
  'channel-max': wholeNumber({
    purpose: 'Channels that a connection may have open at once.',
    default: 2047,
    least: 1,
    most: 65_535,
  }),
  'connection-max': wholeNumber({
    purpose: 'Connections that there may be in all. 0 is no limit.',
    default: 0,
    least: 0,
    most: 2_147_483_647,
  }),
  'channel-max-per-node': wholeNumber({
    purpose: 'Channels that there may be in all. 0 is no limit.',
    default: 0,
    least: 0,
    most: 2_147_483_647,
  }),
  'consumer-max-per-channel': wholeNumber({
    purpose: 'Consumers that a channel may have. 0 is no limit.',
    default: 0,
    least: 0,
    most: 2_147_483_647,
  }),
  'vhost-max': wholeNumber({
    purpose: 'Virtual hosts that there may be. 0 is no limit. RabbitMQ: vhost_max.',
    default: 0,
    least: 0,
    most: 2_147_483_647,
  }),
  'queue-max': wholeNumber({
    purpose: 'Queues that there may be in all. 0 is no limit. RabbitMQ: cluster_queue_limit.',
    default: 0,
    least: 0,
    most: 2_147_483_647,
  }),
  'exchange-max': wholeNumber({
    purpose:
      'Exchanges that there may be in all, those that are always there among them. 0 is no limit. RabbitMQ: cluster_exchange_limit.',
    default: 0,
    least: 0,
    most: 2_147_483_647,
  }),
  'default-queue-type': choice({
    purpose:
      'Type of queues that are declared without one, in virtual hosts that have none of their own. Queues that cannot be of type quorum, as they are exclusive, transient or go with their consumers, are classic ones. RabbitMQ: default_queue_type.',
    default: 'classic',
    words: ['classic', 'quorum'],
  }),
  'quorum-relaxed-redeclaration': flag({
    purpose:
      'Whether a quorum queue may be declared again as a classic one, or without a type; of the arguments are compared those for dead letters (but not their strategy), lengths, times and the single active consumer. RabbitMQ: quorum_queue.property_equivalence.relaxed_checks_on_redeclaration.',
    default: false,
  }),
  heartbeat: wholeNumber({
    purpose: 'Heartbeat that is suggested to clients, who decide. With 0 none is suggested.',
    unit: 'seconds',
    default: 60,
    least: 0,
    most: 65_535,
  }),
  'max-message-size': wholeNumber({
    purpose: 'Largest body of a message. A larger one is refused before it is read.',
    unit: 'bytes',
    default: 16_777_216,
    least: 1,
    most: 536_870_912,
  }),
  'memory-limit': amount({
    purpose:
      'Resident memory above which publishers are blocked: a share of what the machine or the control group has (0.6), or bytes. 0 is no limit.',
    default: 0.6,
    // The program itself takes as much.
    least: 67_108_864,
    most: 1_099_511_627_776,
  }),
  'disk-free-limit': wholeNumber({
    purpose: 'Free space on the disk of the data directory below which publishers are blocked. 0 is no limit.',
    unit: 'bytes',
    default: 50_000_000,
    least: 0,
    most: 1_125_899_906_842_624,
  }),
  'consumer-timeout': wholeNumber({
    purpose:
      'Time that consumers have to acknowledge a delivery, unless they or their queue say otherwise. With 0 they have as long as they like.',
    unit: 'milliseconds',
    default: 0,
    least: 0,
    most: 31_536_000_000,
  }),
  'consumer-timeout-response': choice({
    purpose:
      'What becomes of a consumer that takes longer. It is told that it is cancelled, if the client can hear of that; or its channel is closed.',
    default: 'notify_consumer',
    words: ['notify_consumer', 'close_channel'],
  }),
  'auth-mechanisms': choiceList({
    purpose:
      'Mechanisms by which clients of AMQP may log in; EXTERNAL is offered to those with a certificate. RabbitMQ: auth_mechanisms.',
    default: ['PLAIN', 'AMQPLAIN', 'EXTERNAL'],
    words: ['PLAIN', 'AMQPLAIN', 'EXTERNAL'],
  }),
  'handshake-timeout': wholeNumber({
    purpose: 'Time that a client has to log in and open a virtual host.',
    unit: 'milliseconds',
    default: 10_000,
    least: 1,
    most: 3_600_000,
  }),
  'tls-certfile': text({
    purpose:
      'Certificate of the broker, in PEM, followed by those between it and its authority. With it, AMQP is also spoken over TLS. Changed files are in use within 30 seconds. RabbitMQ: ssl_options.certfile.',
    takes: 'the path of a file',
    default: null,
    defaultWords: 'none, and no TLS',
  }),
  'tls-keyfile': text({
    purpose: 'Private key of that certificate, in PEM. RabbitMQ: ssl_options.keyfile.',
    takes: 'the path of a file',
    default: null,
    defaultWords: 'none',
  }),
  'tls-password': text({
    purpose: 'Password that the private key is encrypted with. RabbitMQ: ssl_options.password.',
    default: null,
    defaultWords: 'none',
    secret: true,
  }),
  'tls-cacertfile': text({
    purpose: 'Certificates of the authorities that clients are believed by, in PEM. RabbitMQ: ssl_options.cacertfile.',
    takes: 'the path of a file',
    default: null,
    defaultWords: 'none',
  }),
  'tls-port': port({
    purpose:
      'Port for AMQP 0-9-1 over TLS. With 0 the system picks a free one, which the ready line names. RabbitMQ: listeners.ssl.default.',
    default: 5671,
  }),
  'tls-host': text({
    purpose: 'Address of AMQP over TLS. RabbitMQ: listeners.ssl.default.',
    takes: 'an IP address or a host name',
    default: null,
    defaultWords: 'that without TLS',
  }),
  'tls-also-listen': addresses({
    purpose: 'Where AMQP 0-9-1 is spoken over TLS beside that port. RabbitMQ: listeners.ssl.NAME.',
    default: [],
    defaultWords: 'nowhere',
  }),
  'tls-verify': choice({
    purpose:
      'Whether clients of AMQP are asked for a certificate. One that is given must be valid. RabbitMQ: ssl_options.verify.',
    default: 'verify_none',
    words: ['verify_none', 'verify_peer'],
  }),
  'tls-fail-if-no-peer-cert': flag({
    purpose:
      'Whether clients of AMQP without a certificate are turned away. RabbitMQ: ssl_options.fail_if_no_peer_cert.',
    default: false,
  }),
  'tls-versions': choiceList({
    purpose: 'Versions of TLS that are spoken. RabbitMQ: ssl_options.versions.',
    default: ['tlsv1.2', 'tlsv1.3'],
    words: ['tlsv1.2', 'tlsv1.3'],
  }),
  'tls-ciphers': text({
    purpose:
      "Cipher suites that may be used, by OpenSSL's names with colons between them. RabbitMQ: ssl_options.ciphers.",
    default: null,
    defaultWords: 'the choice of Node.js',
  }),
  'tls-cert-login-from': choice({
    purpose:
      "Which part of a client's certificate is the name of its user, when it logs in by the mechanism EXTERNAL. RabbitMQ: ssl_cert_login_from.",
    default: 'distinguished_name',
    words: ['distinguished_name', 'common_name', 'subject_alternative_name'],
  }),
  'tls-cert-login-san-type': choice({
    purpose: 'Kind of the alternative name that is the name of the user. RabbitMQ: ssl_cert_login_san_type.',
    default: 'dns',
    words: ['dns', 'ip', 'email', 'uri'],
  }),
  'tls-cert-login-san-index': wholeNumber({
    purpose: 'Which alternative name of that kind it is, counted from 0. RabbitMQ: ssl_cert_login_san_index.',
    default: 0,
    least: 0,
    most: 1000,
  }),
  'management-tls-port': port({
    purpose:
      'Port for the HTTP API over TLS, if there is a certificate. With 0 the system picks a free one, which the ready line names. RabbitMQ: management.ssl.port.',
    default: 15_671,
  }),
  'prometheus-tls-port': port({
    purpose:
      'Port that Prometheus scrapes over TLS, if there is a certificate. With 0 the system picks a free one, which the ready line names. RabbitMQ: prometheus.ssl.port.',
    default: 15_691,
  }),
  'management-tls-host': text({
    purpose: 'Address of the HTTP API over TLS. RabbitMQ: management.ssl.ip.',
    takes: 'an IP address or a host name',
    default: null,
    defaultWords: 'that without TLS',
  }),
  'prometheus-tls-host': text({
    purpose: 'Address of what Prometheus scrapes over TLS. RabbitMQ: prometheus.ssl.ip.',
    takes: 'an IP address or a host name',
    default: null,
    defaultWords: 'that without TLS',
  }),
  'management-tls-certfile': text({
    purpose: 'Certificate for the HTTP API and for Prometheus. RabbitMQ: management.ssl.certfile.',
    takes: 'the path of a file',
    default: null,
    defaultWords: 'that of AMQP',
  }),
  'management-tls-keyfile': text({
    purpose: 'Private key of that certificate. RabbitMQ: management.ssl.keyfile.',
    takes: 'the path of a file',
    default: null,
    defaultWords: 'that of AMQP',
  }),
  'management-tls-password': text({
    purpose: 'Password that this private key is encrypted with. RabbitMQ: management.ssl.password.',
    default: null,
    defaultWords: 'that of AMQP',
    secret: true,
  }),
  'management-tls-cacertfile': text({
    purpose:
      'Certificates of the authorities that clients of HTTP are believed by. RabbitMQ: management.ssl.cacertfile.',
    takes: 'the path of a file',
    default: null,
    defaultWords: 'those of AMQP',
  }),
  'management-tls-versions': choiceList({
    purpose: 'Versions of TLS that the HTTP API and Prometheus are spoken to by. RabbitMQ: management.ssl.versions.',
    default: null,
    defaultWords: 'those of AMQP',
    words: ['tlsv1.2', 'tlsv1.3'],
  }),
  'management-tls-ciphers': text({
    purpose:
      "Cipher suites that may be used there, by OpenSSL's names with colons between them. RabbitMQ: management.ssl.ciphers.",
    default: null,
    defaultWords: 'those of AMQP',
  }),
  'management-tls-verify': choice({
    purpose:
      'Whether clients of HTTP are asked for a certificate. One that is given must be valid; it stands in for no password. RabbitMQ: management.ssl.verify.',
    default: 'verify_none',
    words: ['verify_none', 'verify_peer'],
  }),
  'management-tls-fail-if-no-peer-cert': flag({
    purpose:
      'Whether clients of HTTP without a certificate are turned away. RabbitMQ: management.ssl.fail_if_no_peer_cert.',
    default: false,
  }),
} satisfies Readonly<Record<string, Setting<unknown>>>

function vhostPattern(what: string): Setting<string> {
  return expression({ purpose: `Names of the virtual hosts in which ${what}.`, default: '.*' })
}

function policyNumber(purpose: string, least: number, unit?: 'bytes' | 'milliseconds'): Setting<number | null> {
  return optional(
    wholeNumber({
      purpose,
      default: least,
      least,
      most: Number.MAX_SAFE_INTEGER,
      ...(unit === undefined ? {} : { unit }),
    }),
  )
}

function vhostLimit(purpose: string): Setting<number | null> {
  return optional(wholeNumber({ purpose, default: -1, least: -1, most: 2_147_483_647 }))
}

export type Key = keyof typeof SETTINGS

/** The values of all settings. */
export type Values = { readonly [K in Key]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never }

export const KEYS = Object.keys(SETTINGS) as readonly Key[]

/** The setting with this key, whatever the type of its values. */
export function setting(key: Key): Setting<unknown> {
  return SETTINGS[key]
}

/** The environment variable of a setting: LEVERET_DATA_DIR for data-dir. */
export function variable(key: string): string {
  return `LEVERET_${key.toUpperCase().replaceAll('-', '_')}`
}
