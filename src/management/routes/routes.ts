// Every route of the API. A new resource is one more file and one more line here.
import type { Slices } from '../../lib/slices.ts'
import type { Route } from '../route.ts'

/** Files by themselves: to load all of them at once would hold up the broker. */
type Resources = readonly (() => Promise<readonly Route[]>)[]

const RESOURCES: Resources = [
  async () => (await import('./overview.ts')).overviewRoutes,
  async () => (await import('./node.ts')).nodeRoutes,
  async () => (await import('./vhosts.ts')).vhostRoutes,
  async () => (await import('./users.ts')).userRoutes,
  async () => (await import('./exchanges.ts')).exchangeRoutes,
  async () => (await import('./queues.ts')).queueRoutes,
  async () => (await import('./messages.ts')).messageRoutes,
  async () => (await import('./delayed.ts')).delayedRoutes,
  async () => (await import('./operations.ts')).operationRoutes,
  async () => (await import('./definitions.ts')).definitionRoutes,
  async () => (await import('./traces.ts')).traceRoutes,
]

/** Those that tell nothing of what queues hold. */
const ANYTIME_RESOURCES: Resources = [
  async () => (await import('./auth.ts')).authRoutes,
  async () => (await import('./topic-permissions.ts')).topicPermissionRoutes,
  async () => (await import('./limits.ts')).limitRoutes,
  async () => (await import('./policies.ts')).policyRoutes,
  async () => (await import('./parameters.ts')).parameterRoutes,
  async () => (await import('./connections.ts')).connectionRoutes,
  async () => (await import('./bindings.ts')).bindingRoutes,
  async () => (await import('./health.ts')).healthRoutes,
  async () => (await import('./plugins.ts')).pluginRoutes,
]

/** Loads the routes, a file in each slice. */
export async function loadRoutes(slices: Slices): Promise<readonly Route[]> {
  const routes: Route[] = []
  for (const load of RESOURCES) {
    await slices.next()
    routes.push(...(await load()))
  }
  for (const load of ANYTIME_RESOURCES) {
    await slices.next()
    for (const route of await load()) routes.push({ ...route, anytime: true })
  }
  return routes
}
