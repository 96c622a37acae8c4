// Transactions: tx.select, tx.commit and tx.rollback.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { encodeHeader, encodeMethod, FrameType } from '../support/codec.ts'
import { frame, type RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

/** A transactional channel with a durable queue q. */
async function transactional(): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('q', { durable: true })
  await channel.call('tx.select')
  return channel
}

/** How many messages are ready in a queue, as another connection sees it. */
async function readyIn(queue: string): Promise<number> {
  const channel = await broker.channel()
  const { 'message-count': count } = await channel.call('queue.declare', { queue, passive: true })
  await channel.client.close()
  return Number(count)
}

describe('tx.commit', () => {
  it('delivers what was published, in its order, and nothing before', async () => {
    const channel = await transactional()
    channel.publish({ 'routing-key': 'q' }, 'one', { 'delivery-mode': 2 })
    channel.publish({ 'routing-key': 'q' }, 'two')
    channel.send('basic.get', { queue: 'q' })
    await channel.expect('basic.get-empty')
    await channel.call('tx.commit')
    await channel.get('q', true).then(({ body }) => expect(body.toString()).toBe('one'))
    await channel.get('q', true).then(({ body }) => expect(body.toString()).toBe('two'))
  })

  it('reaches several queues at once', async () => {
    const channel = await transactional()
    await channel.queue('other', { durable: true })
    channel.publish({ 'routing-key': 'q' }, 'm', { 'delivery-mode': 2 })
    channel.publish({ 'routing-key': 'other' }, 'm', { 'delivery-mode': 2 })
    await channel.call('tx.commit')
    expect([await readyIn('q'), await readyIn('other')]).toEqual([1, 1])
  })

  it('goes where the message was routed when it was published', async () => {
    const channel = await transactional()
    await channel.exchange('x', 'fanout')
    await channel.bind('q', 'x')
    channel.publish({ exchange: 'x' }, 'm')
    await channel.call('queue.unbind', { queue: 'q', exchange: 'x' })
    await channel.call('tx.commit')
    expect(await readyIn('q')).toBe(1)
  })

  it('reaches the queue that has the name by then', async () => {
    const channel = await transactional()
    await channel.exchange('x', 'fanout')
    await channel.bind('q', 'x')
    channel.publish({ 'routing-key': 'q', mandatory: true }, 'by its name')
    channel.publish({ exchange: 'x', mandatory: true }, 'by a binding')
    channel.publish({ 'routing-key': 'later', mandatory: true }, 'to come')
    channel.publish({ 'routing-key': 'never', mandatory: true }, 'for nobody')
    await channel.call('queue.delete', { queue: 'q' }, { 'message-count': 0 })
    await channel.queue('q')
    await channel.queue('later')
    channel.send('tx.commit')
    await channel.expectReturn({ 'routing-key': 'never', 'reply-code': 312 }, 'for nobody')
    await channel.expect('tx.commit-ok')
    expect([await readyIn('q'), await readyIn('later')]).toEqual([2, 1])
  })

  it('settles what was acknowledged', async () => {
    const channel = await transactional()
    channel.publish({ 'routing-key': 'q' }, 'm', { 'delivery-mode': 2 })
    await channel.call('tx.commit')
    const { tag } = await channel.get('q')
    channel.send('basic.ack', { 'delivery-tag': tag })
    await channel.call('tx.commit')
    await channel.client.close()
    expect(await readyIn('q')).toBe(0)
  })

  it('requeues what was rejected with requeue', async () => {
    const channel = await transactional()
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.call('tx.commit')
    const { tag } = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    await channel.expectNothing()
    expect(await readyIn('q')).toBe(0)
    await channel.call('tx.commit')
    expect(await readyIn('q')).toBe(1)
  })

  it('returns what is mandatory and unroutable before it is answered', async () => {
    const channel = await transactional()
    channel.publish({ 'routing-key': 'nowhere', mandatory: true }, 'm')
    await channel.expectNothing()
    channel.send('tx.commit')
    await channel.expectReturn({ 'reply-code': 312, 'reply-text': 'NO_ROUTE', 'routing-key': 'nowhere' }, 'm')
    await channel.expect('tx.commit-ok')
  })

  it('returns what is mandatory and whose queue was deleted meanwhile', async () => {
    const channel = await transactional()
    await channel.queue('soon-gone')
    channel.publish({ 'routing-key': 'soon-gone', mandatory: true }, 'm')
    await channel.call('queue.delete', { queue: 'soon-gone' })
    channel.send('tx.commit')
    await channel.expectReturn({ 'reply-code': 312, 'routing-key': 'soon-gone' }, 'm')
    await channel.expect('tx.commit-ok')
  })

  it('may be empty, and repeated', async () => {
    const channel = await transactional()
    await channel.call('tx.select')
    await channel.call('tx.commit')
    await channel.call('tx.commit')
  })

  it('allows no other method while it waits for the disk', async () => {
    const channel = await transactional()
    const { client } = channel
    const method = (name: string, fields = {}): Buffer => frame(FrameType.method, 1, encodeMethod(name, fields))
    const header = frame(FrameType.header, 1, encodeHeader(0, { 'delivery-mode': 2 }))
    const publish = Buffer.concat([method('basic.publish', { 'routing-key': 'q' }), header])
    await client.bytes(Buffer.concat([publish, method('tx.commit'), method('basic.qos', { 'prefetch-count': 1 })]))
    const text = "CHANNEL_ERROR - unexpected command while processing 'tx.commit'"
    await client.expectConnectionClose(504, text, 'basic.qos')
    expect(await readyIn('q')).toBe(1)
  })

  it('lets the channel be closed while it waits', async () => {
    const channel = await transactional()
    const { client } = channel
    const method = (name: string, fields = {}): Buffer => frame(FrameType.method, 1, encodeMethod(name, fields))
    const header = frame(FrameType.header, 1, encodeHeader(0, { 'delivery-mode': 2 }))
    const publish = Buffer.concat([method('basic.publish', { 'routing-key': 'q' }), header])
    await client.bytes(Buffer.concat([publish, method('tx.commit'), method('channel.close')]))
    await channel.expect('channel.close-ok')
    expect(await readyIn('q')).toBe(1)
  })
})

describe('a transaction of which a queue refuses something', () => {
  it('fails in part: what others have taken stays', async () => {
    const channel = await transactional()
    await channel.queue('full', { arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } })
    for (const key of ['full', 'full', 'q']) channel.publish({ 'routing-key': key }, 'm')
    channel.send('tx.commit')
    await channel.expectChannelClose(406, 'PRECONDITION_FAILED - partial tx completion', 'tx.commit')
    expect([await readyIn('full'), await readyIn('q')]).toEqual([1, 1])
  })
})

describe('tx.rollback', () => {
  it('forgets what was published', async () => {
    const channel = await transactional()
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.call('tx.rollback')
    await channel.call('tx.commit')
    expect(await readyIn('q')).toBe(0)
  })

  it('makes outstanding again what was acknowledged, and does not redeliver it', async () => {
    const channel = await transactional()
    for (const body of ['a', 'b', 'c']) channel.publish({ 'routing-key': 'q' }, body)
    await channel.call('tx.commit')
    await channel.consume('q', { 'consumer-tag': 'me' })
    for (const [index, body] of ['a', 'b', 'c'].entries()) {
      await channel.expectDeliver({ 'delivery-tag': index + 1 }, body)
    }
    channel.send('basic.ack', { 'delivery-tag': 2 })
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.call('tx.rollback')
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 2, multiple: true })
    await channel.call('tx.commit')
    await channel.call('basic.cancel', { 'consumer-tag': 'me' })
    channel.send('basic.nack', { 'delivery-tag': 3, requeue: true })
    await channel.call('tx.commit')
    channel.send('basic.get', { queue: 'q' })
    await channel.expectGetOk({ redelivered: true, 'message-count': 0 }, 'c')
  })

  it('happens by itself when the channel closes', async () => {
    const channel = await transactional()
    channel.publish({ 'routing-key': 'q' }, 'kept')
    await channel.call('tx.commit')
    channel.publish({ 'routing-key': 'q' }, 'lost')
    const { tag } = await channel.get('q')
    channel.send('basic.ack', { 'delivery-tag': tag })
    await channel.close()
    expect(await readyIn('q')).toBe(1)
  })
})

describe('a transaction', () => {
  it('counts what is settled but not committed against the prefetch', async () => {
    const channel = await transactional()
    for (const body of ['a', 'b']) channel.publish({ 'routing-key': 'q' }, body)
    await channel.call('tx.commit')
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q')
    await channel.expectDeliver({ 'delivery-tag': 1 }, 'a')
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.expectNothing()
    channel.send('tx.commit')
    const arrived = [(await channel.client.nextOn(1)).method, (await channel.client.nextOn(1)).method]
    expect(arrived.toSorted()).toEqual(['basic.deliver', 'tx.commit-ok'])
  })

  it('refuses a tag that it has settled already', async () => {
    const channel = await transactional()
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.call('tx.commit')
    await channel.get('q')
    channel.send('basic.ack', { 'delivery-tag': 1 }).send('basic.ack', { 'delivery-tag': 1 })
    await channel.expectChannelClose(406, 'PRECONDITION_FAILED - unknown delivery tag 1', 'basic.ack')
  })

  it('checks the exchange of a publish at once', async () => {
    const channel = await transactional()
    channel.publish({ exchange: 'absent' }, 'm')
    await channel.expectChannelClose(404, "NOT_FOUND - no exchange 'absent' in vhost '/'", 'basic.publish')
  })

  it.each(['tx.commit', 'tx.rollback'])('is needed for %s', async (method) => {
    const channel = await broker.channel()
    channel.send(method)
    await channel.expectChannelClose(406, 'PRECONDITION_FAILED - channel is not transactional', method)
  })

  it('cannot be had with confirms', async () => {
    const channel = await broker.channel()
    await channel.call('confirm.select')
    channel.send('tx.select')
    const text = 'PRECONDITION_FAILED - cannot switch from confirm to tx mode'
    await channel.expectChannelClose(406, text, 'tx.select')
  })

  it('keeps confirms out', async () => {
    const channel = await transactional()
    channel.send('confirm.select')
    const text = 'PRECONDITION_FAILED - cannot switch from tx to confirm mode'
    await channel.expectChannelClose(406, text, 'confirm.select')
  })
})
