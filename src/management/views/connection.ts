// Connections, channels and consumers as RabbitMQ shows them.
import type { ChannelView, ConnectionView, ConsumerView } from '../../core/clients.ts'
import type { JsonObject } from '../http-error.ts'
import { tableJson } from '../json-table.ts'
import type { Call } from '../route.ts'
import { figure, idleSince, messageStats, PROCESS_FIGURES, spanOf, unknownFigures, unlessEmpty } from './stats.ts'

/** A channel with the connection that it belongs to. */
export class OpenChannel {
  readonly connection: ConnectionView
  readonly channel: ChannelView

  constructor(connection: ConnectionView, channel: ChannelView) {
    this.connection = connection
    this.channel = channel
  }

  get name(): string {
    return `${this.connection.name} (${this.channel.number})`
  }

  get vhost(): string {
    return this.connection.vhost
  }
}

/** A consumer with the channel that it belongs to. */
export class OpenConsumer {
  readonly open: OpenChannel
  readonly consumer: ConsumerView

  constructor(open: OpenChannel, consumer: ConsumerView) {
    this.open = open
    this.consumer = consumer
  }

  get name(): string {
    return this.consumer.tag
  }

  get vhost(): string {
    return this.open.vhost
  }
}

export function* channelsOf(connections: Iterable<ConnectionView>): Generator<OpenChannel> {
  for (const connection of connections) {
    for (const channel of connection.channels) yield new OpenChannel(connection, channel)
  }
}

export function* consumersOf(connections: Iterable<ConnectionView>): Generator<OpenConsumer> {
  for (const open of channelsOf(connections)) {
    for (const consumer of open.channel.consumerViews) yield new OpenConsumer(open, consumer)
  }
}

/** RabbitMQ's JSON of a connection. */
export function connectionJson(call: Call, connection: ConnectionView): JsonObject {
  const source = { object: connection, rates: call.rates, span: spanOf(call.query, 'data_rates') }
  const properties = tableJson(connection.clientProperties)
  const ownName = properties['connection_name']
  const { tls } = connection
  return {
    garbage_collection: PROCESS_FIGURES.garbage_collection,
    ...unknownFigures(source, 'received', ['reductions']),
    auth_mechanism: connection.mechanism,
    channel_max: connection.channelMax,
    channels: connection.channelCount,
    client_properties: properties,
    connected_at: connection.connectedAt,
    frame_max: connection.frameMax,
    host: connection.host,
    name: connection.name,
    node: call.node.name,
    peer_cert_issuer: tls?.peer?.issuer ?? null,
    peer_cert_subject: tls?.peer?.subject ?? null,
    peer_cert_validity: tls?.peer?.validity ?? null,
    peer_host: connection.peerHost,
    peer_port: connection.peerPort,
    port: connection.port,
    protocol: connection.protocol,
    ...figure(source, 'recv_oct', 'received', connection.receivedBytes),
    ...figure(source, 'send_oct', 'sent', connection.sentBytes),
    recv_cnt: 0,
    send_cnt: 0,
    send_pend: 0,
    ssl: tls !== null,
    ssl_cipher: tls?.cipher ?? null,
    ssl_hash: tls?.hash ?? null,
    ssl_key_exchange: tls?.keyExchange ?? null,
    ssl_protocol: tls?.protocol ?? null,
    state: connection.activity,
    timeout: connection.heartbeatSeconds,
    type: 'network',
    user: connection.user,
    user_who_performed_action: connection.user,
    ...(typeof ownName === 'string' ? { user_provided_name: ownName } : {}),
    vhost: connection.vhost,
  }
}

/** The same of a channel. */
export function channelJson(call: Call, open: OpenChannel): JsonObject {
  const { connection, channel } = open
  const source = { object: channel, rates: call.rates, span: spanOf(call.query, 'msg_rates') }
  const idle = idleSince(call, channel)
  return {
    ...PROCESS_FIGURES,
    acks_uncommitted: 0,
    confirm: channel.confirmMode,
    connection_details: {
      name: connection.name,
      peer_host: connection.peerHost,
      peer_port: connection.peerPort,
    },
    consumer_count: channel.consumerCount,
    global_prefetch_count: channel.globalPrefetch,
    ...(idle === undefined ? {} : { idle_since: idle }),
    ...unlessEmpty('message_stats', messageStats(source, channel.counts, true)),
    messages_unacknowledged: channel.unackedCount,
    messages_uncommitted: 0,
    messages_unconfirmed: channel.unconfirmedCount,
    name: open.name,
    node: call.node.name,
    number: channel.number,
    pending_raft_commands: 0,
    prefetch_count: channel.consumerPrefetch,
    state: channel.activity,
    transactional: channel.transactional,
    user: connection.user,
    user_who_performed_action: connection.user,
    vhost: connection.vhost,
  }
}

function activityOf({ active, queue }: ConsumerView): string {
  if (!queue.rules.singleActiveConsumer) return 'up'
  return active ? 'single_active' : 'waiting'
}

/** Where a channel is, beside something of it. */
export function channelDetails({ node }: Call, { name, channel, connection }: OpenChannel): JsonObject {
  return {
    connection_name: connection.name,
    name,
    node: node.name,
    number: channel.number,
    peer_host: connection.peerHost,
    peer_port: connection.peerPort,
    user: connection.user,
  }
}

/** The same of a consumer. */
export function consumerJson(call: Call, { open, consumer }: OpenConsumer): JsonObject {
  return {
    arguments: tableJson(consumer.arguments),
    ack_required: !consumer.noAck,
    active: consumer.active,
    activity_status: activityOf(consumer),
    channel_details: channelDetails(call, open),
    consumer_tag: consumer.tag,
    exclusive: consumer.exclusive,
    prefetch_count: consumer.prefetch,
    queue: { name: consumer.queue.name, vhost: consumer.queue.vhost },
  }
}
