// The end of the turn: work gathered while events are handled, done once when they all are.

/** Something that can be enlisted for the end of the turn. */
export interface TurnTask {
  /** Does the gathered work. May enlist tasks for later stages of the same turn, and any task for the next turn. */
  runStage(): void
}

/**
 * The stages of a turn, in the order in which they run. A task that runs in one of them reaches the later ones in the
 * same turn: a commit that starts accepts what was struck, the confirms are written, the sockets are flushed, and only
 * then are the sockets read again.
 */
export const Stage = { store: 0, confirm: 1, socket: 2, read: 3 } as const
export type Stage = (typeof Stage)[keyof typeof Stage]

/** What is enlisted for a stage. Its array is kept from turn to turn: a new one for each would be garbage. */
class Enlisted {
  readonly tasks: (TurnTask | undefined)[] = []
  count = 0

  add(task: TurnTask): void {
    this.tasks[this.count++] = task
  }

  /** Runs them all, and forgets them. */
  run(): void {
    const { tasks, count } = this
    for (let i = 0; i < count; i++) {
      tasks[i]!.runStage()
      tasks[i] = undefined
    }
    this.count = 0
  }
}

/** Gathers tasks by stage and runs them in one `setImmediate`. One for a broker. */
export class Turn {
  readonly #stages = Object.values(Stage).map(() => new Enlisted())
  #spare = new Enlisted()
  #running = -1
  #scheduled = false

  /** Enlists a task. The caller sees to it that a task is enlisted once (a flag of its own is cheaper than a set). */
  enlist(stage: Stage, task: TurnTask): void {
    this.#stages[stage]!.add(task)
    // What is enlisted for a stage that has already run in this turn waits for the next one.
    if (!this.#scheduled && stage <= this.#running) this.#schedule()
    else if (!this.#scheduled && this.#running < 0) this.#schedule()
  }

  #schedule(): void {
    this.#scheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#scheduled = false
    for (let stage = 0; stage < this.#stages.length; stage++) {
      this.#running = stage
      const enlisted = this.#stages[stage]!
      if (enlisted.count === 0) continue
      this.#stages[stage] = this.#spare
      enlisted.run()
      this.#spare = enlisted
    }
    this.#running = -1
  }
}
