// Writes messages to a client: basic.deliver, basic.get-ok and basic.return with their content.
import type { Message } from '../core/message.ts'
import type { SocketWriter } from '../net/socket-writer.ts'
import { writeBasicGetOk, writeBasicReturn } from './wire/generated.ts'
import { writeBody, writeContentHeader } from './wire/frame-writer.ts'
import { writeShortString } from './wire/method-arguments.ts'

/** Bodies from this size on go to the socket by reference; below it a copy into the slab is cheaper. */
const REFERENCE_BYTES = 16 * 1024

/** Copies below this many bytes are made by a loop; the call into native code costs more. */
const LOOP_COPY_BYTES = 64

const FRAME_OVERHEAD = 8
const FRAME_END = 0xce
const TYPE_METHOD = 1
const TYPE_HEADER = 2
const TYPE_BODY = 3

/** Where exchange and routing key are put together: two short strings. */
const addressBytes = Buffer.alloc(2 * 256)

/** The content part of one connection's output. Caches what successive deliveries have in common. */
export class DeliveryWriter {
  readonly #out: SocketWriter
  /** The largest payload of a body frame. */
  #payloadMax = 4096 - FRAME_OVERHEAD
  /** The most bytes of properties that a message may have to be `plain`. */
  #plainMax = 4096 - FRAME_OVERHEAD - 12
  #watched = false
  #frameMax = 4096
  #exchange = ''
  #routingKey = ''
  /** Exchange and routing key of the last delivery, as two short strings. */
  #address = Buffer.from([0, 0])

  constructor(out: SocketWriter) {
    this.#out = out
  }

  /** Sets the negotiated frame size, overhead included; 0 is no limit. */
  tuned(frameMax: number): void {
    this.#frameMax = frameMax
    this.#payloadMax = frameMax === 0 ? Infinity : frameMax - FRAME_OVERHEAD
    this.watched = this.#watched
  }

  /** Has every message be taken for one that is not plain, so that whoever delivers it looks closer. */
  set watched(watched: boolean) {
    this.#watched = watched
    this.#plainMax = watched ? -1 : this.#payloadMax - 12
  }

  /** Whether the message can be delivered without a closer look. */
  plain(message: Message): boolean {
    return message.propertiesBytes <= this.#plainMax
  }

  /** Whether the message's properties fit into one frame: they cannot be split (AMQP 0-9-1 §4.2.6). */
  fits(message: Message): boolean {
    return message.propertiesBytes + 12 <= this.#payloadMax
  }

  /** Writes basic.deliver with its content. `tagBytes` is the consumer tag as a short string. */
  deliver(channel: number, tagBytes: Buffer, deliveryTag: number, redelivered: boolean, message: Message): void {
    if (message.exchange !== this.#exchange || message.routingKey !== this.#routingKey) this.#readdress(message)
    const address = this.#address
    const bodyBytes = message.bodyEnd - message.bodyStart
    const propertiesBytes = message.propertiesEnd - message.propertiesStart
    const payload = 13 + tagBytes.length + address.length
    const inline = bodyBytes <= this.#payloadMax && bodyBytes < REFERENCE_BYTES
    const out = this.#out
    out.reserve(payload + propertiesBytes + 12 + 3 * FRAME_OVERHEAD + (inline ? bodyBytes : 0))
    const buffer = out.buffer
    let at = out.position
    at = frameStart(buffer, at, TYPE_METHOD, channel, payload)
    // basic.deliver is 60, 60.
    buffer[at] = 0
    buffer[at + 1] = 60
    buffer[at + 2] = 0
    buffer[at + 3] = 60
    at = copy(buffer, at + 4, tagBytes, 0, tagBytes.length)
    at = writeLongLong(buffer, at, deliveryTag)
    buffer[at++] = redelivered ? 1 : 0
    at = copy(buffer, at, address, 0, address.length)
    buffer[at++] = FRAME_END
    at = frameStart(buffer, at, TYPE_HEADER, channel, 12 + propertiesBytes)
    buffer[at] = 0
    buffer[at + 1] = 60
    buffer[at + 2] = 0
    buffer[at + 3] = 0
    at = writeLongLong(buffer, at + 4, bodyBytes)
    at = copy(buffer, at, message.properties, message.propertiesStart, message.propertiesEnd)
    buffer[at++] = FRAME_END
    if (inline && bodyBytes > 0) {
      at = frameStart(buffer, at, TYPE_BODY, channel, bodyBytes)
      at = copy(buffer, at, message.body, message.bodyStart, message.bodyEnd)
      buffer[at++] = FRAME_END
    }
    out.position = at
    if (!inline) this.#body(channel, message)
  }

  /** Writes basic.get-ok with its content. */
  getOk(channel: number, deliveryTag: number, redelivered: boolean, message: Message, messageCount: number): void {
    const { exchange, routingKey } = message
    writeBasicGetOk(this.#out, channel, deliveryTag, redelivered, exchange, routingKey, messageCount)
    this.#content(channel, message)
  }

  /** Writes basic.return with its content. */
  returned(channel: number, replyCode: number, replyText: string, message: Message): void {
    writeBasicReturn(this.#out, channel, replyCode, replyText, message.exchange, message.routingKey)
    this.#content(channel, message)
  }

  #content(channel: number, message: Message): void {
    const { properties, propertiesStart, propertiesEnd } = message
    writeContentHeader(this.#out, channel, message.bodyBytes, properties, propertiesStart, propertiesEnd)
    this.#body(channel, message)
  }

  #body(channel: number, message: Message): void {
    const bodyBytes = message.bodyBytes
    if (bodyBytes === 0) return
    if (bodyBytes < REFERENCE_BYTES) {
      writeBody(this.#out, channel, message.body, message.bodyStart, message.bodyEnd, this.#frameMax)
      return
    }
    const out = this.#out
    for (let from = message.bodyStart; from < message.bodyEnd; from += this.#payloadMax) {
      const to = Math.min(from + this.#payloadMax, message.bodyEnd)
      out.reserve(FRAME_OVERHEAD)
      out.position = frameStart(out.buffer, out.position, TYPE_BODY, channel, to - from)
      out.reference(message.body.subarray(from, to))
      out.reserve(1)
      out.buffer[out.position++] = FRAME_END
    }
  }

  #readdress(message: Message): void {
    this.#exchange = message.exchange
    this.#routingKey = message.routingKey
    // What is too long to be told, such as the key of a dead letter that an argument gave, is cut as everywhere.
    const keyAt = writeShortString(addressBytes, 0, message.exchange)
    this.#address = Buffer.from(addressBytes.subarray(0, writeShortString(addressBytes, keyAt, message.routingKey)))
  }
}

function frameStart(buffer: Buffer, at: number, type: number, channel: number, payload: number): number {
  buffer[at] = type
  buffer[at + 1] = channel >>> 8
  buffer[at + 2] = channel
  buffer[at + 3] = payload >>> 24
  buffer[at + 4] = payload >>> 16
  buffer[at + 5] = payload >>> 8
  buffer[at + 6] = payload
  return at + 7
}

function writeLongLong(buffer: Buffer, at: number, value: number): number {
  const high = Math.floor(value / 0x1_0000_0000)
  buffer[at] = high >>> 24
  buffer[at + 1] = high >>> 16
  buffer[at + 2] = high >>> 8
  buffer[at + 3] = high
  buffer[at + 4] = value >>> 24
  buffer[at + 5] = value >>> 16
  buffer[at + 6] = value >>> 8
  buffer[at + 7] = value
  return at + 8
}

function copy(target: Buffer, at: number, source: Buffer, start: number, end: number): number {
  if (end - start > LOOP_COPY_BYTES) return at + source.copy(target, at, start, end)
  for (let i = start; i < end; i++) target[at++] = source[i]!
  return at
}
