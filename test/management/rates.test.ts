// Samples of every counter: taken in slices, and no more history of them than there is room for.
import { expect, it } from 'vitest'
import { SLICE_MS, Slices } from '../../src/lib/slices.ts'
import type { Queue } from '../../src/core/queue/queue.ts'
import { Rates } from '../../src/management/rates.ts'
import { ManualPasses } from '../support/manual-passes.ts'
import { useOpenBroker } from '../support/open-broker.ts'

const open = useOpenBroker()

const SAMPLE_MS = 5000
const HISTORY_MS = 600_000
const SPAN = { ageSeconds: 5, stepSeconds: 5 }

/** Queues that so many messages were published to. */
function queues(count: number, published: number): readonly Queue[] {
  const vhost = open.broker.vhosts.get('/')!
  const session = open.broker.openSession({ name: 'guest', tags: ['administrator'] }, vhost)
  const declaration = { durable: false, exclusive: false, autoDelete: false, arguments: new Map() }
  return Array.from({ length: count }, (_, i) => {
    const queue = session.declareQueue({ ...declaration, name: `queue-${i}` })
    queue.counts.published = published
    return queue
  })
}

async function sampled(rates: Rates, passes: ManualPasses): Promise<number> {
  open.clock.advance(SAMPLE_MS)
  void rates.sample()
  return passes.runAll()
}

it('are taken while others have their turn', async () => {
  queues(1000, 0)
  const looks = 8
  const passes = new ManualPasses(SLICE_MS / looks)
  const rates = new Rates(open.broker, open.clock, new Slices(passes))
  expect(await sampled(rates, passes)).toBeGreaterThanOrEqual(1000 / looks)
})

it('are kept of a thousand that somebody asks for, and of others when these are not asked for any more', async () => {
  const passes = new ManualPasses()
  const rates = new Rates(open.broker, open.clock, new Slices(passes))
  const all = queues(1001, 7)
  const last = all.at(-1)!
  const newest = (queue: Queue): number | undefined => rates.figure(queue, 'published', SPAN)?.samples[0]?.sample
  await sampled(rates, passes)
  expect(all.map(newest)).toEqual([...Array.from({ length: 1000 }, () => 7), 0])
  await sampled(rates, passes)
  expect(newest(last)).toBe(0)
  open.clock.advance(HISTORY_MS)
  await sampled(rates, passes)
  expect(newest(last)).toBe(7)
})

it('tell since when nothing has happened', async () => {
  const passes = new ManualPasses()
  const rates = new Rates(open.broker, open.clock, new Slices(passes))
  const [queue] = queues(1, 0)
  expect(rates.idleSince(queue!)).toBeNull()
  await sampled(rates, passes)
  const first = open.clock.now()
  expect(rates.idleSince(queue!)).toBeNull()
  await sampled(rates, passes)
  await sampled(rates, passes)
  expect(rates.idleSince(queue!)).toBe(first)
  queue!.counts.published++
  await sampled(rates, passes)
  expect(rates.idleSince(queue!)).toBeNull()
  await sampled(rates, passes)
  expect(rates.idleSince(queue!)).toBe(open.clock.now() - SAMPLE_MS)
})
