// Publisher confirms: what the client reads, for whatever order queues and the store answer in.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Confirms } from '../../src/amqp/confirms.ts'
import { MessageCounts } from '../../src/core/counts.ts'
import { Passages } from '../../src/core/passages.ts'
import { Turn } from '../../src/lib/turn.ts'
import { decodeMethod } from '../support/codec.ts'
import { turnsRun } from '../support/sockets.ts'
import { TightOutput } from './wire/support.ts'

/** The confirms of channel 7, and what was written of them since it was last asked: `ack 3 multiple`, `nack 4`. */
class Bench {
  readonly out = new TightOutput()
  readonly publishes = new Passages()
  readonly confirms = new Confirms(new Turn(), this.out, 7, new MessageCounts(), this.publishes)
  #read = 0

  /** Publishes a message that reaches so many queues, some of which may answer before the publish is through. */
  publish(reached: number, accepted = 0, refused = 0, exchange = ''): number {
    this.publishes.count(exchange)
    const sequence = this.confirms.begin()
    for (let i = 0; i < accepted; i++) this.confirms.accepted(sequence)
    for (let i = 0; i < refused; i++) this.confirms.refused(sequence)
    this.confirms.finish(sequence, reached)
    return sequence
  }

  /** What has been said by the end of the turn. */
  async said(): Promise<string[]> {
    await turnsRun()
    const said: string[] = []
    while (this.#read < this.out.position) {
      const bytes = this.out.written.subarray(this.#read)
      const size = bytes.readUInt32BE(3)
      const { method, fields } = decodeMethod(bytes.subarray(7, 7 + size))
      expect(bytes.readUInt16BE(1)).toBe(7)
      said.push(`${method.slice(6)} ${Number(fields['delivery-tag'])}${fields.multiple ? ' multiple' : ''}`)
      this.#read += size + 8
    }
    return said
  }
}

describe('publisher confirms', () => {
  it('number the publishes from 1', () => {
    const bench = new Bench()
    expect([bench.publish(1), bench.publish(0), bench.publish(2)]).toEqual([1, 2, 3])
  })

  it('say nothing before the turn ends', async () => {
    const bench = new Bench()
    bench.publish(1, 1)
    await Promise.resolve()
    expect(bench.out.position).toBe(0)
    expect(await bench.said()).toEqual(['ack 1'])
  })

  it('acknowledge a publish that reached no queue', async () => {
    const bench = new Bench()
    bench.publish(0)
    expect(await bench.said()).toEqual(['ack 1'])
  })

  it('acknowledge a publish that is accepted before it is through, and one that is accepted later', async () => {
    const bench = new Bench()
    bench.publish(1, 1)
    const later = bench.publish(1)
    expect(await bench.said()).toEqual(['ack 1'])
    bench.confirms.accepted(later)
    expect(await bench.said()).toEqual(['ack 2'])
    expect(await bench.said()).toEqual([])
  })

  it('wait for every queue that a message reached', async () => {
    const bench = new Bench()
    const sequence = bench.publish(3, 1)
    bench.confirms.accepted(sequence)
    expect(await bench.said()).toEqual([])
    bench.confirms.accepted(sequence)
    expect(await bench.said()).toEqual(['ack 1'])
  })

  it('acknowledge as many as they can at once', async () => {
    const bench = new Bench()
    for (let i = 0; i < 5; i++) bench.publish(1, 1)
    expect(await bench.said()).toEqual(['ack 5 multiple'])
    bench.publish(1, 1)
    expect(await bench.said()).toEqual(['ack 6'])
    bench.publish(1, 1)
    bench.publish(0)
    expect(await bench.said()).toEqual(['ack 8 multiple'])
  })

  it('acknowledge nothing before an earlier publish is accepted, and then all that were', async () => {
    const bench = new Bench()
    for (let i = 0; i < 4; i++) bench.publish(1)
    for (const sequence of [2, 4, 3]) bench.confirms.accepted(sequence)
    expect(await bench.said()).toEqual([])
    bench.publish(1)
    bench.confirms.accepted(1)
    expect(await bench.said()).toEqual(['ack 4 multiple'])
    bench.confirms.accepted(5)
    expect(await bench.said()).toEqual(['ack 5'])
  })

  it('refuse a publish by itself, in its place', async () => {
    const bench = new Bench()
    for (const refused of [0, 0, 1, 0, 1, 1, 0]) bench.publish(1, 1 - refused, refused)
    expect(await bench.said()).toEqual(['ack 2 multiple', 'nack 3', 'ack 4', 'nack 5', 'nack 6', 'ack 7'])
  })

  it('refuse a publish that one of its queues refused, once all have answered', async () => {
    const bench = new Bench()
    const sequence = bench.publish(3, 0, 1)
    bench.confirms.accepted(sequence)
    expect(await bench.said()).toEqual([])
    bench.confirms.accepted(sequence)
    expect(await bench.said()).toEqual(['nack 1'])
  })

  it('refuse a publish once that several queues refused, before or after it was through', async () => {
    const bench = new Bench()
    bench.publish(2, 0, 2)
    const later = bench.publish(2)
    bench.confirms.refused(later)
    bench.confirms.refused(later)
    const both = bench.publish(2, 0, 1)
    bench.confirms.refused(both)
    expect(await bench.said()).toEqual(['nack 1', 'nack 2', 'nack 3'])
  })

  it('are silent once the channel is closed', async () => {
    const bench = new Bench()
    bench.publish(1, 1)
    const later = bench.publish(1)
    bench.confirms.close()
    bench.confirms.accepted(later)
    expect(await bench.said()).toEqual([])
  })

  it('count on through many publishes of which many are outstanding', async () => {
    const bench = new Bench()
    const outstanding: number[] = []
    let acknowledged = 0
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 1000; i++) outstanding.push(bench.publish(1))
      for (const sequence of outstanding.splice(0, 900)) bench.confirms.accepted(sequence)
      acknowledged += 900
      expect(await bench.said()).toEqual([`ack ${acknowledged} multiple`])
    }
  })
})

/** A publish as a test makes it: the answer of each queue, and in which turn it comes. */
interface Publish {
  readonly answers: readonly { readonly refused: boolean; readonly turn: number }[]
}

const TURNS = 6
const publishes: fc.Arbitrary<Publish[]> = fc.array(
  fc.record({
    answers: fc.array(
      fc.record({
        refused: fc.nat(4).map((one) => one === 0),
        turn: fc.integer({ min: -1, max: TURNS - 1 }),
      }),
      { maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 30 },
)

describe('publisher confirms in any order', () => {
  it('tell of each publish once, in order, as it was answered, and not before it was', async () => {
    await fc.assert(
      fc.asyncProperty(publishes, async (all) => {
        const bench = new Bench()
        const told: string[] = []
        for (const { answers } of all) {
          const early = answers.filter(({ turn }) => turn < 0)
          const refused = early.filter((answer) => answer.refused).length
          bench.publish(answers.length, early.length - refused, refused, exchangeOf(answers))
        }
        for (let turn = 0; turn <= TURNS; turn++) {
          for (const line of await bench.said()) tell(line, told)
          // What has been told has been answered by now, every queue of it.
          for (let i = 0; i < told.length; i++)
            expect(Math.max(...all[i]!.answers.map((one) => one.turn), -1)).toBeLessThan(turn)
          for (const [index, { answers }] of all.entries()) {
            for (const answer of answers) {
              if (answer.turn === turn) bench.confirms[answer.refused ? 'refused' : 'accepted'](index + 1)
            }
          }
        }
        expect(told).toEqual(all.map(({ answers }) => (answers.some(({ refused }) => refused) ? 'nack' : 'ack')))
        for (const { exchange, confirmed } of bench.publishes) {
          const acknowledged = all.filter(({ answers }, i) => exchangeOf(answers) === exchange && told[i] === 'ack')
          expect([exchange, confirmed]).toEqual([exchange, acknowledged.length])
        }
      }),
      { numRuns: 300 },
    )
  })
})

/** Publishes go by way of three exchanges, in no order. */
function exchangeOf(answers: readonly unknown[]): string {
  return `exchange ${answers.length % 3}`
}

/** Adds to what is told of each publish what one method says: `ack 3 multiple` is about all up to the third. */
function tell(line: string, told: string[]): void {
  const [what, tag, multiple] = line.split(' ')
  const last = Number(tag)
  expect([line, last > told.length + 1]).toEqual([line, multiple === 'multiple'])
  while (told.length < last) told.push(what!)
}
