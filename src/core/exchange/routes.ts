// The result of routing one message, reused for the next.
import type { Message } from '../message.ts'
import type { Publisher } from '../ports.ts'
import type { Queue } from '../queue/queue.ts'
import type { Binding } from './binding.ts'
import type { Exchange } from './exchange.ts'

/** Takes a message aside, and lets it go on later. */
export interface Detour {
  /** Keeps the message; `publisher` is told when it is safe. `copies` are the routing keys beside its own. */
  take(message: Message, copies: readonly string[], publisher: Publisher | null, sequence: number): void
  /** Whether the message is a duplicate, perhaps since it was routed. */
  repeats?(message: Message): boolean
}

/** Above this many queues the array is given back after use, so that one great fan-out does not keep them all. */
const KEPT_LENGTH = 1024

/** The last routing of any Routes: marks of different ones must not be taken for each other. */
let lastGeneration = 0

/**
 * Where one message goes: each queue once, whatever leads there. The owner calls `begin` for each message, lets exchanges
 * add, and then reads `queues` up to `length`; what stands behind that is of earlier messages.
 *
 * Two routings must not overlap: while one is being added to, no other Routes may begin. Once its queues are known it
 * may (a publish to one of them may dead-letter another message), but then with a Routes of its own.
 */
export class Routes {
  queues: Queue[] = []
  length = 0
  /** The exchanges that were reached, in order: those not yet routed through are the work that is left. */
  exchanges: Exchange[] = []
  exchangeCount = 0
  /** Those that keep the message for later. */
  detours: Detour[] = []
  detourCount = 0
  /** Set by whatever is added, also when it was there before: tells a match without destinations from others. */
  matched = false
  /** Whether a message with the same routing key would go the same way, as long as no binding changes. */
  repeatable = true
  #generation = 0

  /** Lets go of earlier messages' destinations, which may be gone. */
  clear(): void {
    this.queues = []
    this.exchanges = []
    this.detours = []
    this.length = 0
    this.exchangeCount = 0
    this.detourCount = 0
  }

  /** Starts on the next message. */
  begin(): void {
    if (this.length > KEPT_LENGTH) this.queues = []
    if (this.exchangeCount > KEPT_LENGTH) this.exchanges = []
    this.length = 0
    this.exchangeCount = 0
    this.detourCount = 0
    this.matched = false
    this.repeatable = true
    this.#generation = ++lastGeneration
  }

  /** Adds a queue, unless it is there. */
  add(queue: Queue): void {
    this.matched = true
    if (queue.routeMark === this.#generation) return
    queue.routeMark = this.#generation
    this.queues[this.length++] = queue
  }

  /** Adds one that keeps the message, unless it is there: it is asked for each of the message's keys in turn. */
  addDetour(detour: Detour): void {
    this.matched = true
    for (let i = 0; i < this.detourCount; i++) if (this.detours[i] === detour) return
    this.detours[this.detourCount++] = detour
  }

  /** Adds an exchange to be routed through, unless it was reached before. */
  addExchange(exchange: Exchange): void {
    this.matched = true
    if (exchange.routeMark === this.#generation) return
    exchange.routeMark = this.#generation
    this.exchanges[this.exchangeCount++] = exchange
  }

  /** Adds the destinations of a chain of bindings. */
  addBindings(first: Binding | null): void {
    for (let binding = first; binding !== null; binding = binding.next) this.addBinding(binding)
  }

  /** Adds the destination of a binding. */
  addBinding(binding: Binding): void {
    if (binding.queue !== null) this.add(binding.queue)
    else this.addExchange(binding.exchange!)
  }
}
