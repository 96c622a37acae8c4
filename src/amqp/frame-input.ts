// The incoming side of a connection: from the chunks of its socket to frames, one after the other.
import type { Socket } from 'node:net'
import type { Session } from '../core/session.ts'
import { SocketReader } from '../net/socket-reader.ts'
import type { AmqpContext } from './amqp-context.ts'
import { INITIAL_FRAME_BYTES_MAX } from './limits.ts'
import { FrameReader, type FrameSink } from './wire/frame-reader.ts'

/** Who takes the frames. What it throws, or the reader, leads to `outOfStep`. */
export interface FrameTaker extends FrameSink {
  /** There is one once the client may publish. */
  readonly session: Session | null
  /** Where in a chunk the frames begin: what is before that belongs to the protocol header. */
  framesFrom(chunk: Buffer): number
  /** What follows cannot be told apart any more. */
  outOfStep(error: unknown): void
  /** Every whole frame of a chunk was taken, or waits until reading is resumed. */
  chunkRead(): void
}

/** Owns what has arrived and is not taken yet. */
export class FrameInput {
  readonly reader: SocketReader
  receivedBytes = 0

  readonly #socket: Socket
  readonly #context: AmqpContext
  readonly #taker: FrameTaker
  readonly #frames = new FrameReader()
  /** What arrived behind the frame at which reading was suspended. */
  #rest: Buffer | null = null
  #suspensions = 0

  constructor(socket: Socket, context: AmqpContext, taker: FrameTaker) {
    this.#socket = socket
    this.#context = context
    this.#taker = taker
    this.#frames.frameMax = INITIAL_FRAME_BYTES_MAX
    this.reader = new SocketReader(socket, context.turn, (chunk) => this.#data(chunk))
  }

  /** Larger frames, in bytes of the whole frame, are an error of the client's from here on. */
  set frameMax(bytes: number) {
    this.#frames.frameMax = bytes
  }

  /** Takes no more frames until the returned function is called, of all that are not called yet. What has arrived waits. */
  suspend(): () => void {
    this.#suspensions++
    this.reader.hold()
    this.#frames.pause()
    return () => this.#resume()
  }

  /** Takes nothing any more. */
  stop(): void {
    this.#frames.stop()
    this.reader.hold()
    this.#rest = null
    // A held socket would not notice that its peer is gone: what still comes is read and thrown away.
    this.#socket.removeAllListeners('data')
    this.#socket.resume()
  }

  #data(chunk: Buffer): void {
    this.receivedBytes += chunk.length
    this.#context.broker.window.received(chunk.length)
    try {
      this.#read(chunk, this.#taker.framesFrom(chunk))
    } catch (error) {
      this.#taker.outOfStep(error)
    }
    this.#taker.chunkRead()
  }

  #read(chunk: Buffer, start: number): void {
    if (this.#rest !== null) {
      this.#rest = Buffer.concat([this.#rest, chunk.subarray(start)])
      return
    }
    const metered = this.#context.broker.rates.any
    const read = metered ? this.#readMetered(chunk, start) : this.#frames.read(chunk, start, this.#taker)
    if (read < chunk.length) this.#rest = chunk.subarray(read)
  }

  /** Reads, and has it counted what was published: nobody else publishes meanwhile. */
  #readMetered(chunk: Buffer, start: number): number {
    const { rates, sizes } = this.#context.broker
    const { session } = this.#taker
    const [messages, bytes] = [session?.vhost.counts.published ?? 0, sizes.sum]
    const read = this.#frames.read(chunk, start, this.#taker)
    if (session === null) return read
    const published = session.vhost.counts.published - messages
    if (published > 0) rates.spent(this.reader, session.user.name, session.vhost.name, published, sizes.sum - bytes)
    return read
  }

  #resume(): void {
    this.reader.release()
    if (--this.#suspensions > 0) return
    this.#frames.resume()
    const rest = this.#rest
    this.#rest = null
    if (rest === null || this.#socket.destroyed) return
    try {
      this.#read(rest, 0)
    } catch (error) {
      this.#taker.outOfStep(error)
    }
  }
}
