// Programs run on two brokers side by side, and what differs between them, made small.
import type { Peer } from './client.ts'
import { programOf, type Program } from './program.ts'
import { transcriptOf } from './runner.ts'

/** How often a program is run again before a difference is believed: RabbitMQ's processes may race each other. */
const CONFIRMATIONS = 3
/** So many programs are tried to make one that shows a difference smaller. */
const SHRINKS_MAX = 150

/** A program on which the brokers differ, and what was seen of it. */
export interface Difference {
  readonly program: Program
  readonly expected: readonly string[]
  readonly actual: readonly string[]
}

/** Runs the programs of these seeds, several at a time: one for each pair. Returns the first that differs, shrunk. */
export async function firstDifference(
  seeds: { readonly first: number; readonly count: number },
  pairs: readonly (readonly [expected: Peer, actual: Peer])[],
): Promise<Difference | null> {
  let next = seeds.first
  let found: Difference | null = null
  await Promise.all(
    pairs.map(async (pair) => {
      while (found === null && next < seeds.first + seeds.count) {
        const difference = await differenceOf(programOf(next++), pair)
        if (difference !== null) found ??= await shrunk(difference, pair)
      }
    }),
  )
  return found
}

/** The two transcripts, as a failing test shows them. */
export function described({ program, expected, actual }: Difference): string {
  const at = expected.findIndex((line, i) => line !== actual[i])
  const mark = (lines: readonly string[]): string =>
    lines.map((line, i) => `${i === at ? '>' : ' '} ${line}`).join('\n')
  return `seed ${program.seed}\n--- RabbitMQ\n${mark(expected)}\n--- Leveret\n${mark(actual)}`
}

/** What differs, unless the first broker does not agree with itself, or the second agrees on another day. */
async function differenceOf(program: Program, [one, other]: readonly [Peer, Peer]): Promise<Difference | null> {
  let difference: Difference | null = null
  const seen = new Set<string>()
  for (let i = 0; i <= CONFIRMATIONS; i++) {
    const [expected, actual] = await Promise.all([transcriptOf(program, one), transcriptOf(program, other)])
    seen.add(expected.join('\n'))
    if (seen.has(actual.join('\n'))) return null
    difference = { program, expected, actual }
  }
  return difference
}

/** The same difference, or another, with as few steps as can be found. */
async function shrunk(difference: Difference, pair: readonly [Peer, Peer]): Promise<Difference> {
  let smallest = difference
  let tries = 0
  for (let length = difference.program.steps.length >> 1; length >= 1; length >>= 1) {
    for (let at = 0; at < smallest.program.steps.length && tries < SHRINKS_MAX; tries++) {
      const steps = smallest.program.steps.toSpliced(at, length)
      const smaller = await differenceOf({ ...smallest.program, steps }, pair)
      if (smaller === null) at += length
      else smallest = smaller
    }
  }
  return smallest
}
