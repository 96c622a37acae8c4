// What the deliveries of one consumer begin with: basic.deliver, and the content header up to its properties.
import type { Message } from '../core/message.ts'
import { CONTENT_HEADER_FIXED_BYTES, FRAME_HEADER_BYTES } from './wire/frame.ts'
import { writeContentHeader, type FrameOutput } from './wire/frame-writer.ts'
import { writeBasicDeliver } from './wire/generated.ts'

const WORD_BYTES = 4
/** Where the size of a frame stands in it, and the arguments of a method's. */
const FRAME_SIZE_OFFSET = 3
const ARGUMENTS_OFFSET = FRAME_HEADER_BYTES + 4
/** Where the lower half of the body's size stands in a content header's frame. */
const BODY_SIZE_OFFSET = FRAME_HEADER_BYTES + 8

/** Where heads are put together: three short strings, and less than a hundred bytes beside them. */
const scratch: FrameOutput = { buffer: Buffer.alloc(1024), position: 0, reserve: () => undefined }
const scratchView = new DataView(scratch.buffer.buffer, scratch.buffer.byteOffset, scratch.buffer.length)
const NOTHING = Buffer.alloc(0)

/**
 * The same for one delivery after the other, but for five numbers. So it is kept as words of four bytes, which are
 * written at once: one byte after the other, with what each costs to be checked, took six hundredths more of the event
 * loop's thread while messages of 1 KiB were drained. Made again when a message has another exchange or routing key
 * than the one before.
 */
export class DeliveryHead {
  readonly channel: number
  /** Its size in bytes, without what the last word has behind it: at most three bytes, which are written over. */
  bytes = 0
  readonly #consumerTag: string
  #exchange = ''
  #routingKey = ''
  /** As many as `#count` of these; an array of JavaScript's, for one of this size has its memory elsewhere if it is typed. */
  readonly #words: number[] = []
  #count = 0
  #deliveryTagAt = 0
  #contentHeaderAt = 0

  constructor(channel: number, consumerTag: string) {
    this.channel = channel
    this.#consumerTag = consumerTag
  }

  /** Goes by the exchange and the routing key of a message. What is too long to be told is cut, as everywhere. */
  address({ exchange, routingKey }: Message): void {
    if (exchange !== this.#exchange || routingKey !== this.#routingKey || this.bytes === 0)
      this.#make(exchange, routingKey)
  }

  /** Writes it at a position, where there is room for the whole words of it. */
  write(
    view: DataView,
    at: number,
    deliveryTag: number,
    redelivered: boolean,
    propertiesBytes: number,
    bodyBytes: number,
  ): void {
    const words = this.#words
    for (let i = 0, to = at; i < this.#count; i++, to += WORD_BYTES) view.setInt32(to, words[i]!, true)
    const deliveryTagAt = at + this.#deliveryTagAt
    view.setUint32(deliveryTagAt, deliveryTag / 0x1_0000_0000)
    view.setUint32(deliveryTagAt + 4, deliveryTag)
    view.setUint8(deliveryTagAt + 8, redelivered ? 1 : 0)
    const contentHeaderAt = at + this.#contentHeaderAt
    view.setUint32(contentHeaderAt + FRAME_SIZE_OFFSET, CONTENT_HEADER_FIXED_BYTES + propertiesBytes)
    // A body of 4 GiB cannot be.
    view.setUint32(contentHeaderAt + BODY_SIZE_OFFSET, bodyBytes)
  }

  #make(exchange: string, routingKey: string): void {
    this.#exchange = exchange
    this.#routingKey = routingKey
    scratch.position = 0
    writeBasicDeliver(scratch, this.channel, this.#consumerTag, 0, false, exchange, routingKey)
    // Behind the consumer tag, which is the first of the arguments.
    this.#deliveryTagAt = ARGUMENTS_OFFSET + 1 + scratch.buffer[ARGUMENTS_OFFSET]!
    this.#contentHeaderAt = scratch.position
    writeContentHeader(scratch, this.channel, 0, NOTHING, 0, 0)
    // The properties take the place of the octet that ends the frame.
    this.bytes = scratch.position - 1
    this.#count = Math.ceil(this.bytes / WORD_BYTES)
    for (let i = 0; i < this.#count; i++) this.#words[i] = scratchView.getInt32(i * WORD_BYTES, true)
  }
}
