// One byte of a database is changed, anywhere. The store says that it cannot be opened, in a sentence, or it serves
// what is left and tells of the rest; it never ends, and what it serves is what was stored.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Turn } from '../../src/lib/turn.ts'
import { LevelStore } from '../../src/store/level/level-store.ts'
import type { DamageOutcome } from './damage-outcome.ts'
import { SMALL_TABLES, failingMonitor } from './power-cut-marks.ts'
import { Random } from './random.ts'
import { scratchDirectory } from './scratch.ts'
import { seeds } from './seeds.ts'
import { StoreProgram } from './store-program.ts'

const COUNT = 200

it(
  'serves what is left of a damaged database and tells of the rest, or says that it cannot be opened',
  async () => {
    const home = scratchDirectory()
    const original = join(home, 'original')
    await makeStore(original)

    const wanted = seeds(COUNT)
    const outcomes = run(home, wanted[0]!, wanted.at(-1)! + 1)
    expect(outcomes.map(({ seed }) => seed)).toEqual(wanted)
    expect(outcomes.flatMap((outcome) => faultOf(original, outcome))).toEqual([])
    if (wanted.length < COUNT) return
    expect(outcomes.some(({ refused }) => refused !== null)).toBe(true)
    expect(outcomes.some(({ told, difference }) => told.length > 0 && difference !== null)).toBe(true)
  },
  60_000 + seeds(COUNT).length * 1_000,
)

/** A store with messages in tables of several levels and in the journal, and with holes in its pages. */
async function makeStore(location: string): Promise<void> {
  const random = new Random(7)
  for (const piles of [0, 40]) {
    const options = { location, turn: new Turn(), monitor: failingMonitor, tuning: SMALL_TABLES }
    const { store, definitions } = await LevelStore.open(options)
    const program = new StoreProgram(store, random.fork(), () => undefined)
    await program.open(definitions)
    for (let turn = 0; turn < 150 + piles; turn++) {
      if (turn < 150) program.turn()
      else program.pile()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await store.close()
  }
}

/** Damages the store once for each seed, in another process. */
function run(home: string, from: number, below: number): DamageOutcome[] {
  const work = join(home, 'work')
  mkdirSync(work)
  const script = join(import.meta.dirname, 'damage-child.ts')
  const words = ['--import', 'tsx', script, join(home, 'original'), work, String(from), String(below)]
  const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', maxBuffer: 2 ** 30 })
  const outcomes = stdout.split('\n').slice(0, -1)
  // The process that ends before its last seed says why.
  expect(stderr, `with TEST_SEED=${from + outcomes.length}`).toBe('')
  return outcomes.map((line) => JSON.parse(line) as DamageOutcome)
}

/** What is wrong with an outcome, if anything. */
function faultOf(original: string, { seed, where, at, told, refused, difference }: DamageOutcome): readonly string[] {
  const what = `with TEST_SEED=${seed}: ${where} at ${at}`
  if (refused !== null) {
    return /^The store in \S+ (is damaged|cannot be opened): [^\n]+\.$/.test(refused) ? [] : [`${what}: ${refused}`]
  }
  if (difference === null || told.length > 0) return []
  // What follows damage here looks as if the power had gone while it was written.
  const journal = /^MANIFEST-|\.log$/.test(where) && at >= lastBlockOf(join(original, where))
  return journal ? [] : [`${what}: ${difference}, and nobody was told`]
}

/** LevelDB takes what it cannot read behind this for something that was not completely written. */
function lastBlockOf(journal: string): number {
  const { length } = readFileSync(journal)
  return length - (length % (32 * 1024))
}
