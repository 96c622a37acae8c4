// The window of deliveries that wait for an acknowledgement, against a map from tags to entries.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChannelConsumer } from '../../src/amqp/consumer.ts'
import { Unacked } from '../../src/amqp/unacked.ts'
import { Entry } from '../../src/core/queue/entry.ts'
import { messageOf, queueNamed } from '../support/core.ts'

const queue = queueNamed('q')
const message = messageOf('q')

function entryAt(position: number): Entry {
  return new Entry(queue, message, position)
}

/** What was taken out: the positions of the entries. */
function take(unacked: Unacked, tag: number, multiple: boolean): number[] | null {
  const taken: number[] = []
  return unacked.take(tag, multiple, (entry) => taken.push(entry.position)) ? taken : null
}

function filled(count: number): Unacked {
  const unacked = new Unacked()
  for (let tag = 1; tag <= count; tag++) unacked.add(tag, entryAt(tag), null)
  return unacked
}

type Step =
  | { readonly do: 'add'; readonly count: number; readonly skip: number }
  | { readonly do: 'take'; readonly at: number; readonly multiple: boolean }
  | { readonly do: 'takeMany'; readonly at: number; readonly every: number }
  | { readonly do: 'takeAny'; readonly tag: number; readonly multiple: boolean }
  | { readonly do: 'takeAll' }

const share = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const steps = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('add' as const),
        count: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 1500 })),
        skip: fc.integer({ min: 0, max: 3 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('take' as const), at: share, multiple: fc.boolean() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('takeMany' as const), at: share, every: fc.integer({ min: 1, max: 5 }) }),
    },
    fc.record({
      do: fc.constant('takeAny' as const),
      tag: fc.integer({ min: 1, max: 5000 }),
      multiple: fc.boolean(),
    }),
    fc.constant({ do: 'takeAll' as const }),
  ),
  { maxLength: 30 },
)

/** A channel's deliveries as a plain map, in order of their tags. */
class Model {
  readonly outstanding = new Map<number, number>()
  next = 1

  take(tag: number, multiple: boolean): number[] | null {
    if (!(multiple && tag === 0) && !this.outstanding.has(tag)) return null
    const tags = multiple ? [...this.outstanding.keys()].filter((other) => tag === 0 || other <= tag) : [tag]
    const positions = tags.map((each) => this.outstanding.get(each)!)
    for (const each of tags) this.outstanding.delete(each)
    return positions
  }
}

/** Does the same to both. Returns what each took, time after time. */
function run(step: Step, unacked: Unacked, model: Model): [actual: unknown[], expected: unknown[]] {
  const tags = [...model.outstanding.keys()]
  switch (step.do) {
    case 'add':
      // Tags that are skipped are those of deliveries that need no acknowledgement.
      for (let i = 0; i < step.count; i++, model.next += 1 + step.skip) {
        unacked.add(model.next, entryAt(model.next * 7), null)
        model.outstanding.set(model.next, model.next * 7)
      }
      return [[], []]
    case 'take':
      return both([tags[Math.floor(step.at * tags.length)] ?? 1], step.multiple, unacked, model)
    case 'takeMany': {
      const from = Math.floor(step.at * tags.length)
      return both(
        tags.filter((_tag, i) => i >= from && (i - from) % step.every === 0),
        false,
        unacked,
        model,
      )
    }
    case 'takeAny':
      return both([step.tag], step.multiple, unacked, model)
    case 'takeAll':
      return both([0], true, unacked, model)
  }
}

function both(tags: readonly number[], multiple: boolean, unacked: Unacked, model: Model): [unknown[], unknown[]] {
  return [tags.map((tag) => take(unacked, tag, multiple)), tags.map((tag) => model.take(tag, multiple))]
}

describe('the window of unacknowledged deliveries', () => {
  it('gives what a map would give', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const unacked = new Unacked()
        const model = new Model()
        for (const step of all) {
          const [taken, expected] = run(step, unacked, model)
          expect(taken).toEqual(expected)
          expect(unacked.count).toBe(model.outstanding.size)
        }
        expect(take(unacked, 0, true)).toEqual([...model.outstanding.values()])
        expect(unacked.count).toBe(0)
      }),
      { numRuns: 200 },
    )
  })

  it('takes one delivery in any order, and each once', () => {
    const unacked = filled(5)
    for (const tag of [3, 1, 5, 2, 4]) {
      expect(take(unacked, tag, false)).toEqual([tag])
      expect(take(unacked, tag, false)).toBeNull()
    }
    expect(unacked.count).toBe(0)
  })

  it('takes all up to a tag, in the order in which they were delivered', () => {
    const unacked = filled(6)
    take(unacked, 2, false)
    expect(take(unacked, 4, true)).toEqual([1, 3, 4])
    expect(unacked.count).toBe(2)
  })

  it('takes nothing at all for a tag that is not outstanding, multiple or not', () => {
    const unacked = filled(3)
    take(unacked, 2, false)
    for (const tag of [0, 2, 4, -1, 1.5, 2 ** 53]) expect(take(unacked, tag, false)).toBeNull()
    for (const tag of [2, 4]) expect(take(unacked, tag, true)).toBeNull()
    expect(unacked.count).toBe(2)
  })

  it('takes everything for tag 0 with multiple, also when there is nothing', () => {
    const unacked = filled(3)
    expect(take(unacked, 0, true)).toEqual([1, 2, 3])
    expect(take(unacked, 0, true)).toEqual([])
  })

  it('says who each was delivered to', () => {
    const unacked = new Unacked()
    const consumer = { tag: 'ctag' } as ChannelConsumer
    unacked.add(1, entryAt(1), consumer)
    unacked.add(2, entryAt(2), null)
    const consumers: (ChannelConsumer | null)[] = []
    unacked.take(0, true, (_entry, to) => consumers.push(to))
    expect(consumers).toEqual([consumer, null])
  })

  it('may be added to while deliveries are taken out: what an acknowledgement sets off is a later delivery', () => {
    const unacked = filled(3)
    const taken: number[] = []
    let tag = 4
    unacked.take(2, true, (entry) => {
      taken.push(entry.position)
      unacked.add(tag, entryAt(tag), null)
      tag++
    })
    expect(taken).toEqual([1, 2])
    expect(take(unacked, 0, true)).toEqual([3, 4, 5])
  })

  it('finds what stays at the front of a long window, and forgets what was settled behind it', () => {
    const unacked = filled(100_000)
    let found = 0
    for (let tag = 2; tag < 100_000; tag++) if (unacked.take(tag, false, () => undefined)) found++
    expect([found, unacked.count]).toEqual([99_998, 2])
    expect(take(unacked, 50_000, false)).toBeNull()
    expect(take(unacked, 100_000, true)).toEqual([1, 100_000])
  })
})
