// Vhosts, exchanges, queues and bindings as RabbitMQ shows them.
import { queueTypeOf } from '../../core/arguments.ts'
import { INTERNAL_USER } from '../../core/events.ts'
import type { Binding } from '../../core/exchange/binding.ts'
import type { Exchange } from '../../core/exchange/exchange.ts'
import type { Governance } from '../../core/policies.ts'
import type { Queue } from '../../core/queue/queue.ts'
import { NO_ARGUMENTS } from '../../core/value.ts'
import type { VHost } from '../../core/vhost.ts'
import type { JsonObject } from '../http-error.ts'
import { tableJson } from '../json-table.ts'
import type { Columns } from '../listing.ts'
import { propertiesKey } from '../properties-key.ts'
import {
  bodyBytes,
  bodyBytesInMemory,
  consumerCapacity,
  countInMemory,
  countOnDiskOnly,
  isQuorum,
} from '../queue-figures.ts'
import type { Call } from '../route.ts'
import {
  figure,
  idleSince,
  lengthColumns,
  lengths,
  messageStats,
  PROCESS_FIGURES,
  spanOf,
  unlessEmpty,
} from './stats.ts'

/** An exchange with the name of its vhost, which it does not know itself. */
export class VHostExchange {
  readonly exchange: Exchange
  readonly vhost: string

  constructor(exchange: Exchange, vhost: string) {
    this.exchange = exchange
    this.vhost = vhost
  }

  get name(): string {
    return this.exchange.name
  }
}

/** RabbitMQ's JSON of a vhost. */
export function vhostJson(call: Call, vhost: VHost): JsonObject {
  const { description, tags, tracing, protected: kept } = vhost.definition
  const source = { object: vhost, rates: call.rates, span: spanOf(call.query, 'lengths') }
  const messages = { ...source, span: spanOf(call.query, 'msg_rates') }
  const octets = { ...source, span: spanOf(call.query, 'data_rates') }
  const totals = call.rates.totals(vhost)
  const metadata = { description, tags, default_queue_type: call.broker.defaultQueueType(vhost) }
  return {
    cluster_state: { [call.node.name]: 'running' },
    ...metadata,
    ...unlessEmpty('message_stats', messageStats(messages, totals.counts, true)),
    ...lengths(source, totals.ready, totals.unacked),
    metadata,
    name: vhost.name,
    protected_from_deletion: kept ?? false,
    ...figure(octets, 'recv_oct', 'received', totals.received),
    ...figure(octets, 'send_oct', 'sent', totals.sent),
    tracing: tracing ?? false,
  }
}

/** The same of an exchange. */
export function exchangeJson(call: Call, { exchange, vhost }: VHostExchange): JsonObject {
  const source = { object: exchange, rates: call.rates, span: spanOf(call.query, 'msg_rates') }
  const stats =
    exchange.publishedIn === 0
      ? {}
      : {
          ...figure(source, 'publish_in', 'in', exchange.publishedIn),
          ...figure(source, 'publish_out', 'out', exchange.publishedOut),
          // LavinMQ's name.
          ...(exchange.deduplication === null ? {} : figure(source, 'dedup', 'deduplicated', exchange.deduplicated)),
        }
  const { policy, operatorPolicy } = exchange.governance ?? { policy: null, operatorPolicy: null }
  return {
    arguments: tableJson(exchange.arguments),
    auto_delete: exchange.autoDelete,
    durable: exchange.durable,
    internal: exchange.internal,
    ...unlessEmpty('message_stats', stats),
    name: exchange.name,
    ...(policy === null ? {} : { policy }),
    ...(operatorPolicy === null ? {} : { operator_policy: operatorPolicy }),
    type: exchange.type,
    user_who_performed_action: exchange.user ?? INTERNAL_USER,
    vhost,
  }
}

const UNGOVERNED: Governance = { policy: null, operatorPolicy: null, definition: {} }

/** What every view of a queue has, also when statistics are left out. */
export function queueFactColumns(call: Call): Columns<Queue> {
  const governance = (queue: Queue): Governance => queue.governance ?? UNGOVERNED
  return {
    arguments: (queue) => ({ ...tableJson(queue.arguments), 'x-queue-type': queueTypeOf(queue.arguments) }),
    auto_delete: (queue) => queue.autoDelete,
    durable: (queue) => queue.durable,
    effective_policy_definition: (queue) => governance(queue).definition,
    exclusive: (queue) => queue.owner !== null,
    // A quorum of one.
    leader: (queue) => (isQuorum(queue) ? call.node.name : undefined),
    members: (queue) => (isQuorum(queue) ? [call.node.name] : undefined),
    name: (queue) => queue.name,
    node: () => call.node.name,
    online: (queue) => (isQuorum(queue) ? [call.node.name] : undefined),
    operator_policy: (queue) => governance(queue).operatorPolicy,
    policy: (queue) => governance(queue).policy,
    // RabbitMQ: a queue that is there, and of which nothing can be had now, is down.
    state: (queue) => (queue.opened ? (queue.paused ? 'paused' : 'running') : 'down'),
    type: (queue) => queueTypeOf(queue.arguments),
    vhost: (queue) => queue.vhost,
  }
}

/** A queue with its statistics: each column can be read by itself, for the sake of long lists. */
export function queueColumns(call: Call): Columns<Queue> {
  const { rates } = call
  const messages = spanOf(call.query, 'msg_rates')
  return ofOpened({
    ...queueFactColumns(call),
    consumer_capacity: consumerCapacity,
    consumer_utilisation: consumerCapacity,
    consumers: (queue) => queue.consumerCount,
    backing_queue_status: (queue) => backingJson(call, queue),
    garbage_collection: () => PROCESS_FIGURES.garbage_collection,
    head_message_timestamp: (queue) => headTimestamp(call, queue),
    idle_since: (queue) => idleSince(call, queue),
    memory: (queue) => queue.residentBytes,
    owner_pid_details: (queue) => ownerJson(call, queue),
    exclusive_consumer_tag: (queue) => (queue.exclusivelyConsumed ? (queue.consumers[0]?.tag ?? null) : null),
    message_bytes: bodyBytes,
    message_bytes_persistent: (queue) => queue.persistent.bodyBytes,
    message_bytes_paged_out: (queue) => bodyBytes(queue) - bodyBytesInMemory(queue),
    message_bytes_ram: bodyBytesInMemory,
    message_bytes_ready: (queue) => queue.readyBytes,
    message_bytes_unacknowledged: (queue) => queue.unackedBytes,
    message_stats: (queue) => {
      const stats = messageStats({ object: queue, rates, span: messages }, queue.counts, false)
      return Object.keys(stats).length === 0 ? undefined : stats
    },
    messages_paged_out: countOnDiskOnly,
    messages_persistent: (queue) => queue.persistent.count,
    messages_ram: countInMemory,
    messages_ready_ram: (queue) => queue.residentCount,
    messages_unacknowledged_ram: (queue) => queue.unackedResidentCount,
    // RabbitMQ: of quorum queues that dead-letter at least once. Here they are seldom there.
    messages_dlx: (queue) => queue.dyingCount || undefined,
    message_bytes_dlx: (queue) => queue.dyingBytes || undefined,
    // What the disk does not give now, and what was found damaged since the start: ours, and seldom there.
    messages_unreadable: (queue) => queue.unreadableCount || undefined,
    messages_damaged: (queue) => queue.damagedCount || undefined,
    ...lengthColumns<Queue>(
      { rates, span: spanOf(call.query, 'lengths') },
      (queue) => queue.readyCount,
      (queue) => queue.unackedCount,
    ),
    reductions: () => PROCESS_FIGURES.reductions,
    reductions_details: () => PROCESS_FIGURES.reductions_details,
    single_active_consumer_tag: (queue) => singleActiveTag(queue),
    storage_version: () => 2,
  })
}

/** Columns, of which those are left out that tell how much a queue holds as long as that is not known. */
export function ofOpened(columns: Columns<Queue>): Columns<Queue> {
  const known = Object.entries(columns).map(([name, read]): [string, Columns<Queue>[string]] => {
    const counts = name !== 'message_stats' && /^(messages?(_|$)|backing_queue_status$)/.test(name)
    return [name, counts ? (queue) => (queue.opened ? read(queue) : undefined) : read]
  })
  return Object.fromEntries(known)
}

/** Seconds since 1970, of the next message: null when it has none, and while it is on disk only. */
function headTimestamp({ broker }: Call, { head }: Queue): number | null {
  const timestamp = head === undefined ? null : broker.codec.property(head, 'timestamp')
  return timestamp === null ? null : Number(timestamp)
}

/** What RabbitMQ tells of the inside of a classic queue, as far as it means something here. Rates are per second. */
function backingJson({ rates }: Call, queue: Queue): JsonObject | undefined {
  if (queueTypeOf(queue.arguments) !== 'classic') return undefined
  const rate = (...names: readonly string[]): number =>
    names.reduce((sum, name) => sum + (rates.figure(queue, name)?.rate ?? 0), 0)
  return {
    mode: 'default',
    version: 2,
    len: queue.readyCount,
    next_seq_id: queue.nextPosition,
    num_pending_acks: queue.unackedCount,
    avg_ingress_rate: rate('published'),
    avg_egress_rate: rate('delivered', 'deliveredNoAck', 'got', 'gotNoAck'),
    avg_ack_ingress_rate: rate('delivered', 'got'),
    avg_ack_egress_rate: rate('acknowledged'),
  }
}

function singleActiveTag(queue: Queue): string | null {
  if (!queue.rules.singleActiveConsumer) return null
  return queue.consumers.find((consumer) => queue.serves(consumer))?.tag ?? null
}

/** The connection that an exclusive queue belongs to. */
function ownerJson({ broker }: Call, queue: Queue): JsonObject | undefined {
  const name = queue.owner?.origin?.name
  const connection = name === undefined ? undefined : broker.connections.get(name)
  if (connection === undefined) return undefined
  return { name: connection.name, peer_host: connection.peerHost, peer_port: connection.peerPort }
}

/** A binding; also those that every queue has with the default exchange, which are none of the core's. */
export interface BindingTerms {
  readonly source: string
  readonly vhost: string
  readonly destination: string
  readonly destinationKind: 'queue' | 'exchange'
  readonly routingKey: string
  readonly arguments: Binding['arguments']
}

/** A binding as its definition has it. */
export function bindingTerms(binding: Binding, vhost: string): BindingTerms {
  const { destinationKind, routingKey, arguments: args } = binding
  const { name: destination } = binding.destination
  return { source: binding.source.name, vhost, destination, destinationKind, routingKey, arguments: args }
}

/** RabbitMQ: every queue is bound to the default exchange by its name. */
export function defaultBinding(queue: Queue): BindingTerms {
  const { name, vhost } = queue
  return { source: '', vhost, destination: name, destinationKind: 'queue', routingKey: name, arguments: NO_ARGUMENTS }
}

/** RabbitMQ's JSON of a binding. */
export function bindingJson(binding: BindingTerms): JsonObject {
  return {
    source: binding.source,
    vhost: binding.vhost,
    destination: binding.destination,
    destination_type: binding.destinationKind,
    routing_key: binding.routingKey,
    arguments: tableJson(binding.arguments),
    properties_key: propertiesKey(binding.routingKey, binding.arguments),
  }
}
