// The type that a vhost gives to queues that ask for none.
import { describe, expect, it } from 'vitest'
import type { FieldsInput } from '../support/codec.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const open = useOpenBroker()

async function inVHostOf(defaultQueueType: string): Promise<RawChannel> {
  const vhost = open.broker.vhosts.get('/')!
  open.broker.updateVHost(vhost, { defaultQueueType })
  return open.channel()
}

function typeOf(queue: string): string {
  return open.broker.vhosts.get('/')!.queue(queue).rules.type
}

describe('in a vhost whose queues are quorum queues', () => {
  it('a queue is one that asks for no type, and may be declared again with it or without', async () => {
    const channel = await inVHostOf('quorum')
    await channel.queue('q', { durable: true })
    expect(typeOf('q')).toBe('quorum')
    await channel.queue('q', { durable: true })
    await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    channel.send('queue.declare', { queue: 'q', durable: true, arguments: { 'x-queue-type': 'classic' } })
    const text =
      "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'classic' but current is 'quorum'"
    await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'queue.declare')
  })

  it('a queue has the type that it asks for', async () => {
    const channel = await inVHostOf('quorum')
    await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'classic' } })
    expect(typeOf('q')).toBe('classic')
  })

  it.each<FieldsInput>([
    { durable: false },
    { durable: true, exclusive: true },
    { durable: true, 'auto-delete': true },
  ])('a queue that cannot be one is a classic one: %j', async (fields) => {
    const channel = await inVHostOf('quorum')
    await channel.queue('q', fields)
    expect(typeOf('q')).toBe('classic')
    await channel.queue('q', fields)
  })

  it('a queue that was there before is what it was, and another declaration differs from it', async () => {
    const channel = await inVHostOf('classic')
    await channel.queue('q', { durable: true })
    await inVHostOf('quorum')
    channel.send('queue.declare', { queue: 'q', durable: true })
    const text =
      "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'quorum' but current is 'classic'"
    await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'queue.declare')
  })
})
