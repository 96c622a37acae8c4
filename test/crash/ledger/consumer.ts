// Consumes with a habit of acknowledging, and has proven what it acknowledged.
import type { Copy, Holder, QueueLedger } from './ledger.ts'
import { OrderCheck } from './ledger.ts'
import { ConnectionLostError, type LoadChannel, type LoadClient } from './load-client.ts'
import type { Habit } from './habits.ts'
import type { Actor, Load } from './part.ts'
import { LedgerPublisher } from './producer.ts'
import { Proof } from './proof.ts'

const PROOF_CHANNEL = 1
const FIRST_CHANNEL = 2
const CHANNEL_MAX = 2000

/** What a habit can do with what was delivered. */
export interface Hands {
  /** What is out, by delivery tag, in order. */
  readonly out: ReadonlyMap<number, Copy>
  /** Acknowledges one, or all up to this tag. */
  acknowledge(tag: number, multiple: boolean): void
  /** Requeues one, or all up to this tag. */
  requeue(tag: number, multiple: boolean): void
  /** Rejects one, which goes to the queue of its dead letters. */
  reject(tag: number): void
  /** Rejects one, which comes back unless it has done so too often. */
  fail(tag: number): void
  /** Closes the channel, or drops the whole connection, with whatever is out, and comes back. */
  leave(how: 'channel' | 'connection'): void
}

/**
 * A consumer. Acknowledgements are not answered, so it publishes now and then on the same connection: once that is
 * confirmed, everything the connection sent before, and everything that was delivered to it, is on disk.
 */
export class Consumer implements Actor, Hands, Holder {
  readonly name: string
  readonly ended: Promise<void>
  readonly #load: Load
  readonly #queue: QueueLedger
  readonly #place: string
  readonly #habit: Habit
  readonly #order = new OrderCheck()
  #out = new Map<number, Copy>()
  #end!: () => void
  #fail!: (error: unknown) => void
  #client: LoadClient | null = null
  #channel: LoadChannel | null = null
  #channelNumber = FIRST_CHANNEL
  #proof: Proof | null = null
  #leaving = false

  constructor(load: Load, queue: string, habit: Habit) {
    this.#load = load
    this.#queue = load.ledger.queue(queue)
    this.#place = queue
    this.#habit = habit
    this.name = `${habit.name} (prefetch ${habit.prefetch})`
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve
      this.#fail = reject
    })
  }

  get out(): ReadonlyMap<number, Copy> {
    return this.#out
  }

  async start(): Promise<void> {
    try {
      const client = await this.#load.connect()
      this.#client = client
      client.ended.then(
        () => this.#connectionEnded(client),
        (error: unknown) => this.#fail(error),
      )
      const publisher = await LedgerPublisher.open(this.#load.ledger, client, PROOF_CHANNEL)
      this.#proof = new Proof(this.#load, publisher)
      await this.#consume()
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error
      if (this.#client === null) this.#end()
    }
  }

  acknowledge(tag: number, multiple: boolean): void {
    this.#channel!.acknowledge(tag, multiple)
    for (const copy of this.#taken(tag, multiple)) {
      this.#load.ledger.acknowledging(copy)
      this.#proof!.acknowledged(copy)
    }
    this.#proof!.ask()
  }

  requeue(tag: number, multiple: boolean): void {
    this.#channel!.requeue(tag, multiple)
    this.#giveBack(this.#taken(tag, multiple))
  }

  reject(tag: number): void {
    const [copy] = this.#taken(tag, false)
    this.#channel!.reject(tag)
    this.#load.ledger.rejecting(copy!, this.#queue.family.queues[1]!)
    this.#proof!.moved(copy!)
    this.#proof!.ask()
  }

  fail(tag: number): void {
    this.#channel!.fail(tag)
    this.#giveBack(this.#taken(tag, false))
  }

  leave(how: 'channel' | 'connection'): void {
    if (this.#leaving) return
    this.#leaving = true
    if (how === 'channel') {
      void this.#changeChannel()
      return
    }
    // Before: when we are slow, another client may have what the broker takes back before we hear that it has ended.
    this.#lose()
    this.#client!.drop()
  }

  async #consume(): Promise<void> {
    const number = this.#channelNumber
    this.#channelNumber = number === CHANNEL_MAX ? FIRST_CHANNEL : number + 1
    const out = new Map<number, Copy>()
    const channel = await this.#client!.openChannel(number, {
      delivered: (delivery) => {
        const copy = this.#load.ledger.delivered(this.#queue, delivery, this, this.#order, false, this.#place)
        if (copy === null) return
        out.set(delivery.tag, copy)
        this.#proof!.delivered(copy)
        if (!this.#leaving) this.#habit.delivered(this, delivery.tag)
      },
    })
    this.#out = out
    this.#channel = channel
    this.#leaving = false
    await channel.call('basic.qos', { 'prefetch-count': this.#habit.prefetch })
    await channel.call('basic.consume', { queue: this.#place })
  }

  async #changeChannel(): Promise<void> {
    try {
      const closed = this.#channel!.close()
      this.#release()
      await closed
      await this.#consume()
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) this.#fail(error)
    }
  }

  /** The broker was killed; or we dropped the connection, and come back with another. */
  #connectionEnded(client: LoadClient): void {
    this.#lose()
    if (this.#leaving && client === this.#client) {
      this.#leaving = false
      this.#client = null
      this.start().catch((error: unknown) => this.#fail(error))
    } else this.#end()
  }

  #giveBack(copies: readonly Copy[]): void {
    for (const copy of copies) {
      this.#load.ledger.released(copy)
      this.#proof!.returned(copy)
    }
  }

  /** What was sent and is not proven may not have arrived. */
  #lose(): void {
    this.#proof?.lost()
    this.#proof = null
    this.#release()
  }

  #release(): void {
    for (const copy of this.#out.values()) this.#load.ledger.released(copy)
    this.#out.clear()
  }

  /** Takes out what a tag stands for. */
  #taken(tag: number, multiple: boolean): Copy[] {
    const taken: Copy[] = []
    if (multiple) {
      for (const [each, copy] of this.#out) {
        if (each > tag) break
        taken.push(copy)
        this.#out.delete(each)
      }
    } else {
      taken.push(this.#out.get(tag)!)
      this.#out.delete(tag)
    }
    return taken
  }
}
