// Policies: values that operators give to queues and exchanges by name, beside those that these were declared with.
import { queueArguments, type QueueType } from './arguments/queue-arguments.ts'
import { queueTypeOf } from './arguments.ts'
import { integerOf } from './arguments/same-value.ts'
import { Pattern } from '../lib/pattern.ts'
import { PatternError } from '../lib/pattern/parse.ts'
import type { Definition, PolicyDefinition } from './definitions.ts'
import { BrokerError } from './errors.ts'
import { checkPolicyValues, fieldValue, type PolicyValue, type PolicyValues } from './policy-values.ts'
import type { FieldTable, FieldValue } from './value.ts'

/** What a policy may be about. */
const APPLY_TO = ['all', 'queues', 'exchanges', 'classic_queues', 'quorum_queues', 'streams'] as const

/** What a policy is matched with. */
export interface PolicySubject {
  readonly kind: 'queue' | 'exchange'
  readonly name: string
  readonly arguments: FieldTable
}

/** Where a value that holds comes from. */
export type ValueSource = 'argument' | 'policy' | 'operator-policy'

/** A value that holds. */
export interface EffectiveValue {
  readonly value: FieldValue
  readonly source: ValueSource
}

/** What holds for a queue or an exchange. */
export interface Effective {
  /** The policy and the operator policy that apply, by name. */
  readonly policy: string | null
  readonly operatorPolicy: string | null
  /** The two merged, by the names of policy keys. */
  readonly definition: PolicyValues
  /** Every value that a policy may set and something has, by the names of policy keys. */
  readonly values: ReadonlyMap<string, EffectiveValue>
  /** The arguments, as if it had been declared with what holds. */
  readonly arguments: FieldTable
}

/** Which policies apply to something, and what they say together. */
export type Governance = Pick<Effective, 'policy' | 'operatorPolicy' | 'definition'>

/** The policies that apply, of what holds; null without any. */
export function governanceOf({ policy, operatorPolicy, definition }: Effective): Governance | null {
  return policy === null && operatorPolicy === null ? null : { policy, operatorPolicy, definition }
}

interface KeptPolicy {
  readonly definition: PolicyDefinition
  readonly pattern: Pattern
}

/** Keys of which the smaller value holds, wherever two meet. */
const SMALLER: ReadonlySet<string> = new Set([
  'expires',
  'message-ttl',
  'max-length',
  'max-length-bytes',
  'max-in-memory-length',
  'max-in-memory-bytes',
])

/** Owns the policies of all vhosts, and says what comes of them. */
export class Policies {
  readonly #store: { save(definition: Definition): void; remove(definition: Definition): void }
  readonly #changed: (vhost: string) => void
  /** By vhost, then by name. */
  readonly #user = new Map<string, Map<string, KeptPolicy>>()
  readonly #operator = new Map<string, Map<string, KeptPolicy>>()

  /** `changed` is told of each vhost in which other values may hold. */
  constructor(
    store: { save(definition: Definition): void; remove(definition: Definition): void },
    changed: (vhost: string) => void,
  ) {
    this.#store = store
    this.#changed = changed
  }

  /** Takes over what the store held. */
  load(definitions: Iterable<Definition>): void {
    for (const definition of definitions) if (definition.kind === 'policy') this.#keep(definition)
  }

  /** The policies of a vhost: those of its users, or those of its operators. */
  list(vhost: string, operator: boolean): PolicyDefinition[] {
    return Array.from(this.#of(operator).get(vhost)?.values() ?? [], ({ definition }) => definition)
  }

  /** The policy of this name. */
  get(vhost: string, name: string, operator: boolean): PolicyDefinition | undefined {
    return this.#of(operator).get(vhost)?.get(name)?.definition
  }

  /**
   * Adds a policy, or replaces the one of this name. It takes effect at once.
   * @throws BrokerError precondition-failed: a pattern, a key or a value that cannot be
   */
  put(definition: PolicyDefinition): void {
    if (!(APPLY_TO as readonly string[]).includes(definition.applyTo)) {
      const sentence = `apply-to should be one of ${APPLY_TO.join(', ')}, actual was ${definition.applyTo}`
      throw new BrokerError('precondition-failed', sentence)
    }
    checkPolicyValues(definition.definition, definition.operator)
    this.#keep(definition)
    this.#store.save(definition)
    this.#changed(definition.vhost)
  }

  /** Deletes a policy. Returns whether there was one. */
  delete(vhost: string, name: string, operator: boolean): boolean {
    const policies = this.#of(operator).get(vhost)
    const policy = policies?.get(name)
    if (policies === undefined || policy === undefined) return false
    policies.delete(name)
    this.#store.remove(policy.definition)
    this.#changed(vhost)
    return true
  }

  /** A vhost was deleted, and its policies with it. */
  vhostDeleted(vhost: string): void {
    for (const operator of [false, true]) {
      for (const { name } of this.list(vhost, operator)) this.delete(vhost, name, operator)
      this.#of(operator).delete(vhost)
    }
  }

  /** What holds for a queue or an exchange. */
  effective(vhost: string, subject: PolicySubject): Effective {
    const user = this.#match(vhost, subject, false)
    const operator = this.#match(vhost, subject, true)
    const values = new Map<string, EffectiveValue>()
    const args = new Map(subject.arguments)
    const definition: Record<string, PolicyValue> = {}
    const keys = new Set([...Object.keys(user?.definition ?? {}), ...Object.keys(operator?.definition ?? {})])
    for (const key of keys) {
      const merged = mergedValue(key, user?.definition[key], operator?.definition[key])
      definition[key] = merged.value
      const argument = argumentName(key)
      if (argument === null) continue
      const held = heldValue(key, subject, subject.arguments.get(argument), merged)
      values.set(key, held)
      args.set(argument, held.value)
    }
    for (const [name, value] of subject.arguments) {
      const key = policyKey(name)
      if (key !== null && !values.has(key)) values.set(key, { value, source: 'argument' })
    }
    return { policy: user?.name ?? null, operatorPolicy: operator?.name ?? null, definition, values, arguments: args }
  }

  /** The one that applies: of those that match, that of the highest priority. */
  #match(vhost: string, subject: PolicySubject, operator: boolean): PolicyDefinition | null {
    let best: PolicyDefinition | null = null
    for (const { definition, pattern } of this.#of(operator).get(vhost)?.values() ?? []) {
      if (best !== null && best.priority >= definition.priority) continue
      if (applies(definition, subject) && pattern.test(subject.name)) best = definition
    }
    return best
  }

  #of(operator: boolean): Map<string, Map<string, KeptPolicy>> {
    return operator ? this.#operator : this.#user
  }

  #keep(definition: PolicyDefinition): void {
    const kept = { definition, pattern: compile(definition.pattern) }
    const vhosts = this.#of(definition.operator)
    const policies = vhosts.get(definition.vhost)
    if (policies === undefined) vhosts.set(definition.vhost, new Map([[definition.name, kept]]))
    else policies.set(definition.name, kept)
  }
}

/**
 * Whether a policy is for such a subject. RabbitMQ: one with a key that a queue's type cannot honour is not for that
 * queue at all.
 */
function applies({ applyTo, definition }: PolicyDefinition, subject: PolicySubject): boolean {
  if (subject.kind === 'exchange') return applyTo === 'all' || applyTo === 'exchanges'
  const type = queueTypeOf(subject.arguments)
  const wanted = applyTo === 'all' || applyTo === 'queues' || applyTo === APPLY_TO_TYPE[type]
  return wanted && Object.keys(definition).every((key) => honours(type, key))
}

const APPLY_TO_TYPE: { readonly [T in QueueType]: PolicyDefinition['applyTo'] } = {
  classic: 'classic_queues',
  quorum: 'quorum_queues',
  stream: 'streams',
}

function honours(type: QueueType, key: string): boolean {
  const argument = queueArguments.find((one) => one.key === `x-${key}`)
  return argument === undefined || argument.types.includes(type)
}

/** The argument that says the same as a policy key; null for keys that say something else. */
function argumentName(key: string): string | null {
  if (key === 'alternate-exchange') return key
  // RabbitMQ's plugin for deduplication gives its keys the names of the arguments.
  if (key.startsWith('x-')) return key
  return queueArguments.some((argument) => argument.key === `x-${key}`) ? `x-${key}` : null
}

function policyKey(argument: string): string | null {
  if (argument === 'alternate-exchange') return argument
  return queueArguments.some(({ key }) => key === argument) ? argument.slice(2) : null
}

/** What comes of a key in a policy and an operator policy, one of which has it. RabbitMQ's rules. */
function mergedValue(
  key: string,
  user: PolicyValue | undefined,
  operator: PolicyValue | undefined,
): { readonly value: PolicyValue; readonly source: ValueSource } {
  if (operator === undefined) return { value: user!, source: 'policy' }
  if (user === undefined || !takesSmaller(key, user, operator)) return { value: operator, source: 'operator-policy' }
  return { value: user, source: 'policy' }
}

/** Whether the value of the first holds: it is the smaller one, as far as that is what decides. */
function takesSmaller(key: string, first: PolicyValue, second: PolicyValue): boolean {
  if (typeof first !== 'number' || typeof second !== 'number') return false
  if (SMALLER.has(key)) return first <= second
  // RabbitMQ: a negative delivery limit is none, and gives way to any other.
  if (key === 'delivery-limit') return first < 0 || second < 0 ? first > second : first <= second
  return false
}

function heldValue(
  key: string,
  subject: PolicySubject,
  argument: FieldValue | undefined,
  merged: { readonly value: PolicyValue; readonly source: ValueSource },
): EffectiveValue {
  const ruled: EffectiveValue = { value: fieldValue(merged.value), source: merged.source }
  if (argument === undefined) return ruled
  const own: EffectiveValue = { value: argument, source: 'argument' }
  const number = integerOf(argument)
  if (SMALLER.has(key) || key === 'delivery-limit') {
    return number === undefined || takesSmaller(key, Number(number), merged.value) ? own : ruled
  }
  // RabbitMQ: a quorum queue does as the policy says.
  if (key === 'overflow' && subject.kind === 'queue' && queueTypeOf(subject.arguments) === 'quorum') return ruled
  return own
}

function compile(source: string): Pattern {
  try {
    return new Pattern(source)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    const sentence = `pattern should be a regular expression, but is invalid: ${error.message}`
    throw new BrokerError('precondition-failed', sentence, { cause: error })
  }
}
