// Whose turn it is: fair among those that are ready, and no trouble with those that are not.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { Consumer } from '../../../src/core/ports.ts'
import { Dispatch, Subscription } from '../../../src/core/queue/dispatch.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** A consumer that is ready when it is told to be, and counts how often it was asked. */
class Asked implements Consumer {
  readonly tag: string
  readonly noAck = false
  outstanding = 0
  asked = 0
  #ready = true

  constructor(tag: string) {
    this.tag = tag
  }

  get ready(): boolean {
    this.asked++
    return this.#ready
  }

  set ready(ready: boolean) {
    this.#ready = ready
  }

  deliver(): boolean {
    throw new Error('dispatch delivers nothing')
  }

  cancelled(): void {
    throw new Error('dispatch cancels nobody')
  }
}

class Bench {
  readonly dispatch: Dispatch
  readonly consumers: Asked[] = []
  readonly subscriptions: Subscription[] = []

  /** A consumer for each letter, with the priority that stands at its place. */
  constructor(tags: string, { single = false, yields = false, priorities = [] as readonly number[] } = {}) {
    this.dispatch = new Dispatch(single, yields)
    for (const [index, tag] of Array.from(tags).entries()) {
      const consumer = new Asked(tag)
      const subscription = new Subscription(consumer, false, priorities[index] ?? 0)
      this.consumers.push(consumer)
      this.subscriptions.push(subscription)
      this.dispatch.add(subscription)
    }
  }

  /** Who gets the next messages; `-` where nobody does. */
  turns(count: number): string {
    return Array.from({ length: count }, () => this.dispatch.next()?.tag ?? '-').join('')
  }
}

describe('the consumers of a queue', () => {
  it('are nobody at first', () => {
    expect(new Bench('').turns(2)).toBe('--')
  })

  it('have their turns one after the other, in the order in which they came', () => {
    expect(new Bench('abc').turns(7)).toBe('abcabca')
    expect(new Bench('a').turns(3)).toBe('aaa')
  })

  it('have their turn at the end of the line when they come later', () => {
    const bench = new Bench('abc')
    expect(bench.turns(1)).toBe('a')
    const late = new Subscription(new Asked('d'), false)
    bench.dispatch.add(late)
    expect(bench.turns(5)).toBe('bcadb')
  })

  it('are passed over while they are not ready, and asked no more until they say so', () => {
    const bench = new Bench('abc')
    const busy = bench.consumers[1]!
    busy.ready = false
    expect(bench.turns(5)).toBe('acaca')
    expect(busy.asked).toBe(1)
    busy.ready = true
    expect(bench.turns(2)).toBe('ca')
    bench.dispatch.resume(bench.subscriptions[1]!)
    expect(bench.turns(6)).toBe('cabcab')
  })

  it('are nobody when none is ready, and whoever says so first comes first', () => {
    const bench = new Bench('abc')
    for (const consumer of bench.consumers) consumer.ready = false
    expect(bench.turns(2)).toBe('--')
    expect(bench.consumers.map(({ asked }) => asked)).toEqual([1, 1, 1])
    for (const consumer of bench.consumers) consumer.ready = true
    expect(bench.turns(1)).toBe('-')
    for (const index of [2, 0]) bench.dispatch.resume(bench.subscriptions[index]!)
    expect(bench.turns(4)).toBe('caca')
  })

  it('stand in the line once, however often they say that they are ready', () => {
    const bench = new Bench('ab')
    for (let i = 0; i < 5; i++) bench.dispatch.resume(bench.subscriptions[0]!)
    expect(bench.turns(4)).toBe('abab')
  })

  it('are forgotten once they are removed, where nothing is published and one that is ready stays', async () => {
    const { dispatch } = new Bench('a')
    const gone = new FinalizationRegistry<string>((tag) => collected.add(tag))
    const collected = new Set<string>()
    for (let i = 0; i < 200; i++) {
      const consumer = new Asked(`gone ${i}`)
      gone.register(consumer, consumer.tag)
      const subscription = new Subscription(consumer, false)
      dispatch.add(subscription)
      dispatch.remove(subscription)
    }
    const count = (): number => {
      collectGarbage()
      return collected.size
    }
    await expect.poll(count).toBeGreaterThanOrEqual(150)
    expect(dispatch.next()?.tag).toBe('a')
  })

  it('have no turn any more once they are removed, wherever they stood', () => {
    const bench = new Bench('abcd')
    bench.consumers[3]!.ready = false
    expect(bench.turns(4)).toBe('abca')
    for (const index of [1, 3]) bench.dispatch.remove(bench.subscriptions[index]!)
    expect(bench.turns(4)).toBe('caca')
    bench.consumers[3]!.ready = true
    for (const index of [1, 3]) bench.dispatch.resume(bench.subscriptions[index]!)
    expect(bench.turns(4)).toBe('caca')
    expect([...bench.dispatch.subscriptions]).toEqual([bench.subscriptions[0], bench.subscriptions[2]])
  })
})

describe('priorities of consumers', () => {
  it('have the highest served first, in turns among equals, and the others when those are full', () => {
    const bench = new Bench('abcde', { priorities: [0, 5, -1, 5, 0] })
    expect(bench.turns(4)).toBe('bdbd')
    bench.consumers[1]!.ready = false
    expect(bench.turns(2)).toBe('dd')
    bench.consumers[3]!.ready = false
    expect(bench.turns(4)).toBe('aeae')
    bench.consumers[0]!.ready = false
    bench.consumers[4]!.ready = false
    expect(bench.turns(2)).toBe('cc')
    bench.consumers[1]!.ready = true
    bench.dispatch.resume(bench.subscriptions[1]!)
    expect(bench.turns(2)).toBe('bb')
  })
})

describe('a single active consumer', () => {
  it('is the first that came; the others get nothing, even if it is full', () => {
    const bench = new Bench('abc', { single: true })
    expect(bench.turns(3)).toBe('aaa')
    bench.consumers[0]!.ready = false
    for (const subscription of bench.subscriptions) bench.dispatch.resume(subscription)
    expect(bench.turns(2)).toBe('--')
  })

  it('is followed by the one of the highest priority, or who has waited longest', () => {
    const bench = new Bench('abcd', { single: true, priorities: [0, 0, 3, 3] })
    expect(bench.dispatch.remove(bench.subscriptions[1]!)).toBe(false)
    expect(bench.turns(1)).toBe('a')
    expect(bench.dispatch.remove(bench.subscriptions[0]!)).toBe(true)
    expect(bench.turns(2)).toBe('cc')
    expect(bench.subscriptions.map((each) => bench.dispatch.active(each))).toEqual([false, false, true, false])
    bench.dispatch.remove(bench.subscriptions[2]!)
    expect(bench.turns(1)).toBe('d')
    expect(bench.dispatch.remove(bench.subscriptions[3]!)).toBe(false)
    expect(bench.turns(1)).toBe('-')
  })

  it('gives way to one of a higher priority at once when it has nothing, if it is to', () => {
    expect(new Bench('ab', { single: true, priorities: [1, 2] }).turns(2)).toBe('aa')
    expect(new Bench('ab', { single: true, yields: true, priorities: [1, 2] }).turns(2)).toBe('bb')
    expect(new Bench('ab', { single: true, yields: true, priorities: [1, 1] }).turns(2)).toBe('aa')
  })

  it('gets nothing more, and is followed by the highest when it has settled what it has', () => {
    const bench = new Bench('a', { single: true, yields: true })
    const [a] = [bench.consumers[0]!]
    a.outstanding = 2
    const later = [1, 3, 2].map((priority, index) => new Subscription(new Asked('bcd'[index]!), false, priority))
    for (const subscription of later) bench.dispatch.add(subscription)
    expect(bench.turns(1)).toBe('-')
    expect(bench.dispatch.active(bench.subscriptions[0]!)).toBe(true)
    a.outstanding = 1
    bench.dispatch.resume(bench.subscriptions[0]!)
    expect(bench.turns(1)).toBe('-')
    a.outstanding = 0
    bench.dispatch.resume(bench.subscriptions[0]!)
    expect(bench.turns(2)).toBe('cc')
  })

  it('is followed when it goes with something unsettled', () => {
    const bench = new Bench('a', { single: true, yields: true })
    bench.consumers[0]!.outstanding = 1
    bench.dispatch.add(new Subscription(new Asked('b'), false, 1))
    expect(bench.dispatch.remove(bench.subscriptions[0]!)).toBe(true)
    expect(bench.turns(1)).toBe('b')
  })
})
