// A broker on the disk of the model, from its start to its end.
import { amqpPropertyCodec } from '../../../../src/amqp/property-codec.ts'
import { Broker } from '../../../../src/core/broker.ts'
import type { Definition } from '../../../../src/core/definitions.ts'
import type { StoreMonitor } from '../../../../src/core/ports.ts'
import type { Session } from '../../../../src/core/session.ts'
import { NO_ARGUMENTS, type FieldTable } from '../../../../src/core/value.ts'
import type { Clock } from '../../../../src/lib/clock.ts'
import { silentLogger } from '../../../../src/lib/log.ts'
import { Turn } from '../../../../src/lib/turn.ts'
import { LevelStore } from '../../../../src/store/level/level-store.ts'
import type { HeldDatabase } from './held-database.ts'
import { ONCE_HEADER } from './messages.ts'
import { windowArguments, type Deduplication } from './rules.ts'

const USER = { name: 'tester', tags: [] }
const HOME: readonly Definition[] = [
  { kind: 'vhost', name: '/', description: '', tags: [] },
  { kind: 'user', name: 'tester', passwordHash: '', hashing: '', tags: [] },
  { kind: 'permission', user: 'tester', vhost: '/', configure: '.*', write: '.*', read: '.*' },
]

/** The exchange before which messages wait for their time. */
export const DELAYED_EXCHANGE = 'later'
/** The exchange that routes each id once. */
export const ONCE_EXCHANGE = 'once'
/** The key that both send to all queues; any other is the name of one. */
export const ALL_KEY = 'all'

/** A store, and the definitions that were in it. */
export type OpenedStore = Awaited<ReturnType<typeof LevelStore.open>>

/** From one start of the broker to its end. */
export interface Life {
  readonly broker: Broker
  readonly store: LevelStore
  readonly session: Session
}

/** Opens the store in a database. */
export function openStore(database: HeldDatabase, clock: Clock, monitor: StoreMonitor): Promise<OpenedStore> {
  return LevelStore.open({ location: 'memory', turn: new Turn(), clock, monitor, database: () => database })
}

/** Starts a broker on what a store holds, with one client in it. */
export function startBroker({ store, definitions }: OpenedStore, clock: Clock): Life {
  const readings = { residentBytes: () => 0, freeDiskBytes: () => Promise.resolve(null) }
  const resources = { limits: { memoryBytes: 0, diskFreeBytes: 0 }, readings }
  const broker = new Broker({ store, clock, codec: amqpPropertyCodec, logger: silentLogger, resources })
  broker.load([...HOME, ...definitions])
  return { broker, store, session: broker.openSession(USER, broker.vhosts.get('/')!) }
}

/** Declares a queue and binds it to the fanout exchange, and to the other two by its name. */
export function declareQueue({ session }: Life, name: string, durable: boolean, args: FieldTable): void {
  session.declareQueue({ name, durable, exclusive: false, autoDelete: false, arguments: args })
  const to = { destinationKind: 'queue', destination: name, arguments: NO_ARGUMENTS } as const
  session.bind({ ...to, source: 'amq.fanout', routingKey: '' })
  for (const source of [DELAYED_EXCHANGE, ONCE_EXCHANGE]) {
    for (const routingKey of [name, ALL_KEY]) session.bind({ ...to, source, routingKey })
  }
}

/** Declares the delayed exchange, and the one that knows duplicates. */
export function declareExchanges({ session }: Life, window: Deduplication): void {
  const common = { durable: true, autoDelete: false, internal: false }
  const delays: FieldTable = new Map([['x-delayed-type', { type: 'longstr', value: 'direct' }]])
  session.declareExchange({ ...common, name: DELAYED_EXCHANGE, type: 'x-delayed-message', arguments: delays })
  const args: FieldTable = new Map([
    ...windowArguments(window),
    ['x-deduplication-header', { type: 'longstr', value: ONCE_HEADER }],
  ])
  session.declareExchange({ ...common, name: ONCE_EXCHANGE, type: 'direct', arguments: args })
}
