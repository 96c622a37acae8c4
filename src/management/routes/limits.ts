// Limits of vhosts and of users.
import type { UserLimits, VHostLimits } from '../../core/quotas.ts'
import { assertPresent } from '../body.ts'
import { badRequest, notAuthorised, notFound, type Json, type JsonObject } from '../http-error.ts'
import { Listing } from '../listing.ts'
import { durably, JSON_BODY, NO_CONTENT, targetVHost, vhostOf, type Call, type Route } from '../route.ts'
import { USER_LIMITS, userLimitsJson, VHOST_LIMITS, vhostLimitsJson } from '../views/policies.ts'

const OF_VHOST = '/api/vhost-limits/:vhost'
const OF_USER = '/api/user-limits/:user'

export const limitRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/vhost-limits', needs: 'management', handle: ofVHosts },
  { method: 'GET', path: OF_VHOST, needs: 'management', handle: ofVHost },
  { method: 'PUT', path: `${OF_VHOST}/:name`, needs: 'administrator', bodyTypes: JSON_BODY, handle: putOfVHost },
  { method: 'DELETE', path: `${OF_VHOST}/:name`, needs: 'administrator', handle: removeOfVHost },
  { method: 'GET', path: '/api/user-limits', needs: 'administrator', handle: ofUsers },
  { method: 'GET', path: OF_USER, needs: 'management', handle: ofUser },
  { method: 'PUT', path: `${OF_USER}/:name`, needs: 'administrator', bodyTypes: JSON_BODY, handle: putOfUser },
  { method: 'DELETE', path: `${OF_USER}/:name`, needs: 'administrator', handle: removeOfUser },
]

/** Limits as an object of RabbitMQ's names has them. Throws 400 for others, and for what is no whole number. */
export function vhostLimitsOf(limits: JsonObject): VHostLimits {
  return readLimits(limits, VHOST_LIMITS, {
    terms: 'limits',
    frame: (sentence) => `Validation failed\n\n${sentence}\n`,
  })
}

/** The limits of a user, by RabbitMQ's names. Throws 400 for what is none. */
export function userLimitsOf(limits: JsonObject): UserLimits {
  return readLimits(limits, USER_LIMITS, { terms: 'user-limits', frame: (sentence) => sentence })
}

function readLimits<Name extends string>(
  limits: JsonObject,
  names: Readonly<Record<string, Name>>,
  { terms, frame }: { readonly terms: string; readonly frame: (sentence: string) => string },
): { readonly [N in Name]?: number } {
  const read: { [N in Name]?: number } = {}
  for (const [given, value] of Object.entries(limits)) {
    const name = Object.hasOwn(names, given) ? names[given] : undefined
    if (name === undefined) {
      throw badRequest(frame(`Unrecognised terms [{<<"${given}">>,${shown(value)}}] in ${terms}`))
    }
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
      throw badRequest(frame(`${given} should be a number, actually was ${shown(value)}`))
    }
    read[name] = value
  }
  return read
}

function shown(value: Json | undefined): string {
  return typeof value === 'string' ? `<<"${value}">>` : (JSON.stringify(value) ?? 'nothing')
}

function ofVHosts(call: Call) {
  const { access, quotas } = call.broker
  const seen = [...quotas.vhostLimits].filter(({ vhost }) => access.sees(call.user, vhost))
  return new Listing(seen, (limits) => ({ vhost: limits.vhost, value: vhostLimitsJson(limits) }), false)
}

function ofVHost(call: Call) {
  const { name } = vhostOf(call)
  const limits = call.broker.quotas.limitsOfVHost(name)
  return limits === undefined ? [] : [{ vhost: name, value: vhostLimitsJson(limits) }]
}

async function putOfVHost(call: Call) {
  const { name: vhost } = targetVHost(call)
  const { quotas } = call.broker
  const limits = { ...vhostLimitsJson(quotas.limitsOfVHost(vhost) ?? {}), ...givenLimit(call) }
  await durably(call.broker, () => quotas.limitVHost(vhost, vhostLimitsOf(limits)))
  return NO_CONTENT
}

/** RabbitMQ: what is not set is no error. */
async function removeOfVHost(call: Call) {
  const { name: vhost } = vhostOf(call)
  const { quotas } = call.broker
  const { [call.params['name'] ?? '']: _gone, ...left } = vhostLimitsJson(quotas.limitsOfVHost(vhost) ?? {})
  await durably(call.broker, () => quotas.limitVHost(vhost, vhostLimitsOf(left)))
  return NO_CONTENT
}

function givenLimit(call: Call): JsonObject {
  const body = call.body()
  assertPresent(body, 'value')
  return { [call.params['name'] ?? '']: body['value'] }
}

function ofUsers(call: Call) {
  const { userLimits } = call.broker.quotas
  return new Listing(userLimits, (limits) => ({ user: limits.user, value: userLimitsJson(limits) }), false)
}

/** One may see one's own. */
function ofUser(call: Call) {
  const name = call.params['user'] ?? ''
  const { access, quotas } = call.broker
  if (name !== call.user.name && !access.tagged(call.user, 'monitoring')) {
    throw notAuthorised('User not authorised to access object')
  }
  if (access.user(name) === undefined) throw notFound()
  const limits = quotas.limitsOfUser(name)
  return limits === undefined ? [] : [{ user: name, value: userLimitsJson(limits) }]
}

async function putOfUser(call: Call) {
  const user = userNamed(call)
  const { quotas } = call.broker
  const limits = { ...userLimitsJson(quotas.limitsOfUser(user) ?? {}), ...givenLimit(call) }
  await durably(call.broker, () => quotas.limitUser(user, userLimitsOf(limits)))
  return NO_CONTENT
}

async function removeOfUser(call: Call) {
  const user = userNamed(call)
  const { quotas } = call.broker
  const { [call.params['name'] ?? '']: _gone, ...left } = userLimitsJson(quotas.limitsOfUser(user) ?? {})
  await durably(call.broker, () => quotas.limitUser(user, userLimitsOf(left)))
  return NO_CONTENT
}

/** Throws 404. */
function userNamed(call: Call): string {
  const name = call.params['user'] ?? ''
  if (call.broker.access.user(name) === undefined) throw notFound()
  return name
}
