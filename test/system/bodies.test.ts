// The bodies of messages: how they are cut into frames, and how large they may be.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker, type TestBroker } from '../support/broker.ts'
import { FrameType } from '../support/codec.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

/** Bytes that show when one is missing, doubled or out of place. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 7 + (i >> 8) * 13 + (i >> 16) * 29) & 255
  return bytes
}

async function expectGet(channel: RawChannel, body: Uint8Array): Promise<readonly number[]> {
  channel.send('basic.get', { queue: 'q', 'no-ack': true })
  return (await channel.expectGetOk({}, body)).pieces
}

async function expectEmpty(channel: RawChannel): Promise<void> {
  channel.send('basic.get', { queue: 'q' })
  await channel.expect('basic.get-empty')
}

describe('a body', () => {
  const room = 131072 - 8

  it.each([
    0,
    1,
    2,
    255,
    4088,
    16383,
    16384,
    16385,
    65536,
    room - 1,
    room,
    room + 1,
    2 * room,
    2 * room + 1,
    3_000_000,
  ])('of %d bytes arrives in as few frames as it can', async (length) => {
    const channel = await broker.channel()
    await channel.queue('q')
    const body = pattern(length)
    channel.publish({ 'routing-key': 'q' }, body)
    const pieces = await expectGet(channel, body)
    expect(pieces).toEqual(framesOf(length, room))
    await channel.consume('q', { 'no-ack': true })
    channel.publish({ 'routing-key': 'q' }, body)
    expect((await channel.expectDeliver({}, body)).pieces).toEqual(pieces)
  })

  it('is cut to the frames of its receiver, whatever the frames of its sender', async () => {
    const sender = await broker.channel()
    const receiver = await broker.channel({ frameMax: 4096 })
    await sender.queue('q')
    await receiver.consume('q', { 'no-ack': true })
    const body = pattern(20_000)
    sender.publish({ 'routing-key': 'q' }, body)
    expect((await receiver.expectDeliver({}, body)).pieces).toEqual(framesOf(20_000, 4088))
    receiver.publish({ 'routing-key': 'absent', mandatory: true }, body)
    expect((await receiver.expectReturn({}, body)).pieces).toEqual(framesOf(20_000, 4088))
  })

  it('may be sent in pieces of any size, some of them empty', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    const body = pattern(70_000)
    for (const size of [1, 3, 1000, 4087, 69_999]) {
      channel.send('basic.publish', { 'routing-key': 'q' }).header(body.length).body('')
      const last = size === 1 ? 300 : body.length - 1
      for (let at = 0; at < last; at += size) channel.body(body.subarray(at, Math.min(at + size, last)))
      channel.body('').body(body.subarray(last))
      await expectGet(channel, body)
    }
  })

  it('may arrive in segments of any size', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    const client = channel.client
    const body = pattern(5000)
    for (const chunk of [1, 7, 1460, 4999]) {
      channel.send('basic.publish', { 'routing-key': 'q' }).header(body.length)
      await client.bytes(bodyFrames(body, 600), chunk)
      await expectGet(channel, body)
    }
  })

  it('may come in a frame as large as was agreed on, not counting the frame itself', async () => {
    const channel = await broker.channel({ frameMax: 4096 })
    await channel.queue('q')
    const body = pattern(4096)
    channel.send('basic.publish', { 'routing-key': 'q' }).header(body.length).body(body)
    await expectGet(channel, body)
  })

  it('is whole once its last byte is in, and takes no empty frame after it', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, 'whole')
    await expectGet(channel, Buffer.from('whole'))
    channel.body('')
    await channel.client.expectConnectionClose(
      505,
      'UNEXPECTED_FRAME - expected method frame, got non method frame instead',
    )
  })

  it('that is empty is whole with its header, and takes no empty frame after it', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.send('basic.publish', { 'routing-key': 'q' }).header(0)
    expect(await expectGet(channel, Buffer.alloc(0))).toEqual([])
    channel.body('')
    await channel.client.expectConnectionClose(
      505,
      'UNEXPECTED_FRAME - expected method frame, got non method frame instead',
    )
  })

  it('that stays incomplete is never routed', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.send('basic.publish', { 'routing-key': 'q' }).header(6).body('half')
    channel.client.end()
    await channel.client.expectEnd()
    await expectEmpty(await broker.channel())
  })

  itOnlyHere('3.x hangs', 'may not be longer than it was announced', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.send('basic.publish', { 'routing-key': 'q' }).header(4).body('five!')
    await channel.client.expectConnectionClose(
      501,
      'FRAME_ERROR - content body frame exceeds remaining content size',
      'basic.publish',
    )
    await expectEmpty(await broker.channel())
  })

  it('of one message is not mixed up with that of the next', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    const bodies = Array.from({ length: 300 }, (_, i) =>
      Buffer.concat([pattern((i * 997) % 9000), Buffer.from(`${i}`)]),
    )
    for (const body of bodies) channel.publish({ 'routing-key': 'q' }, body)
    await channel.consume('q', { 'no-ack': true })
    for (const body of bodies) await channel.expectDeliver({}, body)
  })
})

describe('properties that do not fit into a frame of their receiver', () => {
  const headers = { large: 'x'.repeat(5000) }
  const TOO_LARGE = /^FRAME_ERROR - /

  itOnlyHere('it breaks the connection', 'end the connection of a consumer, which cannot be served', async () => {
    const sender = await broker.channel()
    const receiver = await broker.channel({ frameMax: 4096 })
    await sender.queue('q')
    await receiver.consume('q')
    sender.publish({ 'routing-key': 'q' }, 'm', { headers })
    await receiver.client.expectConnectionClose(501, TOO_LARGE)
    await expectGet(sender, Buffer.from('m'))
  })

  itOnlyHere('it breaks the connection', 'end the connection of a consumer that acknowledges nothing', async () => {
    const sender = await broker.channel()
    const receiver = await broker.channel({ frameMax: 4096 })
    await sender.queue('q')
    await receiver.consume('q', { 'no-ack': true })
    sender.publish({ 'routing-key': 'q' }, 'm', { headers })
    sender.publish({ 'routing-key': 'q' }, 'n')
    await receiver.client.expectConnectionClose(501, TOO_LARGE)
    await expectGet(sender, Buffer.from('m'))
    await expectGet(sender, Buffer.from('n'))
  })

  itOnlyHere('it breaks the connection', 'end the connection that gets it without acknowledgement', async () => {
    const sender = await broker.channel()
    const receiver = await broker.channel({ frameMax: 4096 })
    await sender.queue('q')
    sender.publish({ 'routing-key': 'q' }, 'm', { headers })
    await sender.expectNothing()
    receiver.send('basic.get', { queue: 'q', 'no-ack': true })
    await receiver.client.expectConnectionClose(501, TOO_LARGE)
    await expectGet(sender, Buffer.from('m'))
  })

  itOnlyHere('it breaks the connection', 'end the connection that gets the message', async () => {
    const sender = await broker.channel()
    const receiver = await broker.channel({ frameMax: 4096 })
    await sender.queue('q')
    sender.publish({ 'routing-key': 'q' }, 'm', { headers })
    await sender.expectNothing()
    receiver.send('basic.get', { queue: 'q' })
    await receiver.client.expectConnectionClose(501, TOO_LARGE)
    await expectGet(sender, Buffer.from('m'))
  })
})

describe('a body above the largest size', () => {
  const small = useSmallBroker()
  const refusal = 'PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000'

  itOnlyHere('it cannot be told', 'is refused at its header, before any of it has come', async () => {
    const channel = await small.channel()
    await channel.queue('q')
    channel.send('basic.publish', { 'routing-key': 'q' }).header(1001)
    await channel.expectChannelClose(406, refusal, 'basic.publish', { answer: false })
    for (let i = 0; i < 1001; i += 7) channel.body(pattern(7))
    channel.send('channel.close-ok')
    await channel.call('channel.open')
    await expectEmpty(channel)
  })

  itOnlyHere('it cannot be told', 'is refused, and one that is just as large is taken', async () => {
    const channel = await small.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, pattern(1000))
    await expectGet(channel, pattern(1000))
    channel.publish({ 'routing-key': 'q' }, pattern(1001))
    await channel.expectChannelClose(406, refusal, 'basic.publish')
  })

  itOnlyHere('it cannot be told', 'is refused before the exchange is looked for', async () => {
    const channel = await small.channel()
    channel.publish({ exchange: 'absent' }, pattern(1001))
    await channel.expectChannelClose(406, refusal, 'basic.publish')
  })

  itOnlyHere('it cannot be told', 'leaves the other channels of the connection alone', async () => {
    const client = await small.connect()
    const [one, two] = [await client.openChannel(1), await client.openChannel(2)]
    await two.queue('q')
    one.send('basic.publish', { 'routing-key': 'q' }).header(1001)
    two.send('basic.publish', { 'routing-key': 'q' }).header(5)
    one.body(pattern(500))
    two.body('small')
    one.body(pattern(501))
    await one.expectChannelClose(406, refusal, 'basic.publish')
    await expectGet(two, Buffer.from('small'))
  })

  itOnlyHere('its limit was 128 MiB', 'is refused above 16 MiB unless something else is configured', async () => {
    const channel = await broker.channel()
    channel.send('basic.publish', {}).header(16_777_217)
    const text = 'PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216'
    await channel.expectChannelClose(406, text, 'basic.publish')
  })

  for (const size of [536870913n, 2n ** 40n, 2n ** 63n, 2n ** 64n - 1n]) {
    itOnlyHere('3.x does not look', `ends the connection when it would be ${size} bytes`, async () => {
      const channel = await broker.channel()
      channel.send('basic.publish', {}).header(size)
      const text = `FRAME_ERROR - content body size ${size} exceeds maximum allowed size 536870912`
      await channel.client.expectConnectionClose(501, text, 'basic.publish')
      await broker.expectToServe()
    })
  }
})

describe('frames without a limit', () => {
  const unlimited = useUnlimitedBroker()

  itOnlyHere('it cannot be told', 'carry a whole body each', async () => {
    const channel = await unlimited.channel()
    expect(channel.client.frameMax).toBe(0)
    await channel.queue('q')
    const body = pattern(1_000_000)
    channel.publish({ 'routing-key': 'q' }, body)
    expect(await expectGet(channel, body)).toEqual([1_000_000])
  })

  itOnlyHere('it cannot be told', 'may be limited by the client, and channels too', async () => {
    const channel = await unlimited.channel({ frameMax: 4096, channelMax: 5 })
    await channel.queue('q')
    const body = pattern(10_000)
    channel.publish({ 'routing-key': 'q' }, body)
    expect(await expectGet(channel, body)).toEqual(framesOf(10_000, 4088))
  })

  itOnlyHere('it cannot be told', 'are no reason to wait for a method of 4 GiB', async () => {
    const { client } = await unlimited.channel()
    await client.bytes(Buffer.from([FrameType.method, 0, 1, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]))
    await client.expectConnectionClose(501, /^FRAME_ERROR - .*frame_too_large,4294967295/, '', { answer: false })
    await unlimited.expectToServe()
  })

  itOnlyHere('it cannot be told', 'are no reason to take more of a body than was announced', async () => {
    const channel = await unlimited.channel()
    channel.send('basic.publish').header(5)
    await channel.client.bytes(Buffer.from([FrameType.body, 0, 1, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6]))
    const text = 'FRAME_ERROR - content body frame exceeds remaining content size'
    await channel.client.expectConnectionClose(501, text, 'basic.publish', { answer: false })
    await unlimited.expectToServe()
  })
})

function useSmallBroker(): TestBroker {
  return useBroker({ messageBytesMax: 1000 })
}

function useUnlimitedBroker(): TestBroker {
  return useBroker({ frameMax: 0, channelMax: 0 })
}

function framesOf(length: number, most: number): number[] {
  const frames = Array.from({ length: Math.floor(length / most) }, () => most)
  if (length % most > 0) frames.push(length % most)
  return frames
}

function bodyFrames(body: Buffer, most: number): Buffer {
  const frames: Buffer[] = []
  for (let at = 0; at < body.length; at += most) {
    const payload = body.subarray(at, at + most)
    const head = Buffer.from([FrameType.body, 0, 1, 0, 0, payload.length >> 8, payload.length & 255])
    frames.push(head, payload, Buffer.of(0xce))
  }
  return Buffer.concat(frames)
}
