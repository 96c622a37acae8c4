// Messages that may not wait at all, and came before it was known whether anything stands before them.
import { EntryState, type Entry } from './entry.ts'
import type { Gate } from './gate.ts'

/** So many are kept: a queue whose log the disk does not give may not be known for long. */
const UNDECIDED_MAX = 1000

/** The messages that are ready, those that are undecided among them. */
interface Ready {
  readonly available: boolean
  peek(): Entry | undefined
  remove(entry: Entry): void
}

/** RabbitMQ: with no time to wait a message is delivered at once or never. Here that is so once the queue is known. */
export class Undecided {
  readonly #ready: Ready
  readonly #gate: Gate
  readonly #serve: () => void
  readonly #expired: (entry: Entry) => void
  #entries: Entry[] = []

  /** `serve` delivers what can be; `expired` is given those that were taken out. */
  constructor(ready: Ready, gate: Gate, serve: () => void, expired: (entry: Entry) => void) {
    this.#ready = ready
    this.#gate = gate
    this.#serve = serve
    this.#expired = expired
  }

  /** Keeps a message, which is about to be ready. Returns whether there is room for it. */
  add(entry: Entry): boolean {
    return this.#entries.length < UNDECIDED_MAX && this.#entries.push(entry) > 0
  }

  /**
   * The queue is known: if nothing stands before them they are delivered now, or never. The disk may have to be told before
   * of what is delivered: that is no waiting.
   */
  decide(): void {
    const entries = this.#entries
    this.#entries = []
    if (!this.#ready.available || this.#ready.peek() !== entries[0]) {
      this.#giveUp(entries)
      return
    }
    const deadlines = entries.map((entry) => entry.detailed().deadline)
    for (const entry of entries) entry.detailed().deadline = Infinity
    this.#gate.whenGettable(() => {
      this.#serve()
      // Who was delivered one may give it back: then it has no time to wait either.
      for (const [i, entry] of entries.entries()) entry.detailed().deadline = deadlines[i]!
      this.#giveUp(entries)
    })
  }

  #giveUp(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.state !== EntryState.ready) continue
      this.#ready.remove(entry)
      this.#expired(entry)
    }
  }
}
