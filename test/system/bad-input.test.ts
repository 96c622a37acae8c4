// What nobody should send: it ends no more than it must, says why, and leaves everybody else alone.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import { allMethods, encodeHeader, encodeMethod, FrameType, PROTOCOL_HEADER } from '../support/codec.ts'
import { encodeTable, encodeTableBody, longBytes, shortBytes, uint } from '../support/field-values.ts'
import { frame, type RawChannel, type RawClient } from '../support/raw-client.ts'

const broker = useBroker()
let bystander: RawChannel
let watched = ''

beforeEach(async () => {
  bystander = await broker.channel()
  watched = await bystander.queue('', { exclusive: true })
  await bystander.consume(watched, { 'no-ack': true })
})

/** Whatever happened to others, an honest client notices nothing of it. */
afterEach(async () => {
  bystander.publish({ 'routing-key': watched }, 'undisturbed')
  await bystander.expectDeliver({}, 'undisturbed')
  await broker.expectToServe()
})

/** The connection is closed for a frame. A server that cannot find the next one any more takes 3 s to end it. */
async function expectFrameRefused(client: RawClient, code: number, text: string | RegExp): Promise<void> {
  await client.expectConnectionClose(code, text, '', { answer: false })
  client.send('connection.close-ok')
  await broker.advance(3000)
  await client.expectEnd()
}

const declare = encodeMethod('queue.declare', { queue: 'q' })

describe('a frame', () => {
  it.each([
    ['as little as possible', 4097],
    ['a lot', 1_000_000],
    ['all that can be written', 0xffffffff],
  ])('may not exceed what was agreed on by %s, and need not come to be refused', async (_case, size) => {
    const channel = await broker.channel({ frameMax: 4096 })
    await channel.client.bytes(Buffer.concat([Buffer.of(FrameType.body), uint(1, 2), uint(size, 4)]))
    await expectFrameRefused(
      channel.client,
      501,
      `FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,${size},4088}`,
    )
  })

  // RabbitMQ breaks long lines.
  it.each<[string, number, Buffer, number, RegExp]>([
    [
      'a method',
      FrameType.method,
      encodeMethod('channel.flow'),
      0,
      /type 1, all octets = <<0,20,0,20,0>>: \{(\w+),0\}$/,
    ],
    ['a body', FrameType.body, Buffer.from('hello'), 0xcd, /type 3, all octets = <<"hello">>: \{(\w+),205\}$/],
    ['nothing', FrameType.body, Buffer.alloc(0), 255, /type 3, all octets = <<>>: \{(\w+),255\}$/],
    ['16 octets', FrameType.body, Buffer.alloc(16, 1), 1, /type 3, all octets = <<(?:1,){15}1>>: \{(\w+),\s*1\}$/],
    ['more', FrameType.body, Buffer.alloc(17, 1), 1, /type 3, first 16 octets = <<(?:1,){15}1>>: \{(\w+),\s*1\}$/],
  ])('must end as frames do, after %s', async (_case, type, payload, end, text) => {
    const channel = await broker.channel()
    channel.client.frame(type, 1, payload, end)
    const close = await channel.client.expect('connection.close', { 'reply-code': 501, 'class-id': 0, 'method-id': 0 })
    expect(close['reply-text']).toMatch(/^FRAME_ERROR - /)
    expect(text.exec(String(close['reply-text']))?.[1]).toBe('invalid_frame_end_marker')
    await broker.advance(3000)
    await channel.client.expectEnd()
  })

  it.each([0, 4, 5, 6, 7, 9, 65, 255])('must have a type that there is: %d', async (type) => {
    for (const number of [0, 1]) {
      const channel = await broker.channel()
      channel.client.frame(type, number, Buffer.from('abc'))
      const text = `FRAME_ERROR - type ${type}, all octets = <<"abc">>: unknown_frame`
      await expectFrameRefused(channel.client, 501, text)
    }
  })

  it('of a method must hold at least its name', async () => {
    for (const length of [0, 1, 3]) {
      const channel = await broker.channel()
      channel.client.frame(FrameType.method, 1, Buffer.alloc(length, 1))
      await expectFrameRefused(channel.client, 501, /^FRAME_ERROR - type 1, all octets = <<[1,]*>>: unknown_frame$/)
    }
  })

  it('of a header must hold at least class, weight and size', async () => {
    for (const length of [0, 2, 11]) {
      const channel = await broker.channel()
      channel.send('basic.publish', { 'routing-key': 'q' })
      channel.client.frame(FrameType.header, 1, encodeHeader(0).subarray(0, length))
      await expectFrameRefused(channel.client, 501, /^FRAME_ERROR - type 2, all octets = <<[0-9,]*>>: unknown_frame$/)
    }
  })

  it('of a heartbeat may hold nothing', async () => {
    const client = await broker.connect()
    client.frame(FrameType.heartbeat, 0, Buffer.from('tick'))
    await expectFrameRefused(client, 501, 'FRAME_ERROR - type 8, all octets = <<"tick">>: unknown_frame')
  })

  it('of a heartbeat belongs to no channel', async () => {
    const channel = await broker.channel()
    channel.client.heartbeat(1)
    await expectFrameRefused(channel.client, 505, /^UNEXPECTED_FRAME - type 8, all octets = <<>>/)
  })

  it.each([
    ['header', FrameType.header, Buffer.alloc(14)],
    ['body', FrameType.body, Buffer.from('abc')],
  ])('of a %s belongs to a channel', async (_kind, type, payload) => {
    const client = await broker.connect()
    client.frame(type, 0, payload)
    await expectFrameRefused(client, 505, new RegExp(`^UNEXPECTED_FRAME - type ${type}, all octets = <<.*>>`))
  })
})

describe('a frame on a channel that was never opened', () => {
  it.each([
    ['header', FrameType.header, encodeHeader(0)],
    ['body', FrameType.body, Buffer.from('abc')],
  ])('is unexpected: %s', async (_kind, type, payload) => {
    const client = await broker.connect()
    client.frame(type, 5, payload)
    await expectFrameRefused(client, 505, 'UNEXPECTED_FRAME - expected method frame, got non method frame instead')
  })
})

describe('content out of order', () => {
  const HEADER = 'UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead'
  const BODY = 'UNEXPECTED_FRAME - expected content body, got non content body frame instead'
  const METHOD = 'UNEXPECTED_FRAME - expected method frame, got non method frame instead'

  it.each<[string, (channel: RawChannel) => void, string, string]>([
    [
      'a method in the place of the header',
      (c) => c.send('basic.publish').send('queue.declare'),
      HEADER,
      'basic.publish',
    ],
    [
      'another publish in the place of the header',
      (c) => c.send('basic.publish').send('basic.publish'),
      HEADER,
      'basic.publish',
    ],
    ['a body in the place of the header', (c) => c.send('basic.publish').body('early'), HEADER, 'basic.publish'],
    [
      'a method in the place of the body',
      (c) => c.send('basic.publish').header(4).send('basic.qos'),
      BODY,
      'basic.publish',
    ],
    [
      'a method between bodies',
      (c) => c.send('basic.publish').header(4).body('ha').send('basic.qos'),
      BODY,
      'basic.publish',
    ],
    ['a second header', (c) => c.send('basic.publish').header(4).header(4), BODY, 'basic.publish'],
    ['a header without a publish', (c) => c.header(0), METHOD, ''],
    ['a body without a publish', (c) => c.body('stray'), METHOD, ''],
  ])('ends the connection: %s', async (_case, act, text, failing) => {
    const channel = await broker.channel()
    act(channel)
    await channel.client.expectConnectionClose(505, text, failing)
  })

  it.each([10, 20, 50, 0, 61])('ends the connection: a header of class %d', async (classId) => {
    const channel = await broker.channel()
    channel.send('basic.publish').header(0, {}, classId)
    const text = `UNEXPECTED_FRAME - expected content header for class 60, got one for class ${classId} instead`
    await channel.client.expectConnectionClose(505, text, 'basic.publish')
  })
})

describe('the arguments of a method', () => {
  async function expectCutRefused(name: string): Promise<void> {
    const whole = encodeMethod(name)
    for (const length of new Set([4, whole.length - 1])) {
      const channel = await broker.channel()
      channel.client.frame(FrameType.method, name.startsWith('connection.') ? 0 : 1, whole.subarray(0, length))
      await channel.client.expectConnectionClose(501, /^FRAME_ERROR - cannot decode <<[0-9,]*>>$/, name)
    }
  }

  it.each(cuttable('channel|access|exchange|queue|basic|confirm'))('may not be cut short: %s', expectCutRefused)

  for (const name of cuttable('connection')) {
    itOnlyHere('it is an internal error there', `may not be cut short: ${name}`, () => expectCutRefused(name))
  }

  it('may have nothing behind them', async () => {
    const channel = await broker.channel()
    channel.client.frame(
      FrameType.method,
      1,
      Buffer.concat([encodeMethod('channel.flow', { active: true }), uint(0, 1)]),
    )
    await channel.client.expectConnectionClose(501, 'FRAME_ERROR - cannot decode <<1,0>>', 'channel.flow')
  })

  it.each<[string, Buffer]>([
    ['a short string', Buffer.concat([declare.subarray(0, 6), Buffer.of(200), Buffer.from('short')])],
    ['a table', Buffer.concat([declare.subarray(0, declare.length - 4), uint(1000, 4), Buffer.from('x')])],
    ['a table of 4 GiB', Buffer.concat([declare.subarray(0, declare.length - 4), uint(0xffffffff, 4)])],
  ])('may not promise more than there is: %s', async (_case, payload) => {
    const channel = await broker.channel()
    channel.client.frame(FrameType.method, 1, payload)
    await channel.client.expectConnectionClose(501, /^FRAME_ERROR - cannot decode <</, 'queue.declare')
  })

  it.each(['queue.declare', 'queue.delete', 'basic.consume', 'basic.cancel', 'exchange.declare', 'queue.bind'])(
    'are UTF-8 where they are short strings: %s',
    async (method) => {
      const channel = await broker.channel()
      const name = Buffer.of(0x61, 0xff, 0xfe, 0x62)
      const field = method === 'exchange.declare' ? 'exchange' : method === 'basic.cancel' ? 'consumer-tag' : 'queue'
      channel.send(method, { [field]: name })
      await channel.client.expectConnectionClose(501, 'FRAME_ERROR - Malformed UTF-8 in shortstr')
    },
  )

  it('may be any bytes where a message is to go', async () => {
    const channel = await broker.channel()
    const key = Buffer.of(0xff, 0x00, 0xfe)
    channel.publish({ exchange: 'amq.direct', 'routing-key': key as never, mandatory: true }, 'anywhere')
    await channel.expectReturn({ 'reply-code': 312 }, 'anywhere')
  })
})

describe('a method that does not exist', () => {
  for (const [classId, methodId] of [
    [60, 99],
    [60, 0],
    [50, 41],
    [11, 10],
    [0, 0],
    [65535, 65535],
  ] as const) {
    itOnlyHere('it drops the connection', `is refused: ${classId},${methodId}`, async () => {
      const channel = await broker.channel()
      channel.client.frame(FrameType.method, 1, Buffer.concat([uint(classId, 2), uint(methodId, 2), Buffer.from('xx')]))
      const close = await channel.client.expect('connection.close')
      expect([503, 540]).toContain(close['reply-code'])
      channel.client.send('connection.close-ok')
      await channel.client.expectEnd()
    })
  }

  itOnlyHere('it drops the connection', 'is refused on channel 0 too', async () => {
    const client = await broker.connect()
    client.frame(FrameType.method, 0, Buffer.concat([uint(10, 2), uint(99, 2)]))
    const close = await client.expect('connection.close')
    expect([503, 540]).toContain(close['reply-code'])
    client.send('connection.close-ok')
    await client.expectEnd()
  })
})

/** Bodies of tables that are no tables. */
const brokenTables: [string, Buffer][] = [
  ['an unknown tag', Buffer.concat([shortBytes('k'), Buffer.from('?')])],
  ['a zero tag', Buffer.concat([shortBytes('k'), Buffer.of(0)])],
  ['a key and nothing else', shortBytes('key')],
  ['a key that is too long', Buffer.concat([Buffer.of(200), Buffer.from('key')])],
  ['a string that is too long', Buffer.concat([shortBytes('k'), Buffer.from('S'), uint(100, 4), Buffer.from('short')])],
  ['a string of 4 GiB', Buffer.concat([shortBytes('k'), Buffer.from('S'), uint(0xffffffff, 4)])],
  ['half an integer', Buffer.concat([shortBytes('k'), Buffer.from('I'), Buffer.of(1, 2)])],
  ['half a long', Buffer.concat([shortBytes('k'), Buffer.from('l'), Buffer.of(1, 2, 3, 4)])],
  ['half a decimal', Buffer.concat([shortBytes('k'), Buffer.from('D'), Buffer.of(1, 2)])],
  ['a boolean without value', Buffer.concat([shortBytes('k'), Buffer.from('t')])],
  ['an array that is too long', Buffer.concat([shortBytes('k'), Buffer.from('A'), uint(50, 4), Buffer.from('V')])],
  [
    'an array that ends in a value',
    Buffer.concat([shortBytes('k'), Buffer.from('A'), uint(3, 4), Buffer.from('I\0\0')]),
  ],
  ['a table that is too long', Buffer.concat([shortBytes('k'), Buffer.from('F'), uint(50, 4), shortBytes('n')])],
  [
    'a table with an unknown tag in an array',
    Buffer.concat([shortBytes('k'), Buffer.from('A'), uint(1, 4), Buffer.from('!')]),
  ],
  ['tables within tables without end', nestedTables(20_000)],
  ['arrays within arrays without end', nestedArrays(20_000)],
]

describe('a broken table', () => {
  for (const [what, body] of brokenTables) {
    itOnlyHere('it drops the connection', `among the arguments of a method ends the connection: ${what}`, async () => {
      const channel = await broker.channel()
      const payload = Buffer.concat([declare.subarray(0, declare.length - 4), longBytes(body)])
      await channel.client.frame(FrameType.method, 1, payload).expectConnectionClose(502, /^SYNTAX_ERROR - /)
    })

    itOnlyHere(
      'it is an internal error there',
      `among the headers of a message ends the connection: ${what}`,
      async () => {
        const channel = await broker.channel()
        await channel.queue('q')
        channel.send('basic.publish', { 'routing-key': 'q' })
        channel.client.frame(FrameType.header, 1, Buffer.concat([header(4, 0x2000), longBytes(body)]))
        await channel.client.expectConnectionClose(502, /^SYNTAX_ERROR - /, '', { answer: false })
      },
    )

    itOnlyHere('it takes a while', `among the client-properties ends the connection silently: ${what}`, async () => {
      const client = await broker.dial()
      await client.protocolHeader().expect('connection.start')
      const plain = Buffer.from('\0guest\0guest')
      const rest = Buffer.concat([shortBytes('PLAIN'), longBytes(plain), shortBytes('en_US')])
      client.frame(FrameType.method, 0, Buffer.concat([uint(10, 2), uint(11, 2), longBytes(body), rest]))
      await broker.advance(3000)
      await client.expectEnd()
    })
  }
})

describe('broken properties', () => {
  for (const [what, bytes] of [
    ['a string that is announced and missing', header(0, 0x8000)],
    ['a string that is too long', Buffer.concat([header(0, 0x8000), Buffer.of(10), Buffer.from('short')])],
    ['a table that is announced and missing', header(0, 0x2000)],
    ['a table that is too long', Buffer.concat([header(0, 0x2000), uint(100, 4), Buffer.from('x')])],
    ['half a timestamp', Buffer.concat([header(0, 0x0040), Buffer.of(1, 2, 3)])],
    ['a delivery mode that is announced and missing', header(0, 0x1000)],
    ['something behind them', Buffer.concat([header(0, 0x1000), Buffer.of(1, 2, 3)])],
  ] as const) {
    itOnlyHere('it is an internal error there', `end the connection: ${what}`, async () => {
      const channel = await broker.channel()
      channel.send('basic.publish')
      channel.client.frame(FrameType.header, 1, bytes)
      await channel.client.expectConnectionClose(502, /^SYNTAX_ERROR - /, '', { answer: false })
    })
  }

  itOnlyHere('it is an internal error there', 'end the connection: flags that are missing', async () => {
    const channel = await broker.channel()
    channel.send('basic.publish')
    channel.client.frame(FrameType.header, 1, encodeHeader(0).subarray(0, 12))
    await channel.client.expectConnectionClose(502, /^SYNTAX_ERROR - /, '', { answer: false })
  })
})

describe('before login', () => {
  const frames: [string, Buffer][] = [
    ['a frame of an unknown type', frame(9, 0, Buffer.alloc(0))],
    ['a frame without its end', frame(FrameType.method, 0, encodeMethod('connection.start-ok'), 0)],
    ['a frame that is too large', Buffer.concat([Buffer.of(1, 0, 0), uint(1_000_000, 4)])],
    ['a frame that is as large as can be', Buffer.concat([Buffer.of(1, 0, 0), uint(0xffffffff, 4)])],
    ['a method that does not exist', frame(FrameType.method, 0, Buffer.concat([uint(99, 2), uint(99, 2)]))],
    ['half a name of a method', frame(FrameType.method, 0, Buffer.of(0, 10))],
    ['half of start-ok', frame(FrameType.method, 0, encodeMethod('connection.start-ok').subarray(0, 9))],
    ['a header', frame(FrameType.header, 0, encodeHeader(0))],
    ['a body', frame(FrameType.body, 1, Buffer.from('body'))],
    ['a heartbeat on a channel', frame(FrameType.heartbeat, 1, Buffer.alloc(0))],
    ['a publish', frame(FrameType.method, 1, encodeMethod('basic.publish', { 'routing-key': 'any' }))],
    ['text', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ]

  for (const [what, bytes] of frames) {
    itOnlyHere('it may drop the connection at once', `the connection ends silently after ${what}`, async () => {
      const client = await broker.dial()
      await client.protocolHeader().expect('connection.start')
      await client.bytes(bytes)
      await broker.advance(3000)
      await client.expectEnd()
    })
  }

  itOnlyHere('it may drop the connection at once', 'an AMQPLAIN response may be any table', async () => {
    for (const [, body] of brokenTables) {
      const client = await broker.dial()
      await client.protocolHeader().expect('connection.start')
      client.send('connection.start-ok', { mechanism: 'AMQPLAIN', response: body })
      await broker.advance(3000)
      await client.expectEnd()
    }
  })
})

describe('a connection that breaks off', () => {
  const session = Buffer.concat([
    PROTOCOL_HEADER,
    frame(FrameType.method, 0, startOk()),
    frame(FrameType.method, 0, encodeMethod('connection.tune-ok', { 'channel-max': 2047, 'frame-max': 131072 })),
    frame(FrameType.method, 0, encodeMethod('connection.open', { 'virtual-host': '/' })),
    frame(FrameType.method, 1, encodeMethod('channel.open')),
    frame(FrameType.method, 1, encodeMethod('queue.declare', { queue: 'broken', exclusive: true })),
    frame(FrameType.method, 1, encodeMethod('basic.publish', { 'routing-key': 'broken' })),
    frame(FrameType.header, 1, encodeHeader(5, { headers: { a: 1 } })),
    frame(FrameType.body, 1, Buffer.from('hello')),
    frame(FrameType.method, 1, encodeMethod('basic.consume', { queue: 'broken' })),
  ])

  itOnlyHere('it would count each attempt', 'after any byte disturbs nobody', async () => {
    for (let length = 0; length <= session.length; length += 3) {
      const client = await broker.dial()
      await client.bytes(session.subarray(0, length))
      if (length % 2) client.drop(true)
      else client.end()
    }
    await broker.settle()
  })
})

/** The methods of these classes that clients may send and that have arguments. */
function cuttable(classes: string): string[] {
  const names = allMethods().filter(({ fields, direction }) => fields.length > 0 && /client|both/.test(direction))
  return names.map(({ name }) => name).filter((name) => new RegExp(`^(${classes})\\.`).test(name))
}

function header(bodySize: number, flags: number): Buffer {
  return Buffer.concat([uint(60, 2), uint(0, 2), uint(bodySize, 8), uint(flags, 2)])
}

function startOk(): Buffer {
  return encodeMethod('connection.start-ok', {
    'client-properties': { product: 'breaks off' },
    mechanism: 'AMQPLAIN',
    response: encodeTableBody({ LOGIN: 'guest', PASSWORD: 'guest' }),
    locale: 'en_US',
  })
}

function nestedTables(depth: number): Buffer {
  const [key, empty] = [Buffer.concat([shortBytes(''), Buffer.from('F')]), encodeTable({})]
  const parts: Buffer[] = []
  // Each level holds the next: two bytes of key and tag, four of length.
  for (let level = depth; level > 0; level--) parts.push(key, uint(level === 1 ? 0 : (level - 1) * 6, 4))
  return Buffer.concat(depth > 0 ? parts : [empty])
}

function nestedArrays(depth: number): Buffer {
  const parts = [shortBytes('')]
  for (let level = depth; level > 0; level--) parts.push(Buffer.from('A'), uint((level - 1) * 5, 4))
  return Buffer.concat(parts)
}
