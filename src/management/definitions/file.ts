// What is declared, as RabbitMQ's definitions file has it.
import { createHash } from 'node:crypto'
import { queueTypeOf } from '../../core/arguments.ts'
import type { Broker } from '../../core/broker.ts'
import type { VHost } from '../../core/vhost.ts'
import type { Slices } from '../../lib/slices.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import type { Json, JsonObject } from '../http-error.ts'
import { tableJson } from '../json-table.ts'
import { clusterName, type Call } from '../route.ts'
import { parametersOf } from '../views/parameters.ts'
import { versionsJson } from '../views/node.ts'
import { globalParameterJson, parameterJson, policyJson, vhostLimitsJson } from '../views/policies.ts'
import { bindingTerms, type BindingTerms } from '../views/topology.ts'
import { permissionJson, topicPermissionJson, userJson } from '../views/users.ts'

export const RESERVED_PREFIX = 'amq.'
/** RabbitMQ: global parameters with such names are the cluster's own, and do not travel. */
export const INTERNAL_PREFIX = 'internal'

/** Rows that are made between two looks at the clock. */
const ROWS_AT_ONCE = 16

/** Keys of a file, in their order: a value, or the rows of a list. */
type Sections = Iterable<readonly [key: string, value: Json | Iterable<JsonObject>]>

/** The file, in pieces, and what tells one state of it from another. */
export interface File {
  readonly pieces: readonly string[]
  readonly etag: string
}

/** Writes a file in slices, so that a large one does not hold up the broker. */
export async function fileOf(sections: Sections, slices: Slices): Promise<File> {
  const pieces: string[] = []
  const hash = createHash('sha1')
  let rows = 0
  let text = '{'
  await slices.next()
  for (const [key, value] of sections) {
    text += `${text === '{' && pieces.length === 0 ? '' : ','}${JSON.stringify(key)}:`
    if (!isRows(value)) {
      text += JSON.stringify(value)
      continue
    }
    text += '['
    let first = true
    for (const row of value) {
      text += `${first ? '' : ','}${JSON.stringify(row)}`
      first = false
      if (++rows % ROWS_AT_ONCE !== 0 || !slices.over) continue
      keep()
      await slices.next()
    }
    text += ']'
  }
  text += '}'
  keep()
  return { pieces, etag: `"${hash.digest('base64url')}"` }

  function keep(): void {
    hash.update(text)
    pieces.push(text)
    text = ''
  }
}

function isRows(value: Json | Iterable<JsonObject>): value is Iterable<JsonObject> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

/** Everything in the broker. */
export function* allSections(call: Call): Sections {
  const { broker } = call
  const vhosts = [...broker.vhosts.values()]
  yield* headOf('cluster')
  yield ['original_cluster_name', clusterName(call)]
  yield ['explanation', 'Definitions of every virtual host']
  yield ['users', Array.from(broker.access.users, (user) => userJson(broker, user))]
  yield ['vhosts', vhosts.map((vhost) => vhostJson(call, vhost))]
  yield ['permissions', Array.from(broker.access.permissions(), permissionJson)]
  yield ['topic_permissions', Array.from(broker.access.topicPermissions(), topicPermissionJson)]
  yield ['parameters', vhosts.flatMap((vhost) => parametersOf(broker, vhost).map(parameterJson))]
  const globals = [...broker.parameters.globals].filter(({ name }) => !name.startsWith(INTERNAL_PREFIX))
  yield ['global_parameters', globals.map(globalParameterJson)]
  yield ['policies', vhosts.flatMap(({ name }) => broker.policies.list(name, false).map(policyJson))]
  yield ['queues', ofEach(vhosts, queues)]
  yield ['exchanges', ofEach(vhosts, exchanges)]
  yield ['bindings', ofEach(vhosts, bindings)]
}

/** What is in one vhost. */
export function* vhostSections({ broker }: Call, vhost: VHost): Sections {
  const { name } = vhost
  yield* headOf('single_virtual_host')
  yield ['original_vhost_name', name]
  yield ['explanation', 'Definitions of one virtual host']
  yield ['description', vhost.definition.description]
  yield ['metadata', metadataJson(broker, vhost)]
  yield ['limits', vhostLimitsJson(broker.quotas.limitsOfVHost(name) ?? {})]
  yield ['parameters', parametersOf(broker, vhost).map(parameterJson).map(withoutVHost)]
  yield ['policies', broker.policies.list(name, false).map(policyJson).map(withoutVHost)]
  yield ['queues', queues(vhost)]
  yield ['exchanges', exchanges(vhost)]
  yield ['bindings', bindings(vhost)]
}

function* headOf(format: string): Sections {
  yield ['rabbit_version', RABBITMQ_VERSION]
  yield* Object.entries(versionsJson()) as [string, string][]
  yield ['rabbitmq_definition_format', format]
}

function withoutVHost({ vhost: _vhost, ...rest }: JsonObject): JsonObject {
  return rest
}

function vhostJson({ broker }: Call, vhost: VHost): JsonObject {
  const { name, description, tags } = vhost.definition
  return {
    name,
    description,
    tags,
    default_queue_type: broker.defaultQueueType(vhost),
    metadata: metadataJson(broker, vhost),
    limits: vhostLimitsJson(broker.quotas.limitsOfVHost(name) ?? {}),
  }
}

function metadataJson(broker: Broker, vhost: VHost): JsonObject {
  const { description, tags, tracing, protected: kept } = vhost.definition
  return {
    description,
    tags,
    default_queue_type: broker.defaultQueueType(vhost),
    ...(tracing === true ? { tracing } : {}),
    ...(kept === true ? { protected_from_deletion: kept } : {}),
  }
}

function* ofEach(vhosts: readonly VHost[], rows: (vhost: VHost) => Iterable<JsonObject>): Iterable<JsonObject> {
  for (const vhost of vhosts) for (const row of rows(vhost)) yield { vhost: vhost.name, ...row }
}

function* queues(vhost: VHost): Iterable<JsonObject> {
  for (const { name, durable, autoDelete, owner, arguments: args } of vhost.queues.values()) {
    if (owner !== null) continue
    const type = queueTypeOf(args)
    yield {
      name,
      durable,
      auto_delete: autoDelete,
      type,
      // RabbitMQ 4: among the arguments too, so that no other default applies where the file is imported.
      arguments: { ...tableJson(args), 'x-queue-type': type },
    }
  }
}

function* exchanges(vhost: VHost): Iterable<JsonObject> {
  for (const { name, type, durable, autoDelete, internal, arguments: args } of vhost.exchanges.values()) {
    if (name === '' || name.startsWith(RESERVED_PREFIX)) continue
    yield { name, type, durable, auto_delete: autoDelete, internal, arguments: tableJson(args) }
  }
}

function* bindings(vhost: VHost): Iterable<JsonObject> {
  const exclusive = ({ destinationKind, destination }: BindingTerms): boolean =>
    destinationKind === 'queue' && vhost.queues.get(destination)?.owner !== null
  for (const exchange of vhost.exchanges.values()) {
    for (const binding of exchange.sourceBindings.values()) {
      const terms = bindingTerms(binding, vhost.name)
      if (exclusive(terms)) continue
      yield {
        source: terms.source,
        destination: terms.destination,
        destination_type: terms.destinationKind,
        routing_key: terms.routingKey,
        arguments: tableJson(terms.arguments),
      }
    }
  }
}
