// Commands about the broker as a whole.
import { readFileSync } from 'node:fs'
import { CtlError, CtlExit, type Row } from '../client.ts'
import { command, list, numberOption, silent, textOption, type Commands, type Context } from '../command.ts'

/** rabbitmqctl: await_startup gives up after five minutes, wait and await_online_nodes earlier. */
const STARTUP_SECONDS = 300
const WAIT_SECONDS = 10
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
  await_startup: command('[--timeout SECONDS]', 'Wait until the broker answers', 0, (context) =>
    awaitStartup(context, STARTUP_SECONDS),
  ),
  await_online_nodes: command('COUNT [--timeout SECONDS]', 'The same, for one node', [1, 1], async (context) => {
    const [count = ''] = context.words
    if (count === '1') return awaitStartup(context, STARTUP_SECONDS)
    throw new CtlError(CtlExit.usage, `there is one node, and there will never be ${count}`)
  }),
  wait: command(
    '[PIDFILE] [--pid PID] [--timeout SECONDS]',
    'Wait until the broker answers, as long as its process lives',
    [0, 1],
    (context) => awaitStartup(context, WAIT_SECONDS, processOf(context)),
  ),
  is_booting: command('', 'Whether the broker is still starting; it answers when it has', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'is-in-service'])
    return 'The broker has started'
  }),
  node_health_check: command('', 'Fails when the broker does not serve, or an alarm stands', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'is-in-service'])
    await api.call('GET', ['health', 'checks', 'alarms'])
    return 'Health check passed'
  }),
  rotate_logs: command('', 'Nothing: the log goes to standard error', 0, () =>
    Promise.resolve('Nothing was rotated: the log goes to standard error, and whoever keeps it rotates it'),
  ),
  log_location: command('', 'Where the log goes', 0, async ({ api }) => {
    const [node = {}] = await api.rows('nodes')
    return (node['log_files'] as readonly string[]).join('\n')
  }),
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

/** Whether the process that is waited for may still come, or lives; throws CtlError when it is gone. */
type Alive = () => boolean

/** Asks again and again, while `alive` does not throw, and only when it says that the process is there. */
async function awaitStartup({ api, options }: Context, secondsDefault: number, alive: Alive = () => true) {
  const until = performance.now() + numberOption(options, 'timeout', secondsDefault) * 1000
  for (;;) {
    try {
      if (!alive()) throw new CtlError(CtlExit.unavailable, 'there is no such file with the id of a process yet')
      await api.call('GET', ['health', 'checks', 'is-in-service'])
      return 'The broker is running'
    } catch (error) {
      if (!(error instanceof CtlError) || error.code !== CtlExit.unavailable) throw error
      if (performance.now() >= until) throw error
      await new Promise((resolve) => setTimeout(resolve, STARTUP_POLL_MS))
    }
  }
}

/** The process that is named by the id of it, or by a file that holds or will hold it. */
function processOf({ words: [file], options }: Context): Alive {
  const given = textOption(options, 'pid')
  if (file === undefined && given === undefined) return () => true
  return () => {
    const pid = given ?? pidIn(file!)
    if (pid === null) return false
    if (!/^[1-9]\d*$/.test(pid)) throw new CtlError(CtlExit.data, `${JSON.stringify(pid)} is not the id of a process`)
    if (lives(Number(pid))) return true
    throw new CtlError(CtlExit.software, `the process ${pid} is gone`)
  }
}

/** What a file holds; null while there is none, or nothing in it. */
function pidIn(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim() || null
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw new CtlError(CtlExit.data, `${file} cannot be read: ${String(error)}`, { cause: error })
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's process lives, too.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
