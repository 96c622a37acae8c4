// Queues that may not grow beyond a length: what is dropped, what is refused, and who hears of it.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import type { Table } from '../support/field-values.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

async function limited(args: Table): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('q', { arguments: args })
  await channel.call('confirm.select')
  return channel
}

/** Publishes one message after the other and returns what the broker said of each. */
async function outcomes(channel: RawChannel, ...bodies: string[]): Promise<string[]> {
  const methods: string[] = []
  for (const body of bodies) {
    channel.publish({ 'routing-key': 'q' }, body)
    methods.push((await channel.client.nextOn(channel.number)).method)
  }
  return methods
}

/** Gets until the queue is empty. */
async function drained(channel: RawChannel): Promise<string[]> {
  const bodies: string[] = []
  for (;;) {
    channel.send('basic.get', { queue: 'q', 'no-ack': true })
    const { method, content } = await channel.client.nextOn(channel.number)
    if (method === 'basic.get-empty') return bodies
    bodies.push(content!.body.toString())
  }
}

describe('drop-head', () => {
  it('drops the oldest ready message for each that is too many, and acknowledges all', async () => {
    const channel = await limited({ 'x-max-length': 2 })
    expect(await outcomes(channel, 'a', 'b', 'c', 'd')).toEqual(Array(4).fill('basic.ack'))
    expect(await drained(channel)).toEqual(['c', 'd'])
  })

  it('drops as many as the bytes of the bodies ask for', async () => {
    const channel = await limited({ 'x-max-length-bytes': 10, 'x-overflow': 'drop-head' })
    await outcomes(channel, '1234', '5678', '12')
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 3 })
    await outcomes(channel, '123456789')
    expect(await drained(channel)).toEqual(['123456789'])
  })

  it('drops a message that is larger than the whole queue may be', async () => {
    const channel = await limited({ 'x-max-length-bytes': 3 })
    expect(await outcomes(channel, '1234')).toEqual(['basic.ack'])
    expect(await drained(channel)).toEqual([])
  })

  it('counts ready messages only, and looks again when others come back', async () => {
    const channel = await limited({ 'x-max-length': 2 })
    await outcomes(channel, 'a', 'b')
    const { tag } = await channel.get('q')
    await channel.get('q')
    await outcomes(channel, 'c', 'd')
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 2 })
    channel.send('basic.nack', { 'delivery-tag': tag + 1, multiple: true, requeue: true })
    expect(await drained(channel)).toEqual(['c', 'd'])
  })

  it('passes messages to a consumer that is ready, and keeps none, when the length is zero', async () => {
    const channel = await limited({ 'x-max-length': 0 })
    await outcomes(channel, 'lost')
    await channel.consume('q', { 'no-ack': true })
    channel.publish({ 'routing-key': 'q' }, 'taken')
    await channel.expectDeliver({}, 'taken')
    await channel.expect('basic.ack')
  })
})

describe.each(['reject-publish', 'reject-publish-dlx'])('%s', (overflow) => {
  it('refuses what is too many, and takes more when there is room', async () => {
    const channel = await limited({ 'x-max-length': 2, 'x-overflow': overflow })
    expect(await outcomes(channel, 'a', 'b', 'c')).toEqual(['basic.ack', 'basic.ack', 'basic.nack'])
    await channel.get('q', true)
    expect(await outcomes(channel, 'd', 'e')).toEqual(['basic.ack', 'basic.nack'])
    expect(await drained(channel)).toEqual(['b', 'd'])
  })

  it('refuses a message whose body is too large, and takes a smaller one', async () => {
    const channel = await limited({ 'x-max-length-bytes': 5, 'x-overflow': overflow })
    expect(await outcomes(channel, '123', '456', '45', '')).toEqual([
      'basic.ack',
      'basic.nack',
      'basic.ack',
      'basic.ack',
    ])
  })

  it('says nothing without confirms', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-max-length': 0, 'x-overflow': overflow } })
    channel.publish({ 'routing-key': 'q' }, 'gone')
    await channel.expectNothing()
    expect(await drained(channel)).toEqual([])
  })

  it('is one refusal for the message, whatever other queues say', async () => {
    const channel = await limited({ 'x-max-length': 0, 'x-overflow': overflow })
    await channel.queue('other')
    for (const queue of ['q', 'other']) await channel.bind(queue, 'amq.fanout')
    channel.publish({ exchange: 'amq.fanout' }, 'm', { 'delivery-mode': 2 })
    await channel.expect('basic.nack', { 'delivery-tag': 1, multiple: false, requeue: true })
    expect((await channel.get('other', true)).body.toString()).toBe('m')
    await channel.expectNothing()
  })

  it('lets requeued messages make the queue longer than it may be', async () => {
    const channel = await limited({ 'x-max-length': 1, 'x-overflow': overflow })
    await outcomes(channel, 'a')
    const { tag } = await channel.get('q')
    await outcomes(channel, 'b')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    expect(await drained(channel)).toEqual(['a', 'b'])
  })
})

describe('drop-head', () => {
  it('drops what comes back to a queue that may hold nothing, though a consumer could take it', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-max-length': 0 } })
    await channel.consume('q')
    channel.publish({ 'routing-key': 'q' }, 'once')
    await channel.expectDeliver({}, 'once')
    await channel.call('basic.recover', { requeue: true })
    await channel.expectNothing()
    await channel.queue('q', { passive: true })
  })

  it('drops what is too much before the next single active consumer gets the rest', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-max-length': 1, 'x-single-active-consumer': true } })
    await channel.consume('q')
    const next = await broker.channel()
    await next.consume('q')
    for (const body of ['first', 'second']) {
      channel.publish({ 'routing-key': 'q' }, body)
      await channel.expectDeliver({}, body)
    }
    await channel.close()
    await next.expectDeliver({ redelivered: true }, 'second')
    await next.expectNothing()
  })

  it('drops nothing before a queue goes with its last consumer', async () => {
    const channel = await broker.channel()
    await channel.queue('dead')
    const args = { 'x-max-length': 1, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
    await channel.queue('q', { 'auto-delete': true, arguments: args })
    const consumer = await broker.channel()
    await consumer.consume('q')
    for (const body of ['first', 'second']) {
      channel.publish({ 'routing-key': 'q' }, body)
      await consumer.expectDeliver({}, body)
    }
    await consumer.close()
    await channel.call('queue.declare', { queue: 'dead', passive: true }, { 'message-count': 0 })
  })

  it('of a quorum queue drops only what no consumer takes when it comes back', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-max-length': 1 } })
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q')
    channel.publish({ 'routing-key': 'q' }, 'first')
    channel.publish({ 'routing-key': 'q' }, 'second')
    const { tag } = await channel.expectDeliver({ redelivered: false }, 'first')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    await channel.expectDeliver({ redelivered: true }, 'first')
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 1 })
  })
})
