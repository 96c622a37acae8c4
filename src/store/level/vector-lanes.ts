// The lanes of the checksum in WebAssembly: four of them are one vector, which processors compute with at once. The module
// has one function, which is the same for each vector: so its bytes are put together here.
import { LANES_BYTES, MEMORY_BYTES, STATE_PRIME, TURNED_BITS, WORD_PRIME, type Lanes } from './lanes.ts'

/** Four lanes. */
const VECTOR_BYTES = 16
const VECTORS = LANES_BYTES / VECTOR_BYTES
const MEMORY_PAGES = MEMORY_BYTES / 65_536

/** What the standard library has of WebAssembly is described with the DOM only. */
declare const WebAssembly: {
  readonly validate: (code: Uint8Array) => boolean
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly take: Lanes['take']
}

/** Instructions and types by their numbers (WebAssembly core specification, version 2, sections 5.3 and 5.4). */
const Op = {
  loop: 0x03,
  branchIf: 0x0d,
  end: 0x0b,
  get: 0x20,
  set: 0x21,
  constant: 0x41,
  add: 0x6a,
  less: 0x49,
} as const
const Vector = { load: 0, store: 11, splat: 17, or: 80, left: 171, right: 173, add: 174, multiply: 181 } as const
const Type = { i32: 0x7f, v128: 0x7b, function: 0x60, none: 0x40 } as const

/** A number in as many groups of seven bits as it takes (LEB128). */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]
}

/** A number of 32 bits with a sign, in the same groups. */
function signed(value: number): number[] {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)]
}

/** Bytes and pieces of several, one behind the other. */
const code = (...pieces: (number | number[])[]): number[] => pieces.flat()
const get = (local: number): number[] => [Op.get, local]
const set = (local: number): number[] => [Op.set, local]
const constant = (value: number): number[] => code(Op.constant, signed(value | 0))
const vector = (instruction: number): number[] => code(0xfd, unsigned(instruction))
/** The offset is beside the address, as is that it need not be aligned to more than one byte. */
const access = (instruction: number, offset: number): number[] => code(vector(instruction), 0, unsigned(offset))

/** The parameters and local variables of `take`: numbers in the order in which they are declared. */
const FROM = 0
const TO = 1
const WORD_PRIMES = 2
const STATE_PRIMES = 3
const STATES = 4

/** The instructions that `of` gives for each vector of lanes and where it is among the lanes' bytes. */
function each(of: (state: number, offset: number) => number[]): number[] {
  return Array.from({ length: VECTORS }, (_, i) => of(STATES + i, i * VECTOR_BYTES)).flat()
}

/** Puts one constant into all lanes of a vector. */
const fill = (local: number, value: number): number[] => code(constant(value), vector(Vector.splat), set(local))
const load = (state: number, offset: number): number[] => code(constant(0), access(Vector.load, offset), set(state))
const store = (state: number, offset: number): number[] => code(constant(0), get(state), access(Vector.store, offset))

/** state = ((state + word * WORD_PRIME) turned by TURNED_BITS) * STATE_PRIME */
function round(state: number, offset: number): number[] {
  const product = code(get(FROM), access(Vector.load, offset), get(WORD_PRIMES), vector(Vector.multiply))
  const sum = code(get(state), product, vector(Vector.add), set(state))
  const left = code(get(state), constant(TURNED_BITS), vector(Vector.left))
  const right = code(get(state), constant(32 - TURNED_BITS), vector(Vector.right))
  return code(sum, left, right, vector(Vector.or), get(STATE_PRIMES), vector(Vector.multiply), set(state))
}

const TAKE = code(
  fill(WORD_PRIMES, WORD_PRIME),
  fill(STATE_PRIMES, STATE_PRIME),
  each(load),
  [Op.loop, Type.none],
  each(round),
  code(get(FROM), constant(LANES_BYTES), Op.add, set(FROM)),
  code(get(FROM), get(TO), Op.less, Op.branchIf, 0, Op.end),
  each(store),
  Op.end,
)

const sized = (bytes: number[]): number[] => code(unsigned(bytes.length), bytes)
const section = (id: number, bytes: number[]): number[] => code(id, sized(bytes))
const named = (name: string): number[] => sized([...Buffer.from(name)])

/** A module: one type, one function of it, a memory that does not grow, their names, the function's instructions. */
function moduleOf(instructions: number[]): Uint8Array {
  const bytes = code(
    [...Buffer.from('\0asm'), 1, 0, 0, 0],
    section(1, [1, Type.function, 2, Type.i32, Type.i32, 0]),
    section(3, [1, 0]),
    section(5, code(1, 1, unsigned(MEMORY_PAGES), unsigned(MEMORY_PAGES))),
    section(7, code(2, named('memory'), 2, 0, named('take'), 0, 0)),
    section(10, code(1, sized(code(1, unsigned(2 + VECTORS), Type.v128, instructions)))),
  )
  return Uint8Array.from(bytes)
}

/**
 * Lanes whose words are taken by WebAssembly. Null where there is none (`--jitless`), where it has no vectors, so that not
 * even a function which only declares some is valid, and where address space is limited to less than its memory takes.
 */
export function vectorLanes(): Lanes | null {
  if (typeof WebAssembly === 'undefined' || !WebAssembly.validate(moduleOf([Op.end]))) return null
  const module = new WebAssembly.Module(moduleOf(TAKE))
  try {
    const { memory, take } = new WebAssembly.Instance(module).exports as Exports
    return { memory: memory.buffer, take }
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}
