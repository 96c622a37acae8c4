// Messages of the broker's own: they go out when what is being done now is done.
import type { Message } from './message.ts'

/** Publishes a message in its vhost. */
export interface Outlet {
  publishOwn(message: Message): void
}

/**
 * What is to be published by the broker itself. It is told in the middle of things (a queue is being emptied, a window
 * of acknowledgements gone through), where nothing may be published: a microtask does it, in order.
 */
export class Announcements {
  #waiting: { readonly outlet: Outlet; readonly message: Message }[] = []

  add(outlet: Outlet, message: Message): void {
    if (this.#waiting.push({ outlet, message }) === 1) queueMicrotask(() => this.#publish())
  }

  #publish(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { outlet, message } of waiting) outlet.publishOwn(message)
  }
}
