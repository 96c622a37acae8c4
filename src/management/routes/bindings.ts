// Bindings, found by their two ends and their properties_key.
import type { FieldTable } from '../../core/value.ts'
import type { VHost } from '../../core/vhost.ts'
import { objectField, stringField } from '../body.ts'
import { HttpError, notAuthorised, notFound } from '../http-error.ts'
import { jsonTable } from '../json-table.ts'
import { propertiesKey } from '../properties-key.ts'
import { Listing } from '../listing.ts'
import { inSession, NO_CONTENT, Reply, targetVHost, vhostOf, type Call, type Route } from '../route.ts'
import { bindingJson, bindingTerms, defaultBinding, type BindingTerms } from '../views/topology.ts'
import { exchangeName } from './exchanges.ts'

type Kind = BindingTerms['destinationKind']

/** RabbitMQ's limit for the body of a binding. */
const BODY_BYTES_MAX = 5000

export const bindingRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/bindings', needs: 'management', handle: list },
  { method: 'GET', path: '/api/bindings/:vhost', needs: 'management', handle: listInVHost },
  ...routesTo('queue', '/api/bindings/:vhost/e/:source/q/:destination'),
  ...routesTo('exchange', '/api/bindings/:vhost/e/:source/e/:destination'),
]

function routesTo(kind: Kind, path: string): readonly Route[] {
  const needs = 'management'
  const all = (call: Call) => new Listing(between(call, kind), bindingJson, false)
  const one = (call: Call) => bindingJson(bindingOf(call, kind))
  const bodyBytesMax = BODY_BYTES_MAX
  return [
    { method: 'GET', path, needs, handle: all },
    { method: 'POST', path, needs, right: 'write', bodyBytesMax, handle: (call) => bind(call, kind) },
    { method: 'GET', path: `${path}/:properties`, needs, handle: one },
    {
      method: 'DELETE',
      path: `${path}/:properties`,
      needs,
      right: 'write',
      handle: (call) => unbind(call, kind),
    },
  ]
}

function list(call: Call) {
  return new Listing(seenBindings(call), bindingJson, false)
}

function* seenBindings({ broker: { access, vhosts }, user }: Call): Generator<BindingTerms> {
  for (const vhost of vhosts.values()) if (access.sees(user, vhost.name)) yield* bindingsIn(vhost)
}

function listInVHost(call: Call) {
  return new Listing(bindingsIn(vhostOf(call)), bindingJson, false)
}

function* bindingsIn(vhost: VHost): Generator<BindingTerms> {
  for (const queue of vhost.queues.values()) yield defaultBinding(queue)
  for (const exchange of vhost.exchanges.values()) {
    for (const binding of exchange.sourceBindings.values()) yield bindingTerms(binding, vhost.name)
  }
}

/** The bindings between the two ends of the path, both of which must exist. */
function between(call: Call, kind: Kind): readonly BindingTerms[] {
  const vhost = vhostOf(call)
  const source = vhost.exchanges.get(exchangeName(call.params['source']))
  const name = call.params['destination'] ?? ''
  const destination =
    kind === 'queue' ? vhost.queues.get(name) : vhost.exchanges.get(exchangeName(call.params['destination']))
  if (source === undefined || destination === undefined) throw notFound()
  if (source.name === '') {
    const queue = kind === 'queue' ? vhost.queues.get(name) : undefined
    return queue === undefined ? [] : [defaultBinding(queue)]
  }
  return [...source.sourceBindings.values()]
    .filter((binding) => binding.destination === destination)
    .map((binding) => bindingTerms(binding, vhost.name))
}

/** The one whose properties_key ends the path, encoded once more or not (clients do both). */
function bindingOf(call: Call, kind: Kind): BindingTerms {
  const given = call.params['properties'] ?? ''
  for (const binding of between(call, kind)) {
    const key = propertiesKey(binding.routingKey, binding.arguments)
    if (key === given || decoded(key) === given) return binding
  }
  throw notFound()
}

function decoded(key: string): string {
  return decodeURIComponent(key)
}

async function bind(call: Call, kind: Kind) {
  const vhost = targetVHost(call)
  const body = call.body()
  const source = exchangeName(call.params['source'])
  const destination = call.params['destination'] ?? ''
  const routingKey = stringField(body, 'routing_key', '')
  const args: FieldTable = jsonTable(objectField(body, 'arguments'))
  assertEnds(vhost, source, kind, destination)
  await inSession(call, vhost, (session) =>
    session.bind({ source, destinationKind: kind, destination, routingKey, arguments: args }),
  )
  const key = encodeURIComponent(propertiesKey(routingKey, args))
  return new Reply(201, undefined, { location: `${encodeURIComponent(destination)}/${key}` })
}

function assertEnds(vhost: VHost, source: string, kind: Kind, destination: string): void {
  const missing = (what: string, name: string): HttpError =>
    new HttpError(404, 'not_found', `no ${what} '${name}' in vhost '${vhost.name}'`)
  if (!vhost.exchanges.has(source)) throw missing('exchange', source)
  const there = kind === 'queue' ? vhost.queues.has(destination) : vhost.exchanges.has(destination)
  if (!there) throw missing(kind, destination)
}

async function unbind(call: Call, kind: Kind) {
  const { vhost: _vhost, ...terms } = bindingOf(call, kind)
  if (terms.source === '') throw notAuthorised('Access refused.')
  await inSession(call, vhostOf(call), (session) => session.unbind(terms))
  return NO_CONTENT
}
