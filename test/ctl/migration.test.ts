// Bringing definitions and messages over from another broker.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, type ConfirmChannel, type GetMessage } from 'amqplib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { apiOf, drain } from '../../src/ctl/drain.ts'
import { importFrom } from '../../src/ctl/import.ts'
import { Progress } from '../../src/ctl/progress.ts'
import { useApi, type Api } from '../support/api.ts'

const other = useApi()
const ours = useApi()

function target(api: Api) {
  return { url: `http://127.0.0.1:${api.port}`, user: 'guest', password: 'guest' }
}

async function channelTo(api: Api): Promise<ConfirmChannel> {
  const connection = await connect(api.amqp)
  onTestFinished(() => connection.close())
  return connection.createConfirmChannel()
}

function move(...queues: string[]) {
  const progress = new Progress({ write: () => undefined })
  return drain({ from: other.amqp, to: ours.amqp, queues, api: target(other).url, progress })
}

async function everything(channel: ConfirmChannel, queue: string): Promise<GetMessage[]> {
  const messages = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return messages
    messages.push(message)
  }
}

describe('leveret import', () => {
  it("brings another broker's definitions over", async () => {
    await other.put('/api/vhosts/shop')
    await other.put('/api/users/ann', { password: 'secret', tags: 'management' })
    await other.put('/api/permissions/shop/ann', { configure: '', write: '.*', read: '.*' })
    await other.put('/api/queues/shop/orders', { durable: true, arguments: { 'x-max-length': 10 } })
    await other.put('/api/exchanges/shop/in', { type: 'topic', durable: true })
    await other.post('/api/bindings/shop/e/in/q/orders', { routing_key: 'new.#' })

    const { counts, ignored } = await importFrom(target(other), target(ours), null)
    expect(ignored).toEqual([])
    expect(counts).toMatchObject({ users: 2, vhosts: 2, queues: 1, exchanges: 1, bindings: 1 })
    expect((await ours.get('/api/queues/shop/orders')).body).toMatchObject({ arguments: { 'x-max-length': 10 } })
    expect((await ours.get('/api/bindings/shop/e/in/q/orders')).body[0]).toMatchObject({ routing_key: 'new.#' })
    expect((await ours.get('/api/whoami', { user: 'ann', password: 'secret' })).status).toBe(200)
  })

  it('says that nobody answers, or that the password is wrong', async () => {
    const nobody = { ...target(other), url: 'http://127.0.0.1:1' }
    await expect(importFrom(nobody, target(ours), null)).rejects.toMatchObject({ code: 69 })
    await expect(importFrom({ ...target(other), password: 'no' }, target(ours), null)).rejects.toMatchObject({
      code: 65,
    })
  })
})

describe('leveret drain-from', () => {
  it('moves the messages with their properties, in their order', async () => {
    const [there, here] = await Promise.all([channelTo(other), channelTo(ours)])
    for (const channel of [there, here]) await channel.assertQueue('moved')
    const properties = {
      contentType: 'text/plain',
      headers: { nested: { list: [1, 'two'] } },
      deliveryMode: 2,
      priority: 3,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '600000',
      messageId: 'm',
      timestamp: 1,
      type: 't',
      userId: 'guest',
      appId: 'a',
    }
    for (let i = 0; i < 2500; i++) there.publish('', 'moved', Buffer.from(String(i)), properties)
    await there.waitForConfirms()

    expect(await move('moved')).toEqual([{ queue: 'moved', messages: 2500 }])
    expect((await there.checkQueue('moved')).messageCount).toBe(0)
    const messages = await everything(here, 'moved')
    expect(messages.map(({ content }) => content.toString())).toEqual(Array.from({ length: 2500 }, (_, i) => String(i)))
    expect(messages[0]!.properties).toMatchObject(properties)
  })

  it('finds the queues that hold messages by itself', async () => {
    const [there, here] = await Promise.all([channelTo(other), channelTo(ours)])
    for (const queue of ['full', 'empty']) {
      for (const channel of [there, here]) await channel.assertQueue(queue)
    }
    const own = await there.assertQueue('', { exclusive: true })
    for (const queue of ['full', own.queue]) there.sendToQueue(queue, Buffer.from('x'))
    await there.waitForConfirms()
    expect(await move()).toEqual([{ queue: 'full', messages: 1 }])
  })

  it('asks the queues how much they hold, where the API does not know of it yet', async () => {
    const [there, here] = await Promise.all([channelTo(other), channelTo(ours)])
    for (const channel of [there, here]) await channel.assertQueue('just filled')
    there.sendToQueue('just filled', Buffer.from('x'))
    await there.waitForConfirms()
    const late = createServer((_request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify([{ name: 'just filled', exclusive: false, messages: 0 }]))
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void late.close())
    await once(late, 'listening')
    const api = `http://127.0.0.1:${(late.address() as AddressInfo).port}`
    const progress = new Progress({ write: () => undefined })
    const drained = await drain({ from: other.amqp, to: ours.amqp, queues: [], api, progress })
    expect(drained).toEqual([{ queue: 'just filled', messages: 1 }])
  })

  it('expects the API at the port of AMQP plus 10000', () => {
    expect(['amqp://rabbit/', 'amqp://guest:guest@rabbit:5673/v', 'amqps://rabbit:5671'].map(apiOf)).toEqual([
      'http://rabbit:15672',
      'http://rabbit:15673',
      'http://rabbit:15672',
    ])
    expect(() => apiOf('amqp://rabbit:60000')).toThrow('--api')
  })

  it('leaves what is not confirmed where it was', async () => {
    const [there, here] = await Promise.all([channelTo(other), channelTo(ours)])
    await there.assertQueue('narrow')
    await here.assertQueue('narrow', { arguments: { 'x-max-length': 3, 'x-overflow': 'reject-publish' } })
    for (let i = 0; i < 10; i++) there.sendToQueue('narrow', Buffer.from(String(i)))
    await there.waitForConfirms()

    await expect(move('narrow')).rejects.toMatchObject({
      code: 65,
      message: expect.stringContaining('narrow') as string,
    })
    const bodies = [...(await everything(here, 'narrow')), ...(await everything(there, 'narrow'))]
    const found = new Set(bodies.map(({ content }) => content.toString()))
    expect(found.size).toBe(10)
  })

  it('says that a queue is missing, and where nobody answers', async () => {
    const there = await channelTo(other)
    await there.assertQueue('nowhere else')
    await expect(move('nowhere else')).rejects.toMatchObject({
      message: expect.stringMatching(/nowhere else cannot be moved: .*404/) as string,
    })
    const progress = new Progress({ write: () => undefined })
    const nobody = { from: 'amqp://guest:secret@127.0.0.1:1', to: ours.amqp, queues: ['q'], api: '', progress }
    await expect(drain(nobody)).rejects.toMatchObject({
      code: 69,
      message: expect.stringMatching(/^amqp:\/\/guest@127\.0\.0\.1:1 cannot be used/) as string,
    })
  })
})
