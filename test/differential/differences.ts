// Where Leveret is meant to differ from the RabbitMQ that it is compared with, which is Debian's 3.10. What is not said
// here must be the same; docs/compatibility.md has the list for users. Of the differences that a transcript shows this
// file takes the traces away; the others are those that programs do not provoke:
// - A message expires in its own time, also behind one that does not: all in a program live equally long.
// - Consumers without acknowledgement are not held by the prefetch of a whole channel: no program has both.
// - What is outstanding from basic.get when a channel is limited counts there for good: no program limits a channel then.
// - An unknown exchange type closes the channel (RabbitMQ since 3.12.14), not the connection.
// - A durable queue that is exclusive counts as transient (RabbitMQ 4), also when it is declared again.
// - Quorum queues and the arguments that are theirs in RabbitMQ work on every queue, with the defaults of RabbitMQ 4.
// - How what comes back to a quorum queue is ordered and counted, and how it is limited: see quorum-author.ts.
// - What goes in circles, where a message was rejected and has died twice since: RabbitMQ turns its history around.
// - A policy that limits a queue and tells it to refuse what is too much: RabbitMQ limits it first, and drops messages.
// - What a channel is still delivered while it closes: here nothing.
// - The sentences in which the HTTP API refuses a pattern, a word for what a policy applies to, or null, and what it says
//   of a queue or an exchange that is not there, internal or locked.
// - A declaration that is wrong where there are queues enough: RabbitMQ 3.10 finds the limit first.
import type { Properties } from '../support/codec.ts'
import { Tagged, type Table, type Value } from '../support/field-values.ts'

const CONTENT = /basic\.(?:get-ok|deliver) /
const DROPPED = /"reason":"(?:maxlen|expired)"/
const DEATH = /"reason":"([^"]+)"/
const LIMITED = /"reason":"maxlen"/
const DROPPED_OFTEN = /"count":\{"l":"(?:[3-9]|\d\d+)"\},"exchange":"[^"]*","queue":"[^"]*","reason":"maxlen"/

/**
 * Whether transcripts part where one broker has a message and the other what a queue has dropped. That happens when a
 * publish goes to several queues, of which one drops something that goes to another at once: which of the two comes
 * first there RabbitMQ leaves to chance and to its processes, of which the queue that drops comes last. Here a dead letter
 * is there before anything else happens. Or queues push messages out of each other in a circle that was entered by a
 * rejection, which for RabbitMQ is none: how long that goes on depends on which comes first.
 */
export function partsByDrop(expected: readonly string[], actual: readonly string[]): boolean {
  const at = expected.findIndex((line, i) => line !== actual[i])
  const lines = [expected[at] ?? '', actual[at] ?? '']
  if (!lines.every((line) => CONTENT.test(line))) return false
  if (pushesOut(expected, actual) || marksMore(expected, actual)) return true
  return lines.some((line) => DROPPED_OFTEN.test(line)) || lines.filter((line) => DROPPED.test(line)).length === 1
}

/**
 * Whether RabbitMQ has some dead letters more, and all else is the same but for the counts. Others pushed them out of the
 * queue here, where they were before anything else happened: what RabbitMQ delivers first when several come back to a
 * queue that is then too long, and what it drops of them comes back from another.
 */
function pushesOut(expected: readonly string[], actual: readonly string[]): boolean {
  let met = 0
  for (const line of expected) {
    if (met < actual.length && withoutCount(line) === withoutCount(actual[met]!)) met++
    else if (!CONTENT.test(line) || !LIMITED.test(line)) return false
  }
  return met === actual.length && expected.length > met
}

/**
 * Whether all is the same, but that RabbitMQ says of dead letters that they were delivered before: to a consumer whose
 * channel was about to end, and of which its queue had not heard. Here all of them end before anything goes back.
 */
function marksMore(expected: readonly string[], actual: readonly string[]): boolean {
  const [marked, unmarked] = ['"redelivered":true', '"redelivered":false']
  const same = (line: string, other: string | undefined): boolean =>
    line === other || (CONTENT.test(line) && DEATH.test(line) && line.replace(marked, unmarked) === other)
  return expected.length === actual.length && expected.every((line, i) => same(line, actual[i]))
}

function withoutCount(line: string): string {
  return line.replace(/: \d+ ready/, ': some ready')
}

/**
 * Whether the messages that only one broker has were rejected and have died twice besides. RabbitMQ 3.10 turns the older
 * deaths of such a message around, and may then find the rejection where it looks for a circle.
 */
export function partsByHistory(expected: readonly string[], actual: readonly string[]): boolean {
  const parted = [...contentsBeyond(expected, actual), ...contentsBeyond(actual, expected)]
  return (
    parted.length > 0 &&
    parted.every((line) => {
      const reasons = Array.from(line.matchAll(new RegExp(DEATH, 'g')), ([, reason]) => reason)
      return reasons.length > 2 && reasons.includes('rejected') && reasons.some((reason) => reason !== 'rejected')
    })
  )
}

/** The messages in a transcript that another one has not, or not so often. */
function contentsBeyond(transcript: readonly string[], other: readonly string[]): string[] {
  const left = [...other]
  return transcript.filter((line) => {
    const at = left.indexOf(line)
    if (at >= 0) left.splice(at, 1)
    return at < 0 && CONTENT.test(line)
  })
}

/** The properties of a message without what may differ. */
export function withoutDifferences(properties: Properties): Properties {
  const headers = properties['headers'] as Table | undefined
  if (headers === undefined) return properties
  const kept: Record<string, Value> = {}
  for (const [key, value] of Object.entries(headers)) {
    // RabbitMQ 3.13: the last death is told beside the first.
    if (key.startsWith('x-last-death-')) continue
    // RabbitMQ 4.3: of quorum queues, how often a message was handed out is told beside how often that failed.
    if (key === 'x-acquired-count') continue
    // RabbitMQ 3.11: a message that never failed says nothing of it.
    if (key === 'x-delivery-count' && value === 0n) continue
    // RabbitMQ 3.13: a dead letter with a routing key of its own keeps the header, though it goes by it no more.
    if (key === 'CC' && 'x-death' in headers) continue
    kept[key] = key === 'x-death' ? withoutOrder((value as Value[]).map(withoutTime)) : value
  }
  if (Object.keys(kept).length > 0 || Object.keys(headers).length === 0) return { ...properties, headers: kept }
  const { headers: _headers, ...others } = properties
  return others
}

/** A refusal of the HTTP API of which no more is compared: what is not there, not allowed, or locked. */
export function withoutDetails(status: number, body: string): string | null {
  if (status === 404 || body.includes('"404 NOT_FOUND')) return 'not found'
  if (status === 401 || body.includes('"403 ACCESS_REFUSED')) return 'refused'
  return body.includes('cannot obtain exclusive access to locked queue') ? 'locked' : null
}

/** A refusal of the HTTP API, which RabbitMQ writes for a web page at some places. */
export function withoutMarkup(body: string): string {
  return body.replaceAll('&lt;', '<').replaceAll('&gt;', '>')
}

/** An object of a definitions file without what may differ. */
export function withoutTypes(section: string, object: Table): Table {
  if (section === 'bindings') {
    // RabbitMQ 3.10 tells of a value that is void by a word.
    return JSON.parse(JSON.stringify(object).replaceAll('"undefined"', 'null')) as Table
  }
  if (section !== 'queues') {
    // RabbitMQ 4: the file of a vhost names it nowhere.
    const { vhost: _vhost, ...others } = object
    return others
  }
  // RabbitMQ 3.13: a queue's type is told beside its arguments, and is in them also where it was not asked for.
  const { type: _type, arguments: args, ...rest } = object
  const { 'x-queue-type': type, ...others } = args as Table
  return { ...rest, arguments: type === 'quorum' ? (args as Table) : others }
}

/** Whether an object of a definitions file says that a vhost has no limits, which is said by nothing here. */
export function limitsNothing({ component, value }: Table): boolean {
  return component === 'vhost-limits' && Object.keys(value as object).length === 0
}

/** RabbitMQ 3.13: deaths before the last stay in their order; until then each further one turns them around. */
function withoutOrder([last, ...earlier]: readonly Table[]): Table[] {
  const key = ({ queue, reason }: Table): string => JSON.stringify([queue, reason])
  return last === undefined ? [] : [last, ...earlier.toSorted((a, b) => key(a).localeCompare(key(b)))]
}

/** No two brokers bury at the same second. */
function withoutTime(death: Value): Table {
  const { time, ...rest } = death as { readonly [key: string]: Value }
  return { ...rest, time: time instanceof Tagged ? time.tag : 'no time' }
}
