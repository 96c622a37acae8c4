// Kills the broker under load, again and again, starts it on the same directory and compares what it has with the ledger.
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ANY_PORTS, Program } from '../../support/program.ts'
import { audit } from './audit.ts'
import { holdings } from './holdings.ts'
import { Ledger, Tally } from './ledger.ts'
import { LedgerFile } from './ledger-file.ts'
import { ConnectionLostError, LoadClient } from './load-client.ts'
import type { Load, Part } from './part.ts'
import { PARTS, PROOF } from './parts.ts'
import { Patience, settledWithin, SilentBrokerError } from './patience.ts'
import { CountsReader } from './queue-counts.ts'
import { Starvation } from './starvation.ts'
import { Random } from '../random.ts'

const LOAD_MS_MIN = 50
const LOAD_MS_MAX = 1500
/** A load goes on for so long, at the most, until its share of what is to be confirmed has been. */
const SHARE_MS_MAX = 60_000
/** When much is to be confirmed: the probabilities of masses, and of a long load; how long it is, and the others. */
const MASSES_SHARE = 0.8
const LONG_SHARE = 0.1
const LONG_FACTOR = 7
const SHORT_FACTOR = 0.33
/** Probability that a broker hardly gets to run, in a load and in the audit behind it. */
const STARVED_SHARE = 0.15
/** Probabilities: of an orderly end instead of a kill, of a kill in the audit, of a queue that is not audited, ... */
const STOP_SHARE = 0.1
const KILL_IN_AUDIT_SHARE = 0.15
const KILL_IN_AUDIT_MS_MAX = 120
const UNAUDITED_SHARE = 0.2
/** ... and of an empty directory after a cycle. */
const FRESH_SHARE = 0.08
/** So many parts work in one load. */
const BUSY_PARTS = 5
/** What the level of an error is in the log. */
const ERROR_LEVEL = 50

export interface CrashRunOptions {
  readonly seed: number
  readonly cycles: number
  /** How many publishes are to be confirmed in all, at least: loads go on for as long as that takes. */
  readonly confirmed?: number
  readonly parts?: readonly Part[]
  /** How many of the loads end with SIGTERM rather than SIGKILL; a tenth unless told. */
  readonly stopShare?: number
  /** How many of the brokers hardly get to run; a seventh unless told. */
  readonly starvedShare?: number
  readonly patience?: Patience
  /** Keeps a copy of the data directory as each crash left it, for whoever looks into a failure. Slow. */
  readonly snapshots?: boolean
  /** Told after each cycle. */
  readonly onCycle?: (cycle: number, run: CrashRun) => void
}

/** A whole run: one seed, many cycles. Its directory is removed unless something was wrong. */
export class CrashRun {
  readonly tally = new Tally()
  readonly seed: number
  /** What was wrong, in words; empty when nothing was. */
  faults: readonly string[] = []
  directory = ''
  cycles = 0
  /** What the store held for the messages with which something was wrong, in words. */
  held: readonly string[] = []
  starts = 0
  slowestStartMs = 0
  stops = 0
  slowestStopMs = 0
  /** Brokers that hardly got to run. */
  starved = 0
  readonly #options: CrashRunOptions
  readonly #random: Random
  readonly #parts: readonly Part[]
  readonly #patience: Patience
  #cyclesLeft: number
  #directories = 0
  #ledger = new Ledger()
  #file: LedgerFile | null = null
  #program: Program | null = null
  #starvation: Starvation | null = null
  #port = 0
  #counts!: CountsReader
  /** Every connection of this life of the broker. */
  #clients: LoadClient[] = []

  constructor(options: CrashRunOptions) {
    this.seed = options.seed
    this.#options = options
    this.#cyclesLeft = options.cycles
    this.#random = new Random(options.seed)
    this.#parts = options.parts ?? PARTS
    this.#patience = options.patience ?? new Patience()
  }

  /** The process of the broker that runs now. */
  get pid(): number {
    return this.#program!.pid
  }

  /** Runs all the cycles, or those up to the first in which something is wrong. */
  async run(): Promise<this> {
    this.directory = await mkdtemp(join(tmpdir(), 'leveret-crash-'))
    try {
      await this.#cycles()
    } catch (error) {
      if (error instanceof SilentBrokerError) this.#ledger.fault('silent', error.message)
      else this.#ledger.fault('broker', (error as Error).stack ?? String(error))
    } finally {
      await this.#program?.kill()
      await this.#file?.close()
    }
    this.faults = this.#ledger.faults
    const { suspects } = this.#ledger
    if (suspects.size > 0) {
      const held = await holdings(this.#dataDirectory, suspects)
      this.held = [...held].map(([id, places]) => `${id}: ${places.join('; ') || 'nothing'}`)
    }
    if (this.faults.length === 0) await rm(this.directory, { recursive: true })
    return this
  }

  async #cycles(): Promise<void> {
    await this.#freshDirectory()
    for (let cycle = 1; cycle <= this.#options.cycles && !this.#ledger.failed; cycle++) {
      const starving = this.#random.chance(this.#options.starvedShare ?? STARVED_SHARE)
      await this.#starving(starving, () => this.#load())
      this.#cyclesLeft--
      await this.#start()
      if (this.#random.chance(KILL_IN_AUDIT_SHARE)) await this.#interruptedAudit()
      const last = cycle === this.#options.cycles
      const fresh = last || this.#random.chance(FRESH_SHARE)
      await this.#starving(starving, () => this.#audit(fresh))
      await this.#file!.flushed()
      this.cycles = cycle
      this.#options.onCycle?.(cycle, this)
      if (fresh && !last && !this.#ledger.failed) await this.#freshDirectory()
    }
    if (!this.#ledger.failed) await this.#stop()
  }

  /** Does something while the broker hardly gets to run, if it is to. */
  async #starving(starving: boolean, work: () => Promise<void>): Promise<void> {
    if (!starving) return work()
    this.#starvation = new Starvation(this.#program!, this.#random.fork())
    this.#starvation.begin()
    this.starved++
    await work().finally(() => this.#starvation!.end())
  }

  async #freshDirectory(): Promise<void> {
    if (this.#program !== null) {
      await this.#stop()
      await this.#file!.close()
      await rm(this.#dataDirectory, { recursive: true })
    }
    this.#directories++
    this.#file = await LedgerFile.create(join(this.directory, `ledger-${this.#directories}`))
    this.#ledger = new Ledger(this.tally, this.#file)
    for (const part of this.#parts) for (const family of part.families ?? []) this.#ledger.join(family)
    await this.#start()
  }

  get #dataDirectory(): string {
    return join(this.directory, `data-${this.#directories}`)
  }

  async #start(): Promise<void> {
    const words = ['start', '--data-dir', this.#dataDirectory, '--host', '127.0.0.1', ...ANY_PORTS]
    const from = performance.now()
    const program = new Program([...words, '--log-level', 'warn'])
    this.#program = program
    try {
      this.#port = await program.port()
    } catch (error) {
      this.#ledger.fault('start', (error as Error).message)
      throw error
    }
    this.#counts = new CountsReader(await program.port('prometheus'))
    this.slowestStartMs = Math.max(this.slowestStartMs, performance.now() - from)
    this.starts++
    this.#clients = []
    const client = await this.#connect()
    await this.#patience.wait('declarations', () => client.bytesReceived, this.#declare(client))
  }

  async #declare(client: LoadClient): Promise<void> {
    const channel = await client.openChannel(1)
    for (const part of this.#parts) await part.declare(channel)
    await client.close()
  }

  /** Lets all actors work until the broker ends, one way or the other. */
  async #load(): Promise<void> {
    const random = this.#random.fork()
    const share = this.#share(random)
    const load: Load = {
      ledger: this.#ledger,
      random,
      proof: PROOF,
      masses: share > 0 && random.chance(MASSES_SHARE),
      connect: (frameMax) => this.#connect(frameMax),
    }
    // Not all of them at once: each is to have its share of the machine.
    const busy = random.shuffle([...this.#parts]).slice(0, BUSY_PARTS)
    const actors = busy.flatMap((part) => part.actors(load))
    const ends = Promise.all(actors.map((actor) => actor.ended))
    const starts = Promise.all(actors.map((actor) => actor.start()))
    const watched = Promise.all([starts, ends])
    // Now and then while they are still connecting.
    if (!random.chance(0.1)) await Promise.race([starts, watched])
    if (share > 0) await settledWithin(SHARE_MS_MAX, Promise.race([this.tally.reaches(share), watched]))
    await this.#endAfter(
      random.int(LOAD_MS_MIN, LOAD_MS_MAX),
      random.chance(this.#options.stopShare ?? STOP_SHARE),
      watched,
    )
    await watched
    this.#ledger.crashed()
  }

  /**
   * How many publishes are to be confirmed by the end of this load, in all: little more in most, many more in some, as a
   * broker that has just been started is slow; and with the last load all of them. 0 when there are enough.
   */
  #share(random: Random): number {
    const left = (this.#options.confirmed ?? 0) - this.tally.confirmed
    if (left <= 0) return 0
    const most = (2 * left) / this.#cyclesLeft
    const part = random.next() * most * (random.chance(LONG_SHARE) ? LONG_FACTOR : SHORT_FACTOR)
    return this.tally.confirmed + Math.ceil(this.#cyclesLeft === 1 ? left : Math.min(left, part))
  }

  /** Kills or stops the broker when the time has come; if `work` ends before, something is wrong. */
  async #endAfter(milliseconds: number, orderly: boolean, work: Promise<unknown>): Promise<void> {
    const early = await settledWithin(milliseconds, Promise.race([work, this.#program!.outcome()]))
    if (early) this.#ledger.fault('broker', 'the load ended before the broker was killed')
    if (orderly && !early) await this.#stop()
    else await this.#kill()
  }

  async #kill(): Promise<void> {
    const program = this.#program!
    await program.kill()
    await this.#gone(program)
    if (this.#options.snapshots) await this.#snapshot()
  }

  async #stop(): Promise<void> {
    const program = this.#program!
    const connected = this.#clients.filter((client) => client.open)
    this.#ledger.stopping()
    this.#starvation?.end()
    const from = performance.now()
    program.signal('SIGTERM')
    const { code } = await program.outcome()
    const milliseconds = performance.now() - from
    this.stops++
    this.slowestStopMs = Math.max(this.slowestStopMs, milliseconds)
    if (code !== 0) this.#ledger.fault('broker', `the broker ended with ${code} when it was told to stop`)
    await this.#gone(program)
    for (const client of connected) {
      const closure = await client.ended
      if (closure?.code === 320 || client.leftByItself) continue
      this.#ledger.fault('broker', `a stopping broker ended a connection with ${JSON.stringify(closure)}`)
    }
  }

  /** The broker is gone: reads its log, and waits until the connections have noticed. */
  async #gone(program: Program): Promise<void> {
    const { errors } = await program.outcome()
    for (const line of errors.split('\n')) if (isError(line)) this.#ledger.fault('broker', `its log: ${line}`)
    await Promise.all(this.#clients.map((client) => client.ended))
  }

  /** Kills the broker while its queues are being read, as they were not yet settled. */
  async #interruptedAudit(): Promise<void> {
    const work = this.#audit(false)
    const outcome = work.catch((error: unknown) => {
      if (!(error instanceof ConnectionLostError)) throw error
    })
    await settledWithin(this.#random.int(0, KILL_IN_AUDIT_MS_MAX), outcome)
    await this.#kill()
    await outcome
    this.#ledger.crashed()
    await this.#start()
  }

  /** Reads queues, and empties them all or goes easy on them and leaves some out. */
  async #audit(all: boolean): Promise<void> {
    const random = this.#random.fork()
    const client = await this.#connect()
    const queues = this.#parts.flatMap((part) => part.queues).map((name) => this.#ledger.queue(name))
    const audited = queues.filter(() => all || !random.chance(UNAUDITED_SHARE))
    const delayed = this.#parts.flatMap((part) => part.delayed ?? [])
    const [ledger, counts, patience] = [this.#ledger, this.#counts, this.#patience]
    await audit({ ledger, random, proof: PROOF, delayed, client, counts, patience }, audited, all)
    // What is wrong stays as it is.
    if (!ledger.failed) await client.close()
  }

  async #connect(frameMax?: number): Promise<LoadClient> {
    const client = await LoadClient.connect(this.#port, frameMax)
    this.#clients.push(client)
    return client
  }

  /** Copies what the crash left, over what the one before left. */
  async #snapshot(): Promise<void> {
    const copy = join(this.directory, 'after-crash')
    await rm(copy, { recursive: true, force: true })
    await mkdir(copy)
    await cp(this.#dataDirectory, copy, { recursive: true })
  }
}

function isError(line: string): boolean {
  if (line === '') return false
  try {
    return Number((JSON.parse(line) as { level?: unknown }).level) >= ERROR_LEVEL
  } catch {
    return true
  }
}
