// amqplib, promise API: what is published arrives as it was, confirms and returns, large bodies and back-pressure.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Channel, GetMessage, Options } from 'amqplib'
import { describe, expect, it } from 'vitest'
import { bodies, connectTo, refusal, subscribe } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { Inbox } from '../support/inbox.ts'
import { exchangeName, queueName } from '../support/names.ts'

const broker = useBroker()

/** Sends one message through a new queue and hands back what arrives. */
async function roundTrip(content: Buffer, options?: Options.Publish, query = ''): Promise<GetMessage> {
  const channel = await (await connectTo(broker, query)).createConfirmChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  channel.sendToQueue(queue, content, options)
  await channel.waitForConfirms()
  const message = await channel.get(queue, { noAck: true })
  if (message === false) throw new Error('The message did not arrive.')
  return message
}

async function headersAfter(headers: Record<string, unknown>): Promise<unknown> {
  return (await roundTrip(Buffer.from('with headers'), { headers })).properties.headers
}

function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

describe('properties', () => {
  it('arrive as they were sent, all of them', async () => {
    const properties = {
      contentType: 'application/json',
      contentEncoding: 'gzip',
      headers: { trace: 'on' },
      deliveryMode: 2,
      priority: 7,
      correlationId: 'correlation-1',
      replyTo: 'reply-queue',
      expiration: '3600000',
      messageId: 'message-1',
      timestamp: 1_700_000_000,
      type: 'order.created',
      userId: 'guest',
      appId: 'interop',
    }
    const message = await roundTrip(Buffer.from('{}'), properties)
    expect(message.properties).toEqual({ ...properties, clusterId: undefined })
    expect(message.content.toString()).toBe('{}')
  })

  it('that were not sent stay absent', async () => {
    const { properties } = await roundTrip(Buffer.from('bare'))
    const { headers, ...others } = properties
    expect(headers ?? {}).toEqual({})
    for (const [name, value] of Object.entries(others)) expect([name, value]).toEqual([name, undefined])
  })

  it('are kept for persistent and transient messages alike', async () => {
    expect((await roundTrip(Buffer.from('x'), { persistent: true })).properties.deliveryMode).toBe(2)
    expect((await roundTrip(Buffer.from('x'), { persistent: false })).properties.deliveryMode).toBe(1)
  })

  it('may be as long as a short string can be', async () => {
    const messageId = 'm'.repeat(255)
    expect((await roundTrip(Buffer.from('x'), { messageId })).properties.messageId).toBe(messageId)
  })

  it('with a timestamp beyond 2038 or in milliseconds arrive unchanged', async () => {
    expect((await roundTrip(Buffer.from('x'), { timestamp: 4_102_444_800 })).properties.timestamp).toBe(4_102_444_800)
    const milliseconds = 1_700_000_000_123
    expect((await roundTrip(Buffer.from('x'), { timestamp: milliseconds })).properties.timestamp).toBe(milliseconds)
  })
})

describe('headers', () => {
  it('keep their numbers at every edge of every width', async () => {
    const headers = {
      zero: 0,
      int8: [-128, 127],
      int16: [-32_768, 32_767],
      int32: [-2_147_483_648, 2_147_483_647],
      int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
      double: [0.1, -123_456.789, 1.5e300, Number.MIN_VALUE],
    }
    expect(await headersAfter(headers)).toEqual(headers)
  })

  it('keep numbers of a type that the client chose', async () => {
    const typed = (type: string, value: unknown) => ({ '!': type, value })
    const headers = {
      int8: typed('int8', -1),
      uint8: typed('uint8', 255),
      int16: typed('int16', -1),
      uint16: typed('uint16', 65_535),
      int32: typed('int32', -1),
      uint32: typed('uint32', 4_294_967_295),
      int64: typed('int64', -1),
      float: typed('float', 1.5),
      double: typed('double', 2),
    }
    const plain = { int8: -1, uint8: 255, int16: -1, uint16: 65_535, int32: -1, uint32: 4_294_967_295 }
    expect(await headersAfter(headers)).toEqual({ ...plain, int64: -1, float: 1.5, double: 2 })
  })

  it('keep timestamps and decimals', async () => {
    const headers = {
      at: { '!': 'timestamp', value: 1_700_000_000 },
      price: { '!': 'decimal', value: { places: 2, digits: 1999 } },
    }
    expect(await headersAfter(headers)).toEqual(headers)
  })

  it('keep strings, booleans, bytes and nothing', async () => {
    const headers = {
      empty: '',
      text: 'naïve €uro 😀',
      long: 'x'.repeat(20_000),
      yes: true,
      no: false,
      bytes: Buffer.from([0, 1, 254, 255]),
      nothing: null,
    }
    expect(await headersAfter(headers)).toEqual(headers)
  })

  it('keep tables in arrays in tables', async () => {
    const headers = { table: { list: [1, 'two', [3, [4]], { five: { six: [] } }], empty: {} } }
    expect(await headersAfter(headers)).toEqual(headers)
  })

  it('may be many', async () => {
    const headers = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`header-${index}`, index]))
    expect(await headersAfter(headers)).toEqual(headers)
  })
})

describe('bodies', () => {
  it('may be empty', async () => {
    expect((await roundTrip(Buffer.alloc(0), { type: 'empty' })).content).toHaveLength(0)
  })

  it.each([4096, 8192, 131_072])('of every size around frames of %i bytes arrive whole', async (frameMax) => {
    const channel = await (await connectTo(broker, `?frameMax=${frameMax}`)).createConfirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const piece = frameMax - 8
    const sizes = [1, 2047, 2048, piece - 1, piece, piece + 1, 2 * piece - 1, 2 * piece, 2 * piece + 1, 5 * piece]
    const sent = sizes.map((size) => randomBytes(size))
    for (const content of sent) channel.sendToQueue(queue, content)
    const { inbox } = await subscribe(channel, queue, { noAck: true })
    const received = await inbox.take(sizes.length)
    expect(received.map((message) => digest(message.content))).toEqual(sent.map(digest))
  })

  it('of 8 MiB go through frames of 4 KiB', async () => {
    const content = randomBytes(8 * 1024 * 1024)
    const message = await roundTrip(content, { persistent: true }, '?frameMax=4096')
    expect(digest(message.content)).toBe(digest(content))
  })

  it('from large frames are cut for a consumer with small ones, and the other way round', async () => {
    const content = randomBytes(300_000)
    const large = await (await connectTo(broker)).createChannel()
    const small = await (await connectTo(broker, '?frameMax=4096')).createChannel()
    const { queue } = await large.assertQueue(queueName(), { autoDelete: true })
    const smallFrames = await subscribe(small, queue, { noAck: true })
    large.sendToQueue(queue, content)
    expect(digest((await smallFrames.inbox.next()).content)).toBe(digest(content))
    const largeFrames = await subscribe(large, queue, { noAck: true })
    await small.cancel(smallFrames.consumerTag)
    small.sendToQueue(queue, content)
    expect(digest((await largeFrames.inbox.next()).content)).toBe(digest(content))
  })

  it('on different channels may be interleaved', async () => {
    const connection = await connectTo(broker, '?frameMax=4096')
    const contents = Array.from({ length: 8 }, () => randomBytes(200_000))
    const received = await Promise.all(
      contents.map(async (content) => {
        const channel = await connection.createChannel()
        const { queue } = await channel.assertQueue('', { exclusive: true })
        const { inbox } = await subscribe(channel, queue, { noAck: true })
        for (let copy = 0; copy < 3; copy++) channel.sendToQueue(queue, content)
        return inbox.take(3)
      }),
    )
    for (const [index, messages] of received.entries()) {
      for (const message of messages) expect(digest(message.content)).toBe(digest(contents[index]!))
    }
  })
})

describe('carbon copies', () => {
  it('go to the keys in CC, which is delivered, and in BCC, which is not', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    const queues: string[] = []
    for (let index = 0; index < 3; index++) queues.push((await channel.assertQueue('', { exclusive: true })).queue)
    const [to, copy, blind] = queues as [string, string, string]
    channel.sendToQueue(to, Buffer.from('to three'), { CC: [copy], BCC: blind, headers: { other: 1 } })
    await channel.waitForConfirms()
    for (const queue of queues) {
      const message = await channel.get(queue, { noAck: true })
      expect(message).toMatchObject({ fields: { routingKey: to }, properties: { headers: { CC: [copy], other: 1 } } })
      expect(message && message.properties.headers).not.toHaveProperty('BCC')
    }
  })
})

describe('confirms', () => {
  it('come once for each message, in the order of publishing on one queue', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    const { queue } = await channel.assertQueue(queueName())
    const confirmed: number[] = []
    for (let message = 0; message < 1000; message++) {
      channel.sendToQueue(queue, Buffer.from(String(message)), { persistent: true }, (error) => {
        if (error === null) confirmed.push(message)
      })
    }
    await channel.waitForConfirms()
    expect(confirmed).toEqual(Array.from({ length: 1000 }, (_, message) => message))
    expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 1000 })
  })

  it('come for a single message at a time without waiting for others', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    const { queue } = await channel.assertQueue(queueName())
    for (let message = 0; message < 100; message++) {
      channel.sendToQueue(queue, Buffer.from(String(message)), { persistent: true })
      await channel.waitForConfirms()
    }
    expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 100 })
  })

  it('count from 1 for each channel', async () => {
    const connection = await connectTo(broker)
    for (let round = 0; round < 2; round++) {
      const channel = await connection.createConfirmChannel()
      const acked = once(channel, 'ack')
      channel.publish('amq.fanout', '', Buffer.from('nowhere'))
      expect(await acked).toMatchObject([{ deliveryTag: 1 }])
    }
  })

  it('come for what no queue wanted', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    channel.publish('amq.direct', 'no-such-key', Buffer.from('nowhere'))
    await channel.waitForConfirms()
  })

  it('come for a message that went to many queues', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    const exchange = exchangeName()
    await channel.assertExchange(exchange, 'fanout', { durable: false })
    const queues: string[] = []
    for (let index = 0; index < 20; index++) {
      const { queue } = await channel.assertQueue(queueName(), { durable: index % 2 === 0 })
      await channel.bindQueue(queue, exchange, '')
      queues.push(queue)
    }
    for (let message = 0; message < 50; message++) {
      channel.publish(exchange, '', Buffer.from(String(message)), { persistent: message % 3 === 0 })
    }
    await channel.waitForConfirms()
    for (const queue of queues) expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 50 })
  })

  it('never come for messages after the one that closed the channel', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const closed = once(channel, 'error')
    const outcomes = new Inbox<Error | null>()
    channel.publish('amq.fanout', '', Buffer.from('fine'), {}, outcomes.put)
    expect(await outcomes.next()).toBe(null)
    channel.publish(exchangeName(), '', Buffer.from('refused'), {}, outcomes.put)
    channel.publish('amq.fanout', '', Buffer.from('too late'), {}, outcomes.put)
    await closed
    const [refused, late] = await outcomes.take(2)
    expect(refused?.message).toBe('channel closed')
    expect(late?.message).toBe('channel closed')
    await expect(channel.waitForConfirms()).rejects.toThrow('channel closed')
  })
})

describe('mandatory messages', () => {
  it('that no queue wanted come back whole, before their confirm', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    const order = new Inbox<unknown>()
    channel.on('return', (message) => order.put(message))
    const options = { mandatory: true, messageId: 'undeliverable', headers: { n: 1 } }
    channel.publish('amq.direct', 'no-such-key', Buffer.from('come back'), options, () => order.put('confirmed'))
    const [returned, confirmed] = await order.take(2)
    expect(returned).toMatchObject({
      fields: { replyCode: 312, replyText: 'NO_ROUTE', exchange: 'amq.direct', routingKey: 'no-such-key' },
      properties: { messageId: 'undeliverable', headers: { n: 1 } },
      content: Buffer.from('come back'),
    })
    expect(confirmed).toBe('confirmed')
  })

  it('that a queue wanted do not come back', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const returned: unknown[] = []
    channel.on('return', (message) => returned.push(message))
    channel.sendToQueue(queue, Buffer.from('arrives'), { mandatory: true })
    await channel.waitForConfirms()
    expect(returned).toEqual([])
  })

  it('come back on a channel without confirms as well', async () => {
    const channel = await (await connectTo(broker)).createChannel()
    const returned = once(channel, 'return')
    channel.sendToQueue(queueName(), Buffer.alloc(200_000, 'x'), { mandatory: true })
    expect(await returned).toMatchObject([{ fields: { replyCode: 312 }, content: { length: 200_000 } }])
  })
})

describe('a publisher that is faster than the connection', () => {
  it('is told to pause and when to go on, and loses nothing', async () => {
    const connection = await connectTo(broker)
    const publisher = await connection.createChannel({ highWaterMark: 16 })
    const consumer = await (await connectTo(broker)).createChannel()
    const { queue } = await consumer.assertQueue(queueName(), { durable: false })
    const { inbox } = await subscribe(consumer, queue, { noAck: true })
    const count = 5000
    const arrived = inbox.take(count)
    const padding = '.'.repeat(2000)
    let pauses = 0
    for (let message = 0; message < count; message++) {
      if (publisher.sendToQueue(queue, Buffer.from(`${message} ${padding}`))) continue
      pauses++
      await once(publisher, 'drain')
    }
    expect(pauses).toBeGreaterThan(0)
    const received = (await arrived).map((message) => Number.parseInt(message.content.toString(), 10))
    expect(received).toEqual(Array.from({ length: count }, (_, message) => message))
  })

  it('does not starve a consumer that acknowledges on the same connection', async () => {
    const connection = await connectTo(broker)
    const publisher = await connection.createConfirmChannel()
    const consumer = await connection.createChannel()
    const { queue } = await consumer.assertQueue(queueName(), { durable: false })
    await consumer.prefetch(10)
    const { consumerTag, inbox } = await subscribe(consumer, queue)
    const count = 10_000
    for (let message = 0; message < count; message++) publisher.sendToQueue(queue, Buffer.from(String(message)))
    for (let message = 0; message < count; message++) {
      const delivered = await inbox.next()
      expect(delivered.content.toString()).toBe(String(message))
      consumer.ack(delivered)
    }
    await publisher.waitForConfirms()
    await consumer.cancel(consumerTag)
    expect(await consumer.deleteQueue(queue)).toEqual({ messageCount: 0 })
  })
})

describe('publishing that is refused', () => {
  it.each<[string, (channel: Channel) => unknown, number, string]>([
    [
      'to an exchange that is not there',
      (channel) => channel.publish('no-such-exchange', 'key', Buffer.from('x')),
      404,
      "NOT_FOUND - no exchange 'no-such-exchange' in vhost '/'",
    ],
    [
      'with an expiration that is no number',
      (channel) => channel.sendToQueue('any', Buffer.from('x'), { expiration: 'soon' }),
      406,
      "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
    ],
    [
      'with a negative expiration',
      (channel) => channel.sendToQueue('any', Buffer.from('x'), { expiration: -1 }),
      406,
      "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}",
    ],
    [
      'in the name of another user',
      (channel) => channel.sendToQueue('any', Buffer.from('x'), { userId: 'somebody' }),
      406,
      "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
    ],
  ])('%s closes the channel', async (_, publish, code, text) => {
    expect(await refusal(await connectTo(broker), publish)).toEqual({ code, text, method: '60.40' })
  })

  it('takes no other channel with it', async () => {
    const connection = await connectTo(broker)
    const other = await connection.createConfirmChannel()
    const { queue } = await other.assertQueue('', { exclusive: true })
    const { inbox } = await subscribe(other, queue, { noAck: true })
    for (let message = 0; message < 10; message++) {
      await refusal(connection, (channel) => channel.publish('no-such-exchange', '', Buffer.alloc(100_000)))
      other.sendToQueue(queue, Buffer.from(String(message)))
    }
    expect(bodies(await inbox.take(10))).toEqual(Array.from({ length: 10 }, (_, message) => String(message)))
  })
})
