// Runs the crash test by hand, at any length. Build first.
//   NODE_OPTIONS=--max-semi-space-size=128 node --import tsx test/crash/run-ledger.ts
//       [--cycles 500] [--confirmed 5000000] [--seed N] [--every 10]
// With `--confirmed` each load goes on until its share of so many publishes is confirmed; the large young generation saves
// the client a tenth of its time then. Prints a line after so many cycles and a summary at the end, and exits with 1 if
// anything was wrong: then the data directory is kept, and the summary says what the store in it holds for the messages
// that are missed, or were not expected.
import { parseArgs } from 'node:util'
import { CrashRun } from './ledger/crash-run.ts'
import { summaryOf } from './ledger/summary.ts'

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '25' },
    confirmed: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    every: { type: 'string', default: '10' },
    snapshots: { type: 'boolean', default: false },
  },
})

const from = performance.now()
const elapsed = (): number => (performance.now() - from) / 1000

const run = await new CrashRun({
  seed: Number(values.seed),
  cycles: Number(values.cycles),
  confirmed: Number(values.confirmed),
  snapshots: values.snapshots,
  onCycle(cycle, { tally }) {
    if (cycle % Number(values.every) > 0) return
    const faults = Object.values(tally.faults).reduce((sum, count) => sum + count, 0)
    const numbers = `${tally.confirmed} confirmed, ${tally.acknowledged} acknowledged, ${faults} faults`
    const memory = `${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`
    process.stdout.write(`${elapsed().toFixed(0)} s, ${cycle} cycles: ${numbers}; the ledger takes ${memory}\n`)
  },
}).run()
process.stdout.write(summaryOf(run, elapsed()))
process.exitCode = run.faults.length === 0 ? 0 : 1
