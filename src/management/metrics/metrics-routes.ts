// The endpoints that Prometheus scrapes.
import { Pattern, QUERY_STEPS } from '../../lib/pattern.ts'
import { PatternError } from '../../lib/pattern/parse.ts'
import { badRequest } from '../http-error.ts'
import { EXPRESSION_LENGTH_MAX } from '../listing.ts'
import { queuesIn } from '../queue-figures.ts'
import { TextStream, type Call, type Route } from '../route.ts'
import { expositionOf, expositionText, type Metric } from './exposition.ts'
import { clusterFamilies, everyObject, objectFamilies, queuesNamed, Scope } from './objects.ts'
import { globalMetrics, objectCounts } from './messages.ts'
import { ownMetrics, ownObjectMetrics } from './own.ts'
import {
  churnMetrics,
  identity,
  loginMetrics,
  loginSourceMetrics,
  memoryMetrics,
  nodeFamilies,
  nodeMetrics,
} from './totals.ts'

const TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const PREFIX = 'rabbitmq_'
const OWN_PREFIX = 'leveret_'

/** The routes, for those with this tag; on a port of their own they are for everybody, as RabbitMQ's. */
export function metricsRoutes(needs: 'monitoring' | 'nobody', path = '/metrics'): readonly Route[] {
  const below = path.replace(/\/$/, '')
  return [
    { method: 'GET', path: below === '' ? '/' : below, needs, handle: plain },
    { method: 'GET', path: `${below}/per-object`, needs, handle: perObject },
    { method: 'GET', path: `${below}/detailed`, needs, handle: (call) => detailed(call, needs !== 'nobody') },
    { method: 'GET', path: `${below}/memory-breakdown`, needs, handle: memoryBreakdown },
  ]
}

/** RabbitMQ: sums, or a series for each object where that is set. */
function plain(call: Call): TextStream {
  return call.node.metricsPerObject ? perObject(call) : aggregated(call)
}

/** What is counted for each object was summed up with the last sample: this is written at once. */
function aggregated(call: Call): TextStream {
  const metrics = joined(
    identity(call, 'aggregated'),
    nodeMetrics(call),
    churnMetrics(call),
    loginMetrics(call),
    objectCounts(call),
    globalMetrics(call),
  )
  return new TextStream(TYPE, expositionOf(metrics, PREFIX) + expositionOf(ownMetrics(call), OWN_PREFIX))
}

function perObject(call: Call): TextStream {
  const scope = new Scope(call.broker)
  const metrics = joined(
    identity(call, 'per-object'),
    nodeMetrics(call),
    churnMetrics(call),
    loginMetrics(call),
    // A name is given to series of objects, or to their sum.
    once(joined(everyObject(scope), objectCounts(call))),
    globalMetrics(call),
  )
  const own = joined(ownMetrics(call), ownObjectMetrics(call, scope))
  return new TextStream(
    TYPE,
    together(expositionText(metrics, PREFIX, call.slices), expositionText(own, OWN_PREFIX, call.slices)),
  )
}

function memoryBreakdown(call: Call): TextStream {
  const metrics = joined(memoryMetrics(), identity(call, 'memory-breakdown'))
  return new TextStream(TYPE, expositionOf(metrics, PREFIX))
}

/**
 * Only the families that are asked for, of the vhosts and queues that are asked for. Names that somebody gave at a login
 * are for those who log in themselves: RabbitMQ has none unless it is told to.
 */
async function detailed(call: Call, known: boolean): Promise<TextStream> {
  const scope = await scopeOf(call)
  const asked = new Set(call.all('family'))
  const node = [...nodeFamilies].filter(([name]) => asked.has(name)).map(([, family]) => family(call))
  const object = [...objectFamilies].filter(([name]) => asked.has(name)).map(([, family]) => family(scope))
  const cluster = [...clusterFamilies].filter(([name]) => asked.has(name)).map(([, family]) => family(scope))
  return new TextStream(
    TYPE,
    together(
      expositionText(
        joined(
          ...(asked.has('connection_churn_metrics') ? [churnMetrics(call)] : []),
          ...(asked.has('auth_attempt_metrics') ? [loginMetrics(call)] : []),
          ...(known && asked.has('auth_attempt_detailed_metrics') ? [loginSourceMetrics(call)] : []),
          ...node,
          once(joined(...object)),
        ),
        `${PREFIX}detailed_`,
        call.slices,
      ),
      expositionText(joined(...cluster), `${PREFIX}cluster_`, call.slices),
      expositionText(identity(call, 'detailed'), PREFIX, call.slices),
    ),
  )
}

/** Throws 400 for an expression that cannot be used, or takes too long. */
async function scopeOf(call: Call): Promise<Scope> {
  const { broker, slices } = call
  const vhosts = call.all('vhost')
  const wanted = vhosts.length === 0 ? null : new Set(vhosts)
  const everything = new Scope(broker, wanted)
  const [expression] = call.all('queue')
  if (expression === undefined) return everything
  if (expression.length > EXPRESSION_LENGTH_MAX) throw badRequest('the expression is too long')
  const queues = queuesIn(everything.vhosts)
  try {
    return new Scope(broker, wanted, await queuesNamed(queues, new Pattern(expression, QUERY_STEPS), slices))
  } catch (error) {
    if (error instanceof PatternError) throw badRequest(error.message)
    throw error
  }
}

function* joined(...groups: readonly Iterable<Metric>[]): Generator<Metric> {
  for (const group of groups) yield* group
}

/** Two families may have a metric in common; it may be written once. */
function* once(metrics: Iterable<Metric>): Generator<Metric> {
  const written = new Set<string>()
  for (const metric of metrics) {
    if (written.has(metric.name)) continue
    written.add(metric.name)
    yield metric
  }
}

async function* together(...texts: readonly AsyncIterable<string>[]): AsyncGenerator<string> {
  for (const text of texts) yield* text
}
