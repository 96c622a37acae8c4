// The parts of the mix.
import { Consumer } from './consumer.ts'
import {
  acknowledgeEach,
  acknowledgeMultiple,
  acknowledgeShuffled,
  dropOut,
  requeueSome,
  type Habit,
} from './habits.ts'
import type { LoadChannel } from './load-client.ts'
import type { Actor, Load, Part, Route } from './part.ts'
import { Producer } from './producer.ts'
import type { Random } from '../random.ts'

const HABITS: readonly ((random: Random) => Habit)[] = [
  acknowledgeEach,
  acknowledgeMultiple,
  acknowledgeShuffled,
  requeueSome,
  dropOut,
]

/** The queue that proofs go to. Nobody consumes from it but the audit. */
export const PROOF: Route = { exchange: '', routingKey: 'proof', queues: ['proof'] }

const proof: Part = {
  name: 'proof',
  queues: PROOF.queues,
  declare: (channel) => declareQueues(channel, PROOF.queues),
  actors: () => [],
}

/** Queues by their names; messages that nobody consumes among them. */
const direct: Part = {
  name: 'direct',
  queues: ['direct.a', 'direct.b', 'direct.cold'],
  declare(channel) {
    return declareQueues(channel, this.queues)
  },
  actors(load) {
    const routes = this.queues.map((queue) => ({ exchange: '', routingKey: queue, queues: [queue] }))
    return [...producers(load, routes, 2), ...consumers(load, ['direct.a', 'direct.b'])]
  },
}

/** One publish to three queues, one of which nobody consumes from. */
const fanout: Part = {
  name: 'fanout',
  queues: ['fanout.a', 'fanout.b', 'fanout.cold'],
  async declare(channel) {
    await declareQueues(channel, this.queues)
    await channel.call('exchange.declare', { exchange: 'crash.fanout', type: 'fanout', durable: true })
    for (const queue of this.queues) await channel.call('queue.bind', { queue, exchange: 'crash.fanout' })
  },
  actors(load) {
    const routes = ['', 'x'].map((routingKey) => ({ exchange: 'crash.fanout', routingKey, queues: this.queues }))
    return [...producers(load, routes, 1), ...consumers(load, ['fanout.a', 'fanout.b'])]
  },
}

/** Patterns that overlap, and an exchange behind the exchange. */
const topic: Part = {
  name: 'topic',
  queues: ['topic.a', 'topic.b', 'topic.cold'],
  async declare(channel) {
    await declareQueues(channel, this.queues)
    for (const exchange of ['crash.topic', 'crash.behind']) {
      await channel.call('exchange.declare', { exchange, type: 'topic', durable: true })
    }
    const behind = { source: 'crash.topic', destination: 'crash.behind', 'routing-key': '#.far' }
    await channel.call('exchange.bind', behind)
    const bindings = [
      ['topic.a', 'crash.topic', 'a.#'],
      ['topic.b', 'crash.topic', '*.b'],
      ['topic.b', 'crash.topic', 'a.*'],
      ['topic.cold', 'crash.behind', '#'],
    ] as const
    for (const [queue, exchange, key] of bindings) {
      await channel.call('queue.bind', { queue, exchange, 'routing-key': key })
    }
  },
  actors(load) {
    const routes = [
      topicRoute('a', ['topic.a']),
      topicRoute('a.b', ['topic.a', 'topic.b']),
      topicRoute('a.far', ['topic.a', 'topic.b', 'topic.cold']),
      topicRoute('x.b', ['topic.b']),
      topicRoute('far', ['topic.cold']),
    ]
    return [...producers(load, routes, 1), ...consumers(load, ['topic.a', 'topic.b'])]
  },
}

/** All parts there are. */
export const PARTS: readonly Part[] = [proof, direct, fanout, topic]

async function declareQueues(channel: LoadChannel, queues: readonly string[]): Promise<void> {
  for (const queue of queues) await channel.call('queue.declare', { queue, durable: true })
}

function topicRoute(routingKey: string, queues: readonly string[]): Route {
  return { exchange: 'crash.topic', routingKey, queues }
}

function producers(load: Load, routes: readonly Route[], count: number): Actor[] {
  return Array.from({ length: count }, () => new Producer(load, routes))
}

/** Up to two consumers for each of these queues, each with a habit of its own. */
function consumers(load: Load, queues: readonly string[]): Actor[] {
  return queues.flatMap((queue) => {
    const count = load.random.pick([0, 1, 1, 2, 2])
    return Array.from({ length: count }, () => new Consumer(load, queue, load.random.pick(HABITS)(load.random.fork())))
  })
}
