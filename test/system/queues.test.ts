// Queues: declaring, binding by default names, purging, deleting, and whose they are.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import type { FieldsInput } from '../support/codec.ts'
import { tagged, type Table, type Value } from '../support/field-values.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()
const LOCKED =
  "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared " +
  'on another connection or the exclusive property value does not match that of the original declaration.'
const NONE_DECLARED = 'NOT_FOUND - no previously declared queue'

function absent(queue: string): string {
  return `NOT_FOUND - no queue '${queue}' in vhost '/'`
}

/** Checks, on a connection of its own, whether a queue is there. */
async function expectQueue(queue: string, there: boolean): Promise<void> {
  const channel = await broker.channel()
  channel.send('queue.declare', { queue, passive: true })
  if (there) await channel.expect('queue.declare-ok', { queue })
  else await channel.expectChannelClose(404, absent(queue), 'queue.declare')
}

/** Publishes and waits until the messages are in the queue. */
async function fill(channel: RawChannel, queue: string, ...bodies: string[]): Promise<void> {
  await channel.call('confirm.select')
  for (const body of bodies) {
    channel.publish({ 'routing-key': queue }, body)
    await channel.expect('basic.ack')
  }
}

describe('queue.declare', () => {
  it('tells name, ready messages and consumers', async () => {
    const channel = await broker.channel()
    await channel.call('queue.declare', { queue: 'q' }, { queue: 'q', 'message-count': 0, 'consumer-count': 0 })
    await fill(channel, 'q', 'one', 'two', 'three')
    await channel.get('q')
    const again = { queue: 'q', 'message-count': 2, 'consumer-count': 0 }
    await channel.call('queue.declare', { queue: 'q' }, again)
    await channel.call('queue.declare', { queue: 'q', passive: true }, again)
  })

  it('counts consumers of all connections', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await channel.consume('q')
    await (await broker.channel()).consume('q')
    await channel.call('queue.declare', { queue: 'q' }, { 'consumer-count': 2 })
  })

  it.each<[string, FieldsInput]>([
    ['nothing', {}],
    ['durable', { durable: true }],
    ['exclusive', { exclusive: true }],
    ['auto-delete', { 'auto-delete': true }],
    ['arguments', { arguments: { 'x-message-ttl': 60000, 'x-max-length': 10, mine: ['a', { b: null }] } }],
  ])('is idempotent with %s', async (_case, fields) => {
    const channel = await broker.channel()
    await channel.queue('q', fields)
    await channel.queue('q', fields)
  })

  it('says nothing when it is not to wait', async () => {
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: 'q', nowait: true })
    await channel.expectNothing()
    await channel.call('queue.purge', { queue: '' })
    await expectQueue('q', true)
  })

  it('takes line ends out of the name', async () => {
    const channel = await broker.channel()
    await channel.call('queue.declare', { queue: 'one\r\ntwo' }, { queue: 'onetwo' })
    await channel.call('queue.bind', { queue: 'one\ntwo', exchange: 'amq.\rdirect', 'routing-key': 'k' })
    channel.publish({ exchange: 'amq.direct', 'routing-key': 'k', mandatory: true }, 'm')
    await channel.expectNothing()
    await channel.call('queue.unbind', { queue: 'one\ntwo', exchange: 'amq.\rdirect', 'routing-key': 'k' })
    await channel.call('queue.delete', { queue: '\nonetwo' }, { 'message-count': 1 })
  })

  it('takes names of 255 bytes', async () => {
    const channel = await broker.channel()
    const name = 'é'.repeat(127) + 'x'
    expect(await channel.queue(name)).toBe(name)
    await fill(channel, name, 'm')
    await channel.get(name)
  })

  it('makes up a name when none is given, a new one each time', async () => {
    const channel = await broker.channel()
    const names = [await channel.queue('', { exclusive: true }), await channel.queue('', { exclusive: true })]
    for (const name of names) expect(name).toMatch(/^amq\.gen-[A-Za-z0-9_-]{22}$/)
    expect(names[0]).not.toBe(names[1])
  })

  itOnlyHere('RabbitMQ 4.4', 'begins the names that it makes up as x-name-prefix says', async () => {
    const channel = await broker.channel()
    const named = (prefix: Value): Promise<string> =>
      channel.queue('', { exclusive: true, arguments: { 'x-name-prefix': prefix, 'x-message-ttl': 60_000 } })
    expect(await named('shop')).toMatch(/^shop-[A-Za-z0-9_-]{22}$/)
    expect(await named('é'.repeat(32))).toMatch(/^é{32}-[A-Za-z0-9_-]{22}$/)
    // As in names that clients give.
    expect(await named('a\r\nb')).toMatch(/^ab-[A-Za-z0-9_-]{22}$/)
    for (const nothing of ['', 7, null]) expect(await named(nothing)).toMatch(/^amq\.gen-[A-Za-z0-9_-]{22}$/)
    // It says how a name is made up, and is nothing to a queue that has one.
    expect(await channel.queue('q', { arguments: { 'x-name-prefix': 'shop' } })).toBe('q')
  })

  itOnlyHere('RabbitMQ 4.4', 'refuses an x-name-prefix of more than 64 bytes', async () => {
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: '', exclusive: true, arguments: { 'x-name-prefix': 'é'.repeat(33) } })
    const text = `PRECONDITION_FAILED - Queue name prefix '${'é'.repeat(33)}' exceeds the 64-byte limit`
    await channel.expectChannelClose(406, text, 'queue.declare')
  })

  itOnlyHere('there are streams', 'refuses streams, which there are none of', async () => {
    for (const args of [{ 'x-queue-type': 'stream' }, { 'x-queue-type': 'stream', 'x-max-age': '1h' }]) {
      const channel = await broker.channel()
      channel.send('queue.declare', { queue: 'q', durable: true, arguments: args })
      const text = "NOT_IMPLEMENTED - streams are not supported yet: queue 'q' in vhost '/'"
      await channel.client.expectConnectionClose(540, text, 'queue.declare')
    }
    await expectQueue('q', false)
  })

  it('refuses reserved names, also of queues that it has named itself', async () => {
    const channel = await broker.channel()
    const name = await channel.queue('', { exclusive: true })
    for (const queue of ['amq.mine', name]) {
      const other = await channel.client.openChannel(2)
      other.send('queue.declare', { queue, exclusive: true })
      await other.expectChannelClose(
        403,
        `ACCESS_REFUSED - queue name '${queue}' contains reserved prefix 'amq.*'`,
        'queue.declare',
      )
    }
    await channel.call('queue.declare', { queue: name, passive: true }, { queue: name })
  })

  it('looks at nothing but the name when it is passive', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    const fields = { durable: true, 'auto-delete': true, arguments: { 'x-message-ttl': 5 } }
    await channel.call('queue.declare', { queue: 'q', passive: true, ...fields })
    channel.send('queue.declare', { queue: 'absent', passive: true })
    await channel.expectChannelClose(404, absent('absent'), 'queue.declare')
    await expectQueue('absent', false)
  })
})

describe('queue.declare of what is there already', () => {
  async function expectRefused(first: FieldsInput, second: FieldsInput, code: number, text: string): Promise<void> {
    const channel = await broker.channel()
    await channel.queue('q', first)
    channel.send('queue.declare', { queue: 'q', ...second })
    await channel.expectChannelClose(code, text, 'queue.declare')
  }

  const inequivalent = (argument: string, difference: string) =>
    `PRECONDITION_FAILED - inequivalent arg '${argument}' for queue 'q' in vhost '/': ${difference}`

  it('is refused when it differs in durable', async () => {
    const difference = inequivalent('durable', "received 'true' but current is 'false'")
    await expectRefused({}, { durable: true }, 406, difference)
  })

  it('is refused when it differs in auto-delete', async () => {
    const difference = inequivalent('auto_delete', "received 'false' but current is 'true'")
    await expectRefused({ 'auto-delete': true }, {}, 406, difference)
  })

  it('is refused as locked when it differs in exclusive, even for its owner', async () => {
    await expectRefused({ exclusive: true }, {}, 405, LOCKED)
  })

  it('is refused as locked when it wants to own what belongs to nobody', async () => {
    await expectRefused({}, { exclusive: true }, 405, LOCKED)
  })

  itOnlyHere('3.x keeps both properties', 'takes durable for nothing in an exclusive queue', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { exclusive: true, durable: true })
    await channel.queue('q', { exclusive: true, durable: false })
  })

  it('is refused for exclusive before durable, and for durable before arguments', async () => {
    await expectRefused({}, { exclusive: true, durable: true }, 405, LOCKED)
    const difference = inequivalent('durable', "received 'true' but current is 'false'")
    await expectRefused({}, { durable: true, arguments: { 'x-message-ttl': 1 } }, 406, difference)
  })

  it.each<[string, Table, Table, string]>([
    ['adds one', {}, { 'x-message-ttl': 1000 }, "received the value '1000' of type 'signedint' but current is none"],
    ['lacks one', { 'x-message-ttl': 1000 }, {}, "received none but current is the value '1000' of type 'signedint'"],
    ['changes one', { 'x-message-ttl': 1000 }, { 'x-message-ttl': 2000 }, "received '2000' but current is '1000'"],
    ['adds a long one', {}, { 'x-message-ttl': 1000n }, "received the value '1000' of type 'long' but current is none"],
  ])('is refused when it %s of the arguments', async (_case, first, second, difference) => {
    await expectRefused({ arguments: first }, { arguments: second }, 406, inequivalent('x-message-ttl', difference))
  })

  it.each<[string, Table, string]>([
    ['x-expires', { 'x-expires': 60000 }, "'60000' of type 'signedint'"],
    ['x-max-length', { 'x-max-length': 5 }, "'5' of type 'signedint'"],
    ['x-max-length-bytes', { 'x-max-length-bytes': tagged('s', 5) }, "'5' of type 'short'"],
    ['x-overflow', { 'x-overflow': 'reject-publish' }, "'reject-publish' of type 'longstr'"],
    ['x-dead-letter-exchange', { 'x-dead-letter-exchange': 'dlx' }, "'dlx' of type 'longstr'"],
    ['x-max-priority', { 'x-max-priority': tagged('b', 4) }, "'4' of type 'byte'"],
    ['x-single-active-consumer', { 'x-single-active-consumer': true }, "'true' of type 'bool'"],
    ['x-queue-mode', { 'x-queue-mode': 'lazy' }, "'lazy' of type 'longstr'"],
  ])('compares %s', async (argument, table, value) => {
    const difference = inequivalent(argument, `received the value ${value} but current is none`)
    await expectRefused({}, { arguments: table }, 406, difference)
  })

  it.each<[string, Value, Value]>([
    ['widths of integers', 1000, 1000n],
    ['widths of integers, and signs', tagged('b', 100), tagged('u', 100)],
  ])('does not mind other %s', async (_case, first, second) => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-message-ttl': first } })
    await channel.queue('q', { arguments: { 'x-message-ttl': second } })
  })

  it('takes the absence of x-queue-type for classic', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'classic' } })
    await channel.queue('q', { durable: true })
  })

  it('compares a time with an integer by its seconds, and shows floats as Erlang does', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-max-length': 5 } })
    await channel.queue('q', { arguments: { 'x-max-length': tagged('T', 5n) } })
    channel.send('queue.declare', { queue: 'q', arguments: { 'x-max-length': tagged('d', 315_360_000_000) } })
    const text = "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '3.1536e11' but current is '5'"
    await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'queue.declare')
  })

  it('does not compare arguments that mean nothing', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-ha-policy': 'all', mine: 1 } })
    await channel.queue('q', { arguments: { mine: 'other' } })
    await channel.queue('q')
  })
})

describe('queue.declare with arguments that cannot be', () => {
  const ofQ = "for queue 'q' in vhost '/'"

  it.each<[Table, string]>([
    [{ 'x-message-ttl': 'long' }, `invalid arg 'x-message-ttl' ${ofQ}: "expected integer, got longstr"`],
    [{ 'x-message-ttl': -1 }, `invalid arg 'x-message-ttl' ${ofQ}: {value_negative,-1}`],
    [{ 'x-message-ttl': true }, `invalid arg 'x-message-ttl' ${ofQ}: "expected integer, got bool"`],
    [{ 'x-expires': 0 }, `invalid arg 'x-expires' ${ofQ}: {value_zero,0}`],
    [{ 'x-max-length': -5 }, `invalid arg 'x-max-length' ${ofQ}: {value_negative,-5}`],
    [{ 'x-overflow': 'drop-tail' }, `invalid arg 'x-overflow' ${ofQ}: invalid_overflow`],
    [{ 'x-overflow': 3 }, `invalid arg 'x-overflow' ${ofQ}: {unacceptable_type,signedint}`],
    [{ 'x-max-age': '7D' }, `invalid arg 'x-max-age' ${ofQ} of queue type rabbit_classic_queue`],
    [
      { 'x-queue-type': 'quorum', 'x-initial-cluster-size': 1 },
      `invalid arg 'x-initial-cluster-size' ${ofQ} of queue type rabbit_quorum_queue`,
    ],
    [{ 'x-max-priority': 256 }, `invalid arg 'x-max-priority' ${ofQ}: {max_value_exceeded,256}`],
    [
      { 'x-single-active-consumer': 'yes' },
      `invalid arg 'x-single-active-consumer' ${ofQ}: {unacceptable_type,longstr}`,
    ],
    [
      { 'x-dead-letter-routing-key': 'k' },
      `invalid arg 'x-dead-letter-routing-key' ${ofQ}: routing_key_but_no_dlx_defined`,
    ],
    [
      { 'x-dead-letter-exchange': 4 },
      "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
    ],
    [{ 'x-queue-type': 'a"b\\' }, String.raw`invalid arg 'x-queue-type' ${ofQ}: "unsupported queue type 'a\"b\\'"`],
  ])('is refused: %j', async (table, text) => {
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: 'q', arguments: table })
    await channel.expectChannelClose(406, `PRECONDITION_FAILED - ${text}`, 'queue.declare')
    await expectQueue('q', false)
  })
})

describe('a quorum queue', () => {
  const quorum = { 'x-queue-type': 'quorum' }

  it('is compared by its own order of arguments', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: { ...quorum, 'x-delivery-limit': 2 } })
    const other = { ...quorum, 'x-delivery-limit': 3, 'x-message-ttl': 60_000 }
    channel.send('queue.declare', { queue: 'q', durable: true, arguments: other })
    const text =
      "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': received '3' but current is '2'"
    await channel.expectChannelClose(406, text, 'queue.declare')
  })

  it.each<[string, FieldsInput]>([
    ['auto-delete', { durable: true, 'auto-delete': true }],
    ['exclusive-owner', { durable: true, exclusive: true }],
    ['non-durable', {}],
  ])('cannot be %s', async (property, fields) => {
    const channel = await broker.channel()
    channel.send('queue.declare', { queue: 'q', ...fields, arguments: quorum })
    const text = `PRECONDITION_FAILED - invalid property '${property}' for queue 'q' in vhost '/'`
    await channel.expectChannelClose(406, text, 'queue.declare')
  })

  it('cannot be named by the broker', async () => {
    const channel = await broker.channel()
    channel.send('queue.declare', { durable: true, arguments: quorum })
    await channel.expectChannelClose(
      406,
      'PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue',
      'queue.declare',
    )
  })

  itOnlyHere('3.x finds an argument missing', 'is not redeclared as classic', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: quorum })
    await channel.queue('q', { durable: true, arguments: quorum })
    channel.send('queue.declare', { queue: 'q', durable: true })
    await channel.expectChannelClose(
      406,
      "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': " +
        "received 'classic' but current is 'quorum'",
      'queue.declare',
    )
  })

  itOnlyHere('its quorum queues take their time', 'delivers in order, and requeued messages again', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: quorum })
    await fill(channel, 'q', 'one', 'two')
    const { tag } = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    await channel.expectNothing()
    expect((await channel.get('q')).fields.redelivered).toBe(true)
    expect((await channel.get('q')).body.toString()).toBe('two')
  })
})

describe('an empty queue name', () => {
  const fields: [string, FieldsInput][] = [
    ['queue.bind', { exchange: 'amq.direct', 'routing-key': 'k' }],
    ['queue.unbind', { exchange: 'amq.direct', 'routing-key': 'k' }],
    ['queue.purge', {}],
    ['queue.delete', {}],
    ['basic.consume', {}],
    ['basic.get', {}],
  ]

  it.each(fields)('stands for the queue that was declared last: %s', async (method, rest) => {
    const channel = await broker.channel()
    await channel.queue('p')
    await channel.queue('q')
    channel.send(method, { queue: '', ...rest })
    await channel.client.nextOn(1)
    await expectQueue('q', method !== 'queue.delete')
  })

  it.each(fields)('is not found when none was declared: %s', async (method, rest) => {
    const channel = await broker.channel()
    channel.send(method, { queue: '', ...rest })
    await channel.expectChannelClose(404, NONE_DECLARED, method)
  })

  it('stands for a queue that was declared passively', async () => {
    const channel = await broker.channel()
    await channel.queue('p')
    await channel.queue('q')
    await channel.call('queue.declare', { queue: 'p', passive: true })
    await fill(channel, 'p', 'in p')
    channel.send('basic.get', { queue: '', 'no-ack': true })
    await channel.expectGetOk({}, 'in p')
  })

  it('stands for a queue that the broker has named', async () => {
    const channel = await broker.channel()
    const queue = await channel.queue('', { exclusive: true })
    await fill(channel, queue, 'there')
    channel.send('basic.get', { queue: '', 'no-ack': true })
    await channel.expectGetOk({ 'routing-key': queue }, 'there')
  })

  it('goes on standing for a queue that was deleted', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await channel.call('queue.delete', { queue: 'q' })
    channel.send('queue.purge', { queue: '' })
    await channel.expectChannelClose(404, absent('q'), 'queue.purge')
  })

  it('is just a name for a passive declaration', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.send('queue.declare', { queue: '', passive: true })
    await channel.expectChannelClose(404, absent(''), 'queue.declare')
  })

  it('is remembered by channel', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    const other = await channel.client.openChannel(2)
    other.send('queue.purge', { queue: '' })
    await other.expectChannelClose(404, NONE_DECLARED, 'queue.purge')
  })

  it('makes the queue its own key when that is empty too', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await channel.call('queue.bind', { queue: '', exchange: 'amq.direct', 'routing-key': '' })
    channel.publish({ exchange: 'amq.direct', 'routing-key': 'q', mandatory: true }, 'found')
    channel.publish({ exchange: 'amq.direct', 'routing-key': '', mandatory: true }, 'lost')
    await channel.expectReturn({ 'routing-key': '' }, 'lost')
    await channel.call('queue.unbind', { queue: '', exchange: 'amq.direct', 'routing-key': '' })
    channel.publish({ exchange: 'amq.direct', 'routing-key': 'q', mandatory: true }, 'lost')
    await channel.expectReturn({ 'routing-key': 'q' }, 'lost')
  })

  it('leaves the empty key alone when the queue has a name', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await channel.bind('q', 'amq.direct', '')
    channel.publish({ exchange: 'amq.direct', 'routing-key': 'q', mandatory: true }, 'lost')
    await channel.expectReturn({ 'routing-key': 'q' }, 'lost')
  })
})

describe('a queue that is absent', () => {
  it.each<[string, FieldsInput]>([
    ['queue.bind', { queue: 'absent', exchange: 'amq.direct' }],
    ['queue.purge', { queue: 'absent' }],
    ['basic.consume', { queue: 'absent' }],
    ['basic.get', { queue: 'absent' }],
  ])('is not found by %s', async (method, fields) => {
    const channel = await broker.channel()
    channel.send(method, fields)
    await channel.expectChannelClose(404, absent('absent'), method)
  })
})

describe('an exclusive queue', () => {
  it.each<[string, FieldsInput]>([
    ['queue.declare', { queue: 'q', exclusive: true }],
    ['queue.declare', { queue: 'q', passive: true }],
    ['queue.bind', { queue: 'q', exchange: 'amq.direct' }],
    ['queue.unbind', { queue: 'q', exchange: 'amq.direct' }],
    ['queue.purge', { queue: 'q' }],
    ['queue.delete', { queue: 'q' }],
    ['basic.consume', { queue: 'q' }],
    ['basic.get', { queue: 'q' }],
  ])('is locked for other connections: %s %j', async (method, fields) => {
    const owner = await broker.channel()
    await owner.queue('q', { exclusive: true })
    await owner.bind('q', 'amq.direct')
    const other = await broker.channel()
    other.send(method, fields)
    await other.expectChannelClose(405, LOCKED, method)
  })

  it('is not looked at for a binding that cannot be', async () => {
    const owner = await broker.channel()
    await owner.queue('q', { exclusive: true })
    const other = await broker.channel()
    other.send('queue.bind', { queue: 'q', exchange: 'amq.match', arguments: { 'x-match': 'some' } })
    await other.expectChannelClose(406, /^PRECONDITION_FAILED - Invalid x-match field value <<"some">>/, 'queue.bind')
    await owner.bind('q', 'amq.match', '', { 'x-match': 'any' })
  })

  it('is open to all channels of its connection', async () => {
    const owner = await broker.channel()
    await owner.queue('q', { exclusive: true })
    const other = await owner.client.openChannel(2)
    await owner.close()
    await fill(other, 'q', 'm')
    await other.get('q')
    await other.consume('q')
    await other.call('queue.delete', { queue: 'q' })
  })

  it('takes messages from everybody', async () => {
    const owner = await broker.channel()
    await owner.queue('q', { exclusive: true })
    await owner.consume('q', { 'no-ack': true })
    const other = await broker.channel()
    other.publish({ 'routing-key': 'q', mandatory: true }, 'from outside')
    await owner.expectDeliver({}, 'from outside')
  })

  it('is deleted before its connection is told that it is closed', async () => {
    const owner = await broker.channel()
    const next = await broker.channel()
    await owner.queue('q', { exclusive: true })
    await owner.client.call('connection.close', { 'reply-code': 200 })
    await next.queue('q', { exclusive: true })
  })

  it.each([
    ['is reset', true],
    ['ends', false],
  ])('is deleted when its connection %s', async (_case, reset) => {
    const owner = await broker.channel()
    await owner.queue('q', { exclusive: true })
    const watcher = await broker.channel()
    owner.client.drop(reset)
    // The end of the connection has to be noticed first.
    for (let tries = 0; tries < 500; tries++) {
      watcher.send('queue.declare', { queue: 'q', passive: true })
      const { method, fields } = await watcher.client.nextOn(1)
      expect(method).toBe('channel.close')
      await watcher.send('channel.close-ok').call('channel.open')
      if (fields['reply-code'] === 404) return
      expect(fields['reply-text']).toBe(LOCKED)
    }
    expect.unreachable('the queue is still there')
  })
})

describe('an auto-delete queue', () => {
  it('stays as long as it has not had a consumer', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { 'auto-delete': true })
    await fill(channel, 'q', 'm')
    await channel.get('q')
    await channel.client.close()
    await expectQueue('q', true)
  })

  it('goes with the cancelling of its last consumer, before cancel-ok', async () => {
    const channel = await broker.channel()
    const watcher = await broker.channel()
    await channel.queue('q', { 'auto-delete': true })
    await channel.consume('q', { 'consumer-tag': 'one' })
    await channel.consume('q', { 'consumer-tag': 'two' })
    await channel.call('basic.cancel', { 'consumer-tag': 'one' })
    await channel.call('queue.declare', { queue: 'q', passive: true }, { 'consumer-count': 1 })
    await channel.call('basic.cancel', { 'consumer-tag': 'two' })
    watcher.send('queue.declare', { queue: 'q', passive: true })
    await watcher.expectChannelClose(404, absent('q'), 'queue.declare')
  })

  it('goes with the channel of its last consumer', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { 'auto-delete': true })
    await channel.consume('q')
    await channel.close()
    await expectQueue('q', false)
  })

  it('goes with the connection of its last consumer', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { 'auto-delete': true })
    await channel.consume('q')
    await channel.client.call('connection.close', { 'reply-code': 200 })
    await expectQueue('q', false)
  })

  it('stays while another connection consumes from it', async () => {
    const [one, two] = [await broker.channel(), await broker.channel()]
    await one.queue('q', { 'auto-delete': true })
    await one.consume('q')
    await two.consume('q')
    await one.client.close()
    await expectQueue('q', true)
    await two.client.close()
    await expectQueue('q', false)
  })
})

describe('queue.purge', () => {
  it('removes and counts what is ready, and leaves the rest', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await fill(channel, 'q', 'one', 'two', 'three')
    const { tag } = await channel.get('q')
    await channel.call('queue.purge', { queue: 'q' }, { 'message-count': 2 })
    await channel.call('queue.purge', { queue: 'q' }, { 'message-count': 0 })
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    channel.send('basic.get', { queue: 'q' })
    await channel.expectGetOk({ redelivered: true, 'message-count': 0 }, 'one')
  })

  it('says nothing when it is not to wait', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await fill(channel, 'q', 'one')
    channel.send('queue.purge', { queue: 'q', nowait: true })
    await channel.expectNothing()
    await channel.call('queue.declare', { queue: 'q' }, { 'message-count': 0 })
  })
})

describe('queue.delete', () => {
  it('counts the messages that were ready', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await fill(channel, 'q', 'one', 'two', 'three')
    await channel.get('q')
    await channel.call('queue.delete', { queue: 'q' }, { 'message-count': 2 })
    await expectQueue('q', false)
  })

  it('is idempotent', async () => {
    const channel = await broker.channel()
    await channel.call('queue.delete', { queue: 'absent' }, { 'message-count': 0 })
    await channel.call('queue.delete', { queue: 'absent', 'if-unused': true, 'if-empty': true }, { 'message-count': 0 })
  })

  it('says nothing when it is not to wait', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.send('queue.delete', { queue: 'q', nowait: true })
    await channel.expectNothing()
    await expectQueue('q', false)
  })

  it('is refused for a queue with consumers, if it must be unused', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    const tag = await channel.consume('q')
    const other = await broker.channel()
    other.send('queue.delete', { queue: 'q', 'if-unused': true })
    await other.expectChannelClose(406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use", 'queue.delete')
    await channel.call('basic.cancel', { 'consumer-tag': tag })
    await channel.call('queue.delete', { queue: 'q', 'if-unused': true })
  })

  it('takes a queue for unused of which somebody holds a message from get', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await fill(channel, 'q', 'one')
    await channel.get('q')
    await channel.call('queue.delete', { queue: 'q', 'if-unused': true }, { 'message-count': 0 })
  })

  it('is refused for a queue with ready messages, if it must be empty', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await fill(channel, 'q', 'one')
    channel.send('queue.delete', { queue: 'q', 'if-empty': true })
    await channel.expectChannelClose(406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty", 'queue.delete')
    await expectQueue('q', true)
  })

  it.each(['if-unused', 'if-empty'])('of a quorum queue cannot be bound to %s', async (flag) => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    channel.send('queue.delete', { queue: 'q', [flag]: true })
    const sentence =
      "NOT_IMPLEMENTED - cannot delete queue 'q' in vhost '/'. queue.delete operations with " +
      `${flag} flag set are not supported by quorum queues`
    await channel.client.expectConnectionClose(540, sentence, 'queue.delete')
  })

  it('takes a queue for empty of which all messages are unacked', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await fill(channel, 'q', 'one')
    await channel.get('q')
    await channel.call('queue.delete', { queue: 'q', 'if-empty': true }, { 'message-count': 0 })
  })

  it('leaves the tags of outstanding deliveries valid', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    await fill(channel, 'q', 'one', 'two')
    const [one, two] = [await channel.get('q'), await channel.get('q')]
    await channel.call('queue.delete', { queue: 'q' })
    channel.send('basic.ack', { 'delivery-tag': one.tag })
    channel.send('basic.nack', { 'delivery-tag': two.tag, requeue: true })
    await channel.expectNothing()
  })

  it('starts the next queue of that name afresh', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { durable: true })
    await fill(channel, 'q', 'old')
    await channel.call('queue.delete', { queue: 'q' })
    await channel.call('queue.declare', { queue: 'q', 'auto-delete': true }, { 'message-count': 0 })
  })
})
