// Collects garbage when we know better than V8 that there is some.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** V8 begins to collect when what it counts outside its heap has grown by 64 MiB since it was least. */
const PRESSURE_BYTES = 80 * 1024 * 1024

/**
 * Collects all garbage at once. Nothing else goes on meanwhile: about a millisecond for each MiB that is in use. V8 hands
 * out the function for it only where it was told to.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
}

/**
 * Has garbage collected little by little, in steps of some milliseconds between events. V8 has no call for that, but does
 * it when much memory is asked for: this is never touched, and so takes none.
 */
export function beginCollection(): void {
  try {
    Buffer.allocUnsafeSlow(PRESSURE_BYTES)
  } catch {
    // There is not so much to be had, touched or not: then it is high time.
    collectGarbage()
  }
}
