// Looking at the messages of a queue, and doing something with single ones.
import {
  connect,
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  type GetMessage,
} from 'amqplib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { items, useApi, word, type Body } from '../support/api.ts'

const api = useApi()
const Q = '/api/queues/%2F/q'
let client: ChannelModel
let channel: ConfirmChannel

beforeEach(async () => {
  client = await connect(api.amqp)
  channel = await client.createConfirmChannel()
  await channel.assertQueue('q', { durable: true })
})
afterEach(async () => {
  for (const queue of items((await api.get('/api/queues')).body)) await channel.deleteQueue(word(queue['name']))
  await client.close()
})

async function publish(queue: string, ...texts: string[]): Promise<void> {
  for (const text of texts) channel.sendToQueue(queue, Buffer.from(text), { headers: { kind: text.slice(0, 1) } })
  await channel.waitForConfirms()
}

async function peeked(query = '', queue = 'q'): Promise<Body> {
  const { status, body } = await api.get(`/api/queues/%2F/${queue}/messages${query}`)
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}

function payloads(body: Body): unknown[] {
  return items(body['messages']).map((message) => message['payload'])
}

async function got(from: Channel, queue: string): Promise<GetMessage> {
  const message = await from.get(queue)
  if (message === false) throw new Error(`nothing in ${queue}`)
  return message
}

describe('looking at messages', () => {
  it('shows them in order and leaves them as they are', async () => {
    await publish('q', 'a1', 'b2', 'a3')
    const body = await peeked()
    expect(payloads(body)).toEqual(['a1', 'b2', 'a3'])
    expect(body).toMatchObject({ cursor: null, scanned: 3, ready: 3, unacked: 0, delayed: 0 })
    expect(body['messages']![0]).toMatchObject({
      position: 0,
      redelivered: false,
      exchange: '',
      routing_key: 'q',
      payload_bytes: 2,
      payload_encoding: 'string',
      properties: { headers: { kind: 'a' } },
    })
    expect((await got(channel, 'q')).fields.redelivered).toBe(false)
  })

  it('goes on where it ended, and skips', async () => {
    await publish('q', 'a', 'b', 'c', 'd', 'e')
    const first = await peeked('?count=2')
    expect(payloads(first)).toEqual(['a', 'b'])
    expect(payloads(await peeked(`?count=2&cursor=${word(first['cursor'])}`))).toEqual(['c', 'd'])
    expect(payloads(await peeked('?offset=3'))).toEqual(['d', 'e'])
  })

  it('finds those with a header or a text, and says how far it has looked', async () => {
    await publish('q', 'a1', 'b2', 'a3', 'b1')
    expect(payloads(await peeked('?header=kind=a'))).toEqual(['a1', 'a3'])
    expect(payloads(await peeked('?header=kind&text=1'))).toEqual(['a1', 'b1'])
    expect(payloads(await peeked('?header=other'))).toEqual([])
    const bounded = await peeked('?text=b1&scan=2')
    expect(payloads(bounded)).toEqual([])
    expect(bounded['scanned']).toBe(2)
    expect(payloads(await peeked(`?text=b1&scan=2&cursor=${word(bounded['cursor'])}`))).toEqual(['b1'])
  })

  it('shows priorities in the order in which they are delivered', async () => {
    await channel.assertQueue('p', { maxPriority: 5 })
    for (const priority of [1, 5, 3, 5]) {
      channel.sendToQueue('p', Buffer.from(String(priority)), { priority })
    }
    await channel.waitForConfirms()
    expect(payloads(await peeked('', 'p'))).toEqual(['5', '5', '3', '1'])
    const first = await peeked('?count=1', 'p')
    expect(payloads(await peeked(`?cursor=${word(first['cursor'])}`, 'p'))).toEqual(['5', '3', '1'])
  })

  it('shows what is unacknowledged, with whom and for how long', async () => {
    await publish('q', 'a', 'b')
    const arrived = new Promise<void>((resolve) => {
      const received = (message: ConsumeMessage | null): void => {
        if (message?.content.toString() === 'b') resolve()
      }
      void channel.consume('q', received, { consumerTag: 'c' })
    })
    await arrived
    // Samples are taken in slices: one may still be under way when the next falls due.
    await vi.waitFor(
      async () => {
        api.clock.advance(5000)
        const [row] = items((await api.get(`${Q}/unacked`)).body)
        expect(row!['unacked_seconds']).toBeGreaterThanOrEqual(60)
      },
      { timeout: 20_000, interval: 10 },
    )
    const body = await peeked('?state=unacked')
    expect(payloads(body)).toEqual(['a', 'b'])
    expect(body['messages']![0]).toMatchObject({ consumer_tag: 'c', delivery_tag: 1 })
    expect(body['messages']![0]!['unacked_seconds']).toBeGreaterThanOrEqual(60)
    const rows = (await api.get(`${Q}/unacked`)).body
    expect(rows[1]).toMatchObject({ consumer_tag: 'c', delivery_tag: 2, user: 'guest' })
  })

  it('refuses what makes no sense', async () => {
    for (const query of ['state=x', 'count=-1', 'offset=a', 'cursor=1', 'encoding=x', 'scan=1.5']) {
      expect((await api.get(`${Q}/messages?${query}`)).status, query).toBe(400)
    }
    expect((await api.get('/api/queues/%2F/none/messages')).status).toBe(404)
  })

  it('is for those who may read', async () => {
    await api.put('/api/users/blind', { password: 'blind', tags: 'management' })
    await api.put('/api/permissions/%2F/blind', { configure: '.*', write: '.*', read: '' })
    for (const [method, path] of [
      ['GET', 'messages'],
      ['POST', 'messages/delete'],
      ['POST', 'messages/return'],
      ['POST', 'copy'],
    ] as const) {
      const body = method === 'GET' ? undefined : { all: true, routing_key: 'q' }
      expect((await api.call(method, `${Q}/${path}`, { user: 'blind', body })).status, path).toBe(401)
    }
  })
})

describe('deleting messages', () => {
  it('deletes those that are named, and no others', async () => {
    await publish('q', 'a', 'b', 'c', 'd')
    expect((await api.post(`${Q}/messages/delete`, { positions: [1, 3, 99] })).body).toEqual({ deleted: 2 })
    expect(payloads(await peeked())).toEqual(['a', 'c'])
    expect((await got(channel, 'q')).content.toString()).toBe('a')
    expect((await got(channel, 'q')).content.toString()).toBe('c')
  })

  it('deletes those that are found', async () => {
    await publish('q', 'a1', 'b2', 'a3')
    expect((await api.post(`${Q}/messages/delete`, { header: 'kind=a' })).body).toEqual({ deleted: 2 })
    expect(payloads(await peeked())).toEqual(['b2'])
  })

  it('deletes one that waits before it is delivered again', async () => {
    const args = { 'x-queue-type': 'quorum', 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': 60_000 }
    await channel.assertQueue('retried', { arguments: args })
    await publish('retried', 'a')
    channel.nack(await got(channel, 'retried'))
    await channel.checkQueue('retried')
    const body = await peeked('?state=delayed', 'retried')
    expect(payloads(body)).toEqual(['a'])
    expect(body['messages']![0]!['due_at']).toBe(api.clock.now() + 60_000)
    expect((await api.get('/api/queues/%2F/retried/verdict')).body['verdict']).toBe('delayed')
    const deletion = { positions: [0] }
    expect((await api.post('/api/queues/%2F/retried/messages/delete', deletion)).body).toEqual({ deleted: 1 })
    api.clock.advance(60_000)
    expect(await channel.get('retried')).toBe(false)
  })

  it('asks what is meant', async () => {
    for (const body of [{}, { positions: 'all' }, { positions: [-1] }, { positions: [1.5] }, { header: 1 }]) {
      expect((await api.post(`${Q}/messages/delete`, body)).status, JSON.stringify(body)).toBe(400)
    }
  })
})

describe('returning dead letters', () => {
  beforeEach(async () => {
    await channel.assertExchange('x', 'direct')
    await channel.assertQueue('work', { deadLetterExchange: '', deadLetterRoutingKey: 'q' })
    await channel.bindQueue('work', 'x', 'key')
    for (const text of ['a1', 'b2']) channel.publish('x', 'key', Buffer.from(text), { headers: { own: text } })
    await channel.waitForConfirms()
    for (let i = 0; i < 2; i++) channel.nack(await got(channel, 'work'), false, false)
    await channel.checkQueue('work')
  })

  it('counts anew where the mark is one that no return has made', async () => {
    const headers = { 'x-returned-count': { '!': 'long', value: 2n ** 63n - 1n } }
    channel.publish('x', 'key', Buffer.from('c3'), { headers })
    await channel.waitForConfirms()
    channel.nack(await got(channel, 'work'), false, false)
    await channel.checkQueue('work')
    expect((await api.post(`${Q}/messages/return`, { positions: [2] })).body['returned']).toBe(1)
    expect((await got(channel, 'work')).properties.headers).toMatchObject({ 'x-returned-count': 1 })
  })

  it('gives them back to the queue that they came from, marked, as they first came', async () => {
    await publish('q', 'no dead letter')
    const { body } = await api.post(`${Q}/messages/return`, { all: true })
    expect(body).toEqual({ returned: 2, kept_count: 1, kept: [{ position: 2, reason: 'it has no x-death' }] })
    expect(payloads(await peeked())).toEqual(['no dead letter'])
    const message = await got(channel, 'work')
    expect(message.fields).toMatchObject({ exchange: 'x', routingKey: 'key', redelivered: false })
    expect(message.properties.headers).toMatchObject({ own: 'a1', 'x-returned-from': 'q', 'x-returned-count': 1 })
    channel.nack(message, false, false)
    await channel.checkQueue('work')
    await api.post(`${Q}/messages/return`, { header: 'own=a1' })
    await got(channel, 'work')
    const again = await got(channel, 'work')
    expect(again.properties.headers).toMatchObject({ 'x-returned-count': 2, 'x-death': [{ count: 2 }] })
  })

  it('believes what a client wrote of its death only where whoever asks may publish', async () => {
    const death = { queue: 'work', exchange: 'x', 'routing-keys': ['key'], reason: 'rejected' }
    channel.sendToQueue('q', Buffer.from('forged'), { headers: { 'x-death': [death] } })
    await channel.waitForConfirms()
    const rights = { configure: '', write: '^amq.default$', read: '.*' }
    await api.put('/api/users/clerk', { password: 'clerk', tags: 'management' })
    await api.put('/api/permissions/%2F/clerk', rights)
    const asClerk = { user: 'clerk' }
    const refused = await api.post(`${Q}/messages/return`, { positions: [2] }, asClerk)
    const reason = "write access to exchange 'x' in vhost '/' refused for user 'clerk'"
    expect(refused.body).toEqual({ returned: 0, kept_count: 1, kept: [{ position: 2, reason }] })
    const real = await api.post(`${Q}/messages/return`, { positions: [0] }, asClerk)
    expect(real.body).toEqual({ returned: 1, kept_count: 0, kept: [] })
    await api.put('/api/permissions/%2F/clerk', { ...rights, write: '^(amq.default|x)$' })
    expect((await api.post(`${Q}/messages/return`, { positions: [2] }, asClerk)).body['returned']).toBe(1)
    for (const body of ['a1', 'forged']) expect((await got(channel, 'work')).content.toString()).toBe(body)
    await api.delete('/api/users/clerk')
  })

  it('gives back those that are selected', async () => {
    expect((await api.post(`${Q}/messages/return`, { positions: [1] })).body['returned']).toBe(1)
    expect(payloads(await peeked())).toEqual(['a1'])
    expect((await got(channel, 'work')).content.toString()).toBe('b2')
  })

  it('leaves them where they are when there is no such queue, or it is full', async () => {
    await channel.deleteQueue('work')
    const none = await api.post(`${Q}/messages/return`, { all: true })
    expect(none.body).toMatchObject({ returned: 0, kept_count: 2 })
    await channel.assertQueue('work', { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } })
    const full = await api.post(`${Q}/messages/return`, { all: true })
    expect(full.body).toMatchObject({ returned: 1, kept: [{ position: 1, reason: "queue 'work' is full" }] })
    expect(payloads(await peeked())).toEqual(['b2'])
  })
})

describe('copying messages', () => {
  it('leaves them where they are', async () => {
    await channel.assertQueue('to')
    await publish('q', 'a1', 'b2', 'a3')
    expect((await api.post(`${Q}/copy`, { routing_key: 'to', header: 'kind=a' })).body).toEqual({ copied: 2 })
    expect((await api.post(`${Q}/copy`, { routing_key: 'to', positions: [1] })).body).toEqual({ copied: 1 })
    expect(payloads(await peeked('', 'to'))).toEqual(['a1', 'a3', 'b2'])
    expect(payloads(await peeked())).toEqual(['a1', 'b2', 'a3'])
  })

  it('of a queue to itself ends', async () => {
    await publish('q', 'a', 'b')
    expect((await api.post(`${Q}/copy`, { routing_key: 'q', all: true })).body).toEqual({ copied: 2 })
    expect(payloads(await peeked())).toEqual(['a', 'b', 'a', 'b'])
  })

  it('says when there is no such place', async () => {
    await publish('q', 'a')
    expect((await api.post(`${Q}/copy`, { routing_key: 'nowhere', all: true })).status).toBe(400)
  })
})
