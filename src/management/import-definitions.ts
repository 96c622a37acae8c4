// Brings definitions in: RabbitMQ's format, 3.x and 4.x.
import { Hashing } from '../core/access/password.ts'
import { assertQueueEquivalent, validateExchangeArguments, validateQueueArguments } from '../core/arguments.ts'
import type { Broker } from '../core/broker.ts'
import { BrokerError } from '../core/errors.ts'
import { assertExchangeType } from '../core/exchange/exchange-types.ts'
import type { VHost } from '../core/vhost.ts'
import { booleanField, isObject, objectField, objectsField, stringField } from './body.ts'
import { badRequest, fromBrokerError, type Json, type JsonObject } from './http-error.ts'
import { jsonTable } from './json-table.ts'
import { durably } from './route.ts'
import { passwordOf, tagsOf } from './routes/users.ts'
import { metadata } from './routes/vhosts.ts'

const RESERVED_PREFIX = 'amq.'

/**
 * Brings definitions in, in the order in which they need one another. What can be changed is overwritten; queues,
 * exchanges and bindings that exist stay as they are; nothing is deleted.
 * @throws HttpError 400: what is wrong with the file
 */
export async function importDefinitions(broker: Broker, fields: JsonObject, only: VHost | null): Promise<void> {
  if (only === null) assertVHostsNamed(fields)
  try {
    await durably(broker, async () => {
      if (only === null) {
        for (const user of objectsField(fields, 'users')) await importUser(broker, user)
        for (const vhost of objectsField(fields, 'vhosts')) importVHost(broker, vhost)
        for (const permission of objectsField(fields, 'permissions')) importPermission(broker, permission)
      }
      const home = (one: JsonObject): VHost => only ?? vhostNamed(broker, stringField(one, 'vhost'))
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

function assertVHostsNamed(fields: JsonObject): void {
  for (const key of ['queues', 'exchanges', 'bindings']) {
    if (objectsField(fields, key).some((one) => typeof one['vhost'] !== 'string')) {
      throw badRequest(`a definition in ${key} names no vhost: this is a file for one vhost, not for all`)
    }
  }
}

async function importUser(broker: Broker, user: JsonObject): Promise<void> {
  const name = stringField(user, 'name')
  const hashing = stringField(user, 'hashing_algorithm', Hashing.sha256)
  await broker.access.putUser(name, passwordOf({ ...user, hashing_algorithm: hashing }), tagsOf(user))
}

function importVHost(broker: Broker, vhost: JsonObject): void {
  const name = stringField(vhost, 'name')
  const inner: Json | undefined = vhost['metadata']
  const changes = { ...metadata(vhost), ...(isObject(inner) ? metadata(inner) : {}) }
  broker.updateVHost(broker.vhosts.get(name) ?? broker.createVHost(name, ''), changes)
}

function importPermission(broker: Broker, permission: JsonObject): void {
  const rights = {
    configure: stringField(permission, 'configure'),
    write: stringField(permission, 'write'),
    read: stringField(permission, 'read'),
  }
  const { name } = vhostNamed(broker, stringField(permission, 'vhost'))
  broker.access.putPermission(stringField(permission, 'user'), name, rights)
}

function vhostNamed(broker: Broker, name: string): VHost {
  const vhost = broker.vhosts.get(name)
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
