// Beyond RabbitMQ: the messages of a queue, looked at without being touched, and what can be done with single ones.
import { FIRST_PLACE, type Browsed, type BrowsedPage, type Place } from '../../core/queue/browse.ts'
import type { Queue } from '../../core/queue/queue.ts'
import { levelIn } from '../../core/queue/rules.ts'
import type { Session } from '../../core/session.ts'
import { assertPresent, shortField, stringField } from '../body.ts'
import { Confirmation } from '../confirmation.ts'
import { badRequest, notFound, type JsonObject } from '../http-error.ts'
import { objectText } from '../json-text.ts'
import { cutToColumns } from '../listing.ts'
import { payloadJson, propertiesJson } from '../message-json.ts'
import { inSession, TextStream, vhostOf, type Call, type Route } from '../route.ts'
import { filterOf, selected, selectionOf, type Filter } from '../selection.ts'

const ONE = '/api/queues/:vhost/:queue'

const COUNT_DEFAULT = 100
const COUNT_MAX = 1000
/** Messages that one request looks at before it answers with how to go on. */
const SCAN_DEFAULT = 10_000
const SCAN_MAX = 100_000
/** Bytes of bodies that one answer has, about, and that one request looks at. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024
const SCAN_BYTES_MAX = 256 * 1024 * 1024

export const messageRoutes: readonly Route[] = [
  { method: 'GET', path: `${ONE}/messages`, needs: 'management', right: 'read', handle: peek },
  { method: 'POST', path: `${ONE}/messages/delete`, needs: 'management', right: 'read', handle: remove },
  { method: 'POST', path: `${ONE}/messages/return`, needs: 'management', right: 'read', handle: giveBack },
  { method: 'POST', path: `${ONE}/copy`, needs: 'management', right: 'read', handle: copy },
]

/** What is asked for, and in which form. */
interface Wanted {
  readonly filter: Filter
  readonly offset: number
  readonly count: number
  readonly scan: number
  readonly encoding: 'auto' | 'base64'
  readonly truncate: number
}

/** A message with what is known of it beside its content. */
interface Shown extends Omit<Browsed, 'deadline' | 'dueAt'> {
  readonly facts: JsonObject
}

/** Runs a command on the queue of the path. Throws 404. */
function onQueue<T>(call: Call, command: (session: Session, name: string) => Promise<T>): Promise<T> {
  const vhost = vhostOf(call)
  const name = call.params['queue'] ?? ''
  if (!vhost.queues.has(name)) throw notFound()
  return inSession(call, vhost, (session) => command(session, name))
}

/** Looks at messages that are ready, unacknowledged or delayed; nothing changes, and none counts as delivered. */
function peek(call: Call) {
  const state = call.query['state'] ?? 'ready'
  const wanted = wantedOf(call)
  return onQueue(call, async (session, name) => {
    const queue = session.openedQueue(name)
    const counts = { ready: queue.readyCount, unacked: queue.unackedCount, delayed: queue.delayedCount }
    switch (state) {
      case 'ready':
        return inPieces(call, { ...(await browsed(call, queue, wanted, readyOf(queue))), ...counts })
      case 'unacked':
        return inPieces(call, { ...listed(call, queue, unackedOf(call, queue), wanted), ...counts })
      case 'delayed':
        return inPieces(call, { ...(await browsed(call, queue, wanted, delayedOf(queue))), ...counts })
      default:
        throw badRequest('state should be one of ready, unacked, delayed')
    }
  })
}

/** Bodies may make an answer large. */
function inPieces({ query, slices }: Call, answer: JsonObject): TextStream {
  return new TextStream('application/json', objectText(cutToColumns(answer, query), slices))
}

/** Messages that are found by looking from place to place, and what is told of each beside its content. */
interface Line {
  browse(from: Place): Promise<BrowsedPage>
  factsOf(one: Browsed): JsonObject
}

function readyOf(queue: Queue): Line {
  return {
    browse: (from) => queue.browse(from),
    factsOf: ({ deadline }) => (deadline === Infinity ? {} : { expires_at: deadline }),
  }
}

function delayedOf(queue: Queue): Line {
  return { browse: (from) => queue.browseDelayed(from), factsOf: ({ dueAt }) => ({ due_at: dueAt }) }
}

async function browsed(call: Call, queue: Queue, wanted: Wanted, line: Line): Promise<JsonObject> {
  const messages: JsonObject[] = []
  let place: Place | null = placeOf(call.query['cursor'])
  let [skip, scanned, bytes, scannedBytes] = [wanted.offset, 0, 0, 0]
  await call.slices.next()
  while (place !== null) {
    const page = await line.browse(place)
    for (const one of page.messages) {
      if (messages.length === wanted.count || bytes > ANSWER_BYTES_MAX || scanned === wanted.scan) {
        return {
          messages,
          scanned,
          cursor: cursorText({ priority: priorityOf(queue, one, page.next), position: one.position }),
        }
      }
      scanned++
      scannedBytes += one.message.bodyBytes
      if (call.slices.over) await call.slices.next()
      if (!wanted.filter(one.message) || skip-- > 0) continue
      messages.push(shownJson(call, queue, { ...one, facts: line.factsOf(one) }, wanted))
      bytes += Math.min(one.message.bodyBytes, wanted.truncate)
    }
    place = page.next
    if (scannedBytes > SCAN_BYTES_MAX) break
  }
  return { messages, scanned, cursor: place === null ? null : cursorText(place) }
}

/** The priority by which a message stands in line. */
function priorityOf(queue: Queue, { message }: Browsed, next: Place | null): number {
  return queue.ranked ? levelIn(queue.rules, message) : (next?.priority ?? FIRST_PLACE.priority)
}

function listed(call: Call, queue: Queue, all: Shown[], wanted: Wanted): JsonObject {
  all.sort((a, b) => a.position - b.position)
  const meant = all.filter(({ message }) => wanted.filter(message))
  const page = meant.slice(wanted.offset, wanted.offset + wanted.count)
  return { messages: page.map((one) => shownJson(call, queue, one, wanted)), scanned: all.length, cursor: null }
}

function unackedOf(call: Call, queue: Queue): Shown[] {
  const all: Shown[] = []
  const now = call.clock.now()
  for (const connection of call.broker.connections.values()) {
    for (const channel of connection.channels) {
      channel.eachUnacked((tag, entry, consumerTag) => {
        if (entry.queue !== queue) return
        const facts = {
          channel: `${connection.name} (${channel.number})`,
          consumer_tag: consumerTag,
          delivery_tag: tag,
          unacked_seconds: Math.floor(call.ages.ofDelivery(channel, tag, now) / 1000),
        }
        all.push({ position: entry.position, message: entry.presented, redelivered: entry.redelivered, facts })
      })
    }
  }
  return all
}

function shownJson(
  call: Call,
  queue: Queue,
  { position, message, redelivered, facts }: Shown,
  wanted: Wanted,
): JsonObject {
  return {
    position,
    age_seconds: Math.floor(call.ages.of(queue, position, call.clock.now()) / 1000),
    ...facts,
    redelivered,
    exchange: message.exchange,
    routing_key: message.routingKey,
    payload_bytes: message.bodyBytes,
    properties: propertiesJson(call.broker.codec, message),
    ...payloadJson(message, wanted.encoding, wanted.truncate),
  }
}

/** Deletes single messages: ready ones, and those that wait before they are ready again. */
function remove(call: Call) {
  const body = call.body()
  const selection = selectionOf(body, call.broker.codec)
  return onQueue(call, async (session, name) => {
    const queue = session.openedQueue(name)
    if (selection.positions !== null) return { deleted: await session.deleteMessages(name, selection.positions) }
    let deleted = 0
    for await (const messages of selected(queue, selection, call.slices)) {
      deleted += await session.deleteMessages(name, messages.map(positionOf))
    }
    return { deleted }
  })
}

/** Reasons that one answer tells. */
const KEPT_MAX = 100

/** Gives dead letters back to the queues that they came from. */
function giveBack(call: Call) {
  const body = call.body()
  const selection = selectionOf(body, call.broker.codec)
  return onQueue(call, async (session, name) => {
    const queue = session.openedQueue(name)
    let [returned, keptCount] = [0, 0]
    const kept: JsonObject[] = []
    for await (const messages of selected(queue, selection, call.slices)) {
      const outcome = await session.returnDeadLetters(name, messages.map(positionOf))
      returned += outcome.returned
      keptCount += outcome.kept.length
      for (const { position, reason } of outcome.kept) if (kept.length < KEPT_MAX) kept.push({ position, reason })
    }
    return { returned, kept_count: keptCount, kept }
  })
}

/** Publishes copies of messages, which stay. */
function copy(call: Call) {
  const body = call.body()
  assertPresent(body, 'routing_key')
  const exchange = stringField(body, 'exchange', '')
  const routingKey = shortField(body, 'routing_key')
  const { codec } = call.broker
  const selection = selectionOf(body, codec)
  return onQueue(call, async (session, name) => {
    const queue = session.openedQueue(name)
    let copied = 0
    for await (const messages of selected(queue, selection, call.slices)) {
      for (const { message } of messages) {
        const content = Buffer.from(message.body.subarray(message.bodyStart, message.bodyEnd))
        const confirmation = new Confirmation()
        const one = codec.compose(exchange, routingKey, codec.properties(message), content)
        const reached = session.publish(one, confirmation, 0)
        if (reached === 0) throw badRequest(`a message reached no queue; ${copied} were copied`)
        await confirmation.of(reached, call.clock)
        copied++
      }
    }
    return { copied }
  })
}

function positionOf({ position }: Browsed): number {
  return position
}

function wantedOf(call: Call): Wanted {
  const { query } = call
  const encoding = query['encoding'] ?? 'auto'
  if (encoding !== 'auto' && encoding !== 'base64') throw badRequest('Unsupported encoding. Please use auto or base64.')
  return {
    filter: filterOf(call.broker.codec, query['header'], query['text']),
    offset: numberOf(query, 'offset', 0, Number.MAX_SAFE_INTEGER),
    count: numberOf(query, 'count', COUNT_DEFAULT, COUNT_MAX),
    scan: numberOf(query, 'scan', SCAN_DEFAULT, SCAN_MAX),
    encoding,
    truncate: numberOf(query, 'truncate', ANSWER_BYTES_MAX, ANSWER_BYTES_MAX),
  }
}

/** A whole number of a query; a larger one counts as the most that there may be. */
function numberOf(query: Call['query'], name: string, absent: number, most: number): number {
  const text = query[name]
  if (text === undefined) return absent
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name} should be a whole number`)
  return Math.min(Number(text), most)
}

function cursorText({ priority, position }: Place): string {
  return `${priority}.${position}`
}

function placeOf(cursor: string | undefined): Place {
  if (cursor === undefined || cursor === '') return FIRST_PLACE
  const [, priority, position] = /^(\d{1,3})\.(\d{1,15})$/.exec(cursor) ?? []
  if (priority === undefined || position === undefined) throw badRequest('cursor should be one that an answer gave')
  return { priority: Number(priority), position: Number(position) }
}
