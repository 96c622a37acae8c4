// Keeps messages as views into the input for as long as that is cheap, and has them copied when it no longer is.
import { EntryState, type Entry } from './queue/entry.ts'
import { VIEW_INPUT_BYTES } from './limits.ts'

const GENERATIONS = 4
const GENERATION_BYTES = VIEW_INPUT_BYTES / GENERATIONS

/**
 * Entries that wait, or were delivered and not acknowledged, while their message is still a view into the chunk it
 * arrived in. Most are settled within a few chunks and are never copied; whatever is still there when `VIEW_INPUT_BYTES`
 * more have arrived is copied then, so that a message that stays cannot keep a whole chunk in memory.
 */
export class InputWindow {
  readonly #generations: Entry[][] = Array.from({ length: GENERATIONS }, () => [])
  #received = 0

  /** An entry stays for now. */
  watch(entry: Entry): void {
    this.#generations[0]!.push(entry)
  }

  /** Counts input, and copies out what has stayed too long. */
  received(bytes: number): void {
    this.#received += bytes
    if (this.#received < GENERATION_BYTES) return
    this.#received = 0
    const oldest = this.#generations.pop()!
    for (const entry of oldest) if (entry.state !== EntryState.settled) entry.message.own()
    this.#generations.unshift([])
  }
}
