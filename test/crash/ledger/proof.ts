// Proves what the broker does not answer: that acknowledgements, and that something was delivered, are on disk.
import type { Copy } from './ledger.ts'
import type { Load } from './part.ts'
import { randomBody, type LedgerPublisher } from './producer.ts'

/**
 * One batch of the store spans all queues, and batches do not overtake one another. So when a publish that was sent
 * behind an acknowledgement, on the same connection, is confirmed, the acknowledgement is on disk; and when it was sent
 * after a delivery had arrived, so is the mark of that delivery. The publish goes to a queue without consumers: one that
 * is acknowledged before it was written is confirmed without having been written.
 */
export class Proof {
  readonly #load: Pick<Load, 'ledger' | 'proof' | 'random'>
  readonly #publisher: LedgerPublisher
  #acknowledged: Copy[] = []
  #delivered: Copy[] = []
  /** What the publish that is on its way stands for. */
  #acknowledgedBefore: Copy[] = []
  #deliveredBefore: Copy[] = []
  readonly #waiters: (() => void)[] = []

  constructor(load: Pick<Load, 'ledger' | 'proof' | 'random'>, publisher: LedgerPublisher) {
    this.#load = load
    this.#publisher = publisher
    publisher.onConfirm = () => this.#proven()
  }

  acknowledged(copy: Copy): void {
    this.#acknowledged.push(copy)
  }

  delivered(copy: Copy): void {
    this.#delivered.push(copy)
  }

  /** Has everything up to here proven, now or when the proof that is on its way has come. */
  ask(): void {
    if (this.#publisher.outstanding > 0) return
    this.#acknowledgedBefore = this.#acknowledged
    this.#deliveredBefore = this.#delivered
    this.#acknowledged = []
    this.#delivered = []
    this.#publisher.publish(this.#load.proof, randomBody(this.#load.random).subarray(0, 64))
  }

  /** Resolves when everything up to here is proven. */
  complete(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve)
      this.ask()
    })
  }

  /** The connection has ended: what is not proven never will be. */
  lost(): void {
    for (const copies of [this.#acknowledgedBefore, this.#acknowledged]) {
      for (const copy of copies) this.#load.ledger.unproven(copy)
    }
  }

  #proven(): void {
    for (const copy of this.#acknowledgedBefore) this.#load.ledger.acknowledged(copy)
    for (const copy of this.#deliveredBefore) copy.deliveryProven = true
    this.#acknowledgedBefore = []
    this.#deliveredBefore = []
    if (this.#acknowledged.length > 0 || this.#delivered.length > 0) this.ask()
    else for (const waiter of this.#waiters.splice(0)) waiter()
  }
}
