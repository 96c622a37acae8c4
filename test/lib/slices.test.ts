// Long work takes turns with everything else, however much of it goes on at a time.
import { setImmediate as settled } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { SLICE_MS, Slices } from '../../src/lib/slices.ts'
import { ManualPasses } from '../support/manual-passes.ts'

/** Work of so many steps of a millisecond each. */
async function work(slices: Slices, passes: ManualPasses, name: string, steps: number, done: string[]): Promise<void> {
  await slices.next()
  for (let step = 0; step < steps; step++) {
    done.push(`${name}${passes.count}`)
    passes.spend(1)
    if (slices.over) await slices.next()
  }
}

it('lasts as long as it may, and then lets a pass of the event loop go by', async () => {
  const passes = new ManualPasses()
  const done: string[] = []
  const working = work(new Slices(passes), passes, 'a', SLICE_MS * 2, done)
  expect(done).toEqual([])
  await passes.run()
  expect(done).toEqual(Array.from({ length: SLICE_MS }, () => 'a1'))
  await passes.run()
  expect(done.slice(SLICE_MS)).toEqual(Array.from({ length: SLICE_MS }, () => 'a2'))
  await passes.run()
  await working
})

it('goes to one work in each pass, in turn', async () => {
  const passes = new ManualPasses()
  const slices = new Slices(passes)
  const done: string[] = []
  const both = Promise.all(['a', 'b'].map((name) => work(slices, passes, name, SLICE_MS * 2, done)))
  await passes.runAll()
  await both
  expect([...new Set(done)]).toEqual(['a1', 'b2', 'a3', 'b4'])
})

it('is there at once for who comes when nobody has one, and for one of those who come together', async () => {
  const passes = new ManualPasses()
  const slices = new Slices(passes)
  const done: string[] = []
  const short = async (name: string): Promise<void> => {
    await slices.begin()
    done.push(`${name}${passes.count}`)
  }
  const all = ['a', 'b', 'c'].map(short)
  await settled()
  expect(done).toEqual(['a0'])
  await passes.runAll()
  await Promise.all(all)
  expect(done).toEqual(['a0', 'b1', 'c2'])
  await short('d')
  expect(done).toHaveLength(4)
})

it('is asked for by nobody when there is nothing to do', async () => {
  const passes = new ManualPasses()
  const slices = new Slices(passes)
  void slices.next()
  expect(await passes.runAll()).toBe(1)
})
