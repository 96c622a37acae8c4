// The ledger on disk, for whoever looks into a failure: one line for each confirm and for each proven acknowledgement.
import { open, type FileHandle } from 'node:fs/promises'
import type { Copy, Publish } from './ledger.ts'

/**
 * A file of lines that only grows. What is noted while one write is being synced goes with the next.
 *
 *     + ID LIFE BYTES CHECKSUM      a publish was confirmed
 *     - ID QUEUE                    its acknowledgement was proven
 */
export class LedgerFile {
  readonly #handle: FileHandle
  #lines: string[] = []
  #writing: Promise<void> | null = null

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  static async create(path: string): Promise<LedgerFile> {
    return new LedgerFile(await open(path, 'w'))
  }

  confirmed({ id, life, bodyBytes, crc }: Publish): void {
    this.#note(`+ ${id} ${life} ${bodyBytes} ${crc.toString(16)}\n`)
  }

  acknowledged({ publish, queue }: Copy): void {
    this.#note(`- ${publish.id} ${queue.name}\n`)
  }

  /** Resolves when everything that was noted is on disk; rejects when it could not be written. */
  async flushed(): Promise<void> {
    while (this.#writing !== null) await this.#writing
  }

  async close(): Promise<void> {
    await this.flushed()
    await this.#handle.close()
  }

  #note(line: string): void {
    this.#lines.push(line)
    this.#writing ??= this.#write()
  }

  async #write(): Promise<void> {
    // The first write takes what the rest of this turn notes as well.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#lines.length > 0) {
      const text = this.#lines.join('')
      this.#lines = []
      await this.#handle.appendFile(text)
      await this.#handle.datasync()
    }
    this.#writing = null
  }
}
