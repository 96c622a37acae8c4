// Many deliveries that nobody acknowledges: what is on disk of them leaves memory, and nobody but memory notices.
import { expect, it, onTestFinished, vi } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer } from '../../src/server.ts'
import { Api } from '../support/api.ts'
import type { Table } from '../support/field-values.ts'
import { RawClient, type RawChannel } from '../support/raw-client.ts'
import { temporaryDirectory } from '../support/store.ts'

const COUNT = 120

vi.mock('../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  QUEUE_LENT_RESIDENT_BYTES: 3000,
}))
vi.mock('../../src/amqp/limits.ts', async (original) => ({
  ...(await original<object>()),
  UNACKED_KEPT: 5,
  UNACKED_MORE: 3,
}))

/** A broker with its API, and a queue full of messages, which are called by their numbers. */
class Filled extends Api {
  override readonly clock = new ManualClock()

  static async start(args: Table, inMemory = false): Promise<Filled> {
    const filled = new Filled()
    filled.server = await startServer({
      dataDir: inMemory ? undefined : await temporaryDirectory(),
      host: '127.0.0.1',
      managementHost: '127.0.0.1',
      managementPort: 0,
      clock: filled.clock,
    })
    onTestFinished(() => filled.stop())
    const channel = await filled.channel()
    await channel.queue('dead', { durable: true })
    await channel.queue('q', { durable: true, arguments: args })
    await channel.call('confirm.select')
    for (let i = 0; i < COUNT; i++)
      channel.publish({ 'routing-key': 'q' }, bodyOf(i), { 'delivery-mode': 2, 'message-id': String(i) })
    for (let acked = 0; acked < COUNT;) acked = Number((await channel.expect('basic.ack'))['delivery-tag'])
    return filled
  }

  async channel(): Promise<RawChannel> {
    const client = await RawClient.open(this.server.ports.amqp)
    onTestFinished(() => client.drop())
    return client.openChannel()
  }

  /** A channel that got all messages and has acknowledged none, of which few are in memory. */
  async hoarder(): Promise<RawChannel> {
    const channel = await this.channel()
    await channel.call('basic.consume', { queue: 'q', 'consumer-tag': 'c' })
    for (let i = 0; i < COUNT; i++) await channel.expectDeliver({ redelivered: false }, bodyOf(i))
    expect(await this.inMemory()).toBeLessThan(COUNT / 2)
    await channel.call('basic.cancel', { 'consumer-tag': 'c' })
    return channel
  }

  /** A policy for the queue. */
  async rule(definition: object): Promise<void> {
    const { status } = await this.put('/api/policies/%2F/p', { pattern: '^q$', definition })
    expect(status).toBe(201)
  }

  /** How many of the messages that are out are in memory. */
  async inMemory(): Promise<number> {
    const { body } = await this.get('/api/queues/%2F/q')
    expect(body).toMatchObject({ messages_unacknowledged: COUNT, messages_ready: 0 })
    return Number(body['messages_unacknowledged_ram'])
  }

  async expectCount(queue: string, count: number): Promise<void> {
    const channel = await this.channel()
    const counted = async () => (await channel.call('queue.declare', { queue, passive: true }))['message-count']
    await expect.poll(counted, { interval: 2 }).toBe(count)
  }
}

function bodyOf(i: number): string {
  return `${i} ${'x'.repeat(90)}`
}

/** Everything in a queue, as whoever consumes it gets it. */
async function expectAll(channel: RawChannel, queue: string, properties: (i: number) => object): Promise<void> {
  await channel.call('basic.consume', { queue, 'no-ack': true })
  for (let i = 0; i < COUNT; i++) {
    const { properties: found } = await channel.expectDeliver({ redelivered: queue === 'q' }, bodyOf(i))
    expect(found).toMatchObject({ 'message-id': String(i), ...properties(i) })
  }
}

const LETTERS = { 'dead-letter-exchange': '', 'dead-letter-routing-key': 'dead' }

it.each([
  ['classic', {}],
  ['priority', { 'x-max-priority': 3 }],
  ['quorum', { 'x-queue-type': 'quorum' }],
  ['expiring', { 'x-message-ttl': 60_000 }],
] as const)('come back whole and in order when the client goes: %s', async (kind, args) => {
  const broker = await Filled.start(args)
  const hoarder = await broker.hoarder()
  await hoarder.close()
  await broker.expectCount('q', COUNT)
  const headers = kind === 'quorum' ? { headers: { 'x-delivery-count': 1n } } : {}
  await expectAll(await broker.channel(), 'q', () => headers)
})

it('expire in their time once they are back', async () => {
  const broker = await Filled.start({ 'x-message-ttl': 60_000 })
  const hoarder = await broker.hoarder()
  await broker.rule(LETTERS)
  hoarder.send('basic.nack', { 'delivery-tag': 0, multiple: true, requeue: true })
  await broker.expectCount('q', COUNT)
  broker.clock.advance(60_000)
  await broker.expectCount('q', 0)
  await broker.expectCount('dead', COUNT)
})

it('are gone once they are acknowledged', async () => {
  const broker = await Filled.start({})
  const hoarder = await broker.hoarder()
  hoarder.send('basic.ack', { 'delivery-tag': COUNT - 1, multiple: true })
  await hoarder.close()
  await broker.expectCount('q', 1)
  expect((await (await broker.channel()).get('q')).body.toString()).toBe(bodyOf(COUNT - 1))
})

it.each([
  ['at most once', {}, {}],
  [
    'at least once',
    { 'x-queue-type': 'quorum' },
    { 'dead-letter-strategy': 'at-least-once', overflow: 'reject-publish' },
  ],
])('become dead letters with all that they had if a policy comes that says so, %s', async (_, args, rules) => {
  const broker = await Filled.start(args)
  const hoarder = await broker.hoarder()
  await broker.rule({ ...LETTERS, ...rules })
  hoarder.send('basic.nack', { 'delivery-tag': 0, multiple: true, requeue: false })
  const letters = await broker.channel()
  await letters.call('basic.consume', { queue: 'dead', 'no-ack': true })
  const found = new Set<string>()
  while (found.size < COUNT) {
    broker.clock.advance(1000)
    const { body, properties } = await letters.expectDeliver({})
    expect(properties).toMatchObject({ headers: { 'x-first-death-reason': 'rejected' } })
    expect(body.toString()).toBe(bodyOf(Number(properties['message-id'])))
    found.add(String(properties['message-id']))
  }
  await broker.expectCount('q', 0)
  await letters.expectNothing()
  expect((await broker.get('/api/queues/%2F/q')).body).toMatchObject({ messages: 0, messages_persistent: 0 })
})

it('are given up at their delivery limit as well', async () => {
  const broker = await Filled.start({ 'x-queue-type': 'quorum', 'x-delivery-limit': 0 })
  const hoarder = await broker.hoarder()
  await broker.rule(LETTERS)
  await hoarder.close()
  await expect
    .poll(
      async () => {
        broker.clock.advance(1000)
        return (await broker.get('/api/queues/%2F/dead')).body['messages']
      },
      { interval: 2 },
    )
    .toBe(COUNT)
  const { properties } = await (await broker.channel()).get('dead')
  expect(properties).toMatchObject({ headers: { 'x-first-death-reason': 'delivery_limit' } })
})

it('wait before they are tried again where they are to', async () => {
  const retried = { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': 5000, 'x-delayed-retry-max': 5000 }
  const broker = await Filled.start({ 'x-queue-type': 'quorum', ...retried })
  const hoarder = await broker.hoarder()
  await hoarder.close()
  await broker.expectCount('q', 0)
  broker.clock.advance(5000)
  await broker.expectCount('q', COUNT)
  await expectAll(await broker.channel(), 'q', () => ({ headers: { 'x-delivery-count': 1n } }))
})

it.each([
  ['the vhost is traced, for their properties are told of', {}, true, false],
  ['they may be rejected into dead letters', { 'x-dead-letter-exchange': '' }, false, false],
  ['their ids are remembered', { 'x-message-deduplication': true, 'x-cache-size': 1000 }, false, false],
  ['there is no disk', {}, false, true],
])('stay in memory where %s', async (_, args, traced, inMemory) => {
  const broker = await Filled.start(args, inMemory)
  if (traced) await broker.put('/api/vhosts/%2F', { tracing: true })
  const channel = await broker.channel()
  await channel.call('basic.consume', { queue: 'q' })
  for (let i = 0; i < COUNT; i++) await channel.expectDeliver({}, bodyOf(i))
  expect(await broker.inMemory()).toBe(COUNT)
})
