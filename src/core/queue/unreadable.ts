// Pages that the disk does not give: set aside, so that the rest of a queue serves, and tried again.
import type { Clock, Timer } from '../../lib/clock.ts'

/** So long after a page could not be read it is tried again: at first, and at the most. */
const REREAD_FIRST_MS = 1000
const REREAD_MAX_MS = 60_000

/** What is on a page that could not be read, as far as a queue wanted it. */
export interface UnreadablePage {
  /** The position of the first message, and that behind the last one. */
  readonly first: number
  readonly below: number
  readonly count: number
  /** The bodies of the messages, in bytes. */
  readonly bodyBytes: number
  /** Messages below this position may have been handed to somebody before. */
  readonly deliveredBelow: number
}

/** The disk does not give a page now. What is on it may be whole: the log still has it. */
export class UnreadablePageError extends Error {
  readonly page: UnreadablePage

  constructor(page: UnreadablePage, cause: Error) {
    super(cause.message, { cause })
    this.name = 'UnreadablePageError'
    this.page = page
  }
}

/** What could not be read, or not all of it. */
export interface UnreadableHost {
  /** Messages that are set aside. */
  readonly unreadableCount: number
  /** Tries again. Rejects when something else than the disk is the reason. */
  rereadUnreadable(): Promise<void>
}

/** Has a queue read again what could not be read: with one timer, less and less often while it still cannot. */
export class Rereading {
  readonly #clock: Clock
  readonly #host: UnreadableHost
  readonly #failed: (error: unknown) => void
  #delayMs = REREAD_FIRST_MS
  #timer: Timer | null = null
  #reading = false
  #failedMeanwhile = false
  #stopped = false

  /** `failed` is told when it cannot even be tried. */
  constructor(clock: Clock, host: UnreadableHost, failed: (error: unknown) => void) {
    this.#clock = clock
    this.#host = host
    this.#failed = failed
  }

  /** Something could not be read. */
  failed(): void {
    this.#failedMeanwhile = true
    if (this.#timer !== null || this.#reading || this.#stopped) return
    this.#timer = this.#clock.after(this.#delayMs, this.#fire)
    this.#delayMs = Math.min(this.#delayMs * 2, REREAD_MAX_MS)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  readonly #fire = (): void => {
    this.#timer = null
    this.#reading = true
    this.#failedMeanwhile = false
    void this.#reread()
  }

  async #reread(): Promise<void> {
    try {
      await this.#host.rereadUnreadable()
    } catch (error) {
      this.#failed(error)
    }
    this.#reading = false
    if (this.#failedMeanwhile || this.#host.unreadableCount > 0) this.failed()
    else this.#delayMs = REREAD_FIRST_MS
  }
}
