// Clients that end their side of the socket and read nothing of what is on its way to them, without heartbeats: nothing
// would tell that they are gone.
import { describe, expect, it } from 'vitest'
import type { RawChannel } from '../support/raw-client.ts'
import { useOpenBroker } from '../support/open-broker.ts'

const open = useOpenBroker()

const MESSAGES = 300
const BODY = Buffer.alloc(100_000, 'x')

/** A client that has stopped to read while more is delivered to it than sockets keep by themselves (some megabytes). */
async function choked(consume: object): Promise<RawChannel> {
  const channel = await open.channel()
  const { client } = channel
  await channel.queue('q')
  await channel.queue('own', { exclusive: true })
  const publisher = await open.channel()
  for (let i = 0; i < MESSAGES; i++) publisher.publish({ 'routing-key': 'q' }, BODY)
  await publisher.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': MESSAGES })
  client.pause()
  channel.send('basic.consume', { queue: 'q', 'consumer-tag': 'c', nowait: true, ...consume })
  // What is in between the two is full, and the broker keeps no more for it than it must.
  const q = open.broker.vhosts.get('/')!.queue('q')
  let ready = MESSAGES
  const settled = async (): Promise<boolean> => {
    const before = ready
    for (let i = 0; i < 20; i++) await publisher.expectNothing()
    ready = q.readyCount
    return ready < MESSAGES && ready === before
  }
  await expect.poll(settled).toBe(true)
  return channel
}

describe('a client that ends its side and does not read', () => {
  it.each([
    { what: 'deliveries to be acknowledged', consume: {}, lost: 0 },
    { what: 'deliveries that need not be', consume: { 'no-ack': true }, lost: MESSAGES },
  ])('with $what gives back at once what it has, and its socket three seconds later', async ({ consume, lost }) => {
    const { client } = await choked(consume)
    const { broker, clock } = open
    const vhost = broker.vhosts.get('/')!
    client.end()
    await expect.poll(() => vhost.queues.has('own')).toBe(false)
    const q = vhost.queue('q')
    expect([q.consumerCount, q.unackedCount]).toEqual([0, 0])
    expect(q.readyCount).toBeGreaterThanOrEqual(MESSAGES - lost)
    expect(broker.sessions.size).toBe(1)
    // Its messages may yet be read.
    expect(broker.connections.size).toBe(2)
    clock.advance(3000)
    await expect.poll(() => broker.connections.size).toBe(1)
  })

  it('gets what was on its way if it reads after all', async () => {
    const channel = await choked({})
    const { broker } = open
    channel.client.end()
    await expect.poll(() => broker.vhosts.get('/')!.queues.has('own')).toBe(false)
    channel.client.pause(false)
    await channel.expectDeliver({ 'delivery-tag': 1 }, BODY)
    await expect.poll(() => broker.connections.size).toBe(1)
  })
})

describe('a client that stops to read', () => {
  it('has a megabyte and a message kept for it, and no more, however much there is', async () => {
    const { client } = await choked({ 'no-ack': true })
    const { broker } = open
    const q = broker.vhosts.get('/')!.queue('q')
    const before = q.readyCount
    const publisher = await open.channel()
    for (let i = 0; i < 5; i++) {
      publisher.publish({ 'routing-key': 'q' }, BODY)
      // Whoever publishes more than consumers take is read more slowly.
      await expect.poll(() => (open.clock.advance(100), q.readyCount)).toBe(before + i + 1)
    }
    client.drop(true)
    await expect.poll(() => broker.connections.size).toBe(2)
  })
})

describe('a client that asks for much, ends its side and reads nothing', () => {
  it('is not read any more, so that its end may not be seen: it is given up after ten minutes', async () => {
    const channel = await open.channel()
    const { broker, clock } = open
    await channel.queue('large')
    await channel.queue('own', { exclusive: true })
    channel.publish({ 'routing-key': 'large' }, Buffer.alloc(1024 * 1024, 'x'))
    await channel.call('queue.declare', { queue: 'large', passive: true }, { 'message-count': 1 })
    channel.client.pause()
    for (let i = 0; i < 64; i++) {
      channel.send('basic.get', { queue: 'large' })
      channel.send('basic.nack', { 'delivery-tag': 0, multiple: true, requeue: true })
    }
    const [connection] = broker.connections.values()
    const other = await open.channel()
    let received = 0
    const stuck = async (): Promise<boolean> => {
      const before = received
      for (let i = 0; i < 50; i++) await other.expectNothing()
      received = connection!.receivedBytes
      return connection!.activity === 'flow' && received === before
    }
    await expect.poll(stuck).toBe(true)
    // Its end stands behind this.
    channel.publish({ 'routing-key': 'large' }, Buffer.alloc(1024 * 1024, 'y'))
    channel.client.end()
    clock.advance(599_000)
    await other.expectNothing()
    expect(broker.connections.size).toBe(2)
    clock.advance(1000)
    await expect.poll(() => broker.connections.size).toBe(1)
    expect(broker.vhosts.get('/')!.queues.has('own')).toBe(false)
    expect(broker.recentErrors.all()[0]?.text).toBe('the client does not read the answers that it has asked for')
  })
})
