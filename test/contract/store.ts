// What every store keeps to, whatever is under it. Each implementation's test file calls this and adds its own.
import { describe, expect, it } from 'vitest'
import type { Definition } from '../../src/core/definitions.ts'
import type { DueMessages, SeenId, Store } from '../../src/core/ports.ts'
import { Deaths } from '../../src/core/message.ts'
import { EntryDetails, Stored } from '../../src/core/queue/entry.ts'
import { NO_ARGUMENTS, type FieldTable } from '../../src/core/value.ts'
import {
  EVERYTHING,
  NotingPublisher,
  appendAll,
  bodyOf,
  durable,
  entryOf,
  positionsOf,
  propertiesOf,
  range,
  readAll,
  whenOpen,
} from '../support/store.ts'

export interface OpenedStore {
  readonly store: Store
  readonly definitions: readonly Definition[]
}

/** How a test gets at a store. */
export interface StoreHarness {
  /** An empty store. It is closed when the test ends. */
  readonly open: () => Promise<OpenedStore>
  /** Closes the store and opens it again; null when this kind of store keeps nothing. */
  readonly reopen: ((store: Store) => Promise<OpenedStore>) | null
}

export function storeContract(harness: StoreHarness): void {
  delayContract(harness)
  idContract(harness)
  describe('acceptance', () => {
    it('tells the publisher of an appended entry once it is stored, and not within append', async () => {
      const { store } = await harness.open()
      const publisher = new NotingPublisher()
      const entry = entryOf(0)
      store.log().append(entry, publisher, 7)
      expect(entry.stored).toBe(Stored.pending)
      expect(publisher.acceptances).toEqual([])
      await durable(store)
      expect(entry.stored).toBe(Stored.written)
      expect(publisher.acceptances).toEqual([7])
    })

    it('tells a publisher once for each log that its message reached', async () => {
      const { store } = await harness.open()
      const publisher = new NotingPublisher()
      for (const log of [store.log(), store.log(), store.log()]) log.append(entryOf(0), publisher, 1)
      await durable(store)
      expect(publisher.acceptances).toEqual([1, 1, 1])
    })

    it('accepts an entry at once when it is settled before it was written, and never stores it', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const publisher = new NotingPublisher()
      const entry = entryOf(0)
      log.append(entry, publisher, 1)
      log.append(entryOf(1), publisher, 2)
      log.settle(entry)
      expect(publisher.acceptances).toEqual([1])
      expect(entry.stored).toBe(Stored.no)
      await durable(store)
      expect(publisher.acceptances).toEqual([1, 2])
      expect(positionsOf(await readAll(log))).toEqual([1])
    })

    it('accepts an entry that was superseded with its batch, without storing it', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const publisher = new NotingPublisher()
      const entries = [entryOf(0), entryOf(1)]
      log.append(entries[0]!, publisher, 1)
      log.supersede(entries[0]!)
      expect([publisher.acceptances, entries[0]!.stored]).toEqual([[], Stored.no])
      log.append(entries[1]!, publisher, 2)
      await durable(store)
      expect(publisher.acceptances).toEqual([1, 2])
      log.supersede(entries[1]!)
      await durable(store)
      expect(publisher.acceptances).toEqual([1, 2])
      expect(await readAll(log)).toEqual([])
    })

    it('accepts the entries of one log in the order in which they were appended', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const publisher = new NotingPublisher()
      for (const i of range(0, 2_000)) log.append(entryOf(i), publisher, i)
      await durable(store)
      expect(publisher.acceptances).toEqual([...range(0, 2_000)])
    })

    it('takes entries without a publisher', async () => {
      const { store } = await harness.open()
      const log = store.log()
      log.append(entryOf(0), null, 0)
      await durable(store)
      expect(positionsOf(await readAll(log))).toEqual([0])
    })

    it('calls back at once when nothing waits', async () => {
      const { store } = await harness.open()
      let called = false
      store.whenDurable(() => {
        called = true
      })
      expect(called).toBe(true)
    })

    it('counts what waits, and no more once it is stored or settled', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const [first] = appendAll(log, range(0, 3))
      log.settle(first!)
      await durable(store)
      expect(store.pendingBytes).toBe(0)
      expect(log.durableBelow).toBe(3)
    })
  })

  describe('what a log holds', () => {
    it('is what was appended and is not settled, be it stored yet or not', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const body = Buffer.alloc(10)
      const entries = appendAll(log, range(0, 5), { body })
      expect(log.held).toEqual({ count: 5, bodyBytes: 50 })
      log.settle(entries[4]!)
      expect(log.held).toEqual({ count: 4, bodyBytes: 40 })
      await durable(store)
      appendAll(log, range(5, 7), { body })
      expect(log.held).toEqual({ count: 6, bodyBytes: 60 })
      log.settle(entries[0]!)
      expect(log.held).toEqual({ count: 5, bodyBytes: 50 })
      log.discard(0, EVERYTHING)
      expect(log.held).toEqual({ count: 0, bodyBytes: 0 })
    })
  })

  describe('messages', () => {
    it('come back as they were', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const words = {
        body: Buffer.from([0, 1, 255, 254]),
        properties: Buffer.from([0x80, 0, 7, 0, 255]),
        exchange: 'exchange é \u{1f407}',
        routingKey: 'key \udc80\udcff ÿ',
        priority: 255,
        expirationMs: 4_294_967_296,
        headers: true,
      }
      log.append(entryOf(3, words), null, 0)
      await durable(store)
      const [stored] = await log.read(0, EVERYTHING)
      expect(stored!.position).toBe(3)
      expect(stored!.redelivered).toBe(false)
      expect(stored!.message).toMatchObject({
        exchange: words.exchange,
        routingKey: words.routingKey,
        priority: 255,
        expirationMs: 4_294_967_296,
        headers: true,
        persistent: true,
        owned: true,
      })
      expect(bodyOf(stored!)).toBe(words.body.toString('latin1'))
      expect(propertiesOf(stored!)).toBe(words.properties.toString('latin1'))
    })

    it('come back as they were when some are empty, some long, and routes change in between', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const bodies = ['', 'x', 'y'.repeat(64), 'z'.repeat(65), 'w'.repeat(300_000), '']
      bodies.forEach((body, i) => {
        const words = { body, properties: 'p'.repeat(i * 30), exchange: i < 3 ? 'a' : '', routingKey: `k${i >> 1}` }
        log.append(entryOf(i, words), null, 0)
      })
      await durable(store)
      const found = await readAll(log)
      expect(found.map(bodyOf)).toEqual(bodies)
      expect(found.map(propertiesOf)).toEqual(bodies.map((_, i) => 'p'.repeat(i * 30)))
      expect(found.map(({ message }) => message.exchange)).toEqual(['a', 'a', 'a', '', '', ''])
      expect(found.map(({ message }) => message.routingKey)).toEqual(['k0', 'k0', 'k1', 'k1', 'k2', 'k2'])
    })

    it('own their bytes once they are stored, so that a chunk of input is not kept for them', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const entry = entryOf(0, { body: 'hello', properties: 'props' })
      const chunk = entry.message.body
      log.append(entry, null, 0)
      await durable(store)
      chunk.fill(0)
      expect(entry.message.owned).toBe(true)
      expect(bodyOf(entry)).toBe('hello')
      expect(propertiesOf(entry)).toBe('props')
    })

    it('are shared by several logs without being mixed up', async () => {
      const { store } = await harness.open()
      const logs = [store.log(), store.log()]
      const entry = entryOf(5, { body: 'shared' })
      const twin = entryOf(9, { body: 'shared' })
      logs[0]!.append(entry, null, 0)
      logs[1]!.append(twin, null, 0)
      await durable(store)
      logs[0]!.settle(entry)
      await durable(store)
      expect(await readAll(logs[0]!)).toEqual([])
      expect(positionsOf(await readAll(logs[1]!))).toEqual([9])
    })
  })

  describe('read', () => {
    it('returns what waits for a batch, what is in flight and what is stored, in order and without a hole', async () => {
      const { store } = await harness.open()
      const log = store.log()
      appendAll(log, range(0, 600))
      await durable(store)
      appendAll(log, range(600, 900))
      await new Promise((resolve) => setImmediate(resolve))
      appendAll(log, range(900, 1_000))
      expect(positionsOf(await readAll(log))).toEqual([...range(0, 1_000)])
    })

    it('keeps to its range', async () => {
      const { store } = await harness.open()
      const log = store.log()
      appendAll(log, range(0, 1_500))
      await durable(store)
      expect(positionsOf(await readAll(log, 500, 1_100))).toEqual([...range(500, 1_100)])
      expect(await log.read(2_000, EVERYTHING)).toEqual([])
      expect(await log.read(7, 7)).toEqual([])
    })

    it('leaves out what is settled, in whatever order that happened', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const entries = appendAll(log, range(0, 1_200))
      await durable(store)
      for (const entry of entries.toReversed()) if (entry.position % 3 !== 0) log.settle(entry)
      expect(positionsOf(await readAll(log))).toEqual([...range(0, 1_200)].filter((i) => i % 3 === 0))
      await durable(store)
      expect(positionsOf(await readAll(log))).toEqual([...range(0, 1_200)].filter((i) => i % 3 === 0))
    })

    it('returns messages whose positions have gaps, small and large', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const positions = [0, 1, 5, 700, 701, 100_000, 100_001, 2 ** 40, 2 ** 40 + 1]
      for (const position of positions) {
        appendAll(log, [position])
        await durable(store)
      }
      expect(positionsOf(await readAll(log))).toEqual(positions)
    })

    it('says that a message was handed to somebody', async () => {
      const { store } = await harness.open()
      const log = store.log()
      appendAll(log, range(0, 4))
      log.delivered(0)
      await durable(store)
      log.delivered(1)
      const found = await readAll(log)
      expect(found.map(({ redelivered }) => redelivered)).toEqual([true, true, false, false])
    })

    it('leaves out what is settled while it reads', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const entries = appendAll(log, range(0, 10))
      await durable(store)
      const reading = log.read(0, EVERYTHING)
      for (const entry of entries) log.settle(entry)
      await reading
      expect(await log.read(0, EVERYTHING)).toEqual([])
    })
  })

  describe('withhold', () => {
    it('keeps entries from being read, unless one asks for those that are withheld', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const entries = appendAll(log, range(0, 1_500))
      await durable(store)
      for (const position of [3, 700, 701, 1_400]) log.withhold(entries[position]!)
      expect(positionsOf(await readAll(log))).toHaveLength(1_496)
      const withheld = async (from: number): Promise<number[]> =>
        positionsOf([...(await log.readWithheld(from, EVERYTHING))])
      expect((await withheld(0))[0]).toBe(3)
      expect((await withheld(4)).slice(0, 2)).toEqual([700, 701])
      expect(await withheld(702)).toEqual([1_400])
      log.settle(entries[700]!)
      expect((await withheld(4))[0]).toBe(701)
      expect(await withheld(1_401)).toEqual([])
      await durable(store)
      expect((await withheld(4))[0]).toBe(701)
    })
  })

  describe('discard', () => {
    it('settles a range, stored or waiting, and nothing around it', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const publisher = new NotingPublisher()
      appendAll(log, range(0, 1_500))
      await durable(store)
      for (const i of range(1_500, 1_600)) log.append(entryOf(i), publisher, i)
      log.discard(100, 1_550)
      expect(publisher.acceptances).toEqual([...range(1_500, 1_550)])
      const rest = [...range(0, 100), ...range(1_550, 1_600)]
      expect(positionsOf(await readAll(log))).toEqual(rest)
      await durable(store)
      expect(positionsOf(await readAll(log))).toEqual(rest)
    })

    it('keeps what is withheld in the range', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const entries = appendAll(log, range(0, 1_500))
      await durable(store)
      for (const position of [700, 3]) log.withhold(entries[position]!)
      log.discard(0, 1_400)
      await durable(store)
      expect(positionsOf(await readAll(log))).toEqual([...range(1_400, 1_500)])
      log.settle(entries[3]!)
      await durable(store)
      const kept = harness.reopen === null ? log : (await harness.reopen(store)).store.log(log.id)
      const withheld = harness.reopen === null ? [] : [700]
      expect(positionsOf(await readAll(kept))).toEqual([...withheld, ...range(1_400, 1_500)])
    })

    it('settles everything when asked to, and the log goes on', async () => {
      const { store } = await harness.open()
      const log = store.log()
      appendAll(log, range(0, 50_000), { body: 'b' })
      await durable(store)
      log.discard(0, EVERYTHING)
      appendAll(log, range(50_000, 50_010))
      expect(positionsOf(await readAll(log))).toEqual([...range(50_000, 50_010)])
      await durable(store)
      expect(positionsOf(await readAll(log))).toEqual([...range(50_000, 50_010)])
    })
  })

  describe('drop', () => {
    it('deletes everything and accepts what waited', async () => {
      const { store } = await harness.open()
      const log = store.log()
      const publisher = new NotingPublisher()
      const [stored] = appendAll(log, range(0, 10))
      await durable(store)
      log.append(entryOf(10), publisher, 1)
      log.drop()
      log.append(entryOf(11), publisher, 2)
      expect(publisher.acceptances).toEqual([1, 2])
      log.settle(stored!)
      expect(await readAll(log)).toEqual([])
      await durable(store)
      expect(await readAll(log)).toEqual([])
    })

    it('leaves the other logs alone, and its id is not given again', async () => {
      const { store } = await harness.open()
      const [log, other] = [store.log(), store.log()]
      appendAll(log, range(0, 10))
      appendAll(other, range(0, 10))
      await durable(store)
      log.drop()
      await durable(store)
      expect(positionsOf(await readAll(other))).toEqual([...range(0, 10)])
      expect(store.log().id).toBeGreaterThan(other.id)
    })
  })

  describe('log', () => {
    it('is empty when it is new, and the same when it is asked for again', async () => {
      const { store } = await harness.open()
      const log = store.log()
      expect(log.recovered).toEqual({ count: 0, bodyBytes: 0, first: 0 })
      expect(log.next).toBe(0)
      expect(store.log(log.id)).toBe(log)
      expect(store.log().id).not.toBe(log.id)
    })
  })

  if (harness.reopen !== null) keepingContract(harness.open, harness.reopen)
}

const definitions: readonly Definition[] = [
  { kind: 'vhost', name: '/', description: 'the \udc80 default', tags: ['a', 'b'] },
  { kind: 'user', name: 'ü\udcff', passwordHash: 'aGFzaA==', hashing: 'rabbit_password_hashing_sha256', tags: [] },
  { kind: 'permission', user: 'guest', vhost: '/', configure: '.*', write: '', read: '^a' },
  {
    kind: 'exchange',
    vhost: '/',
    name: 'x',
    type: 'topic',
    autoDelete: true,
    internal: false,
    arguments: typedTable(),
  },
  { kind: 'queue', vhost: '/', name: 'q', autoDelete: false, arguments: NO_ARGUMENTS, log: 4_294_967_295 },
  binding(typedTable()),
]

function typedTable(): FieldTable {
  return new Map([
    ['long', { type: 'long', value: -(2n ** 63n) }],
    ['timestamp', { type: 'timestamp', value: 2n ** 64n - 1n }],
    ['bool', { type: 'bool', value: true }],
    ['byte', { type: 'byte', value: -128 }],
    ['unsignedint', { type: 'unsignedint', value: 4_294_967_295 }],
    ['double', { type: 'double', value: 0.1 }],
    ['infinite', { type: 'double', value: -Infinity }],
    ['nothing', { type: 'float', value: NaN }],
    ['zero', { type: 'double', value: -0 }],
    ['decimal', { type: 'decimal', value: 314, scale: 2 }],
    ['text', { type: 'longstr', value: 'a \ud83d \udc81' }],
    ['bytes', { type: 'binary', value: Buffer.from([0, 255, 128]) }],
    ['void', { type: 'void', value: null }],
    [
      'array',
      {
        type: 'array',
        value: [
          { type: 'long', value: 1n },
          { type: 'table', value: new Map() },
        ],
      },
    ],
    ['table', { type: 'table', value: new Map([['inner', { type: 'short', value: -1 }]]) }],
  ])
}

function binding(args: FieldTable): Definition {
  const keys = { vhost: '/', source: 'x', destinationKind: 'queue', destination: 'q', routingKey: '#' } as const
  return { kind: 'binding', ...keys, arguments: args }
}

/** What a store that keeps things adds: it has them when it is opened again. */
function keepingContract(open: StoreHarness['open'], reopen: (store: Store) => Promise<OpenedStore>): void {
  describe('when it is opened again', () => {
    it('has the definitions that were saved, with the types of all their arguments', async () => {
      const { store } = await open()
      for (const definition of definitions) store.save(definition)
      const reopened = await reopen(store)
      expect(new Set(reopened.definitions)).toEqual(new Set(definitions))
      expect(reopened.definitions.length).toBe(definitions.length)
    })

    it('does not have what was removed, and has the last of what was saved twice', async () => {
      const { store } = await open()
      for (const definition of definitions) store.save(definition)
      await durable(store)
      store.remove(definitions[0]!)
      store.save({ kind: 'permission', user: 'guest', vhost: '/', configure: 'later', write: '', read: '' })
      store.remove(definitions[4]!)
      store.save(definitions[4]!)
      const reopened = await reopen(store)
      expect(reopened.definitions.length).toBe(definitions.length - 1)
      expect(reopened.definitions).toContainEqual(definitions[4])
      expect(reopened.definitions).not.toContainEqual(definitions[0])
      expect(reopened.definitions).toContainEqual(expect.objectContaining({ configure: 'later' }))
    })

    it('takes bindings for the same when their arguments are, in whatever order', async () => {
      const { store } = await open()
      const [one, two]: FieldTable[] = [
        new Map([
          ['a', { type: 'void', value: null }],
          ['b', { type: 'bool', value: true }],
        ]),
        new Map([
          ['b', { type: 'bool', value: true }],
          ['a', { type: 'void', value: null }],
        ]),
      ]
      store.save(binding(one!))
      store.save(binding(two!))
      store.save(binding(NO_ARGUMENTS))
      expect((await reopen(store)).definitions.length).toBe(2)
    })

    it('has the messages that were not settled, and says how many without reading them', async () => {
      const { store } = await open()
      const log = store.log()
      const entries = appendAll(log, range(0, 1_000), { body: '12345' })
      await durable(store)
      for (const entry of entries) if (entry.position < 100 || entry.position % 2 === 0) log.settle(entry)
      const again = (await reopen(store)).store.log(log.id)
      const rest = [...range(100, 1_000)].filter((i) => i % 2 === 1)
      expect(again.recovered).toEqual({ count: 450, bodyBytes: 450 * 5, first: 101 })
      expect(again.next).toBe(1_000)
      expect(positionsOf(await readAll(again))).toEqual(rest)
    })

    it('counts on from every position that was ever stored, also when nothing is left', async () => {
      const { store } = await open()
      const log = store.log()
      for (const entry of appendAll(log, range(0, 10_000))) {
        if (entry.position === 9_999) await durable(store)
        log.settle(entry)
      }
      const settled = (await reopen(store)).store.log(log.id)
      expect(settled.recovered).toEqual({ count: 0, bodyBytes: 0, first: 10_000 })
      expect(settled.next).toBe(10_000)
    })

    it('goes on where it was: what is appended follows what was there', async () => {
      let { store } = await open()
      let log = store.log()
      for (const round of range(0, 5)) {
        expect(log.next).toBe(round * 100)
        appendAll(log, range(round * 100, round * 100 + 100))
        store = (await reopen(store)).store
        log = store.log(log.id)
      }
      expect(positionsOf(await readAll(log))).toEqual([...range(0, 500)])
    })

    it('says which messages were handed to somebody, exactly', async () => {
      const { store } = await open()
      const [log, untouched] = [store.log(), store.log()]
      appendAll(log, range(0, 1_000))
      appendAll(untouched, range(0, 5))
      for (const position of range(0, 300)) log.delivered(position)
      await durable(store)
      for (const position of range(300, 700)) log.delivered(position)
      const reopened = (await reopen(store)).store
      const found = await readAll(reopened.log(log.id))
      expect(found.map(({ redelivered }) => redelivered)).toEqual([...range(0, 1_000)].map((i) => i < 700))
      expect((await readAll(reopened.log(untouched.id))).some(({ redelivered }) => redelivered)).toBe(false)
    })

    it('keeps the redelivered flag that an entry had when it was stored', async () => {
      const { store } = await open()
      const log = store.log()
      const entry = entryOf(0)
      entry.redelivered = true
      log.append(entry, null, 0)
      log.append(entryOf(1), null, 0)
      const found = await readAll((await reopen(store)).store.log(log.id))
      expect(found.map(({ redelivered }) => redelivered)).toEqual([true, false])
    })

    it('knows how often messages were tried, until they are settled', async () => {
      const { store } = await open()
      const log = store.log()
      const entries = appendAll(log, range(0, 6))
      for (const entry of entries) {
        if (entry.position === 3) await durable(store)
        log.attempted(entry.position, { deliveryCount: entry.position, acquiredCount: 300, dueAt: 0 })
      }
      log.attempted(2, { deliveryCount: 7, acquiredCount: 400, dueAt: 0 })
      log.settle(entries[1]!)
      log.discard(4, 5)
      const first = await reopen(store)
      const found = await readAll(first.store.log(log.id))
      expect(
        found.map(({ position, attempts }) => [position, attempts?.deliveryCount, attempts?.acquiredCount]),
      ).toEqual([
        [0, 0, 300],
        [2, 7, 400],
        [3, 3, 300],
        [5, 5, 300],
      ])
      first.store.log(log.id).drop()
      const second = await reopen(first.store)
      expect(await readAll(second.store.log(log.id))).toEqual([])
    })

    it('knows when messages expire, which have died before, and their blind copies', async () => {
      const { store } = await open()
      const log = store.log()
      const [mortal, dead, both] = [entryOf(0, { expirationMs: 5 }), entryOf(1), entryOf(2)]
      for (const [entry, deadline] of [
        [mortal, 2_000_000_000_000],
        [both, 1_900_000_000_000],
      ] as const) {
        entry.details = new EntryDetails()
        entry.details.deadline = deadline
      }
      for (const entry of [dead, both]) entry.message.deaths = Deaths.readdressed
      const blind = ['blind', '', 'so many characters that the length of it takes more than one octet '.repeat(4)]
      both.message.blindCopies = blind
      for (const entry of [mortal, dead, both, entryOf(3)]) log.append(entry, null, 0)
      const again = (await reopen(store)).store.log(log.id)
      const found = await readAll(again)
      expect(found.map(({ deadline, message }) => [deadline, message.deaths, message.expirationMs])).toEqual([
        [2_000_000_000_000, Deaths.none, 5],
        [Infinity, Deaths.readdressed, -1],
        [1_900_000_000_000, Deaths.readdressed, -1],
        [Infinity, Deaths.none, -1],
      ])
      expect(found.map(({ message }) => message.blindCopies)).toEqual([[], [], blind, []])
      expect(again.recoveredDeadlines).toEqual([{ first: 0, last: 3, deadline: 1_900_000_000_000 }])
    })

    it('does not have what was discarded or dropped, and gives no id again', async () => {
      const { store } = await open()
      const [discarded, dropped] = [store.log(), store.log()]
      for (const log of [discarded, dropped]) appendAll(log, range(0, 50_000), { body: 'b' })
      await durable(store)
      discarded.discard(10, 49_990)
      dropped.drop()
      const reopened = (await reopen(store)).store
      const rest = [...range(0, 10), ...range(49_990, 50_000)]
      expect((await whenOpen(reopened.log(discarded.id))).recovered).toMatchObject({ count: 20, first: 0 })
      expect(reopened.log(discarded.id).next).toBe(50_000)
      expect(positionsOf(await readAll(reopened.log(discarded.id)))).toEqual(rest)
      expect(reopened.log().id).toBeGreaterThan(dropped.id)
      expect(await readAll(reopened.log(dropped.id))).toEqual([])
    })

    it('counts rightly when positions have gaps, some settled before they were written, some discarded', async () => {
      const { store } = await open()
      const log = store.log()
      const entries = appendAll(log, [...range(0, 100), ...range(130, 200)], { body: '12' })
      for (const entry of entries.slice(40, 50)) log.settle(entry)
      await durable(store)
      appendAll(log, range(250, 300), { body: '12' })
      await durable(store)
      log.discard(45, 140)
      log.discard(190, 260)
      const again = (await reopen(store)).store.log(log.id)
      const rest = [...range(0, 40), ...range(140, 190), ...range(260, 300)]
      expect(positionsOf(await readAll(again))).toEqual(rest)
      expect(again.recovered).toEqual({ count: rest.length, bodyBytes: rest.length * 2, first: 0 })
      expect(again.next).toBe(300)
    })

    it('has messages that came one a batch', async () => {
      const { store } = await open()
      const log = store.log()
      for (const i of range(0, 700)) {
        appendAll(log, [i])
        await durable(store)
      }
      expect(positionsOf(await readAll(log))).toEqual([...range(0, 700)])
      const again = (await reopen(store)).store.log(log.id)
      expect(positionsOf(await readAll(again))).toEqual([...range(0, 700)])
      expect((await readAll(again)).map(bodyOf)).toEqual([...range(0, 700)].map((i) => `body ${i}`))
    })
  })
}

function delayContract(harness: StoreHarness): void {
  describe('a delay log', () => {
    const bodies = (due: DueMessages): string[] => due.messages.map(bodyOf)

    it('gives back what is due, in the order of its time, and says when the next is', async () => {
      const { store } = await harness.open()
      const stored: number[] = []
      const log = store.delays((due) => stored.push(due), true)
      const publisher = new NotingPublisher()
      for (const [index, due] of [300, 100, 200, 100].entries()) {
        const { message } = entryOf(index, { body: `${due} ${index}`, headers: true, priority: 3, expirationMs: 50 })
        if (index === 0) message.blindCopies = ['blind']
        log.append(message, index === 0 ? ['copy', 'blind'] : [], due, publisher, index)
      }
      expect(log.count).toBe(4)
      await durable(store)
      expect(publisher.acceptances).toEqual([0, 1, 2, 3])
      expect(Math.min(...stored)).toBe(100)
      const first = await log.due(200)
      expect(bodies(first)).toEqual(['100 1', '100 3', '200 2'])
      expect(first.next).toBe(300)
      for (const delayed of first.messages) log.settle(delayed)
      expect((await log.due(200)).messages).toEqual([])
      await durable(store)
      expect(log.count).toBe(1)
      const rest = await log.due(1000)
      expect(bodies(rest)).toEqual(['300 0'])
      expect(rest.next).toBe(Infinity)
      expect(rest.messages[0]).toMatchObject({ due: 300, copies: ['copy', 'blind'] })
      expect(first.messages[0]!.message.blindCopies).toEqual([])
      expect(rest.messages[0]!.message.blindCopies).toEqual(['blind'])
      expect(rest.messages[0]!.message).toMatchObject({ headers: true, priority: 3, expirationMs: 50, routingKey: 'q' })
    })

    it('has nothing of what was cancelled, be it before or after it was stored', async () => {
      const { store } = await harness.open()
      const log = store.delays(() => undefined, true)
      const publisher = new NotingPublisher()
      const [early, late] = [0, 1, 2].map((index) => log.append(entryOf(index).message, [], 0, publisher, index))
      log.cancel(early!)
      await durable(store)
      expect(publisher.acceptances).toEqual([0, 1, 2])
      log.cancel(late!)
      await durable(store)
      expect(log.count).toBe(1)
      expect((await log.read(0, 0, 10)).map(bodyOf)).toEqual(['body 2'])
    })

    it.skipIf(harness.reopen === null)('holds what it held when the store is opened again', async () => {
      const { store } = await harness.open()
      const [kept, transient, dropped] = [true, false, true].map((durably) => store.delays(() => undefined, durably))
      for (const log of [kept!, transient!, dropped!]) log.append(entryOf(0).message, [], 100, null, 0)
      await durable(store)
      dropped!.drop()
      const { store: again } = await harness.reopen!(store)
      expect(again.delays(() => undefined, true, kept!.id).count).toBe(1)
      expect(bodies(await again.delays(() => undefined, true, kept!.id).due(100))).toEqual(['body 0'])
      for (const log of [transient!, dropped!]) {
        const reopened = again.delays(() => undefined, true, log.id)
        expect(reopened.count).toBe(0)
      }
    })
  })
}

function idContract({ open, reopen }: StoreHarness): void {
  const seen = (order: number, until = Infinity): SeenId => ({ id: `id ${order}`, order, until })
  const owner = (ids: number): Definition => ({
    kind: 'exchange',
    vhost: '/',
    name: 'x',
    type: 'direct',
    autoDelete: false,
    internal: false,
    arguments: NO_ARGUMENTS,
    ids,
  })

  describe('a log of remembered ids', () => {
    it('tells the publishers of an id, and those that follow it, when it is stored', async () => {
      const { store } = await open()
      const log = store.ids()
      const publisher = new NotingPublisher()
      log.keep(seen(0), publisher, 1)
      log.follow(publisher, 2)
      expect(publisher.acceptances).toEqual([])
      await durable(store)
      expect(publisher.acceptances).toEqual([1, 2])
    })

    it('is told to nobody any more when it is dropped, and its publishers are accepted', async () => {
      const { store } = await open()
      const log = store.ids()
      const publisher = new NotingPublisher()
      log.keep(seen(0), publisher, 1)
      log.drop()
      await durable(store)
      expect(publisher.acceptances).toEqual([1])
    })

    it.skipIf(reopen === null)('is there again after a restart, without what was forgotten', async () => {
      const { store } = await open()
      const log = store.ids()
      store.save(owner(log.id))
      for (const order of range(0, 5)) log.keep(seen(order, 1000 + order), null, 0)
      log.forget(1)
      await durable(store)
      log.forget(3)
      log.keep(seen(5), null, 0)
      const { store: again } = await reopen!(store)
      const { id } = log
      expect(again.ids(id).recovered()).toEqual([seen(0, 1000), seen(2, 1002), seen(4, 1004), seen(5)])
      expect(again.ids().id).toBeGreaterThan(id)
    })

    it.skipIf(reopen === null)('is gone after a restart when it was dropped, or nobody owns it', async () => {
      const { store } = await open()
      const [dropped, lost] = [store.ids(), store.ids()]
      for (const log of [dropped, lost]) log.keep(seen(0), null, 0)
      store.save(owner(dropped.id))
      await durable(store)
      dropped.drop()
      store.remove(owner(dropped.id))
      await durable(store)
      const { store: second } = await reopen!(store)
      await durable(second)
      const { store: third } = await reopen!(second)
      expect([third.ids(dropped.id).recovered(), third.ids(lost.id).recovered()]).toEqual([[], []])
    })
  })
}
