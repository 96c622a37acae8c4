// Work that runs a few at a time.
import { describe, expect, it } from 'vitest'
import { Semaphore } from '../../src/lib/semaphore.ts'

describe('Semaphore', () => {
  it('runs no more than its limit at once, in order, and passes outcomes on', async () => {
    const semaphore = new Semaphore(2)
    const started: number[] = []
    const finish: (() => void)[] = []
    const works = [0, 1, 2, 3].map((number) =>
      semaphore.run(async () => {
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

  it('lets lines take turns, however long one of them is', async () => {
    const semaphore = new Semaphore(1)
    const started: string[] = []
    const works = ['a1', 'a2', 'a3', 'b1', 'b2', 'c1'].map((name) =>
      semaphore.run(() => Promise.resolve(started.push(name)), name[0]),
    )
    await Promise.all(works)
    expect(started).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2'])
  })

  it('lets the next one in after a failure', async () => {
    const semaphore = new Semaphore(1)
    const failed = semaphore.run(() => Promise.reject(new Error('no')))
    const next = semaphore.run(() => Promise.resolve('yes'))
    await expect(failed).rejects.toThrow('no')
    await expect(next).resolves.toBe('yes')
  })
})
