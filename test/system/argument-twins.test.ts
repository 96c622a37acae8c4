// Every argument of queues that a policy may set too: it does the same on classic and on quorum queues, be it an argument,
// a policy or an operator policy, and the latter two on a queue that is there already.
import { describe, expect, it } from 'vitest'
import { queueArguments } from '../../src/core/arguments/queue-arguments.ts'
import type { PolicyValues } from '../../src/core/policy-values.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { Table } from '../support/field-values.ts'
import type { RawChannel } from '../support/raw-client.ts'

const open = useOpenBroker()

/** What an argument does. */
interface Twin {
  /** The values, by the names of policy keys. */
  readonly values: PolicyValues
  /** What else the queue is declared with. */
  readonly besides?: Table
  /** Operators may not set it (RabbitMQ). */
  readonly usersOnly?: boolean
  /** Uses the queue q, and sees the effect. */
  readonly shows: (channel: RawChannel) => Promise<void>
}

const TO_DEAD = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }

const TWINS: { readonly [key: string]: Twin } = {
  'message-ttl': {
    values: { 'message-ttl': 1000 },
    shows: async (channel) => {
      await publish(channel, '1')
      open.clock.advance(999)
      expect(await ready(channel)).toBe(1)
      open.clock.advance(1)
      expect(await ready(channel)).toBe(0)
    },
  },
  expires: {
    values: { expires: 1000 },
    shows: async (channel) => {
      await channel.expectNothing()
      open.clock.advance(1000)
      channel.send('queue.declare', { queue: 'q', passive: true })
      await channel.expectChannelClose(404, "NOT_FOUND - no queue 'q' in vhost '/'", 'queue.declare')
    },
  },
  'max-length': { values: { 'max-length': 1 }, shows: (channel) => drops(channel) },
  'max-length-bytes': { values: { 'max-length-bytes': 1 }, shows: (channel) => drops(channel) },
  overflow: {
    values: { overflow: 'reject-publish' },
    besides: { 'x-max-length': 1 },
    shows: (channel) => refuses(channel),
  },
  'overflow with dead letters': {
    values: { overflow: 'reject-publish-dlx' },
    besides: { 'x-max-length': 1, ...TO_DEAD },
    shows: async (channel) => {
      await refuses(channel)
      expect((await channel.get('dead', true)).body.toString()).toBe('2')
    },
  },
  'dead-letter-exchange': {
    values: { 'dead-letter-exchange': 'amq.fanout' },
    usersOnly: true,
    shows: async (channel) => {
      await channel.bind('dead', 'amq.fanout')
      await rejected(channel)
      expect(await ready(channel, 'dead')).toBe(1)
    },
  },
  'dead-letter-routing-key': {
    values: { 'dead-letter-routing-key': 'dead' },
    besides: { 'x-dead-letter-exchange': '' },
    usersOnly: true,
    shows: async (channel) => {
      await rejected(channel)
      expect(await ready(channel, 'dead')).toBe(1)
    },
  },
  'dead-letter-strategy': {
    values: { 'dead-letter-strategy': 'at-least-once' },
    besides: { 'x-overflow': 'reject-publish', 'x-dead-letter-exchange': 'amq.fanout' },
    usersOnly: true,
    shows: async (channel) => {
      await rejected(channel)
      await channel.bind('dead', 'amq.fanout')
      open.clock.advance(1000)
      expect(await ready(channel, 'dead')).toBe(1)
    },
  },
  'delivery-limit': {
    values: { 'delivery-limit': 1 },
    shows: async (channel) => {
      await publish(channel, '1')
      await rejected(channel, true)
      expect(await ready(channel)).toBe(1)
      await rejected(channel, true)
      expect(await ready(channel)).toBe(0)
    },
  },
  'delayed-retry-type': {
    values: { 'delayed-retry-type': 'returned' },
    besides: { 'x-delayed-retry-min': 1000 },
    shows: async (channel) => {
      await publish(channel, '1')
      await rejected(channel, true)
      expect(await ready(channel)).toBe(1)
    },
  },
  'delayed-retry-min': {
    values: { 'delayed-retry-min': 1000 },
    besides: { 'x-delayed-retry-type': 'all' },
    shows: (channel) => waits(channel, [1000, 2000]),
  },
  'delayed-retry-max': {
    values: { 'delayed-retry-max': 1500 },
    besides: { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': 1000 },
    shows: (channel) => waits(channel, [1000, 1500]),
  },
  'consumer-timeout': {
    values: { 'consumer-timeout': 1000 },
    usersOnly: true,
    shows: async (channel) => {
      await channel.consume('q', { 'consumer-tag': 'c' })
      channel.publish({ 'routing-key': 'q' }, '1')
      await channel.expectDeliver({}, '1')
      open.clock.advance(1100)
      await channel.expect('basic.cancel', { 'consumer-tag': 'c' })
    },
  },
  'message-deduplication': {
    values: { 'message-deduplication': true },
    usersOnly: true,
    shows: async (channel) => {
      await publish(channel, '1', '2')
      expect(await ready(channel)).toBe(1)
    },
  },
}

/** Publishes to q. All have the same id. */
async function publish(channel: RawChannel, ...bodies: string[]): Promise<void> {
  for (const body of bodies) {
    channel.publish({ 'routing-key': 'q' }, body, { headers: { 'x-deduplication-header': 'same' } })
  }
  await channel.expectNothing()
}

async function ready(channel: RawChannel, queue = 'q'): Promise<number> {
  return Number((await channel.call('queue.declare', { queue, passive: true }))['message-count'])
}

/** Gets a message, which is published if there is to be none, and rejects it. */
async function rejected(channel: RawChannel, requeue = false): Promise<void> {
  if (!requeue) await publish(channel, '1')
  const { tag } = await channel.get('q')
  channel.send('basic.reject', { 'delivery-tag': tag, requeue })
  await channel.expectNothing()
}

async function drops(channel: RawChannel): Promise<void> {
  await publish(channel, '1', '2')
  expect(await ready(channel)).toBe(1)
  expect((await channel.get('q', true)).body.toString()).toBe('2')
}

async function refuses(channel: RawChannel): Promise<void> {
  await channel.call('confirm.select')
  for (const [body, answer] of [
    ['1', 'basic.ack'],
    ['2', 'basic.nack'],
  ] as const) {
    channel.publish({ 'routing-key': 'q' }, body)
    await channel.expect(answer)
  }
  expect((await channel.get('q', true)).body.toString()).toBe('1')
}

/** Gives a message back again and again; each time it is ready after so many milliseconds. */
async function waits(channel: RawChannel, delays: readonly number[]): Promise<void> {
  await publish(channel, '1')
  for (const delay of delays) {
    await rejected(channel, true)
    open.clock.advance(delay - 1)
    expect(await ready(channel)).toBe(0)
    open.clock.advance(1)
    expect(await ready(channel)).toBe(1)
  }
}

function asArguments(values: PolicyValues): Table {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [`x-${key}`, value]))
}

/** Those that no policy sets, and those that are only kept and shown: they have tests of their own. */
const ARGUMENTS_ONLY = ['max-priority', 'single-active-consumer', 'queue-type']
const WITHOUT_EFFECT = [
  'max-in-memory-length',
  'max-in-memory-bytes',
  'queue-mode',
  'queue-version',
  'consumer-disconnected-timeout',
  'quorum-initial-group-size',
  'member-placement-tag',
  'queue-leader-locator',
  'queue-master-locator',
]
/** How duplicates are known has its own tests too. */
const DETAILS = ['deduplication-header', 'cache-size', 'cache-ttl']

const WAYS = ['argument', 'policy', 'operator policy'] as const
const CASES = ['classic', 'quorum'].flatMap((type) =>
  Object.entries(TWINS).flatMap(([name, twin]) =>
    WAYS.filter((way) => way !== 'operator policy' || twin.usersOnly !== true).map(
      (way) => [name, way, type, twin] as const,
    ),
  ),
)

describe('what a queue does by an argument', () => {
  it.each(CASES)('%s: it does by %s, as a %s queue', async (_name, way, type, { values, besides, shows }) => {
    const channel = await open.channel()
    await channel.queue('dead')
    const args = { 'x-queue-type': type, ...besides, ...(way === 'argument' ? asArguments(values) : {}) }
    await channel.queue('q', { durable: true, arguments: args })
    if (way !== 'argument') {
      const rest = { name: 'p', pattern: '^q$', applyTo: 'queues', priority: 0 } as const
      open.broker.policies.put({ kind: 'policy', vhost: '/', operator: way !== 'policy', definition: values, ...rest })
    }
    await shows(channel)
  })

  it('is all here', () => {
    const keys = queueArguments.filter(({ types }) => types.includes('classic')).map(({ key }) => key.slice(2))
    const shown = Object.values(TWINS).flatMap(({ values }) => Object.keys(values))
    const known = new Set([...shown, ...ARGUMENTS_ONLY, ...WITHOUT_EFFECT, ...DETAILS])
    expect(keys.filter((key) => !known.has(key))).toEqual([])
  })
})
