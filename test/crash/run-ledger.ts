// Runs the crash test by hand, at any length: `npx tsx test/crash/run-ledger.ts --cycles 500 --seed 1`. Build first. With
// `--confirmed 5000000` each load goes on until its share of so many publishes is confirmed; NODE_OPTIONS with
// `--max-semi-space-size=128` saves the client a tenth of its time then.
import { parseArgs } from 'node:util'
import { CrashRun } from './ledger/crash-run.ts'
import { summaryOf } from './ledger/summary.ts'

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '25' },
    confirmed: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
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
    if (cycle % 10 > 0) return
    const faults = Object.values(tally.faults).reduce((sum, count) => sum + count, 0)
    const numbers = `${tally.confirmed} confirmed, ${tally.acknowledged} acknowledged, ${faults} faults`
    process.stdout.write(`${elapsed().toFixed(0)} s, ${cycle} cycles: ${numbers}\n`)
  },
}).run()
process.stdout.write(summaryOf(run, elapsed()))
process.exitCode = run.faults.length === 0 ? 0 : 1
