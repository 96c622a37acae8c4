// Prints what the features of exchanges and queues cost, each beside the bound that it is to keep, on a broker of its own.
//   npx tsx test/bench/semantics.ts [topic] [priorities] [delays] [expiry] [--messages N]
// `npm run build` comes first. Without names all are measured. `--messages` replaces the million of delays. Rates are in
// messages a second of processor time that the broker's event loop had, so that they can be compared on a machine that has other work too;
// lateness is by the clock.
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { BrokerProcess } from './broker-process.ts'
import { LeanClient, publishFrames, shortString, table, uint16 } from './lean-client.ts'
import { mib, middleOf, percent, perSecond, say, timed, title, whole, withDirectory } from './report.ts'

const EXCHANGE_DECLARE = 0x0028000a
const QUEUE_BIND = 0x00320014
const DURABLE = Buffer.of(2)
const NOWAIT = Buffer.of(1)
const WAIT = Buffer.of(0)

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { messages: { type: 'string' } },
})

function withBroker(work: (broker: BrokerProcess) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    const broker = await BrokerProcess.start(directory)
    try {
      await work(broker)
    } finally {
      await broker.kill()
    }
  })
}

function declareExchange(client: LeanClient, name: string, type: string, args = {}): Promise<void> {
  return client.call(EXCHANGE_DECLARE, uint16(0), shortString(name), shortString(type), DURABLE, table(args))
}

const MANY_BINDINGS = 100_000
const FEW_BINDINGS = 10
const TOPIC_QUEUES = 10
const TOPIC_MESSAGES = 100_000
const TOPIC_KEYS = 5000

const deviceOf = (index: number): string => `plant${index % FEW_BINDINGS}.site${index % 100}.device${index}`

/** Of few, one for each plant; of many, one for each device: a third each with literal keys, with a `*` and with a `#`. */
function pattern(bindings: number, index: number): string {
  if (bindings === FEW_BINDINGS) return `plant${index}.#`
  const device = deviceOf(index)
  return [`${device}.temperature`, `*.site${index % 100}.device${index}.temperature`, `${device}.#`][index % 3]!
}

/**
 * What a topic exchange with many bindings routes, beside one with few: the same messages, each to one queue and on to its
 * consumer.
 */
function topic(): Promise<void> {
  return withBroker(async (broker) => {
    title(`topic exchanges with ${whole(FEW_BINDINGS)} and ${whole(MANY_BINDINGS)} bindings`)
    const client = await LeanClient.open(broker.port)
    const consumer = await LeanClient.open(broker.port)
    const queues = Array.from({ length: TOPIC_QUEUES }, (_, index) => `topic${index}`)
    for (const queue of queues) await client.declare(queue)
    for (const [exchange, bindings] of [
      ['few', FEW_BINDINGS],
      ['many', MANY_BINDINGS],
    ] as const) {
      await declareExchange(client, exchange, 'topic')
      const bind = (index: number, flags: Buffer): Buffer[] => {
        const [queue, key] = [shortString(queues[index % TOPIC_QUEUES]!), shortString(pattern(bindings, index))]
        return [uint16(0), queue, shortString(exchange), key, flags, table()]
      }
      for (let at = 0; at < bindings; at += 1000) {
        const length = Math.min(1000, bindings - at)
        client.sendAll(
          QUEUE_BIND,
          Array.from({ length }, (_, index) => bind(at + index, NOWAIT)),
        )
        await client.call(QUEUE_BIND, ...bind(at, WAIT))
      }
    }
    const arrivals = new Arrivals()
    await consumer.listen(queues, () => arrivals.one())
    const routed = (exchange: string): Promise<number> => {
      const keys = Array.from({ length: TOPIC_KEYS }, (_, index) => (index * 7919) % MANY_BINDINGS)
      const messages = keys.map((index) => {
        const routingKey = `${deviceOf(index)}.temperature`
        return publishFrames({ exchange, routingKey, body: Buffer.alloc(16), transient: true })
      })
      const published = (): Promise<void> => client.publishEach(messages, TOPIC_MESSAGES)
      return used(broker, async () => void (await Promise.all([arrivals.of(TOPIC_MESSAGES), published()])))
    }
    const [few, many] = await medians(
      () => routed('few'),
      () => routed('many'),
    )
    say(`${whole(FEW_BINDINGS)} bindings`, perSecond(TOPIC_MESSAGES, few))
    say(`${whole(MANY_BINDINGS)} bindings`, perSecond(TOPIC_MESSAGES, many))
    say('many, of the rate of few', percent(few, many), '50 %')
    say('resident memory', mib(broker.resident))
  })
}

const LEVELS = 10
const PRIORITY_MESSAGES = 100_000

/** What a queue delivers whose messages have ten priorities, beside one without: what waited, and what comes and goes. */
function priorities(): Promise<void> {
  return withBroker(async (broker) => {
    title(`a queue with ${LEVELS} priorities in use`)
    const publisher = await LeanClient.open(broker.port)
    await publisher.declare('plain')
    await publisher.declare('levels', { 'x-max-priority': LEVELS - 1 })
    const messages = (queue: string): Buffer[] =>
      Array.from({ length: 1000 }, (_, index) =>
        publishFrames({
          routingKey: queue,
          body: Buffer.alloc(64),
          transient: true,
          priority: (index * 7) % LEVELS,
        }),
      )
    const consuming = async (queue: string, meanwhile: Promise<void>): Promise<void> => {
      const consumer = await LeanClient.open(broker.port)
      await Promise.all([consumer.consume(queue, PRIORITY_MESSAGES), meanwhile])
      consumer.close()
    }
    const drained = async (queue: string): Promise<number> => {
      await publisher.publishEach(messages(queue), PRIORITY_MESSAGES)
      return used(broker, () => consuming(queue, Promise.resolve()))
    }
    const passed = (queue: string): Promise<number> =>
      used(broker, () => consuming(queue, publisher.publishEach(messages(queue), PRIORITY_MESSAGES)))
    for (const [what, run] of [
      ['what waited', drained],
      ['published and consumed at once', passed],
    ] as const) {
      const [plain, levels] = await medians(
        () => run('plain'),
        () => run('levels'),
      )
      say(`${what}: without priorities`, perSecond(PRIORITY_MESSAGES, plain))
      say(`${what}: with them`, perSecond(PRIORITY_MESSAGES, levels))
      say(`${what}: of the plain rate`, percent(plain, levels), '50 %')
    }
  })
}

const DELAYED_PROBES = 2000
/** Few at once, so that the time that is noted in a message is that at which it is sent. */
const BATCH = 20
const HOUR_MS = 60 * 60 * 1000

/** A million messages that wait for an hour, and how far behind their time others leave that are due within seconds. */
function delays(): Promise<void> {
  const count = Number(options.messages ?? 1_000_000)
  return withBroker(async (broker) => {
    title(`${whole(count)} delayed messages`)
    const publisher = await LeanClient.open(broker.port)
    const consumer = await LeanClient.open(broker.port)
    await publisher.declare('due')
    await declareExchange(publisher, 'delayed', 'x-delayed-message', { 'x-delayed-type': 'fanout' })
    await publisher.call(
      QUEUE_BIND,
      uint16(0),
      shortString('due'),
      shortString('delayed'),
      shortString(''),
      WAIT,
      table(),
    )
    const waiting = Array.from({ length: 1000 }, (_, index) => delayed(HOUR_MS + index * 100, Buffer.alloc(16)))
    let took = 0
    const memory = await broker.during(
      timed(() => publisher.publishEach(waiting, count, 20_000)).then((spent) => void (took = spent)),
    )
    say('published, each confirmed after a sync', perSecond(count, took))
    say('resident memory (most, at the end)', `${mib(memory.peak)}, ${mib(memory.last)}`, '250 MiB')
    const lateness = new Lateness()
    await consumer.listen(['due'], (body) => lateness.note(body))
    await broker.loopDelay()
    for (let sent = 0; sent < DELAYED_PROBES; sent += BATCH) {
      const probes = Array.from({ length: BATCH }, (_, index) => {
        const delayMs = 1000 + (((sent + index) * 7919) % 4000)
        return delayed(delayMs, dueIn(delayMs))
      })
      await publisher.publishEach(probes, probes.length)
      await pause(10)
    }
    await lateness.of(DELAYED_PROBES)
    const { median, p99, max } = lateness
    say('due messages leave late by (median, p99, most)', `${median}, ${p99}, ${max} ms`, '50 ms')
    await sayLoop(broker)
  })
}

const MORTALS = 1000

/** A thousand messages with a thousand times to live in one queue, as their dead letters come out of it. */
function expiry(): Promise<void> {
  return withBroker(async (broker) => {
    title(`${whole(MORTALS)} messages of different times to live in one queue`)
    const publisher = await LeanClient.open(broker.port)
    const consumer = await LeanClient.open(broker.port)
    await publisher.declare('dead')
    await publisher.declare('mortal', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' })
    const lateness = new Lateness()
    await consumer.listen(['dead'], (body) => lateness.note(body))
    await broker.loopDelay()
    for (let sent = 0; sent < MORTALS; sent += BATCH) {
      const messages = Array.from({ length: BATCH }, (_, index) => {
        const ttlMs = 500 + (((sent + index) * 7919) % 5000)
        return publishFrames({ routingKey: 'mortal', body: dueIn(ttlMs), expiration: String(ttlMs) })
      })
      await publisher.publishEach(messages, BATCH)
    }
    await lateness.of(MORTALS)
    const { median, p99, max } = lateness
    say('expire late by (median, p99, most)', `${median}, ${p99}, ${max} ms`, '1,000 ms')
    await sayLoop(broker)
  })
}

function delayed(delayMs: number, body: Buffer): Buffer {
  return publishFrames({ exchange: 'delayed', routingKey: '', body, headers: { 'x-delay': delayMs } })
}

/** A body that says when its message is due. */
function dueIn(milliseconds: number): Buffer {
  const body = Buffer.alloc(8)
  body.writeDoubleBE(Date.now() + milliseconds)
  return body
}

/** Waits for so many messages, of which some may have come. */
class Arrivals {
  #left = 0
  #arrived: () => void = () => undefined

  one(): void {
    if (--this.#left === 0) this.#arrived()
  }

  async of(count: number): Promise<void> {
    this.#left += count
    if (this.#left > 0) await new Promise<void>((resolve) => (this.#arrived = resolve))
  }
}

/** How late messages come whose bodies say when they are due, in milliseconds. What is early counts as late. */
class Lateness {
  readonly #late: number[] = []
  readonly #arrivals = new Arrivals()

  note(body: Buffer): void {
    this.#late.push(Math.abs(Date.now() - body.readDoubleBE()))
    this.#arrivals.one()
  }

  async of(count: number): Promise<void> {
    await this.#arrivals.of(count)
    this.#late.sort((a, b) => a - b)
  }

  get median(): number {
    return this.#at(0.5)
  }

  get p99(): number {
    return this.#at(0.99)
  }

  get max(): number {
    return this.#at(1)
  }

  #at(share: number): number {
    return Math.round(this.#late[Math.min(this.#late.length - 1, Math.floor(this.#late.length * share))]!)
  }
}

/** How late the broker's event loop was by itself: on a machine with other work nothing can be more in time than that. */
async function sayLoop(broker: BrokerProcess): Promise<void> {
  const { p99, max } = await broker.loopDelay()
  say('event loop late meanwhile by (p99, most)', `${Math.round(p99)}, ${Math.round(max)} ms`)
}

/** Does something and returns the milliseconds that the broker's event loop was on a processor for it. */
async function used(broker: BrokerProcess, work: () => Promise<void>): Promise<number> {
  const before = broker.threadMs
  await work()
  return broker.threadMs - before
}

const ROUNDS = 3

/** Measures two things in turn, some rounds after one that warms up, and returns the median of each. */
async function medians(one: () => Promise<number>, other: () => Promise<number>): Promise<[number, number]> {
  await one()
  await other()
  const [ones, others]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    ones.push(await one())
    others.push(await other())
  }
  return [middleOf(ones), middleOf(others)]
}

const FIGURES: Readonly<Record<string, () => Promise<void>>> = { topic, priorities, delays, expiry }

for (const name of names.length > 0 ? names : Object.keys(FIGURES)) {
  const figure = FIGURES[name]
  if (figure === undefined) throw new Error(`there is no figure ${name}; there are: ${Object.keys(FIGURES).join(', ')}`)
  await figure()
}
