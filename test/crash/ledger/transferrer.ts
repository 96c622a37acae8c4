// Takes messages from one queue and puts others into other queues, in transactions of both.
import type { Copy, Fate, Holder, Publish, QueueLedger } from './ledger.ts'
import { OrderCheck } from './ledger.ts'
import { ConnectionLostError, methodFrame, type LoadChannel } from './load-client.ts'
import type { Actor, Load, Route } from './part.ts'
import { compose, randomBody } from './producer.ts'
import type { Random } from '../random.ts'

const CHANNEL = 1
const PREFETCH = 40
const ROLLBACK_SHARE = 0.15

/** Commits, and now and then rolls back: what was rolled back must not be seen, what was committed is all there or none. */
export class Transferrer implements Actor, Holder {
  readonly name = 'a transaction'
  readonly ended: Promise<void>
  readonly #load: Load
  readonly #queue: QueueLedger
  readonly #routes: readonly Route[]
  readonly #random: Random
  readonly #order = new OrderCheck()
  readonly #out = new Map<number, Copy>()
  readonly #publisher: number
  #channel!: LoadChannel
  #end!: (outcome: void | Promise<void>) => void
  #busy = false

  constructor(load: Load, queue: string, routes: readonly Route[]) {
    this.#load = load
    this.#queue = load.ledger.queue(queue)
    this.#routes = routes
    this.#random = load.random.fork()
    this.#publisher = load.ledger.newPublisher()
    this.ended = new Promise((resolve) => (this.#end = resolve))
  }

  async start(): Promise<void> {
    try {
      const client = await this.#load.connect()
      this.#end(client.ended.then(() => undefined))
      this.#channel = await client.openChannel(CHANNEL, {
        delivered: (delivery) => {
          const copy = this.#load.ledger.delivered(this.#queue, delivery, this, this.#order)
          if (copy === null) return
          this.#out.set(delivery.tag, copy)
          this.#goOn()
        },
      })
      await this.#channel.call('tx.select')
      await this.#channel.call('basic.qos', { 'prefetch-count': PREFETCH })
      await this.#channel.call('basic.consume', { queue: this.#queue.name })
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error
      this.#end()
    }
  }

  /** Has one transaction follow the other for as long as there is something to take. */
  #goOn(): void {
    if (this.#busy) return
    this.#busy = true
    this.#transferAll().catch((error: unknown) => {
      // The connection has ended, and with it the channel.
      if (!(error instanceof ConnectionLostError)) this.#load.ledger.fault('broker', String(error))
    })
  }

  async #transferAll(): Promise<void> {
    while (this.#out.size > 0) await this.#transfer()
    this.#busy = false
  }

  async #transfer(): Promise<void> {
    const { ledger } = this.#load
    const fate: Fate = { survived: undefined }
    const tags = [...this.#out.keys()].slice(0, this.#random.int(1, PREFETCH))
    const rollback = this.#random.chance(ROLLBACK_SHARE)
    const publishes = tags.map(() => this.#publish(fate))
    for (const tag of tags) this.#channel.acknowledge(tag, false)
    if (rollback) {
      for (const publish of publishes) ledger.withdrawn(publish)
      await this.#channel.call('tx.rollback')
      return
    }
    const copies = tags.map((tag) => this.#out.get(tag)!)
    for (const [i, copy] of copies.entries()) {
      this.#out.delete(tags[i]!)
      ledger.acknowledging(copy, fate)
    }
    await this.#channel.call('tx.commit')
    for (const publish of publishes) ledger.confirmed(publish)
    for (const copy of copies) ledger.acknowledged(copy)
    ledger.tally.committed++
  }

  #publish(fate: Fate): Publish {
    const route = this.#random.pick(this.#routes)
    const { exchange, routingKey } = route
    const body = randomBody(this.#random).subarray(0, 1000)
    const { properties, facts } = compose(this.#load.ledger, this.#publisher, route, body, {})
    const publish = this.#load.ledger.published(facts, route.queues, fate)
    const frame = methodFrame(CHANNEL, 'basic.publish', { exchange, 'routing-key': routingKey })
    this.#channel.publish(frame, properties, body)
    return publish
  }
}
