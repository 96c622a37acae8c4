// The eight bytes that a client begins with (AMQP 0-9-1 §4.2.2).

/** What this broker speaks: also its answer to a header that it does not accept. */
export const PROTOCOL_HEADER: Buffer = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1])

/** AMQP 0-9 sends this one. RabbitMQ: treated as though it were 0-9-1. */
const PROTOCOL_HEADER_0_9 = Buffer.from([0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 9])

/** Gathers a protocol header from chunks of any size. */
export class ProtocolHeaderReader {
  readonly #bytes = Buffer.alloc(PROTOCOL_HEADER.length)
  #length = 0

  /** Whether all eight bytes are there. */
  get complete(): boolean {
    return this.#length === PROTOCOL_HEADER.length
  }

  /** Whether the header is complete and one that this broker speaks. */
  get accepted(): boolean {
    return this.complete && (this.#bytes.equals(PROTOCOL_HEADER) || this.#bytes.equals(PROTOCOL_HEADER_0_9))
  }

  /** Takes what belongs to the header, and returns where in the chunk the frames begin. */
  read(chunk: Buffer): number {
    const bytes = chunk.copy(this.#bytes, this.#length)
    this.#length += bytes
    return bytes
  }
}
