// The power goes while LevelDB writes. What the process did to its files is journalled below it, and from the journal
// the disk is rebuilt as it may be found after a cut at any moment: each file with some of what was written since it was
// last synced, the last write torn, and the directory without what was not synced of it. A store must open on each of
// these disks, with everything that was confirmed by then.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { expect, it } from 'vitest'
import { Turn } from '../../src/lib/turn.ts'
import { LevelStore } from '../../src/store/level/level-store.ts'
import { type DirectoryPromise, JournalledDirectory, readFiles, writeFiles } from './power-cut-journal.ts'
import { type Mark, SMALL_TABLES, failingMonitor, modelAfter, parseMark } from './power-cut-marks.ts'
import type { Random } from './random.ts'
import { scratchDirectory } from './scratch.ts'
import { seeds, withSeed } from './seeds.ts'
import type { FoundState } from './store-model.ts'
import { StoreProgram } from './store-program.ts'

const SHIM = 'power-cut.so'
/** Each run is a process that is watched, and another one that goes on from what a power cut left of it. */
const RUNS = seeds(2, 'TEST_POWER_CUT_RUNS')
const CUTS = Number(process.env['TEST_POWER_CUTS'] ?? 80)
/** The turns of each of the two. */
const GENERATIONS = [200, 60] as const
/** What a cut may take, with what its disk is made of: five times as long as on two processors that do nothing else. */
const PATIENCE_MS = 1_000
/** `TEST_POWER_CUT_DIRECTORIES=none` shows what LevelDB takes for granted. */
const PROMISES = (process.env['TEST_POWER_CUT_DIRECTORIES']?.split(',') ?? [
  'journal',
  'own name',
]) as readonly DirectoryPromise[]

const why = process.platform !== 'linux' ? 'only on Linux' : compiles() ? '' : 'there is no C compiler that works'

it.skipIf(why !== '')(
  `opens with everything that was confirmed after a power cut at any moment${why && ` (skipped: ${why})`}`,
  async () => {
    const home = scratchDirectory()
    compile(join(import.meta.dirname, 'power-cut.c'), join(home, SHIM))
    const tally = { cuts: 0, messages: 0 }
    for (const seed of RUNS) await withSeed(seed, (random) => generations(home, random, tally))
    expect(tally.cuts).toBeGreaterThanOrEqual(CUTS)
    expect(tally.messages).toBeGreaterThan(0)
  },
  60_000 + RUNS.length * GENERATIONS.length * CUTS * PATIENCE_MS,
)

/** Whether something quite small can be compiled. */
function compiles(): boolean {
  const input = '#include <stdio.h>\nint main(void) { return 0; }\n'
  return spawnSync('cc', ['-x', 'c', '-', '-o', '/dev/null'], { input }).status === 0
}

function compile(source: string, library: string): void {
  execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl'])
}

interface Tally {
  cuts: number
  messages: number
}

/** A store that starts from nothing, and then one that starts from what a power cut left of it. */
async function generations(home: string, random: Random, tally: Tally): Promise<void> {
  let disk = new Map<string, Buffer>()
  let marks: readonly Mark[] = []
  for (const turns of GENERATIONS) {
    const directory = runChild(home, random, disk, turns)
    // A database is made, or opened, in few steps, and each of them matters.
    const cut = () => random.int(0, random.chance(0.2) ? 50 : directory.length)
    const cuts = Array.from({ length: CUTS }, cut).toSorted((a, b) => a - b)
    const noted = [...marks]
    let next = disk
    for (const at of cuts) {
      directory.advance(at)
      const promise = random.pick(PROMISES)
      const crashed = directory.crashed(random, promise)
      for (const line of directory.takeMarks()) noted.push(parseMark(line))
      const found = await expectOpens(
        join(home, 'image'),
        crashed,
        noted,
        `cut ${at} of ${directory.length}, ${promise}`,
      )
      tally.cuts++
      for (const { messages } of found.logs.values()) tally.messages += messages.size
      if (!random.chance(0.1)) continue
      next = crashed
      marks = [...noted]
    }
    disk = next
  }
}

/** Runs a program on a disk and returns what it did. */
function runChild(home: string, random: Random, disk: ReadonlyMap<string, Buffer>, turns: number): JournalledDirectory {
  const directory = join(home, 'data')
  const journal = join(home, 'journal')
  rmSync(directory, { recursive: true, force: true })
  rmSync(journal, { force: true })
  mkdirSync(directory)
  writeFiles(directory, disk)
  const script = join(import.meta.dirname, 'power-cut-child.ts')
  const words = ['--import', 'tsx', script, directory, String(random.int(1, 1_000_000)), '2', String(turns)]
  const env = {
    ...process.env,
    LD_PRELOAD: join(home, SHIM),
    POWER_CUT_DIRECTORY: directory,
    POWER_CUT_JOURNAL: journal,
  }
  execFileSync(process.execPath, words, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const bytes = readFileSync(journal)
  const complete = new JournalledDirectory(bytes, disk)
  complete.advance(complete.length)
  // The journal tells all that happened, or the disks that are made from it are not worth much.
  expect(isDeepStrictEqual(complete.files(), readFiles(directory))).toBe(true)
  return new JournalledDirectory(bytes, disk)
}

/** A store opens on the disk, and holds what it was promised to. */
async function expectOpens(
  location: string,
  disk: ReadonlyMap<string, Buffer>,
  marks: readonly Mark[],
  where: string,
): Promise<FoundState> {
  rmSync(location, { recursive: true, force: true })
  writeFiles(location, disk)
  try {
    const model = modelAfter(marks)
    const options = { location, turn: new Turn(), monitor: failingMonitor, tuning: SMALL_TABLES }
    const { store, definitions } = await LevelStore.open(options)
    const program = new StoreProgram(store, { pick: <T>(items: readonly T[]) => items[0]! } as Random, () => undefined)
    const found = await program.open(definitions, model.logs)
    await store.close()
    model.opened(found)
    return found
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error })
  }
}
