// Overview, nodes, and what clients ask to find out whom they talk to.
import { stringField } from '../body.ts'
import { badRequest } from '../http-error.ts'
import { Listing } from '../listing.ts'
import {
  assertThisNode,
  clusterName,
  durably,
  inSession,
  JSON_BODY,
  NO_CONTENT,
  Text,
  vhostOf,
  type Call,
  type Route,
} from '../route.ts'
import { RABBITMQ_VERSION } from '../../lib/version.ts'
import { memoryJson, memoryWithTotal } from '../views/memory.ts'
import { nodeJson, overviewJson } from '../views/node.ts'
import { spanOf } from '../views/stats.ts'

export const overviewRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/overview', needs: 'management', handle: overviewJson },
  { method: 'GET', path: '/api/cluster-name', needs: 'management', handle: (call) => ({ name: clusterName(call) }) },
  { method: 'PUT', path: '/api/cluster-name', needs: 'administrator', handle: renameCluster },
  { method: 'GET', path: '/api/nodes', needs: 'monitoring', handle: (call) => new Listing([call], nodeJson, false) },
  { method: 'GET', path: '/api/nodes/:node', needs: 'monitoring', handle: oneNode },
  { method: 'GET', path: '/api/nodes/:node/memory', needs: 'monitoring', handle: memory },
  { method: 'GET', path: '/api/nodes/:node/memory/relative', needs: 'monitoring', handle: relativeMemory },
  { method: 'GET', path: '/api/extensions', needs: 'management', handle: () => [{ javascript: 'dispatcher.js' }] },
  { method: 'GET', path: '/api/whoami', needs: 'management', anytime: true, handle: whoami },
  { method: 'GET', path: '/api/version', needs: 'nobody', handle: () => RABBITMQ_VERSION },
  { method: 'GET', path: '/api/feature-flags', needs: 'management', handle: () => FEATURE_FLAGS },
  {
    method: 'PUT',
    path: '/api/feature-flags/:name/enable',
    needs: 'administrator',
    bodyTypes: JSON_BODY,
    handle: enableFlag,
  },
  { method: 'GET', path: '/api/deprecated-features', needs: 'management', handle: () => [] },
  { method: 'GET', path: '/api/deprecated-features/used', needs: 'management', handle: () => [] },
  // Statistics are never wrong here for having come in the wrong order, which is what RabbitMQ resets them for.
  { method: 'DELETE', path: '/api/reset', needs: 'administrator', handle: () => NO_CONTENT },
  { method: 'DELETE', path: '/api/reset/:node', needs: 'administrator', handle: resetNode },
  {
    method: 'GET',
    path: '/api/config/effective',
    needs: 'administrator',
    handle: ({ node }) => new Text(node.configuration()),
  },
  { method: 'POST', path: '/api/rebalance/queues', needs: 'administrator', handle: () => NO_CONTENT },
  { method: 'GET', path: '/api/aliveness-test/:vhost', needs: 'management', handle: aliveness },
]

/** What RabbitMQ's tools look for; all of it holds here. */
const FEATURE_FLAGS = [
  ['classic_mirrored_queue_version', 'Support setting version for classic mirrored queues'],
  ['drop_unroutable_metric', 'Count unroutable publishes to be dropped in stats'],
  ['empty_basic_get_metric', 'Count AMQP `basic.get` on empty queues in stats'],
  ['implicit_default_bindings', 'Default bindings are now implicit, instead of being stored in the database'],
  ['virtual_host_metadata', 'Virtual host metadata (description, tags, etc)'],
].map(([name, desc]) => ({
  name: name!,
  desc: desc!,
  doc_url: '',
  state: 'enabled',
  stability: 'required',
  require_level: 'hard',
  experiment_level: 'unsupported',
  callbacks: [],
  provided_by: 'rabbit',
}))

/** Messages that the aliveness test sends through a queue of this name. */
const ALIVENESS_QUEUE = 'aliveness-test'

function oneNode(call: Call) {
  assertThisNode(call)
  spanOf(call.query, 'node_stats')
  return nodeJson(call)
}

function resetNode(call: Call) {
  assertThisNode(call)
  return NO_CONTENT
}

function memory(call: Call) {
  assertThisNode(call)
  return { memory: memoryWithTotal() }
}

function relativeMemory(call: Call) {
  assertThisNode(call)
  const { rss } = process.memoryUsage()
  const shares = Object.entries(memoryJson()).map(([part, bytes]) => [part, Math.round((bytes / rss) * 100)] as const)
  return { memory: { ...Object.fromEntries(shares), total: 100 } }
}

async function renameCluster(call: Call) {
  const body = call.body()
  const name = stringField(body, 'name')
  if (name === '') throw badRequest('the name of the cluster is empty')
  await durably(call.broker, () => call.broker.parameters.renameCluster(name))
  return NO_CONTENT
}

/** Who somebody is. */
export function whoami({ user }: Pick<Call, 'user'>) {
  return { name: user.name, tags: user.tags, is_internal_user: true }
}

function enableFlag(call: Call) {
  if (!FEATURE_FLAGS.some(({ name }) => name === call.params['name'])) {
    throw badRequest('unsupported')
  }
  return NO_CONTENT
}

/** Declares a queue, publishes to it and gets the message back, as RabbitMQ's does. */
async function aliveness(call: Call) {
  const vhost = vhostOf(call)
  await inSession(call, vhost, (session) => {
    const declaration = { name: ALIVENESS_QUEUE, durable: false, exclusive: false, autoDelete: false }
    const queue = session.declareQueue({ ...declaration, arguments: new Map() })
    const message = call.broker.codec.compose('', queue.name, {}, Buffer.from('test_message'))
    session.publish(message, null, 0)
    queue.get(true)
  })
  return { status: 'ok' }
}
