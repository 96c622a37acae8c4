// What a queue does beside keeping messages in order: its arguments, read once. A policy may replace them at any time.
import { queueTypeOf } from '../arguments.ts'
import { integerOf } from '../arguments/same-value.ts'
import { queueDeduplication, type DeduplicationRules } from '../deduplication/rules.ts'
import type { Message } from '../message.ts'
import type { FieldTable } from '../value.ts'

/** What happens to a publish that would make the queue too long. */
export type Overflow = 'drop-head' | 'reject-publish' | 'reject-publish-dlx'

/** The values that hold for a queue. Numbers that set no limit are Infinity; milliseconds that are not set are -1. */
export interface QueueRules {
  readonly type: 'classic' | 'quorum'
  /** Ready messages, and the bytes of their bodies. */
  readonly maxLength: number
  readonly maxLengthBytes: number
  readonly overflow: Overflow
  /** Where messages go that the queue gives up; null: nowhere. The empty name is the default exchange. */
  readonly deadLetterExchange: string | null
  /** With which key; null: with their own. */
  readonly deadLetterRoutingKey: string | null
  /** Whether what the queue gives up is kept until it is taken there (RabbitMQ: at-least-once, with reject-publish). */
  readonly deadLettersSurely: boolean
  /** How long a message may wait, and how long the queue itself may be without any use. */
  readonly messageTtlMs: number
  readonly expiresMs: number
  /** The highest priority that messages may have here; what is above counts as that. 0: they have none. */
  readonly priorityMax: number
  /** That of messages which have none. */
  readonly priorityDefault: number
  /** Whether one consumer gets everything and the others wait until it is gone. */
  readonly singleActiveConsumer: boolean
  /** Whether deliveries that fail are counted, and told in headers. */
  readonly countsDeliveries: boolean
  /** How many may fail before the queue gives the message up; Infinity: any number. */
  readonly deliveryLimit: number
  /** Which messages that come back wait before they are delivered again, and how long. */
  readonly delayedRetry: DelayedRetry
  readonly retryMinMs: number
  readonly retryMaxMs: number
  /** How long a delivery may wait for its acknowledgement; 0: for ever, -1: the rules say nothing of it. */
  readonly consumerTimeoutMs: number
  /** How duplicates are known; null: they are taken like all others. */
  readonly deduplication: DeduplicationRules | null
}

/** Failed ones were rejected, or lost with their channel; returned ones were given back with basic.nack. */
export type DelayedRetry = 'disabled' | 'all' | 'failed' | 'returned'

/** RabbitMQ 4: of quorum queues. */
const DELIVERY_LIMIT_DEFAULT = 20

/** RabbitMQ 4.3: quorum queues have 32 levels without being asked, and messages without a priority are in the fifth. */
const QUORUM_PRIORITY_MAX = 31
const QUORUM_PRIORITY_DEFAULT = 4

/** The rules that a queue's arguments ask for. The arguments are valid. */
export function queueRules(args: FieldTable): QueueRules {
  const type = queueTypeOf(args) === 'quorum' ? 'quorum' : 'classic'
  // LavinMQ: to give the shortest wait is to ask for retries.
  const retriesByDefault = args.has('x-delayed-retry-min') ? 'all' : 'disabled'
  const delayedRetry = (text(args, 'x-delayed-retry-type') ?? retriesByDefault) as DelayedRetry
  const limited = type === 'quorum' || delayedRetry !== 'disabled'
  const deliveryLimit = number(args, 'x-delivery-limit', limited ? DELIVERY_LIMIT_DEFAULT : -1)
  return {
    type,
    maxLength: number(args, 'x-max-length', Infinity),
    maxLengthBytes: number(args, 'x-max-length-bytes', Infinity),
    overflow: (text(args, 'x-overflow') ?? 'drop-head') as Overflow,
    deadLetterExchange: text(args, 'x-dead-letter-exchange'),
    deadLetterRoutingKey: text(args, 'x-dead-letter-routing-key'),
    deadLettersSurely:
      text(args, 'x-dead-letter-strategy') === 'at-least-once' && text(args, 'x-overflow') === 'reject-publish',
    messageTtlMs: number(args, 'x-message-ttl', -1),
    expiresMs: number(args, 'x-expires', -1),
    priorityMax: number(args, 'x-max-priority', type === 'quorum' ? QUORUM_PRIORITY_MAX : 0),
    priorityDefault: hasOwnLevels(args) ? QUORUM_PRIORITY_DEFAULT : 0,
    countsDeliveries: limited || args.has('x-delivery-limit'),
    deliveryLimit: deliveryLimit < 0 ? Infinity : deliveryLimit,
    delayedRetry,
    retryMinMs: number(args, 'x-delayed-retry-min', 0),
    retryMaxMs: number(args, 'x-delayed-retry-max', Infinity),
    consumerTimeoutMs: number(args, 'x-consumer-timeout', -1),
    deduplication: queueDeduplication(args),
    singleActiveConsumer: args.get('x-single-active-consumer')?.value === true,
  }
}

/** Whether a queue has the levels of its type, rather than those that its arguments ask for. */
export function hasOwnLevels(args: FieldTable): boolean {
  return queueTypeOf(args) === 'quorum' && !args.has('x-max-priority')
}

/** The level at which a message stands in a queue with priorities. */
export function levelIn(rules: Pick<QueueRules, 'priorityMax' | 'priorityDefault'>, message: Message): number {
  const { priority } = message
  return Math.min(priority < 0 ? rules.priorityDefault : priority, rules.priorityMax)
}

/** Whether a publish must look at the rules at all. */
export function rulePublishes(rules: QueueRules): boolean {
  const { maxLength, maxLengthBytes, messageTtlMs, priorityMax } = rules
  if (rules.deduplication !== null) return true
  return maxLength < Infinity || maxLengthBytes < Infinity || messageTtlMs >= 0 || priorityMax > 0
}

/** Whether a queue must know what it holds to take a message: it may have to refuse that, or to give it up at once. */
export function mustKnow({ overflow, maxLength, maxLengthBytes, messageTtlMs }: QueueRules): boolean {
  if (messageTtlMs === 0) return true
  return overflow !== 'drop-head' && (maxLength < Infinity || maxLengthBytes < Infinity)
}

/** Whether so many ready messages, with bodies of so many bytes, are more than the queue may have. */
export function longerThan(rules: QueueRules, count: number, bytes: number): boolean {
  return count > rules.maxLength || bytes > rules.maxLengthBytes
}

/** How long a message with this expiration (-1 for none) may wait: the shorter of its time and the queue's; or -1. */
export function waitMs(rules: QueueRules, expirationMs: number): number {
  if (rules.messageTtlMs < 0 || expirationMs < 0) return Math.max(rules.messageTtlMs, expirationMs)
  return Math.min(rules.messageTtlMs, expirationMs)
}

function number(args: FieldTable, key: string, absent: number): number {
  const value = args.get(key)
  const integer = value === undefined ? undefined : integerOf(value)
  return integer === undefined ? absent : Number(integer)
}

function text(args: FieldTable, key: string): string | null {
  const value = args.get(key)
  return value?.type === 'longstr' ? value.value : null
}
