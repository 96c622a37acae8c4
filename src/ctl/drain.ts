// `leveret drain-from`: moves the messages of another broker's queues into the queues of the same names here. Nothing is
// acknowledged there before it is confirmed here.
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage, Options as AmqpOptions } from 'amqplib'
import { ApiClient, CtlError, CtlExit } from './client.ts'
import type { Progress } from './progress.ts'

/** What is moved, and between whom. */
export interface Drain {
  /** URLs of AMQP, with user, password and vhost. */
  readonly from: string
  readonly to: string
  /** The queues. Empty: all that hold messages, of those that the HTTP API at `api` lists. */
  readonly queues: readonly string[]
  readonly api: string
  readonly progress: Progress
}

/** How many messages each queue gave. */
export type Drained = readonly { readonly queue: string; readonly messages: number }[]

/** Messages that are on their way at once. */
const WINDOW = 1000
/** RabbitMQ's ports as they are by default: the API's is so far above AMQP's. */
const AMQP_PORT = 5672
const API_PORT_DISTANCE = 10_000
const PORT_MAX = 65_535
/** Without a message for so long, the queue is asked whether it has any left, in milliseconds. */
const QUIET_MS = 250

/**
 * Moves messages with all their properties, in order. They are published to the default exchange, so exchange and
 * routing key are those of a message that was sent to the queue directly.
 * @throws CtlError when a broker cannot be reached, or a queue is missing or refuses a message; what was not confirmed
 * stays where it was
 */
export async function drain({ from, to, queues, api, progress }: Drain): Promise<Drained> {
  const source = await connectTo(from)
  try {
    const target = await connectTo(to)
    try {
      const names = queues.length > 0 ? queues : await queuesWithMessages(source, from, api)
      const drained = []
      for (const queue of names) {
        drained.push({ queue, messages: await drainQueue(source, target, queue, progress) })
      }
      return drained
    } finally {
      await closeQuietly(target)
    }
  } finally {
    await closeQuietly(source)
  }
}

async function connectTo(url: string): Promise<ChannelModel> {
  const { connect } = await import('amqplib')
  try {
    const connection = await connect(url)
    // Whoever waits for something on it hears of it; without a listener the process would end.
    connection.on('error', () => undefined)
    return connection
  } catch (error) {
    const where = hiddenPassword(url)
    throw new CtlError(CtlExit.unavailable, `${where} cannot be used: ${wordsOf(error)}`, { cause: error })
  }
}

async function drainQueue(
  source: ChannelModel,
  target: ChannelModel,
  queue: string,
  progress: Progress,
): Promise<number> {
  const publisher = await target.createConfirmChannel()
  const consumer = await source.createChannel()
  try {
    return await new Move(consumer, publisher, queue, progress).run()
  } catch (error) {
    if (error instanceof CtlError) throw error
    throw new CtlError(CtlExit.data, `the queue ${queue} cannot be moved: ${wordsOf(error)}`, { cause: error })
  } finally {
    // What was not acknowledged goes back to its queue.
    await closeQuietly(consumer)
    await closeQuietly(publisher)
  }
}

/** One queue on its way. */
class Move {
  readonly #consumer: Channel
  readonly #publisher: ConfirmChannel
  readonly #queue: string
  readonly #progress: Progress
  #end: (error: Error | null) => void = () => undefined
  #failed = false
  #moved = 0
  #inFlight = 0
  #all = 0
  #quiet: NodeJS.Timeout | null = null

  constructor(consumer: Channel, publisher: ConfirmChannel, queue: string, progress: Progress) {
    this.#consumer = consumer
    this.#publisher = publisher
    this.#queue = queue
    this.#progress = progress
  }

  /** Resolves with the count of messages when the queue is empty and everything is confirmed and acknowledged. */
  run(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#end = (error) => {
        this.#failed ||= error !== null
        if (this.#quiet !== null) clearTimeout(this.#quiet)
        if (error === null) resolve(this.#moved)
        else reject(error)
      }
      for (const channel of [this.#consumer, this.#publisher]) {
        channel.on('error', (error: Error) => this.#end(error))
        channel.on('close', () => this.#end(new Error('the channel was closed')))
      }
      this.#publisher.on('return', () => this.#end(new Error('the queue is not there')))
      this.#begin().catch((error: Error) => this.#end(error))
    })
  }

  async #begin(): Promise<void> {
    await this.#publisher.checkQueue(this.#queue)
    this.#all = (await this.#consumer.checkQueue(this.#queue)).messageCount
    await this.#consumer.prefetch(WINDOW)
    this.#awaitQuiet()
    await this.#consumer.consume(this.#queue, (message) => this.#take(message))
  }

  #take(message: ConsumeMessage | null): void {
    if (message === null) {
      this.#end(new Error('the broker cancelled the consumer'))
      return
    }
    this.#inFlight++
    const options = { ...propertiesOf(message), mandatory: true }
    // The return of what cannot be routed comes before its confirm.
    this.#publisher.publish('', this.#queue, message.content, options, (refused: Error | null) => {
      if (refused !== null) this.#end(new Error('a message was refused', { cause: refused }))
      else this.#confirmed(message)
    })
  }

  #confirmed(message: ConsumeMessage): void {
    if (this.#failed) return
    this.#consumer.ack(message)
    this.#inFlight--
    this.#progress.show(this.#queue, ++this.#moved, Math.max(this.#all, this.#moved))
    if (this.#inFlight === 0) this.#awaitQuiet()
  }

  /** Looks whether anything is left once nothing has come for a while. */
  #awaitQuiet(): void {
    if (this.#quiet !== null) clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => void this.#look(), QUIET_MS)
  }

  async #look(): Promise<void> {
    if (this.#inFlight > 0 || this.#failed) return
    try {
      const { messageCount } = await this.#consumer.checkQueue(this.#queue)
      if (messageCount === 0 && this.#inFlight === 0) this.#end(null)
      else this.#awaitQuiet()
    } catch (error) {
      this.#end(error as Error)
    }
  }
}

/** The properties of a delivered message, to be published as they are. */
function propertiesOf({ properties }: ConsumeMessage): AmqpOptions.Publish {
  const { clusterId: _unused, ...rest } = properties
  const given = Object.entries(rest).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given)
}

/**
 * Where the HTTP API of the broker at an AMQP URL is most likely.
 * @throws CtlError when that would be no port
 */
export function apiOf(from: string): string {
  const { protocol, hostname, port } = new URL(from)
  const amqpPort = port === '' || protocol === 'amqps:' ? AMQP_PORT : Number(port)
  const apiPort = amqpPort + API_PORT_DISTANCE
  if (apiPort <= PORT_MAX) return `http://${hostname}:${apiPort}`
  throw new CtlError(CtlExit.usage, `where the HTTP API of ${hostname} is cannot be told: name it with --api`)
}

/**
 * The queues of the vhost in an AMQP URL that hold messages. Which queues there are the HTTP API says; how many messages
 * each has it says too, but RabbitMQ's is seconds late. Exclusive ones are their connections' own.
 */
async function queuesWithMessages(source: ChannelModel, from: string, api: string): Promise<readonly string[]> {
  const { username, password, pathname } = new URL(from)
  const vhost = pathname.length > 1 ? decodeURIComponent(pathname.slice(1)) : '/'
  const user = decodeURIComponent(username === '' ? 'guest' : username)
  const client = new ApiClient({ url: api, user, password: decodeURIComponent(password === '' ? 'guest' : password) })
  const rows = await client.rows('queues', vhost)
  const names = rows.filter(({ exclusive }) => exclusive !== true).map(({ name }) => String(name))
  const held: string[] = []
  for (const name of names) if ((await readyCount(source, name)) > 0) held.push(name)
  return held
}

async function readyCount(source: ChannelModel, queue: string): Promise<number> {
  const channel = await source.createChannel()
  // What is wrong is also the answer to the question.
  channel.on('error', () => undefined)
  try {
    return (await channel.checkQueue(queue)).messageCount
  } catch (error) {
    throw new CtlError(CtlExit.data, `the queue ${queue} cannot be asked: ${wordsOf(error)}`, { cause: error })
  } finally {
    await closeQuietly(channel)
  }
}

async function closeQuietly(closable: { close(): Promise<void> }): Promise<void> {
  try {
    await closable.close()
  } catch (error) {
    // It was closed before, by whatever went wrong.
    if (!(error instanceof Error) || error.name !== 'IllegalOperationError') throw error
  }
}

function hiddenPassword(url: string): string {
  if (!URL.canParse(url)) return url
  const parsed = new URL(url)
  parsed.password = ''
  return parsed.href
}

function wordsOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return wordsOf(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}
