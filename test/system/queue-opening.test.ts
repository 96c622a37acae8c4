// After a start it is not known at once what queues hold: the broker serves, and only who is told of that waits for it.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { startServer, type Server } from '../../src/server.ts'
import type * as DatabaseModule from '../../src/store/level/database.ts'
import { Kind } from '../../src/store/level/keys.ts'
import { RETRY_MAX_MS } from '../../src/store/level/tuning.ts'
import { Api } from '../support/api.ts'
import type { FieldsInput } from '../support/codec.ts'
import { diskError } from '../support/faulty-database.ts'
import { RawClient, type RawChannel } from '../support/raw-client.ts'
import { temporaryDirectory } from '../support/store.ts'

/** How often counters are read, in milliseconds. */
const SAMPLE_MS = 5000

/** What the disk does with who reads what logs hold: has them wait, or does not give it. Those who wait are told later. */
const index = vi.hoisted(() => ({ held: false, failing: false, waiting: [] as (() => void)[] }))

vi.mock('../../src/store/level/database.ts', async (original) => {
  const module = await original<typeof DatabaseModule>()
  const levelDatabase: typeof module.levelDatabase = (...words) => {
    return (location) => {
      const database = module.levelDatabase(...words)(location)
      const iterator = database.iterator.bind(database)
      database.iterator = (range, aheadBytes) => {
        const real = iterator(range, aheadBytes)
        // Beyond that are logs of spilled messages.
        if (range.gte[0] !== Kind.index || range.gte[1]! >= 0x80) return real
        return {
          nextv: async (size) => {
            if (index.held) await new Promise<void>((resolve) => index.waiting.push(resolve))
            if (index.failing) throw diskError('IO error: Input/output error')
            return real.nextv(size)
          },
          close: () => real.close(),
        }
      }
      return database
    }
  }
  return { ...module, levelDatabase }
})

/** The disk answers. */
function release(): void {
  index.held = false
  for (const resolve of index.waiting.splice(0)) resolve()
}

/** A broker on a directory, with its API. */
class Restarted extends Api {
  readonly #dataDir: string
  readonly logged: string[] = []

  constructor(dataDir: string) {
    super()
    this.#dataDir = dataDir
  }

  /** Begins to start, and loads definitions then, if there are any to load. */
  async starting(definitions: object | null = null): Promise<Server> {
    const loadDefinitions = definitions === null ? undefined : join(await temporaryDirectory(), 'definitions.json')
    if (loadDefinitions !== undefined) await writeFile(loadDefinitions, JSON.stringify(definitions))
    const note = (facts: object): void => void this.logged.push(String((facts as { err?: Error }).err?.message))
    return startServer({
      dataDir: this.#dataDir,
      host: '127.0.0.1',
      managementHost: '127.0.0.1',
      managementPort: 0,
      prometheusPort: 0,
      clock: this.clock,
      loadDefinitions,
      logger: { trace: note, debug: note, info: () => undefined, warn: note, error: note, fatal: note } as never,
    })
  }

  override async start(definitions: object | null = null): Promise<void> {
    this.server = await this.starting(definitions)
    onTestFinished(async () => {
      release()
      await this.stop()
    })
  }

  async channel(): Promise<RawChannel> {
    const client = await RawClient.open(this.server.ports.amqp)
    onTestFinished(() => client.drop())
    return client.openChannel()
  }
}

/** A broker that was stopped with ten messages in queue `old`, and is about to start. */
async function stopped(fields: FieldsInput = {}): Promise<Restarted> {
  index.failing = false
  const broker = new Restarted(await temporaryDirectory())
  broker.server = await broker.starting()
  const client = await RawClient.open(broker.server.ports.amqp)
  const channel = await client.openChannel()
  await channel.queue('old', { durable: true, ...fields })
  await channel.call('confirm.select')
  for (let i = 0; i < 10; i++) publish(channel, 'old', `old ${i}`)
  for (let acked = 0; acked < 10;) {
    const ack = await channel.expect('basic.ack')
    acked = Number(ack['delivery-tag'])
  }
  await client.close()
  await broker.stop()
  return broker
}

function publish(channel: RawChannel, queue: string, body: string, deliveryMode = 2): void {
  channel.publish({ 'routing-key': queue }, body, { 'delivery-mode': deliveryMode })
}

/** Starts it while the disk has those wait who read what logs hold: it serves only once the disk answers. */
async function startedWhenKnown(broker: Restarted, definitions: object | null = null): Promise<void> {
  index.held = true
  const starting = broker.start(definitions)
  let started = false
  void starting.then(() => (started = true))
  await expect.poll(() => index.waiting.length, { interval: 2 }).toBeGreaterThan(0)
  expect(started).toBe(false)
  release()
  await starting
}

it('serves, and takes messages, while it finds that out; who asks how many there are is told when it is known', async () => {
  const broker = await stopped()
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  await channel.queue('new', { durable: true })
  await channel.call('confirm.select')
  publish(channel, 'old', 'first of this life')
  await channel.expect('basic.ack', { 'delivery-tag': 1 })
  publish(channel, 'old', 'transient', 1)
  await channel.expect('basic.ack', { 'delivery-tag': 2 })
  expect((await broker.get('/api/health/checks/alarms')).status).toBe(200)

  const asking = await broker.channel()
  const told: string[] = []
  const queues = broker.get('/api/queues/%2F/old').then(({ body }) => told.push(`http: ${String(body['messages'])}`))
  const declared = asking
    .call('queue.declare', { queue: 'old', passive: true })
    .then((ok) => told.push(`declared: ${String(ok['message-count'])}`))
  await expect.poll(() => index.waiting.length, { interval: 2 }).toBeGreaterThan(1)
  // Another connection is served meanwhile, so nobody waits for it by chance.
  await channel.expectNothing()
  await expect.poll(async () => (await broker.get('/api/whoami')).status, { interval: 2 }).toBe(200)
  expect(told).toEqual([])
  release()
  await Promise.all([queues, declared])
  expect(told.toSorted()).toEqual(['declared: 12', 'http: 12'])
})

it('gives what was there before what has come since, to consumers and to those who get', async () => {
  const broker = await stopped()
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  publish(channel, 'old', 'new 0')
  publish(channel, 'old', 'new 1', 1)
  await channel.expectNothing()
  const getter = await broker.channel()
  getter.send('basic.get', { queue: 'old', 'no-ack': true })
  await channel.call('basic.consume', { queue: 'old', 'consumer-tag': 'c' })
  publish(channel, 'old', 'new 2')
  await channel.expectNothing()
  release()
  const got = (await getter.expectGetOk({})).body.toString()
  const delivered: string[] = []
  for (let i = 0; i < 12; i++) delivered.push((await channel.expectDeliver({})).body.toString())
  const all = [...Array.from({ length: 10 }, (_, i) => `old ${i}`), 'new 0', 'new 1', 'new 2']
  expect(all).toContain(got)
  expect(delivered).toEqual(all.filter((body) => body !== got))
})

it('keeps the order of answers when a message that is got must be read as well', async () => {
  const broker = await stopped()
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  channel.send('basic.get', { queue: 'old' })
  channel.send('queue.declare', { queue: 'old', passive: true })
  channel.send('queue.declare', { queue: 'other' })
  await expect.poll(() => index.waiting.length, { interval: 2 }).toBeGreaterThan(1)
  release()
  await channel.expectGetOk({ 'message-count': 9 }, 'old 0')
  await channel.expect('queue.declare-ok', { 'message-count': 9 })
  await channel.expect('queue.declare-ok', { queue: 'other' })
})

it('knows it before it serves where a queue may have to refuse messages', async () => {
  const full = { 'x-max-length': 10, 'x-overflow': 'reject-publish' }
  const broker = await stopped({ arguments: full })
  await startedWhenKnown(broker)
  const channel = await broker.channel()
  await channel.call('confirm.select')
  publish(channel, 'old', 'too many')
  await channel.expect('basic.nack')
})

it.each([
  ['that it may have to refuse', { 'max-length': 10, overflow: 'reject-publish' }, 'basic.nack'],
  ['that may not wait', { 'message-ttl': 0 }, 'basic.ack'],
] as const)(
  'knows it before it serves where definitions that it loads tell of messages %s',
  async (_, definition, answer) => {
    const broker = await stopped()
    const policy = { vhost: '/', name: 'p', pattern: '^old$', definition, priority: 0, 'apply-to': 'queues' }
    await startedWhenKnown(broker, { policies: [policy] })
    const channel = await broker.channel()
    await channel.call('confirm.select')
    publish(channel, 'old', 'one more')
    await channel.expect(answer)
  },
)

it('counts what there is of all priorities for who gets the highest', async () => {
  const broker = await stopped({ arguments: { 'x-max-priority': 5 } })
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  channel.publish({ 'routing-key': 'old' }, 'urgent', { 'delivery-mode': 2, priority: 5 })
  channel.send('basic.get', { queue: 'old', 'no-ack': true })
  await expect.poll(() => index.waiting.length, { interval: 2 }).toBeGreaterThan(1)
  release()
  await channel.expectGetOk({ 'message-count': 10 }, 'urgent')
})

it('drops what is too much when it knows it', async () => {
  const broker = await stopped({ arguments: { 'x-max-length': 10 } })
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  for (let i = 0; i < 3; i++) publish(channel, 'old', `new ${i}`)
  await channel.expectNothing()
  release()
  await expect
    .poll(async () => (await channel.call('queue.declare', { queue: 'old', passive: true }))['message-count'], {
      interval: 5,
    })
    .toBe(10)
  expect((await channel.get('old', true)).body.toString()).toBe('old 3')
})

it('deletes a queue of which it does not know it, with all that it held', async () => {
  const broker = await stopped({ arguments: { 'x-expires': 1000 } })
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  publish(channel, 'old', 'new')
  await channel.expectNothing()
  broker.clock.advance(1000)
  channel.send('queue.declare', { queue: 'old', passive: true })
  await channel.expectChannelClose(404, "NOT_FOUND - no queue 'old' in vhost '/'", 'queue.declare')
  release()
  const again = await broker.channel()
  expect(await again.call('queue.declare', { queue: 'old', durable: true })).toMatchObject({ 'message-count': 0 })
})

it('stops without having found it out, and loses nothing', async () => {
  const broker = await stopped()
  index.held = true
  broker.server = await broker.starting()
  const client = await RawClient.open(broker.server.ports.amqp)
  const channel = await client.openChannel()
  await channel.call('confirm.select')
  publish(channel, 'old', 'new')
  await channel.expect('basic.ack')
  await client.close()
  await broker.stop()
  release()
  await broker.start()
  const again = await broker.channel()
  expect(await again.call('queue.declare', { queue: 'old', passive: true })).toMatchObject({ 'message-count': 11 })
})

it('says so where the disk does not give it, serves the rest, and finds it out when it can', async () => {
  const broker = await stopped()
  index.failing = true
  await broker.start()
  const state = async (): Promise<unknown> => (await broker.get('/api/queues/%2F/old')).body['state']
  expect(await state()).toBe('down')
  expect((await broker.get('/api/queues/%2F/old/verdict')).body['verdict']).toBe('unreadable')
  expect(broker.logged).toEqual(['what log 1 held cannot be read now: IO error: Input/output error'])
  const channel = await broker.channel()
  publish(channel, 'old', 'new')
  const sentence = /^NOT_FOUND - home node 'leveret@.+' of durable queue 'old' in vhost '\/' is down or inaccessible$/
  for (const [method, fields] of [
    ['queue.declare', { passive: true }],
    ['queue.purge', {}],
    ['basic.get', {}],
  ] as const) {
    const refused = await broker.channel()
    refused.send(method, { queue: 'old', ...fields })
    await refused.expectChannelClose(404, sentence, method)
  }
  await channel.queue('other')
  index.failing = false
  broker.clock.advance(RETRY_MAX_MS)
  await expect.poll(state, { interval: 5 }).toBe('running')
  expect(await channel.call('queue.declare', { queue: 'old', passive: true })).toMatchObject({ 'message-count': 11 })
  expect((await channel.get('old', true)).body.toString()).toBe('old 0')
})

it('deletes a queue that the disk does not give, unless it must be empty', async () => {
  const broker = await stopped()
  index.failing = true
  await broker.start()
  const refused = await broker.channel()
  refused.send('queue.delete', { queue: 'old', 'if-empty': true })
  await refused.expectChannelClose(404, /is down or inaccessible$/, 'queue.delete')
  const channel = await broker.channel()
  expect(await channel.call('queue.delete', { queue: 'old' })).toMatchObject({ 'message-count': 0 })
  index.failing = false
  await broker.stop()
  await broker.start()
  const again = await broker.channel()
  expect(await again.call('queue.declare', { queue: 'old', durable: true })).toMatchObject({ 'message-count': 0 })
})

it('tells over HTTP what all queues hold together once it knows that, and no rate of it', async () => {
  const broker = await stopped()
  index.held = true
  await broker.start()
  await expect.poll(async () => (await broker.get('/api/whoami')).status, { interval: 2 }).toBe(200)
  const asked = broker.get('/api/overview')
  await expect.poll(() => index.waiting.length, { interval: 2 }).toBeGreaterThan(0)
  // By then they were sampled without what is not known.
  await (await broker.channel()).expectNothing()
  broker.clock.advance(SAMPLE_MS / 2)
  release()
  const totals = { messages: 10, messages_details: { rate: 0 } }
  expect((await asked).body['queue_totals']).toMatchObject(totals)
  broker.clock.advance(SAMPLE_MS / 2)
  expect((await broker.get('/api/overview')).body['queue_totals']).toMatchObject(totals)
})

it('tells no count over HTTP that the disk does not give, and changes nothing by one', async () => {
  const broker = await stopped()
  index.failing = true
  await broker.start()
  const Q = '/api/queues/%2F/old'
  const { body } = await broker.get(Q)
  expect(body['state']).toBe('down')
  const counts = /^(messages?(_|$)|backing_queue_status)/
  expect(Object.keys(body).filter((name) => counts.test(name) && name !== 'message_stats')).toEqual([])
  const metrics = await fetch(`http://127.0.0.1:${broker.server.ports.prometheus}/metrics/per-object`)
  const gauges = (await metrics.text()).split('\n').filter((line) => /^rabbitmq_queue_.*queue="old"/.test(line))
  const counted = gauges.filter((line) => line.startsWith('rabbitmq_queue_messages') && !line.includes('_total'))
  expect([gauges.length > 0, counted]).toEqual([true, []])
  for (const [method, path] of [
    ['DELETE', `${Q}?if-empty=true`],
    ['DELETE', `${Q}/contents`],
    ['GET', `${Q}/messages`],
  ] as const) {
    const { status, body: refusal } = await broker.call(method, path)
    expect([path, status, refusal['reason']]).toEqual([path, 404, expect.stringMatching(/is down or inaccessible$/)])
  }
  index.failing = false
  broker.clock.advance(RETRY_MAX_MS)
  await expect.poll(async () => (await broker.get(Q)).body['messages'], { interval: 5 }).toBe(10)
})

it('answers a deletion that has waited before it cancels the consumer', async () => {
  const broker = await stopped()
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  await channel.call('basic.consume', { queue: 'old', 'consumer-tag': 'c' })
  channel.send('queue.delete', { queue: 'old' })
  await expect.poll(() => index.waiting.length, { interval: 2 }).toBeGreaterThan(1)
  release()
  await channel.expect('queue.delete-ok', { 'message-count': 10 })
  await channel.expect('basic.cancel', { 'consumer-tag': 'c' })
})

it('delivers what may not wait behind what came before it, also if the disk must be told of that first', async () => {
  const broker = await stopped()
  await broker.start()
  const purging = await broker.channel()
  await purging.call('queue.purge', { queue: 'old' })
  await broker.stop()
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  await channel.call('basic.consume', { queue: 'old', 'no-ack': true })
  const bodies = Array.from({ length: 900 }, (_, i) => String(i))
  publish(channel, 'old', 'patient')
  for (const body of bodies) {
    channel.publish({ 'routing-key': 'old' }, body, { expiration: '0', 'delivery-mode': 2 })
  }
  await channel.expectNothing()
  release()
  for (const body of ['patient', ...bodies]) await channel.expectDeliver({}, body)
})

it('knows it before a policy that has it refuse messages is answered', async () => {
  const broker = await stopped()
  index.held = true
  await broker.start()
  const policy = { pattern: '^old$', definition: { 'max-length': 10, overflow: 'reject-publish' } }
  let answered = false
  const put = broker.put('/api/policies/%2F/full', policy).then(() => (answered = true))
  await expect.poll(() => index.waiting.length, { interval: 2 }).toBeGreaterThan(1)
  const channel = await broker.channel()
  await channel.call('confirm.select')
  expect(answered).toBe(false)
  release()
  await put
  publish(channel, 'old', 'too many')
  await channel.expect('basic.nack')
})

it('gives what comes with a higher priority than it may hold', async () => {
  const broker = await stopped({ arguments: { 'x-max-priority': 5 } })
  index.held = true
  await broker.start()
  const channel = await broker.channel()
  await channel.call('basic.consume', { queue: 'old', 'no-ack': true })
  channel.publish({ 'routing-key': 'old' }, 'urgent', { 'delivery-mode': 2, priority: 5 })
  await channel.expectDeliver({}, 'urgent')
  release()
  await channel.expectDeliver({}, 'old 0')
})

it.each([
  ['delivers', 0],
  ['gives up', 10],
])('%s a message that may not wait when it is known that %i wait before it', async (_, before) => {
  const letters = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  const broker = await stopped({ arguments: letters })
  await broker.start()
  const purging = await broker.channel()
  await purging.queue('dead', { durable: true })
  if (before === 0) await purging.call('queue.purge', { queue: 'old' })
  await broker.stop()
  index.held = true
  broker.server = await broker.starting()
  const channel = await broker.channel()
  await channel.call('basic.consume', { queue: 'old' })
  channel.publish({ 'routing-key': 'old' }, 'now or never', { expiration: '0', 'delivery-mode': 2 })
  await channel.expectNothing()
  release()
  if (before === 0) await channel.expectDeliver({}, 'now or never')
  else for (let i = 0; i < 10; i++) await channel.expectDeliver({}, `old ${i}`)
  await channel.expectNothing()
  const dead = await broker.channel()
  const letter = before === 0 ? 0 : 1
  expect(await dead.call('queue.declare', { queue: 'dead', passive: true })).toMatchObject({ 'message-count': letter })
  if (before > 0) return
  // One that is given back has no time to wait either.
  channel.send('basic.nack', { 'delivery-tag': 1, requeue: true })
  await channel.expectNothing()
  expect(await dead.call('queue.declare', { queue: 'dead', passive: true })).toMatchObject({ 'message-count': 1 })
})
