// RabbitMQ's own configuration file.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, type Config } from '../../src/config/config.ts'
import { memoryBytes } from '../../src/lib/machine.ts'
import { effectiveDocument } from '../../src/config/document.ts'

const VALIDATION = 'credential_validator.validation_backend'

/** Keys of the example that comes with RabbitMQ 4, and of its guides: those that have a meaning here. */
const TAKEN = [
  ['listeners.tcp.default = 5672', { port: 5672 }],
  ['listeners.tcp.local_v6 = ::1:5672', { host: '::1', port: 5672 }],
  ['listeners.tcp = none\nlisteners.ssl.default = 5671', { port: null }],
  ['listeners.tcp.1 = 127.0.0.1:5672\nlisteners.tcp.2 = ::1:5672', { host: '127.0.0.1', 'also-listen': ['::1:5672'] }],
  ['management.ssl.versions.1 = tlsv1.2', { 'management-tls-versions': ['tlsv1.2'] }],
  ['management.ssl.ciphers.1 = A\nmanagement.ssl.ciphers.2 = B', { 'management-tls-ciphers': 'A:B' }],
  [
    `${VALIDATION} = rabbit_credential_validator_min_password_length\ncredential_validator.min_length = 30`,
    { 'password-min-length': 30 },
  ],
  [
    `${VALIDATION} = rabbit_credential_validator_password_regexp\ncredential_validator.regexp = ^[a-z]+`,
    { 'password-pattern': '^[a-z]+' },
  ],
  ['credential_validator.min_length = 30', { 'password-min-length': 0 }],
  ['listeners.ssl.default = 10.0.0.1:5671', { 'tls-host': '10.0.0.1', 'tls-port': 5671 }],
  ['handshake_timeout = 20000', { 'handshake-timeout': 20_000 }],
  ['loopback_users.guest = false', { 'loopback-users': [] }],
  ['ssl_options.verify = verify_peer', { 'tls-verify': 'verify_peer' }],
  ['ssl_options.fail_if_no_peer_cert = true', { 'tls-fail-if-no-peer-cert': true }],
  ['ssl_options.cacertfile = ca.pem', { 'tls-cacertfile': 'ca.pem' }],
  ['ssl_options.certfile = cert.pem', { 'tls-certfile': 'cert.pem' }],
  ['ssl_options.keyfile = key.pem', { 'tls-keyfile': 'key.pem' }],
  ['ssl_options.password = secret', { 'tls-password': 'secret' }],
  ['ssl_options.versions.1 = tlsv1.2', { 'tls-versions': ['tlsv1.2'] }],
  ['ssl_options.ciphers.1 = TLS_AES_256_GCM_SHA384', { 'tls-ciphers': 'TLS_AES_256_GCM_SHA384' }],
  ['auth_mechanisms.1 = EXTERNAL', { 'auth-mechanisms': ['EXTERNAL'] }],
  ['auth_mechanisms.1 = AMQPLAIN\nauth_mechanisms.2 = PLAIN', { 'auth-mechanisms': ['PLAIN', 'AMQPLAIN'] }],
  ['ssl_cert_login_from = common_name', { 'tls-cert-login-from': 'common_name' }],
  ['load_definitions = a.json', { 'load-definitions': 'a.json' }],
  ['definitions.local.path = a.json', { 'load-definitions': 'a.json' }],
  ['definitions.skip_if_unchanged = true', { 'definitions-skip-if-unchanged': true }],
  ['default_vhost = shop', { 'default-vhost': 'shop' }],
  ['default_user = ann', { 'default-user': 'ann' }],
  ['default_pass = secret', { 'default-pass': 'secret' }],
  ['default_permissions.configure = a', { 'default-permissions-configure': 'a' }],
  ['default_permissions.read = b', { 'default-permissions-read': 'b' }],
  ['default_permissions.write = c', { 'default-permissions-write': 'c' }],
  ['default_user_tags.monitoring = true', { 'default-user-tags': ['monitoring'] }],
  ['heartbeat = 10', { heartbeat: 10 }],
  ['frame_max = 0', { 'frame-max': 2_147_483_647 }],
  ['channel_max = 128', { 'channel-max': 128 }],
  ['max_channels_per_connection = 128', { 'channel-max': 128 }],
  ['channel_max_per_node = 2000', { 'channel-max-per-node': 2000 }],
  ['consumer_max_per_channel = 100', { 'consumer-max-per-channel': 100 }],
  ['connection_max = 5000', { 'connection-max': 5000 }],
  ['max_connections = infinity', { 'connection-max': 0 }],
  ['default_queue_type = quorum', { 'default-queue-type': 'quorum' }],
  [
    'quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = true',
    { 'quorum-relaxed-redeclaration': true },
  ],
  ['vm_memory_high_watermark.relative = 0.5', { 'memory-limit': 0.5 }],
  ['vm_memory_high_watermark.absolute = 2GB', { 'memory-limit': 2_000_000_000 }],
  ['disk_free_limit.absolute = 50mb', { 'disk-free-limit': 50_000_000 }],
  ['disk_free_limit.relative = 2.0', { 'disk-free-limit': 2 * memoryBytes() }],
  ['vhost_max = 100', { 'vhost-max': 100 }],
  ['cluster_queue_limit = 10000', { 'queue-max': 10_000 }],
  ['cluster_exchange_limit = 5000', { 'exchange-max': 5000 }],
  ['max_message_size = 1000000', { 'max-message-size': 1_000_000 }],
  ['cluster_name = warren', { 'cluster-name': 'warren' }],
  ['consumer_timeout = 900000', { 'consumer-timeout': 900_000 }],
  ['management.http.max_body_size = 500000', { 'management-max-body-size': 500_000 }],
  ['management.tcp.port = 15673', { 'management-port': 15_673 }],
  ['management.tcp.ip = 0.0.0.0', { 'management-host': '0.0.0.0' }],
  ['management.ssl.port = 15674', { 'management-tls-port': 15_674 }],
  ['management.ssl.cacertfile = ca.pem', { 'management-tls-cacertfile': 'ca.pem' }],
  ['management.ssl.certfile = cert.pem', { 'management-tls-certfile': 'cert.pem' }],
  ['management.ssl.keyfile = key.pem', { 'management-tls-keyfile': 'key.pem' }],
  ['management.path_prefix = /a', { 'management-path-prefix': '/a' }],
  ['management.cors.allow_origins.1 = https://a.example', { 'management-cors-allow-origins': ['https://a.example'] }],
  ['prometheus.tcp.port = 15693', { 'prometheus-port': 15_693 }],
  ['prometheus.path = /m', { 'prometheus-path': '/m' }],
  ['log.file.level = debug', { 'log-level': 'debug' }],
  ['log.console.level = warning', { 'log-level': 'warn' }],
  ['log.console.formatter = json', { 'log-format': 'json' }],
  [
    'default_limits.vhosts.prod.pattern = ^prod-.*\ndefault_limits.vhosts.prod.max_connections = 5000',
    { 'default-vhost-limits': { prod: { pattern: '^prod-.*', 'max-connections': 5000, 'max-queues': null } } },
  ],
  [
    'default_limits.vhosts.1.max_queues = -1\ndefault_limits.vhosts.2.max_queues = 7',
    { 'default-vhost-limits': { 1: { pattern: '.*', 'max-queues': -1 }, 2: { pattern: '.*', 'max-queues': 7 } } },
  ],
  [
    [
      'default_policies.operator.short.vhost_pattern = ^prod-',
      'default_policies.operator.short.queue_pattern = ^amq\\.',
      'default_policies.operator.short.apply_to = classic_queues',
      'default_policies.operator.short.expires = 1h30m',
      'default_policies.operator.short.message_ttl = 2500',
      'default_policies.operator.short.max_length = 10000',
      'default_policies.operator.short.max_length_bytes = 2MB',
      'default_policies.operator.short.max_in_memory_length = 5',
      'default_policies.operator.short.max_in_memory_bytes = 1kb',
      'default_policies.operator.short.delivery_limit = 3',
      'default_policies.operator.short.classic_queues.queue_version = 2',
    ].join('\n'),
    {
      'default-operator-policies': {
        short: {
          'vhost-pattern': '^prod-',
          'queue-pattern': '^amq\\.',
          'apply-to': 'classic_queues',
          expires: 5_400_000,
          'message-ttl': 2500,
          'max-length': 10_000,
          'max-length-bytes': 2 * 2 ** 20,
          'max-in-memory-length': 5,
          'max-in-memory-bytes': 1024,
          'delivery-limit': 3,
          'queue-version': 2,
        },
      },
    },
  ],
  [
    [
      'default_users.ann.vhost_pattern = ^prod-',
      'default_users.ann.tags = monitoring, policymaker',
      "default_users.ann.password = 'carrot #1'",
      'default_users.ann.configure =',
      'default_users.ann.read = ^r',
      'default_users.bob.write = ^w',
    ].join('\n'),
    {
      'default-users': {
        ann: {
          'vhost-pattern': '^prod-',
          tags: ['monitoring', 'policymaker'],
          password: 'carrot #1',
          configure: '',
          read: '^r',
          write: '.*',
        },
        bob: { 'vhost-pattern': '.*', tags: [], password: null, configure: '.*', read: '.*', write: '^w' },
      },
    },
  ],
] as const

/** Those that say what is so here anyway. With any other value they are named. */
const SO_ALREADY = [
  'auth_backends.1 = rabbit_auth_backend_internal',
  'password_hashing_module = rabbit_password_hashing_sha256',
  'reverse_dns_lookups = false',
  'proxy_protocol = false',
  `${VALIDATION} = rabbit_credential_validator_accept_everything`,
  'tcp_listen_options.nodelay = true',
  'vm_memory_calculation_strategy = rss',
  'definitions.import_backend = local_filesystem',
  'management.rates_mode = basic',
  'management.definitions.require_json_extension = false',
  'management.tcp.compress = true',
  'log.console = true',
  'log.file = false',
  'log.exchange = true',
]

/** The others: other protocols and plugins, Erlang, clusters, and what this broker does in one way only. */
const MEANINGLESS = [
  'listeners.tcp.unix = unix:/var/run/rabbitmq/rabbitmq.sock:0',
  'num_acceptors.tcp = 10',
  'num_acceptors.ssl = 10',
  'socket_writer.gc_threshold = off',
  'ssl_options.honor_cipher_order = true',
  'ssl_options.honor_ecc_order = true',
  'ssl_options.client_renegotiation = false',
  'ssl_options.secure_renegotiate = true',
  'ssl_options.bypass_pem_cache = true',
  'ssl_options.depth = 2',
  'ssl_handshake_timeout = 5000',
  'auth_backends.1.authn = rabbit_auth_backend_ldap',
  'auth_backends.1.authz = rabbit_auth_backend_internal',
  'auth_backends.2 = rabbit_auth_backend_internal',
  'default_users.monitoring.limits = 1',
  'default_policies.operator.limits.classic_queues.ha_mode = exactly',
  'default_policies.operator.limits.classic_queues.ha_params = 2',
  'default_policies.operator.limits.classic_queues.ha_sync_mode = automatic',
  'initial_frame_max = 4096',
  'session_max_per_connection = 32',
  'link_max_per_session = 32',
  'tcp_listen_options.backlog = 128',
  'tcp_listen_options.keepalive = true',
  'tcp_listen_options.sndbuf = 196608',
  'quorum_queue.initial_cluster_size = 3',
  'classic_queue.default_version = 2',
  'stream.listeners.tcp.default = 5552',
  'stream.heartbeat = 30',
  'total_memory_available_override_value = 2GB',
  'cluster_tags.region = us-east-1',
  'node_tags.role = mqtt-ingress',
  'queue_leader_locator = balanced',
  'cluster_formation.peer_discovery_backend = rabbit_peer_discovery_classic_config',
  'cluster_formation.classic_config.nodes.1 = rabbit1@hostname',
  'cluster_formation.node_type = disc',
  'cluster_keepalive_interval = 10000',
  'cluster_partition_handling = ignore',
  'collect_statistics_interval = 5000',
  'raft.wal_max_size_bytes = 1048576',
  'metadata_store.khepri.default_timeout = 30000',
  'deprecated_features.permit.amqp_address_v1 = true',
  'queue_index_embed_msgs_below = 4kb',
  'background_gc_enabled = false',
  'product.name = RabbitMQ',
  'motd_file = /etc/rabbitmq/motd',
  'channel_interceptor.priorities.interceptor_one = 1',
  'net_ticktime = 60',
  'distribution.listener.port_range.min = 25672',
  'http_dispatch.access_log_dir = /path',
  'management.http_log_dir = /path',
  'management.tcp.idle_timeout = 120',
  'auth_mechanisms.1 = ANONYMOUS',
  'auth_mechanisms.2 = RABBIT-CR-DEMO',
  'management.sample_retention_policies.global.minute = 5',
  'management.credential_encryption_secret = a',
  'management.headers.referrer_policy = no-referrer',
  'management.oauth_client_id = rabbitmq-management',
  'shovel.delete_after_duration_floor = 60',
  'stomp.listeners.tcp.1 = 127.0.0.1:61613',
  'web_stomp.hsts.policy = max-age=31536000',
  'mqtt.listeners.tcp.1 = 127.0.0.1:1883',
  'web_mqtt.hsts.policy = max-age=31536000',
  'log.dir = /var/log/rabbitmq',
  'log.file.rotation.date = $D0',
  'log.exchange.level = info',
  'log.user.level = info',
  'auth_oauth2.resource_server_id = rabbitmq',
  'auth_ldap.servers.1 = a',
]

/** Values of which something would have to be done that is not done here. */
const OTHER_VALUES = [
  'auth_backends.1 = rabbit_auth_backend_ldap',
  'management.rates_mode = detailed',
  'password_hashing_module = rabbit_password_hashing_md5',
  'proxy_protocol = true',
  `${VALIDATION} = my_validator`,
  'reverse_dns_lookups = true',
  'tcp_listen_options.nodelay = false',
  'log.console = false',
  'log.file = rabbit.log',
]

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'leveret-rabbitmq-conf-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function write(name: string, ...lines: string[]): string {
  const file = join(directory, name)
  writeFileSync(file, lines.join('\n'))
  return file
}

function load(path: string, flags: Record<string, unknown> = {}, environment = {}): Promise<Config> {
  return loadConfig({ flags: { 'rabbitmq-conf': path, ...flags }, environment })
}

describe('rabbitmq.conf', () => {
  it('gives settings by the names that they have here', async () => {
    const file = write(
      'rabbitmq.conf',
      '# a comment',
      'listeners.tcp.default = 127.0.0.1:5673',
      '  default_user=ann   # and another',
      "default_pass = 'with # inside'",
      'vm_memory_high_watermark.absolute = 2GiB',
      'disk_free_limit.absolute = 50MB',
      'max_message_size = 134217728',
      'management.tcp.port = 15673',
      'log.console.level = warning',
      'log.console.formatter = json',
      'consumer_timeout = 60000',
      'connection_max = 100',
      'channel_max_per_node = infinity',
      'cluster_queue_limit = 7',
      'load_definitions = /etc/rabbitmq/definitions.json',
      'cluster_name = warren',
      'default_permissions.configure = ^ann',
      'default_permissions.read = .*',
    )
    const { values, sources, ignored } = await load(file)
    expect(values).toMatchObject({
      host: '127.0.0.1',
      port: 5673,
      'default-user': 'ann',
      'default-pass': 'with # inside',
      'memory-limit': 2 * 2 ** 30,
      'disk-free-limit': 50_000_000,
      'max-message-size': 134_217_728,
      'management-port': 15_673,
      'log-level': 'warn',
      'log-format': 'json',
      'consumer-timeout': 60_000,
      'connection-max': 100,
      'cluster-name': 'warren',
      'default-permissions-configure': '^ann',
      'default-permissions-write': '.*',
      'channel-max-per-node': 0,
      'queue-max': 7,
      'load-definitions': '/etc/rabbitmq/definitions.json',
    })
    expect(sources.port).toBe(`listeners.tcp.default in ${file}`)
    expect(ignored).toEqual([])
  })

  it.each([
    ['listeners.tcp.1 = [::1]:5674', { host: '::1', port: 5674 }],
    ['auth_mechanisms.1 = ANONYMOUS\nauth_mechanisms.2 = PLAIN', { 'auth-mechanisms': ['PLAIN'] }],
    ['listeners.tcp.local = 5674', { host: null, port: 5674 }],
    ['vm_memory_high_watermark.relative = 0.4', { 'memory-limit': 0.4 }],
    [
      'listeners.ssl.default = 5673\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true',
      { 'tls-port': 5673, 'tls-verify': 'verify_peer', 'tls-fail-if-no-peer-cert': true },
    ],
    [
      'listeners.tcp.local = 127.0.0.1:5672\nlisteners.tcp.local_v6 = ::1:5672\nlisteners.tcp.again = 127.0.0.1:5672',
      { host: '127.0.0.1', port: 5672, 'also-listen': ['::1:5672'] },
    ],
    [
      'listeners.ssl.1 = 5671\nlisteners.ssl.2 = 5673\nlisteners.ssl.3 = [::1]:5674',
      { 'tls-port': 5671, 'tls-also-listen': ['5673', '[::1]:5674'] },
    ],
    ['listeners.tcp = none\nlisteners.ssl.default = 5671', { port: null, 'tls-port': 5671 }],
    ['listeners.ssl.1 = 5672\nlisteners.tcp = none', { port: null, 'tls-port': 5672 }],
    ['listeners.ssl = none', { port: 5672, 'tls-port': null }],
    [
      'management.ssl.port = 15671',
      { 'management-port': null, 'management-tls-port': 15_671, 'prometheus-port': 15_692 },
    ],
    ['management.ssl.port = 15671\nmanagement.tcp.port = 15672', { 'management-port': 15_672 }],
    ['prometheus.ssl.port = 15691', { 'prometheus-port': null, 'management-port': 15_672 }],
    [
      'management.ssl.certfile = a.pem\nmanagement.ssl.keyfile = b.pem\nprometheus.ssl.certfile = a.pem\nprometheus.ssl.keyfile = b.pem',
      { 'management-port': null, 'prometheus-port': null },
    ],
    [
      'management.cors.allow_origins.1 = https://a.example\nmanagement.cors.allow_origins.2 = https://b.example',
      { 'management-cors-allow-origins': ['https://a.example', 'https://b.example'], 'management-cors-max-age': 1800 },
    ],
    ['management.cors.allow_origins = none', { 'management-cors-allow-origins': [] }],
    ['management.cors.max_age = 60', { 'management-cors-max-age': 60 }],
    ['prometheus.tcp.ip = 127.0.0.1', { 'prometheus-host': '127.0.0.1', 'management-host': null }],
    ['prometheus.path = /scrape/rabbit', { 'prometheus-path': '/scrape/rabbit' }],
    [
      'prometheus.ssl.port = 15691\nprometheus.ssl.ip = 127.0.0.2',
      { 'prometheus-tls-host': '127.0.0.2', 'prometheus-host': null, 'prometheus-port': null },
    ],
    [
      'management.ssl.port = 15671\nmanagement.ssl.ip = 127.0.0.3',
      { 'management-tls-host': '127.0.0.3', 'management-host': null },
    ],
    ['default_queue_type = quorum', { 'default-queue-type': 'quorum' }],
    [
      'quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = true',
      { 'quorum-relaxed-redeclaration': true },
    ],
    ['prometheus.return_per_object_metrics = true', { 'prometheus-per-object': true }],
    ['management.path_prefix = /rabbit', { 'management-path-prefix': '/rabbit' }],
    ['management.http.max_body_size = 2000000', { 'management-max-body-size': 2_000_000 }],
    ['management.restrictions.operator_policy_changes.disabled = true', { 'operator-policy-changes': 'refused' }],
    ['ssl_options.versions.1 = tlsv1.3', { 'tls-versions': ['tlsv1.3'] }],
    ['ssl_options.ciphers.1 = A\nssl_options.ciphers.2 = B', { 'tls-ciphers': 'A:B' }],
    ['loopback_users = none', { 'loopback-users': [] }],
    ['loopback_users.guest = false', { 'loopback-users': [] }],
    ['loopback_users.guest = true\nloopback_users.ann = true', { 'loopback-users': ['guest', 'ann'] }],
    ['listeners.tcp.local = 127.0.0.1:5672\nlisteners.tcp.local = 5673', { host: null, port: 5673 }],
    ['listeners.ssl.default = 127.0.0.1:5671', { host: null, 'tls-host': '127.0.0.1', 'tls-port': 5671 }],
    [
      'listeners.tcp.default = 127.0.0.1:5672\nlisteners.ssl.default = 5671',
      { host: '127.0.0.1', 'tls-host': '::', 'tls-port': 5671 },
    ],
    ['listeners.tcp.default = 127.0.0.1:5672\nlisteners.ssl = none', { 'tls-host': null, 'tls-port': null }],
    ['disk_free_limit.relative = 1.5', { 'disk-free-limit': Math.floor(1.5 * memoryBytes()) }],
    [
      'disk_free_limit.relative = 1.5\ndisk_free_limit.absolute = 1GB',
      { 'disk-free-limit': Math.floor(1.5 * memoryBytes()) },
    ],
    ['vm_memory_high_watermark.relative = 0.4\nvm_memory_high_watermark.absolute = 1GB', { 'memory-limit': 0.4 }],
    ['log.console.level = error\nlog.file.level = debug\nlog.level = info', { 'log-level': 'error' }],
    ['log.file.level = notice', { 'log-level': 'info' }],
    [
      'default_user_tags.management = true\ndefault_user_tags.administrator = false',
      { 'default-user-tags': ['management'] },
    ],
    ['prometheus.ssl.certfile = a.pem', { 'management-tls-certfile': 'a.pem' }],
    ['max_channels_per_connection = 0', { 'channel-max': 65_535 }],
    ['default_queue_type = rabbit_quorum_queue', { 'default-queue-type': 'quorum' }],
  ])('understands %j', async (line, expected) => {
    expect((await load(write('rabbitmq.conf', line))).values).toMatchObject(expected)
  })

  it('fills in variables of the environment', async () => {
    const file = write('rabbitmq.conf', 'default_pass = $(SECRET)')
    expect((await load(file, {}, { SECRET: 'carrot' })).values['default-pass']).toBe('carrot')
  })

  it('comes after flags, variables and our own file', async () => {
    const file = write(
      'rabbitmq.conf',
      'heartbeat = 1',
      'frame_max = 8192',
      'channel_max = 1',
      'listeners.tcp.default = 1',
    )
    const config = write('leveret.yaml', 'heartbeat: 2')
    const flags = { config, 'channel-max': '3' }
    const { values } = await load(file, flags, { LEVERET_PORT: '4' })
    expect(values).toMatchObject({ heartbeat: 2, 'frame-max': 8192, 'channel-max': 3, port: 4 })
  })

  it('is read from a directory in the order of the names, where the last value counts', async () => {
    const conf = join(directory, 'conf.d')
    mkdirSync(conf)
    writeFileSync(join(conf, '20-second.conf'), 'heartbeat = 20')
    writeFileSync(join(conf, '10-first.conf'), 'heartbeat = 10\nframe_max = 8192')
    writeFileSync(join(conf, 'README'), 'this is no setting')
    expect((await load(conf)).values).toMatchObject({ heartbeat: 20, 'frame-max': 8192 })
  })

  it('names what means nothing here', async () => {
    const file = write('rabbitmq.conf', 'cluster_formation.peer_discovery_backend = dns', 'net_ticktime = 60')
    const config = await load(file)
    expect(config.ignored).toEqual([
      `cluster_formation.peer_discovery_backend (in ${file})`,
      `net_ticktime (in ${file})`,
    ])
    expect(effectiveDocument(config)).toContain(`# means nothing here: net_ticktime (in ${file})\n`)
  })

  it.each([
    [
      'management.ssl.certfile = a.pem\nprometheus.ssl.certfile = b.pem',
      'prometheus.ssl.certfile',
      { 'management-tls-certfile': 'a.pem' },
    ],
  ])('names what cannot hold beside what came before: %j', async (content, name, expected) => {
    const file = write('rabbitmq.conf', ...content.split('\n'))
    const { ignored, values } = await load(file)
    expect(ignored).toEqual([`${name} (in ${file})`])
    expect(values).toMatchObject(expected)
  })

  it.each(TAKEN)('takes %s', async (line, expected) => {
    const { ignored, values } = await load(write('rabbitmq.conf', line))
    expect(ignored).toEqual([])
    expect(values).toMatchObject(expected)
  })

  it.each(SO_ALREADY)('needs nothing done for %s', async (line) => {
    const { ignored, values } = await load(write('rabbitmq.conf', line))
    expect(ignored).toEqual([])
    expect(values).toEqual((await loadConfig({ flags: {}, environment: {} })).values)
  })

  it('names every other key of the example that comes with RabbitMQ', async () => {
    const lines = [...MEANINGLESS, ...OTHER_VALUES]
    const file = write('rabbitmq.conf', ...lines)
    const { ignored, values } = await load(file)
    expect(ignored).toEqual(lines.map((line) => `${line.split(' = ')[0]} (in ${file})`))
    expect(values).toEqual((await loadConfig({ flags: {}, environment: {} })).values)
  })

  it.each([
    ['heartbeat', 'line 1 of FILE is not "key = value"'],
    [
      'default_pass = encrypted:uL+A4nxX',
      'the value of default_pass in FILE is encrypted, which cannot be undone here',
    ],
    ['heartbeat = often', 'the value "often" of heartbeat in FILE is not right: it must be'],
    [
      'default_users.ann.password = carrot\ndefault_users.ann.read = [',
      'the value of default_users in FILE is not right: it has a wrong read in ann, which must be a regular expression: a [',
    ],
    [
      'default_policies.operator.p.expires = soon',
      'of default_policies.operator in FILE is not right: it has a wrong expires in p, which must be a whole number of milliseconds',
    ],
    ['vm_memory_high_watermark.absolute = much', 'the value "much" of vm_memory_high_watermark.absolute in FILE'],
  ])('says what is wrong with %j', async (line, sentence) => {
    const file = write('rabbitmq.conf', line)
    await expect(load(file)).rejects.toThrow(sentence.replace('FILE', file))
  })

  it('says that it is not there', async () => {
    await expect(load(join(directory, 'none.conf'))).rejects.toThrow(/none\.conf cannot be read: it does not exist$/)
  })
})
