// A database that fails, waits and forgets as a test wants, and records that it keeps as a disk does.
import type { Database, KeyRange, Operation, RecordIterator, Snapshot } from '../../src/store/level/database.ts'
import type { HeldTables } from '../../src/store/level/level-files.ts'

/** What is on the disk, by key. Survives the databases that are opened on it. */
export class Disk {
  readonly records = new Map<string, Buffer>()

  apply(operations: readonly Operation[]): void {
    for (const operation of operations) {
      const key = operation.key.toString('latin1')
      if (operation.type === 'put') this.records.set(key, Buffer.from(operation.value))
      else this.records.delete(key)
    }
  }

  /** The keys of this kind, in order. */
  keys(kind: number): Buffer[] {
    return [...this.records.keys()]
      .filter((key) => key.charCodeAt(0) === kind)
      .toSorted((a, b) => (a < b ? -1 : 1))
      .map((key) => Buffer.from(key, 'latin1'))
  }

  /** Turns one bit of a record around. */
  damage(key: Buffer, offset: number): void {
    this.records.get(key.toString('latin1'))![offset]! ^= 0x10
  }
}

/** An error as LevelDB reports it. */
export function diskError(message = 'IO error: No space left on device'): Error {
  return Object.assign(new Error(message), { code: 'LEVEL_IO_ERROR' })
}

interface HeldBatch {
  readonly operations: readonly Operation[]
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** The records that there were at one moment. */
class FrozenRecords implements Snapshot {
  readonly records: ReadonlyMap<string, Buffer>
  #open = true

  constructor(records: ReadonlyMap<string, Buffer>) {
    this.records = new Map(records)
  }

  get open(): boolean {
    return this.#open
  }

  close(): Promise<void> {
    this.#open = false
    return Promise.resolve()
  }
}

/** A database on a disk, with switches. What was not synced is forgotten when it is abandoned. */
export class FaultyDatabase implements Database {
  #disk: Disk
  readonly #held: HeldBatch[] = []
  /** Those that are open. */
  readonly #snapshots = new Set<FrozenRecords>()
  #open = false
  /** Whether batches wait until they are released. */
  holding = false
  /** Batches, opens and reads that are still to fail, in turn; the disk stays as it is. */
  failures: Error[] = []
  openFailures: Error[] = []
  readFailures: Error[] = []
  /** The same of what goes through a range of records. */
  scanFailures: Error[] = []
  /** How often each was called. */
  readonly calls = { open: 0, close: 0, batch: 0, compactRange: 0, snapshot: 0 }
  /** What opening tables waits for, and how many are held. */
  openingTables: Promise<void> = Promise.resolve()
  tablesHeld = 0
  /** What a compaction of a range waits for. */
  compacting: Promise<void> = Promise.resolve()
  /** Told of batches as they come. */
  onBatch: (operations: readonly Operation[]) => void = () => undefined

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** Batches that wait. */
  get held(): number {
    return this.#held.length
  }

  open(): Promise<void> {
    this.calls.open++
    const failure = this.openFailures.shift()
    if (failure !== undefined) return Promise.reject(new Error('Database failed to open', { cause: failure }))
    this.#open = true
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.calls.close++
    this.#open = false
    for (const snapshot of this.snapshots) void snapshot.close()
    return Promise.resolve()
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return (await this.getMany([key]))[0]
  }

  getMany(keys: Buffer[], snapshot?: Snapshot): Promise<(Buffer | undefined)[]> {
    const failure = this.#open ? this.readFailures.shift() : notOpen()
    if (failure !== undefined) return Promise.reject(failure)
    const frozen = snapshot as FrozenRecords | undefined
    if (frozen?.open === false) return Promise.reject(notOpen('Snapshot', 'LEVEL_SNAPSHOT_NOT_OPEN'))
    const { records } = frozen ?? this.#disk
    return Promise.resolve(keys.map((key) => records.get(key.toString('latin1'))))
  }

  snapshot(): Snapshot {
    this.calls.snapshot++
    const snapshot = new FrozenRecords(this.#disk.records)
    this.#snapshots.add(snapshot)
    return snapshot
  }

  /** The snapshots that are open. */
  get snapshots(): FrozenRecords[] {
    for (const snapshot of this.#snapshots) if (!snapshot.open) this.#snapshots.delete(snapshot)
    return [...this.#snapshots]
  }

  batch(operations: Operation[], options: { readonly sync: boolean }): Promise<void> {
    this.calls.batch++
    this.onBatch(operations)
    const failure = this.#open ? this.failures.shift() : notOpen()
    if (failure !== undefined) return Promise.reject(failure)
    if (!options.sync) throw new Error('A batch would not be synced')
    if (this.holding) return new Promise((resolve, reject) => this.#held.push({ operations, resolve, reject }))
    this.#disk.apply(operations)
    return Promise.resolve()
  }

  /** Its broker is gone: nothing reaches the disk any more, and nobody is answered. */
  abandon(): void {
    this.#disk = new Disk()
    this.#held.length = 0
    this.holding = true
  }

  /** Lets the batch that waits longest reach the disk, or fail, or be on disk though it is reported as failed. */
  release(outcome: 'written' | 'failed' | 'written but failed' = 'written'): void {
    const { operations, resolve, reject } = this.#held.shift()!
    if (outcome !== 'failed') this.#disk.apply(operations)
    if (outcome === 'written') resolve()
    else reject(diskError())
  }

  iterator(range: KeyRange): RecordIterator {
    const [from, below] = [range.gte.toString('latin1'), range.lt.toString('latin1')]
    const rest = [...this.#disk.records]
      .filter(([key]) => key >= from && key < below)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]): [Buffer, Buffer] => [Buffer.from(key, 'latin1'), value])
    const nextv = (size: number): Promise<[Buffer, Buffer][]> => {
      const failure = this.scanFailures.shift()
      return failure === undefined ? Promise.resolve(rest.splice(0, size)) : Promise.reject(failure)
    }
    return { nextv, close: () => Promise.resolve() }
  }

  compactRange(): Promise<void> {
    this.calls.compactRange++
    return this.compacting
  }

  async holdTables(count: number): Promise<HeldTables> {
    await this.openingTables
    this.tablesHeld += count
    const letGo = (): Promise<void> => {
      this.tablesHeld -= count
      return Promise.resolve()
    }
    return { names: [], letGo }
  }
}

function notOpen(what = 'Database', code = 'LEVEL_DATABASE_NOT_OPEN'): Error {
  return Object.assign(new Error(`${what} is not open`), { code })
}
