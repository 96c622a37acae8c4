// Programs on which Leveret has differed from RabbitMQ, or seemed to, made as small as they can be. They are run every
// time: the programs of a seed change whenever there is something new for programs to do.
import type { FieldsInput, Properties } from '../support/codec.ts'
import type { Table } from '../support/field-values.ts'
import type { Place, Program, Step } from './program.ts'

const ONE: Place = { client: 0, channel: 1 }
const OTHER: Place = { client: 1, channel: 1 }

function call(at: Place, method: string, fields: FieldsInput = {}): Step {
  return { do: 'call', at, method, fields }
}

function publish(
  at: Place,
  key: string,
  bodies: readonly string[],
  mandatory = false,
  properties: Properties = {},
): Step {
  return { do: 'publish', at, fields: { exchange: '', 'routing-key': key, mandatory }, bodies, properties }
}

function requeue(at: Place): Step {
  return { do: 'settle', at, method: 'basic.reject', nth: 0, multiple: false, requeue: true }
}

function policy(definition: Table, pattern: string): Step {
  const body = { pattern, definition, 'apply-to': 'queues', priority: 0 }
  return { do: 'operate', kind: 'policies', name: 'p0', method: 'PUT', body }
}

function program(steps: readonly Step[]): Program {
  return { seed: 0, steps, timed: false, quorum: false, ordered: true }
}

/** By what they show. */
export const KNOWN_PROGRAMS: { readonly [shown: string]: Program } = {
  'who used up the prefetch of the channel comes last': program([
    call(ONE, 'queue.declare', { queue: 'q0' }),
    call(ONE, 'basic.qos', { 'prefetch-count': 1, global: true }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c0' }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c1' }),
    publish(OTHER, 'q0', ['m0', 'm1', 'm2']),
    { do: 'settle', at: ONE, method: 'basic.ack', nth: 0, multiple: false, requeue: false },
    { do: 'settle', at: ONE, method: 'basic.ack', nth: 0, multiple: false, requeue: false },
  ]),
  'what several consumers of a channel had goes back consumer by consumer': program([
    call(ONE, 'queue.declare', { queue: 'q0', arguments: { 'x-max-length': 3 } }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c0' }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c1' }),
    publish(OTHER, 'q0', ['m0', 'm1', 'm2']),
    publish(OTHER, 'q0', ['m3', 'm4']),
    call(ONE, 'basic.recover', { requeue: true }),
  ]),
  'a single active consumer gets what another client publishes': program([
    call(ONE, 'queue.declare', { queue: 'q0', arguments: { 'x-single-active-consumer': true } }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c0', 'no-ack': true }),
    call({ client: 0, channel: 2 }, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c1', 'no-ack': true }),
    publish(OTHER, 'q0', ['m0', 'm1']),
    { do: 'close', at: ONE, what: 'channel' },
    publish(OTHER, 'q0', ['m2']),
  ]),
  'a consumer that is full does not come earlier by a prefetch for others': program([
    call(ONE, 'queue.declare', { queue: 'q0' }),
    publish(OTHER, 'q0', ['m0', 'm1']),
    call(ONE, 'basic.qos', { 'prefetch-count': 1 }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c0' }),
    call(OTHER, 'basic.get', { queue: 'q0', 'no-ack': true }),
    call(ONE, 'basic.qos', { 'prefetch-count': 1 }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c1', 'no-ack': true }),
    requeue(ONE),
  ]),
  'who gives something back comes after those who waited': program([
    call(ONE, 'queue.declare', { queue: 'q0' }),
    call(ONE, 'basic.qos', { 'prefetch-count': 1 }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c0' }),
    call(ONE, 'basic.consume', { queue: 'q0', 'consumer-tag': 'c1' }),
    publish(OTHER, 'q0', ['m0', 'm1', 'm2']),
    call(OTHER, 'basic.get', { queue: 'q0', 'no-ack': true }),
    { do: 'settle', at: ONE, method: 'basic.ack', nth: 0, multiple: false, requeue: false },
    requeue(ONE),
    requeue(ONE),
  ]),
  'a policy is in force everywhere before a queue drops what it forbids': program([
    call(ONE, 'queue.declare', {
      queue: 'q0',
      arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q1' },
    }),
    call(ONE, 'queue.declare', { queue: 'q1' }),
    policy({ 'max-length': 2 }, '^q'),
    publish(OTHER, 'q0', ['m0', 'm1']),
    publish(OTHER, 'q1', ['m2', 'm3']),
    policy({ 'max-length': 1 }, '^q0'),
  ]),
  'a commit reaches the queue that has the name by then': program([
    call(ONE, 'tx.select'),
    publish(ONE, 'q0', ['m0'], true),
    publish(ONE, 'q1', ['m1'], true),
    publish(ONE, 'q2', ['m2'], true, { headers: { CC: ['q0'] } }),
    call(OTHER, 'queue.declare', { queue: 'q0' }),
    call(ONE, 'tx.commit'),
  ]),
}
