// Finds the frames in what a socket delivers, however it is cut (AMQP 0-9-1 §4.2.3).
import { binaryTerm } from './erlang-binary.ts'
import {
  CONTENT_HEADER_FIXED_BYTES,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER,
  FRAME_HEADER_BYTES,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
} from './frame.ts'
import { readUint16, readUint32 } from './method-arguments.ts'
import { WireError } from './wire-error.ts'

/** Takes what the frames carry, as `buffer[start, end)`: a view that is valid for the chunk that it came with. */
export interface FrameSink {
  /** A whole method payload, at least its two ids. */
  method(channel: number, buffer: Buffer, start: number, end: number): void
  /** A whole content header payload, at least its fixed part. Never on channel 0. */
  header(channel: number, buffer: Buffer, start: number, end: number): void
  /** A piece of a body payload, as much as has arrived; empty only for an empty frame. Never on channel 0. */
  body(channel: number, buffer: Buffer, start: number, end: number): void
}

/** RabbitMQ's limit before the peers have agreed on one. */
const INITIAL_FRAME_MAX = 8192

/** What a method or a header may take when the peers agreed on no limit. */
const GATHERED_BYTES_MAX = 1024 * 1024

const METHOD_BYTES_MIN = 4

/** As much of a bad frame as a text shows. */
const SNIPPET_BYTES = 16

/**
 *   frame ──► the frame is whole: it goes to the sink, and the next one begins
 *     │
 *     ├─► head ──► less than a frame header had arrived
 *     ├─► gather ──► a method or a header goes on in the next chunk
 *     └─► body ──► body-end ──► a body goes on, or only its end octet is missing
 */
type State = 'frame' | 'head' | 'gather' | 'body' | 'body-end' | 'stopped'

/**
 * Reads frames. A frame that is whole in its chunk is passed on as a view of it; what is split is gathered, except for
 * bodies, whose pieces are passed on as they come.
 */
export class FrameReader {
  /** The largest frame in bytes; 0 means no limit. RabbitMQ: payloads may be as long as the frame should be. */
  frameMax = INITIAL_FRAME_MAX

  #state: State = 'frame'
  #paused = false
  readonly #head = Buffer.alloc(FRAME_HEADER_BYTES)
  #headBytes = 0

  // The frame that is not complete.
  #type = 0
  #channel = 0
  #size = 0
  /** What is gathered of its payload and end octet. */
  #gathered: Buffer | null = null
  #gatheredBytes = 0
  /** How much of a body is still to come. */
  #bodyLeft = 0
  /** The beginning of a body, for the text of an error. */
  readonly #snippet = Buffer.alloc(SNIPPET_BYTES)
  #snippetBytes = 0

  /**
   * Reads a chunk from `start` on, calls the sink for what is in it, and returns how far it came: to the end, unless it
   * was paused. After an error, and when the sink throws, the rest of the chunk is lost: the connection cannot go on.
   * @throws WireError 501 or 505
   */
  read(chunk: Buffer, start: number, sink: FrameSink): number {
    let position = start
    while (position < chunk.length && !this.#paused) {
      switch (this.#state) {
        case 'frame':
          position = this.#frame(chunk, position, sink)
          break
        case 'head':
          position = this.#fillHead(chunk, position, sink)
          break
        case 'gather':
          position = this.#gather(chunk, position, sink)
          break
        case 'body':
          position = this.#bodyPiece(chunk, position, sink)
          break
        case 'body-end':
          this.#checkEnd(chunk[position]!, this.#snippet)
          this.#state = 'frame'
          position++
          break
        case 'stopped':
          return chunk.length
      }
    }
    return position
  }

  /** Reads nothing until `resume`; from within the sink, the frame that it was called for is the last. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
  }

  /** Reads nothing any more; also from within the sink, where it ends the loop at once. */
  stop(): void {
    this.#state = 'stopped'
    this.#gathered = null
  }

  #frame(chunk: Buffer, position: number, sink: FrameSink): number {
    if (chunk.length - position >= FRAME_HEADER_BYTES) {
      return this.#begin(chunk, position, chunk, position + FRAME_HEADER_BYTES, sink)
    }
    this.#state = 'head'
    this.#headBytes = chunk.copy(this.#head, 0, position)
    return chunk.length
  }

  #fillHead(chunk: Buffer, position: number, sink: FrameSink): number {
    const bytes = chunk.copy(this.#head, this.#headBytes, position)
    this.#headBytes += bytes
    if (this.#headBytes < FRAME_HEADER_BYTES) return chunk.length
    this.#state = 'frame'
    return this.#begin(this.#head, 0, chunk, position + bytes, sink)
  }

  /** Begins the frame whose header is in `head` and whose payload begins at `position`, perhaps in the next chunk. */
  #begin(head: Buffer, headAt: number, chunk: Buffer, position: number, sink: FrameSink): number {
    const type = head[headAt]!
    const channel = readUint16(head, headAt + 1)
    const size = readUint32(head, headAt + 3)
    this.#checkSize(type, size)
    const end = position + size
    if (end < chunk.length) {
      if (chunk[end] !== FRAME_END) throw this.#failed(badEnd(type, size, chunk.subarray(position, end), chunk[end]!))
      this.#pass(type, channel, chunk, position, end, sink)
      return end + 1
    }
    this.#type = type
    this.#channel = channel
    this.#size = size
    if (type === FRAME_BODY && channel !== 0) {
      this.#state = 'body'
      this.#bodyLeft = size
      this.#snippetBytes = 0
    } else {
      this.#state = 'gather'
      this.#gathered = Buffer.allocUnsafe(size + 1)
      this.#gatheredBytes = 0
    }
    return position
  }

  #gather(chunk: Buffer, position: number, sink: FrameSink): number {
    const gathered = this.#gathered!
    const bytes = chunk.copy(gathered, this.#gatheredBytes, position)
    this.#gatheredBytes += bytes
    if (this.#gatheredBytes < gathered.length) return chunk.length
    this.#checkEnd(gathered[this.#size]!, gathered)
    this.#state = 'frame'
    this.#gathered = null
    this.#pass(this.#type, this.#channel, gathered, 0, this.#size, sink)
    return position + bytes
  }

  #bodyPiece(chunk: Buffer, position: number, sink: FrameSink): number {
    const end = Math.min(chunk.length, position + this.#bodyLeft)
    this.#bodyLeft -= end - position
    this.#snippetBytes += chunk.copy(this.#snippet, this.#snippetBytes, position, end)
    if (this.#bodyLeft > 0) {
      sink.body(this.#channel, chunk, position, end)
      return end
    }
    // The last piece counts only once the end octet proved it, if that is here already.
    const ended = end < chunk.length
    if (ended) this.#checkEnd(chunk[end]!, this.#snippet)
    this.#state = ended ? 'frame' : 'body-end'
    sink.body(this.#channel, chunk, position, end)
    return ended ? end + 1 : end
  }

  #pass(type: number, channel: number, buffer: Buffer, start: number, end: number, sink: FrameSink): void {
    switch (type) {
      case FRAME_METHOD:
        if (end - start < METHOD_BYTES_MIN) break
        sink.method(channel, buffer, start, end)
        return
      case FRAME_HEADER:
        if (end - start < CONTENT_HEADER_FIXED_BYTES) break
        if (channel === 0) throw this.#failed(unexpected(type, buffer.subarray(start, end)))
        sink.header(channel, buffer, start, end)
        return
      case FRAME_BODY:
        if (channel === 0) throw this.#failed(unexpected(type, buffer.subarray(start, end)))
        sink.body(channel, buffer, start, end)
        return
      case FRAME_HEARTBEAT:
        if (end > start) break
        if (channel !== 0) throw this.#failed(unexpected(type, buffer.subarray(start, end)))
        return
    }
    throw this.#failed(frameError(type, end - start, buffer.subarray(start, end), 'unknown_frame'))
  }

  #checkSize(type: number, size: number): void {
    const max = this.frameMax !== 0 ? this.frameMax : type === FRAME_BODY ? Infinity : GATHERED_BYTES_MAX
    if (size <= max) return
    const reason = `{frame_too_large,${size},${max - FRAME_OVERHEAD_BYTES}}`
    throw this.#failed(frameError(type, 0, Buffer.alloc(0), reason))
  }

  /** Checks the end octet of the frame that was not complete. */
  #checkEnd(octet: number, payload: Buffer): void {
    if (octet !== FRAME_END) throw this.#failed(badEnd(this.#type, this.#size, payload, octet))
  }

  #failed(error: WireError): WireError {
    this.stop()
    return error
  }
}

function badEnd(type: number, size: number, payload: Buffer, octet: number): WireError {
  return frameError(type, size, payload, `{invalid_frame_end_marker,${octet}}`)
}

function frameError(type: number, size: number, payload: Buffer, reason: string): WireError {
  return new WireError(501, `type ${type}, ${octets(size, payload)}: ${reason}`)
}

function unexpected(type: number, payload: Buffer): WireError {
  return new WireError(505, `type ${type}, ${octets(payload.length, payload)}`)
}

/** The beginning of a payload of `size` octets, as RabbitMQ shows it. */
function octets(size: number, payload: Buffer): string {
  const which = size <= SNIPPET_BYTES ? 'all' : `first ${SNIPPET_BYTES}`
  return `${which} octets = ${binaryTerm(payload.subarray(0, Math.min(size, SNIPPET_BYTES)))}`
}
