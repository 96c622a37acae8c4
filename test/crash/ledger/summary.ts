// A run in words.
import type { CrashRun } from './crash-run.ts'
import { FAULTS, type Fault } from './ledger.ts'

/** Some lines on what was done and what was found. */
export function summaryOf(run: CrashRun, seconds: number): string {
  const { tally } = run
  const faults = Object.entries(tally.faults) as [Fault, number][]
  const lines = [
    `seed ${run.seed}, ${seconds.toFixed(0)} s: ${run.starts} starts, the slowest in ${run.slowestStartMs.toFixed(0)} ms; ` +
      `${run.stops} stops, the slowest in ${run.slowestStopMs.toFixed(0)} ms`,
    `published ${tally.published}, confirmed ${tally.confirmed} (${(tally.confirmedBytes / 2 ** 20).toFixed(0)} MiB)`,
    `delivered ${tally.delivered}, redelivered ${tally.redelivered}, acknowledged ${tally.acknowledged}`,
    `rejected ${tally.rejected}, refused or rolled back ${tally.withdrawn}, transactions ${tally.committed}, ` +
      `duplicates ${tally.repeated}`,
    `compared after crashes ${tally.compared}`,
    `uncertain publishes: ${tally.unconfirmedThere} there, ${tally.unconfirmedGone} gone`,
    `uncertain acknowledgements: ${tally.uncertainBack} back, ${tally.uncertainGone} gone`,
    faults.map(([fault, count]) => `${fault} ${count}`).join(', '),
    `${run.cycles} cycles, ${run.starved} of them starved: ${tally.confirmed} confirmed, ${tally.faults.lost} lost, ` +
      `${tally.faults.corrupt} corrupt, ${tally.faults.returned} returned, ${tally.faults.start} failed starts: ` +
      (run.faults.length === 0 ? 'nothing wrong' : 'SOMETHING IS WRONG'),
  ]
  if (run.faults.length > 0) {
    const found = faults.filter(([, count]) => count > 0)
    lines.push('', ...found.map(([fault, count]) => `${fault} (${FAULTS[fault]}): ${count}`), '', ...run.faults)
    if (run.held.length > 0) lines.push('', 'What the store holds for these messages, by their ids:', ...run.held)
    lines.push('', `The data directory and the ledger are kept in ${run.directory}`)
  }
  return `${lines.join('\n')}\n`
}
