// The ids that a queue or an exchange remembers: one small record each, in the order in which they came.
import type { IdLog, Publisher, SeenId } from '../../core/ports.ts'
import type { Batch, BatchMember } from './committer.ts'
import { eraseRange } from './erase-range.ts'
import { Kind, POSITION_MAX, positionKey } from './keys.ts'
import type { StoreContext } from './log-pages.ts'
import { encodeSeenId } from './records.ts'

/** A log of ids. What is on disk is nowhere else; who remembers the ids keeps them in memory anyway. */
export class LevelIdLog implements IdLog, BatchMember {
  readonly id: number
  readonly #context: StoreContext
  #recovered: readonly SeenId[]
  /** What waits for a batch, by order: an id to be written, or null for one to be deleted. */
  readonly #changes = new Map<number, SeenId | null>()
  #publishers: (Publisher | null)[] = []
  #sequences: number[] = []
  /** Who waits for the batch in flight; null when none of this log is. */
  #publishersInFlight: (Publisher | null)[] | null = null
  #sequencesInFlight: number[] = []
  #enlisted = false
  #dropped = false

  constructor(id: number, context: StoreContext, recovered: readonly SeenId[]) {
    this.id = id
    this.#context = context
    this.#recovered = recovered
  }

  recovered(): readonly SeenId[] {
    const recovered = this.#recovered
    this.#recovered = []
    return recovered
  }

  keep(seen: SeenId, publisher: Publisher | null, sequence: number): void {
    if (this.#dropped) {
      publisher?.accepted(sequence)
      return
    }
    this.#changes.set(seen.order, seen)
    this.#wait(publisher, sequence)
    this.#enlist()
  }

  follow(publisher: Publisher, sequence: number): void {
    if (this.#enlisted) this.#wait(publisher, sequence)
    else if (this.#publishersInFlight === null) publisher.accepted(sequence)
    else {
      this.#publishersInFlight.push(publisher)
      this.#sequencesInFlight.push(sequence)
    }
  }

  forget(order: number): void {
    if (this.#dropped) return
    this.#changes.set(order, null)
    this.#enlist()
  }

  drop(): void {
    this.#dropped = true
    this.#changes.clear()
    this.#enlist()
    this.#context.committer.whenDurable(() => void this.erase())
  }

  contribute(batch: Batch): void {
    this.#enlisted = false
    for (const [order, seen] of this.#changes) {
      const key = positionKey(Kind.seenId, this.id, order)
      if (seen === null) batch.del(key)
      else batch.put(key, encodeSeenId(seen))
    }
    this.#changes.clear()
    this.#publishersInFlight = this.#publishers
    this.#sequencesInFlight = this.#sequences
    this.#publishers = []
    this.#sequences = []
  }

  committed(): void {
    const publishers = this.#publishersInFlight ?? []
    const sequences = this.#sequencesInFlight
    this.#publishersInFlight = null
    this.#sequencesInFlight = []
    for (let i = 0; i < publishers.length; i++) publishers[i]?.accepted(sequences[i]!)
  }

  /** Deletes its records. What is left of them when the store is closed belongs to nobody when it is opened again. */
  async erase(): Promise<void> {
    const lt = positionKey(Kind.seenId, this.id, POSITION_MAX)
    await eraseRange(this.#context, { gte: positionKey(Kind.seenId, this.id, 0), lt })
  }

  #wait(publisher: Publisher | null, sequence: number): void {
    if (publisher === null) return
    this.#publishers.push(publisher)
    this.#sequences.push(sequence)
  }

  #enlist(): void {
    if (this.#enlisted) return
    this.#enlisted = true
    this.#context.committer.enlist(this)
  }
}
