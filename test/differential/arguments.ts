// Arguments of queues, as programs make them up: good ones, others that are nearly the same, and bad ones.
import { Tagged, type Table, type Value } from '../support/field-values.ts'
import type { Random } from '../support/random.ts'
import { EXCHANGES, QUEUES } from './names.ts'
import { SHORT_MS } from './times.ts'

export const KEYS = ['a', 'b', 'a.b', 'a.b.c', '', 'q0', 'q1', 'q2', 'a..b']

/** What the program that they are for can stand. */
export interface Setting {
  /** Whether time passes. */
  readonly timed: boolean
  /** Whether all messages expire by themselves: then queues have no times, and there are no dead letters. */
  readonly expirations: boolean
  /** Whether the vhost may have limits: then nothing else is wrong with a declaration. */
  readonly limited: boolean
}

/** Arguments of a classic queue. */
export function classicArguments(random: Random, { timed, expirations }: Setting): Table {
  const args: Record<string, Value> = {}
  if (timed && !expirations && random.chance(0.7)) args['x-message-ttl'] = random.pick([0, SHORT_MS])
  if (!timed && random.chance(0.05)) args['x-message-ttl'] = 60_000
  if (timed && random.chance(0.1)) args['x-expires'] = SHORT_MS
  if (!timed && random.chance(0.03)) args['x-expires'] = 60_000
  if (random.chance(0.2)) args['x-max-length'] = random.below(4)
  if (random.chance(0.05)) args['x-max-length-bytes'] = 10 + random.below(30)
  if (random.chance(0.2)) args['x-overflow'] = random.pick(['drop-head', 'reject-publish', 'reject-publish-dlx'])
  if (!expirations && random.chance(0.3)) {
    args['x-dead-letter-exchange'] = random.pick(['', '', ...EXCHANGES])
    if (random.chance(0.5)) args['x-dead-letter-routing-key'] = random.pick([...QUEUES, ...KEYS])
  }
  if (random.chance(0.15)) args['x-max-priority'] = random.below(5)
  if (random.chance(0.1)) args['x-single-active-consumer'] = random.chance(0.9)
  if (random.chance(0.03)) args['x-queue-type'] = 'classic'
  if (random.chance(0.02)) args['x-queue-version'] = 1 + random.below(2)
  if (random.chance(0.04)) args['x-queue-mode'] = random.pick(['default', 'lazy'])
  if (random.chance(0.03)) args['anything'] = random.pick([-1, 1.5, 'text', true, [1, 'two'], { a: 1 }, 5n])
  return args
}

/** Arguments of a quorum queue with one of these delivery limits; see differences.ts. */
export function quorumArguments(random: Random, { timed }: Setting, deliveryLimits: readonly number[]): Table {
  const args: Record<string, Value> = { 'x-queue-type': 'quorum', 'x-delivery-limit': random.pick(deliveryLimits) }
  if (timed && random.chance(0.7)) args['x-message-ttl'] = SHORT_MS
  if (random.chance(0.2)) args['x-max-length'] = random.below(4)
  if (random.chance(0.05)) args['x-max-length-bytes'] = 10 + random.below(30)
  if (random.chance(0.1)) args['x-overflow'] = 'drop-head'
  if (random.chance(0.5)) {
    const exchange = random.pick(['', '', ...EXCHANGES])
    args['x-dead-letter-exchange'] = exchange
    if (exchange === '' || random.chance(0.5)) args['x-dead-letter-routing-key'] = random.pick(['q2', 'a', 'b'])
  }
  if (random.chance(0.15)) args['x-single-active-consumer'] = random.chance(0.9)
  return args
}

/** What RabbitMQ 3.10 checks in another way, or programs rely on. */
const UNALTERED: ReadonlySet<string> = new Set(['x-queue-type', 'x-delivery-limit', 'x-queue-mode', 'x-queue-version'])

/** The same arguments but for one: added, left out, with another value, or with the same value of another type. */
export function alteredArguments(random: Random, args: Table, fresh: Table): Table {
  const keys = Object.keys(args).filter((key) => !UNALTERED.has(key))
  if (keys.length === 0 || random.chance(0.25)) return { ...args, ...fresh }
  const key = random.pick(keys)
  const { [key]: value, ...others } = args
  if (random.chance(0.3)) return others
  if (typeof value === 'number' && random.chance(0.6)) {
    return { ...others, [key]: new Tagged(random.pick(['b', 's', 'I', 'l', 'u', 'i'] as const), retagged(value)) }
  }
  // RabbitMQ fails to write down others that differ, and closes the connection with 541.
  const plain = ODD_VALUES.filter((odd) => ['number', 'string', 'boolean', 'bigint'].includes(typeof odd))
  return { ...others, [key]: random.pick([...plain, 0, 1, 2, 'other']) }
}

/** Only small numbers fit every type. */
function retagged(value: number): number {
  return value < 128 ? value : 100
}

/** One value of each type, and some at the edges of what may be. */
export const ODD_VALUES: readonly Value[] = [
  -1,
  0,
  1,
  256,
  1.5,
  'text',
  '10',
  '',
  true,
  null,
  [1, 'two'],
  { a: 1 },
  Buffer.from('bytes'),
  315_360_000_000n,
  315_360_000_001n,
  -5n,
  new Tagged('b', -1),
  new Tagged('B', 7),
  new Tagged('s', 300),
  new Tagged('u', 60_000),
  new Tagged('i', 4_000_000_000),
  new Tagged('f', 0.5),
  new Tagged('T', 1_700_000_000n),
  new Tagged('D', [2, 12_345]),
]

/** The arguments of queues that RabbitMQ 3.10 checks as it does now. */
export const CHECKED_ARGUMENTS: readonly string[] = [
  'x-message-ttl',
  'x-expires',
  'x-max-length',
  'x-max-length-bytes',
  'x-max-priority',
  'x-overflow',
  'x-dead-letter-exchange',
  'x-dead-letter-routing-key',
  'x-single-active-consumer',
  'x-queue-type',
]
