// Runs random programs over a store on LevelDB, one after the other, and notes in the data directory what it does and
// what it was promised. The process that power-cut.test.ts watches: directory, seed, lives and turns are its arguments.
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Turn } from '../../src/lib/turn.ts'
import { LevelStore } from '../../src/store/level/level-store.ts'
import { SMALL_TABLES, failingMonitor, foundToJson } from './power-cut-marks.ts'
import { Random } from './random.ts'
import type { StoreEvent } from './store-model.ts'
import { StoreProgram } from './store-program.ts'

const [directory, seed, lives, turns] = process.argv.slice(2) as [string, string, string, string]
const random = new Random(Number(seed))
const marks = openSync(join(directory, 'marks'), 'a')

for (let life = 0; life < Number(lives); life++) {
  const options = { location: directory, turn: new Turn(), monitor: failingMonitor, tuning: SMALL_TABLES }
  const { store, definitions } = await LevelStore.open(options)
  void store.openLogs()
  const program = new StoreProgram(store, random.fork(), mark)
  writeSync(marks, foundToJson(await program.open(definitions)))
  for (let turn = 0; turn < Number(turns); turn++) {
    program.turn()
    if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve))
    if (random.chance(0.3)) await new Promise<void>((resolve) => store.whenDurable(resolve))
  }
  await store.close()
}

function mark(event: StoreEvent): void {
  writeSync(marks, `${JSON.stringify(event)}\n`)
}
