// Waiting for one event of several that may come.
import type { EventEmitter } from 'node:events'

/**
 * Resolves with the arguments of the next event of this name. Unlike `once` of node:events it takes no notice of an
 * "error" that comes before, which is what a client emits first when it loses its connection.
 */
export function nextEvent(emitter: EventEmitter, event: string): Promise<unknown[]> {
  return new Promise((resolve) => {
    emitter.once(event, (...args: unknown[]) => resolve(args))
  })
}
