// Nothing confirmed is lost, whenever the broker is killed. TEST_CRASH_CYCLES and TEST_CRASH_SEED make the run
// longer, or the same again; test/crash/run-ledger.ts does so by hand.
import { expect, it } from 'vitest'
import { CrashRun, type CrashRunOptions } from './ledger/crash-run.ts'
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

async function expectFaultless(options: CrashRunOptions): Promise<CrashRun> {
  const from = performance.now()
  const run = await new CrashRun(options).run()
  expect(run.faults, summaryOf(run, (performance.now() - from) / 1000)).toEqual([])
  return run
}
