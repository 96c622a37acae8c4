// Measures the store on LevelDB: `npx tsx test/bench/store.ts [part ...] [name=number ...]`, each part by its name below.
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { Message } from '../../src/core/message.ts'
import type { Publisher, QueueLog } from '../../src/core/ports.ts'
import { Entry } from '../../src/core/queue/entry.ts'
import { Turn } from '../../src/lib/turn.ts'
import { LevelStore } from '../../src/store/level/level-store.ts'
import type { LevelTuning } from '../../src/store/level/tuning.ts'
import { queueNamed } from '../support/core.ts'

const FACTS = { persistent: true, priority: 0, expirationMs: -1, headers: false }
const PROPERTIES = Buffer.from([0x10, 0x00, 0x02])
const CHUNK_MESSAGES = 64

/** Names of parts, and settings of LevelDB or of a part. */
const parts = process.argv.slice(2).filter((argument) => !argument.includes('='))
const settings = new Map(
  process.argv
    .slice(2)
    .filter((argument) => argument.includes('='))
    .map((argument) => argument.split('=') as [string, string]),
)
const tuning: LevelTuning = Object.fromEntries(
  ['cacheSize', 'writeBufferSize', 'blockSize', 'maxOpenFiles', 'maxFileSize']
    .filter((name) => settings.has(name))
    .map((name) => [name, Number(settings.get(name))]),
)
const queue = queueNamed('bench')
const directory = settings.get('directory') ?? tmpdir()

const monitor = {
  storeFailed: (error: Error) => {
    throw error
  },
  storeRecovered: () => undefined,
}

interface Opened {
  readonly store: LevelStore
  readonly location: string
}

async function open(location = mkdtempSync(join(directory, 'leveret-bench-'))): Promise<Opened> {
  const { store } = await LevelStore.open({ location, turn: new Turn(), monitor, tuning })
  return { store, location }
}

async function close({ store, location }: Opened): Promise<void> {
  await store.close()
  rmSync(location, { recursive: true })
}

/** Entries as a front end makes them: views into chunks of input that hold some of them each. */
class Producer {
  readonly #bodyBytes: number
  readonly #messageBytes: number
  #chunk = Buffer.alloc(0)
  #at = 0
  #position = 0

  constructor(bodyBytes: number) {
    this.#bodyBytes = bodyBytes
    this.#messageBytes = 60 + bodyBytes
  }

  next(): Entry {
    if (this.#at + this.#messageBytes > this.#chunk.length) {
      this.#chunk = Buffer.allocUnsafeSlow(this.#messageBytes * CHUNK_MESSAGES)
      PROPERTIES.copy(this.#chunk, 0)
      this.#at = 0
    }
    const chunk = this.#chunk
    const start = this.#at + 50
    this.#at += this.#messageBytes
    const body = start + 10
    const message = new Message('', 'bench', FACTS, chunk, start, start + 3, chunk, body, body + this.#bodyBytes, false)
    return new Entry(queue, message, this.#position++)
  }
}

function durable(store: LevelStore): Promise<void> {
  return new Promise((resolve) => store.whenDurable(resolve))
}

function turned(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/**
 * Milliseconds of processor time that the main thread has had: what others take of the machine does not count. Where
 * the system does not tell, the time in which the event loop was busy.
 */
function mainThreadMs(): number {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  } catch {
    return performance.eventLoopUtilization().active
  }
}

function sizeOf(location: string): number {
  return readdirSync(location).reduce(
    (sum, file) => sum + (statSync(join(location, file), { throwIfNoEntry: false })?.size ?? 0),
    0,
  )
}

function report(part: string, words: Record<string, number | string>): void {
  const text = Object.entries(words).map(
    ([name, value]) => `${name} ${typeof value === 'number' ? value.toFixed(2) : value}`,
  )
  console.log(`${part.padEnd(28)} ${text.join('   ')}`)
}

/** Appends and, once they are on disk, settles, a given number in flight. Returns the main thread's time a message. */
async function flow(bodyBytes: number, count: number, withStore: boolean): Promise<number> {
  const opened = await open()
  const log = opened.store.log()
  const producer = new Producer(bodyBytes)
  const window: Entry[] = []
  let accepted = 0
  let settled = 0
  const publisher: Publisher = {
    accepted: () => void accepted++,
    refused: () => undefined,
  }
  const start = performance.now()
  const before = mainThreadMs()
  for (let appended = 0; settled < count;) {
    for (let i = 0; i < 256 && appended < count && appended - settled < 20_000; i++) {
      const entry = producer.next()
      window.push(entry)
      if (withStore) log.append(entry, publisher, appended)
      else accepted++
      appended++
    }
    for (; settled < accepted; settled++) if (withStore) log.settle(window[settled]!)
    if (settled > 100_000) {
      window.splice(0, settled)
      accepted -= settled
      appended -= settled
      count -= settled
      settled = 0
    }
    // The loop must not be busy while it waits for the disk, or that counts as its time.
    if (withStore && appended - settled >= 20_000) await durable(opened.store)
    else await turned()
  }
  const active = mainThreadMs() - before
  const elapsed = performance.now() - start
  await close(opened)
  if (withStore) lastRate = elapsed
  return active * 1000
}

let lastRate = 0

async function measureFlow(bodyBytes: number): Promise<void> {
  const count = Number(settings.get('count') ?? (bodyBytes > 100 ? 400_000 : 1_500_000))
  await flow(bodyBytes, count / 4, true)
  const bare = (await flow(bodyBytes, count, false)) / count
  const all = (await flow(bodyBytes, count, true)) / count
  report(`append, store, settle ${bodyBytes} B`, {
    'µs of main thread': all - bare,
    'messages/s': Math.round((count / lastRate) * 1000),
  })
}

/** One message at a time. */
async function measureLatency(): Promise<void> {
  const opened = await open()
  const log = opened.store.log()
  const producer = new Producer(16)
  const times: number[] = []
  for (let i = 0; i < 500; i++) {
    const start = performance.now()
    const entry = producer.next()
    log.append(entry, null, 0)
    await durable(opened.store)
    log.settle(entry)
    times.push(performance.now() - start)
  }
  await close(opened)
  times.sort((a, b) => a - b)
  report('commit of one message', { 'p50 ms': times[250]!, 'p99 ms': times[495]! })
}

/** The most that was resident, of the process's own and of mapped files, in MiB. */
class Peak {
  own = 0
  files = 0

  sample(): void {
    const status = readFileSync('/proc/self/status', 'utf8')
    this.own = Math.max(this.own, Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) / 1024)
    this.files = Math.max(this.files, Number(/RssFile:\s+(\d+)/.exec(status)?.[1]) / 1024)
  }
}

/** A backlog with nobody to take it, then read back, then dropped. */
async function measureBacklog(bodyBytes: number): Promise<void> {
  const megabytes = Number(settings.get('megabytes') ?? 512)
  const count = Math.floor((megabytes * 1024 * 1024) / bodyBytes)
  const opened = await open()
  const log = opened.store.log()
  const producer = new Producer(bodyBytes)
  const peak = new Peak()
  const commits: number[] = []
  let blockedMs = 0
  const start = performance.now()
  const before = mainThreadMs()
  for (let appended = 0; appended < count;) {
    const turn = performance.now()
    for (let i = 0; i < 128 && appended < count; i++, appended++) log.append(producer.next(), null, 0)
    await turned()
    const waiting = performance.now()
    blockedMs = Math.max(blockedMs, waiting - turn)
    if (opened.store.pendingBytes > 8 * 1024 * 1024) {
      await durable(opened.store)
      commits.push(performance.now() - waiting)
    }
    if (appended % 12_800 === 0) peak.sample()
  }
  await durable(opened.store)
  const seconds = (performance.now() - start) / 1000
  commits.sort((a, b) => a - b)
  report(`backlog of ${bodyBytes} B`, {
    'MB/s': megabytes / seconds,
    'µs of main thread': ((mainThreadMs() - before) * 1000) / count,
    'blocked ms': blockedMs,
    'waited p50 ms': commits[commits.length >> 1]!,
    'max ms': commits[commits.length - 1]!,
    'own MiB': peak.own,
    'mapped MiB': peak.files,
    'disk MiB': sizeOf(opened.location) / 2 ** 20,
  })
  await measureReading(opened, log, count, megabytes)
  await close(opened)
}

async function measureReading(opened: Opened, log: QueueLog, count: number, megabytes: number): Promise<void> {
  const start = performance.now()
  const before = mainThreadMs()
  const peak = new Peak()
  let read = 0
  for (let from = 0; ;) {
    const found = await log.read(from, count)
    if (found.length === 0) break
    read += found.length
    from = found[found.length - 1]!.position + 1
    if (read % 100 === 0) peak.sample()
  }
  const seconds = (performance.now() - start) / 1000
  const active = mainThreadMs() - before
  report('  read back', {
    'MB/s': megabytes / seconds,
    'messages/s': Math.round(read / seconds),
    'µs of main thread': (active * 1000) / read,
    'own MiB': peak.own,
    'mapped MiB': peak.files,
  })
  const dropping = performance.now()
  let worst = 0
  log.drop()
  let durableMs = 0
  opened.store.whenDurable(() => {
    durableMs = performance.now() - dropping
  })
  for (let last = performance.now(); performance.now() - dropping < 4_000;) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    worst = Math.max(worst, performance.now() - last)
    last = performance.now()
  }
  report('  dropped', {
    'durable ms': durableMs,
    'worst ms': worst,
    'disk MiB 4 s later': sizeOf(opened.location) / 2 ** 20,
  })
}

/** Opening a store of 10,000 pages. */
async function measureRecovery(): Promise<void> {
  const opened = await open()
  const log = opened.store.log()
  const producer = new Producer(1)
  const pages = Number(settings.get('pages') ?? 10_000)
  for (let page = 0; page < pages; page++) {
    for (let i = 0; i < 512; i++) log.append(producer.next(), null, 0)
    if (page % 20 === 0) await durable(opened.store)
  }
  await opened.store.close()
  const start = performance.now()
  const again = await open(opened.location)
  const openMs = performance.now() - start
  const first = again.store.log(log.id)
  const found = await first.read(first.recovered.first, first.next)
  report(`recovery of ${pages} pages`, {
    'open ms': openMs,
    'first page ms': performance.now() - start,
    messages: first.recovered.count,
    found: found.length,
  })
  await close(again)
}

/** One message a commit. */
async function measureTrickle(): Promise<void> {
  const opened = await open()
  const log = opened.store.log()
  const producer = new Producer(100)
  const count = Number(settings.get('count') ?? 20_000)
  const start = performance.now()
  const before = mainThreadMs()
  for (let i = 0; i < count; i++) {
    log.append(producer.next(), null, 0)
    await durable(opened.store)
  }
  const active = mainThreadMs() - before
  report('trickle', {
    'commits/s': Math.round((count * 1000) / (performance.now() - start)),
    'µs of main thread a commit': (active * 1000) / count,
    'disk MiB': sizeOf(opened.location) / 2 ** 20,
  })
  await close(opened)
}

/** A message in each of many queues. */
async function measureQueues(): Promise<void> {
  const opened = await open()
  const count = Number(settings.get('queues') ?? 10_000)
  const logs = Array.from({ length: count }, () => opened.store.log())
  const producer = new Producer(100)
  await durable(opened.store)
  const before = mainThreadMs()
  const start = performance.now()
  for (let round = 0; round < 10; round++) {
    for (const log of logs) log.append(producer.next(), null, 0)
    await durable(opened.store)
  }
  const active = mainThreadMs() - before
  report(`${count} queues, one each`, {
    'ms a commit': (performance.now() - start) / 10,
    'ms of main thread': active / 10,
    'heap MiB': process.memoryUsage().heapUsed / 2 ** 20,
  })
  await close(opened)
}

const PARTS: Readonly<Record<string, () => Promise<void>>> = {
  flow16: () => measureFlow(16),
  flow1024: () => measureFlow(1024),
  latency: measureLatency,
  backlog: () => measureBacklog(1024),
  backlog16: () => measureBacklog(16),
  recovery: measureRecovery,
  trickle: measureTrickle,
  queues: measureQueues,
}

for (const part of parts.length > 0 ? parts : ['flow16', 'flow1024', 'latency', 'backlog', 'recovery'])
  await PARTS[part]!()
