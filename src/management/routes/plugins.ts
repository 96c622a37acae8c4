// What RabbitMQ's plugins for shovels, federation and streams answer, where there is none of it: what is set, and that it
// does not run.
import { notFound, type JsonObject } from '../http-error.ts'
import { Listing } from '../listing.ts'
import { durably, NO_CONTENT, vhostOf, type Call, type Route } from '../route.ts'
import { INERT } from '../inert-components.ts'

const ONE_SHOVEL = '/api/shovels/vhost/:vhost/:name'

export const pluginRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/shovels', needs: 'monitoring', handle: shovels },
  { method: 'GET', path: '/api/shovels/:vhost', needs: 'monitoring', handle: shovelsInVHost },
  { method: 'GET', path: ONE_SHOVEL, needs: 'monitoring', handle: (call) => shovelJson(call, shovelAt(call)) },
  { method: 'DELETE', path: ONE_SHOVEL, needs: 'policymaker', handle: removeShovel },
  { method: 'DELETE', path: `${ONE_SHOVEL}/restart`, needs: 'policymaker', handle: (call) => restart(call) },
  { method: 'GET', path: '/api/federation-links', needs: 'monitoring', handle: () => [] },
  { method: 'GET', path: '/api/federation-links/state/down', needs: 'monitoring', handle: () => [] },
  { method: 'GET', path: '/api/federation-links/:vhost', needs: 'monitoring', handle: noneInVHost },
  { method: 'GET', path: '/api/federation-links/:vhost/state/down', needs: 'monitoring', handle: noneInVHost },
  ...noStreams('/api/stream/connections'),
  ...noStreams('/api/stream/publishers'),
  ...noStreams('/api/stream/consumers'),
]

/** Nobody speaks the protocol of streams. */
function noStreams(path: string): readonly Route[] {
  return [
    { method: 'GET', path, needs: 'management', handle: () => [] },
    { method: 'GET', path: `${path}/:vhost`, needs: 'management', handle: noneInVHost },
  ]
}

interface Shovel {
  readonly vhost: string
  readonly name: string
}

function shovelsOf(call: Call): readonly Shovel[] {
  return [...call.broker.parameters.all].filter(({ component }) => component === 'shovel')
}

function shovels(call: Call) {
  return new Listing(shovelsOf(call), (shovel) => shovelJson(call, shovel), false)
}

function shovelsInVHost(call: Call) {
  const { name } = vhostOf(call)
  const inside = shovelsOf(call).filter(({ vhost }) => vhost === name)
  return new Listing(inside, (shovel) => shovelJson(call, shovel), false)
}

function shovelAt(call: Call): Shovel {
  const shovel = call.broker.parameters.get(vhostOf(call).name, 'shovel', call.params['name'] ?? '')
  if (shovel === undefined) throw notFound()
  return shovel
}

function shovelJson(call: Call, { vhost, name }: Shovel): JsonObject {
  return { node: call.node.name, name, vhost, type: 'dynamic', state: 'terminated', reason: `the shovel ${INERT}` }
}

async function removeShovel(call: Call) {
  const { vhost, name } = shovelAt(call)
  await durably(call.broker, () => call.broker.parameters.delete(vhost, 'shovel', name))
  return NO_CONTENT
}

/** RabbitMQ: what does not run cannot be started again. */
function restart(call: Call): never {
  vhostOf(call)
  throw notFound()
}

function noneInVHost(call: Call) {
  vhostOf(call)
  return []
}
