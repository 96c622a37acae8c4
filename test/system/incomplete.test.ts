// Publishers that stop within their bodies: what has come of those is in memory, and must not be what memory is short of.
import { it } from 'vitest'
import type { RawChannel } from '../support/raw-client.ts'
import { ShortMemory } from '../support/short-memory.ts'

/** So that a megabyte may have come of bodies that are not whole before somebody is not read. */
const LIMIT = 10_000_000
const BODY_BYTES = 400_000
const PIECE_BYTES = 100_000

const broker = new ShortMemory(LIMIT)

/** Publishers that have sent half of a body each: together four times of what may have come. */
async function halfway(count: number): Promise<RawChannel[]> {
  const publishers: RawChannel[] = []
  for (let i = 0; i < count; i++) {
    const publisher = await broker.channel()
    await publisher.call('confirm.select')
    publisher.send('basic.publish', { 'routing-key': 'q' })
    publisher.header(BODY_BYTES)
    pieces(publisher, 2)
    publishers.push(publisher)
  }
  return publishers
}

function pieces(publisher: RawChannel, count: number): void {
  for (let i = 0; i < count; i++) publisher.body(Buffer.alloc(PIECE_BYTES))
}

it('finish in any order, although all of them together would fill memory', async () => {
  await (await broker.channel()).queue('q')
  const publishers = await halfway(20)
  for (const publisher of publishers.toReversed()) pieces(publisher, 2)
  for (const publisher of publishers) await publisher.expect('basic.ack')
})

it('keep nobody from finishing while they stop, nor when they go', async () => {
  const watching = await broker.channel()
  await watching.queue('q')
  const publishers = await halfway(20)
  const [stopped, gone, ...others] = publishers as [RawChannel, RawChannel, ...RawChannel[]]
  for (const publisher of others) pieces(publisher, 2)
  gone.client.drop()
  for (const publisher of others) await publisher.expect('basic.ack')
  // Memory is short for a while: it was read no further than within its body.
  broker.use(LIMIT + 1)
  await stopped.client.expect('connection.blocked')
  pieces(stopped, 2)
  broker.use(0)
  await stopped.client.expect('connection.unblocked')
  await stopped.expect('basic.ack')
  await watching.call('queue.declare', { queue: 'q', passive: true }, { 'message-count': 19 })
})
