// Publishes persistent messages with confirms, as fast as its window allows.
import { Fifo } from '../../../src/lib/fifo.ts'
import type { Ledger, Publish } from './ledger.ts'
import { ConnectionLostError, messageCrc, methodFrame, type Delivery } from './load-client.ts'
import type { LoadChannel, LoadClient } from './load-client.ts'
import type { Actor, Load, Route } from './part.ts'
import { Random } from '../random.ts'

const CHANNEL = 1
const BODY_BYTES_MAX = 200 * 1024
/** Publishes in one turn; the others of this process want theirs too. */
const PUBLISHES_A_TURN = 32
const DELIVERY_MODE = 0x1000
const MESSAGE_ID = 0x0080
const HEADERS = 0x2000

/** What bodies are cut from: a body is some piece of it, so one in the place of another is noticed. */
const noise = noiseBytes(BODY_BYTES_MAX * 4)

/** Publishes on one channel and notes it in the ledger. Shared by all who publish. */
export class LedgerPublisher {
  /** Called when confirms came. */
  onConfirm: () => void = () => undefined
  readonly #ledger: Ledger
  readonly #channel: LoadChannel
  readonly #number: number
  /** The publishes that were not confirmed, from tag `#firstTag` on. */
  readonly #outstanding = new Fifo<Publish>()
  #firstTag = 1
  readonly #frames = new Map<Route, Buffer>()

  private constructor(ledger: Ledger, channel: LoadChannel) {
    this.#ledger = ledger
    this.#channel = channel
    this.#number = ledger.newPublisher()
  }

  /** Opens a channel for publishing. */
  static async open(ledger: Ledger, client: LoadClient, number = CHANNEL): Promise<LedgerPublisher> {
    let publisher: LedgerPublisher | null = null
    const channel = await client.openChannel(number, {
      confirmed: (tag, multiple) => publisher!.#confirmed(tag, multiple),
      refused: (tag) => ledger.fault('broker', `publish ${tag} of channel ${number} was answered with nack`),
      returned: (delivery) => returned(ledger, delivery),
    })
    publisher = new LedgerPublisher(ledger, channel)
    await channel.call('confirm.select')
    return publisher
  }

  get outstanding(): number {
    return this.#outstanding.length
  }

  /** Publishes a message with this body. `headers` is an encoded table. */
  publish(route: Route, body: Buffer, headers: Buffer | null = null): void {
    const { exchange, routingKey } = route
    const properties = encodeProperties(this.#ledger.nextId(this.#number), headers)
    const crc = messageCrc(properties, body)
    const facts = { publisher: this.#number, bodyBytes: body.length, crc, exchange, routingKey }
    this.#outstanding.push(this.#ledger.published(facts, route.queues))
    this.#channel.publish(this.#frame(route), properties, body)
  }

  #frame(route: Route): Buffer {
    let frame = this.#frames.get(route)
    if (frame === undefined) {
      const fields = { exchange: route.exchange, 'routing-key': route.routingKey, mandatory: true }
      frame = methodFrame(this.#channel.number, 'basic.publish', fields)
      this.#frames.set(route, frame)
    }
    return frame
  }

  #confirmed(tag: number, multiple: boolean): void {
    const ledger = this.#ledger
    // The broker confirms in order, so a single confirm is that of the oldest.
    if (tag < this.#firstTag || tag >= this.#firstTag + this.#outstanding.length) {
      ledger.fault('broker', `a confirm of ${tag}, outstanding from ${this.#firstTag}: ${this.#outstanding.length}`)
      return
    }
    if (!multiple && tag !== this.#firstTag) ledger.fault('broker', `a confirm of ${tag} before ${this.#firstTag}`)
    for (; this.#firstTag <= tag; this.#firstTag++) ledger.confirmed(this.#outstanding.shift()!)
    this.onConfirm()
  }
}

/** A producer with a window, sizes and a frame size that are drawn by lot. */
export class Producer implements Actor {
  readonly ended: Promise<void>
  readonly #load: Load
  readonly #routes: readonly Route[]
  readonly #random: Random
  readonly #window: number
  readonly #frameMax: number
  readonly #scale: number
  #end!: (outcome: void | Promise<void>) => void
  #client: LoadClient | null = null
  #publisher: LedgerPublisher | null = null
  #waiting = false

  constructor(load: Load, routes: readonly Route[]) {
    this.#load = load
    this.#routes = routes
    this.#random = load.random.fork()
    this.#window = this.#random.skewed(1, 2000)
    // Large bodies push the middle of a queue out of memory within one load.
    this.#scale = this.#random.chance(0.15) ? 20 : 1
    this.#frameMax = this.#random.pick([4096, 131072, 131072])
    this.ended = new Promise((resolve) => (this.#end = resolve))
  }

  async start(): Promise<void> {
    try {
      this.#client = await this.#load.connect(this.#frameMax)
      this.#end(this.#client.ended.then(() => undefined))
      this.#publisher = await LedgerPublisher.open(this.#load.ledger, this.#client)
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error
      this.#end()
      return
    }
    this.#publisher.onConfirm = () => this.#goOn()
    this.#goOn()
  }

  /** Publishes at the end of this turn, unless it will anyway. */
  #goOn(): void {
    if (this.#waiting) return
    this.#waiting = true
    if (this.#client!.full) this.#client!.whenDrained(() => this.#fill())
    else setImmediate(() => this.#fill())
  }

  #fill(): void {
    this.#waiting = false
    const publisher = this.#publisher!
    const client = this.#client!
    let budget = PUBLISHES_A_TURN
    while (publisher.outstanding < this.#window && !client.lost && !client.full && budget-- > 0) {
      const body = randomBody(this.#random, this.#scale)
      publisher.publish(this.#random.pick(this.#routes), body, this.#random.chance(0.1) ? HEADERS_TABLE : null)
    }
    if (publisher.outstanding < this.#window && !client.lost) this.#goOn()
  }
}

/** A body: mostly small, now and then empty or large; all of them `scale` times as large where they can be. */
export function randomBody(random: Random, scale = 1): Buffer {
  const kind = random.next()
  let bytes = 0
  if (kind < 0.85) bytes = random.int(0, 300)
  else if (kind < 0.96) bytes = random.int(300, 4200)
  else if (kind < 0.996) bytes = random.int(4000, 32 * 1024)
  else bytes = random.int(32 * 1024, BODY_BYTES_MAX)
  bytes = Math.min(bytes * scale, BODY_BYTES_MAX)
  const from = random.int(0, noise.length - bytes)
  return noise.subarray(from, from + bytes)
}

function returned(ledger: Ledger, { messageId, exchange, routingKey }: Delivery): void {
  ledger.fault('misrouted', `${messageId} was returned; exchange ${exchange || "''"}, key ${routingKey}`)
}

/** An encoded table of two headers. */
const HEADERS_TABLE = Buffer.from('\x00\x00\x00\x18\x04rankI\x00\x00\x00\x07\x05shapeS\x00\x00\x00\x03hex', 'latin1')

/** The properties of a persistent message as they are encoded. */
function encodeProperties(id: string, headers: Buffer | null): Buffer {
  const headersBytes = headers?.length ?? 0
  const properties = Buffer.allocUnsafe(2 + headersBytes + 2 + id.length)
  properties.writeUInt16BE(DELIVERY_MODE | MESSAGE_ID | (headers === null ? 0 : HEADERS), 0)
  headers?.copy(properties, 2)
  properties[2 + headersBytes] = 2
  properties[3 + headersBytes] = id.length
  properties.write(id, 4 + headersBytes, 'latin1')
  return properties
}

function noiseBytes(length: number): Buffer {
  const random = new Random(length)
  const bytes = Buffer.allocUnsafe(length)
  for (let i = 0; i < length; i += 4) bytes.writeUInt32BE(random.int(0, 2 ** 32 - 1), i)
  return bytes
}
