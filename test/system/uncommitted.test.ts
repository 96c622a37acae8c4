// Publishers in transactions while memory is short: they are not read, so what they have not committed must not be what
// memory is short of. Memory is as full as the test says.
import { expect, it } from 'vitest'
import type { RawChannel } from '../support/raw-client.ts'
import { ShortMemory } from '../support/short-memory.ts'

/** So that all may have 200 kB that wait for tx.commit before somebody is stopped, and 400 kB at the most. */
const LIMIT = 1_000_000
const BODY_BYTES = 10_000
const TOO_MUCH = 'PRECONDITION_FAILED - messages of all clients that wait for tx.commit take too much memory'

const broker = new ShortMemory(LIMIT)

/** Publishes in a transaction, and returns whether the broker has taken it, or else that it was rolled back. */
async function published(publisher: RawChannel): Promise<boolean> {
  publisher.publish({ 'routing-key': 'q' }, Buffer.alloc(BODY_BYTES))
  publisher.send('basic.qos', { 'prefetch-count': 0 })
  const { method, fields } = await publisher.client.nextOn(1)
  if (method === 'basic.qos-ok') return true
  expect([method, fields['reply-code'], fields['reply-text']]).toEqual(['channel.close', 406, TOO_MUCH])
  return false
}

it('cannot take so much together that nobody would ever commit, and commit when memory is there again', async () => {
  const watching = await broker.channel()
  await watching.queue('q')
  const publishers: RawChannel[] = []
  for (let i = 0; i < 4; i++) {
    const publisher = await broker.channel()
    await publisher.call('tx.select')
    publishers.push(publisher)
  }
  // Each in turn, as much as they like.
  const taken = [0, 0, 0, 0]
  const open = new Set([0, 1, 2, 3])
  for (let round = 0; round < 60 && open.size > 1; round++) {
    for (const i of [...open]) {
      if (await published(publishers[i]!)) taken[i]!++
      else open.delete(i)
    }
  }
  // Those that were stopped have rolled back, and made room for the last one.
  expect([open.size, taken.every((count) => count * BODY_BYTES < 0.4 * LIMIT)]).toEqual([1, true])
  const [last] = [...open] as [number]
  const committing = publishers[last]!
  broker.use(LIMIT + 1)
  await committing.client.expect('connection.blocked')
  committing.send('tx.commit')
  const other = await broker.channel()
  await other.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 0 })
  // What waits for it is less than the limit; the rest went to disk.
  const takenBytes = taken[last]! * BODY_BYTES
  expect(takenBytes).toBeLessThan(LIMIT)
  broker.use(takenBytes)
  await committing.client.expect('connection.unblocked')
  await committing.expect('tx.commit-ok')
  await other.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': taken[last]! })
})
