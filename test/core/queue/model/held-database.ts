// A database whose reads wait until they are let through, beside all that the faulty one can do.
import { FaultyDatabase } from '../../../support/faulty-database.ts'

export class HeldDatabase extends FaultyDatabase {
  /** Whether reads wait. */
  holdingReads = false
  readonly #reads: (() => void)[] = []

  /** Reads that wait. */
  get heldReads(): number {
    return this.#reads.length
  }

  override async getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    if (this.holdingReads) await new Promise<void>((resolve) => this.#reads.push(resolve))
    return super.getMany(keys)
  }

  /** LevelDB finishes what it reads before it closes. */
  override close(): Promise<void> {
    this.releaseReads()
    return super.close()
  }

  /** Lets the read that waits longest look at the disk. */
  releaseRead(): void {
    this.#reads.shift()?.()
  }

  releaseReads(): void {
    for (const release of this.#reads.splice(0)) release()
  }

  override abandon(): void {
    super.abandon()
    this.holdingReads = true
    this.#reads.length = 0
  }
}
