// A message and the id that is remembered of it are one fact on disk.
import { describe, expect, it } from 'vitest'
import { encodeProperties } from '../../../src/amqp/wire/properties.ts'
import { Message } from '../../../src/core/message.ts'
import type { PolicyValues } from '../../../src/core/policy-values.ts'
import type { FieldTable, FieldValue } from '../../../src/core/value.ts'
import { longstr, signedint, table } from '../../support/core.ts'
import { drained, DurableCore } from '../../support/durable-core.ts'
import { bindingTerms } from '../../support/sessions.ts'
import { turnsRun } from '../../support/sockets.ts'
import { NotingPublisher } from '../../support/store.ts'

const ON: Record<string, FieldValue> = { 'x-message-deduplication': { type: 'bool', value: true } }

function withId(exchange: string, id: string, body: string, delayMs = 0): Message {
  const delay: [string, FieldValue][] = delayMs > 0 ? [['x-delay', signedint(delayMs)]] : []
  const headers: FieldTable = new Map<string, FieldValue>([['x-deduplication-header', longstr(id)], ...delay])
  const properties = encodeProperties({ headers, deliveryMode: 2 })
  const facts = { persistent: true, priority: -1, expirationMs: -1, headers: true }
  const bytes = Buffer.from(body)
  return new Message(exchange, 'q', facts, properties, 0, properties.length, bytes, 0, bytes.length, true)
}

describe('what a policy asks for', () => {
  const governed = async (definition: PolicyValues): Promise<DurableCore> => {
    const core = await DurableCore.start()
    core.declare('q')
    const declaration = { type: 'direct', durable: true, autoDelete: false, internal: false }
    core.session.declareExchange({ name: 'x', ...declaration, arguments: new Map() })
    core.session.bind({ ...bindingTerms('x', 'q'), routingKey: 'q' })
    const rest = { kind: 'policy', vhost: '/', name: 'p', operator: false, applyTo: 'all', priority: 0 } as const
    core.broker.policies.put({ ...rest, pattern: '^[qx]$', definition })
    await core.written()
    return core
  }

  it.each(['', 'x'])('is known after a power cut, with the ids: published to %j', async (exchange) => {
    const core = await governed({ 'message-deduplication': true })
    core.session.publish(withId(exchange, 'a', 'first'), null, 0)
    await core.written()
    const after = await core.afterPowerCut()
    after.session.publish(withId(exchange, 'a', 'again'), null, 0)
    await after.written()
    expect(after.queue('q').readyCount).toBe(1)
    expect(after.broker.policies.delete('/', 'p', false)).toBe(true)
    after.session.publish(withId(exchange, 'a', 'without it'), null, 0)
    await after.written()
    const last = await after.afterPowerCut()
    expect(await drained(last, 'q')).toEqual(['first', 'without it'])
  })

  it('delays messages over a power cut, also when the policy has gone before', async () => {
    const core = await governed({ 'delayed-message': true })
    core.session.publish(withId('x', 'a', 'late', 1000), null, 0)
    await core.written()
    expect(core.broker.policies.delete('/', 'p', false)).toBe(true)
    await core.written()
    const after = await core.afterPowerCut()
    expect(after.session.vhost.exchange('x').delayedCount).toBe(1)
    after.clock.advance(1000)
    for (let turns = 0; turns < 100 && after.queue('q').readyCount === 0; turns++) await turnsRun()
    expect(await drained(after, 'q')).toEqual(['late'])
  })
})

it('a duplicate is not confirmed before its first is on disk, also where no id is kept', async () => {
  const core = await DurableCore.start()
  core.declare('q')
  const declaration = { type: 'direct', durable: false, autoDelete: false, internal: false }
  core.session.declareExchange({ name: 'x', ...declaration, arguments: table(ON) })
  core.session.bind({ ...bindingTerms('x', 'q'), routingKey: 'q' })
  await core.written()
  const publisher = new NotingPublisher()
  core.session.publish(withId('x', 'a', 'first'), null, 0)
  core.session.publish(withId('x', 'a', 'again'), publisher, 2)
  expect(publisher.acceptances).toEqual([])
  await core.written()
  expect(publisher.acceptances).toEqual([2])
  expect(await drained(await core.afterPowerCut(), 'q')).toEqual(['first'])
})

it('the ids of damaged messages are forgotten, as those will never leave the queue', async () => {
  const core = await DurableCore.start()
  const queue = core.declare('q', table(ON))
  for (const id of ['a', 'b', 'c']) core.session.publish(withId('', id, id), null, 0)
  queue.messagesLost(0, 1, 2)
  for (const id of ['b', 'c']) core.session.publish(withId('', id, `${id} again`), null, 0)
  expect(await drained(core, 'q')).toEqual(['a', 'b', 'c', 'b again'])
})

describe.each([
  ['a queue, for what is in it', '', ON],
  ['a queue with a window', '', { ...ON, 'x-cache-size': signedint(100) }],
  ['an exchange', 'x', {}],
] as const)('the ids of %s', (_what, exchange, queueArgs) => {
  async function start(): Promise<{ core: DurableCore; publisher: NotingPublisher }> {
    const core = await DurableCore.start()
    core.declare('q', table(queueArgs))
    const declaration = { type: 'direct', durable: true, autoDelete: false, internal: false }
    core.session.declareExchange({ name: 'x', ...declaration, arguments: table(ON) })
    core.session.bind({ ...bindingTerms('x', 'q'), routingKey: 'q' })
    await core.written()
    return { core, publisher: new NotingPublisher() }
  }

  it('are lost with their messages when the power goes before the batch is written, and nothing was confirmed', async () => {
    const { core, publisher } = await start()
    core.database.holding = true
    core.session.publish(withId(exchange, 'a', 'first'), publisher, 1)
    core.session.publish(withId(exchange, 'a', 'duplicate'), publisher, 2)
    const after = await core.afterPowerCut()
    expect(publisher.acceptances).toEqual([])
    after.session.publish(withId(exchange, 'a', 'again'), null, 0)
    expect(await drained(after, 'q')).toEqual(['again'])
  })

  it('are there with their messages when they are written', async () => {
    const { core, publisher } = await start()
    core.session.publish(withId(exchange, 'a', 'first'), publisher, 1)
    core.session.publish(withId(exchange, 'a', 'duplicate'), publisher, 2)
    await core.written()
    expect(new Set(publisher.acceptances)).toEqual(new Set([1, 2]))
    const after = await core.afterPowerCut()
    after.session.publish(withId(exchange, 'a', 'again'), null, 0)
    expect(await drained(after, 'q')).toEqual(['first'])
  })
})
