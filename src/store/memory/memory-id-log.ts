// The log of remembered ids without a disk: who remembers them has them in memory, and nothing survives.
import type { IdLog, Publisher, SeenId } from '../../core/ports.ts'

/** Accepts at the end of the turn. */
export class MemoryIdLog implements IdLog {
  readonly id: number
  readonly #enlist: (log: MemoryIdLog) => void
  #publishers: Publisher[] = []
  #sequences: number[] = []

  constructor(id: number, enlist: (log: MemoryIdLog) => void) {
    this.id = id
    this.#enlist = enlist
  }

  recovered(): readonly SeenId[] {
    return []
  }

  keep(_seen: SeenId, publisher: Publisher | null, sequence: number): void {
    if (publisher === null) return
    if (this.#publishers.length === 0) this.#enlist(this)
    this.#publishers.push(publisher)
    this.#sequences.push(sequence)
  }

  follow(publisher: Publisher, sequence: number): void {
    this.keep({ id: '', order: 0, until: 0 }, publisher, sequence)
  }

  forget(): void {}

  drop(): void {}

  /** The end of the turn: what waits is accepted. */
  commit(): void {
    const publishers = this.#publishers
    const sequences = this.#sequences
    this.#publishers = []
    this.#sequences = []
    for (let i = 0; i < publishers.length; i++) publishers[i]!.accepted(sequences[i]!)
  }
}
