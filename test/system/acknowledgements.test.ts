// What becomes of a message once it was handed out: acknowledged, rejected, requeued, recovered.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import type { FieldsInput } from '../support/codec.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

/** A channel with a queue q in which messages 1 to `count` are waiting. */
async function withMessages(count: number, fields: FieldsInput = {}): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('q', fields)
  const publisher = await channel.client.openChannel(99)
  await publisher.call('confirm.select')
  for (let i = 1; i <= count; i++) {
    publisher.publish({ 'routing-key': 'q' }, `${i}`, { 'delivery-mode': i % 2 ? 2 : 1 })
    await publisher.expect('basic.ack')
  }
  await publisher.close()
  return channel
}

/** Gets this many messages without acknowledging them. */
async function take(channel: RawChannel, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await channel.get('q')
}

/** Empties the queue, on a connection of its own: the bodies in their order, those redelivered with a star. */
async function rest(): Promise<string> {
  const channel = await broker.channel()
  const found: string[] = []
  for (;;) {
    channel.send('basic.get', { queue: 'q', 'no-ack': true })
    const { method, fields, content } = await channel.client.nextOn(1)
    if (method === 'basic.get-empty') break
    found.push(`${content!.body.toString()}${fields.redelivered ? '*' : ''}`)
  }
  await channel.client.close()
  return found.join(' ')
}

/** What is left once the channel is closed, which requeues all that it holds. */
async function restAfter(channel: RawChannel): Promise<string> {
  await channel.close()
  return rest()
}

function unknownTag(tag: number | bigint): string {
  return `PRECONDITION_FAILED - unknown delivery tag ${tag}`
}

describe('basic.get', () => {
  it('hands out the first message and counts those behind it', async () => {
    const channel = await withMessages(3)
    channel.send('basic.get', { queue: 'q' })
    const fields = { 'delivery-tag': 1, redelivered: false, exchange: '', 'routing-key': 'q', 'message-count': 2 }
    await channel.expectGetOk(fields, '1')
    channel.send('basic.get', { queue: 'q', 'no-ack': true })
    await channel.expectGetOk({ 'delivery-tag': 2, 'message-count': 1 }, '2')
  })

  it('finds nothing in an empty queue', async () => {
    const channel = await withMessages(0)
    channel.send('basic.get', { queue: 'q' })
    await channel.expect('basic.get-empty', { 'cluster-id': '' })
  })

  it('finds nothing in a queue of which all messages are out', async () => {
    const channel = await withMessages(2)
    await take(channel, 2)
    channel.send('basic.get', { queue: 'q' })
    await channel.expect('basic.get-empty')
  })

  it('settles the message at once when it asks for no acknowledgement', async () => {
    const channel = await withMessages(2)
    await channel.get('q', true)
    expect(await restAfter(channel)).toBe('2')
  })
})

describe('basic.ack', () => {
  it('settles one message', async () => {
    const channel = await withMessages(4)
    await take(channel, 4)
    channel.send('basic.ack', { 'delivery-tag': 2 }).send('basic.ack', { 'delivery-tag': 4 })
    expect(await restAfter(channel)).toBe('1* 3*')
  })

  it('settles all up to one', async () => {
    const channel = await withMessages(5)
    await take(channel, 4)
    channel.send('basic.ack', { 'delivery-tag': 2 })
    channel.send('basic.ack', { 'delivery-tag': 3, multiple: true })
    expect(await restAfter(channel)).toBe('4* 5')
  })

  it('settles all that are outstanding with tag 0', async () => {
    const channel = await withMessages(4)
    await take(channel, 3)
    channel.send('basic.ack', { 'delivery-tag': 0, multiple: true })
    channel.send('basic.ack', { 'delivery-tag': 0, multiple: true })
    expect(await restAfter(channel)).toBe('4')
  })

  it('settles only what its own channel holds', async () => {
    const channel = await withMessages(4)
    const other = await channel.client.openChannel(2)
    await take(channel, 2)
    await take(other, 2)
    channel.send('basic.ack', { 'delivery-tag': 0, multiple: true })
    await channel.expectNothing()
    expect(await restAfter(other)).toBe('3* 4*')
  })

  it('of a message in a queue that is gone is fine', async () => {
    const channel = await withMessages(2)
    await take(channel, 2)
    await channel.call('queue.delete', { queue: 'q' })
    channel.send('basic.ack', { 'delivery-tag': 2, multiple: true })
    await channel.expectNothing()
  })
})

describe('an unknown delivery tag', () => {
  const methods = ['basic.ack', 'basic.nack', 'basic.reject']

  it.each(methods)('closes the channel: %s of a tag that was never given', async (method) => {
    const channel = await withMessages(1)
    await take(channel, 1)
    channel.send(method, { 'delivery-tag': 2 })
    await channel.expectChannelClose(406, unknownTag(2), method)
    expect(await rest()).toBe('1*')
  })

  it.each(methods)('closes the channel: %s of a tag for the second time', async (method) => {
    const channel = await withMessages(1)
    await take(channel, 1)
    channel.send('basic.ack', { 'delivery-tag': 1 }).send(method, { 'delivery-tag': 1 })
    await channel.expectChannelClose(406, unknownTag(1), method)
  })

  it.each(methods)('closes the channel: %s of tag 0 alone', async (method) => {
    const channel = await withMessages(1)
    await take(channel, 1)
    channel.send(method, { 'delivery-tag': 0 })
    await channel.expectChannelClose(406, unknownTag(0), method)
  })

  it.each(['basic.ack', 'basic.nack'])('closes the channel: %s of all up to one that is not out', async (method) => {
    const channel = await withMessages(3)
    await take(channel, 2)
    channel.send(method, { 'delivery-tag': 3, multiple: true })
    await channel.expectChannelClose(406, unknownTag(3), method)
  })

  it('closes the channel: all up to one that was settled already', async () => {
    const channel = await withMessages(3)
    await take(channel, 3)
    channel.send('basic.ack', { 'delivery-tag': 2 }).send('basic.ack', { 'delivery-tag': 2, multiple: true })
    await channel.expectChannelClose(406, unknownTag(2), 'basic.ack')
  })

  it('closes the channel: a tag of another channel', async () => {
    const channel = await withMessages(1)
    await take(channel, 1)
    const other = await channel.client.openChannel(2)
    other.send('basic.ack', { 'delivery-tag': 1 })
    await other.expectChannelClose(406, unknownTag(1), 'basic.ack')
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.expectNothing()
  })

  it.each([2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n])('closes the channel, with its last digit: %d', async (tag) => {
    const channel = await withMessages(0)
    channel.send('basic.ack', { 'delivery-tag': tag })
    await channel.expectChannelClose(406, unknownTag(tag), 'basic.ack')
  })
})

describe('rejecting', () => {
  it.each(['basic.reject', 'basic.nack'])('drops the message unless it is to be requeued: %s', async (method) => {
    const channel = await withMessages(3)
    await take(channel, 2)
    channel.send(method, { 'delivery-tag': 1, requeue: false })
    expect(await restAfter(channel)).toBe('2* 3')
  })

  it('may concern all up to one', async () => {
    const channel = await withMessages(5)
    await take(channel, 4)
    channel.send('basic.nack', { 'delivery-tag': 2, multiple: true, requeue: false })
    expect(await restAfter(channel)).toBe('3* 4* 5')
  })

  it('may concern all', async () => {
    const channel = await withMessages(4)
    await take(channel, 3)
    channel.send('basic.nack', { 'delivery-tag': 0, multiple: true, requeue: false })
    channel.send('basic.nack', { 'delivery-tag': 0, multiple: true, requeue: true })
    expect(await restAfter(channel)).toBe('4')
  })
})

describe('a requeued message', () => {
  it('comes back from each of many clients that leave at once', async () => {
    const count = 120
    const watcher = await withMessages(count)
    const holders = await Promise.all(Array.from({ length: count }, () => broker.channel()))
    for (const holder of holders) await take(holder, 1)
    watcher.send('basic.consume', { queue: 'q', 'no-ack': true })
    await watcher.expect('basic.consume-ok')
    for (const holder of holders) holder.client.end()
    const back: string[] = []
    for (let i = 0; i < count; i++) back.push(String((await watcher.client.nextOn(1)).content!.body))
    expect(back.toSorted((one, other) => Number(one) - Number(other))).toEqual(holders.map((_holder, i) => `${i + 1}`))
  })

  it.each(['basic.reject', 'basic.nack'])('is marked as redelivered: %s', async (method) => {
    const channel = await withMessages(1)
    await take(channel, 1)
    channel.send(method, { 'delivery-tag': 1, requeue: true })
    channel.send('basic.get', { queue: 'q' })
    await channel.expectGetOk({ 'delivery-tag': 2, redelivered: true }, '1')
  })

  it('goes back to its place', async () => {
    const channel = await withMessages(6)
    await take(channel, 4)
    channel.send('basic.reject', { 'delivery-tag': 3, requeue: true })
    channel.send('basic.reject', { 'delivery-tag': 1, requeue: true })
    channel.send('basic.reject', { 'delivery-tag': 4, requeue: true })
    channel.send('basic.ack', { 'delivery-tag': 2 })
    expect(await restAfter(channel)).toBe('1* 3* 4* 5 6')
  })

  it('goes back to its place again and again', async () => {
    const channel = await withMessages(4)
    for (let tag = 1; tag < 20; tag += 2) {
      await take(channel, 2)
      channel.send('basic.nack', { 'delivery-tag': tag, requeue: true })
      channel.send('basic.nack', { 'delivery-tag': tag + 1, requeue: true })
    }
    expect(await restAfter(channel)).toBe('1* 2* 3 4')
  })

  it('keeps the order of those with which it is requeued', async () => {
    const channel = await withMessages(6)
    await take(channel, 5)
    channel.send('basic.nack', { 'delivery-tag': 4, multiple: true, requeue: true })
    expect(await restAfter(channel)).toBe('1* 2* 3* 4* 5* 6')
  })

  it('comes before younger ones for the consumer that waits', async () => {
    const channel = await withMessages(5)
    await channel.call('basic.qos', { 'prefetch-count': 2 })
    await channel.consume('q')
    await channel.expectDeliver({ redelivered: false }, '1')
    await channel.expectDeliver({ redelivered: false }, '2')
    channel.send('basic.reject', { 'delivery-tag': 1, requeue: true })
    await channel.expectDeliver({ 'delivery-tag': 3, redelivered: true }, '1')
    channel.send('basic.ack', { 'delivery-tag': 3, multiple: true })
    await channel.expectDeliver({ redelivered: false }, '3')
    await channel.expectDeliver({ redelivered: false }, '4')
  })

  it('keeps its properties, exchange and key', async () => {
    const channel = await withMessages(0)
    await channel.bind('q', 'amq.direct', 'k')
    const properties = { headers: { n: 1 }, 'delivery-mode': 2, 'message-id': 'm' }
    channel.publish({ exchange: 'amq.direct', 'routing-key': 'k' }, 'body', properties)
    const { tag } = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    channel.send('basic.get', { queue: 'q' })
    await channel.expectGetOk({ exchange: 'amq.direct', 'routing-key': 'k', redelivered: true }, 'body', properties)
  })
})

describe('what a channel holds', () => {
  it('is requeued in its first order when the channel closes', async () => {
    const channel = await withMessages(5)
    await channel.consume('q')
    for (const body of ['1', '2', '3', '4', '5']) await channel.expectDeliver({}, body)
    channel.send('basic.ack', { 'delivery-tag': 3 })
    expect(await restAfter(channel)).toBe('1* 2* 4* 5*')
  })

  it('is requeued when the connection is closed, before that is answered', async () => {
    const channel = await withMessages(3)
    await take(channel, 2)
    await channel.client.call('connection.close', { 'reply-code': 200 })
    expect(await rest()).toBe('1* 2* 3')
  })

  it.each([
    ['is reset', true],
    ['ends', false],
  ])('is requeued when the connection %s', async (_case, reset) => {
    const channel = await withMessages(2)
    const heir = await broker.channel()
    await channel.consume('q')
    await channel.expectDeliver({}, '1')
    await channel.expectDeliver({}, '2')
    await heir.consume('q')
    channel.client.drop(reset)
    await heir.expectDeliver({ redelivered: true }, '1')
    await heir.expectDeliver({ redelivered: true }, '2')
  })

  it('is marked as redelivered also if the client has not read it yet', async () => {
    const channel = await withMessages(3)
    await channel.consume('q')
    await channel.close().catch(() => undefined)
    expect(await rest()).toMatch(/^1\* 2\* 3\*$/)
  })

  it('is in nobody else’s way: what two channels hold comes back in order', async () => {
    const channel = await withMessages(6)
    const other = await channel.client.openChannel(2)
    for (let i = 0; i < 3; i++) {
      await channel.get('q')
      await other.get('q')
    }
    await other.close()
    expect(await restAfter(channel)).toBe('1* 2* 3* 4* 5* 6*')
  })
})

describe('basic.recover', () => {
  it('requeues all that the channel holds, and then answers', async () => {
    const channel = await withMessages(4)
    await take(channel, 3)
    channel.send('basic.ack', { 'delivery-tag': 2 })
    await channel.call('basic.recover', { requeue: true })
    expect(await rest()).toBe('1* 3* 4')
  })

  it('may hand the messages to the same consumer again, with new tags', async () => {
    const channel = await withMessages(2)
    await channel.consume('q')
    await channel.expectDeliver({ 'delivery-tag': 1 }, '1')
    await channel.expectDeliver({ 'delivery-tag': 2 }, '2')
    channel.send('basic.recover-async', { requeue: true })
    await channel.expectDeliver({ 'delivery-tag': 3, redelivered: true }, '1')
    await channel.expectDeliver({ 'delivery-tag': 4, redelivered: true }, '2')
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.expectChannelClose(406, unknownTag(1), 'basic.ack')
  })

  it('gives back what each consumer had by itself, and delivers in between', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-max-length': 1 } })
    for (const consumer of ['a', 'b']) await channel.consume('q', { 'consumer-tag': consumer })
    for (const body of ['1', '2']) {
      channel.publish({ 'routing-key': 'q' }, body)
      await channel.expectDeliver({ redelivered: false }, body)
    }
    // Both at once would be more than the queue may hold.
    channel.send('basic.recover-async', { requeue: true })
    await channel.expectDeliver({ redelivered: true }, '1')
    await channel.expectDeliver({ redelivered: true }, '2')
  })

  it('is fine when there is nothing to recover', async () => {
    const channel = await broker.channel()
    await channel.call('basic.recover', { requeue: true })
    channel.send('basic.recover-async', { requeue: true })
    await channel.expectNothing()
  })

  it.each(['basic.recover', 'basic.recover-async'])('knows no other way: %s', async (method) => {
    const channel = await broker.channel()
    channel.send(method, { requeue: false })
    await channel.client.expectConnectionClose(540, 'NOT_IMPLEMENTED - requeue=false', method)
  })
})

describe('a durable queue', () => {
  it('keeps persistent and transient messages in one order', async () => {
    const channel = await withMessages(8, { durable: true })
    await take(channel, 4)
    channel.send('basic.ack', { 'delivery-tag': 2 })
    expect(await restAfter(channel)).toBe('1* 3* 4* 5 6 7 8')
  })
})
