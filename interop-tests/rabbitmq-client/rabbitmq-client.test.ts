// rabbitmq-client: its channels, publishers, consumers and RPC, and how they outlive the broker.
import { Connection, ConsumerStatus } from 'rabbitmq-client'
import type { AsyncMessage, ConnectionOptions, ReturnedMessage } from 'rabbitmq-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { needsOwnBroker, useBroker } from '../support/broker.ts'
import { nextEvent } from '../support/event.ts'
import { Inbox } from '../support/inbox.ts'
import { exchangeName, queueName } from '../support/names.ts'

const broker = useBroker()

/** An error as this client reports it: the name of the reply code, and the method with the reply text. */
interface Reported {
  readonly code: string
  readonly message: string
}

/** Connects, reconnects quickly, and collects the errors that the connection reports. */
function connectTo(options: ConnectionOptions = {}): { rabbit: Connection; errors: Inbox<Reported> } {
  const rabbit = new Connection({ url: broker.url, retryLow: 20, retryHigh: 200, ...options })
  const errors = new Inbox<Reported>()
  rabbit.on('error', errors.put)
  onTestFinished(() => rabbit.unsafeDestroy())
  return { rabbit, errors }
}

describe('a connection of rabbitmq-client', () => {
  it('opens with small frames, a name and heartbeats, and closes in order', async () => {
    const { rabbit, errors } = connectTo({ connectionName: 'interop', heartbeat: 5, frameMax: 8192 })
    await rabbit.onConnect()
    expect(rabbit.ready).toBe(true)
    await rabbit.queueDeclare({ queue: queueName(), exclusive: true })
    await rabbit.close()
    expect(errors.size).toBe(0)
  })

  it('learns that its password is wrong', async () => {
    const { errors } = connectTo({ url: broker.url.replace('guest:guest', 'guest:wrong') })
    expect(await errors.next()).toMatchObject({
      code: 'ACCESS_REFUSED',
      message: expect.stringContaining(
        'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.',
      ),
    })
  })

  it('learns that its virtual host is not there', async () => {
    const { errors } = connectTo({ url: `${broker.url}/nowhere` })
    expect(await errors.next()).toMatchObject({
      code: 'NOT_ALLOWED',
      message: 'ConnectionOpen: NOT_ALLOWED - vhost nowhere not found',
    })
  })

  it('declares, binds, purges and deletes without a channel of the application', async () => {
    const { rabbit } = connectTo()
    const queue = queueName()
    const [source, destination] = [exchangeName(), exchangeName()]
    expect(await rabbit.queueDeclare({ queue, durable: true })).toEqual({ queue, messageCount: 0, consumerCount: 0 })
    await rabbit.exchangeDeclare({ exchange: source, type: 'topic' })
    await rabbit.exchangeDeclare({ exchange: destination, type: 'fanout' })
    await rabbit.exchangeBind({ source, destination, routingKey: 'orders.*' })
    await rabbit.queueBind({ queue, exchange: destination })
    const publisher = rabbit.createPublisher({ confirm: true })
    await publisher.send({ exchange: source, routingKey: 'orders.new' }, { id: 1 })
    expect(await rabbit.basicGet(queue)).toMatchObject({
      body: { id: 1 },
      contentType: 'application/json',
      messageCount: 0,
      routingKey: 'orders.new',
    })
    await rabbit.exchangeUnbind({ source, destination, routingKey: 'orders.*' })
    await rabbit.queueUnbind({ queue, exchange: destination })
    await publisher.send(queue, 'text')
    expect(await rabbit.queuePurge(queue)).toEqual({ messageCount: 1 })
    expect(await rabbit.basicGet(queue)).toBeUndefined()
    expect(await rabbit.queueDelete(queue)).toEqual({ messageCount: 0 })
    for (const exchange of [source, destination]) await rabbit.exchangeDelete({ exchange })
    await publisher.close()
    await rabbit.close()
  })
})

describe('a channel of rabbitmq-client', () => {
  it('answers many methods that were sent at once in their order', async () => {
    const { rabbit } = connectTo()
    const channel = await rabbit.acquire()
    const queues = Array.from({ length: 50 }, () => queueName())
    const answers = await Promise.all(queues.map((queue) => channel.queueDeclare({ queue, exclusive: true })))
    expect(answers.map((answer) => answer.queue)).toEqual(queues)
  })

  it('consumes, acknowledges, gives back and recovers', async () => {
    const { rabbit } = connectTo()
    const channel = await rabbit.acquire()
    await channel.confirmSelect()
    const { queue } = await channel.queueDeclare({ queue: '', exclusive: true })
    await channel.basicQos({ prefetchCount: 10 })
    const inbox = new Inbox<AsyncMessage>()
    const { consumerTag } = await channel.basicConsume({ queue }, inbox.put)
    for (const body of ['one', 'two', 'three']) await channel.basicPublish(queue, body)
    const [one, two, three] = (await inbox.take(3)) as [AsyncMessage, AsyncMessage, AsyncMessage]
    expect([one, two, three].map((message) => message.body)).toEqual(['one', 'two', 'three'])
    channel.basicAck({ deliveryTag: one.deliveryTag })
    channel.basicNack({ deliveryTag: two.deliveryTag, requeue: true })
    expect(await inbox.next()).toMatchObject({ body: 'two', redelivered: true })
    await channel.basicRecover({ requeue: true })
    const again = await inbox.take(2)
    expect(again.map((message) => message.body)).toEqual(['two', 'three'])
    channel.basicNack({ deliveryTag: again[1]!.deliveryTag, multiple: true, requeue: false })
    expect(await channel.basicCancel(consumerTag)).toEqual({ consumerTag })
    expect(await channel.queueDelete(queue)).toEqual({ messageCount: 0 })
  })

  it('sends and gets bodies beyond its frames', async () => {
    const { rabbit } = connectTo({ frameMax: 4096 })
    const channel = await rabbit.acquire()
    await channel.confirmSelect()
    const { queue } = await channel.queueDeclare({ queue: '', exclusive: true })
    const body = Buffer.alloc(1_000_000, 'all work and no play ')
    await channel.basicPublish({ routingKey: queue, durable: true }, body)
    const message = await channel.basicGet({ queue, noAck: true })
    expect(body.equals(message?.body)).toBe(true)
  })

  it('reports what closed it, with the broker’s words', async () => {
    const { rabbit } = connectTo()
    const channel = await rabbit.acquire({ emitErrorsFromChannel: true })
    const queue = queueName()
    await expect(channel.queueDeclare({ queue, passive: true })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(`no queue '${queue}' in vhost '/'`),
    })
    expect(channel.active).toBe(false)
  })

  it.each<[string, string, (rabbit: Connection) => Promise<unknown>]>([
    [
      'a prefetch in bytes',
      'prefetch_size!=0 (1000)',
      async (rabbit) => (await rabbit.acquire()).basicQos({ prefetchSize: 1000 }),
    ],
    [
      'immediate delivery',
      'immediate=true',
      async (rabbit) => (await rabbit.acquire()).basicPublish({ routingKey: 'any', immediate: 'yes' }, 'now'),
    ],
    [
      'recovering without requeueing',
      'requeue=false',
      async (rabbit) => (await rabbit.acquire()).basicRecover({ requeue: false }),
    ],
  ])('that asks for %s loses the connection with 540', async (_, reason, ask) => {
    const { rabbit, errors } = connectTo()
    // Whether the call itself fails depends on the method: one without an answer has returned before.
    await Promise.allSettled([ask(rabbit)])
    expect(await errors.next()).toMatchObject({
      code: 'NOT_IMPLEMENTED',
      message: expect.stringContaining(`NOT_IMPLEMENTED - ${reason}`),
    })
  })
})

describe('a publisher of rabbitmq-client', () => {
  it('declares what it needs and waits for the confirm of each message', async () => {
    const { rabbit } = connectTo()
    const [queue, exchange] = [queueName(), exchangeName()]
    const publisher = rabbit.createPublisher({
      confirm: true,
      queues: [{ queue, durable: true }],
      exchanges: [{ exchange, type: 'topic' }],
      queueBindings: [{ queue, exchange, routingKey: 'users.*' }],
    })
    await Promise.all(
      Array.from({ length: 200 }, (_, id) =>
        publisher.send({ exchange, routingKey: 'users.visit', durable: true }, { id }),
      ),
    )
    expect(await rabbit.queueDelete(queue)).toEqual({ messageCount: 200 })
    await publisher.close()
  })

  it('hands back what no queue wanted', async () => {
    const { rabbit } = connectTo()
    const publisher = rabbit.createPublisher({ confirm: true })
    const returned = new Inbox<ReturnedMessage>()
    publisher.on('basic.return', returned.put)
    await publisher.send({ routingKey: queueName(), mandatory: true, messageId: 'm-1' }, 'nobody wants this')
    expect(await returned.next()).toMatchObject({
      replyCode: 312,
      replyText: 'NO_ROUTE',
      messageId: 'm-1',
      body: 'nobody wants this',
    })
    await publisher.close()
  })

  it('opens a new channel after an error closed the last one', async () => {
    const { rabbit, errors } = connectTo()
    const publisher = rabbit.createPublisher({ confirm: true })
    const queue = queueName()
    await rabbit.queueDeclare({ queue })
    await expect(publisher.send({ exchange: 'no-such-exchange' }, 'x')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: "BasicPublish: NOT_FOUND - no exchange 'no-such-exchange' in vhost '/'",
    })
    expect(errors.size).toBe(0)
    await publisher.send(queue, 'fine')
    expect(await rabbit.queueDelete(queue)).toEqual({ messageCount: 1 })
    await publisher.close()
  })
})

describe('a consumer of rabbitmq-client', () => {
  it('declares its topology and acknowledges, requeues or drops by the answer of its handler', async () => {
    const { rabbit } = connectTo()
    const [queue, exchange] = [queueName(), exchangeName()]
    const handled = new Inbox<AsyncMessage>()
    const consumer = rabbit.createConsumer(
      {
        queue,
        queueOptions: { autoDelete: true },
        exchanges: [{ exchange, type: 'direct', autoDelete: true }],
        queueBindings: [{ queue, exchange, routingKey: 'work' }],
        qos: { prefetchCount: 2 },
        concurrency: 1,
      },
      (message) => {
        handled.put(message)
        if (message.body === 'drop') return ConsumerStatus.DROP
        if (message.body === 'again' && !message.redelivered) return ConsumerStatus.REQUEUE
        return ConsumerStatus.ACK
      },
    )
    await nextEvent(consumer, 'ready')
    const publisher = rabbit.createPublisher({ confirm: true })
    for (const body of ['keep', 'drop', 'again']) await publisher.send({ exchange, routingKey: 'work' }, body)
    const messages = await handled.take(4)
    expect(messages.map((message) => [message.body, message.redelivered])).toEqual([
      ['keep', false],
      ['drop', false],
      ['again', false],
      ['again', true],
    ])
    await publisher.close()
    await consumer.close()
    expect(consumer.stats).toMatchObject({ acknowledged: 2, dropped: 1, requeued: 1 })
  })

  it('subscribes again when its queue was deleted under it', async () => {
    const { rabbit } = connectTo()
    const queue = queueName()
    const handled = new Inbox<AsyncMessage>()
    const consumer = rabbit.createConsumer({ queue, queueOptions: { autoDelete: true } }, (message) => {
      handled.put(message)
    })
    const errors = new Inbox<Reported>()
    consumer.on('error', errors.put)
    await nextEvent(consumer, 'ready')
    const readyAgain = nextEvent(consumer, 'ready')
    await rabbit.queueDelete(queue)
    expect(await errors.next()).toMatchObject({ code: 'CANCEL_FORCED' })
    await readyAgain
    const publisher = rabbit.createPublisher({ confirm: true })
    await publisher.send(queue, 'to the new queue')
    expect((await handled.next()).body).toBe('to the new queue')
    await publisher.close()
    await consumer.close()
  })
})

describe('transactions of rabbitmq-client', () => {
  it('deliver at their commit and forget at their rollback', async () => {
    const { rabbit } = connectTo()
    const channel = await rabbit.acquire()
    const { queue } = await channel.queueDeclare({ queue: '', exclusive: true })
    await channel.txSelect()
    await channel.basicPublish(queue, 'rolled back')
    await channel.txRollback()
    await channel.basicPublish(queue, 'committed')
    expect(await rabbit.basicGet(queue)).toBeUndefined()
    await channel.txCommit()
    expect(await rabbit.basicGet({ queue, noAck: true })).toMatchObject({ body: 'committed', messageCount: 0 })
  })
})

describe('an RPC client of rabbitmq-client', () => {
  it('gets its answers by direct reply-to', async () => {
    const { rabbit } = connectTo()
    const queue = queueName()
    const server = rabbit.createConsumer({ queue, queueOptions: { autoDelete: true } }, async (request, reply) => {
      await reply({ doubled: request.body.number * 2 })
    })
    await nextEvent(server, 'ready')
    const client = rabbit.createRPCClient({ confirm: true, timeout: 10_000 })
    const answers = await Promise.all([1, 2, 3].map((number) => client.send(queue, { number })))
    expect(answers.map((answer) => answer.body)).toEqual([{ doubled: 2 }, { doubled: 4 }, { doubled: 6 }])
    await client.close()
    await server.close()
  })
})

describe('when the broker is killed and started again', () => {
  it('rabbitmq-client consumes again and gets what it had not acknowledged', async (context) => {
    needsOwnBroker(context)
    const { rabbit, errors } = connectTo()
    const queue = queueName()
    const handled = new Inbox<{ message: AsyncMessage; done: (status: ConsumerStatus) => void }>()
    const consumer = rabbit.createConsumer(
      { queue, queueOptions: { durable: true }, qos: { prefetchCount: 3 } },
      (message) => new Promise((done) => handled.put({ message, done })),
    )
    consumer.on('error', () => undefined)
    await nextEvent(consumer, 'ready')
    const publisher = rabbit.createPublisher({ confirm: true, maxAttempts: 5 })
    for (let id = 1; id <= 3; id++) await publisher.send({ routingKey: queue, durable: true }, { id })
    const held = await handled.take(3)

    const ready = nextEvent(consumer, 'ready')
    await broker.kill()
    expect((await errors.next()).message).toMatch(/socket closed|ECONNRESET|read END/i)
    // The consumer sets itself up again as soon as the handlers of the lost deliveries are through.
    for (const { done } of held) done(ConsumerStatus.ACK)
    await broker.restart()
    await ready
    const again = await handled.take(3)
    expect(again.map(({ message }) => message.body)).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
    for (const { done } of again) done(ConsumerStatus.ACK)

    await publisher.send({ routingKey: queue, durable: true }, { id: 4 })
    const fourth = await handled.next()
    expect(fourth.message.body).toEqual({ id: 4 })
    fourth.done(ConsumerStatus.ACK)
    await publisher.close()
    await consumer.close()
  })

  it('a publisher of rabbitmq-client sends what it was given meanwhile', async (context) => {
    needsOwnBroker(context)
    const { rabbit, errors } = connectTo()
    const queue = queueName()
    await rabbit.queueDeclare({ queue, durable: true })
    const publisher = rabbit.createPublisher({ confirm: true, maxAttempts: 10 })
    await publisher.send({ routingKey: queue, durable: true }, 'before')
    await broker.kill()
    await errors.next()
    const sent = publisher.send({ routingKey: queue, durable: true }, 'while it was down')
    await broker.restart()
    await sent
    expect(await rabbit.queueDelete(queue)).toEqual({ messageCount: 2 })
    await publisher.close()
  })
})
