// A broker on disk for one test, which stops it and starts it again.
import { onTestFinished } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer, type Server } from '../../src/server.ts'
import { RawClient, type RawChannel } from './raw-client.ts'
import { temporaryDirectory } from './store.ts'

/** A broker on disk that can be stopped and started again. */
export class Restarting {
  readonly clock = new ManualClock()
  readonly #dataDir: string
  readonly #clients: RawClient[] = []
  #server: Server | null = null

  private constructor(dataDir: string) {
    this.#dataDir = dataDir
  }

  static async start(): Promise<Restarting> {
    const broker = new Restarting(await temporaryDirectory())
    onTestFinished(() => broker.stop())
    await broker.restart()
    return broker
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.drop()
    await this.#server?.close()
    this.#server = null
  }

  /** Stops, lets time pass, starts again. */
  async restart(passingMs = 0): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.close()
    await this.stop()
    this.clock.advance(passingMs)
    this.#server = await startServer({ dataDir: this.#dataDir, host: '127.0.0.1', port: 0, clock: this.clock })
  }

  async channel(): Promise<RawChannel> {
    const client = await RawClient.open(this.#server!.ports.amqp)
    this.#clients.push(client)
    return client.openChannel()
  }
}
