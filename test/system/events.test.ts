// What the broker tells of itself: amq.rabbitmq.event and amq.rabbitmq.log.
import { describe, expect, it } from 'vitest'
import { TABLE_DEPTH_MAX } from '../../src/amqp/wire/field-table.ts'
import type { Table } from '../support/field-values.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { RawChannel } from '../support/raw-client.ts'

const open = useOpenBroker()

/** A channel that consumes what goes to one of the exchanges under a pattern of keys. */
async function listener(exchange: string, pattern: string): Promise<RawChannel> {
  const channel = await open.channel()
  await channel.queue('told', { exclusive: true })
  await channel.bind('told', exchange, pattern)
  await channel.consume('told', { 'no-ack': true })
  return channel
}

/** Waits for the next event, and compares its headers. */
async function expectEvent(channel: RawChannel, key: string, headers: object): Promise<void> {
  const { properties, body } = await channel.expectDeliver({ exchange: 'amq.rabbitmq.event', 'routing-key': key })
  expect(properties['headers']).toMatchObject(headers)
  expect(body).toHaveLength(0)
}

describe('amq.rabbitmq.event', () => {
  it('tells of queues, exchanges and bindings, and who made them', async () => {
    const told = await listener('amq.rabbitmq.event', '*.*')
    const channel = await open.channel()
    await expectEvent(told, 'binding.created', { source_name: 'amq.rabbitmq.event' })
    await expectEvent(told, 'consumer.created', { queue: 'told', ack_required: false })
    const connected = { user: 'guest', vhost: '/', protocol: 'AMQP 0-9-1', ssl: false }
    await expectEvent(told, 'connection.created', { ...connected, type: 'network', node: 'leveret@localhost' })
    await expectEvent(told, 'channel.created', { number: 1n, user: 'guest' })
    const by = { vhost: '/', user_who_performed_action: 'guest' }
    await channel.queue('q', { durable: true })
    await expectEvent(told, 'queue.created', { ...by, name: 'q', durable: true, exclusive: false, type: 'classic' })
    await channel.exchange('x', 'topic')
    await expectEvent(told, 'exchange.created', { ...by, name: 'x', type: 'topic', internal: false })
    await channel.bind('q', 'x', 'k')
    const binding = { source_name: 'x', destination_name: 'q', destination_kind: 'queue', routing_key: 'k' }
    await expectEvent(told, 'binding.created', { ...by, ...binding })
    await channel.call('queue.delete', { queue: 'q' })
    await expectEvent(told, 'binding.deleted', { ...by, ...binding })
    await expectEvent(told, 'queue.deleted', { ...by, name: 'q' })
    await channel.call('exchange.delete', { exchange: 'x' })
    await expectEvent(told, 'exchange.deleted', { ...by, name: 'x' })
    await channel.close()
    await expectEvent(told, 'channel.closed', { number: 1n })
    await channel.client.close()
    await expectEvent(told, 'connection.closed', { user: 'guest', vhost: '/' })
  })

  it('tells of a connection without what its client says of itself, where that nests too deep for it', async () => {
    const told = await listener('amq.rabbitmq.event', 'connection.created')
    let deep: Table = {}
    for (let depth = 1; depth < TABLE_DEPTH_MAX; depth++) deep = { deep }
    await open.connect({ clientProperties: deep })
    const { properties } = await told.expectDeliver({ 'routing-key': 'connection.created' })
    expect(properties['headers']).toMatchObject({ user: 'guest', vhost: '/' })
    expect(properties['headers']).not.toHaveProperty('client_properties')
  })

  it('tells of consumers that come and go', async () => {
    const told = await listener('amq.rabbitmq.event', 'consumer.#')
    await expectEvent(told, 'consumer.created', { queue: 'told' })
    const channel = await open.channel()
    await channel.queue('q', { exclusive: true })
    await channel.consume('q', { 'consumer-tag': 'c' })
    await expectEvent(told, 'consumer.created', { queue: 'q', consumer_tag: 'c', ack_required: true })
    await channel.call('basic.cancel', { 'consumer-tag': 'c' })
    await expectEvent(told, 'consumer.deleted', { queue: 'q', consumer_tag: 'c' })
  })

  it('tells of users, permissions, policies and vhosts', async () => {
    const told = await listener('amq.rabbitmq.event', '#')
    await expectEvent(told, 'binding.created', {})
    await expectEvent(told, 'consumer.created', {})
    const { broker } = open
    await broker.access.putUser('ann', { password: 'ann' }, ['monitoring'])
    await expectEvent(told, 'user.created', { name: 'ann' })
    await expectEvent(told, 'user.tags.set', { name: 'ann', tags: ['monitoring'] })
    broker.access.putPermission('ann', '/', { configure: '', write: '.*', read: '.*' })
    await expectEvent(told, 'permission.created', { user: 'ann', vhost: '/', configure: '', write: '.*' })
    broker.access.deleteUser('ann')
    await expectEvent(told, 'permission.deleted', { user: 'ann' })
    await expectEvent(told, 'user.deleted', { name: 'ann' })
    await broker.createVHost('other', '')
    await expectEvent(told, 'vhost.created', { name: 'other', tracing: false })
    const policy = { kind: 'policy', vhost: 'other', name: 'p', operator: false, pattern: '.*' } as const
    broker.policies.put({ ...policy, applyTo: 'queues', priority: 1, definition: { 'max-length': 1 } })
    await expectEvent(told, 'policy.set', {
      name: 'p',
      vhost: 'other',
      pattern: '.*',
      'apply-to': 'queues',
      priority: 1n,
    })
    broker.deleteVHost('other')
    await expectEvent(told, 'policy.cleared', { name: 'p' })
    await expectEvent(told, 'vhost.deleted', { name: 'other' })
  })

  it('tells of limits, parameters and operator policies', async () => {
    const told = await listener('amq.rabbitmq.event', '#.limits.*')
    for (const key of ['parameter.*', 'operator.policy.*']) await told.bind('told', 'amq.rabbitmq.event', key)
    const { quotas, parameters, policies } = open.broker
    quotas.limitVHost('/', { maxQueues: 9 })
    await expectEvent(told, 'vhost.limits.set', { name: '/', 'max-queues': 9n })
    quotas.limitVHost('/', {})
    await expectEvent(told, 'vhost.limits.cleared', { name: '/' })
    quotas.limitUser('guest', { maxChannels: 9 })
    await expectEvent(told, 'user.limits.set', { name: 'guest', username: 'guest', 'max-channels': 9n })
    quotas.limitUser('guest', {})
    await expectEvent(told, 'user.limits.cleared', { name: 'guest', username: 'guest' })
    parameters.put('/', 'component', 'p', { a: 1 })
    await expectEvent(told, 'parameter.set', { vhost: '/', component: 'component', name: 'p', value: '{"a":1}' })
    parameters.delete('/', 'component', 'p')
    await expectEvent(told, 'parameter.cleared', { vhost: '/', component: 'component', name: 'p' })
    const policy = { kind: 'policy', vhost: '/', name: 'o', operator: true, pattern: '.*', priority: 0 } as const
    policies.put({ ...policy, applyTo: 'queues', definition: { 'max-length': 1 } })
    policies.delete('/', 'o', true)
    await expectEvent(told, 'operator.policy.cleared', { vhost: '/', name: 'o' })
  })

  it('tells of logins and of alarms', async () => {
    const told = await listener('amq.rabbitmq.event', 'user.authentication.*')
    await open.connect()
    await expectEvent(told, 'user.authentication.success', { name: 'guest', peer_host: '127.0.0.1' })
    const refused = await open.dial()
    await refused.protocolHeader().expect('connection.start')
    await refused.startOk({ password: 'wrong' }).expect('connection.close')
    await expectEvent(told, 'user.authentication.failure', { name: 'guest', peer_host: '127.0.0.1' })
    await told.bind('told', 'amq.rabbitmq.event', 'alarm.*')
    open.broker.alarms.raise('memory', 'limit')
    open.broker.alarms.clear('memory', 'limit')
    await expectEvent(told, 'alarm.set', { source: 'memory' })
    await expectEvent(told, 'alarm.cleared', { source: 'memory' })
  })

  it('takes nothing from clients', async () => {
    const channel = await open.channel()
    channel.publish({ exchange: 'amq.rabbitmq.event', 'routing-key': 'made.up' }, '')
    const sentence = "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.event' in vhost '/'"
    await channel.expectChannelClose(403, sentence, 'basic.publish')
  })

  it('is in the default vhost only', async () => {
    const { exchanges } = await open.broker.createVHost('other', '')
    expect(exchanges.has('amq.rabbitmq.event')).toBe(false)
    expect(open.broker.vhosts.get('/')!.exchanges.get('amq.rabbitmq.event')).toMatchObject({
      type: 'topic',
      internal: true,
    })
  })
})

describe('amq.rabbitmq.log', () => {
  it('has the lines of the log, by level', async () => {
    const told = await listener('amq.rabbitmq.log', 'info')
    const channel = await open.channel()
    const { properties, body } = await told.expectDeliver({ exchange: 'amq.rabbitmq.log', 'routing-key': 'info' })
    expect(body.toString()).toMatch(/^connection opened \{"peer":"127\.0\.0\.1:\d+","user":"guest","vhost":"\/"\}$/)
    expect(properties).toMatchObject({
      'content-type': 'text/plain',
      headers: { level: 'info', node: 'leveret@localhost' },
    })
    open.broker.logger.warn({ cause: new Error('a test') }, 'not for who listens to info')
    await channel.client.close()
    await told.bind('told', 'amq.rabbitmq.log', 'warning')
    open.broker.logger.warn({ cause: new Error('a test') }, 'something is wrong')
    const line = await told.expectDeliver({ 'routing-key': 'warning' })
    expect(line.body.toString()).toBe('something is wrong {"cause":"a test"}')
  })
})
