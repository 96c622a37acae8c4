// Topic permissions.
import type { TopicPermissionDefinition } from '../../core/definitions.ts'
import { BrokerError } from '../../core/errors.ts'
import { assertPresent, stringField } from '../body.ts'
import { badRequest, notFound } from '../http-error.ts'
import { Listing } from '../listing.ts'
import { CREATED, durably, NO_CONTENT, vhostOf, type Call, type Route } from '../route.ts'
import { topicPermissionJson } from '../views/users.ts'

const OF_BOTH = '/api/topic-permissions/:vhost/:user'
const needs = 'administrator'

export const topicPermissionRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/topic-permissions', needs, handle: (call) => listed(all(call)) },
  { method: 'GET', path: OF_BOTH, needs, handle: (call) => listed(ofBoth(call)) },
  { method: 'PUT', path: OF_BOTH, needs, handle: put },
  { method: 'DELETE', path: OF_BOTH, needs, handle: removeAll },
  { method: 'DELETE', path: `${OF_BOTH}/:exchange`, needs, handle: removeOne },
  { method: 'GET', path: '/api/users/:user/topic-permissions', needs, handle: ofUser },
  { method: 'GET', path: '/api/vhosts/:vhost/topic-permissions', needs, handle: ofVHost },
]

type Permissions = readonly TopicPermissionDefinition[]

function listed(permissions: Permissions) {
  return new Listing(permissions, topicPermissionJson, false)
}

function all(call: Call): Permissions {
  return [...call.broker.access.topicPermissions()]
}

/** Those of the user in the vhost. Throws 404 when there are none. */
function ofBoth(call: Call): Permissions {
  const { vhost, user } = call.params
  const found = all(call).filter((one) => one.vhost === vhost && one.user === user)
  if (found.length === 0) throw notFound()
  return found
}

function ofUser(call: Call) {
  const { user = '' } = call.params
  if (call.broker.access.user(user) === undefined) throw notFound()
  return listed(all(call).filter((one) => one.user === user))
}

function ofVHost(call: Call) {
  const { name } = vhostOf(call)
  return listed(all(call).filter(({ vhost }) => vhost === name))
}

async function put(call: Call) {
  const body = call.body()
  assertPresent(body, 'exchange', 'write', 'read')
  const { vhost = '', user = '' } = call.params
  const { broker } = call
  if (broker.access.user(user) === undefined || !broker.vhosts.has(vhost)) throw badRequest('vhost_or_user_not_found')
  const exchange = stringField(body, 'exchange')
  const rights = { write: stringField(body, 'write'), read: stringField(body, 'read') }
  const existed = all(call).some((one) => one.vhost === vhost && one.user === user && one.exchange === exchange)
  try {
    await durably(broker, () => broker.access.putTopicPermission(user, vhost, exchange, rights))
  } catch (error) {
    // RabbitMQ: whatever is wrong with a permission is a bad request.
    if (error instanceof BrokerError) throw badRequest(error.message)
    throw error
  }
  return existed ? NO_CONTENT : CREATED
}

async function removeAll(call: Call) {
  ofBoth(call)
  const { vhost = '', user = '' } = call.params
  await durably(call.broker, () => call.broker.access.deleteTopicPermission(user, vhost))
  return NO_CONTENT
}

/** RabbitMQ: one for an exchange that there is none for is no error, as long as there is another. */
async function removeOne(call: Call) {
  ofBoth(call)
  const { vhost = '', user = '', exchange = '' } = call.params
  await durably(call.broker, () => call.broker.access.deleteTopicPermission(user, vhost, exchange))
  return NO_CONTENT
}
