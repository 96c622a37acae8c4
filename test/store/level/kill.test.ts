// A process that appends and settles is killed in the middle, and what it had said is compared with what is there.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Turn } from '../../../src/lib/turn.ts'
import { bodyOf, openWhole, readAll, temporaryDirectory } from '../../support/store.ts'

const CYCLES = 3
const ROUNDS = 150

/** What the child said of the messages of one log. */
interface Ledger {
  readonly accepted: Set<number>
  readonly settling: Set<number>
  readonly settled: Set<number>
}

/** Runs the child for some rounds and kills it. */
async function runAndKill(location: string, notes: string, ids: readonly string[]): Promise<void> {
  const script = join(import.meta.dirname, 'kill-child.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script, location, notes, ...ids], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  let rounds = 0
  child.stdout.on('data', (dots: Buffer) => {
    rounds += dots.length
    if (rounds >= ROUNDS) child.kill('SIGKILL')
  })
  await exited
  expect(child.signalCode).toBe('SIGKILL')
}

/** Adds what a child noted to the ledgers, and returns the ids of its logs. */
async function readNotes(notes: string, ledgers: readonly Ledger[]): Promise<string[]> {
  let ids: string[] = []
  const text = await readFile(notes, 'utf8')
  // What is behind the last line's end was cut off in the middle: the next child must not go on there.
  const end = text.lastIndexOf('\n') + 1
  await truncate(notes, Buffer.byteLength(text.slice(0, end)))
  for (const line of text.slice(0, end).split('\n').slice(0, -1)) {
    const [word, ...rest] = line.split(' ')
    if (word === 'logs') ids = rest
    else ledgers[Number(rest[0])]![word as keyof Ledger].add(Number(rest[1]))
  }
  return ids
}

it('has everything that was accepted, and nothing that was settled, after SIGKILL', { timeout: 120_000 }, async () => {
  const directory = await temporaryDirectory()
  const location = join(directory, 'store')
  const notes = join(directory, 'notes')
  let ids: string[] = []
  const ledgers = [0, 1, 2].map((): Ledger => ({ accepted: new Set(), settling: new Set(), settled: new Set() }))
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    await runAndKill(location, notes, ids)
    ids = await readNotes(notes, ledgers)
    const { store } = await openWhole({
      location,
      turn: new Turn(),
      monitor: { storeFailed: () => undefined, storeRecovered: () => undefined },
    })
    for (const [index, ledger] of ledgers.entries()) {
      const log = store.log(Number(ids[index]))
      const found = await readAll(log)
      expect(log.recovered.count).toBe(found.length)
      const there = new Set(found.map(({ position }) => position))
      for (const stored of found) expect(bodyOf(stored).trimEnd()).toBe(`${index} ${stored.position}`)
      expect([...ledger.accepted].filter((position) => !there.has(position) && !ledger.settling.has(position))).toEqual(
        [],
      )
      expect([...ledger.settled].filter((position) => there.has(position))).toEqual([])
      expect(ledger.accepted.size).toBeGreaterThan(0)
    }
    await store.close()
  }
})
