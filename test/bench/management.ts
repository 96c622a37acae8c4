// How long the HTTP API takes, and how long it keeps the event loop, with many queues and connections. Prints figures.
// Run with: npx tsx test/bench/management.ts [queues] [connections]
import { execFile } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect, type ChannelModel } from 'amqplib'
import { startServer } from '../../src/server.ts'

const REQUESTS = 100
const PATHS = [
  '/api/queues?page=1&page_size=100',
  '/api/queues?page=1&page_size=100&sort=messages&sort_reverse=true',
  '/api/queues?page=1&page_size=100&sort=message_stats.publish_details.rate',
  '/api/queues?page=10&page_size=100&name=7&use_regex=true',
  '/api/queues?page=1&page_size=100&columns=name,messages',
  '/api/connections?page=1&page_size=100',
  '/api/overview',
  '/api/queues',
  '/api/definitions',
  '/metrics',
  '/metrics/per-object',
]

/** Runs apart from the broker, so that reading the answers does not count as its work. */
async function client(port: string, path: string): Promise<readonly number[]> {
  const authorization = `Basic ${btoa('guest:guest')}`
  const times: number[] = []
  for (let i = 0; i < REQUESTS; i++) {
    const started = performance.now()
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization } })
    await response.arrayBuffer()
    if (!response.ok) throw new Error(`${path}: ${response.status}`)
    times.push(performance.now() - started)
  }
  return times
}

async function main(queues: number, connections: number): Promise<void> {
  const server = await startServer({ host: '127.0.0.1', managementHost: '127.0.0.1', managementPort: 0 })
  const url = `amqp://guest:guest@127.0.0.1:${server.ports.amqp}`
  const open: ChannelModel[] = []
  for (let i = 0; i < connections; i++) open.push(await connect(url))
  const channel = await open[0]!.createChannel()
  for (let i = 0; i < queues; i++) await channel.assertQueue(`queue-${i}`, { durable: false })
  for (let i = 0; i < queues; i += 3) channel.sendToQueue(`queue-${i}`, Buffer.alloc(100))
  // So that every counter was sampled twice.
  await wait(11_000)
  process.stdout.write(`${queues} queues, ${connections} connections, ${REQUESTS} requests each, milliseconds\n`)
  process.stdout.write(`${'path'.padEnd(72)}   p50   p99  loop held at most\n`)
  for (const path of PATHS) {
    const loop = monitorEventLoopDelay({ resolution: 1 })
    loop.enable()
    const times = await timesOf(String(server.ports.management), path)
    loop.disable()
    const sorted = [...times].toSorted((a, b) => a - b)
    const at = (share: number): string => sorted[Math.ceil(sorted.length * share) - 1]!.toFixed(1).padStart(6)
    process.stdout.write(`${path.padEnd(72)}${at(0.5)}${at(0.99)}  ${(loop.max / 1e6).toFixed(1)}\n`)
  }
  for (const connection of open) await connection.close()
  await server.close()
}

async function timesOf(port: string, path: string): Promise<readonly number[]> {
  const words = [...process.execArgv, fileURLToPath(import.meta.url), 'client', port, path]
  const { stdout } = await promisify(execFile)(process.execPath, words)
  return JSON.parse(stdout) as number[]
}

const [first = '10000', second = '1000', path = ''] = process.argv.slice(2)
if (first === 'client') process.stdout.write(JSON.stringify(await client(second, path)))
else await main(Number(first), Number(second))
