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
const READ_AGAIN_SHARE = 0.3
/** So many messages may be requeued one by one; a channel that closes requeues the others. */
const REQUEUED_MAX = 500
/** Queues with fewer messages may be read with basic.get. */
const GET_MAX = 1500
const GETS_AT_ONCE = 20
/** So long may a queue that says it has messages deliver none. */
const SILENCE_MS_MAX = 20_000

export interface AuditContext {
  readonly ledger: Ledger
  readonly random: Random
  readonly proof: Route
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
  const readings = queues.map((queue, i) => new Reading(context, proof, queue, PROOF_CHANNEL + 1 + i))
  await Promise.all(readings.map((reading) => reading.read()))
  for (const reading of readings) reading.settle(emptyAll)
  await Promise.race([proof.complete(), lost(client)])
  await Promise.all(readings.map((reading) => reading.close()))

  const again = queues.filter(() => random.chance(READ_AGAIN_SHARE))
  const readingsAgain = again.map((queue, i) => new Reading(context, proof, queue, PROOF_CHANNEL + 1 + i))
  await Promise.all(readingsAgain.map((reading) => reading.read()))
  await Promise.all(readingsAgain.map((reading) => reading.close()))
}

async function lost(client: LoadClient): Promise<never> {
  await client.ended
  throw new ConnectionLostError('a proof')
}

/** The audit of one queue. */
class Reading implements Holder {
  readonly name = 'the audit'
  readonly #context: AuditContext
  readonly #proof: Proof
  readonly #queue: QueueLedger
  readonly #number: number
  readonly #order = new OrderCheck()
  readonly #out = new Map<number, Copy>()
  #channel!: LoadChannel
  #received = 0
  /** How many must have arrived before somebody is told. */
  #wanted: { count: number; arrived: () => void } | null = null

  constructor(context: AuditContext, proof: Proof, queue: QueueLedger, number: number) {
    this.#context = context
    this.#proof = proof
    this.#queue = queue
    this.#number = number
  }

  async read(): Promise<void> {
    const { client, ledger, random } = this.#context
    this.#channel = await client.openChannel(this.#number, { delivered: (delivery) => this.#delivered(delivery) })
    const count = await this.#ready()
    if (count < GET_MAX && random.chance(0.25)) await this.#get()
    else await this.#consume()
    if (this.#received !== count) {
      ledger.fault('count', `${this.#queue.name} said ${count}, and had ${this.#received} messages`)
    }
    ledger.audited(this.#queue, new Set(this.#out.values()))
  }

  /** Acknowledges all, some or nothing. */
  settle(all: boolean): void {
    const { random } = this.#context
    const { copies, bodyBytes } = this.#queue
    const choice = random.next()
    if (all || choice < 0.35 || copies.size > KEPT_COPIES_MAX || bodyBytes > KEPT_BYTES_MAX) this.#acknowledgeAll()
    else if (choice < 0.65) this.#acknowledgeSome()
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
    const copy = this.#context.ledger.delivered(this.#queue, delivery, this, this.#order, true)
    if (copy !== null) {
      this.#out.set(delivery.tag, copy)
      this.#proof.delivered(copy)
    }
    if (this.#received === this.#wanted?.count) this.#wanted.arrived()
  }

  async #ready(): Promise<number> {
    const answer = await this.#channel.call('queue.declare', { queue: this.#queue.name, passive: true })
    return Number(answer['message-count'])
  }

  async #consume(): Promise<void> {
    const tag = 'audit'
    await this.#channel.call('basic.consume', { queue: this.#queue.name, 'consumer-tag': tag })
    // What was handed out before the answer came before the answer: the only consumer has it all when none is ready.
    for (;;) {
      const before = this.#received
      const ready = await this.#ready()
      if (ready === 0) break
      if (await this.#arrival(before + Math.min(ready, 1000))) continue
      this.#context.ledger.fault('count', `${this.#queue.name} has ${ready} messages ready, and delivers none`)
      break
    }
    await this.#channel.call('basic.cancel', { 'consumer-tag': tag })
  }

  async #get(): Promise<void> {
    for (let more = true; more;) {
      const gets = Array.from({ length: GETS_AT_ONCE }, () => this.#channel.get(this.#queue.name))
      more = (await Promise.all(gets)).every(Boolean)
    }
  }

  /** Waits until so many messages have come in all; false when the queue keeps them. */
  async #arrival(count: number): Promise<boolean> {
    if (this.#received >= count) return true
    let timer: NodeJS.Timeout | undefined
    const arrived = new Promise<boolean>((resolve, reject) => {
      this.#wanted = { count, arrived: () => resolve(true) }
      timer = setTimeout(() => resolve(false), SILENCE_MS_MAX)
      this.#context.client.ended.then(() => resolve(true), reject)
    })
    const outcome = await arrived.finally(() => clearTimeout(timer))
    this.#wanted = null
    return outcome
  }

  #acknowledgeAll(): void {
    const tags = [...this.#out.keys()]
    const last = tags.at(-1)
    if (last === undefined) return
    const middle = this.#context.random.pick(tags)
    this.#acknowledge(middle, true)
    if (middle !== last) this.#acknowledge(last, true)
  }

  #acknowledgeSome(): void {
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
