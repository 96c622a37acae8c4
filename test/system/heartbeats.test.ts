// Heartbeats, both ways.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import { encodeMethod, FrameType } from '../support/codec.ts'
import { frame } from '../support/raw-client.ts'

const broker = useBroker()

describe('heartbeats from the server', () => {
  it('come while it has nothing else to say', async () => {
    const client = await broker.connect({ heartbeat: 1 })
    for (let i = 0; i < 3; i++) {
      client.heartbeat()
      await broker.advance(500)
      await broker.advance(500)
      await client.expectHeartbeat()
    }
  })

  itOnlyHere('it would take a minute', 'come at least once and at most twice in the agreed time', async () => {
    const client = await broker.connect({ heartbeat: 60 })
    for (let half = 0; half < 10; half++) {
      client.heartbeat()
      await broker.advance(30_000)
    }
    expect(client.heartbeats).toBeGreaterThanOrEqual(4)
    expect(client.heartbeats).toBeLessThanOrEqual(10)
  })

  itOnlyHere('it would take a minute', 'follow what tune-ok says, not what tune proposed', async () => {
    const client = await broker.connect({ heartbeat: 600 })
    await broker.advance(299_999)
    expect(client.heartbeats).toBe(0)
    await broker.advance(1)
    await broker.advance(300_000)
    await client.expectHeartbeat()
  })

  itOnlyHere('it would take a minute', 'stay away while there is other traffic towards the client', async () => {
    const client = await broker.connect({ heartbeat: 10 })
    const channel = await client.openChannel()
    for (let half = 0; half < 8; half++) {
      await channel.expectNothing()
      await broker.advance(5000)
    }
    expect(client.heartbeats).toBe(0)
  })

  itOnlyHere('it would take an hour', 'stay away when the client asked for none', async () => {
    const client = await broker.connect({ heartbeat: 0 })
    for (let i = 0; i < 4; i++) await broker.advance(900_000)
    expect(client.heartbeats).toBe(0)
    await (await client.openChannel()).expectNothing()
  })

  it('are no answer to those of the client', async () => {
    const client = await broker.connect({ heartbeat: 60 })
    const channel = await client.openChannel()
    client.heartbeat().heartbeat().heartbeat()
    await channel.expectNothing()
    expect(client.heartbeats).toBe(0)
  })
})

describe('a client that falls silent', () => {
  it('is dropped without a connection.close', async () => {
    const client = await broker.connect({ heartbeat: 1 })
    for (let i = 0; i < 3; i++) await broker.advance(1000)
    await client.expectEnd()
  })

  itOnlyHere(
    'it would take a minute',
    'is dropped after two of the agreed times and before the third is over',
    async () => {
      const client = await broker.connect({ heartbeat: 60 })
      await broker.advance(60_000)
      await broker.advance(59_999)
      expect(client.ended).toBe(false)
      await broker.advance(60_001)
      await client.expectEnd()
    },
  )

  itOnlyHere('it would take a minute', 'is dropped although the server keeps sending to it', async () => {
    const client = await broker.connect({ heartbeat: 10 })
    const queue = await (await client.openChannel()).queue('q')
    await client.channel(1).consume(queue, { 'no-ack': true })
    const publisher = await broker.channel()
    for (let i = 0; i < 3; i++) {
      publisher.publish({ 'routing-key': queue }, 'still there?')
      await publisher.expectNothing()
      await broker.advance(10_000)
    }
    await client.expectEnd()
  })

  itOnlyHere(
    'it would take a minute',
    'has its exclusive queues deleted and its unacked messages requeued',
    async () => {
      const client = await broker.connect({ heartbeat: 10 })
      const channel = await client.openChannel()
      await channel.queue('mine', { exclusive: true })
      await channel.queue('q')
      channel.publish({ 'routing-key': 'q' }, 'held')
      await channel.get('q')
      for (let i = 0; i < 3; i++) await broker.advance(10_000)
      await client.expectEnd()
      const other = await broker.channel()
      other.send('basic.get', { queue: 'q' })
      await other.expectGetOk({ redelivered: true }, 'held')
      other.send('queue.declare', { queue: 'mine', passive: true })
      await other.expectChannelClose(404, "NOT_FOUND - no queue 'mine' in vhost '/'", 'queue.declare')
    },
  )

  itOnlyHere('it would take a minute', 'is left alone when it asked for no heartbeats', async () => {
    const client = await broker.connect({ heartbeat: 0 })
    for (let i = 0; i < 10; i++) await broker.advance(600_000)
    await (await client.openChannel()).expectNothing()
  })
})

describe('a client stays connected', () => {
  itOnlyHere('it would take a minute', 'by heartbeats alone', async () => {
    const client = await broker.connect({ heartbeat: 10 })
    for (let i = 0; i < 10; i++) {
      client.heartbeat()
      await broker.advance(10_000)
    }
    await (await client.openChannel()).expectNothing()
  })

  itOnlyHere('it would take a minute', 'by any octet, even of half a frame', async () => {
    const client = await broker.connect({ heartbeat: 10 })
    const open = frame(FrameType.method, 1, encodeMethod('channel.open'))
    for (let at = 0; at < open.length; at++) {
      await client.bytes(open.subarray(at, at + 1))
      await broker.advance(10_000)
    }
    await client.channel(1).expect('channel.open-ok')
  })
})
