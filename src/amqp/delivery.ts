// Writes messages to a client: basic.deliver, basic.get-ok and basic.return with their content.
import type { Message } from '../core/message.ts'
import type { SocketWriter } from '../net/socket-writer.ts'
import type { DeliveryHead } from './delivery-head.ts'
import { writeBasicGetOk, writeBasicReturn } from './wire/generated.ts'
import {
  CONTENT_HEADER_FIXED_BYTES,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
} from './wire/frame.ts'
import { writeBody, writeContentHeader } from './wire/frame-writer.ts'

/** Bodies from this size on go to the socket by reference; below it a copy into the slab is cheaper. */
const REFERENCE_BYTES = 16 * 1024

/** Copies below this many bytes are made by a loop; the call into native code costs more. */
const LOOP_COPY_BYTES = 64

/** The content part of one connection's output. */
export class DeliveryWriter {
  readonly #out: SocketWriter
  /** The largest payload of a body frame. */
  #payloadMax = 4096 - FRAME_OVERHEAD_BYTES
  /** The most bytes of properties that a message may have to be `plain`. */
  #plainMax = 4096 - FRAME_OVERHEAD_BYTES - CONTENT_HEADER_FIXED_BYTES
  #watched = false
  #frameMax = 4096

  constructor(out: SocketWriter) {
    this.#out = out
  }

  /** Sets the negotiated frame size, overhead included; 0 is no limit. */
  tuned(frameMax: number): void {
    this.#frameMax = frameMax
    this.#payloadMax = frameMax === 0 ? Infinity : frameMax - FRAME_OVERHEAD_BYTES
    this.watched = this.#watched
  }

  /** Has every message be taken for one that is not plain, so that whoever delivers it looks closer. */
  set watched(watched: boolean) {
    this.#watched = watched
    this.#plainMax = watched ? -1 : this.#payloadMax - CONTENT_HEADER_FIXED_BYTES
  }

  /** Whether the message can be delivered without a closer look. */
  plain(message: Message): boolean {
    return message.propertiesBytes <= this.#plainMax
  }

  /** Whether the message's properties fit into one frame: they cannot be split (AMQP 0-9-1 §4.2.6). */
  fits(message: Message): boolean {
    return message.propertiesBytes + CONTENT_HEADER_FIXED_BYTES <= this.#payloadMax
  }

  /** Writes basic.deliver with its content. */
  deliver(head: DeliveryHead, deliveryTag: number, redelivered: boolean, message: Message): void {
    head.address(message)
    const bodyBytes = message.bodyEnd - message.bodyStart
    const propertiesBytes = message.propertiesEnd - message.propertiesStart
    const inline = bodyBytes <= this.#payloadMax && bodyBytes < REFERENCE_BYTES
    const out = this.#out
    out.reserve(head.bytes + propertiesBytes + 2 * FRAME_OVERHEAD_BYTES + (inline ? bodyBytes : 0))
    const { buffer, view } = out
    let at = out.position
    head.write(view, at, deliveryTag, redelivered, propertiesBytes, bodyBytes)
    at = copy(buffer, at + head.bytes, message.properties, message.propertiesStart, message.propertiesEnd)
    view.setUint8(at++, FRAME_END)
    if (inline && bodyBytes > 0) {
      at = beginBody(view, at, head.channel, bodyBytes)
      at = copy(buffer, at, message.body, message.bodyStart, message.bodyEnd)
      view.setUint8(at++, FRAME_END)
    }
    out.position = at
    if (!inline) this.#body(head.channel, message)
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
      out.reserve(FRAME_OVERHEAD_BYTES)
      out.position = beginBody(out.view, out.position, channel, to - from)
      out.reference(message.body.subarray(from, to))
      out.reserve(1)
      out.buffer[out.position++] = FRAME_END
    }
  }
}

/** Writes the head of a body frame, and returns the position of its payload. */
function beginBody(view: DataView, at: number, channel: number, payloadBytes: number): number {
  view.setUint8(at, FRAME_BODY)
  view.setUint16(at + 1, channel)
  view.setUint32(at + 3, payloadBytes)
  return at + FRAME_HEADER_BYTES
}

/** What was copied from last: mostly the next is in the same page, and to ask a buffer for its memory is a slow call. */
const last: { source: Buffer; memory: ArrayBufferLike; offset: number } = {
  source: Buffer.alloc(0),
  memory: new ArrayBuffer(0),
  offset: 0,
}
/** More memory is not remembered, for it would be kept until the next. */
const REMEMBERED_BYTES_MAX = 256 * 1024

function copy(target: Buffer, at: number, source: Buffer, start: number, end: number): number {
  const length = end - start
  if (length > LOOP_COPY_BYTES) {
    if (source !== last.source) {
      const memory = source.buffer
      if (memory.byteLength > REMEMBERED_BYTES_MAX) return at + source.copy(target, at, start, end)
      last.source = source
      last.memory = memory
      last.offset = source.byteOffset
    }
    target.set(new Uint8Array(last.memory, last.offset + start, length), at)
    return at + length
  }
  for (let i = start; i < end; i++) target[at++] = source[i]!
  return at
}
