// Which consumer of a queue is next: fair turns among those that can take a delivery.
import { Fifo } from '../../lib/fifo.ts'
import type { Consumer } from '../ports.ts'

/** A line that is shorter than this is not worth sweeping. */
const LINE_LENGTH_MIN = 16

/** One consumer's place in a queue. */
export class Subscription {
  readonly consumer: Consumer
  readonly exclusive: boolean
  /** Whether it stands in line for deliveries. Kept by Dispatch. */
  inLine = false
  cancelled = false

  constructor(consumer: Consumer, exclusive: boolean) {
    this.consumer = consumer
    this.exclusive = exclusive
  }
}

/**
 * The consumers of a queue. Those that may be ready stand in a line; one that turns out not to be leaves it, and comes
 * back when it says so (`resume`). So neither the idle nor the busy ones cost anything when a message is published.
 */
export class Dispatch {
  readonly subscriptions = new Set<Subscription>()
  #line = new Fifo<Subscription>()

  add(subscription: Subscription): void {
    this.subscriptions.add(subscription)
    this.resume(subscription)
  }

  remove(subscription: Subscription): void {
    subscription.cancelled = true
    this.subscriptions.delete(subscription)
    if (this.#line.length > 2 * this.subscriptions.size + LINE_LENGTH_MIN) this.#sweep()
  }

  /** The consumer may be able to take deliveries again. */
  resume(subscription: Subscription): void {
    if (subscription.inLine || subscription.cancelled) return
    subscription.inLine = true
    this.#line.push(subscription)
  }

  /** The consumer whose turn it is, or undefined when none is ready. It goes to the end of the line. */
  next(): Consumer | undefined {
    for (;;) {
      const subscription = this.#line.peek()
      if (subscription === undefined) return undefined
      if (!subscription.cancelled && subscription.consumer.ready) {
        if (this.#line.length > 1) this.#line.push(this.#line.shift()!)
        return subscription.consumer
      }
      this.#line.shift()
      subscription.inLine = false
    }
  }

  /** Takes those that are gone out of the line: where nothing is published, nobody else would. */
  #sweep(): void {
    const line = this.#line
    this.#line = new Fifo()
    for (let waiting = line.shift(); waiting; waiting = line.shift()) if (!waiting.cancelled) this.#line.push(waiting)
  }
}
