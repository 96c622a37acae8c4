// Health checks: 200 with `ok`, or 503 with what is wrong.
import type { JsonObject } from '../http-error.ts'
import { badRequest } from '../http-error.ts'
import {
  assertThisNode,
  Reply,
  vhostOf,
  type Call,
  type CertificateFacts,
  type ListenerFacts,
  type Route,
} from '../route.ts'

const CHECKS = '/api/health/checks'
const OK = { status: 'ok' } as const
const ALONE = { status: 'ok', reason: 'single node cluster' } as const

/** RabbitMQ's other names for protocols. */
const ALIASES: { readonly [name: string]: string } = {
  amqp091: 'amqp',
  'amqp0.9.1': 'amqp',
  'amqp/ssl': 'amqps',
  prometheus: 'http/prometheus',
}

export const healthRoutes: readonly Route[] = [
  { method: 'GET', path: `${CHECKS}/alarms`, needs: 'management', handle: alarms },
  { method: 'GET', path: `${CHECKS}/local-alarms`, needs: 'management', handle: alarms },
  { method: 'GET', path: `${CHECKS}/metadata-store/initialized`, needs: 'management', handle: () => OK },
  { method: 'GET', path: `${CHECKS}/metadata-store/initialized/with-data`, needs: 'management', handle: () => OK },
  { method: 'GET', path: `${CHECKS}/certificate-expiration/:within/:unit`, needs: 'management', handle: certificates },
  { method: 'GET', path: `${CHECKS}/port-listener/:port`, needs: 'management', handle: portListener },
  { method: 'GET', path: `${CHECKS}/protocol-listener/:protocols`, needs: 'management', handle: protocolListener },
  { method: 'GET', path: `${CHECKS}/virtual-hosts`, needs: 'management', handle: () => OK },
  { method: 'GET', path: `${CHECKS}/node-is-mirror-sync-critical`, needs: 'management', handle: () => ALONE },
  { method: 'GET', path: `${CHECKS}/node-is-quorum-critical`, needs: 'management', handle: () => ALONE },
  {
    method: 'GET',
    path: `${CHECKS}/quorum-queues-without-elected-leaders/all-vhosts`,
    needs: 'management',
    handle: () => OK,
  },
  {
    method: 'GET',
    path: `${CHECKS}/quorum-queues-without-elected-leaders/vhost/:vhost`,
    needs: 'management',
    handle: (call) => vhostOf(call) && OK,
  },
  {
    method: 'GET',
    path: `${CHECKS}/quorum-queues-without-elected-leaders/all-vhosts/pattern/:pattern`,
    needs: 'management',
    handle: () => OK,
  },
  {
    method: 'GET',
    path: `${CHECKS}/quorum-queues-without-elected-leaders/vhost/:vhost/pattern/:pattern`,
    needs: 'management',
    handle: (call) => vhostOf(call) && OK,
  },
  { method: 'GET', path: `${CHECKS}/is-in-service`, needs: 'nobody', handle: () => OK },
  { method: 'GET', path: `${CHECKS}/ready-to-serve-clients`, needs: 'nobody', handle: () => OK },
  { method: 'GET', path: `${CHECKS}/below-node-connection-limit`, needs: 'nobody', handle: connectionLimit },
  { method: 'GET', path: `${CHECKS}/reached-target-cluster-size`, needs: 'nobody', handle: () => OK },
  { method: 'GET', path: '/api/healthchecks/node', needs: 'management', handle: alarms },
  { method: 'GET', path: '/api/healthchecks/node/:node', needs: 'management', handle: nodeAlarms },
  { method: 'GET', path: '/livez', needs: 'nobody', handle: () => OK },
  { method: 'GET', path: '/readyz', needs: 'nobody', handle: readiness },
]

function failed(reason: string, facts: JsonObject): Reply {
  return new Reply(503, { status: 'failed', reason, ...facts })
}

function alarms(call: Call) {
  const raised = (['memory', 'disk'] as const).filter((alarm) => call.broker.alarms.causes(alarm).size > 0)
  if (raised.length === 0) return OK
  return failed('There are alarms in effect in the cluster', {
    alarms: raised.map((resource) => ({ resource, node: call.node.name })),
  })
}

function nodeAlarms(call: Call) {
  assertThisNode(call)
  return alarms(call)
}

function connectionLimit({ broker }: Call) {
  return broker.quotas.full ? failed('node connection limit is reached', {}) : OK
}

/** Whether publishes are accepted. It tells strangers no more than that. */
function readiness(call: Call) {
  return call.broker.alarms.reason === '' ? OK : failed('publishers are blocked', {})
}

/** Seconds. RabbitMQ's months are a twelfth of its years. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ['days', 86_400],
  ['weeks', 7 * 86_400],
  ['months', (365 / 12) * 86_400],
  ['years', 365 * 86_400],
])

function certificates(call: Call) {
  const unit = UNITS.get((call.params['unit'] ?? '').toLowerCase())
  if (unit === undefined) throw badRequest('Time unit not recognised. Supported units: days, weeks, months, years.')
  const within = call.params['within'] ?? ''
  if (!/^\d{1,9}$/.test(within)) throw badRequest('Invalid expiration value.')
  const limit = call.clock.now() + Number(within) * unit * 1000
  const expired = call.node.listeners.flatMap((listener) => expiring(call, listener, limit))
  return expired.length === 0 ? OK : failed('Certificates expiring', { expired })
}

/** What is told of a listener if one of its certificates ends before `limit`. */
function expiring(call: Call, listener: ListenerFacts, limit: number): JsonObject[] {
  const used = listener.certificates?.() ?? []
  const ends = (role: CertificateFacts['role']): string[] =>
    used.filter((one) => one.role === role && one.validTo < limit).map(({ validTo }) => date(validTo))
  const file = (role: CertificateFacts['role']): string => used.find((one) => one.role === role)?.file ?? ''
  const [own, authorities] = [ends('own'), ends('authority')]
  if (own.length + authorities.length === 0) return []
  const facts = {
    node: call.node.name,
    protocol: listener.protocol,
    interface: listener.address,
    port: listener.port,
    certfile: file('own'),
    cacertfile: file('authority'),
    certfile_expires_on: own,
    cacertfile_expires_on: authorities,
  }
  return [facts]
}

/** As RabbitMQ writes it: the hour without a leading zero. */
function date(time: number): string {
  return new Date(time).toISOString().slice(0, 19).replace(/T0?/, ' ')
}

function portListener(call: Call) {
  const text = call.params['port'] ?? ''
  if (!/^\d{1,9}$/.test(text)) throw badRequest('Invalid port')
  const port = Number(text)
  const ports = call.node.listeners.map((listener) => listener.port)
  if (ports.includes(port)) return { status: 'ok', port }
  return failed('No active listener', { missing: port, ports })
}

function protocolListener(call: Call) {
  const asked = call.params['protocols'] ?? ''
  const protocols = call.node.listeners.map((listener) => listener.protocol)
  const missing = asked
    .split(',')
    .filter((name) => !protocols.includes(ALIASES[name.toLowerCase()] ?? name.toLowerCase()))
  if (missing.length === 0) return { status: 'ok', protocol: asked }
  return failed('No active listener', { missing: missing.join(','), protocols })
}
