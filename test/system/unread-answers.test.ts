// Clients that ask and do not read the answers: what waits for them has a bound.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'

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
