// How fast a topic exchange routes, with few bindings and with many, and beside it a direct exchange with as many keys:
// what one look into a table of that size costs here. Run: npx tsx test/bench/topic.ts
import { Binding } from '../../src/core/exchange/binding.ts'
import { DirectExchange } from '../../src/core/exchange/direct.ts'
import { route, type Exchange } from '../../src/core/exchange/exchange.ts'
import { Routes } from '../../src/core/exchange/routes.ts'
import { TopicExchange } from '../../src/core/exchange/topic.ts'
import { NO_ARGUMENTS } from '../../src/core/value.ts'
import { exchangeProperties, messageOf, queueNamed } from '../support/core.ts'

const ROUTINGS = 500_000
const ROUNDS = 6
const MANY = 100_000

interface Workload {
  readonly name: string
  readonly exchange: () => Exchange
  readonly pattern: (index: number) => string
}

const topic = () => new TopicExchange('x', exchangeProperties('topic'))

const workloads: readonly Workload[] = [
  { name: 'direct', exchange: () => new DirectExchange('x', exchangeProperties('direct')), pattern: literal },
  { name: 'topic, literal keys', exchange: topic, pattern: literal },
  {
    name: 'topic, a third each of literal, * and #',
    exchange: topic,
    pattern: (index) => {
      const device = `site${index % 100}.device${index}`
      return [literal(index), `${device}.*.temperature`, `${device}.#`][index % 3]!
    },
  },
  {
    name: 'topic, wildcards in front',
    exchange: topic,
    pattern: (index) => [`*.device${index}.sensor.*`, `#.device${index}.#`][index % 2]!,
  },
]

for (const workload of workloads) {
  for (const keys of [1000, 50_000]) {
    const few = measure(workload, 10, keys)
    const many = measure(workload, MANY, keys)
    const figures = `10 bindings ${few.toFixed(0)} ns, ${MANY} bindings ${many.toFixed(0)} ns a message`
    console.log(`${workload.name}, messages with ${keys} keys: ${figures}`)
  }
}

function literal(index: number): string {
  return `site${index % 100}.device${index}.sensor.temperature`
}

/** Nanoseconds a message, in the best of some rounds. */
function measure(workload: Workload, bindings: number, keys: number): number {
  const exchange = workload.exchange()
  const queues = Array.from({ length: 1000 }, (_, index) => queueNamed(`q${index}`))
  for (let i = 0; i < bindings; i++) {
    exchange.bind(new Binding(exchange, queues[i % queues.length]!, workload.pattern(i), NO_ARGUMENTS))
  }
  const sent = messages(keys, bindings)
  const routes = new Routes()
  let best = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    let reached = 0
    const start = process.hrtime.bigint()
    for (let i = 0; i < ROUTINGS; i++) {
      routes.begin()
      route(exchange, sent[i % keys]!, routes, noAlternate)
      reached += routes.length
    }
    best = Math.min(best, Number(process.hrtime.bigint() - start) / ROUTINGS)
    if (reached < ROUTINGS) throw new Error(`only ${reached} of ${ROUTINGS} messages were routed`)
  }
  return best
}

/** Messages in an order that has nothing to do with that of the bindings, each of which one binding matches. */
function messages(keys: number, bindings: number) {
  let seed = 1
  return Array.from({ length: keys }, () => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
    // Through bytes, so that each is a string of its own, as a decoded one is.
    return messageOf(Buffer.from(literal((seed >> 8) % bindings)).toString('latin1'))
  })
}

function noAlternate(): undefined {
  return undefined
}
