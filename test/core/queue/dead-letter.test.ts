// A message and what becomes of it are one fact on disk: the power goes at the worst moments, and no confirmed one is gone.
import { describe, expect, it } from 'vitest'
import { Message } from '../../../src/core/message.ts'
import type { FieldTable } from '../../../src/core/value.ts'
import { longstr, signedint, table } from '../../support/core.ts'
import { drained, DurableCore, textOf } from '../../support/durable-core.ts'
import { bindingTerms, type KeepingConsumer, publishedTo } from '../../support/sessions.ts'
import { turnsRun } from '../../support/sockets.ts'
import { diskError } from '../../support/faulty-database.ts'
import { NotingPublisher } from '../../support/store.ts'
import { Kind } from '../../../src/store/level/keys.ts'

const BURIED = { 'x-dead-letter-exchange': longstr(''), 'x-dead-letter-routing-key': longstr('dead') }

/** Each way in which a queue gives up its oldest message, of those that wait in it. */
const ENDS: readonly {
  readonly reason: string
  readonly args: FieldTable
  /** Whether somebody has it when it ends. */
  readonly taken: boolean
  readonly end: (core: DurableCore, taker: KeepingConsumer) => void
}[] = [
  {
    reason: 'pushed out',
    args: table({ 'x-max-length': signedint(1), ...BURIED }),
    taken: false,
    end: (core) => void core.session.publish(publishedTo('', 'q', 'next'), null, 0),
  },
  {
    reason: 'expired',
    args: table({ 'x-message-ttl': signedint(1000), ...BURIED }),
    taken: false,
    end: (core) => core.clock.advance(1000),
  },
  {
    reason: 'rejected',
    args: table(BURIED),
    taken: true,
    end: (core, { entries }) => core.queue('q').reject(entries[0]!),
  },
  {
    reason: 'tried too often',
    args: table({ 'x-delivery-limit': signedint(0), ...BURIED }),
    taken: true,
    end: (core, { entries }) => core.queue('q').requeue(entries[0]!, true),
  },
]

interface Bench {
  readonly core: DurableCore
  readonly publisher: NotingPublisher
  readonly taker: KeepingConsumer
  readonly publish: (body: string) => void
}

async function bench(args: FieldTable, taken = false): Promise<Bench> {
  const core = await DurableCore.start()
  core.declare('dead')
  const taker = core.consume(core.declare('q', args), taken ? 1 : 0)
  await core.written()
  core.database.holding = true
  const publisher = new NotingPublisher()
  const publish = (body: string): void => void core.session.publish(publishedTo('', 'q', body, true), publisher, 1)
  return { core, publisher, taker, publish }
}

/** Where a message is after a power cut: the queues that have it. */
async function whereabouts(core: DurableCore, body: string, queues: readonly string[] = ['q', 'dead']) {
  const after = await core.afterPowerCut()
  const found: string[] = []
  for (const queue of queues) for (const text of await drained(after, queue)) if (text === body) found.push(queue)
  return found
}

describe.each(ENDS)('a message that is $reason', ({ args, taken, end }) => {
  it('before its batch has started is confirmed when its dead letter is on disk, and not before', async () => {
    const { core, publisher, taker, publish } = await bench(args, taken)
    publish('m')
    end(core, taker)
    await turnsRun()
    expect([publisher.acceptances, core.database.held]).toEqual([[], 1])
    core.database.release()
    await turnsRun()
    expect(publisher.acceptances).toEqual([1])
    expect(await whereabouts(core, 'm')).toEqual(['dead'])
  })

  it('while its batch is in flight is confirmed with that batch, which has it where it was', async () => {
    const { core, publisher, taker, publish } = await bench(args, taken)
    publish('m')
    await turnsRun()
    end(core, taker)
    core.database.release()
    await turnsRun()
    expect(publisher.acceptances).toEqual([1])
    expect(await whereabouts(core, 'm')).toEqual(['q'])
    core.database.release()
    expect(await whereabouts(core, 'm')).toEqual(['dead'])
  })

  it('when it is on disk leaves its queue and reaches the other in one batch', async () => {
    const { core, taker, publish } = await bench(args, taken)
    publish('m')
    await turnsRun()
    core.database.release()
    await turnsRun()
    end(core, taker)
    await turnsRun()
    expect(await whereabouts(core, 'm')).toEqual(['q'])
    core.database.release()
    expect(await whereabouts(core, 'm')).toEqual(['dead'])
  })
})

describe('a dead letter', () => {
  it('for several queues, one of priorities and one for later among them, is one batch with its message', async () => {
    const core = await DurableCore.start()
    const delayed = { type: 'x-delayed-message', durable: true, autoDelete: false, internal: false }
    core.session.declareExchange({ ...delayed, name: 'x', arguments: table({ 'x-delayed-type': longstr('fanout') }) })
    core.declare('first')
    core.declare('second', table({ 'x-max-priority': signedint(9) }))
    core.declare('q', table({ 'x-dead-letter-exchange': longstr('x') }))
    for (const queue of ['first', 'second']) core.session.bind(bindingTerms('x', queue))
    await core.written()
    core.database.holding = true
    const publisher = new NotingPublisher()
    const facts = { persistent: true, priority: 7, expirationMs: -1, headers: false }
    const bytes = Buffer.from('m')
    core.session.publish(new Message('', 'q', facts, Buffer.alloc(2), 0, 2, bytes, 0, 1, true), publisher, 1)
    core.queue('q').reject(core.queue('q').get(false)!)
    await turnsRun()
    expect(publisher.acceptances).toEqual([])
    expect(await whereabouts(core, 'm', ['q', 'first', 'second'])).toEqual([])
    core.database.release()
    await turnsRun()
    expect(publisher.acceptances).toEqual([1])
    expect(await whereabouts(core, 'm', ['q', 'first', 'second'])).toEqual(['first', 'second'])
  })

  it('that nobody takes has its message confirmed all the same', async () => {
    const { core, publisher, publish } = await bench(table({ 'x-dead-letter-exchange': longstr('nowhere') }))
    publish('m')
    core.queue('q').reject(core.queue('q').get(false)!)
    await turnsRun()
    expect(publisher.acceptances).toEqual([1])
    expect(await whereabouts(core, 'm')).toEqual([])
  })

  it('that dies again on its way, through a chain of queues and back, is still one batch with its message', async () => {
    const core = await DurableCore.start()
    const next = (key: string): FieldTable =>
      table({
        'x-dead-letter-exchange': longstr(''),
        'x-dead-letter-routing-key': longstr(key),
        'x-max-length': signedint(0),
      })
    core.declare('q', next('b'))
    core.declare('b', next('c'))
    core.declare('c', table({ 'x-dead-letter-exchange': longstr(''), 'x-dead-letter-routing-key': longstr('q') }))
    await core.written()
    core.database.holding = true
    const publisher = new NotingPublisher()
    core.session.publish(publishedTo('', 'q', 'm', true), publisher, 1)
    await turnsRun()
    expect(publisher.acceptances).toEqual([])
    core.database.release()
    await turnsRun()
    expect(publisher.acceptances).toEqual([1])
    expect(await whereabouts(core, 'm', ['q', 'b', 'c'])).toEqual(['c'])
    // It is rejected, and goes back to where it came from, which has no room for it: and round again.
    const got = core.queue('c').getSoon(false)
    await turnsRun()
    core.database.release()
    const entry = (await got)!
    expect(textOf(entry.message)).toBe('m')
    core.queue('c').reject(entry)
    await turnsRun()
    expect(await whereabouts(core, 'm', ['q', 'b', 'c'])).toEqual(['c'])
    core.database.release()
    expect(await whereabouts(core, 'm', ['q', 'b', 'c'])).toEqual(['c'])
  })
})

it('a message without a dead letter is confirmed as soon as it is given up', async () => {
  const { core, publisher, publish } = await bench(table({ 'x-max-length': signedint(1) }))
  publish('m')
  publish('n')
  expect(publisher.acceptances).toEqual([1])
  core.database.abandon()
})

describe('dead letters at least once', () => {
  const SURELY = {
    ...BURIED,
    'x-dead-letter-strategy': longstr('at-least-once'),
    'x-overflow': longstr('reject-publish'),
    'x-message-ttl': signedint(1000),
  }
  const FULL = { 'x-max-length': signedint(1), 'x-overflow': longstr('reject-publish') }

  /** A persistent message with an expiration of its own. */
  function mortalTo(queue: string, text: string, expirationMs: number): Message {
    const { properties, propertiesEnd, body, bodyStart, bodyEnd } = publishedTo('', queue, text, true)
    const facts = { persistent: true, priority: -1, expirationMs, headers: false }
    return new Message('', queue, facts, properties, 0, propertiesEnd, body, bodyStart, bodyEnd, false)
  }

  async function dying(target: FieldTable | null): Promise<DurableCore> {
    const core = await DurableCore.start()
    if (target !== null) core.declare('dead', target)
    core.declare('q', table({ ...SURELY, 'x-max-length': signedint(2) }))
    core.session.publish(publishedTo('', 'q', 'm', true), null, 0)
    core.clock.advance(1000)
    return core
  }

  it('are kept while the target is full, and go there when it is not', async () => {
    const core = await DurableCore.start()
    core.declare('dead', table(FULL))
    core.declare('q', table(SURELY))
    core.session.publish(publishedTo('', 'dead', 'in the way', true), null, 0)
    core.session.publish(publishedTo('', 'q', 'm', true), null, 0)
    core.clock.advance(1000)
    await core.written()
    expect(core.queue('q')).toMatchObject({ readyCount: 0, dyingCount: 1 })
    core.clock.advance(10_000)
    expect(core.queue('q')).toMatchObject({ readyCount: 0, dyingCount: 1 })
    expect(await drained(core, 'dead')).toEqual(['in the way'])
    core.clock.advance(1000)
    expect(core.queue('q').dyingCount).toBe(0)
    expect(core.queue('dead').deliveredTotal).toBe(2)
  })

  it('are kept while there is no exchange or queue for them', async () => {
    const core = await dying(null)
    expect(core.queue('q').dyingCount).toBe(1)
    core.declare('dead')
    core.clock.advance(1000)
    expect([core.queue('q').dyingCount, core.queue('dead').readyCount]).toEqual([0, 1])
    await core.written()
  })

  it('go to all targets or to none, so that no target has them twice', async () => {
    const core = await DurableCore.start()
    core.declare('dead')
    core.declare('full', table({ ...FULL, 'x-max-length': signedint(0) }))
    const args = { ...SURELY, 'x-dead-letter-exchange': longstr('amq.fanout') }
    core.declare('q', table(args))
    for (const queue of ['dead', 'full']) core.session.bind(bindingTerms('amq.fanout', queue))
    core.session.publish(publishedTo('', 'q', 'm', true), null, 0)
    core.clock.advance(5000)
    expect([core.queue('q').dyingCount, core.queue('dead').readyCount]).toEqual([1, 0])
    core.session.deleteQueue('full', false, false)
    core.clock.advance(1000)
    expect([core.queue('q').dyingCount, core.queue('dead').readyCount]).toEqual([0, 1])
    await core.written()
  })

  it('count for the length of the queue until they are taken', async () => {
    const core = await dying(null)
    const publisher = new NotingPublisher()
    core.session.publish(publishedTo('', 'q', 'second', true), publisher, 1)
    core.session.publish(publishedTo('', 'q', 'third', true), publisher, 2)
    await core.written()
    expect([publisher.acceptances, publisher.refusals]).toEqual([[1], [2]])
  })

  it('are no longer read with those around them, and die once', async () => {
    const before = await DurableCore.start()
    before.declare('q', table({ ...SURELY, 'x-message-ttl': signedint(5000) }))
    before.session.publish(publishedTo('', 'q', 'first', true), null, 0)
    before.session.publish(mortalTo('q', 'm', 1000), null, 0)
    before.session.publish(publishedTo('', 'q', 'last', true), null, 0)
    await before.written()
    // From here on they are on disk only.
    const core = await before.afterPowerCut()
    core.clock.advance(1000)
    for (let turns = 0; turns < 100 && core.queue('q').dyingCount === 0; turns++) await turnsRun()
    expect(core.queue('q')).toMatchObject({ readyCount: 2, dyingCount: 1 })
    expect(await drained(core, 'q')).toEqual(['first', 'last'])
    expect(core.queue('q')).toMatchObject({ readyCount: 0, readyBytes: 0, dyingCount: 1 })
    core.declare('dead')
    core.clock.advance(1000)
    await core.written()
    expect(core.queue('q').dyingCount).toBe(0)
    expect(await drained(core, 'dead')).toEqual(['m'])
    const after = await core.afterPowerCut()
    expect(after.queue('q').readyCount).toBe(0)
  })

  it('are there again after a power cut, and die again', async () => {
    const core = await dying(null)
    await core.written()
    const after = await core.afterPowerCut()
    after.declare('dead')
    after.clock.advance(1000)
    await after.written()
    for (let turns = 0; turns < 100 && after.queue('dead').readyCount === 0; turns++) await turnsRun()
    expect(await drained(after, 'dead')).toEqual(['m'])
    expect(after.queue('q')).toMatchObject({ readyCount: 0, dyingCount: 0 })
  })

  it('that expired on disk do not come back with what is read there', async () => {
    const core = await DurableCore.start()
    core.declare('q', table({ ...SURELY, 'x-message-ttl': signedint(1_000_000) }))
    const bodies = Array.from({ length: 60 }, (_each, i) => String(i).padEnd(200_000))
    for (const [i, body] of bodies.entries()) {
      const message = i % 2 === 0 ? mortalTo('q', body, 1000) : publishedTo('', 'q', body, true)
      core.session.publish(message, null, 0)
      await core.written()
    }
    expect(core.queue('q').residentBytes).toBeLessThan(40 * 200_000)
    core.clock.advance(1000)
    for (let turns = 0; turns < 1000 && core.queue('q').dyingCount < 30; turns++) {
      core.clock.advance(1000)
      await turnsRun()
    }
    expect(core.queue('q')).toMatchObject({ readyCount: 30, dyingCount: 30 })
    const odd = (text: string): boolean => Number(text) % 2 === 1
    const numbers = (texts: readonly string[]): number[] => texts.map(Number).toSorted((a, b) => a - b)
    expect((await drained(core, 'q')).map(Number)).toEqual(bodies.filter(odd).map(Number))
    expect(core.queue('q')).toMatchObject({ readyCount: 0, dyingCount: 30 })
    core.declare('dead')
    for (let turns = 0; turns < 1000 && core.queue('q').dyingCount > 0; turns++) {
      core.clock.advance(turns === 0 ? 1000 : 1)
      await turnsRun()
    }
    expect(numbers(await drained(core, 'dead'))).toEqual(numbers(bodies.filter((body) => !odd(body))))
  })

  describe.each([
    { kind: 'persistent', persistent: true, most: 3_300_000 },
    { kind: 'transient', persistent: false, most: 6_000_000 },
  ])('that are many and $kind', ({ persistent, most }) => {
    const COUNT = 10_000

    /** A queue of messages of 1 KiB, all of which have died for nobody. */
    async function crowd(): Promise<DurableCore> {
      const core = await DurableCore.start()
      core.declare('q', table(SURELY))
      for (let i = 0; i < COUNT; i++) {
        core.session.publish(publishedTo('', 'q', String(i).padEnd(1024), persistent), null, 0)
        if (i % 1000 === 999) await core.written()
      }
      core.clock.advance(1000)
      const died = (): boolean => core.queue('q').dyingCount === COUNT
      for (let turns = 0; turns < 10_000 && !died(); turns++) await pass(core, 1)
      expect(core.queue('q')).toMatchObject({ readyCount: 0, dyingCount: COUNT })
      return core
    }

    async function pass(core: DurableCore, milliseconds: number): Promise<void> {
      core.clock.advance(milliseconds)
      await turnsRun()
    }

    it('take little memory, however long they wait, and go when their target is there, each once', async () => {
      const core = await crowd()
      for (let seconds = 0; seconds < 20; seconds++) {
        for (let turns = 0; turns < 5; turns++) await pass(core, 200)
        expect(core.queue('q').dyingCount).toBe(COUNT)
      }
      expect(core.queue('q').residentBytes).toBeLessThan(most)
      expect(core.broker.residentBudget.storedBytes + core.broker.residentBudget.transientBytes).toBeLessThan(most)
      core.declare('dead')
      // As fast as the disk: far less than the time that one try after another would take.
      await pass(core, 1000)
      for (let turns = 0; turns < 5000 && core.queue('q').dyingCount > 0; turns++) await pass(core, 1)
      expect([core.queue('q').dyingCount, core.queue('dead').readyCount]).toEqual([0, COUNT])
      const numbers = (await drained(core, 'dead')).map(Number).toSorted((a, b) => a - b)
      expect(numbers).toEqual(Array.from({ length: COUNT }, (_each, i) => i))
      for (let turns = 0; turns < 200; turns++) await turnsRun()
      expect(core.disk.keys(Kind.fragment)).toEqual([])
    })

    it('leave nothing behind when their queue is deleted', async () => {
      const core = await crowd()
      core.session.deleteQueue('q', false, false)
      for (let turns = 0; turns < 200; turns++) await turnsRun()
      expect([core.disk.keys(Kind.fragment), core.disk.keys(Kind.index)]).toEqual([[], []])
      expect([core.broker.residentBudget.storedBytes, core.broker.residentBudget.transientBytes]).toEqual([0, 0])
    })
  })

  it('that are many are nowhere twice and nowhere lost, whenever the power goes while they move', async () => {
    const COUNT = 6000
    const core = await DurableCore.start()
    core.declare('q', table(SURELY))
    for (let i = 0; i < COUNT; i++) core.session.publish(publishedTo('', 'q', String(i).padEnd(1024), true), null, 0)
    await core.written()
    core.clock.advance(1000)
    for (let turns = 0; turns < 1000; turns++) await turnsRun()
    core.declare('dead')
    await core.written()
    const counts: number[] = []
    for (let cuts = 0; cuts < 8; cuts++) {
      const after = await core.afterPowerCut()
      const texts = [...(await drained(after, 'q')), ...(await drained(after, 'dead'))]
      expect(new Set(texts.map(Number)).size).toBe(COUNT)
      expect(texts).toHaveLength(COUNT)
      counts.push(core.queue('q').dyingCount)
      core.clock.advance(cuts === 0 ? 1000 : 1)
      for (let turns = 0; turns < 3; turns++) await turnsRun()
    }
    // It was cut in the middle of it.
    expect(counts.filter((count) => count > 0 && count < COUNT).length).toBeGreaterThan(1)
  })

  it('that the disk does not give are tried again when it does, and nobody else waits for them', async () => {
    const core = await DurableCore.start()
    core.declare('q', table(SURELY))
    const COUNT = 4000
    for (let i = 0; i < COUNT; i++) {
      core.session.publish(publishedTo('', 'q', String(i).padEnd(1024), true), null, 0)
      if (i % 1000 === 999) await core.written()
    }
    core.clock.advance(1000)
    const pass = async (milliseconds: number): Promise<void> => {
      core.clock.advance(milliseconds)
      for (let turns = 0; turns < 5; turns++) await turnsRun()
    }
    for (let turns = 0; turns < 20; turns++) await pass(1000)
    expect(core.queue('q').dyingCount).toBe(COUNT)
    expect(core.queue('q').residentBytes).toBeLessThan(3_000_000)
    core.database.readFailures = Array.from({ length: 40 }, () => diskError('IO error: a bad sector'))
    for (let turns = 0; turns < 10; turns++) await pass(1000)
    expect(core.database.readFailures.length).toBeLessThan(30)
    expect(core.queue('q').dyingCount).toBe(COUNT)
    core.declare('dead')
    for (let turns = 0; turns < 200 && core.queue('q').dyingCount > 0; turns++) await pass(1000)
    expect([core.queue('q').dyingCount, core.queue('dead').readyCount]).toEqual([0, COUNT])
    await core.written()
  })

  it('need reject-publish: without it they are lost where nobody takes them, as in RabbitMQ', async () => {
    const core = await DurableCore.start()
    core.declare('q', table({ ...SURELY, 'x-overflow': longstr('drop-head') }))
    core.session.publish(publishedTo('', 'q', 'm', true), null, 0)
    core.clock.advance(1000)
    expect(core.queue('q')).toMatchObject({ readyCount: 0, dyingCount: 0 })
    await core.written()
  })
})

it('a message that is acknowledged in a transaction before its batch has started is confirmed with that batch', async () => {
  const { core, publisher, taker, publish } = await bench(table({}), true)
  publish('m')
  core.queue('q').acknowledgeInTransaction(taker.entries[0]!)
  core.session.publish(publishedTo('', 'dead', 'what came of it', true), null, 0)
  await turnsRun()
  expect([publisher.acceptances, core.database.held]).toEqual([[], 1])
  core.database.release()
  await turnsRun()
  expect(publisher.acceptances).toEqual([1])
  expect(await whereabouts(core, 'what came of it')).toEqual(['dead'])
})

describe('a page that is being read when the broker stops', () => {
  async function restarted(): Promise<DurableCore> {
    const core = await DurableCore.start()
    core.declare('dead')
    core.declare('q', table({ 'x-message-ttl': signedint(1000), ...BURIED }))
    core.session.publish(publishedTo('', 'q', 'm', true), null, 0)
    await core.written()
    return core.afterPowerCut()
  }

  it.each([
    [
      'a consumer',
      (core: DurableCore) => {
        core.consume(core.queue('q'))
        core.broker.stop()
        core.clock.advance(1000)
      },
    ],
    [
      'what has expired in it',
      (core: DurableCore) => {
        core.clock.advance(1000)
        core.broker.stop()
      },
    ],
  ])('for %s gives up nothing any more: its end would be in no batch', async (_whom, stop) => {
    const core = await restarted()
    stop(core)
    await turnsRun()
    await turnsRun()
    expect(core.queue('dead').readyCount).toBe(0)
    await core.store.close()
    const again = await DurableCore.start(core.disk, core.clock)
    again.clock.advance(1)
    await again.written()
    await turnsRun()
    expect([again.queue('q').readyCount, again.queue('dead').readyCount]).toEqual([0, 1])
  })
})

describe('a consumer that waits for the disk to know of its delivery when the broker stops', () => {
  it('has nothing given up any more: its end would be in no batch', async () => {
    const core = await DurableCore.start()
    core.declare('dead')
    core.declare('q', table({ 'x-message-ttl': signedint(1000), ...BURIED }))
    core.session.publish(publishedTo('', 'q', 'm', true), null, 0)
    await core.written()
    core.database.holding = true
    core.consume(core.queue('q'))
    await turnsRun()
    expect(core.database.held).toBe(1)
    core.broker.stop()
    core.clock.advance(1000)
    core.database.release()
    await turnsRun()
    expect([core.queue('q').readyCount, core.queue('dead').readyCount]).toEqual([1, 0])
  })
})
