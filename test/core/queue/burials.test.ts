// Dead letters that wait for somebody to take them, whatever happens meanwhile: none is lost, and none is there twice.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { Message } from '../../../src/core/message.ts'
import { Kind } from '../../../src/store/level/keys.ts'
import { longstr, signedint, table } from '../../support/core.ts'
import { drained, DurableCore, textOf } from '../../support/durable-core.ts'
import { diskError } from '../../support/faulty-database.ts'
import { bindingTerms } from '../../support/sessions.ts'
import { turnsRun } from '../../support/sockets.ts'

/** How many programs are run, and the seed of a failure that is to be seen again. */
const { TEST_MODEL_RUNS = '300', TEST_MODEL_SEED } = process.env

// Limits at which a handful of messages has to leave memory, and several pages and logs.
vi.mock('../../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../support/small-sizes.ts')).SMALL_LIMITS,
  DEAD_LETTERS_AT_ONCE: 4,
  DEAD_LETTERS_RESIDENT_BYTES: 80,
  BACKLOGS_TRANSIENT_BYTES: 200,
}))
vi.mock('../../../src/store/level/tuning.ts', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../support/small-sizes.ts')).SMALL_PAGES,
}))

const SURELY = {
  'x-dead-letter-exchange': longstr('letters'),
  'x-dead-letter-strategy': longstr('at-least-once'),
  'x-overflow': longstr('reject-publish'),
  'x-message-ttl': signedint(1000),
}

type Step =
  | { readonly do: 'publish'; readonly persistent: boolean; readonly priority: number; readonly count: number }
  | { readonly do: 'acknowledge' | 'reject' | 'open' | 'close' | 'fail' | 'purge' | 'cut' }
  | { readonly do: 'wait'; readonly milliseconds: number }
  | { readonly do: 'turn'; readonly count: number }

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      persistent: fc.boolean(),
      priority: fc.integer({ min: 0, max: 3 }),
      count: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      milliseconds: fc.constantFrom(1, 500, 1000, 5000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('turn' as const), count: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('acknowledge', 'reject', 'reject', 'open', 'close', 'fail', 'purge', 'cut'),
    }),
  },
)

/** A queue whose dead letters are taken while an exchange is bound, and what has to be true of its messages. */
class Graveyard {
  core!: DurableCore
  /** Messages that must be somewhere, and those that may be. */
  readonly #certain = new Set<string>()
  readonly #transient = new Set<string>()
  readonly #possible = new Set<string>()
  #next = 0

  static async start(ranked: boolean): Promise<Graveyard> {
    const yard = new Graveyard()
    yard.core = await DurableCore.start()
    const { session } = yard.core
    const exchange = { type: 'fanout', durable: true, autoDelete: false, internal: false }
    session.declareExchange({ ...exchange, name: 'letters', arguments: table({}) })
    yard.core.declare('dead')
    yard.core.declare('q', table(ranked ? { ...SURELY, 'x-max-priority': signedint(3) } : SURELY))
    await yard.core.written()
    return yard
  }

  async take(step: Step): Promise<void> {
    const { core } = this
    if (step.do === 'publish') for (let i = 0; i < step.count; i++) this.#publish(step.persistent, step.priority)
    else if (step.do === 'wait') core.clock.advance(step.milliseconds)
    else if (step.do === 'turn') for (let i = 0; i < step.count; i++) await turnsRun()
    else if (step.do === 'open') core.session.bind(bindingTerms('letters', 'dead'))
    else if (step.do === 'close') core.session.unbind(bindingTerms('letters', 'dead'))
    else if (step.do === 'fail') core.database.readFailures.push(diskError())
    else if (step.do === 'purge') await this.#purge()
    else if (step.do === 'cut') await this.#cut()
    else this.#settle(step.do)
  }

  /** Somebody takes the letters: each message is one, once. */
  async finish(): Promise<void> {
    const { core } = this
    core.database.readFailures.length = 0
    await core.written()
    core.session.bind(bindingTerms('letters', 'dead'))
    const { clock } = core
    const q = core.queue('q')
    for (let turns = 0; turns < 2000 && !q.empty; turns++) {
      clock.advance(500)
      await turnsRun()
    }
    expect(q).toMatchObject({ readyCount: 0, dyingCount: 0, dyingBytes: 0, unreadableCount: 0 })
    const letters = await drained(core, 'dead')
    expect(letters.toSorted()).toEqual([...new Set(letters)].toSorted())
    expect([...this.#certain, ...this.#transient].filter((text) => !letters.includes(text))).toEqual([])
    expect(letters.filter((text) => !this.#possible.has(text))).toEqual([])
    for (let turns = 0; turns < 100; turns++) await turnsRun()
    for (const kind of ['index', 'fragment'] as const) expect(core.disk.keys(Kind[kind])).toEqual([])
  }

  #publish(persistent: boolean, priority: number): void {
    const text = String(this.#next++).padEnd(20, '.')
    const facts = { persistent, priority, expirationMs: -1, headers: false }
    const bytes = Buffer.from(text)
    const message = new Message('', 'q', facts, Buffer.alloc(2), 0, 2, bytes, 0, bytes.length, true)
    this.#possible.add(text)
    if (!persistent) this.#transient.add(text)
    const accepted = (): void => void this.#certain.add(text)
    const publisher = persistent ? { accepted, refused: () => undefined } : null
    this.core.session.publish(message, publisher, 0)
  }

  /** What is ready goes; what waits for its letter to be taken stays. Nothing is being read or written meanwhile. */
  async #purge(): Promise<void> {
    const q = this.core.queue('q')
    this.core.database.readFailures.length = 0
    for (let turns = 0; turns < 10; turns++) await turnsRun()
    // Nobody can say what is on a page that cannot be read.
    if (q.unreadableCount > 0) return
    const { dyingCount } = q
    const gone = await this.#ready()
    q.purge()
    expect(q).toMatchObject({ readyCount: 0, dyingCount })
    for (const text of gone) this.#forget(text)
  }

  async #ready(): Promise<string[]> {
    const texts: string[] = []
    const q = this.core.queue('q')
    for (let from = { priority: 255, position: 0 }, looks = 0; looks < 1000; looks++) {
      const { messages, next } = await q.browse(from)
      texts.push(...messages.map(({ message }) => textOf(message)))
      if (next === null) break
      from = next
    }
    return texts
  }

  async #cut(): Promise<void> {
    this.core.broker.stop()
    // Nobody hears any more of what is written from here on.
    this.core.database.abandon()
    this.core = await this.core.afterPowerCut()
    this.#transient.clear()
  }

  #settle(how: 'acknowledge' | 'reject'): void {
    const q = this.core.queue('q')
    const entry = q.gettable ? q.get(false) : undefined
    if (entry === undefined) return
    if (how === 'reject') q.reject(entry)
    else {
      q.acknowledge(entry)
      this.#forget(textOf(entry.message))
    }
  }

  #forget(text: string): void {
    this.#certain.delete(text)
    this.#transient.delete(text)
  }
}

describe('dead letters that wait', () => {
  it(
    'are neither lost nor there twice, whatever happens meanwhile',
    { timeout: 60_000 + Number(TEST_MODEL_RUNS) * 400 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.boolean(), fc.array(anyStep, { maxLength: 60 }), async (ranked, program) => {
          const yard = await Graveyard.start(ranked)
          for (const each of program) await yard.take(each)
          await yard.finish()
        }),
        { numRuns: Number(TEST_MODEL_RUNS), seed: Number(TEST_MODEL_SEED ?? 11) },
      )
    },
  )

  it('are read less and less often while the disk does not give them', async () => {
    const yard = await Graveyard.start(false)
    await yard.take({ do: 'publish', persistent: true, priority: 0, count: 40 })
    await yard.core.written()
    const { clock, database } = yard.core
    const q = yard.core.queue('q')
    for (let seconds = 0; seconds < 5; seconds++) {
      clock.advance(1000)
      for (let turns = 0; turns < 50; turns++) await turnsRun()
    }
    expect(q).toMatchObject({ readyCount: 0, dyingCount: 40 })
    const failures = 10_000
    database.readFailures = new Array<Error>(failures).fill(diskError())
    const readsIn = async (seconds: number): Promise<number> => {
      const before = database.readFailures.length
      for (let passed = 0; passed < seconds; passed++) {
        clock.advance(1000)
        for (let turns = 0; turns < 50; turns++) await turnsRun()
      }
      return before - database.readFailures.length
    }
    const first = await readsIn(60)
    expect(first).toBeGreaterThan(0)
    expect(await readsIn(60)).toBeLessThan(first / 2)
    expect(q.dyingCount).toBe(40)
    await yard.finish()
  })
})
