// The messages that wait for their time before an exchange: in the store, in the order in which they fall due.
import type { Clock, Timer } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import type { Message } from '../message.ts'
import type { DelayedMessage, DelayLog, Publisher, Store } from '../ports.ts'

/** The longest time that a timer is set for: those of Node end at 2^31 milliseconds. */
const TIMER_MS_MAX = 24 * 60 * 60 * 1000

/** How long to wait after the store could not be read. */
const RETRY_MS = 1000

/** How many messages may have gone on before the disk knows of the first of them. */
const LEAVING_MAX = 1024

/** What delays need from the broker around their exchange. */
export interface DelaysContext {
  readonly clock: Clock
  readonly logger: Logger
  readonly store: Pick<Store, 'whenDurable'>
}

/** One exchange's waiting messages. One timer for all of them: it is set for the first. */
export class Delays {
  readonly #log: DelayLog
  readonly #context: DelaysContext
  readonly #release: (delayed: DelayedMessage) => void
  #timer: Timer | null = null
  /** When the timer runs out; Infinity when none is set. */
  #wakesAt = Infinity
  #reading = false
  /** Messages that went on, and of which the disk does not know yet. */
  #leaving = 0
  /** The earliest of what was stored while the log was being read. */
  #storedMeanwhile = Infinity
  #stopped = false
  /** The orders of messages that were cancelled, until no reading can bring them back. */
  readonly #cancelled = new Set<number>()

  /** `open` opens the log, and is given what is to be told of each message that can be read from it. */
  constructor(
    open: (stored: (due: number) => void) => DelayLog,
    context: DelaysContext,
    release: (delayed: DelayedMessage) => void,
  ) {
    this.#context = context
    this.#release = release
    this.#log = open((due) => this.#stored(due))
  }

  /** What was there before the broker started goes on from here on. */
  start(): void {
    if (this.#log.count > 0) this.#wake(this.#context.clock.now())
  }

  /** The id of the log in the store. */
  get id(): number {
    return this.#log.id
  }

  /** The messages that wait. */
  get count(): number {
    return this.#log.count
  }

  /** Keeps a message for so long. The publisher is told when it is on disk. */
  add(
    message: Message,
    copies: readonly string[],
    delayMs: number,
    publisher: Publisher | null,
    sequence: number,
  ): void {
    this.#log.append(message, copies, this.#context.clock.now() + delayMs, publisher, sequence)
  }

  /** Looks at messages that wait, in the order in which they are due, from a time and an order on. */
  async browse(due: number, order: number, most: number): Promise<readonly DelayedMessage[]> {
    const found = await this.#log.read(due, order, most)
    const now = this.#context.clock.now()
    return found.filter((delayed) => delayed.due > now && !this.#cancelled.has(delayed.order))
  }

  /** Takes a message out, so that it never goes on. Returns whether it was there, and is not due yet. */
  async cancel(due: number, order: number): Promise<boolean> {
    const [delayed] = await this.browse(due, order, 1)
    if (delayed === undefined || delayed.due !== due || delayed.order !== order || this.#stopped) return false
    this.#cancelled.add(order)
    this.#log.cancel(delayed)
    this.#context.store.whenDurable(() => this.#forget(order))
    return true
  }

  /** What is being read now may still have the message. */
  #forget(order: number): void {
    if (this.#reading) this.#context.clock.after(RETRY_MS, () => this.#forget(order))
    else this.#cancelled.delete(order)
  }

  /** Nothing is released from here on: the exchange goes, or the broker stops and goes on at its next start. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Forgets them all. */
  drop(): void {
    this.stop()
    this.#log.drop()
  }

  #stored(due: number): void {
    if (this.#reading) this.#storedMeanwhile = Math.min(this.#storedMeanwhile, due)
    else this.#wake(due)
  }

  /** Sees to it that the log is read at this time, or earlier. */
  #wake(at: number): void {
    if (this.#stopped || at >= this.#wakesAt) return
    this.#timer?.cancel()
    const delayMs = at - this.#context.clock.now()
    if (delayMs <= 0) {
      this.#woken()
      return
    }
    this.#wakesAt = at
    this.#timer = this.#context.clock.after(Math.min(delayMs, TIMER_MS_MAX), () => this.#woken())
  }

  #woken(): void {
    this.#timer = null
    this.#wakesAt = Infinity
    void this.#read()
  }

  async #read(): Promise<void> {
    this.#reading = true
    try {
      const now = this.#context.clock.now()
      const { messages, next } = await this.#log.due(now)
      if (this.#stopped) return
      // They leave the log and reach their queues in one turn, and so in one batch.
      for (const delayed of messages) {
        if (this.#cancelled.has(delayed.order)) continue
        this.#log.settle(delayed)
        this.#release(delayed)
      }
      this.#leave(messages.length)
      // Few do not wait for the disk, so that those behind them are in time; many do, lest they outrun it.
      if (next > now && this.#leaving <= LEAVING_MAX) this.#done(next)
      else this.#context.store.whenDurable(() => this.#done(next))
    } catch (error) {
      this.#context.logger.error({ err: error }, 'delayed messages cannot be read')
      this.#done(this.#context.clock.now() + RETRY_MS)
    }
  }

  #leave(count: number): void {
    if (count === 0) return
    this.#leaving += count
    this.#context.store.whenDurable(() => (this.#leaving -= count))
  }

  #done(next: number): void {
    const at = Math.min(next, this.#storedMeanwhile)
    this.#reading = false
    this.#storedMeanwhile = Infinity
    if (at < Infinity) this.#wake(at)
  }
}
