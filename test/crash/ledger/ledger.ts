// What must be in the queues: every message that was published, in three sets. What was confirmed and not acknowledged
// must be there; what was published and not confirmed may be; what was acknowledged may come back only when the
// acknowledgement was not proven to be on disk.
import type { Delivery } from './load-client.ts'
import type { LedgerFile } from './ledger-file.ts'

/** What can be wrong with a broker. */
export const FAULTS = {
  lost: 'confirmed, not acknowledged, and not there any more',
  corrupt: 'not the bytes that were published',
  misplaced: 'in a queue that it cannot have come to from where it was, or has left for certain',
  early: 'delivered before its time',
  misrouted: 'in a queue that it was not published to, or returned',
  returned: 'delivered although it was acknowledged for certain, or never published',
  twice: 'delivered while it was out with another consumer',
  order: 'before a message of the same publisher that was published earlier',
  flag: 'delivered before, and not marked as redelivered',
  torn: 'in some of the queues of an unconfirmed publish, and not in others',
  count: 'not as many messages as the queue said',
  silent: 'the broker did not answer, or did not deliver what it says that it has: nothing is known of messages',
  start: 'the broker did not start',
  broker: 'the broker refused, failed or logged an error',
} as const
export type Fault = keyof typeof FAULTS

/** Faults that are kept in words; of the others only the number is. */
const WORDS_MAX = 40

/** Messages that are looked for in the store after a fault. */
const SUSPECTS_MAX = 1000

/** So many messages are kept to be sent again. */
const REMEMBERED_MAX = 500

/** What comes true as a whole or not at all: one publish, or all publishes and acknowledgements of a transaction. */
export interface Fate {
  /** Whether it outlived the broker; undefined until that was seen. Only for what was not confirmed. */
  survived: boolean | undefined
}

/** One publish, and what became of it. */
export interface Publish {
  readonly id: string
  readonly publisher: number
  readonly sequence: number
  readonly bodyBytes: number
  readonly crc: number
  readonly exchange: string
  readonly routingKey: string
  /** The life of the broker in which it was published. */
  readonly life: number
  readonly copies: readonly Copy[]
  /** Over the body alone: the broker may have to write into the properties. */
  readonly bodyCrc: number
  /** Messages of a publisher keep their order within one lane: a priority, or a delay. */
  readonly lane: number
  /** The time before which it must not come; 0 for none. */
  readonly notBefore: number
  readonly fate: Fate
  confirmed: boolean
}

/** A publish, to be noted. */
export type PublishFacts = Pick<
  Publish,
  'publisher' | 'bodyBytes' | 'crc' | 'bodyCrc' | 'exchange' | 'routingKey' | 'lane' | 'notBefore'
>

/** A message with all its bytes, to be sent again. */
export interface Sent {
  readonly properties: Buffer
  readonly body: Buffer
}

/** Somebody to whom messages are delivered. */
export interface Holder {
  readonly name: string
}

/** A message in one queue. */
export class Copy {
  readonly publish: Publish
  readonly queue: QueueLedger
  /** It came back after a crash: it is on disk, confirmed or not. */
  survived = false
  /** `sent` becomes certain (and the copy is forgotten) by proof, or `uncertain` when the connection ends before. */
  ack: 'none' | 'sent' | 'uncertain' = 'none'
  /** Who it is out with. */
  holder: Holder | null = null
  /** The last life of the broker in which it was delivered; -1 for never. */
  deliveredLife = -1
  /** Whether it is proven that the broker has on disk that it was delivered. */
  deliveryProven = false
  /** What its acknowledgement was a part of, when that was a transaction. */
  ackFate: Fate | null = null
  /** The queues of its family that it may be in, and those where it may be again after a crash. */
  places: readonly string[]
  before: readonly string[] = []
  /** Grows when it goes from one queue to another: what is proven later of an earlier stay says nothing of this one. */
  moves = 0
  /** It was given back, and must not come before this time; 0 for none. */
  notBefore = 0
  /** Whether it is proven that the broker has that time on disk. */
  waitProven = false

  constructor(publish: Publish, queue: QueueLedger) {
    this.publish = publish
    this.queue = queue
    this.places = [queue.name]
  }

  /** It is in this queue now. */
  moveTo(place: string): void {
    if (this.places.length === 1 && this.places[0] === place) return
    this.before = [...new Set([...this.before, ...this.places])]
    this.places = [place]
    this.moves++
    this.deliveryProven = false
    this.deliveredLife = -1
  }

  /** It is proven that a move is on disk. */
  settled(moves: number): void {
    if (this.moves === moves) this.before = []
  }

  /** It is proven that the broker knows until when it is to wait, if that is still what it waits for. */
  waits(notBefore: number): void {
    if (this.notBefore === notBefore) this.waitProven = true
  }

  /** What was not proven may not have happened. */
  crashed(): void {
    if (!this.waitProven) this.notBefore = 0
    if (this.before.length > 0) this.places = [...new Set([...this.before, ...this.places])]
  }

  /** Whether it must be there. */
  get certain(): boolean {
    return (this.publish.confirmed || this.survived) && this.ack === 'none'
  }

  toString(): string {
    const { id, bodyBytes, life, confirmed, routingKey } = this.publish
    const state = [
      confirmed ? 'confirmed' : 'unconfirmed',
      this.survived ? 'seen after a crash' : '',
      this.ack === 'none' ? '' : `ack ${this.ack}`,
      this.deliveredLife < 0 ? '' : `delivered in life ${this.deliveredLife}${this.deliveryProven ? ', proven' : ''}`,
    ]
    const words = state.filter((word) => word !== '').join(', ')
    return `${id} in ${this.queue.name} (${bodyBytes} bytes, key ${routingKey}, of life ${life}, ${words})`
  }
}

/** What is known of one queue, or of one with those that its messages go to when it gives them up. */
export class QueueLedger {
  readonly name: string
  readonly family: Family
  readonly copies = new Map<string, Copy>()

  constructor(name: string, family: Family = { queues: [name] }) {
    this.name = name
    this.family = family
  }

  /** Whether a message may have come to this queue of the family. */
  reaches(copy: Copy, place: string): boolean {
    if (copy.places.includes(place)) return true
    return this.family.leaks === true && this.family.queues.indexOf(place) > 0 && copy.places.includes(this.name)
  }

  get bodyBytes(): number {
    let bytes = 0
    for (const { publish } of this.copies.values()) bytes += publish.bodyBytes
    return bytes
  }
}

/**
 * Queues between which messages move: each is in exactly one of them. What the first gives up goes to the second, by the
 * default exchange.
 */
export interface Family {
  readonly queues: readonly string[]
  /** Whether the first gives messages up by itself, as they expire or as there are too many. */
  readonly leaks?: boolean
  /** Whether the broker writes into the properties of messages. */
  readonly rewrites?: boolean
  /** How long what was given back waits, at the least, before it comes again. */
  readonly retryMs?: number
}

/** Remembers, for one reader of a queue, how far each publisher had come. */
export class OrderCheck {
  readonly #last = new Map<number, number>()

  /** Whether the message comes behind those before of the same publisher and lane. */
  follows({ publisher, sequence, lane }: Publish): boolean {
    const key = publisher * 2 ** 20 + lane
    const last = this.#last.get(key)
    this.#last.set(key, Math.max(last ?? -1, sequence))
    return last === undefined || sequence > last
  }
}

/** Numbers over a whole run. */
export class Tally {
  published = 0
  confirmed = 0
  confirmedBytes = 0
  delivered = 0
  redelivered = 0
  /** Acknowledgements that were proven. */
  acknowledged = 0
  /** Messages that went to another queue for they were rejected. */
  rejected = 0
  /** Publishes that were refused, or rolled back. */
  withdrawn = 0
  /** Duplicates of confirmed messages that were sent. */
  repeated = 0
  /** Transactions that were committed for certain. */
  committed = 0
  /** Unconfirmed publishes, by queue: there after the crash, and not. */
  unconfirmedThere = 0
  unconfirmedGone = 0
  /** Acknowledged without proof, and the broker crashed: back again, and not. */
  uncertainBack = 0
  uncertainGone = 0
  /** Messages compared after a crash. */
  compared = 0
  #goal = Infinity
  #reached: () => void = () => undefined
  readonly faults: Record<Fault, number> = {
    lost: 0,
    corrupt: 0,
    misplaced: 0,
    early: 0,
    misrouted: 0,
    returned: 0,
    twice: 0,
    order: 0,
    flag: 0,
    torn: 0,
    count: 0,
    silent: 0,
    start: 0,
    broker: 0,
  }

  /** Counts a publish that was confirmed. */
  confirm(bodyBytes: number): void {
    this.confirmed++
    this.confirmedBytes += bodyBytes
    if (this.confirmed >= this.#goal) this.#reached()
  }

  /** Resolves when so many publishes were confirmed in all. Nobody else waits for another number meanwhile. */
  reaches(confirmed: number): Promise<void> {
    this.#goal = confirmed
    return new Promise((resolve) => {
      this.#reached = resolve
      if (this.confirmed >= confirmed) resolve()
    })
  }
}

/** The ledger. Owns all that is known of what was published to one data directory. */
export class Ledger {
  readonly tally: Tally
  readonly queues = new Map<string, QueueLedger>()
  /** The first faults, in words. */
  readonly faults: string[] = []
  /** The ids of the messages with which something was wrong: the first, where those are many. */
  readonly suspects = new Set<string>()
  /** Which life of the broker this is: grows with each start. */
  life = 0
  readonly #remembered = new Map<string, Sent[]>()
  readonly #file: LedgerFile | null
  #publishers = 0
  readonly #sequences: number[] = []
  #stopping = false

  /** The file, when there is one, takes down what is certain, for whoever looks into a failure. */
  constructor(tally = new Tally(), file: LedgerFile | null = null) {
    this.tally = tally
    this.#file = file
  }

  get failed(): boolean {
    return this.faults.length > 0
  }

  /** The number of a new publisher. */
  newPublisher(): number {
    this.#sequences.push(0)
    return this.#publishers++
  }

  /** The id that the next publish of this publisher has. */
  nextId(publisher: number): string {
    return `${publisher}.${this.#sequences[publisher]!}`
  }

  /** The ledger of a queue; for one that others lead to, the ledger of the first of its family. */
  queue(name: string): QueueLedger {
    let queue = this.queues.get(name)
    if (queue === undefined) this.queues.set(name, (queue = new QueueLedger(name)))
    return queue
  }

  /** Says that messages move between queues. */
  join(family: Family): void {
    const [first] = family.queues
    if (this.queues.has(first!)) return
    const ledger = new QueueLedger(first!, family)
    for (const name of family.queues) this.queues.set(name, ledger)
  }

  /** Something is wrong, perhaps with this message. */
  fault(fault: Fault, words: string, id: string | null = null): void {
    this.tally.faults[fault]++
    if (id !== null && this.suspects.size < SUSPECTS_MAX) this.suspects.add(id)
    if (this.faults.length < WORDS_MAX) this.faults.push(`${fault}: ${words}`)
  }

  /** A publish is being sent. */
  published(facts: PublishFacts, queues: readonly string[], fate: Fate = { survived: undefined }): Publish {
    const copies: Copy[] = []
    const { publisher, bodyBytes, crc, bodyCrc, exchange, routingKey, lane, notBefore } = facts
    // Each by its name: to spread the facts takes longer than all the rest.
    const publish: Publish = {
      publisher,
      bodyBytes,
      crc,
      bodyCrc,
      exchange,
      routingKey,
      lane,
      notBefore,
      id: this.nextId(publisher),
      sequence: this.#sequences[publisher]!++,
      life: this.life,
      copies,
      confirmed: false,
      fate,
    }
    for (const name of queues) {
      const queue = this.queue(name)
      const copy = new Copy(publish, queue)
      queue.copies.set(publish.id, copy)
      copies.push(copy)
    }
    this.tally.published++
    return publish
  }

  confirmed(publish: Publish): void {
    publish.confirmed = true
    this.tally.confirm(publish.bodyBytes)
    this.#file?.confirmed(publish)
  }

  /** Some that an exchange took, for whoever sends them there again: duplicates, of which nothing must be seen. */
  remembered(exchange: string): readonly Sent[] {
    return this.#remembered.get(exchange) ?? []
  }

  /** Keeps a message that was confirmed, in the place of an older one once there are many. */
  remember(exchange: string, sent: Sent): void {
    const kept = this.#remembered.get(exchange) ?? []
    this.#remembered.set(exchange, kept)
    if (kept.length === REMEMBERED_MAX) kept.shift()
    kept.push(sent)
  }

  /** The broker did not take it, or it never came to a commit: it must not be seen. */
  withdrawn({ id, copies }: Publish): void {
    for (const { queue } of copies) queue.copies.delete(id)
    this.tally.withdrawn++
  }

  /**
   * A message arrived from a queue, `place`. Returns its copy, which is out with the holder from now on; null when there is no such message.
   * With `order` every message has to come behind those before; without, only those that were never delivered do.
   */
  delivered(
    queue: QueueLedger,
    delivery: Delivery,
    holder: Holder,
    order: OrderCheck,
    strict = false,
    place = queue.name,
  ): Copy | null {
    const { messageId, redelivered } = delivery
    this.tally.delivered++
    if (redelivered) this.tally.redelivered++
    const copy = queue.copies.get(messageId)
    if (copy === undefined) {
      const words = `${messageId} in ${place}, ${delivery.bodyBytes} bytes, redelivered: ${redelivered}`
      this.fault('returned', words, messageId)
      return null
    }
    this.#place(copy, place)
    this.#compare(copy, delivery, place)
    if (!this.#stopping) this.#judge(copy, redelivered, holder)
    // What has moved, or may have, stands where it came to; what waited comes when it is to.
    const ordered = copy.moves === 0 && ((strict && queue.family.retryMs === undefined) || !redelivered)
    if (ordered && !order.follows(copy.publish)) this.#fault('order', copy)
    if (copy.publish.life < this.life) this.#outlived(copy)
    copy.ack = 'none'
    copy.notBefore = 0
    copy.waitProven = false
    copy.holder = holder
    copy.deliveredLife = this.life
    return copy
  }

  /** An acknowledgement is being sent. */
  acknowledging(copy: Copy, fate: Fate | null = null): void {
    copy.ack = 'sent'
    copy.ackFate = fate
    copy.holder = null
  }

  /** It is proven that the acknowledgement is on disk. The message must never be seen again. */
  acknowledged(copy: Copy): void {
    copy.queue.copies.delete(copy.publish.id)
    this.tally.acknowledged++
    this.#file?.acknowledged(copy)
  }

  /** A message is being rejected: it goes to this queue. */
  rejecting(copy: Copy, place: string): void {
    copy.moveTo(place)
    copy.holder = null
    this.tally.rejected++
  }

  /** The connection over which the acknowledgement went has ended, and it is not proven. */
  unproven(copy: Copy): void {
    if (copy.ack === 'sent') copy.ack = 'uncertain'
  }

  /** The message goes back to its queue: requeued, or its channel is being closed. */
  released(copy: Copy): void {
    copy.holder = null
    const { retryMs } = copy.queue.family
    if (retryMs !== undefined) copy.notBefore = Date.now() + retryMs
  }

  /**
   * The broker was told to stop. It closes one connection after the other, so what is requeued from the first may come
   * to the next before we read that the first was closed: who has what, and since when, cannot be judged any more.
   */
  stopping(): void {
    this.#stopping = true
  }

  /** The broker has ended, one way or the other. */
  crashed(): void {
    this.#stopping = false
    this.life++
    for (const { copies } of this.queues.values()) {
      for (const copy of copies.values()) {
        copy.holder = null
        copy.crashed()
        this.unproven(copy)
      }
    }
  }

  /** A queue has been read from end to end, and nobody else used it: what did not come is not there. */
  audited(queue: QueueLedger, found: ReadonlySet<Copy>): void {
    for (const copy of queue.copies.values()) {
      this.tally.compared++
      if (found.has(copy)) continue
      queue.copies.delete(copy.publish.id)
      if (copy.certain) this.#fault('lost', copy)
      else if (copy.ack !== 'none') {
        this.tally.uncertainGone++
        if (copy.publish.confirmed || copy.survived) this.#decided(copy, copy.ackFate, true)
      } else {
        this.tally.unconfirmedGone++
        this.#decided(copy, copy.publish.fate, false)
      }
    }
  }

  #fault(fault: Fault, copy: Copy, more = ''): void {
    this.fault(fault, `${String(copy)}${more}`, copy.publish.id)
  }

  /** Whether the message may come to this holder, at this time. */
  #judge(copy: Copy, redelivered: boolean, holder: Holder): void {
    if (copy.ack === 'sent') this.#fault('returned', copy)
    if (copy.holder !== null) this.#fault('twice', copy, `; out with ${copy.holder.name}, came to ${holder.name}`)
    if (!redelivered && (copy.deliveryProven || copy.deliveredLife === this.life)) this.#fault('flag', copy)
  }

  #compare(copy: Copy, { bodyBytes, crc, bodyCrc, exchange, routingKey }: Delivery, place: string): void {
    const { publish, queue } = copy
    const whole = queue.family.rewrites === true ? publish.bodyCrc === bodyCrc : publish.crc === crc
    if (publish.bodyBytes !== bodyBytes || !whole) {
      this.#fault('corrupt', copy, `: ${bodyBytes} bytes came, checksum ${crc} for ${publish.crc}`)
    }
    const expected = place === queue.name ? publish : { exchange: '', routingKey: place }
    if (expected.exchange !== exchange || expected.routingKey !== routingKey) {
      this.#fault('misrouted', copy, `: came with ${exchange || "''"}, ${routingKey}`)
    }
  }

  /** A message of an earlier life came: it was on disk, whether it was confirmed or not, and so was no ack of it. */
  #outlived(copy: Copy): void {
    if (copy.ack === 'uncertain') {
      this.tally.uncertainBack++
      this.#decided(copy, copy.ackFate, false)
      copy.ackFate = null
    }
    if (copy.survived || copy.publish.confirmed) return
    this.tally.unconfirmedThere++
    copy.survived = true
    this.#decided(copy, copy.publish.fate, true)
  }

  /** Whether the message may come from this queue; it is there from now on. */
  #place(copy: Copy, place: string): void {
    if (!this.#stopping && !copy.queue.reaches(copy, place)) {
      this.#fault('misplaced', copy, `: came from ${place}, was in ${copy.places.join(' or ')}`)
    }
    copy.moveTo(place)
    const earlyMs = Math.max(copy.publish.notBefore, copy.notBefore) - Date.now()
    if (earlyMs > 0) this.#fault('early', copy, `: ${earlyMs} ms too early`)
  }

  /** One batch takes a publish to all its queues: it is in all of them or in none. So is a transaction. */
  #decided(copy: Copy, fate: Fate | null, survived: boolean): void {
    if (fate === null) return
    fate.survived ??= survived
    if (fate.survived !== survived) this.#fault('torn', copy, `: ${survived ? 'true' : 'not true'}`)
  }
}
