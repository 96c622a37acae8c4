// Every operation of AMQP 0-9-1 × every right that it needs: refused without it, and done with it.
import { describe, expect, it } from 'vitest'
import { classes } from '../../spec/amqp.ts'
import type { FieldsInput } from '../support/codec.ts'
import { useOpenBroker, type OpenBroker } from '../support/open-broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const open = useOpenBroker()

type Right = 'configure' | 'write' | 'read'
type Need = readonly [right: Right, kind: 'queue' | 'exchange', name: string]

interface Operation {
  readonly method: string
  readonly title?: string
  readonly fields: FieldsInput
  readonly needs: readonly Need[]
}

const withAlternate = { 'alternate-exchange': 'alternate' }
const withDeadLetters = { 'x-dead-letter-exchange': 'graves' }

/** RabbitMQ's table of operations and rights. */
const OPERATIONS: readonly Operation[] = [
  {
    method: 'exchange.declare',
    fields: { exchange: 'new', type: 'direct' },
    needs: [['configure', 'exchange', 'new']],
  },
  {
    method: 'exchange.declare',
    title: 'of one that exists',
    fields: { exchange: 'source', type: 'direct' },
    needs: [['configure', 'exchange', 'source']],
  },
  {
    method: 'exchange.declare',
    title: 'with an alternate exchange',
    fields: { exchange: 'new', type: 'direct', arguments: withAlternate },
    needs: [
      ['configure', 'exchange', 'new'],
      ['read', 'exchange', 'new'],
      ['write', 'exchange', 'alternate'],
    ],
  },
  { method: 'exchange.delete', fields: { exchange: 'source' }, needs: [['configure', 'exchange', 'source']] },
  ...['exchange.bind', 'exchange.unbind'].map((method): Operation => ({
    method,
    fields: { destination: 'target', source: 'source', 'routing-key': 'k' },
    needs: [
      ['write', 'exchange', 'target'],
      ['read', 'exchange', 'source'],
    ],
  })),
  { method: 'queue.declare', fields: { queue: 'new' }, needs: [['configure', 'queue', 'new']] },
  {
    method: 'queue.declare',
    title: 'of one that exists',
    fields: { queue: 'q' },
    needs: [['configure', 'queue', 'q']],
  },
  {
    method: 'queue.declare',
    title: 'with a dead-letter exchange',
    fields: { queue: 'new', arguments: withDeadLetters },
    needs: [
      ['configure', 'queue', 'new'],
      ['read', 'queue', 'new'],
      ['write', 'exchange', 'graves'],
    ],
  },
  { method: 'queue.delete', fields: { queue: 'q' }, needs: [['configure', 'queue', 'q']] },
  ...['queue.bind', 'queue.unbind'].map((method): Operation => ({
    method,
    fields: { queue: 'q', exchange: 'source', 'routing-key': 'k' },
    needs: [
      ['write', 'queue', 'q'],
      ['read', 'exchange', 'source'],
    ],
  })),
  { method: 'queue.purge', fields: { queue: 'q' }, needs: [['read', 'queue', 'q']] },
  { method: 'basic.get', fields: { queue: 'q' }, needs: [['read', 'queue', 'q']] },
  { method: 'basic.consume', fields: { queue: 'q' }, needs: [['read', 'queue', 'q']] },
  { method: 'basic.publish', fields: { exchange: 'source' }, needs: [['write', 'exchange', 'source']] },
  {
    method: 'basic.publish',
    title: 'to the default exchange',
    fields: { exchange: '', 'routing-key': 'q' },
    needs: [['write', 'exchange', 'amq.default']],
  },
]

/** Of these any right will do. */
const PASSIVE: readonly Operation[] = [
  { method: 'queue.declare', fields: { queue: 'q', passive: true }, needs: [['configure', 'queue', 'q']] },
  {
    method: 'exchange.declare',
    fields: { exchange: 'source', passive: true },
    needs: [['configure', 'exchange', 'source']],
  },
]

/** What needs no right, sent by a user who has none. */
const FREE: readonly (readonly [method: string, fields: FieldsInput])[] = [
  ['basic.qos', { 'prefetch-count': 1 }],
  ['basic.consume', { queue: 'amq.rabbitmq.reply-to', 'no-ack': true }],
  ['basic.cancel', { 'consumer-tag': 'none' }],
  ['basic.recover', { requeue: true }],
  ['confirm.select', {}],
  ['tx.select', {}],
  ['tx.commit', {}],
  ['tx.rollback', {}],
  ['channel.flow', { active: true }],
  ['access.request', {}],
  ['channel.close', {}],
]

/** Settling: what may be settled was delivered, and that needed its right. And what opens channels and connections. */
const ELSEWHERE = ['basic.ack', 'basic.nack', 'basic.reject', 'basic.recover-async', 'channel.open']

/** Everything but one name. */
const allBut = (name: string): string => `^(?!${name.replaceAll('.', String.raw`\.`)}$)`

/** What the operations are about, made by somebody who may. */
async function furnish(broker: OpenBroker): Promise<void> {
  const channel = await broker.channel()
  await channel.queue('q')
  for (const exchange of ['source', 'target', 'alternate', 'graves']) await channel.exchange(exchange)
  await channel.client.close()
}

async function channelOf(rights: Partial<Record<Right, string>>): Promise<RawChannel> {
  await open.user('ann', rights)
  return open.channel({ user: 'ann', password: 'ann' })
}

function send(channel: RawChannel, { method, fields }: Operation): void {
  channel.send(method, fields)
  if (method === 'basic.publish') channel.header(0)
}

const name = ({ method, title }: Operation): string => (title === undefined ? method : `${method} ${title}`)

describe.each(OPERATIONS.map((operation) => [name(operation), operation] as const))('%s', (_name, operation) => {
  it.each(operation.needs)('is refused without the right to %s %s %s', async (right, kind, resource) => {
    await furnish(open)
    const channel = await channelOf({ [right]: allBut(resource) })
    send(channel, operation)
    const text = `ACCESS_REFUSED - ${right} access to ${kind} '${resource}' in vhost '/' refused for user 'ann'`
    await channel.expectChannelClose(403, text, operation.method)
  })

  it('needs no other right', async () => {
    await furnish(open)
    const rights: Record<Right, string[]> = { configure: [], write: [], read: [] }
    for (const [right, , resource] of operation.needs) rights[right].push(resource.replaceAll('.', String.raw`\.`))
    const only = (right: Right): string => (rights[right].length === 0 ? '' : `^(${rights[right].join('|')})$`)
    const channel = await channelOf({ configure: only('configure'), write: only('write'), read: only('read') })
    send(channel, operation)
    await channel.client.openChannel(2)
    expect(channel.client.waiting(1)).toBeLessThanOrEqual(1)
    if (channel.client.waiting(1) > 0) {
      const { method } = await channel.client.nextOn(1)
      expect(method).not.toBe('channel.close')
    }
  })
})

describe('queue.declare of a queue that the broker names', () => {
  it('is refused without the right to configure the name that it would have', async () => {
    const channel = await channelOf({ configure: '^mine' })
    channel.send('queue.declare', { queue: '' })
    const text =
      /^ACCESS_REFUSED - configure access to queue 'amq\.gen-[\w-]{22}' in vhost '\/' refused for user 'ann'$/
    await channel.expectChannelClose(403, text, 'queue.declare')
  })

  it('needs no other right', async () => {
    const channel = await channelOf({ configure: '^amq\\.gen-', write: '', read: '' })
    await channel.call('queue.declare', { queue: '' })
  })
})

describe.each(PASSIVE.map((operation) => [operation.method, operation] as const))('passive %s', (_name, operation) => {
  const [[, kind, resource]] = operation.needs as [Need]

  it('is refused to whoever has no right over the name', async () => {
    await furnish(open)
    const rest = allBut(resource)
    const channel = await channelOf({ configure: rest, write: rest, read: rest })
    send(channel, operation)
    const text = `ACCESS_REFUSED - configure access to ${kind} '${resource}' in vhost '/' refused for user 'ann'`
    await channel.expectChannelClose(403, text, operation.method)
  })

  it.each<Right>(['configure', 'write', 'read'])('may be done with the right to %s', async (right) => {
    await furnish(open)
    const none = { configure: '', write: '', read: '' }
    const channel = await channelOf({ ...none, [right]: `^${resource}$` })
    send(channel, operation)
    await channel.expect(`${operation.method}-ok`)
  })
})

describe('the user-id of a message', () => {
  it('may be that of another user for an impersonator, and for nobody else', async () => {
    await furnish(open)
    const refused = "PRECONDITION_FAILED - user_id property set to 'bea' but authenticated user was 'ann'"
    const channel = await channelOf({})
    channel.publish({ 'routing-key': 'q' }, 'forged', { 'user-id': 'bea' })
    await channel.expectChannelClose(406, refused, 'basic.publish')
    await open.user('ann', {}, ['impersonator'])
    const trusted = await open.channel({ user: 'ann', password: 'ann' })
    trusted.publish({ 'routing-key': 'q' }, 'in her name', { 'user-id': 'bea' })
    expect((await trusted.get('q', true)).properties).toEqual({ 'user-id': 'bea' })
  })
})

describe('without any right', () => {
  it.each(FREE)('%s %j may be sent', async (method, fields) => {
    const channel = await channelOf({ configure: '', write: '', read: '' })
    if (method === 'tx.commit' || method === 'tx.rollback') await channel.call('tx.select')
    await channel.call(method, fields)
  })
})

describe('this list', () => {
  it('has every method that a client may send on a channel', () => {
    const listed = new Set([...OPERATIONS, ...PASSIVE].map(({ method }) => method))
    for (const [method] of FREE) listed.add(method)
    for (const method of ELSEWHERE) listed.add(method)
    const sent: string[] = []
    for (const { name: group, methods } of classes) {
      if (group === 'connection') continue
      for (const one of methods) {
        const asked = one.direction === 'client' || one.direction === 'both'
        if (asked && !one.name.endsWith('-ok')) sent.push(`${group}.${one.name}`)
      }
    }
    expect(sent.filter((method) => !listed.has(method))).toEqual([])
  })
})
