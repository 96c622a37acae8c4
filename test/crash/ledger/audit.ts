// Reads every queue from end to end after a restart and has the ledger compare it.
import type { Copy, Holder, Ledger, QueueLedger } from './ledger.ts'
import { OrderCheck } from './ledger.ts'
import { ConnectionLostError, type Delivery, type LoadChannel, type LoadClient } from './load-client.ts'
import type { Route } from './part.ts'
import { LedgerPublisher } from './producer.ts'
import { Proof } from './proof.ts'
import type { Random } from '../random.ts'

/** A queue with more than this is emptied by its audit, so that a run does not grow without end. */
const KEPT_COPIES_MAX = 15_000
const KEPT_BYTES_MAX = 48 * 1024 * 1024
const PROOF_CHANNEL = 1
const SENTINEL_CHANNEL = 1000
const READ_AGAIN_SHARE = 0.3
/** So many messages may be requeued one by one; a channel that closes requeues the others. */
const REQUEUED_MAX = 500
/** Queues with fewer messages may be read with basic.get. */
const GET_MAX = 1500
const GETS_AT_ONCE = 20
/** So long may a queue that says it has messages deliver none. */
const SILENCE_MS_MAX = 20_000
const SHORT_SILENCES = 100

export interface AuditContext {
  readonly ledger: Ledger
  readonly random: Random
  readonly proof: Route
  /** How messages come late to some of the queues. */
  readonly delayed: readonly Route[]
  readonly client: LoadClient
}

/**
 * Reads these queues, all at once, each on a channel of its own; then acknowledges all, some or nothing of what they
 * held, and gives the rest back. Some are read once more, for what was given back must be where it was. `emptyAll`
 * leaves nothing. Rejects when the connection ends.
 */
export async function audit(context: AuditContext, queues: readonly QueueLedger[], emptyAll = false): Promise<void> {
  const { client, ledger, random } = context
  const publisher = await LedgerPublisher.open(ledger, client, PROOF_CHANNEL)
  const proof = new Proof(context, publisher)
  const sentinels = await LedgerPublisher.open(ledger, client, SENTINEL_CHANNEL)
  let channels = PROOF_CHANNEL
  const reading = (queue: QueueLedger): Reading => {
    const numbers = queue.family.queues.map(() => ++channels)
    const delayed = context.delayed.find(({ queues: [name] }) => name === queue.name)
    return new Reading(context, proof, queue, numbers, delayed === undefined ? null : { sentinels, route: delayed })
  }
  const readings = queues.map(reading)
  await Promise.all(readings.map((one) => one.read()))
  for (const one of readings) one.settle(emptyAll)
  await Promise.race([proof.complete(), lost(client)])
  await Promise.all(readings.map((one) => one.close()))

  const again = queues.filter(() => random.chance(READ_AGAIN_SHARE))
  channels = PROOF_CHANNEL
  const readingsAgain = again.map(reading)
  await Promise.all(readingsAgain.map((one) => one.read()))
  await Promise.all(readingsAgain.map((one) => one.close()))
}

async function lost(client: LoadClient): Promise<never> {
  await client.ended
  throw new ConnectionLostError('a proof')
}

/** The audit of one queue and of those that it leads to, in that order: what it gives up meanwhile is found there. */
class Reading {
  readonly #context: AuditContext
  readonly #queue: QueueLedger
  readonly #stays: readonly Stay[]
  readonly #late: Late | null

  constructor(context: AuditContext, proof: Proof, queue: QueueLedger, numbers: readonly number[], late: Late | null) {
    this.#context = context
    this.#queue = queue
    this.#late = late
    this.#stays = queue.family.queues.map((name, i) => new Stay(context, proof, queue, name, numbers[i]!))
  }

  async read(): Promise<void> {
    if (this.#late !== null) this.#stays[0]!.await(await this.#sentinel(this.#late))
    for (const stay of this.#stays) await stay.read()
    const found = new Set<Copy>()
    for (const stay of this.#stays) for (const copy of stay.copies) found.add(copy)
    this.#context.ledger.audited(this.#queue, found)
  }

  /** Acknowledges all, some or nothing. */
  settle(all: boolean): void {
    const { random } = this.#context
    const { copies, bodyBytes } = this.#queue
    const choice = random.next()
    const everything = all || choice < 0.35 || copies.size > KEPT_COPIES_MAX || bodyBytes > KEPT_BYTES_MAX
    for (const stay of this.#stays) {
      if (everything) stay.acknowledgeAll()
      else if (choice < 0.65) stay.acknowledgeSome()
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#stays.map((stay) => stay.close()))
  }

  /** Publishes a message that falls due after all others, which come before it. Resolves with its id. */
  async #sentinel({ sentinels, route }: Late): Promise<string> {
    const delayMs = Math.max(...route.delays!)
    const id = sentinels.publish(route, Buffer.alloc(0), { delayMs })
    await Promise.race([sentinels.confirmedAll(), lost(this.#context.client)])
    return id
  }
}

/** How to wait for what comes late. */
interface Late {
  readonly sentinels: LedgerPublisher
  readonly route: Route
}

/** The audit of one of these queues. */
class Stay implements Holder {
  readonly name = 'the audit'
  readonly #context: AuditContext
  readonly #proof: Proof
  readonly #queue: QueueLedger
  readonly #place: string
  readonly #number: number
  /** The id of the message that comes behind all that come late. */
  #awaited: string | null = null
  readonly #order = new OrderCheck()
  readonly #out = new Map<number, Copy>()
  #channel!: LoadChannel
  #received = 0
  /** How many must have arrived before somebody is told. */
  #wanted: { count: number; arrived: () => void } | null = null

  constructor(context: AuditContext, proof: Proof, queue: QueueLedger, place: string, number: number) {
    this.#context = context
    this.#proof = proof
    this.#queue = queue
    this.#place = place
    this.#number = number
  }

  async read(): Promise<void> {
    const { client, ledger, random } = this.#context
    this.#channel = await client.openChannel(this.#number, { delivered: (delivery) => this.#delivered(delivery) })
    const count = await this.#ready()
    const changes = this.#awaited !== null || this.#queue.family.leaks === true
    if (count < GET_MAX && this.#awaited === null && random.chance(0.25)) await this.#get()
    else await this.#consume()
    if (this.#received !== count && !changes) {
      ledger.fault('count', `${this.#place} said ${count}, and had ${this.#received} messages`)
    }
  }

  /** What was found, as far as it was not acknowledged or given back. */
  get copies(): Iterable<Copy> {
    return this.#out.values()
  }

  /** Has the reading go on until this message has come. */
  await(id: string): void {
    this.#awaited = id
  }

  /** Gives the rest back: some one by one, in any order, and what is left by closing the channel. */
  async close(): Promise<void> {
    const { ledger, random } = this.#context
    for (const tag of random.shuffle([...this.#out.keys()]).slice(0, random.int(0, REQUEUED_MAX))) {
      this.#channel.requeue(tag, false)
      ledger.released(this.#out.get(tag)!)
      this.#out.delete(tag)
    }
    const closed = this.#channel.close()
    for (const copy of this.#out.values()) ledger.released(copy)
    await closed
  }

  #delivered(delivery: Delivery): void {
    this.#received++
    const copy = this.#context.ledger.delivered(this.#queue, delivery, this, this.#order, true, this.#place)
    if (copy !== null) {
      this.#out.set(delivery.tag, copy)
      this.#proof.delivered(copy)
    }
    if (delivery.messageId === this.#awaited) this.#awaited = null
    if (this.#received === this.#wanted?.count) this.#wanted.arrived()
  }

  async #ready(): Promise<number> {
    const answer = await this.#channel.call('queue.declare', { queue: this.#place, passive: true })
    return Number(answer['message-count'])
  }

  async #consume(): Promise<void> {
    const tag = 'audit'
    await this.#channel.call('basic.consume', { queue: this.#place, 'consumer-tag': tag })
    // What was handed out before the answer came before the answer: the only consumer has it all when none is ready.
    // What is ready may expire before it comes: then it is no use to wait for it.
    const patienceMs = this.#queue.family.leaks === true ? SILENCE_MS_MAX / SHORT_SILENCES : SILENCE_MS_MAX
    for (let silences = 0; ;) {
      const before = this.#received
      const ready = await this.#ready()
      if (ready === 0 && this.#awaited === null) break
      const wanted = patienceMs < SILENCE_MS_MAX ? 1 : Math.max(Math.min(ready, 1000), 1)
      if (await this.#arrival(before + wanted, patienceMs)) silences = 0
      else if (++silences * patienceMs >= SILENCE_MS_MAX) {
        this.#context.ledger.fault('count', `${this.#place} has ${ready} messages ready, and delivers none`)
        break
      }
    }
    await this.#channel.call('basic.cancel', { 'consumer-tag': tag })
  }

  async #get(): Promise<void> {
    for (let more = true; more;) {
      const gets = Array.from({ length: GETS_AT_ONCE }, () => this.#channel.get(this.#place))
      more = (await Promise.all(gets)).every(Boolean)
    }
  }

  /** Waits until so many messages have come in all; false when the queue keeps them. */
  async #arrival(count: number, patienceMs: number): Promise<boolean> {
    if (this.#received >= count) return true
    let timer: NodeJS.Timeout | undefined
    const arrived = new Promise<boolean>((resolve, reject) => {
      this.#wanted = { count, arrived: () => resolve(true) }
      timer = setTimeout(() => resolve(false), patienceMs)
      this.#context.client.ended.then(() => resolve(true), reject)
    })
    const outcome = await arrived.finally(() => clearTimeout(timer))
    this.#wanted = null
    return outcome
  }

  acknowledgeAll(): void {
    const tags = [...this.#out.keys()]
    const last = tags.at(-1)
    if (last === undefined) return
    const middle = this.#context.random.pick(tags)
    this.#acknowledge(middle, true)
    if (middle !== last) this.#acknowledge(last, true)
  }

  acknowledgeSome(): void {
    const { random } = this.#context
    const tags = [...this.#out.keys()]
    const share = random.next()
    // Single ones and stretches.
    if (random.chance(0.5)) for (const tag of tags) if (random.chance(share)) this.#acknowledge(tag, false)
    const from = random.int(0, tags.length)
    for (const tag of random.shuffle(tags.slice(from, from + random.int(0, 2000)))) {
      if (this.#out.has(tag)) this.#acknowledge(tag, false)
    }
  }

  #acknowledge(tag: number, multiple: boolean): void {
    this.#channel.acknowledge(tag, multiple)
    for (const each of multiple ? [...this.#out.keys()].filter((other) => other <= tag) : [tag]) {
      const copy = this.#out.get(each)!
      this.#out.delete(each)
      this.#context.ledger.acknowledging(copy)
      this.#proof.acknowledged(copy)
    }
  }
}
