// amqplib: what an application has after its broker was killed and started again.
import { once } from 'node:events'
import { connect } from 'amqplib'
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { bodies, connectTo, refusal, subscribe } from '../support/amqplib.ts'
import { needsOwnBroker, useBroker } from '../support/broker.ts'
import { nextEvent } from '../support/event.ts'
import { Inbox } from '../support/inbox.ts'
import { exchangeName, queueName } from '../support/names.ts'

const broker = useBroker()

beforeEach(needsOwnBroker)

/** Kills the broker under the connection, waits until the client saw it, and starts the broker again. */
async function killUnder(connection: ChannelModel): Promise<void> {
  const lost = once(connection, 'error')
  await broker.kill()
  await lost
  await broker.restart()
}

/** Everything that the queue holds, in order. */
async function contents(channel: Channel, queue: string): Promise<string[]> {
  const { messageCount } = await channel.checkQueue(queue)
  const { consumerTag, inbox } = await subscribe(channel, queue)
  const messages = await inbox.take(messageCount)
  await channel.cancel(consumerTag)
  channel.ackAll()
  return bodies(messages)
}

function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => String(from + index))
}

describe('after SIGKILL and a new start', () => {
  it('confirmed persistent messages are there in their order', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    for (const body of numbered(1, 2000)) channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
    await channel.waitForConfirms()
    await killUnder(connection)
    expect(await contents(await (await connectTo(broker)).createChannel(), queue)).toEqual(numbered(1, 2000))
  })

  it('a message comes back with its properties, headers and body', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    const properties = {
      contentType: 'application/octet-stream',
      headers: { list: [1, 'two', { three: true }], nothing: null },
      deliveryMode: 2,
      priority: 3,
      correlationId: 'correlation',
      messageId: 'message',
      timestamp: 1_700_000_000,
      type: 'kind',
      appId: 'interop',
    }
    const content = Buffer.alloc(300_000, 'content')
    channel.sendToQueue(queue, content, properties)
    await channel.waitForConfirms()
    await killUnder(connection)
    const message = await (await (await connectTo(broker)).createChannel()).get(queue, { noAck: true })
    expect(message).toMatchObject({ properties, fields: { exchange: '', routingKey: queue } })
    expect(message && message.content.equals(content)).toBe(true)
  })

  it('exactly what was not acknowledged is back', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    for (const body of numbered(1, 300)) channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
    await channel.waitForConfirms()
    await channel.prefetch(100)
    const { inbox } = await subscribe(channel, queue)
    const messages = await inbox.take(100)
    const odd = messages.filter((message) => Number(message.content.toString()) % 2 === 1)
    for (const message of odd) channel.ack(message)
    // An acknowledgement has no answer of its own. What the same channel publishes after it is confirmed no sooner than
    // the acknowledgement is on disk, so the confirm tells that both are.
    channel.sendToQueue(queue, Buffer.from('last'), { persistent: true })
    await channel.waitForConfirms()
    await killUnder(connection)
    const even = numbered(1, 100).filter((body) => Number(body) % 2 === 0)
    const left = await contents(await (await connectTo(broker)).createChannel(), queue)
    expect(left).toEqual([...even, ...numbered(101, 300), 'last'])
  })

  it('nothing that was confirmed under load is lost, and nothing is there twice', async () => {
    const connection = await connectTo(broker)
    const publisher = await connection.createConfirmChannel()
    const queue = queueName()
    await publisher.assertQueue(queue)
    const lost = once(connection, 'error')
    const confirmed = new Set<string>()
    const enough = new Inbox<void>()
    const publish = (message: number): void => {
      publisher.sendToQueue(queue, Buffer.from(`${message}`.padEnd(1000)), { persistent: true }, (error) => {
        if (error !== null) return
        confirmed.add(String(message))
        enough.put()
        publish(message + 1000)
      })
    }
    for (let message = 0; message < 1000; message++) publish(message)
    await enough.take(5000)
    await broker.kill()
    await lost
    await broker.restart()
    const found = await contents(await (await connectTo(broker)).createChannel(), queue)
    const left = new Set(found.map((body) => body.trimEnd()))
    expect(left.size).toBe(found.length)
    expect([...confirmed].filter((message) => !left.has(message))).toEqual([])
  })

  it('what was delivered and not acknowledged is marked as redelivered or comes as new, but comes', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    for (const body of numbered(1, 10)) channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
    await channel.waitForConfirms()
    await (await subscribe(channel, queue)).inbox.take(10)
    await killUnder(connection)
    const { inbox } = await subscribe(await (await connectTo(broker)).createChannel(), queue)
    expect(bodies(await inbox.take(10))).toEqual(numbered(1, 10))
  })

  it('durable exchanges, queues and their bindings are there, with their arguments', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createChannel()
    const [queue, source, destination] = [queueName(), exchangeName(), exchangeName()]
    const queueOptions = { maxLength: 50_000, arguments: { 'x-custom': 'kept' } }
    const exchangeOptions = { alternateExchange: 'amq.fanout' }
    await channel.assertQueue(queue, queueOptions)
    await channel.assertExchange(source, 'topic', exchangeOptions)
    await channel.assertExchange(destination, 'headers')
    await channel.bindExchange(destination, source, 'orders.#')
    await channel.bindQueue(queue, destination, '', { 'x-match': 'all', kind: 'order' })
    await killUnder(connection)
    const again = await (await connectTo(broker)).createConfirmChannel()
    await again.assertQueue(queue, queueOptions)
    await again.assertExchange(source, 'topic', exchangeOptions)
    await again.assertExchange(destination, 'headers')
    again.publish(source, 'orders.new', Buffer.from('routed'), { headers: { kind: 'order' } })
    again.publish(source, 'orders.new', Buffer.from('other kind'), { headers: { kind: 'offer' } })
    await again.waitForConfirms()
    expect(await contents(again, queue)).toEqual(['routed'])
  })

  it('what was deleted or unbound stays away', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const [kept, deleted, exchange] = [queueName(), queueName(), exchangeName()]
    await channel.assertExchange(exchange, 'direct')
    for (const queue of [kept, deleted]) {
      await channel.assertQueue(queue)
      await channel.bindQueue(queue, exchange, 'key')
      channel.sendToQueue(queue, Buffer.from('purged or deleted'), { persistent: true })
    }
    await channel.waitForConfirms()
    await channel.unbindQueue(kept, exchange, 'key')
    await channel.purgeQueue(kept)
    await channel.deleteQueue(deleted)
    await killUnder(connection)
    const reconnected = await connectTo(broker)
    expect(await refusal(reconnected, (other) => other.checkQueue(deleted))).toMatchObject({ code: 404 })
    const again = await reconnected.createConfirmChannel()
    again.publish(exchange, 'key', Buffer.from('unbound'), { persistent: true })
    await again.waitForConfirms()
    expect(await again.checkQueue(kept)).toMatchObject({ messageCount: 0 })
  })

  it('transient messages, transient queues and exclusive queues are gone', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const [durable, transient, exclusive] = [queueName(), queueName(), queueName()]
    await channel.assertQueue(durable)
    await channel.assertQueue(transient, { durable: false })
    await channel.assertQueue(exclusive, { exclusive: true })
    for (const queue of [durable, transient, exclusive]) {
      channel.sendToQueue(queue, Buffer.from('transient'))
      channel.sendToQueue(queue, Buffer.from('persistent'), { persistent: true })
    }
    await channel.waitForConfirms()
    await killUnder(connection)
    const reconnected = await connectTo(broker)
    expect(await contents(await reconnected.createChannel(), durable)).toEqual(['persistent'])
    for (const queue of [transient, exclusive]) {
      expect(await refusal(reconnected, (other) => other.checkQueue(queue))).toMatchObject({ code: 404 })
    }
  })

  it('a queue can be used as before: declared again, filled, emptied and deleted', async () => {
    const queue = queueName()
    for (let round = 1; round <= 3; round++) {
      const connection = await connectTo(broker)
      const channel = await connection.createConfirmChannel()
      expect(await channel.assertQueue(queue)).toMatchObject({ messageCount: (round - 1) * 10 })
      for (const body of numbered(round * 10 - 9, round * 10)) {
        channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
      }
      await channel.waitForConfirms()
      await killUnder(connection)
    }
    const channel = await (await connectTo(broker)).createChannel()
    expect(await contents(channel, queue)).toEqual(numbered(1, 30))
    expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 0 })
  })
})

describe('after a stop in order and a new start', () => {
  it('persistent messages, also those that were never confirmed to anybody, are there', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    for (const body of numbered(1, 500)) channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
    // The answer to this tells that the broker has read all publishes before it.
    await channel.checkExchange('amq.direct')
    const closed = once(connection, 'close')
    await broker.restart()
    await closed
    expect(await contents(await (await connectTo(broker)).createChannel(), queue)).toEqual(numbered(1, 500))
  })
})

describe('amqplib’s own recovery', () => {
  it('connects again, sets up again and goes on consuming', async () => {
    const queue = queueName()
    const inbox = new Inbox<ConsumeMessage>()
    const connection = await connect(broker.url, {
      recovery: {
        initialDelay: 20,
        maxDelay: 100,
        setup: async (model: ChannelModel) => {
          const channel = await model.createChannel()
          await channel.assertQueue(queue)
          await channel.consume(queue, (message) => {
            if (message === null) return
            inbox.put(message)
            channel.ack(message)
          })
        },
      },
    })
    onTestFinished(() => connection.close())
    const failures: Error[] = []
    connection.on('error', (error) => failures.push(error))

    const publish = async (body: string): Promise<void> => {
      const channel = await connection.createConfirmChannel()
      channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
      await channel.waitForConfirms()
      await channel.close()
    }
    await publish('before')
    expect(bodies([await inbox.next()])).toEqual(['before'])

    const disconnected = nextEvent(connection, 'disconnect')
    const reconnected = nextEvent(connection, 'connect')
    await broker.kill()
    await disconnected
    await broker.restart()
    await reconnected
    await publish('after')
    const bodiesAfter = new Set<string>()
    // An acknowledgement may have been lost with the broker, so the first message may come once more.
    while (!bodiesAfter.has('after')) bodiesAfter.add((await inbox.next()).content.toString())
    expect([...bodiesAfter].filter((body) => body !== 'before')).toEqual(['after'])
    expect(failures.map((error) => error.message)).toHaveLength(1)
  })
})
