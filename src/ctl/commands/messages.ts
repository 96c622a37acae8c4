// Commands about single messages and deliveries, beyond rabbitmqctl's.
import { CtlError, CtlExit, type Row } from '../client.ts'
import { command, numberOption, silent, textOption, type Commands, type Context, type Outcome } from '../command.ts'

const PEEK_DEFAULT = 20
const SELECTION = '[--header NAME[=VALUE]] [--text TEXT] [--limit N] [--all]'

export const messageCommands: Commands = {
  peek: command(
    'QUEUE [--header NAME[=VALUE]] [--text TEXT] [--limit N]',
    'Look at messages, and leave them as they are',
    [1, 1],
    async ({ api, vhost, words: [queue = ''], options }) => {
      const query = { count: String(numberOption(options, 'limit', PEEK_DEFAULT)), ...filter(options) }
      const answer = (await api.call('GET', ['queues', vhost, queue, 'messages'], undefined, {}, query)) as Row
      return {
        columns: ['position', 'age_seconds', 'exchange', 'routing_key', 'redelivered', 'payload_bytes', 'payload'],
        rows: answer['messages'] as readonly Row[],
      }
    },
  ),
  delete_messages: command(`QUEUE ${SELECTION}`, 'Delete messages that are ready', [1, 1], (context) =>
    onSelected(context, 'delete'),
  ),
  return_messages: command(`QUEUE ${SELECTION}`, 'Give dead letters back to where they came from', [1, 1], (context) =>
    onSelected(context, 'return'),
  ),
  move_messages: command(
    'QUEUE TO [--limit N]',
    'Move messages to another queue, each leaving when it has arrived',
    [2, 2],
    ({ api, vhost, words: [queue = '', to = ''], options }) => {
      const count = numberOption(options, 'limit', 0)
      const body = { exchange: '', routing_key: to, ...(count > 0 ? { count } : {}) }
      return counted(api.call('POST', ['queues', vhost, queue, 'move'], body))
    },
  ),
  pause_queue: command('QUEUE', 'Stop the deliveries of a queue', [1, 1], ({ api, vhost, words: [queue = ''] }) =>
    silent(api.call('PUT', ['queues', vhost, queue, 'pause'])),
  ),
  resume_queue: command('QUEUE', 'Go on with its deliveries', [1, 1], ({ api, vhost, words: [queue = ''] }) =>
    silent(api.call('PUT', ['queues', vhost, queue, 'resume'])),
  ),
  list_unacked: command('QUEUE', 'List what waits to be acknowledged', [1, 1], async ({ api, vhost, words }) => ({
    columns: ['delivery_tag', 'consumer_tag', 'user', 'unacked_seconds', 'redelivered', 'payload_bytes'],
    rows: await api.rows('queues', vhost, words[0] ?? '', 'unacked'),
  })),
  list_errors: command(
    '[USER]',
    'Why channels and connections were closed of late',
    [0, 1],
    async ({ api, words }) => ({
      columns: ['user', 'vhost', 'code', 'text'],
      rows: await api.rows('errors', ...words),
    }),
  ),
}

function filter(options: Context['options']): Record<string, string> {
  const [header, text] = [textOption(options, 'header'), textOption(options, 'text')]
  return { ...(header === undefined ? {} : { header }), ...(text === undefined ? {} : { text }) }
}

function onSelected({ api, vhost, words: [queue = ''], options }: Context, what: string): Promise<Outcome> {
  const selection = filter(options)
  const all = options['all'] === true
  if (!all && Object.keys(selection).length === 0) {
    throw new CtlError(CtlExit.usage, 'which messages? Give --header, --text or --all')
  }
  const count = numberOption(options, 'limit', 0)
  const body = { ...selection, ...(all ? { all } : {}), ...(count > 0 ? { count } : {}) }
  return counted(api.call('POST', ['queues', vhost, queue, 'messages', what], body))
}

/** What an answer counts, in words: `returned 3, kept_count 0`. */
async function counted(call: Promise<unknown>): Promise<string> {
  const answer = (await call) as Row
  const counts = Object.entries(answer).filter(([, value]) => typeof value === 'number')
  return counts.map(([what, count]) => `${what} ${String(count)}`).join(', ')
}
