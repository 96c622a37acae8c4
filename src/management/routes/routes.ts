// Every route of the API. A new resource is one more file and one more line here.
import type { Route } from '../route.ts'
import { authRoutes } from './auth.ts'
import { bindingRoutes } from './bindings.ts'
import { connectionRoutes } from './connections.ts'
import { definitionRoutes } from './definitions.ts'
import { delayedRoutes } from './delayed.ts'
import { exchangeRoutes } from './exchanges.ts'
import { healthRoutes } from './health.ts'
import { limitRoutes } from './limits.ts'
import { messageRoutes } from './messages.ts'
import { operationRoutes } from './operations.ts'
import { overviewRoutes } from './overview.ts'
import { parameterRoutes } from './parameters.ts'
import { pluginRoutes } from './plugins.ts'
import { policyRoutes } from './policies.ts'
import { queueRoutes } from './queues.ts'
import { topicPermissionRoutes } from './topic-permissions.ts'
import { userRoutes } from './users.ts'
import { vhostRoutes } from './vhosts.ts'

export const routes: readonly Route[] = [
  ...overviewRoutes,
  ...vhostRoutes,
  ...userRoutes,
  ...authRoutes,
  ...topicPermissionRoutes,
  ...limitRoutes,
  ...policyRoutes,
  ...parameterRoutes,
  ...connectionRoutes,
  ...exchangeRoutes,
  ...queueRoutes,
  ...messageRoutes,
  ...delayedRoutes,
  ...operationRoutes,
  ...bindingRoutes,
  ...definitionRoutes,
  ...healthRoutes,
  ...pluginRoutes,
]
