// Virtual hosts.
import { BrokerError } from '../../core/errors.ts'
import { SHORT_BYTES_MAX } from '../../core/limits.ts'
import type { VHost } from '../../core/vhost.ts'
import { booleanField, stringField, wordsField } from '../body.ts'
import { badRequest, HttpError, type JsonObject } from '../http-error.ts'
import { Listing } from '../listing.ts'
import { CREATED, durably, isThisNode, NO_CONTENT, vhostOf, type Call, type Route } from '../route.ts'
import { channelJson, channelsOf, connectionJson } from '../views/connection.ts'
import { vhostJson } from '../views/topology.ts'
import { permissionJson } from '../views/users.ts'

const QUEUE_TYPES: ReadonlySet<unknown> = new Set(['classic', 'quorum', 'stream'])

export const vhostRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/vhosts', needs: 'management', handle: list },
  {
    method: 'GET',
    path: '/api/vhosts/:vhost',
    needs: 'administrator',
    handle: (call) => vhostJson(call, vhostOf(call)),
  },
  { method: 'PUT', path: '/api/vhosts/:vhost', needs: 'administrator', handle: put },
  { method: 'DELETE', path: '/api/vhosts/:vhost', needs: 'administrator', handle: remove },
  { method: 'GET', path: '/api/vhosts/:vhost/permissions', needs: 'administrator', handle: permissions },
  { method: 'GET', path: '/api/vhosts/:vhost/connections', needs: 'management', handle: connections },
  { method: 'GET', path: '/api/vhosts/:vhost/channels', needs: 'management', handle: channels },
  {
    method: 'POST',
    path: '/api/vhosts/:vhost/deletion/protection',
    needs: 'administrator',
    handle: (call) => protect(call, true),
  },
  {
    method: 'DELETE',
    path: '/api/vhosts/:vhost/deletion/protection',
    needs: 'administrator',
    handle: (call) => protect(call, false),
  },
  { method: 'POST', path: '/api/vhosts/:vhost/start/:node', needs: 'administrator', handle: startVHost },
]

function list(call: Call) {
  const { broker, user } = call
  const visible = [...broker.vhosts.values()].filter((vhost) => broker.access.sees(user, vhost.name))
  return new Listing(visible, (vhost: VHost) => vhostJson(call, vhost), true)
}

async function put(call: Call) {
  const name = call.params['vhost'] ?? ''
  if (name === '' || Buffer.byteLength(name) > SHORT_BYTES_MAX) {
    throw badRequest(`the name of a vhost has 1 to ${SHORT_BYTES_MAX} bytes`)
  }
  const changes = metadata(call.body())
  const { broker } = call
  const existing = broker.vhosts.get(name)
  await durably(broker, async () => {
    const vhost = existing ?? (await broker.createVHost(name, ''))
    broker.updateVHost(vhost, changes)
    // RabbitMQ: whoever makes a vhost may do everything in it.
    if (!existing) broker.access.putPermission(call.user.name, name, { configure: '.*', write: '.*', read: '.*' })
  })
  return existing ? NO_CONTENT : CREATED
}

/** What a body (or an imported definition) says of a vhost beside its name. */
export function metadata(body: JsonObject): Partial<Omit<VHost['definition'], 'kind' | 'name'>> {
  const given = body['default_queue_type'] ?? body['defaultqueuetype']
  const type = given === undefined || given === null || given === 'undefined' ? undefined : given
  if (type !== undefined && (typeof type !== 'string' || !QUEUE_TYPES.has(type))) {
    throw badRequest(`Unsupported default queue type: ${typeof type === 'string' ? type : JSON.stringify(type)}`)
  }
  return {
    ...(body['description'] === undefined ? {} : { description: stringField(body, 'description') }),
    ...(body['tags'] === undefined ? {} : { tags: wordsField(body, 'tags') }),
    ...(type === undefined ? {} : { defaultQueueType: type }),
    ...(body['tracing'] === undefined ? {} : { tracing: booleanField(body, 'tracing', false) }),
    ...(body['protected_from_deletion'] === undefined
      ? {}
      : { protected: booleanField(body, 'protected_from_deletion', false) }),
  }
}

async function remove(call: Call) {
  const { name } = vhostOf(call)
  try {
    await durably(call.broker, () => call.broker.deleteVHost(name))
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'precondition-failed') throw error
    throw new HttpError(412, 'precondition_failed', error.message, { cause: error })
  }
  return NO_CONTENT
}

async function protect(call: Call, on: boolean) {
  const vhost = vhostOf(call)
  await durably(call.broker, () => call.broker.updateVHost(vhost, { protected: on }))
  return NO_CONTENT
}

/** Every vhost runs. Throws 400 for another node. */
function startVHost(call: Call) {
  vhostOf(call)
  const node = call.params['node'] ?? ''
  if (!isThisNode(call.node, node)) throw badRequest(`Request to node ${node} failed with nodedown`)
  return NO_CONTENT
}

function permissions(call: Call) {
  const { name } = vhostOf(call)
  const granted = [...call.broker.access.permissions()].filter(({ vhost }) => vhost === name)
  return new Listing(granted, permissionJson, false)
}

function connections(call: Call) {
  return new Listing(inVHost(call), (one) => connectionJson(call, one), true)
}

function channels(call: Call) {
  return new Listing(channelsOf(inVHost(call)), (one) => channelJson(call, one), true)
}

function inVHost(call: Call) {
  const { name } = vhostOf(call)
  const own = call.broker.access.tagged(call.user, 'monitoring') ? null : call.user.name
  return [...call.broker.connections.values()].filter(
    (connection) => connection.vhost === name && (own === null || connection.user === own),
  )
}
