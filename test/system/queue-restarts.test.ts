// What queues with rules remember over a restart: deadlines, deaths and limits.
import { describe, expect, it } from 'vitest'
import { encodeMethod, type FieldsInput } from '../support/codec.ts'
import type { Table } from '../support/field-values.ts'
import type { RawChannel } from '../support/raw-client.ts'
import { Restarting } from '../support/restarting.ts'

const PERSISTENT = { 'delivery-mode': 2 }
async function publish(channel: RawChannel, queue: string, body: string, properties = {}): Promise<void> {
  await channel.call('confirm.select')
  channel.publish({ 'routing-key': queue }, body, { ...PERSISTENT, ...properties })
  await channel.expect('basic.ack')
}

async function ready(channel: RawChannel, queue: string): Promise<number> {
  return Number((await channel.call('queue.declare', { queue, passive: true }))['message-count'])
}

async function bodies(channel: RawChannel, queue: string): Promise<string[]> {
  const found: string[] = []
  for (let left = await ready(channel, queue); left > 0; left--) {
    found.push((await channel.get(queue, true)).body.toString())
  }
  return found
}

/** Asks until the queue holds so many: what expires on disk must be read first. */
async function awaitReady(channel: RawChannel, queue: string, count: number): Promise<void> {
  await expect.poll(() => ready(channel, queue), { interval: 5 }).toBe(count)
}

it('keeps the deadline that a message had before', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('dead', { durable: true })
  const buried = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await channel.queue('q', { durable: true, arguments: { 'x-message-ttl': 10_000, ...buried } })
  await channel.queue('plain', { durable: true, arguments: buried })
  await publish(channel, 'q', 'early')
  await publish(channel, 'plain', 'stays')
  await publish(channel, 'plain', 'goes', { expiration: '12000' })
  broker.clock.advance(5000)
  await publish(channel, 'q', 'late')

  await broker.restart(4000)
  channel = await broker.channel()
  expect([await ready(channel, 'q'), await ready(channel, 'plain')]).toEqual([2, 2])
  broker.clock.advance(1000)
  await awaitReady(channel, 'dead', 1)
  broker.clock.advance(2000)
  await awaitReady(channel, 'dead', 2)
  expect(await bodies(channel, 'dead')).toEqual(['early', 'goes'])
  expect(await bodies(channel, 'plain')).toEqual(['stays'])
  expect(await bodies(channel, 'q')).toEqual(['late'])
})

it('gives up what has expired while it was stopped, and delivers none of it', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('dead', { durable: true })
  const buried = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await channel.queue('q', { durable: true, arguments: buried })
  for (let i = 0; i < 20; i++) await publish(channel, 'q', `m${i}`, i % 2 === 0 ? { expiration: '1000' } : {})
  await broker.restart(1000)
  channel = await broker.channel()
  broker.clock.advance(0)
  await awaitReady(channel, 'dead', 10)
  expect(await bodies(channel, 'q')).toEqual(Array.from({ length: 10 }, (_, i) => `m${2 * i + 1}`))
  expect(await bodies(channel, 'dead')).toEqual(Array.from({ length: 10 }, (_, i) => `m${2 * i}`))
})

it('knows that the history of a dead letter is its own', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('q', { durable: true, arguments: { 'x-dead-letter-exchange': '' } })
  await publish(channel, 'q', 'm')
  for (let i = 0; i < 3; i++) {
    const { tag } = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': tag })
    await ready(channel, 'q')
    await broker.restart()
    channel = await broker.channel()
  }
  const { properties } = await channel.get('q')
  const [death, ...others] = (properties.headers as Table)['x-death'] as readonly Table[]
  expect(others).toEqual([])
  expect(death).toMatchObject({ count: 3n, reason: 'rejected', queue: 'q' })
})

it('still knows by which keys a message went that nobody reads in it', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  for (const queue of ['dead', 'blind']) await channel.queue(queue, { durable: true })
  await channel.queue('q', { durable: true, arguments: { 'x-dead-letter-exchange': 'amq.direct' } })
  await channel.bind('dead', 'amq.direct', 'q')
  await channel.bind('blind', 'amq.direct', 'secret')
  await publish(channel, 'q', 'm', { headers: { BCC: ['secret'] } })
  await broker.restart()
  channel = await broker.channel()
  const { tag, properties } = await channel.get('q')
  expect(properties.headers).toEqual({})
  channel.send('basic.reject', { 'delivery-tag': tag })
  expect(await bodies(channel, 'dead')).toEqual(['m'])
  expect(await bodies(channel, 'blind')).toEqual(['m'])
})

it('gives new bindings the history that an exchange had, as far as it was persistent', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  const args = { 'x-recent-history-length': 3 }
  await channel.exchange('x', 'x-recent-history', { durable: true, arguments: args })
  await channel.exchange('gone', 'x-recent-history', { durable: true, arguments: args })
  const send = async (exchange: string, ...names: string[]): Promise<void> => {
    for (const name of names) {
      const deliveryMode = name.startsWith('t') ? 1 : 2
      channel.publish({ exchange, 'routing-key': name }, name, { 'delivery-mode': deliveryMode, headers: { name } })
    }
    await channel.call('queue.declare', { queue: 'barrier', durable: true })
  }
  const late = async (queue: string): Promise<string[]> => {
    await channel.queue(queue, { durable: true })
    await channel.bind(queue, 'x')
    const { fields, properties } = await channel.get(queue)
    expect(properties.headers).toEqual({ name: fields['routing-key'] })
    return [String(fields['routing-key']), ...(await bodies(channel, queue))]
  }
  await send('x', 'a', 'b', 'c', 'd', 't1', 'e')
  await send('gone', 'a')
  expect(await late('early')).toEqual(['d', 't1', 'e'])
  await channel.call('exchange.delete', { exchange: 'gone' })

  await broker.restart()
  channel = await broker.channel()
  expect(await late('late')).toEqual(['d', 'e'])
  await send('x', 'f', 'g')
  await broker.restart()
  channel = await broker.channel()
  expect(await late('later')).toEqual(['e', 'f', 'g'])
})

it('drops what is too much as soon as it has read it', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('q', { durable: true, arguments: { 'x-max-length': 3 } })
  for (const body of ['a', 'b', 'c']) await publish(channel, 'q', body)
  await broker.restart()
  channel = await broker.channel()
  await publish(channel, 'q', 'd')
  await awaitReady(channel, 'q', 3)
  expect(await bodies(channel, 'q')).toEqual(['b', 'c', 'd'])
})

it('keeps priorities, the order within them, and what is of which', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('q', { durable: true, arguments: { 'x-max-priority': 9 } })
  for (const priority of [1, 9, 0, 5, 9, 1]) await publish(channel, 'q', `${priority}`, { priority })
  await broker.restart()
  channel = await broker.channel()
  expect(await ready(channel, 'q')).toBe(6)
  await publish(channel, 'q', '9 again', { priority: 9 })
  await publish(channel, 'q', '7', { priority: 7 })
  const { tag } = await channel.get('q')
  channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
  await ready(channel, 'q')
  await broker.restart()
  channel = await broker.channel()
  expect(await bodies(channel, 'q')).toEqual(['9', '9', '9 again', '7', '5', '1', '1', '0'])
  await broker.restart()
  expect(await ready(await broker.channel(), 'q')).toBe(0)
})

it('keeps the levels that quorum queues have without being asked', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  await publish(channel, 'q', 'none')
  await broker.restart()
  channel = await broker.channel()
  for (const priority of [0, 9, 4]) await publish(channel, 'q', `${priority}`, { priority })
  await broker.restart()
  channel = await broker.channel()
  await publish(channel, 'q', '9 again', { priority: 9 })
  expect(await bodies(channel, 'q')).toEqual(['9', '9 again', 'none', '4', '0'])
  await broker.restart()
  expect(await ready(await broker.channel(), 'q')).toBe(0)
})

it('keeps how often messages were tried, those of quorum queues whatever their delivery mode', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 3 } })
  await publish(channel, 'q', 'a', { 'delivery-mode': 1 })
  await publish(channel, 'q', 'b')
  for (const count of [undefined, 1n, 2n, 3n]) {
    const { tag, properties } = await channel.get('q')
    const headers = (properties.headers ?? {}) as Table
    expect([headers['x-delivery-count'], headers['x-acquired-count']]).toEqual([count, count])
    if (count !== 1n) channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    await ready(channel, 'q')
    // What is out when the broker stops comes back with its channel, and counts as well.
    await broker.restart()
    channel = await broker.channel()
  }
  expect(await bodies(channel, 'q')).toEqual(['b'])
})

it('keeps when a message is to be tried again', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('q', { durable: true, arguments: { 'x-delayed-retry-min': 10_000 } })
  await publish(channel, 'q', 'a')
  await publish(channel, 'q', 'b')
  const { tag } = await channel.get('q')
  channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
  await ready(channel, 'q')
  await broker.restart(4000)
  channel = await broker.channel()
  expect((await channel.get('q', true)).body.toString()).toBe('b')
  channel.send('basic.get', { queue: 'q' })
  await channel.expect('basic.get-empty')
  broker.clock.advance(6000)
  expect((await channel.get('q', true)).body.toString()).toBe('a')
})

it('gives a message up once whose time to live ends while it waits to be tried again', async () => {
  const broker = await Restarting.start()
  let channel = await broker.channel()
  await channel.queue('dead', { durable: true })
  const buried = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  const args = { 'x-delayed-retry-min': 10_000, 'x-message-ttl': 6000, ...buried }
  await channel.queue('q', { durable: true, arguments: args })
  await publish(channel, 'q', 'a')
  const { tag } = await channel.get('q')
  channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
  await ready(channel, 'q')
  await broker.restart(1000)
  channel = await broker.channel()
  // It is read, and waits for the rest of its time.
  channel.send('basic.get', { queue: 'q' })
  await channel.expect('basic.get-empty')
  broker.clock.advance(6000)
  expect([await ready(channel, 'q'), await ready(channel, 'dead')]).toEqual([0, 0])
  broker.clock.advance(4000)
  await awaitReady(channel, 'dead', 1)
  expect(await ready(channel, 'q')).toBe(0)
})

describe('basic.get from a queue that is on disk', () => {
  /** Methods in one piece, so that the broker has all of them before it has read anything from disk. */
  function together(methods: readonly (readonly [method: string, fields: FieldsInput])[]): Buffer {
    return Buffer.concat(
      methods.flatMap(([method, fields]) => {
        const payload = encodeMethod(method, fields)
        const head = Buffer.of(1, 0, 1, 0, 0, 0, 0)
        head.writeUInt32BE(payload.length, 3)
        return [head, payload, Buffer.of(0xce)]
      }),
    )
  }

  async function filled(count: number, properties: (i: number) => object): Promise<Restarting> {
    const broker = await Restarting.start()
    const channel = await broker.channel()
    await channel.queue('q', { durable: true })
    await channel.call('confirm.select')
    for (let i = 0; i < count; i++) {
      channel.publish({ 'routing-key': 'q' }, `m${i}`, { ...PERSISTENT, ...properties(i) })
    }
    for (let tag = 0; tag < count;) tag = Number((await channel.expect('basic.ack'))['delivery-tag'])
    return broker
  }

  it('has its turn before a consumer that would take all that is read', async () => {
    const broker = await filled(600, () => ({}))
    await broker.restart()
    const channel = await broker.channel()
    await channel.client.bytes(
      together([
        ['basic.consume', { queue: 'q', 'consumer-tag': 'c', 'no-ack': true, nowait: true }],
        ['basic.get', { queue: 'q', 'no-ack': true }],
      ]),
    )
    await channel.expectGetOk({ 'message-count': 599 }, 'm0')
    for (let i = 1; i < 600; i++) await channel.expectDeliver({}, `m${i}`)
  })

  it('goes on to the next page when all of one has expired', async () => {
    const broker = await filled(600, (i) => (i < 580 ? { expiration: '1000' } : {}))
    await broker.restart(1000)
    const channel = await broker.channel()
    channel.send('basic.get', { queue: 'q', 'no-ack': true })
    await channel.expectGetOk({ 'message-count': 19 }, 'm580')
  })

  it('is answered before what was asked for behind it', async () => {
    const broker = await filled(1, () => ({}))
    await broker.restart()
    const channel = await broker.channel()
    await channel.client.bytes(
      together([
        ['basic.get', { queue: 'q' }],
        ['queue.delete', { queue: 'q' }],
      ]),
    )
    await channel.expectGetOk({}, 'm0')
    await channel.expect('queue.delete-ok')
  })
})
