// Messages that are delivered again and again: the counts that consumers see, the limit, and retries that wait.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import type { Table } from '../support/field-values.ts'
import type { Delivered, RawChannel } from '../support/raw-client.ts'

const broker = useBroker()
const NEWER = 'RabbitMQ has it so since 4.3'

async function declared(args: Table = {}): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('dead')
  await channel.queue('q', {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'dead',
      ...args,
    },
  })
  return channel
}

/** The counts in the headers of a delivery, and whether it says redelivered. */
function counts({ fields, properties }: Delivered): unknown[] {
  const headers = (properties.headers ?? {}) as Table
  return [fields.redelivered, headers['x-delivery-count'], headers['x-acquired-count']]
}

async function turnDown(channel: RawChannel, how: 'reject' | 'nack'): Promise<unknown[]> {
  const delivered = await channel.get('q')
  channel.send(`basic.${how}`, { 'delivery-tag': delivered.tag, requeue: true })
  return counts(delivered)
}

async function ready(channel: RawChannel, queue: string): Promise<unknown> {
  return (await channel.call('queue.declare', { queue, passive: true }))['message-count']
}

describe('the delivery count', () => {
  itOnlyHere(NEWER, 'counts rejections, and the acquired count all that came back', async () => {
    const channel = await declared()
    channel.publish({ 'routing-key': 'q' }, 'm', { headers: { mine: 1 }, expiration: '60000' })
    expect(await turnDown(channel, 'reject')).toEqual([false, undefined, undefined])
    expect(await turnDown(channel, 'nack')).toEqual([true, 1n, 1n])
    expect(await turnDown(channel, 'reject')).toEqual([true, 1n, 2n])
    const delivered = await channel.get('q')
    expect(counts(delivered)).toEqual([true, 2n, 3n])
    expect(delivered.properties).toMatchObject({ headers: { mine: 1 }, expiration: '60000' })
  })

  itOnlyHere(NEWER, 'counts what is lost with its channel', async () => {
    const channel = await declared()
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.get('q')
    await channel.close()
    const other = await broker.channel()
    await other.consume('q')
    expect(counts(await other.expectDeliver({}, 'm'))).toEqual([true, 1n, 1n])
  })

  it('is not told by classic queues', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, 'm')
    await turnDown(channel, 'reject')
    expect(await turnDown(channel, 'reject')).toEqual([true, undefined, undefined])
  })
})

describe('x-delivery-limit', () => {
  itOnlyHere(NEWER, 'makes a dead letter of what has failed once more than it says', async () => {
    const channel = await declared({ 'x-delivery-limit': 2 })
    channel.publish({ 'routing-key': 'q' }, 'm')
    for (let i = 0; i < 3; i++) await turnDown(channel, 'reject')
    expect(await ready(channel, 'q')).toBe(0)
    const dead = await channel.get('dead')
    const headers = dead.properties.headers as Table
    expect((headers['x-death'] as readonly Table[])[0]).toMatchObject({
      reason: 'delivery_limit',
      count: 1n,
      queue: 'q',
    })
    expect(headers).not.toHaveProperty('x-delivery-count')
  })

  itOnlyHere(NEWER, 'does not count basic.nack', async () => {
    const channel = await declared({ 'x-delivery-limit': 0 })
    channel.publish({ 'routing-key': 'q' }, 'm')
    for (let i = 0; i < 5; i++) await turnDown(channel, 'nack')
    expect(await ready(channel, 'q')).toBe(1)
  })

  itOnlyHere(NEWER, 'is 20 in quorum queues', async () => {
    const channel = await declared()
    channel.publish({ 'routing-key': 'q' }, 'm')
    for (let i = 0; i < 20; i++) await turnDown(channel, 'reject')
    expect(await ready(channel, 'q')).toBe(1)
    await turnDown(channel, 'reject')
    expect([await ready(channel, 'q'), await ready(channel, 'dead')]).toEqual([0, 1])
  })

  itOnlyHere(NEWER, 'is none when it is negative', async () => {
    const channel = await declared({ 'x-delivery-limit': -1 })
    channel.publish({ 'routing-key': 'q' }, 'm')
    for (let i = 0; i < 30; i++) await turnDown(channel, 'reject')
    expect(await turnDown(channel, 'reject')).toEqual([true, 30n, 30n])
  })

  itOnlyHere('RabbitMQ has no limit there', 'holds in classic queues that ask for it', async () => {
    const channel = await declared({ 'x-delivery-limit': 1, 'x-queue-type': 'classic' })
    channel.publish({ 'routing-key': 'q' }, 'm')
    await turnDown(channel, 'reject')
    expect(await turnDown(channel, 'reject')).toEqual([true, 1n, 1n])
    expect([await ready(channel, 'q'), await ready(channel, 'dead')]).toEqual([0, 1])
  })
})

describe('x-delayed-retry', () => {
  itOnlyHere(NEWER, 'has a message wait before it is delivered again, longer each time, up to a limit', async () => {
    const retry = { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': 1000, 'x-delayed-retry-max': 2500 }
    const channel = await declared(retry)
    channel.publish({ 'routing-key': 'q' }, 'm')
    for (const delay of [1000, 2000, 2500, 2500]) {
      await turnDown(channel, 'reject')
      await broker.advance(delay - 1)
      expect(await ready(channel, 'q')).toBe(0)
      await broker.advance(1)
      expect(await ready(channel, 'q')).toBe(1)
    }
  })

  itOnlyHere(NEWER, 'can be for those that failed, or for those that were given back', async () => {
    for (const [type, waits, comesBack] of [
      ['failed', 'reject', 'nack'],
      ['returned', 'nack', 'reject'],
    ] as const) {
      const channel = await declared({ 'x-delayed-retry-type': type, 'x-delayed-retry-min': 1000 })
      channel.publish({ 'routing-key': 'q' }, 'm')
      await turnDown(channel, comesBack)
      expect(await ready(channel, 'q')).toBe(1)
      await turnDown(channel, waits)
      expect(await ready(channel, 'q')).toBe(0)
      await channel.call('queue.delete', { queue: 'q' })
    }
  })

  itOnlyHere(NEWER, 'lets others pass meanwhile, and has a consumer get it when its time has come', async () => {
    const channel = await declared({ 'x-delayed-retry-min': 1000, 'x-queue-type': 'classic' })
    await channel.consume('q')
    channel.publish({ 'routing-key': 'q' }, 'one')
    const { tag } = await channel.expectDeliver({}, 'one')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    channel.publish({ 'routing-key': 'q' }, 'two')
    await channel.expectDeliver({}, 'two')
    await broker.advance(1000)
    await channel.expectDeliver({ redelivered: true }, 'one')
  })

  itOnlyHere(NEWER, 'does not make a queue empty whose messages wait', async () => {
    const channel = await declared({ 'x-delayed-retry-min': 1000, 'x-queue-type': 'classic' })
    channel.publish({ 'routing-key': 'q' }, 'm')
    await turnDown(channel, 'reject')
    expect(await ready(channel, 'q')).toBe(0)
    channel.send('queue.delete', { queue: 'q', 'if-empty': true })
    await channel.expectChannelClose(406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty", 'queue.delete')
  })
})

describe('a quorum queue', () => {
  it('keeps messages of any delivery mode', async () => {
    const channel = await declared()
    await channel.call('confirm.select')
    channel.publish({ 'routing-key': 'q' }, 'transient', { 'delivery-mode': 1 })
    await channel.expect('basic.ack')
    await channel.expectNothing()
    expect((await channel.get('q')).properties).toEqual({ 'delivery-mode': 1 })
  })
})
