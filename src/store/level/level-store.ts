// The store on LevelDB: definitions, and a paged log for each queue, all in one database, so that one batch is one fact.
import type { Commits } from '../../core/counts.ts'
import type { Definition } from '../../core/definitions.ts'
import type { DelayLog, IdLog, LostMessages, QueueLog, SeenId, Store, StoreMonitor } from '../../core/ports.ts'
import type { Clock } from '../../lib/clock.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Turn } from '../../lib/turn.ts'
import { Bodies } from './bodies.ts'
import { DamagedRecordError } from './bytes.ts'
import { CatchingUp } from './catching-up.ts'
import { Committer } from './committer.ts'
import type { Database, DatabaseFactory } from './database.ts'
import { StoreOpenError, levelDatabase, openDatabase, prepareDirectory } from './database.ts'
import { LevelDelayLog } from './delay-log.ts'
import { definitionKey, encodeDefinition } from './definition-codec.ts'
import { eraseRange } from './erase-range.ts'
import { Eraser } from './eraser.ts'
import { findEverything, type FoundPages } from './found-pages.ts'
import { Reader } from './reader.ts'
import { LevelIdLog } from './id-log.ts'
import { Kind, SPILL_FIRST, kindKey } from './keys.ts'
import { LevelLog } from './level-log.ts'
import type { StoreContext } from './log-pages.ts'
import { OLDER_RECORDS, bringUp } from './older-formats.ts'
import { Openings } from './openings.ts'
import type { Recovered } from './recovery.ts'
import { FORMAT, FORMAT_BEING_BROUGHT_UP, formatOf, recover } from './recovery.ts'
import { encodeNumber, type DelayRecord } from './records.ts'
import type { LevelTuning } from './tuning.ts'

/** What a store is opened with. */
export interface LevelStoreOptions {
  /** The directory of the database. It is made if there is none. */
  readonly location: string
  readonly turn: Turn
  readonly monitor: StoreMonitor
  readonly clock?: Clock
  readonly tuning?: LevelTuning
  /** Called when LevelDB begins to open, which takes a while and nothing of the main thread. */
  readonly opening?: (() => void) | undefined
  /** Makes the database that lies under the store; LevelDB if not given. */
  readonly database?: DatabaseFactory
}

/** A store, and what it held when it was opened. */
export interface OpenedLevelStore {
  readonly store: LevelStore
  readonly definitions: readonly Definition[]
}

/** The durable store. Owns the database, the committer and the logs. Imports core's ports and lib. */
export class LevelStore implements Store {
  readonly #context: StoreContext
  /** What the database had of logs that nobody has asked for: their records, and where damaged bytes are kept. */
  readonly #records: Recovered['logs']
  readonly #aside: Recovered['aside']
  readonly #logs: Map<number, LevelLog>
  readonly #delayLogs: Map<number, DelayRecord>
  readonly #ids: Map<number, readonly SeenId[]>
  #nextLog: number
  #nextSpill: number

  private constructor(context: StoreContext, logs: Map<number, LevelLog>, recovered: Recovered, nextLog: number) {
    this.#context = context
    this.#logs = logs
    this.#records = recovered.logs
    this.#aside = recovered.aside
    this.#delayLogs = recovered.delayLogs
    this.#ids = recovered.ids
    this.#nextLog = nextLog
    // Above all that is still there of those from before: their ids are not given again before the next start.
    this.#nextSpill = recovered.nextSpill
    for (const [id, { dropped }] of recovered.logs) {
      // What was spilled before the last end is nobody's any more.
      if (id >= SPILL_FIRST || dropped) this.log(id).drop()
    }
    for (const [id, record] of recovered.delayLogs) {
      if (id < SPILL_FIRST && !record.dropped) continue
      this.#delayLogs.delete(id)
      this.#nextSpill = Math.max(this.#nextSpill, id + 1)
      void new LevelDelayLog(id, context, { ...record, dropped: true }, () => undefined).erase()
    }
    const owned = new Set(recovered.definitions.map((definition) => ('ids' in definition ? definition.ids : undefined)))
    for (const id of [...recovered.ids.keys()]) {
      if (owned.has(id)) continue
      recovered.ids.delete(id)
      void new LevelIdLog(id, context, []).erase()
    }
    void eraseRange(context, OLDER_RECORDS)
    if (context.eraser.waiting) context.committer.schedule()
  }

  /**
   * Opens the store in a directory, and makes it if there is none. Reads definitions, and a record of each log: what that
   * holds is found out later. Where something is damaged, or older, that is done before anything is stored.
   * Throws StoreOpenError, whose message is a sentence for people; what is there is left as it was.
   */
  static async open(options: LevelStoreOptions): Promise<OpenedLevelStore> {
    const { location, turn, monitor, clock = systemClock } = options
    if (options.database === undefined) await prepareDirectory(location)
    let whole = true
    const damaged = (damage: Error): void => {
      whole = false
      monitor.damageFound?.(damage)
    }
    const database = await openDatabase(
      location,
      options.database ?? levelDatabase(options.tuning, damaged, options.opening),
    )
    let recovered: Recovered
    let found: Map<number, FoundPages> | null = null
    try {
      const format = await formatOf(database, location)
      if (format === 0) await writeFormat(database)
      recovered = await recover(database)
      for (const damage of recovered.damage) damaged(damage)
      const older = format !== 0 && format < FORMAT
      if (older || !whole) found = await findEverything(database, recovered)
      if (older) {
        // What is half brought up no older version reads rightly.
        await writeFormat(database, FORMAT_BEING_BROUGHT_UP)
        for (const damage of await bringUp(database, found!)) damaged(damage)
        await writeFormat(database)
      }
    } catch (error) {
      await database.close()
      throw openingError(location, error as Error)
    }
    const logs = new Map<number, LevelLog>()
    const bodies = new Bodies(recovered.nextBody, damaged)
    const dropped = (id: number): void => void logs.delete(id)
    const context = storeContext({ database, turn, clock, monitor, bodies, dropped, recovered, found })
    const store = new LevelStore(context, logs, recovered, nextIdOf(recovered, found))
    return { store, definitions: recovered.definitions }
  }

  get pendingBytes(): number {
    return this.#context.committer.pendingBytes
  }

  get commits(): Commits {
    return this.#context.committer.commits
  }

  save(definition: Definition): void {
    this.#context.committer.change({ type: 'put', key: definitionKey(definition), value: encodeDefinition(definition) })
  }

  remove(definition: Definition): void {
    this.#context.committer.change({ type: 'del', key: definitionKey(definition) })
  }

  log(id?: number): QueueLog {
    id ??= this.#newId()
    let log = this.#logs.get(id)
    if (log === undefined) {
      this.#logs.set(id, (log = new LevelLog(id, this.#context, this.#records.get(id), this.#aside.get(id))))
      this.#records.delete(id)
      this.#aside.delete(id)
    }
    return log
  }

  openLogs(): Promise<void> {
    return this.#context.openings.all()
  }

  spill(): QueueLog {
    return this.log(this.#nextSpill++)
  }

  delays(stored: (due: number) => void, durable: boolean, id?: number): DelayLog {
    const known = id ?? (durable ? this.#newId() : this.#nextSpill++)
    const record = this.#delayLogs.get(known) ?? { count: 0, next: 0, dropped: false }
    this.#delayLogs.delete(known)
    return new LevelDelayLog(known, this.#context, record, stored)
  }

  ids(id?: number): IdLog {
    const known = id ?? this.#newId()
    const recovered = this.#ids.get(known) ?? []
    this.#ids.delete(known)
    return new LevelIdLog(known, this.#context, recovered)
  }

  whenDurable(callback: () => void): void {
    this.#context.committer.whenDurable(callback)
  }

  /** Writes what waits, and how far deliveries went, and closes. Rejects when that cannot be written. */
  async close(): Promise<void> {
    this.#context.openings.close()
    this.#context.eraser.close()
    for (const log of this.#logs.values()) log.close()
    await this.#context.committer.close()
  }

  /** An id that no log has had. */
  #newId(): number {
    const id = this.#nextLog++
    this.#context.committer.change({ type: 'put', key: kindKey(Kind.nextLog), value: encodeNumber(this.#nextLog) })
    return id
  }
}

/** Above every id that is in use, also when the record that says so was damaged: two queues never share a log. */
function nextIdOf(recovered: Recovered, found: ReadonlyMap<number, FoundPages> | null): number {
  const { nextLog, logs, delayLogs, ids, erasures, definitions } = recovered
  let next = nextLog
  for (const known of [logs, delayLogs, ids, erasures, found ?? []]) {
    for (const [id] of known) if (id < SPILL_FIRST) next = Math.max(next, id + 1)
  }
  for (const definition of definitions) {
    if ('ids' in definition) next = Math.max(next, (definition.ids ?? 0) + 1)
    if (definition.kind === 'exchange') {
      next = Math.max(next, (definition.delays ?? 0) + 1, (definition.history ?? 0) + 1)
    }
    if (definition.kind !== 'queue') continue
    for (const { log } of [definition, ...(definition.levels ?? [])]) next = Math.max(next, log + 1)
  }
  return next
}

/** What the parts of a store are made of. */
interface StoreParts {
  readonly database: Database
  readonly turn: Turn
  readonly clock: Clock
  readonly monitor: StoreMonitor
  readonly bodies: Bodies
  readonly dropped: (id: number) => void
  readonly recovered: Recovered
  readonly found: ReadonlyMap<number, FoundPages> | null
}

function storeContext({ database, turn, clock, monitor, bodies, dropped, recovered, found }: StoreParts): StoreContext {
  const committer = new Committer(database, turn, clock, monitor)
  const reader = new Reader(database, committer)
  const damaged = (damage: Error): void => monitor.damageFound?.(damage)
  const eraser = new Eraser(database, committer, reader, clock, bodies, damaged)
  committer.accompany(eraser)
  const catchingUp = new CatchingUp()
  committer.accompany(catchingUp)
  const erase = (log: number, { dead, erasures }: FoundPages): void => {
    for (const { from, pages } of erasures) eraser.add({ log, pages, record: from })
    if (dead.length > 0) eraser.add({ log, pages: dead, record: null })
    committer.schedule()
  }
  const openings = new Openings({ database, clock, committer, erase, damaged }, recovered, found)
  return {
    database,
    committer,
    reader,
    eraser,
    bodies,
    catchingUp,
    openings,
    now: () => clock.now(),
    dropped,
    lost: (lost: LostMessages) => monitor.messagesLost?.(lost),
    damaged,
  }
}

/** Older brokers will not open it from here on. */
async function writeFormat(database: Database, version = FORMAT): Promise<void> {
  const format = { type: 'put', key: kindKey(Kind.format), value: encodeNumber(version) } as const
  await database.batch([format], { sync: true })
}

function openingError(location: string, error: Error & { code?: string }): Error {
  if (error instanceof StoreOpenError) return error
  if (error instanceof DamagedRecordError || error.code === 'LEVEL_CORRUPTION') {
    return new StoreOpenError(`The store in ${location} is damaged: ${error.message}.`, { cause: error })
  }
  if (error.code !== undefined) {
    return new StoreOpenError(`The store in ${location} cannot be read: ${error.message}.`, { cause: error })
  }
  return error
}
