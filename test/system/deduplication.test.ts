// Deduplication: of RabbitMQ's plugin (its exchange type, its queues) and of LavinMQ (its arguments on any exchange).
import { describe, expect, it } from 'vitest'
import type { PolicyValues } from '../../src/core/policy-values.ts'
import { tagged, type Table, type Value } from '../support/field-values.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { RawChannel } from '../support/raw-client.ts'
import { Restarting } from '../support/restarting.ts'

const open = useOpenBroker()
const PERSISTENT = { 'delivery-mode': 2 }
const HEADER = 'x-deduplication-header'

function policy(definition: PolicyValues, applyTo: 'queues' | 'exchanges' = 'queues'): void {
  const rest = { kind: 'policy', vhost: '/', name: 'p', operator: false, applyTo, priority: 0 } as const
  open.broker.policies.put({ ...rest, pattern: '^(q|x)$', definition })
}

/** Publishes and waits for the confirm. */
async function publish(channel: RawChannel, exchange: string, body: string, headers: Table = {}): Promise<void> {
  channel.publish({ exchange, 'routing-key': 'q' }, body, { ...PERSISTENT, headers })
  await channel.expect('basic.ack')
}

async function drain(channel: RawChannel, queue = 'q'): Promise<string[]> {
  const { 'message-count': count } = await channel.call('queue.declare', { queue, passive: true })
  const bodies: string[] = []
  for (let left = Number(count); left > 0; left--) bodies.push((await channel.get(queue, true)).body.toString())
  return bodies
}

async function confirming(): Promise<RawChannel> {
  const channel = await open.channel()
  await channel.call('confirm.select')
  return channel
}

/** A channel with a queue q that is bound to an exchange x with the key q. */
async function withExchange(type: string, args: Table, queueArgs: Table = {}): Promise<RawChannel> {
  const channel = await confirming()
  await channel.queue('q', { durable: true, arguments: queueArgs })
  await channel.exchange('x', type, { durable: true, arguments: args })
  await channel.bind('q', 'x', 'q')
  return channel
}

describe('an exchange that deduplicates', () => {
  const ON = { 'x-message-deduplication': true }

  it('confirms a message whose id came before, does not route it, and counts it', async () => {
    const channel = await withExchange('direct', ON)
    await publish(channel, 'x', '1', { [HEADER]: 'a' })
    await publish(channel, 'x', '2', { [HEADER]: 'a' })
    await publish(channel, 'x', '3', { [HEADER]: 'b' })
    await publish(channel, 'x', '4', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['1', '3'])
    const vhost = open.broker.vhosts.get('/')!
    expect(vhost.exchange('x')).toMatchObject({ deduplicated: 2, publishedIn: 4, publishedOut: 2 })
    expect(vhost.counts.deduplicated).toBe(2)
  })

  it('lets messages without the header pass, however often they come', async () => {
    const channel = await withExchange('direct', ON)
    for (const body of ['1', '2']) await publish(channel, 'x', body)
    for (const body of ['3', '4']) await publish(channel, 'x', body, { other: 'a' })
    expect(await drain(channel)).toEqual(['1', '2', '3', '4'])
  })

  it('remembers an id after its message was consumed', async () => {
    const channel = await withExchange('direct', ON)
    await publish(channel, 'x', '1', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['1'])
    await publish(channel, 'x', '2', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual([])
  })

  it('reads the id from the header that x-deduplication-header names', async () => {
    const channel = await withExchange('direct', { ...ON, 'x-deduplication-header': 'order' })
    await publish(channel, 'x', '1', { order: 'a', [HEADER]: 'b' })
    await publish(channel, 'x', '2', { order: 'a', [HEADER]: 'c' })
    await publish(channel, 'x', '3', { order: 'd', [HEADER]: 'b' })
    expect(await drain(channel)).toEqual(['1', '3'])
  })

  it('forgets the oldest id when there are more than x-cache-size', async () => {
    const channel = await withExchange('direct', { ...ON, 'x-cache-size': 2 })
    for (const id of ['a', 'b', 'c', 'b', 'a']) await publish(channel, 'x', id, { [HEADER]: id })
    expect(await drain(channel)).toEqual(['a', 'b', 'c', 'a'])
  })

  it('forgets an id after x-cache-ttl, or after what the message itself asks for', async () => {
    const channel = await withExchange('direct', { ...ON, 'x-cache-ttl': 1000 })
    await publish(channel, 'x', 'a1', { [HEADER]: 'a' })
    await publish(channel, 'x', 'b1', { [HEADER]: 'b', 'x-cache-ttl': 5000 })
    open.clock.advance(999)
    await publish(channel, 'x', 'a2', { [HEADER]: 'a' })
    open.clock.advance(1)
    await publish(channel, 'x', 'a3', { [HEADER]: 'a' })
    await publish(channel, 'x', 'b2', { [HEADER]: 'b' })
    open.clock.advance(4000)
    await publish(channel, 'x', 'b3', { [HEADER]: 'b' })
    expect(await drain(channel)).toEqual(['a1', 'b1', 'a3', 'b3'])
  })

  it.each<[string, Value, Value, boolean]>([
    ['integers of different width', tagged('b', 7), tagged('l', 7n), true],
    ['an integer and a text', 7, '7', false],
    ['long texts', 'n'.repeat(200), 'n'.repeat(200), true],
    ['long texts that differ at the end', `${'n'.repeat(200)}1`, `${'n'.repeat(200)}2`, false],
    ['tables', { a: 1 }, { a: 1 }, true],
  ])('compares ids that are %s', async (_case, first, second, same) => {
    const channel = await withExchange('direct', ON)
    await publish(channel, 'x', '1', { [HEADER]: first })
    await publish(channel, 'x', '2', { [HEADER]: second })
    expect(await drain(channel)).toEqual(same ? ['1'] : ['1', '2'])
  })

  it('returns a duplicate that is mandatory, as it reaches nobody', async () => {
    const channel = await withExchange('direct', ON)
    await publish(channel, 'x', '1', { [HEADER]: 'a' })
    channel.publish({ exchange: 'x', 'routing-key': 'q', mandatory: true }, '2', { headers: { [HEADER]: 'a' } })
    await channel.expectReturn({ 'reply-code': 312 }, '2')
    await channel.expect('basic.ack')
  })

  it('does not remember a message that leads nowhere: it may come again', async () => {
    const channel = await withExchange('direct', ON)
    channel.publish({ exchange: 'x', 'routing-key': 'nowhere' }, '1', { headers: { [HEADER]: 'a' } })
    await channel.expect('basic.ack')
    await publish(channel, 'x', '2', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['2'])
  })

  it('does not remember a message that a queue refused: its publisher is to send it again', async () => {
    const channel = await withExchange('direct', ON, { 'x-max-length': 1, 'x-overflow': 'reject-publish' })
    await publish(channel, 'x', 'first')
    channel.publish({ exchange: 'x', 'routing-key': 'q' }, '1', { headers: { [HEADER]: 'a' } })
    await channel.expect('basic.nack')
    expect(await drain(channel)).toEqual(['first'])
    await publish(channel, 'x', '2', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['2'])
  })

  it('lets dead letters come back', async () => {
    const channel = await withExchange('direct', ON, { 'x-dead-letter-exchange': 'x' })
    await publish(channel, 'x', '1', { [HEADER]: 'a' })
    const { fields } = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': fields['delivery-tag']!, requeue: false })
    expect((await channel.get('q', true)).properties.headers).toMatchObject({
      [HEADER]: 'a',
      'x-first-death-queue': 'q',
    })
  })

  it('gives a message one id, however many keys it has', async () => {
    const channel = await withExchange('direct', ON)
    await channel.queue('copy')
    await channel.bind('copy', 'x', 'copy')
    const headers = { [HEADER]: 'a', CC: ['copy', 'q'] }
    for (const body of ['1', '2']) await publish(channel, 'x', body, headers)
    expect(await drain(channel)).toEqual(['1'])
    expect(await drain(channel, 'copy')).toEqual(['1'])
    expect(open.broker.vhosts.get('/')!.exchange('x').deduplicated).toBe(1)
  })

  it('delays a message once, and lets it through when its time has come', async () => {
    const args = { ...ON, 'x-delayed-type': 'direct' }
    const channel = await withExchange('x-delayed-message', args)
    for (const body of ['1', '2']) await publish(channel, 'x', body, { [HEADER]: 'a', 'x-delay': 1000 })
    expect(open.broker.vhosts.get('/')!.exchange('x')).toMatchObject({ delayedCount: 1 })
    open.clock.advance(1000)
    await channel.expectNothing()
    expect(await drain(channel)).toEqual(['1'])
  })

  it('takes what a transaction publishes for seen when it is committed, and not before', async () => {
    const channel = await withExchange('direct', ON)
    const other = await open.channel()
    await other.call('tx.select')
    const send = (body: string): RawChannel =>
      other.publish({ exchange: 'x', 'routing-key': 'q' }, body, { headers: { [HEADER]: 'a' } })
    send('rolled back')
    await other.call('tx.rollback')
    send('first')
    send('second')
    await other.call('tx.commit')
    expect(await drain(channel)).toEqual(['first'])
    await publish(channel, 'x', 'third', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual([])
  })

  it.each<[Table, string]>([
    [
      { 'x-message-deduplication': 1 },
      "invalid arg 'x-message-deduplication' for exchange 'x' in vhost '/': {unacceptable_type,signedint}",
    ],
    [
      { ...ON, 'x-deduplication-header': 1 },
      "invalid arg 'x-deduplication-header' for exchange 'x' in vhost '/': {unacceptable_type,signedint}",
    ],
    [{ ...ON, 'x-cache-size': 0 }, "invalid arg 'x-cache-size' for exchange 'x' in vhost '/': {value_zero,0}"],
    [
      { ...ON, 'x-cache-size': 10_000_001 },
      "invalid arg 'x-cache-size' for exchange 'x' in vhost '/': {value_too_large,10000001}",
    ],
    [
      { ...ON, 'x-cache-ttl': 'soon' },
      `invalid arg 'x-cache-ttl' for exchange 'x' in vhost '/': "expected integer, got longstr"`,
    ],
  ])('is refused with 406 for %o', async (args, sentence) => {
    const channel = await open.channel()
    channel.send('exchange.declare', { exchange: 'x', type: 'direct', arguments: args })
    await channel.client.expectOn(1, 'channel.close', {
      'reply-code': 406,
      'reply-text': `PRECONDITION_FAILED - ${sentence}`,
    })
  })
})

describe("the exchange type of RabbitMQ's plugin, x-message-deduplication", () => {
  const TYPE = 'x-message-deduplication'

  it('routes each id once, to all that are bound, whatever their keys', async () => {
    // Numbers may come as text.
    const channel = await withExchange(TYPE, {
      'x-cache-size': '5',
      'x-cache-ttl': '1000',
      'x-cache-persistence': 'disk',
    })
    await channel.queue('other')
    await channel.bind('other', 'x', 'another key')
    for (const id of ['a', 'b', 'a']) await publish(channel, 'x', id, { [HEADER]: id })
    expect(await drain(channel)).toEqual(['a', 'b'])
    expect(await drain(channel, 'other')).toEqual(['a', 'b'])
  })

  it('hands duplicates to its alternate exchange', async () => {
    const channel = await withExchange(TYPE, { 'x-cache-size': 5, 'alternate-exchange': 'amq.fanout' })
    await channel.queue('duplicates')
    await channel.bind('duplicates', 'amq.fanout')
    for (const body of ['1', '2']) await publish(channel, 'x', body, { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['1'])
    expect(await drain(channel, 'duplicates')).toEqual(['2'])
  })

  it.each<[Table, string]>([
    [{}, "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0"],
    [{ 'x-cache-size': 0 }, "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0"],
    [{ 'x-cache-size': 1, 'x-cache-ttl': 0 }, "Invalid argument, 'x-cache-ttl' must be an integer greater than 0"],
    [
      { 'x-cache-size': 1, 'x-cache-persistence': 'tape' },
      "Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'",
    ],
  ])('is refused with 406 for %o', async (args, sentence) => {
    const channel = await open.channel()
    channel.send('exchange.declare', { exchange: 'x', type: TYPE, arguments: args })
    await channel.client.expectOn(1, 'channel.close', {
      'reply-code': 406,
      'reply-text': `PRECONDITION_FAILED - ${sentence}`,
    })
  })
})

describe.each(['classic', 'quorum'])('a %s queue that deduplicates', (type) => {
  const ON = { 'x-queue-type': type, 'x-message-deduplication': true }

  async function withQueue(args: Table = {}): Promise<RawChannel> {
    const channel = await confirming()
    await channel.queue('q', { durable: true, arguments: { ...ON, ...args } })
    return channel
  }

  it('confirms a message whose id is in the queue, does not take it, and counts it', async () => {
    const channel = await withQueue()
    for (const body of ['1', '2']) await publish(channel, '', body, { [HEADER]: 'a' })
    await publish(channel, '', '3', { [HEADER]: 'b' })
    expect(await drain(channel)).toEqual(['1', '3'])
    expect(open.broker.vhosts.get('/')!.queue('q').counts).toMatchObject({ published: 3, deduplicated: 1 })
  })

  it('takes an id again when its message is gone, and not while it is unacknowledged', async () => {
    const channel = await withQueue()
    await publish(channel, '', '1', { [HEADER]: 'a' })
    const { fields } = await channel.get('q')
    await publish(channel, '', '2', { [HEADER]: 'a' })
    channel.send('basic.nack', { 'delivery-tag': fields['delivery-tag']!, requeue: true })
    await publish(channel, '', '3', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['1'])
    await publish(channel, '', '4', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['4'])
    expect(open.broker.vhosts.get('/')!.queue('q').rememberedIds).toBe(0)
  })

  it('takes an id again when its message has expired, was pushed out, or was purged', async () => {
    const channel = await withQueue({ 'x-message-ttl': 1000, 'x-max-length': 1 })
    await publish(channel, '', '1', { [HEADER]: 'a' })
    open.clock.advance(1000)
    await publish(channel, '', '2', { [HEADER]: 'a' })
    await publish(channel, '', '3', { [HEADER]: 'b' })
    await publish(channel, '', '4', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['4'])
    await publish(channel, '', '5', { [HEADER]: 'c' })
    await channel.call('queue.purge', { queue: 'q' })
    await publish(channel, '', '6', { [HEADER]: 'c' })
    expect(await drain(channel)).toEqual(['6'])
  })

  it('takes a duplicate for one also when it is full', async () => {
    const channel = await withQueue({ 'x-max-length': 1, 'x-overflow': 'reject-publish' })
    for (const body of ['1', '2']) await publish(channel, '', body, { [HEADER]: 'a' })
    channel.publish({ 'routing-key': 'q' }, '3', { headers: { [HEADER]: 'b' } })
    await channel.expect('basic.nack')
    expect(await drain(channel)).toEqual(['1'])
    await publish(channel, '', '4', { [HEADER]: 'b' })
    expect(await drain(channel)).toEqual(['4'])
  })

  it('remembers the last ids, also of what is gone, when it has a x-cache-size or a x-cache-ttl', async () => {
    const channel = await withQueue({ 'x-cache-size': 2, 'x-cache-ttl': 1000 })
    await publish(channel, '', '1', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['1'])
    for (const id of ['a', 'b', 'c', 'a']) await publish(channel, '', id, { [HEADER]: id })
    expect(await drain(channel)).toEqual(['b', 'c', 'a'])
    open.clock.advance(1000)
    await publish(channel, '', '2', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['2'])
  })

  it('delivers to a consumer that waits, and still knows the id until the acknowledgement', async () => {
    const channel = await withQueue()
    await channel.consume('q', { 'consumer-tag': 'c' })
    channel.publish({ 'routing-key': 'q' }, '1', { ...PERSISTENT, headers: { [HEADER]: 'a' } })
    await channel.expectDeliver({ 'delivery-tag': 1 }, '1')
    await channel.expect('basic.ack')
    await publish(channel, '', '2', { [HEADER]: 'a' })
    channel.send('basic.ack', { 'delivery-tag': 1 })
    channel.publish({ 'routing-key': 'q' }, '3', { ...PERSISTENT, headers: { [HEADER]: 'a' } })
    await channel.expectDeliver({ 'delivery-tag': 2 }, '3')
  })
})

describe('a policy', () => {
  it.each<[string, PolicyValues]>([
    ['keys without x-', { 'message-deduplication': true, 'cache-size': 10 }],
    ["the keys of RabbitMQ's plugin", { 'x-message-deduplication': true, 'x-cache-size': 10 }],
  ])('has queues deduplicate from now on, with %s, until it is deleted', async (_case, values) => {
    const channel = await confirming()
    await channel.queue('q', { durable: true })
    await publish(channel, '', '0', { [HEADER]: 'a' })
    policy(values)
    for (const body of ['1', '2']) await publish(channel, '', body, { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['0', '1'])
    await publish(channel, '', '3', { [HEADER]: 'a' })
    open.broker.policies.delete('/', 'p', false)
    await publish(channel, '', '4', { [HEADER]: 'a' })
    expect(await drain(channel)).toEqual(['4'])
  })

  it('has exchanges deduplicate, and gives way to their arguments', async () => {
    const channel = await withExchange('direct', { 'x-cache-size': 1 })
    policy({ 'message-deduplication': true, 'deduplication-header': 'id', 'cache-size': 100 }, 'exchanges')
    for (const id of ['a', 'a', 'b', 'a']) await publish(channel, 'x', id, { id })
    expect(await drain(channel)).toEqual(['a', 'b', 'a'])
    open.broker.policies.delete('/', 'p', false)
    await publish(channel, 'x', 'a', { id: 'a' })
    expect(await drain(channel)).toEqual(['a'])
  })

  it.each<[PolicyValues, string]>([
    [{ 'message-deduplication': 'yes' }, '<<"yes">> is not a valid boolean'],
    [{ 'cache-size': 0 }, '0 is not a valid cache size'],
    [{ 'x-cache-ttl': -1 }, '-1 is not a valid cache TTL'],
  ])('is refused for %o', (values, sentence) => {
    expect(() => policy(values)).toThrow(sentence)
  })
})

describe('over a restart', () => {
  it('a durable exchange knows the ids of persistent messages, in their order and with their times', async () => {
    const broker = await Restarting.start()
    let channel = await broker.channel()
    await channel.call('confirm.select')
    await channel.queue('q', { durable: true })
    const args = { 'x-message-deduplication': true, 'x-cache-size': 3, 'x-cache-ttl': 10_000 }
    await channel.exchange('x', 'fanout', { durable: true, arguments: args })
    await channel.bind('q', 'x')
    for (const id of ['a', 'b', 'c', 'd']) await publish(channel, 'x', id, { [HEADER]: id })
    channel.publish({ exchange: 'x' }, 'transient', { headers: { [HEADER]: 'e' } })
    await channel.expect('basic.ack')

    await broker.restart(5000)
    channel = await broker.channel()
    await channel.call('confirm.select')
    expect(await drain(channel)).toEqual(['a', 'b', 'c', 'd'])
    for (const id of ['c', 'd', 'e', 'b']) await publish(channel, 'x', id, { [HEADER]: id })
    expect(await drain(channel)).toEqual(['e', 'b'])

    await broker.restart(5000)
    channel = await broker.channel()
    await channel.call('confirm.select')
    for (const id of ['d', 'b']) await publish(channel, 'x', `${id} again`, { [HEADER]: id })
    expect(await drain(channel)).toEqual(['d again'])
  })

  it('a durable queue knows the ids of what is in it, and no others', async () => {
    const broker = await Restarting.start()
    let channel = await broker.channel()
    await channel.call('confirm.select')
    await channel.queue('q', { durable: true, arguments: { 'x-message-deduplication': true } })
    for (const id of ['a', 'b']) await publish(channel, '', id, { [HEADER]: id })
    channel.publish({ 'routing-key': 'q' }, 'transient', { headers: { [HEADER]: 'c' } })
    await channel.expect('basic.ack')
    const { fields } = await channel.get('q')
    channel.send('basic.ack', { 'delivery-tag': fields['delivery-tag']! })

    await broker.restart()
    channel = await broker.channel()
    await channel.call('confirm.select')
    for (const id of ['a', 'b', 'c']) await publish(channel, '', `${id} again`, { [HEADER]: id })
    expect(await drain(channel)).toEqual(['b', 'a again', 'c again'])
    await publish(channel, '', 'b at last', { [HEADER]: 'b' })
    expect(await drain(channel)).toEqual(['b at last'])
  })

  it('nothing is left of a queue and an exchange that were deleted', async () => {
    const broker = await Restarting.start()
    for (let round = 0; round < 2; round++) {
      const channel = await broker.channel()
      await channel.call('confirm.select')
      const args = { 'x-message-deduplication': true }
      await channel.exchange('x', 'direct', { durable: true, arguments: args })
      await channel.queue('q', { durable: true, arguments: { ...args, 'x-cache-size': 10 } })
      await channel.bind('q', 'x', 'q')
      await publish(channel, 'x', 'a', { [HEADER]: 'a' })
      expect(await drain(channel)).toEqual(['a'])
      await channel.call('queue.delete', { queue: 'q' })
      await channel.call('exchange.delete', { exchange: 'x' })
      if (round === 0) await broker.restart()
    }
  })
})
