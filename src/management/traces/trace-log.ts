// What a trace has written: a text that forgets its oldest lines.
import { Fifo } from '../../lib/fifo.ts'

/** A text of lines, of which only so many bytes are kept. It lies in memory: a restart forgets it. */
export class TraceLog {
  readonly #lines = new Fifo<string>()
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Bytes of the text. */
  get bytes(): number {
    return this.#bytes
  }

  /** Adds a line, and forgets as many of the oldest as have no room beside it. One that has no room at all is left out. */
  add(line: string): void {
    const bytes = Buffer.byteLength(line)
    if (bytes > this.#bytesMax) return
    this.#lines.push(line)
    this.#bytes += bytes
    while (this.#bytes > this.#bytesMax) this.#bytes -= Buffer.byteLength(this.#lines.shift()!)
  }

  /** The lines as they are now, the oldest first. */
  *lines(): Generator<string> {
    for (const line of Array.from({ length: this.#lines.length }, (_, index) => this.#lines.at(index)!)) yield line
  }
}
