// One queue by itself: who gets what, and what becomes of it when the queue or its consumers end.
import { describe, expect, it } from 'vitest'
import type { Message } from '../../../src/core/message.ts'
import type { Entry } from '../../../src/core/queue/entry.ts'
import type { Queue } from '../../../src/core/queue/queue.ts'
import type { Session } from '../../../src/core/session.ts'
import { NO_ARGUMENTS } from '../../../src/core/value.ts'
import { KeepingConsumer, publishedTo, queueDeclaration, TestCore } from '../../support/sessions.ts'
import { turnsRun } from '../../support/sockets.ts'
import { NotingPublisher } from '../../support/store.ts'

interface Bench {
  readonly session: Session
  readonly queue: Queue
  readonly publisher: NotingPublisher
  /** Publishes messages with these bodies, a character each; upper case ones are persistent. */
  readonly publish: (bodies: string) => void
  readonly consume: (credit?: number, noAck?: boolean) => KeepingConsumer
}

function bench(autoDelete = false): Bench {
  const session = new TestCore().session()
  const queue = session.declareQueue(queueDeclaration('q', { durable: true, autoDelete }))
  const publisher = new NotingPublisher()
  let sequence = 0
  return {
    session,
    queue,
    publisher,
    publish(bodies) {
      for (const body of bodies) session.publish(publishedTo('', 'q', body, body < 'a'), publisher, ++sequence)
    },
    consume(credit, noAck) {
      const consumer = new KeepingConsumer(credit, noAck)
      session.consume(queue, consumer, false, NO_ARGUMENTS)
      queue.serve()
      return consumer
    },
  }
}

function bodyOf({ body, bodyStart, bodyEnd }: Message): string {
  return body.toString('latin1', bodyStart, bodyEnd)
}

function bodiesOf(entries: readonly Entry[]): string {
  return entries.map(({ message }) => bodyOf(message)).join('')
}

/** Gets as many messages as there are. */
function drain(queue: Queue): string {
  const entries: Entry[] = []
  for (let entry = queue.get(true); entry; entry = queue.get(true)) entries.push(entry)
  return bodiesOf(entries)
}

describe('a queue', () => {
  it('delivers at once to who is ready, and keeps what nobody takes', () => {
    const { queue, publish, consume } = bench()
    const consumer = consume(2)
    publish('abcd')
    expect(bodiesOf(consumer.entries)).toBe('ab')
    expect([queue.readyCount, queue.readyBytes, queue.unackedCount, queue.deliveredTotal]).toEqual([2, 2, 2, 2])
  })

  it('does not let a message overtake those that wait', () => {
    const { queue, publish, consume } = bench()
    publish('ab')
    const consumer = consume(1)
    consumer.credit = 1
    publish('c')
    expect([bodiesOf(consumer.entries), drain(queue)]).toEqual(['a', 'bc'])
  })

  it('puts back what is requeued where it was, marked as redelivered', () => {
    const { queue, publish } = bench()
    publish('abcde')
    const entries = Array.from({ length: 4 }, () => queue.get(false)!)
    expect(entries.map(({ redelivered }) => redelivered)).toEqual([false, false, false, false])
    for (const index of [3, 1]) queue.requeue(entries[index]!)
    const again = [queue.get(false)!, queue.get(false)!, queue.get(false)!]
    expect(again.map(({ message, redelivered }) => [bodyOf(message), redelivered])).toEqual([
      ['b', true],
      ['d', true],
      ['e', false],
    ])
  })

  it('settles a message once, whatever is done with it twice', () => {
    const { queue, publish } = bench()
    publish('Ab')
    const [first, second] = [queue.get(false)!, queue.get(false)!]
    for (let times = 0; times < 2; times++) {
      queue.acknowledge(first)
      queue.requeue(first)
      queue.reject(second)
    }
    expect([queue.unackedCount, queue.readyCount]).toEqual([0, 0])
  })

  it('purges what is ready, and leaves alone what is out', () => {
    const { queue, publish } = bench()
    publish('abc')
    const entry = queue.get(false)!
    expect([queue.purge(), queue.readyCount, queue.unackedCount]).toEqual([2, 0, 1])
    queue.requeue(entry)
    expect(drain(queue)).toBe('a')
  })
})

describe('a publisher', () => {
  it('hears at once of a transient message, and of a persistent one when it is safe', async () => {
    const { publisher, publish } = bench()
    publish('aBc')
    expect(publisher.acceptances).toEqual([1, 3])
    await turnsRun()
    expect(publisher.acceptances).toEqual([1, 3, 2])
  })

  it('hears at once of a persistent message that is dealt with before it was written', () => {
    const { queue, publisher, publish, consume } = bench()
    consume(1, true)
    publish('A')
    expect(publisher.acceptances).toEqual([1])
    publish('BC')
    queue.get(true)
    expect(publisher.acceptances).toEqual([1, 2])
    queue.purge()
    expect(publisher.acceptances).toEqual([1, 2, 3])
  })

  it('hears of every message once when the queue is deleted', async () => {
    const { session, publisher, publish } = bench()
    publish('AbC')
    session.deleteQueue('q', false, false)
    await turnsRun()
    expect([publisher.acceptances.length, new Set(publisher.acceptances)]).toEqual([3, new Set([1, 2, 3])])
  })
})

describe('a queue that is deleted', () => {
  it('says how many messages were ready, and tells its consumers', () => {
    const { session, publish, consume } = bench()
    const consumers = [consume(1), consume(0)]
    publish('abc')
    expect(session.deleteQueue('q', false, false)).toBe(2)
    expect(consumers.map(({ cancellations }) => cancellations)).toEqual([['queue-deleted'], ['queue-deleted']])
  })

  it('delivers nothing any more, and may have what was out acknowledged or given back', () => {
    const { session, queue, publish, consume } = bench()
    const consumer = consume(2)
    publish('Abcd')
    session.deleteQueue('q', false, false)
    consumer.credit = 10
    queue.acknowledge(consumer.entries[0]!)
    queue.requeue(consumer.entries[1]!)
    queue.serve()
    expect([consumer.entries.length, queue.unackedCount, queue.consumerCount]).toEqual([2, 0, 0])
  })

  it('is not the queue that is declared under its name afterwards', () => {
    const { session, queue, publish } = bench()
    publish('A')
    const entry = queue.get(false)!
    session.deleteQueue('q', false, false)
    const again = session.declareQueue(queueDeclaration('q', { durable: true }))
    queue.requeue(entry)
    expect([again.readyCount, again.deliveredTotal, again.log!.id === queue.log!.id]).toEqual([0, 0, false])
  })
})

describe('an auto-delete queue', () => {
  it('goes with its last consumer, and not before it had one', () => {
    const { session, queue, publish } = bench(true)
    publish('a')
    expect(session.vhost.queues.has('q')).toBe(true)
    const subscriptions = [1, 2].map(() => session.consume(queue, new KeepingConsumer(), false, NO_ARGUMENTS))
    queue.unsubscribe(subscriptions[0]!)
    expect(session.vhost.queues.has('q')).toBe(true)
    queue.unsubscribe(subscriptions[1]!)
    expect([session.vhost.queues.has('q'), queue.deleted]).toEqual([false, true])
  })
})
