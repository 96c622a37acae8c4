// Prints the figures of large backlogs, many queues and many connections, each on a broker of its own.
//   npx tsx test/bench/figures.ts [backlog [messages]] [queues] [connections] [trickle] [delete [messages]] [start]
// `npm run build` comes first. Rates are of this machine at this moment: read them beside a peer's of the same run.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { LeanClient, shortString, uint16 } from './lean-client.ts'

const QUEUE_DECLARE = 0x0032000a
const QUEUE_PURGE = 0x0032001e
const QUEUE_DELETE = 0x00320028
const NO_ARGUMENTS = Buffer.alloc(4)
const DURABLE = Buffer.of(2)
const NO_FLAGS = Buffer.of(0)

interface Running {
  readonly child: ChildProcess
  readonly port: number
  readonly readyMs: number
}

const main = join(import.meta.dirname, '../../dist/main.js')

async function start(directory: string): Promise<Running> {
  const begun = performance.now()
  const child = spawn(
    process.execPath,
    [main, 'start', '--data-dir', directory, '--port', '0', '--log-level', 'warn'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const line = await new Promise<string>((resolve) =>
    child.stdout.once('data', (data: Buffer) => resolve(String(data))),
  )
  return { child, port: Number(/amqp (\d+)/.exec(line)![1]), readyMs: performance.now() - begun }
}

async function end(broker: Running, signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => broker.child.once('exit', resolve))
  broker.child.kill(signal)
  await ended
}

/** Resident memory in MiB: now, and at its peak since the last time this was asked. */
function resident(broker: Running): number {
  const status = readFileSync(`/proc/${broker.child.pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024)
}

async function peakDuring(broker: Running, work: Promise<void>): Promise<number> {
  let peak = 0
  const timer = setInterval(() => (peak = Math.max(peak, resident(broker))), 100)
  await work
  clearInterval(timer)
  return Math.max(peak, resident(broker))
}

async function withDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-figures-'))
  try {
    await work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function rate(count: number, milliseconds: number): string {
  return `${Math.round((count / milliseconds) * 1000).toLocaleString('en')} a second`
}

/** A backlog of persistent messages of 1 KiB: memory, restart after SIGKILL, first message, draining. */
function backlog(count: number): Promise<void> {
  return withDirectory(async (directory) => {
    let broker = await start(directory)
    const publisher = await LeanClient.open(broker.port)
    await publisher.declare('backlog')
    let begun = performance.now()
    const peak = await peakDuring(broker, publisher.publish('backlog', count, 1024))
    console.log(`backlog of ${count.toLocaleString('en')} x 1 KiB, synced: ${rate(count, performance.now() - begun)}`)
    console.log(`  resident memory: ${peak} MiB at its peak, ${resident(broker)} MiB after it`)
    await end(broker, 'SIGKILL')
    broker = await start(directory)
    begun = performance.now()
    const first = await LeanClient.open(broker.port)
    await first.consume('backlog', 1, 1)
    const firstMs = broker.readyMs + performance.now() - begun
    console.log(
      `  after SIGKILL: ready in ${Math.round(broker.readyMs)} ms, first message after ${Math.round(firstMs)} ms`,
    )
    first.close()
    const consumer = await LeanClient.open(broker.port)
    begun = performance.now()
    const drainPeak = await peakDuring(broker, consumer.consume('backlog', count - 1))
    console.log(`  drained at ${rate(count - 1, performance.now() - begun)}, ${drainPeak} MiB at its peak`)
    await end(broker, 'SIGTERM')
  })
}

/** Ten thousand queues with a hundred messages each: restart and memory. */
function queues(): Promise<void> {
  return withDirectory(async (directory) => {
    let broker = await start(directory)
    const client = await LeanClient.open(broker.port)
    for (let i = 0; i < 10_000; i++) {
      const declared = client.call(QUEUE_DECLARE, uint16(0), shortString(`q${i}`), DURABLE, NO_ARGUMENTS)
      if (i % 100 === 99) await declared
    }
    for (let i = 0; i < 10_000; i++) await client.publish(`q${i}`, 100, 64, 100)
    await end(broker, 'SIGKILL')
    broker = await start(directory)
    console.log(
      `10,000 queues with 100 messages each: ready in ${Math.round(broker.readyMs)} ms, ${resident(broker)} MiB`,
    )
    await end(broker, 'SIGTERM')
  })
}

/** Ten thousand idle connections: memory with them and after them. */
function connections(): Promise<void> {
  return withDirectory(async (directory) => {
    const broker = await start(directory)
    const before = resident(broker)
    const clients: LeanClient[] = []
    for (let i = 0; i < 10_000; i += 50) {
      clients.push(...(await Promise.all(Array.from({ length: 50 }, () => LeanClient.open(broker.port)))))
    }
    const during = resident(broker)
    for (const client of clients) client.close()
    await pause(5000)
    console.log(`10,000 idle connections: ${before} MiB before, ${during} MiB with them, ${resident(broker)} MiB after`)
    await end(broker, 'SIGTERM')
  })
}

/** One message a commit, a hundred thousand times. */
function trickle(): Promise<void> {
  return withDirectory(async (directory) => {
    const broker = await start(directory)
    const client = await LeanClient.open(broker.port)
    await client.declare('trickle')
    const begun = performance.now()
    await client.publish('trickle', 100_000, 64, 1)
    console.log(`trickle of 100,000, one at a time: ${rate(100_000, performance.now() - begun)}`)
    await end(broker, 'SIGTERM')
  })
}

/** Purging and deleting a queue with millions of messages: how long another client waits meanwhile. */
function deletion(count: number): Promise<void> {
  return withDirectory(async (directory) => {
    const broker = await start(directory)
    const publisher = await LeanClient.open(broker.port)
    for (const [name, method] of [
      ['purged', QUEUE_PURGE],
      ['deleted', QUEUE_DELETE],
    ] as const) {
      await publisher.declare(name)
      await publisher.publish(name, count, 16)
      const other = await LeanClient.open(broker.port)
      const waits: number[] = []
      const command = publisher.call(method, uint16(0), shortString(name), NO_FLAGS)
      const until = performance.now() + 5000
      while (performance.now() < until) {
        const asked = performance.now()
        await other.declare('other')
        waits.push(performance.now() - asked)
      }
      await command
      waits.sort((a, b) => a - b)
      const worst = Math.round(waits.at(-1)!)
      const p99 = Math.round(waits[Math.floor(waits.length * 0.99)]!)
      console.log(
        `${count.toLocaleString('en')} messages ${name}: another client waits ${p99} ms (p99), ${worst} ms at worst`,
      )
      other.close()
    }
    await end(broker, 'SIGTERM')
  })
}

/** Starting on an empty directory, and what an idle broker takes. */
async function starting(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await withDirectory(async (directory) => {
      const broker = await start(directory)
      await pause(1000)
      console.log(`empty directory: ready in ${Math.round(broker.readyMs)} ms, idle ${resident(broker)} MiB`)
      await end(broker, 'SIGTERM')
    })
  }
}

const words = process.argv.slice(2)
const number = (at: number, fallback: number): number => (/^\d+$/.test(words[at] ?? '') ? Number(words[at]) : fallback)
const all = words.length === 0
for (const [name, run] of [
  ['start', starting],
  ['backlog', () => backlog(number(words.indexOf('backlog') + 1, 600_000))],
  ['queues', queues],
  ['connections', connections],
  ['trickle', trickle],
  ['delete', () => deletion(number(words.indexOf('delete') + 1, 5_000_000))],
] as const) {
  if (all || words.includes(name)) await run()
}
