// Policies, parameters and limits as RabbitMQ shows them.
import type { GlobalParameterDefinition, ParameterDefinition, PolicyDefinition } from '../../core/definitions.ts'
import type { Policies } from '../../core/policies.ts'
import type { Quotas, UserLimits, VHostLimits } from '../../core/quotas.ts'
import type { Json, JsonObject } from '../http-error.ts'

/** What a parameter is beside its vhost: RabbitMQ keeps policies and the limits of vhosts as parameters too. */
export type Parameter = Pick<ParameterDefinition, 'vhost' | 'component' | 'name' | 'value'>

/** RabbitMQ's JSON of a policy. */
export function policyJson({ vhost, name, pattern, applyTo, definition, priority }: PolicyDefinition): JsonObject {
  return { vhost, name, pattern, 'apply-to': applyTo, definition, priority }
}

/** The same of a parameter. */
export function parameterJson({ vhost, component, name, value }: Parameter): JsonObject {
  return { value, vhost, component, name }
}

/** The same of a global parameter. */
export function globalParameterJson({ name, value }: GlobalParameterDefinition): JsonObject {
  return { value, name }
}

/** RabbitMQ's names of limits, and ours. The rates are beyond RabbitMQ. */
const RATES = { 'max-publish-rate': 'maxPublishRate', 'max-publish-byte-rate': 'maxPublishByteRate' } as const
export const VHOST_LIMITS = { 'max-connections': 'maxConnections', 'max-queues': 'maxQueues', ...RATES } as const
export const USER_LIMITS = { 'max-connections': 'maxConnections', 'max-channels': 'maxChannels', ...RATES } as const

type LimitsJson = { readonly [name: string]: number }

/** RabbitMQ's names of the limits of a vhost. */
export function vhostLimitsJson(limits: VHostLimits): LimitsJson {
  return limitsJson(VHOST_LIMITS, limits)
}

/** The same of a user. */
export function userLimitsJson(limits: UserLimits): LimitsJson {
  return limitsJson(USER_LIMITS, limits)
}

function limitsJson<Name extends string>(
  names: Readonly<Record<string, Name>>,
  limits: { readonly [N in Name]?: number },
): LimitsJson {
  const json: Record<string, number> = {}
  for (const [shown, name] of Object.entries(names)) {
    const value = limits[name]
    if (value !== undefined) json[shown] = value
  }
  return json
}

/** The operator policies of a vhost, as the parameters that they are in RabbitMQ. */
export function operatorPolicies(policies: Policies, vhost: string): readonly Parameter[] {
  return policies.list(vhost, true).map((policy) => policyParameter('operator_policy', policy))
}

/** A policy as the parameter that it is in RabbitMQ. */
export function policyParameter(component: string, policy: PolicyDefinition): Parameter {
  const { vhost, name, pattern, applyTo, definition, priority } = policy
  return { vhost, component, name, value: { pattern, definition, priority, 'apply-to': applyTo } satisfies Json }
}

/** The limits of a vhost, as the parameter that they are in RabbitMQ. */
export function limitsParameter(quotas: Quotas, vhost: string): readonly Parameter[] {
  const limits = quotas.limitsOfVHost(vhost)
  return limits === undefined
    ? []
    : [{ vhost, component: 'vhost-limits', name: 'limits', value: vhostLimitsJson(limits) }]
}
