// Messages that may not wait at all, and came before it was known whether anything stands before them.
import { EntryState, type Entry } from './entry.ts'
import type { Gate } from './gate.ts'

/** So many are kept: a queue whose log the disk does not give may not be known for long. */
const UNDECIDED_MAX = 1000

/** What they need from their queue. */
interface UndecidedHost {
  readonly deleted: boolean
  /** Delivers what can be. */
  serve(): void
  /** A message has expired. It is ready no longer. */
  expiredUnread(entry: Entry): void
}

/** The messages that are ready, those that are undecided among them. */
interface Ready {
  remove(entry: Entry): void
}

/** RabbitMQ: with no time to wait a message is delivered at once or never. Here that is so once the queue is known. */
export class Undecided {
  readonly #host: UndecidedHost
  readonly #ready: Ready
  readonly #gate: Gate
  readonly #entries = new Set<Entry>()

  constructor(host: UndecidedHost, ready: Ready, gate: Gate) {
    this.#host = host
    this.#ready = ready
    this.#gate = gate
  }

  /** Keeps a message, which is about to be ready. Returns whether there is room for it. */
  add(entry: Entry): boolean {
    return this.#entries.size < UNDECIDED_MAX && this.#entries.add(entry).size > 0
  }

  /** Whether this one may be delivered still, though its time is over. */
  spares(entry: Entry): boolean {
    return this.#entries.has(entry)
  }

  /** The queue is known: where it held nothing, they are delivered now, or never. */
  decide(heldNothing: boolean): void {
    if (heldNothing) this.#serve()
    else this.#giveUp()
  }

  /** That the disk must be told before of what is delivered, or gives first what came before them, is no waiting. */
  #serve(): void {
    if (this.#entries.size === 0) return
    this.#gate.whenGettable((gettable) => {
      this.#host.serve()
      for (const entry of this.#entries) if (entry.state !== EntryState.ready) this.#entries.delete(entry)
      if (gettable && !this.#gate.gettable) this.#serve()
      else this.#giveUp()
    })
  }

  #giveUp(): void {
    const entries = [...this.#entries]
    this.#entries.clear()
    if (this.#host.deleted) return
    for (const entry of entries) {
      if (entry.state !== EntryState.ready) continue
      this.#ready.remove(entry)
      this.#host.expiredUnread(entry)
    }
  }
}
