// Deletes pages: those of large discards and of dropped logs a slice with each batch; and asks for their space back.
import type { BackgroundWork, Batch } from './committer.ts'
import { Compactor } from './compactor.ts'
import type { Database } from './database.ts'
import { Kind, mergedKey, positionKey } from './keys.ts'
import type { Page } from './page.ts'
import type { Reader } from './reader.ts'
import { COMPACT_AGE_MIB, COMPACT_AGE_MIB_MIN, ERASE_SLICE } from './tuning.ts'

/** Pages of one log that are to be deleted. */
export interface Erasure {
  readonly log: number
  readonly pages: readonly Page[]
  /** The position in the key of the record that says so, should the broker crash on the way. */
  readonly record: number
}

/**
 * Deletes pages in slices. Each page goes in one batch with its index record, which it has before it is given to this: so
 * nothing is left behind by a crash. The record of an erasure goes with its last page.
 */
export class Eraser implements BackgroundWork {
  readonly #compactor: Compactor
  readonly #erasures: Erasure[] = []
  /** The page that comes next in the first erasure. */
  #next = 0

  constructor(database: Database, reader: Reader, readable: () => Promise<void>) {
    this.#compactor = new Compactor(database, reader, readable)
  }

  get waiting(): boolean {
    return this.#erasures.length > 0
  }

  add(erasure: Erasure): void {
    this.#erasures.push(erasure)
  }

  /** Puts the deletion of a page that is settled into a batch. */
  settled(batch: Batch, log: number, page: Page): void {
    deletePage(batch, log, page)
    const age = batch.writtenMiB - page.writtenMiB
    if (age >= COMPACT_AGE_MIB) this.#compactor.deleted(log, page)
    else if (age >= COMPACT_AGE_MIB_MIN) this.#compactor.deletedYoung(log, page)
  }

  /** A log has no page any more: the space that its last ones took may be asked back. */
  emptied(log: number): void {
    this.#compactor.emptied(log)
  }

  contribute(batch: Batch): void {
    const end = batch.operations.length + ERASE_SLICE
    while (batch.operations.length < end && this.#erasures.length > 0) {
      const erasure = this.#erasures[0]!
      const page = erasure.pages[this.#next++]
      if (page !== undefined) {
        deletePage(batch, erasure.log, page)
        this.#compactor.deleted(erasure.log, page)
      } else {
        batch.del(positionKey(Kind.erasure, erasure.log, erasure.record))
        this.#compactor.emptied(erasure.log)
        this.#erasures.shift()
        this.#next = 0
      }
    }
  }

  committed(): void {
    this.#compactor.committed()
  }

  /** Nothing more is asked of the database: it is about to be closed. */
  close(): void {
    this.#compactor.close()
  }
}

function deletePage(batch: Batch, log: number, page: Page): void {
  if (page.indexed) batch.del(positionKey(Kind.index, log, page.first))
  if (page.merged) batch.del(mergedKey(log, page.first))
  else if (page.fragments === null) batch.del(positionKey(Kind.fragment, log, page.first))
  else for (const first of page.fragments) batch.del(positionKey(Kind.fragment, log, first))
}
