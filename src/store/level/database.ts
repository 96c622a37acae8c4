// What the store needs of a database, and how the one on disk is opened.
import { stat, mkdir, access, constants } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Level } from 'level'
import type { HeldTables, Journals } from './level-files.ts'
import {
  hasRoom,
  holdOldestTables,
  keepDamaged,
  orphanedFile,
  readJournals,
  syncDirectory,
  undoCreation,
} from './level-files.ts'
import { checkTables, type TableFaults } from './table-check.ts'
import type { LevelTuning } from './tuning.ts'
import { CHAINED_AVERAGE_BYTES_MAX, CHAINED_BYTES_MAX, ITERATED_BYTES, LEVEL_TUNING } from './tuning.ts'

/** One change of a batch. */
export type Operation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer }

/** A range of keys: from `gte` on, up to `lt`, which is not part of it. */
export interface KeyRange {
  readonly gte: Buffer
  readonly lt: Buffer
}

/** Goes through records in the order of their keys. */
export interface RecordIterator {
  /** So many at the most; none when the end was reached. */
  nextv(size: number): Promise<[Buffer, Buffer][]>
  close(): Promise<void>
}

/** What the database held at one moment. */
export interface Snapshot {
  close(): Promise<void>
}

/** Records that are read at once. */
const READ_AT_ONCE = 2000

/** The part of abstract-level that the store uses. A test may put anything under the store that has it. */
export interface Database {
  open(): Promise<void>
  close(): Promise<void>
  get(key: Buffer): Promise<Buffer | undefined>
  /** As of a snapshot, or of now. */
  getMany(keys: Buffer[], snapshot?: Snapshot): Promise<(Buffer | undefined)[]>
  batch(operations: Operation[], options: { readonly sync: boolean }): Promise<void>
  /** `aheadBytes`: what may be read ahead in one go. */
  iterator(range: KeyRange, aheadBytes?: number): RecordIterator
  /** LevelDB only: takes one. It is gone when the database is closed. */
  snapshot?(): Snapshot
  /** LevelDB only: whether the disk has room for opening it again, and for a batch of so many bytes. */
  hasRoom?(bytes: number): Promise<boolean>
  /** LevelDB only: gives back the space of what was deleted between two keys. */
  compactRange?(start: Buffer, end: Buffer): Promise<void>
  /** LevelDB only: keeps so many of the oldest tables open. Those deleted meanwhile are freed when they are let go of. */
  holdTables?(count: number): Promise<HeldTables>
}

/**
 * The records in a range in the order of their keys, many at a time: the next are read while those before are looked at.
 * `aheadBytes` as for `Database.iterator`.
 */
export async function* recordsIn(
  database: Database,
  range: KeyRange,
  aheadBytes?: number,
): AsyncGenerator<[Buffer, Buffer][]> {
  const iterator = database.iterator(range, aheadBytes)
  // It may fail while nobody waits for it: who asks for what it reads is told, and who wants no more is not.
  const readAhead = (): Promise<[Buffer, Buffer][]> => {
    const reading = iterator.nextv(READ_AT_ONCE)
    reading.catch(() => undefined)
    return reading
  }
  let reading = readAhead()
  try {
    for (;;) {
      const found = await reading
      if (found.length === 0) return
      reading = readAhead()
      yield found
    }
  } finally {
    await reading.catch(() => undefined)
    await iterator.close()
  }
}

/** Makes the database of a directory. */
export type DatabaseFactory = (location: string) => Database

/**
 * LevelDB. `damaged` is told what had to be left out of the last batches when it was opened; `opening` is called when it
 * begins to open, on a thread of its own.
 */
export function levelDatabase(
  tuning: LevelTuning = {},
  damaged: (damage: Error) => void = ignore,
  opening: () => void = ignore,
): DatabaseFactory {
  return (location) => new LevelDatabase(location, tuning, damaged, opening)
}

function ignore(): void {}

type LevelSnapshot = ReturnType<Level['snapshot']>

const NO_FAULTS: TableFaults = { broken: null, damaged: [] }

class LevelDatabase implements Database {
  readonly #location: string
  readonly #tuning: LevelTuning
  readonly #damaged: (damage: Error) => void
  readonly #opening: () => void
  #opened: Level<Buffer, Buffer> | null = null

  constructor(location: string, tuning: LevelTuning, damaged: (damage: Error) => void, opening: () => void) {
    this.#location = location
    this.#tuning = tuning
    this.#damaged = damaged
    this.#opening = opening
  }

  /** It opens itself as soon as there is one: not before the files were looked at. */
  get #level(): Level<Buffer, Buffer> {
    return (this.#opened ??= this.#made())
  }

  #made(): Level<Buffer, Buffer> {
    const encodings = { keyEncoding: 'buffer', valueEncoding: 'buffer' }
    return new Level(this.#location, { ...LEVEL_TUNING, ...this.#tuning, ...encodings })
  }

  async open(): Promise<void> {
    const journals = await readJournals(this.#location)
    const orphan = await orphanedFile(this.#location, journals)
    if (orphan !== null) {
      throw new StoreOpenError(`The store in ${this.#location} is damaged: there is ${orphan}, but no file CURRENT.`)
    }
    // What is opened again was written by this process: there the tables need not be looked through.
    const faults = this.#opened === null ? await checkTables(this.#location) : NO_FAULTS
    if (faults.broken !== null) {
      throw new StoreOpenError(`The store in ${this.#location} is damaged: ${faults.broken}.`)
    }
    await this.#openLevel(journals)
    try {
      for (const fault of faults.damaged) this.#damaged(new Error(fault))
      for (const damage of await keepDamaged(this.#location, journals)) this.#damaged(damage)
      await syncDirectory(this.#location)
    } catch (error) {
      await this.#level.close()
      throw error
    }
  }

  async #openLevel(journals: Journals): Promise<void> {
    try {
      const opened = this.#level.open()
      this.#opening()
      await opened
    } catch (error) {
      const cause = (error as Error).cause as { readonly code?: string } | undefined
      if (cause?.code !== 'LEVEL_CORRUPTION' || !(await undoCreation(this.#location, journals))) throw error
      await this.#level.open()
    }
  }

  close(): Promise<void> {
    return this.#opened?.close() ?? Promise.resolve()
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#level.get(key)
  }

  getMany(keys: Buffer[], snapshot?: Snapshot): Promise<(Buffer | undefined)[]> {
    return this.#level.getMany(keys, snapshot === undefined ? {} : { snapshot: snapshot as LevelSnapshot })
  }

  snapshot(): Snapshot {
    return this.#level.snapshot()
  }

  /**
   * Two ways to the same end. A chained batch takes 0.3 µs an operation where an array takes 5; but its memory, as
   * large as what it writes, is freed by the garbage collector, which does not know of it. So the large ones, in which
   * an operation's cost is that of its bytes, go as arrays, which are freed at once.
   */
  batch(operations: Operation[], options: { readonly sync: boolean }): Promise<void> {
    let bytes = 0
    for (const operation of operations) if (operation.type === 'put') bytes += operation.value.length
    if (bytes > CHAINED_BYTES_MAX && bytes > operations.length * CHAINED_AVERAGE_BYTES_MAX) {
      return this.#level.batch(operations, options)
    }
    const batch = this.#level.batch()
    for (const operation of operations) {
      if (operation.type === 'put') batch.put(operation.key, operation.value)
      else batch.del(operation.key)
    }
    return batch.write(options)
  }

  iterator(range: KeyRange, aheadBytes = ITERATED_BYTES): RecordIterator {
    return this.#level.iterator({ ...range, highWaterMarkBytes: aheadBytes })
  }

  hasRoom(bytes: number): Promise<boolean> {
    return hasRoom(this.#location, bytes)
  }

  holdTables(count: number): Promise<HeldTables> {
    return holdOldestTables(this.#location, count)
  }

  compactRange(start: Buffer, end: Buffer): Promise<void> {
    return (this.#level as unknown as Required<Pick<Database, 'compactRange'>>).compactRange(start, end)
  }
}

/** The store cannot be opened. The message is a sentence for people that names the directory. */
export class StoreOpenError extends Error {
  constructor(sentence: string, options?: ErrorOptions) {
    super(sentence, options)
    this.name = 'StoreOpenError'
  }
}

/** Makes sure that there is a directory that can be written. Throws StoreOpenError. */
export async function prepareDirectory(location: string): Promise<void> {
  try {
    await makeDirectory(resolve(location))
    if (!(await stat(location)).isDirectory()) {
      throw new StoreOpenError(`The data directory ${location} is a file, not a directory.`)
    }
    await access(location, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    if (error instanceof StoreOpenError) throw error
    throw new StoreOpenError(directorySentence(location, error as NodeJS.ErrnoException), { cause: error })
  }
}

/** mkdir's own `recursive` never ends where directories can be seen and not be made, as below /proc. */
async function makeDirectory(location: string): Promise<void> {
  try {
    await mkdir(location)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || dirname(location) === location) throw error
    await makeDirectory(dirname(location))
    await mkdir(location)
  }
}

function directorySentence(location: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOTDIR':
      return `The data directory ${location} cannot be made: a part of its path is a file.`
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `The data directory ${location} is not writable.`
    case 'ENOSPC':
    case 'EDQUOT':
      return `The data directory ${location} cannot be made: the disk is full.`
    default:
      return `The data directory ${location} cannot be used: ${error.message}.`
  }
}

/** Opens a database. Throws StoreOpenError. */
export async function openDatabase(location: string, factory: DatabaseFactory): Promise<Database> {
  const database = factory(location)
  try {
    await database.open()
  } catch (error) {
    if (error instanceof StoreOpenError) throw error
    throw new StoreOpenError(openingSentence(location, error as Error), { cause: error })
  }
  return database
}

function openingSentence(location: string, error: Error): string {
  const cause = error.cause as (Error & { code?: string }) | undefined
  // What is damaged may be a name, with anything in it.
  const detail = (cause?.message ?? error.message).replace(/\p{Cc}/gu, '?')
  if (cause?.code === 'LEVEL_LOCKED') return `The data directory ${location} is in use by another broker.`
  if (/no space left|disk quota/i.test(detail)) return `The store in ${location} cannot be opened: the disk is full.`
  if (/permission denied|read-only/i.test(detail)) return `The data directory ${location} is not writable.`
  if (cause?.code === 'LEVEL_CORRUPTION' || /No such file/.test(detail)) {
    return `The store in ${location} is damaged: ${detail}.`
  }
  return `The store in ${location} cannot be opened: ${detail}.`
}
