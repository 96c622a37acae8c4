// Opens a store once for each seed, each time with one byte of its files changed, and prints what came of it, a line a
// seed. A process of its own: LevelDB ends the process when it finds what it thinks impossible.
import { cpSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LostMessages } from '../../src/core/ports.ts'
import { Turn } from '../../src/lib/turn.ts'
import { StoreOpenError } from '../../src/store/level/database.ts'
import { LevelStore } from '../../src/store/level/level-store.ts'
import type { DamageOutcome } from './damage-outcome.ts'
import { SMALL_TABLES, failingMonitor } from './power-cut-marks.ts'
import { Random } from './random.ts'
import type { FoundState } from './store-model.ts'
import { StoreProgram } from './store-program.ts'

const [original, location, from, below] = process.argv.slice(2) as [string, string, string, string]

const whole = await openIntact()
for (let seed = Number(from); seed < Number(below); seed++) {
  process.stdout.write(`${JSON.stringify(await outcome(seed))}\n`)
}

/** What the store holds when nothing is damaged. */
async function openIntact(): Promise<FoundState> {
  copyOriginal()
  const options = { location, turn: new Turn(), monitor: failingMonitor, tuning: SMALL_TABLES }
  const { store, definitions } = await LevelStore.open(options)
  const found = await new StoreProgram(store, new Random(0), () => undefined).open(definitions)
  await store.close()
  return found
}

async function outcome(seed: number): Promise<DamageOutcome> {
  const random = new Random(seed)
  copyOriginal()
  const place = damage(random)
  const told: string[] = []
  try {
    const found = await serve(random, told)
    return { seed, ...place, told, refused: null, difference: differenceTo(found) }
  } catch (error) {
    if (!(error instanceof StoreOpenError)) throw error
    return { seed, ...place, told, refused: error.message, difference: null }
  }
}

/** Opens the store, looks at every byte, and goes on with it for a while. */
async function serve(random: Random, told: string[]): Promise<FoundState> {
  const monitor = {
    storeFailed: (error: Error) => told.push(`failed: ${error.message}`),
    storeRecovered: () => told.push('recovered'),
    messagesLost: ({ log, first, last, error }: LostMessages) => {
      told.push(`log ${log}, ${first} to ${last}: ${error.message}`)
    },
    damageFound: (error: Error) => told.push(error.message),
  }
  const { store, definitions } = await LevelStore.open({ location, turn: new Turn(), monitor, tuning: SMALL_TABLES })
  const program = new StoreProgram(store, random, () => undefined, true)
  const found = await program.open(definitions)
  for (let turn = 0; turn < 10; turn++) {
    program.turn()
    await new Promise((resolve) => setImmediate(resolve))
  }
  // A table that LevelDB cannot merge keeps it from writing; that is told, and again when it closes.
  await store.close().catch((error: Error) => told.push(`closed: ${error.message}`))
  return found
}

function copyOriginal(): void {
  rmSync(location, { recursive: true, force: true })
  cpSync(original, location, { recursive: true })
}

/** Changes a byte: in any of the files, and in a large one not much more often than in a small one. */
function damage(random: Random): { readonly where: string; readonly at: number } {
  const names = readdirSync(location).filter((name) => statSync(join(location, name)).size > 0)
  const name = random.pick(names.toSorted())
  const bytes = readFileSync(join(location, name))
  const at = random.int(0, bytes.length - 1)
  bytes[at]! ^= random.pick([1 << random.int(0, 7), random.int(1, 255)])
  writeFileSync(join(location, name), bytes)
  return { where: name, at }
}

/** What of the whole is missing, and what is there that should not be. */
function differenceTo(found: FoundState): string | null {
  for (const [name, value] of whole.definitions) {
    if (found.definitions.get(name) !== value) return `definition ${name} is ${found.definitions.get(name)}`
  }
  for (const name of found.definitions.keys()) if (!whole.definitions.has(name)) return `definition ${name} is new`
  for (const [id, { messages }] of whole.logs) {
    const others = found.logs.get(id)!.messages
    const missing = [...messages.keys()].filter((position) => !others.has(position))
    const back = [...others.keys()].filter((position) => !messages.has(position))
    if (missing.length + back.length > 0) return `log ${id}: ${missing.length} missing, ${back.length} back`
  }
  return null
}
