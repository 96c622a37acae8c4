// Watches the memory and the disk that the broker has, and raises the alarms.
import type { Clock, Timer } from '../lib/clock.ts'
import type { Logger } from '../lib/log.ts'
import type { Alarms } from './alarms.ts'
import { DISK_CHECK_MS, GARBAGE_CHECKS, MEMORY_CHECK_MS, MEMORY_TIGHT_SHARE } from './limits.ts'

/** Where the figures come from: the machine, or a test. Bytes. */
export interface ResourceReadings {
  residentBytes(): number
  /** What is free where the data is; null when everything is in memory. */
  freeDiskBytes(): Promise<number | null>
  /** Begins to collect garbage: a process that waits for memory allocates nothing, and so would not do it by itself. */
  collectGarbage?(): void
}

/** From where on publishers are blocked. Bytes; 0 is no limit. */
export interface ResourceLimits {
  readonly memoryBytes: number
  readonly diskFreeBytes: number
}

/** The state of memory and disk. Raises and clears alarms; `tight` tells the queues earlier, so that they keep less. */
export class Resources {
  /** Whether memory is near its limit: queues spill sooner, and unacknowledged messages are let out more slowly. */
  tight = false
  usedBytes = 0
  freeDiskBytes: number | null = null

  #limits: ResourceLimits
  readonly #readings: ResourceReadings
  readonly #alarms: Alarms
  readonly #logger: Logger
  readonly #timers: Timer[] = []
  #relieved: (() => void)[] = []
  readonly #relievers: (() => void)[] = []
  /** Checks until garbage is collected again, as long as the memory alarm stands. */
  #checksLeft = 0

  constructor(limits: ResourceLimits, readings: ResourceReadings, alarms: Alarms, logger: Logger) {
    this.#limits = limits
    this.#readings = readings
    this.#alarms = alarms
    this.#logger = logger
  }

  /** Those that hold now. */
  get limits(): ResourceLimits {
    return this.#limits
  }

  /** Other limits hold from now on. Comes back when both resources were checked by them. */
  async limit(limits: Partial<ResourceLimits>): Promise<void> {
    this.#limits = { ...this.#limits, ...limits }
    this.checkMemory()
    await this.checkDisk()
  }

  /** Checks both now and regularly from now on. */
  async start(clock: Clock): Promise<void> {
    this.#timers.push(
      clock.every(MEMORY_CHECK_MS, () => this.checkMemory()),
      clock.every(DISK_CHECK_MS, () => void this.checkDisk()),
    )
    this.checkMemory()
    await this.checkDisk()
  }

  /** Checks nothing from here on. */
  stop(): void {
    for (const timer of this.#timers) timer.cancel()
  }

  /** Calls back once when memory is no longer tight; at once when it is not. */
  whenRelieved(callback: () => void): void {
    if (this.tight) this.#relieved.push(callback)
    else callback()
  }

  /** Calls this with each check of memory while that is tight, so that less of it is kept. */
  whileTight(relieve: () => void): void {
    this.#relievers.push(relieve)
  }

  /** Reads how much memory the process has; raises or clears the alarm. */
  checkMemory(): void {
    const { memoryBytes } = this.#limits
    this.usedBytes = this.#readings.residentBytes()
    const limit = memoryBytes === 0 ? Infinity : memoryBytes
    this.#judge('memory', this.usedBytes > limit, { usedBytes: this.usedBytes, limitBytes: memoryBytes })
    this.tight = this.usedBytes > limit * MEMORY_TIGHT_SHARE
    if (this.tight) for (const relieve of this.#relievers) relieve()
    this.#collect(this.usedBytes > limit)
    if (this.tight || this.#relieved.length === 0) return
    const relieved = this.#relieved
    this.#relieved = []
    for (const callback of relieved) callback()
  }

  /** The same for the free space of the disk. */
  async checkDisk(): Promise<void> {
    const { diskFreeBytes } = this.#limits
    try {
      this.freeDiskBytes = await this.#readings.freeDiskBytes()
    } catch (error) {
      // Whether there is room cannot be told: the store says so itself when a write fails.
      this.#logger.warn({ err: error }, 'the free space of the disk cannot be read')
      return
    }
    if (this.freeDiskBytes === null) return
    const facts = { freeBytes: this.freeDiskBytes, limitBytes: diskFreeBytes }
    this.#judge('disk', this.freeDiskBytes < diskFreeBytes, facts)
  }

  #collect(short: boolean): void {
    if (!short) this.#checksLeft = 0
    else if (this.#checksLeft-- <= 0) {
      this.#checksLeft = GARBAGE_CHECKS
      this.#readings.collectGarbage?.()
    }
  }

  #judge(alarm: 'memory' | 'disk', short: boolean, facts: Record<string, number>): void {
    const raised = this.#alarms.causes(alarm).has('limit')
    if (short === raised) return
    if (short) {
      this.#logger.warn(facts, `${alarm} alarm: publishers are blocked`)
      this.#alarms.raise(alarm, 'limit')
    } else {
      this.#logger.warn(facts, `${alarm} alarm cleared`)
      this.#alarms.clear(alarm, 'limit')
    }
  }
}
