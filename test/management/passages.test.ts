// Who publishes where, and who gets what: the lists within queues, exchanges and channels.
import { connect, type ChannelModel, type ConfirmChannel } from 'amqplib'
import { beforeAll, describe, expect, it } from 'vitest'
import { items, useApi, word, type Body } from '../support/api.ts'

const api = useApi()
let client: ChannelModel
let channel: ConfirmChannel
/** The channel's path in the API. */
let path: string

async function got(what: string): Promise<Body> {
  return (await api.get(`/api/${what}`)).body
}

async function publish(exchange: string, key: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) channel.publish(exchange, key, Buffer.from('x'))
  await channel.waitForConfirms()
}

beforeAll(async () => {
  client = await connect(api.amqp)
  channel = await client.createConfirmChannel()
  await channel.assertQueue('a')
  await channel.assertQueue('b')
  await channel.bindQueue('a', 'amq.fanout', '')
  await channel.bindQueue('b', 'amq.fanout', '')
  const [open] = items(await got('channels'))
  path = `channels/${encodeURIComponent(word(open!['name']))}`
  await publish('amq.fanout', '', 2)
  await publish('', 'a', 3)
  await publish('amq.fanout', '', 1)
})

describe('publishes', () => {
  it('are told apart by exchange in a channel and in a queue', async () => {
    const vhost = '/'
    expect((await got(path))['publishes']).toMatchObject([
      { exchange: { name: 'amq.fanout', vhost }, stats: { publish: 3, publish_details: { rate: 0 } } },
      { exchange: { name: '', vhost }, stats: { publish: 3 } },
    ])
    expect((await got('queues/%2F/a'))['incoming']).toMatchObject([
      { exchange: { name: 'amq.fanout', vhost }, stats: { publish: 3 } },
      { exchange: { name: '', vhost }, stats: { publish: 3 } },
    ])
    expect((await got('queues/%2F/b'))['incoming']).toMatchObject([{ stats: { publish: 3 } }])
  })

  it('are told apart by channel and by queue in an exchange', async () => {
    expect(await got('exchanges/%2F/amq.fanout')).toMatchObject({
      incoming: [{ channel_details: { number: 1, user: 'guest' }, stats: { publish: 3 } }],
      outgoing: [
        { queue: { name: 'a', vhost: '/' }, stats: { publish: 3 } },
        { queue: { name: 'b', vhost: '/' }, stats: { publish: 3 } },
      ],
    })
    expect(await got('exchanges/%2F/amq.topic')).toMatchObject({ incoming: [], outgoing: [] })
  })

  it('have a rate once somebody has asked for them', async () => {
    await got('queues/%2F/b')
    await publish('amq.fanout', '', 10)
    api.clock.advance(5000)
    const rate = async (): Promise<unknown> => {
      const [row] = items((await got('queues/%2F/b'))['incoming'])
      return row!['stats']!['publish_details']!['rate']
    }
    await expect.poll(rate).toBe(2)
  })
})

describe('deliveries', () => {
  it('are told apart by channel in a queue, and by queue in a channel', async () => {
    const received = new Promise<void>((resolve) => {
      let count = 0
      void channel.consume('b', (message) => {
        if (message !== null && ++count <= 4) channel.ack(message)
        if (count === 13) resolve()
      })
    })
    await received
    // Behind the acknowledgements.
    await channel.checkQueue('b')
    const stats = { ack: 4, deliver: 13, deliver_get: 13, deliver_no_ack: 0, redeliver: 0, ack_details: { rate: 0 } }
    expect((await got('queues/%2F/b'))['deliveries']).toMatchObject([{ channel_details: { number: 1 }, stats }])
    expect((await got(path))['deliveries']).toMatchObject([{ queue: { name: 'b', vhost: '/' }, stats }])
  })
})

describe('what publishers are told', () => {
  it('is told apart by exchange', async () => {
    const second = await client.createConfirmChannel()
    await second.assertQueue('c')
    for (const [exchange, key] of [
      ['', 'c'],
      ['amq.direct', 'nowhere'],
      ['', 'c'],
      ['', 'nowhere'],
      ['amq.direct', 'nowhere'],
    ] as const) {
      second.publish(exchange, key, Buffer.from('x'), { mandatory: exchange === 'amq.direct' })
    }
    await second.waitForConfirms()
    const open = items(await got('channels')).find((one) => one['number'] === (2 as unknown as Body))
    const { publishes } = await got(`channels/${encodeURIComponent(word(open!['name']))}`)
    const stats = (published: number, returned: number, dropped: number) => ({
      ...{ publish: published, confirm: published, return_unroutable: returned, drop_unroutable: dropped },
      confirm_details: { rate: 0 },
    })
    expect(publishes).toMatchObject([
      { exchange: { name: '' }, stats: stats(3, 0, 1) },
      { exchange: { name: 'amq.direct' }, stats: stats(2, 2, 0) },
    ])
    expect((await got('exchanges/%2F/amq.direct'))['incoming']).toMatchObject([{ stats: stats(2, 2, 0) }])
    await second.close()
  })
})

describe('what is fetched', () => {
  it('is told apart by channel in a queue, and by queue in a channel', async () => {
    await channel.assertQueue('d')
    await publish('', 'd', 3)
    await channel.get('d', { noAck: true })
    const first = await channel.get('d')
    if (first !== false) channel.nack(first)
    const again = await channel.get('d')
    if (again !== false) channel.ack(again)
    await channel.get('d', { noAck: true })
    await channel.get('d')
    const stats = {
      ...{ get: 2, get_no_ack: 2, get_empty: 1, deliver: 0, deliver_no_ack: 0, deliver_get: 4, redeliver: 1, ack: 1 },
      get_details: { rate: 0 },
    }
    expect((await got('queues/%2F/d'))['deliveries']).toMatchObject([{ channel_details: { number: 1 }, stats }])
    const rows = items((await got(path))['deliveries'])
    expect(rows.find((row) => row['queue']!['name'] === ('d' as unknown as Body))).toMatchObject({ stats })
  })
})

describe('consumers of a queue with a single active one', () => {
  it('say who waits', async () => {
    await channel.assertQueue('single', { arguments: { 'x-single-active-consumer': true } })
    await channel.consume('single', () => undefined, { consumerTag: 'first' })
    await channel.consume('single', () => undefined, { consumerTag: 'second' })
    const queue = await got('queues/%2F/single')
    expect(queue['single_active_consumer_tag']).toBe('first')
    expect(queue['consumer_details']).toMatchObject([
      { consumer_tag: 'first', active: true, activity_status: 'single_active' },
      { consumer_tag: 'second', active: false, activity_status: 'waiting' },
    ])
  })
})
