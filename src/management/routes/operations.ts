// Beyond RabbitMQ: what operators do to queues and consumers, and what they ask when something is wrong.
import type { ErrorReport } from '../../core/recent-errors.ts'
import type { Queue } from '../../core/queue/queue.ts'
import { HttpError, notAuthorised, notFound, type JsonObject } from '../http-error.ts'
import { tableJson } from '../json-table.ts'
import { Listing } from '../listing.ts'
import { inSession, NO_CONTENT, vhostOf, type Call, type Route } from '../route.ts'
import { consumersOf } from '../views/connection.ts'
import { verdictJson } from '../views/verdict.ts'

const QUEUE = '/api/queues/:vhost/:queue'
const CONSUMER = '/api/consumers/:vhost/:connection/:channel/:consumer'

export const operationRoutes: readonly Route[] = [
  {
    method: 'PUT',
    path: `${QUEUE}/pause`,
    needs: 'management',
    right: 'configure',
    handle: (call) => pause(call, true),
  },
  {
    method: 'PUT',
    path: `${QUEUE}/resume`,
    needs: 'management',
    right: 'configure',
    handle: (call) => pause(call, false),
  },
  { method: 'GET', path: `${QUEUE}/unacked`, needs: 'management', handle: unacked },
  { method: 'GET', path: `${QUEUE}/verdict`, needs: 'management', handle: verdict },
  { method: 'GET', path: `${QUEUE}/effective-arguments`, needs: 'management', handle: effectiveArguments },
  { method: 'DELETE', path: CONSUMER, needs: 'management', handle: cancel },
  { method: 'GET', path: '/api/errors', needs: 'management', handle: errors },
  { method: 'GET', path: '/api/errors/:user', needs: 'management', handle: errorsOf },
]

/** The queue of the path. Throws 404. */
function queueOf(call: Call): Queue {
  const queue = vhostOf(call).queues.get(call.params['queue'] ?? '')
  if (queue === undefined) throw notFound()
  return queue
}

/** Stops the deliveries of a queue, or goes on with them. */
async function pause(call: Call, paused: boolean) {
  const { name } = queueOf(call)
  await inSession(call, vhostOf(call), (session) => session.pauseQueue(name, paused))
  return NO_CONTENT
}

function verdict(call: Call) {
  return verdictJson(call.broker, queueOf(call))
}

/** Every delivery of the queue that waits for an acknowledgement, with whom, and for how long. */
function unacked(call: Call) {
  const queue = queueOf(call)
  const now = call.clock.now()
  const rows: JsonObject[] = []
  for (const connection of call.broker.connections.values()) {
    for (const channel of connection.channels) {
      channel.eachUnacked((deliveryTag, entry, consumerTag) => {
        if (entry.queue !== queue) return
        rows.push({
          delivery_tag: deliveryTag,
          consumer_tag: consumerTag,
          channel_details: { name: `${connection.name} (${channel.number})`, connection_name: connection.name },
          user: connection.user,
          unacked_seconds: Math.floor(call.ages.ofDelivery(channel, deliveryTag, now) / 1000),
          position: entry.position,
          redelivered: entry.redelivered,
          payload_bytes: entry.message.bodyBytes,
        })
      })
    }
  }
  return new Listing(rows, (row) => row, false)
}

/** What holds for the queue, value by value, and whether an argument or a policy says so. */
function effectiveArguments(call: Call) {
  const { policy, operatorPolicy, values } = vhostOf(call).effective(queueOf(call))
  const named: Record<string, JsonObject> = {}
  for (const [key, { value, source }] of values) {
    const from = source === 'policy' ? policy : source === 'operator-policy' ? operatorPolicy : null
    named[key] = { value: tableJson(new Map([[key, value]]))[key], source, ...(from === null ? {} : { policy: from }) }
  }
  return { policy, operator_policy: operatorPolicy, values: named }
}

/** Ends a subscription; the client is told. For its user, and for administrators. */
function cancel(call: Call) {
  const vhost = vhostOf(call)
  const { connection, channel, consumer: tag } = call.params
  for (const { open, consumer } of consumersOf(call.broker.connections.values())) {
    if (open.vhost !== vhost.name || open.connection.name !== connection) continue
    if (String(open.channel.number) !== channel || consumer.tag !== tag) continue
    if (open.connection.user !== call.user.name && !call.broker.access.tagged(call.user, 'administrator')) {
      throw notAuthorised('User not authorised to access object')
    }
    consumer.cancelByOperator()
    return NO_CONTENT
  }
  throw new HttpError(404, 'not_found', 'consumer_not_found')
}

/** Why channels and connections were closed of late, the latest first: one's own, and all for those who monitor. */
function errors(call: Call) {
  const { recentErrors, access } = call.broker
  const all = access.tagged(call.user, 'monitoring') ? recentErrors.all() : recentErrors.of(call.user.name)
  return new Listing(
    all.map((report) => ({ report })),
    ({ report }) => errorJson(report),
    false,
  )
}

function errorsOf(call: Call) {
  const user = call.params['user'] ?? ''
  const { recentErrors, access } = call.broker
  if (user !== call.user.name && !access.tagged(call.user, 'monitoring')) {
    throw notAuthorised('User not authorised to access object')
  }
  return recentErrors.of(user).map(errorJson)
}

function errorJson(report: ErrorReport): JsonObject {
  return { ...report }
}
