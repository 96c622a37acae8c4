// What a disk may hold when the power goes: rebuilt from the journal that power-cut.c writes.
import { readdirSync, readFileSync, writeFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from './random.ts'

const HEADER_BYTES = 17

/** The file in which the process under test notes what it was promised. It is read, and is on no disk. */
const MARKS = 'marks'
/** Files that hold nothing that matters. */
const IGNORED = new Set(['LOCK', 'LOG', 'LOG.old', MARKS])

interface JournalRecord {
  readonly operation: string
  readonly handle: number
  readonly offset: number
  readonly bytes: Buffer
}

/** How much of what was done to a directory is on disk before the directory itself was synced. */
export type DirectoryPromise =
  /** Syncing a file takes everything along that was done to the directory before: ext4 and XFS. */
  | 'journal'
  /** Syncing a file takes along its own name: btrfs. */
  | 'own name'
  /** Nothing: all that POSIX says. LevelDB asks for more. */
  | 'none'

/** Bytes of a file, and what was done to them since they were last synced. */
class Inode {
  #synced: Buffer
  #pending: { readonly at: number; readonly bytes: Buffer | null }[] = []
  #size: number

  constructor(bytes: Buffer) {
    this.#synced = bytes
    this.#size = bytes.length
  }

  get size(): number {
    return this.#size
  }

  write(at: number, bytes: Buffer): void {
    this.#pending.push({ at, bytes })
    this.#size = Math.max(this.#size, at + bytes.length)
  }

  truncate(size: number): void {
    this.#pending.push({ at: size, bytes: null })
    this.#size = size
  }

  sync(): void {
    this.#synced = this.bytes
    this.#pending = []
  }

  /** What is there as long as the power stays. */
  get bytes(): Buffer {
    return this.#after(this.#pending.length, Infinity)
  }

  /** What may be there after a crash: some of what was written since, the last of it torn. */
  crashed(random: Random): Buffer {
    if (this.#pending.length === 0) return this.#synced
    const count = random.pick([0, this.#pending.length, random.int(0, this.#pending.length)])
    const last = this.#pending[count - 1]?.bytes
    return this.#after(count, last == null || random.chance(0.3) ? Infinity : random.int(0, last.length))
  }

  /** The bytes after so many of the writes, the last of which got so far. */
  #after(count: number, torn: number): Buffer {
    let bytes = this.#synced
    for (let i = 0; i < count; i++) {
      const { at, bytes: written } = this.#pending[i]!
      if (written === null) {
        bytes = Buffer.concat([bytes], at)
        continue
      }
      const part = i === count - 1 ? written.subarray(0, torn) : written
      const end = Math.max(bytes.length, at + part.length)
      const whole = Buffer.alloc(end)
      bytes.copy(whole)
      part.copy(whole, at)
      bytes = whole
    }
    return bytes
  }
}

/** Something that was done to the directory. `to` is null when the name went. */
interface DirectoryChange {
  readonly inode: Inode
  readonly from: string | null
  readonly to: string | null
  /** Whether the file was synced afterwards. */
  synced: boolean
}

/** A directory on its way through a journal. */
export class JournalledDirectory {
  readonly #records: readonly JournalRecord[]
  #next = 0
  readonly #handles = new Map<number, { readonly inode: Inode | null; at: number }>()
  /** The names as the process sees them, and as they are on disk for certain. */
  readonly #names = new Map<string, Inode>()
  readonly #synced: Map<string, Inode>
  #changes: DirectoryChange[] = []
  /** So many of the changes went along with the sync of a file. */
  #journalled = 0
  #marks: string[] = []

  constructor(journal: Buffer, base: ReadonlyMap<string, Buffer>) {
    this.#records = parse(journal)
    for (const [name, bytes] of base) this.#names.set(name, new Inode(bytes))
    this.#synced = new Map(this.#names)
  }

  get length(): number {
    return this.#records.length
  }

  /** What the process has noted since this was last asked, line by line. */
  takeMarks(): readonly string[] {
    const marks = this.#marks
    this.#marks = []
    return marks
  }

  /** Goes on until so many records have happened. */
  advance(to: number): void {
    while (this.#next < to) this.#happen(this.#records[this.#next++]!)
  }

  /** What the process sees. */
  files(): Map<string, Buffer> {
    const names = [...this.#names].filter(([name]) => !IGNORED.has(name))
    return new Map(names.map(([name, inode]) => [name, inode.bytes]))
  }

  /** What the disk may hold if the power goes now. */
  crashed(random: Random, promise: DirectoryPromise): Map<string, Buffer> {
    const names = new Map(this.#synced)
    const least = promise === 'journal' ? this.#journalled : 0
    const count = random.pick([least, this.#changes.length, random.int(least, this.#changes.length)])
    this.#changes.forEach((change, i) => {
      if (i < count || (promise === 'own name' && change.synced && change.from === null)) applyTo(names, change)
    })
    const files = new Map<string, Buffer>()
    for (const [name, inode] of names) if (!IGNORED.has(name)) files.set(name, inode.crashed(random))
    return files
  }

  #happen({ operation, handle, offset, bytes }: JournalRecord): void {
    const open = this.#handles.get(handle)
    switch (operation) {
      case 'O':
        this.#open(handle, bytes.toString(), offset === 1)
        return
      case 'W': {
        if (open!.inode === null) {
          this.#marks.push(bytes.toString())
          return
        }
        const at = offset < 0 ? open!.at : offset
        open!.inode.write(at, bytes)
        if (offset < 0) open!.at = at + bytes.length
        return
      }
      case 'T':
        open!.inode?.truncate(offset)
        return
      case 'S':
        if (open!.inode !== null) this.#syncFile(open!.inode)
        return
      case 'D':
        for (const change of this.#changes) applyTo(this.#synced, change)
        this.#changes = []
        this.#journalled = 0
        return
      case 'R': {
        const [from, to] = bytes.toString().split('\0') as [string, string]
        this.#change({ inode: this.#names.get(from)!, from, to, synced: false })
        return
      }
      case 'U': {
        const from = bytes.toString()
        this.#change({ inode: this.#names.get(from)!, from, to: null, synced: false })
        return
      }
      default:
        throw new Error(`the journal has an operation ${operation}`)
    }
  }

  #open(handle: number, name: string, emptied: boolean): void {
    if (name === MARKS) {
      this.#handles.set(handle, { inode: null, at: 0 })
      return
    }
    let inode = this.#names.get(name)
    if (inode === undefined) {
      inode = new Inode(Buffer.alloc(0))
      this.#change({ inode, from: null, to: name, synced: false })
    } else if (emptied) inode.truncate(0)
    this.#handles.set(handle, { inode, at: inode.size })
  }

  #syncFile(inode: Inode): void {
    inode.sync()
    this.#journalled = this.#changes.length
    for (const change of this.#changes) if (change.inode === inode) change.synced = true
  }

  #change(change: DirectoryChange): void {
    applyTo(this.#names, change)
    this.#changes.push(change)
  }
}

function applyTo(names: Map<string, Inode>, { inode, from, to }: DirectoryChange): void {
  if (from !== null) names.delete(from)
  if (to !== null) names.set(to, inode)
}

function parse(journal: Buffer): JournalRecord[] {
  const records: JournalRecord[] = []
  for (let at = 0; at + HEADER_BYTES <= journal.length;) {
    const bytesAt = at + HEADER_BYTES
    const end = bytesAt + journal.readUInt32LE(at + 13)
    records.push({
      operation: journal.toString('latin1', at, at + 1),
      handle: journal.readInt32LE(at + 1),
      offset: Number(journal.readBigInt64LE(at + 5)),
      bytes: journal.subarray(bytesAt, end),
    })
    at = end
  }
  return records
}

/** The files of a directory. */
export function readFiles(directory: string): Map<string, Buffer> {
  const names = readdirSync(directory).filter((name) => !IGNORED.has(name))
  return new Map(names.map((name) => [name, readFileSync(join(directory, name))]))
}

/** Makes a directory of files. */
export function writeFiles(directory: string, files: ReadonlyMap<string, Buffer>): void {
  mkdirSync(directory, { recursive: true })
  for (const [name, bytes] of files) writeFileSync(join(directory, name), bytes)
}
