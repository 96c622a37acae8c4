// Policies and operator policies: what holds for queues and exchanges, at once.
import { describe, expect, it } from 'vitest'
import type { PolicyDefinition } from '../../src/core/definitions.ts'
import type { PolicyValues } from '../../src/core/policy-values.ts'
import { NO_ARGUMENTS } from '../../src/core/value.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const open = useOpenBroker()

function policy(definition: PolicyValues, rest: Partial<PolicyDefinition> = {}): void {
  const name = rest.operator ? 'limits' : 'rules'
  open.broker.policies.put({
    kind: 'policy',
    vhost: '/',
    name,
    operator: false,
    pattern: '^q',
    applyTo: 'all',
    priority: 0,
    definition,
    ...rest,
  })
}

async function fill(channel: RawChannel, queue: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) channel.publish({ 'routing-key': queue }, String(i))
  await channel.expectNothing()
}

async function ready(channel: RawChannel, queue: string): Promise<number> {
  return Number((await channel.call('queue.declare', { queue, passive: true }))['message-count'])
}

describe('a policy', () => {
  it('takes effect at once on a queue that exists, and ends when it is deleted', async () => {
    const channel = await open.channel()
    await channel.queue('q')
    await fill(channel, 'q', 10)
    policy({ 'max-length': 3 })
    expect(await ready(channel, 'q')).toBe(3)
    expect((await channel.get('q', true)).body.toString()).toBe('7')
    expect(open.broker.policies.delete('/', 'rules', false)).toBe(true)
    await fill(channel, 'q', 10)
    expect(await ready(channel, 'q')).toBe(12)
  })

  it('is in force everywhere before a queue drops what it forbids', async () => {
    const channel = await open.channel()
    const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q2' }
    await channel.queue('q1', { arguments: dead })
    await channel.queue('q2')
    policy({ 'max-length': 2 })
    for (const queue of ['q1', 'q2']) await fill(channel, queue, 2)
    policy({ 'max-length': 1 }, { pattern: '^q1' })
    expect([await ready(channel, 'q1'), await ready(channel, 'q2')]).toEqual([1, 3])
  })

  it('holds for queues that come later, and leaves other names alone', async () => {
    policy({ 'max-length': 3 }, { pattern: '^q' })
    const channel = await open.channel()
    for (const queue of ['q', 'other']) {
      await channel.queue(queue)
      await fill(channel, queue, 5)
    }
    expect([await ready(channel, 'q'), await ready(channel, 'other')]).toEqual([3, 5])
  })

  it('gives an exchange its alternate, unless its argument does', async () => {
    const channel = await open.channel()
    await channel.queue('rest')
    await channel.exchange('qx', 'direct')
    await channel.bind('rest', 'amq.fanout')
    channel.publish({ exchange: 'qx', 'routing-key': 'a' }, 'lost')
    await channel.expectNothing()
    policy({ 'alternate-exchange': 'amq.fanout' })
    channel.publish({ exchange: 'qx', 'routing-key': 'a' }, 'kept')
    expect((await channel.get('rest', true)).body.toString()).toBe('kept')
    await channel.exchange('qy', 'direct', { arguments: { 'alternate-exchange': 'nowhere' } })
    channel.publish({ exchange: 'qy', mandatory: true }, 'm')
    await channel.expectReturn({ 'reply-code': 312 }, 'm')
  })

  it('plays no part in what a redeclaration must repeat', async () => {
    policy({ 'message-ttl': 1000 })
    const channel = await open.channel()
    await channel.queue('q')
    await channel.queue('q')
  })

  it.each(['classic', 'quorum'])('with a key of streams is not for a %s queue at all', async (type) => {
    policy({ 'max-length': 3, 'max-age': '1h' })
    const channel = await open.channel()
    await channel.queue('q', { durable: true, arguments: { 'x-queue-type': type } })
    await fill(channel, 'q', 5)
    expect(await ready(channel, 'q')).toBe(5)
    policy({ 'max-length': 3 })
    expect(await ready(channel, 'q')).toBe(3)
  })

  it('for queues of one type is not for those of the other', async () => {
    policy({ 'max-length': 3 }, { applyTo: 'quorum_queues' })
    const channel = await open.channel()
    for (const [queue, type] of [
      ['q1', 'classic'],
      ['q2', 'quorum'],
    ] as const) {
      await channel.queue(queue, { durable: true, arguments: { 'x-queue-type': type } })
      await fill(channel, queue, 5)
    }
    expect([await ready(channel, 'q1'), await ready(channel, 'q2')]).toEqual([5, 3])
  })

  it('holds for thousands of queues soon, some at a time, and the last one is the one that does', async () => {
    const vhost = open.broker.vhosts.get('/')!
    const queues = Array.from({ length: 1000 }, (_, i) =>
      vhost.addQueue({
        name: `q${i}`,
        durable: false,
        owner: null,
        autoDelete: false,
        arguments: NO_ARGUMENTS,
        user: null,
      }),
    )
    const lengths = (): Set<number> => new Set(queues.map(({ rules }) => rules.maxLength))
    policy({ 'max-length': 5 })
    expect(lengths()).toEqual(new Set([5, Infinity]))
    vhost.deleteQueue(queues.at(-2)!)
    for (const length of [3, 4]) policy({ 'max-length': length })
    // Whoever waited for the first of them has waited for the last.
    const superseded = vhost.governed
    policy({ 'max-length': 6 })
    await superseded
    queues.splice(-2, 1)
    expect(lengths()).toEqual(new Set([6]))
  })

  it('of the highest priority is the one that applies', async () => {
    const channel = await open.channel()
    await channel.queue('q')
    policy({ 'max-length': 5 }, { name: 'low', priority: 1 })
    policy({ 'max-length': 2 }, { name: 'high', priority: 7 })
    await fill(channel, 'q', 10)
    expect(await ready(channel, 'q')).toBe(2)
    expect(open.broker.vhosts.get('/')!.effective(open.broker.vhosts.get('/')!.queue('q'))).toMatchObject({
      policy: 'high',
      operatorPolicy: null,
      definition: { 'max-length': 2 },
    })
  })
})

describe('an operator policy', () => {
  it('limits what a policy allows', async () => {
    const channel = await open.channel()
    await channel.queue('q')
    policy({ 'max-length': 5, overflow: 'reject-publish' })
    policy({ 'max-length': 2, overflow: 'drop-head' }, { operator: true, applyTo: 'queues' })
    await fill(channel, 'q', 10)
    expect(await ready(channel, 'q')).toBe(2)
    expect((await channel.get('q', true)).body.toString()).toBe('8')
  })

  it('limits what an argument allows, and not the other way round', async () => {
    const channel = await open.channel()
    policy({ 'max-length': 4 }, { operator: true })
    await channel.queue('q1', { arguments: { 'x-max-length': 2 } })
    await channel.queue('q2', { arguments: { 'x-max-length': 9 } })
    for (const queue of ['q1', 'q2']) await fill(channel, queue, 10)
    expect([await ready(channel, 'q1'), await ready(channel, 'q2')]).toEqual([2, 4])
  })
})
