// Commands about what is in a vhost, and who is connected to it.
import { CtlError, CtlExit, type Row } from '../client.ts'
import { command, list, numberOption, silent, type Commands, type Context } from '../command.ts'

const REASON = 'x-reason'

/** Where the API keeps what rabbitmqctl calls otherwise. */
const BINDING_PATHS = {
  source_name: 'source',
  destination_name: 'destination',
  destination_kind: 'destination_type',
}
const CONSUMER_PATHS = { queue_name: 'queue.name', channel_pid: 'channel_details.name' }
const QUEUE_PATHS: Readonly<Record<string, string>> = { pid: 'node' }
const CLIENT_PATHS = { pid: 'name' }

export const objectCommands: Commands = {
  list_queues: list(
    ['name', 'messages'],
    async ({ api, vhost, words }) => {
      // Some columns are there only for those who name them.
      const wanted = words.map((name) => (Object.hasOwn(QUEUE_PATHS, name) ? QUEUE_PATHS[name]! : name))
      const query = words.length === 0 ? {} : { columns: wanted.join(',') }
      return (await api.call('GET', ['queues', vhost], undefined, {}, query)) as readonly Row[]
    },
    'List the queues of a vhost',
    QUEUE_PATHS,
  ),
  list_exchanges: list(['name', 'type'], ({ api, vhost }) => api.rows('exchanges', vhost), 'List the exchanges'),
  list_bindings: list(
    ['source_name', 'destination_name', 'destination_kind', 'routing_key', 'arguments'],
    ({ api, vhost }) => api.rows('bindings', vhost),
    'List the bindings of a vhost',
    BINDING_PATHS,
  ),
  list_connections: list(
    ['user', 'peer_host', 'peer_port', 'state'],
    ({ api }) => api.rows('connections'),
    'List the connections',
    CLIENT_PATHS,
  ),
  list_channels: list(
    ['name', 'user', 'consumer_count', 'messages_unacknowledged'],
    ({ api }) => api.rows('channels'),
    'List the channels',
    CLIENT_PATHS,
  ),
  list_consumers: list(
    ['queue_name', 'channel_pid', 'consumer_tag', 'ack_required', 'prefetch_count', 'active', 'arguments'],
    ({ api, vhost }) => api.rows('consumers', vhost),
    'List the consumers of a vhost',
    CONSUMER_PATHS,
  ),
  purge_queue: command('QUEUE', 'Drop the messages that are ready', [1, 1], ({ api, vhost, words: [queue = ''] }) =>
    silent(api.call('DELETE', ['queues', vhost, queue, 'contents'])),
  ),
  delete_queue: command('QUEUE [--if-empty] [--if-unused]', 'Delete a queue', [1, 1], deleteQueue),
  why: command('QUEUE', 'Why nothing moves in a queue', [1, 1], async ({ api, vhost, words: [queue = ''] }) => ({
    columns: ['verdict', 'ready', 'unacked', 'explanation'],
    rows: [(await api.call('GET', ['queues', vhost, queue, 'verdict'])) as Row],
  })),

  close_connection: command('NAME REASON', 'Close a connection', [2, 2], ({ api, words: [name = '', reason = ''] }) =>
    silent(api.call('DELETE', ['connections', name], undefined, { [REASON]: reason })),
  ),
  close_all_connections: command(
    'REASON [--limit N] [--per-connection-delay MS]',
    'Close the connections of a vhost',
    [1, 1],
    closeAllConnections,
  ),
  close_all_user_connections: command('USER REASON', "Close a user's connections", [2, 2], ({ api, words }) => {
    const [user = '', reason = ''] = words
    return silent(api.call('DELETE', ['connections', 'username', user], undefined, { [REASON]: reason }))
  }),
}

async function deleteQueue({ api, vhost, words: [queue = ''], options }: Context): Promise<void> {
  const facts = (await api.call('GET', ['queues', vhost, queue])) as Row
  const refused = (state: string): CtlError => new CtlError(CtlExit.data, `the queue ${queue} is ${state}`)
  if (options['if-empty'] === true && facts['messages_ready'] !== 0) throw refused('not empty')
  if (options['if-unused'] === true && facts['consumers'] !== 0) throw refused('in use')
  await api.call('DELETE', ['queues', vhost, queue])
}

async function closeAllConnections({ api, vhost, words: [reason = ''], options, progress }: Context): Promise<string> {
  const all = await api.rows('vhosts', vhost, 'connections')
  const limit = numberOption(options, 'limit', 0)
  const delayMs = numberOption(options, 'per-connection-delay', 0)
  const chosen = limit > 0 ? all.slice(0, limit) : all
  let closed = 0
  for (const { name } of chosen) {
    try {
      await api.call('DELETE', ['connections', String(name)], undefined, { [REASON]: reason })
    } catch (error) {
      // It may have gone by itself.
      if (!(error instanceof CtlError) || error.status !== 404) throw error
    }
    progress.show('Closing connections', ++closed, chosen.length)
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
  }
  return `Closed ${closed} connections`
}
