// Policies, parameters and limits as RabbitMQ shows them.
import type { GlobalParameterDefinition, ParameterDefinition, PolicyDefinition } from '../../core/definitions.ts'
import type { Policies } from '../../core/policies.ts'
import type { Quotas, UserLimits, VHostLimits } from '../../core/quotas.ts'
import type { Json, JsonObject } from '../http-error.ts'

/** What a parameter is beside its vhost: RabbitMQ keeps policies and the limits of vhosts as parameters too. */
export type Parameter = Pick<ParameterDefinition, 'vhost' | 'component' | 'name' | 'value'>

export function policyJson({ vhost, name, pattern, applyTo, definition, priority }: PolicyDefinition): JsonObject {
  return { vhost, name, pattern, 'apply-to': applyTo, definition, priority }
}

export function parameterJson({ vhost, component, name, value }: Parameter): JsonObject {
  return { value, vhost, component, name }
}

export function globalParameterJson({ name, value }: GlobalParameterDefinition): JsonObject {
  return { value, name }
}

/** Limits by RabbitMQ's names. */
export function vhostLimitsJson({ maxConnections, maxQueues }: VHostLimits): { readonly [name: string]: number } {
  return {
    ...(maxConnections === undefined ? {} : { 'max-connections': maxConnections }),
    ...(maxQueues === undefined ? {} : { 'max-queues': maxQueues }),
  }
}

export function userLimitsJson({ maxConnections, maxChannels }: UserLimits): { readonly [name: string]: number } {
  return {
    ...(maxConnections === undefined ? {} : { 'max-connections': maxConnections }),
    ...(maxChannels === undefined ? {} : { 'max-channels': maxChannels }),
  }
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
