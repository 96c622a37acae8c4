// Limits of vhosts and users, and topic permissions.
import { describe, expect, it } from 'vitest'
import type { NodeLimits } from '../../src/core/quotas.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const open = useOpenBroker()

describe('a vhost', () => {
  it('takes no more connections than it may have', async () => {
    open.broker.quotas.limitVHost('/', { maxConnections: 1 })
    const first = await open.connect()
    const text = "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached"
    await (await open.knock()).expectConnectionClose(530, text, 'connection.open')
    await first.close()
    await (await open.connect()).close()
  })

  it('takes none when its limit is 0, and any number when it is negative', async () => {
    open.broker.quotas.limitVHost('/', { maxConnections: 0 })
    const text = "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (0) is reached"
    await (await open.knock()).expectConnectionClose(530, text, 'connection.open')
    open.broker.quotas.limitVHost('/', { maxConnections: -1 })
    await open.connect()
  })

  it('has no more queues than it may have', async () => {
    open.broker.quotas.limitVHost('/', { maxQueues: 1 })
    const channel = await open.channel()
    await channel.queue('one', { exclusive: true })
    await channel.queue('one', { exclusive: true })
    channel.send('queue.declare', { queue: 'two' })
    const text = "PRECONDITION_FAILED - cannot declare queue 'two': queue limit in vhost '/' (1) is reached"
    await channel.expectChannelClose(406, text, 'queue.declare')
  })
})

describe('the node', () => {
  const limit = (limits: Partial<NodeLimits>): unknown =>
    (open.broker.quotas.node = { ...open.broker.quotas.node, ...limits })

  it('takes no more connections than it may have, to whichever vhost they want', async () => {
    limit({ connections: 1 })
    const first = await open.connect()
    const text = 'NOT_ALLOWED - connection refused: node connection limit (1) is reached'
    await (await open.knock({ vhost: 'missing' })).expectConnectionClose(530, text, 'connection.open')
    await first.close()
    await open.connect()
  })

  it('has no more channels than it may have', async () => {
    limit({ channels: 2 })
    const first = await open.channel()
    const second = await open.channel()
    const third = second.client.channel(2)
    third.send('channel.open')
    const { nodeName } = open.broker
    const text = `NOT_ALLOWED - number of channels opened on node '${nodeName}' has reached the maximum allowed limit of 2`
    await third.client.expectConnectionClose(530, text)
    await first.call('channel.close')
    await open.channel()
  })

  it('has no more queues than it may have, in all vhosts together', async () => {
    limit({ queues: 1 })
    await open.broker.createVHost('other', '')
    open.broker.access.putPermission('guest', 'other', { configure: '.*', write: '.*', read: '.*' })
    await (await open.channel({ vhost: 'other' })).queue('one')
    const channel = await open.channel()
    channel.send('queue.declare', { queue: 'two' })
    const text = "PRECONDITION_FAILED - cannot declare queue 'two': queue limit in cluster (1) is reached"
    await channel.expectChannelClose(406, text, 'queue.declare')
  })

  it('has no more exchanges than it may have', async () => {
    limit({ exchanges: open.broker.exchangeCount + 1 })
    const channel = await open.channel()
    await channel.exchange('one')
    await channel.exchange('one')
    channel.send('exchange.declare', { exchange: 'two', type: 'direct' })
    const max = open.broker.exchangeCount
    const text = `PRECONDITION_FAILED - cannot declare exchange 'two' in vhost '/': exchange limit of ${max} is reached`
    await channel.expectChannelClose(406, text, 'exchange.declare')
  })

  it('has no more consumers on a channel than it may have', async () => {
    limit({ consumers: 1 })
    const channel = await open.channel()
    await channel.queue('q')
    await channel.consume('q')
    channel.send('basic.consume', { queue: 'q' })
    const text = 'NOT_ALLOWED - reached maximum (1) of consumers per channel'
    await channel.client.expectConnectionClose(530, text, 'basic.consume')
  })
})

describe('a user', () => {
  it('has no more connections than they may have', async () => {
    await open.user('ann')
    open.broker.quotas.limitUser('ann', { maxConnections: 1 })
    await open.connect({ user: 'ann', password: 'ann' })
    await open.connect()
    const text = "NOT_ALLOWED - connection refused for user 'ann': user connection limit (1) is reached"
    const refused = await open.knock({ user: 'ann', password: 'ann' })
    await refused.expectConnectionClose(530, text, 'connection.open')
  })

  it('has no more channels than they may have, over all connections', async () => {
    await open.user('ann')
    open.broker.quotas.limitUser('ann', { maxChannels: 2 })
    const first = await open.channel({ user: 'ann', password: 'ann' })
    const second = await open.channel({ user: 'ann', password: 'ann' })
    await first.close()
    await second.client.openChannel(2)
    first.client.send('connection.close', { 'reply-code': 200 })
    const third = await open.connect({ user: 'ann', password: 'ann' })
    third.sendOn(1, 'channel.open')
    const text =
      "NOT_ALLOWED - number of channels opened for user 'ann' has reached the maximum allowed user limit of 2"
    await third.expectConnectionClose(530, text)
  })
})

describe('a topic permission', () => {
  const refused = (right: string, key: string): string =>
    `ACCESS_REFUSED - ${right} access to topic '${key}' in exchange 'amq.topic' in vhost '/' refused for user 'ann'`

  async function limited(): ReturnType<typeof open.channel> {
    await open.user('ann')
    open.broker.access.putTopicPermission('ann', '/', 'amq.topic', { write: '^{username}\\.', read: '^news\\.' })
    const channel = await open.channel({ user: 'ann', password: 'ann' })
    await channel.queue('q')
    return channel
  }

  it('says with which keys may be published', async () => {
    const channel = await limited()
    await channel.bind('q', 'amq.topic', 'news.#')
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'ann.mine' })
    channel.publish({ exchange: 'amq.direct', 'routing-key': 'bob.his' })
    await channel.expectNothing()
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'bob.his' })
    await channel.expectChannelClose(403, refused('write', 'bob.his'), 'basic.publish')
  })

  it('is asked about copies, too', async () => {
    const channel = await limited()
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'ann.mine' }, '', { headers: { BCC: ['bob.his'] } })
    await channel.expectChannelClose(403, refused('write', 'bob.his'), 'basic.publish')
  })

  it.each([
    ['queue.bind', { queue: 'q', exchange: 'amq.topic' }],
    ['queue.unbind', { queue: 'q', exchange: 'amq.topic' }],
    ['exchange.bind', { destination: 'amq.fanout', source: 'amq.topic' }],
    ['exchange.unbind', { destination: 'amq.fanout', source: 'amq.topic' }],
  ])('says by which keys %s may be', async (method, fields) => {
    const channel = await limited()
    channel.send(method, { ...fields, 'routing-key': 'secret.#' })
    await channel.expectChannelClose(403, refused('read', 'secret.#'), method)
  })

  it('takes effect on a publisher that is at it', async () => {
    await open.user('ann')
    const channel = await open.channel({ user: 'ann', password: 'ann' })
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'k' })
    await channel.expectNothing()
    open.broker.access.putTopicPermission('ann', '/', 'amq.topic', { write: '^$', read: '' })
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'k' })
    await channel.expectChannelClose(403, refused('write', 'k'), 'basic.publish')
  })

  it('is gone when it is deleted', async () => {
    const channel = await limited()
    open.broker.access.deleteTopicPermission('ann', '/')
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'anything' })
    await channel.expectNothing()
  })
})

describe('a publisher over the rate of its vhost or its user', () => {
  const published = (): number => open.broker.vhosts.get('/')!.counts.published

  async function publish(channel: RawChannel, count: number, body = 'm'): Promise<void> {
    for (let i = 0; i < count; i++) channel.publish({ 'routing-key': 'q' }, body)
    // What was sent before is read in one piece or in several, but before what comes on a connection that is not held.
    await expect.poll(published, { interval: 2 }).toBeGreaterThan(0)
  }

  it('is not read from until the rate allows it, and loses nothing', async () => {
    open.broker.quotas.limitVHost('/', { maxPublishRate: 10 })
    const channel = await open.channel()
    await channel.queue('q')
    await channel.call('confirm.select')
    await publish(channel, 30)
    await expect.poll(published, { interval: 2 }).toBeGreaterThanOrEqual(11)
    channel.publish({ 'routing-key': 'q' }, 'last')
    await (await open.connect()).close()
    expect(published()).toBeLessThanOrEqual(30)
    let acked = 0
    while (acked < 31) {
      open.clock.advance(10_000)
      acked = Number((await channel.expect('basic.ack'))['delivery-tag'])
    }
    expect(published()).toBe(31)
  })

  it('does not hold those who are under theirs', async () => {
    await open.user('ann')
    open.broker.quotas.limitUser('ann', { maxPublishByteRate: 1 })
    const limited = await open.channel({ user: 'ann', password: 'ann' })
    const free = await open.channel()
    await free.queue('q')
    await publish(limited, 1, 'too much')
    limited.publish({ 'routing-key': 'q' }, 'held')
    for (let i = 0; i < 50; i++) free.publish({ 'routing-key': 'q' }, 'm')
    await free.expectNothing()
    expect(published()).toBe(51)
    open.broker.quotas.limitUser('ann', {})
    open.clock.advance(1000)
    await limited.expectNothing()
    expect(published()).toBe(52)
  })

  it('may still be delivered to while it is held', async () => {
    open.broker.quotas.limitVHost('/', { maxPublishRate: 1 })
    const channel = await open.channel()
    await channel.queue('q')
    await channel.consume('q', { 'consumer-tag': 'c', 'no-ack': true })
    for (const body of ['1', '2', '3']) channel.publish({ 'routing-key': 'q' }, body)
    for (const body of ['1', '2', '3']) {
      open.clock.advance(10_000)
      await channel.expectDeliver({ 'consumer-tag': 'c' }, body)
    }
  })
})
