// A message as the broker carries it: what routing and queues need to know, and the rest as the bytes it came in.

/** The facts that a front end reads from a message's properties, because routing and queues act on them. */
export interface MessageFacts {
  /** Delivery mode 2: survives a restart in a durable queue. */
  readonly persistent: boolean
  /** 0 to 255; -1 when absent. */
  readonly priority: number
  /** Milliseconds that the message may wait in a queue; -1 when it may wait for ever. */
  readonly expirationMs: number
  /** Whether there are headers at all: most exchanges and queues need not look. */
  readonly headers: boolean
}

/** What most messages have beside their own routing key. */
export const NO_KEYS: readonly string[] = []

/** What is known of earlier deaths of a message (see queue/dead-letter). The numbers are part of the store's format. */
export const Deaths = {
  /** None. Whatever stands in its header x-death is its publisher's. */
  none: 0,
  /** Its header x-death is the broker's own. */
  recorded: 1,
  /** The same, and it has been given another routing key: its header CC says no longer where it goes. */
  readdressed: 2,
} as const
export type Deaths = (typeof Deaths)[keyof typeof Deaths]

/** The properties of a message whose bytes are on disk only: no flags are set. */
const ON_DISK = Buffer.alloc(2)
const NO_BODY = Buffer.alloc(0)

/**
 * One published message. Shared by all the queues that it reached.
 *
 * The bytes are views into the chunk that they arrived in for as long as the message is in flight. Whoever keeps a
 * message calls `own()` first, or points it to bytes that are kept anyway (a page of the store) with `adopt()`.
 */
export class Message {
  readonly exchange: string
  readonly routingKey: string
  readonly persistent: boolean
  readonly priority: number
  readonly expirationMs: number
  readonly headers: boolean
  deaths: Deaths = Deaths.none
  /** Further routing keys that nobody who gets the message may read (RabbitMQ: BCC): its dead letters go by them too. */
  blindCopies = NO_KEYS
  /** AMQP 0-9-1 property flags and property values, as in a content header (§4.2.6.1), without class, weight and size. */
  properties: Buffer
  propertiesStart: number
  propertiesEnd: number
  body: Buffer
  bodyStart: number
  bodyEnd: number
  /** Whether the bytes are the message's own (or a page's), and not a view into a chunk of input. */
  owned: boolean
  /** Logs that were given the message, and have not struck it. Kept by the store. */
  logs = 0
  /** Under which number the store keeps the body apart from its entries; 0: it does not. Kept by the store. */
  sharedBody = 0

  constructor(
    exchange: string,
    routingKey: string,
    facts: MessageFacts,
    properties: Buffer,
    propertiesStart: number,
    propertiesEnd: number,
    body: Buffer,
    bodyStart: number,
    bodyEnd: number,
    owned: boolean,
  ) {
    this.exchange = exchange
    this.routingKey = routingKey
    this.persistent = facts.persistent
    this.priority = facts.priority
    this.expirationMs = facts.expirationMs
    this.headers = facts.headers
    this.properties = properties
    this.propertiesStart = propertiesStart
    this.propertiesEnd = propertiesEnd
    this.body = body
    this.bodyStart = bodyStart
    this.bodyEnd = bodyEnd
    this.owned = owned
  }

  get bodyBytes(): number {
    return this.bodyEnd - this.bodyStart
  }

  get propertiesBytes(): number {
    return this.propertiesEnd - this.propertiesStart
  }

  /** Whether properties and body are on disk only. */
  get released(): boolean {
    return this.properties === ON_DISK
  }

  /** What remains in memory of a message whose properties and body are on disk: by what it was routed, and its size. */
  outline(): Message {
    const { exchange, routingKey, persistent, priority, bodyBytes } = this
    const facts = { persistent, priority, expirationMs: -1, headers: false }
    return new Message(exchange, routingKey, facts, ON_DISK, 0, ON_DISK.length, NO_BODY, 0, bodyBytes, true)
  }

  /** Whether this outline would be that of another message, too. */
  outlines({ exchange, routingKey, persistent, priority, bodyBytes }: Message): boolean {
    const sameWay = exchange === this.exchange && routingKey === this.routingKey
    return sameWay && bodyBytes === this.bodyBytes && priority === this.priority && persistent === this.persistent
  }

  /** Copies the bytes out of the chunk that they arrived in, so that a parked message does not keep all of it. */
  own(): void {
    if (this.owned) return
    const propertiesBytes = this.propertiesBytes
    const bytes = Buffer.allocUnsafe(propertiesBytes + this.bodyBytes)
    this.properties.copy(bytes, 0, this.propertiesStart, this.propertiesEnd)
    this.body.copy(bytes, propertiesBytes, this.bodyStart, this.bodyEnd)
    this.adopt(bytes, 0, propertiesBytes, propertiesBytes, bytes.length)
  }

  /** Points the message to the same bytes elsewhere: they have been copied there, and stay for as long as it does. */
  adopt(bytes: Buffer, propertiesStart: number, propertiesEnd: number, bodyStart: number, bodyEnd: number): void {
    this.properties = bytes
    this.propertiesStart = propertiesStart
    this.propertiesEnd = propertiesEnd
    this.body = bytes
    this.bodyStart = bodyStart
    this.bodyEnd = bodyEnd
    this.owned = true
  }
}
