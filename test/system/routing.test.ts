// Where messages go: bindings, and the four types of exchange, from end to end.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import { tagged, type Table, type Value } from '../support/field-values.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()
const DEFAULT_EXCHANGE = 'ACCESS_REFUSED - operation not permitted on the default exchange'

/** A channel in confirm mode with queues a, b and c. */
async function withQueues(): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.call('confirm.select')
  for (const queue of ['a', 'b', 'c']) await channel.queue(queue)
  return channel
}

/** Publishes, and tells in which of the queues a, b and c the message is, once for each copy: `ab`, `` or `aa`. */
async function routed(channel: RawChannel, exchange: string, key = '', headers?: Table): Promise<string> {
  channel.publish({ exchange, 'routing-key': key }, 'm', headers ? { headers } : {})
  await channel.expect('basic.ack')
  let reached = ''
  for (const queue of ['a', 'b', 'c']) {
    const { 'message-count': count } = await channel.call('queue.purge', { queue })
    reached += queue.repeat(Number(count))
  }
  return reached
}

describe('the default exchange', () => {
  it('routes to the queue of that name', async () => {
    const channel = await withQueues()
    expect(await routed(channel, '', 'a')).toBe('a')
    expect(await routed(channel, '', 'A')).toBe('')
    expect(await routed(channel, '', '')).toBe('')
  })

  it.each(['queue.bind', 'queue.unbind'])('takes part in no %s', async (method) => {
    const channel = await withQueues()
    channel.send(method, { queue: 'a', exchange: '', 'routing-key': 'k' })
    await channel.expectChannelClose(403, DEFAULT_EXCHANGE, method)
  })

  it.each(['exchange.bind', 'exchange.unbind'])('takes part in no %s', async (method) => {
    for (const ends of [
      { source: '', destination: 'amq.direct' },
      { source: 'amq.direct', destination: '' },
    ]) {
      const channel = await broker.channel()
      channel.send(method, ends)
      await channel.expectChannelClose(403, DEFAULT_EXCHANGE, method)
    }
  })
})

describe('a direct exchange', () => {
  it('compares keys byte for byte', async () => {
    const channel = await withQueues()
    await channel.exchange('x')
    await channel.bind('a', 'x', 'key')
    await channel.bind('b', 'x', 'Key')
    await channel.bind('c', 'x', 'k*')
    expect(await routed(channel, 'x', 'key')).toBe('a')
    expect(await routed(channel, 'x', 'Key')).toBe('b')
    expect(await routed(channel, 'x', 'k*')).toBe('c')
    expect(await routed(channel, 'x', 'key ')).toBe('')
  })

  it('takes the empty key for a key like any other', async () => {
    const channel = await withQueues()
    await channel.exchange('x')
    await channel.bind('a', 'x', '')
    await channel.bind('b', 'x', 'k')
    expect(await routed(channel, 'x', '')).toBe('a')
    expect(await routed(channel, 'x', 'k')).toBe('b')
  })

  it('routes to all the queues that are bound with the key', async () => {
    const channel = await withQueues()
    await channel.exchange('x')
    for (const queue of ['a', 'b', 'c']) await channel.bind(queue, 'x', 'k')
    expect(await routed(channel, 'x', 'k')).toBe('abc')
  })
})

describe('a fanout exchange', () => {
  it('routes to every queue once, whatever the key', async () => {
    const channel = await withQueues()
    await channel.exchange('x', 'fanout')
    await channel.bind('a', 'x', 'one')
    await channel.bind('a', 'x', 'two')
    await channel.bind('b', 'x', '')
    expect(await routed(channel, 'x', 'one')).toBe('ab')
    expect(await routed(channel, 'x', 'other')).toBe('ab')
  })
})

describe('a topic exchange', () => {
  // Binding key, the keys that it matches, and those that it does not.
  it.each<[string, string[], string[]]>([
    ['a.b', ['a.b'], ['a', 'a.b.c', 'a.', '.a.b', 'A.b', 'a.b.']],
    ['*', ['a', 'ab', '*', '#'], ['', 'a.b', '.']],
    ['a.*', ['a.b', 'a.'], ['a', 'a.b.c', 'b.b']],
    ['*.b', ['a.b', '.b'], ['b', 'a.a.b']],
    ['a.*.b', ['a.x.b', 'a..b'], ['a.b', 'a.x.y.b']],
    ['*.*', ['a.b', '.'], ['a', '', 'a.b.c', '..']],
    ['#', ['', 'a', 'a.b', '.', '...'], []],
    ['a.#', ['a', 'a.', 'a.b', 'a.b.c'], ['', 'b.a', 'ab', 'ab.c']],
    ['#.a', ['a', 'b.a', '.a', 'c.b.a', 'a.a'], ['', 'a.b', 'ba']],
    ['a.#.b', ['a.b', 'a.x.b', 'a..b', 'a.x.y.b', 'a.b.b'], ['a', 'b', 'ab', 'a.b.c']],
    ['#.*', ['a', 'a.b', '.', 'a.b.c'], ['']],
    ['*.#', ['a', 'a.b', '.', 'a.b.c'], ['']],
    ['#.b.#', ['b', 'a.b', 'b.c', 'a.b.c', 'b.b'], ['', 'a', 'a.c']],
    ['#.#', ['', 'a', 'a.b'], []],
    ['#.a.#.b.#', ['a.b', 'x.a.y.b.z', 'a.a.b.b'], ['', 'a', 'b.a']],
    ['', [''], ['a', '.']],
    ['.', ['.'], ['', 'a', '..']],
    ['a*', ['a*'], ['ab', 'a']],
    ['a#.b', ['a#.b'], ['a.b', 'ax.b']],
    ['**', ['**'], ['a', 'a.b']],
    ['ä.*', ['ä.ö', 'ä.日本'], ['a.ö']],
  ])('matches with the binding key "%s"', async (pattern, matching, others) => {
    const channel = await withQueues()
    await channel.exchange('x', 'topic')
    await channel.bind('a', 'x', pattern)
    for (const key of matching) expect(await routed(channel, 'x', key), `key "${key}"`).toBe('a')
    for (const key of others) expect(await routed(channel, 'x', key), `key "${key}"`).toBe('')
  })

  it('routes one copy to a queue that matches several times', async () => {
    const channel = await withQueues()
    await channel.exchange('x', 'topic')
    for (const key of ['a.b', 'a.*', '#', '*.b', 'a.#.b']) await channel.bind('a', 'x', key)
    await channel.bind('b', 'x', '*.*')
    expect(await routed(channel, 'x', 'a.b')).toBe('ab')
  })

  it('forgets a binding key, and keeps those that share words with it', async () => {
    const channel = await withQueues()
    await channel.exchange('x', 'topic')
    await channel.bind('a', 'x', 'a.*.c')
    await channel.bind('b', 'x', 'a.*')
    await channel.bind('c', 'x', 'a.*.c')
    await channel.call('queue.unbind', { queue: 'a', exchange: 'x', 'routing-key': 'a.*.c' })
    expect(await routed(channel, 'x', 'a.b.c')).toBe('c')
    expect(await routed(channel, 'x', 'a.b')).toBe('b')
    await channel.call('queue.delete', { queue: 'c' })
    await channel.queue('c')
    expect(await routed(channel, 'x', 'a.b.c')).toBe('')
  })
})

describe('a headers exchange', () => {
  const sample: Table = { a: 1, b: 'two' }

  it.each<[string, Table, Table, boolean]>([
    ['all of them, by default', sample, { a: 1, b: 'two', c: 3 }, true],
    ['all of them, by default, and one is absent', sample, { a: 1 }, false],
    ['all of them, and one differs', { ...sample, 'x-match': 'all' }, { a: 1, b: 'three' }, false],
    ['any of them', { ...sample, 'x-match': 'any' }, { b: 'two' }, true],
    ['any of them, and none agrees', { ...sample, 'x-match': 'any' }, { a: 2, b: 'three', c: 1 }, false],
    ['all of none', { 'x-match': 'all' }, { z: 1 }, true],
    ['all of none, and the message has none', {}, {}, true],
    ['any of none', { 'x-match': 'any' }, { z: 1 }, false],
    ['all, those with x- not counting', { a: 1, 'x-other': 5 }, { a: 1 }, true],
    ['any, those with x- not counting', { 'x-match': 'any', 'x-other': 5 }, { 'x-other': 5 }, false],
    ['presence', { a: null }, { a: 'whatever' }, true],
    ['presence, and it is absent', { a: null }, { b: 1 }, false],
    ['integers of another width', { a: tagged('s', 7) }, { a: 7n }, true],
    ['integers of one more width', { a: tagged('l', 7n) }, { a: tagged('b', 7) }, true],
    ['a string and a number', { a: '7' }, { a: 7 }, false],
    ['booleans', { a: true }, { a: true }, true],
    ['booleans that differ', { a: true }, { a: false }, false],
    ['arrays', { a: [1, 'x', [null]] }, { a: [1, 'x', [null]] }, true],
    ['arrays in another order', { a: [1, 2] }, { a: [2, 1] }, false],
    ['tables', { a: { b: { c: 'd' } } }, { a: { b: { c: 'd' } } }, true],
    ['tables that differ', { a: { b: 1 } }, { a: { b: 2 } }, false],
    ['names in another case', { a: 1 }, { A: 1 }, false],
    ['64 bits', { a: 9007199254740993n }, { a: 9007199254740993n }, true],
    ['64 bits, and the last differs', { a: 9007199254740993n }, { a: 9007199254740992n }, false],
  ])('compares %s', async (_case, binding, headers, matches) => {
    const channel = await withQueues()
    await channel.exchange('x', 'headers')
    await channel.bind('a', 'x', 'ignored', binding)
    expect(await routed(channel, 'x', 'any key', headers)).toBe(matches ? 'a' : '')
  })

  describe.each<[string, Table, Table, boolean]>([
    ['all-with-x', { 'x-match': 'all-with-x', a: 1, 'x-b': 2 }, { a: 1, 'x-b': 2 }, true],
    ['all-with-x, and it is absent', { 'x-match': 'all-with-x', a: 1, 'x-b': 2 }, { a: 1 }, false],
    ['any-with-x', { 'x-match': 'any-with-x', a: 1, 'x-b': 2 }, { 'x-b': 2 }, true],
    ['any-with-x, and none agrees', { 'x-match': 'any-with-x', a: 1, 'x-b': 2 }, { 'x-b': 3 }, false],
    ['a string and bytes', { a: 'two' }, { a: Buffer.from('two') }, true],
    ['an integer and a float', { a: 7 }, { a: tagged('d', 7) }, false],
  ])('with %s', (_case, binding, headers, matches) => {
    itOnlyHere('3.10 differs', matches ? 'routes the message' : 'does not route the message', async () => {
      const channel = await withQueues()
      await channel.exchange('x', 'headers')
      await channel.bind('a', 'x', '', binding)
      expect(await routed(channel, 'x', '', headers)).toBe(matches ? 'a' : '')
    })
  })

  it('takes a message without headers for one with none', async () => {
    const channel = await withQueues()
    await channel.bind('a', 'amq.match', '', { 'x-match': 'all' })
    await channel.bind('b', 'amq.match', '', { 'x-match': 'any', z: 1 })
    await channel.bind('c', 'amq.headers', '', {})
    expect(await routed(channel, 'amq.match')).toBe('a')
    expect(await routed(channel, 'amq.headers')).toBe('c')
  })

  it('routes one copy to a queue that matches several times', async () => {
    const channel = await withQueues()
    await channel.exchange('x', 'headers')
    await channel.bind('a', 'x', '', { a: 1 })
    await channel.bind('a', 'x', '', { b: 2 })
    await channel.bind('b', 'x', '', { 'x-match': 'any', b: 2, c: 3 })
    expect(await routed(channel, 'x', '', { a: 1, b: 2 })).toBe('ab')
  })

  async function expectRefused(match: Value, text: string): Promise<void> {
    const channel = await withQueues()
    channel.send('queue.bind', { queue: 'a', exchange: 'amq.headers', arguments: { 'x-match': match } })
    await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'queue.bind')
  }

  itOnlyHere('3.10 does not have the longer ones', 'refuses to match in ways that it does not know', async () => {
    await expectRefused('some', 'Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x')
  })

  it('refuses to match by anything but a string', async () => {
    await expectRefused(23, 'Invalid x-match field type signedint (value 23); expected longstr')
  })
})

describe('a binding', () => {
  it('works for what any channel publishes after bind-ok', async () => {
    const channel = await withQueues()
    const other = await broker.channel()
    for (let i = 0; i < 20; i++) {
      await channel.bind('a', 'amq.direct', `key${i}`)
      other.publish({ exchange: 'amq.direct', 'routing-key': `key${i}`, mandatory: true }, 'at once')
      await other.expectNothing()
    }
  })

  it('exists once, however often it is made', async () => {
    const channel = await withQueues()
    await channel.bind('a', 'amq.direct', 'k')
    await channel.bind('a', 'amq.direct', 'k')
    expect(await routed(channel, 'amq.direct', 'k')).toBe('a')
    await channel.call('queue.unbind', { queue: 'a', exchange: 'amq.direct', 'routing-key': 'k' })
    expect(await routed(channel, 'amq.direct', 'k')).toBe('')
  })

  it('is another one with other arguments', async () => {
    const channel = await withQueues()
    const unbind = (table: Table) =>
      channel.call('queue.unbind', { queue: 'a', exchange: 'amq.direct', 'routing-key': 'k', arguments: table })
    await channel.bind('a', 'amq.direct', 'k', { one: 1, two: 2 })
    await channel.bind('a', 'amq.direct', 'k', { two: 2, one: 1 })
    await channel.bind('a', 'amq.direct', 'k')
    expect(await routed(channel, 'amq.direct', 'k')).toBe('a')
    await unbind({})
    expect(await routed(channel, 'amq.direct', 'k')).toBe('a')
    await unbind({ one: 1 })
    expect(await routed(channel, 'amq.direct', 'k')).toBe('a')
    await unbind({ one: 1, two: 2 })
    expect(await routed(channel, 'amq.direct', 'k')).toBe('')
  })

  it('is gone with its queue, and does not come back with another of that name', async () => {
    const channel = await withQueues()
    await channel.bind('a', 'amq.fanout')
    await channel.call('queue.delete', { queue: 'a' })
    await channel.queue('a')
    expect(await routed(channel, 'amq.fanout')).toBe('')
  })

  it('may be made and taken away without an answer', async () => {
    const channel = await withQueues()
    channel.send('queue.bind', { queue: 'a', exchange: 'amq.direct', 'routing-key': 'k', nowait: true })
    await channel.expectNothing()
    expect(await routed(channel, 'amq.direct', 'k')).toBe('a')
  })

  it.each<[string, string, Table, string]>([
    ['a queue', 'queue.bind', { queue: 'absent', exchange: 'amq.direct' }, "no queue 'absent' in vhost '/'"],
    ['an exchange', 'queue.bind', { queue: 'a', exchange: 'absent' }, "no exchange 'absent' in vhost '/'"],
    ['both', 'queue.bind', { queue: 'absent', exchange: 'gone' }, "no exchange 'gone' in vhost '/'"],
    ['a source', 'exchange.bind', { source: 'absent', destination: 'amq.direct' }, "no exchange 'absent' in vhost '/'"],
    [
      'a destination',
      'exchange.bind',
      { source: 'amq.direct', destination: 'gone' },
      "no exchange 'gone' in vhost '/'",
    ],
    ['both ends', 'exchange.bind', { source: 'absent', destination: 'gone' }, "no exchange 'absent' in vhost '/'"],
  ])('needs both its ends: %s that is absent', async (_case, method, fields, text) => {
    const channel = await withQueues()
    channel.send(method, fields)
    await channel.expectChannelClose(404, `NOT_FOUND - ${text}`, method)
  })

  it.each<[string, Table]>([
    ['queue.unbind', { queue: 'a', exchange: 'amq.direct', 'routing-key': 'never' }],
    ['queue.unbind', { queue: 'absent', exchange: 'amq.direct', 'routing-key': 'k' }],
    ['queue.unbind', { queue: 'a', exchange: 'absent', 'routing-key': 'k' }],
    ['queue.unbind', { queue: 'absent', exchange: 'gone', 'routing-key': 'k' }],
    ['exchange.unbind', { source: 'amq.direct', destination: 'amq.fanout', 'routing-key': 'never' }],
    ['exchange.unbind', { source: 'absent', destination: 'amq.fanout' }],
    ['exchange.unbind', { source: 'amq.direct', destination: 'gone' }],
  ])('that is not there may be taken away: %s %j', async (method, fields) => {
    const channel = await withQueues()
    await channel.call(method, fields)
  })
})

describe('exchanges bound to exchanges', () => {
  async function chain(...names: string[]): Promise<RawChannel> {
    const channel = await withQueues()
    for (const name of names) await channel.exchange(name, 'topic')
    return channel
  }

  it('route by their own bindings, with the same key', async () => {
    const channel = await chain('x', 'y')
    await channel.call('exchange.bind', { source: 'x', destination: 'y', 'routing-key': 'a.#' })
    await channel.bind('a', 'y', '*.b')
    await channel.bind('b', 'y', 'b.b')
    await channel.bind('c', 'x', 'b.b')
    expect(await routed(channel, 'x', 'a.b')).toBe('a')
    expect(await routed(channel, 'x', 'b.b')).toBe('c')
    expect(await routed(channel, 'y', 'b.b')).toBe('ab')
  })

  it('route with the same headers', async () => {
    const channel = await chain('x')
    await channel.exchange('h', 'headers')
    await channel.call('exchange.bind', { source: 'x', destination: 'h', 'routing-key': '#' })
    await channel.bind('a', 'h', '', { colour: 'blue' })
    expect(await routed(channel, 'x', 'k', { colour: 'blue' })).toBe('a')
    expect(await routed(channel, 'x', 'k', { colour: 'red' })).toBe('')
  })

  it('may form a circle, and each queue gets one copy', async () => {
    const channel = await chain('x', 'y', 'z')
    for (const [source, destination] of [
      ['x', 'y'],
      ['y', 'z'],
      ['z', 'x'],
      ['x', 'x'],
    ]) {
      await channel.call('exchange.bind', { source: source!, destination: destination!, 'routing-key': '#' })
    }
    await channel.bind('a', 'x', '#')
    await channel.bind('a', 'z', '#')
    await channel.bind('b', 'y', '#')
    expect(await routed(channel, 'y', 'k')).toBe('ab')
  })

  it('include internal ones', async () => {
    const channel = await chain('x')
    await channel.exchange('inner', 'fanout', { internal: true })
    await channel.call('exchange.bind', { source: 'x', destination: 'inner', 'routing-key': '#' })
    await channel.bind('a', 'inner')
    expect(await routed(channel, 'x', 'k')).toBe('a')
  })

  it('are unbound by key and arguments', async () => {
    const channel = await chain('x', 'y')
    const ends = { source: 'x', destination: 'y' }
    await channel.bind('a', 'y', '#')
    await channel.call('exchange.bind', { ...ends, 'routing-key': 'k', arguments: { n: 1 } })
    await channel.call('exchange.unbind', { ...ends, 'routing-key': 'k' })
    expect(await routed(channel, 'x', 'k')).toBe('a')
    await channel.call('exchange.unbind', { ...ends, 'routing-key': 'k', arguments: { n: 1 } })
    expect(await routed(channel, 'x', 'k')).toBe('')
  })

  it('say nothing about it when they are not to wait', async () => {
    const channel = await chain('x', 'y')
    await channel.bind('a', 'y', '#')
    const ends = { source: 'x', destination: 'y', 'routing-key': 'k', nowait: true }
    channel.send('exchange.bind', ends)
    await channel.expectNothing()
    expect(await routed(channel, 'x', 'k')).toBe('a')
    channel.send('exchange.unbind', ends)
    await channel.expectNothing()
    expect(await routed(channel, 'x', 'k')).toBe('')
  })
})

describe('an alternate exchange', () => {
  const alternate = (name: string): Table => ({ arguments: { 'alternate-exchange': name } })

  it('gets what its exchange routes nowhere, and nothing else', async () => {
    const channel = await withQueues()
    await channel.exchange('other', 'fanout')
    await channel.exchange('x', 'direct', alternate('other'))
    await channel.bind('a', 'x', 'k')
    await channel.bind('b', 'other')
    expect(await routed(channel, 'x', 'k')).toBe('a')
    expect(await routed(channel, 'x', 'l')).toBe('b')
  })

  it('may have an alternate exchange in turn, even in a circle', async () => {
    const channel = await withQueues()
    await channel.exchange('x', 'direct', alternate('y'))
    await channel.exchange('y', 'direct', alternate('z'))
    await channel.exchange('z', 'direct', alternate('x'))
    await channel.bind('c', 'z', 'far')
    expect(await routed(channel, 'x', 'far')).toBe('c')
    channel.publish({ exchange: 'x', 'routing-key': 'farther', mandatory: true }, 'nobody')
    await channel.expectReturn({ exchange: 'x', 'routing-key': 'farther' }, 'nobody')
    await channel.expect('basic.ack')
  })

  it('satisfies mandatory, and leaves exchange and key as they were published', async () => {
    const channel = await withQueues()
    await channel.exchange('other', 'fanout')
    await channel.exchange('x', 'direct', alternate('other'))
    await channel.bind('a', 'other')
    channel.publish({ exchange: 'x', 'routing-key': 'k', mandatory: true }, 'rerouted')
    await channel.expect('basic.ack')
    channel.send('basic.get', { queue: 'a' })
    await channel.expectGetOk({ exchange: 'x', 'routing-key': 'k' }, 'rerouted')
  })

  it('may be missing', async () => {
    const channel = await withQueues()
    await channel.exchange('x', 'direct', alternate('absent'))
    channel.publish({ exchange: 'x', mandatory: true }, 'back')
    await channel.expectReturn({ 'reply-code': 312, 'reply-text': 'NO_ROUTE' }, 'back')
    await channel.expect('basic.ack')
  })

  it('may appear later', async () => {
    const channel = await withQueues()
    await channel.exchange('x', 'direct', alternate('later'))
    expect(await routed(channel, 'x')).toBe('')
    await channel.exchange('later', 'fanout')
    await channel.bind('a', 'later')
    expect(await routed(channel, 'x')).toBe('a')
  })

  it('stands behind an exchange that others route to', async () => {
    const channel = await withQueues()
    await channel.exchange('other', 'fanout')
    await channel.exchange('x', 'fanout')
    await channel.exchange('y', 'direct', alternate('other'))
    await channel.call('exchange.bind', { source: 'x', destination: 'y' })
    await channel.bind('a', 'other')
    await channel.bind('b', 'x')
    expect(await routed(channel, 'x', 'nothing in y')).toBe('ab')
  })
})
