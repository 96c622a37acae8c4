import { describe, expect, it } from 'vitest'
import { Delays } from '../../../src/core/exchange/delays.ts'
import { NO_KEYS } from '../../../src/core/message.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/log.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { MemoryStore } from '../../../src/store/memory/memory-store.ts'
import { messageOf } from '../../support/core.ts'
import { durable, NotingPublisher } from '../../support/store.ts'

const DAY = 24 * 60 * 60 * 1000

function delays(): { delays: Delays; clock: ManualClock; store: MemoryStore; released: string[] } {
  const clock = new ManualClock()
  const store = new MemoryStore({ turn: new Turn(), clock })
  const released: string[] = []
  const context = { clock, store, logger: silentLogger }
  const open = (stored: (due: number) => void): ReturnType<MemoryStore['delays']> => store.delays(stored)
  const made = new Delays(open, context, ({ message }) => released.push(message.routingKey))
  return { delays: made, clock, store, released }
}

/** Lets what was read be released. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('delays', () => {
  it('may be longer than 32 bits of milliseconds', async () => {
    const { delays: waiting, clock, store, released } = delays()
    waiting.add(messageOf('late'), NO_KEYS, 60 * DAY, null, 0)
    await durable(store)
    for (let day = 1; day < 60; day++) {
      clock.advance(DAY)
      await settled()
    }
    expect(released).toEqual([])
    clock.advance(DAY)
    await settled()
    expect(released).toEqual(['late'])
    expect(waiting.count).toBe(0)
  })

  it('tell the publisher when the message is stored', async () => {
    const { delays: waiting, store } = delays()
    const publisher = new NotingPublisher()
    waiting.add(messageOf('m'), NO_KEYS, 1000, publisher, 7)
    expect(publisher.acceptances).toEqual([])
    await durable(store)
    expect(publisher.acceptances).toEqual([7])
    expect(waiting.count).toBe(1)
  })

  it('release nothing once the broker stops: what was due meanwhile goes on at its next start', async () => {
    const { delays: waiting, clock, store, released } = delays()
    waiting.add(messageOf('due'), NO_KEYS, 0, null, 0)
    waiting.add(messageOf('later'), NO_KEYS, 1000, null, 0)
    waiting.stop()
    await durable(store)
    clock.advance(1000)
    await settled()
    expect(released).toEqual([])
    expect(waiting.count).toBe(2)
  })

  it('release nothing of what is being read when the broker stops', async () => {
    const { delays: waiting, clock, store, released } = delays()
    waiting.add(messageOf('due'), NO_KEYS, 1000, null, 0)
    await durable(store)
    clock.advance(1000)
    waiting.stop()
    await settled()
    expect(released).toEqual([])
    expect(waiting.count).toBe(1)
  })

  it('release nothing once they are dropped', async () => {
    const { delays: waiting, clock, store, released } = delays()
    waiting.add(messageOf('m'), NO_KEYS, 1000, null, 0)
    await durable(store)
    waiting.drop()
    clock.advance(1000)
    await settled()
    expect(released).toEqual([])
  })
})
