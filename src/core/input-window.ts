// Keeps messages as views into the input for as long as that is cheap, and has them copied when it no longer is.
import { EntryState, type Entry } from './queue/entry.ts'
import { VIEW_INPUT_BYTES } from './limits.ts'

const GENERATIONS = 4
const GENERATION_BYTES = VIEW_INPUT_BYTES / GENERATIONS

/** Entries in a generation before it is looked through for the first time. */
const ENTRIES_UNSWEPT = 256

/** Entries that came at about the same time. Those that are settled leave it soon, however little comes after them. */
class Generation {
  readonly #entries: Entry[] = []
  #sweepFrom = ENTRIES_UNSWEPT

  add(entry: Entry): void {
    this.#entries.push(entry)
    if (this.#entries.length >= this.#sweepFrom) this.#sweep()
  }

  /** Copies out what is still there. */
  own(): void {
    for (const entry of this.#entries) if (entry.state !== EntryState.settled) entry.message.own()
  }

  /**
   * Lets go of what is settled. Otherwise small messages, of which tens of thousands fit into the bytes of a generation,
   * would be kept until they are old for the garbage collector, which then copies them, and marks and sweeps for them.
   */
  #sweep(): void {
    const entries = this.#entries
    let kept = 0
    for (const entry of entries) if (entry.state !== EntryState.settled) entries[kept++] = entry
    entries.length = kept
    this.#sweepFrom = Math.max(ENTRIES_UNSWEPT, kept * 2)
  }
}

/**
 * Entries that wait, or were delivered and not acknowledged, while their message is still a view into the chunk it
 * arrived in. Most are settled within a few chunks and are never copied; whatever is still there when `VIEW_INPUT_BYTES`
 * more have arrived is copied then, so that a message that stays cannot keep a whole chunk in memory.
 */
export class InputWindow {
  readonly #generations: Generation[] = Array.from({ length: GENERATIONS }, () => new Generation())
  #received = 0

  /** An entry stays for now. */
  watch(entry: Entry): void {
    this.#generations[0]!.add(entry)
  }

  /** Counts input, and copies out what has stayed too long. */
  received(bytes: number): void {
    this.#received += bytes
    if (this.#received < GENERATION_BYTES) return
    this.#received = 0
    this.#generations.pop()!.own()
    this.#generations.unshift(new Generation())
  }
}
