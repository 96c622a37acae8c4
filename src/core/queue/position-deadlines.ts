// When messages expire of which only the positions are in memory: known by some hundred positions, not one by one.

/** Neighbouring positions that are known together: about a page of the store, which is what must be read to expire some. */
const CHUNK_POSITIONS = 512

/** Positions from `from` on and below `below`. */
export interface PositionChunk {
  readonly from: number
  readonly below: number
}

/** The earliest deadline of each chunk of positions, in milliseconds since 1970; of those that are gone as well. */
export class PositionDeadlines {
  /** The earliest of all; Infinity when there is none. */
  first = Infinity
  readonly #byChunk = new Map<number, number>()

  /** Takes note of a message that expires then; Infinity for never. */
  note(position: number, deadline: number): void {
    if (deadline === Infinity) return
    const chunk = Math.floor(position / CHUNK_POSITIONS)
    if (deadline < (this.#byChunk.get(chunk) ?? Infinity)) this.#byChunk.set(chunk, deadline)
    if (deadline < this.first) this.first = deadline
  }

  /** Takes out the chunk of the earliest; null when there is none. */
  take(): PositionChunk | null {
    let [taken, first, second] = [-1, Infinity, Infinity]
    for (const [chunk, deadline] of this.#byChunk) {
      if (deadline < first) {
        second = first
        first = deadline
        taken = chunk
      } else if (deadline < second) second = deadline
    }
    this.#byChunk.delete(taken)
    this.first = second
    return taken < 0 ? null : { from: taken * CHUNK_POSITIONS, below: (taken + 1) * CHUNK_POSITIONS }
  }

  clear(): void {
    this.#byChunk.clear()
    this.first = Infinity
  }
}
