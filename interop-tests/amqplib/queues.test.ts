// amqplib, promise API: everything about declaring, binding and deleting queues.
import { once } from 'node:events'
import type { Channel, ConfirmChannel, Options } from 'amqplib'
import { describe, expect, it } from 'vitest'
import { bodies, connectTo, refusal, subscribe } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { Inbox } from '../support/inbox.ts'
import { exchangeName, queueName } from '../support/names.ts'

const broker = useBroker()

async function confirmChannel(): Promise<ConfirmChannel> {
  return (await connectTo(broker)).createConfirmChannel()
}

/** Puts `count` messages into the queue and resolves when they are there. */
async function fill(channel: ConfirmChannel, queue: string, count: number): Promise<void> {
  for (let message = 1; message <= count; message++) channel.sendToQueue(queue, Buffer.from(`message ${message}`))
  await channel.waitForConfirms()
}

describe('declaring a queue', () => {
  it('answers with its name and its counts', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    expect(await channel.assertQueue(queue)).toEqual({ queue, messageCount: 0, consumerCount: 0 })
    await fill(channel, queue, 3)
    expect(await channel.assertQueue(queue)).toEqual({ queue, messageCount: 3, consumerCount: 0 })
    await channel.prefetch(1)
    const { inbox } = await subscribe(channel, queue)
    await inbox.next()
    expect(await channel.checkQueue(queue)).toEqual({ queue, messageCount: 2, consumerCount: 1 })
  })

  it('makes up a name when it gets none', async () => {
    const channel = await confirmChannel()
    const first = await channel.assertQueue('', { exclusive: true })
    const second = await channel.assertQueue(undefined, { exclusive: true })
    expect(first.queue).toMatch(/^amq\.gen-[\w-]{22}$/)
    expect(second.queue).toMatch(/^amq\.gen-[\w-]{22}$/)
    expect(first.queue).not.toBe(second.queue)
  })

  it('takes names of up to 255 bytes in UTF-8', async () => {
    const channel = await confirmChannel()
    const queue = 'ü€😀'.repeat(28) + 'abc'
    expect(Buffer.byteLength(queue)).toBe(255)
    expect((await channel.assertQueue(queue, { exclusive: true })).queue).toBe(queue)
  })

  it('remembers for the channel which one was declared last', async () => {
    const channel = await confirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue('', 'amq.topic', `${queue}.#`)
    channel.publish('amq.topic', `${queue}.news`, Buffer.from('through the binding'))
    await channel.waitForConfirms()
    const message = await channel.get('')
    expect(message && message.content.toString()).toBe('through the binding')
    await channel.unbindQueue('', 'amq.topic', `${queue}.#`)
    await channel.purgeQueue('')
    await channel.deleteQueue('')
  })

  it('again with the same properties changes nothing', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    const options = { durable: false, autoDelete: true, arguments: { 'x-custom': 'kept, not compared' } }
    await channel.assertQueue(queue, options)
    await fill(channel, queue, 1)
    expect(await channel.assertQueue(queue, options)).toMatchObject({ queue, messageCount: 1 })
    expect(await channel.assertQueue(queue, { ...options, arguments: {} })).toMatchObject({ messageCount: 1 })
  })

  it.each<[string, Options.AssertQueue, Options.AssertQueue, string]>([
    ['durable', {}, { durable: false }, "inequivalent arg 'durable' for Q: received 'false' but current is 'true'"],
    [
      'auto-delete',
      {},
      { autoDelete: true },
      "inequivalent arg 'auto_delete' for Q: received 'true' but current is 'false'",
    ],
    [
      'an argument that was not there',
      {},
      { messageTtl: 60_000 },
      "inequivalent arg 'x-message-ttl' for Q: received the value '60000' of type 'signedint' but current is none",
    ],
    [
      'an argument that was there',
      { maxLength: 100_000 },
      {},
      "inequivalent arg 'x-max-length' for Q: received none but current is the value '100000' of type 'signedint'",
    ],
    [
      'an argument with another value',
      { expires: 600_000 },
      { expires: 700_000 },
      "inequivalent arg 'x-expires' for Q: received '700000' but current is '600000'",
    ],
  ])('again with another answer to %s is refused with 406', async (_, declared, different, reason) => {
    const connection = await connectTo(broker)
    const queue = queueName()
    await (await connection.createChannel()).assertQueue(queue, declared)
    expect(await refusal(connection, (channel) => channel.assertQueue(queue, different))).toEqual({
      code: 406,
      text: `PRECONDITION_FAILED - ${reason.replace('Q', `queue '${queue}' in vhost '/'`)}`,
      method: '50.10',
    })
  })

  it('compares integer arguments by value, whatever their width', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    const width = (type: string): Options.AssertQueue => ({ arguments: { 'x-max-length': { '!': type, value: 100 } } })
    for (const type of ['byte', 'uint8', 'short', 'uint16', 'int', 'uint32', 'long']) {
      await channel.assertQueue(queue, width(type))
    }
  })

  it('takes every option for which amqplib has a name', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    const options = {
      expires: 600_000,
      messageTtl: 600_000,
      deadLetterExchange: '',
      deadLetterRoutingKey: queueName(),
      maxLength: 1000,
      maxPriority: 5,
      overflow: 'drop-head',
      queueMode: 'lazy',
    }
    await channel.assertQueue(queue, options)
    await channel.assertQueue(queue, options)
  })

  it('with a reserved name is refused with 403', async () => {
    const connection = await connectTo(broker)
    expect(await refusal(connection, (channel) => channel.assertQueue('amq.mine'))).toEqual({
      code: 403,
      text: "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
      method: '50.10',
    })
  })
})

describe('looking for a queue', () => {
  it('tells its counts without declaring it', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue, { durable: false, autoDelete: true })
    expect(await channel.checkQueue(queue)).toEqual({ queue, messageCount: 0, consumerCount: 0 })
  })

  it('that is not there is refused with 404 and does not create it', async () => {
    const connection = await connectTo(broker)
    const queue = queueName()
    const missing = { code: 404, text: `NOT_FOUND - no queue '${queue}' in vhost '/'`, method: '50.10' }
    expect(await refusal(connection, (channel) => channel.checkQueue(queue))).toEqual(missing)
    expect(await refusal(connection, (channel) => channel.checkQueue(queue))).toEqual(missing)
  })
})

describe('looking for a queue without a name', () => {
  it('does not mean the one that was declared last', async () => {
    const connection = await connectTo(broker)
    const unnamed = async (channel: Channel) => {
      await channel.assertQueue('', { exclusive: true })
      await channel.checkQueue('')
    }
    expect(await refusal(connection, unnamed)).toEqual({
      code: 404,
      text: "NOT_FOUND - no queue '' in vhost '/'",
      method: '50.10',
    })
  })
})

describe('an exclusive queue', () => {
  it('is locked for every other connection', async () => {
    const owner = await connectTo(broker)
    const other = await connectTo(broker)
    const queue = queueName()
    await (await owner.createChannel()).assertQueue(queue, { exclusive: true })
    const text =
      `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. ` +
      'It could be originally declared on another connection or the exclusive property value ' +
      'does not match that of the original declaration.'
    const locked = (method: string) => ({ code: 405, text, method })
    expect(await refusal(other, (channel) => channel.assertQueue(queue, { exclusive: true }))).toEqual(locked('50.10'))
    expect(await refusal(other, (channel) => channel.checkQueue(queue))).toEqual(locked('50.10'))
    expect(await refusal(other, (channel) => channel.bindQueue(queue, 'amq.fanout', ''))).toEqual(locked('50.20'))
    expect(await refusal(other, (channel) => channel.purgeQueue(queue))).toEqual(locked('50.30'))
    expect(await refusal(other, (channel) => channel.deleteQueue(queue))).toEqual(locked('50.40'))
    expect(await refusal(other, (channel) => channel.consume(queue, () => undefined))).toEqual(locked('60.20'))
    expect(await refusal(other, (channel) => channel.get(queue))).toEqual(locked('60.70'))
  })

  it('with a long name is locked with a reason cut to 255 bytes', async () => {
    const owner = await connectTo(broker)
    const other = await connectTo(broker)
    const queue = queueName().padEnd(200, '-')
    await (await owner.createChannel()).assertQueue(queue, { exclusive: true })
    const { text } = await refusal(other, (channel) => channel.checkQueue(queue))
    expect(Buffer.byteLength(text)).toBe(255)
    expect(text).toMatch(/^RESOURCE_LOCKED - cannot obtain .*\.\.\.$/)
  })

  it('is open to all channels of its connection', async () => {
    const connection = await connectTo(broker)
    const { queue } = await (await connection.createChannel()).assertQueue('', { exclusive: true })
    const sibling = await connection.createChannel()
    expect(await sibling.checkQueue(queue)).toMatchObject({ messageCount: 0 })
    await sibling.deleteQueue(queue)
  })

  it('takes messages that other connections publish', async () => {
    const owner = await (await connectTo(broker)).createChannel()
    const { queue } = await owner.assertQueue('', { exclusive: true })
    const { inbox } = await subscribe(owner, queue)
    const publisher = await confirmChannel()
    publisher.sendToQueue(queue, Buffer.from('from outside'))
    expect(bodies([await inbox.next()])).toEqual(['from outside'])
  })
})

describe('an auto-delete queue', () => {
  it('stays until it had a consumer', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue, { autoDelete: true })
    await fill(channel, queue, 1)
    expect(await channel.get(queue, { noAck: true })).toMatchObject({ fields: { messageCount: 0 } })
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 0 })
  })

  it('goes with its last consumer', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createChannel()
    const queue = queueName()
    await channel.assertQueue(queue, { autoDelete: true })
    const first = await subscribe(channel, queue)
    const second = await subscribe(channel, queue)
    await channel.cancel(first.consumerTag)
    expect(await channel.checkQueue(queue)).toMatchObject({ consumerCount: 1 })
    await channel.cancel(second.consumerTag)
    expect(await refusal(connection, (other) => other.checkQueue(queue))).toMatchObject({ code: 404 })
  })

  it('goes when the channel of its last consumer closes', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createChannel()
    const queue = queueName()
    await channel.assertQueue(queue, { autoDelete: true })
    await subscribe(channel, queue)
    await channel.close()
    expect(await refusal(connection, (other) => other.checkQueue(queue))).toMatchObject({ code: 404 })
  })
})

describe('deleting a queue', () => {
  it('tells how many messages went with it', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    await fill(channel, queue, 5)
    expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 5 })
  })

  it('that is not there succeeds', async () => {
    const channel = await confirmChannel()
    expect(await channel.deleteQueue(queueName())).toEqual({ messageCount: 0 })
  })

  it('that has consumers is refused with 406 when only an unused one may go', async () => {
    const connection = await connectTo(broker)
    const consuming = await connection.createChannel()
    const queue = queueName()
    await consuming.assertQueue(queue)
    const { consumerTag } = await subscribe(consuming, queue)
    expect(await refusal(connection, (channel) => channel.deleteQueue(queue, { ifUnused: true }))).toEqual({
      code: 406,
      text: `PRECONDITION_FAILED - queue '${queue}' in vhost '/' in use`,
      method: '50.40',
    })
    await consuming.cancel(consumerTag)
    expect(await consuming.deleteQueue(queue, { ifUnused: true })).toEqual({ messageCount: 0 })
  })

  it('that has messages is refused with 406 when only an empty one may go', async () => {
    const connection = await connectTo(broker)
    const filling = await connection.createConfirmChannel()
    const queue = queueName()
    await filling.assertQueue(queue)
    await fill(filling, queue, 1)
    expect(await refusal(connection, (channel) => channel.deleteQueue(queue, { ifEmpty: true }))).toEqual({
      code: 406,
      text: `PRECONDITION_FAILED - queue '${queue}' in vhost '/' not empty`,
      method: '50.40',
    })
    await filling.purgeQueue(queue)
    expect(await filling.deleteQueue(queue, { ifEmpty: true })).toEqual({ messageCount: 0 })
  })

  it('cancels its consumers and tells them', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    const received = new Inbox<unknown>()
    const { consumerTag } = await channel.consume(queue, received.put)
    const cancelled = once(channel, 'cancel')
    await (await connection.createChannel()).deleteQueue(queue)
    expect(await cancelled).toMatchObject([{ consumerTag }])
    expect(await received.next()).toBe(null)
  })

  it('leaves deliveries with the channel that has them, which may still acknowledge', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    await fill(channel, queue, 1)
    const message = await channel.get(queue)
    await channel.deleteQueue(queue)
    if (message) channel.ack(message)
    await channel.checkExchange('amq.direct')
  })
})

describe('purging a queue', () => {
  it('removes what waits and tells how much it was', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    await fill(channel, queue, 7)
    expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 7 })
    expect(await channel.get(queue)).toBe(false)
  })

  it('spares what is delivered and not acknowledged', async () => {
    const channel = await confirmChannel()
    const queue = queueName()
    await channel.assertQueue(queue)
    await fill(channel, queue, 3)
    const message = await channel.get(queue)
    expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 2 })
    if (message) channel.nack(message)
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 1 })
  })

  it('that is not there is refused with 404', async () => {
    const connection = await connectTo(broker)
    const queue = queueName()
    expect(await refusal(connection, (channel) => channel.purgeQueue(queue))).toEqual({
      code: 404,
      text: `NOT_FOUND - no queue '${queue}' in vhost '/'`,
      method: '50.30',
    })
  })
})

describe('binding a queue', () => {
  it('routes by each of its keys, and to it once only', async () => {
    const channel = await confirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const exchange = exchangeName()
    await channel.assertExchange(exchange, 'topic', { durable: false })
    await channel.bindQueue(queue, exchange, 'a.*')
    await channel.bindQueue(queue, exchange, '*.b')
    await channel.bindQueue(queue, exchange, '*.b')
    channel.publish(exchange, 'a.b', Buffer.from('by two keys'))
    channel.publish(exchange, 'c.b', Buffer.from('by the second'))
    channel.publish(exchange, 'c.d', Buffer.from('by none'))
    await channel.waitForConfirms()
    const { inbox } = await subscribe(channel, queue, { noAck: true })
    expect(bodies(await inbox.take(2))).toEqual(['by two keys', 'by the second'])
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 0 })
  })

  it('ends with its unbinding, and only for the same key and arguments', async () => {
    const channel = await confirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const exchange = exchangeName()
    await channel.assertExchange(exchange, 'direct', { durable: false })
    await channel.bindQueue(queue, exchange, 'key', { of: 'one' })
    await channel.bindQueue(queue, exchange, 'key', { of: 'two' })
    await channel.unbindQueue(queue, exchange, 'key', { of: 'one' })
    channel.publish(exchange, 'key', Buffer.from('by the other binding'))
    await channel.waitForConfirms()
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 1 })
    await channel.unbindQueue(queue, exchange, 'key', { of: 'two' })
    channel.publish(exchange, 'key', Buffer.from('by no binding'))
    await channel.waitForConfirms()
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 1 })
  })

  it('that is not bound can be unbound', async () => {
    const channel = await confirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.unbindQueue(queue, 'amq.direct', 'never bound')
  })

  it('to an exchange that is not there is refused with 404', async () => {
    const connection = await connectTo(broker)
    const { queue } = await (await connection.createChannel()).assertQueue('', { exclusive: true })
    const exchange = exchangeName()
    expect(await refusal(connection, (channel) => channel.bindQueue(queue, exchange, ''))).toEqual({
      code: 404,
      text: `NOT_FOUND - no exchange '${exchange}' in vhost '/'`,
      method: '50.20',
    })
  })

  it('that is not there is refused with 404', async () => {
    const connection = await connectTo(broker)
    const queue = queueName()
    expect(await refusal(connection, (channel) => channel.bindQueue(queue, 'amq.direct', ''))).toEqual({
      code: 404,
      text: `NOT_FOUND - no queue '${queue}' in vhost '/'`,
      method: '50.20',
    })
  })

  it('to the default exchange is refused with 403', async () => {
    const connection = await connectTo(broker)
    const { queue } = await (await connection.createChannel()).assertQueue('', { exclusive: true })
    expect(await refusal(connection, (channel) => channel.bindQueue(queue, '', 'key'))).toEqual({
      code: 403,
      text: 'ACCESS_REFUSED - operation not permitted on the default exchange',
      method: '50.20',
    })
  })
})
