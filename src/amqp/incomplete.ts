// Bodies of which a part has come: that is in memory and nowhere else, so all of them together have a bound.
import type { Clock, Timer } from '../lib/clock.ts'
import { INCOMPLETE_IDLE_MS, INCOMPLETE_MEMORY_SHARE, INCOMPLETE_PROGRESS_BYTES } from './limits.ts'

/** Where the bound comes from. */
interface Memory {
  /** Bytes; 0 is no limit. */
  readonly limits: { readonly memoryBytes: number }
}

/** The incoming side of a connection. */
interface Input {
  /** Reads nothing until `release` has been called as often. */
  hold(): void
  release(): void
}

/** What has come of bodies that are not whole, on all connections. */
export class AllIncomplete {
  bytes = 0
  readonly #memory: Memory
  readonly #clock: Clock
  /** Connections that have any, in the order in which they began. */
  readonly #holders = new Set<Incomplete>()
  /** Those that are not read. */
  readonly #held = new Set<Incomplete>()
  /** The one that goes on in any case, since nobody else gets any further. */
  #favoured: Incomplete | null = null
  /** Runs while some are not read. */
  #timer: Timer | null = null

  constructor(memory: Memory, clock: Clock) {
    this.#memory = memory
    this.#clock = clock
  }

  get #shareBytes(): number {
    const { memoryBytes } = this.#memory.limits
    return memoryBytes === 0 ? Infinity : memoryBytes * INCOMPLETE_MEMORY_SHARE
  }

  /**
   * Whether more of a connection's bodies may come. When all together have their share of the memory limit, those go on
   * that began first, as many as can finish within as much again, and the first in any case: so they do finish, and make
   * room. Whoever sends next to nothing lets others go first.
   */
  admits(incomplete: Incomplete): boolean {
    const shareBytes = this.#shareBytes
    if (this.bytes < shareBytes) return true
    if (incomplete === this.#favoured) return true
    let before = 0
    for (const holder of this.#holders) {
      if (holder === incomplete) return before === 0 || before + holder.missing <= shareBytes
      before += holder.missing
      if (before > shareBytes) return false
    }
    return true
  }

  /** A connection has something from now on, or nothing any more. */
  holds(incomplete: Incomplete, any: boolean): void {
    if (any) this.#holders.add(incomplete)
    else {
      this.#holders.delete(incomplete)
      if (this.#favoured === incomplete) this.#favoured = null
    }
  }

  /** A chunk was read of a connection that has any: perhaps no more is, until it is admitted or has nothing any more. */
  chunkRead(incomplete: Incomplete): void {
    if (this.#held.has(incomplete) || this.admits(incomplete)) return
    this.#held.add(incomplete)
    this.#timer ??= this.#clock.every(INCOMPLETE_IDLE_MS, this.#look)
    incomplete.input.hold()
  }

  /** There is more room: those that are not read may be admitted. */
  released(): void {
    for (const incomplete of this.#held) if (incomplete.bytes === 0 || this.admits(incomplete)) this.#readOn(incomplete)
  }

  #readOn(incomplete: Incomplete): void {
    this.#held.delete(incomplete)
    if (this.#held.size === 0) {
      this.#timer?.cancel()
      this.#timer = null
    }
    incomplete.input.release()
  }

  /** Lets the one go on that has not been read for longest. */
  #favour(): void {
    const [longest] = this.#held
    if (longest === undefined) return
    this.#favoured = longest
    this.#readOn(longest)
  }

  /** Those that are read, and of which hardly anything comes, stand behind the others from now on: these would wait. */
  readonly #look = (): void => {
    const waiting = [...this.#holders].filter((holder) => holder.idle())
    const idle = waiting.filter((holder) => !this.#held.has(holder))
    // Not for ever: they still have what has come. But nobody waits for those who never finish: then one goes on at a
    // time, and what the others keep is what the memory alarm is for.
    if (this.bytes >= this.#shareBytes * 2) {
      if (waiting.length === this.#holders.size) this.#favour()
      return
    }
    for (const holder of idle) {
      this.#holders.delete(holder)
      this.#holders.add(holder)
    }
    this.released()
  }
}

/** The same of one connection. */
export class Incomplete {
  bytes = 0
  /** What is still to come of the same bodies. */
  missing = 0
  readonly input: Input
  readonly #all: AllIncomplete
  /** What has come since somebody asked. */
  #movedBytes = 0

  constructor(all: AllIncomplete, input: Input) {
    this.#all = all
    this.input = input
  }

  /** Whether hardly anything has come since this was last asked. */
  idle(): boolean {
    const idle = this.#movedBytes < INCOMPLETE_PROGRESS_BYTES
    this.#movedBytes = 0
    return idle
  }

  /** A part of a body has come, and so much of it is still missing: more than before, if it is the first. */
  came(bytes: number, missing: number): void {
    if (this.bytes === 0) this.#all.holds(this, true)
    this.#movedBytes += bytes
    this.bytes += bytes
    this.missing += missing
    this.#all.bytes += bytes
  }

  /** A body is whole, or given up: so much of it had come, and so much was missing. */
  gone(bytes: number, missing: number): void {
    this.bytes -= bytes
    this.missing -= missing
    this.#all.bytes -= bytes
    if (this.bytes === 0) this.#all.holds(this, false)
    this.#all.released()
  }

  /** A chunk was read. */
  chunkRead(): void {
    if (this.bytes > 0) this.#all.chunkRead(this)
  }
}
