// The arguments that queues know, with the queue types that accept them and what they may be.
import { CACHE_SIZE_MAX } from '../limits.ts'
import { escapedText, renderValue } from './render.ts'
import {
  anyValue,
  durationMs,
  integer,
  integerBetween,
  ofType,
  oneOf,
  positiveDurationMs,
  type Validator,
} from './validators.ts'

/** The queue types by the name that clients give in x-queue-type. */
export type QueueType = 'classic' | 'quorum' | 'stream'

/** One argument of queue.declare. Declaring the queue again with another value is refused. */
export interface QueueArgument {
  readonly key: string
  readonly types: readonly QueueType[]
  readonly invalid: Validator
}

// Classic and quorum queues are one implementation here: what RabbitMQ or LavinMQ honours on either works on both.
const BOTH: readonly QueueType[] = ['classic', 'quorum']
const ALL: readonly QueueType[] = ['classic', 'quorum', 'stream']
const STREAM: readonly QueueType[] = ['stream']

const deadLetterRoutingKey: Validator = (value, args) => {
  if (value.type !== 'longstr') return `{unacceptable_type,${value.type}}`
  return args.has('x-dead-letter-exchange') ? undefined : 'routing_key_but_no_dlx_defined'
}

const queueType: Validator = (value) => {
  if (value.type !== 'longstr') return `{unacceptable_type,${value.type}}`
  return ALL.some((type) => type === value.value) ? undefined : `"unsupported queue type '${escapedText(value.value)}'"`
}

const queueVersion: Validator = (value, args) => {
  const wrong = integerBetween(0)(value, args)
  if (wrong !== undefined) return wrong
  const version = renderValue(value)
  return version === '1' || version === '2' ? undefined : `"unsupported queue version '${version}'"`
}

const placementTag: Validator = (value) => {
  return value.type === 'longstr' && value.value !== '' ? undefined : 'invalid_member_placement_tag_arg'
}

const overflow = oneOf(['drop-head', 'reject-publish', 'reject-publish-dlx'], 'invalid_overflow')
const deadLetterStrategy = oneOf(['at-most-once', 'at-least-once'], 'invalid_dlx_strategy')
const retryType = oneOf(['disabled', 'all', 'failed', 'returned'], 'invalid_delayed_retry_type')
const leaderLocator = oneOf(['client-local', 'balanced', 'random', 'least-leaders'], 'invalid_queue_locator_arg')

function argument(key: string, types: readonly QueueType[], invalid: Validator): QueueArgument {
  return { key, types, invalid }
}

/** All known arguments, in the order in which they are checked. Any other is kept and ignored. */
export const queueArguments: readonly QueueArgument[] = [
  argument('x-expires', BOTH, positiveDurationMs),
  argument('x-message-ttl', BOTH, durationMs),
  argument('x-dead-letter-exchange', BOTH, ofType('longstr')),
  argument('x-dead-letter-routing-key', BOTH, deadLetterRoutingKey),
  argument('x-dead-letter-strategy', BOTH, deadLetterStrategy),
  argument('x-max-length', BOTH, integerBetween(0)),
  argument('x-max-length-bytes', ALL, integerBetween(0)),
  argument('x-max-in-memory-length', BOTH, integerBetween(0)),
  argument('x-max-in-memory-bytes', BOTH, integerBetween(0)),
  argument('x-max-priority', BOTH, integerBetween(0, 255, 'max_value_exceeded')),
  argument('x-overflow', BOTH, overflow),
  argument('x-queue-mode', BOTH, anyValue),
  argument('x-queue-version', BOTH, queueVersion),
  argument('x-single-active-consumer', BOTH, ofType('bool')),
  argument('x-queue-type', ALL, queueType),
  argument('x-delivery-limit', BOTH, integer),
  argument('x-consumer-timeout', BOTH, integerBetween(0)),
  argument('x-consumer-disconnected-timeout', BOTH, integerBetween(0)),
  argument('x-delayed-retry-type', BOTH, retryType),
  argument('x-delayed-retry-min', BOTH, integerBetween(0)),
  argument('x-delayed-retry-max', BOTH, integerBetween(0)),
  argument('x-quorum-initial-group-size', BOTH, integerBetween(1)),
  argument('x-member-placement-tag', BOTH, placementTag),
  argument('x-queue-leader-locator', ALL, leaderLocator),
  argument('x-queue-master-locator', BOTH, anyValue),
  // Of RabbitMQ's plugin and LavinMQ: deduplication.
  argument('x-message-deduplication', BOTH, ofType('bool')),
  argument('x-deduplication-header', BOTH, ofType('longstr')),
  argument('x-cache-size', BOTH, integerBetween(1, CACHE_SIZE_MAX)),
  argument('x-cache-ttl', BOTH, positiveDurationMs),
  // Known, so that they are refused on queues that are no streams.
  argument('x-initial-cluster-size', STREAM, integerBetween(1)),
  argument('x-max-age', STREAM, ofType('longstr')),
  argument('x-stream-max-segment-size-bytes', STREAM, integerBetween(0)),
  argument('x-stream-filter-size-bytes', STREAM, integerBetween(0)),
]

/** The arguments of quorum queues that RabbitMQ compares first when such a queue is declared again, in this order. */
const QUORUM_COMPARED: readonly string[] = [
  'x-dead-letter-exchange',
  'x-dead-letter-routing-key',
  'x-dead-letter-strategy',
  'x-expires',
  'x-max-length',
  'x-max-length-bytes',
  'x-max-in-memory-length',
  'x-max-in-memory-bytes',
  'x-overflow',
  'x-single-active-consumer',
  'x-queue-type',
  'x-quorum-initial-group-size',
  'x-delivery-limit',
  'x-message-ttl',
  'x-queue-leader-locator',
]

const compared: { readonly [type in QueueType]: readonly string[] } = {
  classic: keysOf('classic'),
  quorum: [...new Set([...QUORUM_COMPARED, ...keysOf('quorum')])],
  stream: keysOf('stream'),
}

/** The arguments that a queue of this type must be declared with again, in the order in which they are compared. */
export function comparedArguments(type: QueueType): readonly string[] {
  return compared[type]
}

function keysOf(type: QueueType): readonly string[] {
  return queueArguments.filter(({ types }) => types.includes(type)).map(({ key }) => key)
}
