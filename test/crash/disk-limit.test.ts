// The limit of free disk space: publishers wait below it, as the test or a small file system says.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import type * as machine from '../../src/lib/machine.ts'
import { startServer } from '../../src/server.ts'
import { smallFileSystem, whyNoMounts } from '../support/mount.ts'
import { RawClient, type RawChannel } from '../support/raw-client.ts'
import { temporaryDirectory } from '../support/store.ts'

const MIB = 1024 * 1024
const LIMIT = 16 * MIB

/** What is free where the data is: what the test says, or what there is. */
const disk = vi.hoisted(() => ({ freeBytes: -1 }))

vi.mock(import('../../src/lib/machine.ts'), async (original) => {
  const real: typeof machine = await original()
  return {
    ...real,
    freeBytes: (directory: string) =>
      disk.freeBytes < 0 ? real.freeBytes(directory) : Promise.resolve(disk.freeBytes),
  }
})

/** A broker with a publisher that is told of alarms. */
async function publisherAt(dataDir: string): Promise<{ channel: RawChannel; clock: ManualClock; port: number }> {
  const clock = new ManualClock()
  const options = { dataDir, clock, host: '127.0.0.1', diskFreeLimitBytes: LIMIT, memoryLimit: 0 }
  const server = await startServer(options)
  onTestFinished(() => server.close())
  const client = await RawClient.open(server.ports.amqp)
  onTestFinished(() => client.drop())
  const channel = await client.openChannel()
  await channel.queue('q', { durable: true })
  await channel.call('confirm.select')
  channel.publish({ 'routing-key': 'q' }, 'first', { 'delivery-mode': 2 })
  await channel.expect('basic.ack')
  return { channel, clock, port: server.ports.amqp }
}

/** Goes through an alarm: the publisher waits, and others go on. */
async function expectAlarm(
  { channel, clock, port }: Awaited<ReturnType<typeof publisherAt>>,
  fill: () => void,
  empty: () => void,
): Promise<void> {
  fill()
  clock.advance(10_000)
  await channel.client.expect('connection.blocked', { reason: 'low on disk' })
  channel.publish({ 'routing-key': 'q' }, 'second', { 'delivery-mode': 2 })
  const consumer = await (await RawClient.open(port)).openChannel()
  onTestFinished(() => consumer.client.drop())
  await consumer.consume('q')
  const { tag } = await consumer.expectDeliver({}, 'first')
  consumer.send('basic.ack', { 'delivery-tag': tag })
  await consumer.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 0 })
  expect(channel.client.waiting(1)).toBe(0)
  empty()
  clock.advance(10_000)
  await channel.client.expect('connection.unblocked')
  await channel.expect('basic.ack', { 'delivery-tag': 2 })
  await consumer.expectDeliver({ redelivered: false }, 'second')
}

describe('the limit of free disk space', () => {
  it('blocks those who publish as long as less is free, and consumers go on', async () => {
    disk.freeBytes = LIMIT
    onTestFinished(() => {
      disk.freeBytes = -1
    })
    const publisher = await publisherAt(await temporaryDirectory())
    await expectAlarm(
      publisher,
      () => (disk.freeBytes = LIMIT - 1),
      () => (disk.freeBytes = LIMIT),
    )
  })

  it.skipIf(whyNoMounts !== '')(
    `is that of the file system on which the data is${whyNoMounts && ` (skipped: ${whyNoMounts})`}`,
    async () => {
      const dataDir = smallFileSystem(32)
      const publisher = await publisherAt(dataDir)
      const ballast = join(dataDir, 'ballast')
      await expectAlarm(
        publisher,
        () => writeFileSync(ballast, Buffer.alloc(20 * MIB)),
        () => rmSync(ballast),
      )
    },
  )
})
