// Pairs of connected sockets, for tests of what is built on them.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** Both ends of a TCP connection. */
export interface SocketPair {
  readonly near: Socket
  readonly far: Socket
}

/** Connects two sockets. They are destroyed when the test ends. */
export async function socketPair(): Promise<SocketPair> {
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const far = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true })
  const [near] = await accepted
  server.close()
  for (const socket of [near, far]) socket.on('error', () => socket.destroy())
  onTestFinished(() => {
    near.destroy()
    far.destroy()
  })
  return { near, far }
}

/** Resolves when the turns that are scheduled by now have run. */
export function turnsRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Gathers what a socket receives. */
export class Receiver {
  readonly #socket: Socket
  readonly #chunks: Buffer[] = []
  #length = 0
  ended = false

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#length += chunk.length
    })
    socket.on('end', () => {
      this.ended = true
    })
  }

  get length(): number {
    return this.#length
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  /** Waits until so many bytes have come, and returns all that have. */
  async atLeast(length: number): Promise<Buffer> {
    while (this.#length < length) await once(this.#socket, 'data')
    return this.bytes
  }

  /** Waits for the end and returns everything. */
  async all(): Promise<Buffer> {
    if (!this.ended) await once(this.#socket, 'end')
    return this.bytes
  }
}
