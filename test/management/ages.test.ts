// How long messages have waited: also those that were here before the broker started.
import { connect, type Channel } from 'amqplib'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer, type Server } from '../../src/server.ts'

let dataDir: string
let clock: ManualClock
let server: Server

async function start(): Promise<void> {
  const host = '127.0.0.1'
  server = await startServer({ host, managementHost: host, managementPort: 0, prometheusPort: 0, clock, dataDir })
}

/** Does something as a client. */
async function withChannel(use: (channel: Channel) => Promise<unknown>): Promise<void> {
  const client = await connect(`amqp://guest:guest@127.0.0.1:${server.ports.amqp}`)
  await use(await client.createConfirmChannel())
  await client.close()
}

async function metric(name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${server.ports.prometheus}/metrics`)
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(await response.text())?.[1])
}

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'leveret-ages-'))
  clock = new ManualClock()
  await start()
})
afterEach(async () => {
  await server.close()
  await rm(dataDir, { recursive: true })
})

it('keeps the age of the oldest message over a restart', async () => {
  await withChannel(async (channel) => {
    await channel.assertQueue('q')
    channel.sendToQueue('q', Buffer.from('a'), { persistent: true })
    await channel.checkQueue('q')
  })
  await server.close()
  clock.advance(3_600_000)
  await start()
  const age = (): Promise<number> => {
    clock.advance(5000)
    return metric('leveret_oldest_message_age_seconds')
  }
  await expect.poll(age).toBeGreaterThanOrEqual(3600)
  await withChannel((channel) => channel.purgeQueue('q'))
  await expect.poll(age).toBe(0)
})

it('tells how long commits took and how large they were', async () => {
  const before = await metric('leveret_commit_duration_seconds_count')
  await withChannel((channel) => channel.assertQueue('q'))
  expect(await metric('leveret_commit_duration_seconds_count')).toBeGreaterThan(before)
  expect(await metric('leveret_commit_batch_operations_sum')).toBeGreaterThan(before)
  expect(await metric('leveret_commit_duration_seconds_sum')).toBeGreaterThan(0)
})
