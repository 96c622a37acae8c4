// RabbitMQ's own configuration file.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, type Config } from '../../src/config/config.ts'
import { effectiveDocument } from '../../src/config/document.ts'

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
    ['listeners.tcp.local = 5674', { host: null, port: 5674 }],
    ['vm_memory_high_watermark.relative = 0.4', { 'memory-limit': 0.4 }],
    [
      'listeners.ssl.default = 5673\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true',
      { 'tls-port': 5673, 'tls-verify': 'verify_peer', 'tls-fail-if-no-peer-cert': true },
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
    ['heartbeat', 'line 1 of FILE is not "key = value"'],
    ['heartbeat = often', 'the value "often" of heartbeat in FILE is not right: it must be'],
    ['vm_memory_high_watermark.absolute = much', 'the value "much" of vm_memory_high_watermark.absolute in FILE'],
  ])('says what is wrong with %j', async (line, sentence) => {
    const file = write('rabbitmq.conf', line)
    await expect(load(file)).rejects.toThrow(sentence.replace('FILE', file))
  })

  it('says that it is not there', async () => {
    await expect(load(join(directory, 'none.conf'))).rejects.toThrow(/none\.conf cannot be read: it does not exist$/)
  })
})
