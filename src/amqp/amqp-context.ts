// What all connections of the front end share, and how it was configured.
import type { Broker } from '../core/broker.ts'
import type { Portions } from '../lib/portions.ts'
import type { Turn } from '../lib/turn.ts'
import type { SlabPool } from '../net/socket-writer.ts'
import type { Connection } from './connection.ts'
import type { Mechanism } from './mechanisms.ts'
import type { AllIncomplete } from './incomplete.ts'
import type { AllUncommitted } from './uncommitted.ts'

/** How the front end was configured. */
export interface AmqpOptions {
  /** Bytes of a whole frame; offered to clients. */
  readonly frameMax: number
  readonly channelMax: number
  /** Offered to clients, who choose. */
  readonly heartbeatSeconds: number
  readonly messageBytesMax: number
  readonly handshakeTimeoutMs: number
  /** By which clients may log in, in the order in which they are offered. */
  readonly mechanisms: readonly Mechanism[]
  /** Milliseconds that a delivery may wait for its acknowledgement where nothing else is said; 0: for ever. */
  readonly consumerTimeoutMs: number
  /** Whether one that waits longer ends the channel, rather than its consumer. */
  readonly consumerTimeoutCloses: boolean
  readonly version: string
  /** The name of the broker, which may change. */
  readonly clusterName: () => string
}

/** What all connections share. */
export interface AmqpContext {
  readonly broker: Broker
  readonly turn: Turn
  readonly slabs: SlabPool
  readonly options: AmqpOptions
  readonly uncommitted: AllUncommitted
  readonly incomplete: AllIncomplete
  /** Every open connection. Kept by the connections. */
  readonly connections: Set<Connection>
  /** Those that clients have left: when all of them leave at once, others must not wait for the last one. */
  readonly leaving: Portions<Connection>
}
