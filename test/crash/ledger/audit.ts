// Reads every queue from end to end after a restart and has the ledger compare it. A queue has been read when the broker
// says that nothing is ready in it and nothing delayed; how long that takes does not matter, as long as it gets on.
import type { Copy, Holder, Ledger, QueueLedger } from './ledger.ts'
import { OrderCheck } from './ledger.ts'
import { ConnectionLostError, type Delivery, type LoadChannel, type LoadClient } from './load-client.ts'
import type { Route } from './part.ts'
import { settledWithin, type Patience } from './patience.ts'
import { LedgerPublisher } from './producer.ts'
import { Proof } from './proof.ts'
import type { BrokerCounts, CountsReader } from './queue-counts.ts'
import type { Random } from '../random.ts'

/** A queue with more than this is emptied by its audit, so that a run does not grow without end. */
const KEPT_COPIES_MAX = 15_000
const KEPT_BYTES_MAX = 48 * 1024 * 1024
const PROOF_CHANNEL = 1
const READ_AGAIN_SHARE = 0.3
/** So many messages may be requeued one by one; a channel that closes requeues the others. */
const REQUEUED_MAX = 500
/** Queues with fewer messages may be read with basic.get. */
const GET_MAX = 1500
const GETS_AT_ONCE = 20
/** It is asked again how many messages are ready when so many have come, and when what comes late may have. */
const ARRIVALS = 1000
const LATE_MS = 50

export interface AuditContext {
  readonly ledger: Ledger
  readonly random: Random
  readonly proof: Route
  /** How messages come late to some of the queues. */
  readonly delayed: readonly Route[]
  readonly client: LoadClient
  readonly counts: CountsReader
  readonly patience: Patience
}

/**
 * Reads these queues, all at once, each on a channel of its own; then acknowledges all, some or nothing of what they
 * held, and gives the rest back. Some are read once more, for what was given back must be where it was. `emptyAll`
 * leaves nothing. What is wrong is left as it was found, for whoever looks into it. Rejects when the connection ends,
 * and with SilentBrokerError when the broker gets nowhere: then nothing was compared that was not read.
 */
export async function audit(context: AuditContext, queues: readonly QueueLedger[], emptyAll = false): Promise<void> {
  const { client, counts, patience } = context
  const progress = (): number => client.bytesReceived + counts.answers
  await patience.wait('an audit', progress, auditAll(context, queues, emptyAll))
}

async function auditAll(context: AuditContext, queues: readonly QueueLedger[], emptyAll: boolean): Promise<void> {
  const { client, ledger, random } = context
  const proof = new Proof(context, await LedgerPublisher.open(ledger, client, PROOF_CHANNEL))
  const readings = await readAll(context, proof, queues)
  if (ledger.failed) return
  for (const one of readings) one.settle(emptyAll)
  await Promise.race([proof.complete(), lost(client)])
  await Promise.all(readings.map((one) => one.close()))

  const again = queues.filter(() => random.chance(READ_AGAIN_SHARE))
  const readingsAgain = await readAll(context, proof, again)
  if (ledger.failed) return
  await Promise.all(readingsAgain.map((one) => one.close()))
}

async function readAll(context: AuditContext, proof: Proof, queues: readonly QueueLedger[]): Promise<Reading[]> {
  let channels = PROOF_CHANNEL
  const readings = queues.map((queue) => {
    const numbers = queue.family.queues.map(() => ++channels)
    return new Reading(context, proof, queue, numbers)
  })
  await Promise.all(readings.map((one) => one.read()))
  const counts = await context.counts.read()
  for (const one of readings) one.expectCounts(counts)
  return readings
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

  constructor(context: AuditContext, proof: Proof, queue: QueueLedger, numbers: readonly number[]) {
    this.#context = context
    this.#queue = queue
    this.#stays = queue.family.queues.map((name, i) => new Stay(context, proof, queue, name, numbers[i]!))
  }

  async read(): Promise<void> {
    for (const stay of this.#stays) await stay.read()
    const found = new Set<Copy>()
    for (const stay of this.#stays) for (const copy of stay.copies) found.add(copy)
    this.#context.ledger.audited(this.#queue, found)
  }

  /** Everything is out with the audit, and the broker says so too. */
  expectCounts(counts: BrokerCounts): void {
    for (const stay of this.#stays) stay.expectCounts(counts)
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
}

/** The audit of one of these queues. */
class Stay implements Holder {
  readonly name = 'the audit'
  readonly #context: AuditContext
  readonly #proof: Proof
  readonly #queue: QueueLedger
  readonly #place: string
  readonly #number: number
  /** The exchange before which messages wait that are to come here. */
  readonly #lateBy: string | null
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
    this.#lateBy = context.delayed.find(({ queues: [name] }) => name === place)?.exchange ?? null
  }

  async read(): Promise<void> {
    const { client, ledger, random } = this.#context
    this.#channel = await client.openChannel(this.#number, { delivered: (delivery) => this.#delivered(delivery) })
    const count = await this.#ready()
    if (count < GET_MAX && random.chance(0.25)) await this.#get()
    await this.#consume()
    const { leaks, retryMs } = this.#queue.family
    const changes = this.#lateBy !== null || leaks === true || retryMs !== undefined
    if (this.#received !== count && !changes) {
      ledger.fault('count', `${this.#place} said ${count}, and had ${this.#received} messages`)
    }
  }

  /** What was found, as far as it was not acknowledged or given back. */
  get copies(): Iterable<Copy> {
    return this.#out.values()
  }

  expectCounts(counts: BrokerCounts): void {
    const { unacked } = counts.queue(this.#place)
    if (unacked === this.#received) return
    const words = `${this.#place} says that ${unacked} messages are out, ${this.#received} were delivered`
    this.#context.ledger.fault('count', words)
  }

  /** Gives the rest back: some one by one, in any order, and what is left by closing the channel. */
  async close(): Promise<void> {
    const { ledger, random } = this.#context
    for (const tag of random.shuffle([...this.#out.keys()]).slice(0, random.int(0, REQUEUED_MAX))) {
      this.#channel.requeue(tag, false)
      ledger.released(this.#out.get(tag)!)
      this.#proof.returned(this.#out.get(tag)!)
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
    if (this.#received === this.#wanted?.count) this.#wanted.arrived()
  }

  async #ready(): Promise<number> {
    const answer = await this.#channel.call('queue.declare', { queue: this.#place, passive: true })
    return Number(answer['message-count'])
  }

  /** Consumes until nothing is left that could come, and stops consuming. */
  async #consume(): Promise<void> {
    const tag = 'audit'
    await this.#channel.call('basic.consume', { queue: this.#place, 'consumer-tag': tag })
    const watch = this.#context.patience.watch()
    for (;;) {
      // What was handed out before the answer comes before the answer: the only consumer has it all when none is ready.
      const before = this.#received
      const ready = await this.#ready()
      const late = ready === 0 ? await this.#late() : 0
      // What came late may have become ready since it was asked how much is.
      if (ready === 0 && late === 0 && (await this.#ready()) === 0) break
      const about = `${this.#place} has ${ready} messages ready and ${late} late, and delivers none`
      if (before === this.#received) watch.look(about, `${this.#received} ${ready} ${late}`)
      // What is ready may expire before it comes, and what is late comes when it does: no use to wait for more.
      const sure = ready > 0 && this.#queue.family.leaks !== true
      await this.#arrival(before + (sure ? Math.min(ready, ARRIVALS) : 1), sure ? watch.lookMs : LATE_MS)
    }
    await this.#channel.call('basic.cancel', { 'consumer-tag': tag })
  }

  /** How many messages wait for their time, for the disk, or to be taken from the queue before. */
  async #late(): Promise<number> {
    const counts = await this.#context.counts.read()
    const { delayed, unreadable } = counts.queue(this.#place)
    const from = this.#queue.family.queues[0]!
    const dying = from === this.#place ? 0 : counts.queue(from).dying
    return delayed + unreadable + dying + (this.#lateBy === null ? 0 : counts.delayedBefore(this.#lateBy))
  }

  async #get(): Promise<void> {
    for (let more = true; more;) {
      const gets = Array.from({ length: GETS_AT_ONCE }, () => this.#channel.get(this.#place))
      more = (await Promise.all(gets)).every(Boolean)
    }
  }

  /** Waits until so many messages have come in all, but no longer than so many milliseconds. */
  async #arrival(count: number, milliseconds: number): Promise<void> {
    if (this.#received >= count) return
    const arrived = new Promise<void>((resolve) => (this.#wanted = { count, arrived: resolve }))
    await settledWithin(milliseconds, Promise.race([arrived, this.#context.client.ended]))
    this.#wanted = null
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
