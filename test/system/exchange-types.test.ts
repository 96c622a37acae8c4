// The exchange types of RabbitMQ's plugins, and the default exchange as an alternate.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import type { FieldsInput } from '../support/codec.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

async function withQueues(...names: string[]): Promise<RawChannel> {
  const channel = await broker.channel()
  for (const name of names) await channel.queue(name)
  return channel
}

/** How many messages are ready in each queue. */
async function counts(channel: RawChannel, queues: readonly string[]): Promise<number[]> {
  const found: number[] = []
  for (const queue of queues) {
    const { 'message-count': count } = await channel.call('queue.declare', { queue, passive: true })
    found.push(Number(count))
  }
  return found
}

async function expectDeclareRefused(type: string, table: FieldsInput, text: string): Promise<void> {
  const channel = await broker.channel()
  channel.send('exchange.declare', { exchange: 'refused', type, arguments: table as never })
  await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'exchange.declare')
}

async function expectBindRefused(type: string, key: string, text: string, fields: FieldsInput = {}): Promise<void> {
  const channel = await broker.channel()
  await channel.queue('q', fields)
  await channel.exchange('x', type)
  channel.send('queue.bind', { queue: 'q', exchange: 'x', 'routing-key': key })
  await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'queue.bind')
}

describe('x-consistent-hash', () => {
  it('spreads keys over its queues by weight, and sends equal keys the same way', async () => {
    const channel = await withQueues('a', 'b', 'c')
    await channel.exchange('x', 'x-consistent-hash')
    await channel.bind('a', 'x', '1')
    await channel.bind('b', 'x', '1')
    await channel.bind('c', 'x', '2')
    for (let i = 0; i < 1000; i++) channel.publish({ exchange: 'x', 'routing-key': `key-${i}` })
    const first = await counts(channel, ['a', 'b', 'c'])
    expect(first[0]! + first[1]! + first[2]!).toBe(1000)
    for (const [index, share] of [250, 250, 500].entries()) expect(Math.abs(first[index]! - share)).toBeLessThan(80)
    for (let i = 0; i < 1000; i++) channel.publish({ exchange: 'x', 'routing-key': `key-${i}` })
    expect(await counts(channel, ['a', 'b', 'c'])).toEqual(first.map((count) => count * 2))
  })

  it('moves no key but those of a queue that goes', async () => {
    const channel = await withQueues('a', 'b', 'c')
    await channel.exchange('x', 'x-consistent-hash')
    for (const queue of ['a', 'b', 'c']) await channel.bind(queue, 'x', '1')
    for (let i = 0; i < 300; i++) channel.publish({ exchange: 'x', 'routing-key': `key-${i}` })
    const [a, b] = (await counts(channel, ['a', 'b'])) as [number, number]
    await channel.call('queue.delete', { queue: 'c' })
    for (let i = 0; i < 300; i++) channel.publish({ exchange: 'x', 'routing-key': `key-${i}` })
    const [moreA, moreB] = (await counts(channel, ['a', 'b'])) as [number, number]
    expect(moreA).toBeGreaterThanOrEqual(2 * a)
    expect(moreB).toBeGreaterThanOrEqual(2 * b)
    expect(moreA + moreB).toBe(a + b + 300)
  })

  it.each([
    ['hash-header', 'user', (i: number) => ({ headers: { user: `u${i}` } })],
    ['hash-property', 'message_id', (i: number) => ({ 'message-id': `u${i}` })],
    ['hash-property', 'correlation_id', (i: number) => ({ 'correlation-id': `u${i}` })],
    ['hash-property', 'timestamp', (i: number) => ({ timestamp: i })],
  ])('hashes by %s %s instead of the key', async (argument, name, properties) => {
    const channel = await withQueues('a', 'b')
    await channel.exchange('x', 'x-consistent-hash', { arguments: { [argument]: name } })
    await channel.bind('a', 'x', '1')
    await channel.bind('b', 'x', '1')
    for (let i = 0; i < 64; i++) channel.publish({ exchange: 'x', 'routing-key': 'same' }, '', properties(i))
    const [a, b] = (await counts(channel, ['a', 'b'])) as [number, number]
    expect(Math.min(a, b)).toBeGreaterThan(10)
    for (let i = 0; i < 10; i++) channel.publish({ exchange: 'x', 'routing-key': `k${i}` }, '', properties(7))
    const [moreA, moreB] = (await counts(channel, ['a', 'b'])) as [number, number]
    expect([moreA - a, moreB - b].toSorted((x, y) => x - y)).toEqual([0, 10])
  })

  it('passes over a second binding of the same queue', async () => {
    const channel = await withQueues('a', 'b')
    await channel.exchange('x', 'x-consistent-hash')
    await channel.bind('a', 'x', '1')
    await channel.bind('a', 'x', '1000')
    await channel.bind('b', 'x', '1')
    for (let i = 0; i < 200; i++) channel.publish({ exchange: 'x', 'routing-key': `key-${i}` })
    expect((await counts(channel, ['b']))[0]).toBeGreaterThan(60)
  })

  it.each([
    ['abc', 'The binding key must be an integer: <<"abc">>'],
    ['', 'The binding key must be an integer: <<>>'],
    ['0', 'The binding key must be greater than 0'],
    ['-4', 'The binding key must be greater than 0'],
    ['10001', 'The binding key must not exceed 10000'],
  ])('refuses the weight %j', async (key, text) => {
    await expectBindRefused('x-consistent-hash', key, text)
  })

  it('refuses arguments that name what cannot be hashed', async () => {
    const both = { 'hash-header': 'a', 'hash-property': 'message_id' }
    await expectDeclareRefused('x-consistent-hash', both, 'hash-header and hash-property are mutually exclusive')
    await expectDeclareRefused('x-consistent-hash', { 'hash-property': 'app_id' }, 'Unsupported property: app_id')
    for (const key of ['hash-header', 'hash-property']) {
      await expectDeclareRefused('x-consistent-hash', { [key]: true }, `invalid type 'bool' for arg '${key}'`)
    }
  })
})

describe('x-modulus-hash', () => {
  it('sends each key to one queue, whatever the binding keys', async () => {
    const channel = await withQueues('a', 'b', 'c')
    await channel.exchange('x', 'x-modulus-hash')
    for (const queue of ['c', 'a', 'b']) await channel.bind(queue, 'x', `key of ${queue}`)
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 300; i++) channel.publish({ exchange: 'x', 'routing-key': `key-${i}` })
    }
    const found = await counts(channel, ['a', 'b', 'c'])
    expect(found.reduce((sum, count) => sum + count)).toBe(600)
    for (const count of found) {
      expect(count % 2).toBe(0)
      expect(count).toBeGreaterThan(120)
    }
  })
})

describe.each(['x-random', 'x-local-random'])('%s', (type) => {
  it('sends each message to one queue by chance', async () => {
    const channel = await withQueues('a', 'b')
    await channel.exchange('x', type)
    await channel.bind('a', 'x')
    await channel.bind('b', 'x')
    for (let i = 0; i < 200; i++) channel.publish({ exchange: 'x', 'routing-key': 'same' })
    const [a, b] = (await counts(channel, ['a', 'b'])) as [number, number]
    expect(a + b).toBe(200)
    expect(Math.min(a, b)).toBeGreaterThan(50)
    await channel.call('queue.unbind', { queue: 'a', exchange: 'x' })
    for (let i = 0; i < 10; i++) channel.publish({ exchange: 'x' })
    expect(await counts(channel, ['a', 'b'])).toEqual([a, b + 10])
  })
})

describe('x-local-random', () => {
  it('refuses a binding key', async () => {
    await expectBindRefused('x-local-random', 'k', "Non empty binding 'k' key not permitted")
  })

  it('refuses a quorum queue', async () => {
    const text = 'Queue type rabbit_quorum_queue not valid for this exchange type'
    await expectBindRefused('x-local-random', '', text, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  })
})

describe('x-recent-history', () => {
  it('gives a new binding what came last, in its order', async () => {
    const channel = await withQueues('early', 'late')
    await channel.exchange('x', 'x-recent-history', { arguments: { 'x-recent-history-length': 2 } })
    await channel.bind('early', 'x')
    for (const body of ['one', 'two', 'three']) channel.publish({ exchange: 'x', 'routing-key': 'k' }, body)
    await channel.bind('late', 'x', 'whatever')
    expect(await counts(channel, ['early', 'late'])).toEqual([3, 2])
    for (const body of ['two', 'three']) {
      const { fields, body: got } = await channel.get('late', true)
      expect(got.toString()).toBe(body)
      expect(fields).toMatchObject({ exchange: 'x', 'routing-key': 'k' })
    }
  })

  it('keeps twenty unless told', async () => {
    const channel = await withQueues('late')
    await channel.exchange('x', 'x-recent-history')
    for (let i = 0; i < 30; i++) channel.publish({ exchange: 'x' }, String(i))
    await channel.bind('late', 'x')
    expect((await channel.get('late', true)).body.toString()).toBe('10')
    expect(await counts(channel, ['late'])).toEqual([19])
  })

  it('does not keep what asks for it', async () => {
    const channel = await withQueues('early', 'late')
    await channel.exchange('x', 'x-recent-history')
    await channel.bind('early', 'x')
    channel.publish({ exchange: 'x' }, 'secret', { headers: { 'x-recent-history-no-store': true } })
    await channel.bind('late', 'x')
    expect(await counts(channel, ['early', 'late'])).toEqual([1, 0])
  })

  it('gives it to an exchange, too, which routes it', async () => {
    const channel = await withQueues('q')
    await channel.exchange('x', 'x-recent-history')
    await channel.exchange('next', 'direct')
    await channel.bind('q', 'next', 'k')
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'm')
    await channel.call('exchange.bind', { source: 'x', destination: 'next' })
    expect(await counts(channel, ['q'])).toEqual([1])
  })

  it.each([
    [0, '0'],
    [-1, '-1'],
    ['many', '<<"many">>'],
  ])('refuses the length %j', async (length, term) => {
    const text = `Invalid argument ${term}, 'x-recent-history-length' must be a positive integer`
    await expectDeclareRefused('x-recent-history', { 'x-recent-history-length': length }, text)
  })
})

describe('the default exchange as an alternate', () => {
  it('delivers to the queue that the key names', async () => {
    const channel = await withQueues('q')
    await channel.exchange('x', 'direct', { arguments: { 'alternate-exchange': '' } })
    channel.publish({ exchange: 'x', 'routing-key': 'q', mandatory: true }, 'm')
    const { fields } = await channel.get('q', true)
    expect(fields).toMatchObject({ exchange: 'x', 'routing-key': 'q' })
  })
})
