// When a publisher is held back, and for how long. A queue is overrun from 1,000 bytes on.
import { describe, expect, it, vi } from 'vitest'
import { Pace, type Throttle } from '../../src/core/pace.ts'
import { PACE_DELIVERIES_MIN, STORE_PENDING_BYTES_MAX } from '../../src/core/limits.ts'
import type { Store } from '../../src/core/ports.ts'
import type { Queue } from '../../src/core/queue/queue.ts'
import type { Session } from '../../src/core/session.ts'
import { NO_ARGUMENTS } from '../../src/core/value.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { KeepingConsumer, publishedTo, queueDeclaration, TestCore } from '../support/sessions.ts'

vi.mock('../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  ENTRY_OVERHEAD_BYTES: 0,
  QUEUE_OVERRUN_BYTES: 1000,
  OVERRUN_HOLD_MS_MAX: 50,
}))

class Input implements Throttle {
  holds = 0

  hold(): void {
    this.holds++
  }

  release(): void {
    this.holds--
  }
}

/** A store in which something waits or does not, and whose writes take until the test says so. */
class SlowStore implements Pick<Store, 'pendingBytes' | 'whenDurable'> {
  pendingBytes = 0
  #waiters: (() => void)[] = []

  whenDurable(callback: () => void): void {
    this.#waiters.push(callback)
  }

  written(): void {
    this.pendingBytes = 0
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) waiter()
  }
}

interface Bench {
  readonly pace: Pace
  readonly input: Input
  readonly store: SlowStore
  readonly clock: ManualClock
  readonly session: Session
  readonly queue: Queue
  readonly consumer: KeepingConsumer
}

/** A queue with so many messages of 100 bytes, and a consumer that takes none of them yet. */
function bench(messages: number, persistent = false): Bench {
  const session = new TestCore().session()
  const queue = session.declareQueue(queueDeclaration('q', { durable: true }))
  const consumer = new KeepingConsumer(0)
  session.consume(queue, consumer, false, NO_ARGUMENTS)
  for (let i = 0; i < messages; i++) session.publish(publishedTo('', 'q', 'b'.repeat(100), persistent), null, 0)
  const [clock, store] = [new ManualClock(), new SlowStore()]
  return {
    pace: new Pace(clock, store as unknown as Store),
    input: new Input(),
    store,
    clock,
    session,
    queue,
    consumer,
  }
}

/** The consumer takes so many messages. */
function take({ queue, consumer }: Bench, messages: number): void {
  consumer.credit = messages
  const entries = consumer.entries.splice(0)
  for (const entry of entries) queue.acknowledge(entry)
  for (let i = 0; i < messages; i++) queue.get(true)
}

describe('a publisher', () => {
  it('is not held back without a reason', () => {
    const { pace, input } = bench(5)
    pace.after(input, null)
    expect(input.holds).toBe(0)
  })

  it('is told which queue it has overrun, once', () => {
    const { session, queue } = bench(11)
    expect([queue.overrun, session.takeOverrun(), session.takeOverrun()]).toEqual([true, queue, null])
    expect(bench(10).session.takeOverrun()).toBeNull()
  })

  it('has overrun no queue whose messages are on disk, or that nobody consumes', () => {
    expect(bench(50, true).session.takeOverrun()).toBeNull()
    const idle = bench(0).session
    idle.declareQueue(queueDeclaration('idle'))
    for (let i = 0; i < 50; i++) idle.publish(publishedTo('', 'idle', 'b'.repeat(100)), null, 0)
    expect(idle.takeOverrun()).toBeNull()
  })

  it.each([
    [15, 2],
    [20, 2],
    [30, 5],
    [60, 18],
  ])('that has overrun a queue with %i messages is held back for %i ms', (messages, holdMs) => {
    const made = bench(messages)
    made.pace.after(made.input, made.queue)
    take(made, PACE_DELIVERIES_MIN)
    made.clock.advance(holdMs - 1)
    expect(made.input.holds).toBe(1)
    made.clock.advance(1)
    expect(made.input.holds).toBe(0)
  })

  it('is held back for no longer than its limit', () => {
    const made = bench(2000)
    made.pace.after(made.input, made.queue)
    made.clock.advance(49)
    expect(made.input.holds).toBe(1)
    made.clock.advance(1)
    expect(made.input.holds).toBe(0)
  })

  it('is not held back again for consumers that took little meanwhile, until one of them wants more', () => {
    const made = bench(1000)
    made.pace.after(made.input, made.queue)
    take(made, PACE_DELIVERIES_MIN * 50 - 1)
    made.clock.advance(50)
    expect(made.queue.keepsUp).toBe(false)
    made.pace.after(made.input, made.queue)
    expect(made.input.holds).toBe(0)
    made.queue.resume(made.session.consume(made.queue, made.consumer, false, NO_ARGUMENTS))
    expect(made.queue.keepsUp).toBe(true)
    made.pace.after(made.input, made.queue)
    expect(made.input.holds).toBe(1)
  })

  it('is held back again for consumers that took much', () => {
    const made = bench(1000)
    made.pace.after(made.input, made.queue)
    take(made, PACE_DELIVERIES_MIN * 50)
    made.clock.advance(50)
    expect(made.queue.keepsUp).toBe(true)
    made.pace.after(made.input, made.queue)
    expect(made.input.holds).toBe(1)
  })

  it('is held back while too much waits to be written, until that is on disk, whatever the time', () => {
    const { pace, input, store, clock } = bench(0)
    store.pendingBytes = STORE_PENDING_BYTES_MAX + 1
    pace.after(input, null)
    clock.advance(1_000_000)
    expect(input.holds).toBe(1)
    store.written()
    expect(input.holds).toBe(0)
  })

  it('is not held back by what waits within the limit', () => {
    const { pace, input, store } = bench(0)
    store.pendingBytes = STORE_PENDING_BYTES_MAX
    pace.after(input, null)
    expect(input.holds).toBe(0)
  })
})
