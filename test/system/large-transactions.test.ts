// Transactions that are larger than they may be, with a limit that is quickly reached.
import { expect, it, vi } from 'vitest'
import { useBroker } from '../support/broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

/** A publish of a few bytes counts as some 250. */
vi.mock('../../src/amqp/limits.ts', async (original) => ({
  ...(await original<object>()),
  UNCOMMITTED_BYTES_MAX: 1_000,
}))

const broker = useBroker()
const TOO_MUCH = 'PRECONDITION_FAILED - messages that wait for tx.commit take more than 1000 bytes'

async function publish(channel: RawChannel, count: number): Promise<void> {
  for (let i = 0; i < count; i++) channel.publish({ 'routing-key': 'q' }, String(i))
  await channel.expectNothing()
}

it('close their channel, and leave nothing behind: others of the connection have room again', async () => {
  const other = await broker.channel()
  await other.queue('q')
  await other.call('tx.select')
  const channel = await other.client.openChannel(2)
  await channel.call('tx.select')
  await publish(channel, 3)
  await publish(other, 1)
  other.publish({ 'routing-key': 'q' }, 'too much')
  await other.expectChannelClose(406, TOO_MUCH, 'basic.publish')
  await publish(channel, 1)
  channel.publish({ 'routing-key': 'q' }, 'too much')
  await channel.expectChannelClose(406, TOO_MUCH, 'basic.publish')
  const last = await broker.channel()
  expect(await last.call('queue.declare', { queue: 'q', passive: true })).toMatchObject({ 'message-count': 0 })
})

it.each(['tx.commit', 'tx.rollback'])('have room again after %s', async (method) => {
  const channel = await broker.channel()
  await channel.queue('q')
  await channel.call('queue.purge', { queue: 'q' })
  await channel.call('tx.select')
  for (let i = 0; i < 3; i++) {
    await publish(channel, 4)
    await channel.call(method)
  }
  const { 'message-count': count } = await channel.call('queue.declare', { queue: 'q', passive: true })
  expect(count).toBe(method === 'tx.commit' ? 12 : 0)
})
