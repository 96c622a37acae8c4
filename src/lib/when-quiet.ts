// Has what could as well be done later wait until the process has time for it.
import { performance } from 'node:perf_hooks'
import type { Clock } from './clock.ts'

/** A period is quiet in which the event loop was at work for no more of it. */
const BUSY_SHARE_MAX = 0.5

/**
 * Calls back after the first period in which the event loop had little to do, and after so many in any case.
 * `busyShare` tells for how much of the time since it was last asked, or since it was made, the loop was at work.
 */
export function whenQuiet(
  clock: Clock,
  { periodMs, periodsMax }: { readonly periodMs: number; readonly periodsMax: number },
  callback: () => void,
  busyShare: () => number = loopMeter(),
): void {
  let left = periodsMax
  const timer = clock.every(periodMs, () => {
    if (--left > 0 && busyShare() > BUSY_SHARE_MAX) return
    timer.cancel()
    callback()
  })
}

function loopMeter(): () => number {
  let last = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, last)
    last = now
    return utilization
  }
}
