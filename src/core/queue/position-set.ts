// A set of positions, of which there may be millions close together.

/** Positions that share a bitmap. */
const CHUNK_POSITIONS = 4096

/** The bits of neighbouring positions, and how many are set. */
interface Chunk {
  readonly words: Uint32Array
  size: number
}

/** Positions, at a bit each where they are neighbours. */
export class PositionSet {
  size = 0
  /** The lowest of them; Infinity when there is none. */
  first = Infinity
  readonly #chunks = new Map<number, Chunk>()

  has(position: number): boolean {
    const chunk = this.#chunks.get(Math.floor(position / CHUNK_POSITIONS))
    return chunk !== undefined && isSet(chunk, position % CHUNK_POSITIONS)
  }

  add(position: number): void {
    const id = Math.floor(position / CHUNK_POSITIONS)
    let chunk = this.#chunks.get(id)
    if (chunk === undefined) this.#chunks.set(id, (chunk = { words: new Uint32Array(CHUNK_POSITIONS / 32), size: 0 }))
    const offset = position % CHUNK_POSITIONS
    if (isSet(chunk, offset)) return
    chunk.words[offset >> 5]! |= 1 << (offset & 31)
    chunk.size++
    this.size++
    if (position < this.first) this.first = position
  }

  /** Returns whether the position was in the set. */
  delete(position: number): boolean {
    const id = Math.floor(position / CHUNK_POSITIONS)
    const chunk = this.#chunks.get(id)
    const offset = position % CHUNK_POSITIONS
    if (chunk === undefined || !isSet(chunk, offset)) return false
    chunk.words[offset >> 5]! &= ~(1 << (offset & 31))
    this.size--
    if (--chunk.size === 0) this.#chunks.delete(id)
    if (position === this.first) this.first = chunk.size > 0 ? lowestOf(id, chunk) : this.#lowest()
    return true
  }

  /** Takes out all from one position to below another: as quickly however many they are. */
  deleteRange(from: number, below: number): void {
    for (const id of this.#chunksWithin(from, below)) {
      const start = Math.max(from - id * CHUNK_POSITIONS, 0)
      const end = Math.min(below - id * CHUNK_POSITIONS, CHUNK_POSITIONS)
      if (end - start === CHUNK_POSITIONS) {
        this.size -= this.#chunks.get(id)!.size
        this.#chunks.delete(id)
      } else for (let offset = start; offset < end; offset++) this.delete(id * CHUNK_POSITIONS + offset)
    }
    this.first = this.#lowest()
  }

  clear(): void {
    this.#chunks.clear()
    this.size = 0
    this.first = Infinity
  }

  /** Neighbouring positions as the first and the last of them, in order. */
  *runs(): Generator<readonly [first: number, last: number]> {
    let first = -1
    let last = -1
    for (const position of this) {
      if (first >= 0 && position !== last + 1) yield [first, last]
      if (first < 0 || position !== last + 1) first = position
      last = position
    }
    if (first >= 0) yield [first, last]
  }

  /** All of them, in order. */
  [Symbol.iterator](): Generator<number> {
    return this.from(0)
  }

  /** Those from this position on and below another, in order. */
  *from(position: number, below = Infinity): Generator<number> {
    for (const id of this.#chunksWithin(position, below)) {
      const chunk = this.#chunks.get(id)!
      const end = Math.min(below - id * CHUNK_POSITIONS, CHUNK_POSITIONS)
      for (let offset = Math.max(0, position - id * CHUNK_POSITIONS); offset < end; offset++) {
        if (isSet(chunk, offset)) yield id * CHUNK_POSITIONS + offset
      }
    }
  }

  /** The chunks of a range, in order. A short one is looked up, whatever else there is. */
  #chunksWithin(from: number, below: number): number[] {
    const first = Math.floor(from / CHUNK_POSITIONS)
    const end = Math.ceil(below / CHUNK_POSITIONS)
    if (end - first > this.#chunks.size) {
      return [...this.#chunks.keys()].filter((id) => id >= first && id < end).toSorted((a, b) => a - b)
    }
    return Array.from({ length: end - first }, (_, i) => first + i).filter((id) => this.#chunks.has(id))
  }

  #lowest(): number {
    let id = Infinity
    for (const other of this.#chunks.keys()) if (other < id) id = other
    const chunk = this.#chunks.get(id)
    return chunk === undefined ? Infinity : lowestOf(id, chunk)
  }
}

function lowestOf(id: number, { words }: Chunk): number {
  let word = 0
  while (words[word] === 0) word++
  return id * CHUNK_POSITIONS + word * 32 + (31 - Math.clz32(words[word]! & -words[word]!))
}

function isSet({ words }: Chunk, offset: number): boolean {
  return (words[offset >> 5]! & (1 << (offset & 31))) !== 0
}
