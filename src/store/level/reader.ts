// Reads values for pages: through a snapshot that serves many readings.
import type { BackgroundWork, Committer } from './committer.ts'
import type { Database, Snapshot } from './database.ts'
import { SNAPSHOT_BATCHES } from './tuning.ts'

/**
 * Reads values. Without a snapshot LevelDB takes one for each reading, on the main thread, and waits for its lock to do
 * so, which it holds as long as it deletes files: some 30 ms when the space of 64 MiB is given back. So readings share
 * one, as long as it has what they ask for; but only for a while, since LevelDB keeps what was deleted after it.
 */
export class Reader implements BackgroundWork {
  /** There is never anything for which a batch would have to be written. */
  readonly waiting = false
  readonly #database: Database
  readonly #committer: Committer
  #snapshot: Snapshot | null = null
  /** The batch up to which the snapshot has what was written. */
  #covered = 0

  constructor(database: Database, committer: Committer) {
    this.#database = database
    this.#committer = committer
  }

  /**
   * Reads values that a batch of this serial, or an earlier one, has written, as soon as the database can be read.
   * Rejects with the database's error, which has a code.
   */
  async values(keys: Buffer[], serial: number): Promise<(Buffer | undefined)[]> {
    const committer = this.#committer
    for (;;) {
      await committer.readable()
      let snapshot: Snapshot | undefined
      try {
        snapshot = this.#snapshotOf(serial)
        return await this.#database.getMany(keys, snapshot)
      } catch (error) {
        const { code } = error as { readonly code?: string }
        // The database was opened again after a failed write, without what was read through: others may have a new one.
        if (code === 'LEVEL_SNAPSHOT_NOT_OPEN') this.#forget(snapshot)
        // It is being opened: wait for that.
        else if (code !== 'LEVEL_DATABASE_NOT_OPEN' || committer.closing) throw error
      }
    }
  }

  contribute(batch: { readonly serial: number }): void {
    if (batch.serial - this.#covered > SNAPSHOT_BATCHES) this.release()
  }

  committed(): void {}

  /** Lets go of the snapshot: what was deleted so far can be given back to the disk. */
  release(): void {
    void this.#snapshot?.close()
    this.#snapshot = null
  }

  /** A snapshot went with the database that it was taken of. */
  #forget(snapshot: Snapshot | undefined): void {
    if (snapshot === this.#snapshot) this.#snapshot = null
  }

  /** What has everything up to this batch. Undefined when the database has no snapshots, or it is not yet written. */
  #snapshotOf(serial: number): Snapshot | undefined {
    if (this.#snapshot === null || serial > this.#covered) {
      const { durable } = this.#committer
      this.release()
      if (serial > durable) return undefined
      this.#snapshot = this.#database.snapshot?.() ?? null
      this.#covered = durable
    }
    return this.#snapshot ?? undefined
  }
}
