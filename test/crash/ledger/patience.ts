// Waiting for a broker that may be slow. How long it takes in all says nothing on a machine that has other things to do;
// what says something is that it gets nowhere.

/** So often it is looked whether there was progress. */
const LOOK_MS = 500
/** So many looks in a row may find none. */
const LOOKS_MAX = 240

/** The broker gets nowhere. That is a fault, but nothing is known of messages then: they are neither there nor lost. */
export class SilentBrokerError extends Error {
  constructor(what: string) {
    super(`the broker did not answer: ${what}`)
    this.name = 'SilentBrokerError'
  }
}

/** How long somebody waits for a broker that gets nowhere. */
export class Patience {
  readonly #lookMs: number

  /** `lookMs` is how often it is looked, in milliseconds: 240 times in a row without progress are too many. */
  constructor(lookMs = LOOK_MS) {
    this.#lookMs = lookMs
  }

  /** Counts looks, of which so many in a row may find the same. */
  watch(): Watch {
    return new Watch(this.#lookMs)
  }

  /**
   * Waits for something that the broker does, for as long as `progress` grows now and then. Rejects with
   * SilentBrokerError when it does not; what becomes of the work is nobody's concern then.
   */
  async wait<T>(what: string, progress: () => number, work: Promise<T>): Promise<T> {
    const watch = this.watch()
    for (;;) {
      if (await settledWithin(this.#lookMs, work)) return work
      // What came meanwhile is read before it is judged: perhaps it was we who did not get to run.
      await new Promise((resolve) => setImmediate(resolve))
      watch.look(what, progress())
    }
  }
}

/** Looks at a number that is to change. */
class Watch {
  readonly lookMs: number
  #last: number | string | null = null
  #looks = 0

  constructor(lookMs: number) {
    this.lookMs = lookMs
  }

  /** Throws SilentBrokerError when it has been the same for too long. */
  look(what: string, state: number | string): void {
    if (state !== this.#last) this.#looks = 0
    else if (++this.#looks >= LOOKS_MAX) throw new SilentBrokerError(what)
    this.#last = state
  }
}

/** Whether a promise is settled, one way or the other, within so many milliseconds. */
export async function settledWithin(milliseconds: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), milliseconds)))
  const settled = work.then(
    () => true,
    () => true,
  )
  return Promise.race([settled, late]).finally(() => clearTimeout(timer))
}
