// Policies, as programs make them up.
import type { Value } from '../support/field-values.ts'
import type { Random } from '../support/random.ts'
import { ODD_VALUES, KEYS, type Setting } from './arguments.ts'
import { EXCHANGES, LIMITS, POLICIES, QUEUES } from './names.ts'
import type { OperatorStep } from './program.ts'
import { SHORT_MS } from './times.ts'

const PATTERNS = ['^q', '^q', '^q0$', 'q1|q2', '.*', '1', '^[qx]0', '^x', '^amq\\.', '', 'q[^0]']
const APPLY_TO = ['all', 'all', 'queues', 'queues', 'exchanges']
/** Policies of one priority that match the same have no order: each has priorities of its own. */
const PRIORITIES: { readonly [name: string]: readonly number[] } = { p0: [0, 2, 4], p1: [1, 3], o0: [0, 1] }
const ODD_POLICIES: readonly { readonly [key: string]: Value }[] = [
  { pattern: '^q' },
  { definition: { 'max-length': 1 } },
  { pattern: '^q', definition: {} },
  { pattern: '^q', definition: { 'max-lengths': 1 } },
  { pattern: '^q', definition: { 'max-length': 1 }, priority: 'high' },
]
const ODD_KEYS = [
  'max-length',
  'max-length-bytes',
  'message-ttl',
  'expires',
  'overflow',
  'dead-letter-exchange',
  'dead-letter-routing-key',
  'alternate-exchange',
]

/** Sets a policy, or deletes one. */
export function policyStep(random: Random, setting: Setting): OperatorStep {
  if (setting.limited && random.chance(0.3)) return limitStep(random)
  const [kind, name] = random.pick(POLICIES)
  if (random.chance(0.25)) return { do: 'operate', method: 'DELETE', kind, name }
  if (random.chance(0.04)) return { do: 'operate', method: 'PUT', kind, name, body: random.pick(ODD_POLICIES) }
  if (random.chance(0.06)) {
    const key = random.pick(ODD_KEYS)
    // RabbitMQ 3.12: operators may set the overflow.
    const named = kind === 'policies' || key !== 'overflow' ? key : 'expires'
    // Times that may be would pass.
    const timed = named === 'expires' || named === 'message-ttl'
    const values = ODD_VALUES.filter(
      (value) => inJson(value) && !(timed && Number.isInteger(value) && Number(value) >= 0),
    )
    const definition = { [named]: random.pick(values) }
    return { do: 'operate', method: 'PUT', kind, name, body: { pattern: '^q', definition } }
  }
  const operator = kind === 'operator-policies'
  const body = {
    pattern: random.pick(PATTERNS),
    definition: operator ? operatorDefinition(random, setting) : definitionOf(random, setting),
    ...(random.chance(0.8) ? { priority: random.pick(PRIORITIES[name]!) } : { priority: PRIORITIES[name]![0]! }),
    ...(random.chance(0.9) ? { 'apply-to': operator ? 'queues' : random.pick(APPLY_TO) } : {}),
  }
  return { do: 'operate', method: 'PUT', kind, name, body }
}

/** Limits the vhost. No limit keeps the clients out that look at the queues. */
function limitStep(random: Random): OperatorStep {
  const name = random.pick(LIMITS)
  if (random.chance(0.3)) return { do: 'operate', method: 'DELETE', kind: 'vhost-limits', name }
  const value = name === 'max-queues' ? random.pick([0, 1, 2, 3, -1, 'many']) : random.pick([50, -1, 1.5])
  return { do: 'operate', method: 'PUT', kind: 'vhost-limits', name, body: { value } }
}

function definitionOf(random: Random, setting: Setting): { readonly [key: string]: Value } {
  const definition: Record<string, Value> = { ...limits(random, setting) }
  // RabbitMQ puts a length in force before the overflow that comes with it, and drops what is then too much.
  const limited = 'max-length' in definition || 'max-length-bytes' in definition
  if (!limited && random.chance(0.3))
    definition['overflow'] = random.pick(['drop-head', 'reject-publish', 'reject-publish-dlx'])
  if (!setting.expirations && random.chance(0.3)) {
    definition['dead-letter-exchange'] = random.pick(['', '', ...EXCHANGES])
  }
  if (!setting.expirations && random.chance(0.2)) {
    definition['dead-letter-routing-key'] = random.pick([...QUEUES, ...KEYS])
  }
  if (random.chance(0.2)) definition['alternate-exchange'] = random.pick([...EXCHANGES, 'amq.fanout'])
  return Object.keys(definition).length > 0 ? definition : { 'max-length': 2 }
}

function operatorDefinition(random: Random, setting: Setting): { readonly [key: string]: Value } {
  const definition = limits(random, setting)
  return Object.keys(definition).length > 0 ? definition : { 'max-length': 3 }
}

function limits(random: Random, { timed, expirations }: Setting): Record<string, Value> {
  const definition: Record<string, Value> = {}
  if (random.chance(0.4)) definition['max-length'] = random.below(4)
  if (random.chance(0.1)) definition['max-length-bytes'] = 10 + random.below(30)
  if (!expirations && random.chance(timed ? 0.6 : 0.1)) definition['message-ttl'] = timed ? SHORT_MS : 60_000
  if (random.chance(0.03)) definition['expires'] = timed ? SHORT_MS : 60_000
  return definition
}

function inJson(value: Value): boolean {
  return ['number', 'string', 'boolean'].includes(typeof value)
}
