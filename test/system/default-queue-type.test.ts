// The type that a vhost, or the node, gives to queues that ask for none; and queues whose type is taken less strictly.
import { describe, expect, it } from 'vitest'
import type { FieldsInput } from '../support/codec.ts'
import { useBroker } from '../support/broker.ts'
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

/** The queue may be declared again as a quorum queue, and not as a classic one. */
async function expectQuorum(channel: RawChannel): Promise<void> {
  await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  channel.send('queue.declare', { queue: 'q', durable: true, arguments: { 'x-queue-type': 'classic' } })
  const text = "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'classic' but current is 'quorum'"
  await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'queue.declare')
}

describe('in a vhost whose queues are quorum queues', () => {
  it('a queue is one that asks for no type, and may be declared again with it or without', async () => {
    const channel = await inVHostOf('quorum')
    await channel.queue('q', { durable: true })
    expect(typeOf('q')).toBe('quorum')
    await channel.queue('q', { durable: true })
    await expectQuorum(channel)
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

describe('on a node whose queues are quorum queues', () => {
  const node = useBroker({ declarations: { defaultType: 'quorum', relaxed: false } })

  it('a queue is one that asks for no type', async () => {
    const channel = await node.channel()
    await channel.queue('q', { durable: true })
    await expectQuorum(channel)
  })

  it('a queue that cannot be one is a classic one', async () => {
    const channel = await node.channel()
    const name = await channel.queue('', { exclusive: true })
    channel.publish({ 'routing-key': name }, 'm')
    await channel.get(name)
  })
})

describe('where quorum queues pass for classic ones', () => {
  const node = useBroker({ declarations: { defaultType: 'classic', relaxed: true } })
  const SHARED = { 'x-expires': 60_000, 'x-dead-letter-exchange': 'd' }

  async function quorumQueue(): Promise<RawChannel> {
    const channel = await node.channel()
    await channel.queue('q', {
      durable: true,
      arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 3, ...SHARED },
    })
    return channel
  }

  it.each<[string, FieldsInput]>([
    ['without a type', SHARED],
    ['as a classic queue', { 'x-queue-type': 'classic', ...SHARED }],
    ['with arguments of classic queues', { 'x-queue-type': 'classic', 'x-max-priority': 5, ...SHARED }],
  ])('one may be declared again %s', async (_case, args) => {
    const channel = await quorumQueue()
    await channel.queue('q', { durable: true, arguments: args })
  })

  it.each<[string, FieldsInput, string]>([
    ['another limit', { ...SHARED, 'x-max-length': 1 }, "'x-max-length'"],
    ['another time', { ...SHARED, 'x-expires': 1000 }, "'x-expires'"],
    ['a quorum queue of other arguments', { 'x-queue-type': 'quorum', ...SHARED }, "'x-delivery-limit'"],
  ])('one may not be declared again with %s', async (_case, args, named) => {
    const channel = await quorumQueue()
    channel.send('queue.declare', { queue: 'q', durable: true, arguments: args })
    await channel.expectChannelClose(
      406,
      new RegExp(`^PRECONDITION_FAILED - inequivalent arg ${named} `),
      'queue.declare',
    )
  })

  it('a classic queue does not pass for a quorum queue', async () => {
    const channel = await node.channel()
    await channel.queue('q', { durable: true })
    channel.send('queue.declare', { queue: 'q', durable: true, arguments: { 'x-queue-type': 'quorum' } })
    await channel.expectChannelClose(406, /^PRECONDITION_FAILED - inequivalent arg 'x-queue-type' /, 'queue.declare')
  })
})
