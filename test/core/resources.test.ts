// Memory and disk by readings that the test makes up.
import { describe, expect, it } from 'vitest'
import { Alarms } from '../../src/core/alarms.ts'
import { Resources, type ResourceLimits } from '../../src/core/resources.ts'
import { GARBAGE_CHECKS, MEMORY_CHECK_MS } from '../../src/core/limits.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/log.ts'

class Bench {
  residentBytes = 0
  collections = 0
  freeDiskBytes: number | null | Error = null
  readonly lines: string[] = []
  readonly alarms = new Alarms()
  readonly clock = new ManualClock(0)
  readonly resources: Resources

  constructor(limits: ResourceLimits = { memoryBytes: 1000, diskFreeBytes: 500 }) {
    const readings = {
      residentBytes: () => this.residentBytes,
      collectGarbage: () => void this.collections++,
      freeDiskBytes: async () => {
        if (this.freeDiskBytes instanceof Error) throw this.freeDiskBytes
        return this.freeDiskBytes
      },
    }
    const logger = { ...silentLogger, warn: (_facts: unknown, message: string) => void this.lines.push(message) }
    this.resources = new Resources(limits, readings, this.alarms, logger)
  }

  async pass(milliseconds: number): Promise<void> {
    this.clock.advance(milliseconds)
    await new Promise((resolve) => process.nextTick(resolve))
  }
}

describe('memory', () => {
  it('raises an alarm above its limit and clears it below, and says so', async () => {
    const bench = new Bench()
    await bench.resources.start(bench.clock)
    bench.residentBytes = 1000
    await bench.pass(1000)
    expect(bench.alarms.reason).toBe('')
    bench.residentBytes = 1001
    await bench.pass(1000)
    expect(bench.alarms.reason).toBe('low on memory')
    expect(bench.resources.usedBytes).toBe(1001)
    bench.residentBytes = 900
    await bench.pass(1000)
    expect(bench.alarms.reason).toBe('')
    expect(bench.lines).toEqual(['memory alarm: publishers are blocked', 'memory alarm cleared'])
  })

  it('has garbage collected while there is too little, now and then', async () => {
    const bench = new Bench()
    await bench.resources.start(bench.clock)
    bench.residentBytes = 1000
    await bench.pass(MEMORY_CHECK_MS)
    expect(bench.collections).toBe(0)
    bench.residentBytes = 1001
    await bench.pass(MEMORY_CHECK_MS)
    expect(bench.collections).toBe(1)
    for (let check = 0; check < GARBAGE_CHECKS; check++) await bench.pass(MEMORY_CHECK_MS)
    expect(bench.collections).toBe(1)
    await bench.pass(MEMORY_CHECK_MS)
    expect(bench.collections).toBe(2)
    bench.residentBytes = 500
    await bench.pass(MEMORY_CHECK_MS)
    bench.residentBytes = 1001
    await bench.pass(MEMORY_CHECK_MS)
    expect(bench.collections).toBe(3)
  })

  it('has whoever keeps some of it asked for that with each look while it is tight', async () => {
    const bench = new Bench()
    let asked = 0
    bench.resources.whileTight(() => asked++)
    await bench.resources.start(bench.clock)
    expect(asked).toBe(0)
    bench.residentBytes = 900
    await bench.pass(MEMORY_CHECK_MS)
    await bench.pass(MEMORY_CHECK_MS)
    expect(asked).toBe(2)
    bench.residentBytes = 500
    await bench.pass(MEMORY_CHECK_MS)
    expect(asked).toBe(2)
  })

  it('is looked at when the broker starts', async () => {
    const bench = new Bench()
    bench.residentBytes = 2000
    await bench.resources.start(bench.clock)
    expect(bench.alarms.reason).toBe('low on memory')
  })

  it('is tight before the alarm, and says when it no longer is', async () => {
    const bench = new Bench()
    await bench.resources.start(bench.clock)
    const told: string[] = []
    bench.resources.whenRelieved(() => told.push('at once'))
    expect(told).toEqual(['at once'])
    bench.residentBytes = 850
    await bench.pass(1000)
    expect([bench.resources.tight, bench.alarms.reason]).toEqual([true, ''])
    bench.resources.whenRelieved(() => told.push('later'))
    await bench.pass(1000)
    expect(told).toEqual(['at once'])
    bench.residentBytes = 100
    await bench.pass(1000)
    expect([bench.resources.tight, told]).toEqual([false, ['at once', 'later']])
    await bench.pass(1000)
    expect(told.length).toBe(2)
  })

  it('is not limited by 0', async () => {
    const bench = new Bench({ memoryBytes: 0, diskFreeBytes: 0 })
    bench.residentBytes = 2 ** 50
    bench.freeDiskBytes = 0
    await bench.resources.start(bench.clock)
    expect([bench.alarms.reason, bench.resources.tight]).toEqual(['', false])
    expect(bench.resources.usedBytes).toBe(2 ** 50)
  })
})

describe('the disk', () => {
  it('raises an alarm when less is free than its limit, and clears it when there is room', async () => {
    const bench = new Bench()
    bench.freeDiskBytes = 499
    await bench.resources.start(bench.clock)
    expect(bench.alarms.reason).toBe('low on disk')
    bench.freeDiskBytes = 500
    await bench.pass(10_000)
    expect([bench.alarms.reason, bench.resources.freeDiskBytes]).toEqual(['', 500])
  })

  it('has no alarm when everything is in memory', async () => {
    const bench = new Bench()
    await bench.resources.start(bench.clock)
    expect([bench.alarms.reason, bench.resources.freeDiskBytes]).toEqual(['', null])
  })

  it('keeps its alarm, raised or not, while nobody can tell what is free', async () => {
    const bench = new Bench()
    bench.freeDiskBytes = 10
    await bench.resources.start(bench.clock)
    bench.freeDiskBytes = new Error('no such directory')
    await bench.pass(10_000)
    expect(bench.alarms.reason).toBe('low on disk')
    expect(bench.lines).toContain('the free space of the disk cannot be read')
  })

  it('does not clear the alarm of a store that cannot write', async () => {
    const bench = new Bench()
    bench.freeDiskBytes = 10
    await bench.resources.start(bench.clock)
    bench.alarms.raise('disk', 'failure')
    bench.freeDiskBytes = 10_000
    await bench.pass(10_000)
    expect(bench.alarms.reason).toBe('low on disk')
  })
})

describe('resources', () => {
  it('go by other limits as soon as they are told them', async () => {
    const bench = new Bench()
    bench.residentBytes = 600
    bench.freeDiskBytes = 600
    await bench.resources.start(bench.clock)
    expect(bench.alarms.reason).toBe('')
    await bench.resources.limit({ memoryBytes: 500, diskFreeBytes: 700 })
    expect(bench.alarms.reason).toBe('low on memory & disk')
    await bench.resources.limit({ diskFreeBytes: 0 })
    expect(bench.alarms.reason).toBe('low on memory')
    await bench.resources.limit({ memoryBytes: 0 })
    expect([bench.alarms.reason, bench.resources.tight]).toEqual(['', false])
    expect(bench.resources.limits).toEqual({ memoryBytes: 0, diskFreeBytes: 0 })
  })

  it('are looked at no more once they are stopped', async () => {
    const bench = new Bench()
    await bench.resources.start(bench.clock)
    bench.resources.stop()
    bench.residentBytes = 2000
    bench.freeDiskBytes = 0
    await bench.pass(60_000)
    expect(bench.alarms.reason).toBe('')
  })
})
