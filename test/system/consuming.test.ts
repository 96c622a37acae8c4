// Consumers: how they start and end, who gets what, and how much of it.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import { CAPABILITIES, type RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

/** A channel with a queue q in which messages of these bodies are waiting. */
async function withMessages(...bodies: string[]): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('q')
  await publish(channel, ...bodies)
  return channel
}

/** Publishes to q on a channel of its own, and waits until the messages are there. */
async function publish(channel: RawChannel, ...bodies: string[]): Promise<void> {
  const publisher = await channel.client.openChannel(99)
  await publisher.call('confirm.select')
  for (const body of bodies) {
    publisher.publish({ 'routing-key': 'q' }, body)
    await publisher.expect('basic.ack')
  }
  await publisher.close()
}

async function expectDeliveries(channel: RawChannel, ...bodies: string[]): Promise<void> {
  for (const body of bodies) await channel.expectDeliver({}, body)
}

function numbers(count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, i) => `${i + from}`)
}

describe('basic.consume', () => {
  it('is answered before the first delivery', async () => {
    const channel = await withMessages('waiting')
    channel.send('basic.consume', { queue: 'q', 'consumer-tag': 'mine' })
    await channel.expect('basic.consume-ok', { 'consumer-tag': 'mine' })
    const fields = { 'consumer-tag': 'mine', 'delivery-tag': 1, redelivered: false, exchange: '', 'routing-key': 'q' }
    await channel.expectDeliver(fields, 'waiting')
  })

  it('makes up a tag when none is given, a new one each time', async () => {
    const channel = await withMessages()
    const tags = [await channel.consume('q'), await channel.consume('q')]
    for (const tag of tags) expect(tag).toMatch(/^amq\.ctag-[A-Za-z0-9_-]{22}$/)
    expect(tags[0]).not.toBe(tags[1])
  })

  it('says nothing when it is not to wait', async () => {
    const channel = await withMessages()
    channel.send('basic.consume', { queue: 'q', 'consumer-tag': 'quiet', nowait: true })
    await channel.expectNothing()
    await publish(channel, 'm')
    await channel.expectDeliver({ 'consumer-tag': 'quiet' }, 'm')
  })

  it('makes up a tag also when it is not to wait', async () => {
    const channel = await withMessages('m')
    channel.send('basic.consume', { queue: 'q', nowait: true })
    const { fields } = await channel.expectDeliver({}, 'm')
    expect(fields['consumer-tag']).toMatch(/^amq\.ctag-/)
  })

  it('refuses a tag that is in use on the channel, wherever it consumes from', async () => {
    for (const queue of ['q', 'absent']) {
      const channel = await withMessages()
      await channel.consume('q', { 'consumer-tag': 'mine' })
      channel.send('basic.consume', { queue, 'consumer-tag': 'mine' })
      await channel.client.expectConnectionClose(
        530,
        "NOT_ALLOWED - attempt to reuse consumer tag 'mine'",
        'basic.consume',
      )
    }
  })

  it('takes the same tag on another channel, and again when it is free', async () => {
    const channel = await withMessages()
    await channel.consume('q', { 'consumer-tag': 'mine' })
    const other = await channel.client.openChannel(2)
    await other.consume('q', { 'consumer-tag': 'mine' })
    await channel.call('basic.cancel', { 'consumer-tag': 'mine' })
    await channel.consume('q', { 'consumer-tag': 'mine' })
  })

  it('delivers to the channel that published, whatever no-local says', async () => {
    const channel = await withMessages()
    await channel.consume('q', { 'no-local': true })
    channel.publish({ 'routing-key': 'q' }, 'my own')
    await channel.expectDeliver({}, 'my own')
  })

  it('tells exchange and key as they were published', async () => {
    const channel = await withMessages()
    await channel.bind('q', 'amq.topic', '#')
    await channel.consume('q')
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'some.key' }, 'm')
    await channel.expectDeliver({ exchange: 'amq.topic', 'routing-key': 'some.key' }, 'm')
  })

  it('refuses a priority that is no number', async () => {
    const channel = await withMessages()
    channel.send('basic.consume', { queue: 'q', arguments: { 'x-priority': 'high' } })
    await channel.expectChannelClose(
      406,
      `PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': "expected integer, got longstr"`,
      'basic.consume',
    )
  })

  it('ignores arguments that mean nothing', async () => {
    const channel = await withMessages()
    await channel.consume('q', { arguments: { 'x-cancel-on-ha-failover': true, mine: [1] } })
  })
})

describe('an exclusive consumer', () => {
  const IN_USE = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"

  it.each([true, false])('is alone: another one (exclusive: %s) is refused', async (exclusive) => {
    const channel = await withMessages()
    const tag = await channel.consume('q', { exclusive: true })
    const other = await broker.channel()
    other.send('basic.consume', { queue: 'q', exclusive })
    await other.expectChannelClose(403, IN_USE, 'basic.consume')
    await channel.call('basic.cancel', { 'consumer-tag': tag })
    await other.call('channel.open')
    await other.consume('q', { exclusive })
  })

  it('is refused when there is another already', async () => {
    const channel = await withMessages()
    await channel.consume('q')
    channel.send('basic.consume', { queue: 'q', exclusive: true })
    await channel.expectChannelClose(403, IN_USE, 'basic.consume')
  })

  it('does not keep others from get', async () => {
    const channel = await withMessages()
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q', { exclusive: true })
    await publish(channel, 'one', 'two')
    await channel.expectDeliver({}, 'one')
    expect((await (await broker.channel()).get('q')).body.toString()).toBe('two')
  })
})

describe('basic.cancel', () => {
  it('is answered after the last delivery, and there is none after it', async () => {
    const channel = await withMessages(...numbers(20))
    await channel.consume('q', { 'consumer-tag': 'c' })
    await expectDeliveries(channel, ...numbers(20))
    await channel.call('basic.cancel', { 'consumer-tag': 'c' }, { 'consumer-tag': 'c' })
    await publish(channel, 'later')
    await channel.expectNothing()
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 1, 'consumer-count': 0 })
  })

  it('leaves what was delivered with the channel, to be acknowledged later', async () => {
    const channel = await withMessages('one', 'two')
    await channel.consume('q', { 'consumer-tag': 'c' })
    await expectDeliveries(channel, 'one', 'two')
    await channel.call('basic.cancel', { 'consumer-tag': 'c' })
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 0 })
    channel.send('basic.ack', { 'delivery-tag': 1 })
    channel.send('basic.reject', { 'delivery-tag': 2, requeue: true })
    channel.send('basic.get', { queue: 'q' })
    await channel.expectGetOk({ redelivered: true, 'message-count': 0, 'delivery-tag': 3 }, 'two')
  })

  it('of a tag that nobody has is answered like any other', async () => {
    const channel = await broker.channel()
    await channel.call('basic.cancel', { 'consumer-tag': 'nobody' }, { 'consumer-tag': 'nobody' })
  })

  it('says nothing when it is not to wait', async () => {
    const channel = await withMessages()
    await channel.consume('q', { 'consumer-tag': 'c' })
    channel.send('basic.cancel', { 'consumer-tag': 'c', nowait: true })
    channel.send('basic.cancel', { 'consumer-tag': 'nobody', nowait: true })
    await channel.expectNothing()
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'consumer-count': 0 })
  })
})

describe('the deletion of a queue', () => {
  it('is told to its consumers', async () => {
    const channel = await withMessages()
    await channel.consume('q', { 'consumer-tag': 'one' })
    const other = await broker.channel()
    await other.consume('q', { 'consumer-tag': 'two' })
    await (await broker.channel()).call('queue.delete', { queue: 'q' })
    await channel.expect('basic.cancel', { 'consumer-tag': 'one', nowait: true })
    await other.expect('basic.cancel', { 'consumer-tag': 'two', nowait: true })
  })

  it('is told on the channel that deleted it after delete-ok', async () => {
    const channel = await withMessages()
    await channel.consume('q', { 'consumer-tag': 'c' })
    channel.send('queue.delete', { queue: 'q' })
    await channel.expect('queue.delete-ok')
    await channel.expect('basic.cancel', { 'consumer-tag': 'c', nowait: true })
  })

  it('is not told to a client that does not claim to understand it', async () => {
    const clientProperties = { capabilities: { ...CAPABILITIES, consumer_cancel_notify: false } }
    const channel = await broker.channel({ clientProperties })
    await channel.queue('q')
    await channel.consume('q', { 'consumer-tag': 'c' })
    await channel.call('queue.delete', { queue: 'q' })
    await channel.expectNothing()
    await channel.queue('q')
    await channel.consume('q', { 'consumer-tag': 'c' })
  })

  it('frees the tag', async () => {
    const channel = await withMessages()
    await channel.consume('q', { 'consumer-tag': 'c' })
    await channel.call('queue.delete', { queue: 'q' })
    await channel.expect('basic.cancel', { 'consumer-tag': 'c' })
    await channel.queue('q')
    await channel.consume('q', { 'consumer-tag': 'c' })
  })

  itOnlyHere('it takes offence', 'may be acknowledged with cancel-ok, which nobody asked for', async () => {
    const channel = await withMessages()
    await channel.consume('q', { 'consumer-tag': 'c' })
    await channel.call('queue.delete', { queue: 'q' })
    await channel.expect('basic.cancel', { 'consumer-tag': 'c' })
    channel.send('basic.cancel-ok', { 'consumer-tag': 'c' })
    await channel.expectNothing()
  })
})

describe('a consumer without acknowledgements', () => {
  it('settles what it is sent', async () => {
    const channel = await withMessages('one', 'two')
    await channel.consume('q', { 'no-ack': true })
    await expectDeliveries(channel, 'one', 'two')
    await channel.close()
    await channel.call('channel.open')
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 0 })
  })

  it('has nothing to acknowledge', async () => {
    const channel = await withMessages('one')
    await channel.consume('q', { 'no-ack': true })
    await channel.expectDeliver({ 'delivery-tag': 1 }, 'one')
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.expectChannelClose(406, 'PRECONDITION_FAILED - unknown delivery tag 1', 'basic.ack')
  })
})

describe('delivery tags', () => {
  it('are one sequence for all deliveries of a channel', async () => {
    const channel = await withMessages('one')
    await channel.queue('p')
    await channel.consume('q', { 'consumer-tag': 'acks' })
    await channel.expectDeliver({ 'delivery-tag': 1 }, 'one')
    await channel.call('basic.cancel', { 'consumer-tag': 'acks' })
    await channel.consume('q', { 'consumer-tag': 'does not', 'no-ack': true })
    await publish(channel, 'two', 'three')
    await channel.expectDeliver({ 'delivery-tag': 2 }, 'two')
    await channel.expectDeliver({ 'delivery-tag': 3 }, 'three')
    channel.publish({ 'routing-key': 'p' }, 'four').publish({ 'routing-key': 'p' }, 'five')
    expect((await channel.get('p', true)).tag).toBe(4)
    expect((await channel.get('p')).tag).toBe(5)
  })

  it('start with 1 on every channel', async () => {
    const channel = await withMessages()
    const other = await channel.client.openChannel(2)
    await publish(channel, 'one', 'two')
    expect((await channel.get('q')).tag).toBe(1)
    expect((await other.get('q')).tag).toBe(1)
  })
})

describe('several consumers', () => {
  it('take turns', async () => {
    const channel = await withMessages()
    const names = ['a', 'b', 'c']
    for (const name of names) await channel.consume('q', { 'consumer-tag': name, 'no-ack': true })
    await publish(channel, ...numbers(9))
    const tags: string[] = []
    for (const body of numbers(9)) tags.push(String((await channel.expectDeliver({}, body)).fields['consumer-tag']))
    for (let round = 0; round < 9; round += 3) expect(tags.slice(round, round + 3).toSorted()).toEqual(names)
    expect(tags.slice(3, 6)).toEqual(tags.slice(0, 3))
  })

  it('have their turn when they can take something again, not when a prefetch is set', async () => {
    const channel = await withMessages('one', 'two')
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q', { 'consumer-tag': 'full' })
    const { tag } = await channel.expectDeliver({ 'consumer-tag': 'full' }, 'one')
    await channel.get('q', true)
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q', { 'consumer-tag': 'free' })
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    await channel.expectDeliver({ 'consumer-tag': 'free', redelivered: true }, 'one')
  })

  it('have their turn after those who waited, when they give something back', async () => {
    const channel = await withMessages()
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    for (const tag of ['a', 'b']) await channel.consume('q', { 'consumer-tag': tag })
    await publish(channel, '1', '2', '3')
    const { tag: first } = await channel.expectDeliver({ 'consumer-tag': 'a' }, '1')
    const { tag: second } = await channel.expectDeliver({ 'consumer-tag': 'b' }, '2')
    await channel.get('q', true)
    channel.send('basic.ack', { 'delivery-tag': first })
    channel.send('basic.reject', { 'delivery-tag': second, requeue: true })
    const { tag: again } = await channel.expectDeliver({ 'consumer-tag': 'a', redelivered: true }, '2')
    channel.send('basic.reject', { 'delivery-tag': again, requeue: true })
    await channel.expectDeliver({ 'consumer-tag': 'b', redelivered: true }, '2')
  })

  it('take turns across connections', async () => {
    const channels = [await withMessages(), await broker.channel(), await broker.channel()]
    for (const channel of channels) await channel.consume('q', { 'no-ack': true })
    await publish(channels[0]!, ...numbers(30))
    for (const channel of channels) {
      for (let i = 0; i < 10; i++) await channel.expectDeliver({})
      await channel.expectNothing()
    }
  })

  it('are passed over while they have no credit left', async () => {
    const channel = await withMessages()
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q', { 'consumer-tag': 'slow' })
    await channel.call('basic.qos', { 'prefetch-count': 0 })
    await channel.consume('q', { 'consumer-tag': 'quick' })
    await publish(channel, ...numbers(6))
    const slow: string[] = []
    for (const body of numbers(6)) {
      const { fields } = await channel.expectDeliver({}, body)
      if (fields['consumer-tag'] === 'slow') slow.push(body)
    }
    expect(slow).toHaveLength(1)
  })

  it('get what another one gives back', async () => {
    const channel = await withMessages()
    const other = await broker.channel()
    await channel.consume('q', { 'consumer-tag': 'first' })
    await publish(channel, 'm')
    await channel.expectDeliver({ redelivered: false }, 'm')
    await other.consume('q')
    await channel.close()
    await other.expectDeliver({ redelivered: true }, 'm')
  })
})

describe('consumers of a client that reads slowly', () => {
  it.each(['one channel', 'a channel each'])('take turns on %s', async (where) => {
    const first = await broker.channel()
    const { client } = first
    const second = where === 'one channel' ? first : await client.openChannel(2)
    const publisher = await client.openChannel(3)
    await publisher.call('confirm.select')
    for (const queue of ['a', 'b']) {
      await publisher.queue(queue)
      for (let i = 0; i < 16; i++) {
        publisher.publish({ 'routing-key': queue }, Buffer.alloc(2 ** 20))
        await publisher.expect('basic.ack')
      }
    }
    client.pause()
    first.send('basic.consume', { queue: 'a', 'consumer-tag': 'of a', 'no-ack': true, nowait: true })
    second.send('basic.consume', { queue: 'b', 'consumer-tag': 'of b', 'no-ack': true, nowait: true })
    client.pause(false)
    // If nobody gave way, all of queue a would come before the first of queue b.
    let before = 0
    if (second === first) while ((await first.expectDeliver({})).fields['consumer-tag'] === 'of a') before++
    else {
      await second.expectDeliver({ 'consumer-tag': 'of b' })
      before = client.waiting(first.number)
    }
    expect(before).toBeLessThan(16)
  })
})

describe('the prefetch of each consumer', () => {
  it('limits what is unacknowledged', async () => {
    const channel = await withMessages(...numbers(5))
    await channel.call('basic.qos', { 'prefetch-count': 2 })
    await channel.consume('q')
    await expectDeliveries(channel, '1', '2')
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await expectDeliveries(channel, '3')
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 3, multiple: true })
    await expectDeliveries(channel, '4', '5')
  })

  it('counts for consumers that start later', async () => {
    const channel = await withMessages()
    await channel.consume('q', { 'consumer-tag': 'before' })
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await publish(channel, ...numbers(4))
    await expectDeliveries(channel, ...numbers(4))
    await channel.call('basic.cancel', { 'consumer-tag': 'before' })
    await channel.consume('q', { 'consumer-tag': 'after' })
    await channel.call('basic.qos', { 'prefetch-count': 100 })
    await publish(channel, '5', '6')
    await channel.expectDeliver({ 'consumer-tag': 'after' }, '5')
    await channel.expectNothing()
  })

  it('is each its own', async () => {
    const channel = await withMessages(...numbers(6))
    await channel.call('basic.qos', { 'prefetch-count': 2 })
    await channel.consume('q', { 'consumer-tag': 'a' })
    await expectDeliveries(channel, '1', '2')
    await channel.consume('q', { 'consumer-tag': 'b' })
    await expectDeliveries(channel, '3', '4')
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 3 })
    await channel.expectDeliver({ 'consumer-tag': 'b' }, '5')
    await channel.expectNothing()
  })

  it('is unlimited at 0', async () => {
    const channel = await withMessages(...numbers(300))
    await channel.call('basic.qos', { 'prefetch-count': 0 })
    await channel.consume('q')
    await expectDeliveries(channel, ...numbers(300))
  })

  it.each<[string, Record<string, boolean>]>([
    ['basic.nack', { requeue: false }],
    ['basic.reject', { requeue: false }],
  ])('is given back by %s', async (method, fields) => {
    const channel = await withMessages('1', '2')
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q')
    await channel.expectDeliver({ 'delivery-tag': 1 }, '1')
    channel.send(method, { 'delivery-tag': 1, ...fields })
    await channel.expectDeliver({ 'delivery-tag': 2 }, '2')
  })

  it('does not limit consumers without acknowledgements, nor get', async () => {
    const channel = await withMessages(...numbers(6))
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.get('q')
    await channel.get('q')
    await channel.consume('q', { 'no-ack': true })
    await expectDeliveries(channel, '3', '4', '5', '6')
  })
})

describe('the prefetch of a channel', () => {
  const whole = { global: true }

  it('limits all its consumers together', async () => {
    const channel = await withMessages(...numbers(6))
    await channel.call('basic.qos', { 'prefetch-count': 3, ...whole })
    await channel.consume('q', { 'consumer-tag': 'a' })
    await expectDeliveries(channel, '1', '2', '3')
    await channel.consume('q', { 'consumer-tag': 'b' })
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 2, multiple: true })
    await expectDeliveries(channel, '4', '5')
    await channel.expectNothing()
  })

  it('applies beside that of each consumer', async () => {
    const channel = await withMessages(...numbers(6))
    await channel.call('basic.qos', { 'prefetch-count': 2 })
    await channel.call('basic.qos', { 'prefetch-count': 3, ...whole })
    await channel.consume('q', { 'consumer-tag': 'a' })
    await expectDeliveries(channel, '1', '2')
    await channel.expectNothing()
    await channel.consume('q', { 'consumer-tag': 'b' })
    await channel.expectDeliver({ 'consumer-tag': 'b' }, '3')
    await channel.expectNothing()
  })

  it.each(['one queue', 'a queue each'])('goes round among its consumers of %s', async (queues) => {
    const channel = await withMessages(...numbers(9))
    const names = ['q', 'r', 's']
    for (const name of ['r', 's']) await channel.queue(name)
    for (const name of ['r', 's']) for (const body of numbers(9)) channel.publish({ 'routing-key': name }, body)
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    for (const name of names) {
      const queue = queues === 'one queue' ? 'q' : name
      channel.send('basic.consume', { queue, 'consumer-tag': `of ${name}`, nowait: true })
    }
    const tags: unknown[] = []
    for (let tag = 1; tag <= 9; tag++) {
      const { fields } = await channel.expectDeliver({ 'delivery-tag': tag })
      tags.push(fields['consumer-tag'])
      channel.send('basic.ack', { 'delivery-tag': tag })
    }
    for (const name of names) expect(tags.filter((tag) => tag === `of ${name}`).length).toBeGreaterThanOrEqual(2)
  })

  it('comes back to the consumer that got nothing when another had used it up', async () => {
    const channel = await withMessages()
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    for (const tag of ['a', 'b']) await channel.consume('q', { 'consumer-tag': tag })
    for (const body of ['1', '2']) channel.publish({ 'routing-key': 'q' }, body)
    await channel.expectDeliver({ 'consumer-tag': 'a' }, '1')
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.expectDeliver({ 'consumer-tag': 'b' }, '2')
  })

  it.each(['at once', 'by transaction'])('does not count what was got, acknowledged %s', async (how) => {
    const channel = await withMessages(...numbers(5))
    if (how === 'by transaction') await channel.call('tx.select')
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    await channel.get('q')
    await channel.consume('q')
    await channel.expectDeliver({ 'delivery-tag': 2 }, '2')
    await channel.get('q')
    channel.send('basic.ack', { 'delivery-tag': 1 })
    if (how === 'by transaction') await channel.call('tx.commit')
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 2 })
    if (how === 'by transaction') await channel.call('tx.commit')
    await channel.expectDeliver({ 'delivery-tag': 4 }, '4')
  })

  itOnlyHere('RabbitMQ counts that for good', 'does not count what was got before it was set', async () => {
    const channel = await withMessages(...numbers(3))
    await channel.get('q')
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    await channel.consume('q')
    await channel.expectDeliver({}, '2')
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 2 })
    await channel.expectDeliver({}, '3')
  })

  it('may be raised while consumers wait', async () => {
    const channel = await withMessages(...numbers(4))
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    await channel.consume('q')
    await expectDeliveries(channel, '1')
    await channel.expectNothing()
    channel.send('basic.qos', { 'prefetch-count': 3, ...whole })
    await channel.expect('basic.qos-ok')
    await expectDeliveries(channel, '2', '3')
    await channel.expectNothing()
    await channel.call('basic.qos', { 'prefetch-count': 0, ...whole })
    await expectDeliveries(channel, '4')
  })

  it('may be lowered below what is out, and waits until that has come back', async () => {
    const channel = await withMessages(...numbers(5))
    await channel.call('basic.qos', { 'prefetch-count': 3, ...whole })
    await channel.consume('q')
    await expectDeliveries(channel, '1', '2', '3')
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    channel.send('basic.ack', { 'delivery-tag': 2, multiple: true })
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 3 })
    await expectDeliveries(channel, '4')
    await channel.expectNothing()
  })

  it('is lifted by one for each consumer that is set later', async () => {
    const channel = await withMessages(...numbers(4))
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    await channel.consume('q')
    await expectDeliveries(channel, '1')
    await channel.expectNothing()
    await channel.call('basic.qos', { 'prefetch-count': 2 })
    await expectDeliveries(channel, '2', '3', '4')
  })

  it('goes on counting what a cancelled consumer has not acknowledged', async () => {
    const channel = await withMessages(...numbers(3))
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    await channel.consume('q', { 'consumer-tag': 'a' })
    await expectDeliveries(channel, '1')
    await channel.call('basic.cancel', { 'consumer-tag': 'a' })
    await channel.consume('q', { 'consumer-tag': 'b' })
    await channel.expectNothing()
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.expectDeliver({ 'consumer-tag': 'b' }, '2')
  })

  it('leaves other channels alone', async () => {
    const channel = await withMessages(...numbers(4))
    await channel.call('basic.qos', { 'prefetch-count': 1, ...whole })
    await channel.consume('q')
    await expectDeliveries(channel, '1')
    const other = await channel.client.openChannel(2)
    await other.consume('q')
    await expectDeliveries(other, '2', '3', '4')
  })
})

describe('basic.qos', () => {
  it('does not count bytes', async () => {
    const channel = await broker.channel()
    channel.send('basic.qos', { 'prefetch-size': 4096, 'prefetch-count': 1 })
    await channel.client.expectConnectionClose(540, 'NOT_IMPLEMENTED - prefetch_size!=0 (4096)', 'basic.qos')
  })
})

describe('deliveries', () => {
  it('come in the order of publishing, each once, through many acknowledgements', async () => {
    const channel = await withMessages()
    const publisher = await broker.channel()
    await channel.call('basic.qos', { 'prefetch-count': 50 })
    await channel.consume('q')
    const count = 5000
    for (const body of numbers(count)) publisher.publish({ 'routing-key': 'q' }, body)
    for (let i = 1; i <= count; i++) {
      await channel.expectDeliver({ 'delivery-tag': i, redelivered: false }, `${i}`)
      if (i % 7 === 0) channel.send('basic.ack', { 'delivery-tag': i, multiple: true })
      else if (i % 7 === 3) channel.send('basic.ack', { 'delivery-tag': i })
    }
    await channel.expectNothing()
  })

  it('wait for a client that does not read, and hold up nobody else', async () => {
    const channel = await withMessages()
    const slow = await broker.channel()
    await slow.queue('stuck')
    await slow.consume('stuck', { 'no-ack': true })
    slow.client.pause()
    const body = Buffer.alloc(100_000, 'x')
    const sender = await broker.channel()
    for (let i = 0; i < 200; i++) sender.publish({ 'routing-key': 'stuck' }, body)
    await sender.expectNothing()
    await channel.consume('q', { 'no-ack': true })
    await publish(channel, 'on time')
    await channel.expectDeliver({}, 'on time')
    slow.client.pause(false)
    for (let i = 0; i < 200; i++) await slow.expectDeliver({}, body)
  })
})
