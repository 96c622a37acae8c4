// Messages that wait for their time before an exchange, looked at and cancelled.
import { connect } from 'amqplib'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Api, items, word } from '../support/api.ts'
import { startServer } from '../../src/server.ts'

const D = '/api/exchanges/%2F/later/delayed'

describe.each(['in memory', 'on disk'])('delayed messages %s', (where) => {
  it('are shown in the order of their times, and one that is cancelled never arrives', async () => {
    const api = new Api()
    const dataDir = where === 'on disk' ? await mkdtemp(join(tmpdir(), 'leveret-delayed-')) : undefined
    const host = '127.0.0.1'
    api.server = await startServer({ host, managementHost: host, managementPort: 0, clock: api.clock, dataDir })
    const client = await connect(api.amqp)
    const channel = await client.createConfirmChannel()
    await channel.assertExchange('later', 'x-delayed-message', { arguments: { 'x-delayed-type': 'fanout' } })
    await channel.assertQueue('q')
    await channel.bindQueue('q', 'later', '')
    for (const [text, delay] of [
      ['c', 3000],
      ['a', 1000],
      ['b', 2000],
    ] as const) {
      channel.publish('later', '', Buffer.from(text), { headers: { 'x-delay': delay } })
    }
    await channel.waitForConfirms()
    const { body } = await api.get(D)
    expect(body['count']).toBe(3)
    const found = items(body['messages'])
    expect(found.map(({ payload }) => payload)).toEqual(['a', 'b', 'c'])
    const id = word(found[1]!['id'])
    const next = items((await api.get(`${D}?from=${id}&count=1`)).body['messages'])
    expect(next.map(({ payload }) => payload)).toEqual(['b'])
    expect((await api.delete(`${D}/${id}`)).status).toBe(204)
    expect((await api.delete(`${D}/${id}`)).status).toBe(404)
    expect((await api.delete(`${D}/x`)).status).toBe(404)
    expect((await api.get('/api/exchanges/%2F/amq.topic/delayed')).status).toBe(404)
    api.clock.advance(3000)
    const arrived = async (): Promise<number> => {
      api.clock.advance(1000)
      return (await channel.checkQueue('q')).messageCount
    }
    await expect.poll(arrived).toBe(2)
    const texts = [await channel.get('q'), await channel.get('q')].map((one) => one !== false && one.content.toString())
    expect(texts).toEqual(['a', 'c'])
    await client.close()
    await api.stop()
    if (dataDir !== undefined) await rm(dataDir, { recursive: true })
  })
})
