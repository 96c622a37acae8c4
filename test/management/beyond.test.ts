// What the API can do that RabbitMQ's cannot.
import { connect, type Channel, type ChannelModel } from 'amqplib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { items, useApi } from '../support/api.ts'

const api = useApi()
let client: ChannelModel
let channel: Channel

beforeEach(async () => {
  client = await connect(api.amqp)
  channel = await client.createChannel()
  await channel.assertQueue('from')
  await channel.assertQueue('to')
  await channel.purgeQueue('from')
  await channel.purgeQueue('to')
})
afterEach(() => client.close())

async function publish(...texts: string[]): Promise<void> {
  for (const payload of texts) {
    const properties = { message_id: payload, headers: { n: 1 } }
    await api.post('/api/exchanges/%2F/amq.default/publish', {
      routing_key: 'from',
      properties,
      payload,
      payload_encoding: 'string',
    })
  }
}

describe('the verdict on a queue', () => {
  async function verdict(): Promise<unknown> {
    return (await api.get('/api/queues/%2F/from/verdict')).body['verdict']
  }

  it('says why nothing moves', async () => {
    expect(await verdict()).toBe('empty')
    await publish('a', 'b')
    expect(await verdict()).toBe('no_consumer')
    await channel.prefetch(1)
    await new Promise<void>((resolve) => {
      void channel.consume('from', () => resolve())
    })
    expect(await verdict()).toBe('prefetch_full')
    await channel.purgeQueue('from')
    expect(await verdict()).toBe('all_delivered')
  })
})

describe('moving messages', () => {
  const move = (body: object) => api.post('/api/queues/%2F/from/move', body)

  it('takes them to another queue, in order, with their properties', async () => {
    await publish('a', 'b', 'c')
    expect((await move({ routing_key: 'to', count: 2 })).body).toEqual({ moved: 2 })
    const got = await api.post('/api/queues/%2F/to/get', { count: 9, ackmode: 'ack_requeue_false', encoding: 'auto' })
    expect(items(got.body).map((one) => one['payload'])).toEqual(['a', 'b'])
    expect(got.body[0]!['properties']).toMatchObject({ message_id: 'a', headers: { n: 1 } })
    expect((await move({ routing_key: 'to' })).body).toEqual({ moved: 1 })
    expect((await api.get('/api/queues/%2F/from')).body['messages']).toBe(0)
  })

  it('leaves them where they are when there is no such place', async () => {
    await publish('a')
    expect((await move({ routing_key: 'nowhere' })).status).toBe(400)
    expect((await move({ exchange: 'none', routing_key: '' })).status).toBe(404)
    expect((await move({ routing_key: 'from' })).status).toBe(400)
    expect((await api.get('/api/queues/%2F/from')).body).toMatchObject({ messages_ready: 1, messages: 1 })
  })

  it('leaves no queue longer than it may be when what was moved comes back', async () => {
    await channel.assertQueue('short', { maxLength: 1 })
    await channel.assertQueue('full', {
      maxLength: 0,
      arguments: { 'x-overflow': 'reject-publish-dlx' },
      deadLetterExchange: '',
      deadLetterRoutingKey: 'short',
    })
    const publishing = { routing_key: 'short', properties: {}, payload: 'a', payload_encoding: 'string' }
    await api.post('/api/exchanges/%2F/amq.default/publish', publishing)
    expect((await api.post('/api/queues/%2F/short/move', { routing_key: 'full' })).status).toBe(400)
    const counts = { messages_ready: 1, messages: 1 }
    expect((await api.get('/api/queues/%2F/short')).body).toMatchObject(counts)
  })
})
