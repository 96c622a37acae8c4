// A broker in memory and sessions in it, for tests of the core.
import { amqpPropertyCodec } from '../../src/amqp/property-codec.ts'
import { Broker } from '../../src/core/broker.ts'
import { BrokerError } from '../../src/core/errors.ts'
import { Message } from '../../src/core/message.ts'
import type { Consumer } from '../../src/core/ports.ts'
import type { Entry } from '../../src/core/queue/entry.ts'
import type { QueueDeclaration, Session } from '../../src/core/session.ts'
import { NO_ARGUMENTS, type FieldTable } from '../../src/core/value.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/log.ts'
import { Turn } from '../../src/lib/turn.ts'
import { MemoryStore } from '../../src/store/memory/memory-store.ts'

/** Which names a user may configure, write and read: patterns. */
export interface Patterns {
  readonly configure: string
  readonly write: string
  readonly read: string
}

const EVERYTHING: Patterns = { configure: '.*', write: '.*', read: '.*' }

/** A broker whose one virtual host is `/`. */
export class TestCore {
  readonly clock = new ManualClock()
  readonly broker: Broker

  constructor() {
    const { clock } = this
    const readings = { residentBytes: () => 0, freeDiskBytes: () => Promise.resolve(null) }
    this.broker = new Broker({
      store: new MemoryStore({ turn: new Turn(), clock }),
      clock,
      codec: amqpPropertyCodec,
      logger: silentLogger,
      resources: { limits: { memoryBytes: 0, diskFreeBytes: 0 }, readings },
    })
    this.broker.load([{ kind: 'vhost', name: '/', description: '', tags: [] }])
  }

  /** A session of a user with these rights. The same user again is another session of theirs. */
  session(user = 'tester', rights: Patterns = EVERYTHING): Session {
    if (this.broker.access.user(user) === undefined) {
      this.broker.access.load([{ kind: 'user', name: user, passwordHash: '', hashing: '', tags: [] }])
    }
    this.permit(rights, user)
    return this.broker.openSession({ name: user, tags: [] }, this.broker.vhosts.get('/')!)
  }

  /** Gives a user these rights in the place of those they had. */
  permit(rights: Patterns, user = 'tester'): void {
    this.broker.access.putPermission(user, '/', rights)
  }
}

/** How a plain queue is declared: transient, shared, without arguments. */
export function queueDeclaration(name: string, changes: Partial<QueueDeclaration> = {}): QueueDeclaration {
  return { name, durable: false, exclusive: false, autoDelete: false, arguments: NO_ARGUMENTS, ...changes }
}

/** Binding terms of a queue, or of an exchange where told. */
export function bindingTerms(
  source: string,
  destination: string,
  routingKey = '',
  destinationKind: 'queue' | 'exchange' = 'queue',
): {
  source: string
  destinationKind: 'queue' | 'exchange'
  destination: string
  routingKey: string
  arguments: FieldTable
} {
  return { source, destinationKind, destination, routingKey, arguments: NO_ARGUMENTS }
}

/** A message that is a view into a chunk of input. */
export function publishedTo(exchange: string, routingKey: string, body = 'body', persistent = false): Message {
  const bytes = Buffer.from(`before${body}after`)
  // A chunk is a piece of memory of its own.
  const chunk = Buffer.alloc(bytes.length, bytes)
  const facts = { persistent, priority: -1, expirationMs: -1, headers: false }
  const end = chunk.length - 5
  return new Message(exchange, routingKey, facts, Buffer.alloc(2), 0, 2, chunk, 6, end, false)
}

/** A consumer that takes as much as it is told to, and keeps it. */
export class KeepingConsumer implements Consumer {
  readonly tag = 'keeping'
  readonly noAck: boolean
  readonly entries: Entry[] = []
  readonly cancellations: string[] = []
  credit: number

  constructor(credit = Infinity, noAck = false) {
    this.credit = credit
    this.noAck = noAck
  }

  get ready(): boolean {
    return this.credit > 0
  }

  get outstanding(): number {
    return this.noAck ? 0 : this.entries.length
  }

  deliver(entry: Entry): boolean {
    this.credit--
    this.entries.push(entry)
    return true
  }

  cancelled(reason: string): void {
    this.cancellations.push(reason)
  }
}

/** What a command is refused with: `code: sentence`; empty when it is not. */
export function refusal(command: () => unknown): string {
  try {
    command()
  } catch (error) {
    if (error instanceof BrokerError) return `${error.code}: ${error.message}`
    throw error
  }
  return ''
}
