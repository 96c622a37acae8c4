// Writes frames into whatever gathers the output of a turn (AMQP 0-9-1 §4.2.3).
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

/** Where frames are written to: a slab, or anything that grows. */
export interface FrameOutput {
  buffer: Buffer
  /** Where the next byte goes. */
  position: number
  /** Makes room for this many bytes on end at `buffer[position]`; may replace both of them. */
  reserve(bytes: number): void
}

const CLASS_BASIC = 60

/** Up to here a loop copies quicker than a call into native code does. */
const LOOP_COPY_MAX = 64

/** Writes the head of a method frame, its size left open, and returns the position of the arguments. */
export function beginMethod(buffer: Buffer, start: number, channel: number, method: number): number {
  buffer[start] = FRAME_METHOD
  buffer[start + 1] = channel >>> 8
  buffer[start + 2] = channel
  writeUint32(buffer, start + FRAME_HEADER_BYTES, method)
  return start + FRAME_HEADER_BYTES + 4
}

/** Fills in the size of the frame that begins at `start`, ends it, and returns the position behind it. */
export function endFrame(buffer: Buffer, start: number, position: number): number {
  writeUint32(buffer, start + 3, position - start - FRAME_HEADER_BYTES)
  buffer[position] = FRAME_END
  return position + 1
}

/**
 * Writes a content header frame. `properties[start, end)` are property flags and values as they stand on the wire.
 * The frame cannot be split: the caller sees to it that properties fit the peer's frame-max.
 */
export function writeContentHeader(
  out: FrameOutput,
  channel: number,
  bodyBytes: number,
  properties: Buffer,
  start: number,
  end: number,
): void {
  const payloadBytes = CONTENT_HEADER_FIXED_BYTES + end - start
  out.reserve(FRAME_OVERHEAD_BYTES + payloadBytes)
  const buffer = out.buffer
  let position = writeFrameHeader(buffer, out.position, FRAME_HEADER, channel, payloadBytes)
  position = writeUint16(buffer, position, CLASS_BASIC)
  position = writeUint16(buffer, position, 0)
  position = writeUint64(buffer, position, bodyBytes)
  position = copyBytes(properties, start, end, buffer, position)
  buffer[position] = FRAME_END
  out.position = position + 1
}

/**
 * Writes `body[start, end)` as body frames of at most `frameMax` bytes each, overhead included; as one frame when
 * `frameMax` is 0, which means no limit. An empty body has no frames.
 */
export function writeBody(
  out: FrameOutput,
  channel: number,
  body: Buffer,
  start: number,
  end: number,
  frameMax: number,
): void {
  const pieceMax = frameMax === 0 ? end - start : frameMax - FRAME_OVERHEAD_BYTES
  while (start < end) {
    const pieceEnd = Math.min(end, start + pieceMax)
    const bytes = pieceEnd - start
    out.reserve(FRAME_OVERHEAD_BYTES + bytes)
    const buffer = out.buffer
    let position = writeFrameHeader(buffer, out.position, FRAME_BODY, channel, bytes)
    position = copyBytes(body, start, pieceEnd, buffer, position)
    buffer[position] = FRAME_END
    out.position = position + 1
    start = pieceEnd
  }
}

/** Writes a heartbeat frame. */
export function writeHeartbeat(out: FrameOutput): void {
  out.reserve(FRAME_OVERHEAD_BYTES)
  const position = writeFrameHeader(out.buffer, out.position, FRAME_HEARTBEAT, 0, 0)
  out.buffer[position] = FRAME_END
  out.position = position + 1
}

/** Writes two octets, the high one first, and returns the position behind them. */
export function writeUint16(buffer: Buffer, position: number, value: number): number {
  buffer[position] = value >>> 8
  buffer[position + 1] = value
  return position + 2
}

/** The same with four. */
export function writeUint32(buffer: Buffer, position: number, value: number): number {
  buffer[position] = value >>> 24
  buffer[position + 1] = value >>> 16
  buffer[position + 2] = value >>> 8
  buffer[position + 3] = value
  return position + 4
}

/** Writes an unsigned 64-bit integer; a bigint when it is above 2^53. */
export function writeUint64(buffer: Buffer, position: number, value: number | bigint): number {
  if (typeof value === 'bigint') return buffer.writeBigUInt64BE(value, position)
  // Most values are small: then the upper half need not be divided out.
  writeUint32(buffer, position, value <= 0xffffffff ? 0 : Math.floor(value / 0x100000000))
  return writeUint32(buffer, position + 4, value)
}

/** Writes type, channel and size of a frame, and returns the position of its payload. */
function writeFrameHeader(
  buffer: Buffer,
  position: number,
  type: number,
  channel: number,
  payloadBytes: number,
): number {
  buffer[position] = type
  writeUint16(buffer, position + 1, channel)
  return writeUint32(buffer, position + 3, payloadBytes)
}

function copyBytes(from: Buffer, start: number, end: number, to: Buffer, position: number): number {
  if (end - start > LOOP_COPY_MAX) from.copy(to, position, start, end)
  else for (let i = start, j = position; i < end; i++, j++) to[j] = from[i]!
  return position + end - start
}
