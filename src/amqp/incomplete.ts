// Bodies of which a part has come: that is in memory and nowhere else, so all of them together have a bound.
import type { Clock, Timer } from '../lib/clock.ts'
import { INCOMPLETE_IDLE_MS, INCOMPLETE_MEMORY_SHARE } from './limits.ts'

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
  /** Runs while there are any. */
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
   * room. Whoever sends nothing lets others go first.
   */
  admits(incomplete: Incomplete): boolean {
    const shareBytes = this.#shareBytes
    if (this.bytes < shareBytes) return true
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
    else this.#holders.delete(incomplete)
  }

  /** A connection is not read, until it is admitted or has nothing any more. */
  hold(incomplete: Incomplete): void {
    this.#held.add(incomplete)
    this.#timer ??= this.#clock.every(INCOMPLETE_IDLE_MS, this.#look)
  }

  /** There is more room: those that are not read may be admitted. */
  released(): void {
    for (const incomplete of this.#held) {
      if (incomplete.bytes > 0 && !this.admits(incomplete)) continue
      this.#held.delete(incomplete)
      incomplete.release()
    }
    if (this.#held.size > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Those that are read, and of which nothing comes, stand behind the others from now on: they would keep them waiting. */
  readonly #look = (): void => {
    const idle = [...this.#holders].filter((holder) => holder.idle() && !this.#held.has(holder))
    // Not for ever: they still have what has come.
    if (this.bytes >= this.#shareBytes * 2) return
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
  readonly #all: AllIncomplete
  readonly #input: Input
  #held = false
  /** Whether anything has come since somebody asked. */
  #moved = false

  constructor(all: AllIncomplete, input: Input) {
    this.#all = all
    this.#input = input
  }

  /** Whether nothing has come since this was last asked. */
  idle(): boolean {
    const moved = this.#moved
    this.#moved = false
    return !moved
  }

  /** A part of a body has come, and so much of it is still missing: more than before, if it is the first. */
  came(bytes: number, missing: number): void {
    if (this.bytes === 0) this.#all.holds(this, true)
    this.#moved = true
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

  /** A chunk was read: perhaps nothing more is, until others have finished. */
  chunkRead(): void {
    if (this.bytes === 0 || this.#held || this.#all.admits(this)) return
    this.#held = true
    this.#all.hold(this)
    this.#input.hold()
  }

  /** It is read again. */
  release(): void {
    this.#held = false
    this.#input.release()
  }
}
