// Finds out what logs held when the store was opened: beside all else, and first of those that somebody waits for.
import type { Clock } from '../../lib/clock.ts'
import { Semaphore } from '../../lib/semaphore.ts'
import type { Committer } from './committer.ts'
import type { Database } from './database.ts'
import type { FoundPages, Sought } from './found-pages.ts'
import { LEFTOVER, findAllPages, findPages, nothingFound, soughtLogs } from './found-pages.ts'
import type { Recovered } from './recovery.ts'
import { HASTENED_AT_ONCE, HASTENED_MAX, RETRY_MAX_MS } from './tuning.ts'

/** A log of which it is not known yet what it held. */
export interface ClosedLog {
  /** This is what it held. */
  open(found: FoundPages): void
  /** The disk does not give that now. It is asked again later. */
  openingFailed(error: Error): void
}

/** What openings need of those around them. */
export interface OpeningsContext {
  readonly database: Database
  readonly clock: Clock
  readonly committer: Committer
  /** What of a log is to be deleted, because it was deleted before. */
  erase(log: number, found: FoundPages): void
  damaged(damage: Error): void
}

/** The pages of every log are looked for once. */
export class Openings {
  readonly #context: OpeningsContext
  /** The logs whose pages are to be found. */
  readonly #sought: Map<number, Sought>
  /** Logs that are to be told. */
  readonly #waiting = new Map<number, ClosedLog>()
  /** What was found of logs that nobody has asked for. */
  readonly #found = new Map<number, FoundPages>()
  /** Logs that are open, and may have stored more by now. Null when all others have been looked for. */
  #open: Set<number> | null = new Set()
  /** The log that the index is being read of, when all of it is; -1 otherwise. */
  #passing = -1
  /** Logs that somebody waits for. */
  readonly #hastened = new Set<number>()
  readonly #hastening = new Semaphore(HASTENED_AT_ONCE)
  #all: Promise<void> | null = null
  /** Logs that could not be read when that was last tried: it was said. */
  readonly #failing = new Set<number>()
  /** Resolves when the database that is being opened again is waited for no longer; null while that is open. */
  #patience: Promise<void> | null = null
  #closed = false

  /** `found`: what is known already, by log; null when nothing is. */
  constructor(context: OpeningsContext, recovered: Recovered, found: ReadonlyMap<number, FoundPages> | null) {
    this.#context = context
    this.#sought = new Map(found === null ? soughtLogs(recovered) : [])
    if (found !== null) this.#open = null
    for (const [log, each] of found ?? []) {
      this.#look(log, each)
      this.#found.set(log, each)
    }
  }

  /** What a log held, if that is known; null when the log is told later. */
  of(log: number, closed: ClosedLog): FoundPages | null {
    if (this.#sought.has(log) && !this.#waiting.has(log)) {
      this.#waiting.set(log, closed)
      return null
    }
    this.#open?.add(log)
    const found = this.#found.get(log) ?? nothingFound()
    this.#found.delete(log)
    return found
  }

  /** Somebody waits for this log. */
  hasten(log: number): void {
    if (this.#hastened.has(log) || !this.#sought.has(log) || log === this.#passing) return
    if (this.#hastened.size >= HASTENED_MAX && this.#open !== null) {
      void this.all()
      return
    }
    this.#hastened.add(log)
    void this.#hastening.run(() => this.#findOne(log)).then(() => this.#hastened.delete(log))
  }

  /**
   * Finds the pages of all logs. Resolves when it was tried for each; those that could not be read are tried again and
   * again from then on.
   */
  all(): Promise<void> {
    this.#all ??= this.#tryAll()
    return this.#all
  }

  async #tryAll(): Promise<void> {
    if (this.#open !== null) await this.#findAll()
    this.#open = null
    for (const log of [...this.#sought.keys()]) await this.#findOne(log)
    if (this.#sought.size > 0 && !this.#closed) void this.#findLater()
  }

  /** The database is about to be closed: nothing more is looked for. */
  close(): void {
    this.#closed = true
  }

  /** Goes through the index once. What cannot be read of it is left. */
  async #findAll(): Promise<void> {
    const { database } = this.#context
    if (!(await this.#readable())) return
    try {
      await findAllPages(database, {
        sought: (log) => {
          this.#passing = log
          return this.#sought.get(log) ?? this.#leftover(log)
        },
        found: (log, pages) => this.#take(log, pages),
        ended: () => this.#closed,
      })
    } catch (error) {
      // Where that is, one learns by looking at each log.
      assertOfDatabase(error)
      return
    } finally {
      this.#passing = -1
    }
    if (this.#closed) return
    // Of these there was nothing in it.
    for (const [log, sought] of this.#sought) if (sought.unindexedFrom < 0) this.#take(log, nothingFound(sought))
  }

  async #findOne(log: number): Promise<void> {
    const { committer, database } = this.#context
    for (;;) {
      const readable = await this.#readable()
      const sought = this.#sought.get(log)
      if (sought === undefined || this.#closed) return
      if (!readable) {
        this.#failed(log, new NotOpenError())
        return
      }
      let found: FoundPages
      try {
        found = await findPages(database, log, sought)
      } catch (error) {
        assertOfDatabase(error)
        if (this.#closed) return
        // With the database what reads from it is closed: both end when it is open again.
        if (committer.reopening) continue
        this.#failed(log, error)
        return
      }
      this.#take(log, found)
      return
    }
  }

  /**
   * Waits while the database is opened again, but only for some time: who waits for a log is rather told that it cannot be
   * read. Returns whether the database is open.
   */
  async #readable(): Promise<boolean> {
    const { committer, clock } = this.#context
    if (committer.reopening) {
      const over = (): Promise<void> => new Promise((resolve) => clock.after(RETRY_MAX_MS, resolve))
      this.#patience ??= Promise.race([committer.readable(), over()])
      await this.#patience
    }
    if (!committer.reopening) this.#patience = null
    return !committer.reopening
  }

  async #findLater(): Promise<void> {
    while (this.#sought.size > 0) {
      await new Promise<void>((resolve) => this.#context.clock.after(RETRY_MAX_MS, resolve))
      if (this.#closed) return
      for (const log of [...this.#sought.keys()]) await this.#findOne(log)
    }
  }

  /** Of a log that nothing else tells of: it is gone, but for pages that were to be deleted. */
  #leftover(log: number): Sought | null {
    if (this.#open!.has(log)) return null
    this.#sought.set(log, LEFTOVER)
    return LEFTOVER
  }

  #take(log: number, found: FoundPages): void {
    // It may have been found in another way meanwhile, and have changed since.
    if (this.#closed || !this.#sought.delete(log)) return
    this.#open?.add(log)
    this.#failing.delete(log)
    this.#look(log, found)
    const closed = this.#waiting.get(log)
    this.#waiting.delete(log)
    if (closed !== undefined) closed.open(found)
    else if (found.pages.length > 0) this.#found.set(log, found)
  }

  /** What is damaged is told, and what is to be deleted is. */
  #look(log: number, found: FoundPages): void {
    for (const damage of found.damage) this.#context.damaged(damage)
    if (found.dead.length > 0 || found.erasures.length > 0) this.#context.erase(log, found)
  }

  #failed(log: number, error: Error): void {
    // Who is told may ask again.
    this.#hastened.delete(log)
    // That the database is not open is said without that.
    if (!(error instanceof NotOpenError)) {
      const what = `what log ${log} held cannot be read now: ${error.message}`
      if (!this.#failing.has(log)) this.#context.damaged(new Error(what, { cause: error }))
      this.#failing.add(log)
    }
    this.#waiting.get(log)?.openingFailed(error)
  }
}

/** The database is being opened again, and that takes long. */
class NotOpenError extends Error {
  constructor() {
    super('the database is being opened again')
  }
}

/** An error of the database has a code; any other is a mistake. */
function assertOfDatabase(error: unknown): asserts error is Error {
  if (!('code' in (error as Error))) throw error
}
