// The node and the overview of everything as RabbitMQ shows them.
import { availableParallelism } from 'node:os'
import { exchangeTypes } from '../../core/exchange/exchange-types.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import type { JsonObject } from '../http-error.ts'
import { clusterName, type Call, type ListenerFacts } from '../route.ts'
import { churnFigures, UNKNOWN_FIGURES } from '../node-figures.ts'
import type { Span } from '../rates.ts'
import { binaryJson, memoryWithTotal } from './memory.ts'
import { figure, lengths, messageStats, spanOf, unknownFigures, type Source } from './stats.ts'

const PRODUCT = 'RabbitMQ'

/** The mechanisms of SASL, with RabbitMQ's descriptions. */
const MECHANISMS = {
  PLAIN: 'SASL PLAIN authentication mechanism',
  AMQPLAIN: 'QPid AMQPLAIN mechanism',
  EXTERNAL: 'TLS peer verification-based authentication plugin. Used in combination with the EXTERNAL SASL mechanism.',
}

const RETENTION = { global: [600, 3600, 28_800, 86_400], basic: [600, 3600], detailed: [600] }

/** Versions as clients look for them. Erlang's is that of the RabbitMQ that is stood in for: some clients read it. */
export function versionsJson(): JsonObject {
  return { product_name: PRODUCT, product_version: RABBITMQ_VERSION, rabbitmq_version: RABBITMQ_VERSION }
}

/** RabbitMQ's JSON of the whole broker. */
export function overviewJson(call: Call): JsonObject {
  const { broker, rates, node } = call
  const monitor = broker.access.tagged(call.user, 'monitoring')
  const source = { object: broker, rates, span: spanOf(call.query, 'msg_rates') }
  const totals = rates.totals()
  const sum = { ...source, span: spanOf(call.query, 'lengths') }
  return {
    management_version: RABBITMQ_VERSION,
    rates_mode: 'basic',
    sample_retention_policies: RETENTION,
    exchange_types: exchangeTypesJson(),
    ...versionsJson(),
    leveret_version: node.version,
    cluster_name: clusterName(call),
    cluster_tags: {},
    node_tags: {},
    erlang_version: '26.2.5',
    erlang_full_version: `Node.js ${process.versions.node}`,
    crypto_lib_version: `OpenSSL ${process.versions.openssl}`,
    release_series_support_status: 'supported',
    disable_stats: false,
    enable_queue_totals: false,
    is_op_policy_updating_enabled: node.operatorPolicyChanges,
    require_definition_json_extension: false,
    default_queue_type: call.broker.declarations.defaultType,
    message_stats: withDisk(source, messageStats(source, totals.counts, true)),
    churn_rates: churnJson(call, spanOf(call.query, 'lengths')),
    queue_totals: lengths(sum, totals.ready, totals.unacked),
    object_totals: objectTotals(call),
    statistics_db_event_queue: 0,
    node: node.name,
    ...(monitor
      ? { listeners: node.listeners.map((one) => listenerJson(call, one)), contexts: contextsJson(call) }
      : {}),
  }
}

/** The same of a node: there is one. */
export function nodeJson(call: Call): JsonObject {
  const { broker, node } = call
  const { limits } = broker.resources
  const { files, levels, counters } = call.rates.node
  const span = spanOf(call.query, 'node_stats')
  const source = { object: call.rates.node, rates: call.rates, span }
  const figures = Object.entries({ ...levels, ...counters }).map(([name, count]) => figure(source, name, name, count))
  return {
    partitions: [],
    os_pid: String(process.pid),
    fd_total: files.most < 0 ? FILES_MAX : files.most,
    sockets_total: files.most < 0 ? FILES_MAX : files.most,
    mem_limit: limits.memoryBytes,
    mem_alarm: broker.alarms.causes('memory').size > 0,
    mem_calculation_strategy: 'rss',
    disk_free_limit: limits.diskFreeBytes,
    disk_free_alarm: broker.alarms.causes('disk').size > 0,
    proc_total: 1_048_576,
    rates_mode: 'basic',
    uptime: call.clock.now() - node.startedAt,
    run_queue: 0,
    processors: availableParallelism(),
    exchange_types: exchangeTypesJson(),
    auth_mechanisms: Object.entries(MECHANISMS).map(([name, description]) => {
      return { name, description, enabled: node.authMechanisms.includes(name) }
    }),
    applications: [{ name: 'leveret', description: 'Leveret', version: node.version }],
    contexts: contextsJson(call),
    log_files: ['<stderr>'],
    db_dir: node.dataDir ?? '',
    config_files: [],
    net_ticktime: 60,
    enabled_plugins: ['rabbitmq_management', 'rabbitmq_prometheus'],
    ...versionsJson(),
    erlang_version: '26.2.5',
    metrics_gc_queue_length: NOTHING_TO_COLLECT,
    cluster_links: [],
    ra_open_file_metrics: { ra_log_wal: 0, ra_log_segment_writer: 0 },
    name: node.name,
    type: 'disc',
    running: true,
    being_drained: false,
    ...Object.assign({}, ...figures),
    ...Object.fromEntries(
      UNKNOWN_FIGURES.flatMap((name) => [[name, 0] as const, [`${name}_details`, { rate: 0 }] as const]),
    ),
    ...churnJson(call, span),
    ...(call.query['memory'] === 'true' ? { memory: memoryWithTotal() } : {}),
    ...(call.query['binary'] === 'true' ? { binary: binaryJson() } : {}),
  }
}

/** RabbitMQ: statistics of what is gone that are still to be deleted. Here they go with it. */
const NOTHING_TO_COLLECT = {
  connection_closed: 0,
  channel_closed: 0,
  consumer_deleted: 0,
  exchange_deleted: 0,
  queue_deleted: 0,
  vhost_deleted: 0,
  node_node_deleted: 0,
  channel_consumer_deleted: 0,
}

/** Where the system does not say how many files may be open: what most machines allow. */
const FILES_MAX = 1_048_576

function exchangeTypesJson(): readonly JsonObject[] {
  return Array.from(exchangeTypes.keys(), (name) => ({
    name,
    description: `AMQP ${name} exchange, as per the AMQP specification`,
    enabled: true,
  }))
}

function churnJson({ broker: { churn }, rates }: Call, span: Span | null): JsonObject {
  const source = { object: churn, rates, span }
  const figures = Object.entries(churnFigures(churn)).map(([name, count]) => figure(source, name, name, count))
  return Object.assign({}, ...figures) as JsonObject
}

/** RabbitMQ counts messages that it reads and writes for queues that are not in memory. Here it is batches: none of these. */
function withDisk(source: Source, stats: JsonObject): JsonObject {
  if (Object.keys(stats).length === 0) return stats
  return { ...stats, ...unknownFigures(source, 'published', ['disk_reads', 'disk_writes']) }
}

function objectTotals(call: Call): JsonObject {
  const { broker, user } = call
  const totals = { channels: 0, connections: 0, consumers: 0, exchanges: 0, queues: 0 }
  for (const vhost of broker.vhosts.values()) {
    if (!broker.access.sees(user, vhost.name)) continue
    totals.exchanges += vhost.exchanges.size
    totals.queues += vhost.queues.size
  }
  const all = broker.access.tagged(user, 'monitoring')
  for (const connection of broker.connections.values()) {
    if (!all && connection.user !== user.name) continue
    totals.connections++
    totals.channels += connection.channelCount
    for (const channel of connection.channels) totals.consumers += channel.consumerCount
  }
  return totals
}

function listenerJson(call: Call, { protocol, address, port, tls }: ListenerFacts): JsonObject {
  return { node: call.node.name, protocol, ip_address: address, port, socket_opts: {}, tls }
}

function contextsJson(call: Call): readonly JsonObject[] {
  return call.node.listeners
    .filter(({ protocol }) => protocol.startsWith('http'))
    .map(({ protocol, address, port }) => ({
      ssl_opts: [],
      node: call.node.name,
      description: protocol === 'http' || protocol === 'https' ? 'RabbitMQ Management' : 'RabbitMQ Prometheus',
      path: '/',
      ip: address,
      port: String(port),
    }))
}
