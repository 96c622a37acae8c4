// Clients that ask and do not read the answers: what waits for them has a bound.
import { describe, expect, it, vi } from 'vitest'
import { UNREAD_BYTES_MAX, UNREAD_MS_MAX } from '../../src/amqp/limits.ts'
import { useBroker } from '../support/broker.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

/** Lets the broker read everything that others have sent so far. */
async function settle(): Promise<void> {
  await (await broker.connect()).close()
}

describe('a client that does not read what it asked for', () => {
  it('is not read any more either, until it has, and then gets everything in order', async () => {
    const channel = await broker.channel()
    const other = await broker.channel()
    await channel.queue('large')
    await channel.queue('marks')
    channel.publish({ 'routing-key': 'large' }, Buffer.alloc(1024 * 1024, 'x'))
    await channel.call('queue.declare', { queue: 'large', passive: true }, { 'message-count': 1 })
    channel.client.pause()
    // More than sockets keep by themselves (some megabytes) and the broker for them.
    const gets = 64
    for (let i = 0; i < gets; i++) {
      channel.send('basic.get', { queue: 'large' })
      channel.send('basic.nack', { 'delivery-tag': 0, multiple: true, requeue: true })
      if (i % 4 === 3) await settle()
    }
    channel.publish({ 'routing-key': 'marks' }, 'read')
    await settle()
    await other.call('queue.declare', { queue: 'marks', passive: true }, { 'message-count': 0 })
    channel.client.pause(false)
    for (let tag = 1; tag <= gets; tag++) await channel.expect('basic.get-ok', { 'delivery-tag': tag })
    await channel.call('queue.declare', { queue: 'marks', passive: true }, { 'message-count': 1 })
  })

  it('takes nothing with it when it goes', async () => {
    const channel = await broker.channel()
    await channel.queue('large')
    await channel.queue('own', { exclusive: true })
    channel.publish({ 'routing-key': 'large' }, Buffer.alloc(1024 * 1024, 'x'))
    await channel.call('queue.declare', { queue: 'large', passive: true }, { 'message-count': 1 })
    channel.client.pause()
    for (let i = 0; i < 48; i++) {
      channel.send('basic.get', { queue: 'large' })
      channel.send('basic.nack', { 'delivery-tag': 0, multiple: true, requeue: true })
      if (i % 4 === 3) await settle()
    }
    channel.client.drop(true)
    const other = await broker.channel()
    await expect.poll(async () => (await other.get('large', true)).body.length).toBe(1024 * 1024)
  })
})

describe('answers that wait for ten minutes', () => {
  const open = useOpenBroker()
  const BODY_BYTES = 1024 * 1024
  /** So many that they are too much whatever sockets keep by themselves. */
  const GETS = UNREAD_BYTES_MAX / BODY_BYTES + 16

  /** Has the broker keep answers back, as if the disk stood still, until the returned function is called. */
  function stopDisk(): () => void {
    const waiting: (() => void)[] = []
    const whenDurable = vi.spyOn(open.broker.store, 'whenDurable').mockImplementation((callback) => {
      waiting.push(callback)
    })
    return () => {
      whenDurable.mockRestore()
      for (const callback of waiting) callback()
    }
  }

  /** Asks for more answers than may wait for a client. Resolves when nothing more is read from it. */
  async function ask(channel: RawChannel): Promise<void> {
    for (let i = 0; i < GETS; i++) {
      channel.send('basic.get', { queue: 'large' })
      channel.send('basic.nack', { 'delivery-tag': 0, multiple: true, requeue: true })
    }
    await expect
      .poll(() => [...open.broker.connections.values()].some(({ activity }) => activity === 'flow'))
      .toBe(true)
  }

  async function withLarge(): Promise<RawChannel> {
    const channel = await open.channel()
    await channel.call('queue.declare', { queue: 'large' })
    channel.publish({ 'routing-key': 'large' }, Buffer.alloc(BODY_BYTES, 'x'))
    await channel.call('queue.declare', { queue: 'large', passive: true }, { 'message-count': 1 })
    return channel
  }

  it('end the connection of a client that does not read them', async () => {
    const channel = await withLarge()
    channel.client.pause()
    await ask(channel)
    open.clock.advance(UNREAD_MS_MAX - 1)
    expect(open.broker.connections.size).toBe(1)
    open.clock.advance(1)
    await expect.poll(() => open.broker.connections.size).toBe(0)
  })

  it('do not when it is the disk that they wait for', async () => {
    const channel = await withLarge()
    const goOn = stopDisk()
    channel.send('queue.declare', { queue: 'durable', durable: true })
    await ask(channel)
    open.clock.advance(UNREAD_MS_MAX * 3)
    goOn()
    await channel.expect('queue.declare-ok', { queue: 'durable' })
    for (let tag = 1; tag <= GETS; tag++) await channel.expect('basic.get-ok', { 'delivery-tag': tag })
  })

  it('leave the client its time to read what it is sent then', async () => {
    const channel = await withLarge()
    const goOn = stopDisk()
    channel.send('queue.declare', { queue: 'durable', durable: true })
    await ask(channel)
    open.clock.advance(UNREAD_MS_MAX - 1)
    channel.client.pause()
    goOn()
    open.clock.advance(UNREAD_MS_MAX - 1)
    channel.client.pause(false)
    await channel.expect('queue.declare-ok', { queue: 'durable' })
    for (let tag = 1; tag <= GETS; tag++) await channel.expect('basic.get-ok', { 'delivery-tag': tag })
  })
})
