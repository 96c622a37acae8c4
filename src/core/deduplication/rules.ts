// How a queue or an exchange knows duplicates: its arguments, read once.
import { integerOf } from '../arguments/same-value.ts'
import type { FieldTable, FieldValue } from '../value.ts'

/** The exchange type that RabbitMQ's plugin adds: a fanout exchange without duplicates. */
export const DEDUPLICATING_TYPE = 'x-message-deduplication'

/** LavinMQ's. */
const CACHE_SIZE_DEFAULT = 128
const HEADER_DEFAULT = 'x-deduplication-header'

/** The header with which a message says for how long its own id is to be remembered. */
const TTL_HEADER = 'x-cache-ttl'

/** How duplicates are known. */
export interface DeduplicationRules {
  /** The header whose value is a message's id. Messages without it are never duplicates. */
  readonly header: string
  /** Ids that are remembered; the oldest gives way. */
  readonly size: number
  /** How long each is remembered, in milliseconds; Infinity: until it gives way. */
  readonly ttlMs: number
  /** Whether an id is remembered for as long as its message is in the queue instead, and no longer. */
  readonly whilePresent: boolean
}

/**
 * What the arguments of an exchange ask for; null when they ask for nothing. The arguments are valid.
 */
export function exchangeDeduplication(type: string, args: FieldTable): DeduplicationRules | null {
  return type === DEDUPLICATING_TYPE || asked(args) ? { ...windowOf(args), whilePresent: false } : null
}

/**
 * What the arguments of a queue ask for; null when they ask for nothing. RabbitMQ's plugin and LavinMQ look for
 * duplicates among the messages that are there; with a size or a time a queue remembers as exchanges do.
 */
export function queueDeduplication(args: FieldTable): DeduplicationRules | null {
  if (!asked(args)) return null
  return { ...windowOf(args), whilePresent: !args.has('x-cache-size') && !args.has('x-cache-ttl') }
}

/** For how long a message with these headers is to be remembered, in milliseconds. */
export function rememberedMs(rules: DeduplicationRules, headers: FieldTable): number {
  const own = headers.get(TTL_HEADER)
  const ttlMs = own === undefined ? 0 : wholeNumber(own)
  return ttlMs > 0 ? ttlMs : rules.ttlMs
}

/** A number as clients give it to the plugin: as an integer, or as text of digits; 0 when it is neither. */
export function wholeNumber(value: FieldValue): number {
  if (value.type === 'longstr') return /^\d{1,15}$/.test(value.value) ? Number(value.value) : 0
  return Number(integerOf(value) ?? 0)
}

function asked(args: FieldTable): boolean {
  return args.get('x-message-deduplication')?.value === true
}

function windowOf(args: FieldTable): Omit<DeduplicationRules, 'whilePresent'> {
  const header = args.get('x-deduplication-header')
  const [size, ttl] = [args.get('x-cache-size'), args.get('x-cache-ttl')]
  return {
    header: header?.type === 'longstr' ? header.value : HEADER_DEFAULT,
    size: size === undefined ? CACHE_SIZE_DEFAULT : wholeNumber(size),
    ttlMs: ttl === undefined ? Infinity : wholeNumber(ttl),
  }
}
