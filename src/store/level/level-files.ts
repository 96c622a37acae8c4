// What LevelDB leaves to its user: names that are to be on disk, a creation that was cut short, damage of which only its
// own log tells, and the time that the system takes to free tables.
import { open, readFile, readdir, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The files that LevelDB writes batches to before they get into tables, by name. */
export type Journals = ReadonlyMap<string, Buffer>

const JOURNAL = /^\d+\.log$/
const TABLE = /^\d+\.(ldb|sst)$/
/** Room for a manifest, for LevelDB's log, and for what rounding up to blocks takes. */
const SPARE_BYTES = 1024 * 1024
/** What LevelDB's log says of what it leaves out. */
const COMPLAINT = /\S*?(\d+\.log): (dropping \d+ bytes; .*)$|Ignoring error (.*)$/

/**
 * Reads the journals. What LevelDB cannot read of them it leaves out and deletes, be it for an error that passes; so an
 * error here is one of opening, and what was read is there to be kept.
 */
export async function readJournals(location: string): Promise<Journals> {
  const journals = new Map<string, Buffer>()
  for (const name of await readdir(location)) {
    if (!JOURNAL.test(name)) continue
    try {
      journals.set(name, await readFile(join(location, name)))
    } catch (error) {
      // Another broker is at work here, as LevelDB is about to find out.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return journals
}

/**
 * Whether the directory has files of a database of which the file CURRENT is gone: the name of one of them, or null.
 * LevelDB would make a new database there, and delete them.
 */
export async function orphanedFile(location: string, journals: Journals): Promise<string | null> {
  const names = await readdir(location)
  if (names.includes('CURRENT')) return null
  return names.find((name) => TABLE.test(name) || (journals.get(name)?.length ?? 0) > 0) ?? null
}

/**
 * Undoes a creation that was cut short. LevelDB does not sync the first manifest of a new database: when the power goes
 * it may be named and empty. Nothing was written by then, for that begins with the second manifest. Returns whether
 * there was such a thing.
 */
export async function undoCreation(location: string, journals: Journals): Promise<boolean> {
  const names = await readdir(location)
  const written = names.some((name) => TABLE.test(name)) || [...journals.values()].some(({ length }) => length > 0)
  const current = join(location, 'CURRENT')
  if (written || (await readFile(current, 'latin1')) !== 'MANIFEST-000001\n') return false
  await unlink(current)
  return true
}

/** Has the names of a directory on disk. LevelDB renames CURRENT when it is opened, and leaves it at that. */
export async function syncDirectory(location: string): Promise<void> {
  // Windows has no such thing, and needs none.
  if (process.platform === 'win32') return
  const directory = await open(location, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/**
 * Keeps the journals that LevelDB has just left something out of, under another name, and says what that was. The
 * batches that they held around the damage are in the database.
 */
export async function keepDamaged(location: string, journals: Journals): Promise<readonly Error[]> {
  const damage: Error[] = []
  for (const line of (await readFile(join(location, 'LOG'), 'utf8')).split('\n')) {
    const complaint = COMPLAINT.exec(line)
    if (complaint === null) continue
    const [, name, dropped, ignored] = complaint
    const bytes = name === undefined ? undefined : journals.get(name)
    if (bytes !== undefined) await writeFile(join(location, `damaged-${name}`), bytes)
    const what = name === undefined ? ignored! : `${name}: ${dropped}`
    damage.push(new Error(bytes === undefined ? what : `${what} (a copy is kept as damaged-${name})`))
  }
  return damage
}

/** Tables that are kept open. */
export interface HeldTables {
  readonly names: readonly string[]
  /** Closes them, one after the other. The space of those that were deleted is free after that. */
  letGo(): Promise<void>
}

/**
 * Keeps the oldest tables open, so many of them. LevelDB deletes tables while nobody can read, and the system takes a
 * millisecond for each; but for one that is open it takes that when it is closed. Where one cannot be opened none is
 * kept: deleting takes longer then, and the last descriptors are for LevelDB.
 */
export async function holdOldestTables(location: string, count: number): Promise<HeldTables> {
  const names = (await unlessRefused(readdir(location))) ?? []
  const tables = oldest(names, count)
  const opened = await Promise.all(tables.map((name) => unlessRefused(open(join(location, name)))))
  const letGo = async (): Promise<void> => {
    for (const handle of opened) if (handle !== null) await unlessRefused(handle.close())
  }
  if (!opened.includes(null)) return { names: tables, letGo }
  await letGo()
  return { names: [], letGo: () => Promise.resolve() }
}

/** The tables with the lowest numbers. */
function oldest(names: readonly string[], count: number): string[] {
  const tables: { readonly number: number; readonly name: string }[] = []
  for (const name of names) if (TABLE.test(name)) tables.push({ number: Number.parseInt(name, 10), name })
  tables.sort((a, b) => a.number - b.number)
  return tables.slice(0, count).map(({ name }) => name)
}

/** What the system says, or null when it refuses. */
async function unlessRefused<T>(said: Promise<T>): Promise<T | null> {
  try {
    return await said
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return null
  }
}

/**
 * Whether the disk seems to have room for the table that the journals become when the database is opened, and for a
 * batch of so many bytes. What cannot be told counts as room.
 */
export async function hasRoom(location: string, bytes: number): Promise<boolean> {
  let needed = bytes + SPARE_BYTES
  for (const name of await readdir(location)) {
    if (JOURNAL.test(name)) needed += (await stat(join(location, name))).size
  }
  const { blocks, bsize, bfree, bavail } = await statfs(location)
  return blocks === 0 || bsize * (process.getuid?.() === 0 ? bfree : bavail) >= needed
}
