// Delayed messages: the exchange type x-delayed-message, and LavinMQ's argument for any type.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer } from '../../src/server.ts'
import { useBroker } from '../support/broker.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import { tagged, type Value } from '../support/field-values.ts'
import { RawClient, type RawChannel } from '../support/raw-client.ts'

const broker = useBroker()
const open = useOpenBroker()
const DELAYED = { durable: true, arguments: { 'x-delayed-type': 'direct' } }

/** A channel with a delayed exchange x, from which the key k leads to the queue q. */
async function withDelayed(): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('q')
  await channel.exchange('x', 'x-delayed-message', DELAYED)
  await channel.bind('q', 'x', 'k')
  return channel
}

async function expectBodies(channel: RawChannel, queue: string, bodies: readonly string[]): Promise<void> {
  for (const body of bodies) expect((await channel.get(queue, true)).body.toString()).toBe(body)
  channel.send('basic.get', { queue })
  await channel.expect('basic.get-empty')
}

describe('a message with x-delay', () => {
  it('is routed when its delay is over, with the header negated and all else as it was', async () => {
    const channel = await withDelayed()
    const properties = { 'message-id': 'm1', expiration: '60000', 'delivery-mode': 2 }
    const headers = { other: 'kept', 'x-delay': 5000 }
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'm', { ...properties, headers })
    await broker.advance(4999)
    await expectBodies(channel, 'q', [])
    await broker.advance(1)
    const { fields, properties: delivered, body } = await channel.get('q', true)
    expect(body.toString()).toBe('m')
    expect(fields).toMatchObject({ exchange: 'x', 'routing-key': 'k', redelivered: false })
    expect(delivered).toEqual({ ...properties, headers: { other: 'kept', 'x-delay': -5000 } })
  })

  it('leaves in the order of the times at which messages are due, and of publishing where these are the same', async () => {
    const channel = await withDelayed()
    const later = [300, 100, 200, 100] as const
    for (const [index, delay] of later.entries()) {
      channel.publish({ exchange: 'x', 'routing-key': 'k' }, `${delay} ${index}`, { headers: { 'x-delay': delay } })
    }
    await broker.advance(150)
    await expectBodies(channel, 'q', ['100 1', '100 3'])
    await broker.advance(150)
    await expectBodies(channel, 'q', ['200 2', '300 0'])
  })

  it('may come after one that is due later', async () => {
    const channel = await withDelayed()
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'late', { headers: { 'x-delay': 10_000 } })
    await broker.advance(1000)
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'early', { headers: { 'x-delay': 500 } })
    await broker.advance(500)
    await expectBodies(channel, 'q', ['early'])
    await broker.advance(8500)
    await expectBodies(channel, 'q', ['late'])
  })

  it.each<[string, Value]>([
    ['a byte', tagged('b', 100)],
    ['a long', tagged('l', 100n)],
    ['a double', 100.5],
    ['a text of digits', '100'],
  ])('may say it as %s', async (_type, delay) => {
    const channel = await withDelayed()
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'm', { headers: { 'x-delay': delay } })
    await expectBodies(channel, 'q', [])
    await broker.advance(101)
    const { properties } = await channel.get('q', true)
    expect(properties.headers).toEqual({ 'x-delay': -100 })
  })

  it.each<[string, Value]>([
    ['0', 0],
    ['negative', -5],
    ['no number', 'soon'],
  ])('is routed at once when that is %s', async (_case, delay) => {
    const channel = await withDelayed()
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'm', { headers: { 'x-delay': delay } })
    const { properties } = await channel.get('q', true)
    expect(properties.headers).toEqual({ 'x-delay': delay })
  })

  it('is confirmed when it is stored, and not when it is routed', async () => {
    const channel = await withDelayed()
    await channel.call('confirm.select')
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'm', { headers: { 'x-delay': 1000 } })
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
  })

  it('is returned at once when it is mandatory, and delivered all the same', async () => {
    const channel = await withDelayed()
    await channel.call('confirm.select')
    const properties = { headers: { 'x-delay': 1000 } }
    channel.publish({ exchange: 'x', 'routing-key': 'k', mandatory: true }, 'm', properties)
    await channel.expectReturn({ 'reply-code': 312, 'reply-text': 'NO_ROUTE' }, 'm', properties)
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
    await broker.advance(1000)
    await expectBodies(channel, 'q', ['m'])
  })

  it('goes by the bindings of the time at which it is due', async () => {
    const channel = await withDelayed()
    channel.publish({ exchange: 'x', 'routing-key': 'new' }, 'm', { headers: { 'x-delay': 1000 } })
    await channel.expectNothing()
    await channel.bind('q', 'x', 'new')
    await broker.advance(1000)
    await expectBodies(channel, 'q', ['m'])
  })

  it('goes to the keys in CC and BCC when it is due', async () => {
    const channel = await withDelayed()
    for (const queue of ['copy', 'blind']) {
      await channel.queue(queue)
      await channel.bind(queue, 'x', queue)
    }
    const headers = { 'x-delay': 1000, CC: ['copy'], BCC: ['blind'] }
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'm', { headers })
    await broker.advance(1000)
    for (const queue of ['q', 'copy', 'blind']) {
      const { properties } = await channel.get(queue, true)
      expect(properties.headers).toEqual({ 'x-delay': -1000, CC: ['copy'] })
    }
  })

  it('waits from the commit of its transaction on', async () => {
    const channel = await withDelayed()
    await channel.call('tx.select')
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'm', { headers: { 'x-delay': 1000 } })
    await broker.advance(2000)
    await expectBodies(channel, 'q', [])
    await channel.call('tx.commit')
    await broker.advance(1000)
    await expectBodies(channel, 'q', ['m'])
  })

  it('is gone with its exchange', async () => {
    const channel = await withDelayed()
    channel.publish({ exchange: 'x', 'routing-key': 'k' }, 'm', { headers: { 'x-delay': 1000 } })
    await channel.call('exchange.delete', { exchange: 'x' })
    await channel.exchange('x', 'x-delayed-message', DELAYED)
    await channel.bind('q', 'x', 'k')
    await broker.advance(1000)
    await expectBodies(channel, 'q', [])
  })
})

describe('a delayed exchange', () => {
  it('routes as the type behind it does', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await channel.exchange('x', 'x-delayed-message', { arguments: { 'x-delayed-type': 'topic' } })
    await channel.bind('q', 'x', 'a.#')
    channel.publish({ exchange: 'x', 'routing-key': 'a.b' }, 'yes')
    channel.publish({ exchange: 'x', 'routing-key': 'b.a' }, 'no')
    await expectBodies(channel, 'q', ['yes'])
    await channel.call('queue.unbind', { queue: 'q', exchange: 'x', 'routing-key': 'a.#' })
    channel.publish({ exchange: 'x', 'routing-key': 'a.b' }, 'no more')
    await expectBodies(channel, 'q', [])
  })

  it('can be had of any type by an argument, as in LavinMQ', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await channel.exchange('x', 'fanout', { arguments: { 'x-delayed-exchange': true } })
    await channel.bind('q', 'x')
    channel.publish({ exchange: 'x' }, 'm', { headers: { 'x-delay': 1000 } })
    await expectBodies(channel, 'q', [])
    await broker.advance(1000)
    await expectBodies(channel, 'q', ['m'])
  })

  it.each<[string, Record<string, Value>, string]>([
    ['no type', {}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"],
    [
      'a type that is no text',
      { 'x-delayed-type': 7 },
      "Invalid argument, 'x-delayed-type' must be an existing exchange type",
    ],
    ['an unknown type', { 'x-delayed-type': 'odd' }, "unknown exchange type 'odd'"],
  ])('is refused with %s behind it', async (_case, table, text) => {
    const channel = await broker.channel()
    channel.send('exchange.declare', { exchange: 'x', type: 'x-delayed-message', arguments: table })
    await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'exchange.declare')
  })

  it('keeps its messages when the broker restarts', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'leveret-delays-'))
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const clock = new ManualClock()
    const options = { host: '127.0.0.1', port: 0, dataDir, clock }
    const first = await startServer(options)
    const client = await RawClient.open(first.ports.amqp)
    const channel = await client.openChannel()
    await channel.queue('q', { durable: true })
    await channel.exchange('x', 'x-delayed-message', DELAYED)
    await channel.bind('q', 'x', 'k')
    await channel.call('confirm.select')
    for (const delay of [3000, 1000, 2000]) {
      const headers = { 'x-delay': delay }
      channel.publish({ exchange: 'x', 'routing-key': 'k' }, String(delay), { headers, 'delivery-mode': 2 })
    }
    let confirmed = 0
    while (confirmed < 3) confirmed = Number((await channel.expect('basic.ack'))['delivery-tag'])
    await client.close()
    await first.close()
    clock.advance(2000)
    const second = await startServer(options)
    const again = await RawClient.open(second.ports.amqp)
    const consumer = await again.openChannel()
    await consumer.consume('q', { 'no-ack': true })
    // The consumer may be there before the messages are, or after.
    clock.advance(1)
    await consumer.expectDeliver({ exchange: 'x', 'routing-key': 'k' }, '1000')
    await consumer.expectDeliver({ redelivered: false }, '2000')
    await consumer.expectNothing()
    clock.advance(1000)
    await consumer.expectDeliver({}, '3000')
    await again.close()
    await second.close()
  })
})

describe('what waits', () => {
  it('goes to the alternate exchange if nothing is bound when it is due, and not before', async () => {
    const channel = await open.channel()
    await channel.queue('rest')
    await channel.bind('rest', 'amq.fanout')
    const args = { 'x-delayed-type': 'direct', 'alternate-exchange': 'amq.fanout' }
    await channel.exchange('x', 'x-delayed-message', { arguments: args })
    channel.publish({ exchange: 'x', 'routing-key': 'none' }, 'late', { headers: { 'x-delay': 1000 } })
    channel.publish({ exchange: 'x', 'routing-key': 'none' }, 'at once')
    await expectBodies(channel, 'rest', ['at once'])
    expect(open.broker.vhosts.get('/')!.exchange('x').delayedCount).toBe(1)
    open.clock.advance(1000)
    await channel.expectNothing()
    await expectBodies(channel, 'rest', ['late'])
    expect(open.broker.vhosts.get('/')!.exchange('x').delayedCount).toBe(0)
  })
})

describe("LavinMQ's policy delayed-message", () => {
  it('has any exchange delay messages; what waits goes on when the policy is gone', async () => {
    const channel = await open.channel()
    await channel.queue('q')
    await channel.exchange('x', 'topic', { durable: true })
    await channel.bind('q', 'x', 'a.*')
    const publish = (body: string): void => {
      channel.publish({ exchange: 'x', 'routing-key': 'a.b' }, body, { headers: { 'x-delay': 1000 } })
    }
    publish('before')
    await expectBodies(channel, 'q', ['before'])
    const rest = { kind: 'policy', vhost: '/', operator: false, applyTo: 'exchanges', priority: 0 } as const
    open.broker.policies.put({ ...rest, name: 'p', pattern: '^x$', definition: { 'delayed-message': true } })
    publish('late')
    await expectBodies(channel, 'q', [])
    open.broker.policies.delete('/', 'p', false)
    publish('after')
    await expectBodies(channel, 'q', ['after'])
    open.clock.advance(1000)
    await channel.expectNothing()
    await expectBodies(channel, 'q', ['late'])
  })

  it('may be about the exchanges that are always there', async () => {
    const channel = await open.channel()
    await channel.queue('q')
    await channel.bind('q', 'amq.fanout')
    const rest = { kind: 'policy', vhost: '/', operator: false, applyTo: 'exchanges', priority: 0 } as const
    open.broker.policies.put({ ...rest, name: 'p', pattern: '.*', definition: { 'delayed-message': true } })
    channel.publish({ exchange: 'amq.fanout' }, 'm', { headers: { 'x-delay': 1000 } })
    await expectBodies(channel, 'q', [])
    open.clock.advance(1000)
    await channel.expectNothing()
    await expectBodies(channel, 'q', ['m'])
  })
})
