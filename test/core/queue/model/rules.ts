// What the queue of the model that has rules goes by: drawn anew for each program.
import fc from 'fast-check'
import type { FieldTable, FieldValue } from '../../../../src/core/value.ts'

/** The rules of a queue. Its dead letters go to another queue, so that nothing goes without being seen. */
export interface ModelRules {
  readonly type: 'classic' | 'quorum'
  /** 0: those of its type. */
  readonly priorityMax: number
  /** Milliseconds; -1: no limit. */
  readonly ttlMs: number
  readonly maxLength: number
  /** Of ready bodies. */
  readonly maxLengthBytes: number
  readonly overflow: 'drop-head' | 'reject-publish' | 'reject-publish-dlx'
  /** Failed deliveries; null: those of its type. */
  readonly deliveryLimit: number | null
  readonly deadLetters: string | null
  readonly deduplication: Deduplication | null
}

/** How duplicates are known: by what is in the queue, or by the last that came. */
export interface Deduplication {
  /** Ids that are remembered; null: those of the messages that are there. */
  readonly size: number | null
  /** Milliseconds; -1: for as long as there is room. */
  readonly ttlMs: number
}

/** A queue that just keeps messages in order. */
export const NO_RULES: ModelRules = {
  type: 'classic',
  priorityMax: 0,
  ttlMs: -1,
  maxLength: Infinity,
  maxLengthBytes: Infinity,
  overflow: 'drop-head',
  deliveryLimit: null,
  deadLetters: null,
  deduplication: null,
}

/** RabbitMQ 4: of quorum queues. */
const DELIVERY_LIMIT_DEFAULT = 20

/** RabbitMQ 4.3: the highest priority of quorum queues, and that of messages which have none. */
const QUORUM_PRIORITIES = { max: 31, none: 4 }

/** The priority that a message has in a queue with these rules. */
export function levelOf({ type, priorityMax }: ModelRules, { priority }: { readonly priority: number }): number {
  const { max, none } = type === 'quorum' && priorityMax === 0 ? QUORUM_PRIORITIES : { max: priorityMax, none: 0 }
  return Math.min(priority < 0 ? none : priority, max)
}

/** How many deliveries may fail; null when nobody counts. */
export function deliveryLimitOf({ type, deliveryLimit }: ModelRules): number | null {
  return deliveryLimit ?? (type === 'quorum' ? DELIVERY_LIMIT_DEFAULT : null)
}

/** The arguments that ask for these rules. */
export function argumentsOf(rules: ModelRules): FieldTable {
  const args = new Map<string, FieldValue>()
  const number = (key: string, value: number): unknown => args.set(key, { type: 'signedint', value })
  const text = (key: string, value: string): unknown => args.set(key, { type: 'longstr', value })
  if (rules.type === 'quorum') text('x-queue-type', rules.type)
  if (rules.priorityMax > 0) number('x-max-priority', rules.priorityMax)
  if (rules.ttlMs >= 0) number('x-message-ttl', rules.ttlMs)
  if (rules.maxLength < Infinity) number('x-max-length', rules.maxLength)
  if (rules.maxLengthBytes < Infinity) number('x-max-length-bytes', rules.maxLengthBytes)
  if (rules.overflow !== 'drop-head') text('x-overflow', rules.overflow)
  if (rules.deliveryLimit !== null) number('x-delivery-limit', rules.deliveryLimit)
  if (rules.deduplication !== null) {
    for (const [key, value] of windowArguments(rules.deduplication)) args.set(key, value)
  }
  if (rules.deadLetters === null) return args
  text('x-dead-letter-exchange', '')
  text('x-dead-letter-routing-key', rules.deadLetters)
  return args
}

/** The arguments with which a queue or an exchange is to know duplicates. */
export function windowArguments({ size, ttlMs }: Deduplication): FieldTable {
  const args = new Map<string, FieldValue>([['x-message-deduplication', { type: 'bool', value: true }]])
  if (size !== null) args.set('x-cache-size', { type: 'signedint', value: size })
  if (ttlMs >= 0) args.set('x-cache-ttl', { type: 'signedint', value: ttlMs })
  return args
}

/** How an exchange knows duplicates. */
export const anyWindow: fc.Arbitrary<Deduplication> = fc.constantFrom(
  { size: 1, ttlMs: -1 },
  { size: 3, ttlMs: -1 },
  { size: 10, ttlMs: -1 },
  { size: 3, ttlMs: 2000 },
)

/** Rules of which most are absent: a plain queue, one with a single rule, and now and then many at once. */
export const anyRules: fc.Arbitrary<ModelRules> = fc
  .record({
    type: seldom<ModelRules['type']>('classic', fc.constant('quorum')),
    priorityMax: seldom(0, fc.constantFrom(1, 3)),
    ttlMs: seldom(-1, fc.constantFrom(0, 500, 3000)),
    maxLength: seldom(Infinity, fc.constantFrom(0, 1, 5, 12, 20)),
    // Nobody can tell sizes that the store was made to guess, so what would be refused for its size is not foretold.
    maxLengthBytes: seldom(Infinity, fc.constantFrom(0, 100, 400)),
    overflow: fc.constantFrom('drop-head', 'drop-head', 'reject-publish', 'reject-publish-dlx'),
    deliveryLimit: seldom<number | null>(null, fc.constantFrom(0, 1, 3)),
    deduplication: seldom<Deduplication | null>(
      null,
      fc.constantFrom({ size: null, ttlMs: -1 }, { size: 1, ttlMs: -1 }, { size: 3, ttlMs: 2000 }),
    ),
  })
  .map((rules): ModelRules => ({
    ...rules,
    deadLetters: 'b',
    overflow: rules.maxLengthBytes < Infinity ? 'drop-head' : rules.overflow,
  }))

function seldom<T>(usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other })
}
