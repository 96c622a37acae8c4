// Reads what is on disk: values for pages, through a snapshot while space is given back, and ranges of small records.
import type { Committer } from './committer.ts'
import type { Database, KeyRange, Snapshot } from './database.ts'
import { recordsIn } from './database.ts'

/**
 * Reads values. Without a snapshot LevelDB takes one for each reading, on the main thread, and waits for its lock to do
 * so, which it holds as long as it deletes files: some milliseconds whenever space is given back. So readings share one
 * then, as far as it has what they ask for. It must not last: of a key that is written, or deleted, while there is a
 * snapshot, LevelDB (1.20) keeps both states when it merges tables, and may leave the older one in the upper level.
 */
export class Reader {
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
      // Without a wait otherwise: the disk is to be asked before whoever asks goes on, and delivers what it has.
      if (committer.reopening) await committer.readable()
      const snapshot = serial <= this.#covered ? this.#snapshot : null
      try {
        return await this.#database.getMany(keys, snapshot ?? undefined)
      } catch (error) {
        const { code } = error as { readonly code?: string }
        // The database was opened again after a failed write, without what was read through.
        if (code === 'LEVEL_SNAPSHOT_NOT_OPEN') this.#forget(snapshot)
        // It is being opened: wait for that.
        else if (code !== 'LEVEL_DATABASE_NOT_OPEN' || committer.closing) throw error
      }
    }
  }

  /**
   * Reads the records of a range that are on disk now, in the order of their keys, as soon as the database can be read: of
   * those that are written again and again the newest, which a look-up might not find (see `mergedKey`). Rejects with the
   * database's error, which has a code.
   */
  async records(range: KeyRange): Promise<[Buffer, Buffer][]> {
    const committer = this.#committer
    for (;;) {
      if (committer.reopening) await committer.readable()
      try {
        const records: [Buffer, Buffer][] = []
        for await (const some of recordsIn(this.#database, range)) for (const record of some) records.push(record)
        return records
      } catch (error) {
        const { code } = error as { readonly code?: string }
        // With the database what reads from it is closed, if it was not to begin with: both end when it is open again.
        if (!committer.reopening || committer.closing || code === undefined) throw error
      }
    }
  }

  /** Reads what is on disk now through one snapshot until it is released. The database is open. */
  hold(): void {
    this.#snapshot = this.#database.snapshot?.() ?? null
    this.#covered = this.#committer.durable
  }

  /** Lets go of the snapshot. */
  release(): void {
    void this.#snapshot?.close()
    this.#snapshot = null
  }

  /** A snapshot went with the database that it was taken of. */
  #forget(snapshot: Snapshot | null): void {
    if (snapshot === this.#snapshot) this.#snapshot = null
  }
}
