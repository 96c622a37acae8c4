// How often the messages of a log were tried, and when they may be again: on disk, but for what is on its way there.
import type { Attempts, StoredMessage } from '../../core/ports.ts'
import { DamagedRecordError } from './bytes.ts'
import type { Batch } from './committer.ts'
import { Kind, positionKey, positionOfKey } from './keys.ts'
import type { LogPages, StoreContext } from './log-pages.ts'
import { decodeAttempts, encodeAttempts } from './records.ts'

/** What a batch does to the records, by position; null: deletes it. */
type Changes = ReadonlyMap<number, Attempts | null>

const NO_CHANGES: Changes = new Map()

/**
 * A page knows whether there are records of its messages: nothing of them stays in memory, for there may be as many as
 * messages wait. They are read with the messages, and deleted with the page (see `Remains`): of those that are settled
 * there may still be one.
 */
export class AttemptRecords {
  readonly #log: number
  readonly #context: StoreContext
  /** Asks for a batch. */
  readonly #enlist: () => void
  readonly #pages: LogPages
  /** What the next batch is to do, and what that in flight does. */
  #changes = new Map<number, Attempts | null>()
  #inFlight = NO_CHANGES
  /** Readings that are under way, and what was written since the first of them began, the last first. */
  #readings = 0
  #written: Changes[] = []

  constructor(log: number, context: StoreContext, pages: LogPages, enlist: () => void) {
    this.#log = log
    this.#context = context
    this.#pages = pages
    this.#enlist = enlist
  }

  put(position: number, { deliveryCount, acquiredCount, dueAt }: Attempts): void {
    this.#changes.set(position, { deliveryCount, acquiredCount, dueAt })
    this.#enlist()
  }

  /** The message is settled. */
  forget(position: number): void {
    this.#changes.delete(position)
  }

  /** All messages from one position to below another are settled. */
  discard(from: number, below: number): void {
    for (const position of this.#changes.keys())
      if (position >= from && position < below) this.#changes.delete(position)
  }

  contribute(batch: Batch): void {
    if (this.#changes.size === 0) return
    for (const [position, attempts] of this.#changes) {
      if (!this.#pages.noteTried(position)) continue
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
    const tried = messages.filter(({ position }) => this.#pages.tried(position)).map(({ position }) => position)
    if (tried.length === 0 && this.#newer.every(({ size }) => size === 0)) return messages
    this.#readings++
    try {
      const stored = tried.length === 0 ? NO_CHANGES : await this.#read(tried)
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
    const gte = positionKey(Kind.attempts, this.#log, positions[0]!)
    const lt = positionKey(Kind.attempts, this.#log, positions.at(-1)! + 1)
    let records: [Buffer, Buffer][]
    try {
      records = await this.#context.reader.records({ gte, lt })
    } catch (error) {
      if ((error as { code?: string }).code !== 'LEVEL_CORRUPTION') throw error
      const what = `how often messages were tried is damaged: between ${positions[0]} and ${positions.at(-1)} of log ${this.#log}`
      this.#context.damaged(new Error(what, { cause: error }))
      return found
    }
    const asked = new Set(positions)
    for (const [key, value] of records) {
      const position = positionOfKey(key)
      // There may still be some of what is settled.
      if (!asked.has(position)) continue
      try {
        found.set(position, decodeAttempts(value))
      } catch (error) {
        if (!(error instanceof DamagedRecordError)) throw error
        this.#lose(position, error)
      }
    }
    return found
  }

  /** What the disk has of this position is damaged, which is all that is known of it unless it was written anew. */
  #lose(position: number, cause: Error): void {
    if (this.#newer.some((changes) => changes.has(position))) return
    this.#changes.set(position, null)
    this.#enlist()
    const what = `how often message ${position} of log ${this.#log} was tried is damaged and left out`
    this.#context.damaged(new Error(what, { cause }))
  }
}
