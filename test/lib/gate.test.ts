// Work that runs a few at a time.
import { describe, expect, it } from 'vitest'
import { Gate } from '../../src/lib/gate.ts'

describe('Gate', () => {
  it('runs no more than its limit at once, in order, and passes outcomes on', async () => {
    const gate = new Gate(2)
    const started: number[] = []
    const finish: (() => void)[] = []
    const works = [0, 1, 2, 3].map((number) =>
      gate.run(async () => {
        started.push(number)
        await new Promise<void>((resolve) => finish.push(resolve))
        return number
      }),
    )
    expect(started).toEqual([0, 1])
    finish[1]!()
    await expect(works[1]).resolves.toBe(1)
    expect(started).toEqual([0, 1, 2])
    finish[0]!()
    finish[2]!()
    await expect(works[2]).resolves.toBe(2)
    finish[3]!()
    await expect(Promise.all(works)).resolves.toEqual([0, 1, 2, 3])
  })

  it('lets the next one in after a failure', async () => {
    const gate = new Gate(1)
    const failed = gate.run(() => Promise.reject(new Error('no')))
    const next = gate.run(() => Promise.resolve('yes'))
    await expect(failed).rejects.toThrow('no')
    await expect(next).resolves.toBe('yes')
  })
})
