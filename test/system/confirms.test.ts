// Publisher confirms.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

/** A channel in confirm mode with a queue q. */
async function confirming(durable = false): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('q', { durable })
  await channel.call('confirm.select')
  return channel
}

/**
 * Reads acks until those for tags 1 to `count` are in, and makes sure that each tag is confirmed once, that nothing
 * else is, and that nothing is refused.
 */
async function expectConfirmed(channel: RawChannel, count: number): Promise<void> {
  const open = new Set(Array.from({ length: count }, (_, i) => i + 1))
  while (open.size > 0) {
    const { 'delivery-tag': field, multiple } = await channel.expect('basic.ack')
    const tag = Number(field)
    expect(open.delete(tag), `tag ${tag} was open`).toBe(true)
    if (multiple) for (const lower of open) if (lower < tag) open.delete(lower)
  }
  await channel.expectNothing()
}

describe('confirm.select', () => {
  it('may be repeated', async () => {
    const channel = await confirming()
    channel.publish({ 'routing-key': 'q' }, 'one')
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
    await channel.call('confirm.select')
    channel.publish({ 'routing-key': 'q' }, 'two')
    await channel.expect('basic.ack', { 'delivery-tag': 2 })
  })

  it('says nothing when it is not to wait', async () => {
    const channel = await broker.channel()
    channel.send('confirm.select', { nowait: true })
    channel.publish({ 'routing-key': 'absent' }, 'm')
    await channel.expect('basic.ack', { 'delivery-tag': 1, multiple: false })
  })

  it('counts from the first message after it', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    for (let i = 0; i < 5; i++) channel.publish({ 'routing-key': 'q' }, 'before')
    await channel.expectNothing()
    await channel.call('confirm.select')
    channel.publish({ 'routing-key': 'q' }, 'after')
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
    await channel.expectNothing()
  })

  it('is a matter of one channel', async () => {
    const channel = await confirming()
    const other = await channel.client.openChannel(2)
    const third = await channel.client.openChannel(3)
    await third.call('confirm.select')
    channel.publish({ 'routing-key': 'q' }, 'm')
    other.publish({ 'routing-key': 'q' }, 'm')
    third.publish({ 'routing-key': 'q' }, 'm')
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
    await third.expect('basic.ack', { 'delivery-tag': 1 })
    await other.expectNothing()
  })
})

describe('a message is confirmed', () => {
  it.each([
    ['transient, in a transient queue', false, 1],
    ['persistent, in a transient queue', false, 2],
    ['transient, in a durable queue', true, 1],
    ['persistent, in a durable queue', true, 2],
  ])('when it is %s', async (_case, durable, mode) => {
    const channel = await confirming(durable)
    channel.publish({ 'routing-key': 'q' }, 'm', { 'delivery-mode': mode })
    await channel.expect('basic.ack', { 'delivery-tag': 1, multiple: false })
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 1 })
  })

  it('when it is routed nowhere', async () => {
    const channel = await confirming()
    channel.publish({ 'routing-key': 'absent' }, 'm')
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'absent' }, 'm', { 'delivery-mode': 2 })
    await expectConfirmed(channel, 2)
  })

  it('after it was returned', async () => {
    const channel = await confirming()
    for (let tag = 1; tag <= 20; tag++) {
      channel.publish({ 'routing-key': 'absent', mandatory: true }, `${tag}`)
      await channel.expectReturn({ 'reply-code': 312 }, `${tag}`)
      await channel.expect('basic.ack', { 'delivery-tag': tag })
    }
  })

  it('after it was returned, among others', async () => {
    const channel = await confirming(true)
    const count = 200
    for (let tag = 1; tag <= count; tag++) {
      const lost = tag % 3 === 0
      const fields = { 'routing-key': lost ? 'absent' : 'q', mandatory: true }
      channel.publish(fields, `${tag}`, { 'delivery-mode': tag % 2 ? 2 : 1 })
    }
    const confirmed = new Set<number>()
    const returned = new Set<number>()
    while (confirmed.size < count) {
      const { method, fields, content } = await channel.client.nextOn(1)
      if (method === 'basic.return') returned.add(Number(content!.body.toString()))
      else {
        expect(method).toBe('basic.ack')
        const tag = Number(fields['delivery-tag'])
        for (let lower = fields.multiple ? 1 : tag; lower <= tag; lower++) {
          if (lower % 3 === 0) expect(returned.has(lower), `${lower} was returned`).toBe(true)
          confirmed.add(lower)
        }
      }
    }
    expect(returned.size).toBe(Math.floor(count / 3))
    await channel.expectNothing()
  })

  it('once, however many queues it reaches', async () => {
    const channel = await confirming(true)
    await channel.queue('p')
    await channel.queue('r', { durable: true })
    for (const queue of ['p', 'q', 'r']) await channel.bind(queue, 'amq.fanout')
    for (let i = 0; i < 10; i++) channel.publish({ exchange: 'amq.fanout' }, 'm', { 'delivery-mode': 2 })
    await expectConfirmed(channel, 10)
    for (const queue of ['p', 'q', 'r']) {
      await channel.call('queue.declare', { queue, passive: true }, { 'message-count': 10 })
    }
  })

  it('without waiting for a consumer', async () => {
    const channel = await confirming()
    const consumer = await broker.channel()
    await consumer.consume('q')
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
    await consumer.expectDeliver({}, 'm')
  })

  it('when its queue is deleted meanwhile', async () => {
    const channel = await confirming(true)
    for (let i = 0; i < 20; i++) channel.publish({ 'routing-key': 'q' }, 'm', { 'delivery-mode': 2 })
    channel.send('queue.delete', { queue: 'q' })
    const open = new Set(Array.from({ length: 20 }, (_, i) => i + 1))
    let deleted = false
    while (open.size > 0 || !deleted) {
      const { method, fields } = await channel.client.nextOn(1)
      if (method === 'queue.delete-ok') deleted = true
      else {
        expect(method).toBe('basic.ack')
        const tag = Number(fields['delivery-tag'])
        for (const lower of [...open]) if (lower === tag || (fields.multiple && lower < tag)) open.delete(lower)
      }
    }
    await channel.expectNothing()
  })
})

describe('many messages are confirmed', () => {
  it.each([
    ['transient', false, 1],
    ['persistent', true, 2],
  ])('each once: %s', async (_case, durable, mode) => {
    const channel = await confirming(durable)
    const count = 3000
    for (let i = 0; i < count; i++) channel.publish({ 'routing-key': 'q' }, `${i}`, { 'delivery-mode': mode })
    await expectConfirmed(channel, count)
  })

  it('each once, persistent beside transient and beside those that reach nobody', async () => {
    const channel = await confirming(true)
    const count = 1500
    for (let i = 0; i < count; i++) {
      channel.publish({ 'routing-key': i % 5 ? 'q' : 'absent' }, `${i}`, { 'delivery-mode': i % 2 ? 2 : 1 })
    }
    await expectConfirmed(channel, count)
  })

  it('each once, while they are consumed and acknowledged', async () => {
    const channel = await confirming(true)
    const consumer = await broker.channel()
    await consumer.call('basic.qos', { 'prefetch-count': 10 })
    await consumer.consume('q')
    const count = 1000
    for (let i = 0; i < count; i++) channel.publish({ 'routing-key': 'q' }, `${i}`, { 'delivery-mode': 2 })
    for (let i = 0; i < count; i++) {
      const { tag } = await consumer.expectDeliver({}, `${i}`)
      consumer.send('basic.ack', { 'delivery-tag': tag })
    }
    await expectConfirmed(channel, count)
  })
})

describe('a channel that is closed', () => {
  it('confirms nothing more', async () => {
    const channel = await confirming()
    channel.publish({ 'routing-key': 'q' }, 'one')
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
    channel.publish({ exchange: 'absent' }, 'two').publish({ 'routing-key': 'q' }, 'three')
    await channel.expectChannelClose(404, "NOT_FOUND - no exchange 'absent' in vhost '/'", 'basic.publish')
    await channel.call('channel.open')
    await channel.expectNothing()
    await channel.call('confirm.select')
    channel.publish({ 'routing-key': 'q' }, 'four')
    await channel.expect('basic.ack', { 'delivery-tag': 1, multiple: false })
  })

  it('confirms nothing of what it has not confirmed before its number is used again', async () => {
    const channel = await confirming(true)
    for (let i = 0; i < 50; i++) channel.publish({ 'routing-key': 'q' }, 'm', { 'delivery-mode': 2 })
    channel.send('channel.close')
    for (;;) {
      const { method } = await channel.client.nextOn(1)
      if (method === 'channel.close-ok') break
      expect(method).toBe('basic.ack')
    }
    await channel.call('channel.open')
    await channel.expectNothing()
  })
})
