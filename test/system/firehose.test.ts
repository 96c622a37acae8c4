// The firehose: what happens in a vhost, told to amq.rabbitmq.trace.
import { beforeEach, describe, expect, it } from 'vitest'
import { TABLE_DEPTH_MAX, TABLE_VALUES_MAX } from '../../src/amqp/wire/field-table.ts'
import type { Table } from '../support/field-values.ts'
import { useOpenBroker } from '../support/open-broker.ts'
import type { Delivered, RawChannel } from '../support/raw-client.ts'

const open = useOpenBroker()
let trace: RawChannel

beforeEach(async () => {
  trace = await open.channel()
  await trace.queue('trace', { exclusive: true })
  await trace.bind('trace', 'amq.rabbitmq.trace', '#')
  await trace.consume('trace', { 'no-ack': true })
  on()
})

function on(tracing = true): void {
  open.broker.updateVHost(open.broker.vhosts.get('/')!, { tracing })
}

/** A table of so many tables within each other. */
function nested(depth: number): Table {
  return depth === 0 ? {} : { n: nested(depth - 1) }
}

/** The next message of the trace, under this key. */
function next(key: string): Promise<Delivered> {
  return trace.expectDeliver({ exchange: 'amq.rabbitmq.trace', 'routing-key': key })
}

async function working(): Promise<RawChannel> {
  const channel = await open.channel()
  await channel.queue('q', { exclusive: true })
  return channel
}

describe('a vhost that is traced', () => {
  it('tells of each publish, with its properties and where it went', async () => {
    const channel = await working()
    await channel.bind('q', 'amq.direct', 'k')
    channel.publish({ exchange: 'amq.direct', 'routing-key': 'k' }, 'body', {
      'content-type': 'text/plain',
      'delivery-mode': 2,
      headers: { a: 1 },
    })
    const { properties, body } = await next('publish.amq.direct')
    expect(body.toString()).toBe('body')
    expect(properties['headers']).toMatchObject({
      exchange_name: 'amq.direct',
      routing_keys: ['k'],
      properties: { content_type: 'text/plain', delivery_mode: 2, headers: { a: 1 } },
      node: 'leveret@localhost',
      vhost: '/',
      connection: expect.stringMatching(/^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/),
      channel: 1,
      user: 'guest',
      routed_queues: ['q'],
    })
  })

  it('tells of the queues that the default exchange was to reach, be they there or not', async () => {
    const channel = await working()
    channel.publish({ 'routing-key': 'q' }, '1', { headers: { CC: ['absent', 'q'] } })
    expect((await next('publish.')).properties['headers']).toMatchObject({ routed_queues: ['absent', 'q'] })
    channel.publish({ 'routing-key': 'absent' }, '2')
    expect((await next('publish.')).properties['headers']).toMatchObject({ routed_queues: ['absent'] })
    channel.publish({ exchange: 'amq.direct', 'routing-key': 'absent' }, '3')
    expect((await next('publish.amq.direct')).properties['headers']).toMatchObject({ routed_queues: [] })
  })

  it('tells of every publish, also of those that go the way of the last', async () => {
    const channel = await working()
    for (const body of ['1', '2', '3']) channel.publish({ 'routing-key': 'q' }, body)
    for (const body of ['1', '2', '3']) expect((await next('publish.')).body.toString()).toBe(body)
  })

  it('tells of deliveries to consumers, and of their acknowledgement', async () => {
    const channel = await working()
    await channel.consume('q')
    channel.publish({ 'routing-key': 'q' }, 'body')
    const { tag } = await channel.expectDeliver({}, 'body')
    channel.send('basic.ack', { 'delivery-tag': tag })
    await next('publish.')
    const { properties, body } = await next('deliver.q')
    expect(body.toString()).toBe('body')
    expect(properties['headers']).toMatchObject({
      exchange_name: '',
      routing_keys: ['q'],
      redelivered: 0,
      user: 'guest',
    })
    const ack = await next('ack.q')
    expect(ack.body).toHaveLength(0)
    expect(ack.properties['headers']).toMatchObject({ routing_keys: ['q'], channel: 1 })
  })

  it('tells of messages that were got, given back, got again and rejected to their dead-letter exchange', async () => {
    const channel = await open.channel()
    const dead = { 'x-dead-letter-exchange': 'amq.fanout' }
    await channel.queue('q', { exclusive: true, arguments: dead })
    channel.publish({ 'routing-key': 'q' }, 'body')
    const { tag } = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    const again = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': again.tag })
    await next('publish.')
    await next('deliver.q')
    await next('requeue.q')
    expect((await next('deliver.q')).properties['headers']).toMatchObject({ redelivered: 1 })
    const letter = await next('dead_letter.q')
    expect(letter.body.toString()).toBe('body')
    expect(letter.properties['headers']).toMatchObject({ reason: 'rejected', dead_letter_exchange: 'amq.fanout' })
    await next('reject.q')
  })

  it.each([
    ['deep', nested(TABLE_DEPTH_MAX - 1)],
    ['many', { w: new Array<null>(TABLE_VALUES_MAX - 1).fill(null) }],
  ])('tells of messages whose headers are as %s as they may be, without them', async (_how, headers) => {
    const channel = await open.channel()
    await channel.queue('dead', { exclusive: true })
    const buried = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
    await channel.queue('q', { exclusive: true, arguments: buried })
    channel.publish({ 'routing-key': 'q' }, 'body', { headers })
    const { tag } = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: false })
    for (const key of ['publish.', 'deliver.q', 'dead_letter.q', 'reject.q']) {
      const { properties } = await next(key)
      expect(properties['headers']).toMatchObject({ exchange_name: '', routing_keys: ['q'], properties: {} })
    }
    expect((await channel.get('dead', true)).body.toString()).toBe('body')
  })

  it('tells nothing any more when tracing is switched off', async () => {
    const channel = await working()
    channel.publish({ 'routing-key': 'q' }, 'seen')
    await next('publish.')
    on(false)
    channel.publish({ 'routing-key': 'q' }, 'unseen')
    await channel.get('q', true)
    await channel.get('q', true)
    on()
    channel.publish({ 'routing-key': 'q' }, 'seen again')
    expect((await next('publish.')).body.toString()).toBe('seen again')
  })

  it('traces connections and channels that come later as well', async () => {
    const channel = await (await open.connect()).openChannel(7)
    await channel.queue('q', { exclusive: true })
    channel.publish({ 'routing-key': 'q' }, 'body')
    await channel.get('q', true)
    expect((await next('publish.')).properties['headers']).toMatchObject({ channel: 7 })
    expect((await next('deliver.q')).properties['headers']).toMatchObject({ channel: 7 })
  })
})
