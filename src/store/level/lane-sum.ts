// The checksum of fragments: 32 bits that tell whether bytes are those that were written. Each of 32 lanes takes every
// 32nd word of four bytes, with zeros behind the last; the length and then the lanes go through the same round, and what
// comes out is the sum.
import { LANES_BYTES, MEMORY_BYTES, plainLanes, round } from './lanes.ts'
import { vectorLanes } from './vector-lanes.ts'

const { memory, take } = vectorLanes() ?? plainLanes()
const space = new Uint8Array(memory)
const states = new DataView(memory, 0, LANES_BYTES)

/** What the lanes begin with: no two with the same. */
const BEGINNING = new Uint8Array(LANES_BYTES).map((_, at) => at)
/** What they take in one go, at the most. */
const PART_BYTES = MEMORY_BYTES - LANES_BYTES

/**
 * The sum of the bytes from one offset up to another, 0 to 2^32 - 1. Damage within a word of four bytes, counted from the
 * first, is found for certain, any other but for one in 2^32. It is no help against somebody who wants the same sum.
 */
export function laneSum(bytes: Uint8Array, from: number, to: number): number {
  space.set(BEGINNING, 0)
  for (let at = from; at < to; at += PART_BYTES) {
    const part = bytes.subarray(at, Math.min(at + PART_BYTES, to))
    space.set(part, LANES_BYTES)
    const end = LANES_BYTES + part.length
    const full = Math.ceil(end / LANES_BYTES) * LANES_BYTES
    space.fill(0, end, full)
    take(LANES_BYTES, full)
  }
  let sum = to - from
  for (let at = 0; at < LANES_BYTES; at += 4) sum = round(sum, states.getInt32(at, true))
  return sum >>> 0
}
