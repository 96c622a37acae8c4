// Load that nobody planned: each costs whoever brings it, and nobody else.
import { connect, type Channel, type ChannelModel, type ConfirmChannel } from 'amqplib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { silentLogger } from '../../src/lib/log.ts'
import { startServer, type Server, type ServerOptions } from '../../src/server.ts'
import { temporaryDirectory } from '../support/store.ts'

const LIMIT = 128 * 1024 * 1024

/** A broker on disk, which must log no error. */
class Broker {
  readonly errors: string[] = []
  readonly #options: ServerOptions
  #server!: Server
  readonly #clients: ChannelModel[] = []

  private constructor(options: ServerOptions) {
    const error = (_facts: object, words: string): void => void this.errors.push(words)
    this.#options = { ...options, logger: { ...silentLogger, error } }
  }

  static async start(options: ServerOptions = {}): Promise<Broker> {
    const broker = new Broker({ host: '127.0.0.1', dataDir: await temporaryDirectory(), ...options })
    await broker.restart()
    onTestFinished(() => broker.#stop())
    return broker
  }

  async restart(): Promise<void> {
    await this.#stop()
    this.#server = await startServer(this.#options)
  }

  async connect(): Promise<ChannelModel> {
    const client = await connect(`amqp://guest:guest@127.0.0.1:${this.#server.ports.amqp}`)
    client.on('error', () => undefined)
    this.#clients.push(client)
    return client
  }

  async #stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.close().catch(() => undefined)
    await (this.#server as Server | undefined)?.close()
  }
}

async function fill(channel: ConfirmChannel, queue: string, count: number, bytes: number): Promise<void> {
  await channel.assertQueue(queue)
  for (let i = 0; i < count; i++) {
    channel.sendToQueue(queue, Buffer.from(String(i).padEnd(bytes)), { persistent: true })
  }
  await channel.waitForConfirms()
}

/** Makes sure that somebody else is served, from the publish to the acknowledgement. */
async function expectService(channel: ConfirmChannel): Promise<void> {
  await channel.assertQueue('other')
  channel.sendToQueue('other', Buffer.from('served'), { persistent: true })
  await channel.waitForConfirms()
  const message = await channel.get('other')
  expect(message !== false && message.content.toString()).toBe('served')
  if (message !== false) channel.ack(message)
}

/** Resolves when so many messages have come. */
async function received(channel: Channel, queue: string, count: number): Promise<number[]> {
  const numbers: number[] = []
  await new Promise<void>((resolve, reject) => {
    const take = (message: { readonly content: Buffer } | null): void => {
      numbers.push(Number(message!.content.toString()))
      if (numbers.length === count) resolve()
    }
    channel.consume(queue, take).catch(reject)
  })
  return numbers
}

const numbersTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

describe('a body of 128 MiB', () => {
  it('is taken, stored and given back whole where the limit is set so high, and a byte more is refused', async () => {
    const broker = await Broker.start({ messageBytesMax: LIMIT, memoryLimit: 0 })
    const client = await broker.connect()
    const channel = await client.createConfirmChannel()
    await channel.assertQueue('q')
    const body = Buffer.alloc(LIMIT, 'a body of many bytes, ')
    channel.sendToQueue('q', body, { persistent: true })
    await channel.waitForConfirms()
    const message = await channel.get('q')
    expect(message !== false && message.content.equals(body)).toBe(true)
    const refusing = await client.createChannel()
    const closed = new Promise<Error>((resolve) => refusing.on('error', resolve))
    refusing.sendToQueue('q', Buffer.alloc(LIMIT + 1))
    expect((await closed).message).toContain(
      `PRECONDITION_FAILED - message size ${LIMIT + 1} is larger than configured max size ${LIMIT}`,
    )
    await expectService(channel)
    expect(broker.errors).toEqual([])
  }, 120_000)
})

describe('a consumer that acknowledges nothing, without a prefetch', () => {
  it('gets everything, keeps nobody else waiting, and leaves all of it in its place', async () => {
    const count = 20_000
    const broker = await Broker.start()
    const channel = await (await broker.connect()).createConfirmChannel()
    await fill(channel, 'q', count, 500)
    const greedy = await broker.connect()
    const hoarder = await greedy.createChannel()
    await hoarder.prefetch(0)
    expect(await received(hoarder, 'q', count)).toEqual(numbersTo(count))
    await expectService(channel)
    expect(await channel.checkQueue('q')).toMatchObject({ messageCount: 0, consumerCount: 1 })
    await greedy.close()
    expect(await channel.checkQueue('q')).toMatchObject({ messageCount: count, consumerCount: 0 })
    await channel.prefetch(count)
    expect(await received(channel, 'q', count)).toEqual(numbersTo(count))
    expect(broker.errors).toEqual([])
  }, 120_000)
})

describe('a queue that is deleted while its pages are read', () => {
  it('is gone with them: its consumers are told, others served, and there is no damage to speak of', async () => {
    const count = 5_000
    const broker = await Broker.start()
    await fill(await (await broker.connect()).createConfirmChannel(), 'q', count, 1000)
    for (let round = 0; round < 3; round++) {
      await broker.restart()
      const client = await broker.connect()
      const channel = await client.createConfirmChannel()
      expect(await channel.checkQueue('q')).toMatchObject({ messageCount: count })
      await channel.prefetch(100)
      const cancelled = new Promise<void>((resolve) => {
        void channel.consume('q', (message) => {
          if (message === null) resolve()
        })
      })
      // The first page has just been asked for, or is on its way.
      const deleter = await client.createChannel()
      await deleter.deleteQueue('q')
      await cancelled
      await expectService(channel)
      await fill(channel, 'q', count, 1000)
    }
    expect(broker.errors).toEqual([])
  }, 120_000)
})
