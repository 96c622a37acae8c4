// Sessions that went wrong on their way: valid ones with bits flipped, frames lost, doubled, swapped and made up. The
// broker must go on serving, say nothing that cannot be read, and forget them. TEST_FUZZ_SEED and
// TEST_FUZZ_SESSIONS choose others than the usual ones; a failure names its seed.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect } from 'vitest'
import { silentLogger } from '../../src/lib/log.ts'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import { encodeHeader, encodeMethod, FrameType, PROTOCOL_HEADER, type FieldsInput } from '../support/codec.ts'
import { uint } from '../support/field-values.ts'
import { Random } from '../support/random.ts'
import { CAPABILITIES, frame, RawClient } from '../support/raw-client.ts'

const SEED = Number(process.env.TEST_FUZZ_SEED ?? 20_261_123)
const SESSIONS = Number(process.env.TEST_FUZZ_SESSIONS ?? 800)
const WARM_UP = 150
const CHECKED_EVERY = 40
const GROWTH_BYTES_MAX = 24 * 1024 * 1024
const LOGIN_FRAMES = 4

/** What the broker took for a fault of its own. */
const faults: unknown[] = []
const broker = useBroker({ logger: { ...silentLogger, error: (facts, message) => faults.push({ facts, message }) } })

describe('the broker', () => {
  itOnlyHere(
    'its memory is its own',
    'serves on, and grows by nothing, whatever goes wrong with clients',
    async () => {
      const random = new Random(SEED)
      const collect = garbageCollector()
      let before = 0
      for (let session = 0; session < SESSIONS; session++) {
        const seed = random.below(2 ** 32)
        await run(seed)
        if (session % CHECKED_EVERY === 0) await broker.expectToServe()
        if (session === WARM_UP) before = memoryInUse(collect)
      }
      await broker.clean()
      expect(memoryInUse(collect) - before, 'bytes of growth').toBeLessThan(GROWTH_BYTES_MAX)
      while (openSockets() > 0) await turn()
    },
    120_000,
  )
})

/** One spoilt session, from the first byte to the end of the connection. */
async function run(seed: number): Promise<void> {
  const random = new Random(seed)
  const frames = validSession(random)
  const spoilt = random.chance(0.9) ? spoil(frames, random) : frames
  const client = await RawClient.dial(broker.port, broker.host)
  try {
    const bytes = Buffer.concat(spoilt)
    const cut = random.below(bytes.length)
    await client.bytes(bytes.subarray(0, cut))
    await client.bytes(bytes.subarray(cut))
    if (random.chance(0.1)) client.drop(true)
    else client.end()
    while (!client.ended) await turn()
  } catch (error) {
    // A server may hang up while we are still writing.
    if (!client.ended) throw new Error(`seed ${seed}`, { cause: error })
  }
  if (client.fault) throw new Error(`seed ${seed}`, { cause: client.fault })
  expect(faults, `faults with seed ${seed}`).toEqual([])
}

/** The frames of a session that uses a bit of everything. */
function validSession(random: Random): Buffer[] {
  const startOk = {
    'client-properties': { product: 'fuzz', list: [1, { a: 'b' }], capabilities: CAPABILITIES },
    mechanism: 'PLAIN',
    response: '\0guest\0guest',
    locale: 'en_US',
  }
  const frames = [
    Buffer.from(PROTOCOL_HEADER),
    method(0, 'connection.start-ok', startOk),
    method(0, 'connection.tune-ok', { 'channel-max': 2047, 'frame-max': 131072, heartbeat: 60 }),
    method(0, 'connection.open', { 'virtual-host': '/' }),
    method(1, 'channel.open'),
    method(2, 'channel.open'),
    method(1, 'queue.declare', {
      queue: 'fuzz',
      exclusive: true,
      arguments: { 'x-max-length': 5, 'x-list': [1n, null] },
    }),
  ]
  const actions = Array.from({ length: 4 + random.below(8) }, () => random.pick(steps))
  for (const action of actions) frames.push(...action(random))
  if (random.chance(0.5)) frames.push(method(0, 'connection.close', { 'reply-code': 200, 'reply-text': 'bye' }))
  return frames
}

/** What a session may do, each as one or more frames. */
const steps: ((random: Random) => Buffer[])[] = [
  () => [method(1, 'exchange.declare', { exchange: 'fuzz', type: 'topic', 'auto-delete': true })],
  () => [method(1, 'queue.bind', { queue: 'fuzz', exchange: 'amq.topic', 'routing-key': 'a.*.#' })],
  () => [method(1, 'queue.bind', { queue: '', exchange: 'amq.headers', arguments: { 'x-match': 'any', n: 1 } })],
  () => [method(1, 'exchange.bind', { source: 'amq.topic', destination: 'amq.fanout', 'routing-key': '#' })],
  () => [method(1, 'exchange.unbind', { source: 'amq.topic', destination: 'amq.fanout', 'routing-key': '#' })],
  () => [method(1, 'confirm.select')],
  () => [method(1, 'basic.qos', { 'prefetch-count': 2 })],
  () => [method(1, 'basic.consume', { queue: 'fuzz', 'consumer-tag': 'c' })],
  () => [method(2, 'basic.consume', { queue: 'fuzz', 'consumer-tag': 'c', 'no-ack': true })],
  (random) => content(1, { 'routing-key': 'fuzz' }, random),
  (random) => content(2, { exchange: 'amq.topic', 'routing-key': 'a.b.c', mandatory: true }, random),
  (random) => content(2, { exchange: 'amq.headers', mandatory: true }, random),
  () => [method(1, 'basic.get', { queue: 'fuzz' }), method(1, 'basic.ack', { 'delivery-tag': 1, multiple: true })],
  () => [method(1, 'basic.nack', { 'delivery-tag': 0, multiple: true, requeue: true })],
  () => [method(1, 'basic.recover', { requeue: true })],
  () => [method(1, 'basic.cancel', { 'consumer-tag': 'c' })],
  () => [method(1, 'queue.purge', { queue: 'fuzz' })],
  () => [method(1, 'queue.unbind', { queue: 'fuzz', exchange: 'amq.topic', 'routing-key': 'a.*.#' })],
  () => [method(1, 'queue.delete', { queue: 'fuzz' })],
  () => [method(1, 'channel.close', { 'reply-code': 200 }), method(1, 'channel.open')],
  () => [frame(FrameType.heartbeat, 0, Buffer.alloc(0))],
]

function method(channel: number, name: string, fields: FieldsInput = {}): Buffer {
  return frame(FrameType.method, channel, encodeMethod(name, fields))
}

function content(channel: number, fields: FieldsInput, random: Random): Buffer[] {
  const body = random.bytes(random.below(300))
  const headers = { n: random.below(3), nested: { a: ['b', 1n, 0.5, true, null, Buffer.of(1, 2)] } }
  const properties = { headers, 'delivery-mode': 2, 'message-id': 'm', expiration: '60000', timestamp: 1 }
  const half = random.below(body.length + 1)
  return [
    method(channel, 'basic.publish', fields),
    frame(FrameType.header, channel, encodeHeader(body.length, properties)),
    frame(FrameType.body, channel, body.subarray(0, half)),
    frame(FrameType.body, channel, body.subarray(half)),
  ]
}

/** Spoils a session in one to three places, mostly behind its login. */
function spoil(frames: readonly Buffer[], random: Random): Buffer[] {
  let spoilt: Buffer[] = frames.map((bytes) => Buffer.from(bytes))
  for (let times = 1 + random.below(3); times > 0; times--) {
    const from = random.chance(0.85) ? Math.min(LOGIN_FRAMES, spoilt.length - 1) : 0
    const at = from + random.below(spoilt.length - from)
    spoilt = random.pick(spoilers)(spoilt, at, random)
  }
  return spoilt
}

type Spoiler = (frames: Buffer[], at: number, random: Random) => Buffer[]

const spoilers: readonly Spoiler[] = [
  // One bit.
  (frames, at, random) => changed(frames, at, (bytes) => (bytes[random.below(bytes.length)]! ^= 1 << random.below(8))),
  // A few bytes.
  (frames, at, random) => {
    return changed(frames, at, (bytes) => random.bytes(1 + random.below(4)).copy(bytes, random.below(bytes.length)))
  },
  // A length, most likely, that is far too large, or negative to some.
  (frames, at, random) => {
    const number = uint(random.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 131073, 65536]), 4)
    return changed(frames, at, (bytes) => number.copy(bytes, random.below(bytes.length)))
  },
  // A payload that is not what its method says, in a frame that is right.
  (frames, at, random) => {
    const bytes = frames[at]!
    const payload = Buffer.from(bytes.subarray(7, Math.max(7, bytes.length - 1)))
    const length = random.below(payload.length + 1)
    const cut = Buffer.concat([payload.subarray(0, length), random.bytes(random.below(12))])
    return frames.with(at, frame(bytes[0]!, bytes.length > 3 ? bytes.readUInt16BE(1) : 0, cut))
  },
  // A frame that is cut off, so that all behind it is out of step.
  (frames, at, random) => frames.with(at, Buffer.from(frames[at]!.subarray(0, random.below(frames[at]!.length)))),
  // A frame that is lost, doubled, or too early.
  (frames, at) => frames.filter((_bytes, index) => index !== at),
  (frames, at) => frames.toSpliced(at, 0, frames[at]!),
  (frames, at, random) => frames.toSpliced(random.below(frames.length), 0, ...frames.splice(at, 1)),
  // A frame that nobody sent.
  (frames, at, random) => {
    const made = frame(
      random.pick([1, 1, 2, 3, 8, 0, 255]),
      random.pick([0, 1, 2, 3, 65535]),
      random.bytes(random.below(40)),
    )
    return frames.toSpliced(at, 0, made)
  },
  // A method that exists, with arguments that are noise.
  (frames, at, random) => {
    const ids = random.pick([10, 20, 40, 50, 60, 85, 90]) * 65536 + 10 * (1 + random.below(13)) + random.below(2)
    const payload = Buffer.concat([uint(ids, 4), random.bytes(random.below(30))])
    return frames.toSpliced(at, 0, frame(FrameType.method, random.below(3), payload))
  },
]

function changed(frames: Buffer[], at: number, change: (bytes: Buffer) => void): Buffer[] {
  if (frames[at]!.length > 0) change(frames[at]!)
  return frames
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** The sockets that are open in this process, at either end. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length
}

function memoryInUse(collect: () => void): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
