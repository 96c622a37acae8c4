// amqp-connection-manager: channels that set themselves up again, and publishes that wait for a connection.
import { connect } from 'amqp-connection-manager'
import type { AmqpConnectionManagerOptions, Channel, ChannelWrapper, CreateChannelOpts } from 'amqp-connection-manager'
import type { ConfirmChannel, ConsumeMessage } from 'amqplib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bodies, refusalOf } from '../support/amqplib.ts'
import { needsOwnBroker, useBroker } from '../support/broker.ts'
import { nextEvent } from '../support/event.ts'
import { Inbox } from '../support/inbox.ts'
import { exchangeName, queueName } from '../support/names.ts'

const broker = useBroker()

type Manager = ReturnType<typeof connect>

function manage(options: AmqpConnectionManagerOptions = {}, url = broker.url): Manager {
  const manager = connect(url, { reconnectTimeInSeconds: 0.05, ...options })
  onTestFinished(() => manager.close())
  return manager
}

async function openChannel(options: CreateChannelOpts = {}): Promise<ChannelWrapper> {
  const channel = manage().createChannel(options)
  await channel.waitForConnect()
  return channel
}

describe('amqp-connection-manager', () => {
  it('connects with a heartbeat of its own and tells about it', async () => {
    const manager = manage({ heartbeatIntervalInSeconds: 7 })
    const [{ connection }] = (await nextEvent(manager, 'connect')) as [{ connection: { connection: object } }]
    expect(connection.connection).toMatchObject({ heartbeat: 7 })
    expect(manager.isConnected()).toBe(true)
  })

  it('finds its servers by a function and goes on to the next when one does not answer', async () => {
    const nobody = 'amqp://127.0.0.1:1'
    const manager = connect(undefined, { findServers: async () => [nobody, broker.url], reconnectTimeInSeconds: 0.05 })
    onTestFinished(() => manager.close())
    const failed = nextEvent(manager, 'connectFailed')
    await nextEvent(manager, 'connect')
    expect(await failed).toMatchObject([{ err: { code: 'ECONNREFUSED' }, url: nobody }])
  })

  it('gives up at once when its password is wrong', async () => {
    const url = broker.url.replace('guest:guest', 'guest:wrong')
    const manager = connect(url, { reconnectTimeInSeconds: 0.05 })
    onTestFinished(() => manager.close())
    const [{ err }] = (await nextEvent(manager, 'connectFailed')) as [{ err: Error }]
    expect(refusalOf(err).text).toMatch(/^ACCESS_REFUSED - Login was refused/)
  })

  it('reconnects when it is told to', async () => {
    const manager = manage()
    const channel = manager.createChannel()
    await channel.waitForConnect()
    const again = nextEvent(channel, 'connect')
    manager.reconnect()
    await again
    await channel.checkExchange('amq.direct')
  })
})

describe('a channel of amqp-connection-manager', () => {
  it('runs its set-up, publishes JSON with confirms and consumes', async () => {
    const [queue, exchange] = [queueName(), exchangeName()]
    const channel = await openChannel({
      name: 'interop',
      json: true,
      setup: async (raw: ConfirmChannel) => {
        await raw.assertQueue(queue, { autoDelete: true })
        await raw.assertExchange(exchange, 'topic', { autoDelete: true })
        await raw.bindQueue(queue, exchange, 'orders.*')
      },
    })
    const inbox = new Inbox<ConsumeMessage>()
    const { consumerTag } = await channel.consume(queue, inbox.put, { prefetch: 10 })
    expect(await channel.publish(exchange, 'orders.new', { id: 1 }, { persistent: true })).toBe(true)
    expect(await channel.sendToQueue(queue, { id: 2 })).toBe(true)
    const [first, second] = (await inbox.take(2)) as [ConsumeMessage, ConsumeMessage]
    expect(bodies([first, second])).toEqual(['{"id":1}', '{"id":2}'])
    channel.ack(first)
    channel.nack(second, false, true)
    const again = await inbox.next()
    expect(again.fields.redelivered).toBe(true)
    channel.ack(again)
    await channel.cancel(consumerTag)
  })

  it('passes every method on to the channel below', async () => {
    const channel = await openChannel()
    const queue = queueName()
    const [source, destination] = [exchangeName(), exchangeName()]
    const counts = (messageCount: number) => ({ queue, messageCount, consumerCount: 0 })
    expect(await channel.assertQueue(queue)).toEqual(counts(0))
    for (const exchange of [source, destination]) await channel.assertExchange(exchange, 'fanout')
    await channel.bindExchange(destination, source, '')
    await channel.bindQueue(queue, destination, '')
    for (const body of ['one', 'two', 'three', 'four']) await channel.publish(source, '', body)
    expect(await channel.checkQueue(queue)).toEqual(counts(4))
    expect(await channel.get(queue, {})).toMatchObject({ content: Buffer.from('one'), fields: { messageCount: 3 } })
    await channel.get(queue, {})
    channel.nackAll(true)
    expect(await channel.checkQueue(queue)).toEqual(counts(4))
    await channel.get(queue, {})
    channel.ackAll()
    expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 3 })
    await channel.unbindQueue(queue, destination, '')
    await channel.unbindExchange(destination, source, '')
    for (const exchange of [source, destination]) {
      await channel.checkExchange(exchange)
      await channel.deleteExchange(exchange, {})
    }
    expect(await channel.deleteQueue(queue, {})).toEqual({ messageCount: 0 })
  })

  it('adds a set-up to a channel that runs, and removes it', async () => {
    const channel = await openChannel()
    const queue = queueName()
    const setup = async (raw: Channel): Promise<void> => {
      await raw.assertQueue(queue)
    }
    await channel.addSetup(setup)
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 0 })
    await channel.removeSetup(setup, async (raw: Channel) => {
      await raw.deleteQueue(queue)
    })
    expect(await channel.deleteQueue(queue, {})).toEqual({ messageCount: 0 })
  })

  it('works without confirms as well', async () => {
    const queue = queueName()
    const channel = await openChannel({ confirm: false, setup: (raw: Channel) => raw.assertQueue(queue) as never })
    const inbox = new Inbox<ConsumeMessage>()
    await channel.consume(queue, inbox.put, { noAck: true })
    await channel.sendToQueue(queue, 'no confirm')
    expect(bodies([await inbox.next()])).toEqual(['no confirm'])
  })

  it('subscribes again when the broker cancels its consumer', async () => {
    const queue = queueName()
    const channel = await openChannel({
      setup: async (raw: Channel) => {
        await raw.assertQueue(queue)
      },
    })
    const inbox = new Inbox<ConsumeMessage>()
    await channel.consume(queue, inbox.put, { noAck: true })
    const other = await openChannel()
    await other.deleteQueue(queue, {})
    // The consumer comes back to the new queue whether it finds it at once or after a new connection.
    await other.assertQueue(queue)
    await other.sendToQueue(queue, 'to the new queue')
    expect(bodies([await inbox.next()])).toEqual(['to the new queue'])
  })
})

describe('when the broker is killed and started again', () => {
  it('amqp-connection-manager publishes what was given to it meanwhile, in order', async (context) => {
    needsOwnBroker(context)
    const manager = manage()
    const queue = queueName()
    const channel = manager.createChannel({
      setup: async (raw: Channel) => {
        await raw.assertQueue(queue)
      },
    })
    await channel.waitForConnect()
    await channel.sendToQueue(queue, 'before', { persistent: true })

    const disconnected = nextEvent(manager, 'disconnect')
    await broker.kill()
    await disconnected
    const sent = ['1', '2', '3'].map((body) => channel.sendToQueue(queue, body, { persistent: true }))
    expect(channel.queueLength()).toBe(3)
    const reconnected = nextEvent(channel, 'connect')
    await broker.restart()
    await reconnected
    expect(await Promise.all(sent)).toEqual([true, true, true])
    expect(channel.queueLength()).toBe(0)

    const inbox = new Inbox<ConsumeMessage>()
    await channel.consume(queue, inbox.put)
    expect(bodies(await inbox.take(4))).toEqual(['before', '1', '2', '3'])
    channel.ackAll()
  })

  it('its consumers go on with what was not acknowledged', async (context) => {
    needsOwnBroker(context)
    const manager = manage()
    const queue = queueName()
    const channel = manager.createChannel({
      setup: async (raw: Channel) => {
        await raw.assertQueue(queue)
      },
    })
    const inbox = new Inbox<ConsumeMessage>()
    await channel.consume(queue, inbox.put, { prefetch: 5 })
    await channel.waitForConnect()
    for (const body of ['1', '2', '3']) await channel.sendToQueue(queue, body, { persistent: true })
    const [first] = await inbox.take(3)
    channel.ack(first!)
    // Its confirm comes after the acknowledgement before it on the same channel is on disk.
    await channel.sendToQueue(queue, '4', { persistent: true })
    await inbox.next()

    const disconnected = nextEvent(manager, 'disconnect')
    await broker.kill()
    await disconnected
    await broker.restart()
    expect(bodies(await inbox.take(3))).toEqual(['2', '3', '4'])
    channel.ackAll()
  })
})
