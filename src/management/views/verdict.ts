// Why is nothing moving? One answer for a queue, in words.
import type { Broker } from '../../core/broker.ts'
import type { ConsumerView } from '../../core/clients.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { JsonObject } from '../http-error.ts'
import { consumersOf } from './connection.ts'

/** The first reason that holds, from the outside in. */
export function verdictJson(broker: Broker, queue: Queue): JsonObject {
  const consumers = [...consumersOf(broker.connections.values())]
    .map(({ consumer }) => consumer)
    .filter((consumer) => consumer.queue === queue)
  return { ...verdict(broker, queue, consumers), ready: queue.readyCount, unacked: queue.unackedCount }
}

function verdict(broker: Broker, queue: Queue, consumers: readonly ConsumerView[]): JsonObject {
  if (queue.readyCount === 0) return nothingReady(broker, queue)
  if (consumers.length === 0) return { verdict: 'no_consumer', explanation: 'Messages wait and nobody consumes.' }
  if (consumers.some(({ ready }) => ready)) {
    return {
      verdict: 'moving',
      explanation: 'A consumer is ready: what waits is on its way, or is being read from disk.',
    }
  }
  const full = consumers.filter(({ prefetch, outstanding }) => prefetch > 0 && outstanding >= prefetch)
  if (full.length === consumers.length) {
    const explanation = 'Every consumer has as many unacknowledged messages as its prefetch allows.'
    return { verdict: 'prefetch_full', explanation, consumer_tags: full.map(({ tag }) => tag) }
  }
  if (broker.resources.tight) {
    return { verdict: 'memory_tight', explanation: 'Memory is short, and unacknowledged messages are let out slowly.' }
  }
  return { verdict: 'consumers_busy', explanation: "The consumers' sockets or channels take no more at the moment." }
}

function nothingReady(broker: Broker, queue: Queue): JsonObject {
  const { reason } = broker.alarms
  if (reason !== '') {
    return { verdict: 'alarm', explanation: `Nothing waits, and publishers are blocked: ${reason}.` }
  }
  if (queue.unackedCount > 0) {
    return { verdict: 'all_delivered', explanation: 'Nothing waits; everything is with consumers, unacknowledged.' }
  }
  return { verdict: 'empty', explanation: 'The queue is empty.' }
}
