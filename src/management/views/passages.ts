// Who publishes where and who gets what: RabbitMQ's lists within queues, exchanges and channels. It has them in detailed
// statistics only; here they are always there, and have rates from the second time on that somebody asks.
import type { ConsumerView } from '../../core/clients.ts'
import type { Exchange } from '../../core/exchange/exchange.ts'
import { QueueGets } from '../../core/gets.ts'
import type { Passage } from '../../core/passages.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { VHost } from '../../core/vhost.ts'
import type { JsonObject } from '../http-error.ts'
import type { Kind } from '../rates.ts'
import type { Call } from '../route.ts'
import { channelDetails, channelsOf, type OpenChannel } from './connection.ts'
import { figure, figureOfAll, spanOf, type Source } from './stats.ts'

/** Queues that are looked at between two looks at the clock. */
const QUEUES_AT_ONCE = 64

/** RabbitMQ's names for what is counted of publishes, and where it stands. */
const PUBLISHES = [
  ['publish', 'count'],
  ['confirm', 'confirmed'],
  ['return_unroutable', 'returned'],
  ['drop_unroutable', 'dropped'],
] as const
const passageKind: Kind<Passage> = {
  names: PUBLISHES.map(([name]) => name),
  read: (passage, into) => into.set(PUBLISHES.map(([, kept]) => passage[kept])),
}

const DELIVERIES = ['ack', 'deliver', 'deliver_get', 'deliver_no_ack', 'get', 'get_empty', 'get_no_ack', 'redeliver']
/** What deliveries come from: a consumer, or basic.get. */
type Outlet = ConsumerView | QueueGets

const outletKind: Kind<Outlet> = {
  names: DELIVERIES,
  read: (outlet, into) => into.set(deliveriesOf(outlet)),
}

/** The figures of DELIVERIES, in that order. */
function deliveriesOf(outlet: Outlet): readonly number[] {
  if (outlet instanceof QueueGets) {
    const { got, gotNoAck, empty, redelivered, acknowledged } = outlet
    return [acknowledged, 0, got + gotNoAck, 0, got, empty, gotNoAck, redelivered]
  }
  const { noAck, delivered, redelivered, acknowledged } = outlet
  return [acknowledged, noAck ? 0 : delivered, delivered, noAck ? delivered : 0, 0, 0, 0, redelivered]
}

/** A queue's publishes, by exchange. */
export function incomingOfQueue(call: Call, queue: Queue): readonly JsonObject[] {
  return Array.from(queue.passages, (passage) => ({
    exchange: { name: passage.exchange, vhost: queue.vhost },
    stats: publishStats(call, passage, 1),
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

/** What was published to an exchange, by the queue that it reached. There may be many queues: they are looked at in slices. */
export async function outgoingOfExchange(call: Call, exchange: Exchange, vhost: VHost): Promise<readonly JsonObject[]> {
  const rows: JsonObject[] = []
  let looked = 0
  await call.slices.begin()
  for (const queue of vhost.queues.values()) {
    if (++looked % QUEUES_AT_ONCE === 0 && call.slices.over) await call.slices.next()
    const passage = queue.passages.by(exchange.name)
    if (passage === undefined) continue
    rows.push({ queue: { name: queue.name, vhost: vhost.name }, stats: publishStats(call, passage, 1) })
  }
  return rows
}

/** Deliveries from a queue, by the channel that they went to: to the consumers that there are, and by basic.get. */
export function deliveriesOfQueue(call: Call, queue: Queue): readonly JsonObject[] {
  const rows: JsonObject[] = []
  for (const open of channelsOf(call.broker.connections.values())) {
    if (open.vhost !== queue.vhost) continue
    const outlets: Outlet[] = [...open.channel.consumerViews].filter((consumer) => consumer.queue === queue)
    const gets = open.channel.gets.by(queue.name)
    if (gets !== undefined) outlets.push(gets)
    if (outlets.length === 0) continue
    rows.push({ channel_details: channelDetails(call, open), stats: deliveryStats(call, outlets) })
  }
  return rows
}

/** Deliveries to a channel, by the queue that they came from. */
export function deliveriesOfChannel(call: Call, { channel, vhost }: OpenChannel): readonly JsonObject[] {
  const byQueue = new Map<string, Outlet[]>()
  const add = (queue: string, outlet: Outlet): void => {
    const outlets = byQueue.get(queue)
    if (outlets === undefined) byQueue.set(queue, [outlet])
    else outlets.push(outlet)
  }
  for (const consumer of channel.consumerViews) add(consumer.queue.name, consumer)
  for (const gets of channel.gets) add(gets.queue, gets)
  return Array.from(byQueue, ([name, outlets]) => ({
    queue: { name, vhost },
    stats: deliveryStats(call, outlets),
  }))
}

/** All that is counted of publishes, or the first so many of it. */
function publishStats(call: Call, passage: Passage, figures: number = PUBLISHES.length): JsonObject {
  call.rates.include(passage, passageKind)
  const source = sourceOf(call, passage)
  const stats = PUBLISHES.slice(0, figures).map(([name, kept]) => figure(source, name, name, passage[kept]))
  return Object.assign({}, ...stats) as JsonObject
}

function deliveryStats(call: Call, outlets: readonly Outlet[]): JsonObject {
  for (const outlet of outlets) call.rates.include(outlet, outletKind)
  const sources = outlets.map((outlet) => sourceOf(call, outlet))
  const counts = outlets.map(deliveriesOf)
  const stats = DELIVERIES.map((name, i) => {
    const sum = counts.reduce((total, figures) => total + figures[i]!, 0)
    return figureOfAll(sources, name, [name], sum)
  })
  return Object.assign({}, ...stats) as JsonObject
}

function sourceOf({ rates, query }: Call, object: object): Source {
  return { object, rates, span: spanOf(query, 'msg_rates') }
}
