// @cloudamqp/amqp-client: its low-level client and its sessions, and how sessions outlive the broker.
import { AMQPClient, AMQPSession } from '@cloudamqp/amqp-client'
import type { AMQPChannel, AMQPMessage, AMQPSessionOptions } from '@cloudamqp/amqp-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { needsOwnBroker, useBroker } from '../support/broker.ts'
import { Inbox } from '../support/inbox.ts'
import { exchangeName, queueName } from '../support/names.ts'

const broker = useBroker()

async function connectTo(query = ''): Promise<{ client: AMQPClient; errors: Inbox<Error> }> {
  const client = new AMQPClient(broker.url + query)
  const errors = new Inbox<Error>()
  Object.assign(client, { onerror: errors.put })
  await client.connect()
  onTestFinished(async () => {
    if (!client.closed) await client.close()
  })
  return { client, errors }
}

async function openChannel(query = ''): Promise<AMQPChannel> {
  return (await connectTo(query)).client.channel()
}

async function openSession(options: AMQPSessionOptions = {}): Promise<AMQPSession> {
  const session = await AMQPSession.connect(broker.url, {
    reconnectInterval: 20,
    maxReconnectInterval: 200,
    ...options,
  })
  onTestFinished(() => session.stop())
  return session
}

describe('a connection of @cloudamqp/amqp-client', () => {
  it('agrees on small frames and heartbeats and closes in order', async () => {
    const { client, errors } = await connectTo('?heartbeat=20&frameMax=16384&channelMax=7&name=interop')
    expect(client).toMatchObject({ heartbeat: 20, frameMax: 16_384, channelMax: 7, closed: false })
    await client.close('that was all', 200)
    expect(client.closed).toBe(true)
    expect(errors.size).toBe(0)
  })

  it('learns that its password is wrong', async () => {
    const client = new AMQPClient(broker.url.replace('guest:guest', 'guest:wrong'))
    await expect(client.connect()).rejects.toThrow(
      'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.',
    )
  })

  it('learns that its virtual host is not there', async () => {
    const client = new AMQPClient(`${broker.url}/nowhere`)
    await expect(client.connect()).rejects.toThrow('NOT_ALLOWED - vhost nowhere not found (530)')
  })

  it('takes a new secret', async () => {
    const { client } = await connectTo()
    await client.updateSecret('new secret', 'because')
    await (await client.channel()).exchangeDeclare('amq.direct', 'direct', { passive: true })
  })
})

describe('a channel of @cloudamqp/amqp-client', () => {
  it('declares, binds, gets, purges and deletes', async () => {
    const channel = await openChannel()
    await channel.confirmSelect()
    const [source, destination] = [exchangeName(), exchangeName()]
    const { name } = await channel.queueDeclare('', { exclusive: true })
    await channel.exchangeDeclare(source, 'topic', { durable: false })
    await channel.exchangeDeclare(destination, 'fanout', { durable: false })
    await channel.exchangeBind(destination, source, 'a.#')
    await channel.queueBind(name, destination, '')
    await channel.basicPublish(source, 'a.b', 'first', { contentType: 'text/plain', timestamp: new Date(1.7e12) })
    const message = await channel.basicGet(name, { noAck: false })
    expect(message?.bodyString()).toBe('first')
    expect(message).toMatchObject({
      exchange: source,
      routingKey: 'a.b',
      redelivered: false,
      messageCount: 0,
      properties: { contentType: 'text/plain', timestamp: new Date(1.7e12) },
    })
    await message?.ack()
    await channel.exchangeUnbind(destination, source, 'a.#')
    await channel.queueUnbind(name, destination, '')
    await channel.basicPublish('', name, 'second')
    expect(await channel.queuePurge(name)).toEqual({ messageCount: 1 })
    expect(await channel.basicGet(name)).toBe(null)
    expect(await channel.queueDelete(name)).toEqual({ messageCount: 0 })
    await channel.exchangeDelete(source)
    await channel.exchangeDelete(destination)
  })

  it('keeps headers of all kinds', async () => {
    const channel = await openChannel()
    await channel.confirmSelect()
    const { name } = await channel.queueDeclare('', { exclusive: true })
    const headers = {
      text: 'naïve',
      yes: true,
      small: 1,
      large: 5_000_000_000,
      fraction: 1.5,
      nothing: null,
      list: ['a', 1, { deep: false }],
      table: { nested: { again: 'x' } },
    }
    await channel.basicPublish('', name, 'with headers', { headers, deliveryMode: 2, priority: 4 })
    const message = await channel.basicGet(name, { noAck: true })
    expect(message?.properties).toMatchObject({ deliveryMode: 2, priority: 4 })
    expect(message?.properties.headers).toEqual(headers)
  })

  it('sends and gets bodies beyond its frames', async () => {
    const channel = await openChannel('?frameMax=8192')
    await channel.confirmSelect()
    const { name } = await channel.queueDeclare('', { exclusive: true })
    const body = Buffer.alloc(500_000, 'round and round ')
    await channel.basicPublish('', name, body)
    const message = await channel.basicGet(name, { noAck: true })
    expect(body.equals(message?.body ?? Buffer.alloc(0))).toBe(true)
  })

  it('confirms publishes with the tags it counted', async () => {
    const channel = await openChannel()
    await channel.confirmSelect()
    const { name } = await channel.queueDeclare('', { exclusive: true })
    const tags = await Promise.all(Array.from({ length: 100 }, () => channel.basicPublish('', name, 'x')))
    expect(tags).toEqual(Array.from({ length: 100 }, (_, index) => index + 1))
  })

  it('consumes by callback and by iteration', async () => {
    const channel = await openChannel()
    const { name } = await channel.queueDeclare('', { exclusive: true, autoDelete: false })
    await channel.basicQos(2)
    const inbox = new Inbox<AMQPMessage>()
    const consumer = await channel.basicConsume(name, { noAck: false, tag: 'by-callback' }, inbox.put)
    for (const body of ['1', '2', '3']) await channel.basicPublish('', name, body)
    const [first, second] = (await inbox.take(2)) as [AMQPMessage, AMQPMessage]
    await first.ack()
    expect((await inbox.next()).bodyString()).toBe('3')
    await second.nack(true)
    expect(await inbox.next()).toMatchObject({ redelivered: true })
    await channel.basicRecover(true)
    expect((await inbox.take(2)).map((message) => message.bodyString())).toEqual(['2', '3'])
    await channel.basicAck(0, true)
    await consumer.cancel()

    const iterated = await channel.basicConsume(name, { noAck: true })
    for (const body of ['4', '5']) await channel.basicPublish('', name, body)
    const seen: (string | null)[] = []
    for await (const message of iterated.messages) {
      seen.push(message.bodyString())
      if (seen.length === 2) break
    }
    expect(seen).toEqual(['4', '5'])
  })

  it('gets back what no queue wanted', async () => {
    const channel = await openChannel()
    const returned = new Inbox<AMQPMessage>()
    channel.onReturn = returned.put
    await channel.basicPublish('amq.direct', 'no-such-key', 'come back', {}, true)
    const message = await returned.next()
    expect(message).toMatchObject({ replyCode: 312, replyText: 'NO_ROUTE' })
    expect(message.bodyString()).toBe('come back')
  })

  it('keeps flowing when it asks for it', async () => {
    const channel = await openChannel()
    expect(await channel.basicFlow(true)).toBe(true)
  })

  it('is closed with the broker’s words by what it may not do', async () => {
    const { client, errors } = await connectTo()
    const refused = async (text: string, operation: (channel: AMQPChannel) => Promise<unknown>): Promise<void> => {
      const channel = await client.channel()
      await expect(operation(channel)).rejects.toThrow(text)
      expect(channel.closed).toBe(true)
      expect((await errors.next()).message).toContain(text)
    }
    const queue = queueName()
    await refused(`NOT_FOUND - no queue '${queue}' in vhost '/' (404)`, (channel) =>
      channel.queueDeclare(queue, { passive: true }),
    )
    await refused("ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*' (403)", (channel) =>
      channel.queueDeclare('amq.mine'),
    )
    await refused("PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct'", (channel) =>
      channel.exchangeDeclare('amq.direct', 'fanout', { durable: true }),
    )
  })

  it.each<[string, string, (channel: AMQPChannel) => Promise<unknown>]>([
    ['a prefetch in bytes', 'prefetch_size!=0 (512)', (channel) => channel.basicQos(1, 512)],
    ['recovering without requeueing', 'requeue=false', (channel) => channel.basicRecover(false)],
    ['immediate delivery', 'immediate=true', (channel) => channel.basicPublish('', 'any', 'now', {}, false, true)],
    ['the flow to stop', 'active=false', (channel) => channel.basicFlow(false)],
  ])('that asks for %s loses the connection with 540', async (_, reason, ask) => {
    const { client, errors } = await connectTo()
    const channel = await client.channel()
    await Promise.allSettled([ask(channel)])
    expect((await errors.next()).message).toContain(`NOT_IMPLEMENTED - ${reason}`)
  })

  it('publishes and acknowledges in transactions', async () => {
    const { client } = await connectTo()
    const channel = await client.channel()
    const other = await client.channel()
    const { name } = await channel.queueDeclare('', { exclusive: true })
    await channel.txSelect()
    await channel.basicPublish('', name, 'rolled back')
    await channel.txRollback()
    await channel.basicPublish('', name, 'committed')
    expect(await other.basicGet(name)).toBe(null)
    await channel.txCommit()
    const message = await channel.basicGet(name, { noAck: false })
    expect(message?.bodyString()).toBe('committed')
    await message?.ack()
    await channel.txCommit()
    await channel.close()
    expect(await other.queueDelete(name)).toEqual({ messageCount: 0 })
  })

  it('is closed when it wants confirms beside transactions', async () => {
    const channel = await openChannel()
    await channel.txSelect()
    await expect(channel.confirmSelect()).rejects.toThrow(
      'PRECONDITION_FAILED - cannot switch from tx to confirm mode (406)',
    )
  })
})

describe('a session of @cloudamqp/amqp-client', () => {
  it('publishes with confirms to queues and exchanges and consumes in three ways', async () => {
    const session = await openSession()
    const exchange = await session.topicExchange(exchangeName(), { durable: false })
    const queue = await session.queue(queueName())
    await queue.bind(exchange, 'orders.*')
    await exchange.publish('by exchange', { routingKey: 'orders.new' })
    await queue.publish('by queue')
    expect((await queue.get({ noAck: true }))?.bodyString()).toBe('by exchange')
    expect((await queue.consumeOne()).bodyString()).toBe('by queue')

    const inbox = new Inbox<string | null>()
    const subscription = await queue.subscribe({ prefetch: 5 }, (message) => inbox.put(message.bodyString()))
    await exchange.publish('subscribed', { routingKey: 'orders.paid' })
    expect(await inbox.next()).toBe('subscribed')
    await subscription.cancel()

    await queue.unbind(exchange, 'orders.*')
    await exchange.publish('to nobody', { routingKey: 'orders.new' })
    expect(await queue.purge()).toEqual({ messageCount: 0 })
    await exchange.delete()
    expect(await queue.delete()).toEqual({ messageCount: 0 })
  })

  it('requeues what its handler failed at', async () => {
    const session = await openSession()
    const queue = await session.queue(queueName(), { autoDelete: true })
    const attempts = new Inbox<boolean>()
    await queue.subscribe((message) => {
      attempts.put(message.redelivered)
      if (!message.redelivered) throw new Error('not this time')
    })
    await queue.publish('try again')
    expect(await attempts.take(2)).toEqual([false, true])
  })

  it('hears of messages that no queue wanted', async () => {
    const returned = new Inbox<AMQPMessage>()
    const session = await openSession({ onreturn: returned.put })
    const exchange = await session.directExchange()
    await exchange.publish('come back', { routingKey: 'no-such-key', mandatory: true })
    expect((await returned.next()).bodyString()).toBe('come back')
  })

  it('opens a new channel after an error closed the one it used', async () => {
    const session = await openSession()
    const queue = await session.queue(queueName(), { autoDelete: true })
    await expect(queue.bind('no-such-exchange')).rejects.toThrow("no exchange 'no-such-exchange' in vhost '/'")
    await queue.publish('fine')
    expect((await queue.get({ noAck: true }))?.bodyString()).toBe('fine')
  })

  it('calls and serves by direct reply-to', async () => {
    const session = await openSession()
    const queue = queueName()
    const server = await session.rpcServer(queue, (message) => `${message.bodyString()}, world`)
    expect((await session.rpcCall(queue, 'hello')).bodyString()).toBe('hello, world')
    const client = await session.rpcClient()
    const answers = await Promise.all(['a', 'b', 'c'].map((body) => client.call(queue, body)))
    expect(answers.map((answer) => answer.bodyString())).toEqual(['a, world', 'b, world', 'c, world'])
    await client.close()
    await server.close()
  })
})

describe('when the broker is killed and started again', () => {
  it('a session of @cloudamqp/amqp-client goes on consuming and publishing', async (context) => {
    needsOwnBroker(context)
    const connected = new Inbox<void>()
    const disconnected = new Inbox<void>()
    const session = await openSession({ onconnect: () => connected.put(), ondisconnect: () => disconnected.put() })
    await connected.next()
    const queue = await session.queue(queueName(), { durable: true })
    const received = new Inbox<AMQPMessage>()
    await queue.subscribe({ manualAck: true }, received.put)
    await queue.publish('before')
    expect((await received.next()).bodyString()).toBe('before')

    await broker.kill()
    await disconnected.next()
    await broker.restart()
    await connected.next()
    const again = await received.next()
    expect(again.bodyString()).toBe('before')
    await again.ack()
    await queue.publish('after')
    expect((await received.next()).bodyString()).toBe('after')
  })

  it('an iteration over a subscription goes on', async (context) => {
    needsOwnBroker(context)
    const connected = new Inbox<void>()
    const disconnected = new Inbox<void>()
    const session = await openSession({ onconnect: () => connected.put(), ondisconnect: () => disconnected.put() })
    await connected.next()
    const queue = await session.queue(queueName(), { durable: true })
    const subscription = await queue.subscribe({ prefetch: 10 })
    const received = new Inbox<string | null>()
    const iteration = (async () => {
      for await (const message of subscription) received.put(message.bodyString())
    })()
    await queue.publish('before')
    expect(await received.next()).toBe('before')

    await broker.kill()
    await disconnected.next()
    await broker.restart()
    await connected.next()
    // An iteration acknowledges a message when the next one is there, so this one comes again.
    await queue.publish('after')
    const seen = new Set<string | null>()
    while (!seen.has('after')) seen.add(await received.next())
    expect([...seen].filter((body) => body !== 'before')).toEqual(['after'])
    await subscription.cancel()
    await iteration
  })
})
