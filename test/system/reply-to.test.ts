// Direct reply-to: replies without a queue of one's own.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()
const REPLY_TO = 'amq.rabbitmq.reply-to'

/** A channel that consumes replies, and the name that its requests carry. */
async function requester(): Promise<{ channel: RawChannel; name: string; tag: string }> {
  const channel = await broker.channel()
  await channel.queue('requests')
  const tag = await channel.consume(REPLY_TO, { 'no-ack': true })
  channel.publish({ 'routing-key': 'requests' }, 'request', { 'reply-to': REPLY_TO, 'correlation-id': '1' })
  const { properties } = await channel.get('requests', true)
  return { channel, name: String(properties['reply-to']), tag }
}

describe('a consumer of direct replies', () => {
  it('gets what is published to the name that its requests carry', async () => {
    const { channel, name, tag } = await requester()
    expect(name).toMatch(/^amq\.rabbitmq\.reply-to\.[\w+/]+={0,2}\.[\w+/]{22}==$/)
    const responder = await broker.channel()
    responder.publish({ 'routing-key': name, mandatory: true }, 'reply', { 'correlation-id': '1' })
    await responder.expectNothing()
    const fields = { 'consumer-tag': tag, exchange: '', 'routing-key': name, redelivered: false }
    await channel.expectDeliver(fields, 'reply', { 'correlation-id': '1' })
  })

  it('has a name that nobody can guess', async () => {
    const [one, two] = [await requester(), await requester()]
    expect(one.name).not.toBe(two.name)
    expect(one.name.length).toBeGreaterThan(REPLY_TO.length + 30)
  })

  it('is gone with its channel, so that a mandatory reply is returned', async () => {
    const { channel, name } = await requester()
    const responder = await broker.channel()
    responder.publish({ 'routing-key': name }, 'in time')
    await channel.expectDeliver({}, 'in time')
    await channel.close()
    responder.publish({ 'routing-key': name, mandatory: true }, 'late')
    await responder.expectReturn({ 'reply-code': 312, 'reply-text': 'NO_ROUTE', 'routing-key': name }, 'late')
  })

  it('may be cancelled and set up again', async () => {
    const { channel, name, tag } = await requester()
    await channel.call('basic.cancel', { 'consumer-tag': tag })
    channel.send('queue.declare', { queue: name, passive: true })
    const text = `NOT_FOUND - no queue '${name}' in vhost '/'`
    await channel.expectChannelClose(404, text, 'queue.declare')
    const again = await channel.client.openChannel(2)
    await again.consume(REPLY_TO, { 'no-ack': true })
  })

  it('is confirmed as any queue is', async () => {
    const { channel, name } = await requester()
    const responder = await broker.channel()
    await responder.call('confirm.select')
    responder.publish({ 'routing-key': name }, 'reply', { 'delivery-mode': 2 })
    await responder.expect('basic.ack', { 'delivery-tag': 1 })
    await channel.expectDeliver({}, 'reply')
  })

  it('may be asked for again after its arguments were refused', async () => {
    const channel = await broker.channel()
    channel.send('basic.consume', { queue: REPLY_TO, 'no-ack': true, arguments: { 'x-priority': 'high' } })
    const term = '"expected integer, got longstr"'
    const text = new RegExp(
      `^PRECONDITION_FAILED - invalid arg 'x-priority' for queue '${REPLY_TO}.*' in vhost '/': ${term}$`,
    )
    await channel.expectChannelClose(406, text, 'basic.consume')
    const again = await channel.client.openChannel(1)
    await again.consume(REPLY_TO, { 'no-ack': true })
  })

  it('cannot acknowledge', async () => {
    const channel = await broker.channel()
    channel.send('basic.consume', { queue: REPLY_TO })
    const text = 'PRECONDITION_FAILED - reply consumer cannot acknowledge'
    await channel.expectChannelClose(406, text, 'basic.consume')
  })

  it('is one a channel', async () => {
    const { channel } = await requester()
    channel.send('basic.consume', { queue: REPLY_TO, 'no-ack': true })
    const text = 'PRECONDITION_FAILED - reply consumer already set'
    await channel.expectChannelClose(406, text, 'basic.consume')
  })

  it('is needed before requests are published', async () => {
    const channel = await broker.channel()
    channel.publish({ 'routing-key': 'requests' }, 'request', { 'reply-to': REPLY_TO })
    const text = 'PRECONDITION_FAILED - fast reply consumer does not exist'
    await channel.expectChannelClose(406, text, 'basic.publish')
  })

  it('leaves other reply-to properties as they are', async () => {
    const channel = await broker.channel()
    await channel.queue('requests')
    channel.publish({ 'routing-key': 'requests' }, 'request', { 'reply-to': 'my-replies' })
    expect((await channel.get('requests', true)).properties).toEqual({ 'reply-to': 'my-replies' })
  })
})

describe('the name of a consumer of replies', () => {
  it.each([
    ['passively', { passive: true }],
    ['actively', { durable: true, exclusive: true }],
  ])('can be declared %s while the consumer is there', async (_how, fields) => {
    const { name } = await requester()
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: name, ...fields })
    await channel.expect('queue.declare-ok', { queue: name, 'message-count': 0, 'consumer-count': 1 })
    channel.send('queue.declare', { queue: REPLY_TO, ...fields })
    await channel.expect('queue.declare-ok', { queue: REPLY_TO, 'message-count': 0, 'consumer-count': 1 })
  })

  it('is not found once the consumer is gone', async () => {
    const { channel: gone, name } = await requester()
    await gone.client.close()
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: name })
    await channel.expectChannelClose(404, `NOT_FOUND - no queue '${name}' in vhost '/'`, 'queue.declare')
  })

  it.each(['queue.bind', 'queue.unbind'])('cannot be given to %s', async (method) => {
    const { name } = await requester()
    const channel = await broker.channel()
    channel.send(method, { queue: name, exchange: 'amq.direct' })
    const text = 'ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue'
    await channel.expectChannelClose(403, text, method)
  })

  it('cannot be given to basic.get', async () => {
    const channel = await broker.channel()
    channel.send('basic.get', { queue: REPLY_TO })
    const text = `NOT_IMPLEMENTED - basic.get not supported by volatile queue '${REPLY_TO}' in vhost '/'`
    await channel.client.expectConnectionClose(540, text, 'basic.get')
  })
})
