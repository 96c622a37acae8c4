// Connections, channels and consumers.
import type { ConnectionView } from '../../core/clients.ts'
import { badRequest, notAuthorised, notFound } from '../http-error.ts'
import { Listing } from '../listing.ts'
import { NO_CONTENT, vhostOf, type Call, type Route } from '../route.ts'
import {
  channelJson,
  channelsOf,
  connectionJson,
  consumerJson,
  consumersOf,
  type OpenConsumer,
} from '../views/connection.ts'
import { deliveriesOfChannel, publishesOfChannel } from '../views/passages.ts'

const REASON_DEFAULT = 'Closed via management plugin'
/** What is left of a short string beside the code's name. */
const REASON_LENGTH_MAX = 200

export const connectionRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/connections', needs: 'management', handle: list },
  { method: 'GET', path: '/api/connections/:connection', needs: 'management', handle: one },
  { method: 'DELETE', path: '/api/connections/:connection', needs: 'management', handle: close },
  { method: 'GET', path: '/api/connections/username/:user', needs: 'management', handle: ofUser },
  { method: 'DELETE', path: '/api/connections/username/:user', needs: 'management', handle: closeOfUser },
  { method: 'GET', path: '/api/connections/:connection/channels', needs: 'management', handle: channelsOfOne },
  { method: 'GET', path: '/api/connections/:connection/sessions', needs: 'management', handle: sessionsOfOne },
  { method: 'GET', path: '/api/channels', needs: 'management', handle: channels },
  { method: 'GET', path: '/api/channels/:channel', needs: 'management', handle: oneChannel },
  { method: 'GET', path: '/api/consumers', needs: 'management', handle: consumers },
  { method: 'GET', path: '/api/consumers/:vhost', needs: 'management', handle: consumersInVHost },
]

/** RabbitMQ: one sees one's own, and who monitors sees all. */
function* visible({ broker, user }: Call): Generator<ConnectionView> {
  const all = broker.access.tagged(user, 'monitoring')
  for (const connection of broker.connections.values()) if (all || connection.user === user.name) yield connection
}

function list(call: Call) {
  return new Listing(visible(call), (connection) => connectionJson(call, connection), true)
}

function connectionOf(call: Call): ConnectionView {
  const connection = call.broker.connections.get(call.params['connection'] ?? '')
  if (connection === undefined) throw notFound()
  return connection
}

function one(call: Call) {
  const connection = connectionOf(call)
  assertMay(call, connection.user, 'monitoring')
  return connectionJson(call, connection)
}

function close(call: Call) {
  const connection = connectionOf(call)
  assertMay(call, connection.user, 'administrator')
  connection.closeByOperator(reasonOf(call))
  return NO_CONTENT
}

function ofUser(call: Call) {
  const name = call.params['user'] ?? ''
  assertMay(call, name, 'monitoring')
  const theirs = [...call.broker.connections.values()].filter(({ user }) => user === name)
  return new Listing(
    theirs,
    (connection) => ({ name: connection.name, vhost: connection.vhost, user: connection.user, node: call.node.name }),
    true,
  )
}

function closeOfUser(call: Call) {
  const name = call.params['user'] ?? ''
  assertMay(call, name, 'administrator')
  for (const connection of [...call.broker.connections.values()]) {
    if (connection.user === name) connection.closeByOperator(reasonOf(call))
  }
  return NO_CONTENT
}

function channelsOfOne(call: Call) {
  const connection = connectionOf(call)
  assertMay(call, connection.user, 'monitoring')
  return new Listing(channelsOf([connection]), (open) => channelJson(call, open), false)
}

/** RabbitMQ: sessions are AMQP 1.0's. */
function sessionsOfOne(call: Call): never {
  assertMay(call, connectionOf(call).user, 'monitoring')
  throw badRequest('connection does not use AMQP 1.0')
}

function channels(call: Call) {
  return new Listing(channelsOf(visible(call)), (open) => channelJson(call, open), true)
}

function oneChannel(call: Call) {
  for (const open of channelsOf(call.broker.connections.values())) {
    if (open.name !== call.params['channel']) continue
    assertMay(call, open.connection.user, 'monitoring')
    const own = [...consumersOf([open.connection])].filter((consumer) => consumer.open.channel === open.channel)
    return {
      ...channelJson(call, open),
      consumer_details: own.map((consumer) => consumerJson(call, consumer)),
      deliveries: deliveriesOfChannel(call, open),
      publishes: publishesOfChannel(call, open),
    }
  }
  throw notFound()
}

/** RabbitMQ: without statistics there are none to list. Throws 400. */
function assertStatistics({ query }: Call): void {
  if (query['disable_stats'] === 'true') throw badRequest('Stats in management UI are disabled on this node')
}

function consumers(call: Call) {
  assertStatistics(call)
  const { access } = call.broker
  return new Listing(
    consumersWhere(call, (vhost) => access.sees(call.user, vhost)),
    (consumer) => consumerJson(call, consumer),
    false,
  )
}

function consumersInVHost(call: Call) {
  assertStatistics(call)
  const { name } = vhostOf(call)
  return new Listing(
    consumersWhere(call, (vhost) => vhost === name),
    (consumer) => consumerJson(call, consumer),
    false,
  )
}

function* consumersWhere({ broker }: Call, wanted: (vhost: string) => boolean): Generator<OpenConsumer> {
  for (const consumer of consumersOf(broker.connections.values())) if (wanted(consumer.vhost)) yield consumer
}

/** One's own, or with the tag. Throws 401. */
function assertMay(call: Call, owner: string, tag: 'monitoring' | 'administrator'): void {
  if (owner === call.user.name || call.broker.access.tagged(call.user, tag)) return
  throw notAuthorised('User not authorised to access object')
}

function reasonOf(call: Call): string {
  const given = call.headers['x-reason']
  return (typeof given === 'string' && given !== '' ? given : REASON_DEFAULT).slice(0, REASON_LENGTH_MAX)
}
