// What may happen to a world, as commands that fast-check puts together, runs, and takes apart when they fail.
import fc from 'fast-check'
import { QUEUES, type QueueName } from './broker-model.ts'
import type { Traits } from './messages.ts'
import type { Settlement, Target, World } from './world.ts'

/** The world holds its model itself. */
export type Command = fc.AsyncCommand<object, World>

class Step implements Command {
  readonly #words: string
  readonly #act: (world: World) => void | Promise<void>

  constructor(words: string, act: (world: World) => void | Promise<void>) {
    this.#words = words
    this.#act = act
  }

  check(): boolean {
    return true
  }

  async run(_model: object, world: World): Promise<void> {
    await this.#act(world)
    world.check()
  }

  toString(): string {
    return this.#words
  }
}

const queue = fc.constantFrom<QueueName>('a', 'a', 'a', 'b', 'c')
const target = fc.constantFrom<Target>(...QUEUES, 'a', 'a', 'a', 'a', 'c', 'c', 'all', 'all')
const pick = fc.nat(1000)

/** What most messages do not ask for. */
const asked = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ priority: fc.integer({ min: 0, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ expirationMs: fc.constantFrom(0, 300, 2000) }) },
  { weight: 1, arbitrary: fc.record({ delayMs: fc.constantFrom(1, 400, 400, 5000) }) },
  { weight: 1, arbitrary: fc.record({ unique: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ once: fc.integer({ min: 1, max: 5 }) }) },
)
const PLAIN = { priority: -1, expirationMs: -1, delayMs: 0, unique: 0, once: 0 }

function wordsOf(traits: Partial<Traits>): string {
  return Object.entries(traits)
    .map(([trait, value]) => `, ${trait} ${String(value)}`)
    .join('')
}

const publish = fc
  .record({
    target,
    // Mostly of one kind, so that queues of stored, of transient and of mixed messages come about.
    kinds: fc.oneof(fc.constantFrom('p', 't'), fc.constantFrom('pt', 'ppt', 'ttp')),
    count: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 20 })),
    bytes: fc.integer({ min: 4, max: 60 }),
    asked,
  })
  .map(({ target: to, kinds, count, bytes, asked: traits }) => {
    return new Step(`publish ${count} × ${bytes} bytes (${kinds}${wordsOf(traits)}) to ${to}`, (world) => {
      for (let i = 0; i < count; i++) {
        const persistent = kinds[i % kinds.length] === 'p'
        world.publish(to, { ...PLAIN, ...traits, bytes: bytes - (i % 4), persistent })
      }
    })
  })

const get = fc
  .record({ name: queue, noAck: fc.boolean(), count: fc.integer({ min: 1, max: 4 }) })
  .map(({ name, noAck, count }) => {
    return new Step(`get ${count} from ${name}${noAck ? ', no ack' : ''}`, (world) => {
      for (let i = 0; i < count; i++) world.get(name, noAck)
    })
  })

const consume = fc
  .record({ name: queue, noAck: fc.nat(4).map((one) => one === 0), prefetch: fc.integer({ min: 1, max: 6 }) })
  .map(({ name, noAck, prefetch }) => {
    return new Step(`consume ${name}, ${noAck ? 'no ack' : `prefetch ${prefetch}`}`, (world) => {
      world.consume(name, noAck, prefetch)
    })
  })

const cancel = pick.map((which) => new Step(`cancel ${which}`, (world) => world.cancel(which)))

const settlement = fc.constantFrom<Settlement>('acknowledge', 'acknowledge', 'reject', 'requeue', 'requeue', 'fail')
const settle = fc
  .record({
    how: settlement,
    which: pick,
    multiple: fc.boolean(),
  })
  .map(({ how, which, multiple }) => {
    return new Step(`${how} ${which}${multiple ? ', multiple' : ''}`, (world) => world.settle(how, which, multiple))
  })

const transact = fc
  .record({
    publishes: fc.array(fc.tuple(target, fc.boolean(), asked), { minLength: 1, maxLength: 4 }),
    how: settlement,
    picks: fc.array(pick, { maxLength: 4 }),
    commit: fc.nat(5).map((one) => one > 0),
  })
  .map(({ publishes, how, picks, commit: whole }) => {
    const what = publishes.map(([to, persistent, traits]) => `${persistent ? 'p' : 't'}${wordsOf(traits)} to ${to}`)
    const words = `transaction: publish ${what.join('; ')}; ${how} ${picks.join()}; ${whole ? 'commit' : 'roll back'}`
    return new Step(words, (world) => {
      const messages = publishes.map(([to, persistent, traits]): [Target, Traits] => {
        return [to, { ...PLAIN, ...traits, bytes: 20, persistent }]
      })
      world.transact(messages, how, picks, whole)
    })
  })

const release = fc.constant(new Step('let go of what is out', (world) => world.release()))
const purge = queue.map((name) => new Step(`purge ${name}`, (world) => world.purge(name)))
const replace = queue.map((name) => new Step(`delete and declare ${name}`, (world) => world.replace(name)))
const input = fc
  .constantFrom(1000, 1 << 20, 4 << 20)
  .map((bytes) => new Step(`${bytes} bytes of input`, (world) => world.input(bytes)))

const turn = fc.constant(new Step('turn', (world) => world.turn()))
const write = fc
  .constantFrom('written', 'written', 'written', 'written', 'failed', 'written but failed')
  .map((outcome) => new Step(`batch ${outcome}`, (world) => world.write(outcome)))
/** All of it at once, as on a disk that is quick. */
const commit = fc.constant(
  new Step('commit', async (world) => {
    await world.turn()
    await world.write('written')
  }),
)
const read = fc.constant(new Step('page read', (world) => world.read()))
const readFails = fc.constant(new Step('page not read', (world) => world.readFails()))
const wait = fc
  .constantFrom(100, 1000, 10_000)
  .map((milliseconds) => new Step(`wait ${milliseconds} ms`, (world) => world.wait(milliseconds)))

const opened = (later: boolean): string => (later ? ', queues opened later' : '')
const restart = fc.boolean().map((later) => new Step(`restart${opened(later)}`, (world) => world.restart(later)))
const crash = fc.record({ written: fc.boolean(), later: fc.boolean() }).map(({ written, later }) => {
  const words = `crash${written ? ', batch written' : ''}${opened(later)}`
  return new Step(words, (world) => world.crash(written, later))
})
const openQueues = fc.constant(new Step('open queues', (world) => world.openQueues()))

/** All commands, the commonest first. */
const WEIGHTS: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Command> }[] = [
  { weight: 30, arbitrary: publish },
  { weight: 16, arbitrary: commit },
  { weight: 12, arbitrary: turn },
  { weight: 12, arbitrary: write },
  { weight: 18, arbitrary: read },
  { weight: 2, arbitrary: readFails },
  { weight: 18, arbitrary: settle },
  { weight: 16, arbitrary: release },
  { weight: 18, arbitrary: get },
  { weight: 8, arbitrary: consume },
  { weight: 4, arbitrary: transact },
  { weight: 6, arbitrary: cancel },
  { weight: 6, arbitrary: wait },
  { weight: 2, arbitrary: crash },
  { weight: 1, arbitrary: restart },
  { weight: 2, arbitrary: openQueues },
  { weight: 1, arbitrary: purge },
  { weight: 1, arbitrary: replace },
  { weight: 1, arbitrary: input },
]

/** Programs of up to so many commands. */
export function commands(most: number): fc.Arbitrary<Iterable<Command>> {
  return fc.commands([fc.oneof(...WEIGHTS)], { maxCommands: most, size: 'max' })
}
