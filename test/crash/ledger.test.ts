// Nothing confirmed is lost, whenever the broker is killed. TEST_CRASH_CYCLES and TEST_CRASH_SEED make the run
// longer, or the same again; test/crash/run-ledger.ts does so by hand.
import { readdir, rm } from 'node:fs/promises'
import { expect, it, onTestFinished } from 'vitest'
import { CrashRun, type CrashRunOptions } from './ledger/crash-run.ts'
import type { LoadChannel } from './ledger/load-client.ts'
import type { Part } from './ledger/part.ts'
import { Patience } from './ledger/patience.ts'
import { Producer } from './ledger/producer.ts'
import { summaryOf } from './ledger/summary.ts'

const cycles = Number(process.env['TEST_CRASH_CYCLES'] ?? 3)
const seed = Number(process.env['TEST_CRASH_SEED'] ?? Date.now() % 2 ** 31)

it(
  `keeps what was confirmed, and nothing that was acknowledged, over ${cycles} ends under load`,
  async () => {
    const { tally } = await expectFaultless({ seed, cycles })
    expect(tally.confirmed).toBeGreaterThan(0)
    expect(tally.acknowledged).toBeGreaterThan(0)
    expect(tally.compared).toBeGreaterThan(0)
  },
  30_000 + cycles * 30_000,
)

it('says 320 to everybody at SIGTERM under load, exits with 0 in time, and has everything afterwards', async () => {
  const { stops, tally } = await expectFaultless({ seed, cycles: 1, stopShare: 1 })
  expect(stops).toBeGreaterThan(0)
  expect(tally.confirmed).toBeGreaterThan(0)
}, 45_000)

it('keeps its books while the broker hardly gets to run', async () => {
  const { starved, tally } = await expectFaultless({ seed, cycles: 1, confirmed: 100, starvedShare: 1 })
  expect(starved).toBe(2)
  expect(tally.compared).toBeGreaterThan(0)
}, 90_000)

it('says of a broker that stands still that it does, and nothing of messages', async () => {
  const run = await runWith(async (_channel, broker) => void process.kill(broker.pid, 'SIGSTOP'), {
    patience: new Patience(10),
  })
  expect(run.faults).toEqual(['silent: the broker did not answer: declarations'])
  expect(run.held).toEqual([])
  expect(await readdir(run.directory)).toContain('data-1')
}, 45_000)

it('says which messages are lost, and what the store holds for them', async () => {
  const run = await runWith(async (channel) => void (await channel.call('queue.purge', { queue: QUEUE })))
  expect(run.tally.faults.lost).toBeGreaterThan(0)
  expect(run.faults[0]).toMatch(/^lost: \d+\.\d+ in proven\.q .*confirmed/)
  expect(run.held.length).toBeGreaterThan(0)
  for (const words of run.held) expect(words).toMatch(/^\d+\.\d+: (nothing|proven\.q at \d+, settled)$/)
}, 45_000)

const QUEUE = 'proven.q'

/** Runs one cycle with a queue that is filled, and does something to the broker when it has been started again. */
async function runWith(
  interfere: (channel: LoadChannel, run: CrashRun) => Promise<void>,
  more: Partial<CrashRunOptions> = {},
): Promise<CrashRun> {
  let starts = 0
  const part: Part = {
    name: 'proven',
    queues: [QUEUE],
    async declare(channel) {
      await channel.call('queue.declare', { queue: QUEUE, durable: true })
      if (++starts === 2) await interfere(channel, run)
    },
    actors: (load) => [new Producer(load, [{ exchange: '', routingKey: QUEUE, queues: [QUEUE] }])],
  }
  const options = { seed: 1, cycles: 1, confirmed: 100, stopShare: 0, starvedShare: 0, ...more }
  const run: CrashRun = new CrashRun({ ...options, parts: [part] })
  await run.run()
  onTestFinished(() => rm(run.directory, { recursive: true }))
  return run
}

async function expectFaultless(options: CrashRunOptions): Promise<CrashRun> {
  const from = performance.now()
  const run = await new CrashRun(options).run()
  expect(run.faults, summaryOf(run, (performance.now() - from) / 1000)).toEqual([])
  return run
}
