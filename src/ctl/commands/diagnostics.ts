// What rabbitmq-diagnostics asks, as far as it means something here.
import { once } from 'node:events'
import { connect } from 'node:net'
import { getCiphers } from 'node:tls'
import { CtlError, CtlExit, type ApiClient, type Row } from '../client.ts'
import { command, list, silent, textOption, type Commands, type Context } from '../command.ts'

/** A port that is listened on, as the overview has it. */
interface Listener {
  readonly protocol: string
  readonly port: number
}

/** After so long a port that does not answer is taken for closed, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5000
/** RabbitMQ: certificates are looked at four weeks ahead. */
const WITHIN_DEFAULT = '4'
const UNIT_DEFAULT = 'weeks'

export const diagnosticCommands: Commands = {
  cluster_status: command('', 'The node, what it listens on, and its alarms', 0, async ({ api }) => {
    const overview = await overviewOf(api)
    const listeners = (overview['listeners'] as readonly Listener[]).map(({ protocol, port }) => `${protocol} ${port}`)
    const facts = {
      cluster_name: overview['cluster_name'],
      running_nodes: [overview['node']],
      disk_nodes: [overview['node']],
      versions: { [String(overview['node'])]: overview['leveret_version'] },
      alarms: (await alarmsOf(api)).map(({ resource }) => resource),
      listeners,
    }
    return { columns: ['what', 'value'], rows: Object.entries(facts).map(([what, value]) => ({ what, value })) }
  }),
  alarms: command('', 'The alarms that stand', 0, async ({ api }) => ({
    columns: ['resource', 'node'],
    rows: await alarmsOf(api),
  })),
  is_running: command('', 'Whether the broker serves; fails when it does not', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'is-in-service'])
    return 'The broker is running'
  }),
  check_protocol_listener: command('PROTOCOL', 'Fails when a protocol is not listened for', [1, 1], async (context) => {
    const [protocol = ''] = context.words
    await context.api.call('GET', ['health', 'checks', 'protocol-listener', protocol])
    return `${protocol} is listened for`
  }),
  check_port_connectivity: command('', 'Fails when a port of the broker cannot be reached from here', 0, connectivity),
  check_certificate_expiration: command(
    '[--within NUMBER] [--unit days|weeks|months|years]',
    'Fails when a certificate ends soon',
    0,
    async ({ api, options }) => {
      const within = textOption(options, 'within') ?? WITHIN_DEFAULT
      const unit = textOption(options, 'unit') ?? UNIT_DEFAULT
      await api.call('GET', ['health', 'checks', 'certificate-expiration', within, unit])
      return `No certificate ends within ${within} ${unit}`
    },
  ),
  check_if_node_is_quorum_critical: command('', 'Fails when queues need this node', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'node-is-quorum-critical'])
    return 'No queue depends on this node alone to keep a quorum: there is one node'
  }),
  check_if_node_is_mirror_sync_critical: command('', 'Fails when queues need this node', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'node-is-mirror-sync-critical'])
    return 'No queue depends on this node alone: there is one node'
  }),
  check_for_quorum_queues_without_an_elected_leader: command(
    '',
    'Fails when a quorum queue has none',
    0,
    async (context) => {
      await context.api.call('GET', ['health', 'checks', 'is-in-service'])
      return 'Every quorum queue has a leader: there is one node'
    },
  ),
  list_unresponsive_queues: command('', 'Queues that do not answer: none, if the broker does', 0, async (context) => {
    await context.api.call('GET', ['queues', context.vhost], undefined, {}, { page: '1', page_size: '1' })
    return { columns: ['name'], rows: [] }
  }),
  tls_versions: command('', 'List the versions of TLS that can be spoken', 0, () =>
    Promise.resolve({ columns: ['version'], rows: [{ version: 'tlsv1.3' }, { version: 'tlsv1.2' }] }),
  ),
  memory_breakdown: command('', 'Where the memory goes, in bytes', 0, async ({ api }) => {
    const { memory } = (await api.call('GET', ['nodes', await nodeOf(api), 'memory'])) as { readonly memory: Row }
    const parts = Object.entries(memory).filter(([, bytes]) => typeof bytes === 'number' && bytes > 0)
    return { columns: ['part', 'bytes'], rows: parts.map(([part, bytes]) => ({ part, bytes })) }
  }),
  environment: command('', 'The settings that hold, and where each comes from', 0, async ({ api }) => {
    return String(await api.call('GET', ['config', 'effective']))
  }),
  // The broker is the same program, and has them from the same OpenSSL.
  cipher_suites: command('[--all]', "List the cipher suites that TLS knows here, by OpenSSL's names", 0, async () => ({
    columns: ['suite'],
    rows: getCiphers().map((suite) => ({ suite: suite.toUpperCase() })),
  })),
  server_version: command('', 'The version of RabbitMQ that clients are told', 0, async ({ api }) => {
    return String((await overviewOf(api))['rabbitmq_version'])
  }),
  list_node_auth_attempt_stats: command('', 'How often logins were tried, by protocol', 0, async ({ api }) => ({
    columns: ['protocol', 'auth_attempts', 'auth_attempts_failed', 'auth_attempts_succeeded'],
    rows: await api.rows('auth', 'attempts', await nodeOf(api)),
  })),
  reset_node_auth_attempt_metrics: command('', 'Count them anew', 0, async ({ api }) => {
    await api.call('DELETE', ['auth', 'attempts', await nodeOf(api)])
  }),
  enable_feature_flag: command('NAME|all', 'Enable a feature flag; here all are', [1, 1], async ({ api, words }) => {
    const [name = ''] = words
    const names = name === 'all' ? (await api.rows('feature-flags')).map((flag) => String(flag['name'])) : [name]
    for (const one of names) await silent(api.call('PUT', ['feature-flags', one, 'enable'], {}))
  }),
  list_deprecated_features: list(
    ['name', 'deprecation_phase'],
    ({ api }) => api.rows('deprecated-features'),
    'List what will be taken away; here nothing is',
  ),
}

async function overviewOf(api: ApiClient): Promise<Row> {
  return (await api.call('GET', ['overview'])) as Row
}

/** The name of the broker's node. */
export async function nodeOf(api: ApiClient): Promise<string> {
  return String((await overviewOf(api))['node'])
}

async function alarmsOf(api: ApiClient): Promise<readonly Row[]> {
  const [node = {}] = await api.rows('nodes')
  const standing = [
    ...(node['mem_alarm'] === true ? ['memory'] : []),
    ...(node['disk_free_alarm'] === true ? ['disk'] : []),
  ]
  return standing.map((resource) => ({ resource, node: node['name'] }))
}

async function connectivity({ api, target }: Context): Promise<string> {
  const host = new URL(target.url).hostname.replace(/^\[(.*)\]$/, '$1')
  const listeners = (await overviewOf(api))['listeners'] as readonly Listener[]
  for (const { protocol, port } of listeners) {
    if (await reachable(host, port)) continue
    throw new CtlError(CtlExit.unavailable, `port ${port} (${protocol}) of ${host} cannot be reached`)
  }
  return `Every port can be reached: ${listeners.map(({ port }) => port).join(', ')}`
}

async function reachable(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) })
    return true
  } catch {
    // Whatever the reason, nobody gets there.
    return false
  } finally {
    socket.destroy()
  }
}
