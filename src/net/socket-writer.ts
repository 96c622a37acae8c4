// Gathers what a connection sends in one turn and hands it to its socket in as few writes as it takes.
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Stage, type Turn, type TurnTask } from '../lib/turn.ts'

/** The size of a slab: what is sent in a turn usually fits, and larger ones stay in the processor's cache badly. */
export const SLAB_BYTES = 128 * 1024

/** What may wait for a peer that reads slowly before `full` says so. */
export const UNSENT_BYTES_MAX = 1024 * 1024

/** Memory that is written to, and a view of the same for numbers of several bytes. */
export class Slab {
  readonly bytes: Buffer
  readonly view: DataView

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafeSlow(length)
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, length)
  }
}

/** Slabs that no writer uses. A writer has one only from its first byte in a turn until that turn's end. */
export class SlabPool {
  readonly #free: Slab[] = []

  take(): Slab {
    return this.#free.pop() ?? new Slab(SLAB_BYTES)
  }

  give(slab: Slab): void {
    if (slab.bytes.length === SLAB_BYTES && this.#free.length < 16) this.#free.push(slab)
  }
}

const NO_SLAB = new Slab(0)

/**
 * The outgoing side of a socket. Callers `reserve` room, write at `buffer[position]`, or through `view`, and move
 * `position`; the bytes leave at the end of the turn. `hold` keeps them back (and their order) until `release`.
 */
export class SocketWriter implements TurnTask {
  buffer = NO_SLAB.bytes
  view = NO_SLAB.view
  position = 0
  /** Whether so much waits, for the peer or to be released, that no deliveries should be added. */
  full = false
  /** Bytes handed to the socket since it was opened. */
  sentBytes = 0

  readonly #socket: Socket
  readonly #turn: Turn
  readonly #slabs: SlabPool
  readonly #drained: () => void
  /** TLS sockets never finish a write at once: they get copies, so that their slabs need not be made anew each turn. */
  readonly #copies: boolean
  #slab = NO_SLAB
  #enlisted = false
  #holds = 0
  #held: Buffer[] = []
  #heldBytes = 0
  #staysFull = false
  #ending = false
  #ended = false

  /** `drained` is called when a writer that was `full` no longer is. */
  constructor(socket: Socket, turn: Turn, slabs: SlabPool, drained: () => void) {
    this.#socket = socket
    this.#turn = turn
    this.#slabs = slabs
    this.#drained = drained
    this.#copies = socket instanceof TLSSocket
    socket.on('drain', () => this.#madeRoom())
  }

  /** Bytes that wait: for the peer to read, or to be released. */
  get unsentBytes(): number {
    return this.#socket.writableLength + this.#heldBytes
  }

  /** Of the bytes that were handed to the socket, how many it has got rid of: in time the peer has read them. */
  get takenBytes(): number {
    return this.sentBytes - this.#socket.writableLength
  }

  /** Stays `full` from here on, however much the peer reads. */
  stayFull(): void {
    this.full = true
    this.#staysFull = true
  }

  /** Sees to it that `bytes` contiguous bytes can be written at `position`. */
  reserve(bytes: number): void {
    if (this.position + bytes > this.buffer.length) this.#makeRoom(bytes)
    if (!this.#enlisted) {
      this.#enlisted = true
      this.#turn.enlist(Stage.socket, this)
    }
  }

  /** Sends bytes without copying them. They must not change until they are sent. */
  reference(bytes: Buffer): void {
    this.#sendSlab()
    this.#send(bytes)
  }

  /** Keeps everything from here on back until `release` has been called as often. */
  hold(): void {
    if (this.#holds++ === 0) this.#sendSlab(true)
  }

  release(): void {
    if (this.#holds === 0 || --this.#holds > 0) return
    const held = this.#held
    this.#held = []
    this.#heldBytes = 0
    for (const bytes of held) this.#send(bytes)
    this.flush()
    if (this.#ending) this.end()
    else if (!this.#socket.writableNeedDrain) this.#madeRoom()
  }

  /** Sends what has been gathered now. */
  flush(): void {
    this.#sendSlab()
  }

  /** Sends what has been gathered, when nobody holds it back, and ends the sending side; nothing is sent after that. */
  end(): void {
    this.#ending = true
    this.#sendSlab()
    if (this.#ended || this.#holds > 0) return
    this.#ended = true
    this.#socket.end()
  }

  runStage(): void {
    this.#enlisted = false
    this.#sendSlab()
  }

  #makeRoom(bytes: number): void {
    this.#sendSlab()
    if (this.position + bytes <= this.buffer.length) return
    this.#use(bytes > SLAB_BYTES ? new Slab(bytes) : this.#slabs.take())
  }

  #use(slab: Slab): void {
    this.#slab = slab
    this.buffer = slab.bytes
    this.view = slab.view
    this.position = 0
  }

  /** Hands the slab to the socket, and takes it back if the socket is done with it already. */
  #sendSlab(beforeHold = false): void {
    const slab = this.#slab
    const bytes = this.position
    this.#use(NO_SLAB)
    if (bytes === 0) {
      this.#slabs.give(slab)
      return
    }
    if (this.#holds > 0 && !beforeHold) {
      // A copy: what is held back is little, and the slab is in demand.
      this.#keep(Buffer.from(slab.bytes.subarray(0, bytes)))
      this.#slabs.give(slab)
      return
    }
    if (this.#ended || this.#socket.destroyed) {
      this.#slabs.give(slab)
      return
    }
    this.sentBytes += bytes
    const sent = slab.bytes.subarray(0, bytes)
    this.#socket.write(this.#copies ? Buffer.from(sent) : sent)
    if (this.#copies || this.#socket.writableLength === 0) this.#slabs.give(slab)
    if (this.#socket.writableLength > UNSENT_BYTES_MAX) this.full = true
  }

  #send(bytes: Buffer): void {
    if (this.#holds > 0) {
      this.#keep(bytes)
      return
    }
    if (this.#ended || this.#socket.destroyed) return
    this.sentBytes += bytes.length
    this.#socket.write(bytes)
    if (this.#socket.writableLength > UNSENT_BYTES_MAX) this.full = true
  }

  #keep(bytes: Buffer): void {
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#heldBytes > UNSENT_BYTES_MAX) this.full = true
  }

  /** The socket has taken all that it was given. */
  #madeRoom(): void {
    if (!this.full || this.#staysFull || this.#heldBytes > UNSENT_BYTES_MAX) return
    this.full = false
    this.#drained()
  }
}
