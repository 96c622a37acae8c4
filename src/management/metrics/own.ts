// What RabbitMQ has no names for.
import type { Queue } from '../../core/queue/queue.ts'
import type { Management } from '../route.ts'
import type { Scope } from './objects.ts'
import { histogram, single, type Metric, type Series } from './exposition.ts'

/** The process: its event loop, its memory, its commits; and how long messages have waited. */
export function* ownMetrics({ broker, rates, loopDelay }: Management): Generator<Metric> {
  const gauge = (name: string, help: string, value: number): Metric => single(name, 'gauge', help, value)
  const { mean, p99, max } = loopDelay.delays
  yield gauge('event_loop_delay_mean_seconds', 'How late the event loop ran what was due, in ten seconds', mean)
  yield gauge('event_loop_delay_p99_seconds', 'The same for the latest in a hundred', p99)
  yield gauge('event_loop_delay_max_seconds', 'The same for the latest', max)
  const { heapUsed, external } = process.memoryUsage()
  yield gauge('heap_used_bytes', 'Memory that objects of JavaScript take', heapUsed)
  yield gauge('external_memory_bytes', 'Memory that buffers take', external)
  const { seconds, operations } = broker.store.commits
  yield histogram('commit_duration_seconds', 'How long a synced batch took, attempts again included', seconds)
  yield histogram('commit_batch_operations', 'How many operations were in a batch', operations)
  yield gauge('commit_pending_bytes', 'Bytes of messages that are not yet on disk', broker.store.pendingBytes)
  const { delayed, unacked, oldestMs } = rates.totals()
  yield gauge('messages_delayed', 'Messages that wait for their time, in queues and before exchanges', delayed)
  yield gauge('messages_unacked', 'Messages that wait for an acknowledgement', unacked)
  yield gauge('oldest_message_age_seconds', 'How long the oldest ready message has waited', oldestMs / 1000)
}

/** The same for single queues and exchanges. */
export function* ownObjectMetrics({ ages, clock }: Management, scope: Scope): Generator<Metric> {
  const now = clock.now()
  /** A queue for which there is nothing to tell is left out: they are many. */
  const ofQueues = (name: string, help: string, read: (queue: Queue) => number): Metric => ({
    name,
    type: 'gauge',
    help,
    series: {
      *[Symbol.iterator](): Generator<Series> {
        for (const { object, labels } of scope.queues) {
          const value = read(object)
          if (value !== 0) yield { labels, value }
        }
      },
    },
  })
  const age = (queue: Queue): number => (ages.oldest(queue, now) ?? 0) / 1000
  yield ofQueues('queue_oldest_message_age_seconds', 'How long the oldest ready message has waited', age)
  yield ofQueues('queue_messages_delayed', 'Messages that were given back and wait', (queue) => queue.delayedCount)
  const dying = 'Messages that were given up and wait for their dead letters to be taken'
  yield ofQueues('queue_messages_dying', dying, (queue) => queue.dyingCount)
  const unreadable = 'Messages that the disk does not give now, and that are tried again'
  yield ofQueues('queue_messages_unreadable', unreadable, (queue) => queue.unreadableCount)
  yield ofQueues('queue_messages_unacked', 'Messages that wait for an acknowledgement', (queue) => queue.unackedCount)
  const routed = {
    *[Symbol.iterator](): Generator<Series> {
      for (const { object, labels } of scope.exchanges) yield { labels, value: object.exchange.publishedOut }
    },
  }
  const routes = 'Messages that left an exchange, one for each queue that they reached'
  yield { name: 'exchange_messages_routed_total', type: 'counter', help: routes, series: routed }
  const series: Series[] = []
  for (const { object } of scope.exchanges) {
    const { exchange, vhost } = object
    if (exchange.delaying === null) continue
    series.push({ labels: { vhost, exchange: exchange.name }, value: exchange.delayedCount })
  }
  const help = 'Messages that wait for their time before an exchange'
  yield { name: 'exchange_messages_delayed', type: 'gauge', help, series }
}
