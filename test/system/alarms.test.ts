// Alarms on the wire: connection.blocked and unblocked, and who waits. Memory is as full as the test says.
import { describe, expect, it, vi } from 'vitest'
import { MEMORY_TIGHT_SHARE, TIGHT_UNACKED_MAX } from '../../src/core/limits.ts'
import { CAPABILITIES, type Login, type RawChannel } from '../support/raw-client.ts'
import { ShortMemory } from '../support/short-memory.ts'

const LIMIT = 1_000_000_000
const WITHOUT_BLOCKED: Login = { clientProperties: { capabilities: { ...CAPABILITIES, 'connection.blocked': false } } }

const broker = new ShortMemory(LIMIT)

/** A channel of a connection that has published: it hears of alarms. */
async function publisher(queue: string, login: Login = {}): Promise<RawChannel> {
  const made = await broker.channel(login)
  await made.queue(queue)
  await made.call('confirm.select')
  made.publish({ 'routing-key': queue }, 'first')
  await made.expect('basic.ack')
  return made
}

/** Fills memory, or empties it, and lets the broker notice. */
function memory(full: boolean): void {
  broker.use(full ? LIMIT + 1 : LIMIT / 2)
}

/** Lets the broker read everything that others have sent so far. */
async function settle(): Promise<void> {
  const client = await broker.connect()
  await client.close()
}

describe('a publisher', () => {
  it('is told of an alarm, is not read while it stands, and is told when it is clear', async () => {
    const publishing = await publisher('q')
    const { client } = publishing
    memory(true)
    await client.expect('connection.blocked', { reason: 'low on memory' })
    publishing.publish({ 'routing-key': 'q' }, 'second')
    await settle()
    const other = await broker.channel()
    await other.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 1 })
    memory(false)
    await client.expect('connection.unblocked')
    await publishing.expect('basic.ack')
    await other.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 2 })
  })

  it('is told once, however often memory is found to be short', async () => {
    const { client } = await publisher('q')
    for (let checks = 0; checks < 5; checks++) memory(true)
    memory(false)
    memory(false)
    await client.expect('connection.blocked')
    await client.expect('connection.unblocked')
    await client.close()
  })

  it('that did not ask for it is told nothing, and waits all the same', async () => {
    const publishing = await publisher('q', WITHOUT_BLOCKED)
    memory(true)
    publishing.publish({ 'routing-key': 'q' }, 'second')
    await settle()
    expect(publishing.client.waiting(0)).toBe(0)
    const other = await broker.channel()
    await other.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 1 })
    memory(false)
    await publishing.expect('basic.ack')
    await publishing.client.close()
  })

  it('that comes while the alarm stands is let in, and blocked by its first message', async () => {
    memory(true)
    const publishing = await broker.channel()
    await publishing.queue('q')
    publishing.publish({ 'routing-key': 'q' }, 'first')
    await publishing.client.expect('connection.blocked', { reason: 'low on memory' })
    publishing.publish({ 'routing-key': 'q' }, 'second')
    await settle()
    const other = await broker.channel()
    await other.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 1 })
  })

  it('that closes while it is blocked is answered when it no longer is', async () => {
    const { client } = await publisher('q')
    memory(true)
    await client.expect('connection.blocked')
    client.send('connection.close', { 'reply-code': 200, 'reply-text': 'enough' })
    await settle()
    expect([client.waiting(0), client.ended]).toEqual([0, false])
    memory(false)
    await client.expect('connection.unblocked')
    await client.expect('connection.close-ok')
    await client.expectEnd()
  })

  it('that goes without a word while it is blocked leaves nothing behind', async () => {
    const publishing = await publisher('q')
    await publishing.queue('own', { exclusive: true })
    memory(true)
    await publishing.client.expect('connection.blocked')
    publishing.client.drop(true)
    const other = await broker.channel()
    const declared = async (): Promise<string> => {
      other.send('queue.declare', { queue: 'own', exclusive: true })
      const { method } = await other.client.nextOn(1)
      if (method === 'channel.close') await other.send('channel.close-ok').call('channel.open')
      return method
    }
    await expect.poll(declared).toBe('queue.declare-ok')
  })

  it('that is silent while it is blocked is not taken for gone, and has heartbeats all the while', async () => {
    const { client } = await publisher('q', { heartbeat: 10 })
    memory(true)
    await client.expect('connection.blocked')
    for (let seconds = 0; seconds < 100; seconds += 5) {
      broker.clock.advance(5000)
      await settle()
    }
    expect(client.ended).toBe(false)
    expect(client.heartbeats).toBeGreaterThanOrEqual(9)
    memory(false)
    await client.expect('connection.unblocked')
    await client.close()
  })

  it('that is blocked answers a broker that stops, and is not waited for', async () => {
    const { client } = await publisher('q')
    memory(true)
    await client.expect('connection.blocked')
    // The time that clients get who do not answer never ends.
    vi.spyOn(performance, 'now').mockReturnValue(performance.now())
    const closed = broker.server.close()
    await client.expectConnectionClose(320, /^CONNECTION_FORCED/)
    await closed
  })
})

describe('a consumer', () => {
  it('is told nothing, is read, and has its messages while the alarm stands', async () => {
    const publishing = await publisher('q')
    publishing.publish({ 'routing-key': 'q' }, 'second')
    await publishing.expect('basic.ack')
    memory(true)
    await publishing.client.expect('connection.blocked')
    const consuming = await broker.channel()
    await consuming.call('basic.qos', { 'prefetch-count': 1 })
    await consuming.consume('q')
    const first = await consuming.expectDeliver({}, 'first')
    consuming.send('basic.ack', { 'delivery-tag': first.tag })
    const second = await consuming.expectDeliver({}, 'second')
    consuming.send('basic.ack', { 'delivery-tag': second.tag })
    await consuming.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 0 })
    expect(consuming.client.waiting(0)).toBe(0)
    await consuming.client.close()
  })
})

describe('a consumer that acknowledges nothing', () => {
  it('gets no more than some while memory is tight, and the rest when it is not', async () => {
    const publishing = await broker.channel()
    await publishing.queue('q')
    for (let i = 0; i < TIGHT_UNACKED_MAX + 2; i++) publishing.publish({ 'routing-key': 'q' }, String(i))
    await publishing.queue('other')
    broker.use(LIMIT * MEMORY_TIGHT_SHARE + 1)
    const hoarding = await broker.channel()
    hoarding.send('basic.consume', { queue: 'q', 'consumer-tag': 'c' })
    await hoarding.expect('basic.consume-ok')
    for (let i = 0; i < TIGHT_UNACKED_MAX; i++) await hoarding.expectDeliver({ 'delivery-tag': i + 1 }, String(i))
    // The answer comes next, and not another delivery.
    await hoarding.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 2 })
    // Whoever acknowledges goes on.
    hoarding.send('basic.ack', { 'delivery-tag': 1 })
    await hoarding.expectDeliver({ 'delivery-tag': TIGHT_UNACKED_MAX + 1 })
    await hoarding.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 1 })
    memory(false)
    await hoarding.expectDeliver({ 'delivery-tag': TIGHT_UNACKED_MAX + 2 })
  })
})
