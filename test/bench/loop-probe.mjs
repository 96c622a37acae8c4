// Loaded into a broker that is measured (`node --import`): tells how late its event loop was, when it is asked by a signal.
import { openSync, readSync, writeSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 1
/** The pipe that the answer goes to, one line of JSON. */
const ANSWERS = 3

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
delay.enable()

// How long one pass had the processor: on a machine that others use, a pass is late without having been long.
const statistics = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
const bytes = Buffer.alloc(64)
let before = onProcessor()
let held = 0

function onProcessor() {
  return Number.parseInt(bytes.toString('latin1', 0, readSync(statistics, bytes, 0, bytes.length, 0)), 10)
}

setInterval(() => {
  const now = onProcessor()
  held = Math.max(held, now - before)
  before = now
}, RESOLUTION_MS).unref()

process.on('SIGUSR2', () => {
  const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
  const answer = { p99: late(delay.percentile(99)), max: late(delay.max), held: held / 1e6 }
  writeSync(ANSWERS, `${JSON.stringify(answer)}\n`)
  delay.reset()
  held = 0
})
