// Commands about the broker as a whole.
import { CtlError, CtlExit, type Row } from '../client.ts'
import { command, list, numberOption, silent, type Commands, type Context } from '../command.ts'

/** rabbitmqctl: await_startup gives up after five minutes. */
const STARTUP_SECONDS = 300
const STARTUP_POLL_MS = 200

export const stateCommands: Commands = {
  status: command('', 'What runs, and how it is', 0, async ({ api }) => {
    const [overview, [node = {}]] = await Promise.all([
      api.call('GET', ['overview']) as Promise<Row>,
      api.rows('nodes'),
    ])
    const facts = {
      version: overview['leveret_version'],
      node: overview['node'],
      ...(overview['object_totals'] as Row),
      ...(overview['queue_totals'] as Row),
    }
    const memory = { memory_used: node['mem_used'], memory_limit: node['mem_limit'], disk_free: node['disk_free'] }
    const rows = Object.entries({ ...facts, ...memory, uptime_ms: node['uptime'] })
    return {
      columns: ['what', 'value'],
      rows: rows.filter(([what]) => !what.endsWith('_details')).map(([what, value]) => ({ what, value })),
    }
  }),
  ping: command('', 'Whether the broker answers', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'is-in-service'])
    return 'Ping succeeded'
  }),
  await_startup: command('[--timeout SECONDS]', 'Wait until the broker answers', 0, awaitStartup),
  check_running: command('', 'Fails when the broker does not serve', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'is-in-service'])
    return 'The broker is running'
  }),
  check_alarms: command('', 'Fails when an alarm stands', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'alarms'])
    return 'No alarms'
  }),
  check_local_alarms: command('', 'Fails when an alarm stands', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'local-alarms'])
    return 'No alarms'
  }),
  check_port_listener: command('PORT', 'Fails when nothing listens on a port', [1, 1], async ({ api, words }) => {
    const [port = ''] = words
    await api.call('GET', ['health', 'checks', 'port-listener', port])
    return `Port ${port} is listened on`
  }),
  check_virtual_hosts: command('', 'Fails when a virtual host is not served', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'virtual-hosts'])
    return 'All virtual hosts are served'
  }),
  listeners: command('', 'What is listened on', 0, async ({ api }) => ({
    columns: ['protocol', 'ip_address', 'port'],
    rows: ((await api.call('GET', ['overview'])) as { readonly listeners: readonly Row[] }).listeners,
  })),
  version: command('', 'The version of the broker', 0, async ({ api }) => {
    return String(((await api.call('GET', ['overview'])) as Row)['leveret_version'])
  }),
  list_feature_flags: list(['name', 'state'], ({ api }) => api.rows('feature-flags'), 'List the feature flags'),
  set_cluster_name: command('NAME', 'Name the cluster', [1, 1], ({ api, words: [name] }) =>
    silent(api.call('PUT', ['cluster-name'], { name })),
  ),
}

async function awaitStartup({ api, options }: Context): Promise<string> {
  const seconds = numberOption(options, 'timeout', STARTUP_SECONDS)
  const until = performance.now() + seconds * 1000
  for (;;) {
    try {
      await api.call('GET', ['health', 'checks', 'is-in-service'])
      return 'The broker is running'
    } catch (error) {
      if (!(error instanceof CtlError) || error.code !== CtlExit.unavailable) throw error
      if (performance.now() >= until) throw error
      await new Promise((resolve) => setTimeout(resolve, STARTUP_POLL_MS))
    }
  }
}
