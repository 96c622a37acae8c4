// The keys of policies: who may use them, and what their values may be.
import { BrokerError } from './errors.ts'
import { CACHE_SIZE_MAX } from './limits.ts'
import { renderTerm } from './arguments/render.ts'
import type { FieldValue } from './value.ts'

/** As JSON has them. */
export type PolicyValue = string | number | boolean | readonly string[]
/** The same before it was checked. */
type GivenValue = PolicyValue | null | readonly unknown[] | object
/** What a policy sets, by RabbitMQ's names. */
export type PolicyValues = Readonly<Record<string, PolicyValue>>

interface PolicyKey {
  /** Whether operator policies may have it. */
  readonly operator: boolean
  /** What follows "is not a valid" when the value is refused. */
  readonly what: string
  readonly valid: (value: GivenValue) => boolean
}

const text = (value: GivenValue): boolean => typeof value === 'string'
/** Whatever policies can have. */
const anything = (value: GivenValue): boolean =>
  ['string', 'number', 'boolean'].includes(typeof value) ||
  (Array.isArray(value) && value.every((one) => typeof one === 'string'))
const oneOf =
  (...words: string[]) =>
  (value: GivenValue): boolean =>
    words.includes(value as string)
const integerFrom =
  (low: number) =>
  (value: GivenValue): boolean =>
    Number.isSafeInteger(value) && (value as number) >= low

const integerBetween =
  (low: number, high: number) =>
  (value: GivenValue): boolean =>
    integerFrom(low)(value) && (value as number) <= high

const KEYS: ReadonlyMap<string, PolicyKey> = new Map<string, PolicyKey>([
  ['expires', { operator: true, what: 'queue expiry', valid: integerFrom(1) }],
  ['message-ttl', { operator: true, what: 'message TTL', valid: integerFrom(0) }],
  ['max-length', { operator: true, what: 'maximum length', valid: integerFrom(0) }],
  ['max-length-bytes', { operator: true, what: 'maximum length in bytes', valid: integerFrom(0) }],
  ['max-in-memory-length', { operator: true, what: 'maximum memory in bytes', valid: integerFrom(0) }],
  ['max-in-memory-bytes', { operator: true, what: 'maximum memory in bytes', valid: integerFrom(0) }],
  ['delivery-limit', { operator: true, what: 'delivery limit', valid: integerFrom(-1) }],
  ['overflow', operatorChoice('overflow value', 'drop-head', 'reject-publish', 'reject-publish-dlx')],
  ['queue-version', { operator: true, what: 'queue-version value', valid: (value) => value === 1 || value === 2 }],
  ['target-group-size', { operator: true, what: 'target count', valid: integerFrom(1) }],
  ['member-placement-tag', { operator: true, what: 'member placement tag', valid: text }],
  ['delayed-retry-type', operatorChoice('delayed retry type', 'disabled', 'all', 'failed', 'returned')],
  ['delayed-retry-min', { operator: true, what: 'delayed retry time', valid: integerFrom(0) }],
  ['delayed-retry-max', { operator: true, what: 'delayed retry time', valid: integerFrom(0) }],
  ['alternate-exchange', { operator: false, what: 'alternate exchange name', valid: text }],
  ['dead-letter-exchange', { operator: false, what: 'dead letter exchange name', valid: text }],
  ['dead-letter-routing-key', { operator: false, what: 'dead letter routing key', valid: text }],
  ['dead-letter-strategy', userChoice('dead letter strategy', 'at-most-once', 'at-least-once')],
  ['queue-mode', userChoice('queue-mode value', 'default', 'lazy')],
  [
    'queue-leader-locator',
    userChoice('queue leader locator value', ...['client-local', 'balanced', 'random', 'least-leaders']),
  ],
  ['queue-master-locator', { operator: false, what: 'master locator', valid: text }],
  ['consumer-timeout', { operator: false, what: 'consumer timeout', valid: integerFrom(0) }],
  ['consumer-disconnected-timeout', { operator: false, what: 'consumer timeout', valid: integerFrom(0) }],
  ...['', 'x-'].flatMap((prefix): [string, PolicyKey][] => [
    [
      `${prefix}message-deduplication`,
      { operator: false, what: 'boolean', valid: (value) => typeof value === 'boolean' },
    ],
    [`${prefix}cache-size`, { operator: false, what: 'cache size', valid: integerBetween(1, CACHE_SIZE_MAX) }],
    [`${prefix}cache-ttl`, { operator: false, what: 'cache TTL', valid: integerFrom(1) }],
  ]),
  ['delayed-message', { operator: false, what: 'boolean', valid: (value) => typeof value === 'boolean' }],
  ['deduplication-header', { operator: false, what: 'deduplication header', valid: text }],
  ['x-cache-persistence', userChoice('cache persistence', 'disk', 'memory')],
  [
    'max-age',
    { operator: false, what: 'max age', valid: (value) => text(value) && /^\d+[YMDhms]$/.test(value as string) },
  ],
  ['stream-max-segment-size-bytes', { operator: false, what: 'segment size', valid: integerFrom(0) }],
  ['stream-filter-size-bytes', { operator: false, what: 'filter size', valid: integerFrom(16) }],
  ['initial-cluster-size', { operator: false, what: 'cluster size', valid: integerFrom(0) }],
  // Of other nodes and of RabbitMQ 3: definitions files have them, and nothing follows from them here.
  ...[
    'federation-upstream',
    'federation-upstream-set',
    'federation-upstream-pattern',
    'ha-mode',
    'ha-params',
    'ha-promote-on-failure',
    'ha-promote-on-shutdown',
    'ha-sync-batch-size',
    'ha-sync-mode',
  ].map((key): [string, PolicyKey] => [key, { operator: false, what: 'value', valid: anything }]),
])

/**
 * Checks the values of a policy, which may come as any JSON.
 * @throws BrokerError precondition-failed, with RabbitMQ's sentence for the first that is wrong
 */
export function checkPolicyValues(values: PolicyValues, operator: boolean): void {
  const keys = Object.keys(values)
  if (keys.length === 0) throw new BrokerError('precondition-failed', 'no policy provided')
  const unknown = keys.filter((key) => !(operator ? KEYS.get(key)?.operator : KEYS.has(key)))
  if (unknown.length > 0) {
    const terms = unknown.map((key) => `{${givenTerm(key)},${givenTerm(values[key]!)}}`)
    throw new BrokerError('precondition-failed', `[${terms.join(',')}] are not recognised policy settings`)
  }
  for (const [key, value] of Object.entries(values)) {
    const { valid, what } = KEYS.get(key)!
    if (valid(value)) continue
    throw new BrokerError('precondition-failed', `${givenTerm(value)} is not a valid ${what}`)
  }
}

/** A value as the Erlang term that RabbitMQ makes of JSON. */
function givenTerm(value: GivenValue): string {
  if (Array.isArray(value)) return `[${value.map((one) => givenTerm(one as GivenValue)).join(',')}]`
  if (value === null) return 'null'
  if (typeof value !== 'object') return renderTerm(fieldValue(value))
  const pairs = Object.entries(value).map(([key, one]) => `${givenTerm(key)} => ${givenTerm(one as GivenValue)}`)
  return `#{${pairs.join(',')}}`
}

/** A policy's value as an argument would have it. */
export function fieldValue(value: PolicyValue): FieldValue {
  if (typeof value === 'string') return { type: 'longstr', value }
  if (typeof value === 'boolean') return { type: 'bool', value }
  if (typeof value === 'object') return { type: 'array', value: value.map(fieldValue) }
  return Number.isSafeInteger(value) ? { type: 'long', value: BigInt(value) } : { type: 'double', value }
}

function operatorChoice(what: string, ...words: string[]): PolicyKey {
  return { operator: true, what, valid: oneOf(...words) }
}

function userChoice(what: string, ...words: string[]): PolicyKey {
  return { operator: false, what, valid: oneOf(...words) }
}
