// What operators do over the HTTP API beside policies, as programs make it up.
import type { Value } from '../support/field-values.ts'
import type { Random } from '../support/random.ts'
import { classicArguments, KEYS, type Setting } from './arguments.ts'
import { EXCHANGES, QUEUES } from './names.ts'
import type { OperatorStep } from './program.ts'

/** Declares, deletes, binds, publishes or gets. What is bound to an exchange that `chooses` is one queue. */
export function operation(
  random: Random,
  setting: Setting,
  body: () => string,
  chooses: (exchange: string) => boolean,
): OperatorStep {
  const queue = random.pick(QUEUES)
  const exchange = random.pick(EXCHANGES)
  const bound = chooses(exchange) ? QUEUES[0]! : queue
  const step = (
    method: OperatorStep['method'],
    kind: OperatorStep['kind'],
    name: string,
    fields?: { readonly [key: string]: Value },
  ): OperatorStep => ({ do: 'operate', method, kind, name, ...(fields === undefined ? {} : { body: fields }) })
  const operations: readonly (() => OperatorStep)[] = [
    () => {
      const args = Object.entries(classicArguments(random, setting)).filter(([, value]) => typeof value !== 'bigint')
      return step('PUT', 'queues', queue, {
        durable: random.chance(0.5),
        auto_delete: random.chance(0.1),
        arguments: Object.fromEntries(args),
      })
    },
    () => step('DELETE', 'queues', `${queue}${random.pick(['', '?if-empty=true', '?if-unused=true'])}`),
    () => step('DELETE', 'queues', `${queue}/contents`),
    () =>
      step('PUT', 'exchanges', exchange, {
        type: random.pick(['direct', 'fanout', 'topic']),
        durable: random.chance(0.5),
      }),
    () => step('DELETE', 'exchanges', `${exchange}${random.pick(['', '?if-unused=true'])}`),
    () => step('POST', 'bindings', `e/${exchange}/q/${bound}`, { routing_key: random.pick(KEYS), arguments: {} }),
    () => step('DELETE', 'bindings', `e/${exchange}/q/${queue}/${random.pick(['~', 'a', 'b', 'a.b'])}`),
    () =>
      step('POST', 'exchanges', `${random.pick(['amq.default', exchange])}/publish`, {
        properties: random.chance(0.5) ? {} : { delivery_mode: 2, priority: random.below(5), headers: { h: 1 } },
        routing_key: random.pick([...QUEUES, ...KEYS]),
        payload: body(),
        payload_encoding: 'string',
      }),
    () =>
      step('POST', 'queues', `${queue}/get`, {
        count: 1 + random.below(3),
        ackmode: random.pick(['ack_requeue_true', 'ack_requeue_false', 'reject_requeue_true', 'reject_requeue_false']),
        encoding: 'auto',
      }),
  ]
  return random.pick(operations)()
}
