// The checksum of fragments: what WebAssembly computes with eight vectors, and what is computed without it, is what the
// definition says.
import { describe, expect, it, vi } from 'vitest'
import { plainLanes } from '../../../src/store/level/lanes.ts'
import { vectorLanes } from '../../../src/store/level/vector-lanes.ts'

/** The sum as it is computed where there is WebAssembly, or where there is none. */
async function laneSumWith(webAssembly: unknown): Promise<(bytes: Buffer, from: number, to: number) => number> {
  vi.stubGlobal('WebAssembly', webAssembly)
  vi.resetModules()
  try {
    return (await import('../../../src/store/level/lane-sum.ts')).laneSum
  } finally {
    vi.unstubAllGlobals()
  }
}

const LANES = 32
const TAKEN_BYTES = LANES * 4
/** What is summed in one go. */
const PART_BYTES = 2 * 65_536 - TAKEN_BYTES

/** The round of XXH32. */
function round(state: number, word: number): number {
  const sum = (state + Math.imul(word, 0x85ebca77)) | 0
  return Math.imul((sum << 13) | (sum >>> 19), 0x9e3779b1)
}

/** The definition, one word after the other. */
function defined(bytes: Buffer): number {
  const padded = Buffer.alloc(Math.ceil(bytes.length / TAKEN_BYTES) * TAKEN_BYTES)
  bytes.copy(padded)
  const lanes = Array.from({ length: LANES }, (_, i) => 0x03020100 + i * 0x04040404)
  for (let at = 0; at < padded.length; at += 4) {
    const lane = (at / 4) % LANES
    lanes[lane] = round(lanes[lane]!, padded.readInt32LE(at))
  }
  return lanes.reduce(round, bytes.length) >>> 0
}

/** Bytes that look like chance and are the same each time. */
function someBytes(length: number): Buffer {
  let state = 1
  return Buffer.from(Uint8Array.from({ length }, () => (state = (Math.imul(state, 1_103_515_245) + 12_345) | 0) >>> 16))
}

const { WebAssembly: real } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly validate: (code: Uint8Array) => boolean
    readonly Module: unknown
    readonly CompileError: new (message: string) => Error
  }
}
const withoutMemory = {
  validate: real.validate,
  Module: real.Module,
  Instance: function Instance() {
    throw new RangeError('Out of memory')
  },
}

describe.each([
  ['with vectors', await laneSumWith(real)],
  ['without WebAssembly', await laneSumWith(undefined)],
  ['without vectors', await laneSumWith({ validate: () => false })],
  ['without memory for it', await laneSumWith(withoutMemory)],
])('the sum of lanes %s', (_, laneSum) => {
  it('is part of the format', () => {
    expect(laneSum(Buffer.from('leveret'), 0, 7)).toBe(defined(Buffer.from('leveret')))
    expect(laneSum(Buffer.from('leveret'), 0, 7)).toBe(773_948_686)
    expect(laneSum(Buffer.alloc(0), 0, 0)).toBe(defined(Buffer.alloc(0)))
  })

  it.each([1, 3, 4, 127, 128, 129, 1000, 65_536, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 300_007])(
    'is as defined for %i bytes',
    (length) => {
      const bytes = someBytes(length + 20)
      expect(laneSum(bytes, 13, 13 + length)).toBe(defined(bytes.subarray(13, 13 + length)))
    },
  )

  it('is of nothing but what lies between the offsets', () => {
    const bytes = someBytes(200)
    const sum = laneSum(bytes, 20, 150)
    bytes[19]! ^= 1
    bytes[150]! ^= 1
    expect(laneSum(bytes, 20, 150)).toBe(sum)
    expect(laneSum(bytes.subarray(20, 150), 0, 130)).toBe(sum)
  })

  it('differs wherever a bit is turned, or two are', () => {
    const bytes = someBytes(300)
    const sums = new Set([laneSum(bytes, 0, 300)])
    const turn = (bit: number) => (bytes[bit >> 3]! ^= 1 << (bit & 7))
    for (let bit = 0; bit < 2400; bit++) {
      turn(bit)
      sums.add(laneSum(bytes, 0, 300))
      turn(bit)
    }
    expect(sums.size).toBe(2401)
    const pairs = new Set([laneSum(bytes, 0, 300)])
    for (let first = 0; first < 2400; first += 31) {
      turn(first)
      for (let second = first + 1; second < 2400; second += 31) {
        turn(second)
        pairs.add(laneSum(bytes, 0, 300))
        turn(second)
      }
      turn(first)
    }
    expect(pairs.size).toBe(3082)
  })

  it('differs when words change places, in one lane or in two', () => {
    const bytes = someBytes(512)
    const sums = new Set([laneSum(bytes, 0, 512)])
    const swap = (one: number, other: number) => {
      const word = bytes.readInt32LE(one)
      bytes.writeInt32LE(bytes.readInt32LE(other), one)
      bytes.writeInt32LE(word, other)
    }
    for (let one = 0; one < 256; one += 4) {
      for (const other of [one + 4, one + 16, one + TAKEN_BYTES]) {
        swap(one, other)
        sums.add(laneSum(bytes, 0, 512))
        swap(one, other)
      }
    }
    expect(sums.size).toBe(193)
  })

  it('differs with the number of zeros', () => {
    const zeros = Buffer.alloc(500)
    const sums = Array.from(zeros.keys(), (index) => laneSum(zeros, 0, index + 1))
    expect(new Set(sums).size).toBe(500)
  })

  it('does not see what was summed before', () => {
    const long = someBytes(PART_BYTES + 77)
    const sum = laneSum(long, 0, long.length)
    const short = laneSum(long, 0, 5)
    laneSum(Buffer.alloc(PART_BYTES, 0xff), 0, PART_BYTES)
    expect(laneSum(long, 0, 5)).toBe(short)
    expect(laneSum(long, 0, long.length)).toBe(sum)
  })
})

it('is not computed at all when the module is wrong', async () => {
  const broken = {
    validate: real.validate,
    Module: function Module() {
      throw new real.CompileError('not a module')
    },
  }
  await expect(laneSumWith(broken)).rejects.toThrow('not a module')
})

it('is not computed at all when the module fails for another reason than memory', async () => {
  const broken = {
    validate: real.validate,
    Module: real.Module,
    Instance: function Instance() {
      throw new TypeError('nothing to import')
    },
  }
  await expect(laneSumWith(broken)).rejects.toThrow('nothing to import')
})

it('is computed by WebAssembly where there is any', () => {
  const vectors = vectorLanes()!
  const states = [vectors, plainLanes()].map(({ memory, take }) => {
    new Uint8Array(memory).set(someBytes(128 * 5))
    take(128, 128 * 5)
    return Buffer.from(memory, 0, 128).toString('hex')
  })
  expect(states[0]).toBe(states[1])
  expect(String(vectors.take)).toContain('[native code]')
})
