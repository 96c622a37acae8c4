// The commands of `leveret ctl`, with the names and arguments that rabbitmqctl has.
import { readFile, writeFile } from 'node:fs/promises'
import { CtlError, CtlExit, type ApiClient, type Row } from './client.ts'

/** What a command works with. */
export interface Context {
  readonly api: ApiClient
  readonly vhost: string
  /** The words behind the command. */
  readonly words: readonly string[]
  readonly ifEmpty: boolean
  readonly ifUnused: boolean
}

/** What a command says: rows of a table, a text, or nothing. */
export type Outcome = { readonly columns: readonly string[]; readonly rows: readonly Row[] } | string | void

/** One command: what it takes, what it is for, and how many words it needs at least and takes at most. */
export interface Command {
  readonly usage: string
  readonly purpose: string
  readonly words: readonly [least: number, most: number]
  run(context: Context): Promise<Outcome>
}

const MANY = Infinity
const REASON = 'x-reason'

export const commands: Readonly<Record<string, Command>> = {
  status: command('', 'What runs, and how it is', 0, async ({ api }) => {
    const [overview, [node = {}]] = await Promise.all([
      api.call('GET', ['overview']) as Promise<Row>,
      api.rows('nodes'),
    ])
    const totals = overview['object_totals'] as Row
    const facts = {
      version: overview['leveret_version'],
      node: overview['node'],
      ...totals,
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
  check_alarms: command('', 'Fails when an alarm stands', 0, async ({ api }) => {
    await api.call('GET', ['health', 'checks', 'alarms'])
    return 'No alarms'
  }),
  version: command('', 'The version of the broker', 0, async ({ api }) => {
    return String(((await api.call('GET', ['overview'])) as Row)['leveret_version'])
  }),

  add_user: command('NAME PASSWORD', 'Add a user without tags', [2, 2], ({ api, words: [name = '', password] }) =>
    silent(api.call('PUT', ['users', name], { password, tags: [] })),
  ),
  delete_user: command('NAME', 'Delete a user', [1, 1], ({ api, words: [name = ''] }) =>
    silent(api.call('DELETE', ['users', name])),
  ),
  change_password: command('NAME PASSWORD', "Change a user's password", [2, 2], async ({ api, words }) => {
    const [name = '', password] = words
    const { tags } = (await api.call('GET', ['users', name])) as Row
    await api.call('PUT', ['users', name], { password, tags })
  }),
  set_user_tags: command('NAME [TAG...]', "Replace a user's tags", [1, MANY], async ({ api, words }) => {
    const [name = '', ...tags] = words
    const { password_hash, hashing_algorithm } = (await api.call('GET', ['users', name])) as Row
    await api.call('PUT', ['users', name], { password_hash, hashing_algorithm, tags })
  }),
  list_users: command('', 'List the users', 0, async ({ api }) => ({
    columns: ['name', 'tags'],
    rows: await api.rows('users'),
  })),

  set_permissions: command(
    'USER CONFIGURE WRITE READ',
    'Give a user rights in a vhost, as patterns over names',
    [4, 4],
    ({ api, vhost, words: [user = '', configure, write, read] }) =>
      silent(api.call('PUT', ['permissions', vhost, user], { configure, write, read })),
  ),
  clear_permissions: command(
    'USER',
    "Take a user's rights in a vhost away",
    [1, 1],
    ({ api, vhost, words: [user = ''] }) => silent(api.call('DELETE', ['permissions', vhost, user])),
  ),
  list_permissions: command('', 'List the rights in a vhost', 0, async ({ api, vhost }) => ({
    columns: ['user', 'configure', 'write', 'read'],
    rows: await api.rows('vhosts', vhost, 'permissions'),
  })),
  list_user_permissions: command('USER', "List a user's rights", [1, 1], async ({ api, words: [user = ''] }) => ({
    columns: ['vhost', 'configure', 'write', 'read'],
    rows: await api.rows('users', user, 'permissions'),
  })),

  add_vhost: command('NAME', 'Add a virtual host', [1, 1], ({ api, words: [name = ''] }) =>
    silent(api.call('PUT', ['vhosts', name], {})),
  ),
  delete_vhost: command('NAME', 'Delete a virtual host with all that is in it', [1, 1], ({ api, words: [name = ''] }) =>
    silent(api.call('DELETE', ['vhosts', name])),
  ),
  list_vhosts: list(['name'], ({ api }) => api.rows('vhosts'), 'List the virtual hosts'),

  list_queues: list(['name', 'messages'], ({ api, vhost }) => api.rows('queues', vhost), 'List the queues of a vhost'),
  list_exchanges: list(['name', 'type'], ({ api, vhost }) => api.rows('exchanges', vhost), 'List the exchanges'),
  list_bindings: list(
    ['source', 'destination', 'destination_type', 'routing_key', 'arguments'],
    ({ api, vhost }) => api.rows('bindings', vhost),
    'List the bindings of a vhost',
  ),
  list_connections: list(
    ['user', 'peer_host', 'peer_port', 'state'],
    ({ api }) => api.rows('connections'),
    'List the connections',
  ),
  list_channels: list(
    ['name', 'user', 'consumer_count', 'messages_unacknowledged'],
    ({ api }) => api.rows('channels'),
    'List the channels',
  ),
  list_consumers: list(
    ['queue.name', 'channel_details.name', 'consumer_tag', 'ack_required', 'prefetch_count', 'arguments'],
    ({ api, vhost }) => api.rows('consumers', vhost),
    'List the consumers of a vhost',
  ),
  purge_queue: command('QUEUE', 'Drop the messages that are ready', [1, 1], ({ api, vhost, words: [queue = ''] }) =>
    silent(api.call('DELETE', ['queues', vhost, queue, 'contents'])),
  ),
  delete_queue: command(
    'QUEUE [--if-empty] [--if-unused]',
    'Delete a queue',
    [1, 1],
    async ({ api, vhost, words: [queue = ''], ifEmpty, ifUnused }) => {
      const facts = (await api.call('GET', ['queues', vhost, queue])) as Row
      if (ifEmpty && facts['messages_ready'] !== 0) throw new CtlError(CtlExit.data, `the queue ${queue} is not empty`)
      if (ifUnused && facts['consumers'] !== 0) throw new CtlError(CtlExit.data, `the queue ${queue} is in use`)
      await api.call('DELETE', ['queues', vhost, queue])
    },
  ),
  why: command('QUEUE', 'Why nothing moves in a queue', [1, 1], async ({ api, vhost, words: [queue = ''] }) => ({
    columns: ['verdict', 'ready', 'unacked', 'explanation'],
    rows: [(await api.call('GET', ['queues', vhost, queue, 'verdict'])) as Row],
  })),

  close_connection: command('NAME REASON', 'Close a connection', [2, 2], ({ api, words: [name = '', reason = ''] }) =>
    silent(api.call('DELETE', ['connections', name], undefined, { [REASON]: reason })),
  ),
  close_all_user_connections: command('USER REASON', "Close a user's connections", [2, 2], ({ api, words }) => {
    const [user = '', reason = ''] = words
    return silent(api.call('DELETE', ['connections', 'username', user], undefined, { [REASON]: reason }))
  }),

  export_definitions: command(
    'FILE',
    'Write all definitions to a file, or with - to standard output',
    [1, 1],
    async (context) => {
      const [file = '-'] = context.words
      const text = `${JSON.stringify(await context.api.call('GET', ['definitions']), null, 2)}\n`
      if (file === '-') return text
      await writeFile(file, text)
    },
  ),
  import_definitions: command(
    'FILE',
    'Bring definitions in from a file',
    [1, 1],
    async ({ api, words: [file = ''] }) => {
      await api.call('POST', ['definitions'], await definitionsIn(file))
    },
  ),
}

function command(
  usage: string,
  purpose: string,
  words: 0 | readonly [least: number, most: number],
  run: (context: Context) => Promise<Outcome>,
): Command {
  return { usage, purpose, words: words === 0 ? [0, 0] : words, run }
}

/** A list whose columns may be named. */
function list(
  columns: readonly string[],
  rows: (context: Context) => Promise<readonly Row[]>,
  purpose: string,
): Command {
  return command('[COLUMN...]', purpose, [0, MANY], async (context) => ({
    columns: context.words.length > 0 ? context.words : columns,
    rows: await rows(context),
  }))
}

async function silent(call: Promise<unknown>): Promise<void> {
  await call
}

async function definitionsIn(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) throw new CtlError(CtlExit.data, `${file} is not JSON: ${error.message}`)
    throw new CtlError(CtlExit.data, `${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
