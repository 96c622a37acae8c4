// A broker that hardly gets to run, as on a machine with other things to do: it is stopped and goes on, again and again.
import type { Program } from '../../support/program.ts'
import type { Random } from '../random.ts'

/** How long the broker stands still at once, and runs meanwhile, in milliseconds. */
const PAUSE_MS_MAX = 500
const RUN_MS_MAX = 60
/** How long it stands still in all. */
const PAUSED_MS_MAX = 1500

/** Starves a broker for a while, without taking the machine from anybody. */
export class Starvation {
  readonly #program: Program
  readonly #random: Random
  #left = PAUSED_MS_MAX
  #timer: NodeJS.Timeout | null = null

  constructor(program: Program, random: Random) {
    this.#program = program
    this.#random = random
  }

  begin(): void {
    this.#timer = setTimeout(() => this.#pause(), this.#random.int(0, RUN_MS_MAX))
  }

  /** Lets the broker run. */
  end(): void {
    if (this.#timer === null) return
    clearTimeout(this.#timer)
    this.#timer = null
    this.#program.signal('SIGCONT')
  }

  #pause(): void {
    this.#program.signal('SIGSTOP')
    const milliseconds = this.#random.skewed(1, PAUSE_MS_MAX)
    this.#left -= milliseconds
    this.#timer = setTimeout(() => this.#goOn(), milliseconds)
  }

  #goOn(): void {
    this.#program.signal('SIGCONT')
    this.#timer = this.#left > 0 ? setTimeout(() => this.#pause(), this.#random.int(1, RUN_MS_MAX)) : null
  }
}
