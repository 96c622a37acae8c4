// Every route of the API. A new resource is one more file and one more line here.
import type { Route } from '../route.ts'
import { bindingRoutes } from './bindings.ts'
import { connectionRoutes } from './connections.ts'
import { definitionRoutes } from './definitions.ts'
import { exchangeRoutes } from './exchanges.ts'
import { healthRoutes } from './health.ts'
import { messageRoutes } from './messages.ts'
import { operationRoutes } from './operations.ts'
import { overviewRoutes } from './overview.ts'
import { queueRoutes } from './queues.ts'
import { userRoutes } from './users.ts'
import { vhostRoutes } from './vhosts.ts'

export const routes: readonly Route[] = [
  ...overviewRoutes,
  ...vhostRoutes,
  ...userRoutes,
  ...connectionRoutes,
  ...exchangeRoutes,
  ...queueRoutes,
  ...messageRoutes,
  ...operationRoutes,
  ...bindingRoutes,
  ...definitionRoutes,
  ...healthRoutes,
]
