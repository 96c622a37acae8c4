// Which consumer of a queue is next: fair turns among those that can take a delivery.
import { Fifo } from '../../lib/fifo.ts'
import type { Consumer } from '../ports.ts'

/** A line that is shorter than this is not worth sweeping. */
const LINE_LENGTH_MIN = 16

/** One consumer's place in a queue. */
export class Subscription {
  readonly consumer: Consumer
  readonly exclusive: boolean
  /** Those of a higher priority are served first (RabbitMQ: x-priority). */
  readonly priority: number
  /** Whether it stands in line for deliveries. Kept by Dispatch. */
  inLine = false
  cancelled = false

  constructor(consumer: Consumer, exclusive: boolean, priority = 0) {
    this.consumer = consumer
    this.exclusive = exclusive
    this.priority = priority
  }
}

/** Those of one priority that may be ready. */
interface Line {
  readonly priority: number
  readonly waiting: Fifo<Subscription>
}

/**
 * The consumers of a queue. Those that may be ready stand in a line; one that turns out not to be leaves it, and comes
 * back when it says so (`resume`). So neither the idle nor the busy ones cost anything when a message is published.
 * There is one line as long as all have the ordinary priority, and then one for each priority.
 */
export class Dispatch {
  readonly subscriptions = new Set<Subscription>()
  readonly #line = new Fifo<Subscription>()
  /** All lines, the highest priority first; null while there is one. */
  #lines: Line[] | null = null
  /** RabbitMQ: single active consumer. The others wait until it is gone. */
  readonly #single: boolean
  #active: Subscription | null = null
  #paused = false
  /** RabbitMQ: in quorum queues one of a higher priority takes its place, as soon as it has nothing unacknowledged. */
  readonly #yields: boolean
  /** The one that was active, and has yet to acknowledge something before another is. */
  #retiring: Subscription | null = null

  constructor(single = false, yields = false) {
    this.#single = single
    this.#yields = yields
  }

  /** Whether this one may get deliveries as far as the others are concerned. */
  active(subscription: Subscription): boolean {
    return !this.#single || subscription === (this.#active ?? this.#retiring)
  }

  /** A consumer comes. It is next at once where it may be. */
  add(subscription: Subscription): void {
    this.subscriptions.add(subscription)
    subscription.inLine = this.#paused
    if (this.#single && this.#retiring === null) {
      if (this.#active === null) this.#active = subscription
      else if (this.#yields && subscription.priority > this.#active.priority) this.#retire(this.#active)
    }
    this.resume(subscription)
  }

  /** Returns whether another one has taken its place, and may be ready. */
  remove(subscription: Subscription): boolean {
    subscription.cancelled = true
    this.subscriptions.delete(subscription)
    const line = this.#lines === null ? this.#line : this.#lineOf(subscription.priority)
    if (line.length > 2 * this.subscriptions.size + LINE_LENGTH_MIN) sweep(line)
    if (subscription !== this.#active && subscription !== this.#retiring) return false
    return this.#succeed()
  }

  /** Whether nobody is next, whoever is ready. */
  get paused(): boolean {
    return this.#paused
  }

  /** Nobody is next from now on. Everybody counts as standing in line meanwhile, so that `resume` need not ask. */
  pause(): void {
    this.#paused = true
    this.#line.clear()
    for (const { waiting } of this.#lines ?? []) waiting.clear()
    for (const subscription of this.subscriptions) subscription.inLine = true
  }

  /** Those who are ready stand in line again. */
  unpause(): void {
    this.#paused = false
    for (const subscription of this.subscriptions) {
      subscription.inLine = false
      this.resume(subscription)
    }
  }

  /** The consumer may be able to take deliveries again. */
  resume(subscription: Subscription): void {
    if (subscription === this.#retiring && subscription.consumer.outstanding === 0) this.#succeed()
    if (subscription.inLine || subscription.cancelled) return
    if (this.#single && subscription !== this.#active) return
    subscription.inLine = true
    if (this.#lines === null && subscription.priority === 0) this.#line.push(subscription)
    else this.#lineOf(subscription.priority).push(subscription)
  }

  /** The consumer whose turn it is, or undefined when none is ready. It goes to the end of its line. */
  next(): Consumer | undefined {
    if (this.#lines === null) return nextIn(this.#line)
    for (const { waiting } of this.#lines) {
      const consumer = nextIn(waiting)
      if (consumer !== undefined) return consumer
    }
    return undefined
  }

  /** Delivers nothing more to the active one, and goes over to its successor when it has nothing any more. */
  #retire(active: Subscription): void {
    this.#active = null
    this.#retiring = active
    const line = this.#lines === null ? this.#line : this.#lineOf(active.priority)
    for (let left = line.length; left > 0; left--) {
      const waiting = line.shift()!
      if (waiting === active) active.inLine = false
      else line.push(waiting)
    }
    if (active.consumer.outstanding === 0) this.#succeed()
  }

  /** The next one is active. Returns whether there is one. */
  #succeed(): boolean {
    this.#retiring = null
    this.#active = this.#successor()
    if (this.#active === null) return false
    this.resume(this.#active)
    return true
  }

  /** Who has waited longest of those of the highest priority. */
  #successor(): Subscription | null {
    let best: Subscription | null = null
    for (const subscription of this.subscriptions) {
      if (best === null || subscription.priority > best.priority) best = subscription
    }
    return best
  }

  #lineOf(priority: number): Fifo<Subscription> {
    const lines = (this.#lines ??= [{ priority: 0, waiting: this.#line }])
    let line = lines.find((other) => other.priority === priority)
    if (line === undefined) {
      lines.push((line = { priority, waiting: new Fifo() }))
      lines.sort((a, b) => b.priority - a.priority)
    }
    return line.waiting
  }
}

function nextIn(line: Fifo<Subscription>): Consumer | undefined {
  for (;;) {
    const subscription = line.peek()
    if (subscription === undefined) return undefined
    if (!subscription.cancelled && subscription.consumer.ready) {
      if (line.length > 1) line.push(line.shift()!)
      return subscription.consumer
    }
    line.shift()
    subscription.inLine = false
  }
}

/** Takes those that are gone out of a line: where nothing is published, nobody else would. */
function sweep(line: Fifo<Subscription>): void {
  for (let left = line.length; left > 0; left--) {
    const waiting = line.shift()!
    if (!waiting.cancelled) line.push(waiting)
  }
}
