// Who and what comes first: priorities of messages, priorities of consumers, and single active consumers.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import type { Table } from '../support/field-values.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

async function declared(args: Table): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('q', { arguments: args })
  return channel
}

/** Publishes messages that are called by their priority and a letter; those without a digit have none. */
function publish(channel: RawChannel, ...names: string[]): void {
  for (const name of names) {
    const priority = parseInt(name, 10)
    channel.publish({ 'routing-key': 'q' }, name, Number.isNaN(priority) ? {} : { priority })
  }
}

async function bodies(channel: RawChannel, queue = 'q'): Promise<string[]> {
  const found: string[] = []
  const count = (await channel.call('queue.declare', { queue, passive: true }))['message-count']
  for (let left = Number(count); left > 0; left--) found.push((await channel.get(queue, true)).body.toString())
  return found
}

describe('x-max-priority', () => {
  it('has the highest priority first, and first in first out within one; absent counts as 0', async () => {
    const channel = await declared({ 'x-max-priority': 10 })
    publish(channel, '1a', 'none', '5a', '0a', '10a', '5b', '1b', 'none too', '10b')
    expect(await bodies(channel)).toEqual(['10a', '10b', '5a', '5b', '1a', '1b', 'none', '0a', 'none too'])
  })

  it('takes what is higher for the highest', async () => {
    const channel = await declared({ 'x-max-priority': 2 })
    publish(channel, '200a', '2a', '3a', '1a')
    expect(await bodies(channel)).toEqual(['200a', '2a', '3a', '1a'])
  })

  it.each([{}, { 'x-max-priority': 0 }])('is needed: with %j messages come as they were published', async (args) => {
    const channel = await declared(args)
    publish(channel, '1a', '9a', '5a')
    expect(await bodies(channel)).toEqual(['1a', '9a', '5a'])
  })

  it('puts messages that come back to their places', async () => {
    const channel = await declared({ 'x-max-priority': 5 })
    publish(channel, '1a', '1b', '5a', '5b')
    const tags: number[] = []
    for (let i = 0; i < 3; i++) tags.push((await channel.get('q')).tag)
    publish(channel, '5c')
    channel.send('basic.nack', { 'delivery-tag': tags.at(-1)!, multiple: true, requeue: true })
    expect(await bodies(channel)).toEqual(['5a', '5b', '5c', '1a', '1b'])
  })

  it('works on quorum queues, and with persistent messages, as well', async () => {
    const channel = await broker.channel()
    const args = { 'x-max-priority': 5, 'x-queue-type': 'quorum' }
    await channel.queue('q', { durable: true, arguments: args })
    await channel.call('confirm.select')
    for (const [index, priority] of [1, 3, 5, 3].entries()) {
      channel.publish({ 'routing-key': 'q' }, `m${index}`, { priority, 'delivery-mode': 2 })
      await channel.expect('basic.ack')
    }
    expect(await bodies(channel)).toEqual(['m2', 'm1', 'm3', 'm0'])
  })

  it.each([
    [{}, 'of their 32 levels, in which none counts as 4', ['31a', '200a', '5a', 'none', '4a', '0a']],
    [{ 'x-max-priority': 5 }, 'that they ask for, as in others', ['31a', '5a', '200a', '4a', 'none', '0a']],
    [{ 'x-max-priority': 0 }, 'of none, if they ask for that', ['none', '0a', '31a', '4a', '5a', '200a']],
  ])('%j gives quorum queues those %s', async (args, _, order) => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: { ...args, 'x-queue-type': 'quorum' } })
    publish(channel, 'none', '0a', '31a', '4a', '5a', '200a')
    expect(await bodies(channel)).toEqual(order)
  })

  it('has the highest of all dropped first when the queue is too long', async () => {
    const channel = await declared({ 'x-max-priority': 5, 'x-max-length': 2 })
    publish(channel, '1a', '5a', '1b')
    expect(await bodies(channel)).toEqual(['1a', '1b'])
  })

  it('counts, purges and deletes what is of any priority', async () => {
    const channel = await declared({ 'x-max-priority': 255 })
    publish(channel, '1a', '255a', '3a')
    await channel.call('queue.purge', { queue: 'q' }, { 'message-count': 3 })
    publish(channel, '9a', '9b')
    await channel.call('queue.delete', { queue: 'q' }, { 'message-count': 2 })
  })

  it('does not hold up a consumer that is ready', async () => {
    const channel = await declared({ 'x-max-priority': 5 })
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q')
    publish(channel, '1a', '2a', '5a')
    const { tag } = await channel.expectDeliver({}, '1a')
    channel.send('basic.ack', { 'delivery-tag': tag })
    await channel.expectDeliver({}, '5a')
  })
})

describe('x-priority of a consumer', () => {
  it('has the highest with credit left served first', async () => {
    const channel = await declared({})
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q', { 'consumer-tag': 'low', arguments: { 'x-priority': -5 } })
    await channel.consume('q', { 'consumer-tag': 'plain' })
    await channel.consume('q', { 'consumer-tag': 'high', arguments: { 'x-priority': 10n } })
    publish(channel, '1', '2', '3', '4')
    const { tag } = await channel.expectDeliver({ 'consumer-tag': 'high' }, '1')
    const plain = await channel.expectDeliver({ 'consumer-tag': 'plain' }, '2')
    await channel.expectDeliver({ 'consumer-tag': 'low' }, '3')
    channel.send('basic.ack', { 'delivery-tag': tag })
    await channel.expectDeliver({ 'consumer-tag': 'high' }, '4')
    channel.send('basic.ack', { 'delivery-tag': plain.tag })
    publish(channel, '5')
    await channel.expectDeliver({ 'consumer-tag': 'plain' }, '5')
  })
})

describe('x-single-active-consumer', () => {
  const SINGLE = { 'x-single-active-consumer': true }

  it('lets the first consumer have everything, and the next when that is cancelled', async () => {
    const channel = await declared(SINGLE)
    await channel.consume('q', { 'consumer-tag': 'first' })
    const other = await broker.channel()
    await other.consume('q', { 'consumer-tag': 'second' })
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'consumer-count': 2 })
    publish(channel, '1', '2')
    for (const body of ['1', '2']) await channel.expectDeliver({ 'consumer-tag': 'first' }, body)
    await other.expectNothing()
    await channel.call('basic.cancel', { 'consumer-tag': 'first' })
    publish(channel, '3')
    await other.expectDeliver({ 'consumer-tag': 'second' }, '3')
  })

  it('hands over what the first had not acknowledged, when its channel closes', async () => {
    const channel = await declared(SINGLE)
    await channel.consume('q')
    const other = await broker.channel()
    await other.consume('q')
    publish(channel, '1', '2')
    for (const body of ['1', '2']) await channel.expectDeliver({ redelivered: false }, body)
    await channel.close()
    for (const body of ['1', '2']) await other.expectDeliver({ redelivered: true }, body)
  })

  it('has nobody served while the active one is full', async () => {
    const channel = await declared(SINGLE)
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q', { 'consumer-tag': 'first' })
    await channel.consume('q', { 'consumer-tag': 'second' })
    publish(channel, '1', '2')
    const { tag } = await channel.expectDeliver({ 'consumer-tag': 'first' }, '1')
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': tag })
    await channel.expectDeliver({ 'consumer-tag': 'first' }, '2')
  })

  it.each([
    ['stays with the first of a classic queue', 'classic', 'first'],
    ['goes over to one of a higher priority in a quorum queue', 'quorum', 'second'],
  ])('%s, once that has acknowledged what it had', async (_title, type, successor) => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: { ...SINGLE, 'x-queue-type': type } })
    await channel.consume('q', { 'consumer-tag': 'first' })
    publish(channel, '1', '2')
    for (const body of ['1', '2']) await channel.expectDeliver({ 'consumer-tag': 'first' }, body)
    await channel.consume('q', { 'consumer-tag': 'second', arguments: { 'x-priority': 10 } })
    channel.send('basic.ack', { 'delivery-tag': 1 })
    if (type === 'quorum') {
      publish(channel, '3')
      await channel.expectNothing()
    }
    channel.send('basic.ack', { 'delivery-tag': 2 })
    if (type === 'classic') publish(channel, '3')
    await channel.expectDeliver({ 'consumer-tag': successor }, '3')
  })

  it('refuses exclusive consumers', async () => {
    const channel = await declared(SINGLE)
    channel.send('basic.consume', { queue: 'q', exclusive: true })
    const sentence = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"
    await channel.expectChannelClose(403, sentence, 'basic.consume')
  })
})

describe('basic.get', () => {
  it('is refused by a quorum queue with a single active consumer', async () => {
    const channel = await broker.channel()
    const args = { 'x-queue-type': 'quorum', 'x-single-active-consumer': true }
    await channel.queue('q', { durable: true, arguments: args })
    channel.send('basic.get', { queue: 'q' })
    const sentence =
      "RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. basic.get operations are not supported " +
      'by quorum queues with single active consumer'
    await channel.expectChannelClose(405, sentence, 'basic.get')
  })
})

describe('exclusive consumers of a quorum queue', () => {
  it('are not exclusive', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    await channel.consume('q', { exclusive: true })
    await channel.consume('q', { exclusive: true })
  })
})
