// Programs run on two brokers side by side, and what differs between them, made small.
import { partsByDrop, partsByHistory } from './differences.ts'
import { programOf, type Program } from './program.ts'
import type { Runner } from './runner.ts'

/** How often a program is run again before a difference is believed: RabbitMQ's processes may race each other. */
const CONFIRMATIONS = 3
/** So many programs are tried to make one that shows a difference smaller. */
const SHRINKS_MAX = 150
/** What comes later has come of it. */
const DESCRIBED_LINES_MAX = 20

/** RabbitMQ and Leveret. */
export type Pair = readonly [expected: Runner, actual: Runner]

/** A program on which the brokers differ, and what was seen of it. */
export interface Difference {
  readonly program: Program
  readonly expected: readonly string[]
  readonly actual: readonly string[]
  /** Whether they are meant to; see differences.ts. */
  readonly meant: boolean
}

/** Runs the programs of these seeds, several at a time: one for each pair. Tells of each that differs, shrunk. */
export async function compare(
  seeds: {
    readonly first: number
    readonly count: number
    readonly differencesMax: number
    readonly shrink: boolean
  },
  pairs: readonly Pair[],
  tell: (difference: Difference) => void,
): Promise<void> {
  let next = seeds.first
  let found = 0
  await Promise.all(
    pairs.map(async (pair) => {
      while (next < seeds.first + seeds.count && found < seeds.differencesMax) {
        const difference = await differenceOf(programOf(next++), pair)
        if (difference === null) continue
        if (!difference.meant) found++
        tell(seeds.shrink && !difference.meant ? await shrunk(difference, pair) : difference)
      }
    }),
  )
}

/** The two transcripts, as a failing test shows them: once as far as they are the same, and the rest of each. */
export function described({ program, expected, actual }: Difference): string {
  const parting = expected.findIndex((line, i) => line !== actual[i])
  const at = parting < 0 ? expected.length : parting
  const rest = (lines: readonly string[]): readonly string[] => lines.slice(at, at + DESCRIBED_LINES_MAX)
  const parts = [`seed ${program.seed}`, ...expected.slice(0, at)]
  return [...parts, '--- RabbitMQ', ...rest(expected), '--- Leveret', ...rest(actual)].join('\n')
}

/** What differs, unless the first broker does not agree with itself, or the second agrees on another day. */
export async function differenceOf(program: Program, [one, other]: Pair): Promise<Difference | null> {
  let difference: Difference | null = null
  const seen = new Set<string>()
  for (let i = 0; i <= CONFIRMATIONS; i++) {
    const [expected, actual] = await Promise.all([one.transcriptOf(program), other.transcriptOf(program)])
    seen.add(expected.join('\n'))
    if (seen.has(actual.join('\n'))) return null
    difference = { program, expected, actual, meant: partsByDrop(expected, actual) }
  }
  if (difference === null || difference.meant) return difference
  return { ...difference, meant: await turnsAround(difference, [one, other]) }
}

/** Whether RabbitMQ has turned histories around: what the queues hold after the step in which the transcripts part shows it. */
async function turnsAround({ program, expected, actual }: Difference, [one, other]: Pair): Promise<boolean> {
  const same = expected.slice(
    0,
    expected.findIndex((line, i) => line !== actual[i]),
  )
  const steps = same.filter((line) => /^\d+: /.test(line)).length
  const cut = { ...program, steps: program.steps.slice(0, steps) }
  const transcripts = await Promise.all([one.transcriptOf(cut), other.transcriptOf(cut)])
  return partsByHistory(...transcripts)
}

/**
 * The same difference, or another, with as few steps as can be found. Of a program with quorum queues only the end can be
 * left out: what comes before keeps them from what is meant to differ.
 */
async function shrunk(difference: Difference, pair: Pair): Promise<Difference> {
  let smallest = difference
  let tries = 0
  for (let length = difference.program.steps.length >> 1; length >= 1; length >>= 1) {
    const first = difference.program.quorum ? smallest.program.steps.length - length : 0
    for (let at = first; at >= 0 && at < smallest.program.steps.length && tries < SHRINKS_MAX; tries++) {
      const steps = smallest.program.steps.toSpliced(at, length)
      const smaller = await differenceOf({ ...smallest.program, steps }, pair)
      if (smaller === null || smaller.meant) at += length
      else smallest = smaller
    }
  }
  return smallest
}
