// A database that keeps to what a disk promises, and to nothing beyond: what was not synced is gone after a crash, or
// there, or there in another order. Writes finish when the test says so, or fail.
import type { Database, KeyRange, Operation, RecordIterator, Snapshot } from '../../src/store/level/database.ts'
import type { Random } from './random.ts'

/** How a write ends. */
export type Ending =
  | 'written'
  /** Nothing reached the disk. */
  | 'refused'
  /** It was written, and syncing failed: it can be read, and is there after a crash or not. */
  | 'unsynced'

/** What is on the disk, and what is on its way there. */
export class ForgetfulDisk {
  readonly #synced: Map<string, Buffer>
  #unsynced: Operation[][] = []

  constructor(synced = new Map<string, Buffer>()) {
    this.#synced = synced
  }

  write(operations: Operation[]): void {
    this.#unsynced.push(operations)
  }

  sync(): void {
    for (const operations of this.#unsynced) applyTo(this.#synced, operations)
    this.#unsynced = []
  }

  /** What a reader sees: everything that was written, in the order in which it was. */
  view(): Map<string, Buffer> {
    const view = new Map(this.#synced)
    for (const operations of this.#unsynced) applyTo(view, operations)
    return view
  }

  /** A disk with the same on it. */
  copy(): ForgetfulDisk {
    return new ForgetfulDisk(this.view())
  }

  /**
   * The disk as the crash leaves it: everything that was synced, and any of the other batches in any order. A batch that
   * was torn does not count, for its checksum tells.
   */
  crashed(random: Random): ForgetfulDisk {
    const kept = random.shuffle([...this.#unsynced]).filter(() => random.chance(0.5))
    const after = new Map(this.#synced)
    for (const operations of kept) applyTo(after, operations)
    return new ForgetfulDisk(after)
  }
}

function applyTo(records: Map<string, Buffer>, operations: readonly Operation[]): void {
  for (const operation of operations) {
    const key = operation.key.toString('latin1')
    if (operation.type === 'put') records.set(key, operation.value)
    else records.delete(key)
  }
}

/** Nobody is told anything any more. */
const NEVER = new Promise<never>(() => undefined)

interface Write {
  readonly operations: Operation[]
  readonly sync: boolean
  resolve(): void
  reject(error: Error): void
}

/** What a database held at one moment. */
class FrozenView implements Snapshot {
  /** The view of the database, which has another one once it was opened again. */
  readonly of: ReadonlyMap<string, Buffer>
  readonly records: ReadonlyMap<string, Buffer>

  constructor(view: ReadonlyMap<string, Buffer>) {
    this.of = view
    this.records = new Map(view)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A database on a forgetful disk. */
export class ForgetfulDatabase implements Database {
  readonly #disk: ForgetfulDisk
  #view: Map<string, Buffer> | null = null
  #write: Write | null = null
  #crashed = false
  /** A write failed: what is written behind it now will not be found, until the database was opened again. */
  #torn = false
  /** So many further attempts to open it fail. */
  openFailures = 0

  constructor(disk: ForgetfulDisk) {
    this.#disk = disk
  }

  /** Whether a write waits for its end. */
  get writing(): boolean {
    return this.#write !== null
  }

  open(): Promise<void> {
    if (this.openFailures > 0) {
      this.openFailures--
      return Promise.reject(failure('LEVEL_DATABASE_NOT_OPEN', 'Database failed to open'))
    }
    this.#view = this.#disk.view()
    this.#torn = false
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#view = null
    return Promise.resolve()
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#read((view) => copyOf(view.get(key.toString('latin1'))))
  }

  getMany(keys: Buffer[], snapshot?: Snapshot): Promise<(Buffer | undefined)[]> {
    return this.#read((view) => {
      const frozen = snapshot as FrozenView | undefined
      if (frozen !== undefined && frozen.of !== view) throw failure('LEVEL_SNAPSHOT_NOT_OPEN', 'Snapshot is not open')
      return keys.map((key) => copyOf((frozen?.records ?? view).get(key.toString('latin1'))))
    })
  }

  snapshot(): Snapshot {
    return new FrozenView(this.#view!)
  }

  batch(operations: Operation[], { sync }: { readonly sync: boolean }): Promise<void> {
    if (this.#crashed) return NEVER
    if (this.#view === null) return Promise.reject(failure('LEVEL_DATABASE_NOT_OPEN', 'Database is not open'))
    if (this.#write !== null) throw new Error('two batches are in flight')
    return new Promise((resolve, reject) => {
      this.#write = { operations: operations.map(copyOfOperation), sync, resolve, reject }
    })
  }

  iterator({ gte, lt }: KeyRange): RecordIterator {
    if (this.#crashed) return { nextv: () => NEVER, close: () => NEVER }
    const view = this.#view
    if (view === null) throw failure('LEVEL_DATABASE_NOT_OPEN', 'Database is not open')
    const from = gte.toString('latin1')
    const below = lt.toString('latin1')
    const keys = [...view.keys()].filter((key) => key >= from && key < below).toSorted()
    const records = keys.map((key): [Buffer, Buffer] => [Buffer.from(key, 'latin1'), copyOf(view.get(key)!)])
    return {
      nextv: (size) => Promise.resolve(records.splice(0, size)),
      close: () => Promise.resolve(),
    }
  }

  /** Ends the write that waits. */
  end(ending: Ending): void {
    const write = this.#write!
    this.#write = null
    if (ending !== 'refused') {
      if (!this.#torn) this.#disk.write(write.operations)
      applyTo(this.#view!, write.operations)
    }
    if (ending !== 'written') {
      this.#torn = true
      write.reject(failure('LEVEL_IO_ERROR', ending === 'refused' ? 'No space left on device' : 'Input/output error'))
      return
    }
    if (write.sync) this.#disk.sync()
    write.resolve()
  }

  /** The power goes: no write ever ends. What was being written may be there. Returns the disk as it is found. */
  crash(random: Random): ForgetfulDisk {
    if (this.#write !== null) this.#disk.write(this.#write.operations)
    this.#crashed = true
    this.#write = null
    this.#view = null
    return this.#disk.crashed(random)
  }

  async #read<T>(from: (view: Map<string, Buffer>) => T): Promise<T> {
    if (this.#crashed) return NEVER
    if (this.#view === null) throw failure('LEVEL_DATABASE_NOT_OPEN', 'Database is not open')
    return from(this.#view)
  }
}

function copyOf<T extends Buffer | undefined>(value: T): T {
  return (value === undefined ? undefined : Buffer.from(value)) as T
}

function copyOfOperation(operation: Operation): Operation {
  if (operation.type === 'del') return { type: 'del', key: copyOf(operation.key) }
  return { type: 'put', key: copyOf(operation.key), value: copyOf(operation.value) }
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}
