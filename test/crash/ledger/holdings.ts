// What the store of a broker that was killed holds for messages, for whoever looks into a failure.
import { cp, rm } from 'node:fs/promises'
import { amqpPropertyCodec } from '../../../src/amqp/property-codec.ts'
import { levelDatabase, recordsIn } from '../../../src/store/level/database.ts'
import type { Database } from '../../../src/store/level/database.ts'
import { unpackFragments } from '../../../src/store/level/fragment.ts'
import { Kind, kindEnd, kindKey, logOfKey, positionOfKey } from '../../../src/store/level/keys.ts'
import { findEverything, type FoundPages } from '../../../src/store/level/found-pages.ts'
import { recover, type Recovered } from '../../../src/store/level/recovery.ts'
import type { StoredMessage } from '../../../src/core/ports.ts'

const EVERYTHING = { wants: () => true, redelivered: () => false }

/**
 * Says of each of these messages where in the store it is, and whether it is settled there. Reads a copy beside the data
 * directory, which opening would change, and removes it. Rejects when the copy cannot be opened.
 */
export async function holdings(dataDir: string, ids: Iterable<string>): Promise<ReadonlyMap<string, string[]>> {
  const copy = `${dataDir}-read`
  await rm(copy, { recursive: true, force: true })
  await cp(dataDir, copy, { recursive: true })
  const database = levelDatabase()(copy)
  await database.open()
  try {
    const held = new Map([...ids].map((id): [string, string[]] => [id, []]))
    const recovered = await recover(database)
    await findInPages(database, recovered, await findEverything(database, recovered), held)
    await findDelayed(database, recovered, held)
    return held
  } finally {
    await database.close()
    await rm(copy, { recursive: true })
  }
}

async function findInPages(
  database: Database,
  recovered: Recovered,
  all: ReadonlyMap<number, FoundPages>,
  held: Map<string, string[]>,
): Promise<void> {
  const names = namesOfLogs(recovered)
  for await (const [key, value] of recordsOf(database, Kind.fragment)) {
    const log = logOfKey(key)
    const found: StoredMessage[] = []
    const damage = unpackFragments(value, positionOfKey(key), EVERYTHING, found)
    if (damage !== null) for (const places of held.values()) places.push(`perhaps in ${log}: ${damage.error.message}`)
    for (const { position, message } of found) {
      const places = held.get(amqpPropertyCodec.property(message, 'message_id') ?? '')
      if (places === undefined) continue
      const page = all.get(log)?.pages.find(({ first, last }) => first <= position && last >= position)
      const state = page === undefined ? 'in no page' : page.settled(position) ? 'settled' : 'not settled'
      places.push(`${names.get(log) ?? `log ${log}`} at ${position}, ${state}`)
    }
  }
}

async function findDelayed(database: Database, recovered: Recovered, held: Map<string, string[]>): Promise<void> {
  const names = namesOfLogs(recovered)
  for await (const [key, value] of recordsOf(database, Kind.delayed)) {
    for (const [id, places] of held) {
      const text = Buffer.concat([Buffer.of(id.length), Buffer.from(id, 'latin1')])
      if (value.includes(text)) places.push(`${names.get(logOfKey(key)) ?? 'a delay log'}, delayed`)
    }
  }
}

/** What each log is of, by its id. */
function namesOfLogs({ definitions }: Recovered): ReadonlyMap<number, string> {
  const names = new Map<number, string>()
  for (const definition of definitions) {
    if (definition.kind === 'exchange' && definition.delays !== undefined) names.set(definition.delays, definition.name)
    if (definition.kind !== 'queue') continue
    names.set(definition.log, definition.name)
    for (const { log, priority } of definition.levels ?? []) names.set(log, `${definition.name}, priority ${priority},`)
  }
  return names
}

async function* recordsOf(database: Database, kind: Kind): AsyncGenerator<[Buffer, Buffer]> {
  for await (const found of recordsIn(database, { gte: kindKey(kind), lt: kindEnd(kind) })) yield* found
}
