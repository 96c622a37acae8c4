// Messages that were given back, and wait before they are delivered again.
import type { Clock, Timer } from '../../lib/clock.ts'
import { Heap } from '../../lib/heap.ts'
import { TIMER_MS_MAX } from '../limits.ts'
import type { Entry } from './entry.ts'
import type { QueueRules } from './rules.ts'

/** A message, and when it is ready again, in milliseconds since 1970. */
export interface Waiting {
  readonly entry: Entry
  readonly dueAt: number
}

/** How long a message that was tried so often waits (RabbitMQ: x-delayed-retry-*): longer each time, up to a limit. */
export function retryDelayMs(rules: QueueRules, failed: boolean, attempts: number): number {
  const { delayedRetry, retryMinMs, retryMaxMs } = rules
  const wanted = delayedRetry === 'all' || delayedRetry === (failed ? 'failed' : 'returned')
  return wanted ? Math.min(retryMinMs * Math.max(attempts, 1), retryMaxMs) : 0
}

/** They are neither ready nor with anybody. One timer, set to the first of them. */
export class Retries {
  readonly #clock: Clock
  readonly #due: (entries: readonly Entry[]) => void
  readonly #heap = new Heap<Waiting>((a, b) =>
    a.dueAt === b.dueAt ? a.entry.position < b.entry.position : a.dueAt < b.dueAt,
  )
  #timer: Timer | null = null
  #timerAt = Infinity

  /** `due` is told of those whose time has come. */
  constructor(clock: Clock, due: (entries: readonly Entry[]) => void) {
    this.#clock = clock
    this.#due = due
  }

  get count(): number {
    return this.#heap.length
  }

  get waiting(): Iterable<Waiting> {
    return this.#heap
  }

  /** Takes out those of these positions that `take` says yes to. */
  withdraw(positions: ReadonlySet<number>, take: (entry: Entry) => boolean): void {
    if (this.#heap.length > 0) this.#heap.retain(({ entry }) => !positions.has(entry.position) || !take(entry))
  }

  /** Keeps a message for so long, in milliseconds. */
  add(entry: Entry, delayMs: number): void {
    this.#heap.push({ entry, dueAt: this.#clock.now() + delayMs })
    this.#arm()
  }

  /** Forgets all of them: the queue goes, or the broker stops. */
  stop(): void {
    this.#timer?.cancel()
    this.#heap.clear()
  }

  #arm(): void {
    const first = this.#heap.peek()?.dueAt ?? Infinity
    if (first >= this.#timerAt) return
    this.#timer?.cancel()
    this.#timerAt = first
    const delay = Math.min(Math.max(first - this.#clock.now(), 0), TIMER_MS_MAX)
    this.#timer = this.#clock.after(delay, this.#fire)
  }

  readonly #fire = (): void => {
    this.#timerAt = Infinity
    const now = this.#clock.now()
    const entries: Entry[] = []
    for (let first = this.#heap.peek(); first && first.dueAt <= now; first = this.#heap.peek()) {
      entries.push(first.entry)
      this.#heap.pop()
    }
    this.#arm()
    this.#due(entries)
  }
}
