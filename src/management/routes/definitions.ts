// Definitions: everything that is declared, out to a file and back in (RabbitMQ's format, 3.x and 4.x).
import type { VHost } from '../../core/vhost.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import { badRequest, type JsonObject } from '../http-error.ts'
import { importDefinitions } from '../import-definitions.ts'
import { tableJson } from '../json-table.ts'
import { uploaded } from '../multipart.ts'
import { NO_CONTENT, Reply, vhostOf, type Call, type Route } from '../route.ts'
import { versionsJson } from '../views/node.ts'
import { bindingTerms, type BindingTerms } from '../views/topology.ts'
import { permissionJson, userJson } from '../views/users.ts'

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
  await importDefinitions(call.broker, fields, null)
  return redirect === undefined ? NO_CONTENT : new Reply(303, undefined, { location: redirect })
}

async function importVHost(call: Call) {
  const { fields, redirect } = definitionsOf(call)
  await importDefinitions(call.broker, fields, vhostOf(call))
  return redirect === undefined ? NO_CONTENT : new Reply(303, undefined, { location: redirect })
}

/** The file: the body itself, or a part of a form. */
function definitionsOf(call: Call): { readonly fields: JsonObject; readonly redirect: string | undefined } {
  const type = call.headers['content-type']
  if (typeof type === 'string' && type.startsWith('multipart/form-data')) return uploaded(type, call.bytes)
  return { fields: call.body(), redirect: undefined }
}
