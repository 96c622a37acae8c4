// amqplib, promise API: exchanges of every type, their bindings and their ends.
import type { ConfirmChannel, Options } from 'amqplib'
import { describe, expect, it } from 'vitest'
import { connectTo, refusal } from '../support/amqplib.ts'
import { differsElsewhere, useBroker } from '../support/broker.ts'
import { exchangeName } from '../support/names.ts'

const broker = useBroker()

async function confirmChannel(): Promise<ConfirmChannel> {
  return (await connectTo(broker)).createConfirmChannel()
}

/** A transient exchange of the given type and an exclusive queue for each name, not yet bound. */
async function exchangeWithQueues(channel: ConfirmChannel, type: string, count: number): Promise<[string, string[]]> {
  const exchange = exchangeName()
  await channel.assertExchange(exchange, type, { durable: false })
  const queues: string[] = []
  for (let index = 0; index < count; index++) queues.push((await channel.assertQueue('', { exclusive: true })).queue)
  return [exchange, queues]
}

/** Publishes one message and tells how often each of the queues got it. */
async function routed(
  channel: ConfirmChannel,
  queues: readonly string[],
  exchange: string,
  routingKey: string,
  options?: Options.Publish,
): Promise<number[]> {
  channel.publish(exchange, routingKey, Buffer.from('to be routed'), options)
  await channel.waitForConfirms()
  const counts: number[] = []
  for (const queue of queues) counts.push((await channel.purgeQueue(queue)).messageCount)
  return counts
}

describe('routing', () => {
  it('by the default exchange goes to the queue of that name', async () => {
    const channel = await confirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    expect(await routed(channel, [queue], '', queue)).toEqual([1])
    expect(await routed(channel, [queue], '', `${queue}?`)).toEqual([0])
  })

  it('by a direct exchange follows the equal key', async () => {
    const channel = await confirmChannel()
    const [exchange, queues] = await exchangeWithQueues(channel, 'direct', 3)
    await channel.bindQueue(queues[0]!, exchange, 'error')
    await channel.bindQueue(queues[1]!, exchange, 'error')
    await channel.bindQueue(queues[1]!, exchange, 'warning')
    await channel.bindQueue(queues[2]!, exchange, '')
    expect(await routed(channel, queues, exchange, 'error')).toEqual([1, 1, 0])
    expect(await routed(channel, queues, exchange, 'warning')).toEqual([0, 1, 0])
    expect(await routed(channel, queues, exchange, 'Error')).toEqual([0, 0, 0])
    expect(await routed(channel, queues, exchange, '')).toEqual([0, 0, 1])
  })

  it('by a fanout exchange ignores the key', async () => {
    const channel = await confirmChannel()
    const [exchange, queues] = await exchangeWithQueues(channel, 'fanout', 2)
    for (const queue of queues) await channel.bindQueue(queue, exchange, 'any')
    expect(await routed(channel, queues, exchange, 'other')).toEqual([1, 1])
  })

  it.each([
    ['#', ['', 'a', 'a.b.c', '..'], []],
    ['*', ['a', 'a*'], ['', 'a.b']],
    ['a.#', ['a', 'a.b', 'a.b.c', 'a.'], ['', 'b', 'ab', 'b.a']],
    ['#.a', ['a', 'b.a', 'c.b.a'], ['a.b', 'ba']],
    ['a.*.c', ['a.b.c', 'a..c'], ['a.c', 'a.b.b.c']],
    ['a.#.c', ['a.c', 'a.b.c', 'a.b.b.c'], ['a', 'c', 'a.b']],
    ['#.b.#', ['b', 'a.b', 'b.c', 'a.b.c'], ['a.c', '']],
    ['a*.b', ['a*.b'], ['ax.b', 'a.b']],
  ])('by a topic exchange bound with "%s" follows its words', async (pattern, matching, others) => {
    const channel = await confirmChannel()
    const [exchange, queues] = await exchangeWithQueues(channel, 'topic', 1)
    await channel.bindQueue(queues[0]!, exchange, pattern)
    for (const key of matching) expect([key, await routed(channel, queues, exchange, key)]).toEqual([key, [1]])
    for (const key of others) expect([key, await routed(channel, queues, exchange, key)]).toEqual([key, [0]])
  })

  it('by a headers exchange follows all or any of the arguments', async () => {
    const channel = await confirmChannel()
    const [exchange, queues] = await exchangeWithQueues(channel, 'headers', 4)
    await channel.bindQueue(queues[0]!, exchange, '', { 'x-match': 'all', format: 'pdf', pages: 2 })
    await channel.bindQueue(queues[1]!, exchange, '', { 'x-match': 'any', format: 'pdf', pages: 2 })
    await channel.bindQueue(queues[2]!, exchange, '', { format: 'pdf' })
    await channel.bindQueue(queues[3]!, exchange, '', { 'x-match': 'any' })
    const publish = (headers: Record<string, unknown>) => routed(channel, queues, exchange, 'ignored', { headers })
    expect(await publish({ format: 'pdf', pages: 2 })).toEqual([1, 1, 1, 0])
    expect(await publish({ format: 'pdf', pages: { '!': 'long', value: 2 } })).toEqual([1, 1, 1, 0])
    expect(await publish({ format: 'pdf', pages: 3 })).toEqual([0, 1, 1, 0])
    expect(await publish({ format: 'txt', pages: 2 })).toEqual([0, 1, 0, 0])
    expect(await publish({ format: 'txt' })).toEqual([0, 0, 0, 0])
    expect(await publish({})).toEqual([0, 0, 0, 0])
  })

  it('by a headers exchange looks at names with x- only when told so', async (context) => {
    differsElsewhere(context, 'all-with-x and any-with-x came with RabbitMQ 3.10.9')
    const channel = await confirmChannel()
    const [exchange, queues] = await exchangeWithQueues(channel, 'headers', 3)
    await channel.bindQueue(queues[0]!, exchange, '', { 'x-match': 'all', 'x-kind': 'a', size: 1 })
    await channel.bindQueue(queues[1]!, exchange, '', { 'x-match': 'all-with-x', 'x-kind': 'a', size: 1 })
    await channel.bindQueue(queues[2]!, exchange, '', { 'x-match': 'any-with-x', 'x-kind': 'a', size: 1 })
    const publish = (headers: Record<string, unknown>) => routed(channel, queues, exchange, '', { headers })
    expect(await publish({ 'x-kind': 'a', size: 1 })).toEqual([1, 1, 1])
    expect(await publish({ 'x-kind': 'b', size: 1 })).toEqual([1, 0, 1])
    expect(await publish({ 'x-kind': 'a' })).toEqual([0, 0, 1])
  })

  it.each([
    ['amq.direct', 'direct'],
    ['amq.fanout', 'fanout'],
    ['amq.topic', 'topic'],
    ['amq.headers', 'headers'],
    ['amq.match', 'headers'],
  ])('knows %s from the start as a durable %s exchange', async (exchange, type) => {
    const channel = await confirmChannel()
    await channel.checkExchange(exchange)
    expect(await channel.assertExchange(exchange, type, { durable: true })).toEqual({ exchange })
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue(queue, exchange, queue, { owner: queue })
    expect(await routed(channel, [queue], exchange, queue, { headers: { owner: queue } })).toEqual([1])
  })
})

describe('exchanges bound to exchanges', () => {
  it('pass messages on with their key, to each queue once', async () => {
    const channel = await confirmChannel()
    const [source, queues] = await exchangeWithQueues(channel, 'topic', 2)
    const [middle] = await exchangeWithQueues(channel, 'direct', 0)
    await channel.bindExchange(middle, source, 'log.*')
    await channel.bindQueue(queues[0]!, middle, 'log.error')
    await channel.bindQueue(queues[0]!, source, '#')
    await channel.bindQueue(queues[1]!, middle, 'log.warning')
    expect(await routed(channel, queues, source, 'log.error')).toEqual([1, 0])
    expect(await routed(channel, queues, source, 'log.warning')).toEqual([1, 1])
    await channel.unbindExchange(middle, source, 'log.*')
    expect(await routed(channel, queues, source, 'log.warning')).toEqual([1, 0])
  })

  it('may form a circle', async () => {
    const channel = await confirmChannel()
    const [first, queues] = await exchangeWithQueues(channel, 'fanout', 2)
    const [second] = await exchangeWithQueues(channel, 'fanout', 0)
    await channel.bindExchange(second, first, '')
    await channel.bindExchange(first, second, '')
    await channel.bindQueue(queues[0]!, first, '')
    await channel.bindQueue(queues[1]!, second, '')
    expect(await routed(channel, queues, first, '')).toEqual([1, 1])
    expect(await routed(channel, queues, second, '')).toEqual([1, 1])
  })

  it('can be unbound when they are not bound', async () => {
    const channel = await confirmChannel()
    await channel.unbindExchange('amq.fanout', 'amq.direct', 'never bound', {})
  })

  it('of which one is not there are refused with 404', async () => {
    const connection = await connectTo(broker)
    const exchange = exchangeName()
    const missing = { code: 404, text: `NOT_FOUND - no exchange '${exchange}' in vhost '/'`, method: '40.30' }
    expect(await refusal(connection, (channel) => channel.bindExchange(exchange, 'amq.direct', ''))).toEqual(missing)
    expect(await refusal(connection, (channel) => channel.bindExchange('amq.direct', exchange, ''))).toEqual(missing)
  })
})

describe('an alternate exchange', () => {
  it('gets what its exchange cannot route', async () => {
    const channel = await confirmChannel()
    const [alternate, queues] = await exchangeWithQueues(channel, 'fanout', 2)
    const exchange = exchangeName()
    await channel.assertExchange(exchange, 'direct', { durable: false, alternateExchange: alternate })
    await channel.bindQueue(queues[0]!, exchange, 'known')
    await channel.bindQueue(queues[1]!, alternate, '')
    expect(await routed(channel, queues, exchange, 'known')).toEqual([1, 0])
    expect(await routed(channel, queues, exchange, 'unknown')).toEqual([0, 1])
  })

  it('spares a mandatory message its return', async () => {
    const channel = await confirmChannel()
    const [alternate, queues] = await exchangeWithQueues(channel, 'fanout', 1)
    const exchange = exchangeName()
    await channel.assertExchange(exchange, 'direct', { durable: false, alternateExchange: alternate })
    await channel.bindQueue(queues[0]!, alternate, '')
    const returned: unknown[] = []
    channel.on('return', (message) => returned.push(message))
    expect(await routed(channel, queues, exchange, 'unknown', { mandatory: true })).toEqual([1])
    expect(returned).toEqual([])
  })
})

describe('declaring an exchange', () => {
  it('again with the same properties changes nothing', async () => {
    const channel = await confirmChannel()
    const exchange = exchangeName()
    const options = { durable: false, internal: false, arguments: { custom: 1 } }
    expect(await channel.assertExchange(exchange, 'fanout', options)).toEqual({ exchange })
    expect(await channel.assertExchange(exchange, 'fanout', { ...options, arguments: {} })).toEqual({ exchange })
  })

  it.each<[string, string, Options.AssertExchange, string]>([
    ['type', 'topic', {}, "'type' for X: received 'topic' but current is 'direct'"],
    ['durable', 'direct', { durable: false }, "'durable' for X: received 'false' but current is 'true'"],
    ['auto-delete', 'direct', { autoDelete: true }, "'auto_delete' for X: received 'true' but current is 'false'"],
    ['internal', 'direct', { internal: true }, "'internal' for X: received 'true' but current is 'false'"],
    [
      'the alternate exchange',
      'direct',
      { alternateExchange: 'amq.fanout' },
      "'alternate-exchange' for X: received the value 'amq.fanout' of type 'longstr' but current is none",
    ],
  ])('again with another answer to %s is refused with 406', async (_, type, options, reason) => {
    const connection = await connectTo(broker)
    const exchange = exchangeName()
    await (await connection.createChannel()).assertExchange(exchange, 'direct')
    expect(await refusal(connection, (channel) => channel.assertExchange(exchange, type, options))).toEqual({
      code: 406,
      text: `PRECONDITION_FAILED - inequivalent arg ${reason.replace('X', `exchange '${exchange}' in vhost '/'`)}`,
      method: '40.10',
    })
  })

  it('of an unknown type is refused with 406', async (context) => {
    differsElsewhere(context, 'RabbitMQ before 3.12.14 closes the connection with 503')
    const connection = await connectTo(broker)
    expect(await refusal(connection, (channel) => channel.assertExchange(exchangeName(), 'no-such-type'))).toEqual({
      code: 406,
      text: "PRECONDITION_FAILED - unknown exchange type 'no-such-type'",
      method: '40.10',
    })
  })

  it('with a reserved name is refused with 403', async () => {
    const connection = await connectTo(broker)
    expect(await refusal(connection, (channel) => channel.assertExchange('amq.mine', 'direct'))).toEqual({
      code: 403,
      text: "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
      method: '40.10',
    })
  })

  it('without a name is refused with 403', async () => {
    const connection = await connectTo(broker)
    expect(await refusal(connection, (channel) => channel.assertExchange('', 'direct'))).toEqual({
      code: 403,
      text: 'ACCESS_REFUSED - operation not permitted on the default exchange',
      method: '40.10',
    })
  })
})

describe('looking for an exchange', () => {
  it('succeeds whatever its type', async () => {
    const channel = await confirmChannel()
    for (const exchange of ['amq.direct', 'amq.fanout', 'amq.topic', 'amq.headers']) {
      await channel.checkExchange(exchange)
    }
  })

  it('that is not there is refused with 404', async () => {
    const connection = await connectTo(broker)
    const exchange = exchangeName()
    expect(await refusal(connection, (channel) => channel.checkExchange(exchange))).toEqual({
      code: 404,
      text: `NOT_FOUND - no exchange '${exchange}' in vhost '/'`,
      method: '40.10',
    })
  })
})

describe('an internal exchange', () => {
  it('routes for other exchanges and refuses clients with 403', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const [source, queues] = await exchangeWithQueues(channel, 'fanout', 1)
    const exchange = exchangeName()
    await channel.assertExchange(exchange, 'fanout', { durable: false, internal: true })
    await channel.bindExchange(exchange, source, '')
    await channel.bindQueue(queues[0]!, exchange, '')
    expect(await routed(channel, queues, source, '')).toEqual([1])
    expect(await refusal(connection, (other) => other.publish(exchange, '', Buffer.from('direct')))).toEqual({
      code: 403,
      text: `ACCESS_REFUSED - cannot publish to internal exchange '${exchange}' in vhost '/'`,
      method: '60.40',
    })
  })
})

describe('an auto-delete exchange', () => {
  it('stays until it had a binding and goes with the last one', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const exchange = exchangeName()
    await channel.assertExchange(exchange, 'direct', { autoDelete: true })
    await channel.bindQueue(queue, exchange, 'one')
    await channel.bindQueue(queue, exchange, 'two')
    await channel.unbindQueue(queue, exchange, 'one')
    await channel.checkExchange(exchange)
    await channel.unbindQueue(queue, exchange, 'two')
    expect(await refusal(connection, (other) => other.checkExchange(exchange))).toMatchObject({ code: 404 })
  })

  it('goes when its last queue is deleted', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const exchange = exchangeName()
    await channel.assertExchange(exchange, 'direct', { autoDelete: true })
    await channel.bindQueue(queue, exchange, '')
    await channel.deleteQueue(queue)
    expect(await refusal(connection, (other) => other.checkExchange(exchange))).toMatchObject({ code: 404 })
  })
})

describe('deleting an exchange', () => {
  it('removes its bindings', async () => {
    const channel = await confirmChannel()
    const [exchange, queues] = await exchangeWithQueues(channel, 'fanout', 1)
    await channel.bindQueue(queues[0]!, exchange, '')
    await channel.deleteExchange(exchange)
    await channel.assertExchange(exchange, 'fanout', { durable: false })
    expect(await routed(channel, queues, exchange, '')).toEqual([0])
  })

  it('that is not there succeeds', async () => {
    const channel = await confirmChannel()
    await channel.deleteExchange(exchangeName())
  })

  it('that has bindings is refused with 406 when only an unused one may go', async () => {
    const connection = await connectTo(broker)
    const binding = await connection.createConfirmChannel()
    const [exchange, queues] = await exchangeWithQueues(binding, 'fanout', 1)
    await binding.bindQueue(queues[0]!, exchange, '')
    expect(await refusal(connection, (channel) => channel.deleteExchange(exchange, { ifUnused: true }))).toEqual({
      code: 406,
      text: `PRECONDITION_FAILED - exchange '${exchange}' in vhost '/' in use`,
      method: '40.20',
    })
    await binding.unbindQueue(queues[0]!, exchange, '')
    await binding.deleteExchange(exchange, { ifUnused: true })
  })

  it('of the broker is refused with 403', async () => {
    const connection = await connectTo(broker)
    expect(await refusal(connection, (channel) => channel.deleteExchange('amq.direct'))).toEqual({
      code: 403,
      text: "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
      method: '40.20',
    })
    expect(await refusal(connection, (channel) => channel.deleteExchange(''))).toEqual({
      code: 403,
      text: 'ACCESS_REFUSED - operation not permitted on the default exchange',
      method: '40.20',
    })
  })
})
