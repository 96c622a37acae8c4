// amqplib, callback API: every method once, and the ways in which callbacks learn of errors.
import { once } from 'node:events'
import type { Replies } from 'amqplib'
import { connect, credentials } from 'amqplib/callback_api'
import type { Channel, ConfirmChannel, Connection, GetMessage, Message, SocketOptions } from 'amqplib/callback_api'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bodies, refusalOf } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { Inbox } from '../support/inbox.ts'
import { exchangeName, queueName } from '../support/names.ts'

const broker = useBroker()

type Callback<T> = (error: Error, answer: T) => void

/** Makes a promise of one call with a callback: resolves with the answer, rejects with the error. */
function answer<T>(call: (callback: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error: Error | null | undefined, value) => {
      if (error) reject(error)
      else resolve(value)
    })
  })
}

async function open(socketOptions: SocketOptions = {}): Promise<Connection> {
  const connection = await answer<Connection>((callback) => connect(broker.url, socketOptions, callback))
  onTestFinished(async () => {
    await answer((callback) => connection.close(callback as (error: Error) => void)).catch((error: Error) => {
      if (error.name !== 'IllegalOperationError') throw error
    })
  })
  return connection
}

async function openChannel(): Promise<Channel> {
  const connection = await open()
  return answer<Channel>((callback) => connection.createChannel(callback))
}

async function openConfirmChannel(): Promise<ConfirmChannel> {
  const connection = await open()
  return answer<ConfirmChannel>((callback) => connection.createConfirmChannel(callback))
}

function confirmed(channel: ConfirmChannel): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.waitForConfirms((error?: Error | null) => (error ? reject(error) : resolve()))
  })
}

async function exclusiveQueue(channel: Channel): Promise<string> {
  const options = { exclusive: true }
  return (await answer<Replies.AssertQueue>((callback) => channel.assertQueue('', options, callback))).queue
}

async function messageCount(channel: Channel, queue: string): Promise<number> {
  return (await answer<Replies.AssertQueue>((callback) => channel.checkQueue(queue, callback))).messageCount
}

describe('a connection', () => {
  it('is opened, knows the server, and is closed', async () => {
    const connection = await open({ noDelay: true, clientProperties: { connection_name: 'callbacks' } })
    expect(connection.connection.serverProperties.product).toBe('RabbitMQ')
    const closed = once(connection, 'close')
    await answer((callback) => connection.close(callback as (error: Error) => void))
    await closed
  })

  it('that is refused tells the callback why', async () => {
    const error = await open({ credentials: credentials.plain('guest', 'wrong') }).catch((reason: unknown) => reason)
    expect(refusalOf(error).text).toMatch(/^ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN/)
  })

  it('takes a new secret', async () => {
    const connection = await open()
    await answer((callback) =>
      connection.updateSecret(Buffer.from('secret'), 'because', callback as (error: Error) => void),
    )
  })

  it('opens channels of both kinds, with options or without', async () => {
    const connection = await open()
    const options = { highWaterMark: 10 }
    const channels = [
      await answer<Channel>((callback) => connection.createChannel(callback)),
      await answer<Channel>((callback) => connection.createChannel(options, callback)),
      await answer<Channel>((callback) => connection.createConfirmChannel(callback)),
      await answer<Channel>((callback) => connection.createConfirmChannel(options, callback)),
    ]
    for (const channel of channels) {
      const closed = once(channel, 'close')
      await answer((callback) => channel.close(callback as (error: Error) => void))
      await closed
    }
  })
})

describe('queues', () => {
  it('are declared, looked for, purged and deleted', async () => {
    const channel = await openConfirmChannel()
    const queue = queueName()
    const counts = (messages: number) => ({ queue, messageCount: messages, consumerCount: 0 })
    expect(await answer((callback) => channel.assertQueue(queue, { durable: false }, callback))).toEqual(counts(0))
    for (let message = 0; message < 4; message++) channel.sendToQueue(queue, Buffer.from('waiting'))
    await confirmed(channel)
    expect(await answer((callback) => channel.checkQueue(queue, callback))).toEqual(counts(4))
    expect(await answer((callback) => channel.purgeQueue(queue, callback))).toEqual({ messageCount: 4 })
    channel.sendToQueue(queue, Buffer.from('goes with the queue'))
    await confirmed(channel)
    expect(await answer((callback) => channel.deleteQueue(queue, {}, callback))).toEqual({ messageCount: 1 })
  })

  it('are bound and unbound', async () => {
    const channel = await openConfirmChannel()
    const queue = await exclusiveQueue(channel)
    await answer((callback) => channel.bindQueue(queue, 'amq.direct', queue, {}, callback))
    channel.publish('amq.direct', queue, Buffer.from('bound'))
    await confirmed(channel)
    expect(await messageCount(channel, queue)).toBe(1)
    await answer((callback) => channel.unbindQueue(queue, 'amq.direct', queue, {}, callback))
    channel.publish('amq.direct', queue, Buffer.from('unbound'))
    await confirmed(channel)
    expect(await messageCount(channel, queue)).toBe(1)
  })
})

describe('exchanges', () => {
  it('are declared, looked for, bound, unbound and deleted', async () => {
    const channel = await openConfirmChannel()
    const queue = await exclusiveQueue(channel)
    const [source, destination] = [exchangeName(), exchangeName()]
    for (const exchange of [source, destination]) {
      const declared = await answer((callback) =>
        channel.assertExchange(exchange, 'fanout', { durable: false }, callback),
      )
      expect(declared).toEqual({ exchange })
      await answer((callback) => channel.checkExchange(exchange, callback))
    }
    await answer((callback) => channel.bindExchange(destination, source, '', {}, callback))
    await answer((callback) => channel.bindQueue(queue, destination, '', {}, callback))
    channel.publish(source, '', Buffer.from('through both'))
    await confirmed(channel)
    expect(await messageCount(channel, queue)).toBe(1)
    await answer((callback) => channel.unbindExchange(destination, source, '', {}, callback))
    channel.publish(source, '', Buffer.from('to nobody'))
    await confirmed(channel)
    expect(await messageCount(channel, queue)).toBe(1)
    await answer((callback) => channel.deleteExchange(source, {}, callback))
    await answer((callback) => channel.deleteExchange(destination, { ifUnused: false }, callback))
  })
})

describe('messages', () => {
  it('are consumed until the consumer is cancelled', async () => {
    const channel = await openChannel()
    const queue = await exclusiveQueue(channel)
    const inbox = new Inbox<Message | null>()
    const options = { consumerTag: 'callbacks' }
    const reply = await answer<Replies.Consume>((callback) => channel.consume(queue, inbox.put, options, callback))
    expect(reply).toEqual({ consumerTag: 'callbacks' })
    channel.sendToQueue(queue, Buffer.from('one'), { contentType: 'text/plain' })
    channel.publish('', queue, Buffer.from('two'))
    const [one, two] = (await inbox.take(2)) as [Message, Message]
    expect(bodies([one, two])).toEqual(['one', 'two'])
    expect(one.properties.contentType).toBe('text/plain')
    channel.ack(one)
    channel.ack(two)
    const cancelled = await answer((callback) => channel.cancel('callbacks', callback))
    expect(cancelled).toEqual({ consumerTag: 'callbacks' })
    expect(await messageCount(channel, queue)).toBe(0)
  })

  it('tell their consumer when its queue is deleted', async () => {
    const channel = await openChannel()
    const queue = await exclusiveQueue(channel)
    const inbox = new Inbox<Message | null>()
    await answer<Replies.Consume>((callback) => channel.consume(queue, inbox.put, {}, callback))
    await answer((callback) => channel.deleteQueue(queue, {}, callback))
    expect(await inbox.next()).toBe(null)
  })

  it('are got one by one and settled in every way', async () => {
    const channel = await openConfirmChannel()
    const queue = await exclusiveQueue(channel)
    const get = () => answer<GetMessage | false>((callback) => channel.get(queue, {}, callback))
    const take = async (): Promise<GetMessage> => {
      const message = await get()
      if (message === false) throw new Error('The queue is empty.')
      return message
    }
    for (let message = 1; message <= 6; message++) channel.sendToQueue(queue, Buffer.from(String(message)))
    await confirmed(channel)

    const first = await take()
    expect(first.fields).toMatchObject({ deliveryTag: 1, messageCount: 5, redelivered: false })
    channel.nack(first)
    const again = await take()
    expect(again.fields.redelivered).toBe(true)
    channel.ack(again)
    channel.reject(await take(), false)
    channel.nack(await take(), false, false)
    channel.ack(await take(), true)
    await take()
    channel.nackAll(true)
    expect(bodies([await take(), await take()])).toEqual(['5', '6'])
    channel.ackAll()
    expect(await get()).toBe(false)
  })

  it('are delivered again after a recover', async () => {
    const channel = await openChannel()
    const queue = await exclusiveQueue(channel)
    const inbox = new Inbox<Message | null>()
    await answer((callback) => channel.prefetch(1, false, callback))
    await answer<Replies.Consume>((callback) => channel.consume(queue, inbox.put, {}, callback))
    channel.sendToQueue(queue, Buffer.from('again'))
    expect((await inbox.next())?.fields.redelivered).toBe(false)
    await answer((callback) => channel.recover(callback))
    expect((await inbox.next())?.fields.redelivered).toBe(true)
  })

  it('are limited by the prefetch for the channel', async () => {
    const channel = await openConfirmChannel()
    const queue = await exclusiveQueue(channel)
    for (let message = 0; message < 5; message++) channel.sendToQueue(queue, Buffer.from(String(message)))
    await confirmed(channel)
    await answer((callback) => channel.prefetch(2, true, callback))
    const inbox = new Inbox<Message | null>()
    await answer<Replies.Consume>((callback) => channel.consume(queue, inbox.put, {}, callback))
    await inbox.take(2)
    expect(await messageCount(channel, queue)).toBe(3)
  })

  it('are confirmed to the callback of their publish', async () => {
    const channel = await openConfirmChannel()
    const queue = await exclusiveQueue(channel)
    await answer((callback) => channel.sendToQueue(queue, Buffer.from('to the queue'), {}, callback))
    await answer((callback) => channel.publish('amq.fanout', '', Buffer.from('to nobody'), {}, callback))
    expect(await messageCount(channel, queue)).toBe(1)
  })

  it('come back when they are mandatory and nobody wants them', async () => {
    const channel = await openConfirmChannel()
    const returned = once(channel, 'return')
    channel.publish('amq.direct', 'no-such-key', Buffer.from('back'), { mandatory: true })
    expect(await returned).toMatchObject([{ fields: { replyCode: 312, replyText: 'NO_ROUTE' } }])
  })
})

describe('an error on a channel', () => {
  it('goes to the callback of the method that caused it and to the channel’s listeners', async () => {
    const channel = await openChannel()
    const queue = queueName()
    const heard = once(channel, 'error')
    const error = await answer((callback) => channel.checkQueue(queue, callback)).catch((reason: unknown) => reason)
    const expected = { code: 404, text: `NOT_FOUND - no queue '${queue}' in vhost '/'`, method: '50.10' }
    expect(refusalOf(error)).toEqual(expected)
    expect((await heard).map(refusalOf)).toEqual([expected])
  })

  it('ends the methods that wait behind the one that caused it', async () => {
    const channel = await openChannel()
    const heard = once(channel, 'error')
    const refused = answer((callback) => channel.checkQueue(queueName(), callback))
    const waiting = answer((callback) => channel.checkExchange('amq.direct', callback))
    await expect(refused).rejects.toThrow('404 (NOT-FOUND)')
    await expect(waiting).rejects.toThrow('Channel ended, no reply will be forthcoming')
    await heard
  })
})
