// basic.publish: what comes back, what is checked, and what of a message arrives at the other end.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import type { Properties } from '../support/codec.ts'
import { tagged, type Table } from '../support/field-values.ts'

const broker = useBroker()

describe('a mandatory message', () => {
  it.each([
    ['the default exchange', '', 'absent'],
    ['an exchange without such a binding', 'amq.direct', 'nowhere'],
    ['an exchange without bindings', 'amq.headers', ''],
  ])('that %s routes nowhere comes back whole', async (_case, exchange, key) => {
    const channel = await broker.channel()
    const properties: Properties = {
      headers: { id: 7 },
      'delivery-mode': 2,
      'message-id': 'm-1',
      timestamp: 1234567890,
    }
    channel.publish({ exchange, 'routing-key': key, mandatory: true }, 'come back', properties)
    const fields = { 'reply-code': 312, 'reply-text': 'NO_ROUTE', exchange, 'routing-key': key }
    await channel.expectReturn(fields, 'come back', properties)
    await channel.expectNothing()
  })

  it('comes back without a body when it has none', async () => {
    const channel = await broker.channel()
    channel.publish({ 'routing-key': 'absent', mandatory: true }, '')
    const { pieces } = await channel.expectReturn({ 'reply-code': 312 }, '', {})
    expect(pieces).toEqual([])
    await channel.expectNothing()
  })

  it('that reaches a queue does not come back', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q', mandatory: true }, 'arrives')
    await channel.expectNothing()
    await channel.get('q')
  })

  it('comes back on its channel, in its order', async () => {
    const client = await broker.connect()
    const [one, two] = [await client.openChannel(1), await client.openChannel(2)]
    for (let i = 0; i < 50; i++) {
      one.publish({ 'routing-key': 'absent', mandatory: true }, `one ${i}`)
      two.publish({ 'routing-key': 'absent', mandatory: true }, `two ${i}`)
    }
    for (let i = 0; i < 50; i++) {
      await one.expectReturn({}, `one ${i}`)
      await two.expectReturn({}, `two ${i}`)
    }
  })
})

describe('a message that is not mandatory', () => {
  it('is dropped without a word when it is routed nowhere', async () => {
    const channel = await broker.channel()
    channel.publish({ 'routing-key': 'absent' }, 'gone')
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'absent' }, 'gone')
    await channel.expectNothing()
  })
})

describe('an immediate message', () => {
  it('is not implemented', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q', immediate: true }, 'now')
    await channel.client.expectConnectionClose(540, 'NOT_IMPLEMENTED - immediate=true', 'basic.publish')
  })

  it('is not implemented, wherever it should go', async () => {
    const channel = await broker.channel()
    channel.publish({ exchange: 'absent', immediate: true, mandatory: true }, 'now')
    await channel.client.expectConnectionClose(540, 'NOT_IMPLEMENTED - immediate=true', 'basic.publish')
  })
})

describe('the property user-id', () => {
  it('may name the user who is logged in', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, 'signed', { 'user-id': 'guest' })
    channel.send('basic.get', { queue: 'q' })
    await channel.expectGetOk({}, 'signed', { 'user-id': 'guest' })
  })

  it('may be on a message whose body comes in pieces', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.send('basic.publish', { 'routing-key': 'q' }).header(6, { 'user-id': 'guest' }).body('sig').body('ned')
    channel.send('basic.get', { queue: 'q' })
    await channel.expectGetOk({}, 'signed', { 'user-id': 'guest' })
  })

  it('may not name anybody else', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, 'forged', { 'user-id': 'somebody' })
    await channel.expectChannelClose(
      406,
      "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
      'basic.publish',
    )
  })
})

describe('the property expiration', () => {
  it.each([
    ['abc', 'no_integer'],
    ['', 'no_integer'],
    ['10abc', '{leftover_string,"abc"}'],
    ['1.5', '{leftover_string,".5"}'],
    ['-1', '{value_negative,-1}'],
  ])('must be a number of milliseconds: "%s"', async (expiration, reason) => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, 'stale', { expiration })
    await channel.expectChannelClose(
      406,
      `PRECONDITION_FAILED - invalid expiration '${expiration}': ${reason}`,
      'basic.publish',
    )
    await channel.call('channel.open')
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 0 })
  })

  itOnlyHere('3.x allows no more than 2^32 ms', 'must not exceed ten years', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, 'for long', { expiration: '315360000000' })
    await channel.expectNothing()
    channel.publish({ 'routing-key': 'q' }, 'for longer', { expiration: '315360000001' })
    await channel.expectChannelClose(
      406,
      "PRECONDITION_FAILED - invalid expiration '315360000001': {value_too_large,315360000001}",
      'basic.publish',
    )
  })
})

describe('the first of several mistakes counts:', () => {
  it('the missing exchange before the expiration', async () => {
    const channel = await broker.channel()
    channel.publish({ exchange: 'absent' }, 'm', { expiration: 'abc', 'user-id': 'somebody' })
    await channel.expectChannelClose(404, "NOT_FOUND - no exchange 'absent' in vhost '/'", 'basic.publish')
  })

  itOnlyHere('3.x looks at the user first', 'the expiration before the user-id', async () => {
    const channel = await broker.channel()
    channel.publish({}, 'm', { expiration: 'abc', 'user-id': 'somebody' })
    const text = "PRECONDITION_FAILED - invalid expiration 'abc': no_integer"
    await channel.expectChannelClose(406, text, 'basic.publish')
  })
})

describe('the properties of a message', () => {
  const all: Properties = {
    'content-type': 'application/json',
    'content-encoding': 'gzip',
    headers: { a: 1 },
    'delivery-mode': 2,
    priority: 9,
    'correlation-id': 'c-1',
    'reply-to': 'somewhere',
    expiration: '60000',
    'message-id': 'm-1',
    timestamp: 1_700_000_000,
    type: 'greeting',
    'user-id': 'guest',
    'app-id': 'transcript',
    'cluster-id': 'none',
  }

  async function expectRoundTrip(properties: Properties): Promise<void> {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, 'got', properties)
    channel.send('basic.get', { queue: 'q', 'no-ack': true })
    await channel.expectGetOk({}, 'got', properties)
    await channel.consume('q', { 'no-ack': true })
    channel.publish({ 'routing-key': 'q' }, 'delivered', properties)
    await channel.expectDeliver({}, 'delivered', properties)
    channel.publish({ 'routing-key': 'absent', mandatory: true }, 'returned', properties)
    await channel.expectReturn({}, 'returned', properties)
  }

  it('arrive as they were sent, all of them', () => expectRoundTrip(all))

  it('arrive as they were sent, none of them', () => expectRoundTrip({}))

  it.each(Object.entries(all))('arrive as they were sent, %s alone', (name, value) =>
    expectRoundTrip({ [name]: value }),
  )

  it.each<[string, Properties]>([
    ['empty strings', { 'content-type': '', 'correlation-id': '', type: '', 'app-id': '' }],
    ['zeros', { priority: 0, timestamp: 0 }],
    ['the largest numbers', { priority: 255, timestamp: 18446744073709551615n }],
    ['strings of 255 bytes', { 'correlation-id': 'é'.repeat(127), 'message-id': 'x'.repeat(255) }],
  ])('arrive as they were sent, with %s', (_case, properties) => expectRoundTrip(properties))

  for (const mode of [0, 3, 255]) {
    itOnlyHere('3.x refuses it', `arrive as they were sent, with delivery mode ${mode}`, async () => {
      await expectRoundTrip({ 'delivery-mode': mode })
    })
  }

  it.each<[string, Table]>([
    ['booleans', { yes: true, no: false }],
    ['bytes', { low: tagged('b', -128), high: tagged('b', 127) }],
    ['unsigned bytes', { high: tagged('B', 255) }],
    ['shorts', { low: tagged('s', -32768), high: tagged('s', 32767) }],
    ['unsigned shorts', { high: tagged('u', 65535) }],
    ['ints', { low: -2147483648, high: 2147483647 }],
    ['unsigned ints', { high: tagged('i', 4294967295) }],
    ['longs', { low: -9223372036854775808n, high: 9223372036854775807n, exact: 9007199254740993n }],
    ['floats', { value: tagged('f', 0.5), large: tagged('f', 2 ** 100) }],
    ['doubles', { value: 0.1, negative: -0, whole: tagged('d', 3), large: 1e300 }],
    ['decimals', { value: tagged('D', [2, 314]), large: tagged('D', [255, 4294967295]) }],
    ['strings', { text: 'grüße', empty: '' }],
    ['strings that are not UTF-8', { bytes: tagged('S', Buffer.of(0xff, 0xfe, 0, 0x80)) }],
    ['a string of 3000 bytes', { long: 'long'.repeat(750) }],
    ['byte arrays', { bytes: Buffer.of(0, 1, 255) }],
    ['timestamps', { then: tagged('T', 1_700_000_000n), never: tagged('T', 18446744073709551615n) }],
    ['nothing', { nothing: null }],
    ['arrays', { empty: [], mixed: [1, 'two', [3n, [null]], { four: true }] }],
    ['tables', { empty: {}, nested: { a: { b: { c: 'd' } }, list: [{ e: 1 }, {}] } }],
    ['many of them', Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`key-${1000 + i}`, i]))],
    ['a name of 255 bytes', { ['k'.repeat(255)]: 1 }],
  ])('arrive as they were sent, with headers that are %s', (_case, headers) => expectRoundTrip({ headers }))

  it('arrive with headers nested as deep as a person would nest them', async () => {
    let deep: Table = { bottom: true }
    for (let level = 0; level < 14; level++) deep = { down: [deep] }
    await expectRoundTrip({ headers: deep })
  })

  it('arrive with a long that was sent unsigned, which RabbitMQ takes for signed', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ 'routing-key': 'q' }, 'm', { headers: { n: tagged('L', -1n) } })
    const { properties } = await channel.get('q')
    const n = (properties.headers as Table).n
    expect([-1n, tagged('L', -1n)]).toContainEqual(n)
  })
})
