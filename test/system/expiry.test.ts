// Time to live: of messages, of those that stand behind others, and of queues that nobody uses.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import type { Table, Value } from '../support/field-values.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()
const NO_OTHER_CLOCK = 'its time passes by itself'

async function declared(args: Table = {}): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('dead')
  await channel.queue('q', {
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead', ...args },
  })
  return channel
}

function publish(channel: RawChannel, body: string, expiration?: string): void {
  channel.publish({ 'routing-key': 'q' }, body, expiration === undefined ? {} : { expiration })
}

async function ready(channel: RawChannel, queue = 'q'): Promise<unknown> {
  return (await channel.call('queue.declare', { queue, passive: true }))['message-count']
}

/** Takes all that are in a queue now. */
async function bodies(channel: RawChannel, queue: string): Promise<string[]> {
  const found: string[] = []
  for (let left = Number(await ready(channel, queue)); left > 0; left--) {
    found.push((await channel.get(queue, true)).body.toString())
  }
  return found
}

describe('x-message-ttl', () => {
  itOnlyHere(NO_OTHER_CLOCK, 'takes messages away when their time has passed, not a moment before', async () => {
    const channel = await declared({ 'x-message-ttl': 1000 })
    publish(channel, 'a')
    await broker.advance(999)
    expect(await ready(channel)).toBe(1)
    publish(channel, 'b')
    await broker.advance(1)
    expect(await bodies(channel, 'dead')).toEqual(['a'])
    expect(await bodies(channel, 'q')).toEqual(['b'])
  })

  itOnlyHere(NO_OTHER_CLOCK, 'makes dead letters with the reason expired, in the order of the queue', async () => {
    const channel = await declared({ 'x-message-ttl': 10 })
    const all = Array.from({ length: 50 }, (_, i) => `m${i}`)
    for (const body of all) publish(channel, body)
    await broker.advance(10)
    const first = await channel.get('dead', true)
    const [death] = (first.properties.headers as Table)['x-death'] as readonly Table[]
    expect(death).toMatchObject({ reason: 'expired', queue: 'q', count: 1n })
    expect(death).not.toHaveProperty('original-expiration')
    expect([first.body.toString(), ...(await bodies(channel, 'dead'))]).toEqual(all)
  })

  itOnlyHere(NO_OTHER_CLOCK, 'counts for what was delivered as it came, and waits only since it is back', async () => {
    const channel = await declared({ 'x-message-ttl': 1000 })
    await channel.call('basic.consume', { queue: 'q', 'consumer-tag': 'c' })
    publish(channel, 'a')
    const { tag } = await channel.expectDeliver({}, 'a')
    await channel.call('basic.cancel', { 'consumer-tag': 'c' })
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    expect(await ready(channel)).toBe(1)
    await broker.advance(1000)
    expect(await ready(channel)).toBe(0)
    expect(await bodies(channel, 'dead')).toEqual(['a'])
  })

  itOnlyHere(
    NO_OTHER_CLOCK,
    'does not count for what is with a consumer, and counts on when that comes back',
    async () => {
      const channel = await declared({ 'x-message-ttl': 1000 })
      for (const body of ['a', 'b']) publish(channel, body)
      const { tag } = await channel.get('q')
      const second = await channel.get('q')
      await broker.advance(600)
      channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
      expect(await ready(channel)).toBe(1)
      await broker.advance(400)
      expect(await bodies(channel, 'dead')).toEqual(['a'])
      channel.send('basic.reject', { 'delivery-tag': second.tag, requeue: true })
      channel.send('basic.get', { queue: 'q' })
      await channel.expect('basic.get-empty')
      expect(await bodies(channel, 'dead')).toEqual(['b'])
    },
  )

  it('of 0 delivers at once or never', async () => {
    const channel = await declared({ 'x-message-ttl': 0 })
    publish(channel, 'nobody there')
    expect(await bodies(channel, 'dead')).toEqual(['nobody there'])
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q')
    for (const body of ['taken', 'no credit']) publish(channel, body)
    await channel.expectDeliver({}, 'taken')
    expect(await bodies(channel, 'dead')).toEqual(['no credit'])
  })
})

describe('the expiration of a message', () => {
  itOnlyHere(NO_OTHER_CLOCK, 'holds in any queue, also behind messages that stay', async () => {
    const channel = await declared()
    publish(channel, 'stays')
    publish(channel, 'goes later', '200')
    publish(channel, 'goes', '100')
    publish(channel, 'stays too')
    await broker.advance(100)
    expect(await bodies(channel, 'dead')).toEqual(['goes'])
    await broker.advance(100)
    expect(await bodies(channel, 'dead')).toEqual(['goes later'])
    expect(await bodies(channel, 'q')).toEqual(['stays', 'stays too'])
  })

  itOnlyHere(NO_OTHER_CLOCK, 'and that of the queue: the shorter one counts', async () => {
    const channel = await declared({ 'x-message-ttl': 100 })
    publish(channel, 'queue', '5000')
    publish(channel, 'message', '50')
    await broker.advance(50)
    expect(await bodies(channel, 'dead')).toEqual(['message'])
    await broker.advance(50)
    const dead = await channel.get('dead', true)
    expect(dead.body.toString()).toBe('queue')
    expect(dead.properties).not.toHaveProperty('expiration')
    const [death] = (dead.properties.headers as Table)['x-death'] as readonly Record<string, Value>[]
    expect(death!['original-expiration']).toBe('5000')
  })

  it('of 0 delivers at once or never', async () => {
    const channel = await declared()
    publish(channel, 'never', '0')
    expect(await bodies(channel, 'dead')).toEqual(['never'])
    await channel.consume('q', { 'no-ack': true })
    publish(channel, 'at once', '0')
    await channel.expectDeliver({}, 'at once', { expiration: '0' })
  })

  itOnlyHere(NO_OTHER_CLOCK, 'of a thousand messages, each another, is kept by each', async () => {
    const channel = await declared()
    const times = Array.from({ length: 1000 }, (_, i) => 1 + ((i * 7919) % 1000))
    for (const time of times) publish(channel, String(time), String(time))
    let seen = 0
    for (let now = 100; now <= 1000; now += 100) {
      await broker.advance(100)
      const dead = (await bodies(channel, 'dead')).map(Number)
      expect(dead).toEqual(Array.from({ length: 100 }, (_, i) => now - 99 + i))
      seen += dead.length
    }
    expect(seen).toBe(1000)
    expect(await ready(channel)).toBe(0)
  })

  itOnlyHere(NO_OTHER_CLOCK, 'lets a dead letter expire in a queue with a time of its own, and come back', async () => {
    const channel = await broker.channel()
    const back = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'work' }
    await channel.queue('wait', { arguments: { 'x-message-ttl': 500, ...back } })
    await channel.queue('work', { arguments: { ...back, 'x-dead-letter-routing-key': 'wait' } })
    channel.publish({ 'routing-key': 'work' }, 'job')
    for (let round = 1; round <= 3; round++) {
      const { tag } = await channel.get('work')
      channel.send('basic.reject', { 'delivery-tag': tag })
      await broker.advance(500)
    }
    const job = await channel.get('work')
    const deaths = (job.properties.headers as Table)['x-death'] as readonly Table[]
    expect(deaths.map(({ reason, queue, count }) => [reason, queue, count])).toEqual([
      ['expired', 'wait', 3n],
      ['rejected', 'work', 3n],
    ])
  })

  itOnlyHere(NO_OTHER_CLOCK, 'ends in the queue that it came from by itself: the cycle is broken', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-message-ttl': 10, 'x-dead-letter-exchange': '' } })
    publish(channel, 'm')
    await broker.advance(10)
    expect(await ready(channel)).toBe(0)
  })
})

describe('a message that was delivered at once', () => {
  it('expires when it comes back after its time', async () => {
    const channel = await declared({ 'x-message-ttl': 50 })
    await channel.consume('q', { 'consumer-tag': 'c' })
    publish(channel, 'late')
    const { tag } = await channel.expectDeliver({ 'consumer-tag': 'c' }, 'late')
    await channel.call('basic.cancel', { 'consumer-tag': 'c' })
    await channel.consume('dead', { 'consumer-tag': 'd', 'no-ack': true })
    await broker.advance(50)
    channel.send('basic.nack', { 'delivery-tag': tag, requeue: true })
    await broker.advance(1)
    await channel.expectDeliver({ 'consumer-tag': 'd', 'routing-key': 'dead' }, 'late')
  })
})

describe('x-expires', () => {
  async function expectGone(queue: string): Promise<void> {
    const channel = await broker.channel()
    channel.send('queue.declare', { queue, passive: true })
    await channel.expectChannelClose(404, `NOT_FOUND - no queue '${queue}' in vhost '/'`, 'queue.declare')
  }

  itOnlyHere(NO_OTHER_CLOCK, 'deletes a queue that is not used, with what is in it, and no dead letters', async () => {
    const channel = await declared({ 'x-expires': 1000 })
    publish(channel, 'm')
    await broker.advance(1000)
    await expectGone('q')
    expect(await ready(channel, 'dead')).toBe(0)
  })

  itOnlyHere(NO_OTHER_CLOCK, 'counts from the last get, declaration or consumer', async () => {
    const channel = await declared({ 'x-expires': 1000 })
    await broker.advance(600)
    channel.send('basic.get', { queue: 'q' })
    await channel.expect('basic.get-empty')
    await broker.advance(600)
    await channel.queue('q', { passive: true })
    await broker.advance(600)
    const tag = await channel.consume('q')
    await broker.advance(5000)
    await channel.call('basic.cancel', { 'consumer-tag': tag })
    await broker.advance(999)
    // Purging is no use of it.
    await channel.call('queue.purge', { queue: 'q' })
    await broker.advance(1)
    await expectGone('q')
  })
})
