// What a crash leaves of deliveries: whatever was on disk when it was handed out says so when it comes back.
import { describe, expect, it } from 'vitest'
import { DELIVERED_AHEAD_MIN } from '../../../src/store/level/tuning.ts'
import { DurableCore, textOf } from '../../support/durable-core.ts'
import { publishedTo } from '../../support/sessions.ts'
import { turnsRun } from '../../support/sockets.ts'
import { diskError } from '../../support/faulty-database.ts'

async function start(count: number): Promise<DurableCore> {
  const core = await DurableCore.start()
  core.declare('q')
  for (let i = 0; i < count; i++) publish(core, `m${i}`)
  await core.written()
  core.database.holding = true
  return core
}

function publish(core: DurableCore, body: string): void {
  core.session.publish(publishedTo('', 'q', body, true), null, 0)
}

/** What is found after a power cut: the bodies, marked with a star where they were delivered before. */
async function found(core: DurableCore): Promise<string[]> {
  const after = await core.afterPowerCut()
  const consumer = after.consume(after.queue('q'))
  for (let left = after.queue('q').readyCount; left > 0; left = after.queue('q').readyCount) await turnsRun()
  return consumer.entries.map(({ message, redelivered }) => textOf(message) + (redelivered ? '*' : ''))
}

describe('a message that is on disk', () => {
  it.each([false, true])('is delivered when the disk knows that it is, and not before (no-ack: %s)', async (noAck) => {
    const core = await start(3)
    const consumer = core.consume(core.queue('q'), 2, noAck)
    await turnsRun()
    expect([consumer.entries.length, core.database.held]).toEqual([0, 1])
    expect(await found(core)).toEqual(['m0', 'm1', 'm2'])
    core.database.release()
    await turnsRun()
    expect(consumer.entries.length).toBe(2)
    const [first, second] = await found(core)
    expect([first, second]).toEqual(['m0*', 'm1*'])
  })

  it('is got by basic.get in the same way', async () => {
    const core = await start(2)
    const queue = core.queue('q')
    expect([queue.get(false), queue.gettable]).toEqual([undefined, false])
    const got = queue.getSoon(false)
    await turnsRun()
    core.database.release()
    expect(textOf((await got)!.message)).toBe('m0')
    // The next ones are marked already.
    expect(textOf(queue.get(false)!.message)).toBe('m1')
  })

  it('is marked ahead of time while others are delivered, so that nobody waits', async () => {
    const core = await start(2 * DELIVERED_AHEAD_MIN)
    const queue = core.queue('q')
    const first = queue.getSoon(false)
    await turnsRun()
    core.database.release()
    await first
    core.database.holding = false
    for (let taken = 1; taken < 2 * DELIVERED_AHEAD_MIN; taken++) {
      queue.acknowledge(queue.get(false)!)
      await turnsRun()
    }
    expect(queue.readyCount).toBe(0)
  })

  it('is marked further and further ahead where somebody had to wait', async () => {
    const core = await start(16 * DELIVERED_AHEAD_MIN)
    const consumer = core.consume(core.queue('q'), Infinity, true)
    let batches = 0
    for (; consumer.entries.length < 16 * DELIVERED_AHEAD_MIN; batches++) {
      while (core.database.held === 0) await turnsRun()
      core.database.release()
      await turnsRun()
    }
    // 1, 2, 4 and 8 times as far, and one more for the first message.
    expect(batches).toBeLessThanOrEqual(6)
  })

  it('is delivered also while the disk takes nothing', async () => {
    const core = await start(2)
    const consumer = core.consume(core.queue('q'))
    core.database.holding = false
    core.database.failures = [diskError()]
    await turnsRun()
    await turnsRun()
    expect(consumer.entries.length).toBe(2)
  })
})

describe('a message that waits for its batch', () => {
  it('is delivered at once, and its batch tells', async () => {
    const core = await start(0)
    const consumer = core.consume(core.queue('q'))
    publish(core, 'm')
    expect(consumer.entries.length).toBe(1)
    await turnsRun()
    expect(await found(core)).toEqual([])
    core.database.release()
    expect(await found(core)).toEqual(['m*'])
  })

  it('is delivered while the batch is in flight only if that batch tells', async () => {
    const core = await start(0)
    const consumer = core.consume(core.queue('q'), 1)
    for (const body of ['a', 'b']) publish(core, body)
    await turnsRun()
    // The batch has both, and a mark that is ahead.
    expect([consumer.entries.length, textOf(core.queue('q').get(false)!.message)]).toEqual([1, 'b'])
    core.database.release()
    expect(await found(core)).toEqual(['a*', 'b*'])

    const other = await start(0)
    publish(other, 'c')
    await turnsRun()
    const late = other.consume(other.queue('q'), 1)
    expect(late.entries.length).toBe(0)
    other.database.release()
    await turnsRun()
    expect([late.entries.length, await found(other)]).toEqual([0, ['c']])
    other.database.release()
    await turnsRun()
    expect([late.entries.length, await found(other)]).toEqual([1, ['c*']])
  })
})
