// A broker whose process uses as much memory as a test says, for each test of a file.
import { afterEach, beforeEach, vi } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer, type Server } from '../../src/server.ts'
import { RawClient, type Login, type RawChannel } from './raw-client.ts'

/** Longer than the broker takes to look at its memory again, in milliseconds. */
const LOOKED_MS = 1000

/** Started before each test with this memory limit, in bytes, and stopped after it with the clients that it gave. */
export class ShortMemory {
  server!: Server
  clock!: ManualClock
  #usedBytes = 0
  readonly #clients: RawClient[] = []

  constructor(limitBytes: number) {
    beforeEach(async () => {
      this.#usedBytes = 0
      this.clock = new ManualClock()
      vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => this.#usedBytes)
      this.server = await startServer({ host: '127.0.0.1', clock: this.clock, memoryLimit: limitBytes })
    })
    afterEach(async () => {
      for (const client of this.#clients.splice(0)) client.drop()
      await this.server.close()
      vi.restoreAllMocks()
    })
  }

  /** Uses so many bytes from here on, and lets the broker notice. */
  use(bytes: number): void {
    this.#usedBytes = bytes
    this.clock.advance(LOOKED_MS)
  }

  async connect(login: Login = {}): Promise<RawClient> {
    const client = await RawClient.open(this.server.ports.amqp, login, '127.0.0.1')
    this.#clients.push(client)
    return client
  }

  async channel(login: Login = {}): Promise<RawChannel> {
    return (await this.connect(login)).openChannel()
  }
}
