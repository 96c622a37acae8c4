// A broker with its real store on a disk that forgets, and beside it the model of what must be true.
import { strict as assert } from 'node:assert'
import { amqpPropertyCodec } from '../../../../src/amqp/property-codec.ts'
import { Broker } from '../../../../src/core/broker.ts'
import type { Definition } from '../../../../src/core/definitions.ts'
import type { Publisher } from '../../../../src/core/ports.ts'
import type { Entry } from '../../../../src/core/queue/entry.ts'
import type { Queue } from '../../../../src/core/queue/queue.ts'
import type { Session } from '../../../../src/core/session.ts'
import { NO_ARGUMENTS } from '../../../../src/core/value.ts'
import { ManualClock } from '../../../../src/lib/clock.ts'
import { silentLogger } from '../../../../src/lib/log.ts'
import { Turn } from '../../../../src/lib/turn.ts'
import { LevelStore } from '../../../../src/store/level/level-store.ts'
import { Kind } from '../../../../src/store/level/keys.ts'
import { RETRY_MAX_MS } from '../../../../src/store/level/tuning.ts'
import { Disk } from '../../../support/faulty-database.ts'
import { turnsRun } from '../../../support/sockets.ts'
import { ModelConsumer } from './consumer.ts'
import { HeldDatabase } from './held-database.ts'
import { assertWhole, idOf, messageOf } from './messages.ts'
import { ModelQueue, NEVER, type ModelEntry, type Moment } from './queue-model.ts'

/** The queues: two that survive restarts, and one that does not. All are bound to one fanout exchange. */
export const QUEUES = ['a', 'b', 'c'] as const
export type QueueName = (typeof QUEUES)[number]
/** What a message may be published to. */
export type Target = QueueName | 'all'

const USER = { name: 'tester', tags: [] }
const RIGHTS: readonly Definition[] = [
  { kind: 'user', name: 'tester', passwordHash: '', hashing: '', tags: [] },
  { kind: 'permission', user: 'tester', vhost: '/', configure: '.*', write: '.*', read: '.*' },
]
/** One publish, and who has answered for it. */
interface Publication {
  readonly id: number
  readonly reached: number
  readonly entries: readonly (readonly [ModelQueue, ModelEntry])[]
  accepted: number
}

/** A delivery that waits to be acknowledged. */
interface Delivery {
  readonly tag: number
  readonly entry: Entry
  readonly queue: ModelQueue
  readonly expected: ModelEntry
  readonly consumer: ModelConsumer | null
}

/** From one start of the broker to its end. */
interface Life {
  readonly broker: Broker
  readonly store: LevelStore
  readonly session: Session
}

/**
 * Does things to the broker and the model alike, and compares. Whatever takes time waits until it is let through: the
 * batch in flight, the pages that are read, the end of the turn, the clock.
 */
export class World implements Publisher {
  readonly clock = new ManualClock()
  readonly #disk = new Disk()
  #database = new HeldDatabase(this.#disk)
  #life!: Life
  /** Queues by name, with all that had the name before. */
  readonly #queues = new Map<QueueName, ModelQueue[]>(QUEUES.map((name) => [name, []]))
  readonly #publications = new Map<number, Publication>()
  /** Those that were confirmed and not yet looked at. */
  readonly #confirmed: Publication[] = []
  #deliveries: Delivery[] = []
  #consumers: ModelConsumer[] = []
  #nextId = 1
  #nextTag = 1
  #now: Moment = 0
  /** The batch that was written last, and everything up to when it knows. */
  #batch: { readonly operations: readonly unknown[]; readonly start: Moment } = { operations: [], start: 0 }
  /** Everything up to here is on the disk, and everything up to here the broker knows to be. */
  #applied: Moment = 0
  #durable: Moment = 0
  #failing = false
  readonly #lost: string[] = []

  static async start(): Promise<World> {
    const world = new World()
    await world.#open()
    return world
  }

  // --- publishing and consuming ---

  /** Publishes a message. */
  publish(target: Target, bytes: number, persistent: boolean): void {
    const id = this.#nextId++
    const now = this.#tick()
    const message = messageOf(target === 'all' ? 'amq.fanout' : '', target, id, bytes, persistent)
    const queues = (target === 'all' ? QUEUES : [target]).map((name) => this.#queue(name))
    for (const queue of queues) queue.publish(id, message.bodyBytes, persistent, now)
    const entries = queues.map((queue) => [queue, queue.entries.at(-1)!] as const)
    this.#publications.set(id, { id, reached: queues.length, entries, accepted: 0 })
    assert.equal(this.#life.session.publish(message, this, id), queues.length)
  }

  accepted(sequence: number): void {
    const publication = this.#publications.get(sequence)!
    publication.accepted++
    assert(publication.accepted <= publication.reached, `${sequence} is accepted too often`)
    if (publication.accepted === publication.reached) this.#confirmed.push(publication)
  }

  refused(sequence: number): void {
    assert.fail(`${sequence} is refused`)
  }

  /** basic.get: nothing comes when nothing is ready, or while it must be read first. */
  get(name: QueueName, noAck: boolean): void {
    const [queue, real] = this.#both(name)
    const entry = real.get(noAck)
    if (entry !== undefined) this.#delivered(entry, queue, noAck, null)
    else assert(queue.ready.length === 0 || !real.gettable, `${name} gives nothing although it could`)
  }

  consume(name: QueueName, noAck: boolean, prefetch: number): void {
    const [queue, real] = this.#both(name)
    const consumer = new ModelConsumer(queue, noAck, prefetch, (entry, to) => this.#delivered(entry, queue, noAck, to))
    consumer.subscription = this.#life.session.consume(real, consumer, false, NO_ARGUMENTS)
    this.#consumers.push(consumer)
    real.serve()
  }

  /** Ends a subscription; what is out with it stays out. */
  cancel(pick: number): void {
    const consumer = this.#consumers[pick % this.#consumers.length]
    if (consumer === undefined) return
    this.#consumers = this.#consumers.filter((other) => other !== consumer)
    this.#real(consumer.queue)?.unsubscribe(consumer.subscription)
  }

  /** basic.ack, nack and reject: of one delivery, or of all up to it. */
  settle(how: 'acknowledge' | 'reject' | 'requeue', pick: number, multiple: boolean): void {
    const last = this.#deliveries[pick % this.#deliveries.length]
    if (last === undefined) return
    const now = this.#tick()
    const settled = multiple ? this.#deliveries.filter(({ tag }) => tag <= last.tag) : [last]
    this.#deliveries = this.#deliveries.filter((delivery) => !settled.includes(delivery))
    // First the model: what is requeued may be delivered again before the queue returns.
    for (const { queue, expected, consumer } of settled) {
      if (how === 'requeue') queue.requeue(expected)
      else queue.acknowledge(expected, now)
      if (consumer !== null) consumer.outstanding--
    }
    for (const { entry } of settled) entry.queue[how](entry)
    for (const consumer of this.#consumers) {
      if (settled.some((delivery) => delivery.consumer === consumer))
        this.#real(consumer.queue)?.resume(consumer.subscription)
    }
    if (how === 'requeue') for (const queue of new Set(settled.map(({ entry }) => entry.queue))) queue.serve()
  }

  purge(name: QueueName): void {
    const [queue] = this.#both(name)
    const purged = queue.purge(this.#tick())
    assert.equal(this.#life.session.purgeQueue(name), purged)
  }

  /** Deletes a queue, with what is ready in it, and declares one of the same name. */
  replace(name: QueueName): void {
    const [queue] = this.#both(name)
    const ready = queue.ready.length
    queue.deletedAt = this.#tick()
    queue.ready = []
    this.#consumers = this.#consumers.filter((consumer) => consumer.queue !== queue)
    assert.equal(this.#life.session.deleteQueue(name, false, false), ready)
    this.#declare(name)
  }

  /** Input of other connections: messages that stay are copied out of it. */
  input(bytes: number): void {
    this.#life.broker.window.received(bytes)
  }

  // --- what takes time ---

  /** Ends the turn. */
  async turn(): Promise<void> {
    await turnsRun()
    await promisesCalled()
    this.#expectService()
  }

  /** The batch in flight gets somewhere: onto the disk, or not, or onto the disk although an error is reported. */
  async write(outcome: 'written' | 'failed' | 'written but failed'): Promise<void> {
    if (this.#database.held === 0) return
    if (outcome !== 'failed') this.#applied = this.#batch.start
    if (outcome === 'written') this.#durable = this.#batch.start
    this.#database.release(outcome)
    await promisesCalled()
  }

  /** A page that is being read arrives. */
  async read(): Promise<void> {
    this.#database.releaseRead()
    await promisesCalled()
  }

  async wait(milliseconds: number): Promise<void> {
    this.clock.advance(milliseconds)
    await promisesCalled()
  }

  // --- ends and starts ---

  /** The broker is stopped and started: everything that is to survive does. */
  async restart(): Promise<void> {
    const { session, store } = this.#life
    this.#endClients()
    session.close()
    this.#letThrough(true)
    await this.#waitFor(store.close())
    for (const [id, { accepted, reached }] of this.#publications)
      assert.equal(accepted, reached, `${id} is not confirmed`)
    this.#database.abandon()
    await this.#start(this.#now, true)
  }

  /** The broker is killed. The batch in flight may have reached the disk or not; nothing that came later has. */
  async crash(written: boolean): Promise<void> {
    if (written) await this.write('written but failed')
    this.#database.abandon()
    await this.#start(this.#applied, false)
  }

  /** Lets everything through, consumes everything, and looks whether anything is left anywhere. */
  async finish(): Promise<void> {
    this.#endClients()
    for (const name of QUEUES) this.consume(name, true, 0)
    this.#letThrough(true)
    await this.#waitFor(new Promise((resolve) => this.#life.store.whenDurable(() => resolve(undefined))))
    for (let turns = 0; turns < 1000 && this.#queuesNow.some(({ ready }) => ready.length > 0); turns++)
      await this.turn()
    this.check()
    for (const { name, ready } of this.#queuesNow)
      assert.deepEqual(
        ready.map(({ id }) => id),
        [],
        `${name} is not drained`,
      )
    await this.restart()
    this.check()
    // What is deleted in slices goes behind other work.
    for (let turns = 0; turns < 500; turns++) {
      this.#letThrough(true)
      await turnsRun()
    }
    for (const kind of ['index', 'fragment', 'erasure', 'setAside', 'body', 'bodyReference'] as const) {
      const left = this.#disk.keys(Kind[kind]).map((key) => key.toString('hex'))
      assert.deepEqual(left, [], `something is left on the disk: ${kind}`)
    }
  }

  // --- comparing ---

  /** Compares everything that can be seen. */
  check(): void {
    assert.deepEqual(this.#lost, [])
    for (const publication of this.#confirmed.splice(0)) this.#expectSafe(publication)
    for (const queue of this.#queuesNow) {
      const real = this.#real(queue)!
      const { readyBytes } = queue
      const seen = [
        real.readyCount,
        readyBytes === null ? null : real.readyBytes,
        real.unackedCount,
        real.consumerCount,
      ]
      const consumers = this.#consumers.filter((consumer) => consumer.queue === queue).length
      assert.deepEqual(
        seen,
        [queue.ready.length, readyBytes, queue.unacked.size, consumers],
        `the counts of ${queue.name}`,
      )
    }
  }

  /** What is confirmed is on disk, or was dealt with. */
  #expectSafe({ id, entries }: Publication): void {
    for (const [queue, { durable, publishedAt, settledAt }] of entries) {
      const safe = !durable || publishedAt <= this.#durable || settledAt !== NEVER || queue.deletedAt !== NEVER
      assert(safe, `${id} is confirmed, but not on disk in ${queue.name}`)
    }
  }

  /** Nobody who could be served waits, unless for something that has yet to come. */
  #expectService(): void {
    if (this.#database.held > 0 || this.#database.heldReads > 0 || this.#failing) return
    // Before it hands out what is on disk a queue may have to have that written there.
    let settled = false
    this.#life.store.whenDurable(() => (settled = true))
    if (!settled) return
    for (const consumer of this.#consumers) {
      const served = !consumer.ready || consumer.queue.ready.length === 0
      assert(served, `${consumer.queue.name} has messages and a consumer, and nothing happens`)
    }
  }

  #delivered(entry: Entry, queue: ModelQueue, noAck: boolean, consumer: ModelConsumer | null): void {
    const expected = queue.deliver(noAck, this.#tick(), this.#failing)
    const id = idOf(entry.message)
    assert.equal(id, expected.id, `the order of ${queue.name}`)
    assertWhole(entry.message, id, expected.bytes)
    if (expected.redelivered !== 'maybe') {
      assert.equal(entry.redelivered, expected.redelivered, `whether ${id} in ${queue.name} is redelivered`)
    }
    if (consumer !== null && !noAck) consumer.outstanding++
    if (!noAck) this.#deliveries.push({ tag: this.#nextTag++, entry, queue, expected, consumer })
  }

  // --- the broker ---

  #tick(): Moment {
    return ++this.#now
  }

  get #queuesNow(): ModelQueue[] {
    return QUEUES.map((name) => this.#queue(name))
  }

  #queue(name: QueueName): ModelQueue {
    return this.#queues.get(name)!.at(-1)!
  }

  #both(name: QueueName): [ModelQueue, Queue] {
    const queue = this.#queue(name)
    return [queue, this.#real(queue)!]
  }

  /** The broker's queue, unless it was deleted. */
  #real(queue: ModelQueue): Queue | undefined {
    return queue.deletedAt === NEVER ? this.#life.session.vhost.queues.get(queue.name) : undefined
  }

  /** Clients go: what is out with them comes back. */
  #endClients(): void {
    // The consumers are gone with them, so that nothing is delivered again.
    for (const consumer of this.#consumers.splice(0)) this.#real(consumer.queue)?.unsubscribe(consumer.subscription)
    if (this.#deliveries.length > 0) this.settle('requeue', this.#deliveries.length - 1, true)
  }

  /** Lets everything through that waits, and what comes later too. */
  #letThrough(always: boolean): void {
    this.#database.holding = !always
    this.#database.holdingReads = !always
    if (!always) return
    if (this.#database.held > 0) {
      this.#applied = this.#durable = this.#batch.start
      this.#database.release('written')
    }
    this.#database.releaseReads()
  }

  /** Waits for something that needs turns, writes, reads, and time when a write has failed. */
  async #waitFor<T>(promise: Promise<T>): Promise<T> {
    const state = { done: false }
    const finished = promise.finally(() => (state.done = true))
    while (!state.done) {
      await turnsRun()
      this.clock.advance(RETRY_MAX_MS)
    }
    return finished
  }

  async #start(known: Moment, clean: boolean): Promise<void> {
    this.#publications.clear()
    this.#deliveries = []
    this.#consumers = []
    for (const incarnations of this.#queues.values()) {
      const survivors = incarnations.filter((queue) => queue.survives(known))
      for (const queue of survivors) queue.restart(known, clean)
      incarnations.splice(0, incarnations.length, ...survivors)
    }
    // What the crash has undone can not become known later.
    this.#applied = this.#durable = this.#tick()
    await this.#open()
  }

  async #open(): Promise<void> {
    const database = new HeldDatabase(this.#disk)
    this.#database = database
    database.onBatch = (operations) => this.#written(database, operations)
    const turn = new Turn()
    const monitor = {
      storeFailed: () => void (this.#failing = true),
      storeRecovered: () => void (this.#failing = false),
      messagesLost: (lost: object) => void this.#lost.push(JSON.stringify(lost)),
    }
    this.#failing = false
    const { clock } = this
    const opened = await LevelStore.open({ location: 'memory', turn, clock, monitor, database: () => database })
    const readings = { residentBytes: () => 0, freeDiskBytes: () => Promise.resolve(null) }
    const resources = { limits: { memoryBytes: 0, diskFreeBytes: 0 }, readings }
    const codec = amqpPropertyCodec
    const broker = new Broker({ store: opened.store, clock, codec, logger: silentLogger, resources })
    broker.load([...RIGHTS, ...opened.definitions])
    const vhost = broker.vhosts.get('/') ?? broker.createVHost('/', '')
    this.#life = { broker, store: opened.store, session: broker.openSession(USER, vhost) }
    const found = [...vhost.queues.keys()].toSorted()
    const survivors = QUEUES.filter((name) => this.#queues.get(name)!.length > 0)
    assert.deepEqual(found, survivors, 'the queues that survived')
    if (this.#now === 0)
      await this.#waitFor(new Promise((resolve) => opened.store.whenDurable(() => resolve(undefined))))
    for (const name of QUEUES) if (!vhost.queues.has(name)) this.#declare(name)
    this.#letThrough(false)
    this.check()
  }

  #declare(name: QueueName): void {
    const durable = name !== 'c'
    this.#queues.get(name)!.push(new ModelQueue(name, durable, this.#tick()))
    const { session } = this.#life
    session.declareQueue({ name, durable, exclusive: false, autoDelete: false, arguments: NO_ARGUMENTS })
    session.bind({
      source: 'amq.fanout',
      destinationKind: 'queue',
      destination: name,
      routingKey: '',
      arguments: NO_ARGUMENTS,
    })
  }

  /** A batch is handed to the database: it knows what has happened by now, unless it is one that is written again. */
  #written(database: HeldDatabase, operations: readonly unknown[]): void {
    if (database !== this.#database) return
    if (this.#batch.operations !== operations) this.#batch = { operations, start: this.#now }
    if (!database.holding) this.#applied = this.#durable = this.#batch.start
  }
}

/** Lets promises call back, but no turn end. */
function promisesCalled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}
