// What the store needs of a database, and how the one on disk is opened.
import { stat, mkdir, access, constants } from 'node:fs/promises'
import { Level } from 'level'
import type { LevelTuning } from './tuning.ts'
import { LEVEL_TUNING } from './tuning.ts'

/** One change of a batch. */
export type Operation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer }

/** A range of keys: from `gte` on, up to `lt`, which is not part of it. */
export interface KeyRange {
  readonly gte: Buffer
  readonly lt: Buffer
}

/** The part of abstract-level that the store uses. A test may put anything under the store that has it. */
export interface Database {
  open(): Promise<void>
  close(): Promise<void>
  get(key: Buffer): Promise<Buffer | undefined>
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]>
  batch(operations: Operation[], options: { readonly sync: boolean }): Promise<void>
  iterator(range: KeyRange): {
    nextv(size: number): Promise<[Buffer, Buffer][]>
    close(): Promise<void>
  }
  /** LevelDB only: gives back the space of what was deleted between two keys. */
  compactRange?(start: Buffer, end: Buffer): Promise<void>
}

export type DatabaseFactory = (location: string) => Database

/** LevelDB. */
export function levelDatabase(tuning: LevelTuning = {}): DatabaseFactory {
  const options = { ...LEVEL_TUNING, ...tuning, keyEncoding: 'buffer', valueEncoding: 'buffer' }
  return (location) => new Level<Buffer, Buffer>(location, options)
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
    await mkdir(location, { recursive: true })
    if (!(await stat(location)).isDirectory())
      throw new StoreOpenError(`The data directory ${location} is not a directory.`)
    await access(location, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    if (error instanceof StoreOpenError) throw error
    throw new StoreOpenError(directorySentence(location, error as NodeJS.ErrnoException), { cause: error })
  }
}

function directorySentence(location: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EEXIST':
      return `The data directory ${location} is a file, not a directory.`
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
    throw new StoreOpenError(openingSentence(location, error as Error), { cause: error })
  }
  return database
}

function openingSentence(location: string, error: Error): string {
  const cause = error.cause as (Error & { code?: string }) | undefined
  const detail = cause?.message ?? error.message
  if (cause?.code === 'LEVEL_LOCKED') return `The data directory ${location} is in use by another broker.`
  if (/No space left|Disk quota/.test(detail)) return `The store in ${location} cannot be opened: the disk is full.`
  if (/Permission denied|Read-only/.test(detail)) return `The data directory ${location} is not writable.`
  if (cause?.code === 'LEVEL_CORRUPTION' || /No such file/.test(detail)) {
    return `The store in ${location} is damaged: ${detail}.`
  }
  return `The store in ${location} cannot be opened: ${detail}.`
}
