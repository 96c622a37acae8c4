// Exchanges: what may be declared, what is the same, and what may be deleted.
import { describe, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import type { FieldsInput } from '../support/codec.ts'
import { tagged, type Value } from '../support/field-values.ts'
import type { RawChannel } from '../support/raw-client.ts'

const broker = useBroker()
const ABSENT = "NOT_FOUND - no exchange 'absent' in vhost '/'"
const DEFAULT_EXCHANGE = 'ACCESS_REFUSED - operation not permitted on the default exchange'

/** Checks, on a channel of its own, whether an exchange is there. */
async function expectExchange(name: string, there: boolean): Promise<void> {
  const channel = await broker.channel()
  channel.send('exchange.declare', { exchange: name, passive: true })
  if (there) await channel.expect('exchange.declare-ok')
  else await channel.expectChannelClose(404, `NOT_FOUND - no exchange '${name}' in vhost '/'`, 'exchange.declare')
}

async function expectDeclareRefused(fields: FieldsInput, code: number, text: string): Promise<void> {
  const channel = await broker.channel()
  channel.send('exchange.declare', fields)
  await channel.expectChannelClose(code, text, 'exchange.declare')
}

describe('exchange.declare', () => {
  it.each(['direct', 'fanout', 'topic', 'headers'])('makes an exchange of type %s', async (type) => {
    const channel = await broker.channel()
    await channel.call('exchange.declare', { exchange: 'x', type })
    await channel.call('exchange.declare', { exchange: 'x', passive: true })
  })

  it.each<[string, FieldsInput]>([
    ['nothing', {}],
    ['durable', { durable: true }],
    ['auto-delete', { 'auto-delete': true }],
    ['internal', { internal: true }],
    ['an alternate exchange', { arguments: { 'alternate-exchange': 'other' } }],
    ['arguments that mean nothing', { arguments: { colour: 'blue', 'x-number': 7, nested: { a: [1, null] } } }],
  ])('is idempotent with %s', async (_case, fields) => {
    const channel = await broker.channel()
    await channel.call('exchange.declare', { exchange: 'x', type: 'topic', ...fields })
    await channel.call('exchange.declare', { exchange: 'x', type: 'topic', ...fields })
  })

  it('says nothing when it is not to wait', async () => {
    const channel = await broker.channel()
    channel.send('exchange.declare', { exchange: 'x', type: 'direct', nowait: true })
    await channel.expectNothing()
    await expectExchange('x', true)
  })

  it('ignores the ticket', async () => {
    const channel = await broker.channel()
    await channel.call('exchange.declare', { ticket: 17, exchange: 'x', type: 'direct' })
  })

  it('takes line ends out of the name', async () => {
    const channel = await broker.channel()
    await channel.exchange('one\r\ntwo\n')
    await channel.exchange('onetwo')
    await channel.call('exchange.delete', { exchange: '\nonetwo' })
    await expectExchange('onetwo', false)
  })

  it.each([
    ['amq.direct', 'direct'],
    ['amq.fanout', 'fanout'],
    ['amq.topic', 'topic'],
    ['amq.headers', 'headers'],
    ['amq.match', 'headers'],
  ])('repeats what is there from the beginning: %s', async (exchange, type) => {
    const channel = await broker.channel()
    await channel.call('exchange.declare', { exchange, type, durable: true })
    channel.send('exchange.declare', { exchange, type })
    await channel.expectChannelClose(
      406,
      `PRECONDITION_FAILED - inequivalent arg 'durable' for exchange '${exchange}' in vhost '/': ` +
        "received 'false' but current is 'true'",
      'exchange.declare',
    )
  })

  it('repeats amq.rabbitmq.trace, which is internal', async () => {
    const channel = await broker.channel()
    await channel.call('exchange.declare', {
      exchange: 'amq.rabbitmq.trace',
      type: 'topic',
      durable: true,
      internal: true,
    })
  })

  it('refuses reserved names', async () => {
    await expectDeclareRefused(
      { exchange: 'amq.mine', type: 'direct' },
      403,
      "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    )
  })

  it('refuses the default exchange', async () => {
    await expectDeclareRefused({ exchange: '', type: 'direct', durable: true }, 403, DEFAULT_EXCHANGE)
    await expectDeclareRefused({ exchange: '', passive: true }, 403, DEFAULT_EXCHANGE)
  })

  itOnlyHere('before 3.12.14 it was an error of the connection', 'refuses types that it does not know', async () => {
    await expectDeclareRefused(
      { exchange: 'x', type: 'rainbow' },
      406,
      "PRECONDITION_FAILED - unknown exchange type 'rainbow'",
    )
    await expectDeclareRefused({ exchange: 'x', type: '' }, 406, "PRECONDITION_FAILED - invalid exchange type ''")
    await expectDeclareRefused(
      { exchange: '', type: 'rainbow' },
      406,
      "PRECONDITION_FAILED - unknown exchange type 'rainbow'",
    )
  })

  it('refuses an alternate exchange that is no string', async () => {
    await expectDeclareRefused(
      { exchange: 'x', type: 'direct', arguments: { 'alternate-exchange': 5 } },
      406,
      "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'",
    )
    await expectExchange('x', false)
  })
})

describe('exchange.declare of what is there already', () => {
  const plain: FieldsInput = { exchange: 'x', type: 'direct' }

  async function expectInequivalent(first: FieldsInput, second: FieldsInput, difference: string): Promise<void> {
    await (await broker.channel()).call('exchange.declare', { ...plain, ...first })
    await expectDeclareRefused({ ...plain, ...second }, 406, `PRECONDITION_FAILED - inequivalent arg ${difference}`)
  }

  it.each<[string, FieldsInput, FieldsInput, string]>([
    ['type', {}, { type: 'topic' }, "'type' for exchange 'x' in vhost '/': received 'topic' but current is 'direct'"],
    [
      'type of a plugin',
      {},
      { type: 'x-recent-history' },
      "'type' for exchange 'x' in vhost '/': received ''x-recent-history'' but current is 'direct'",
    ],
    [
      'durable',
      {},
      { durable: true },
      "'durable' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
    ],
    [
      'auto-delete',
      { 'auto-delete': true },
      {},
      "'auto_delete' for exchange 'x' in vhost '/': received 'false' but current is 'true'",
    ],
    [
      'internal',
      {},
      { internal: true },
      "'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
    ],
    [
      'type before the others',
      { durable: true },
      { type: 'fanout', internal: true },
      "'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'",
    ],
  ])('is refused when it differs in %s', async (_property, first, second, difference) => {
    await expectInequivalent(first, second, difference)
  })

  const alternate = (name: Value): FieldsInput => ({ arguments: { 'alternate-exchange': name } })

  it('is refused when it adds an alternate exchange', async () => {
    await expectInequivalent(
      {},
      alternate('other'),
      "'alternate-exchange' for exchange 'x' in vhost '/': " +
        "received the value 'other' of type 'longstr' but current is none",
    )
  })

  it('is refused when it lacks the alternate exchange', async () => {
    await expectInequivalent(
      alternate('other'),
      {},
      "'alternate-exchange' for exchange 'x' in vhost '/': " +
        "received none but current is the value 'other' of type 'longstr'",
    )
  })

  it('is refused when it has another alternate exchange', async () => {
    await expectInequivalent(
      alternate('other'),
      alternate('another'),
      "'alternate-exchange' for exchange 'x' in vhost '/': received 'another' but current is 'other'",
    )
  })

  it('does not compare other arguments', async () => {
    const channel = await broker.channel()
    await channel.call('exchange.declare', { ...plain, arguments: { colour: 'blue' } })
    await channel.call('exchange.declare', { ...plain, arguments: { colour: tagged('s', 3), shape: 'round' } })
  })

  it('looks at nothing but the name when it is passive', async () => {
    const channel = await broker.channel()
    await channel.call('exchange.declare', { ...plain, durable: true })
    await channel.call('exchange.declare', {
      exchange: 'x',
      type: 'no such thing',
      passive: true,
      internal: true,
      'auto-delete': true,
      arguments: { 'alternate-exchange': 7 },
    })
    await channel.call('exchange.declare', { exchange: 'amq.topic', passive: true })
    channel.send('exchange.declare', { exchange: 'absent', passive: true })
    await channel.expectChannelClose(404, ABSENT, 'exchange.declare')
  })
})

describe('exchange.delete', () => {
  it('deletes the exchange with its bindings', async () => {
    const channel = await broker.channel()
    await channel.exchange('x', 'fanout')
    await channel.queue('q')
    await channel.bind('q', 'x')
    await channel.call('exchange.delete', { exchange: 'x' })
    await expectExchange('x', false)
    await channel.exchange('x', 'fanout')
    channel.publish({ exchange: 'x', mandatory: true }, 'unbound')
    await channel.expectReturn({ 'reply-code': 312 }, 'unbound')
  })

  it('is idempotent', async () => {
    const channel = await broker.channel()
    await channel.call('exchange.delete', { exchange: 'absent' })
    await channel.call('exchange.delete', { exchange: 'absent', 'if-unused': true })
  })

  it('says nothing when it is not to wait', async () => {
    const channel = await broker.channel()
    await channel.exchange('x')
    channel.send('exchange.delete', { exchange: 'x', nowait: true })
    await channel.expectNothing()
    await expectExchange('x', false)
  })

  it('is refused for an exchange in use, if it must be unused', async () => {
    const channel = await broker.channel()
    await channel.exchange('x')
    await channel.queue('q')
    await channel.bind('q', 'x', 'k')
    channel.send('exchange.delete', { exchange: 'x', 'if-unused': true })
    await channel.expectChannelClose(406, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use", 'exchange.delete')
    await expectExchange('x', true)
  })

  it('takes an exchange for unused that is bound to others only as their destination', async () => {
    const channel = await broker.channel()
    await channel.exchange('x')
    await channel.exchange('upstream')
    await channel.call('exchange.bind', { source: 'upstream', destination: 'x' })
    await channel.call('exchange.delete', { exchange: 'x', 'if-unused': true })
    await channel.call('exchange.delete', { exchange: 'upstream', 'if-unused': true })
  })

  it('is refused for the default exchange', async () => {
    const channel = await broker.channel()
    channel.send('exchange.delete', { exchange: '' })
    await channel.expectChannelClose(403, DEFAULT_EXCHANGE, 'exchange.delete')
  })

  it.each(['amq.direct', 'amq.topic', 'amq.rabbitmq.trace', 'amq.absent'])('is refused for %s', async (exchange) => {
    const channel = await broker.channel()
    channel.send('exchange.delete', { exchange })
    await channel.expectChannelClose(
      403,
      `ACCESS_REFUSED - deletion of system exchange '${exchange}' in vhost '/' not allowed`,
      'exchange.delete',
    )
  })
})

describe('an auto-delete exchange', () => {
  async function declared(): Promise<RawChannel> {
    const channel = await broker.channel()
    await channel.exchange('x', 'direct', { 'auto-delete': true })
    await channel.exchange('sink', 'fanout')
    await channel.queue('q')
    await channel.queue('r')
    return channel
  }

  it('stays as long as nothing was ever bound to it', async () => {
    const channel = await declared()
    await channel.call('exchange.bind', { source: 'sink', destination: 'x' })
    await channel.call('exchange.unbind', { source: 'sink', destination: 'x' })
    await channel.client.close()
    await expectExchange('x', true)
  })

  it('goes with its last binding', async () => {
    const channel = await declared()
    await channel.bind('q', 'x', 'k')
    await channel.bind('r', 'x', 'k')
    await channel.call('queue.unbind', { queue: 'q', exchange: 'x', 'routing-key': 'k' })
    await expectExchange('x', true)
    await channel.call('queue.unbind', { queue: 'r', exchange: 'x', 'routing-key': 'k' })
    await expectExchange('x', false)
  })

  it('goes with the last queue', async () => {
    const channel = await declared()
    await channel.bind('q', 'x', 'k')
    await channel.bind('q', 'x', 'l')
    await channel.call('queue.delete', { queue: 'q' })
    await expectExchange('x', false)
  })

  it('goes with the last exchange', async () => {
    const channel = await declared()
    await channel.call('exchange.bind', { source: 'x', destination: 'sink' })
    await channel.call('exchange.delete', { exchange: 'sink' })
    await expectExchange('x', false)
  })

  it('takes the next one upstream along', async () => {
    const channel = await declared()
    await channel.exchange('y', 'direct', { 'auto-delete': true })
    await channel.call('exchange.bind', { source: 'y', destination: 'x' })
    await channel.bind('q', 'x', 'k')
    await channel.call('queue.delete', { queue: 'q' })
    await expectExchange('x', false)
    await expectExchange('y', false)
  })

  it('goes when the connection ends to which its last queue belongs', async () => {
    const channel = await declared()
    const other = await broker.channel()
    await other.queue('mine', { exclusive: true })
    await other.bind('mine', 'x', 'k')
    await expectExchange('x', true)
    await other.client.close()
    await expectExchange('x', false)
    await channel.expectNothing()
  })
})

describe('publishing to an exchange', () => {
  it('that does not exist closes the channel, and what was published after it is lost', async () => {
    const channel = await broker.channel()
    await channel.queue('q')
    channel.publish({ exchange: 'absent', 'routing-key': 'q' }, 'nowhere')
    channel.publish({ 'routing-key': 'q' }, 'too late')
    await channel.expectChannelClose(404, ABSENT, 'basic.publish')
    await channel.call('channel.open')
    channel.send('basic.get', { queue: 'q' })
    await channel.expect('basic.get-empty')
  })

  it.each(['x', 'amq.rabbitmq.trace'])('that is internal closes the channel: %s', async (exchange) => {
    const channel = await broker.channel()
    await channel.exchange('x', 'fanout', { internal: true })
    channel.publish({ exchange }, 'private')
    await channel.expectChannelClose(
      403,
      `ACCESS_REFUSED - cannot publish to internal exchange '${exchange}' in vhost '/'`,
      'basic.publish',
    )
  })
})
