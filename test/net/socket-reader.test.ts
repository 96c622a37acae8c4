// The incoming side of a socket: one chunk a turn, and none while it is held.
import { describe, expect, it } from 'vitest'
import { Stage, Turn, type TurnTask } from '../../src/lib/turn.ts'
import { SocketReader } from '../../src/net/socket-reader.ts'
import { socketPair, turnsRun, type SocketPair } from '../support/sockets.ts'

/** Counts turns: it asks for the next one as long as it is on. */
class TurnCount implements TurnTask {
  turns = 0
  on = true
  readonly #turn: Turn

  constructor(turn: Turn) {
    this.#turn = turn
    turn.enlist(Stage.store, this)
  }

  runStage(): void {
    this.turns++
    if (this.on) this.#turn.enlist(Stage.store, this)
  }
}

interface Bench extends SocketPair {
  readonly reader: SocketReader
  readonly turn: Turn
  readonly chunks: Buffer[]
  /** Called with each chunk, once it has been noted. */
  onChunk: (chunk: Buffer) => void
  readonly bytes: (length: number) => Promise<void>
}

async function bench(turn = new Turn()): Promise<Bench> {
  const pair = await socketPair()
  const chunks: Buffer[] = []
  const received = { bytes: 0 }
  let wake = (): void => undefined
  const made: Bench = {
    ...pair,
    turn,
    chunks,
    onChunk: () => undefined,
    bytes: async (length) => {
      while (received.bytes < length) await new Promise<void>((resolve) => (wake = resolve))
    },
    reader: new SocketReader(pair.near, turn, (chunk) => {
      chunks.push(chunk)
      received.bytes += chunk.length
      made.onChunk(chunk)
      wake()
    }),
  }
  return made
}

describe('a socket reader', () => {
  it('passes on everything, in order', async () => {
    const { far, chunks, bytes } = await bench()
    const sent = Buffer.alloc(5_000_000, 'some bytes, again and again; ')
    far.write(sent)
    await bytes(sent.length)
    expect(Buffer.concat(chunks).equals(sent)).toBe(true)
  })

  it('reads one chunk a turn, however much there is', async () => {
    const made = await bench()
    const count = new TurnCount(made.turn)
    const turns: number[] = []
    made.onChunk = () => turns.push(count.turns)
    const sent = Buffer.alloc(8_000_000)
    made.far.write(sent)
    await made.bytes(sent.length)
    count.on = false
    expect(turns.length).toBeGreaterThan(10)
    expect(new Set(turns).size).toBe(turns.length)
  })

  it('lets a quiet socket have its turn beside a busy one', async () => {
    const busy = await bench()
    const quiet = await bench(busy.turn)
    const sent = Buffer.alloc(30_000_000)
    let chunksBetween = 0
    let most = 0
    busy.onChunk = () => (most = Math.max(most, ++chunksBetween))
    // Each message is answered by the next one, so that there is always one on its way.
    quiet.onChunk = () => {
      chunksBetween = 0
      quiet.far.write('next')
    }
    quiet.far.write('first')
    busy.far.write(sent)
    await busy.bytes(sent.length)
    expect(most).toBeLessThan(32)
    expect(quiet.chunks.length).toBeGreaterThan(10)
  })

  it('can be held from within a chunk, and goes on where it was when it is released', async () => {
    const made = await bench()
    const { reader, far, chunks, bytes } = made
    made.onChunk = () => reader.hold()
    far.write(Buffer.alloc(1_000_000, 'abcdefg'))
    await bytes(1)
    expect(reader.held).toBe(true)
    for (let turns = 0; turns < 20; turns++) await turnsRun()
    expect(chunks.length).toBe(1)
    made.onChunk = () => undefined
    reader.release()
    expect(reader.held).toBe(false)
    await bytes(1_000_000)
    expect(Buffer.concat(chunks).equals(Buffer.alloc(1_000_000, 'abcdefg'))).toBe(true)
  })

  it('stays held until it has been released as often as it was held', async () => {
    const { reader, far, chunks, bytes } = await bench()
    reader.hold()
    reader.hold()
    far.write('patience')
    reader.release()
    for (let turns = 0; turns < 20; turns++) await turnsRun()
    expect([reader.held, chunks.length]).toEqual([true, 0])
    reader.release()
    await bytes(8)
    expect(String(chunks[0])).toBe('patience')
  })

  it('may be released and held again within a turn', async () => {
    const { reader, far, chunks, bytes } = await bench()
    reader.hold()
    reader.release()
    reader.hold()
    far.write('patience')
    for (let turns = 0; turns < 20; turns++) await turnsRun()
    expect(chunks).toEqual([])
    reader.release()
    await bytes(8)
  })

  it('does not wake a socket that is gone', async () => {
    const { reader, near, chunks } = await bench()
    reader.hold()
    near.destroy()
    reader.release()
    await turnsRun()
    expect(chunks).toEqual([])
  })
})
