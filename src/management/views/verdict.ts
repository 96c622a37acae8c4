// Why is nothing moving? One answer for a queue, in words.
import type { Broker } from '../../core/broker.ts'
import type { ConnectionView } from '../../core/clients.ts'
import type { Queue } from '../../core/queue/queue.ts'
import type { JsonObject } from '../http-error.ts'
import { consumersOf, type OpenConsumer } from './connection.ts'

/** The first reason that holds, from the outside in. */
export function verdictJson(broker: Broker, queue: Queue): JsonObject {
  const consumers = [...consumersOf(broker.connections.values())].filter(({ consumer }) => consumer.queue === queue)
  return {
    ...(queue.readyCount === 0 ? nothingReady(broker, queue) : notMoving(broker, queue, consumers)),
    ready: queue.readyCount,
    unacked: queue.unackedCount,
    delayed: queue.delayedCount,
    consumers: consumers.length,
  }
}

function notMoving(broker: Broker, queue: Queue, consumers: readonly OpenConsumer[]): JsonObject {
  if (queue.paused)
    return verdict('paused', 'The queue is paused: consumers stay, and get nothing until it is resumed.')
  if (consumers.length === 0) return verdict('no_consumer', 'Messages wait and nobody consumes.')
  const active = consumers.filter(({ consumer }) => consumer.active)
  const single = queue.rules.singleActiveConsumer ? ' Only the single active consumer counts.' : ''
  if (active.some(({ consumer }) => consumer.ready)) {
    return verdict('moving', 'A consumer is ready: what waits is on its way, or is being read from disk.')
  }
  const full = active.filter(({ consumer }) => consumer.prefetch > 0 && consumer.outstanding >= consumer.prefetch)
  if (full.length === active.length) {
    const sentence = `Every consumer has as many unacknowledged messages as its prefetch allows.${single}`
    return { ...verdict('prefetch_full', sentence), consumer_tags: full.map(({ consumer }) => consumer.tag) }
  }
  const crowded = active.filter(({ open: { channel } }) => {
    return channel.globalPrefetch > 0 && channel.unackedCount >= channel.globalPrefetch
  })
  if (crowded.length + full.length >= active.length) {
    const sentence = `Every consumer's channel has as many unacknowledged messages as its prefetch allows.${single}`
    return { ...verdict('prefetch_full', sentence), consumer_tags: crowded.map(({ consumer }) => consumer.tag) }
  }
  if (broker.resources.tight) {
    return verdict('memory_tight', 'Memory is short, and unacknowledged messages are let out slowly.')
  }
  return verdict('consumers_busy', `The consumers' sockets take no more: the clients do not read.${single}`)
}

function nothingReady(broker: Broker, queue: Queue): JsonObject {
  const { reason } = broker.alarms
  if (reason !== '') return verdict('alarm', `Nothing waits, and publishers are blocked: ${reason}.`)
  if (queue.delayedCount > 0)
    return verdict('delayed', 'Nothing is ready: messages were given back, and wait for a while.')
  if (queue.unreadableCount > 0 || !queue.opened) {
    return verdict('unreadable', 'Nothing else is ready: the disk does not give the messages. They are tried again.')
  }
  if (queue.unackedCount > 0) {
    return verdict('all_delivered', 'Nothing waits; everything is with consumers, unacknowledged.')
  }
  const held = [...broker.connections.values()].filter((connection) => inFlow(connection, queue.vhost))
  if (held.length > 0) {
    const names = held.map(({ name }) => name)
    return {
      ...verdict('flow', 'The queue is empty, and publishers of its vhost are read more slowly.'),
      connections: names,
    }
  }
  return verdict('empty', 'The queue is empty.')
}

function inFlow({ vhost, activity }: ConnectionView, name: string): boolean {
  return vhost === name && activity === 'flow'
}

function verdict(name: string, explanation: string): JsonObject {
  return { verdict: name, explanation }
}
