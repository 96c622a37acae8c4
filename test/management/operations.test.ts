// What operators do to queues and consumers, and what they ask when something is wrong.
import { connect, type Channel, type ChannelModel } from 'amqplib'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startServer } from '../../src/server.ts'
import { items, useApi, word } from '../support/api.ts'

const api = useApi()
const Q = '/api/queues/%2F/q'
let client: ChannelModel
let channel: Channel

beforeEach(async () => {
  client = await connect(api.amqp)
  channel = await client.createChannel()
  await channel.assertQueue('q')
})
afterEach(async () => {
  await (await client.createChannel()).deleteQueue('q')
  await client.close()
})

async function verdict(): Promise<unknown> {
  return (await api.get(`${Q}/verdict`)).body['verdict']
}

describe('a paused queue', () => {
  it('keeps its consumers and delivers nothing until it is resumed', async () => {
    const received: string[] = []
    let arrived: () => void = () => undefined
    await channel.consume('q', (message) => {
      if (message !== null) received.push(message.content.toString())
      arrived()
    })
    expect((await api.put(`${Q}/pause`)).status).toBe(204)
    channel.sendToQueue('q', Buffer.from('a'))
    expect(await channel.checkQueue('q')).toMatchObject({ messageCount: 1, consumerCount: 1 })
    expect(await channel.get('q')).toBe(false)
    expect(received).toEqual([])
    expect(await verdict()).toBe('paused')
    expect((await api.get(Q)).body['state']).toBe('paused')
    const delivery = new Promise<void>((resolve) => (arrived = resolve))
    expect((await api.put(`${Q}/resume`)).status).toBe(204)
    await delivery
    expect(received).toEqual(['a'])
    expect((await api.get(Q)).body['state']).toBe('running')
  })

  it('does not serve consumers that come, or acknowledge, meanwhile', async () => {
    await channel.prefetch(1)
    const received: string[] = []
    const first = new Promise<void>((resolve) => {
      void channel.consume('q', (message) => {
        if (message !== null) received.push(message.content.toString())
        if (received.length === 1) resolve()
      })
    })
    for (const text of ['a', 'b', 'c']) channel.sendToQueue('q', Buffer.from(text))
    await first
    await api.put(`${Q}/pause`)
    channel.ackAll()
    const other = await client.createChannel()
    await other.consume('q', (message) => {
      if (message !== null) received.push(message.content.toString())
    })
    await other.checkQueue('q')
    await channel.checkQueue('q')
    expect(received).toEqual(['a'])
    await api.put(`${Q}/resume`)
    await other.checkQueue('q')
    await channel.checkQueue('q')
    expect(received.toSorted()).toEqual(['a', 'b', 'c'])
  })

  it('is paused after a restart too', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'leveret-pause-'))
    const host = '127.0.0.1'
    const options = { host, managementHost: host, managementPort: 0, dataDir }
    const call = (port: number, method: string, path: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        headers: { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` },
        ...(method === 'PUT' ? { body: '{"durable":true}' } : {}),
      })
    const before = await startServer(options)
    await call(before.ports.management!, 'PUT', Q)
    expect((await call(before.ports.management!, 'PUT', `${Q}/pause`)).status).toBe(204)
    await before.close()
    const after = await startServer(options)
    const queue = (await (await call(after.ports.management!, 'GET', Q)).json()) as { readonly state: string }
    expect(queue.state).toBe('paused')
    await after.close()
    await rm(dataDir, { recursive: true })
  })

  it('is for those who may configure it', async () => {
    await api.put('/api/users/reader', { password: 'reader', tags: 'management' })
    await api.put('/api/permissions/%2F/reader', { configure: '', write: '.*', read: '.*' })
    expect((await api.put(`${Q}/pause`, {}, { user: 'reader' })).status).toBe(401)
    expect((await api.put('/api/queues/%2F/none/pause')).status).toBe(404)
  })
})

describe('cancelling a consumer', () => {
  it('tells the client, and leaves it what it has', async () => {
    await channel.prefetch(1)
    channel.sendToQueue('q', Buffer.from('a'))
    let delivered: () => void = () => undefined
    const delivery = new Promise<void>((resolve) => (delivered = resolve))
    const cancelled = new Promise<void>((resolve) => {
      void channel.consume('q', (message) => (message === null ? resolve() : delivered()), { consumerTag: 'my tag/1' })
    })
    await delivery
    const [row] = items((await api.get('/api/consumers/%2F')).body)
    const details = row!['channel_details']!
    const path = `/api/consumers/%2F/${encodeURIComponent(word(details['connection_name']))}/${JSON.stringify(details['number'])}`
    expect((await api.delete(`${path}/other`)).status).toBe(404)
    expect((await api.delete(`${path}/${encodeURIComponent('my tag/1')}`)).status).toBe(204)
    await cancelled
    expect((await api.get(Q)).body).toMatchObject({ consumers: 0, messages_unacknowledged: 1 })
    channel.ackAll()
    await channel.checkQueue('q')
    expect((await api.get(Q)).body['messages']).toBe(0)
  })

  it('is for its user and for administrators', async () => {
    await channel.consume('q', () => undefined, { consumerTag: 'c' })
    await api.put('/api/users/other', { password: 'other', tags: 'monitoring' })
    await api.put('/api/permissions/%2F/other', { configure: '.*', write: '.*', read: '.*' })
    const [row] = items((await api.get('/api/consumers/%2F')).body)
    const details = row!['channel_details']!
    const path = `/api/consumers/%2F/${encodeURIComponent(word(details['connection_name']))}/${JSON.stringify(details['number'])}/c`
    expect((await api.delete(path, { user: 'other' })).status).toBe(401)
  })
})

describe('the last errors', () => {
  it('are shown by user: to who monitors all, to others their own', async () => {
    const failing = await client.createChannel()
    const closed = new Promise<void>((resolve) => failing.once('error', () => resolve()))
    failing.checkQueue('no such queue').catch(() => undefined)
    await closed
    const [latest] = items((await api.get('/api/errors/guest')).body)
    expect(latest).toMatchObject({ scope: 'channel', user: 'guest', vhost: '/', code: 404 })
    expect(word(latest!['text'])).toContain('no such queue')
    expect(items((await api.get('/api/errors')).body).length).toBeGreaterThan(0)
    await api.put('/api/users/stranger', { password: 'stranger', tags: 'management' })
    expect(items((await api.get('/api/errors', { user: 'stranger' })).body)).toEqual([])
    expect((await api.get('/api/errors/guest', { user: 'stranger' })).status).toBe(401)
  })
})

describe('effective arguments', () => {
  it('are told with their source', async () => {
    await channel.assertQueue('limited', { maxLength: 7 })
    const { body } = await api.get('/api/queues/%2F/limited/effective-arguments')
    expect(body).toEqual({
      policy: null,
      operator_policy: null,
      values: { 'max-length': { value: 7, source: 'argument' } },
    })
    await channel.deleteQueue('limited')
  })
})
