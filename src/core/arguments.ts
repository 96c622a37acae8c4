// Arguments of declarations and subscriptions: what is valid, and what a redeclaration may not change.
import { comparedArguments, queueArguments, type QueueType } from './arguments/queue-arguments.ts'
import { resource, renderValue } from './arguments/render.ts'
import { integerOf, sameValue } from './arguments/same-value.ts'
import { integer, integerBetween, ofType, positiveDurationMs, type Validator } from './arguments/validators.ts'
import { DEDUPLICATING_TYPE, wholeNumber } from './deduplication/rules.ts'
import { BrokerError } from './errors.ts'
import type { ExchangeProperties } from './exchange/exchange.ts'
import { CACHE_SIZE_MAX, SHORT_BYTES_MAX } from './limits.ts'
import type { FieldTable, FieldValue } from './value.ts'

/** What a redeclaration of a queue must repeat. */
export interface QueueDeclaration {
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly arguments: FieldTable
}

/** A queue that exists. */
interface DeclaredQueue extends QueueDeclaration {
  readonly name: string
}

/** What the node says of declarations of queues. */
export interface DeclarationRules {
  /** The type of queues that ask for none, in vhosts that have none of their own. */
  readonly defaultType: 'classic' | 'quorum'
  /**
   * Whether a quorum queue may be declared again as a classic one, of the same dead-lettering, limits and times (RabbitMQ:
   * relaxed checks on redeclaration).
   */
  readonly relaxed: boolean
}

/** Where nothing else is said. */
export const STRICT_RULES: DeclarationRules = { defaultType: 'classic', relaxed: false }

const CLASSIC: FieldValue = { type: 'longstr', value: 'classic' }

const consumerArguments: readonly (readonly [key: string, invalid: Validator])[] = [
  ['x-priority', integer],
  ['x-consumer-timeout', integerBetween(0)],
  ['x-cancel-on-ha-failover', ofType('bool')],
]

/** What a classic queue and a quorum queue have in common, which relaxed checks compare. */
const RELAXED_COMPARED: readonly string[] = [
  'x-dead-letter-exchange',
  'x-dead-letter-routing-key',
  'x-expires',
  'x-max-length',
  'x-max-length-bytes',
  'x-single-active-consumer',
  'x-message-ttl',
]

/** Numbers of exchanges may come as text, as RabbitMQ's plugin takes them. */
function numeric(invalid: Validator): Validator {
  return (value, args) => {
    const number = value.type === 'longstr' ? wholeNumber(value) : 0
    return invalid(number > 0 ? { type: 'long', value: BigInt(number) } : value, args)
  }
}

const exchangeArguments: readonly (readonly [key: string, invalid: Validator])[] = [
  ['x-message-deduplication', ofType('bool')],
  ['x-deduplication-header', ofType('longstr')],
  ['x-cache-size', numeric(integerBetween(1, CACHE_SIZE_MAX))],
  ['x-cache-ttl', numeric(positiveDurationMs)],
  ['x-delayed-exchange', ofType('bool')],
]

const streamConsumerArguments = new Set(['x-stream-offset', 'x-stream-filter', 'x-stream-match-unfiltered'])

/** The type that queue arguments ask for. The arguments are valid, and none given means classic. */
export function queueTypeOf(args: FieldTable): QueueType {
  return renderValue(args.get('x-queue-type') ?? CLASSIC) as QueueType
}

/**
 * Checks that front ends can tell a name or a routing key: AMQP has no longer ones, but HTTP and files may.
 * @throws BrokerError precondition-failed
 */
export function assertShort(what: string, name: string): void {
  if (Buffer.byteLength(name) <= SHORT_BYTES_MAX) return
  throw new BrokerError('precondition-failed', `${what} has at most ${SHORT_BYTES_MAX} bytes`)
}

/**
 * Checks the name of a new exchange, and those of its arguments that are not its type's own affair; unknown ones pass.
 * @throws BrokerError precondition-failed for the first that is wrong.
 */
export function validateExchangeArguments(
  name: string,
  vhost: string,
  { type, arguments: args }: Pick<ExchangeProperties, 'type' | 'arguments'>,
): void {
  assertShort('the name of an exchange', name)
  assertExchangeName('exchange', name, vhost, args, 'alternate-exchange')
  if (type === DEDUPLICATING_TYPE) validateDeduplicatingExchange(args)
  for (const [key, invalid] of exchangeArguments) {
    const value = args.get(key)
    const term = value === undefined ? undefined : invalid(value, args)
    if (term === undefined) continue
    throw new BrokerError(
      'precondition-failed',
      `invalid arg '${key}' for ${resource('exchange', name, vhost)}: ${term}`,
    )
  }
}

/** RabbitMQ's plugin: its type has checks and texts of its own. */
function validateDeduplicatingExchange(args: FieldTable): void {
  const positive = (key: string): boolean => {
    const value = args.get(key)
    return value !== undefined && wholeNumber(value) > 0
  }
  const refuse = (sentence: string): never => {
    throw new BrokerError('precondition-failed', sentence)
  }
  if (!positive('x-cache-size')) {
    refuse("Missing or invalid argument, 'x-cache-size' must be an integer greater than 0")
  }
  if (args.has('x-cache-ttl') && !positive('x-cache-ttl')) {
    refuse("Invalid argument, 'x-cache-ttl' must be an integer greater than 0")
  }
  const persistence = args.get('x-cache-persistence')
  if (persistence !== undefined && persistence.value !== 'disk' && persistence.value !== 'memory') {
    refuse("Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'")
  }
}

/**
 * Checks the name of a new queue and its arguments; unknown ones pass.
 * @throws BrokerError precondition-failed for the first that is wrong, not-implemented for a stream.
 */
export function validateQueueArguments(name: string, vhost: string, args: FieldTable): void {
  assertShort('the name of a queue', name)
  assertExchangeName('queue', name, vhost, args, 'x-dead-letter-exchange')
  // The type comes first, as the others are judged by it.
  for (const argument of queueArguments) {
    if (argument.key === 'x-queue-type') assertValid(name, vhost, argument.key, argument.invalid, args)
  }
  const type = queueTypeOf(args)
  if (type === 'stream') {
    throw new BrokerError('not-implemented', `streams are not supported yet: ${resource('queue', name, vhost)}`)
  }
  for (const argument of queueArguments) {
    if (argument.types.includes(type)) assertValid(name, vhost, argument.key, argument.invalid, args)
  }
  for (const argument of queueArguments) {
    if (!argument.types.includes(type) && args.has(argument.key)) throw foreign(name, vhost, argument.key, type)
  }
}

/**
 * Checks that a new queue's type can have its properties. RabbitMQ: a quorum queue is durable, belongs to nobody and
 * stays.
 * @throws BrokerError precondition-failed naming the first property that it cannot have.
 */
export function validateQueueProperties(
  name: string,
  vhost: string,
  declaration: QueueDeclaration,
  exclusive: boolean,
): void {
  if (queueTypeOf(declaration.arguments) === 'classic') return
  const refuse = (property: string): never => {
    const sentence = `invalid property '${property}' for ${resource('queue', name, vhost)}`
    throw new BrokerError('precondition-failed', sentence)
  }
  if (declaration.autoDelete) refuse('auto-delete')
  if (exclusive) refuse('exclusive-owner')
  if (!declaration.durable) refuse('non-durable')
}

/** The argument that says how the names begin which the broker makes up. It is no property of the queue. */
export const NAME_PREFIX = 'x-name-prefix'
const NAME_PREFIX_BYTES_MAX = 64

/**
 * How the name begins that the broker makes up for a queue. RabbitMQ 4.4: what is no text, or empty, asks for nothing.
 * @throws BrokerError precondition-failed when it is too long
 */
export function namePrefixOf(args: FieldTable): string {
  const prefix = args.get(NAME_PREFIX)
  if (prefix?.type !== 'longstr' || prefix.value === '') return 'amq.gen'
  if (Buffer.byteLength(prefix.value) <= NAME_PREFIX_BYTES_MAX) return prefix.value
  const sentence = `Queue name prefix '${prefix.value}' exceeds the ${NAME_PREFIX_BYTES_MAX}-byte limit`
  throw new BrokerError('precondition-failed', sentence)
}

/**
 * Checks the arguments of a new consumer of a queue that is not a stream; unknown ones pass.
 * @throws BrokerError precondition-failed for the first that is wrong.
 */
export function validateConsumerArguments(queue: DeclaredQueue, vhost: string, args: FieldTable): void {
  for (const [key, invalid] of consumerArguments) assertValid(queue.name, vhost, key, invalid, args)
  for (const key of args.keys()) {
    if (streamConsumerArguments.has(key)) throw foreign(queue.name, vhost, key, queueTypeOf(queue.arguments))
  }
}

/**
 * Checks that a queue which exists is what a declaration asks for. Whose it is, is the session's affair. `relaxed` lets
 * a quorum queue pass for a classic one.
 * @throws BrokerError precondition-failed naming the first difference.
 */
export function assertQueueEquivalent(
  existing: DeclaredQueue,
  received: QueueDeclaration,
  vhost: string,
  relaxed = false,
): void {
  const { name } = existing
  assertSameFlag('queue', name, vhost, 'durable', received.durable, existing.durable)
  assertSameFlag('queue', name, vhost, 'auto_delete', received.autoDelete, existing.autoDelete)
  const type = queueTypeOf(existing.arguments)
  const lenient =
    relaxed && type === 'quorum' && renderValue(received.arguments.get('x-queue-type') ?? CLASSIC) === 'classic'
  for (const key of lenient ? RELAXED_COMPARED : comparedArguments(type)) {
    const absent = key === 'x-queue-type' ? CLASSIC : undefined
    const [asked, current] = [received.arguments.get(key) ?? absent, existing.arguments.get(key) ?? absent]
    assertEquivalent('queue', name, vhost, key, asked, current)
  }
}

/**
 * Checks that an exchange which exists is what a declaration asks for. Of the arguments only the alternate exchange is
 * compared, as RabbitMQ does.
 * @throws BrokerError precondition-failed naming the first difference.
 */
export function assertExchangeEquivalent(
  existing: ExchangeProperties & { readonly name: string },
  received: ExchangeProperties,
  vhost: string,
): void {
  const { name } = existing
  const [askedType, currentType] = [text(atom(received.type)), text(atom(existing.type))]
  assertEquivalent('exchange', name, vhost, 'type', askedType, currentType)
  assertSameFlag('exchange', name, vhost, 'durable', received.durable, existing.durable)
  assertSameFlag('exchange', name, vhost, 'auto_delete', received.autoDelete, existing.autoDelete)
  assertSameFlag('exchange', name, vhost, 'internal', received.internal, existing.internal)
  const [asked, current] = [received.arguments.get('alternate-exchange'), existing.arguments.get('alternate-exchange')]
  assertEquivalent('exchange', name, vhost, 'alternate-exchange', asked, current)
}

/** The name of a type as RabbitMQ writes it, where it is an atom: one that has more than letters in it is quoted. */
function atom(name: string): string {
  return /^[a-z]\w*$/.test(name) ? name : `'${name}'`
}

/**
 * Checks that two values of an argument are the same, or both absent.
 * @throws BrokerError precondition-failed when they differ. The types are only told when one of them is absent.
 */
export function assertEquivalent(
  kind: 'queue' | 'exchange',
  name: string,
  vhost: string,
  key: string,
  received: FieldValue | undefined,
  current: FieldValue | undefined,
): void {
  if (received === undefined && current === undefined) return
  if (received !== undefined && current !== undefined && sameArgument(received, current)) return
  const bothGiven = received !== undefined && current !== undefined
  const shown = bothGiven ? quotedValue : typedValue
  throw new BrokerError(
    'precondition-failed',
    `inequivalent arg '${key}' for ${resource(kind, name, vhost)}: received ${shown(received)} but current is ${shown(current)}`,
  )
}

/** RabbitMQ: an argument is the same whatever its type, if Erlang has the same for its value. */
function sameArgument(a: FieldValue, b: FieldValue): boolean {
  if (a.type === 'timestamp' && integerOf(b) !== undefined) return BigInt(integerOf(b)!) === a.value
  if (b.type === 'timestamp' && a.type !== 'timestamp') return sameArgument(b, a)
  return sameValue(a, b)
}

function assertSameFlag(
  kind: 'queue' | 'exchange',
  name: string,
  vhost: string,
  key: string,
  received: boolean,
  current: boolean,
): void {
  assertEquivalent(kind, name, vhost, key, { type: 'bool', value: received }, { type: 'bool', value: current })
}

/** RabbitMQ: a value that is void reads like one that is not there. */
function quotedValue(value: FieldValue | undefined): string {
  return value === undefined || value.type === 'void' ? 'none' : `'${renderValue(value)}'`
}

function typedValue(value: FieldValue | undefined): string {
  return value === undefined ? 'none' : `the value '${renderValue(value)}' of type '${value.type}'`
}

function text(value: string): FieldValue {
  return { type: 'longstr', value }
}

/** RabbitMQ checks an argument that names an exchange before all others, with a text of its own. */
function assertExchangeName(
  kind: 'queue' | 'exchange',
  name: string,
  vhost: string,
  args: FieldTable,
  key: string,
): void {
  const value = args.get(key)
  if (value === undefined || value.type === 'longstr') return
  const sentence = `invalid type '${value.type}' for arg '${key}' in ${resource(kind, name, vhost)}`
  throw new BrokerError('precondition-failed', sentence)
}

function assertValid(queue: string, vhost: string, key: string, invalid: Validator, args: FieldTable): void {
  const value = args.get(key)
  const term = value === undefined ? undefined : invalid(value, args)
  if (term === undefined) return
  throw new BrokerError('precondition-failed', `invalid arg '${key}' for ${resource('queue', queue, vhost)}: ${term}`)
}

function foreign(queue: string, vhost: string, key: string, type: QueueType): BrokerError {
  return new BrokerError(
    'precondition-failed',
    `invalid arg '${key}' for ${resource('queue', queue, vhost)} of queue type rabbit_${type}_queue`,
  )
}
