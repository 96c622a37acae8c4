// Loaded into a broker that is measured (`node --import`): tells how late its event loop was, when it is asked by a signal.
import { writeSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 1
/** The pipe that the answer goes to, one line of JSON. */
const ANSWERS = 3

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
delay.enable()

process.on('SIGUSR2', () => {
  const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
  writeSync(ANSWERS, `${JSON.stringify({ p99: late(delay.percentile(99)), max: late(delay.max) })}\n`)
  delay.reset()
})
