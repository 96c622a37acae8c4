// Policies and operator policies.
import { renderTerm } from '../../core/arguments/render.ts'
import type { PolicyDefinition } from '../../core/definitions.ts'
import { BrokerError } from '../../core/errors.ts'
import type { PolicyValues } from '../../core/policy-values.ts'
import type { VHost } from '../../core/vhost.ts'
import { assertPresent, isObject, stringField } from '../body.ts'
import { badRequest, HttpError, notFound, type Json, type JsonObject } from '../http-error.ts'
import { Listing } from '../listing.ts'
import { CREATED, durably, NO_CONTENT, targetVHost, vhostOf, type Call, type Route } from '../route.ts'
import { policyJson } from '../views/policies.ts'

export const policyRoutes: readonly Route[] = [
  ...routesOf('/api/policies', false),
  ...routesOf('/api/operator-policies', true),
]

function routesOf(path: string, operator: boolean): readonly Route[] {
  const one = `${path}/:vhost/:name`
  const needs = operator ? 'administrator' : 'policymaker'
  return [
    { method: 'GET', path, needs: 'management', handle: (call) => list(call, operator) },
    { method: 'GET', path: `${path}/:vhost`, needs: 'management', handle: (call) => inVHost(call, operator) },
    { method: 'GET', path: one, needs, handle: (call) => policyJson(policyAt(call, operator)) },
    { method: 'PUT', path: one, needs, handle: (call) => put(call, operator) },
    { method: 'DELETE', path: one, needs, handle: (call) => remove(call, operator) },
  ]
}

function list(call: Call, operator: boolean) {
  const { access, policies, vhosts } = call.broker
  const visible = [...vhosts.keys()].filter((vhost) => access.sees(call.user, vhost))
  return new Listing(
    visible.flatMap((vhost) => policies.list(vhost, operator)),
    policyJson,
    false,
  )
}

function inVHost(call: Call, operator: boolean) {
  return new Listing(call.broker.policies.list(vhostOf(call).name, operator), policyJson, false)
}

function policyAt(call: Call, operator: boolean): PolicyDefinition {
  const policy = call.broker.policies.get(vhostOf(call).name, call.params['name'] ?? '', operator)
  if (policy === undefined) throw notFound()
  return policy
}

async function put(call: Call, operator: boolean) {
  if (operator) assertOperatorsMay(call)
  const vhost = targetVHost(call)
  const name = call.params['name'] ?? ''
  const { broker } = call
  const existing = broker.policies.get(vhost.name, name, operator)
  const policy = policyOf(call.body(), { vhost: vhost.name, name, operator })
  await governing(broker, vhost, () => putPolicy(broker, policy))
  return existing === undefined ? CREATED : NO_CONTENT
}

/** Changes policies. Comes back when that is on disk, and everything in the vhost goes by them. */
export async function governing(broker: Call['broker'], vhost: VHost, change: () => void): Promise<void> {
  await durably(broker, change)
  await vhost.governed
}

/** Throws 400 with RabbitMQ's frame around the reason. */
export function putPolicy({ policies }: Call['broker'], policy: PolicyDefinition): void {
  try {
    policies.put(policy)
  } catch (error) {
    if (error instanceof BrokerError) throw invalid(error.message)
    throw error
  }
}

/** A policy as a body, a definitions file or a parameter's value has it. Throws 400. */
export function policyOf(
  body: JsonObject,
  { vhost, name, operator }: { readonly vhost: VHost['name']; readonly name: string; readonly operator: boolean },
): PolicyDefinition {
  assertPresent(body, 'pattern', 'definition')
  const priority = body['priority'] ?? 0
  if (typeof priority !== 'number') throw invalid(`priority should be a number, actually was ${shown(priority)}`)
  if (typeof body['pattern'] !== 'string') throw invalid(`pattern should be a binary but was ${shown(body['pattern'])}`)
  return {
    kind: 'policy',
    vhost,
    name,
    operator,
    pattern: body['pattern'],
    // Which words there are is checked with the rest.
    applyTo: stringField(body, 'apply-to', 'all') as PolicyDefinition['applyTo'],
    priority,
    definition: valuesOf(body['definition']),
  }
}

function valuesOf(definition: Json | undefined): PolicyValues {
  if (!isObject(definition)) throw invalid(`definition should be an object, actually was ${shown(definition)}`)
  // Each value is checked with its key.
  return definition as PolicyValues
}

function invalid(sentence: string): HttpError {
  return badRequest(`Validation failed\n\n${sentence}\n`)
}

/** RabbitMQ shows texts as Erlang does. */
function shown(value: Json | undefined): string {
  return typeof value === 'string' ? renderTerm({ type: 'longstr', value }) : (JSON.stringify(value) ?? 'nothing')
}

async function remove(call: Call, operator: boolean) {
  if (operator) assertOperatorsMay(call)
  const { vhost, name } = policyAt(call, operator)
  await governing(call.broker, vhostOf(call), () => call.broker.policies.delete(vhost, name, operator))
  return NO_CONTENT
}

/** RabbitMQ: management.restrictions.operator_policy_changes.disabled. */
function assertOperatorsMay({ node }: Call): void {
  if (node.operatorPolicyChanges) return
  throw new HttpError(405, 'method_not_allowed', 'Operator policy changes are disabled in the configuration')
}
