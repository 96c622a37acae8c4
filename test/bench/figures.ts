// Prints the figures of large backlogs, many queues and many connections, each on a broker of its own, beside the bounds
// that they are to keep.
//   npx tsx test/bench/figures.ts [start] [backlog] [large] [queues] [delete] [connections] [trickle]
//       [--messages N] [--rabbitmq PORT] [--rounds N]
// `npm run build` comes first. Without names all but `large` are measured, which takes 25 GB of disk and some minutes.
// `--messages` replaces the number of messages of backlog, large and delete. With `--rabbitmq` the backlog goes through
// the RabbitMQ on that port too, in turn, in so many rounds (5). Rates are of this machine at this moment:
// read them beside those of the same run.
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Level } from 'level'
import { Kind, kindEnd, kindKey } from '../../src/store/level/keys.ts'
import { BrokerProcess, type Memory } from './broker-process.ts'
import { LeanClient, shortString, uint16 } from './lean-client.ts'
import { mib, middleOf, ms, perSecond, percent, say, timed, times, title, whole, withDirectory } from './report.ts'

const QUEUE_DECLARE = 0x0032000a
const QUEUE_PURGE = 0x0032001e
const QUEUE_DELETE = 0x00320028
const NO_ARGUMENTS = Buffer.alloc(4)
const DURABLE = Buffer.of(2)
const NO_FLAGS = Buffer.of(0)
const KIB = 1024

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { messages: { type: 'string' }, rabbitmq: { type: 'string' }, rounds: { type: 'string', default: '5' } },
})

const rounds = Number(options.rounds)
if (!(rounds >= 1)) throw new Error(`--rounds is a number from 1 on, and not ${options.rounds}`)

function messagesOr(fallback: number): number {
  return options.messages === undefined ? fallback : Number(options.messages)
}

async function sayMemory(what: string, memory: Memory, bound: string): Promise<void> {
  say(what, `${mib(memory.peak)}, ${mib(memory.last)}`, bound)
}

async function sayDelay(what: string, broker: BrokerProcess): Promise<void> {
  const { p99, max } = await broker.loopDelay()
  say(`${what}: event loop late by (p99, most)`, `${p99.toFixed(1)} ms, ${max.toFixed(1)} ms`, '20 ms (p99)')
}

/** The bounds of a backlog, in milliseconds and MiB. */
interface BacklogBounds {
  readonly memory: string
  readonly ready: string
  readonly first: string
}

/**
 * A backlog of persistent messages of 1 KiB: memory, restart after SIGKILL, first message, draining. Returns the
 * milliseconds that draining it took.
 */
function backlog(count: number, bounds: BacklogBounds): Promise<number> {
  return withDirectory(async (directory) => {
    title(`${whole(count)} persistent messages of 1 KiB in one queue, without a consumer`)
    let broker = await BrokerProcess.start(directory)
    const freshMs = await fresh(broker)
    const publisher = await LeanClient.open(broker.port)
    await publisher.declare('backlog')
    let took = 0
    const publishing = timed(() => publisher.publish('backlog', count, KIB)).then((spent) => void (took = spent))
    const memory = await broker.during(publishing)
    say('published, each confirmed after a sync', perSecond(count, took))
    await sayMemory('resident memory (most, at the end)', memory, bounds.memory)
    await sayDelay('publishing', broker)
    await broker.kill()
    broker = await BrokerProcess.start(directory)
    say('after SIGKILL: ready', ms(broker.readyMs), bounds.ready)
    const first = await LeanClient.open(broker.port)
    await first.consume('backlog', 1, 1)
    say('after SIGKILL: first message', ms(performance.now() - broker.begun), bounds.first)
    first.close()
    const drainedMs = await drain(broker, count - 1, freshMs)
    await broker.kill()
    return drainedMs
  })
}

const FRESH_COUNT = 400_000

/** Milliseconds that it takes to consume messages of 1 KiB that have just been published and are all in memory. */
async function fresh(broker: BrokerProcess): Promise<number> {
  const publisher = await LeanClient.open(broker.port)
  const consumer = await LeanClient.open(broker.port)
  await publisher.declare('fresh')
  const consumed = consumer.consume('fresh', FRESH_COUNT)
  const took = await timed(
    async () => void (await Promise.all([publisher.publish('fresh', FRESH_COUNT, KIB), consumed])),
  )
  publisher.close()
  consumer.close()
  say('fresh messages, published and consumed at once', perSecond(FRESH_COUNT, took))
  return took / FRESH_COUNT
}

async function drain(broker: BrokerProcess, count: number, freshMs: number): Promise<number> {
  const consumer = await LeanClient.open(broker.port)
  let took = 0
  const memory = await broker.during(
    timed(() => consumer.consume('backlog', count)).then((spent) => void (took = spent)),
  )
  say('drained', perSecond(count, took))
  say('drained, of the fresh rate', percent(freshMs * count, took), '70 %')
  await sayMemory('resident memory (most, at the end)', memory, '')
  await sayDelay('draining', broker)
  return took
}

/** The same through a RabbitMQ that runs already: how fast it takes and drains a backlog. Returns the latter's time. */
async function peer(port: number, count: number): Promise<number> {
  title(`RabbitMQ: ${whole(count)} persistent messages of 1 KiB`)
  const client = await LeanClient.open(port)
  await client.declare('figures-backlog')
  say('published, each confirmed', perSecond(count, await timed(() => client.publish('figures-backlog', count, KIB))))
  const consumer = await LeanClient.open(port)
  const took = await timed(() => consumer.consume('figures-backlog', count))
  say('drained', perSecond(count, took))
  await client.call(QUEUE_DELETE, uint16(0), shortString('figures-backlog'), NO_FLAGS)
  consumer.close()
  client.close()
  return took
}

/** Ten thousand queues with a hundred messages each: restart and memory. */
function queues(): Promise<void> {
  return withDirectory(async (directory) => {
    title('10,000 queues with 100 persistent messages each')
    let broker = await BrokerProcess.start(directory)
    const client = await LeanClient.open(broker.port)
    const filled = async (): Promise<void> => {
      for (let i = 0; i < 10_000; i++) {
        const declared = client.call(QUEUE_DECLARE, uint16(0), shortString(`q${i}`), DURABLE, NO_ARGUMENTS)
        if (i % 100 === 99) await declared
      }
      for (let i = 0; i < 10_000; i++) await client.publish(`q${i}`, 100, 64, 100)
    }
    await sayMemory('declared and filled: memory (most, at the end)', await broker.during(filled()), '250 MiB')
    await sayDelay('declaring and filling', broker)
    await broker.kill()
    broker = await BrokerProcess.start(directory)
    say('after SIGKILL: ready', ms(broker.readyMs), '2,000 ms')
    await sayMemory('resident memory (most, at the end)', await broker.during(pause(2000)), '250 MiB')
    await sayDelay('for 2 s from then on', broker)
    await broker.kill()
  })
}

const CONNECTIONS = 10_000

/** Ten thousand idle connections: memory and descriptors with them and after them. */
function connections(): Promise<void> {
  return withDirectory(async (directory) => {
    title('10,000 idle connections')
    const broker = await BrokerProcess.start(directory)
    const before = { resident: broker.resident, descriptors: broker.descriptors }
    const clients: LeanClient[] = []
    const opened = async (): Promise<void> => {
      for (let i = 0; i < CONNECTIONS; i += 50) {
        clients.push(...(await Promise.all(Array.from({ length: 50 }, () => LeanClient.open(broker.port)))))
      }
    }
    await sayMemory('resident memory (most, at the end)', await broker.during(opened()), '350 MiB')
    await sayDelay('opening', broker)
    for (const client of clients) client.close()
    while (broker.descriptors > before.descriptors) await pause(50)
    await sayDelay('closing', broker)
    await pause(8000)
    say('resident memory before them, and 8 s after', `${mib(before.resident)}, ${mib(broker.resident)}`)
    say('descriptors before them, and after', `${before.descriptors}, ${broker.descriptors}`, 'as many')
    await broker.kill()
  })
}

const COMMITS = 100_000

/** One message a commit, a hundred thousand times. */
function trickle(): Promise<void> {
  return withDirectory(async (directory) => {
    title('100,000 commits of one message')
    const broker = await BrokerProcess.start(directory)
    const client = await LeanClient.open(broker.port)
    await client.declare('trickle')
    say('published', perSecond(COMMITS, await timed(() => client.publish('trickle', COMMITS, 64, 1))))
    await sayDelay('publishing', broker)
    client.close()
    await broker.kill()
    say('index records', whole(await countOf(directory, Kind.index)), whole(COMMITS / 100))
    say('fragments', whole(await countOf(directory, Kind.fragment)))
  })
}

async function countOf(directory: string, kind: Kind): Promise<number> {
  const level = new Level<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  const keys = await level.keys({ gte: kindKey(kind), lt: kindEnd(kind) }).all()
  await level.close()
  return keys.length
}

/** Purging and deleting a queue with millions of messages: how long another client waits meanwhile. */
async function deletion(count: number): Promise<void> {
  for (const bodyBytes of [16, KIB]) {
    for (const [name, method] of [
      ['purged', QUEUE_PURGE],
      ['deleted', QUEUE_DELETE],
    ] as const) {
      title(`${whole(count)} messages of ${whole(bodyBytes)} B ${name}`)
      await withDirectory(async (directory) => {
        const broker = await BrokerProcess.start(directory)
        const publisher = await LeanClient.open(broker.port)
        await publisher.declare(name)
        await sayMemory(
          'filled: memory (most, at the end)',
          await broker.during(publisher.publish(name, count, bodyBytes)),
          '',
        )
        await sayDelay('filling', broker)
        const waits: number[] = []
        const work = other(broker, publisher.call(method, uint16(0), shortString(name), NO_FLAGS), waits)
        await sayMemory('resident memory (most, at the end)', await broker.during(work), '')
        say(
          'another client waits (p99, most)',
          `${ms(waits[Math.floor(waits.length * 0.99)]!)}, ${ms(waits.at(-1)!)}`,
          '200 ms',
        )
        await sayDelay(name, broker)
        await broker.kill()
      })
    }
  }
}

const WATCHED_MS = 5000

/** Declares a queue again and again while the command goes on and after it, and notes how long each took, in order. */
async function other(broker: BrokerProcess, command: Promise<void>, waits: number[]): Promise<void> {
  const client = await LeanClient.open(broker.port)
  const until = performance.now() + WATCHED_MS
  while (performance.now() < until) waits.push(await timed(() => client.declare('other')))
  await command
  waits.sort((a, b) => a - b)
  client.close()
}

/** Starting on an empty directory, and what an idle broker takes. */
async function starting(): Promise<void> {
  title('an empty directory')
  for (let i = 0; i < 3; i++) {
    await withDirectory(async (directory) => {
      const broker = await BrokerProcess.start(directory)
      await pause(1000)
      say('ready, idle memory', `${ms(broker.readyMs)}, ${mib(broker.resident)}`)
      await broker.kill()
    })
  }
}

async function backlogBeside(): Promise<void> {
  const count = messagesOr(600_000)
  const bounds = { memory: '150 MiB', ready: '', first: '500 ms' }
  if (options.rabbitmq === undefined) return void (await backlog(count, bounds))
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < rounds; round++) {
    ours.push(await backlog(count, bounds))
    theirs.push(await peer(Number(options.rabbitmq), count))
    say('drained, beside RabbitMQ', times(theirs.at(-1)!, ours.at(-1)!))
  }
  say(`drained: median times of ${rounds} rounds, RabbitMQ by ours`, times(middleOf(theirs), middleOf(ours)), '8 times')
}

const FIGURES: Readonly<Record<string, () => Promise<void>>> = {
  start: starting,
  backlog: backlogBeside,
  large: async () =>
    void (await backlog(messagesOr(10_000_000), { memory: '250 MiB', ready: '1,000 ms', first: '2,000 ms' })),
  queues,
  delete: () => deletion(messagesOr(5_000_000)),
  connections,
  trickle,
}

for (const name of names.length > 0 ? names : Object.keys(FIGURES).filter((each) => each !== 'large')) {
  const figure = FIGURES[name]
  if (figure === undefined) throw new Error(`there is no figure ${name}; there are: ${Object.keys(FIGURES).join(', ')}`)
  await figure()
}
