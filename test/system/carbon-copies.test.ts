// Sender-selected distribution: the headers CC and BCC.
import { describe, expect, it } from 'vitest'
import { COPIES_MAX } from '../../src/amqp/limits.ts'
import { useBroker } from '../support/broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

async function withQueues(...names: string[]): Promise<RawChannel> {
  const channel = await broker.channel()
  for (const name of names) await channel.queue(name)
  return channel
}

describe('CC and BCC', () => {
  it('name further routing keys, of which BCC is not delivered', async () => {
    const channel = await withQueues('a', 'b', 'c')
    const headers = { CC: ['b'], BCC: ['c'], other: 1 }
    channel.publish({ 'routing-key': 'a' }, 'm', { 'content-type': 'text/plain', headers, 'message-id': 'm1' })
    for (const queue of ['a', 'b', 'c']) {
      const { fields, properties, body } = await channel.get(queue, true)
      expect(fields).toMatchObject({ exchange: '', 'routing-key': 'a' })
      expect(body.toString()).toBe('m')
      expect(properties).toEqual({
        'content-type': 'text/plain',
        headers: { CC: ['b'], other: 1 },
        'message-id': 'm1',
      })
    }
  })

  it('deliver one copy to a queue that several keys lead to', async () => {
    const channel = await withQueues('a')
    await channel.exchange('x', 'topic')
    await channel.bind('a', 'x', '#')
    channel.publish({ exchange: 'x', 'routing-key': 'one' }, 'm', { headers: { CC: ['two', 'three'], BCC: ['four'] } })
    const { fields } = await channel.get('a', true)
    expect(fields).toMatchObject({ 'routing-key': 'one', 'message-count': 0 })
  })

  it('count as routed when only they reach a queue', async () => {
    const channel = await withQueues('b')
    await channel.call('confirm.select')
    channel.publish({ 'routing-key': 'nowhere', mandatory: true }, 'm', { headers: { BCC: ['b'] } })
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
    expect((await channel.get('b', true)).properties).toEqual({ headers: {} })
  })

  it('do not change the way of the next message with the same key', async () => {
    const channel = await withQueues('a', 'b')
    channel.publish({ 'routing-key': 'a' }, 'one')
    channel.publish({ 'routing-key': 'a' }, 'two', { headers: { CC: ['b'] } })
    channel.publish({ 'routing-key': 'a' }, 'three')
    expect((await channel.get('b', true)).fields['message-count']).toBe(0)
    expect((await channel.get('a', true)).fields['message-count']).toBe(2)
  })

  it('are used in the exchanges behind the first, too', async () => {
    const channel = await withQueues('a')
    await channel.exchange('front', 'fanout')
    await channel.exchange('back', 'direct')
    await channel.call('exchange.bind', { source: 'front', destination: 'back' })
    await channel.bind('a', 'back', 'copy')
    channel.publish({ exchange: 'front', 'routing-key': 'main' }, 'm', { headers: { CC: ['copy'] } })
    await channel.get('a', true)
  })

  it('name no more keys than everybody else can wait for', async () => {
    const channel = await withQueues('a')
    const keys = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`)
    channel.publish({ 'routing-key': 'a' }, 'm', { headers: { CC: keys(COPIES_MAX - 1), BCC: ['b'] } })
    expect((await channel.get('a', true)).body.toString()).toBe('m')
    channel.publish({ 'routing-key': 'a' }, 'm', { headers: { CC: keys(COPIES_MAX), BCC: ['b'] } })
    const text = 'PRECONDITION_FAILED - a message has at most 1000 routing keys in CC and BCC'
    await channel.expectChannelClose(406, text, 'basic.publish')
  })

  it.each(['CC', 'BCC'])('must be an array: %s', async (name) => {
    const channel = await withQueues()
    channel.publish({ 'routing-key': 'a' }, 'm', { headers: { [name]: 'b' } })
    const text = `PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"${name}",longstr}`
    await channel.expectChannelClose(406, text, 'basic.publish')
  })

  it('pass over what is no string', async () => {
    const channel = await withQueues('b')
    channel.publish({ 'routing-key': 'nowhere' }, 'm', { headers: { CC: [true, 'b'] } })
    await channel.get('b', true)
  })

  it('wait for the commit of a transaction', async () => {
    const channel = await withQueues('a', 'b')
    await channel.call('tx.select')
    channel.publish({ 'routing-key': 'a' }, 'm', { headers: { BCC: ['b'] } })
    await channel.call('tx.commit')
    await channel.get('a', true)
    await channel.get('b', true)
  })
})
