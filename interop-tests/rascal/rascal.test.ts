// rascal: topology by configuration, publications, subscriptions, recovery strategies, and a lost broker.
import type { EventEmitter } from 'node:events'
import type { Message } from 'amqplib'
import { BrokerAsPromised, withDefaultConfig, withTestConfig } from 'rascal'
import type { AckOrNack } from 'rascal'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectTo, refusal } from '../support/amqplib.ts'
import { needsOwnBroker, useBroker } from '../support/broker.ts'
import { nextEvent } from '../support/event.ts'
import { Inbox } from '../support/inbox.ts'
import { exchangeName, queueName } from '../support/names.ts'

const broker = useBroker()

interface Delivery {
  readonly message: Message
  readonly content: unknown
  readonly ackOrNack: AckOrNack
}

type Section = Record<string, object>

interface VhostConfig {
  readonly connection: object
  readonly exchanges: Section
  readonly queues: Section
  readonly bindings: Section
  readonly publications: Section
  readonly subscriptions: Section
}

interface Topology {
  readonly queue: string
  readonly exchange: string
  /** One exchange with one queue bound to it, publications to both and a subscription; tests may add to it. */
  readonly vhost: VhostConfig
  readonly config: { vhosts: Record<string, VhostConfig> }
}

function topology(): Topology {
  const [queue, exchange] = [queueName(), exchangeName()]
  const vhost = {
    connection: { url: broker.url, retry: { min: 20, max: 200 } },
    exchanges: { [exchange]: { type: 'topic' } },
    queues: { [queue]: {} },
    bindings: { orders: { source: exchange, destination: queue, bindingKey: 'orders.#' } },
    publications: {
      order: { exchange, routingKey: 'orders.new' },
      direct: { queue, confirm: false },
    },
    subscriptions: { orders: { queue, prefetch: 3, retry: { min: 20, max: 200 } } },
  }
  return { queue, exchange, vhost, config: { vhosts: { '/': vhost } } }
}

/** The broker of rascal; at the end of the test it waits until every delivery was acknowledged, and shuts down. */
async function create(config: object): Promise<BrokerAsPromised> {
  const rascal = await BrokerAsPromised.create(config)
  onTestFinished(() => rascal.shutdown())
  return rascal
}

/** Publishes and resolves when the broker has confirmed, or when it came back or failed. */
async function published(
  rascal: BrokerAsPromised,
  name: string,
  content: unknown,
  overrides?: object,
): Promise<'success'> {
  const publication = await rascal.publish(name, content, overrides)
  return outcome(publication)
}

function outcome(publication: EventEmitter): Promise<'success'> {
  return new Promise((resolve, reject) => {
    publication.on('success', () => resolve('success'))
    publication.on('error', reject)
    publication.on('return', () => reject(new Error('The message was returned.')))
  })
}

/** Subscribes and resolves when the broker has confirmed it. */
async function subscribed(rascal: BrokerAsPromised, name: string, overrides?: object): Promise<Inbox<Delivery>> {
  const subscription = await rascal.subscribe(name, overrides)
  const inbox = new Inbox<Delivery>()
  const ready = nextEvent(subscription, 'subscribed')
  subscription.on('message', (message, content, ackOrNack) => inbox.put({ message, content, ackOrNack }))
  // What goes wrong shows as a message that does not come; a lost connection is to be survived.
  subscription.on('error', () => undefined)
  await ready
  return inbox
}

describe('rascal', () => {
  it('builds what its configuration asks for and carries text, JSON and bytes through it', async () => {
    const rascal = await create(withDefaultConfig(topology().config))
    const inbox = await subscribed(rascal, 'orders')
    const contents = ['text', { json: [1, 2, 3] }, Buffer.from([0, 255])]
    for (const content of contents) {
      await published(rascal, 'order', content)
      const delivery = await inbox.next()
      expect(delivery.content).toEqual(content)
      expect(delivery.message).toMatchObject({
        fields: { routingKey: 'orders.new', redelivered: false },
        properties: { deliveryMode: 2, messageId: expect.any(String) },
      })
      delivery.ackOrNack()
    }
  })

  it('publishes without confirms, with other keys and with other options', async () => {
    const rascal = await create(withDefaultConfig(topology().config))
    const inbox = await subscribed(rascal, 'orders')
    await published(rascal, 'direct', 'to the queue')
    const direct = await inbox.next()
    expect(direct.message.fields).toMatchObject({ exchange: '' })
    direct.ackOrNack()
    await published(rascal, 'order', 'elsewhere', { routingKey: 'orders.paid', options: { type: 'payment' } })
    const paid = await inbox.next()
    expect(paid.message).toMatchObject({ fields: { routingKey: 'orders.paid' }, properties: { type: 'payment' } })
    paid.ackOrNack()
  })

  it('hears of a message that no queue wanted', async () => {
    const rascal = await create(withDefaultConfig(topology().config))
    const publication = await rascal.publish('order', 'nobody', 'unknown.key')
    const [returned] = (await nextEvent(publication, 'return')) as [Message]
    expect(returned).toMatchObject({ fields: { replyCode: 312, replyText: 'NO_ROUTE', routingKey: 'unknown.key' } })
  })

  it('takes several at a time and no more than its prefetch', async () => {
    const { queue, config } = topology()
    const rascal = await create(withDefaultConfig(config))
    const inbox = await subscribed(rascal, 'orders')
    for (let id = 0; id < 5; id++) await published(rascal, 'order', { id })
    const taken = await inbox.take(3)
    const observer = await (await connectTo(broker)).createChannel()
    expect(await observer.checkQueue(queue)).toMatchObject({ messageCount: 2, consumerCount: 1 })
    for (const { ackOrNack } of taken) ackOrNack()
    for (const { ackOrNack } of await inbox.take(2)) ackOrNack()
  })

  it('republishes what its handler failed at, as often as it was told, and then drops it', async () => {
    const { queue, config } = topology()
    const rascal = await create(withDefaultConfig(config))
    const inbox = await subscribed(rascal, 'orders')
    await published(rascal, 'order', { fragile: true })
    const recovery = [{ strategy: 'republish', attempts: 2 }, { strategy: 'nack' }]
    for (let attempt = 0; attempt < 3; attempt++) {
      const { message, content, ackOrNack } = await inbox.next()
      expect(content).toEqual({ fragile: true })
      const republished = message.properties.headers?.['rascal']?.recovery?.[queue]?.republished
      expect(republished).toBe(attempt === 0 ? undefined : attempt)
      ackOrNack(new Error('not this time'), recovery)
    }
    await published(rascal, 'order', 'the next one')
    const next = await inbox.next()
    expect(next.content).toBe('the next one')
    next.ackOrNack()
  })

  it('requeues what its handler failed at', async () => {
    const rascal = await create(withDefaultConfig(topology().config))
    const inbox = await subscribed(rascal, 'orders')
    await published(rascal, 'order', 'again')
    ;(await inbox.next()).ackOrNack(new Error('once more'), { strategy: 'nack', requeue: true })
    const again = await inbox.next()
    expect(again.message.fields.redelivered).toBe(true)
    again.ackOrNack()
  })

  it('forwards messages to another publication and shovels them by itself', async () => {
    const { exchange, vhost, config } = topology()
    const archive = queueName()
    vhost.queues[archive] = {}
    vhost.bindings['archive'] = { source: exchange, destination: archive, bindingKey: 'archive' }
    vhost.publications['archive'] = { exchange, routingKey: 'archive' }
    vhost.subscriptions['archive'] = { queue: archive }
    const rascal = await create(
      withDefaultConfig({ ...config, shovels: { keep: { subscription: 'orders', publication: 'archive' } } }),
    )
    const inbox = await subscribed(rascal, 'archive')
    await published(rascal, 'order', { id: 7 })
    const kept = await inbox.next()
    expect(kept.content).toEqual({ id: 7 })
    expect(kept.message.properties.headers).toMatchObject({ rascal: { originalRoutingKey: 'orders.new' } })
    kept.ackOrNack()
  })

  it('refuses to start when a queue that must be there is not', async () => {
    const { queue, vhost, config } = topology()
    vhost.queues[queue] = { assert: false, check: true }
    const error = (await BrokerAsPromised.create(withDefaultConfig(config)).catch((reason: unknown) => reason)) as Error
    expect(error.message).toContain(`NOT_FOUND - no queue '${queue}' in vhost '/'`)
    await Promise.all(
      Object.getOwnPropertySymbols(error).map((key) =>
        (error as unknown as Record<symbol, BrokerAsPromised>)[key]!.shutdown(),
      ),
    )
  })

  it('purges, bounces and finally deletes what it had built', async () => {
    const { queue, exchange, config } = topology()
    const rascal = await create(withDefaultConfig(config))
    for (let id = 0; id < 3; id++) await published(rascal, 'order', { id })
    await rascal.purge()
    const connection = await connectTo(broker)
    const observer = await connection.createChannel()
    expect(await observer.checkQueue(queue)).toMatchObject({ messageCount: 0 })
    await rascal.bounce()
    await published(rascal, 'order', 'after the bounce')
    expect(await observer.checkQueue(queue)).toMatchObject({ messageCount: 1 })
    await rascal.nuke()
    expect(await refusal(connection, (channel) => channel.checkQueue(queue))).toMatchObject({ code: 404 })
    expect(await refusal(connection, (channel) => channel.checkExchange(exchange))).toMatchObject({ code: 404 })
  })

  it('runs with its own configuration for tests: transient queues under a prefix', async () => {
    const { queue, config } = topology()
    const rascal = await create(withTestConfig(config))
    const inbox = await subscribed(rascal, 'orders')
    await published(rascal, 'order', 'transient')
    const { message, ackOrNack } = await inbox.next()
    expect(message.properties.deliveryMode).toBe(1)
    expect(message.properties.headers).not.toHaveProperty('CC')
    ackOrNack()
    const connection = await connectTo(broker)
    expect(await refusal(connection, (channel) => channel.checkQueue(queue))).toMatchObject({ code: 404 })
    await rascal.nuke()
  })

  it('tells its subscribers when their queue was deleted', async () => {
    const { queue, config } = topology()
    const rascal = await create(withDefaultConfig(config))
    const subscription = await rascal.subscribe('orders', { retry: false })
    const ready = nextEvent(subscription, 'subscribed')
    const cancelled = nextEvent(subscription, 'cancelled')
    subscription.on('message', () => undefined)
    await ready
    await (await (await connectTo(broker)).createChannel()).deleteQueue(queue)
    expect(await cancelled).toMatchObject([{ message: expect.stringContaining('was cancelled by the broker') }])
  })
})

describe('when the broker is killed and started again', () => {
  it('rascal connects, subscribes and publishes again by itself', async (context) => {
    needsOwnBroker(context)
    const rascal = await create(withDefaultConfig(topology().config))
    rascal.on('error', () => undefined)
    const inbox = await subscribed(rascal, 'orders')
    await published(rascal, 'order', { id: 1 })
    expect((await inbox.next()).content).toEqual({ id: 1 })

    const disconnected = nextEvent(rascal, 'disconnect')
    await broker.kill()
    await disconnected
    const initialised = nextEvent(rascal, 'vhost_initialised')
    await broker.restart()
    await initialised
    const again = await inbox.next()
    expect(again.content).toEqual({ id: 1 })
    again.ackOrNack()
    await published(rascal, 'order', { id: 2 })
    const second = await inbox.next()
    expect(second.content).toEqual({ id: 2 })
    second.ackOrNack()
  })
})
