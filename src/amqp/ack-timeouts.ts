// Finds deliveries that have waited too long for their acknowledgement, without a note or a timer for any of them.
import type { Queue } from '../core/queue/queue.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import type { ChannelConsumer } from './consumer.ts'

/** The share of the timeout by which it may be late, and the bounds of that, in milliseconds. RabbitMQ: a minute. */
const LATE_SHARE = 0.1
const LATE_MS_MIN = 10
const LATE_MS_MAX = 60_000

/** Who has the deliveries: a channel. */
export interface DeliveryHolder {
  /** The tag of the next delivery. */
  readonly nextDeliveryTag: number
  /** Whether nothing of what is watched is out, and nothing more will be. */
  watchOver(timeouts: AckTimeouts): boolean
  /** What is watched and still out below this tag has waited for the timeout or longer. */
  overdue(timeouts: AckTimeouts, below: number): void
}

/**
 * Watches what one consumer has, or what was got from one queue. From time to time it marks how far delivery tags have
 * come; what is still out when such a mark is as old as the timeout has waited for at least that long. There are some
 * ten marks at a time.
 */
export class AckTimeouts {
  readonly timeoutMs: number
  /** Null for what was got. */
  readonly consumer: ChannelConsumer | null
  readonly queue: Queue
  readonly #clock: Clock
  readonly #holder: DeliveryHolder
  readonly #timer: Timer
  /** Deliveries below the tag had been made at that time, in milliseconds since 1970. */
  readonly #marks: { readonly at: number; readonly below: number }[] = []

  constructor(clock: Clock, timeoutMs: number, holder: DeliveryHolder, consumer: ChannelConsumer | null, queue: Queue) {
    this.timeoutMs = timeoutMs
    this.consumer = consumer
    this.queue = queue
    this.#clock = clock
    this.#holder = holder
    const periodMs = Math.ceil(Math.min(Math.max(timeoutMs * LATE_SHARE, LATE_MS_MIN), LATE_MS_MAX))
    this.#timer = clock.every(periodMs, () => this.#tick())
    this.#mark()
  }

  stop(): void {
    this.#timer.cancel()
  }

  #tick(): void {
    if (this.#holder.watchOver(this)) return
    const marks = this.#marks
    const ripe = this.#clock.now() - this.timeoutMs
    while (marks.length > 1 && marks[1]!.at <= ripe) marks.shift()
    this.#mark()
    const [first] = marks
    if (first !== undefined && first.at <= ripe) this.#holder.overdue(this, first.below)
  }

  #mark(): void {
    const below = this.#holder.nextDeliveryTag
    if (this.#marks.at(-1)?.below !== below) this.#marks.push({ at: this.#clock.now(), below })
  }
}
