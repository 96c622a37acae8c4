// Queues, and getting messages from them.
import { queueTypeOf } from '../../core/arguments.ts'
import type { Session } from '../../core/session.ts'
import type { Entry } from '../../core/queue/entry.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { VHost } from '../../core/vhost.ts'
import { assertPresent, booleanField, integerField, objectField, shortField, stringField } from '../body.ts'
import { badRequest, fromChannelError, HttpError, notFound, type JsonObject } from '../http-error.ts'
import { arrayText } from '../json-text.ts'
import { jsonTable } from '../json-table.ts'
import { payloadJson, propertiesJson } from '../message-json.ts'
import { Listing, viewOf, type View } from '../listing.ts'
import {
  CREATED,
  inSession,
  isThisNode,
  NO_CONTENT,
  TextStream,
  targetVHost,
  vhostOf,
  type Answer,
  type Call,
  type Route,
} from '../route.ts'
import { moveMessages } from '../move.ts'
import { queuesIn } from '../queue-figures.ts'
import { deliveriesOfQueue, incomingOfQueue } from '../views/passages.ts'
import { consumerJson, consumersOf } from '../views/connection.ts'
import { lengthRates, messageStatsColumns } from '../views/stats.ts'
import {
  bindingJson,
  bindingTerms,
  defaultBinding,
  ofOpened,
  queueColumns,
  queueFactColumns,
} from '../views/topology.ts'

const ONE = '/api/queues/:vhost/:queue'

/** Messages that one request may fetch, and bytes that their bodies may have together: all of it is in one answer. */
const GET_COUNT_MAX = 10_000
const GET_BYTES_MAX = 64 * 1024 * 1024
/** From so many bytes of bodies on, an answer is written in pieces. */
const LARGE_BYTES = 1024 * 1024
const JSON_TYPE = 'application/json'

/** What happens to the messages that were fetched. */
const ACK_MODES = {
  ack_requeue_true: { noAck: false, requeue: true },
  reject_requeue_true: { noAck: false, requeue: true },
  ack_requeue_false: { noAck: true, requeue: false },
  reject_requeue_false: { noAck: false, requeue: false },
} as const
type AckMode = keyof typeof ACK_MODES

export const queueRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/queues', needs: 'management', handle: list },
  { method: 'GET', path: '/api/queues/detailed', needs: 'management', handle: listInDetail },
  { method: 'GET', path: '/api/queues/:vhost', needs: 'management', handle: listInVHost },
  { method: 'GET', path: ONE, needs: 'management', handle: one },
  { method: 'PUT', path: ONE, needs: 'management', right: 'configure', handle: put },
  { method: 'DELETE', path: ONE, needs: 'management', right: 'configure', handle: remove },
  { method: 'GET', path: `${ONE}/bindings`, needs: 'management', handle: bindings },
  { method: 'DELETE', path: `${ONE}/contents`, needs: 'management', right: 'read', handle: purge },
  { method: 'POST', path: `${ONE}/get`, needs: 'management', right: 'read', handle: get },
  { method: 'POST', path: `${ONE}/actions`, needs: 'administrator', handle: action },
  { method: 'POST', path: `${ONE}/move`, needs: 'management', right: 'read', handle: move },
]

function list(call: Call) {
  return listOf(call, seenVHosts(call), listView(call))
}

function listInDetail(call: Call) {
  return listOf(call, seenVHosts(call), viewFor(call))
}

function listInVHost(call: Call) {
  return listOf(call, [vhostOf(call)], listView(call))
}

function seenVHosts({ broker: { access, vhosts }, user }: Call): readonly VHost[] {
  return [...vhosts.values()].filter(({ name }) => access.sees(user, name))
}

async function listOf(call: Call, vhosts: readonly VHost[], view: View<Queue>) {
  return new Listing(queuesIn(vhosts), view, true, await call.queueOrder.of(vhosts))
}

/** The columns that the query asks for by leaving statistics out, or not. */
function viewFor(call: Call): View<Queue> {
  const { query, rates } = call
  if (query['disable_stats'] !== 'true') {
    return viewOf(queueColumns(call), {
      ...messageStatsColumns<Queue>(rates, ({ counts }) => counts),
      ...lengthRates(rates),
      'arguments.x-queue-type': (queue) => queueTypeOf(queue.arguments),
    })
  }
  const facts = queueFactColumns(call)
  if (query['enable_queue_totals'] !== 'true') return viewOf(facts)
  return viewOf({ ...facts, ...TOTALS })
}

/** What only single queues, detailed lists, and lists of chosen columns show (RabbitMQ). */
const DETAILS: ReadonlySet<string> = new Set(['backing_queue_status', 'garbage_collection', 'idle_since'])

/** The view of lists. RabbitMQ: what is null is left out, unless columns are chosen. */
function listView(call: Call): View<Queue> {
  const view = viewFor(call)
  if ((call.query['columns'] ?? '') !== '') return view
  const listed = Object.entries(view.columns ?? {}).filter(([name]) => !DETAILS.has(name))
  const known = listed.map(([name, read]) => [name, (queue: Queue) => read(queue) ?? undefined] as const)
  return { ...view, row: viewOf(Object.fromEntries(known)).row }
}

const TOTALS = ofOpened({
  messages: (queue) => queue.readyCount + queue.unackedCount,
  messages_ready: (queue) => queue.readyCount,
  messages_unacknowledged: (queue) => queue.unackedCount,
})

/** The queue of the path. Throws 404. */
function queueOf(call: Call): Queue {
  const queue = vhostOf(call).queues.get(call.params['queue'] ?? '')
  if (queue === undefined) throw notFound()
  return queue
}

function one(call: Call) {
  const queue = queueOf(call)
  const theirs = [...consumersOf(call.broker.connections.values())].filter(({ consumer }) => consumer.queue === queue)
  return {
    ...viewOf(queueColumns(call)).row(queue),
    consumer_details: theirs.map((consumer) => consumerJson(call, consumer)),
    deliveries: deliveriesOfQueue(call, queue),
    incoming: incomingOfQueue(call, queue),
  }
}

async function put(call: Call) {
  const vhost = targetVHost(call)
  const name = call.params['queue'] ?? ''
  const body = call.body()
  const declaration = {
    name,
    durable: booleanField(body, 'durable', false),
    exclusive: false,
    autoDelete: booleanField(body, 'auto_delete', false),
    arguments: jsonTable(objectField(body, 'arguments')),
  }
  assertHere(call, stringField(body, 'node', ''))
  const existed = vhost.queues.has(name)
  await inSession(call, vhost, (session) => session.declareQueue(declaration))
  return existed ? NO_CONTENT : CREATED
}

/** RabbitMQ: a queue may be declared on another node, if there is one. Throws 400. */
function assertHere({ node }: Call, wanted: string): void {
  if (wanted !== '' && !isThisNode(node, wanted)) throw badRequest(`Node ${wanted} could not be contacted`)
}

async function remove(call: Call) {
  const { name } = queueOf(call)
  const { query } = call
  await inSession(call, vhostOf(call), (session) =>
    session.deleteQueue(name, query['if-unused'] === 'true', query['if-empty'] === 'true'),
  )
  return NO_CONTENT
}

function bindings(call: Call) {
  const queue = queueOf(call)
  const bound = Array.from(queue.bindings, (binding) => bindingTerms(binding, queue.vhost))
  return new Listing([defaultBinding(queue), ...bound], bindingJson, false)
}

async function purge(call: Call) {
  const { name } = queueOf(call)
  await inSession(call, vhostOf(call), (session) => session.purgeQueue(name), fromChannelError)
  return NO_CONTENT
}

function action(call: Call): never {
  queueOf(call)
  throw badRequest(['unknown', call.body()['action'] ?? ''])
}

async function get(call: Call) {
  const vhost = vhostOf(call)
  const name = call.params['queue'] ?? ''
  if (!vhost.queues.has(name)) throw new HttpError(404, 'not_found', 'queue_not_found')
  const body = call.body()
  assertPresent(body, 'ackmode', 'count', 'encoding')
  const mode = stringField(body, 'ackmode')
  if (!Object.hasOwn(ACK_MODES, mode)) {
    throw badRequest(`Unsupported ackmode. Please use one of: ${Object.keys(ACK_MODES).join(', ')}.`)
  }
  const encoding = stringField(body, 'encoding')
  if (encoding !== 'auto' && encoding !== 'base64') {
    throw badRequest('Unsupported encoding. Please use auto or base64.')
  }
  const truncate = body['truncate'] === undefined ? Infinity : integerField(body, 'truncate')
  const count = Math.min(integerField(body, 'count'), GET_COUNT_MAX)
  const wanted = { count, encoding, truncate } as const
  const fetching = (session: Session) => fetch(call, session, name, ACK_MODES[mode as AckMode], wanted)
  return inSession(call, vhost, fetching, fromChannelError)
}

/** How much is fetched, and in which form. */
interface Wanted {
  readonly count: number
  readonly encoding: 'auto' | 'base64'
  /** Bytes of a body. */
  readonly truncate: number
}

/** Fetches all of them first, so that what goes back is not fetched twice. */
async function fetch(
  call: Call,
  session: Session,
  name: string,
  mode: (typeof ACK_MODES)[AckMode],
  wanted: Wanted,
): Promise<Answer> {
  const queue = session.openedQueue(name)
  const held: Entry[] = []
  const answer: JsonObject[] = []
  let bytes = 0
  try {
    while (answer.length < wanted.count && bytes < GET_BYTES_MAX) {
      const entry = await queue.getSoon(mode.noAck)
      if (entry === undefined) break
      if (!mode.noAck) held.push(entry)
      bytes += Math.min(entry.message.bodyBytes, wanted.truncate)
      answer.push(gotJson(call, entry, queue.readyCount, wanted))
      if (call.slices.over) await call.slices.next()
    }
  } finally {
    for (const entry of held) {
      if (mode.requeue) queue.requeue(entry)
      else queue.reject(entry)
    }
    if (mode.requeue && held.length > 0) queue.takenBack()
    // What was settled is to be on disk before it is answered.
    if (!mode.requeue && answer.length > 0 && queue.durable) call.broker.durableChanges++
  }
  return bytes < LARGE_BYTES
    ? answer
    : new TextStream(
        JSON_TYPE,
        arrayText(answer, (row) => row, call.slices, 1),
      )
}

function gotJson(call: Call, { message, redelivered }: Entry, left: number, wanted: Wanted): JsonObject {
  return {
    payload_bytes: message.bodyBytes,
    redelivered,
    exchange: message.exchange,
    routing_key: message.routingKey,
    message_count: left,
    properties: propertiesJson(call.broker.codec, message),
    ...payloadJson(message, wanted.encoding, wanted.truncate),
  }
}

/** Beyond RabbitMQ: moves what is ready to an exchange, and takes nothing away that has not arrived there. */
async function move(call: Call) {
  const { name } = queueOf(call)
  const body = call.body()
  assertPresent(body, 'routing_key')
  const target = { exchange: stringField(body, 'exchange', ''), routingKey: shortField(body, 'routing_key') }
  const count = body['count'] === undefined ? Infinity : integerField(body, 'count')
  if (target.exchange === '' && target.routingKey === name) throw badRequest('a queue cannot be moved to itself')
  const moved = await inSession(call, vhostOf(call), (session) => moveMessages(call, session, name, target, count))
  return { moved }
}
