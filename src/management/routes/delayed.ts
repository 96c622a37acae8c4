// Beyond RabbitMQ: the messages that wait for their time before an exchange, looked at and cancelled.
import type { Delays } from '../../core/exchange/delays.ts'
import { badRequest, notFound } from '../http-error.ts'
import { payloadJson, propertiesJson } from '../message-json.ts'
import { inSession, NO_CONTENT, vhostOf, type Call, type Route } from '../route.ts'

const ONE = '/api/exchanges/:vhost/:exchange/delayed'
const COUNT_DEFAULT = 100
const COUNT_MAX = 1000

export const delayedRoutes: readonly Route[] = [
  { method: 'GET', path: ONE, needs: 'management', right: 'configure', handle: list },
  { method: 'DELETE', path: `${ONE}/:id`, needs: 'management', right: 'configure', handle: cancel },
]

/** Runs a command on what waits before the exchange of the path, for those who may configure it. Throws 404. */
function onDelays<T>(call: Call, command: (delays: Delays) => Promise<T>): Promise<T> {
  const vhost = vhostOf(call)
  const exchange = vhost.exchanges.get(call.params['exchange'] ?? '')
  const delays = exchange?.delaying?.delays
  if (exchange === undefined || delays === undefined) throw notFound()
  const { name } = exchange
  return inSession(call, vhost, (session) => {
    session.checkConfigurableExchange(name)
    return command(delays)
  })
}

/** The first to be due first. The id of one is where to go on from, and what to cancel it by. */
function list(call: Call) {
  const [due, order] = call.query['from'] === undefined ? [0, 0] : idOf(call.query['from'])
  const text = call.query['count'] ?? String(COUNT_DEFAULT)
  if (!/^\d{1,9}$/.test(text)) throw badRequest('count should be a whole number')
  const count = Math.min(Number(text), COUNT_MAX)
  return onDelays(call, async (delays) => {
    const found = count === 0 ? [] : await delays.browse(due, order, count)
    return {
      count: delays.count,
      messages: found.map(({ due: dueAt, order: after, message }) => ({
        id: `${dueAt}-${after}`,
        due_at: dueAt,
        exchange: message.exchange,
        routing_key: message.routingKey,
        payload_bytes: message.bodyBytes,
        properties: propertiesJson(call.broker.codec, message),
        ...payloadJson(message, 'auto', Infinity),
      })),
    }
  })
}

async function cancel(call: Call) {
  const [due, order] = idOf(call.params['id'] ?? '')
  const cancelled = await onDelays(call, async (delays) => {
    const done = await delays.cancel(due, order)
    if (done) call.broker.durableChanges++
    return done
  })
  if (!cancelled) throw notFound()
  return NO_CONTENT
}

/** Throws 404: what has no such form is nobody's id. */
function idOf(text: string): readonly [due: number, order: number] {
  const [, due, order] = /^(\d{1,14})-(\d{1,14})$/.exec(text) ?? []
  if (due === undefined || order === undefined) throw notFound()
  return [Number(due), Number(order)]
}
