// A consumer of the model, with a prefetch.
import { strict as assert } from 'node:assert'
import type { Consumer } from '../../../../src/core/ports.ts'
import type { Subscription } from '../../../../src/core/queue/dispatch.ts'
import type { Entry } from '../../../../src/core/queue/entry.ts'
import type { ModelQueue } from './queue-model.ts'

/** Hands its deliveries to the world, which compares them with what the model says is next. */
export class ModelConsumer implements Consumer {
  readonly tag: string
  readonly noAck: boolean
  readonly queue: ModelQueue
  readonly #prefetch: number
  readonly #delivered: (entry: Entry, consumer: ModelConsumer) => void
  subscription!: Subscription
  outstanding = 0

  constructor(
    queue: ModelQueue,
    noAck: boolean,
    prefetch: number,
    delivered: (entry: Entry, consumer: ModelConsumer) => void,
  ) {
    this.tag = `${queue.name}${prefetch}`
    this.queue = queue
    this.noAck = noAck
    this.#prefetch = prefetch
    this.#delivered = delivered
  }

  get ready(): boolean {
    return this.noAck || this.outstanding < this.#prefetch
  }

  deliver(entry: Entry): boolean {
    assert(this.ready, 'a consumer that is not ready gets nothing')
    this.#delivered(entry, this)
    return true
  }

  cancelled(): void {
    // The queue was deleted: the world knows, for it did that.
  }
}
