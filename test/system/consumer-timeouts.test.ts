// Acknowledgements that take too long: x-consumer-timeout, the policy consumer-timeout and the setting.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import type { Table } from '../support/field-values.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const open = useOpenBroker()
const TIMEOUT = { 'x-consumer-timeout': 1000 }
/** When what took longer is found at the latest. */
const LATEST = 1100

function timedOut(timeoutMs: number): Table {
  const sentence =
    `delivery acknowledgement on channel 1 timed out. Timeout value used: ${timeoutMs} ms. ` +
    'This timeout value can be configured, see consumers doc guide to learn more'
  return { 'reply-code': 406, 'reply-text': `PRECONDITION_FAILED - ${sentence}`, 'class-id': 0, 'method-id': 0 }
}

/** A channel with these messages in the queue q and a consumer c of it, who has them all. */
async function consuming(queueArgs: Table, consumerArgs: Table = {}, bodies = ['1', '2']): Promise<RawChannel> {
  const channel = await open.channel()
  await channel.queue('q', { durable: true, arguments: queueArgs })
  for (const body of bodies) channel.publish({ 'routing-key': 'q' }, body)
  await channel.consume('q', { 'consumer-tag': 'c', arguments: consumerArgs })
  for (const body of bodies) await channel.expectDeliver({ 'consumer-tag': 'c', redelivered: false }, body)
  return channel
}

async function advance(milliseconds: number): Promise<void> {
  await (await open.connect()).close()
  open.clock.advance(milliseconds)
}

describe.each(['classic', 'quorum'])('a consumer of a %s queue that takes too long', (type) => {
  const args = { ...TIMEOUT, 'x-queue-type': type }

  it('is cancelled, and what it has goes back to the queue', async () => {
    const channel = await consuming(args)
    await advance(999)
    await channel.expectNothing()
    await advance(101)
    await channel.expect('basic.cancel', { 'consumer-tag': 'c', nowait: true })
    for (const body of ['1', '2']) {
      const { fields, body: got } = await channel.get('q', true)
      expect([got.toString(), fields['redelivered']]).toEqual([body, true])
    }
  })

  it('keeps the channel when it acknowledges after all, one or many', async () => {
    const channel = await consuming(args, {}, ['1', '2', '3'])
    await advance(LATEST)
    await channel.expect('basic.cancel', { 'consumer-tag': 'c' })
    channel.send('basic.ack', { 'delivery-tag': 1 })
    channel.send('basic.nack', { 'delivery-tag': 3, multiple: true, requeue: false })
    expect(await channel.call('queue.declare', { queue: 'q', passive: true })).toMatchObject({ 'message-count': 3 })
    // The same tag twice is a mistake as ever.
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.client.expectOn(1, 'channel.close', { 'reply-text': 'PRECONDITION_FAILED - unknown delivery tag 1' })
  })

  it('settles what is still its own with a tag that is not', async () => {
    const channel = await consuming(args, {}, ['1'])
    await channel.queue('other')
    channel.publish({ 'routing-key': 'other' }, 'mine')
    await channel.get('other')
    await advance(500)
    channel.publish({ 'routing-key': 'q' }, '2')
    await channel.expectDeliver({ 'delivery-tag': 3 }, '2')
    await advance(600)
    await channel.expect('basic.cancel')
    await advance(500)
    channel.send('basic.ack', { 'delivery-tag': 3, multiple: true })
    expect(await channel.call('queue.delete', { queue: 'other' })).toMatchObject({ 'message-count': 0 })
    expect(open.broker.vhosts.get('/')!.queue('q')).toMatchObject({ readyCount: 2, unackedCount: 0 })
  })

  it('loses only what has waited so long: the rest may still be acknowledged, or goes back in its time', async () => {
    const channel = await consuming(args, {}, ['1'])
    await advance(600)
    for (const body of ['2', '3']) {
      channel.publish({ 'routing-key': 'q' }, body)
      await channel.expectDeliver({ 'consumer-tag': 'c' }, body)
    }
    await advance(500)
    await channel.expect('basic.cancel')
    const queue = open.broker.vhosts.get('/')!.queue('q')
    expect(queue).toMatchObject({ readyCount: 1, unackedCount: 2 })
    channel.send('basic.ack', { 'delivery-tag': 2 })
    await advance(600)
    await channel.expectNothing()
    expect(queue).toMatchObject({ readyCount: 2, unackedCount: 0 })
  })

  it('makes room for another, who gets what it had', async () => {
    const channel = await consuming(args, {}, ['1'])
    const other = await open.channel()
    await other.consume('q', { 'consumer-tag': 'next' })
    await advance(LATEST)
    await channel.expect('basic.cancel')
    await other.expectDeliver({ 'consumer-tag': 'next', redelivered: true }, '1')
  })
})

describe('the timeout', () => {
  it('never hits a consumer that acknowledges in time', async () => {
    const channel = await consuming(TIMEOUT, {}, [])
    for (let tag = 1; tag <= 20; tag++) {
      channel.publish({ 'routing-key': 'q' }, 'm')
      await channel.expectDeliver({ 'delivery-tag': tag }, 'm')
      await advance(900)
      channel.send('basic.ack', { 'delivery-tag': tag })
    }
    await advance(5000)
    await channel.expectNothing()
  })

  it('is late by a tenth at the most', async () => {
    const channel = await consuming(TIMEOUT, {}, [])
    await advance(50)
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.expectDeliver({}, 'm')
    await advance(999)
    await channel.expectNothing()
    await advance(101)
    await channel.expect('basic.cancel')
  })

  it.each<[string, Table, Table, number]>([
    ["the consumer's before the queue's", { 'x-consumer-timeout': 500 }, { 'x-consumer-timeout': 2000 }, 2000],
    ["the queue's where the consumer has none", { 'x-consumer-timeout': 500 }, {}, 500],
  ])('is %s', async (_case, queueArgs, consumerArgs, timeoutMs) => {
    const channel = await consuming(queueArgs, consumerArgs)
    await advance(timeoutMs - 1)
    await channel.expectNothing()
    await advance(timeoutMs * 0.1 + 1)
    await channel.expect('basic.cancel')
  })

  it('of 0 is none', async () => {
    const channel = await consuming(TIMEOUT, { 'x-consumer-timeout': 0 })
    await advance(100_000_000)
    await channel.expectNothing()
  })

  it('comes from a policy too, from the time at which that is made, and ends with it', async () => {
    const channel = await consuming({}, {}, ['1'])
    const definition = { 'consumer-timeout': 1000 }
    const rest = { kind: 'policy', vhost: '/', operator: false, applyTo: 'all', priority: 0 } as const
    open.broker.policies.put({ ...rest, name: 'p', pattern: 'q', definition })
    await advance(900)
    open.broker.policies.delete('/', 'p', false)
    await advance(10_000)
    await channel.expectNothing()
    open.broker.policies.put({ ...rest, name: 'p', pattern: 'q', definition })
    await advance(1000)
    await channel.expect('basic.cancel')
  })

  it('does not count for the delivery limit', async () => {
    const channel = await consuming({ ...TIMEOUT, 'x-queue-type': 'quorum', 'x-delivery-limit': 0 }, {}, ['1'])
    await advance(LATEST)
    await channel.expect('basic.cancel')
    const { properties } = await channel.get('q')
    expect(properties.headers).toMatchObject({ 'x-acquired-count': 1n })
  })

  it('closes the channel of a client that cannot be told of a cancelled consumer', async () => {
    const client = await open.connect({ clientProperties: {} })
    const channel = await client.openChannel()
    await channel.queue('q', { durable: true, arguments: TIMEOUT })
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.consume('q')
    await channel.expectDeliver({}, 'm')
    await advance(LATEST)
    await client.expectOn(1, 'channel.close', timedOut(1000))
    expect(open.broker.vhosts.get('/')!.queue('q')).toMatchObject({ readyCount: 1, unackedCount: 0 })
  })

  it('closes the channel for what was got, as there is nobody to cancel', async () => {
    const channel = await open.channel()
    await channel.queue('q', { durable: true, arguments: TIMEOUT })
    for (const body of ['1', '2']) channel.publish({ 'routing-key': 'q' }, body)
    const { fields } = await channel.get('q')
    await advance(900)
    channel.send('basic.ack', { 'delivery-tag': fields['delivery-tag']! })
    await advance(5000)
    await channel.get('q')
    await advance(1100)
    await channel.client.expectOn(1, 'channel.close', timedOut(1000))
  })

  it('leaves no timer behind when consumers, queues and channels are gone', async () => {
    const channel = await consuming(TIMEOUT, {}, [])
    const before = open.clock.timerCount - 1
    await channel.call('basic.cancel', { 'consumer-tag': 'c' })
    open.clock.advance(100)
    expect(open.clock.timerCount).toBe(before)
    await channel.consume('q')
    await channel.close()
    expect(open.clock.timerCount).toBe(before)
  })
})

describe('the setting consumer-timeout', () => {
  const broker = useBroker({ consumerTimeoutMs: 1000, consumerTimeoutResponse: 'close_channel' })

  it('holds for all queues that say nothing, and may close the channel', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await channel.queue('patient', { arguments: { 'x-consumer-timeout': 0 } })
    for (const queue of ['q', 'patient']) {
      channel.publish({ 'routing-key': queue }, queue)
      await channel.consume(queue)
      await channel.expectDeliver({}, queue)
    }
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await broker.advance(5000)
    await channel.expectNothing()
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.expectDeliver({}, 'm')
    await broker.advance(1100)
    await channel.client.expectOn(1, 'channel.close', timedOut(1000))
  })
})
