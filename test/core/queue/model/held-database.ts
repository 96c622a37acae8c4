// A database whose reads wait until they are let through, or fail, beside all that the faulty one can do.
import type { Snapshot } from '../../../../src/store/level/database.ts'
import { diskError, FaultyDatabase } from '../../../support/faulty-database.ts'

export class HeldDatabase extends FaultyDatabase {
  /** Whether reads wait. */
  holdingReads = false
  /** Reads that wait; each is told what it fails with, or nothing. */
  readonly #reads: ((failure?: Error) => void)[] = []

  /** Reads that wait. */
  get heldReads(): number {
    return this.#reads.length
  }

  override async getMany(keys: Buffer[], snapshot?: Snapshot): Promise<(Buffer | undefined)[]> {
    const failure = this.holdingReads
      ? await new Promise<Error | undefined>((resolve) => this.#reads.push(resolve))
      : undefined
    if (failure !== undefined) throw failure
    return super.getMany(keys, snapshot)
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

  /** The disk does not give what the read that waits longest asks for. */
  failRead(): void {
    this.#reads.shift()?.(diskError('IO error: Input/output error'))
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
