// What is out with consumers: how much that is, and how much of it is in memory.
import { ENTRY_OVERHEAD_BYTES, QUEUE_LENT_RESIDENT_BYTES } from '../limits.ts'
import type { Message } from '../message.ts'
import type { Entry } from './entry.ts'

/** Counts the messages of one queue that were handed out, and are neither acknowledged nor given back. */
export class Lent {
  count = 0
  /** Their bodies. */
  bytes = 0
  /** Those whose properties and bodies are on disk only, and these bodies. */
  #releasedCount = 0
  #releasedBytes = 0
  /** What was left of the last of them, and stands for the next as well if that is like it. */
  #outline: Message | null = null

  /** Those whose properties and bodies are in memory. */
  get residentCount(): number {
    return this.count - this.#releasedCount
  }

  /** The bodies of those. */
  get residentBytes(): number {
    return this.bytes - this.#releasedBytes
  }

  /** Whether they take so little in memory that nothing needs to be let go of. */
  get light(): boolean {
    return this.residentBytes + this.residentCount * ENTRY_OVERHEAD_BYTES <= QUEUE_LENT_RESIDENT_BYTES
  }

  /** A message was handed out. */
  add({ message }: Entry): void {
    this.count++
    this.bytes += message.bodyBytes
  }

  /** It is out no longer. */
  remove({ message }: Entry): void {
    this.count--
    this.bytes -= message.bodyBytes
    if (!message.released) return
    this.#releasedCount--
    this.#releasedBytes -= message.bodyBytes
  }

  /** Drops properties and body from memory: they are on disk. */
  release(entry: Entry): void {
    const { message, details } = entry
    if (message.released) return
    if (this.#outline?.outlines(message) !== true) this.#outline = message.outline()
    entry.message = this.#outline
    if (details !== null) details.presented = null
    this.#releasedCount++
    this.#releasedBytes += message.bodyBytes
  }
}
