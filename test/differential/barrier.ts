// Waits for the log that RabbitMQ's quorum queues share.
import { RawClient, type RawChannel } from '../support/raw-client.ts'

const QUEUE = 'barrier'
const TIMEOUT_MS = 30_000

/**
 * A quorum queue answers when its log is on disk, long after everything else is quiet. All such queues of a broker write
 * one log, in order: when a message of ours is confirmed, what other queues were told before is there too.
 */
export class Barrier {
  readonly #port: number
  #channel: RawChannel | null = null

  constructor(port: number) {
    this.#port = port
  }

  /** Waits until all is written that quorum queues have been told. */
  async pass(): Promise<void> {
    this.#channel ??= await this.#open()
    this.#channel.publish({ 'routing-key': QUEUE }, 'x')
    await this.#channel.expect('basic.ack')
  }

  async close(): Promise<void> {
    await this.#channel?.client.close()
  }

  async #open(): Promise<RawChannel> {
    const client = await RawClient.dial(this.#port)
    client.timeoutMs = TIMEOUT_MS
    await client.handshake()
    const channel = await client.openChannel()
    await channel.queue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-max-length': 1 } })
    await channel.call('confirm.select')
    return channel
  }
}
