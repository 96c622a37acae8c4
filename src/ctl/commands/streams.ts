// What happens in the broker, and its log, as they come: rabbitmq-diagnostics' streams, out of a queue of the command's own.
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { CtlError, CtlExit, type Row } from '../client.ts'
import { command, textOption, type Command, type Commands, type Context } from '../command.ts'

/** Where the exchanges of events and of the log are, whatever vhost is asked for. */
const VHOST = '/'
/** How often is looked for what is new, in milliseconds. */
const LOOK_MS = 500
/** What is fetched at once. */
const COUNT = 1000
/** The queue goes by itself when the command failed or was ended; what nobody fetches is dropped. Milliseconds; messages. */
const QUEUE_ARGUMENTS = { 'x-expires': 60_000, 'x-max-length': 10_000 } as const

export const streamCommands: Commands = {
  consume_event_stream: stream('amq.rabbitmq.event', 'Tell of events as they come, as JSON', eventLine),
  log_tail_stream: stream('amq.rabbitmq.log', 'Show the lines of the log as they come', logLine),
}

function stream(exchange: string, purpose: string, line: (message: Row) => string): Command {
  return command('[--duration SECONDS] [--pattern KEYS]', `${purpose}; without a duration for ever`, 0, (context) =>
    follow(context, exchange, line),
  )
}

async function follow(context: Context, exchange: string, line: (message: Row) => string): Promise<void> {
  const { api, options } = context
  const ends = performance.now() + durationMs(options)
  const queue = `leveret-ctl-${randomUUID()}`
  await api.call('PUT', ['queues', VHOST, queue], { durable: false, arguments: QUEUE_ARGUMENTS })
  const binding = { routing_key: textOption(options, 'pattern') ?? '#' }
  await api.call('POST', ['bindings', VHOST, 'e', exchange, 'q', queue], binding)
  for (let last = false; !last;) {
    last = performance.now() >= ends
    const messages = await fetched(context, queue)
    if (messages.length > 0) context.say(messages.map((message) => `${line(message)}\n`).join(''))
    if (!last && messages.length < COUNT) await pause(Math.min(LOOK_MS, Math.max(0, ends - performance.now())))
  }
  await api.call('DELETE', ['queues', VHOST, queue])
}

async function fetched({ api }: Context, queue: string): Promise<readonly Row[]> {
  const body = { count: COUNT, ackmode: 'ack_requeue_false', encoding: 'auto' }
  return (await api.call('POST', ['queues', VHOST, queue, 'get'], body)) as readonly Row[]
}

/** RabbitMQ: `infinity`, or seconds; 0 is for ever, too. Throws CtlError. */
function durationMs(options: Context['options']): number {
  const text = textOption(options, 'duration') ?? 'infinity'
  if (text === 'infinity' || text === '0') return Infinity
  if (!/^\d+(\.\d+)?$/.test(text)) {
    throw new CtlError(CtlExit.usage, `--duration must be a number of seconds, or infinity, not ${text}`)
  }
  return Number(text) * 1000
}

function eventLine({ routing_key: event, properties }: Row): string {
  const { headers = {} } = properties as { readonly headers?: object }
  return JSON.stringify({ event, ...headers })
}

/** With its level, as the log of RabbitMQ has it. */
function logLine({ routing_key: level, payload, properties }: Row): string {
  const { headers } = properties as { readonly headers?: { readonly timestamp?: number } }
  const at = headers?.timestamp === undefined ? '' : `${new Date(headers.timestamp).toISOString()} `
  return `${at}[${String(level)}] ${String(payload)}`
}
