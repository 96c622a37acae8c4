// The parts of the mix.
import { Consumer } from './consumer.ts'
import {
  acknowledgeEach,
  acknowledgeMultiple,
  acknowledgeShuffled,
  dropOut,
  failSome,
  rejectSome,
  requeueSome,
  type Habit,
} from './habits.ts'
import type { LoadChannel } from './load-client.ts'
import type { Actor, Load, Part, Route } from './part.ts'
import { Producer } from './producer.ts'
import { Transferrer } from './transferrer.ts'
import type { FieldsInput } from '../../support/codec.ts'
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

/** A queue that gives messages up to another one, for a reason that each part has of its own. */
interface Mortal {
  readonly name: string
  readonly arguments: FieldsInput
  /** The arguments of the other. */
  readonly deadArguments?: FieldsInput
  /** Whether it does so by itself. */
  readonly leaks: boolean
  /** How its consumers work. */
  readonly habits: readonly ((random: Random) => Habit)[]
}

function mortal({ name, arguments: args, deadArguments = {}, leaks, habits }: Mortal): Part {
  const queues = [`${name}.q`, `${name}.dead`] as const
  const [first, dead] = queues
  return {
    name,
    queues: [first],
    families: [{ queues, leaks, rewrites: true }],
    async declare(channel) {
      await channel.call('queue.declare', { queue: dead, durable: true, arguments: deadArguments })
      const buried = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead }
      await channel.call('queue.declare', { queue: first, durable: true, arguments: { ...args, ...buried } })
    },
    actors(load) {
      const routes = [{ exchange: '', routingKey: first, queues: [first] }]
      return [...producers(load, routes, 1), ...consumers(load, [first], habits), ...consumers(load, [dead])]
    },
  }
}

/** What is rejected goes to another queue. */
const rejected = mortal({ name: 'rejected', arguments: {}, leaks: false, habits: [rejectSome] })

/** What expires does. */
const expired = mortal({ name: 'expired', arguments: { 'x-message-ttl': 150 }, leaks: true, habits: HABITS })

/** What is too much does. */
const surplus = mortal({ name: 'surplus', arguments: { 'x-max-length': 200 }, leaks: true, habits: HABITS })

/** What fails too often does. */
const failed = mortal({
  name: 'failed',
  arguments: { 'x-delivery-limit': 3 },
  leaks: true,
  habits: [failSome, dropOut],
})

/** What expires waits until a short queue has room for it. */
const waiting = mortal({
  name: 'waiting',
  arguments: {
    'x-message-ttl': 100,
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  },
  deadArguments: { 'x-max-length': 100, 'x-overflow': 'reject-publish' },
  leaks: true,
  habits: HABITS,
})

const RETRY_MS_MIN = 30
const RETRY_MS_MAX = 200

/** What comes back waits for longer each time. */
const retried: Part = {
  name: 'retried',
  queues: ['retried.q'],
  families: [{ queues: ['retried.q'], rewrites: true, retryMs: RETRY_MS_MIN }],
  async declare(channel) {
    const args = {
      'x-delayed-retry-type': 'all',
      'x-delayed-retry-min': RETRY_MS_MIN,
      'x-delayed-retry-max': RETRY_MS_MAX,
    }
    await channel.call('queue.declare', { queue: 'retried.q', durable: true, arguments: args })
  },
  actors(load) {
    const routes = [{ exchange: '', routingKey: 'retried.q', queues: this.queues }]
    return [...producers(load, routes, 1), ...consumers(load, this.queues, [failSome, requeueSome, dropOut])]
  },
}

/** What is too much is refused. */
const refused: Part = {
  name: 'refused',
  queues: ['refused.q'],
  async declare(channel) {
    const args = { 'x-max-length': 300, 'x-overflow': 'reject-publish' }
    await channel.call('queue.declare', { queue: 'refused.q', durable: true, arguments: args })
  },
  actors(load) {
    const route = { exchange: '', routingKey: 'refused.q', queues: this.queues, refusable: true }
    return [...producers(load, [route], 1), ...consumers(load, this.queues)]
  },
}

/** Messages that are sent again and again: acknowledged or not, they are taken once. */
const deduplicated: Part = {
  name: 'deduplicated',
  queues: ['deduplicated.q'],
  async declare(channel) {
    const args = { 'x-message-deduplication': true, 'x-cache-size': 100_000 }
    await channel.call('queue.declare', { queue: 'deduplicated.q', durable: true, arguments: args })
  },
  actors(load) {
    const route = { exchange: '', routingKey: 'deduplicated.q', queues: this.queues, deduplicated: true }
    return [...producers(load, [route], 1), ...consumers(load, this.queues)]
  },
}

/** The same by an exchange, before two queues. */
const once: Part = {
  name: 'once',
  queues: ['once.a', 'once.b'],
  async declare(channel) {
    await declareQueues(channel, this.queues)
    const args = { 'x-message-deduplication': true, 'x-cache-size': 100_000 }
    await channel.call('exchange.declare', { exchange: 'crash.once', type: 'fanout', durable: true, arguments: args })
    for (const queue of this.queues) await channel.call('queue.bind', { queue, exchange: 'crash.once' })
  },
  actors(load) {
    const facts = { queues: this.queues, deduplicated: true, unreturned: true }
    const route = { exchange: 'crash.once', routingKey: '', ...facts }
    return [...producers(load, [route], 1), ...consumers(load, this.queues)]
  },
}

const PRIORITY_MAX = 4

/** Messages that overtake others. */
const priorities: Part = {
  name: 'priorities',
  queues: ['priorities.q'],
  async declare(channel) {
    const args = { 'x-max-priority': PRIORITY_MAX }
    await channel.call('queue.declare', { queue: 'priorities.q', durable: true, arguments: args })
  },
  actors(load) {
    const route = { exchange: '', routingKey: 'priorities.q', queues: this.queues, priorityMax: PRIORITY_MAX }
    return [...producers(load, [route], 1), ...consumers(load, this.queues)]
  },
}

const LATER: Route = { exchange: 'crash.later', routingKey: 'x', queues: ['later.q'], delays: [0, 50, 400] }

/** Messages that wait for their time. */
const later: Part = {
  name: 'later',
  queues: ['later.q'],
  families: [{ queues: ['later.q'], rewrites: true }],
  delayed: LATER,
  async declare(channel) {
    await declareQueues(channel, this.queues)
    const args = { 'x-delayed-type': 'direct' }
    await channel.call('exchange.declare', {
      exchange: LATER.exchange,
      type: 'x-delayed-message',
      durable: true,
      arguments: args,
    })
    await channel.call('queue.bind', { queue: 'later.q', exchange: LATER.exchange, 'routing-key': LATER.routingKey })
  },
  actors(load) {
    return [...producers(load, [LATER], 1), ...consumers(load, this.queues)]
  },
}

/** Messages that are taken from one queue and put into others, in transactions. */
const transactions: Part = {
  name: 'transactions',
  queues: ['transactions.in', 'transactions.a', 'transactions.b'],
  async declare(channel) {
    await declareQueues(channel, this.queues)
    await channel.call('exchange.declare', { exchange: 'crash.both', type: 'fanout', durable: true })
    for (const queue of this.queues.slice(1)) await channel.call('queue.bind', { queue, exchange: 'crash.both' })
  },
  actors(load) {
    const [from, ...to] = this.queues
    const routes = to.map((queue): Route => ({ exchange: '', routingKey: queue, queues: [queue] }))
    routes.push({ exchange: 'crash.both', routingKey: '', queues: to })
    const source = { exchange: '', routingKey: from!, queues: [from!] }
    return [
      ...producers(load, [source], 1),
      new Transferrer(load, from!, routes),
      new Transferrer(load, from!, routes),
      ...consumers(load, ['transactions.a']),
    ]
  },
}

/** All parts there are. */
export const PARTS: readonly Part[] = [
  proof,
  direct,
  fanout,
  topic,
  rejected,
  expired,
  surplus,
  failed,
  waiting,
  retried,
  refused,
  deduplicated,
  once,
  priorities,
  later,
  transactions,
]

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
function consumers(load: Load, queues: readonly string[], habits = HABITS): Actor[] {
  return queues.flatMap((queue) => {
    const count = load.random.pick([0, 1, 1, 2, 2])
    return Array.from({ length: count }, () => new Consumer(load, queue, load.random.pick(habits)(load.random.fork())))
  })
}
