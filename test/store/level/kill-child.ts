// Appends and settles without end, and notes in a file what is certain: it is killed in the middle. Run by kill.test.ts
// with the directory of the store, the file, and the ids of the logs, if there are any. Says a dot for each round.
import { openSync, writeSync } from 'node:fs'
import type { Entry } from '../../../src/core/queue/entry.ts'
import { Turn } from '../../../src/lib/turn.ts'
import { LevelStore } from '../../../src/store/level/level-store.ts'
import { entryOf } from '../../support/store.ts'

const [location, notes, ...ids] = process.argv.slice(2)
const LOGS = 3
const file = openSync(notes!, 'a')

const { store } = await LevelStore.open({
  location: location!,
  turn: new Turn(),
  monitor: {
    storeFailed: (error) => {
      throw error
    },
    storeRecovered: () => undefined,
  },
})
const logs = Array.from({ length: LOGS }, (_, i) => store.log(ids[i] === undefined ? undefined : Number(ids[i])))
writeSync(file, `logs ${logs.map(({ id }) => id).join(' ')}\n`)

/** What one turn accepted and what was settled for certain, written at once: the parent reads whole lines only. */
let lines = ''
const next = logs.map((log) => log.next)
const waiting: { index: number; entry: Entry }[] = []

for (let round = 0; ; round++) {
  for (const [index, log] of logs.entries()) {
    for (let i = 0; i < (index === 0 ? 1 : 40); i++) {
      const entry = entryOf(next[index]!++, { body: `${index} ${next[index]! - 1}`.padEnd(index * 400) })
      const publisher = {
        accepted: () => {
          if (entry.stored !== 0) lines += `accepted ${index} ${entry.position}\n`
        },
        refused: () => undefined,
      }
      log.append(entry, publisher, 0)
      waiting.push({ index, entry })
    }
  }
  // Two of three are settled, some of them before they were written. Which may be gone is said before, that they are
  // after it is certain.
  const settled = waiting
    .splice(0, round % 7 === 0 ? 0 : waiting.length - 60)
    .filter(({ entry }) => entry.position % 3 !== 0)
  for (const { index, entry } of settled) lines += `settling ${index} ${entry.position}\n`
  flush()
  for (const { index, entry } of settled) logs[index]!.settle(entry)
  store.whenDurable(() => {
    for (const { index, entry } of settled) lines += `settled ${index} ${entry.position}\n`
  })
  process.stdout.write('.')
  await new Promise((resolve) => setImmediate(resolve))
  flush()
}

function flush(): void {
  if (lines.length > 0) writeSync(file, lines)
  lines = ''
}
