// Nothing confirmed is lost, whenever the broker is killed. LEVERET_CRASH_CYCLES and LEVERET_CRASH_SEED make the run
// longer, or the same again; test/crash/run-ledger.ts does so by hand.
import { expect, it } from 'vitest'
import { CrashRun } from './ledger/crash-run.ts'
import { summaryOf } from './ledger/summary.ts'

const cycles = Number(process.env['LEVERET_CRASH_CYCLES'] ?? 3)
const seed = Number(process.env['LEVERET_CRASH_SEED'] ?? Date.now() % 2 ** 31)

it(
  `keeps what was confirmed, and nothing that was acknowledged, over ${cycles} kills under load`,
  async () => {
    const from = performance.now()
    const run = await new CrashRun({ seed, cycles }).run()
    expect(run.faults, summaryOf(run, (performance.now() - from) / 1000)).toEqual([])
    expect(run.tally.confirmed).toBeGreaterThan(0)
    expect(run.tally.acknowledged).toBeGreaterThan(0)
    expect(run.tally.compared).toBeGreaterThan(0)
  },
  30_000 + cycles * 15_000,
)
