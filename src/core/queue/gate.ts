// Whether the next message of a queue may be handed out, and who waits until it may.
import type { QueueLog } from '../ports.ts'
import { Stored, type Entry } from './entry.ts'

/** What a gate needs from its queue. */
export interface GateHost {
  readonly deleted: boolean
  /** The next message may be handed out: to the consumers, when nobody has asked for it. */
  serve(): void
}

/** The messages that are ready. */
interface Ready {
  readonly count: number
  readonly available: boolean
  peek(): Entry | undefined
  logOf(entry: Entry): QueueLog
  afterRead(callback: (read: boolean) => void): void
}

/** Called with false when the next message cannot be read. */
type Getter = (gettable: boolean) => void

/** The way out of a queue. Owns those who wait for it. */
export class Gate {
  readonly #host: GateHost
  readonly #ready: Ready
  #getters: Getter[] = []

  constructor(host: GateHost, ready: Ready) {
    this.#host = host
    this.#ready = ready
  }

  /**
   * Whether the next message, which is in memory, may be handed out. One that is on disk may come back after a crash: it
   * is to say then that it was delivered before, so the disk must know of that first. It mostly does.
   */
  get open(): boolean {
    const entry = this.#ready.peek()!
    if (entry.stored !== Stored.written || entry.spilled) return true
    return this.#ready.logOf(entry).deliverable(entry.position, this.#opened)
  }

  /** Whether basic.get can be answered: the next message can be handed out, or there is none. */
  get gettable(): boolean {
    return this.#host.deleted || this.#ready.count === 0 || (this.#ready.available && this.open)
  }

  /** Calls back when it can, at once or later; with false when the next message cannot be read. */
  whenGettable(callback: Getter): void {
    if (this.gettable) callback(true)
    else if (this.#ready.available) this.#getters.push(callback)
    else this.#ready.afterRead((read) => (read ? this.whenGettable(callback) : callback(false)))
  }

  readonly #opened = (): void => {
    const getters = this.#getters
    this.#getters = []
    for (const getter of getters) this.whenGettable(getter)
    this.#host.serve()
  }
}
