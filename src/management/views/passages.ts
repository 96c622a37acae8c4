// Who publishes where and who gets what: RabbitMQ's lists within queues, exchanges and channels. It has them in detailed
// statistics only; here they are always there, and have rates from the second time on that somebody asks.
import type { ConsumerView } from '../../core/clients.ts'
import type { Exchange } from '../../core/exchange/exchange.ts'
import type { Passage } from '../../core/passages.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { VHost } from '../../core/vhost.ts'
import type { JsonObject } from '../http-error.ts'
import type { Kind } from '../rates.ts'
import type { Call } from '../route.ts'
import { channelDetails, channelsOf, type OpenChannel, type OpenConsumer } from './connection.ts'
import { figure, figureOfAll, spanOf, type Source } from './stats.ts'

const passageKind: Kind<Passage> = {
  names: ['publish'],
  read: (passage, into) => into.fill(passage.count),
}
const consumerKind: Kind<ConsumerView> = {
  names: ['delivered', 'redelivered', 'acknowledged'],
  read: ({ delivered, redelivered, acknowledged }, into) => into.set([delivered, redelivered, acknowledged]),
}

/** A queue's publishes, by exchange. */
export function incomingOfQueue(call: Call, queue: Queue): readonly JsonObject[] {
  return Array.from(queue.passages, (passage) => ({
    exchange: { name: passage.exchange, vhost: queue.vhost },
    stats: publishStats(call, passage),
  }))
}

/** A channel's publishes, by exchange. */
export function publishesOfChannel(call: Call, { channel, vhost }: OpenChannel): readonly JsonObject[] {
  return Array.from(channel.publishes, (passage) => ({
    exchange: { name: passage.exchange, vhost },
    stats: publishStats(call, passage),
  }))
}

/** An exchange's publishes, by channel. */
export function incomingOfExchange(call: Call, exchange: Exchange, vhost: string): readonly JsonObject[] {
  const rows: JsonObject[] = []
  for (const open of channelsOf(call.broker.connections.values())) {
    const passage = open.vhost === vhost ? open.channel.publishes.by(exchange.name) : undefined
    if (passage === undefined) continue
    rows.push({ channel_details: channelDetails(call, open), stats: publishStats(call, passage) })
  }
  return rows
}

/** What was published to an exchange, by the queue that it reached. */
export function outgoingOfExchange(call: Call, exchange: Exchange, vhost: VHost): readonly JsonObject[] {
  const rows: JsonObject[] = []
  for (const queue of vhost.queues.values()) {
    const passage = queue.passages.by(exchange.name)
    if (passage === undefined) continue
    rows.push({ queue: { name: queue.name, vhost: vhost.name }, stats: publishStats(call, passage) })
  }
  return rows
}

/** Deliveries to the consumers that there are, together for each channel and queue. */
export function deliveries(
  call: Call,
  consumers: Iterable<OpenConsumer>,
  of: 'queue' | 'channel',
): readonly JsonObject[] {
  const groups = new Map<string, OpenConsumer[]>()
  for (const one of consumers) {
    const key = JSON.stringify([one.open.name, one.consumer.queue.name])
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [one])
    else group.push(one)
  }
  return Array.from(groups.values(), (group) => {
    const { open, consumer } = group[0]!
    const end =
      of === 'queue'
        ? { channel_details: channelDetails(call, open) }
        : { queue: { name: consumer.queue.name, vhost: consumer.queue.vhost } }
    return { ...end, stats: deliveryStats(call, group) }
  })
}

function publishStats(call: Call, passage: Passage): JsonObject {
  call.rates.include(passage, passageKind)
  return figure(sourceOf(call, passage), 'publish', 'publish', passage.count)
}

function deliveryStats(call: Call, group: readonly OpenConsumer[]): JsonObject {
  const all = group.map(({ consumer }) => consumer)
  for (const consumer of all) call.rates.include(consumer, consumerKind)
  const sum = (name: string, kept: 'delivered' | 'redelivered' | 'acknowledged', these: readonly ConsumerView[]) => {
    const sources = these.map((consumer) => sourceOf(call, consumer))
    return figureOfAll(
      sources,
      name,
      [kept],
      these.reduce((total, consumer) => total + consumer[kept], 0),
    )
  }
  return {
    ...sum('ack', 'acknowledged', all),
    ...sum(
      'deliver',
      'delivered',
      all.filter(({ noAck }) => !noAck),
    ),
    ...sum(
      'deliver_no_ack',
      'delivered',
      all.filter(({ noAck }) => noAck),
    ),
    ...sum('deliver_get', 'delivered', all),
    ...sum('redeliver', 'redelivered', all),
  }
}

function sourceOf({ rates, query }: Call, object: object): Source {
  return { object, rates, span: spanOf(query, 'msg_rates') }
}
