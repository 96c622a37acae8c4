// Exchanges, and publishing to them.
import type { BrokerError } from '../../core/errors.ts'
import type { Session } from '../../core/session.ts'
import type { Slices } from '../../lib/slices.ts'
import { assertPresent, booleanField, objectField, shortField, stringField } from '../body.ts'
import { Confirmation } from '../confirmation.ts'
import { badRequest, fromChannelError, notFound, type HttpError } from '../http-error.ts'
import { jsonTable } from '../json-table.ts'
import { propertiesOf } from '../message-json.ts'
import { Listing } from '../listing.ts'
import { fromBase64, parseWithText } from '../long-text.ts'
import { CREATED, inSession, NO_CONTENT, targetVHost, vhostOf, type Call, type Route } from '../route.ts'
import { incomingOfExchange, outgoingOfExchange } from '../views/passages.ts'
import { bindingJson, bindingTerms, defaultBinding, exchangeJson, VHostExchange } from '../views/topology.ts'

/** RabbitMQ's name for the default exchange in a path. */
const DEFAULT_EXCHANGE = 'amq.default'

const ONE = '/api/exchanges/:vhost/:exchange'

export const exchangeRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/exchanges', needs: 'management', handle: list },
  { method: 'GET', path: '/api/exchanges/:vhost', needs: 'management', handle: listInVHost },
  { method: 'GET', path: ONE, needs: 'management', handle: one },
  { method: 'PUT', path: ONE, needs: 'management', right: 'configure', handle: put },
  { method: 'DELETE', path: ONE, needs: 'management', right: 'configure', handle: remove },
  { method: 'POST', path: `${ONE}/publish`, needs: 'management', right: 'write', long: 'text', handle: publish },
  { method: 'GET', path: `${ONE}/bindings/source`, needs: 'management', handle: bindingsFrom },
  { method: 'GET', path: `${ONE}/bindings/destination`, needs: 'management', handle: bindingsTo },
]

/** The exchange's name as a path has it. */
export function exchangeName(given: string | undefined): string {
  return given === DEFAULT_EXCHANGE ? '' : (given ?? '')
}

function list(call: Call) {
  const { access, vhosts } = call.broker
  const all: VHostExchange[] = []
  for (const { name, exchanges } of vhosts.values()) {
    if (!access.sees(call.user, name)) continue
    for (const exchange of exchanges.values()) all.push(new VHostExchange(exchange, name))
  }
  return new Listing(all, (exchange) => exchangeJson(call, exchange), true)
}

function listInVHost(call: Call) {
  const { name, exchanges } = vhostOf(call)
  const all = Array.from(exchanges.values(), (exchange) => new VHostExchange(exchange, name))
  return new Listing(all, (exchange) => exchangeJson(call, exchange), true)
}

function exchangeOf(call: Call): VHostExchange {
  const vhost = vhostOf(call)
  const exchange = vhost.exchanges.get(exchangeName(call.params['exchange']))
  if (exchange === undefined) throw notFound()
  return new VHostExchange(exchange, vhost.name)
}

async function one(call: Call) {
  const found = exchangeOf(call)
  const { exchange } = found
  return {
    ...exchangeJson(call, found),
    incoming: incomingOfExchange(call, exchange, found.vhost),
    outgoing: await outgoingOfExchange(call, exchange, vhostOf(call)),
  }
}

async function put(call: Call) {
  const vhost = targetVHost(call)
  const name = exchangeName(call.params['exchange'])
  const body = call.body()
  const declaration = {
    name,
    type: stringField(body, 'type', 'direct'),
    durable: booleanField(body, 'durable', false),
    autoDelete: booleanField(body, 'auto_delete', false),
    internal: booleanField(body, 'internal', false),
    arguments: jsonTable(objectField(body, 'arguments')),
  }
  const existed = vhost.exchanges.has(name)
  await inSession(call, vhost, (session) => session.declareExchange(declaration))
  return existed ? NO_CONTENT : CREATED
}

async function remove(call: Call) {
  const { name } = exchangeOf(call)
  const ifUnused = call.query['if-unused'] === 'true'
  await inSession(call, vhostOf(call), (session) => session.deleteExchange(name, ifUnused))
  return NO_CONTENT
}

async function publish(call: Call) {
  const { exchange, name, vhost } = exchangeOf(call)
  const { object: body, text } = await parseWithText(call.bytes, 'payload', call.slices)
  assertPresent(body, 'routing_key', 'properties', 'payload', 'payload_encoding')
  const properties = propertiesOf(objectField(body, 'properties'))
  if (properties.userId !== undefined && properties.userId !== call.user.name) {
    const sentence = `user_id property set to '${properties.userId}' but authenticated user was '${call.user.name}'`
    throw badRequest(`406 PRECONDITION_FAILED - ${sentence}`)
  }
  const { deliveryMode } = properties
  if (deliveryMode !== undefined && deliveryMode !== 1 && deliveryMode !== 2) {
    throw badRequest(`406 PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,${deliveryMode}}`)
  }
  const encoding = stringField(body, 'payload_encoding')
  const payload = text === null ? payloadOf(body['payload'], encoding) : await longPayload(text, encoding, call.slices)
  const routingKey = shortField(body, 'routing_key')
  const publishing = async (session: Session): Promise<boolean> => {
    const { codec } = call.broker
    const message = codec.compose(name, routingKey, properties, payload)
    session.publishableExchange(name)
    const copies = codec.takeCopies(message)
    const confirmation = new Confirmation()
    const reached = session.publishCopies(message, copies, confirmation, 0)
    await confirmation.of(reached, call.clock)
    return reached > 0
  }
  const { access } = call.broker
  const refusal = (error: BrokerError): HttpError => {
    // RabbitMQ: nobody may publish here, which is told apart from what this user may not.
    const forAll = exchange.internal && access.allowed(call.user.name, vhost, 'exchange', name, 'write')
    return forAll ? badRequest(`403 ACCESS_REFUSED - ${error.message}`) : fromChannelError(error)
  }
  return { routed: await inSession(call, vhostOf(call), publishing, refusal) }
}

function payloadOf(payload: unknown, encoding: string): Buffer {
  if (typeof payload !== 'string') throw badRequest('payload_not_string')
  if (encoding === 'string') return Buffer.from(payload, 'utf8')
  if (encoding !== 'base64') throw badRequest(['unsupported_encoding', encoding])
  if (!/^[a-z0-9+/\s]*={0,2}\s*$/i.test(payload)) throw badRequest(['not_base64', payload.slice(0, 100)])
  return Buffer.from(payload, 'base64')
}

async function longPayload(text: Buffer, encoding: string, slices: Slices): Promise<Buffer> {
  if (encoding === 'string') return text
  if (encoding !== 'base64') throw badRequest(['unsupported_encoding', encoding])
  return fromBase64(text, slices)
}

function bindingsFrom(call: Call) {
  const { exchange, vhost } = exchangeOf(call)
  if (exchange.name === '')
    return new Listing([...vhostOf(call).queues.values()].map(defaultBinding), bindingJson, false)
  const bindings = Array.from(exchange.sourceBindings.values(), (binding) => bindingTerms(binding, vhost))
  return new Listing(bindings, bindingJson, false)
}

function bindingsTo(call: Call) {
  const { exchange, vhost } = exchangeOf(call)
  const bindings = Array.from(exchange.destinationBindings, (binding) => bindingTerms(binding, vhost))
  return new Listing(bindings, bindingJson, false)
}
