// Publishes persistent messages with confirms, as fast as its window allows.
import { crc32 } from 'node:zlib'
import { Fifo } from '../../../src/lib/fifo.ts'
import type { Ledger, Publish, PublishFacts, Sent } from './ledger.ts'
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
const PRIORITY = 0x0800
const NO_BYTES = Buffer.alloc(0)

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
  readonly #outstanding = new Fifo<Outstanding>()
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
      refused: (tag, multiple) => publisher!.#refused(tag, multiple),
      returned: (delivery) => returned(ledger, delivery),
    })
    publisher = new LedgerPublisher(ledger, channel)
    await channel.call('confirm.select')
    return publisher
  }

  get outstanding(): number {
    return this.#outstanding.length
  }

  /** Publishes a message with this body, and says which id it has. */
  publish(route: Route, body: Buffer, traits: Traits = {}): string {
    const { properties, facts } = compose(this.#ledger, this.#number, route, body, traits)
    const publish = this.#ledger.published(facts, route.queues)
    const sent = route.deduplicated === true ? { properties, body } : null
    this.#outstanding.push({ publish, refusable: route.refusable === true, sent })
    this.#channel.publish(this.#frame(route), properties, body)
    return publish.id
  }

  /** Publishes a message that was confirmed before once more: it is confirmed again, and nothing comes of it. */
  repeat(route: Route, { properties, body }: Sent): void {
    this.#outstanding.push({ publish: null, refusable: false, sent: null })
    this.#channel.publish(this.#frame(route), properties, body)
    this.#ledger.tally.repeated++
  }

  /** Resolves when everything is confirmed. */
  confirmedAll(): Promise<void> {
    return new Promise((resolve) => {
      this.onConfirm = () => {
        if (this.outstanding === 0) resolve()
      }
      this.onConfirm()
    })
  }

  #frame(route: Route): Buffer {
    let frame = this.#frames.get(route)
    if (frame === undefined) {
      const fields = {
        exchange: route.exchange,
        'routing-key': route.routingKey,
        mandatory: route.delays === undefined && route.unreturned !== true,
      }
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
    for (; this.#firstTag <= tag; this.#firstTag++) {
      const { publish, sent } = this.#outstanding.shift()!
      if (publish !== null) ledger.confirmed(publish)
      if (sent !== null) ledger.remember(publish!.exchange, sent)
    }
    this.onConfirm()
  }

  #refused(tag: number, multiple: boolean): void {
    const ledger = this.#ledger
    const refused = this.#outstanding.peek()
    if (tag !== this.#firstTag || multiple || refused?.refusable !== true || refused.publish === null) {
      ledger.fault('broker', `publish ${tag} was answered with nack, outstanding from ${this.#firstTag}`)
      return
    }
    this.#outstanding.shift()
    this.#firstTag++
    ledger.withdrawn(refused.publish)
    this.onConfirm()
  }
}

/** A publish that was not answered. */
interface Outstanding {
  /** Null for one that repeats another. */
  readonly publish: Publish | null
  readonly refusable: boolean
  /** Its bytes, if it may be repeated. */
  readonly sent: Sent | null
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
    this.#window = load.masses ? this.#random.int(500, 3000) : this.#random.skewed(1, 2000)
    // Large bodies push the middle of a queue out of memory within one load.
    const large = this.#random.chance(0.15)
    if (load.masses) this.#scale = 0.1
    else this.#scale = large ? 20 : 1
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
      const route = this.#random.pick(this.#routes)
      const remembered = this.#load.ledger.remembered(route.exchange)
      if (route.deduplicated === true && remembered.length > 0 && this.#random.chance(0.3)) {
        publisher.repeat(route, this.#random.pick(remembered))
        continue
      }
      publisher.publish(route, body, traitsFor(route, this.#random))
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
  bytes = Math.min(Math.floor(bytes * scale), BODY_BYTES_MAX)
  const from = random.int(0, noise.length - bytes)
  return noise.subarray(from, from + bytes)
}

function returned(ledger: Ledger, { messageId, exchange, routingKey }: Delivery): void {
  ledger.fault('misrouted', `${messageId} was returned; exchange ${exchange || "''"}, key ${routingKey}`)
}

/** What a message has beside its id and its body. */
export interface Traits {
  readonly headers?: boolean
  readonly priority?: number
  readonly delayMs?: number
  /** Whether it has its id in the header by which duplicates are known. */
  readonly unique?: boolean
}

/** Draws what a message of this route has. */
function traitsFor({ priorityMax, delays, deduplicated }: Route, random: Random): Traits {
  if (deduplicated === true) return { unique: true }
  if (priorityMax !== undefined) return { priority: random.int(0, priorityMax) }
  if (delays !== undefined) return { delayMs: random.pick(delays) }
  return { headers: random.chance(0.1) }
}

/** The next publish of a publisher: its properties as they are encoded, and what the ledger is to know of it. */
export function compose(
  ledger: Ledger,
  publisher: number,
  { exchange, routingKey }: Route,
  body: Buffer,
  { headers = false, priority = 0, delayMs = 0, unique = false }: Traits,
): { properties: Buffer; facts: PublishFacts } {
  const id = ledger.nextId(publisher)
  let table: Buffer | null = headers ? HEADERS_TABLE : null
  if (unique) table = uniqueTable(id)
  if (delayMs > 0) table = delayTable(delayMs)
  const properties = encodeProperties(id, table, priority)
  const crc = messageCrc(properties, body)
  const notBefore = delayMs > 0 ? Date.now() + delayMs : 0
  const lane = priority + delayMs
  const bodyCrc = crc32(body)
  return {
    properties,
    facts: { publisher, bodyBytes: body.length, crc, bodyCrc, exchange, routingKey, lane, notBefore },
  }
}

/** An encoded table of two headers. */
const HEADERS_TABLE = Buffer.from('\x00\x00\x00\x18\x04rankI\x00\x00\x00\x07\x05shapeS\x00\x00\x00\x03hex', 'latin1')

/** An encoded table with the header of a delay. */
function delayTable(delayMs: number): Buffer {
  const table = Buffer.from('\x00\x00\x00\x0d\x07x-delayI\x00\x00\x00\x00', 'latin1')
  table.writeUInt32BE(delayMs, table.length - 4)
  return table
}

/** An encoded table with the header by which duplicates are known. */
function uniqueTable(id: string): Buffer {
  const table = Buffer.from(`\0\0\0\0\x18x-deduplication-headerS\0\0\0\0${id}`, 'latin1')
  table[4] = 'x-deduplication-header'.length
  table.writeUInt32BE(table.length - 4, 0)
  table.writeUInt32BE(id.length, table.length - id.length - 4)
  return table
}

/** The properties of a persistent message as they are encoded. */
function encodeProperties(id: string, headers: Buffer | null, priority: number): Buffer {
  const flags = DELIVERY_MODE | MESSAGE_ID | (headers === null ? 0 : HEADERS) | (priority === 0 ? 0 : PRIORITY)
  const start = Buffer.allocUnsafe(2)
  start.writeUInt16BE(flags)
  const modes = priority === 0 ? [2, id.length] : [2, priority, id.length]
  return Buffer.concat([start, headers ?? NO_BYTES, Buffer.from(modes), Buffer.from(id, 'latin1')])
}

function noiseBytes(length: number): Buffer {
  const random = new Random(length)
  const bytes = Buffer.allocUnsafe(length)
  for (let i = 0; i < length; i += 4) bytes.writeUInt32BE(random.int(0, 2 ** 32 - 1), i)
  return bytes
}
