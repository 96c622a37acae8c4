// A broker on a disk that a test holds in its hand: batches wait when they are told to, and the power goes at any time.
import { amqpPropertyCodec } from '../../src/amqp/property-codec.ts'
import { Broker } from '../../src/core/broker.ts'
import type { Definition } from '../../src/core/definitions.ts'
import type { Message } from '../../src/core/message.ts'
import type { Queue } from '../../src/core/queue/queue.ts'
import type { Session } from '../../src/core/session.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/log.ts'
import { Turn } from '../../src/lib/turn.ts'
import { LevelStore } from '../../src/store/level/level-store.ts'
import { Disk, FaultyDatabase } from './faulty-database.ts'
import { KeepingConsumer, queueDeclaration } from './sessions.ts'
import { NO_ARGUMENTS, type FieldTable } from '../../src/core/value.ts'
import { turnsRun } from './sockets.ts'
import { durable } from './store.ts'

const USER = { name: 'tester', tags: [] }
const RIGHTS: readonly Definition[] = [
  { kind: 'user', name: 'tester', passwordHash: '', hashing: '', tags: [] },
  { kind: 'permission', user: 'tester', vhost: '/', configure: '.*', write: '.*', read: '.*' },
]

/** From one start of the broker to its end. Its one virtual host is `/`. */
export class DurableCore {
  readonly disk: Disk
  readonly database: FaultyDatabase
  readonly clock: ManualClock
  readonly store: LevelStore
  readonly broker: Broker
  readonly session: Session

  private constructor(disk: Disk, database: FaultyDatabase, clock: ManualClock, store: LevelStore, broker: Broker) {
    this.disk = disk
    this.database = database
    this.clock = clock
    this.store = store
    this.broker = broker
    this.session = broker.openSession(USER, broker.vhosts.get('/')!)
  }

  static async start(disk = new Disk(), clock = new ManualClock()): Promise<DurableCore> {
    const database = new FaultyDatabase(disk)
    const opened = await LevelStore.open({
      location: 'nowhere',
      turn: new Turn(),
      clock,
      monitor: { storeFailed: () => undefined, storeRecovered: () => undefined },
      database: () => database,
    })
    const readings = { residentBytes: () => 0, freeDiskBytes: () => Promise.resolve(null) }
    const broker = new Broker({
      store: opened.store,
      clock,
      codec: amqpPropertyCodec,
      logger: silentLogger,
      resources: { limits: { memoryBytes: 0, diskFreeBytes: 0 }, readings },
    })
    broker.load([...RIGHTS, ...opened.definitions])
    if (!broker.vhosts.has('/')) await broker.createVHost('/', '')
    await broker.recall()
    await broker.start()
    broker.openQueues()
    await broker.queuesOpened
    await durable(opened.store)
    return new DurableCore(disk, database, clock, opened.store, broker)
  }

  /** Declares a queue that survives a restart. */
  declare(name: string, args: FieldTable = NO_ARGUMENTS): Queue {
    return this.session.declareQueue(queueDeclaration(name, { durable: true, arguments: args }))
  }

  queue(name: string): Queue {
    return this.session.vhost.queue(name)
  }

  /** Subscribes somebody who takes so many messages and settles none. */
  consume(queue: Queue, credit?: number, noAck?: boolean): KeepingConsumer {
    const consumer = new KeepingConsumer(credit, noAck)
    this.session.consume(queue, consumer, false, NO_ARGUMENTS)
    queue.serve()
    return consumer
  }

  /** Everything that was enlisted is on disk. */
  async written(): Promise<void> {
    await durable(this.store)
    await turnsRun()
  }

  /** What a start finds if the power goes now: the batch in flight is lost. Its clock stands where this one began. */
  afterPowerCut(): Promise<DurableCore> {
    const left = new Disk()
    for (const [key, value] of this.disk.records) left.records.set(key, Buffer.from(value))
    return DurableCore.start(left)
  }
}

/** What a message says. */
export function textOf({ body, bodyStart, bodyEnd }: Message): string {
  return body.toString('latin1', bodyStart, bodyEnd)
}

/** Takes out all that is ready in a queue, as it is read: the bodies. */
export async function drained(core: DurableCore, name: string): Promise<string[]> {
  const consumer = core.consume(core.queue(name), Infinity, true)
  await core.written()
  for (let turns = 0; turns < 100 && core.queue(name).readyCount > 0; turns++) await turnsRun()
  return consumer.entries.map(({ message }) => textOf(message))
}
