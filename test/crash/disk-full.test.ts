// A disk that fills: nothing is confirmed that is not on it, publishers wait and consumers go on, and when there is
// room again so does everybody.
import { appendFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer, type Server } from '../../src/server.ts'
import { smallFileSystem, whyNoMounts } from '../support/mount.ts'
import { ANY_PORTS, Program } from '../support/program.ts'
import { RawClient, type RawChannel } from '../support/raw-client.ts'

const MIB = 1024 * 1024
const BODY_BYTES = 16 * 1024
const WORK = 2_000
const PERSISTENT = { 'delivery-mode': 2 }

/** A broker that takes all the room that there is, and for which time passes as the test wants. */
async function start(dataDir: string, clock = new ManualClock()): Promise<Server> {
  const server = await startServer({ dataDir, clock, host: '127.0.0.1', diskFreeLimitBytes: 0, memoryLimit: 0 })
  onTestFinished(() => server.close().catch(() => undefined))
  return server
}

async function openChannel(server: Server): Promise<RawChannel> {
  const client = await RawClient.open(server.ports.amqp)
  onTestFinished(() => client.drop())
  return client.openChannel()
}

function bodyFor(number: number): Buffer {
  return Buffer.alloc(BODY_BYTES, `${number}|`)
}

/** Publishes with confirms, and knows what was confirmed. */
class Filler {
  readonly channel: RawChannel
  readonly confirmed = new Set<number>()
  published = 0

  constructor(channel: RawChannel) {
    this.channel = channel
  }

  publish(count: number): void {
    for (let i = 0; i < count; i++) {
      this.channel.publish({ 'routing-key': 'fill' }, bodyFor(++this.published), PERSISTENT)
    }
  }

  /** Takes in confirms for as long as there are some outstanding, or until the broker says that it is blocked. */
  async confirms(): Promise<'all' | 'blocked'> {
    const { client, number } = this.channel
    while (this.confirmed.size < this.published) {
      if (client.waiting(0) > 0) return 'blocked'
      if (client.waiting(number) === 0) {
        await new Promise((resolve) => setImmediate(resolve))
        continue
      }
      const { method, fields } = await client.nextOn(number)
      expect(method).toBe('basic.ack')
      const tag = Number(fields['delivery-tag'])
      if (!fields['multiple']) this.confirmed.add(tag)
      else for (let each = tag; each > 0 && !this.confirmed.has(each); each--) this.confirmed.add(each)
    }
    return 'all'
  }
}

/** The numbers of the messages that are in a queue. Leaves it empty. */
async function drain(server: Server, queue: string): Promise<Set<number>> {
  const channel = await openChannel(server)
  const count = Number((await channel.call('queue.declare', { queue, passive: true }))['message-count'])
  await channel.consume(queue, { 'no-ack': true })
  const numbers = new Set<number>()
  for (let i = 0; i < count; i++) {
    const { body } = await channel.expectDeliver({})
    const number = Number(body.toString('latin1', 0, body.indexOf('|')))
    expect(body.equals(bodyFor(number))).toBe(true)
    numbers.add(number)
  }
  await channel.client.close()
  return numbers
}

/** Takes all the room that is left. */
function fillUp(file: string): void {
  for (let bytes = MIB; bytes >= 1; bytes = Math.floor(bytes / 2)) {
    while (fits(file, bytes));
  }
}

function fits(file: string, bytes: number): boolean {
  try {
    appendFileSync(file, Buffer.alloc(bytes))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    return false
  }
}

describe.skipIf(whyNoMounts !== '')(`a full disk${whyNoMounts && ` (skipped: ${whyNoMounts})`}`, () => {
  it('blocks publishers, lets consumers go on, and is forgotten when there is room again', async () => {
    const dataDir = smallFileSystem(64)
    const ballast = join(dataDir, 'ballast')
    const clock = new ManualClock()
    const server = await start(dataDir, clock)
    const work = await openChannel(server)
    await work.queue('work', { durable: true })
    await work.queue('fill', { durable: true })
    await work.call('confirm.select')
    // More than a queue keeps in memory, so that consumers need the disk.
    for (let i = 1; i <= WORK; i++) work.publish({ 'routing-key': 'work' }, workFor(i), PERSISTENT)
    for (let tag = 0; tag < WORK;) tag = Number((await work.expect('basic.ack'))['delivery-tag'])
    const filler = new Filler(await openChannel(server))
    await filler.channel.call('confirm.select')
    filler.publish(10)
    expect(await filler.confirms()).toBe('all')

    fillUp(ballast)
    filler.publish(10)
    expect(await filler.confirms()).toBe('blocked')
    await filler.channel.client.expect('connection.blocked', { reason: 'low on disk' })
    expect(filler.confirmed.size).toBe(10)
    const late = await openChannel(server)
    late.publish({ 'routing-key': 'fill' }, 'late')
    await late.client.expect('connection.blocked', { reason: 'low on disk' })

    const consumer = await openChannel(server)
    await consumer.consume('work')
    for (let i = 1; i <= WORK; i++) {
      await consumer.expectDeliver({ 'delivery-tag': i }, workFor(i))
      // Meanwhile the store tries to write, and cannot.
      if (i % 200 === 0) clock.advance(5_000)
    }
    consumer.send('basic.ack', { 'delivery-tag': WORK, multiple: true })
    await consumer.expectNothing()
    expect(filler.channel.client.waiting(0)).toBe(0)
    expect(filler.channel.client.waiting(1)).toBe(0)

    rmSync(ballast)
    // The store may be looking for room at this moment: then it looks again.
    for (let tries = 0; tries < 100 && filler.channel.client.waiting(0) === 0; tries++) {
      clock.advance(5_000)
      await (await openChannel(server)).client.close()
    }
    await filler.channel.client.expect('connection.unblocked')
    await late.client.expect('connection.unblocked')
    expect(await filler.confirms()).toBe('all')
    filler.publish(10)
    expect(await filler.confirms()).toBe('all')
    await server.close()

    const again = await start(dataDir)
    expect((await drain(again, 'fill')).size).toBe(30)
    expect((await drain(again, 'work')).size).toBe(0)
  })

  it('has everything that was confirmed when the broker dies with it', async () => {
    const dataDir = smallFileSystem(64)
    const ballast = join(dataDir, 'ballast')
    writeFileSync(ballast, Buffer.alloc(32 * MIB))
    const { program, filler } = await startProgram(dataDir)
    do filler.publish(50)
    while ((await filler.confirms()) === 'all')
    await program.kill()
    expect(filler.confirmed.size).toBeGreaterThan(100)
    expect(filler.confirmed.size).toBeLessThan(filler.published)

    rmSync(ballast)
    const found = await drain(await start(dataDir), 'fill')
    expect([...filler.confirmed].filter((number) => !found.has(number))).toEqual([])
  })

  it('does not keep the broker from stopping, which says that it could not write everything', async () => {
    const dataDir = smallFileSystem(32)
    const { program, filler } = await startProgram(dataDir, 'error')
    filler.publish(100)
    expect(await filler.confirms()).toBe('all')
    fillUp(join(dataDir, 'ballast'))
    filler.publish(10)
    expect(await filler.confirms()).toBe('blocked')

    program.signal('SIGTERM')
    const { code, errors } = await program.outcome()
    expect(code).toBe(1)
    expect(errors).toContain('"msg":"closing failed"')
    rmSync(join(dataDir, 'ballast'))
    const found = await drain(await start(dataDir), 'fill')
    expect([...filler.confirmed].filter((number) => !found.has(number))).toEqual([])
  })

  it('at the start is said in a sentence, and what was there is there when there is room', async () => {
    const dataDir = smallFileSystem(32)
    const { program, words, filler } = await startProgram(dataDir)
    filler.publish(100)
    expect(await filler.confirms()).toBe('all')
    await program.kill()

    fillUp(join(dataDir, 'ballast'))
    expect(await new Program(words).outcome()).toEqual({
      code: 1,
      output: '',
      errors: `leveret: The store in ${dataDir} cannot be opened: the disk is full.\n`,
    })
    rmSync(join(dataDir, 'ballast'))
    expect((await drain(await start(dataDir), 'fill')).size).toBe(100)
  })
})

/** A broker of its own, which can be killed, and somebody who fills it. */
async function startProgram(dataDir: string, logLevel = 'silent') {
  const place = ['start', '--data-dir', dataDir, '--host', '127.0.0.1', ...ANY_PORTS]
  const words = [...place, '--disk-free-limit', '0', '--log-level', logLevel]
  const program = new Program(words)
  onTestFinished(() => program.kill())
  const client = await RawClient.open(await program.port())
  onTestFinished(() => client.drop())
  const filler = new Filler(await client.openChannel())
  await filler.channel.queue('fill', { durable: true })
  await filler.channel.call('confirm.select')
  return { program, words, filler }
}

function workFor(number: number): Buffer {
  return Buffer.alloc(4096, `${number}|`)
}
