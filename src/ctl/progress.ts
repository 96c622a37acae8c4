// How far something is that takes long, as one line that is written over and over, where somebody watches.

const WIDTH = 30
/** A terminal is not written to more often, in milliseconds. */
const INTERVAL_MS = 100

/** Where progress is shown: standard error, mostly. */
export interface ProgressTerminal {
  readonly isTTY?: boolean
  write(text: string): unknown
}

/** A bar on a terminal; nothing elsewhere. */
export class Progress {
  readonly #terminal: ProgressTerminal
  readonly #now: () => number
  #shownAt = -Infinity
  #shown = false

  constructor(terminal: ProgressTerminal, now: () => number = () => performance.now()) {
    this.#terminal = terminal
    this.#now = now
  }

  /** Shows how many of all are done; how many there are may change on the way. */
  show(what: string, done: number, all: number): void {
    if (this.#terminal.isTTY !== true) return
    const now = this.#now()
    if (now - this.#shownAt < INTERVAL_MS && done < all) return
    this.#shownAt = now
    this.#shown = true
    const share = all === 0 ? 1 : Math.min(done / all, 1)
    const filled = Math.round(share * WIDTH)
    const bar = '#'.repeat(filled).padEnd(WIDTH, '.')
    this.#terminal.write(`\r\u001b[K${what} [${bar}] ${done} of ${Math.max(done, all)}`)
  }

  /** Takes the bar away, so that something else can be written. */
  clear(): void {
    if (this.#shown) this.#terminal.write('\r\u001b[K')
    this.#shown = false
  }
}
