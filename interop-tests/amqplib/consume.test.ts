// amqplib, promise API: consuming, getting, settling and giving back.
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage, GetMessage } from 'amqplib'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { bodies, connectionRefusal, connectTo, refusal, subscribe } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { Inbox } from '../support/inbox.ts'
import { queueName } from '../support/names.ts'

const broker = useBroker()

interface Stage {
  readonly connection: ChannelModel
  readonly channel: ConfirmChannel
  readonly queue: string
}

/** A connection, a channel and a queue that holds the messages `1` to `count`. */
async function stage(count: number): Promise<Stage> {
  const connection = await connectTo(broker)
  const channel = await connection.createConfirmChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await publish(channel, queue, 1, count)
  return { connection, channel, queue }
}

async function publish(channel: ConfirmChannel, queue: string, from: number, to: number): Promise<void> {
  for (let message = from; message <= to; message++) channel.sendToQueue(queue, Buffer.from(String(message)))
  await channel.waitForConfirms()
}

async function ready(channel: Channel, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount
}

async function get(channel: Channel, queue: string): Promise<GetMessage> {
  const message = await channel.get(queue)
  if (message === false) throw new Error('The queue is empty.')
  return message
}

/** What is left in the queue, in order. */
async function drain(channel: Channel, queue: string): Promise<string[]> {
  const left: string[] = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return left
    left.push(message.content.toString())
  }
}

function tags(messages: readonly ConsumeMessage[]): number[] {
  return messages.map((message) => message.fields.deliveryTag)
}

describe('consuming', () => {
  it('delivers in the order of publishing with tags that count from 1', async () => {
    const { channel, queue } = await stage(100)
    const { inbox, consumerTag } = await subscribe(channel, queue)
    const messages = await inbox.take(100)
    expect(bodies(messages)).toEqual(Array.from({ length: 100 }, (_, index) => String(index + 1)))
    expect(tags(messages)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1))
    expect(messages[0]!.fields).toEqual({
      consumerTag,
      deliveryTag: 1,
      redelivered: false,
      exchange: '',
      routingKey: queue,
    })
  })

  it('gives the consumer a name when it brings none, and keeps the one that it brings', async () => {
    const { channel, queue } = await stage(0)
    expect((await subscribe(channel, queue)).consumerTag).toMatch(/^amq\.ctag-[\w-]{22}$/)
    expect((await subscribe(channel, queue, { consumerTag: 'mine' })).consumerTag).toBe('mine')
  })

  it('accepts one consumer name on several channels', async () => {
    const { connection, channel, queue } = await stage(0)
    await subscribe(channel, queue, { consumerTag: 'same' })
    await subscribe(await connection.createChannel(), queue, { consumerTag: 'same' })
    expect(await channel.checkQueue(queue)).toMatchObject({ consumerCount: 2 })
  })

  it('twice under one name on one channel closes the connection with 530', async () => {
    const { connection, channel, queue } = await stage(0)
    await subscribe(channel, queue, { consumerTag: 'twice' })
    const closed = connectionRefusal(connection)
    await expect(channel.consume(queue, () => undefined, { consumerTag: 'twice' })).rejects.toThrow(
      'Channel ended, no reply will be forthcoming',
    )
    expect(await closed).toEqual({ code: 530, text: "NOT_ALLOWED - attempt to reuse consumer tag 'twice'" })
  })

  it('without acknowledgement leaves nothing to give back', async () => {
    const { connection, queue } = await stage(10)
    const channel = await connection.createChannel()
    const { inbox } = await subscribe(channel, queue, { noAck: true })
    await inbox.take(10)
    await channel.close()
    expect(await ready(await connection.createChannel(), queue)).toBe(0)
  })

  it('gets its own messages whatever noLocal says, as RabbitMQ has it', async () => {
    const { channel, queue } = await stage(0)
    const { inbox } = await subscribe(channel, queue, { noLocal: true })
    await publish(channel, queue, 1, 1)
    expect(bodies([await inbox.next()])).toEqual(['1'])
  })

  it('shares the messages between consumers by turns', async () => {
    const { connection, channel, queue } = await stage(0)
    const consumers = []
    for (let index = 0; index < 3; index++) {
      const own = await connection.createChannel()
      await own.prefetch(10)
      consumers.push(await subscribe(own, queue))
    }
    await publish(channel, queue, 1, 30)
    for (const { inbox } of consumers) expect(await inbox.take(10)).toHaveLength(10)
  })

  it('goes past a consumer that has no credit left', async () => {
    const { connection, channel, queue } = await stage(0)
    const busy = await connection.createChannel()
    await busy.prefetch(1)
    const slow = await subscribe(busy, queue)
    const fast = await subscribe(channel, queue, { noAck: true })
    await publish(channel, queue, 1, 20)
    expect(await slow.inbox.take(1)).toHaveLength(1)
    expect(await fast.inbox.take(19)).toHaveLength(19)
  })
})

describe('exclusive consuming', () => {
  const inUse = (queue: string) => ({
    code: 403,
    text: `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`,
    method: '60.20',
  })

  it('refuses others with 403 until it ends', async () => {
    const { connection, channel, queue } = await stage(0)
    const { consumerTag } = await subscribe(channel, queue, { exclusive: true })
    expect(await refusal(connection, (other) => other.consume(queue, () => undefined))).toEqual(inUse(queue))
    await channel.cancel(consumerTag)
    await subscribe(channel, queue)
  })

  it('is refused with 403 when there is a consumer', async () => {
    const { connection, channel, queue } = await stage(0)
    await subscribe(channel, queue)
    const exclusive = (other: Channel) => other.consume(queue, () => undefined, { exclusive: true })
    expect(await refusal(connection, exclusive)).toEqual(inUse(queue))
  })
})

describe('cancelling', () => {
  it('ends deliveries and leaves what was delivered to be acknowledged', async () => {
    const { channel, queue } = await stage(2)
    const { consumerTag, inbox } = await subscribe(channel, queue)
    const [first, second] = await inbox.take(2)
    expect(await channel.cancel(consumerTag)).toEqual({ consumerTag })
    await publish(channel, queue, 3, 3)
    expect(await ready(channel, queue)).toBe(1)
    channel.ack(first!)
    channel.nack(second!)
    expect(await drain(channel, queue)).toEqual(['2', '3'])
    expect(inbox.size).toBe(0)
  })

  it('a consumer that is not there succeeds', async () => {
    const { channel } = await stage(0)
    expect(await channel.cancel('nobody')).toEqual({ consumerTag: 'nobody' })
  })

  it('frees the name for another consumer', async () => {
    const { channel, queue } = await stage(0)
    for (let round = 0; round < 3; round++) {
      await subscribe(channel, queue, { consumerTag: 'again' })
      await channel.cancel('again')
    }
    expect(await channel.checkQueue(queue)).toMatchObject({ consumerCount: 0 })
  })
})

describe('getting', () => {
  it('takes one message and tells how many are left', async () => {
    const { channel, queue } = await stage(3)
    const message = await get(channel, queue)
    expect(message.fields).toEqual({
      deliveryTag: 1,
      redelivered: false,
      exchange: '',
      routingKey: queue,
      messageCount: 2,
    })
    expect(message.content.toString()).toBe('1')
  })

  it('from an empty queue answers that it is empty', async () => {
    const { channel, queue } = await stage(1)
    await get(channel, queue)
    expect(await channel.get(queue)).toBe(false)
  })

  it('counts its tags together with those of consumers', async () => {
    const { channel, queue } = await stage(3)
    expect((await get(channel, queue)).fields.deliveryTag).toBe(1)
    expect(await channel.get(queue, { noAck: true })).toMatchObject({ fields: { deliveryTag: 2 } })
    const { inbox } = await subscribe(channel, queue)
    expect((await inbox.next()).fields.deliveryTag).toBe(3)
  })

  it('is not a consumer', async () => {
    const { channel, queue } = await stage(1)
    await get(channel, queue)
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 0, consumerCount: 0 })
  })
})

describe('acknowledging', () => {
  it('one message settles just that', async () => {
    const { connection, queue } = await stage(3)
    const channel = await connection.createChannel()
    const { inbox } = await subscribe(channel, queue)
    const [, second] = await inbox.take(3)
    channel.ack(second!)
    await channel.close()
    expect(await drain(await connection.createChannel(), queue)).toEqual(['1', '3'])
  })

  it('up to a message settles all before it', async () => {
    const { connection, queue } = await stage(5)
    const channel = await connection.createChannel()
    const { inbox } = await subscribe(channel, queue)
    const messages = await inbox.take(5)
    channel.ack(messages[2]!, true)
    await channel.close()
    expect(await drain(await connection.createChannel(), queue)).toEqual(['4', '5'])
  })

  it('all settles everything that was delivered', async () => {
    const { connection, queue } = await stage(5)
    const channel = await connection.createChannel()
    await (await subscribe(channel, queue)).inbox.take(5)
    channel.ackAll()
    await channel.close()
    expect(await ready(await connection.createChannel(), queue)).toBe(0)
  })

  it('all is no error when nothing is outstanding', async () => {
    const { channel, queue } = await stage(0)
    channel.ackAll()
    channel.nackAll()
    expect(await ready(channel, queue)).toBe(0)
  })

  it('twice closes the channel with 406', async () => {
    const { connection, queue } = await stage(1)
    const twice = async (channel: Channel) => {
      const message = await get(channel, queue)
      channel.ack(message)
      channel.ack(message)
    }
    expect(await refusal(connection, twice)).toEqual({
      code: 406,
      text: 'PRECONDITION_FAILED - unknown delivery tag 1',
      method: '60.80',
    })
  })

  it.each<[string, string, (channel: Channel, message: GetMessage) => void]>([
    ['ack', '60.80', (channel, message) => channel.ack(message)],
    ['ack of all before', '60.80', (channel, message) => channel.ack(message, true)],
    ['nack', '60.120', (channel, message) => channel.nack(message)],
    ['reject', '60.90', (channel, message) => channel.reject(message)],
  ])('a message that needs no acknowledgement closes the channel with 406: %s', async (_, method, settle) => {
    const { connection, queue } = await stage(1)
    const settled = async (channel: Channel) => {
      const message = await channel.get(queue, { noAck: true })
      if (message) settle(channel, message)
    }
    expect(await refusal(connection, settled)).toEqual({
      code: 406,
      text: 'PRECONDITION_FAILED - unknown delivery tag 1',
      method,
    })
  })

  it('on another channel than that of the delivery closes it with 406', async () => {
    const { connection, channel, queue } = await stage(1)
    const message = await get(channel, queue)
    expect(await refusal(connection, (other) => other.ack(message))).toMatchObject({ code: 406, method: '60.80' })
    channel.ack(message)
    await channel.checkQueue(queue)
  })
})

describe('giving back', () => {
  it('puts a message where it was, marked as redelivered', async () => {
    const { channel, queue } = await stage(3)
    const first = await get(channel, queue)
    await get(channel, queue)
    channel.nack(first)
    const again = await get(channel, queue)
    expect(again.content.toString()).toBe('1')
    expect(again.fields.redelivered).toBe(true)
    expect((await get(channel, queue)).fields.redelivered).toBe(false)
  })

  it('up to a message gives back all before it, in their order', async () => {
    const { channel, queue } = await stage(5)
    const { consumerTag, inbox } = await subscribe(channel, queue)
    const messages = await inbox.take(5)
    await channel.cancel(consumerTag)
    channel.nack(messages[2]!, true)
    expect(await drain(channel, queue)).toEqual(['1', '2', '3'])
  })

  it('all gives back everything, in its order', async () => {
    const { channel, queue } = await stage(5)
    const { consumerTag, inbox } = await subscribe(channel, queue)
    await inbox.take(5)
    await channel.cancel(consumerTag)
    channel.nackAll()
    await publish(channel, queue, 6, 6)
    expect(await drain(channel, queue)).toEqual(['1', '2', '3', '4', '5', '6'])
  })

  it('by rejecting works for one message', async () => {
    const { channel, queue } = await stage(2)
    const first = await get(channel, queue)
    channel.reject(first)
    expect(await drain(channel, queue)).toEqual(['1', '2'])
  })

  it('without requeueing drops the messages', async () => {
    const { channel, queue } = await stage(6)
    const { consumerTag, inbox } = await subscribe(channel, queue)
    const messages = await inbox.take(6)
    await channel.cancel(consumerTag)
    channel.reject(messages[0]!, false)
    channel.nack(messages[1]!, false, false)
    channel.nack(messages[3]!, true, false)
    channel.nack(messages[5]!, false, true)
    expect(await drain(channel, queue)).toEqual(['6'])
    channel.nackAll(false)
    expect(await drain(channel, queue)).toEqual([])
  })

  it('happens by itself when the channel closes, in the first order', async () => {
    const { connection, channel, queue } = await stage(10)
    const leaving = await connection.createChannel()
    const { inbox } = await subscribe(leaving, queue)
    const messages = await inbox.take(10)
    leaving.ack(messages[4]!)
    await leaving.close()
    expect(await drain(channel, queue)).toEqual(['1', '2', '3', '4', '6', '7', '8', '9', '10'])
  })

  it('happens by itself when the connection is lost', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    await publish(channel, queue, 1, 3)
    const leaving = await connectTo(broker)
    await (await subscribe(await leaving.createChannel(), queue)).inbox.take(3)
    const lost = once(leaving, 'error')
    const { inbox } = await subscribe(channel, queue)
    ;(leaving.connection as unknown as { stream: { destroy(error: Error): void } }).stream.destroy(new Error('cut'))
    await lost
    const messages = await inbox.take(3)
    expect(bodies(messages)).toEqual(['1', '2', '3'])
    expect(messages.every((message) => message.fields.redelivered)).toBe(true)
  })
})

describe('recovering', () => {
  it('delivers again, in order and marked, what was not acknowledged', async () => {
    const { channel, queue } = await stage(4)
    const { inbox } = await subscribe(channel, queue)
    const messages = await inbox.take(4)
    channel.ack(messages[1]!)
    await channel.recover()
    const again = await inbox.take(3)
    expect(bodies(again)).toEqual(['1', '3', '4'])
    expect(again.every((message) => message.fields.redelivered)).toBe(true)
    expect(tags(again)).toEqual([5, 6, 7])
  })

  it('is no error when nothing is outstanding', async () => {
    const { channel } = await stage(0)
    expect(await channel.recover()).toEqual({})
  })
})

describe('prefetch', () => {
  it('limits what a consumer has at a time', async () => {
    const { channel, queue } = await stage(10)
    await channel.prefetch(3)
    const { inbox } = await subscribe(channel, queue)
    const messages = await inbox.take(3)
    expect(await ready(channel, queue)).toBe(7)
    channel.ack(messages[1]!)
    await inbox.take(1)
    expect(await ready(channel, queue)).toBe(6)
    channel.nack(messages[0]!, false, false)
    await inbox.take(1)
    expect(await ready(channel, queue)).toBe(5)
    expect(inbox.size).toBe(0)
  })

  it('counts for each consumer that starts after it, not for those before', async () => {
    const { channel, queue } = await stage(0)
    const unlimited = await subscribe(channel, queue, { consumerTag: 'before' })
    await channel.prefetch(2)
    const limited = await subscribe(channel, queue, { consumerTag: 'after' })
    await publish(channel, queue, 1, 20)
    await limited.inbox.take(2)
    await unlimited.inbox.take(18)
  })

  it('for the channel limits all its consumers together', async () => {
    const { connection, channel, queue } = await stage(10)
    const consuming = await connection.createChannel()
    await consuming.prefetch(3, true)
    const inbox = new Inbox<ConsumeMessage>()
    const put = (message: ConsumeMessage | null) => message && inbox.put(message)
    await consuming.consume(queue, put)
    await consuming.consume(queue, put)
    const messages = await inbox.take(3)
    expect(await ready(channel, queue)).toBe(7)
    consuming.ack(messages[2]!, true)
    await inbox.take(3)
    expect(await ready(channel, queue)).toBe(4)
  })

  it('for the channel works beside that for its consumers', async () => {
    const { connection, channel, queue } = await stage(10)
    const consuming = await connection.createChannel()
    // In this order: in RabbitMQ a limit for consumers lifts the one for the channel, which may be set again after it.
    await consuming.prefetch(2, false)
    await consuming.prefetch(3, true)
    const first = await subscribe(consuming, queue)
    await first.inbox.take(2)
    expect(await ready(channel, queue)).toBe(8)
    const second = await subscribe(consuming, queue)
    await second.inbox.take(1)
    expect(await ready(channel, queue)).toBe(7)
  })

  it('for the channel is lifted by one for consumers that comes after it', async () => {
    const { connection, channel, queue } = await stage(10)
    const consuming = await connection.createChannel()
    await consuming.prefetch(1, true)
    await consuming.prefetch(4, false)
    const { inbox } = await subscribe(consuming, queue)
    await inbox.take(4)
    expect(await ready(channel, queue)).toBe(6)
  })

  it('for the channel takes effect on consumers that run', async () => {
    const { connection, channel, queue } = await stage(10)
    const consuming = await connection.createChannel()
    await consuming.prefetch(1, true)
    const { inbox } = await subscribe(consuming, queue)
    await inbox.take(1)
    await consuming.prefetch(4, true)
    await inbox.take(3)
    expect(await ready(channel, queue)).toBe(6)
    await consuming.prefetch(0, true)
    await inbox.take(6)
    expect(await ready(channel, queue)).toBe(0)
  })

  it('does not limit consumers that do not acknowledge', async () => {
    const { channel, queue } = await stage(10)
    await channel.prefetch(1)
    const { inbox } = await subscribe(channel, queue, { noAck: true })
    await inbox.take(10)
  })
})

describe('a queue that is not there', () => {
  it('refuses consumers and gets with 404', async () => {
    const connection = await connectTo(broker)
    const queue = queueName()
    const missing = (method: string) => ({ code: 404, text: `NOT_FOUND - no queue '${queue}' in vhost '/'`, method })
    expect(await refusal(connection, (channel) => channel.consume(queue, () => undefined))).toEqual(missing('60.20'))
    expect(await refusal(connection, (channel) => channel.get(queue))).toEqual(missing('60.70'))
  })

  it('without a name refuses with 404 where the channel declared none', async () => {
    const connection = await connectTo(broker)
    expect(await refusal(connection, (channel) => channel.get(''))).toMatchObject({
      code: 404,
      text: 'NOT_FOUND - no previously declared queue',
    })
  })
})
