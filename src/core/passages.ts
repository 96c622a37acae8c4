// How many messages came by way of each exchange: to one queue, or from one channel.
import { forgetOldest } from '../lib/forget-oldest.ts'

/** Exchanges that are told apart by one queue or channel; beyond that the one that was met first is forgotten. */
const EXCHANGES_MAX = 1000

/** The messages that came by way of one exchange; what follows is only counted for channels. */
export class Passage {
  readonly exchange: string
  count = 0
  /** Those that their publisher was told are safe. */
  confirmed = 0
  /** Those that reached no queue: mandatory ones, and others. */
  returned = 0
  dropped = 0

  constructor(exchange: string) {
    this.exchange = exchange
  }
}

/** Counts by exchange. The one of the last message is most often that of the next, which costs a comparison. */
export class Passages {
  #last: Passage | null = null
  /** All, once there was a second one. */
  #all: Map<string, Passage> | null = null

  /** A message came by way of this exchange. */
  count(exchange: string): void {
    const last = this.#last
    if (last !== null && last.exchange === exchange) last.count++
    else this.#turned(exchange)
  }

  /** That of the last message. */
  get last(): Passage | null {
    return this.#last
  }

  /** What came by way of this exchange, if anything did. */
  by(exchange: string): Passage | undefined {
    if (this.#last?.exchange === exchange) return this.#last
    return this.#all?.get(exchange)
  }

  [Symbol.iterator](): Iterator<Passage> {
    return (this.#all?.values() ?? (this.#last === null ? [] : [this.#last]))[Symbol.iterator]()
  }

  #turned(exchange: string): void {
    const last = this.#last
    const known = this.#all?.get(exchange)
    const passage = known ?? new Passage(exchange)
    passage.count++
    this.#last = passage
    if (known !== undefined || last === null) return
    const all = (this.#all ??= new Map([[last.exchange, last]]))
    all.set(exchange, passage)
    if (all.size > EXCHANGES_MAX) forgetOldest(all)
  }
}
