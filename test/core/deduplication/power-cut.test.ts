// A message and the id that is remembered of it are one fact on disk.
import { describe, expect, it } from 'vitest'
import { encodeProperties } from '../../../src/amqp/wire/properties.ts'
import { Message } from '../../../src/core/message.ts'
import type { FieldTable, FieldValue } from '../../../src/core/value.ts'
import { longstr, signedint, table } from '../../support/core.ts'
import { drained, DurableCore } from '../../support/durable-core.ts'
import { bindingTerms } from '../../support/sessions.ts'
import { NotingPublisher } from '../../support/store.ts'

const ON: Record<string, FieldValue> = { 'x-message-deduplication': { type: 'bool', value: true } }

function withId(exchange: string, id: string, body: string): Message {
  const headers: FieldTable = new Map([['x-deduplication-header', longstr(id)]])
  const properties = encodeProperties({ headers, deliveryMode: 2 })
  const facts = { persistent: true, priority: 0, expirationMs: -1, headers: true }
  const bytes = Buffer.from(body)
  return new Message(exchange, 'q', facts, properties, 0, properties.length, bytes, 0, bytes.length, true)
}

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
