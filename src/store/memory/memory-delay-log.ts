// The delay log without a disk.
import type { Message } from '../../core/message.ts'
import type { DelayedMessage, DelayLog, DueMessages, Publisher } from '../../core/ports.ts'
import { Heap } from '../../lib/heap.ts'

interface Waiting extends DelayedMessage {
  readonly publisher: Publisher | null
  readonly sequence: number
  cancelled: boolean
}

/** Keeps the messages in a heap. */
export class MemoryDelayLog implements DelayLog {
  readonly id: number
  count = 0
  readonly #stored: (due: number) => void
  readonly #enlist: (log: MemoryDelayLog) => void
  readonly #heap = new Heap<DelayedMessage>((a, b) => a.due < b.due || (a.due === b.due && a.order < b.order))
  #waiting: Waiting[] = []
  #nextOrder = 0
  #dropped = false

  constructor(id: number, stored: (due: number) => void, enlist: (log: MemoryDelayLog) => void) {
    this.id = id
    this.#stored = stored
    this.#enlist = enlist
  }

  append(
    message: Message,
    copies: readonly string[],
    due: number,
    publisher: Publisher | null,
    sequence: number,
  ): DelayedMessage {
    this.count++
    if (this.#waiting.length === 0) this.#enlist(this)
    const waiting = { message, copies, due, order: this.#nextOrder++, publisher, sequence, cancelled: false }
    this.#waiting.push(waiting)
    return waiting
  }

  due(now: number): Promise<DueMessages> {
    const messages: DelayedMessage[] = []
    for (;;) {
      const first = this.#heap.peek()
      if (first === undefined) return Promise.resolve({ messages, next: Infinity })
      if (first.due > now) return Promise.resolve({ messages, next: first.due })
      messages.push(this.#heap.pop()!)
    }
  }

  read(due: number, order: number, most: number): Promise<readonly DelayedMessage[]> {
    const found = [...this.#heap].filter((one) => one.due > due || (one.due === due && one.order >= order))
    found.sort((a, b) => a.due - b.due || a.order - b.order)
    return Promise.resolve(found.slice(0, most))
  }

  cancel(delayed: DelayedMessage): void {
    for (const waiting of this.#waiting) if (waiting.order === delayed.order) waiting.cancelled = true
    this.#heap.retain((one) => one.order !== delayed.order)
    this.count--
  }

  /** What was due was taken out already. */
  settle(_delayed: DelayedMessage): void {
    this.count--
  }

  drop(): void {
    this.#dropped = true
    this.#heap.clear()
    this.count = 0
  }

  /** The end of the turn: what waits is kept and accepted. */
  commit(): void {
    let first = Infinity
    const waited = this.#waiting
    this.#waiting = []
    for (const waiting of waited) {
      waiting.publisher?.accepted(waiting.sequence)
      if (this.#dropped || waiting.cancelled) continue
      this.#heap.push(waiting)
      if (waiting.due < first) first = waiting.due
    }
    if (first < Infinity) this.#stored(first)
  }
}
