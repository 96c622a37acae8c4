// Parameters in vhosts, and global ones.
import type { Quotas } from '../../core/quotas.ts'
import type { VHost } from '../../core/vhost.ts'
import { assertPresent, isObject } from '../body.ts'
import { badRequest, notFound, type Json, type JsonObject } from '../http-error.ts'
import { assertInertValue, INERT, INERT_COMPONENTS, invalidParameter, missing } from '../inert-components.ts'
import { Listing } from '../listing.ts'
import {
  CREATED,
  durably,
  NO_CONTENT,
  Reply,
  targetVHost,
  vhostOf,
  type Answer,
  type Call,
  type Route,
} from '../route.ts'
import { parametersOf } from '../views/parameters.ts'
import { globalParameterJson, parameterJson, policyParameter, type Parameter } from '../views/policies.ts'
import { vhostLimitsOf } from './limits.ts'
import { governing, policyOf, putPolicy } from './policies.ts'

const ONE = '/api/parameters/:component/:vhost/:name'
const ONE_GLOBAL = '/api/global-parameters/:name'

/** Parameters by which something else is set. */
const OWNED_COMPONENTS: ReadonlySet<string> = new Set(['policy', 'operator_policy', 'vhost-limits'])

/** What a policy needs where it is set as a parameter (RabbitMQ). */
const POLICY_KEYS = ['definition', 'pattern', 'priority']

export const parameterRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/parameters', needs: 'policymaker', handle: list },
  { method: 'GET', path: '/api/parameters/:component', needs: 'policymaker', handle: ofComponent },
  { method: 'GET', path: '/api/parameters/:component/:vhost', needs: 'policymaker', handle: inVHost },
  { method: 'GET', path: ONE, needs: 'policymaker', handle: (call) => parameterJson(parameterAt(call)) },
  { method: 'PUT', path: ONE, needs: 'policymaker', handle: put },
  { method: 'DELETE', path: ONE, needs: 'policymaker', handle: remove },
  { method: 'GET', path: '/api/global-parameters', needs: 'policymaker', handle: listGlobal },
  { method: 'GET', path: ONE_GLOBAL, needs: 'policymaker', handle: (call) => globalParameterJson(globalAt(call)) },
  { method: 'PUT', path: ONE_GLOBAL, needs: 'policymaker', handle: putGlobal },
  { method: 'DELETE', path: ONE_GLOBAL, needs: 'policymaker', handle: removeGlobal },
]

function visible(call: Call): readonly VHost[] {
  const { access, vhosts } = call.broker
  return [...vhosts.values()].filter(({ name }) => access.sees(call.user, name))
}

function list(call: Call) {
  return new Listing(
    visible(call).flatMap((vhost) => parametersOf(call.broker, vhost)),
    parameterJson,
    false,
  )
}

function ofComponent(call: Call) {
  const { component = '' } = call.params
  return new Listing(
    visible(call).flatMap((vhost) => withComponent(call, component, vhost)),
    parameterJson,
    false,
  )
}

function inVHost(call: Call) {
  return new Listing(withComponent(call, call.params['component'] ?? '', vhostOf(call)), parameterJson, false)
}

function withComponent(call: Call, component: string, vhost: VHost): readonly Parameter[] {
  if (component !== 'policy') return parametersOf(call.broker, vhost).filter((one) => one.component === component)
  return call.broker.policies.list(vhost.name, false).map((policy) => policyParameter('policy', policy))
}

function parameterAt(call: Call): Parameter {
  const { component, name } = call.params
  const found = withComponent(call, component ?? '', vhostOf(call)).find((one) => one.name === name)
  if (found === undefined) throw notFound()
  return found
}

async function put(call: Call): Promise<Answer> {
  const { component = '', name = '' } = call.params
  const vhost = targetVHost(call)
  const body = call.body()
  assertPresent(body, 'value')
  const value = body['value']!
  const existed = withComponent(call, component, vhost).some((one) => one.name === name)
  const { broker } = call
  if (OWNED_COMPONENTS.has(component)) {
    await putOwned(call, component, vhost, name, value)
    return existed ? NO_CONTENT : CREATED
  }
  if (!INERT_COMPONENTS.has(component)) throw invalidParameter([`component ${component} not found`])
  assertInertValue(component, name, value)
  await durably(broker, () => broker.parameters.put(vhost.name, component, name, value))
  broker.logger.warn({ vhost: vhost.name, component, name }, `a parameter ${INERT}`)
  return new Reply(existed ? 204 : 201, undefined, { warning: `299 - "the ${component} ${INERT}"` })
}

/** What RabbitMQ keeps as a parameter and we do not. Policies have a place of their own (RabbitMQ). */
async function putOwned(call: Call, component: string, vhost: VHost, name: string, value: Json): Promise<void> {
  const { broker } = call
  if (component === 'policy') throw badRequest('policies may not be set using this method')
  // It would be a way around who may set operator policies and limits.
  if (!broker.access.tagged(call.user, 'administrator')) throw badRequest(`${component} is for administrators`)
  if (!isObject(value)) throw invalidParameter(['the value is no object'])
  const lacking = component === 'operator_policy' ? missing(value, name, POLICY_KEYS) : []
  if (lacking.length > 0) throw invalidParameter(lacking)
  await governing(broker, vhost, () => putOwnedParameter(broker, vhost.name, component, name, value))
}

/** An operator policy or the limits of a vhost, as the parameter that they are in RabbitMQ. Throws 400. */
export function putOwnedParameter(
  broker: Call['broker'],
  vhost: string,
  component: string,
  name: string,
  value: JsonObject,
): void {
  if (component === 'vhost-limits') broker.quotas.limitVHost(vhost, vhostLimitsOf(value))
  else putPolicy(broker, policyOf(value, { vhost, name, operator: component === 'operator_policy' }))
}

async function remove(call: Call) {
  const { vhost, component, name } = parameterAt(call)
  const { broker } = call
  if (component === 'policy') throw badRequest('policies may not be cleared using this method')
  if (OWNED_COMPONENTS.has(component) && !broker.access.tagged(call.user, 'administrator')) {
    throw badRequest(`${component} is for administrators`)
  }
  await governing(broker, vhostOf(call), () => {
    if (component === 'operator_policy') broker.policies.delete(vhost, name, true)
    else if (component === 'vhost-limits') noLimits(broker.quotas, vhost)
    else broker.parameters.delete(vhost, component, name)
  })
  return NO_CONTENT
}

function noLimits(quotas: Quotas, vhost: string): void {
  quotas.limitVHost(vhost, {})
}

function listGlobal(call: Call) {
  return new Listing(call.broker.parameters.globals, globalParameterJson, false)
}

function globalAt(call: Call) {
  const parameter = call.broker.parameters.global(call.params['name'] ?? '')
  if (parameter === undefined) throw notFound()
  return parameter
}

async function putGlobal(call: Call) {
  const body = call.body()
  assertPresent(body, 'value')
  const { parameters } = call.broker
  const name = call.params['name'] ?? ''
  const existed = parameters.global(name) !== undefined
  await durably(call.broker, () => parameters.putGlobal(name, body['value']!))
  return existed ? NO_CONTENT : CREATED
}

async function removeGlobal(call: Call) {
  const { name } = globalAt(call)
  await durably(call.broker, () => call.broker.parameters.deleteGlobal(name))
  return NO_CONTENT
}
