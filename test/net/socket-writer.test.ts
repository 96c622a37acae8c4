// The outgoing side of a socket: what is gathered, held back, referred to, and taken by the peer.
import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { Turn } from '../../src/lib/turn.ts'
import { SLAB_BYTES, Slab, SlabPool, SocketWriter, UNSENT_BYTES_MAX } from '../../src/net/socket-writer.ts'
import { Receiver, socketPair, turnsRun, type SocketPair } from '../support/sockets.ts'

interface Bench extends SocketPair {
  readonly writer: SocketWriter
  readonly slabs: SlabPool
  readonly receiver: Receiver
  /** What was handed to the socket, write by write, and what it said then. */
  readonly writes: Buffer[]
  readonly words: string[]
  readonly drained: () => void
}

async function bench(): Promise<Bench> {
  const { near, far } = await socketPair()
  const slabs = new SlabPool()
  const drained = vi.fn<() => void>()
  const writer = new SocketWriter(near, new Turn(), slabs, drained)
  const writes: Buffer[] = []
  const words: string[] = []
  const write = near.write.bind(near)
  vi.spyOn(near, 'write').mockImplementation((bytes) => {
    writes.push(bytes as Buffer)
    words.push(String(bytes))
    return write(bytes)
  })
  return { near, far, writer, slabs, receiver: new Receiver(far), writes, words, drained }
}

function put(writer: SocketWriter, content: string | Buffer): void {
  const bytes = Buffer.from(content as string)
  writer.reserve(bytes.length)
  writer.position += bytes.copy(writer.buffer, writer.position)
}

/** Bytes that tell where they belong. */
function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE(i + seed, i)
  return bytes
}

/** Writes to a peer that does not read until the writer says that it is full. Returns all that was written. */
function fill(writer: SocketWriter): Buffer {
  const written: Buffer[] = []
  for (let i = 0; !writer.full; i++) {
    const piece = pattern(100_000, i << 16)
    put(writer, piece)
    writer.flush()
    written.push(piece)
  }
  return Buffer.concat(written)
}

describe('a socket writer', () => {
  it('sends what was written in a turn in one write, when the turn ends', async () => {
    const { writer, writes, receiver, words } = await bench()
    for (const word of ['to', 'get', 'her']) put(writer, word)
    expect(writes).toEqual([])
    await turnsRun()
    expect(words).toEqual(['together'])
    expect(writer.sentBytes).toBe(8)
    expect(String(await receiver.atLeast(8))).toBe('together')
  })

  it('sends nothing in a turn in which nothing was written', async () => {
    const { writer, writes } = await bench()
    writer.reserve(100)
    await turnsRun()
    writer.flush()
    expect(writes).toEqual([])
  })

  it('can be flushed before the turn ends', async () => {
    const { writer, writes, words } = await bench()
    put(writer, 'now')
    writer.flush()
    expect(words).toEqual(['now'])
    await turnsRun()
    expect(writes.length).toBe(1)
  })

  it('reserves room on end, in any amount, and keeps the order', async () => {
    const { writer, receiver } = await bench()
    const pieces = [10, SLAB_BYTES - 5, SLAB_BYTES, 3, SLAB_BYTES * 3, 0, 7].map((length, i) => pattern(length, i))
    for (const piece of pieces) put(writer, piece)
    const all = Buffer.concat(pieces)
    expect((await receiver.atLeast(all.length)).equals(all)).toBe(true)
    expect(writer.sentBytes).toBe(all.length)
  })

  it('gives its slab back once the socket has taken what was in it, and has none between turns', async () => {
    const { writer, slabs } = await bench()
    put(writer, 'one')
    const slab = writer.buffer
    await turnsRun()
    expect(writer.buffer.length).toBe(0)
    expect(slabs.take().bytes).toBe(slab)
    expect(slabs.take().bytes).not.toBe(slab)
  })

  it('does not give back a slab whose bytes still wait for the peer', async () => {
    const { writer, slabs, far, receiver } = await bench()
    far.pause()
    const written = fill(writer)
    put(writer, 'waiting')
    const slab = writer.buffer
    writer.flush()
    const other = slabs.take()
    expect(other.bytes).not.toBe(slab)
    far.resume()
    const all = Buffer.concat([written, Buffer.from('waiting')])
    expect((await receiver.atLeast(all.length)).equals(all)).toBe(true)
  })

  it('does not keep more slabs than are in use at a time, nor buffers of another size', () => {
    const slabs = new SlabPool()
    const odd = new Slab(SLAB_BYTES + 1)
    slabs.give(odd)
    for (let i = 0; i < 100; i++) slabs.give(new Slab(SLAB_BYTES))
    const taken = Array.from({ length: 100 }, () => slabs.take())
    expect(taken).not.toContain(odd)
    expect(new Set(taken).size).toBe(100)
  })

  it('sends what it is referred to without a copy, in its place', async () => {
    const { writer, writes, receiver, words } = await bench()
    const body = Buffer.from('body')
    put(writer, '<')
    writer.reference(body)
    put(writer, '>')
    await turnsRun()
    expect(writes[1]).toBe(body)
    expect(words).toEqual(['<', 'body', '>'])
    expect(String(await receiver.atLeast(6))).toBe('<body>')
    expect(writer.sentBytes).toBe(6)
  })

  it('writes nothing to a socket that is gone', async () => {
    const { writer, near, writes } = await bench()
    put(writer, 'too late')
    near.destroy()
    writer.reference(Buffer.from('this too'))
    await turnsRun()
    expect(writes).toEqual([])
    expect(writer.sentBytes).toBe(0)
  })
})

describe('a socket writer that is held', () => {
  it('sends at once what was written before, and nothing after, until it is released', async () => {
    const { writer, writes, receiver, words } = await bench()
    put(writer, 'before ')
    writer.hold()
    expect(words).toEqual(['before '])
    put(writer, 'after ')
    await turnsRun()
    put(writer, 'later')
    await turnsRun()
    expect(writes.length).toBe(1)
    expect(writer.sentBytes).toBe(7)
    writer.release()
    expect(String(await receiver.atLeast(18))).toBe('before after later')
    expect(writer.sentBytes).toBe(18)
  })

  it('keeps the order of slabs and references', async () => {
    const { writer, receiver } = await bench()
    writer.hold()
    put(writer, '1')
    writer.reference(Buffer.from('2'))
    put(writer, '3')
    await turnsRun()
    writer.reference(Buffer.from('4'))
    put(writer, '5')
    writer.release()
    put(writer, '6')
    expect(String(await receiver.atLeast(6))).toBe('123456')
  })

  it('does not hold on to a slab for what it keeps back', async () => {
    const { writer, slabs, receiver } = await bench()
    writer.hold()
    put(writer, 'kept')
    const slab = writer.buffer
    await turnsRun()
    expect(slabs.take().bytes).toBe(slab)
    slab.fill(0)
    writer.release()
    expect(String(await receiver.atLeast(4))).toBe('kept')
  })

  it('is released by as many releases as there were holds', async () => {
    const { writer, writes, words } = await bench()
    writer.hold()
    writer.hold()
    put(writer, 'twice')
    writer.release()
    await turnsRun()
    expect(writes).toEqual([])
    writer.release()
    expect(words).toEqual(['twice'])
  })

  it('takes no notice of a release too many', async () => {
    const { writer, writes } = await bench()
    writer.release()
    writer.hold()
    put(writer, 'held')
    await turnsRun()
    expect(writes).toEqual([])
  })

  it('ends when it is released, behind what it kept back', async () => {
    const { writer, near, receiver } = await bench()
    put(writer, 'a')
    writer.hold()
    put(writer, 'b')
    writer.end()
    await turnsRun()
    expect(near.writableEnded).toBe(false)
    writer.release()
    expect(near.writableEnded).toBe(true)
    expect(String(await receiver.all())).toBe('ab')
  })

  it('is full when much is kept back, and says so when it is not', async () => {
    const { writer, drained } = await bench()
    writer.hold()
    const piece = pattern(10_000)
    for (let kept = 0; kept <= UNSENT_BYTES_MAX; kept += piece.length) {
      expect(writer.full).toBe(false)
      put(writer, piece)
      writer.flush()
    }
    expect(writer.full).toBe(true)
    expect(writer.unsentBytes).toBeGreaterThan(UNSENT_BYTES_MAX)
    expect(drained).not.toHaveBeenCalled()
    writer.release()
    await expect.poll(() => writer.full).toBe(false)
    expect(writer.unsentBytes).toBe(0)
    expect(drained).toHaveBeenCalledOnce()
  })

  it('stays full while much is kept back, although the peer has read all that it was sent', async () => {
    const { writer, near, far, drained } = await bench()
    far.pause()
    fill(writer)
    writer.hold()
    writer.reference(pattern(UNSENT_BYTES_MAX + 1))
    far.resume()
    await once(near, 'drain')
    expect(writer.full).toBe(true)
    writer.release()
    await expect.poll(() => writer.full).toBe(false)
    expect(drained).toHaveBeenCalledOnce()
  })

  it('keeps nothing back for a socket that is gone', async () => {
    const { writer, near, writes } = await bench()
    writer.hold()
    put(writer, 'too late')
    near.destroy()
    writer.release()
    writer.end()
    expect(writes).toEqual([])
  })
})

describe('the end of a socket writer', () => {
  it('may be prepared by having it stay full, whatever the peer reads', async () => {
    const { writer, near, far, drained } = await bench()
    far.pause()
    fill(writer)
    writer.stayFull()
    far.resume()
    await once(near, 'drain')
    expect(writer.full).toBe(true)
    expect(drained).not.toHaveBeenCalled()
  })

  it('comes behind what was written, and is the last', async () => {
    const { writer, receiver, writes } = await bench()
    put(writer, 'last words')
    writer.end()
    put(writer, 'not heard')
    writer.reference(Buffer.from('this neither'))
    writer.end()
    await turnsRun()
    expect(String(await receiver.all())).toBe('last words')
    expect(writes.length).toBe(1)
    expect(writer.sentBytes).toBe(10)
  })
})

describe('a peer that reads slowly', () => {
  it('makes it full beyond a megabyte, and is waited for once', async () => {
    const { writer, near, far, receiver, drained } = await bench()
    far.pause()
    const written = fill(writer)
    expect(near.writableLength).toBeGreaterThan(UNSENT_BYTES_MAX)
    expect(near.writableLength).toBeLessThan(UNSENT_BYTES_MAX + 200_000)
    expect(drained).not.toHaveBeenCalled()
    far.resume()
    await once(near, 'drain')
    expect(writer.full).toBe(false)
    expect(drained).toHaveBeenCalledOnce()
    expect((await receiver.atLeast(written.length)).equals(written)).toBe(true)
  })

  it('makes it full by what it is referred to as well', async () => {
    const { writer, near, far } = await bench()
    far.pause()
    const body = pattern(300_000)
    while (!writer.full) writer.reference(body)
    expect(near.writableLength).toBeGreaterThan(UNSENT_BYTES_MAX)
    far.resume()
    await once(near, 'drain')
    expect(writer.full).toBe(false)
  })

  it('is not said to have made room when it was never full', async () => {
    const { writer, near, far, receiver, drained } = await bench()
    far.pause()
    const body = pattern(100_000)
    let sent = 0
    while (near.writableLength === 0) {
      writer.reference(body)
      sent += body.length
    }
    expect(writer.full).toBe(false)
    far.resume()
    await receiver.atLeast(sent)
    await turnsRun()
    expect(drained).not.toHaveBeenCalled()
  })

  it('is handed what was held back, and then still counts as full if that is much', async () => {
    const { writer, near, far, drained } = await bench()
    far.pause()
    writer.hold()
    writer.reference(pattern(16 * 1024 * 1024))
    writer.release()
    expect(writer.full).toBe(true)
    expect(drained).not.toHaveBeenCalled()
    far.resume()
    await once(near, 'drain')
    expect(writer.full).toBe(false)
    expect(drained).toHaveBeenCalledOnce()
  })
})
