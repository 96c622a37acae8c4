// A broker with its real store on a disk that forgets, and beside it the model of what must be true.
import { strict as assert } from 'node:assert'
import { Transaction } from '../../../../src/amqp/transaction.ts'
import { AllUncommitted, Uncommitted } from '../../../../src/amqp/uncommitted.ts'
import type { Message } from '../../../../src/core/message.ts'
import type { Publisher } from '../../../../src/core/ports.ts'
import type { Entry } from '../../../../src/core/queue/entry.ts'
import { longerThan } from '../../../../src/core/queue/rules.ts'
import type { Queue } from '../../../../src/core/queue/queue.ts'
import { NO_ARGUMENTS } from '../../../../src/core/value.ts'
import { ManualClock } from '../../../../src/lib/clock.ts'
import { Kind } from '../../../../src/store/level/keys.ts'
import { RETRY_MAX_MS } from '../../../../src/store/level/tuning.ts'
import { Disk } from '../../../support/faulty-database.ts'
import { turnsRun } from '../../../support/sockets.ts'
import { BrokerModel, QUEUES, type QueueName } from './broker-model.ts'
import { ModelConsumer } from './consumer.ts'
import { HeldDatabase } from './held-database.ts'
import {
  ALL_KEY,
  declareExchanges,
  declareQueue,
  DELAYED_EXCHANGE,
  ONCE_EXCHANGE,
  openStore,
  startBroker,
  type Life,
} from './life.ts'
import { assertWhole, bytesLeast, deathOf, idOf, messageOf, type Traits } from './messages.ts'
import { NEVER, type Moment } from './moment.ts'
import type { ModelEntry, ModelQueue } from './queue-model.ts'
import { argumentsOf, deliveryLimitOf, type Deduplication, type ModelRules } from './rules.ts'

/** What a message may be published to. */
export type Target = QueueName | 'all'
/** What may become of a delivery: with `fail` it is rejected and comes back, with `requeue` it is given back. */
export type Settlement = 'acknowledge' | 'reject' | 'requeue' | 'fail'

/** Longer than any message of a program waits for anything. */
const EVERYTHING_DUE_MS = 60_000

/** A delivery that waits to be acknowledged. */
interface Delivery {
  readonly tag: number
  readonly entry: Entry
  readonly queue: ModelQueue
  readonly expected: ModelEntry
  readonly consumer: ModelConsumer | null
}

/**
 * Does things to the broker and the model alike, and compares. Whatever takes time waits until it is let through: the
 * batch in flight, the pages that are read, the end of the turn, the clock.
 */
export class World {
  readonly clock = new ManualClock()
  readonly #model: BrokerModel
  /** How the deduplicating exchange knows duplicates. */
  readonly #window: Deduplication
  readonly #disk = new Disk()
  #database = new HeldDatabase(this.#disk)
  #life!: Life
  #deliveries: Delivery[] = []
  #consumers: ModelConsumer[] = []
  #nextId = 1
  #nextTag = 1
  /** The batch that was written last, and everything up to when it knows. */
  #batch: { readonly operations: readonly unknown[]; readonly start: Moment } = { operations: [], start: 0 }
  /** Everything up to here is on the disk, and everything up to here the broker knows to be. */
  #applied: Moment = 0
  #durable: Moment = 0
  #failing = false
  /** Until then what could not be read may wait to be asked for again. */
  #waitsForDiskUntil = 0
  readonly #lost: string[] = []
  /** What was found to be wrong within a call of the broker, which may keep it from us. */
  #wrong: Error | null = null

  private constructor(rules: ModelRules, window: Deduplication) {
    this.#model = new BrokerModel(this.clock, rules, window)
    this.#window = window
  }

  /** Starts with empty queues, the first of which has these rules, and an exchange that knows duplicates so. */
  static async start(rules: ModelRules, window: Deduplication): Promise<World> {
    const world = new World(rules, window)
    await world.#open([])
    return world
  }

  // --- publishing and consuming ---

  /** Publishes a message. */
  publish(target: Target, traits: Traits): void {
    const [id, message, reached] = this.#publication(target, traits)
    assert.equal(this.#life.session.publish(message, this.#hearer(), id), reached)
    this.#model.handed(id)
  }

  /** Tells the model what the broker that runs now answers; one that was killed may still end a turn. */
  #hearer(): Publisher {
    const database = this.#database
    return {
      accepted: (sequence) => {
        if (database === this.#database) this.#model.accepted(sequence)
      },
      refused: (sequence) => {
        if (database === this.#database) this.#model.refused(sequence)
      },
    }
  }

  /** Publishes and settles in one transaction, which is committed or rolled back. */
  transact(publishes: readonly [Target, Traits][], how: Settlement, picks: readonly number[], commit: boolean): void {
    const ids: number[] = []
    const { session } = this.#life
    const database = this.#database
    const settled = [...new Set(picks.map((pick) => this.#deliveries[pick % this.#deliveries.length]))]
    const transaction = new Transaction({
      uncommitted: new Uncommitted(new AllUncommitted({ limits: { memoryBytes: 0 } })),
      deliverCommitted: (message, destinations, publisher) => {
        const delivered = session.deliver(message, destinations, publisher, 0)
        this.#model.handed(idOf(message))
        return delivered
      },
      unroutable: () => assert.fail('a message of a transaction reaches nobody'),
      committed: (refused) => {
        if (database === this.#database) this.#model.committed(ids, refused)
      },
    })
    if (!commit) {
      const [target, traits] = publishes[0]!
      const message = messageTo(target, 0, traits)
      transaction.publish(message, session.destinations(message, []), false)
      transaction.rollback()
      transaction.commit()
      return
    }
    for (const [target, traits] of publishes) {
      const [id, message] = this.#publication(target, traits)
      ids.push(id)
      transaction.publish(message, session.destinations(message, []), false)
    }
    const deliveries = settled.filter((delivery) => delivery !== undefined)
    for (const delivery of deliveries) {
      transaction.settle(delivery.tag, delivery.entry, null, () => this.#settleOne(delivery, how))
    }
    this.#settling(deliveries, () => transaction.commit())
  }

  /** basic.get: nothing comes when nothing is ready, or while it must be read first. */
  get(name: QueueName, noAck: boolean): void {
    const [queue, real] = this.#both(name)
    const entry = real.get(noAck)
    if (entry !== undefined) this.#delivered(entry, queue, noAck, null)
    else assert(queue.readable === 0 || !real.gettable || this.#waitsForDisk, `${name} gives nothing although it could`)
  }

  consume(name: QueueName, noAck: boolean, prefetch: number): void {
    const [queue, real] = this.#both(name)
    const consumer = new ModelConsumer(queue, noAck, prefetch, (entry, to) => this.#consumed(entry, queue, noAck, to))
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
  settle(how: Settlement, pick: number, multiple: boolean): void {
    const last = this.#deliveries[pick % this.#deliveries.length]
    if (last === undefined) return
    const settled = multiple ? this.#deliveries.filter(({ tag }) => tag <= last.tag) : [last]
    this.#settling(settled, () => {
      for (const delivery of settled) this.#settleOne(delivery, how)
    })
  }

  /** What is out is let go of, as far as it is on disk. */
  release(): void {
    for (const { entry } of this.#deliveries) entry.queue.release(entry)
  }

  async purge(name: QueueName): Promise<void> {
    await this.openQueues()
    const [queue] = this.#both(name)
    const purged = queue.purge(this.#model.tick())
    assert.equal(this.#life.session.purgeQueue(name), purged)
  }

  /** Deletes a queue, with what is ready in it, and declares one of the same name. It is not taken for empty before. */
  async replace(name: QueueName): Promise<void> {
    await this.openQueues()
    const [queue] = this.#both(name)
    const ready = queue.ready.length
    const { session } = this.#life
    if (ready > 0 && queue.rules.type === 'classic')
      assert.throws(() => session.deleteQueue(name, false, true), /not empty/)
    queue.deletedAt = this.#model.tick()
    queue.ready = []
    this.#consumers = this.#consumers.filter((consumer) => consumer.queue !== queue)
    assert.equal(session.deleteQueue(name, false, false), ready)
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

  /** The disk does not give the page that is being read. */
  async readFails(): Promise<void> {
    if (this.#database.heldReads === 0) return
    this.#model.readFails()
    this.#waitsForDiskUntil = this.clock.now() + EVERYTHING_DUE_MS
    this.#database.failRead()
    await promisesCalled()
  }

  async wait(milliseconds: number): Promise<void> {
    this.clock.advance(milliseconds)
    await promisesCalled()
  }

  // --- ends and starts ---

  /** It is found out what queues held at the start. Who asks for that waits for it. */
  async openQueues(): Promise<void> {
    const { broker } = this.#life
    broker.openQueues()
    await broker.queuesOpened
    await promisesCalled()
  }

  /** The broker is stopped and started: everything that is to survive does. `later`: queues are not opened at once. */
  async restart(later = false): Promise<void> {
    const { broker, session, store } = this.#life
    this.#endClients()
    session.close()
    broker.stop()
    this.#letThrough(true)
    await this.#waitFor(store.close())
    this.#model.expectAnswers()
    this.#database.abandon()
    await this.#start(this.#model.now, true, later)
  }

  /** The broker is killed. The batch in flight may have reached the disk or not; nothing that came later has. */
  async crash(written: boolean, later: boolean): Promise<void> {
    if (written) await this.write('written but failed')
    this.#life.broker.stop()
    this.#database.abandon()
    await this.#start(this.#applied, false, later)
  }

  /** Lets everything through, consumes everything, and looks whether anything is left anywhere. */
  async finish(): Promise<void> {
    if (this.#waitsForDiskUntil > 0) this.#waitsForDiskUntil = Infinity
    await this.openQueues()
    this.#endClients()
    this.#letThrough(true)
    for (let turns = 0; this.#unfinished !== ''; turns++) {
      assert(turns < 1000, `what is due does not come: ${this.#unfinished}`)
      this.clock.advance(EVERYTHING_DUE_MS)
      await this.turn()
    }
    this.check()
    for (const name of QUEUES) this.consume(name, true, 0)
    await this.#waitFor(new Promise((resolve) => this.#life.store.whenDurable(() => resolve(undefined))))
    for (let turns = 0; turns < 1000 && this.#model.queues.some(({ ready }) => ready.length > 0); turns++) {
      if (this.#waitsForDisk) this.clock.advance(EVERYTHING_DUE_MS)
      await this.turn()
    }
    this.check()
    for (const { name, ready } of this.#model.queues)
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
    for (const kind of [
      'index',
      'fragment',
      'erasure',
      'setAside',
      'body',
      'bodyReference',
      'attempts',
      'delayed',
    ] as const) {
      const left = this.#disk.keys(Kind[kind]).map((key) => key.toString('hex'))
      assert.deepEqual(left, [], `something is left on the disk: ${kind}`)
    }
    const [ofExchange, ofQueue] = [this.#model.rememberedCount, this.#model.queue('a').rememberedCount]
    if (ofExchange === null || ofQueue === null) return
    assert.equal(this.#disk.keys(Kind.seenId).length, ofExchange + ofQueue, 'the ids on disk')
  }

  // --- comparing ---

  /** Compares everything that can be seen. */
  check(): void {
    if (this.#wrong !== null) throw this.#wrong
    assert.deepEqual(this.#lost, [])
    this.#model.expectComplete()
    this.#model.expectSafe(this.#durable)
    for (const queue of this.#model.queues) {
      const real = this.#real(queue)!
      if (!real.opened) continue
      const { readyBytes } = queue
      const seen = [
        real.readyCount,
        readyBytes === null ? null : real.readyBytes,
        real.unackedCount,
        real.consumerCount,
      ]
      const consumers = this.#consumers.filter((consumer) => consumer.queue === queue).length
      assert.deepEqual(seen, [queue.readable, readyBytes, queue.unacked.size, consumers], `the counts of ${queue.name}`)
      const { rememberedCount } = queue
      if (rememberedCount !== null) assert.equal(real.rememberedIds, rememberedCount, `the ids of ${queue.name}`)
    }
    const delayed = this.#life.session.vhost.exchanges.get(DELAYED_EXCHANGE)!
    assert.equal(delayed.delayedCount, this.#model.delayedCount, 'the count of messages that wait')
    const { rememberedCount } = this.#model
    const { deduplication } = this.#life.session.vhost.exchanges.get(ONCE_EXCHANGE)!
    if (rememberedCount !== null) assert.equal(deduplication!.cached, rememberedCount, 'the ids of the exchange')
  }

  /** What should have happened by now, in words; nothing when all of it has. */
  get #unfinished(): string {
    const overdue = this.#model.queues.flatMap(({ ready }) => ready.filter(({ deadline }) => deadline !== NEVER))
    if (overdue.length > 0) return `${overdue.map(({ id }) => id).join()} should have expired`
    return this.#model.delayedCount === 0 ? '' : `${this.#model.delayedCount} messages should have been routed`
  }

  /** Nobody who could be served waits, unless for something that has yet to come. */
  #expectService(): void {
    if (this.#database.held > 0 || this.#database.heldReads > 0 || this.#failing || this.#waitsForDisk) return
    // Before it hands out what is on disk a queue may have to have that written there.
    let settled = false
    this.#life.store.whenDurable(() => (settled = true))
    if (!settled) return
    for (const consumer of this.#consumers) {
      const served = !consumer.ready || consumer.queue.readable === 0
      assert(served, `${consumer.queue.name} has messages and a consumer, and nothing happens`)
    }
  }

  /** A delivery that the broker makes when it likes to. */
  #consumed(entry: Entry, queue: ModelQueue, noAck: boolean, consumer: ModelConsumer): void {
    try {
      this.#delivered(entry, queue, noAck, consumer)
    } catch (error) {
      this.#wrong ??= error as Error
      throw error
    }
  }

  get #waitsForDisk(): boolean {
    return this.clock.now() <= this.#waitsForDiskUntil
  }

  #delivered(entry: Entry, queue: ModelQueue, noAck: boolean, consumer: ModelConsumer | null): void {
    const id = idOf(entry.message)
    const dead = deathOf(entry.message) !== null
    const expected = queue.deliver(id, dead, noAck, this.#model.tick(), this.#failing)
    assertWhole(entry.message, id, expected.traits, expected.death)
    if (expected.redelivered !== 'maybe') {
      assert.equal(entry.redelivered, expected.redelivered, `whether ${id} in ${queue.name} is redelivered`)
    }
    const lateMs = this.clock.now() - expected.deadline
    // One that may not wait at all is delivered as it comes, or not.
    assert(lateMs < 0 || (lateMs === 0 && expected.waitMs === 0), `${id} in ${queue.name} comes ${lateMs} ms late`)
    this.#compareAttempts(entry, expected)
    if (consumer !== null && !noAck) consumer.outstanding++
    if (!noAck) this.#deliveries.push({ tag: this.#nextTag++, entry, queue, expected, consumer })
  }

  /** Compares how often a message was tried in vain; after a crash that may have cost the mark the broker decides. */
  #compareAttempts({ details, redelivered }: Entry, expected: ModelEntry): void {
    const found = { failed: details?.deliveryCount ?? 0, acquired: details?.acquiredCount ?? 0 }
    if (deliveryLimitOf(expected.queue.rules) === null) return
    expected.attempts ??= redelivered ? [{ at: -1, failed: 1, acquired: 1 }] : []
    const { failed, acquired } = expected.tried!
    assert.deepEqual(found, { failed, acquired }, `how often ${expected.id} was tried`)
  }

  /** Registers a message that is about to be published. */
  #publication(target: Target, asked: Traits): [id: number, message: Message, reached: number] {
    const id = this.#nextId++
    // What expires where there is no exchange for dead letters goes without being seen.
    const expirationMs = target === 'a' ? asked.expirationMs : -1
    const traits = { ...asked, expirationMs, bytes: Math.max(asked.bytes, bytesLeast(id)) }
    const targets = target === 'all' ? QUEUES : [target]
    return [id, messageTo(target, id, traits), this.#model.published(id, traits, targets)]
  }

  /** Has deliveries settled, and their consumers served afterwards. */
  #settling(settled: readonly Delivery[], settle: () => void): void {
    this.#deliveries = this.#deliveries.filter((delivery) => !settled.includes(delivery))
    for (const { consumer } of settled) if (consumer !== null) consumer.outstanding--
    settle()
    for (const consumer of this.#consumers) {
      if (settled.some((delivery) => delivery.consumer === consumer))
        this.#real(consumer.queue)?.resume(consumer.subscription)
    }
    for (const queue of new Set(settled.map(({ entry }) => entry.queue))) queue.takenBack()
  }

  #settleOne({ queue, entry, expected }: Delivery, how: Settlement): void {
    const now = this.#model.tick()
    switch (how) {
      case 'acknowledge':
        queue.acknowledge(expected, now)
        entry.queue.acknowledge(entry)
        break
      case 'reject':
        queue.reject(expected, now)
        entry.queue.reject(entry)
        break
      case 'requeue':
      case 'fail':
        queue.requeue(expected, how === 'fail', now)
        entry.queue.requeue(entry, how === 'fail')
    }
  }

  // --- the broker ---

  #both(name: QueueName): [ModelQueue, Queue] {
    const queue = this.#model.queue(name)
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
    if (this.#deliveries.length > 0) this.settle('fail', this.#deliveries.length - 1, true)
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
      if (this.#wrong !== null) throw this.#wrong
      await turnsRun()
      this.clock.advance(RETRY_MAX_MS)
    }
    return finished
  }

  async #start(known: Moment, clean: boolean, later: boolean): Promise<void> {
    this.#deliveries = []
    this.#consumers = []
    const survivors = this.#model.restart(known, clean)
    this.#applied = this.#durable = this.#model.now
    await this.#open(survivors)
    if (!later) await this.openQueues()
    this.check()
  }

  /** Starts the broker. Queues that must know what they hold are open then. */
  async #open(survivors: readonly QueueName[]): Promise<void> {
    const database = new HeldDatabase(this.#disk)
    this.#database = database
    database.onBatch = (operations) => this.#written(database, operations)
    this.#failing = false
    const opened = await openStore(database, this.clock, {
      storeFailed: () => void (this.#failing = true),
      storeRecovered: () => void (this.#failing = false),
      messagesLost: (lost) => void this.#lost.push(JSON.stringify(lost)),
    })
    const first = this.#model.now === 0
    this.#life = startBroker(opened, this.clock)
    const found = [...this.#life.session.vhost.queues.keys()].toSorted()
    assert.deepEqual(found, survivors, 'the queues that survived')
    for (const name of survivors) this.#listen(name)
    if (first) {
      declareExchanges(this.#life, this.#window)
      await this.#waitFor(new Promise((resolve) => opened.store.whenDurable(() => resolve(undefined))))
    }
    for (const name of QUEUES) if (!survivors.includes(name)) this.#declare(name)
    await this.#life.broker.start()
    // What is dropped when it is too much is told by the model at once.
    for (const name of survivors) {
      const queue = this.#life.session.vhost.queue(name)
      if (longerThan(queue.rules, Infinity, Infinity)) await new Promise((resolve) => queue.whenOpened(resolve))
    }
    this.#letThrough(false)
  }

  #declare(name: QueueName): void {
    const { durable, rules } = this.#model.declare(name)
    declareQueue(this.#life, name, durable, argumentsOf(rules))
    this.#listen(name)
  }

  /** Tells the model of each message that the broker gives to a queue. */
  #listen(name: QueueName): void {
    const life = this.#life
    const queue = life.session.vhost.queues.get(name)!
    this.#model.queue(name).unreadable = () => queue.unreadableCount
    const publish = queue.publish.bind(queue)
    queue.publish = (message, publisher, sequence) => {
      // Those of a broker that was killed do nothing any more.
      if (life !== this.#life) return
      this.#model.arrived(name, message)
      const { deduplicated } = queue.counts
      publish(message, publisher === null ? null : this.#overheard(publisher), sequence)
      this.#model.taken(publisher !== null, queue.counts.deduplicated > deduplicated)
    }
  }

  #overheard(publisher: Publisher): Publisher {
    return {
      accepted: (sequence) => publisher.accepted(sequence),
      refused: (sequence) => {
        this.#model.turnedAway()
        publisher.refused(sequence)
      },
    }
  }

  /** A batch is handed to the database: it knows what has happened by now, unless it is one that is written again. */
  #written(database: HeldDatabase, operations: readonly unknown[]): void {
    if (database !== this.#database) return
    if (this.#batch.operations !== operations) this.#batch = { operations, start: this.#model.now }
    if (!database.holding) this.#applied = this.#durable = this.#batch.start
  }
}

/** A message to one queue or all of them, by the exchange that does with it what it asks for. */
function messageTo(target: Target, id: number, traits: Traits): Message {
  const key = target === 'all' ? ALL_KEY : target
  if (traits.delayMs > 0) return messageOf(DELAYED_EXCHANGE, key, id, traits)
  if (traits.once > 0) return messageOf(ONCE_EXCHANGE, key, id, traits)
  return messageOf(target === 'all' ? 'amq.fanout' : '', target, id, traits)
}

/** Lets promises call back, but no turn end. */
function promisesCalled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}
