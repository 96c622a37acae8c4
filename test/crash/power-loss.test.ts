// The power goes at a random moment, and the disk keeps what was synced and any of the rest: nothing confirmed is lost,
// nothing settled comes back, and the changes of one moment are all there or none. The disk fails now and then, too.
import { expect, it, vi } from 'vitest'
import type { LostMessages } from '../../src/core/ports.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { Turn } from '../../src/lib/turn.ts'
import { LevelStore } from '../../src/store/level/level-store.ts'
import { ForgetfulDatabase, ForgetfulDisk } from './forgetful-disk.ts'
import type { Random } from './random.ts'
import { seeds, withSeed } from './seeds.ts'
import { expectInvariants } from './store-invariants.ts'
import { StoreModel, type FoundState } from './store-model.ts'
import { StoreProgram } from './store-program.ts'

// Index records fall behind soon, and catch up soon. Few shared bodies are known; pages go few at a time.
vi.mock('../../src/store/level/tuning.ts', async (original) => ({
  ...(await original<object>()),
  BEHIND_BYTES_MIN: 200,
  BEHIND_PAGES_MAX: 4,
  BEHIND_LOGS_MAX: 2,
  BODY_BLOCKS_MAX: 1,
  PAGE_BODIES_KNOWN_MAX: 6,
  NEXT_BODY_AHEAD: 2,
  ERASE_SLICE: 40,
}))

const COUNT = 2_000

/** Kinds of records that are there when there is nothing else: the format's version, and the next log's and body's number. */
const KINDS_ALWAYS = new Set([1, 2, 3])

const MOMENTS_MAX = 10_000

const QUIET = { storeFailed: () => undefined, storeRecovered: () => undefined }

it(
  'loses nothing that it confirmed when the power goes',
  async () => {
    const tally = { powerCuts: 0, failures: 0, messages: 0 }
    for (const seed of seeds(COUNT)) await withSeed(seed, (random) => new Machine(random, tally).run())
    expect(tally.powerCuts).toBeGreaterThan(0)
    expect(tally.messages).toBeGreaterThan(0)
  },
  60_000 + seeds(COUNT).length * 100,
)

/** A store on a forgetful disk, through several lives. */
class Machine {
  readonly #random: Random
  readonly #tally: { powerCuts: number; failures: number; messages: number }
  #clock = new ManualClock()
  readonly #model = new StoreModel()
  #disk = new ForgetfulDisk()
  #database = new ForgetfulDatabase(this.#disk)
  #failing = false
  /** What the store could not read. */
  readonly #lost: string[] = []

  constructor(random: Random, tally: { powerCuts: number; failures: number; messages: number }) {
    this.#random = random
    this.#tally = tally
  }

  async run(): Promise<void> {
    for (let lives = this.#random.int(1, 3); lives > 0; lives--) {
      const later = this.#random.chance(0.4)
      const { store, program } = await this.#open(later)
      await this.#live(store, program)
      if (this.#random.chance(0.2)) await this.#close(store)
      else this.#tally.powerCuts++
      this.#disk = this.#database.crash(this.#random)
      expectInvariants(this.#disk.view())
    }
    await this.#clearOut()
  }

  /** `later`: it is not looked at once what logs hold. */
  async #open(later = false): Promise<{ store: LevelStore; program: StoreProgram }> {
    const database = new ForgetfulDatabase(this.#disk)
    this.#database = database
    // Nobody of the last life is woken any more.
    this.#clock = new ManualClock(this.#clock.now() + 1_000)
    this.#failing = false
    const monitor = {
      storeFailed: () => {
        expect(this.#failing).toBe(false)
        this.#failing = true
        this.#tally.failures++
      },
      storeRecovered: () => {
        expect(this.#failing).toBe(true)
        this.#failing = false
      },
      messagesLost: ({ log, first, last, error }: LostMessages) => {
        this.#lost.push(`${first} to ${last} of log ${log}: ${error.message}`)
      },
    }
    const options = { location: 'nowhere', turn: new Turn(), clock: this.#clock, monitor, database: () => database }
    // What is written before it is known what there was is compared with what a store finds that looks at once.
    const seen = later ? await this.#peek() : null
    const { store, definitions } = await this.#whileWriting(LevelStore.open(options))
    const program = new StoreProgram(store, this.#random.fork(), (event) => this.#model.apply(event))
    if (seen === null) {
      void store.openLogs()
      this.#found(await this.#whileWriting(program.open(definitions, this.#model.logs)))
    } else {
      program.adopt(seen.program)
      this.#found(seen.found)
    }
    expect(this.#lost).toEqual([])
    return { store, program }
  }

  #found(found: FoundState): void {
    for (const { messages } of found.logs.values()) this.#tally.messages += messages.size
    this.#model.opened(found)
  }

  /** What is on the disk, as somebody finds it who has a copy. */
  async #peek(): Promise<{ program: StoreProgram; found: FoundState }> {
    const [database, failing] = [this.#database, this.#failing]
    this.#database = new ForgetfulDatabase(this.#disk.copy())
    this.#failing = false
    const options = { location: 'nowhere', turn: new Turn(), clock: this.#clock, monitor: QUIET }
    const opening = LevelStore.open({ ...options, database: () => this.#database })
    const { store, definitions } = await this.#whileWriting(opening)
    const program = new StoreProgram(store, this.#random.fork(), () => undefined)
    const found = await this.#whileWriting(program.open(definitions, this.#model.logs))
    this.#database.crash(this.#random)
    this.#database = database
    this.#failing = failing
    return { program, found }
  }

  async #live(store: LevelStore, program: StoreProgram): Promise<void> {
    for (let turns = this.#random.skewed(1, 50); turns > 0; turns--) {
      program.turn()
      // The disk is quicker than the store, or slower.
      for (let steps = this.#random.int(0, 3); steps > 0; steps--) await this.#step()
      if (this.#random.chance(0.05)) await this.#whileWriting(program.expectReadable())
      if (this.#random.chance(0.05)) void store.openLogs()
    }
  }

  /** A close that cannot write says so, and is a crash. */
  async #close(store: LevelStore): Promise<void> {
    try {
      await this.#whileWriting(store.close())
    } catch (error) {
      if (!this.#failing) throw error
      expect((error as Error).message).toContain('could not write what waited')
    }
  }

  /** What is not used any more leaves nothing behind. */
  async #clearOut(): Promise<void> {
    const later = this.#random.chance(0.4)
    const { store, program } = await this.#open(later)
    program.empty()
    if (later) await this.#whileWriting(store.openLogs())
    await this.#whileWriting(new Promise<void>((resolve) => store.whenDurable(resolve)))
    await this.#idle()
    const kinds = [...this.#disk.view().keys()].map((key) => key.charCodeAt(0))
    expect(kinds.filter((kind) => !KINDS_ALWAYS.has(kind))).toEqual([])
  }

  /** A moment passes. */
  async #step(): Promise<void> {
    if (this.#failing && this.#random.chance(0.7)) this.#clock.advance(10_000)
    if (this.#database.writing) {
      if (this.#random.chance(0.9)) this.#database.end('written')
      else {
        this.#database.openFailures = this.#random.int(0, 2)
        this.#database.end(this.#random.chance(0.5) ? 'refused' : 'unsynced')
      }
    }
    await moment()
  }

  /** Waits, with a disk that works. */
  async #whileWriting<T>(work: Promise<T>): Promise<T> {
    const wait = { over: false }
    const ended = work.finally(() => {
      wait.over = true
    })
    ended.catch(() => undefined)
    for (let moments = 0; !wait.over; moments++) {
      if (moments === MOMENTS_MAX) throw new Error('the store is stuck')
      await this.#work()
    }
    return ended
  }

  async #idle(): Promise<void> {
    for (let quiet = 0; quiet < 5; quiet = this.#database.writing ? 0 : quiet + 1) await this.#work()
  }

  async #work(): Promise<void> {
    if (this.#failing) this.#clock.advance(10_000)
    if (this.#database.writing) this.#database.end('written')
    await moment()
  }
}

function moment(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
