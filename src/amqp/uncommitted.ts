// What waits for tx.commit: it is in memory and nowhere else, so it has a bound for each connection, and one for all.
import { UNCOMMITTED_BYTES_MAX, UNCOMMITTED_MEMORY_SHARE } from './limits.ts'

/** Where the bound for all comes from. */
interface Memory {
  /** Bytes; 0 is no limit. */
  readonly limits: { readonly memoryBytes: number }
}

/** What the publishes that wait on all connections take in memory, about. */
export class AllUncommitted {
  bytes = 0
  /** Connections that have any. */
  holders = 0
  readonly #memory: Memory

  constructor(memory: Memory) {
    this.#memory = memory
  }

  /**
   * Whether there is no room for more of a connection that has so many bytes. When all together have their share of the
   * memory limit, whoever has more than an equal part of it is stopped, so that small transactions go on; when they have
   * twice of it, everybody is.
   */
  full(bytes: number): boolean {
    const { memoryBytes } = this.#memory.limits
    const shareBytes = memoryBytes * UNCOMMITTED_MEMORY_SHARE
    if (memoryBytes === 0 || this.bytes < shareBytes) return false
    return this.bytes >= shareBytes * 2 || bytes >= shareBytes / this.holders
  }
}

/** The same of one connection. */
export class Uncommitted {
  bytes = 0
  readonly #all: AllUncommitted

  constructor(all: AllUncommitted) {
    this.#all = all
  }

  /** Counts what waits from now on, or waits no longer. */
  change(bytes: number): void {
    if (bytes === 0) return
    const held = this.bytes > 0
    this.bytes += bytes
    this.#all.bytes += bytes
    if (held !== this.bytes > 0) this.#all.holders += held ? -1 : 1
  }

  /**
   * Why no further publish may wait; empty when one may. Publishers are not read while memory is short, and what they have
   * not committed stays where it is: could that alone keep memory short, nobody would ever commit.
   */
  get refusal(): string {
    if (this.bytes >= UNCOMMITTED_BYTES_MAX) {
      return `messages that wait for tx.commit take more than ${UNCOMMITTED_BYTES_MAX} bytes`
    }
    return this.#all.full(this.bytes) ? 'messages of all clients that wait for tx.commit take too much memory' : ''
  }
}
