// Prints how long the HTTP API and the metrics take with many queues and connections, how long they keep the event loop,
// and what they cost the broker, each beside its bound.
//   npx tsx test/bench/management.ts [idle] [quiet] [flow] [cost] [--queues 10000] [--connections 1000] [--rounds 5]
//       [--path PATH]... [--profile DIRECTORY]
// `npm run build` comes first. Without names all are measured. The broker, whoever asks, and whoever publishes and
// consumes are processes of their own. `--path` asks for these instead; with `--profile` the broker writes a profile.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { BrokerProcess } from './broker-process.ts'
import { LeanClient, shortString, uint16 } from './lean-client.ts'
import { mib, middleOf, title, withDirectory } from './report.ts'

const QUEUE_DECLARE = 0x0032000a
const QUEUE_BIND = 0x00320014
const NO_FLAGS = Buffer.of(0)
const NO_ARGUMENTS = Buffer.alloc(4)
/** What of the queues has a binding, a message, a consumer: every so manieth. */
const EVERY = 3
/** Longer than two samples of every counter, in milliseconds. */
const SAMPLED_MS = 11_000

const PAGE = '/api/queues?page=1&page_size=100'
/** What is a page: it has a bound for its time. */
const PAGES = [
  PAGE,
  `${PAGE}&sort=messages&sort_reverse=true`,
  `${PAGE}&sort=message_stats.publish_details.rate&sort_reverse=true`,
  `${PAGE}&sort=consumer_utilisation`,
  `${PAGE}&sort=arguments.x-queue-type`,
  `${PAGE}&name=77`,
  '/api/queues?page=10&page_size=100&name=7&use_regex=true',
  `${PAGE}&name=(a|b|7.*)*1$&use_regex=true`,
  `${PAGE}&columns=name,messages`,
  '/api/connections?page=1&page_size=100&sort=recv_oct',
  '/api/channels?page=1&page_size=100&sort=name',
  '/api/overview',
] as const
/** What is long: it has a bound for how long it may keep the event loop. */
const LONG = [
  '/api/queues',
  '/api/queues?sort=message_bytes',
  '/api/connections',
  '/api/channels',
  '/api/consumers',
  '/api/bindings',
  '/api/definitions',
  '/api/queues/%2F/long/messages?text=nowhere&scan=100000',
  '/metrics/per-object',
  '/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics&queue=7',
] as const
const METRICS = '/metrics'
/** Does nothing: what every request takes on this machine, with whoever asks and whoever else is at work there. */
const NOTHING = '/livez'
/**
 * What dashboards ask for, again and again: an open page of queues, and Prometheus for the dashboard RabbitMQ-Overview.
 * Neither asks for series of each object; who scrapes these pays for them, and is measured apart.
 */
const POLL = [METRICS, '/api/overview', '/api/nodes', '/api/vhosts', PAGE] as const
const SCRAPE = ['/metrics/per-object'] as const
const POLL_EVERY_MS = 5000
/** RabbitMQ's advice for series of each object. */
const SCRAPE_EVERY_MS = 60_000
const PAGE_REQUESTS = 200
const LONG_REQUESTS = 10
/** No path is asked for longer than that, in milliseconds. */
const ASKED_MS_MAX = 5000

/** What the processes beside the broker are told. */
type Order =
  | { readonly kind: 'ask'; readonly port: number; readonly path: string; readonly times: number }
  | { readonly kind: 'load'; readonly port: number }
  | { readonly kind: 'count' }

/** A process that asks, or that publishes and consumes. */
class Helper {
  readonly #child: ChildProcess = fork(fileURLToPath(import.meta.url), ['helper'], { execArgv: process.execArgv })

  async tell<T>(order: Order): Promise<T> {
    const answered = once(this.#child, 'message')
    this.#child.send(order)
    const [answer] = (await answered) as [T]
    return answer
  }

  /** Milliseconds that each request took. */
  async ask(port: number, path: string, times: number): Promise<readonly number[]> {
    const took = await this.tell<number[]>({ kind: 'ask', port, path, times })
    return took.toSorted((a, b) => a - b)
  }

  end(): void {
    this.#child.kill()
  }
}

async function help(): Promise<void> {
  const consumers: LeanClient[] = []
  process.on('message', (order: Order) => {
    void obey(order).then((answer) => process.send!(answer))
  })

  async function obey(order: Order): Promise<unknown> {
    if (order.kind === 'ask') return asked(order)
    if (order.kind === 'count') return consumers.reduce((sum, { received }) => sum + received, 0)
    const [publisher, consumer] = [await LeanClient.open(order.port), await LeanClient.open(order.port)]
    await publisher.declare('flow')
    void publisher.publish('flow', Infinity, 64)
    void consumer.consume('flow', Infinity)
    consumers.push(consumer)
    return true
  }
}

async function asked({ port, path, times }: Order & { readonly kind: 'ask' }): Promise<readonly number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const headers = { authorization: `Basic ${btoa('guest:guest')}`, 'accept-encoding': 'gzip' }
  const took: number[] = []
  const until = performance.now() + ASKED_MS_MAX
  for (let i = 0; i < times && performance.now() < until; i++) {
    const begun = performance.now()
    await new Promise<void>((resolve, reject) => {
      const request = get({ port, path, agent, headers, host: '127.0.0.1' }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${path}: ${response.statusCode}`))
        response.resume()
        response.on('end', resolve)
      })
      request.on('error', reject)
    })
    took.push(performance.now() - begun)
  }
  agent.destroy()
  return took
}

function say(what: string, figure: string, bound = ''): void {
  console.log([`  ${what}`.padEnd(78), figure.padStart(24), bound && `   bound ${bound}`].join(' ').trimEnd())
}

const ms = (value: number): string => `${value.toFixed(1)} ms`

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN
}

/** How late the loop was, and how long one pass of it had the processor: on a machine that others use, these differ. */
async function sayDelay(what: string, broker: BrokerProcess): Promise<void> {
  const { max, held } = await broker.loopDelay()
  say(`${what}: event loop late by, held for (most)`, `${ms(max)}, ${ms(held)}`, '20 ms')
}

function withBroker(flags: readonly string[], work: (broker: BrokerProcess) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    const broker = await BrokerProcess.start(directory, flags)
    await work(broker)
    await broker.stop()
  })
}

/** An idle broker: its memory, and what the first request of all does to the event loop. */
async function idle(): Promise<void> {
  title('an idle broker')
  await withBroker([], async (broker) => {
    const helper = new Helper()
    await pause(2000)
    say('resident memory before anybody asks', mib(broker.resident), '110 MiB')
    await broker.loopDelay()
    const [first] = await helper.ask(broker.managementPort, '/api/overview', 1)
    say('the first request takes', ms(first!))
    await sayDelay('the first request', broker)
    for (const path of [...POLL, ...SCRAPE]) await helper.ask(broker.managementPort, path, 20)
    await pause(2000)
    say('resident memory after a hundred requests', mib(broker.resident), '110 MiB')
    helper.end()
  })
}

/** Makes queues, some with messages, and connections, some with consumers. */
async function populate(broker: BrokerProcess, queues: number, connections: number): Promise<readonly LeanClient[]> {
  const clients: LeanClient[] = []
  for (let i = 0; i < connections; i += 50) {
    const count = Math.min(50, connections - i)
    clients.push(...(await Promise.all(Array.from({ length: count }, () => LeanClient.open(broker.port)))))
  }
  const [client] = clients
  for (let i = 0; i < queues; i++) {
    const declared = client!.call(QUEUE_DECLARE, uint16(0), shortString(`queue-${i}`), NO_FLAGS, NO_ARGUMENTS)
    if (i % 100 === 99) await declared
  }
  for (let i = 0; i < queues; i += EVERY) {
    const names = [`queue-${i}`, 'amq.topic', `key.${i}`].map(shortString)
    await client!.call(QUEUE_BIND, uint16(0), ...names, NO_FLAGS, NO_ARGUMENTS)
    await client!.publish(`queue-${i}`, 1, 100)
  }
  for (let i = 0; i < connections; i += EVERY) await clients[i]!.subscribe(`queue-${i + 1}`)
  await client!.declare('long')
  await client!.publish('long', 100_000, 100)
  return clients
}

/** Each path: its time, and how late the event loop was meanwhile. */
async function paths(broker: BrokerProcess, helper: Helper, wanted: readonly string[]): Promise<void> {
  for (const path of wanted) {
    const page = (PAGES as readonly string[]).includes(path)
    const short = page || path === METRICS || path === NOTHING
    const before = broker.threadMs
    await broker.loopDelay()
    const times = await helper.ask(broker.managementPort, path, short ? PAGE_REQUESTS : LONG_REQUESTS)
    const { max, held } = await broker.loopDelay()
    const each = (broker.threadMs - before) / times.length
    const bound = page
      ? '50 ms (p99), 20 ms'
      : path === METRICS
        ? '100 ms (p99), 20 ms'
        : path === NOTHING
          ? ''
          : '20 ms (loop)'
    const figures = [quantile(times, 0.5), quantile(times, 0.99), max, held, each].map((value) => value.toFixed(1))
    say(path, figures.join(', '), bound)
  }
}

async function quiet(broker: BrokerProcess, helper: Helper, wanted: readonly string[]): Promise<void> {
  title('nothing else to do: p50, p99, event loop late by (most), held for (most), time of its thread for each (ms)')
  await broker.loopDelay()
  await pause(SAMPLED_MS)
  await sayDelay('nobody asks', broker)
  await paths(broker, helper, wanted)
}

async function flow(broker: BrokerProcess, helper: Helper, wanted: readonly string[]): Promise<void> {
  title('while messages flow at full rate: the same (the time of the thread is that of messages, too)')
  const load = new Helper()
  await load.tell({ kind: 'load', port: broker.port })
  await pause(2000)
  await broker.loopDelay()
  const before = await load.tell<number>({ kind: 'count' })
  await pause(SAMPLED_MS)
  const after = await load.tell<number>({ kind: 'count' })
  say('messages a second', Math.round(((after - before) / SAMPLED_MS) * 1000).toLocaleString('en'))
  await sayDelay('nobody asks', broker)
  await paths(broker, helper, wanted)
  load.end()
}

/** What a dashboard costs that polls every five seconds: as time of the thread, and as messages. */
async function cost(broker: BrokerProcess, helper: Helper, rounds: number): Promise<void> {
  title('what dashboards cost (nothing else to do)')
  const poll = async (these: readonly string[] = POLL): Promise<void> => {
    for (const path of these) await helper.ask(broker.managementPort, path, 1)
  }
  for (const [polled, everyMs, bound] of [
    [POLL, POLL_EVERY_MS, '3 %'],
    [SCRAPE, SCRAPE_EVERY_MS, ''],
  ] as const) {
    const polls: number[] = []
    for (let i = 0; i < 10; i++) {
      const before = broker.threadMs
      await poll(polled)
      polls.push(broker.threadMs - before)
    }
    const share = `${ms(middleOf(polls))}, ${((middleOf(polls) / everyMs) * 100).toFixed(1)} %`
    say(polled.join(' '), '')
    say(`  time of the thread for each, and share of ${everyMs / 1000} seconds`, share, bound)
  }
  title(`${POLL.join(' ')} every ${POLL_EVERY_MS / 1000} seconds, while messages flow`)
  const load = new Helper()
  await load.tell({ kind: 'load', port: broker.port })
  await pause(2000)
  const ratios: number[] = []
  for (let i = 0; i < rounds; i++) {
    const without = await flowing(load)
    const polling = poll()
    const beside = await flowing(load)
    await polling
    ratios.push(beside / without)
  }
  say('messages with it, of those without (median of rounds)', `${(middleOf(ratios) * 100).toFixed(1)} %`, '97 %')
  load.end()
}

/** Messages a second, over one period of polling. */
async function flowing(load: Helper): Promise<number> {
  const before = await load.tell<number>({ kind: 'count' })
  const begun = performance.now()
  await pause(POLL_EVERY_MS)
  const after = await load.tell<number>({ kind: 'count' })
  return ((after - before) * 1000) / (performance.now() - begun)
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      queues: { type: 'string', default: '10000' },
      connections: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '5' },
      path: { type: 'string', multiple: true },
      profile: { type: 'string' },
    },
  })
  const names = positionals.length > 0 ? positionals : ['idle', 'quiet', 'flow', 'cost']
  const wanted = values.path ?? [NOTHING, ...PAGES, METRICS, ...LONG]
  if (names.includes('idle')) await idle()
  if (names.every((name) => name === 'idle')) return
  const flags = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
  await withBroker(flags, async (broker) => {
    const helper = new Helper()
    title(`${values.queues} queues, a third of them with a message, ${values.connections} connections`)
    const clients = await populate(broker, Number(values.queues), Number(values.connections))
    say('resident memory', mib(broker.resident))
    if (names.includes('quiet')) await quiet(broker, helper, wanted)
    if (names.includes('flow')) await flow(broker, helper, wanted)
    if (names.includes('cost')) await cost(broker, helper, Number(values.rounds))
    say('resident memory', mib(broker.resident))
    helper.end()
    for (const client of clients) client.close()
  })
}

if (process.argv[2] === 'helper') await help()
else await main()
