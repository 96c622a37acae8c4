// What holds of a store's records whenever the power goes: shared bodies are counted rightly, and belong to somebody, and
// so do the records of attempts.
import { isDeepStrictEqual } from 'node:util'
import { visitBodies } from '../../src/store/level/fragment.ts'
import { BLOCK_BODIES, Kind, blockOfKey, logOfKey, positionOfKey } from '../../src/store/level/keys.ts'
import { Elsewhere, type Page } from '../../src/store/level/page.ts'
import { decodeBlock, decodeIndexRecord, decodeLogRecord } from '../../src/store/level/records.ts'

type Records = ReadonlyMap<string, Buffer>

/** Throws when it does not hold. */
export function expectInvariants(records: Records): void {
  const entries = sorted(entriesByBody(records))
  const counts = sorted(countsByBody(records))
  if (!isDeepStrictEqual(entries, counts)) throw new Error(`bodies have ${show(entries)} and count ${show(counts)}`)
  const bodies = [...of(records, Kind.body)].map(([key]) => key.readUIntBE(1, 6))
  if (!isDeepStrictEqual(bodies, [...counts.keys()]))
    throw new Error(`counted are ${show(counts)}, there are ${bodies.join()}`)
  const [stray] = strayAttempts(records)
  if (stray !== undefined) throw new Error(`attempts of ${stray.position} in log ${stray.log} belong to no page`)
}

/** How many entries in fragments have each body, be they settled or not. */
function entriesByBody(records: Records): Map<number, number> {
  const entries = new Map<number, number>()
  const count = (body: number): void => void entries.set(body, (entries.get(body) ?? 0) + 1)
  for (const [key, value] of of(records, Kind.fragment)) {
    const damage = visitBodies(value, positionOfKey(key), count)
    if (damage !== null) throw damage.error
  }
  return entries
}

function countsByBody(records: Records): Map<number, number> {
  const found = new Map<number, number>()
  for (const [key, value] of of(records, Kind.bodyBlock)) {
    for (const [i, count] of decodeBlock(value).counts.entries()) {
      if (count > 0) found.set(blockOfKey(key) * BLOCK_BODIES + i, count)
    }
  }
  return found
}

/** Records of attempts that no page tells of, and that no start would find with what index records are behind with. */
function* strayAttempts(records: Records): Generator<{ readonly log: number; readonly position: number }> {
  const pages = new Map<number, Page[]>()
  for (const [key, value] of of(records, Kind.index)) {
    const log = logOfKey(key)
    pages.set(log, [...(pages.get(log) ?? []), decodeIndexRecord(positionOfKey(key), value)])
  }
  const behind = new Map<number, number>()
  for (const [key, value] of of(records, Kind.log)) behind.set(logOfKey(key), decodeLogRecord(value).unindexedFrom)
  for (const [key] of of(records, Kind.attempts)) {
    const [log, position] = [logOfKey(key), positionOfKey(key)]
    const page = pages.get(log)?.find(({ first, last }) => first <= position && last >= position)
    const unindexedFrom = behind.get(log) ?? -1
    const found =
      page === undefined ? unindexedFrom >= 0 && position >= unindexedFrom : (page.elsewhere & Elsewhere.attempts) !== 0
    if (!found) yield { log, position }
  }
}

function* of(records: Records, kind: Kind): Generator<[key: Buffer, value: Buffer]> {
  for (const key of [...records.keys()].toSorted()) {
    if (key.charCodeAt(0) === kind) yield [Buffer.from(key, 'latin1'), records.get(key)!]
  }
}

function sorted(counts: ReadonlyMap<number, number>): Map<number, number> {
  return new Map([...counts].toSorted(([a], [b]) => a - b))
}

function show(counts: ReadonlyMap<number, number>): string {
  return JSON.stringify([...counts])
}
