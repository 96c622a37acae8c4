// The life of a channel.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import { encodeMethod, FrameType, methodNamed } from '../support/codec.ts'
import { frame } from '../support/raw-client.ts'

const broker = useBroker()
const ABSENT = "NOT_FOUND - no queue 'absent' in vhost '/'"

describe('opening a channel', () => {
  it('is answered with an empty channel id', async () => {
    const client = await broker.connect()
    client.sendOn(1, 'channel.open', { 'out-of-band': 'ignored' })
    await client.channel(1).expect('channel.open-ok', { 'channel-id': '' })
  })

  it('may use any number up to 65535, however few channels were agreed on', async () => {
    const client = await broker.connect({ channelMax: 3 })
    await client.openChannel(65535)
    await client.openChannel(4711)
    await client.openChannel(4)
  })

  it('is refused with 530 beyond the number of channels that was agreed on', async () => {
    const client = await broker.connect({ channelMax: 2 })
    await client.openChannel(1)
    await client.openChannel(2)
    client.sendOn(3, 'channel.open')
    await client.expectConnectionClose(
      530,
      'NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)',
    )
  })

  it('counts a channel that the server has closed until the client has confirmed it', async () => {
    const client = await broker.connect({ channelMax: 1 })
    const channel = await client.openChannel(1)
    channel.send('queue.declare', { queue: 'absent', passive: true })
    await channel.expectChannelClose(404, ABSENT, 'queue.declare', { answer: false })
    client.sendOn(2, 'channel.open')
    await client.expectConnectionClose(
      530,
      'NOT_ALLOWED - number of channels opened (1) has reached the negotiated channel_max (1)',
    )
  })

  it('counts a channel no longer once it is closed', async () => {
    const client = await broker.connect({ channelMax: 1 })
    for (let number = 1; number < 20; number++) await (await client.openChannel(number)).close()
  })

  it('twice is a channel error of the connection', async () => {
    const client = await broker.connect()
    await client.openChannel(1)
    client.sendOn(1, 'channel.open')
    await client.expectConnectionClose(504, "CHANNEL_ERROR - second 'channel.open' seen", 'channel.open')
  })

  it.each(['queue.declare', 'basic.ack', 'channel.flow', 'basic.publish', 'tx.commit'])(
    'must come before %s',
    async (method) => {
      const client = await broker.connect()
      client.sendOn(1, method)
      if (methodNamed(method).content) client.channel(1).header(0)
      await client.expectConnectionClose(504, "CHANNEL_ERROR - expected 'channel.open'", method)
    },
  )

  it('must come before content', async () => {
    const client = await broker.connect()
    client.channel(1).header(0)
    await client.expectConnectionClose(505, /^UNEXPECTED_FRAME - expected method frame, got non method frame instead/)
  })
})

describe('closing a channel', () => {
  it('is answered after everything that was sent before it', async () => {
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: 'q' }).send('basic.qos', { 'prefetch-count': 1 })
    channel.send('channel.close', { 'reply-code': 200 })
    await channel.expect('queue.declare-ok')
    await channel.expect('basic.qos-ok')
    await channel.expect('channel.close-ok')
  })

  it('frees its number for a channel that remembers nothing', async () => {
    const client = await broker.connect()
    const channel = await client.openChannel(1)
    await channel.queue('q')
    await channel.call('confirm.select')
    await channel.call('basic.qos', { 'prefetch-count': 1 })
    await channel.consume('q', { 'consumer-tag': 'c' })
    channel.publish({ 'routing-key': 'q' }, 'one')
    await channel.expectDeliver({ 'delivery-tag': 1, redelivered: false }, 'one')
    await channel.expect('basic.ack', { 'delivery-tag': 1 })
    await channel.close()

    await client.openChannel(1)
    await channel.consume('q', { 'consumer-tag': 'c' })
    await channel.expectDeliver({ 'delivery-tag': 1, redelivered: true, 'consumer-tag': 'c' }, 'one')
    channel.publish({ 'routing-key': 'q' }, 'two').publish({ 'routing-key': 'q' }, 'three')
    await channel.expectDeliver({ 'delivery-tag': 2, redelivered: false }, 'two')
    await channel.expectDeliver({ 'delivery-tag': 3, redelivered: false }, 'three')
    await channel.expectNothing()
    channel.send('queue.bind', { exchange: 'amq.direct' })
    await channel.expectChannelClose(404, 'NOT_FOUND - no previously declared queue', 'queue.bind')
  })

  it('drops content of which a part is missing', async () => {
    const client = await broker.connect()
    const channel = await client.openChannel(1)
    await channel.queue('q')
    channel.send('basic.publish', { 'routing-key': 'q' }).header(10).body('half ')
    await client.close()
    const other = await broker.channel()
    expect((await other.call('queue.declare', { queue: 'q', passive: true }))['message-count']).toBe(0)
  })

  it('leaves the other channels of the connection alone', async () => {
    const client = await broker.connect()
    const [one, two] = [await client.openChannel(1), await client.openChannel(2)]
    await two.queue('q')
    await two.consume('q', { 'no-ack': true })
    await one.close()
    two.publish({ 'routing-key': 'q' }, 'still')
    await two.expectDeliver({}, 'still')
  })
})

describe('a channel that the server closed', () => {
  it('says nothing more, and takes nothing, until the client has confirmed it', async () => {
    const client = await broker.connect()
    const channel = await client.openChannel(1)
    await channel.queue('q')
    channel.send('queue.declare', { queue: 'absent', passive: true })
    channel.publish({ 'routing-key': 'q' }, 'lost').send('queue.purge', { queue: 'q' })
    channel.send('basic.ack', { 'delivery-tag': 7 })
    await channel.expectChannelClose(404, ABSENT, 'queue.declare', { answer: false })
    channel.publish({ 'routing-key': 'q' }, 'lost').send('channel.flow', { active: false })
    channel.send('channel.close-ok').send('channel.open')
    await channel.expect('channel.open-ok')
    expect((await channel.call('queue.declare', { queue: 'q', passive: true }))['message-count']).toBe(0)
  })

  itOnlyHere('it goes on to check the order of frames', 'takes no offence at content out of order', async () => {
    const client = await broker.connect()
    const channel = await client.openChannel(1)
    channel.send('queue.declare', { queue: 'absent', passive: true })
    channel
      .header(4)
      .body('lost')
      .send('basic.publish')
      .send('basic.deliver')
      .send('basic.publish')
      .header(5)
      .body('lo')
    await channel.expectChannelClose(404, ABSENT, 'queue.declare')
    await channel.call('channel.open')
    await channel.expectNothing()
  })

  it('discards what it had yet to say', async () => {
    const client = await broker.connect()
    const channel = await client.openChannel(1)
    await channel.queue('q')
    await channel.consume('q', { 'no-ack': true })
    channel.send('queue.declare', { queue: 'absent', passive: true })
    await channel.expectChannelClose(404, ABSENT, 'queue.declare', { answer: false })
    const other = await client.openChannel(2)
    other.publish({ 'routing-key': 'q' }, 'kept')
    await other.expectNothing()
    expect(client.waiting(1)).toBe(0)
    await other.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 1, 'consumer-count': 0 })
  })

  itOnlyHere('3.x calls it a second open', 'waits for close-ok before it is opened again', async () => {
    const client = await broker.connect()
    const channel = await client.openChannel(1)
    channel.send('queue.declare', { queue: 'absent', passive: true }).send('channel.open')
    await channel.expectChannelClose(404, ABSENT, 'queue.declare', { answer: false })
    channel.send('channel.open')
    await client.openChannel(2)
    expect(client.waiting(1)).toBe(0)
    channel.send('channel.close-ok')
    await channel.call('channel.open')
    await channel.expectNothing()
  })

  it('answers a close of the client, and still waits for its close-ok', async () => {
    const client = await broker.connect()
    const channel = await client.openChannel(1)
    channel.send('queue.declare', { queue: 'absent', passive: true })
    channel.send('channel.close', { 'reply-code': 200 })
    await channel.expectChannelClose(404, ABSENT, 'queue.declare', { answer: false })
    await channel.expect('channel.close-ok')
    channel.send('queue.declare', { queue: 'q' })
    await channel.client.openChannel(2)
    expect(client.waiting(1)).toBe(0)
    channel.send('channel.close-ok').send('channel.open')
    await channel.expect('channel.open-ok')
    await channel.expectNothing()
  })

  it('leaves the connection and its other channels alone', async () => {
    const client = await broker.connect()
    const [one, two] = [await client.openChannel(1), await client.openChannel(2)]
    one.send('queue.declare', { queue: 'absent', passive: true })
    await one.expectChannelClose(404, ABSENT, 'queue.declare')
    await two.expectNothing()
    await (await client.openChannel(1)).expectNothing()
  })

  it('has its unacked messages requeued at once', async () => {
    const client = await broker.connect()
    const [one, two] = [await client.openChannel(1), await client.openChannel(2)]
    await one.queue('q')
    one.publish({ 'routing-key': 'q' }, 'held')
    await one.consume('q')
    await one.expectDeliver({ redelivered: false }, 'held')
    one.send('queue.declare', { queue: 'absent', passive: true })
    await one.expectChannelClose(404, ABSENT, 'queue.declare', { answer: false })
    await two.consume('q')
    await two.expectDeliver({ redelivered: true }, 'held')
  })

  it('is closed although the method that failed wanted no answer', async () => {
    const channel = await broker.channel()
    channel.send('queue.purge', { queue: 'absent', nowait: true })
    await channel.expectChannelClose(404, ABSENT, 'queue.purge')
  })

  it('is freed by its close-ok, and the number must be opened again', async () => {
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: 'absent', passive: true })
    await channel.expectChannelClose(404, ABSENT, 'queue.declare')
    channel.send('basic.ack', { 'delivery-tag': 1 })
    await channel.client.expectConnectionClose(504, "CHANNEL_ERROR - expected 'channel.open'", 'basic.ack')
  })
})

describe('pipelined methods', () => {
  it('are answered in their order', async () => {
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: 'q' }).send('exchange.declare', { exchange: 'x', type: 'direct' })
    channel.send('queue.bind', { queue: 'q', exchange: 'x' }).send('basic.qos').send('confirm.select')
    channel.send('queue.purge', { queue: 'q' }).send('basic.get', { queue: 'q' })
    for (const answer of [
      'queue.declare-ok',
      'exchange.declare-ok',
      'queue.bind-ok',
      'basic.qos-ok',
      'confirm.select-ok',
      'queue.purge-ok',
      'basic.get-empty',
    ]) {
      await channel.expect(answer)
    }
  })

  itOnlyHere(
    'its queues answer consume by themselves',
    'are answered in their order, consume like others',
    async () => {
      const channel = await broker.channel()
      await channel.queue('q')
      channel.send('basic.consume', { queue: 'q' }).send('queue.purge', { queue: 'q' })
      channel.send('basic.consume', { queue: 'q' }).send('basic.get', { queue: 'q' })
      for (const answer of ['basic.consume-ok', 'queue.purge-ok', 'basic.consume-ok', 'basic.get-empty']) {
        await channel.expect(answer)
      }
    },
  )

  it('on many channels do not wait for one another', async () => {
    const client = await broker.connect()
    const channels = await Promise.all(Array.from({ length: 50 }, (_, i) => client.openChannel(i + 1)))
    for (const channel of channels) channel.send('queue.declare', { queue: `q${channel.number % 7}` })
    for (const channel of channels) await channel.expect('queue.declare-ok', { queue: `q${channel.number % 7}` })
  })

  it('may have content of other channels between them', async () => {
    const client = await broker.connect()
    const [one, two] = [await client.openChannel(1), await client.openChannel(2)]
    await one.queue('q')
    one.send('basic.publish', { 'routing-key': 'q' })
    two.send('basic.publish', { 'routing-key': 'q' })
    one.header(6)
    client.heartbeat()
    two.header(4).body('tw')
    one.body('o').body('ne')
    two.body('o!')
    await two.consume('q', { 'no-ack': true })
    await two.expectDeliver({}, 'two!')
    one.body('...')
    await two.expectDeliver({}, 'one...')
  })

  it('may be cut into segments at any byte', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    const bytes = Buffer.concat([
      frame(FrameType.method, 1, encodeMethod('basic.get', { queue: 'q' })),
      frame(FrameType.method, 1, encodeMethod('queue.declare', { queue: 'q' })),
      frame(FrameType.heartbeat, 0, Buffer.alloc(0)),
      frame(FrameType.method, 1, encodeMethod('basic.get', { queue: 'q' })),
    ])
    for (const chunk of [1, 2, 3, 7, 8, 11, 64]) {
      await channel.client.bytes(bytes, chunk)
      await channel.expect('basic.get-empty')
      await channel.expect('queue.declare-ok')
      await channel.expect('basic.get-empty')
    }
  })
})

describe('flow', () => {
  it('may be turned on, which it always is', async () => {
    const channel = await broker.channel()
    await channel.call('channel.flow', { active: true }, { active: true })
  })

  it('cannot be turned off', async () => {
    const channel = await broker.channel()
    channel.send('channel.flow', { active: false })
    await channel.client.expectConnectionClose(540, 'NOT_IMPLEMENTED - active=false', 'channel.flow')
  })
})

describe('access.request', () => {
  it('is answered with ticket 1, which means nothing', async () => {
    const channel = await broker.channel()
    channel.send('access.request', { realm: '/data', active: true, read: true })
    await channel.expect('access.request-ok', { ticket: 1 })
  })
})

describe('a method that is not for clients', () => {
  it.each([
    'basic.deliver',
    'basic.return',
    'basic.get-ok',
    'basic.get-empty',
    'basic.qos-ok',
    'basic.consume-ok',
    'basic.recover-ok',
    'queue.declare-ok',
    'queue.delete-ok',
    'exchange.declare-ok',
    'exchange.unbind-ok',
    'channel.open-ok',
    'channel.flow-ok',
    'confirm.select-ok',
    'tx.commit-ok',
    'access.request-ok',
  ])('is refused: %s', async (method) => {
    const channel = await broker.channel()
    channel.send(method)
    if (methodNamed(method).content) channel.header(0)
    await channel.client.expectConnectionClose(503, 'COMMAND_INVALID - unimplemented method', method)
    await broker.expectToServe()
  })

  itOnlyHere('3.x has the class for AMQP 1.0', 'is refused: basic.credit', async () => {
    const channel = await broker.channel()
    channel.send('basic.credit')
    await channel.client.expectConnectionClose(503, 'COMMAND_INVALID - unimplemented method', 'basic.credit')
  })
})

describe('a method on the wrong channel', () => {
  it.each(['queue.declare', 'channel.open', 'basic.ack'])('is a channel error: %s on channel 0', async (method) => {
    const client = await broker.connect()
    client.send(method)
    const text = 'CHANNEL_ERROR - unexpected method in connection state running'
    await client.expectConnectionClose(504, text, method)
  })

  it.each(['connection.close', 'connection.open', 'connection.update-secret'])(
    'ends the connection: %s on channel 1',
    async (method) => {
      const channel = await broker.channel()
      channel.send(method)
      await channel.client.expectConnectionClose(503, 'COMMAND_INVALID - unimplemented method', method)
      await broker.expectToServe()
    },
  )
})
