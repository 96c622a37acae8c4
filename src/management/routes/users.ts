// Users and permissions.
import type { NewPassword } from '../../core/access.ts'
import { Hashing, hashRabbitPassword } from '../../core/access/password.ts'
import type { UserDefinition } from '../../core/definitions.ts'
import { BrokerError } from '../../core/errors.ts'
import type { Queue } from '../../core/queue/queue.ts'
import { assertPresent, isObject, objectField, stringField, textsField, wordsField } from '../body.ts'
import { badRequest, notFound, type JsonObject } from '../http-error.ts'
import { Listing, viewOf } from '../listing.ts'
import { CREATED, durably, NO_CONTENT, vhostOf, type Call, type Route } from '../route.ts'
import { queueColumns } from '../views/topology.ts'
import { permissionJson, userJson } from '../views/users.ts'
import { userLimitsOf } from './limits.ts'

const TAGS_MAX = 32

export const userRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/users', needs: 'administrator', handle: list },
  { method: 'GET', path: '/api/users/without-permissions', needs: 'administrator', handle: withoutPermissions },
  { method: 'POST', path: '/api/users/bulk-delete', needs: 'administrator', handle: bulkDelete },
  {
    method: 'GET',
    path: '/api/users/:user',
    needs: 'administrator',
    handle: (call) => userJson(call.broker, userOf(call)),
  },
  { method: 'PUT', path: '/api/users/:user', needs: 'administrator', handle: put },
  { method: 'DELETE', path: '/api/users/:user', needs: 'administrator', handle: remove },
  { method: 'GET', path: '/api/users/:user/permissions', needs: 'administrator', handle: permissionsOfUser },
  { method: 'GET', path: '/api/users/:user/queues', needs: 'management', handle: queuesOfUser },
  { method: 'GET', path: '/api/permissions', needs: 'administrator', handle: allPermissions },
  { method: 'GET', path: '/api/permissions/:vhost/:user', needs: 'administrator', handle: getPermission },
  { method: 'PUT', path: '/api/permissions/:vhost/:user', needs: 'administrator', handle: putPermission },
  { method: 'DELETE', path: '/api/permissions/:vhost/:user', needs: 'administrator', handle: deletePermission },
  { method: 'GET', path: '/api/auth/hash_password/:password', needs: 'administrator', handle: hash },
]

function list(call: Call) {
  return new Listing(call.broker.access.users, (user) => userJson(call.broker, user), true)
}

function withoutPermissions(call: Call) {
  const { access } = call.broker
  const granted = new Set(Array.from(access.permissions(), ({ user }) => user))
  return new Listing(
    [...access.users].filter(({ name }) => !granted.has(name)),
    (user) => userJson(call.broker, user),
    false,
  )
}

async function bulkDelete(call: Call) {
  const body = call.body()
  assertPresent(body, 'users')
  const names = textsField(body, 'users')
  // RabbitMQ refuses at the first that it does not know, and has deleted those before.
  const unknown = names.find((name) => call.broker.access.user(name) === undefined)
  if (unknown !== undefined) throw badRequest(['no_such_user', unknown])
  await durably(call.broker, () => {
    for (const name of names) call.broker.access.deleteUser(name)
  })
  return NO_CONTENT
}

async function put(call: Call) {
  const name = call.params['user'] ?? ''
  const body = call.body()
  const password = passwordOf(body)
  const tags = tagsOf(body)
  const { broker } = call
  const existing = broker.access.user(name)
  const limits = body['limits'] === undefined ? null : userLimitsOf(objectField(body, 'limits'))
  await refusable(() =>
    durably(broker, async () => {
      await broker.access.putUser(name, password, tags)
      if (limits !== null) broker.quotas.limitUser(name, limits)
    }),
  )
  await grant(call, name, body)
  return existing ? NO_CONTENT : CREATED
}

/** RabbitMQ: permissions may come along with the user. */
async function grant(call: Call, user: string, body: JsonObject): Promise<void> {
  const permissions = body['permissions']
  if (permissions === undefined) return
  if (!isObject(permissions)) throw badRequest(['not_object', 'permissions'])
  for (const [vhost, rights] of Object.entries(permissions)) {
    if (!isObject(rights)) throw badRequest(['not_object', 'permissions'])
    await permit(call, user, vhost, rights)
  }
}

/** How a body gives a password; none at all takes it away (RabbitMQ). Throws 400. */
export function passwordOf(body: JsonObject): NewPassword {
  const password = body['password'] ?? undefined
  const passwordHash = body['password_hash'] ?? undefined
  if (password !== undefined && passwordHash !== undefined) {
    throw badRequest('both_password_and_password_hash_are_provided')
  }
  if (password !== undefined) return { password: stringField(body, 'password') }
  if (passwordHash === undefined || passwordHash === '') return null
  const text = stringField(body, 'password_hash')
  if (!/^[a-z0-9+/]+={0,2}$/i.test(text)) throw badRequest(['not_base64', text])
  return { passwordHash: text, hashing: stringField(body, 'hashing_algorithm', Hashing.sha256) }
}

/** Throws 400 when they are missing or too many. */
export function tagsOf(body: JsonObject): readonly string[] {
  if (body['tags'] === undefined && body['administrator'] !== undefined) {
    return body['administrator'] === true || body['administrator'] === 'true' ? ['administrator'] : []
  }
  if (body['tags'] === undefined) throw badRequest('tags_not_present')
  const tags = wordsField(body, 'tags')
  if (tags.length > TAGS_MAX) throw badRequest(`a user has at most ${TAGS_MAX} tags`)
  return tags
}

async function remove(call: Call) {
  const { name } = userOf(call)
  await durably(call.broker, () => call.broker.access.deleteUser(name))
  return NO_CONTENT
}

function userOf(call: Call): UserDefinition {
  const user = call.broker.access.user(call.params['user'] ?? '')
  if (user === undefined) throw notFound()
  return user
}

function permissionsOfUser(call: Call) {
  const { name } = userOf(call)
  const granted = [...call.broker.access.permissions()].filter(({ user }) => user === name)
  return new Listing(granted, permissionJson, false)
}

/** The queues that a user made, as far as whoever asks may see them. */
function queuesOfUser(call: Call) {
  return new Listing(queuesMadeBy(call, call.params['user'] ?? ''), viewOf(queueColumns(call)), false)
}

function* queuesMadeBy(call: Call, user: string): Generator<Queue> {
  const { access, vhosts } = call.broker
  for (const { name, queues } of vhosts.values()) {
    if (!access.sees(call.user, name)) continue
    for (const queue of queues.values()) if (queue.user === user) yield queue
  }
}

function allPermissions(call: Call) {
  return new Listing(call.broker.access.permissions(), permissionJson, false)
}

function permissionOf(call: Call) {
  const permission = call.broker.access.permission(userOf(call).name, vhostOf(call).name)
  if (permission === undefined) throw notFound()
  return permission
}

function getPermission(call: Call) {
  return permissionJson(permissionOf(call))
}

async function putPermission(call: Call) {
  const body = call.body()
  assertPresent(body, 'configure', 'write', 'read')
  const created = await permit(call, call.params['user'] ?? '', call.params['vhost'] ?? '', body)
  return created ? CREATED : NO_CONTENT
}

/** Returns whether there was no such permission before. */
async function permit(call: Call, user: string, vhost: string, rights: JsonObject): Promise<boolean> {
  const { broker } = call
  if (broker.access.user(user) === undefined || !broker.vhosts.has(vhost)) throw badRequest('vhost_or_user_not_found')
  const existing = broker.access.permission(user, vhost)
  const [configure, write, read] = [
    stringField(rights, 'configure'),
    stringField(rights, 'write'),
    stringField(rights, 'read'),
  ]
  await refusable(() => durably(broker, () => broker.access.putPermission(user, vhost, { configure, write, read })))
  return existing === undefined
}

async function deletePermission(call: Call) {
  const { user, vhost } = permissionOf(call)
  await durably(call.broker, () => call.broker.access.deletePermission(user, vhost))
  return NO_CONTENT
}

/** RabbitMQ's own hash of a password, for those who put it into files. */
function hash(call: Call) {
  return { ok: hashRabbitPassword(call.params['password'] ?? '') }
}

/** RabbitMQ: whatever is wrong with a user or a permission is a bad request. */
async function refusable<T>(command: () => Promise<T>): Promise<T> {
  try {
    return await command()
  } catch (error) {
    if (error instanceof BrokerError) throw badRequest(error.message)
    throw error
  }
}
