// The way from the first byte to connection.open-ok, and all the ways in which it ends before.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import { encodeMethod, FrameType, PROTOCOL_HEADER } from '../support/codec.ts'
import { encodeTableBody, tagged, type Table, type Value } from '../support/field-values.ts'
import { frame, type RawClient } from '../support/raw-client.ts'

const broker = useBroker()

/** The server says nothing more and ends the connection after 3 s, no sooner. */
async function expectSilentEnd(client: RawClient): Promise<void> {
  await broker.advance(2999)
  expect(client.ended).toBe(false)
  await broker.advance(1)
  await client.expectEnd()
}

/** A client that was just sent connection.start. */
async function starting(): Promise<RawClient> {
  const client = await broker.dial()
  await client.protocolHeader().expect('connection.start')
  return client
}

/** A client that was just sent connection.tune. */
async function tuning(): Promise<RawClient> {
  const client = await starting()
  await client.startOk().expect('connection.tune')
  return client
}

/** A client that has tuned and must open a virtual host next. */
async function opening(): Promise<RawClient> {
  const client = await tuning()
  return client.send('connection.tune-ok', { 'channel-max': 2047, 'frame-max': 131072 })
}

function ascii(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

describe('the protocol header', () => {
  it('is answered with connection.start when it is that of 0-9-1', async () => {
    const client = await broker.dial()
    client.protocolHeader()
    await client.expect('connection.start', { 'version-major': 0, 'version-minor': 9 })
  })

  it('is taken for 0-9-1 when it is that of 0-9', async () => {
    const client = await broker.dial()
    client.protocolHeader(ascii('AMQP\x01\x01\x00\x09'))
    await client.expect('connection.start', { 'version-major': 0, 'version-minor': 9 })
  })

  it('may arrive a byte at a time', async () => {
    const client = await broker.dial()
    await client.bytes(PROTOCOL_HEADER, 1)
    await client.expect('connection.start')
  })

  it.each([
    ['AMQP 0-10', 'AMQP\x01\x01\x00\x0a'],
    ['AMQP 0-9-2', 'AMQP\x00\x00\x09\x02'],
    ['AMQP 1.0', 'AMQP\x00\x01\x00\x00'],
    ['AMQP 1.0 with TLS', 'AMQP\x02\x01\x00\x00'],
    ['HTTP', 'GET / HTTP/1.1\r\nHost: here\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['zeros', '\x00\x00\x00\x00\x00\x00\x00\x00'],
  ])('is answered with that of 0-9-1, and the end, when it is that of %s', async (_name, bytes) => {
    const client = await broker.dial()
    client.protocolHeader(ascii(bytes))
    await client.expectProtocolHeader()
    await client.expectEnd()
    await broker.expectToServe()
  })

  for (const [name, bytes, why] of [
    ['AMQP 1.0 with SASL', 'AMQP\x03\x01\x00\x00', 'it may have an AMQP 1.0 engine'],
    ['AMQP 0-8', 'AMQP\x01\x01\x08\x00', '3.x speaks it'],
  ] as const) {
    itOnlyHere(why, `is answered with that of 0-9-1, and the end, when it is that of ${name}`, async () => {
      const client = await broker.dial()
      client.protocolHeader(ascii(bytes))
      await client.expectProtocolHeader()
      await client.expectEnd()
    })
  }

  it('may stay away: a socket that is opened and ended again is sent nothing', async () => {
    const client = await broker.dial()
    client.end()
    await client.expectEnd()
    expect(client.octetsIn).toBe(0)
    await broker.expectToServe()
  })
})

describe('connection.start', () => {
  it('offers PLAIN and AMQPLAIN, and en_US', async () => {
    const client = await broker.dial()
    const start = await client.protocolHeader().expect('connection.start', { locales: 'en_US' })
    expect(String(start.mechanisms).split(' ')).toEqual(expect.arrayContaining(['PLAIN', 'AMQPLAIN']))
  })

  it('names the product RabbitMQ and a version of three numbers, for clients choose their behaviour by them', async () => {
    const client = await broker.dial()
    const start = await client.protocolHeader().expect('connection.start')
    const properties = start['server-properties'] as Table
    expect(properties.product).toBe('RabbitMQ')
    expect(properties.version).toMatch(/^\d+\.\d+\.\d+$/)
    for (const key of ['cluster_name', 'copyright', 'information', 'platform']) {
      expect(properties[key], key).toBeTypeOf('string')
    }
  })

  it('claims nine capabilities, each a boolean', async () => {
    const client = await broker.dial()
    const start = await client.protocolHeader().expect('connection.start')
    expect((start['server-properties'] as Table).capabilities).toEqual({
      authentication_failure_close: true,
      'basic.nack': true,
      'connection.blocked': true,
      consumer_cancel_notify: true,
      consumer_priorities: true,
      direct_reply_to: true,
      exchange_exchange_bindings: true,
      per_consumer_qos: true,
      publisher_confirms: true,
    })
  })

  itOnlyHere(
    '4.0 and later claim a version of their own',
    'claims a version in which kombu uses global qos',
    async () => {
      const client = await broker.dial()
      const start = await client.protocolHeader().expect('connection.start')
      expect((start['server-properties'] as Table).version).toMatch(/^3\.13\./)
    },
  )
})

describe('connection.start-ok', () => {
  it.each(['PLAIN', 'AMQPLAIN'] as const)('logs in with %s', async (mechanism) => {
    const client = await starting()
    await client.startOk({ mechanism }).expect('connection.tune')
  })

  itOnlyHere('3.x takes strings only', 'logs in with AMQPLAIN when its strings are sent as bytes', async () => {
    const client = await starting()
    const response = encodeTableBody({ LOGIN: Buffer.from('guest'), PASSWORD: Buffer.from('guest') })
    client.send('connection.start-ok', { mechanism: 'AMQPLAIN', response, locale: 'en_US' })
    await client.expect('connection.tune')
  })

  it('may name any locale', async () => {
    const client = await starting()
    client.send('connection.start-ok', { mechanism: 'PLAIN', response: '\0guest\0guest', locale: 'tlh' })
    await client.expect('connection.tune')
  })

  it('may carry client-properties with every type of value', async () => {
    const client = await starting()
    const clientProperties: Table = {
      product: 'transcript',
      connection_name: 'mine',
      number: 1,
      long: 1n << 40n,
      bytes: Buffer.of(0, 255),
      nothing: null,
      list: [true, 'two', [3.5], { four: tagged('s', -4) }],
      stamp: tagged('T', 1_700_000_000n),
      capabilities: { 'connection.blocked': true },
    }
    await client.startOk({ clientProperties }).expect('connection.tune')
  })

  itOnlyHere('its limit was 4096 before 4.1', 'may have a payload of 8192 bytes', async () => {
    const client = await starting()
    const bare = encodeMethod('connection.start-ok', startOkOf(''))
    const padding = 'p'.repeat(8192 - bare.length)
    const payload = encodeMethod('connection.start-ok', startOkOf(padding))
    expect(payload.length).toBe(8192)
    await client.frame(FrameType.method, 0, payload).expect('connection.tune')

    function startOkOf(comment: string): Record<string, Value> {
      return { 'client-properties': { comment }, mechanism: 'PLAIN', response: '\0guest\0guest', locale: 'en_US' }
    }
  })

  it.each([
    ['a wrong password', { password: 'geuss' }],
    ['a user that does not exist', { user: 'nobody' }],
    ['an empty password', { password: '' }],
    ['an empty name', { user: '', password: '' }],
  ])('with %s is refused with 403 when the client can take that', async (_case, login) => {
    const client = await starting()
    client.startOk(login)
    await client.expectConnectionClose(403, refusal('PLAIN'))
  })

  it('names the mechanism in its refusal', async () => {
    const client = await starting()
    client.startOk({ mechanism: 'AMQPLAIN', password: 'wrong' })
    await client.expectConnectionClose(403, refusal('AMQPLAIN'))
  })

  it('is refused with 403 and the end after 3 s when the client does not answer the close', async () => {
    const client = await starting()
    client.startOk({ password: 'wrong' })
    await client.expectConnectionClose(403, refusal('PLAIN'), '', { answer: false })
    await broker.advance(3000)
    await client.expectEnd()
  })

  it.each<[string, Table]>([
    ['does not claim authentication_failure_close', { capabilities: { 'basic.nack': true } }],
    ['claims it with something else than a boolean', { capabilities: { authentication_failure_close: 1 } }],
    ['denies it', { capabilities: { authentication_failure_close: false } }],
    ['has no capabilities', {}],
    ['has capabilities that are not a table', { capabilities: 'authentication_failure_close' }],
  ])('with a wrong password ends silently after 3 s when the client %s', async (_case, clientProperties) => {
    const client = await starting()
    client.startOk({ password: 'wrong', clientProperties })
    await broker.advance(2999)
    expect(client.ended).toBe(false)
    // Checking the password takes real time, and the 3 s start behind it.
    await broker.advanceUntilEnded(client, 3000)
  })

  it.each([
    ['does not begin with a NUL', 'guest\0guest'],
    ['has one NUL', '\0guest'],
    ['has an identity to act as', 'admin\0guest\0guest'],
    ['is empty', ''],
  ])('ends silently after 3 s when a PLAIN response %s', async (_case, response) => {
    const client = await starting()
    client.send('connection.start-ok', { mechanism: 'PLAIN', response })
    await expectSilentEnd(client)
  })

  it.each([
    ['lacks the password', encodeTableBody({ LOGIN: 'guest' })],
    ['is no table', Buffer.from('\0guest\0guest')],
    ['is cut off', encodeTableBody({ LOGIN: 'guest', PASSWORD: 'guest' }).subarray(0, 20)],
    ['is empty', Buffer.alloc(0)],
  ])('ends silently after 3 s when an AMQPLAIN response %s', async (_case, response) => {
    const client = await starting()
    client.send('connection.start-ok', { mechanism: 'AMQPLAIN', response })
    await expectSilentEnd(client)
  })

  it.each(['KERBEROS', 'EXTERNAL', 'plain', ''])(
    'ends silently after 3 s with the mechanism "%s"',
    async (mechanism) => {
      const client = await starting()
      client.send('connection.start-ok', { mechanism, response: '\0guest\0guest' })
      await expectSilentEnd(client)
    },
  )

  function refusal(mechanism: string): string {
    return (
      `ACCESS_REFUSED - Login was refused using authentication mechanism ${mechanism}. ` +
      'For details see the broker logfile.'
    )
  }
})

describe('connection.tune', () => {
  it('proposes 2047 channels, frames of 131072 bytes and heartbeats every 60 s', async () => {
    const client = await starting()
    await client.startOk().expect('connection.tune', { 'channel-max': 2047, 'frame-max': 131072, heartbeat: 60 })
  })

  it.each([
    ['the very values that were proposed', 2047, 131072, 60],
    ['fewer channels', 1, 131072, 60],
    ['the smallest frames', 2047, 4096, 60],
    ['no heartbeats', 2047, 131072, 0],
    ['rarer heartbeats than proposed', 2047, 131072, 65535],
  ])('may be answered with %s', async (_case, channelMax, frameMax, heartbeat) => {
    const client = await tuning()
    client.send('connection.tune-ok', { 'channel-max': channelMax, 'frame-max': frameMax, heartbeat })
    await client.call('connection.open', { 'virtual-host': '/' })
  })

  it.each([
    ['more channels', 2048, 131072],
    ['any number of channels', 0, 131072],
    ['larger frames', 2047, 131073],
    ['frames without a limit', 2047, 0],
    ['frames below the minimum of the protocol', 2047, 4095],
  ])('ends silently after 3 s when the answer asks for %s', async (_case, channelMax, frameMax) => {
    const client = await tuning()
    client.send('connection.tune-ok', { 'channel-max': channelMax, 'frame-max': frameMax })
    await expectSilentEnd(client)
  })

  it('may be answered together with connection.open in one segment', async () => {
    const client = await tuning()
    const tuneOk = encodeMethod('connection.tune-ok', { 'channel-max': 2047, 'frame-max': 131072 })
    const open = encodeMethod('connection.open', { 'virtual-host': '/' })
    const channelOpen = encodeMethod('channel.open')
    await client.bytes(
      Buffer.concat([
        frame(FrameType.method, 0, tuneOk),
        frame(FrameType.method, 0, open),
        frame(FrameType.method, 1, channelOpen),
      ]),
    )
    await client.expect('connection.open-ok')
    await client.channel(1).expect('channel.open-ok')
  })

  it('may be answered, and all of the handshake too, before it is asked', async () => {
    const client = await broker.dial()
    const response = '\0guest\0guest'
    client.protocolHeader().send('connection.start-ok', { mechanism: 'PLAIN', response, locale: 'en_US' })
    client.send('connection.tune-ok', { 'channel-max': 2047, 'frame-max': 131072 })
    client.send('connection.open', { 'virtual-host': '/' })
    client.sendOn(1, 'channel.open')
    await client.expect('connection.start')
    await client.expect('connection.tune')
    await client.expect('connection.open-ok')
    await client.channel(1).expect('channel.open-ok')
  })

  it('may be surrounded by heartbeats of the client', async () => {
    const client = await tuning()
    client.heartbeat().send('connection.tune-ok', { 'channel-max': 2047, 'frame-max': 131072, heartbeat: 60 })
    await client.heartbeat().call('connection.open', { 'virtual-host': '/' })
  })
})

describe('connection.open', () => {
  it('is answered with an empty known-hosts', async () => {
    const client = await opening()
    client.send('connection.open', { 'virtual-host': '/', capabilities: 'any', insist: true })
    await client.expect('connection.open-ok', { 'known-hosts': '' })
  })

  it('of a virtual host that does not exist is refused with 530', async () => {
    const client = await opening()
    client.send('connection.open', { 'virtual-host': '/none' })
    await client.expectConnectionClose(530, 'NOT_ALLOWED - vhost /none not found', 'connection.open')
  })

  it('takes the empty name for one more virtual host that does not exist', async () => {
    const client = await opening()
    client.send('connection.open', { 'virtual-host': '' })
    await client.expectConnectionClose(530, 'NOT_ALLOWED - vhost  not found', 'connection.open')
  })
})

describe('a method out of turn', () => {
  it.each([
    'connection.tune-ok',
    'connection.open',
    'connection.secure-ok',
    'connection.close-ok',
    'connection.update-secret',
  ])('ends silently after 3 s when %s takes the place of start-ok', async (method) => {
    const client = await starting()
    client.send(method)
    await expectSilentEnd(client)
  })

  it.each(['connection.start-ok', 'connection.open', 'connection.secure-ok', 'connection.update-secret'])(
    'ends silently after 3 s when %s takes the place of tune-ok',
    async (method) => {
      const client = await tuning()
      client.send(method)
      await expectSilentEnd(client)
    },
  )

  it.each(['connection.start-ok', 'connection.tune-ok', 'connection.update-secret', 'connection.close-ok'])(
    'is a channel error when %s takes the place of open',
    async (method) => {
      const client = await opening()
      client.send(method)
      const text = 'CHANNEL_ERROR - unexpected method in connection state opening'
      await client.expectConnectionClose(504, text, method)
    },
  )

  it.each([
    'connection.start-ok',
    'connection.secure-ok',
    'connection.tune-ok',
    'connection.open',
    'connection.close-ok',
  ])('is a channel error when %s comes on an open connection', async (method) => {
    const client = await broker.connect()
    client.send(method)
    const text = 'CHANNEL_ERROR - unexpected method in connection state running'
    await client.expectConnectionClose(504, text, method)
  })

  it('is an unexpected frame when a channel is opened before the virtual host', async () => {
    const client = await opening()
    client.sendOn(1, 'channel.open')
    await client.expectConnectionClose(505, /^UNEXPECTED_FRAME - /)
  })

  it('ends silently after 3 s when a channel is opened before login', async () => {
    const client = await starting()
    client.sendOn(1, 'channel.open')
    await expectSilentEnd(client)
  })
})

describe('connection.close', () => {
  itOnlyHere('it ends silently before open', 'is answered at once in the place of start-ok', async () => {
    const client = await starting()
    await client.call('connection.close', { 'reply-code': 200, 'reply-text': 'changed my mind' })
    await client.expectEnd()
  })

  itOnlyHere('it ends silently before open', 'is answered at once in the place of tune-ok', async () => {
    const client = await tuning()
    await client.call('connection.close', { 'reply-code': 200, 'reply-text': 'what values' })
    await client.expectEnd()
  })

  itOnlyHere('it answers with 504', 'is answered at once in the place of open', async () => {
    const client = await opening()
    await client.call('connection.close', { 'reply-code': 200, 'reply-text': 'nowhere to go' })
    await client.expectEnd()
  })

  it('is answered on an open connection, with channels open or not, and ends it', async () => {
    const client = await broker.connect()
    await client.openChannel(1)
    await client.openChannel(2)
    await client.call('connection.close', { 'reply-code': 200, 'reply-text': 'Goodbye' })
    client.end()
    await client.expectEnd()
  })

  itOnlyHere('it would take a while', 'ends the connection also when the client leaves the socket open', async () => {
    const client = await broker.connect()
    await client.call('connection.close', { 'reply-code': 200, 'reply-text': 'Goodbye' })
    await broker.advance(30_000)
    await client.expectEnd()
  })

  it('is answered after everything that was sent before it', async () => {
    const client = await broker.connect()
    const channel = await client.openChannel()
    channel.send('queue.declare', { queue: 'q' }).send('queue.declare', { queue: 'q' })
    client.send('connection.close', { 'reply-code': 200 })
    await channel.expect('queue.declare-ok')
    await channel.expect('queue.declare-ok')
    await client.expect('connection.close-ok')
  })

  it('makes the server deaf to what follows it', async () => {
    const client = await broker.connect()
    client.send('connection.close', { 'reply-code': 200 })
    client.sendOn(1, 'channel.open').send('connection.open').heartbeat()
    await client.expect('connection.close-ok')
    client.end()
    await client.expectEnd()
    expect(client.waiting(1)).toBe(0)
  })

  it('from the server makes it deaf to all but close and close-ok', async () => {
    const client = await broker.connect()
    client.send('connection.open')
    await client.expectConnectionClose(504, /^CHANNEL_ERROR/, 'connection.open', { answer: false })
    client.sendOn(1, 'channel.open').send('connection.open')
    client.send('connection.close', { 'reply-code': 200 })
    await client.expect('connection.close-ok')
    client.send('connection.close-ok')
    await client.expectEnd()
  })

  itOnlyHere('it would take 30 s', 'from the server that stays without an answer ends after 30 s', async () => {
    const client = await broker.connect()
    client.send('connection.open')
    await client.expectConnectionClose(504, /^CHANNEL_ERROR/, 'connection.open', { answer: false })
    await broker.advance(29_999)
    expect(client.ended).toBe(false)
    await broker.advance(1)
    await client.expectEnd()
  })

  itOnlyHere('it would take 10 s', 'from the server waits no longer than one heartbeat for an answer', async () => {
    const client = await broker.connect({ heartbeat: 10 })
    client.send('connection.open')
    await client.expectConnectionClose(504, /^CHANNEL_ERROR/, 'connection.open', { answer: false })
    await broker.advance(10_000)
    await client.expectEnd()
  })
})

describe('connection.update-secret', () => {
  it('is answered on an open connection', async () => {
    const client = await broker.connect()
    client.send('connection.update-secret', { 'new-secret': 'whatever', reason: 'it was time' })
    await client.expect('connection.update-secret-ok')
    const channel = await client.openChannel()
    await channel.expectNothing()
  })
})

describe('the time for the handshake', () => {
  const patience = { timeoutMs: 15_000 }

  it.each<[string, () => Promise<RawClient>]>([
    ['nothing is sent', () => broker.dial()],
    ['connection.start stays without an answer', starting],
    ['connection.tune stays without an answer', tuning],
    ['no virtual host is opened', opening],
  ])('is 10 s, and the connection ends silently when %s', async (_case, reach) => {
    const client = await reach()
    await broker.advance(9_999)
    expect(client.ended).toBe(false)
    await broker.advance(1)
    await client.expectEnd(patience)
  })

  it('is 10 s also for a client that sends half a header', async () => {
    const client = await broker.dial()
    await client.bytes(PROTOCOL_HEADER.subarray(0, 5))
    await broker.advance(10_000)
    await client.expectEnd(patience)
  })

  itOnlyHere('it would take a while', 'does not count once the connection is open', async () => {
    const client = await broker.connect()
    await broker.advance(60_000)
    const channel = await client.openChannel()
    await channel.expectNothing()
  })
})
