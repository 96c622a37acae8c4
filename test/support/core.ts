// Small makings for tests of the core.
import { DeathCounts } from '../../src/core/counts.ts'
import type { ExchangeProperties } from '../../src/core/exchange/exchange.ts'
import { InputWindow } from '../../src/core/input-window.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { Message } from '../../src/core/message.ts'
import { Queue } from '../../src/core/queue/queue.ts'
import { ResidentBudget } from '../../src/core/queue/resident-budget.ts'
import { NO_ARGUMENTS, type FieldTable, type FieldValue } from '../../src/core/value.ts'

const NO_BYTES = Buffer.alloc(0)

/** A message without content, for routing. */
export function messageOf(routingKey: string, headers = false): Message {
  const facts = { persistent: false, priority: -1, expirationMs: -1, headers }
  return new Message('x', routingKey, facts, NO_BYTES, 0, 0, NO_BYTES, 0, 0, true)
}

/** How an ordinary exchange of this type is declared. */
export function exchangeProperties(type: string, args: FieldTable = NO_ARGUMENTS): ExchangeProperties {
  return { type, durable: true, autoDelete: false, internal: false, arguments: args }
}

/** A table from pairs. */
export function table(values: Record<string, FieldValue>): FieldTable {
  return new Map(Object.entries(values))
}

/** A string value. */
export function longstr(value: string): FieldValue {
  return { type: 'longstr', value }
}

/** An integer as most clients send it. */
export function signedint(value: number): FieldValue {
  return { type: 'signedint', value }
}

/** A queue to route to: transient, and without consumers. */
export function queueNamed(name: string): Queue {
  const context = {
    clock: new ManualClock(),
    codec: { headers: () => NO_ARGUMENTS, property: () => null, rewritten: () => NO_BYTES },
    window: new InputWindow(),
    residentBudget: new ResidentBudget({ tight: false }),
    spillLog: () => {
      throw new Error('a queue that is only routed to spills nothing')
    },
    levelLog: () => {
      throw new Error('a queue that is only routed to has no priorities')
    },
    idLog: () => {
      throw new Error('a queue that is only routed to remembers nothing')
    },
    logsChanged: () => undefined,
    refused: () => undefined,
    whenDurable: () => undefined,
    deaths: () => new DeathCounts(),
    deadLetter: () => undefined,
    deadLetterSurely: () => undefined,
    queueUnused: () => undefined,
    queueReadFailed: () => undefined,
    queueReadable: () => undefined,
  }
  const base = { vhost: '/', durable: false, owner: null, autoDelete: false, arguments: NO_ARGUMENTS, user: null }
  return new Queue({ ...base, name }, null, context)
}
