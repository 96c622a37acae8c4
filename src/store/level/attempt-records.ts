// How often the messages of a log were tried, and when they may be again: on disk, but for what is on its way there.
import type { Attempts, StoredMessage } from '../../core/ports.ts'
import type { PositionSet } from '../../core/queue/position-set.ts'
import { DamagedRecordError } from './bytes.ts'
import type { Batch } from './committer.ts'
import type { KeyRange } from './database.ts'
import { eraseRange } from './erase-range.ts'
import { Kind, positionKey, positionOfKey } from './keys.ts'
import type { StoreContext } from './log-pages.ts'
import { decodeAttempts, encodeAttempts } from './records.ts'
import { ERASE_SLICE } from './tuning.ts'

/** What a batch does to the records, by position; null: deletes it. */
type Changes = ReadonlyMap<number, Attempts | null>

const NO_CHANGES: Changes = new Map()

/**
 * Of each message that has a record no more than a bit stays in memory: there may be as many of them as messages wait. The
 * record is read with the message.
 */
export class AttemptRecords {
  readonly #log: number
  readonly #context: StoreContext
  /** Asks for a batch. */
  readonly #enlist: () => void
  readonly #positions: PositionSet
  /** What the next batch is to do, and what that in flight does. */
  #changes = new Map<number, Attempts | null>()
  #inFlight = NO_CHANGES
  /** Readings that are under way, and what was written since the first of them began, the last first. */
  #readings = 0
  #written: Changes[] = []

  constructor(log: number, context: StoreContext, positions: PositionSet, enlist: () => void) {
    this.#log = log
    this.#context = context
    this.#positions = positions
    this.#enlist = enlist
  }

  put(position: number, { deliveryCount, acquiredCount, dueAt }: Attempts): void {
    this.#positions.add(position)
    this.#changes.set(position, { deliveryCount, acquiredCount, dueAt })
    this.#enlist()
  }

  /** The message is settled. */
  forget(position: number): void {
    if (!this.#positions.delete(position)) return
    this.#changes.set(position, null)
    this.#enlist()
  }

  /** All messages from one position to below another are settled: where they are many, their records go a slice at a time. */
  discard(from: number, below: number): void {
    const some: number[] = []
    for (const position of this.#positions.from(from, below)) if (some.push(position) > ERASE_SLICE) break
    if (some.length <= ERASE_SLICE) {
      for (const position of some) this.forget(position)
      return
    }
    this.#positions.deleteRange(from, below)
    for (const position of this.#changes.keys())
      if (position >= from && position < below) this.#changes.delete(position)
    void this.#erase(from, below)
  }

  contribute(batch: Batch): void {
    if (this.#changes.size === 0) return
    for (const [position, attempts] of this.#changes) {
      const key = positionKey(Kind.attempts, this.#log, position)
      if (attempts === null) batch.del(key)
      else batch.put(key, encodeAttempts(attempts))
    }
    this.#inFlight = this.#changes
    this.#changes = new Map()
  }

  committed(): void {
    if (this.#inFlight.size === 0) return
    if (this.#readings > 0) this.#written.unshift(this.#inFlight)
    this.#inFlight = NO_CHANGES
  }

  /**
   * The messages, which are in order, with what is known of each. Rejects when that cannot be read now. What is damaged is
   * lost: its message counts as one that has failed once.
   */
  async addTo(messages: readonly StoredMessage[]): Promise<readonly StoredMessage[]> {
    const counted = messages.filter(({ position }) => this.#positions.has(position)).map(({ position }) => position)
    if (counted.length === 0) return messages
    this.#readings++
    try {
      const stored = await this.#read(counted)
      const sources = [...this.#newer, stored]
      return messages.map((message) => {
        const attempts = sources.find((each) => each.has(message.position))?.get(message.position)
        return attempts ? { ...message, attempts } : message
      })
    } finally {
      if (--this.#readings === 0) this.#written = []
    }
  }

  /** What a reading that has begun may not have found, the newest first. */
  get #newer(): readonly Changes[] {
    return [this.#changes, this.#inFlight, ...this.#written]
  }

  async #read(positions: readonly number[]): Promise<Changes> {
    const found = new Map<number, Attempts>()
    const range = attemptsRange(this.#log, positions[0]!, positions.at(-1)! + 1)
    let records: [Buffer, Buffer][]
    try {
      records = await this.#context.reader.records(range)
    } catch (error) {
      if ((error as { code?: string }).code !== 'LEVEL_CORRUPTION') throw error
      this.#lose(positions, error as Error)
      return found
    }
    for (const [key, value] of records) {
      const position = positionOfKey(key)
      try {
        found.set(position, decodeAttempts(value))
      } catch (error) {
        if (!(error instanceof DamagedRecordError)) throw error
        this.#lose([position], error)
      }
    }
    return found
  }

  /** What the disk has of these positions is damaged, which is all that is known of them unless it was written anew. */
  #lose(positions: readonly number[], cause: Error): void {
    const newer = this.#newer
    const lost = positions.filter((position) => !newer.some((changes) => changes.has(position)))
    if (lost.length === 0) return
    for (const position of lost) this.forget(position)
    const what = `how often messages were tried is damaged and left out: ${lost.length} of log ${this.#log}`
    this.#context.damaged(new Error(what, { cause }))
  }

  async #erase(from: number, below: number): Promise<void> {
    // What the batch in flight writes is to be found.
    await this.#context.committer.settled()
    await eraseRange(this.#context, attemptsRange(this.#log, from, below))
  }
}

/** The records of a log from one position to below another. */
export function attemptsRange(log: number, from: number, below: number): KeyRange {
  return { gte: positionKey(Kind.attempts, log, from), lt: positionKey(Kind.attempts, log, below) }
}
