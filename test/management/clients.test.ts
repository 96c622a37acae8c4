// Connections, channels and consumers as management sees them, with a real client.
import { once } from 'node:events'
import { connect, type ChannelModel, type ConfirmChannel } from 'amqplib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { items, useApi, word } from '../support/api.ts'

const api = useApi()
let client: ChannelModel
let channel: ConfirmChannel

beforeEach(async () => {
  client = await connect(api.amqp, { clientProperties: { connection_name: 'bench 7' } })
  client.on('error', () => undefined)
  channel = await client.createConfirmChannel()
  channel.on('error', () => undefined)
})
afterEach(async () => {
  await client.close().catch(() => undefined)
})

/** Consumes two messages of `held`, one of which stays with the consumer. */
async function hold(): Promise<void> {
  await channel.assertQueue('held')
  await channel.purgeQueue('held')
  await channel.prefetch(1)
  channel.sendToQueue('held', Buffer.from('first'))
  channel.sendToQueue('held', Buffer.from('second'))
  await channel.waitForConfirms()
  await new Promise<void>((resolve) => {
    void channel.consume('held', () => resolve(), { consumerTag: 'ct', exclusive: true })
  })
}

async function connectionName(): Promise<string> {
  return word(items((await api.get('/api/connections')).body)[0]!['name'])
}

describe('a client', () => {
  it('is shown with what it said of itself', async () => {
    const { body } = await api.get(`/api/connections/${encodeURIComponent(await connectionName())}`)
    expect(body).toMatchObject({
      name: expect.stringMatching(/^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/),
      user: 'guest',
      vhost: '/',
      protocol: 'AMQP 0-9-1',
      auth_mechanism: 'PLAIN',
      state: 'running',
      channels: 1,
      connected_at: api.clock.now(),
      user_provided_name: 'bench 7',
      client_properties: { product: 'amqplib', capabilities: { publisher_confirms: true } },
      ssl: false,
    })
    expect(Number(body['recv_oct'])).toBeGreaterThan(100)
  })

  it('is shown with its channel and its consumer', async () => {
    await hold()
    const [row] = items((await api.get('/api/channels')).body)
    expect(row).toMatchObject({
      number: 1,
      confirm: true,
      consumer_count: 1,
      prefetch_count: 1,
      messages_unacknowledged: 1,
      messages_unconfirmed: 0,
      message_stats: { publish: 2, confirm: 2, deliver: 1, deliver_get: 1, ack: 0 },
    })
    const { body: detail } = await api.get(`/api/channels/${encodeURIComponent(word(row!['name']))}`)
    expect(detail['consumer_details']).toMatchObject([
      {
        consumer_tag: 'ct',
        ack_required: true,
        exclusive: true,
        prefetch_count: 1,
        queue: { name: 'held', vhost: '/' },
      },
    ])
    expect(items((await api.get('/api/consumers')).body)).toHaveLength(1)
    const { body: queue } = await api.get('/api/queues/%2F/held')
    expect(queue).toMatchObject({
      messages: 2,
      messages_ready: 1,
      messages_unacknowledged: 1,
      message_bytes_ready: 6,
      message_bytes_unacknowledged: 5,
      consumers: 1,
      exclusive_consumer_tag: 'ct',
    })
    expect((await api.get('/api/queues/%2F/held/unacked')).body).toMatchObject([
      { delivery_tag: 1, consumer_tag: 'ct', payload_bytes: 5 },
    ])
  })

  it('is told why it is closed', async () => {
    const closed = once(client, 'close') as Promise<[Error]>
    const path = `/api/connections/${encodeURIComponent(await connectionName())}`
    expect((await api.delete(path, { headers: { 'x-reason': 'maintenance' } })).status).toBe(204)
    const [error] = await closed
    expect(error.message).toContain('CONNECTION_FORCED - maintenance')
  })

  it('is closed when its vhost is deleted', async () => {
    await api.put('/api/vhosts/short')
    const guest = await connect(`${api.amqp}/short`)
    guest.on('error', () => undefined)
    const closed = once(guest, 'close')
    expect((await api.delete('/api/vhosts/short')).status).toBe(204)
    await closed
    expect((await api.get('/api/vhosts/short')).status).toBe(404)
  })

  it('is closed when its user is deleted, consumers and all, and the others stay', async () => {
    await api.put('/api/users/leaver', { password: 'leaver', tags: '' })
    await api.put('/api/permissions/%2F/leaver', { configure: '.*', write: '.*', read: '.*' })
    const leaver = await connect(api.amqp.replace('guest:guest', 'leaver:leaver'))
    const closed = once(leaver, 'close') as Promise<[Error]>
    const theirs = await leaver.createChannel()
    await theirs.assertQueue('watched', { durable: false })
    await theirs.consume('watched', () => undefined)
    expect((await api.delete('/api/users/leaver')).status).toBe(204)
    expect((await closed)[0].message).toContain("CONNECTION_FORCED - user 'leaver' is deleted")
    const { messageCount, consumerCount } = await channel.checkQueue('watched')
    expect([messageCount, consumerCount]).toEqual([0, 0])
  })

  it('is shown to others only when they monitor', async () => {
    await api.put('/api/users/manager', { password: 'manager', tags: 'management' })
    const name = encodeURIComponent(await connectionName())
    expect((await api.get('/api/connections', { user: 'manager' })).body).toEqual([])
    expect((await api.get(`/api/connections/${name}`, { user: 'manager' })).status).toBe(401)
    expect((await api.delete(`/api/connections/${name}`, { user: 'manager' })).status).toBe(401)
    expect((await api.get('/api/connections/username/guest')).body).toMatchObject([{ user: 'guest', vhost: '/' }])
  })
})

describe('rates', () => {
  it('are those of the last five seconds, with the samples that are asked for', async () => {
    await channel.assertQueue('rated')
    api.clock.advance(5000)
    for (let i = 0; i < 10; i++) channel.sendToQueue('rated', Buffer.from('x'))
    await channel.waitForConfirms()
    const rated = async () => (await api.get('/api/queues/%2F/rated?lengths_age=10&lengths_incr=5')).body
    await rated()
    api.clock.advance(5000)
    // Samples are taken in slices.
    await expect.poll(rated).toMatchObject({ message_stats: { publish: 10, publish_details: { rate: 2 } } })
    expect((await rated())['messages_ready_details']).toMatchObject({ rate: 2, samples: [{ sample: 10 }, {}, {}] })
    const overview = (await api.get('/api/overview?msg_rates_age=60&msg_rates_incr=5')).body
    expect(overview['message_stats']!['publish_details']).toMatchObject({ rate: 2 })
    expect(items(overview['message_stats']!['publish_details']!['samples'])).toHaveLength(13)
    expect(overview['queue_totals']).toMatchObject({ messages_ready: expect.any(Number) })
    expect((await api.get('/api/queues/%2F/rated?lengths_age=60000&lengths_incr=5')).status).toBe(400)
    expect((await api.get('/api/vhosts/%2F')).body['message_stats']).toMatchObject({ publish_details: { rate: 2 } })
  })
})
