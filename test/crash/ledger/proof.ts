// Proves what the broker does not answer: that acknowledgements, and that something was delivered, are on disk.
import type { Copy } from './ledger.ts'
import type { Load } from './part.ts'
import { randomBody, type LedgerPublisher } from './producer.ts'

/** Where a message was. */
interface Note {
  readonly copy: Copy
  readonly moves: number
  readonly delivered: boolean
  /** Until when it waits, if it was given back; 0 otherwise. */
  readonly notBefore: number
}

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
  #noted: Note[] = []
  /** What the publish that is on its way stands for. */
  #acknowledgedBefore: Copy[] = []
  #notedBefore: Note[] = []
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
    this.#noted.push({ copy, moves: copy.moves, delivered: true, notBefore: 0 })
  }

  /** It was given back, and may have to wait. */
  returned(copy: Copy): void {
    const { moves, notBefore } = copy
    if (notBefore > 0) this.#noted.push({ copy, moves, delivered: false, notBefore })
  }

  /** It was rejected, and has gone to another queue. */
  moved(copy: Copy): void {
    this.#noted.push({ copy, moves: copy.moves, delivered: false, notBefore: 0 })
  }

  /** Has everything up to here proven, now or when the proof that is on its way has come. */
  ask(): void {
    if (this.#publisher.outstanding > 0) return
    this.#acknowledgedBefore = this.#acknowledged
    this.#notedBefore = this.#noted
    this.#acknowledged = []
    this.#noted = []
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
    for (const { copy, moves, delivered, notBefore } of this.#notedBefore) {
      if (copy.moves !== moves) continue
      if (notBefore > 0) copy.waits(notBefore)
      copy.settled(moves)
      if (delivered) copy.deliveryProven = true
    }
    this.#acknowledgedBefore = []
    this.#notedBefore = []
    if (this.#acknowledged.length > 0 || this.#noted.length > 0) this.ask()
    else for (const waiter of this.#waiters.splice(0)) waiter()
  }
}
