// Definitions: everything that is declared, out to a file and back in (RabbitMQ's format, 3.x and 4.x).
import { assertQueueEquivalent, validateExchangeArguments, validateQueueArguments } from '../../core/arguments.ts'
import { BrokerError } from '../../core/errors.ts'
import { assertExchangeType } from '../../core/exchange/exchange-types.ts'
import type { VHost } from '../../core/vhost.ts'
import { Hashing } from '../../core/access/password.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import { booleanField, isObject, objectField, objectsField, stringField } from '../body.ts'
import { badRequest, fromBrokerError, type Json, type JsonObject } from '../http-error.ts'
import { jsonTable, tableJson } from '../json-table.ts'
import { uploaded } from '../multipart.ts'
import { durably, NO_CONTENT, Reply, vhostOf, type Call, type Route } from '../route.ts'
import { versionsJson } from '../views/node.ts'
import { bindingTerms, type BindingTerms } from '../views/topology.ts'
import { permissionJson, userJson } from '../views/users.ts'
import { passwordOf, tagsOf } from './users.ts'
import { metadata } from './vhosts.ts'

/** A file with definitions may be larger than other bodies. */
const BODY_BYTES_MAX = 50_000_000
const RESERVED_PREFIX = 'amq.'

export const definitionRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/definitions', needs: 'administrator', handle: exportAll },
  { method: 'GET', path: '/api/all-configuration', needs: 'administrator', handle: exportAll },
  {
    method: 'POST',
    path: '/api/definitions',
    needs: 'administrator',
    bodyBytesMax: BODY_BYTES_MAX,
    handle: importAll,
  },
  { method: 'GET', path: '/api/definitions/:vhost', needs: 'administrator', handle: exportVHost },
  {
    method: 'POST',
    path: '/api/definitions/:vhost',
    needs: 'administrator',
    bodyBytesMax: BODY_BYTES_MAX,
    handle: importVHost,
  },
]

function exportAll(call: Call) {
  const { broker, node } = call
  const vhosts = [...broker.vhosts.values()]
  return named(call, {
    rabbit_version: RABBITMQ_VERSION,
    ...versionsJson(),
    rabbitmq_definition_format: 'cluster',
    original_cluster_name: node.name,
    explanation: 'Definitions of every virtual host',
    users: Array.from(broker.access.users, (user) => userJson(broker, user)),
    vhosts: vhosts.map(vhostDefinition),
    permissions: Array.from(broker.access.permissions(), permissionJson),
    topic_permissions: [],
    parameters: [],
    global_parameters: [{ name: 'cluster_name', value: node.name }],
    policies: [],
    queues: vhosts.flatMap((vhost) => queues(vhost).map((queue) => ({ vhost: vhost.name, ...queue }))),
    exchanges: vhosts.flatMap((vhost) => exchanges(vhost).map((exchange) => ({ vhost: vhost.name, ...exchange }))),
    bindings: vhosts.flatMap((vhost) => bindings(vhost).map((binding) => ({ vhost: vhost.name, ...binding }))),
  })
}

function exportVHost(call: Call) {
  const vhost = call.broker.vhosts.get(call.params['vhost'] ?? '')
  // RabbitMQ: a bad request here, although importing into one that is not there is a 404.
  if (vhost === undefined) throw badRequest('vhost_not_found')
  const { description, tags } = vhost.definition
  return named(call, {
    rabbit_version: RABBITMQ_VERSION,
    ...versionsJson(),
    rabbitmq_definition_format: 'single_virtual_host',
    original_vhost_name: vhost.name,
    explanation: 'Definitions of one virtual host',
    description,
    metadata: { description, tags },
    limits: [],
    parameters: [],
    policies: [],
    queues: queues(vhost),
    exchanges: exchanges(vhost),
    bindings: bindings(vhost),
  })
}

/** As a file, when a name for it is given. */
function named(call: Call, definitions: JsonObject): Reply {
  const name = call.query['download']?.replaceAll(/[^\w.-]/g, '_')
  const headers = name === undefined ? {} : { 'content-disposition': `attachment; filename="${name}"` }
  return new Reply(200, definitions, headers)
}

function vhostDefinition(vhost: VHost): JsonObject {
  const { name, description, tags, defaultQueueType, tracing, protected: kept } = vhost.definition
  return {
    name,
    description,
    tags,
    default_queue_type: defaultQueueType ?? 'classic',
    metadata: {
      description,
      tags,
      ...(tracing ? { tracing } : {}),
      ...(kept ? { protected_from_deletion: kept } : {}),
    },
    limits: [],
  }
}

function queues(vhost: VHost): readonly JsonObject[] {
  return [...vhost.queues.values()]
    .filter((queue) => queue.owner === null)
    .map(({ name, durable, autoDelete, arguments: args }) => {
      const type = args.get('x-queue-type')
      return {
        name,
        durable,
        auto_delete: autoDelete,
        type: type?.type === 'longstr' ? type.value : 'classic',
        arguments: tableJson(args),
      }
    })
}

function exchanges(vhost: VHost): readonly JsonObject[] {
  return [...vhost.exchanges.values()]
    .filter(({ name }) => name !== '' && !name.startsWith(RESERVED_PREFIX))
    .map(({ name, type, durable, autoDelete, internal, arguments: args }) => ({
      name,
      type,
      durable,
      auto_delete: autoDelete,
      internal,
      arguments: tableJson(args),
    }))
}

function bindings(vhost: VHost): readonly JsonObject[] {
  const exclusive = ({ destinationKind, destination }: BindingTerms): boolean =>
    destinationKind === 'queue' && vhost.queues.get(destination)?.owner !== null
  return [...vhost.exchanges.values()]
    .flatMap((exchange) => Array.from(exchange.sourceBindings.values(), (one) => bindingTerms(one, vhost.name)))
    .filter((terms) => !exclusive(terms))
    .map((terms) => ({
      source: terms.source,
      destination: terms.destination,
      destination_type: terms.destinationKind,
      routing_key: terms.routingKey,
      arguments: tableJson(terms.arguments),
    }))
}

async function importAll(call: Call) {
  const { fields, redirect } = definitionsOf(call)
  for (const key of ['queues', 'exchanges', 'bindings']) {
    if (objectsField(fields, key).some((one) => typeof one['vhost'] !== 'string')) {
      throw badRequest(`a definition in ${key} names no vhost: this is a file for one vhost, not for all`)
    }
  }
  await imported(call, fields, null)
  return redirect === undefined ? NO_CONTENT : new Reply(303, undefined, { location: redirect })
}

async function importVHost(call: Call) {
  const { fields, redirect } = definitionsOf(call)
  await imported(call, fields, vhostOf(call))
  return redirect === undefined ? NO_CONTENT : new Reply(303, undefined, { location: redirect })
}

/** The file: the body itself, or a part of a form. */
function definitionsOf(call: Call): { readonly fields: JsonObject; readonly redirect: string | undefined } {
  const type = call.headers['content-type']
  if (typeof type === 'string' && type.startsWith('multipart/form-data')) return uploaded(type, call.bytes)
  return { fields: call.body(), redirect: undefined }
}

/**
 * Brings definitions in, in the order in which they need one another. What can be changed is overwritten; queues,
 * exchanges and bindings that exist stay as they are; nothing is deleted.
 */
async function imported(call: Call, fields: JsonObject, only: VHost | null): Promise<void> {
  const { broker } = call
  try {
    await durably(broker, async () => {
      if (only === null) {
        for (const user of objectsField(fields, 'users')) await importUser(call, user)
        for (const vhost of objectsField(fields, 'vhosts')) importOneVHost(call, vhost)
        for (const permission of objectsField(fields, 'permissions')) importPermission(call, permission)
      }
      const home = (one: JsonObject): VHost => only ?? vhostNamed(call, stringField(one, 'vhost'))
      for (const exchange of objectsField(fields, 'exchanges')) importExchange(home(exchange), exchange)
      for (const queue of objectsField(fields, 'queues')) importQueue(home(queue), queue)
      for (const binding of objectsField(fields, 'bindings')) importBinding(home(binding), binding)
    })
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    // RabbitMQ: whatever is wrong with a file is a bad request.
    throw error.code === 'internal-error' ? fromBrokerError(error) : badRequest(error.message)
  }
  const left = ['topic_permissions', 'parameters', 'policies'].filter((key) => objectsField(fields, key).length > 0)
  if (left.length > 0) broker.logger.warn({ sections: left }, 'definitions were imported without some sections')
}

async function importUser(call: Call, user: JsonObject): Promise<void> {
  const name = stringField(user, 'name')
  const hashing = stringField(user, 'hashing_algorithm', Hashing.sha256)
  await call.broker.access.putUser(name, passwordOf({ ...user, hashing_algorithm: hashing }), tagsOf(user))
}

function importOneVHost(call: Call, vhost: JsonObject): void {
  const name = stringField(vhost, 'name')
  const { broker } = call
  const inner: Json | undefined = vhost['metadata']
  const changes = { ...metadata(vhost), ...(isObject(inner) ? metadata(inner) : {}) }
  broker.updateVHost(broker.vhosts.get(name) ?? broker.createVHost(name, ''), changes)
}

function importPermission(call: Call, permission: JsonObject): void {
  const rights = {
    configure: stringField(permission, 'configure'),
    write: stringField(permission, 'write'),
    read: stringField(permission, 'read'),
  }
  const { name } = vhostNamed(call, stringField(permission, 'vhost'))
  call.broker.access.putPermission(stringField(permission, 'user'), name, rights)
}

function vhostNamed(call: Call, name: string): VHost {
  const vhost = call.broker.vhosts.get(name)
  if (vhost === undefined) throw badRequest(`no vhost '${name}'`)
  return vhost
}

function importExchange(vhost: VHost, exchange: JsonObject): void {
  const name = stringField(exchange, 'name')
  if (vhost.exchanges.has(name) || name.startsWith(RESERVED_PREFIX)) return
  const properties = {
    type: stringField(exchange, 'type', 'direct'),
    durable: booleanField(exchange, 'durable', true),
    autoDelete: booleanField(exchange, 'auto_delete', false),
    internal: booleanField(exchange, 'internal', false),
    arguments: jsonTable(objectField(exchange, 'arguments')),
  }
  assertExchangeType(properties.type)
  validateExchangeArguments(name, vhost.name, properties)
  vhost.addExchange(name, properties)
}

function importQueue(vhost: VHost, queue: JsonObject): void {
  const name = stringField(queue, 'name')
  const args = new Map(jsonTable(objectField(queue, 'arguments')))
  const type = queue['type']
  if (typeof type === 'string' && type !== 'classic' && !args.has('x-queue-type')) {
    args.set('x-queue-type', { type: 'longstr', value: type })
  }
  const properties = {
    name,
    durable: booleanField(queue, 'durable', true),
    autoDelete: booleanField(queue, 'auto_delete', false),
    arguments: args,
  }
  const existing = vhost.queues.get(name)
  if (existing !== undefined) {
    assertQueueEquivalent(existing, properties, vhost.name)
    return
  }
  validateQueueArguments(name, vhost.name, args)
  vhost.addQueue({ ...properties, owner: null, user: null })
}

function importBinding(vhost: VHost, binding: JsonObject): void {
  const kind = stringField(binding, 'destination_type', 'queue')
  if (kind !== 'queue' && kind !== 'exchange') throw badRequest(['destination_type', kind])
  const destination = stringField(binding, 'destination')
  const source = vhost.exchange(stringField(binding, 'source'))
  if (source.name === '') return
  const end = kind === 'queue' ? vhost.queue(destination) : vhost.exchange(destination)
  vhost.bind(source, end, stringField(binding, 'routing_key', ''), jsonTable(objectField(binding, 'arguments')))
}
